// Who is signed in: asks the API as them, and lets go of the page when the session is over.
//
// The cookie is out of reach of scripts, and that is all there is of a session here: what changes
// something carries the token that GET /v1/session tells beside it.

import { setZone } from "./format.js";
import { language } from "./i18n.js";
import { Problem } from "./problem.js";

const UNSAFE = new Set(["POST", "PUT", "PATCH", "DELETE"]);
const OVER = "cordee.session-over";

const session = { who: null, isLeaving: false };

/** Who is signed in, as GET /v1/session says it; null if nobody is. */
export const who = () => session.who;

/** Lets go of everything that was shown, and keeps the address: whoever signs in again is where they were. */
function over() {
  if (session.isLeaving) return;
  session.who = null;
  sessionStorage.setItem(OVER, "1");
  location.reload();
}

/** Whether the page was left because its session was over; asked once. */
export function wasOver() {
  const was = sessionStorage.getItem(OVER) !== null;
  sessionStorage.removeItem(OVER);
  return was;
}

/** Fetches as whoever is signed in; when nobody is any more, the sign-in is shown instead. */
export async function ask(url, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = { accept: "application/json", "accept-language": language, ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  if (UNSAFE.has(method) && session.who) sent["x-csrf-token"] = session.who.csrf_token;
  const answer = await fetch(url, {
    method,
    headers: sent,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  if (answer.status === 401 && session.who) {
    const { code } = await answer.clone().json().catch(() => ({}));
    if (code === "not_signed_in") over(); // else a password was wrong
  }
  return answer;
}

/**
 * Asks, and returns what JSON is answered, with its ETag as `etag`; `keptMs` says since when a service
 * worker has kept it, null for what the server itself answers. Throws a Problem.
 */
export async function askJson(url, options) {
  let answer;
  try {
    answer = await ask(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0);
  }
  const body = answer.status === 204 || answer.status === 304 ? null : await jsonOf(answer);
  if (!answer.ok && answer.status !== 304) throw new Problem(answer.status, body ?? {});
  const keptMs = Number(answer.headers.get("x-cordee-kept")) || null;
  return { body, etag: answer.headers.get("etag"), status: answer.status, keptMs };
}

/** What an answer holds. One that ends in the middle was never answered; of a refusal the status says enough. */
async function jsonOf(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (answer.ok) throw new Problem(0);
    return null;
  }
}

/** GETs JSON. Throws a Problem. */
export const read = async (url, options) => (await askJson(url, options)).body;

/** Sends a change, and returns what is answered. Throws a Problem. */
export const change = async (method, url, body, headers) => (await askJson(url, { method, body, headers })).body;

/** A key under which a POST may be sent again without being done twice. */
export const idempotencyKey = () => ({ "idempotency-key": crypto.randomUUID() });

/** Whether a session still lasts; a network that fails says nothing about it. */
export async function stillSignedIn() {
  try {
    await ask("/v1/session");
  } catch {
    // Offline: the page says so itself.
  }
}

/** Returns who is signed in, or null; waits while the server cannot be reached. */
export async function signedIn() {
  for (;;) {
    try {
      const answer = await fetch("/v1/session", { headers: { accept: "application/json" } });
      if (answer.ok) return welcome(await answer.json(), answer.headers.has("x-cordee-kept"));
      if (answer.status === 401) return null;
    } catch {
      // Again, below.
    }
    await new Promise((resolve) => setTimeout(resolve, 3_000));
  }
}

/** Signs in. Throws a Problem. */
export async function signIn(login, password) {
  return welcome((await askJson("/v1/session", { method: "POST", body: { login, password } })).body);
}

/** Signs out and lets go of the page. Throws a Problem. */
export async function signOut() {
  session.isLeaving = true; // what else hears that the session is over leaves the page alone
  try {
    await askJson("/v1/session", { method: "DELETE" });
    location.assign("/");
  } catch (problem) {
    session.isLeaving = false;
    throw problem;
  }
}

/** Takes over who is signed in, from an answer that opened a session; one that was kept tells no time. */
export function welcome(answer, isKept = false) {
  session.who = isKept ? { ...answer, now_ms: null } : answer;
  if (answer.time_zone) setZone(answer.time_zone);
  return session.who;
}
