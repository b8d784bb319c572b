// From a code that was read to a fact that is kept: what the technician is doing, with how many, for what.
//
// What one is doing is chosen first and stays chosen. A scan is kept at once, whatever it means; only
// counts wait, for a count says how many there are: the same code again adds one, another code, `save` or
// leaving keeps it. A count that waits is kept over a reload as well.

import { t } from "../base/i18n.js";
import { count } from "../base/format.js";
import { boxOf } from "./codes.js";
import { now } from "./clock.js";
import { preferences } from "./preferences.js";
import { signal } from "./sound.js";

const SEPARATOR = "\u001d";
const CODE_MAX = 200;
export const QTY_MAX = 1_000_000;

/** What one can be doing, in the order in which it is offered: its word, and its sentence once done. */
export const INTENTS = {
  issue: { word: () => t("Use"), done: (of) => t("{parts}: used", of) },
  load: { word: () => t("Load"), done: (of) => t("{parts}: loaded", of) },
  receive: { word: () => t("Receive"), done: (of) => t("{parts}: received", of) },
  return: { word: () => t("Return"), done: (of) => t("{parts}: returned", of) },
  transfer: { word: () => t("Hand over"), done: (of) => t("{parts}: handed to {van}", of) },
  count: { word: () => t("Count"), done: (of) => t("{parts}: counted", of) },
  count_all: { word: () => t("Count all"), done: () => t("All counted: what was not counted is not there") },
  scrap: { word: () => t("Scrap"), done: (of) => t("{parts}: scrapped", of) },
  missing: { word: () => t("Missing"), done: (of) => t("{parts}: was missing", of) },
};
/** What a job is named for. */
export const FOR_A_JOB = new Set(["issue", "missing"]);
const COUNTS = new Set(["count", "count_all"]);

/** A row of the journal as a sentence. */
export function sentence(scan) {
  if (scan.intent === "reverse") return t("Taken back");
  return INTENTS[scan.intent].done({ parts: parts(scan), van: scan.counterpart });
}

function parts({ item, name, unit, units, box, code, intent }) {
  if (box) return t("box {code}", { code: box });
  if (!item) return printable(code);
  const many = intent === "count" || units !== 1;
  return many ? t("{n} × {name}", { n: unit && unit !== "piece" ? `${count(units)} ${unit}` : count(units), name }) : name;
}

/** A code as one can read it: separators and the like as signs. */
export const printable = (code) => code.replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)));

export class Scanning {
  quantity = 1;
  /** What the last scan came to: { row, known, problem }. */
  last = null;
  #turn = Promise.resolve();

  constructor(tablet) {
    this.tablet = tablet;
    this.kept = `cordee.van.scanning ${tablet.van}`;
    const before = JSON.parse(localStorage.getItem(this.kept) ?? "{}");
    /** intent, counterpart, job; counting: { since, items }; draft: a count that waits. */
    this.state = { intent: null, counterpart: "", job: null, counting: null, draft: null, ...before };
  }

  set(changes) {
    Object.assign(this.state, changes);
    localStorage.setItem(this.kept, JSON.stringify(this.state));
    this.#show();
  }

