// The way of a van over a day, as a list and on the map, and the day again: a slider over its moments.

import { define, html, nothing } from "../base/lit.js";
import { NONE, duration, kmh, longDay, place, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { at } from "./way.js";

const DAY_MS = 24 * 3_600_000;
const DAYS_BACK = 7;
const STEP_MS = 10_000;
const SPEEDS = [30, 120, 600];
const FRAME_MS = 100;
const STALE_S = 120;

class Playback extends Pane {
  static properties = { van: {}, speed: { state: true }, back: { state: true } };
  today = new Asked(this);
  legs = new Asked(this);

  constructor() {
    super();
    Object.assign(this, { speed: 120, back: 0 });
  }

  willUpdate() {
    // The API says when the working day began; days before it are as long, but for a change of clocks.
    const url = `/v1/vans/${encodeURIComponent(this.van)}/legs`;
    const began = this.today.of(url).value?.from_ms ?? null;
    const [from, to] = [began - this.back * DAY_MS, began + (1 - this.back) * DAY_MS];
    this.legs.of(this.back && began !== null ? `${url}?from_ms=${from}&to_ms=${to}` : null);
    if (began !== null) this.desk.way.of(this.van, from, this.back ? to : null);
    if (!this.back && !this.desk.playback) this.desk.way.follow(this.desk.van(this.van)?.last_fix);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.running);
    this.desk.way.of(null, null);
  }

  render() {
    const { way } = this.desk;
    const problem = this.today.problem ?? way.problem;
    return html`<section><h4>${t("Its way")} <label class="of-day"><span class="unseen">${t("Day")}</span> ${this.#days()}</label></h4>
      ${problem ? html`<p class="problem">${problem.message}</p>`
        : way.loading || !this.today.value ? html`<p class="quiet">${t("Reading…")}</p>`
        : way.times.length < 2 ? html`<p class="quiet">${t("No positions on this day.")}</p>` : this.#player(way)}
      ${this.#legs()}</section>`;
  }

  #days() {
    const now = this.desk.now();
    const choose = (event) => {
      this.#live();
      this.back = Number(event.target.value);
    };
    return html`<select @change=${choose}>${Array.from({ length: DAYS_BACK }, (_, back) => html`<option value=${back} ?selected=${back === this.back}>${back ? longDay(now - back * DAY_MS) : t("today")}</option>`)}</select>`;
  }

  #player(way) {
    const [from, to] = [way.times[0], way.times.at(-1)];
    const { playback } = this.desk;
    const ms = playback?.at_ms ?? to;
    const then = at(way, ms);
    const gap = then.gap_s > STALE_S ? t("no position for {time}", { time: duration(then.gap_s) }) : null;
    const said = [time(ms, this.desk.now()), then.speed_mps === null ? null : t("{n} km/h", { n: kmh(then.speed_mps) }), gap].filter(Boolean).join(" · ");
    return html`<div class="player">
      <button class="button small" aria-pressed=${String(playback?.playing ?? false)} @click=${() => this.#play(way)}>${playback?.playing ? t("Pause") : t("Play again")}</button>
      <label>${t("Speed")} <select @change=${(event) => (this.speed = Number(event.target.value))}>${SPEEDS.map((n) => html`<option value=${n} ?selected=${n === this.speed}>${n} ×</option>`)}</select></label>
      ${playback ? html`<button class="button small" @click=${() => this.#live()}>${t("Back to now")}</button>` : nothing}
      <input type="range" aria-label=${t("Moment of the day")} aria-valuetext=${said} min=${from} max=${to} step=${STEP_MS} .value=${String(ms)} @input=${(event) => this.#go(Number(event.target.value), false)}>
      <output>${said}</output>
    </div>`;
  }

  #go(at_ms, playing) {
    if (!playing) clearInterval(this.running);
    this.desk.playback = { at_ms, playing };
    this.desk.changed();
  }

  #play(way) {
    clearInterval(this.running);
    const { playback } = this.desk;
    if (playback?.playing) return this.#go(playback.at_ms, false);
    const [from, to] = [way.times[0], way.times.at(-1)];
    this.#go(playback && playback.at_ms < to ? playback.at_ms : from, true);
    let before = performance.now();
    this.running = setInterval(() => {
      const passed = performance.now() - before;
      before += passed;
      const next = Math.min(to, (this.desk.playback?.at_ms ?? to) + passed * this.speed);
      this.#go(next, next < to);
    }, FRAME_MS);
  }

  #live() {
    clearInterval(this.running);
    this.desk.playback = null;
    this.desk.changed();
  }

  /** Trips and halts: the way in words. */
  #legs() {
    const asked = this.back ? this.legs : this.today;
    if (asked.problem) return html`<p class="problem">${asked.problem.message}</p>`;
    const legs = asked.value?.legs ?? [];
    if (!legs.length) return nothing;
    return html`<cordee-table .label=${t("Trips and halts")} .columns=${LEGS(this.desk.now(), this)} .rows=${legs} .key=${(leg) => leg.started_at_ms}></cordee-table>`;
  }

  show(ms) {
    this.#go(ms, false);
  }
}
define("cordee-playback", Playback);

const LEGS = (now, player) => [
  { name: "when", label: t("From – to"), show: (leg) => html`<button class="link" @click=${() => player.show(leg.started_at_ms)}>${time(leg.started_at_ms, now)} – ${leg.closed ? time(leg.ended_at_ms, now) : t("now")}</button>` },
  { name: "what", label: t("What"), className: "wide", show: (leg) => whatOf(leg) },
  { name: "km", label: t("km"), className: "number", show: (leg) => (leg.kind === "trip" ? (leg.distance_m / 1_000).toFixed(1) : NONE) },
];

function whatOf(leg) {
  const lasted = duration((leg.ended_at_ms - leg.started_at_ms) / 1_000);
  if (leg.kind === "trip") return t("drove {time}", { time: lasted });
  return leg.unplanned ? t("stood {time} at no site, {place}", { time: lasted, place: place(leg) }) : t("stood {time}", { time: lasted });
}
