// Which alert comes first, and in which group it stands. Pure.
//
// An alert's urgency is the minutes that a client waits, times what they weigh: a client who waits weighs
// 3, one who will 2, work that takes longer and a van that is silent 1; and each further stop that it makes
// late weighs as much again. A missed stop counts as an hour: it does not grow worse by the minute, but
// somebody has to call.
//
// | group    | holds what is                                         | sorted by   |
// | -------- | ----------------------------------------------------- | ----------- |
// | snoozed  | put off until a time that has not come                | that time   |
// | handled  | over, or seen to by somebody else                     | last change |
// | mine     | given to me, or acknowledged by me and given to nobody | urgency    |
// | possible | a stop that may be late, but not likely enough to tell | urgency    |
// | new      | everything else                                       | urgency     |

import { nameOf } from "../base/format.js";

export const GROUPS = ["new", "mine", "possible", "snoozed", "handled"];

const WEIGHT = { late: 3, missed: 3, at_risk: 2, overstayed: 1, silent: 1 };
const MISSED_MIN = 60;
const MINUTE_MS = 60_000;

/** Minutes late, over or silent: those that run are counted on to `now`; null of what has none. */
export function minutesOf(alert, now) {
  const open = alert.state === "open";
  const since = (ms) => Math.floor((now - ms) / MINUTE_MS);
  if (alert.kind === "missed") return null;
  if (alert.kind === "silent") return open ? since(alert.due_at_ms) : alert.minutes;
  if (alert.kind === "late" && open) return since(alert.due_at_ms);
  if (alert.minutes === null) return null;
  return alert.kind === "overstayed" && open ? alert.minutes + since(alert.changed_ms) : alert.minutes;
}

export function urgency(alert, now) {
  const minutes = alert.kind === "missed" ? MISSED_MIN : Math.max(1, minutesOf(alert, now) ?? 1);
  return minutes * WEIGHT[alert.kind] * (1 + alert.pushes.length);
}

/** The group of an alert, for whoever has this login. */
export function groupOf(alert, login, now) {
  const { snoozed_until_ms: until, owner, acknowledged_by: by } = alert.handling ?? {};
  if (alert.state !== "open") return "handled";
  if (until && until > now) return "snoozed";
  const whose = owner ?? nameOf(by);
  if (whose) return whose === login ? "mine" : "handled";
  return alert.kind === "at_risk" && !alert.told ? "possible" : "new";
}

/** Alerts by group, each in the order of looking. */
export function grouped(alerts, login, now) {
  const groups = Object.fromEntries(GROUPS.map((name) => [name, []]));
  for (const alert of alerts) {
    const name = groupOf(alert, login, now);
    groups[name].push([keyOf(name, alert, now), alert]);
  }
  const sorted = (pairs) => pairs.sort(([a, one], [b, other]) => b - a || one.alert_id - other.alert_id).map(([, alert]) => alert);
  return Object.fromEntries(GROUPS.map((name) => [name, sorted(groups[name])]));
}

/** What an alert is sorted by in a group, the greatest first. */
function keyOf(group, alert, now) {
  if (group === "snoozed") return -alert.handling.snoozed_until_ms;
  return group === "handled" ? alert.changed_ms : urgency(alert, now);
}
