// Which alert comes first, and in which group it stands. Pure.
//
// An alert's urgency is the minutes that a client waits, times what they weigh: a client who waits weighs
// 3, one who will 2 (half of that while it is not likely enough to be told), work that takes longer and a
// van that is silent 1; and each further stop that it makes late weighs as much again. A missed stop counts
// as an hour: it does not grow worse by the minute, but somebody has to call.
//
// | group   | holds what is                                             | sorted by            |
// | ------- | --------------------------------------------------------- | -------------------- |
// | snoozed | put off until a time that has not come                     | that time            |
// | handled | over, or seen to by somebody else                          | last change          |
// | mine    | given to me, or acknowledged by me and given to nobody     | urgency              |
// | new     | everything else                                            | urgency              |

export const GROUPS = ["new", "mine", "snoozed", "handled"];

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
  const likely = alert.kind === "at_risk" && !alert.told ? 0.5 : 1;
  return minutes * WEIGHT[alert.kind] * likely * (1 + alert.pushes.length);
}

/** The group of an alert, for whoever has this login. */
export function groupOf(alert, login, now) {
  const { snoozed_until_ms: until, owner, acknowledged_by: by } = alert.handling ?? {};
  if (alert.state !== "open") return "handled";
  if (until && until > now) return "snoozed";
  const whose = owner ?? by ?? null;
  return whose === login ? "mine" : whose ? "handled" : "new";
}

/** Alerts by group, each in the order of looking. */
export function grouped(alerts, login, now) {
  const groups = Object.fromEntries(GROUPS.map((name) => [name, []]));
  for (const alert of alerts) groups[groupOf(alert, login, now)].push(alert);
  const sorted = (list, key) => list.map((alert) => [key(alert), alert]).sort((a, b) => b[0] - a[0] || a[1].alert_id - b[1].alert_id).map(([, alert]) => alert);
  return {
    new: sorted(groups.new, (alert) => urgency(alert, now)),
    mine: sorted(groups.mine, (alert) => urgency(alert, now)),
    snoozed: sorted(groups.snoozed, (alert) => -alert.handling.snoozed_until_ms),
    handled: sorted(groups.handled, (alert) => alert.changed_ms),
  };
}
