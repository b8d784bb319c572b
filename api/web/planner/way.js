// The way of a van on one day: asked for when its van itself is chosen, and no sooner, because whoever
// drives it is told that somebody looked (/v1/me/access-log). Goes on with the live positions.

import { read } from "../base/session.js";

const FIXES_MAX = 20_000;

export class Way extends EventTarget {
  van = null;
  /** Times, ms; [lon, lat] and m/s at each; all as long. */
  times = [];
  places = [];
  speeds = [];
  problem = null;
  loading = false;
  #abort = null;

  /** Reads the way of a van from one moment on; of no van there is none. */
  async of(van, from_ms, to_ms = null) {
    if (van === this.van && from_ms === this.from_ms) return;
    this.#abort?.abort();
    Object.assign(this, { van, from_ms, times: [], places: [], speeds: [], problem: null, loading: van !== null });
    this.dispatchEvent(new Event("changed"));
    if (van === null) return;
    this.#abort = new AbortController();
    const until = to_ms === null ? "" : `&to_ms=${to_ms}`;
    try {
      const feature = await read(`/v1/vans/${encodeURIComponent(van)}/track?from_ms=${from_ms}${until}&limit=${FIXES_MAX}`, { signal: this.#abort.signal });
      if (this.van !== van) return;
      const { geometry, properties } = feature;
      this.places = geometry === null ? [] : geometry.type === "Point" ? [geometry.coordinates] : geometry.coordinates;
      [this.times, this.speeds] = [properties.times_ms, properties.speeds_mps];
    } catch (problem) {
      if (problem.name === "AbortError" || this.van !== van) return;
      this.problem = problem;
    }
    this.loading = false;
    this.dispatchEvent(new Event("changed"));
  }

  /** Goes on to where the van is now. */
  follow(fix) {
    if (!fix || this.loading || this.problem || fix.t_ms <= (this.times.at(-1) ?? 0)) return false;
    this.times.push(fix.t_ms);
    this.places.push([fix.longitude_deg, fix.latitude_deg]);
    this.speeds.push(fix.speed_mps);
    return true;
  }
}

/** Where a way was at a moment: between two fixes on the straight line, before and after at its ends. */
export function at({ times, places, speeds }, ms) {
  if (!times.length) return null;
  let [low, high] = [0, times.length - 1];
  if (ms <= times[0]) return { nth: 0, place: places[0], speed_mps: speeds[0], turn: 0, gap_s: 0 };
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (times[middle] <= ms) low = middle;
    else high = middle;
  }
  if (ms >= times[high]) return { nth: high, place: places[high], speed_mps: speeds[high], turn: bearing(places[low], places[high]), gap_s: 0 };
  const share = (ms - times[low]) / (times[high] - times[low]);
  const between = (a, b) => a + (b - a) * share;
  const place = [between(places[low][0], places[high][0]), between(places[low][1], places[high][1])];
  return { nth: low, place, speed_mps: speeds[low], turn: bearing(places[low], places[high]), gap_s: (times[high] - times[low]) / 1_000 };
}

function bearing([lon1, lat1], [lon2, lat2]) {
  const east = (lon2 - lon1) * Math.cos((lat1 * Math.PI) / 180);
  return ((Math.atan2(east, lat2 - lat1) * 180) / Math.PI + 360) % 360;
}
