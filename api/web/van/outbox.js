// What happened on board goes to the server from here: in the order in which it happened, up to 500
// events a request, by one tab at a time, until the server says that they are committed.
//
// | the answer                | what becomes of the events                                             |
// | ------------------------- | ---------------------------------------------------------------------- |
// | 200                       | gone; those it names as rejected are set aside, with the reason        |
// | 202: not all is committed | gone is what has a key up to `acked_through`; the rest is sent again   |
// | 400, 413, 422             | halved and sent again, until the one that is at fault is alone: set    |
// |                           | aside                                                                  |
// | anything else, or none    | kept, and sent again: on the next event, when the network comes back,  |
// |                           | when the page is looked at again, every 15 seconds                     |
//
// To send twice is harmless: the server knows every event by its key.

import { exclusively } from "./exclusive.js";
import { KEYED } from "./store.js";
import { askJson } from "../base/session.js";

export const BATCH_MAX = 500;
const EVERY_MS = 15_000;
const ANSWER_WITHIN_MS = 30_000;
const AT_FAULT = new Set([400, 413, 422]);

/** Which events are gone, refused, or left, after an answer about them all. Pure. */
export function settled(rows, { acked_through: through, rejected, pending }) {
  const refused = rejected.map(({ index, reason, detail }) => ({ row: rows[index], reason, detail }));
  const without = new Set(rejected.map(({ index }) => index));
  const committed = ({ kind, payload }) => !pending || (KEYED.has(kind) && payload.seq <= (through[payload.epoch] ?? 0));
  return { refused, gone: rows.filter((row, i) => !without.has(i) && committed(row)) };
}

/** Empties the store of a van. Sends `settled` when something was committed, `changed` when it looks different. */
export class Outbox extends EventTarget {
  sending = false;
  /** Why the last try did not succeed; null if it did. */
  problem = null;
  #queued = null;

  constructor(store, van) {
    super();
    this.store = store;
    this.url = `/v1/devices/${encodeURIComponent(van)}/events:batch`;
    this.lock = `cordee-outbox ${van}`;
  }

  start() {
    const flush = () => this.flush();
    addEventListener("online", flush);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && flush());
    setInterval(flush, EVERY_MS);
    flush();
  }

  /** Sends what there is; asked again meanwhile, once more after that. */
  flush() {
    this.#queued ??= exclusively(this.lock, () => {
      this.#queued = null;
      return this.#drain();
    });
    return this.#queued;
  }

  /** Calls `act` while nothing is on its way. */
  quietly(act) {
    return exclusively(this.lock, act);
  }

  async #drain() {
    try {
      for (;;) {
        const rows = await this.store.toSend(BATCH_MAX);
        if (!rows.length) break;
        this.#show(true, this.problem);
        if (!(await this.#send(rows))) break;
      }
      this.#show(false, null);
    } catch (problem) {
      this.#show(false, problem);
    }
  }

  /** Sends events and settles them; returns whether all are. Throws a Problem where no answer is about them. */
  async #send(rows) {
    const { answer, fault } = await this.#post(rows);
    if (fault && rows.length > 1) {
      const half = Math.ceil(rows.length / 2);
      const first = await this.#send(rows.slice(0, half));
      return (await this.#send(rows.slice(half))) && first;
    }
    const { gone, refused } = fault
      ? { gone: [], refused: [{ row: rows[0], reason: fault.code ?? String(fault.status), detail: fault.message }] }
      : settled(rows, answer);
    await this.store.settle(gone, refused);
    if (gone.length || refused.length) this.dispatchEvent(new CustomEvent("settled", { detail: { gone, refused } }));
    return gone.length + refused.length === rows.length;
  }

  async #post(rows) {
    const events = rows.map(({ kind, payload }) => ({ kind, payload }));
    try {
      const signal = AbortSignal.timeout(ANSWER_WITHIN_MS);
      return { answer: (await askJson(this.url, { method: "POST", body: { events }, signal })).body };
    } catch (problem) {
      if (!AT_FAULT.has(problem.status)) throw problem;
      return { fault: problem };
    }
  }

  #show(sending, problem) {
    [this.sending, this.problem] = [sending, problem];
    this.dispatchEvent(new Event("changed"));
  }
}
