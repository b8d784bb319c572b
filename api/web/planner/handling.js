// What a planner does about an alert: acknowledges it, puts it off, gives it to somebody, says why. Each is
// one change of its handling, which names the version that was looked at; what can be taken back is.

import { html } from "../base/lit.js";
import { time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { change, read } from "../base/session.js";
import { say } from "../base/shell.js";
import { askInDialog } from "../base/dialog.js";
import { FOUND } from "./words.js";

const MINUTE_MS = 60_000;
const SNOOZES_MIN = [10, 30, 60, 120];

const versionOf = (alert) => `"${alert.handling?.version ?? 0}"`;

/** Changes the handling of an alert as it was looked at, and shows what it is now. Throws a Problem. */
export async function handle(desk, alert, changes) {
  const url = `/v1/alerts/${alert.alert_id}`;
  const answer = await change("PATCH", url, changes, { "if-match": versionOf(alert) });
  desk.put("alerts", alert.alert_id, answer.alert);
  return answer;
}

/** As above, and says what was done, with a way back; or why it was not. */
async function handleAndSay(desk, alert, changes, said, back) {
  try {
    const { alert: now } = await handle(desk, alert, changes);
    say(said, { undo: () => handleAndSay(desk, now, back, t("Taken back.")) });
  } catch (problem) {
    say(problem.message);
  }
}

const nameOf = (alert) => (alert.stop === null ? alert.van : `${alert.van} · ${alert.site_name}`);

export function acknowledge(desk, alert) {
  const was = alert.handling?.acknowledged_by != null;
  const said = was ? t("Not acknowledged any more: {alert}", { alert: nameOf(alert) }) : t("Acknowledged: {alert}", { alert: nameOf(alert) });
  return handleAndSay(desk, alert, { acknowledged: !was }, said, { acknowledged: was });
}

export async function snooze(desk, alert) {
  const done = await askInDialog({
    title: t("Put off {alert}", { alert: nameOf(alert) }),
    content: html`<fieldset class="choices"><legend>${t("It is new again after")}</legend>
      ${SNOOZES_MIN.map((minutes, nth) => html`<label><input type="radio" name="minutes" value=${minutes} ?checked=${nth === 0} ?autofocus=${nth === 0}>
        ${tn("{n} minute", "{n} minutes", minutes)}</label>`)}</fieldset>
      ${alert.handling?.snoozed_until_ms ? html`<label><input type="radio" name="minutes" value="0"> ${t("at once: do not put it off")}</label>` : ""}`,
    action: t("Put off"),
    act: async (data) => {
      const minutes = Number(data.get("minutes"));
      const until = minutes ? Math.round(desk.now()) + minutes * MINUTE_MS : null;
      return { until, ...(await handle(desk, alert, { snoozed_until_ms: until })) };
    },
  });
  if (!done) return;
  const said = done.until ? t("Put off until {time}: {alert}", { time: time(done.until, desk.now()), alert: nameOf(alert) }) : t("Not put off any more: {alert}", { alert: nameOf(alert) });
  const back = { snoozed_until_ms: alert.handling?.snoozed_until_ms ?? null };
  say(said, { undo: () => handleAndSay(desk, done.alert, back, t("Taken back.")) });
}

/** Asks who sees to it, why it is so, and what else is known. */
export async function assign(desk, alert) {
  let people;
  try {
    ({ people } = await read("/v1/people?can=plan"));
  } catch (problem) {
    say(problem.message);
    return;
  }
  const { owner = null, cause = null, note = null } = alert.handling ?? {};
  const option = (value, said, chosen) => html`<option value=${value} ?selected=${value === chosen}>${said}</option>`;
  const done = await askInDialog({
    title: nameOf(alert),
    content: html`
      <label class="field">${t("Who sees to it")}
        <select name="owner">${option("", t("nobody yet"), owner ?? "")}
          ${people.map((one) => option(one.login, one.login === desk.who.login ? t("{name} (me)", { name: one.name }) : one.name, owner))}</select></label>
      <label class="field">${t("Cause")}
        <select name="cause">${option("", t("not known"), cause ?? "")}${Object.entries(FOUND).map(([name, said]) => option(name, said(), cause))}</select></label>
      <label class="field">${t("Note")}<textarea name="note" rows="3" maxlength="1000" .value=${note ?? ""}></textarea></label>`,
    action: t("Save"),
    act: (data) => handle(desk, alert, changesOf(data)),
  });
  if (!done) return;
  say(t("Saved: {alert}", { alert: nameOf(alert) }), { undo: () => handleAndSay(desk, done.alert, { owner, cause, note }, t("Taken back.")) });
}

/** What a form says; an empty field takes back what was there. */
export const changesOf = (data) =>
  Object.fromEntries(["owner", "cause", "note"].map((name) => [name, String(data.get(name) ?? "").trim() || null]));
