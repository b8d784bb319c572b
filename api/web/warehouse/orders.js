// What is said of an order wherever it is shown.

import { longDay, time } from "../base/format.js";
import { t } from "../base/i18n.js";

const SOON_MS = 2 * 3_600_000;

export const MODES = {
  van: () => t("to the van"),
  home: () => t("to the home"),
  site: () => t("to a site"),
};

/** When it should be there; what has no such time goes by its cut-off. */
export const dueOf = (order) => order.due_at_ms ?? order.cutoff_at_ms;

/** How urgent what has not left is: overdue, soon to be, or not. */
export function urgencyOf(order, now) {
  const left = dueOf(order) - now;
  return left < 0 ? "late" : left < SOON_MS ? "at_risk" : null;
}

export const dueText = (order, now) =>
  order.due_at_ms === null ? t("Cut-off {time}", { time: time(order.cutoff_at_ms, now) })
    : t("Due {day}, {time}", { day: longDay(order.due_at_ms), time: time(order.due_at_ms, order.due_at_ms) });
