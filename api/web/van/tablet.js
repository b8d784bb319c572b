// All that the page shows, in one place: what is kept on the device, what the server told, what is under
// way. Parts of the page read it, and draw again when it sends `changed`.

import { Catalogue } from "./catalogue.js";
import { learn, now } from "./clock.js";
import { draft, dropOldDrafts, keepDraft } from "./drafts.js";
import { Outbox } from "./outbox.js";
import { Scanning } from "./scanning.js";
import { asPath, asPicture } from "./signature.js";
import { openStore, vansHere } from "./store.js";
import { KINDS, tell } from "./told.js";

/** What the server told is asked anew so often, if nothing happens. */
const REFRESH_MS = 60_000;
const SOON_MS = 400;

/** Opens the tablet of a van: what it shows is what is kept, until the server has answered. */
export async function openTablet(who, van, installed) {
  const tablet = new Tablet(who, van, await openStore(van), installed);
  await tablet.look();
  return tablet;
}

class Tablet extends EventTarget {
  /** What the server told, by kind: { value, keptMs } of told.js. */
  told = {};
  catalogue = new Catalogue();
  live = null;
  /** What waits on this device for vans that somebody else drives: [{ van, n }]. */
  elsewhere = [];
  #refreshing = Promise.resolve();
  #next = null;

  constructor(who, van, store, installed) {
    super();
    Object.assign(this, { who, van, store, installed });
    this.outbox = new Outbox(store, van);
    this.scanning = new Scanning(this);
    this.news = new BroadcastChannel(`cordee-van ${van}`);
  }

  start() {
    const changed = () => this.dispatchEvent(new Event("changed"));
    this.outbox.addEventListener("changed", changed);
    this.installed.addEventListener("changed", () => {
      changed();
      if (this.installed.ready) this.soon(); // what is asked from now on is kept for offline
    });
    this.news.addEventListener("message", () => this.look());
    this.outbox.addEventListener("settled", () => this.changed().then(() => this.soon()));
    addEventListener("online", () => this.soon());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.soon());
    setInterval(() => this.soon(), REFRESH_MS);
    dropOldDrafts();
    this.outbox.start();
    this.#lookElsewhere();
    return this.refresh();
  }

  /** Sends what waits for other vans of this technician, and says what waits for those of others. */
  async #lookElsewhere() {
    for (const van of (await vansHere()).filter((each) => each !== this.van)) {
      const store = await openStore(van);
      const n = await store.countWaiting();
      if (n && this.who.vans.includes(van)) new Outbox(store, van).start();
      else if (n) this.elsewhere.push({ van, n });
    }
    this.dispatchEvent(new Event("changed"));
  }

  /** Reads anew what is kept on the device. */
  async look() {
    Object.assign(this, await this.store.seen());
    this.dispatchEvent(new Event("changed"));
  }

  /** Shows what has changed on the device, in other tabs as well. */
  async changed() {
    this.news.postMessage("changed");
    await this.look();
  }

  /** Something happened on board: shows it, and sends it. */
  async happened() {
    await this.changed();
    this.outbox.flush();
  }

  /** Keeps an event that is no scan, and sends it. */
  async event(kind, made) {
    const payload = await this.store.happened(kind, made);
    await this.happened();
    return payload;
  }

  /** Hears the live view: the server's clock, and that something has changed. */
  hear(live) {
    this.live = live;
    if (live.clock) learn(live.now(), live.clock.factor);
    const seen = JSON.stringify([live.view?.visits, live.view?.orders, live.view?.messages]);
    if (this.seenLive !== undefined && seen !== this.seenLive) this.soon();
    this.seenLive = seen;
  }

  /** Asks the server anew in a moment; several reasons at once are one. */
  soon() {
    this.soonTimer ??= setTimeout(() => {
      this.soonTimer = undefined;
      if (document.visibilityState === "visible") this.refresh();
    }, SOON_MS);
  }

  /** Asks for everything anew; asked again meanwhile, once more after that. */
  refresh() {
    this.#next ??= this.#refreshing.then(() => {
      this.#next = null;
      this.#refreshing = this.#refresh();
      return this.#refreshing;
    });
    return this.#next;
  }

  async #refresh() {
    await Promise.all(Object.keys(KINDS).map((kind) => this.#ask(kind)));
    await this.outbox.quietly(() => this.#askStock());
    await this.look();
  }

  async #ask(kind) {
    const answer = await tell(kind, this.van);
    if (!answer) return;
    if (kind === "catalogue" && answer.etag !== this.told.catalogue?.etag) this.catalogue = new Catalogue(answer.value);
    this.told[kind] = answer;
    this.dispatchEvent(new Event("changed"));
  }

  /** Takes the server's levels, unless it may know of scans that it has not been heard of since. */
  async #askStock() {
    if (await this.store.inDoubt()) return;
    const answer = await tell("stock", this.van);
    if (!answer || answer.keptMs) return; // what was told before is in the store already, with what came after
    await this.store.rebase(answer.value.levels);
    this.told.stock = answer;
  }

  /** Whether the technician is on duty: "on", "off", or null where nobody has said. */
  get onDuty() {
    const waits = this.waiting.some(({ kind }) => kind === "status");
    const state = this.live?.connected ? this.live.view?.vans?.[this.van]?.state : null;
    if (waits || !state || state === "never_seen") return this.duty?.duty ?? null;
    return state === "off_duty" ? "off" : "on";
  }

  now() {
    return now();
  }

  // ---- the day ----

  /** Days with a tour: [{ date, isToday, stops }]. */
  get days() {
    return (this.told.day?.value.tours ?? []).map(({ date, stops }) => ({ date, stops, isToday: date === this.told.day.value.date }));
  }

  get today() {
    return this.days.find(({ isToday }) => isToday)?.stops ?? [];
  }

  // ---- refused ----

  async again(n) {
    await this.store.again(n);
    await this.happened();
  }

  async dismiss(n) {
    await this.store.dismiss(n);
    await this.changed();
  }

  // ---- reports ----

  /** Keeps the report of a visit: `written` is what report.js makes. */
  async report(stop, written) {
    const { text, signed, name, strokes } = written;
    const signature = {
      drawn: () => ({ signer: name.trim(), signature_svg: asPath(strokes) }),
      name: () => ({ signer: name.trim(), signature_png: asPicture(name.trim()) }),
      absent: () => ({ absent: true }),
    }[signed]();
    const job = stop.work_order ? { work_order: stop.work_order } : {};
    const { seq } = await this.event("report", (t) => ({ t, site: stop.site, stop: stop.stop_id, ...job, user: this.who.login, work: text.trim(), ...signature }));
    keepDraft(`reported ${stop.stop_id}`, { ...written, seq });
  }

  /** What was reported of a visit from this device, and what became of it: { written, state }. */
  reportOf({ stop_id: stop }) {
    const written = draft(`reported ${stop}`);
    const among = (rows) => rows.some(({ kind, payload }) => kind === "report" && payload.seq === written.seq);
    return written && { written, state: among(this.waiting) ? "waiting" : among(this.refused) ? "refused" : "saved" };
  }

  get conversation() { return []; }
  get unread() { return 0; }
  readAll() {}
}
