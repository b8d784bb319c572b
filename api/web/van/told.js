// What the server is asked for, and kept for a day without it (sw.js): each kind's address.

import { askJson } from "../base/session.js";

export const KINDS = {
  session: () => "/v1/session", // so that the page opens without a network, as whoever is signed in
  catalogue: () => "/v1/catalogue",
  day: () => "/v1/me/day",
  messages: () => "/v1/messages",
  orders: (van) => `/v1/orders?van=${van}`,
  boxes: (van) => `/v1/boxes/unclaimed?van=${van}`,
  transfers: (van) => `/v1/transfers?van=${van}`,
  recounts: (van) => `/v1/counts/recounts?van=${van}`,
};
const ELSE = {
  stock: (van) => `/v1/vans/${van}/stock?limit=5000`,
  seen: () => "/v1/me/access-log",
  kept: () => "/v1/retention",
};

/** Asks for a kind: { value, etag, keptMs }; null where there is no answer, and none is kept. */
export async function tell(kind, van) {
  const address = { ...KINDS, ...ELSE }[kind](encodeURIComponent(van));
  try {
    const { body, etag, keptMs } = await askJson(address);
    return { value: body, etag, keptMs };
  } catch {
    return null; // offline, or not for this role: the page says since when it knows what it shows
  }
}
