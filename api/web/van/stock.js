// The second tab: what is on board, as far as the tablet knows, what is low, and what is on its way.

import { define, html, nothing, repeat } from "../base/lit.js";
import { count, day, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { status } from "../base/status.js";
import { say } from "../base/shell.js";
import { VanPart } from "./part.js";
import { folded } from "./catalogue.js";

const SHOWN = 60;
const OVER = new Set(["received", "cancelled"]);
const WHY_COUNT = { negative: () => t("below nothing"), unconfirmed: () => t("the last count was a surprise") };

class Stock extends VanPart {
  static properties = { words: { state: true }, low: { state: true }, shown: { state: true } };

  constructor() {
    super();
    Object.assign(this, { words: "", low: false, shown: SHOWN });
  }

  render() {
    return html`<div class="stock">
      <div>${this.toCount()}${this.onTheWay()}</div>
      ${this.onBoard()}
    </div>`;
  }

  // ---- on board ----

  onBoard() {
    const { levels, toldMs } = this.tablet;
    const rows = this.found();
    const lows = levels.filter(isLow).length;
    return html`<section class="panel" aria-labelledby="on-board">
      <div class="head"><h2 id="on-board">${t("On board")}</h2>
        <button class="chip" aria-pressed=${String(this.low)} @click=${() => (this.low = !this.low)}>${tn("{n} low", "{n} low", lows)}</button></div>
      <div class="search"><label class="field">${t("Search by name or reference")}
        <input type="search" .value=${this.words} autocomplete="off" @input=${this.search}></label></div>
      <p class="quiet pad">${toldMs ? t("As of {time}, and what was scanned here since.", { time: time(toldMs, this.tablet.now()) })
        : t("The server has not told the levels yet; only what was scanned here is counted.")}</p>
      ${rows.length ? html`<ul>${repeat(rows.slice(0, this.shown), ({ item }) => item, (row) => this.level(row))}</ul>`
        : html`<p class="empty">${levels.length ? t("No part on board is called like that.") : t("Nothing is known to be on board. Load or count something, or wait for the server.")}</p>`}
      ${rows.length > this.shown ? html`<p class="pad"><button class="button" @click=${() => (this.shown += SHOWN)}>
        ${tn("Show {n} more", "Show {n} more", Math.min(SHOWN, rows.length - this.shown))}</button></p>` : nothing}
    </section>`;
  }

  search(event) {
    this.words = event.target.value;
    this.shown = SHOWN;
  }

  /** What is low first, then by name; narrowed by what is searched. */
  found() {
    const wanted = folded(this.words).split(/\s+/).filter(Boolean);
    const rows = this.tablet.levels.filter((row) => (!this.low || isLow(row)) && wanted.every((word) => folded(`${row.item} ${nameOf(row)}`).includes(word)));
    return rows.sort((a, b) => isLow(b) - isLow(a) || nameOf(a).localeCompare(nameOf(b)));
  }

  level(row) {
    const { reorder_point: least, order_up_to: most, on_order: coming = 0, base_unit } = row.told ?? {};
    const unit = base_unit ?? row.unit;
    return html`<li>
      <div class="grow"><p class="what">${nameOf(row)}</p>
        <p class="quiet">${row.item}${least === null || least === undefined ? nothing : html` · ${t("{least} to {most} wanted", { least: count(least + 1), most: count(most) })}`}</p>
        ${isLow(row) ? html`<p>${status("at_risk", { said: t("low") })}</p>` : nothing}
        ${coming ? html`<p>${status("en_route", { said: t("{n} on the way", { n: count(coming) }) })}</p>` : nothing}</div>
      <p class="quantity">${count(row.qty)}${unit && unit !== "piece" ? html` <span class="quiet">${unit}</span>` : nothing}</p>
    </li>`;
  }

  // ---- to be counted ----

  toCount() {
    const recounts = this.tablet.told.recounts?.value.recounts ?? [];
    if (!recounts.length) return nothing;
    return html`<section class="panel" aria-labelledby="to-count">
      <div class="head"><h2 id="to-count">${t("Please count")}</h2></div>
      <ul>${recounts.map(({ item, name, reason }) => html`<li>
        <div class="grow"><p class="what">${name}</p><p class="quiet">${item} · ${WHY_COUNT[reason]()}</p></div>
        <button class="button" aria-label=${t("Count {name}", { name })} @click=${() => this.tablet.scanning.countItem(item)}>${t("Count")}</button></li>`)}</ul>
    </section>`;
  }

  // ---- on the way ----

  onTheWay() {
    const { orders, boxes, transfers } = this.tablet.told;
    const open = (orders?.value.orders ?? []).filter(({ state }) => !OVER.has(state));
    const lying = boxes?.value.boxes ?? [];
    const handed = (transfers?.value.transfers ?? []).filter(({ to_van, state }) => to_van === this.tablet.van && state === "accepted");
    const nothingComes = !open.length && !lying.length && !handed.length;
    return html`<section class="panel" aria-labelledby="coming">
      <div class="head"><h2 id="coming">${t("On the way")}</h2></div>
      ${nothingComes ? html`<p class="empty">${t("Nothing is on its way to this van.")}</p>` : nothing}
      <ul>
        ${lying.map((box) => this.box(box))}
        ${open.map((order) => this.order(order))}
        ${handed.map(({ from_van, name, qty }) => html`<li><div class="grow"><p class="what">${count(qty)} × ${name}</p>
          <p class="quiet">${t("from {van}, hand to hand", { van: from_van })}</p></div></li>`)}
      </ul>
    </section>`;
  }

  box({ sscc, order, mode, site, units, delivered_ms }) {
    const where = mode === "home" ? t("at home") : mode === "site" ? t("at {site}", { site }) : t("delivered");
    const taken = this.tablet.scans.some((scan) => scan.box === sscc && scan.intent === "receive" && !scan.reversed && scan.state !== "refused");
    return html`<li><div class="grow"><p class="what">${tn("Box with {n} part", "Box with {n} parts", units)} · ${where}</p>
      <p class="quiet">${order} · ${t("since {time}", { time: time(delivered_ms, this.tablet.now()) })} · …${sscc.slice(-6)}</p></div>
      ${taken ? status("waiting", { said: t("received here") })
        : html`<button class="button" aria-label=${t("Receive box {code}", { code: sscc })} @click=${() => this.receive(sscc)}>${t("Receive")}</button>`}</li>`;
  }

  async receive(sscc) {
    const row = await this.tablet.scanning.receive(sscc);
    say(t("The box is received."), { undo: () => this.tablet.scanning.undo(row.seq) });
  }

  order({ code, state, units, lines, due_at_ms, urgent }) {
    return html`<li><div class="grow">
      <p class="what">${tn("{n} part", "{n} parts", units)} · ${tn("{n} line", "{n} lines", lines)}${urgent ? html` · ${t("urgent")}` : nothing}</p>
      <p class="quiet">${code}${due_at_ms ? html` · ${t("due {time}", { time: day(due_at_ms, this.tablet.now()) })}` : nothing}</p></div>
      ${status(state)}</li>`;
  }
}
define("van-stock", Stock);

export const isLow = ({ qty, told }) => told?.reorder_point !== null && told?.reorder_point !== undefined && qty <= told.reorder_point;
const nameOf = ({ item, name, told }) => told?.name ?? name ?? item;
