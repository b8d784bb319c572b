// What the server is asked for, and kept for a day without it (sw.js): each kind's address, and how often it
// is asked for if nothing says that it has changed. Mobile data is paid for: the large ones are asked seldom.
// What was kept is there at once; the server may take its time, and a scan does not wait for it.

import { askJson } from "../base/session.js";

const KEPT = "cordee-van-answers";
const MINUTE_MS = 60_000;
const EVERY_MS = 5 * MINUTE_MS;

const KINDS = {
  /** So that the page opens without a network, as whoever is signed in. */
  session: { url: () => "/v1/session", everyMs: 15 * MINUTE_MS },
  catalogue: { url: () => "/v1/catalogue", everyMs: 30 * MINUTE_MS },
  day: { url: () => "/v1/me/day" },
  messages: { url: () => "/v1/messages" },
  orders: { url: (van) => `/v1/orders?van=${van}` },
  boxes: { url: (van) => `/v1/boxes/unclaimed?van=${van}` },
  transfers: { url: (van) => `/v1/transfers?van=${van}` },
  recounts: { url: (van) => `/v1/counts/recounts?van=${van}` },
  stock: { url: (van) => `/v1/vans/${van}/stock?limit=5000`, everyMs: 15 * MINUTE_MS },
};
/** What is asked for only when somebody looks at it. */
const LOOKED_UP = { seen: { url: () => "/v1/me/access-log" }, kept: { url: () => "/v1/retention" } };

export const ALL = Object.keys(KINDS);

/** Asks for a kind: { value, etag, keptMs }; null where there is no answer, and none is kept. */
export async function tell(kind, van) {
  const { url } = KINDS[kind] ?? LOOKED_UP[kind];
  try {
    const { body, etag, keptMs } = await askJson(url(encodeURIComponent(van)));
    return { value: body, etag, keptMs };
  } catch {
    return null; // offline, or not for this role: the page says since when it knows what it shows
  }
}

/** What was told of a kind before the page was opened, as `tell` says it; null if nothing of it is kept. */
export async function recall(kind, van) {
  const answer = await globalThis.caches?.match(KINDS[kind].url(encodeURIComponent(van)), { cacheName: KEPT });
  if (!answer) return null;
  return { value: await answer.json(), etag: answer.headers.get("etag"), keptMs: Number(answer.headers.get("x-cordee-kept")) };
}

/** Which kinds are to be asked for. */
export class Due {
  #wanted = new Set(ALL);
  #answeredAt = {};

  /** Some are said to have changed. */
  want(kinds) {
    for (const kind of kinds) this.#wanted.add(kind);
  }

  /** Those that are wanted or old, in the order of their importance; none of them is wanted any more. */
  take() {
    const at = performance.now();
    const old = (kind) => at - (this.#answeredAt[kind] ?? -Infinity) > (KINDS[kind].everyMs ?? EVERY_MS);
    const due = ALL.filter((kind) => this.#wanted.has(kind) || old(kind));
    this.#wanted.clear();
    return due;
  }

  /** The server itself has answered. */
  answered(kind) {
    this.#answeredAt[kind] = performance.now();
  }
}
