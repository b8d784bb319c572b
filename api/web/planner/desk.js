// What all panes share: the live view, the day's tours, what is chosen and what is shown. Panes read it and
// ask it; it says "changed" when there is something new, and knows of no pane.

import { FILTERS, shown } from "./filters.js";
import { isSame, parsed, written } from "./address.js";
import { Part } from "../base/lit.js";

export class Desk extends EventTarget {
  #memory = new Map();

  /** `day`, `fences` and `way` are what day.js, fences.js and way.js make. */
  constructor({ who, live, day, fences, way }) {
    super();
    Object.assign(this, { who, live, day, fences, way });
    /** The id of the stop of which it is asked who else could do it. */
    this.asking = null;
    /** One of the answers, that is looked at before it is applied; see replan.js. */
    this.preview = null;
    /** A fence that is being drawn; see draft.js. */
    this.draft = null;
    /** What is looked for in the stock of the van that is chosen. */
    this.sought = "";
    /** How often something was replanned here. */
    this.replans = 0;
    /** The moment of a day that is played again; see playback.js. */
    this.playback = null;
    this.#readAddress();
    addEventListener("hashchange", () => this.#readAddress());
    for (const part of [day, fences, way]) part.addEventListener("changed", () => this.changed());
  }

  now() {
    return this.live.now();
  }

  /** Tells all panes that something is new. */
  changed() {
    this.#memory.clear();
    this.dispatchEvent(new Event("changed"));
  }

  /** Returns what `make` makes, made once until something changes. */
  #once(name, make) {
    if (!this.#memory.has(name)) this.#memory.set(name, make());
    return this.#memory.get(name);
  }

  // ---- what there is ------------------------------------------------------------------------------

  /** The rows of a topic of the live view; null before the first data. */
  rows(topic) {
    return this.#once(topic, () => (this.live.view?.[topic] ? Object.values(this.live.view[topic]) : null));
  }

  get overview() {
    return this.live.view?.overview ?? null;
  }

  /** Of each van that has written what nobody has read: how much. */
  get unread() {
    return this.#once("unread", () => (this.rows("messages") ?? []).filter((one) => one.unread > 0));
  }

  van = (code) => this.live.view?.vans?.[code] ?? null;
  alert = (id) => this.live.view?.alerts?.[id] ?? null;

  /** Vans by code and alerts, as the filter leaves them. */
  get shown() {
    return this.#once("shown", () => shown({ vans: this.rows("vans") ?? [], alerts: this.rows("alerts") ?? [], messages: this.unread }, this.show));
  }

  /** Puts a row as the server has just answered it; the stream brings the same a moment later. */
  put(topic, key, row) {
    if (this.live.view?.[topic]) this.live.view[topic][key] = row;
    this.changed();
  }

  // ---- what is chosen -------------------------------------------------------------------------------

  #readAddress() {
    const { chosen, show } = parsed(location.hash);
    this.show = show in FILTERS ? show : null;
    this.#choose(chosen);
  }

  #choose(chosen) {
    if (!isSame(chosen, this.chosen)) [this.asking, this.preview, this.playback] = [null, null, null];
    this.chosen = chosen;
    this.changed();
  }

  /** Chooses something for all panes; `step` is one of many on a way, and no place to come back to. */
  choose(kind, id, { step = false } = {}) {
    const chosen = { kind, id: String(id) };
    if (isSame(chosen, this.chosen)) return;
    this.#write({ chosen, show: this.show }, step);
    this.#choose(chosen);
  }

  /** Chooses a stop, and asks who else could do it. */
  replan(stop) {
    this.choose("stop", stop);
    this.asking = Number(stop);
    this.changed();
  }

  /** Looks for an item in the stock of the van that is chosen, or will be. */
  lookFor(item) {
    this.sought = item;
    this.changed();
  }

  /** Reads the tours again after they were replanned here. */
  async replanned() {
    this.replans += 1;
    [this.asking, this.preview] = [null, null];
    await this.day.read();
  }

  leave() {
    if (!this.chosen) return;
    this.#write({ chosen: null, show: this.show }, false);
    this.#choose(null);
  }

  filter(show) {
    this.show = show === this.show ? null : show;
    this.#write({ chosen: this.chosen, show: this.show }, true);
    this.changed();
  }

  #write(place, step) {
    const url = location.pathname + location.search + written(place);
    if (step) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
  }

  isChosen = (kind, id) => isSame(this.chosen, { kind, id: String(id) });

  /** What follows from what is chosen: codes of the van and the site, the stop's and the alert's id. */
  get subject() {
    return this.#once("subject", () => {
      if (!this.chosen) return { van: null, stop: null, site: null, alert: null };
      const { kind, id } = this.chosen;
      const none = { van: null, stop: null, site: null, alert: null };
      if (kind === "van") return { ...none, van: id };
      if (kind === "site") return { ...none, site: id };
      if (kind === "stop") return { ...none, ...this.#ofStop(Number(id)) };
      const alert = this.alert(id);
      if (!alert) return { ...none, alert: id };
      return { van: alert.van, stop: alert.stop_id, site: alert.site, alert: id };
    });
  }

  #ofStop(id) {
    const found = this.day.stop(id);
    return { stop: id, van: found?.tour.van ?? null, site: found?.stop.site ?? null };
  }
}

/** A component that shows the desk, and is drawn anew when it changes. */
export class Pane extends Part {
  static properties = { desk: { attribute: false } };
  #look = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    this.desk.addEventListener("changed", this.#look);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.desk.removeEventListener("changed", this.#look);
  }
}
