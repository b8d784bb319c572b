// All that the page shows, in one place: what is kept on the device, what the server told, what is under
// way. Parts of the page read it, and draw again when it sends `changed`.

import { Catalogue } from "./catalogue.js";
import { learn, now } from "./clock.js";
import { conversation, unsaid } from "./conversation.js";
import { draft, dropOldDrafts, keepDraft } from "./drafts.js";
import { exclusively } from "./exclusive.js";
import { Outbox } from "./outbox.js";
import { Scanning } from "./scanning.js";
import { asPath, asPicture } from "./signature.js";
import { openStore, vansHere } from "./store.js";
import { ALL, Due, recall, tell } from "./told.js";

const LOOK_MS = 60_000;
const SOON_MS = 400;
const GONE_MAX = 100;
/** Which kinds of told.js may have changed when a topic of the live view has. */
const LIVE = { visits: ["day"], orders: ["orders", "boxes", "transfers", "stock"], messages: ["messages", "recounts"] };

/** Opens the tablet of a van: what it shows is what is kept, until the server has answered. */
export async function openTablet(who, van, installed) {
  if (who.now_ms !== null) learn(who.now_ms, who.clock_factor); // before anything is said with a time
  const tablet = new Tablet(who, van, await openStore(van), installed);
  await tablet.look();
  await tablet.recall();
  return tablet;
}

class Tablet extends EventTarget {
  /** What the server told, by kind: { value, keptMs }. */
  told = {};
  catalogue = new Catalogue();
  live = null;
  /** What waits on this device for vans that somebody else drives: [{ van, n }]. */
  elsewhere = [];
  /** Messages that were sent a moment ago, and that the server has perhaps not told back yet. */
  #gone = [];
  #due = new Due();
  #asking = Promise.resolve();
  #next = null;
  #soon = null;
  #heard = {};

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
    this.outbox.addEventListener("settled", ({ detail }) => this.#settled(detail.gone));
    this.installed.addEventListener("changed", changed);
    this.installed.addEventListener("ready", () => this.soon(ALL)); // what is asked from now on is kept
    this.news.addEventListener("message", () => this.look());
    addEventListener("online", () => this.soon());
    document.addEventListener("visibilitychange", () => this.soon());
    setInterval(() => this.soon(), LOOK_MS);
    dropOldDrafts();
    this.outbox.start();
    this.#lookElsewhere();
    this.ask();
  }

  now() {
    return now();
  }

  // ---- what happens here ----

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

  /** Some events are committed: what only the server can work out of them is asked for. */
  async #settled(gone) {
    const kinds = new Set(gone.map(({ kind }) => kind));
    const boxes = gone.some(({ kind, payload }) => kind === "scan" && ["receive", "load"].includes(payload.intent));
    this.#gone = [...this.#gone, ...gone.filter(({ kind }) => kind === "message")].slice(-GONE_MAX);
    await this.changed();
    this.soon([...(kinds.has("message") ? ["messages"] : []), ...(kinds.has("scan") ? ["recounts"] : []), ...(boxes ? ["stock", "boxes", "orders"] : [])]);
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

  async again(n) {
    await this.store.again(n);
    await this.happened();
  }

  async dismiss(n) {
    await this.store.dismiss(n);
    await this.changed();
  }

  // ---- what the server tells ----

  /** Hears the live view: the server's clock, and what has changed. */
  hear(live) {
    this.live = live;
    if (live.clock) learn(live.now(), live.clock.factor);
    if (live.heardAt === this.#heard.at) return;
    const said = Object.fromEntries(Object.keys(LIVE).map((topic) => [topic, JSON.stringify(live.view?.[topic])]));
    const news = Object.keys(LIVE).filter((topic) => this.#heard.said && said[topic] !== this.#heard.said[topic]);
    this.#heard = { at: live.heardAt, said };
    if (news.length) this.soon(news.flatMap((topic) => LIVE[topic]));
  }

  /** Asks in a moment for some kinds, and for what is old; several reasons at once are one. */
  soon(kinds = []) {
    this.#due.want(kinds);
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      if (document.visibilityState === "visible") this.ask();
    }, SOON_MS);
  }

  /** Asks for what is due; called again meanwhile, once more after that. */
  ask() {
    this.#next ??= this.#asking.then(() => {
      this.#next = null;
      this.#asking = this.#ask(this.#due.take());
      return this.#asking;
    });
    return this.#next;
  }

  async #ask(kinds) {
    await Promise.all(kinds.filter((kind) => kind !== "stock").map((kind) => this.#askFor(kind)));
    if (kinds.includes("stock")) await this.outbox.quietly(() => this.#askForStock());
    if (kinds.includes("messages")) await this.acknowledge({ read: false });
  }

  async #askFor(kind) {
    const answer = await tell(kind, this.van);
    if (!answer) return null;
    if (!answer.keptMs) this.#due.answered(kind);
    this.#told(kind, answer);
    return answer;
  }

  /** Knows from the first moment what codes stand for, if it ever knew. */
  async recall() {
    const kept = await recall("catalogue", this.van);
    if (kept) this.#told("catalogue", kept);
  }

  #told(kind, answer) {
    const isNew = answer.etag !== this.told[kind]?.etag;
    this.told[kind] = answer;
    if (kind === "catalogue" && isNew) {
      this.catalogue = new Catalogue(answer.value);
      this.scanning.recognise();
    }
    this.dispatchEvent(new Event("changed"));
  }

  /**
   * Takes the server's levels, unless it may know of scans that it has not been heard of since. What it told
   * before is in the store already, with what came after.
   */
  async #askForStock() {
    if (await this.store.inDoubt()) return this.#due.want(["stock"]);
    const answer = await this.#askFor("stock");
    if (!answer || answer.keptMs) return undefined;
    await this.store.rebase(answer.value.levels);
    return this.look();
  }

  /** Whether the technician is on duty: "on", "off", or null where nobody has said. */
  get onDuty() {
    const waits = this.waiting.some(({ kind }) => kind === "status");
    const state = this.live?.connected ? this.live.view?.vans?.[this.van]?.state : null;
    if (waits || !state || state === "never_seen") return this.duty?.duty ?? null;
    return state === "off_duty" ? "off" : "on";
  }

  // ---- the day ----

  /** Days with a tour: [{ date, isToday, stops }]. */
  get days() {
    return (this.told.day?.value.tours ?? []).map(({ date, stops }) => ({ date, stops, isToday: date === this.told.day.value.date }));
  }

  get today() {
    return this.days.find(({ isToday }) => isToday)?.stops ?? [];
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

  // ---- messages ----

  get conversation() {
    return conversation(this.told.messages?.value.messages ?? [], this.waiting, this.#gone);
  }

  get unread() {
    return unsaid("read", this.conversation, [...this.waiting, ...this.#gone]).length;
  }

  write(text, replyTo) {
    const reply = replyTo ? { in_reply_to: replyTo } : {};
    return this.event("message", (t) => ({ t, text, ...reply, user: this.who.login }));
  }

  /** Tells the base which of its messages have come, and if they are looked at, that they are `read`. */
  acknowledge({ read }) {
    return exclusively(`cordee-messages ${this.van}`, async () => {
      await this.look(); // another tab may have said so
      const rows = [...this.waiting, ...this.#gone];
      const said = { delivered: unsaid("delivered", this.conversation, rows), read: read ? unsaid("read", this.conversation, rows) : [] };
      if (said.delivered.length || said.read.length) await this.event("message", (t) => ({ t, ...said, user: this.who.login }));
    });
  }
}
