// A van: what it does, where it goes next, what it is about to lack, what was said, and the way it came.

import { Again, notRead } from "../base/again.js";
import { define, html, nothing } from "../base/lit.js";
import { count, day, duration, kmh, place, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { status } from "../base/status.js";
import { twoLines } from "../base/table.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { isAhead, troubleOf } from "./gantt_scale.js";
import { etaOf, stopOf, windowOf } from "./words.js";
import "./messages.js";
import "./playback.js";

const STOCK_EVERY_MS = 30_000;
const STOCK_FIRST = 8;
const STOCK_MAX = 200;

class VanCard extends Pane {
  static properties = { code: {}, all: { state: true } };
  stock = new Asked(this);
  again = new Again(this, STOCK_EVERY_MS, () => this.stock.again(), { first: false });

  constructor() {
    super();
    this.all = false;
  }

  render() {
    const van = this.desk.van(this.code);
    if (!van) return html`<p class="empty">${this.desk.rows("vans") ? t("There is no van {code}.", { code: this.code }) : t("Waiting for the first data…")}</p>`;
    const tour = this.desk.day.tour(this.code);
    return html`
      <header class="subject"><h3>${van.code}</h3><p class="quiet">${[van.technician, van.name].filter(Boolean).join(" · ")}</p></header>
      ${this.#facts(van)}
      ${this.#stops(tour)}
      <cordee-messages .desk=${this.desk} .van=${this.code}></cordee-messages>
      <cordee-playback .desk=${this.desk} .van=${this.code}></cordee-playback>
      ${this.#stock()}`;
  }

  #facts(van) {
    const now = this.desk.now();
    const { last_fix: fix, next_stop: next } = van;
    return html`<dl class="facts">
      <dt>${t("State")}</dt><dd>${status(van.state)}${van.site ? html` <button class="link" @click=${() => this.desk.choose("site", van.site.code)}>${van.site.name}</button>` : nothing}</dd>
      ${fix ? html`<dt>${t("Last position")}</dt><dd>${t("{age} ago", { age: duration((now - fix.t_ms) / 1_000) })}, ${place(fix)}${fix.speed_mps === null ? nothing : html`, ${t("{n} km/h", { n: kmh(fix.speed_mps) })}`}</dd>` : nothing}
      ${next ? html`<dt>${t("Next stop")}</dt><dd><button class="link" @click=${() => this.desk.choose("stop", next.stop_id)}>${stopOf(next.stop, next.site_name)}</button> ${next.alert ? status(next.alert) : nothing}
        <span class="second">${t("expected {range}", { range: etaOf(next.eta, now) })}; ${t("window {range}", { range: windowOf(next, now) })}</span></dd>` : nothing}
    </dl>`;
  }

  #stops(tour) {
    const now = this.desk.now();
    if (!tour) return html`<section><h4>${t("Stops")}</h4><p class="quiet">${this.desk.day.tours ? t("No tour today.") : t("Waiting for the first data…")}</p></section>`;
    const left = tour.stops.filter(isAhead).length;
    return html`<section><h4>${t("Stops")} <span class="badge">${tn("{n} left", "{n} left", left)}</span></h4>
      <ol class="stops">${tour.stops.map((stop) => {
        const trouble = troubleOf(stop);
        return html`<li><button class="bare" @click=${() => this.desk.choose("stop", stop.stop_id)}>
          <span class="first">${stopOf(stop.stop, stop.site_name)}</span>
          <span class="line">${status(trouble ?? stop.state)}<span class="grow"></span><span class="quiet">${whenOf(stop, now)}</span></span></button></li>`;
      })}</ol></section>`;
  }

  /** What it is about to lack; or what it has of what is looked for. */
  #stock() {
    const { sought } = this.desk;
    const which = sought ? `q=${encodeURIComponent(sought)}` : "below=true";
    const { value, problem } = this.stock.of(`/v1/vans/${encodeURIComponent(this.code)}/stock?${which}&limit=${STOCK_MAX}`);
    const levels = value?.levels ?? null;
    const shown = this.all ? levels : levels?.slice(0, STOCK_FIRST) ?? null;
    return html`<section><h4>${sought ? t("Stock") : t("Stock at or below its reorder point")} ${levels ? html`<span class="badge">${levels.length}${value.truncated ? "+" : nothing}</span>` : nothing}</h4>
      <p class="finder"><input type="search" aria-label=${t("Item on board")} placeholder=${t("Item on board")} maxlength="100" .value=${sought} @change=${(event) => this.desk.lookFor(event.target.value.trim())}></p>
      ${notRead(problem?.message, this.stock.readAt)}
      ${problem && !levels ? nothing : html`<cordee-table .label=${t("Stock")} .columns=${STOCK(this.desk.now())} .rows=${shown} .key=${(level) => level.item}
        .empty=${sought ? t("Nothing is called so in this van.") : t("Nothing is at or below its reorder point in this van.")}></cordee-table>`}
      ${levels?.length > STOCK_FIRST ? html`<p><button class="button small" aria-expanded=${String(this.all)} @click=${() => (this.all = !this.all)}>${this.all ? t("Show fewer") : t("Show all")}</button></p>` : nothing}</section>`;
  }
}
define("cordee-van-card", VanCard);

/** When a stop was, or will be. */
export function whenOf(stop, now) {
  if (stop.arrived_at_ms !== null) return stop.left_at_ms === null ? t("since {time}", { time: time(stop.arrived_at_ms, now) }) : `${time(stop.arrived_at_ms, now)} – ${time(stop.left_at_ms, now)}`;
  return stop.eta ? t("expected {range}", { range: etaOf(stop.eta, now) }) : t("window {range}", { range: windowOf(stop, now) });
}

const STOCK = (now) => [
  { name: "item", label: t("Item"), className: "wide", show: (l) => twoLines(l.item, html`${l.name}; ${l.counted_at_ms === null ? t("never counted") : t("counted {time}", { time: day(l.counted_at_ms, now) })}`) },
  { name: "held", label: t("On board"), className: "number", show: (l) => count(l.qty) },
  { name: "order", label: t("On order"), className: "number", show: (l) => count(l.on_order) },
  { name: "min", label: t("Min"), className: "number", show: (l) => count(l.reorder_point) },
];