  #show() {
    this.tablet.dispatchEvent(new Event("changed"));
  }

  /** Chooses what one is doing from now on. */
  async choose(intent) {
    await this.save();
    const { counting } = this.state;
    this.set({ intent, counting: intent === "count_all" && !counting ? { since: now(), items: [] } : counting });
  }

  /**
   * Takes what a scanner, the camera or a person read: readings of one code, best first. One after the
   * other, however fast they come.
   */
  take(readings, aim) {
    const failed = (error) => this.#refuse(t("This could not be kept: {reason}. Scan it again.", { reason: error.message }));
    this.#turn = this.#turn.then(() => this.#take(readings, aim)).catch(failed);
    return this.#turn;
  }

  async #take(readings, aim) {
    const { intent } = this.state;
    const { text, found } = this.tablet.catalogue.choose(withSeparators(readings), aim);
    if (text.length > CODE_MAX) return this.#refuse(t("This is no code of a part: it is too long."));
    if (!intent) return this.#refuse(t("Choose first what you are doing, then scan again."));
    if (intent === "transfer" && !this.state.counterpart) return this.#refuse(t("Say first which van the parts go to, then scan again."));
    const code = { code: text, ...(aim ? { aim_id: aim } : {}) };
    if (COUNTS.has(intent)) return this.#count(code, found);
    const box = !found && (intent === "receive" || intent === "load") ? boxOf(text, aim) : null;
    const row = await this.#keep(intent, code, found, this.quantity, { box });
    this.quantity = 1;
    this.#show();
    return row;
  }

  /** Receives a box or a part without scanning it: its code is known. */
  receive(code) {
    return this.#keep("receive", { code }, this.tablet.catalogue.lookUp(code), 1, { box: boxOf(code) });
  }

  async #keep(intent, code, found, qty, { box = null } = {}) {
    const { counterpart, job } = this.state;
    const scan = {
      intent, ...code, qty, user: this.tablet.who.login,
      ...(intent === "transfer" ? { counterpart } : {}),
      ...(FOR_A_JOB.has(intent) && job ? { work_order: job } : {}),
    };
    const said = found ? { ...found, units: found.units * qty } : { box };
    const row = await this.tablet.store.scanned(scan, said);
    const known = Boolean(found || box);
    this.last = { row, known, problem: known ? "" : t("Unknown code: kept, and sent. It counts once somebody has entered it.") };
    signal(known ? "good" : "unknown");
    await this.tablet.happened();
    return row;
  }

  #refuse(problem) {
    this.last = { row: null, known: false, problem };
    signal("bad");
    this.#show();
    this.tablet.dispatchEvent(new CustomEvent("refused", { detail: problem }));
    return null;
  }

  // ---- counts ----

  async #count(code, found) {
    const { draft } = this.state;
    const more = draft && added(draft, code, found);
    if (more) this.set({ draft: more });
    else await this.begin(code, found, this.quantity);
    this.quantity = 1;
    signal(found ? "good" : "unknown");
    this.#show();
    return null;
  }

  /** Begins to count what a code stands for; what was being counted is kept. */
  async begin(code, found, qty) {
    await this.save();
    this.last = null;
    this.set({ intent: COUNTS.has(this.state.intent) ? this.state.intent : "count", draft: { code, found, qty } });
  }

  /** Parts have been told: perhaps what is being counted is one of them. */
  recognise() {
    const { draft } = this.state;
    if (!draft || draft.found) return;
    this.set({ draft: { ...draft, found: this.tablet.catalogue.lookUp(draft.code.code, draft.code.aim_id) } });
  }

  /** Begins to count a part that somebody asks for, from whatever tab. */
  async countItem(item) {
    const { catalogue } = this.tablet;
    const code = catalogue.codeOf.get(item) ?? item;
    await this.begin({ code }, catalogue.lookUp(code), 0);
    location.hash = "scan";
  }

  /** Keeps the count that waits, if there is one. */
  async save() {
    const { draft, counting } = this.state;
    if (!draft) return;
    this.set({ draft: null });
    await this.#keep("count", draft.code, draft.found, draft.qty);
    if (counting && draft.found) this.set({ counting: { ...counting, items: [...new Set([...counting.items, draft.found.item])] } });
  }

  /** What a count of everything, ended now, would set to nothing. */
  notCounted() {
    const counted = new Set(this.state.counting.items);
    return this.tablet.levels.filter(({ item, qty }) => qty > 0 && !counted.has(item));
  }

  async countedAll() {
    await this.save();
    const { since, items } = this.state.counting;
    const row = await this.tablet.store.countedAll(since, new Set(items), this.tablet.who.login);
    this.set({ counting: null, intent: null });
    this.last = { row, known: true, problem: "" };
    await this.tablet.happened();
  }

  // ---- and back ----

  async undo(seq) {
    const row = await this.tablet.store.reversed(seq, this.tablet.who.login);
    this.last = null;
    await this.tablet.happened();
    return row;
  }
}

/**
 * The count that waits with one more scan; null if that scan is of something else. Of pieces and packs of
 * one part the pieces are counted, for a count says how many there are in all.
 */
function added(draft, code, found) {
  if (draft.code.code === code.code) return { ...draft, qty: draft.qty + 1 };
  if (!found || draft.found?.item !== found.item) return null;
  const [small, large] = found.units < draft.found.units ? [{ code, found }, draft] : [draft, { found }];
  if (large.found.units % small.found.units) return null;
  const units = draft.qty * draft.found.units + found.units;
  return { code: small.code, found: small.found, qty: units / small.found.units };
}

/** Readings in which the scanner's visible separator became the real one, after those as they came. */
function withSeparators(readings) {
  const { separator } = preferences();
  if (!separator) return readings;
  const replaced = readings.filter((text) => text.includes(separator)).map((text) => text.replaceAll(separator, SEPARATOR));
  return [...readings, ...replaced];
}
