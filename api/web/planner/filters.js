// What the figures on top count, and so which vans and alerts they leave when one is pressed. Pure.

const withOpen = (kind) => (vans, alerts) =>
  new Set(alerts.filter((alert) => alert.kind === kind && alert.state === "open").map((alert) => alert.van));
const inState = (...states) => (vans) =>
  new Set(vans.filter((van) => states.includes(van.state)).map((van) => van.code));

/** codes(vans, alerts, messages): the vans that are left; kind: of alert that is, or null for all of those vans. */
export const FILTERS = {
  late: { kind: "late", codes: withOpen("late") },
  at_risk: { kind: "at_risk", codes: withOpen("at_risk") },
  silent: { kind: "silent", codes: inState("silent") },
  road: { kind: null, codes: inState("driving", "standing", "at_site") },
  visits: { kind: null, codes: inState("at_site") },
  unread: { kind: null, codes: (_vans, _alerts, messages) => new Set(messages.map((one) => one.van)) },
};

/** What a filter leaves, vans by code; all of it without one. */
export function shown({ vans, alerts, messages }, show) {
  const byCode = [...vans].sort((a, b) => (a.code < b.code ? -1 : 1));
  const filter = FILTERS[show];
  if (!filter) return { vans: byCode, alerts };
  const codes = filter.codes(vans, alerts, messages);
  return {
    vans: byCode.filter((van) => codes.has(van.code)),
    alerts: alerts.filter((alert) => (filter.kind ? alert.kind === filter.kind : codes.has(alert.van))),
  };
}
