// The time that stands in what the tablet says: its own clock's, unless the server's is more than a
// minute away. Then the tablet's is wrong, or the installation's is simulated, and scans with its own
// time would be refused; so the server's is followed, offline too.

const KEPT = "cordee.van.clock";
const APART_MS = 60_000;
const NEWS_MS = 2_000;

let learnt = JSON.parse(localStorage.getItem(KEPT) ?? "null");

const servers = (own) => learnt.serverMs + (own - learnt.ownMs) * learnt.factor;

/** Remembers what the server's clock shows now. */
export function learn(serverMs, factor) {
  const ownMs = Date.now();
  if (learnt && learnt.factor === factor && Math.abs(servers(ownMs) - serverMs) < NEWS_MS) return;
  learnt = { serverMs, ownMs, factor };
  localStorage.setItem(KEPT, JSON.stringify(learnt));
}

/** By how much this device's clock is wrong; 0 while it is good enough, or the server's is simulated. */
export function wrongByMs() {
  const own = Date.now();
  const apart = learnt && learnt.factor === 1 ? own - servers(own) : 0;
  return Math.abs(apart) > APART_MS ? apart : 0;
}

/** The present, in whole milliseconds. */
export function now() {
  const own = Date.now();
  const theirs = learnt ? servers(own) : own;
  return Math.round(Math.abs(theirs - own) > APART_MS ? theirs : own);
}
