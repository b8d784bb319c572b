// The page itself: the strip, and around the map the queue, the tours and what is chosen.

import { define, html, nothing } from "../base/lit.js";
import { t } from "../base/i18n.js";
import { Pane } from "./desk.js";
import { acknowledge, snooze } from "./handling.js";
import { isAhead } from "./gantt_scale.js";
import { listen, showKeys } from "./keys.js";
import { fold, isFolded, remember, remembered } from "./panes.js";
import { tabs } from "./tabs.js";
import { stopOf } from "./words.js";
import "../base/table.js";
import "./alerts.js";
import "./drawer.js";
import "./gantt.js";
import "./kpis.js";
import "./map_pane.js";
import "./replans.js";
import "./sites.js";
import "./vans.js";
import "./visits.js";

const BOTTOM = [["tours", () => t("Tours")], ["visits", () => t("Visits")], ["sites", () => t("Sites")], ["replans", () => t("Replanned")]];

export class Planner extends Pane {
  static properties = { middle: { state: true }, bottom: { state: true }, mapProblem: { state: true } };
  #shown = null;
  #from = null;

  constructor() {
    super();
    this.middle = remembered("middle");
    this.bottom = remembered("bottom");
    this.mapProblem = "";
  }

  firstUpdated() {
    const queue = () => this.querySelector("cordee-queue");
    const step = (by) => void queue().step(by).then(() => this.#remember());
    const ofAlert = (act) => () => queue().chosen?.state === "open" && act(this.desk, queue().chosen);
    listen({
      j: () => step(1),
      k: () => step(-1),
      d: () => this.desk.chosen !== null && this.#cross(),
      a: ofAlert(acknowledge),
      s: ofAlert(snooze),
      m: () => this.#drawer.move(),
      "/": () => document.querySelector("cordee-search").focus(),
      "?": () => showKeys(),
      Escape: () => this.desk.chosen !== null && this.desk.leave(),
    });
  }

  get #drawer() {
    return this.querySelector("cordee-drawer");
  }

  // ---- where the keys go ----------------------------------------------------------------------------

  willUpdate() {
    if (this.desk.chosen && this.desk.chosen !== this.#shown) this.#remember();
  }

  /** Whoever was in the drawer when it was closed is where they were before. */
  updated() {
    const closed = this.#shown && !this.desk.chosen;
    this.#shown = this.desk.chosen;
    if (closed && document.activeElement === document.body) this.#back();
  }

  /** Keeps where somebody was when they chose what the drawer shows. */
  #remember() {
    const element = document.activeElement;
    if (element === document.body || this.#drawer?.contains(element)) return;
    this.#from = { element, alert: element.closest("[data-alert]")?.dataset.alert };
  }

  #back() {
    const { element, alert } = this.#from ?? {};
    // An alert that went to another group is drawn anew there, unless that is folded.
    const there = element?.isConnected ? element : this.querySelector(`[data-alert="${alert}"] > button`);
    (there ?? this.querySelector("cordee-queue .row-button"))?.focus();
  }

  /** Goes from anywhere into the drawer, and from there back. */
  #cross() {
    if (this.#drawer.contains(document.activeElement)) this.#back();
    else this.enter();
  }

  /** Goes into the drawer, once it shows what was just chosen. */
  async enter() {
    this.#remember();
    await this.updateComplete;
    await this.#drawer?.updateComplete;
    this.#drawer?.querySelector(".body").focus();
  }

