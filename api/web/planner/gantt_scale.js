// Times of a day as lengths: which hours are shown, and what of a stop is drawn where. Pure.

const HOUR_MS = 3_600_000;
const SHORTEST_MS = 9 * HOUR_MS;
const STEPS_MS = [0.25, 0.5, 1, 2, 3, 6].map((hours) => hours * HOUR_MS);

/** Whole hours from the first moment of the tours to the last; `now` is among them if it is near. */
export function extent(tours, now) {
  let [from, to] = [Infinity, -Infinity];
  for (const { stops } of tours) {
    for (const stop of stops) {
      const { planned, actual, expected } = spans(stop, now);
      from = Math.min(from, planned[0], stop.window_start_ms, actual?.[0] ?? Infinity);
      to = Math.max(to, planned[1], stop.window_end_ms, actual?.[1] ?? -Infinity, expected?.[1] ?? -Infinity);
    }
  }
  if (from > to) [from, to] = [now - SHORTEST_MS / 2, now + SHORTEST_MS / 2];
  if (now > from - 3 * HOUR_MS && now < to + 3 * HOUR_MS) [from, to] = [Math.min(from, now), Math.max(to, now)];
  from = Math.floor(from / HOUR_MS) * HOUR_MS;
  return { from, to: Math.max(Math.ceil(to / HOUR_MS) * HOUR_MS, from + SHORTEST_MS) };
}

/** Milliseconds between lines that are at least `px` apart. */
export const stepOf = (pxPerHour, px = 52) => STEPS_MS.find((step) => (step / HOUR_MS) * pxPerHour >= px) ?? STEPS_MS.at(-1);

/**
 * From when to when a stop was planned, lasted or lasts so far, and is expected to; null where it was not
 * or is not.
 */
export function spans(stop, now) {
  const duration = stop.planned_duration_s * 1_000;
  const start = stop.planned_arrival_ms ?? stop.window_start_ms;
  const { arrived_at_ms: arrived, left_at_ms: left, eta } = stop;
  return {
    planned: [start, start + duration],
    actual: arrived === null ? null : [arrived, Math.max(left ?? now, arrived + 60_000)],
    expected: arrived === null && eta ? [eta.expected_at_ms, eta.expected_at_ms + duration] : null,
  };
}

/** What is wrong with a stop, if anything: late, missed, at_risk, overstayed, skipped. */
export function troubleOf({ alert, punctuality, state }) {
  if (alert && alert !== "silent") return alert;
  if (punctuality === "late") return "late";
  return state === "skipped" || state === "missed" ? state : null;
}

/** Whether nobody has been at a stop yet, and somebody may still come. */
export const isAhead = (stop) => stop.arrived_at_ms === null && stop.state !== "missed";

/** The stop of a tour that is nearest to a moment. */
export function nearest(stops, at, now) {
  const distance = (stop) => Math.abs((spans(stop, now).actual ?? spans(stop, now).planned)[0] - at);
  return stops.reduce((best, stop) => (best && distance(best) <= distance(stop) ? best : stop), null);
}
