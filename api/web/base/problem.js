// What an answer says went wrong, in the reader's language: by its stable code where the page has words
// for it, else as the API says it: its title, which is translated, and what stands behind it in English.

import { language, t } from "./i18n.js";

const WORDS = {
  sign_in_failed: () => t("Login and password do not belong together."),
  not_for_this_role: () => t("Your role may not do this."),
  csrf_failed: () => t("The page has been open too long. Reload it and try again."),
  too_many_attempts: () => t("Too many attempts have failed. Wait a quarter of an hour."),
  database_unavailable: () => t("The database does not answer just now. Try again in a moment."),
  edits_under_way: () => t("Somebody else is editing. Try again in a moment."),
  changed_meanwhile: () => t("Somebody has changed this meanwhile. Look at it again."),
  stop_visited: () => t("The stop has been visited meanwhile."),
  stop_over: () => t("The stop’s day is over."),
  plan_moved: () => t("The plans have changed since this was proposed. Ask again."),
  replan_gone_on: () => t("This cannot be taken back any more: the tours were edited since, or a van was there."),
  order_not_waiting: () => t("The order does not wait for this any more."),
};

const ERRORS_MAX = 3;

/** What is wrong with each part of what was sent, the first few. */
const said = ({ errors = [] }) => errors.slice(0, ERRORS_MAX).map(({ message }) => message);

/** What the API says: to those who read English its details say it all. */
const told = ({ title, detail, ...body }) => [language === "en" && detail ? "" : title && `${title}.`, detail, ...said(body)].filter(Boolean).join(" ");

/** An answer that is not what was asked for. `code` is the API's; `status` 0 says nothing was reached. */
export class Problem extends Error {
  constructor(status, body = {}) {
    const words = status === 0 ? t("Cordée cannot be reached just now. Try again in a moment.") : WORDS[body.code]?.();
    super(words ?? (told(body) || t("This did not work ({status}).", { status })));
    Object.assign(this, { status, code: body.code ?? null, errors: body.errors ?? [] });
  }
}