  render() {
    const { chosen } = this.desk;
    const list = this.mapProblem !== "";
    return html`
      <h1 class="unseen">${t("Planning")}</h1>
      <div class="strip"><cordee-kpis .desk=${this.desk}></cordee-kpis>
        <button class="button keys-button" @click=${showKeys}>${t("Keys")} <kbd>?</kbd></button></div>
      <div class="panes ${chosen ? "with-drawer" : ""} ${isFolded("queue") ? "queue-folded" : ""} ${isFolded("below") ? "below-folded" : ""}">
        <section class="panel queue" aria-label=${t("Alerts")}>
          <div class="head"><h2>${t("Alerts")}</h2>${this.#folder("queue", t("Alerts"))}</div>
          ${isFolded("queue") ? nothing : html`<div class="body"><cordee-queue .desk=${this.desk}></cordee-queue></div>`}
        </section>
        <cordee-splitter class="of-queue" of="queue" axis="x" sign="1" min="240" max="620" .label=${t("Width of the alerts")}></cordee-splitter>
        <section class="panel middle" aria-label=${t("Where vans are")}>
          <div class="head">${this.#tabsOf("middle", t("Where vans are"), [["map", t("Map")], ["vans", t("Vans")]])}<div class="grow"></div><span id="map-tools"></span></div>
          ${list && this.middle === "map" ? html`<p class="problem">${this.mapProblem}</p>` : nothing}
          <div class="body" id="middle-panel" role="tabpanel" aria-labelledby="middle-${this.middle}">
            <cordee-map .desk=${this.desk} ?hidden=${this.middle !== "map" || list} .shown=${this.middle === "map" && !list} @unavailable=${(event) => (this.mapProblem = event.detail)}></cordee-map>
            ${this.middle === "vans" || list ? html`<cordee-vans .desk=${this.desk}></cordee-vans>` : nothing}
          </div>
        </section>
        <cordee-splitter class="of-below" of="below" axis="y" sign="-1" min="120" max="760" .label=${t("Height of the tours")}></cordee-splitter>
        <section class="panel below" aria-label=${t("Tours and visits")}>
          <div class="head">${this.#tabsOf("bottom", t("Tours and visits"), BOTTOM.map(([name, said]) => [name, said()]))}
            <div class="grow"></div>${this.bottom === "tours" && !isFolded("below") ? [this.#move(), this.#zoom()] : nothing}${this.#folder("below", t("Tours and visits"))}</div>
          ${isFolded("below") ? nothing : html`<div class="body" id="bottom-panel" role="tabpanel" aria-labelledby="bottom-${this.bottom}">${this.#below()}</div>`}
        </section>
        ${chosen ? html`<cordee-splitter class="of-drawer" of="drawer" axis="x" sign="-1" min="300" max="700" .label=${t("Width of the details")}></cordee-splitter>
          <cordee-drawer class="panel drawer" .desk=${this.desk}></cordee-drawer>` : nothing}
      </div>`;
  }

  #tabsOf(of, label, all) {
    const choose = (name) => {
      this[of] = name;
      // Whoever asks for the map again lets it try again.
      if (of === "middle") this.mapProblem = "";
      remember(of, name);
    };
    return tabs({ of, label, tabs: all, chosen: this[of], choose });
  }

  #below() {
    const { desk } = this;
    switch (this.bottom) {
      case "visits": return html`<cordee-visits .desk=${desk}></cordee-visits>`;
      case "sites": return html`<cordee-sites .desk=${desk}></cordee-sites>`;
      case "replans": return html`<cordee-replans .desk=${desk}></cordee-replans>`;
      default: return html`<cordee-gantt .desk=${desk}></cordee-gantt>`;
    }
  }

  /** What can be done with the stop that is chosen in the tours. */
  #move() {
    const found = this.desk.day.stop(this.desk.subject.stop);
    if (!found || !isAhead(found.stop)) return nothing;
    return html`<button class="button small" @click=${() => this.desk.replan(found.stop.stop_id)}>${t("Move {stop} to…", { stop: stopOf(found.stop.stop, found.stop.site_name) })}</button>`;
  }

  #zoom() {
    const scale = (factor) => this.querySelector("cordee-gantt").scale(factor);
    return html`<span class="zoom" role="group" aria-label=${t("Width of an hour")}>
      <button class="button small" aria-label=${t("Narrower")} @click=${() => scale(1 / 1.4)}>−</button>
      <button class="button small" @click=${() => scale(0)}>${t("Whole day")}</button>
      <button class="button small" aria-label=${t("Wider")} @click=${() => scale(1.4)}>+</button></span>`;
  }

  #folder(name, what) {
    const folded = isFolded(name);
    const label = folded ? t("Unfold: {what}", { what }) : t("Fold: {what}", { what });
    return html`<button class="button bare fold" aria-expanded=${String(!folded)} aria-label=${label} title=${label} @click=${() => {
      fold(name, !folded);
      this.requestUpdate();
    }}></button>`;
  }
}
define("cordee-planner", Planner);
