// The tours of the day, a row each van: what was planned as an outline, what became of it as a fill, when a
// stop is expected as a range, and the line of now. Only rows that can be seen are drawn, so that 5,000 vans
// are no more work than twenty.
//
// For keys and readers of screens it is a grid: the arrows go from stop to stop and from van to van, and
// what they reach is chosen for all panes.

import { define, guard, html, nothing, repeat, svg } from "../base/lit.js";
import { time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { shape, shapeOf, word } from "../base/status.js";
import { Pane } from "./desk.js";
import { extent, nearest, spans, stepOf, troubleOf } from "./gantt_scale.js";
import { remember, remembered } from "./panes.js";
import { etaOf, stopOf, windowOf } from "./words.js";

const ROW = 36;
const HEAD = 26;
const LABEL = 150;
const BEYOND = 4;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const PX_PER_HOUR = { min: 40, max: 400 };

export class Gantt extends Pane {
  static properties = { scrolled: { state: true }, seen: { state: true } };
  #sizes = new ResizeObserver(([entry]) => (this.seen = { width: entry.contentRect.width, height: entry.contentRect.height }));

  constructor() {
    super();
    this.scrolled = 0;
    this.seen = { width: 900, height: 260 };
    this.zoom = remembered("zoom") ?? null;
  }

  firstUpdated() {
    this.grid = this.querySelector(".gantt");
    this.#sizes.observe(this.grid);
  }

  willUpdate() {
    const { day } = this.desk;
    this.rows = this.#inOrder(this.desk.shown.vans);
    // What a row shows changes once a minute, if nothing else changes.
    this.minute = Math.floor(this.desk.now() / MINUTE_MS);
    this.#measure(day);
    const hours = (this.span.to - this.span.from) / HOUR_MS;
    this.perHour = this.zoom ?? Math.max(PX_PER_HOUR.min, (this.seen.width - LABEL - 14) / hours);
    this.width = Math.round(hours * this.perHour);
  }

  /** By code; while a stop would go to another van, both stand on top, one above the other. */
  #inOrder(vans) {
    const { preview, day } = this.desk;
    if (preview?.proposal.kind !== "move") return vans;
    const pair = [day.stop(preview.stop_id)?.tour.van, preview.proposal.van].map((code) => this.desk.van(code)).filter(Boolean);
    return [...pair, ...vans.filter((van) => !pair.includes(van))];
  }

  /** The hours that all rows together need; asked of 30,000 stops only when they or the rows are others. */
  #measure(day) {
    const sign = [day.readAt, this.minute, this.desk.show, this.rows.length].join();
    if (sign === this.measured) return;
    this.measured = sign;
    this.span = extent(this.rows.map((van) => day.tour(van.code)).filter(Boolean), this.desk.now());
  }

  #x = (ms) => Math.round(((ms - this.span.from) / HOUR_MS) * this.perHour * 10) / 10;

  render() {
    const first = Math.max(0, Math.floor(this.scrolled / ROW) - BEYOND);
    const last = Math.min(this.rows.length, Math.ceil((this.scrolled + this.seen.height) / ROW) + BEYOND);
    return html`
      <svg class="unseen" aria-hidden="true"><defs>${["late", "at_risk"].map(hatch)}</defs></svg>
      <div class="gantt" role="grid" tabindex="0" aria-label=${t("Tours of the day, a row each van")} aria-rowcount=${this.rows.length}
        @scroll=${this.#scroll} @keydown=${this.#key}>
        <div class="gantt-all" role="rowgroup" .style=${`width: ${LABEL + this.width}px; height: ${HEAD + this.rows.length * ROW}px`}>
          <div class="gantt-head" aria-hidden="true">${this.#hours()}</div>
          ${repeat(this.rows.slice(first, last), (van) => van.code, (van, nth) => this.#row(van, first + nth))}
          ${this.#now()}
        </div>
      </div>
      ${this.rows.length ? nothing : html`<p class="empty">${this.desk.show ? t("No van is so just now.") : t("No van is known yet. Import vans and tours; each has its row here.")}</p>`}
      ${this.desk.day.problem ? html`<p class="problem" role="alert">${t("The tours could not be read: {why} They are asked for again.", { why: this.desk.day.problem.message })}</p>` : nothing}`;
  }

  #scroll = () => {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.scrolled = this.grid.scrollTop;
    });
  };

  #hours() {
    const step = stepOf(this.perHour);
    const lines = [];
    for (let at = this.span.from; at <= this.span.to; at += step) lines.push(at);
    return html`<svg width=${LABEL + this.width} height=${HEAD}>${lines.map(
      (at) => svg`<text x=${LABEL + this.#x(at) + 3} y="17">${time(at, at)}</text>`,
    )}</svg>`;
  }

  #now() {
    const now = this.desk.now();
    if (now < this.span.from || now > this.span.to) return nothing;
    return html`<div class="now" aria-hidden="true" .style=${`left: ${LABEL + this.#x(now)}px`}><span>${time(now, now)}</span></div>`;
  }

  #row(van, nth) {
    const tour = this.desk.day.tour(van.code);
    const chosen = this.desk.subject.van === van.code;
    return html`<div class="gantt-row ${chosen ? "chosen" : ""}" role="row" aria-rowindex=${nth + 1} data-van=${van.code} .style=${`top: ${HEAD + nth * ROW}px`}>
      <div role="rowheader" id="gantt-${van.code}" class="gantt-van ${van.state}" aria-label=${this.#vanSaid(van, tour)} @click=${() => this.desk.choose("van", van.code)}>
        ${shape(shapeOf(van.state))}<span><b>${van.code}</b>${this.desk.live.view?.messages?.[van.code]?.unread ? html` <span class="letter" aria-hidden="true">✉</span>` : nothing}<span class="second">${van.technician ?? van.name}</span></span></div>
      ${guard([tour, this.minute, this.span, this.perHour, chosen && this.desk.subject.stop, this.desk.preview], () => this.#bars(van, tour))}
    </div>`;
  }

  #bars(van, tour) {
    return html`<svg width=${this.width} height=${ROW} role="presentation">
      ${this.#lines()}${tour ? tour.stops.map((stop) => this.#stop(stop)) : nothing}${this.#preview(van)}
    </svg>`;
  }

  #vanSaid = (van, tour) =>
    [van.code, van.technician, word(van.state), tour ? tn("{n} stop", "{n} stops", tour.stops.length) : t("no tour"), this.desk.live.view?.messages?.[van.code]?.unread ? t("unread messages") : null].filter(Boolean).join(", ");

  #lines() {
    const step = stepOf(this.perHour);
    let d = "";
    for (let at = this.span.from + step; at < this.span.to; at += step) d += `M${this.#x(at)} 0V${ROW}`;
    return svg`<path class="hours" d=${d}></path>`;
  }

  #stop(stop) {
    const now = this.desk.now();
    const trouble = troubleOf(stop);
    const stopSaid = this.#stopSaid(stop, trouble);
    const { planned, actual, expected } = spans(stop, now);
    const chosen = this.desk.subject.stop === stop.stop_id;
    const given = this.desk.preview?.stop_id === stop.stop_id && this.desk.preview.proposal.kind !== "keep";
    const [windowFrom, windowTo] = [this.#x(stop.window_start_ms), this.#x(stop.window_end_ms)];
    const bar = ([from, to], name, y, height, fill = nothing) => svg`<rect class=${name} x=${this.#x(from)} y=${y}
      width=${Math.max(2, this.#x(to) - this.#x(from))} height=${height} rx="2" fill=${fill}></rect>`;
    const hatched = trouble === "late" || trouble === "missed" ? "url(#hatch-late)" : trouble === "at_risk" ? "url(#hatch-at_risk)" : nothing;
    return svg`<g role="gridcell" id="gantt-stop-${stop.stop_id}" class="stop ${stop.state} ${trouble ?? ""} ${chosen ? "chosen" : ""} ${given ? "given" : ""}"
      data-stop=${stop.stop_id} aria-label=${stopSaid} @click=${() => this.desk.choose("stop", stop.stop_id)}>
      <title>${stopSaid}</title>
      <path class="window" d="M${windowFrom} 28v5M${windowFrom} 30.5H${windowTo}M${windowTo} 28v5"></path>
      ${bar(planned, "planned", 6, 18)}
      ${actual ? bar(actual, "actual", 9, 12, hatched) : nothing}
      ${expected ? [bar(expected, "expected", 9, 12, hatched), this.#range(stop.eta)] : nothing}
      <text x=${this.#x((actual ?? expected ?? planned)[0]) + 4} y="19">${stop.stop}${trouble ? mark(trouble) : nothing}</text>
    </g>`;
  }

  #range(eta) {
    const [early, late] = [this.#x(eta.early_at_ms), this.#x(eta.late_at_ms)];
    return svg`<path class="range" d="M${early} 11v8M${early} 15H${late}M${late} 11v8"></path>`;
  }

  #stopSaid(stop, trouble) {
    const now = this.desk.now();
    const then = stop.arrived_at_ms !== null
      ? [t("arrived {time}", { time: time(stop.arrived_at_ms, now) }), stop.left_at_ms === null ? null : t("left {time}", { time: time(stop.left_at_ms, now) })]
      : [stop.state === "skipped" || stop.state === "missed" ? null : t("expected {range}", { range: etaOf(stop.eta, now) })];
    return [stopOf(stop.stop, stop.site_name), word(stop.state), trouble && trouble !== stop.state ? word(trouble) : null,
      t("window {range}", { range: windowOf(stop, now) }), ...then].filter(Boolean).join(", ");
  }

  /** Where a stop would be, if what is looked at were applied. */
  #preview(van) {
    const { preview, day } = this.desk;
    if (!preview || preview.proposal.kind === "keep" || preview.proposal.van !== van.code) return nothing;
    const stop = day.stop(preview.stop_id)?.stop;
    if (!stop) return nothing;
    const from = this.#x(preview.proposal.expected_ms);
    const width = Math.max(8, (stop.planned_duration_s / 3_600) * this.perHour);
    return svg`<g class="proposed"><rect x=${from} y="4" width=${width} height="22" rx="3"></rect><text x=${from + 4} y="19">${stop.stop} ↵</text></g>`;
  }

  // ---- zoom ----------------------------------------------------------------------------------------

  /** Makes hours wider or narrower; 0 lets the whole day fit. */
  scale(factor) {
    this.zoom = factor ? Math.min(PX_PER_HOUR.max, Math.max(PX_PER_HOUR.min, this.perHour * factor)) : null;
    remember("zoom", this.zoom);
    this.requestUpdate();
  }

  // ---- choosing by keys -------------------------------------------------------------------------------

  /** Tells readers of screens what is chosen; only what is drawn can be named. */
  #name() {
    const { stop, van } = this.desk.subject;
    const chosen = document.getElementById(stop ? `gantt-stop-${stop}` : `gantt-${van}`);
    if (chosen) this.grid.setAttribute("aria-activedescendant", chosen.id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  #key = (event) => {
    const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], PageUp: [0, -8], PageDown: [0, 8] }[event.key];
    if (!step || !this.rows.length) return;
    event.preventDefault();
    const { van, stop } = this.desk.subject;
    const at = this.rows.findIndex((one) => one.code === van);
    if (at < 0) this.#chooseRow(0, null);
    else if (step[1]) this.#chooseRow(Math.min(this.rows.length - 1, Math.max(0, at + step[1])), stop);
    else this.#chooseBeside(van, stop, step[0]);
  };

  /** Another van; its stop nearest in time to the one before. */
  #chooseRow(nth, stop) {
    const { code } = this.rows[nth];
    const before = stop ? this.desk.day.stop(stop)?.stop : null;
    const now = this.desk.now();
    const beside = before && nearest(this.desk.day.tour(code)?.stops ?? [], (spans(before, now).actual ?? spans(before, now).planned)[0], now);
    if (beside) this.desk.choose("stop", beside.stop_id, { step: true });
    else this.desk.choose("van", code, { step: true });
  }

  /** The stop beside; before the first one stands the van. */
  #chooseBeside(van, stop, by) {
    const stops = this.desk.day.tour(van)?.stops ?? [];
    const at = stops.findIndex((one) => one.stop_id === stop) + by;
    if (at < 0) this.desk.choose("van", van, { step: true });
    else if (at < stops.length) this.desk.choose("stop", stops[at].stop_id, { step: true });
  }

  /** Scrolls to what is chosen, when that is another one. */
  updated() {
    this.#name();
    const { van, stop } = this.desk.subject;
    const chosen = `${van} ${stop} ${this.desk.preview?.proposal.van}`;
    if (chosen === this.revealed) return;
    const nth = this.rows.findIndex((one) => one.code === van);
    if (nth < 0 || !this.grid.clientHeight) return;
    this.revealed = chosen;
    const [top, bottom] = [nth * ROW, (nth + 1) * ROW + HEAD];
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (bottom > this.grid.scrollTop + this.grid.clientHeight) this.grid.scrollTop = bottom - this.grid.clientHeight;
    const found = stop && this.desk.day.stop(stop);
    if (found) this.#revealTime(spans(found.stop, this.desk.now()).planned);
  }

  #revealTime([from, to]) {
    const [left, right] = [this.#x(from), LABEL + this.#x(to) + 20];
    if (left < this.grid.scrollLeft) this.grid.scrollLeft = Math.max(0, left - 20);
    else if (right > this.grid.scrollLeft + this.grid.clientWidth) this.grid.scrollLeft = right - this.grid.clientWidth;
  }
}
define("cordee-gantt", Gantt);

const MARKS = { late: " ◆", missed: " ✕", skipped: " ✕", at_risk: " ▲", overstayed: " ⧗" };
const mark = (trouble) => svg`<tspan class="mark">${MARKS[trouble]}</tspan>`;

const hatch = (name) => svg`<pattern id="hatch-${name}" class="hatch ${name}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
  <rect width="6" height="6"></rect><path d="M0 0V6" stroke-width="4"></path></pattern>`;
