// What is being written and is not sent, and what was sent of a visit: kept over a reload, a new version of
// the page, an empty battery; for two weeks at most.

const PREFIX = "cordee.van.draft ";
const KEPT_MS = 14 * 86_400_000;

/** What is kept under a name; null if nothing is. */
export const draft = (name) => JSON.parse(localStorage.getItem(PREFIX + name) ?? "null")?.value ?? null;

export const keepDraft = (name, value) => localStorage.setItem(PREFIX + name, JSON.stringify({ at: Date.now(), value }));

export const dropDraft = (name) => localStorage.removeItem(PREFIX + name);

/** Forgets what is old. */
export function dropOldDrafts() {
  for (const key of Object.keys(localStorage).filter((each) => each.startsWith(PREFIX))) {
    if (Date.now() - JSON.parse(localStorage.getItem(key)).at > KEPT_MS) localStorage.removeItem(key);
  }
}
