// One at a time, over all open tabs of this page: what must not be done twice at once.
//
// Web Locks exist only where the page came by https or from this machine; elsewhere one tab takes turns
// with itself alone. Sending twice would do no harm either: the server knows every event by its key.

const turns = new Map();

/** Calls `act` when nobody else is in `name` any more; returns what it returns. */
export function exclusively(name, act) {
  if (navigator.locks) return navigator.locks.request(name, act);
  const turn = (turns.get(name) ?? Promise.resolve()).then(act);
  turns.set(name, turn.catch(() => {}));
  return turn;
}
