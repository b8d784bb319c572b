// The tours of the day: planned, and as they go. The live stream tells of vans and alerts; what a whole tour
// became of is asked for, when the stream says that a stop may have changed, and now and then anyway.

import { read } from "../base/session.js";

const AFTER_NEWS_MS = 5_000;
const ANYWAY_MS = 60_000;

export class Day extends EventTarget {
  date = null;
  /** Tours by van; null before the first answer. */
  tours = null;
  problem = null;
  #stops = new Map();
  readAt = -Infinity;
  #news = false;
  #reading = false;
  #seen = "";

  /** A stop and its tour, by the stop's id. */
  stop = (id) => this.#stops.get(Number(id)) ?? null;
  tour = (van) => this.tours?.get(van) ?? null;

  /** Reads the tours again if it is time to; asked whenever the live view has changed. */
  follow(view) {
    const seen = signOf(view);
    if (seen !== this.#seen) [this.#seen, this.#news] = [seen, true];
    const age = performance.now() - this.readAt;
    if (age > ANYWAY_MS || (this.#news && age > AFTER_NEWS_MS)) this.read();
  }

  async read() {
    if (this.#reading) return;
    [this.#reading, this.#news] = [true, false];
    try {
      this.#keep(await read("/v1/tours"));
      this.problem = null;
    } catch (problem) {
      this.problem = problem;
    } finally {
      this.#reading = false;
      this.readAt = performance.now();
      this.dispatchEvent(new Event("changed"));
    }
  }

  #keep({ date, tours }) {
    this.date = date;
    this.tours = new Map(tours.map((tour) => [tour.van, { ...tour, stops: tour.timeline }]));
    const stops = [...this.tours.values()].flatMap((tour) => tour.stops.map((stop) => [stop.stop_id, { stop, tour }]));
    this.#stops = new Map(stops);
  }
}

/** What tells that stops may have changed: another arrival, another alert, another next stop. */
function signOf(view) {
  if (!view) return "";
  const visits = Object.values(view.visits ?? {}).map((visit) => visit.left_at_ms ?? visit.arrived_at_ms);
  const changes = Object.values(view.alerts ?? {}).map((alert) => alert.changed_ms);
  const next = Object.values(view.vans ?? {}).map((van) => van.next_stop?.stop_id ?? 0);
  const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);
  return [visits, changes, next].map((numbers) => `${numbers.length} ${sum(numbers)}`).join();
}
