// The warehouse's page: what has to leave and when, on a board; one order beside it, to be picked by
// scanning, packed and shipped; what is lacking; what waits.
//
// The board is asked for whenever the live view says that orders have changed, and every half minute.

import { Again } from "../base/again.js";
import { asCsv } from "../base/csv.js";
import { Part, define, html, nothing, repeat } from "../base/lit.js";
import { count } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { read } from "../base/session.js";
import { open, say } from "../base/shell.js";
import { status } from "../base/status.js";
import { wedge } from "../base/wedge.js";
import "./order.js";
import { MODES, dueOf, dueText, urgencyOf } from "./orders.js";
import "./shortages.js";

const AGAIN_MS = 30_000;
const ORDERS_MAX = 500;

/** The columns of the board; each order is in the first that takes it. */
const COLUMNS = [
  { name: "received", title: () => t("Received"), takes: (order) => order.state === "received", late: false },
  { name: "shipped", title: () => t("Shipped"), takes: (order) => order.state === "shipped", late: false },
  { name: "packed", title: () => t("Picked, to be packed"), takes: (order) => order.picked > 0 && order.picked >= order.units - order.cancelled, late: true },
  { name: "picking", title: () => t("Picking"), takes: (order) => order.accepted || order.picked > 0, late: true },
  { name: "new", title: () => t("New"), takes: (order) => order.state !== "cancelled", late: true },
];
const SHOWN = [...COLUMNS].reverse();

const VIEWS = {
  board: () => t("Orders"),
  shortages: () => t("Shortages"),
  waiting: () => t("Waiting"),
};

class Warehouse extends Part {
  static properties = {
    who: { attribute: false }, now: { attribute: false }, orders: { state: true },
    chosen: { state: true }, view: { state: true }, warehouse: { state: true },
  };

  again = new Again(this, AGAIN_MS, () => this.ask(), { first: false });

  constructor() {
    super();
    this.basis = "";
    this.readAddress();
    addEventListener("hashchange", () => this.readAddress());
  }

  connectedCallback() {
    super.connectedCallback();
    wedge(([code]) => this.scanned(code));
  }

  readAddress() {
    const address = new URLSearchParams(location.hash.slice(1));
    this.chosen = address.get("order");
    this.view = address.get("view") in VIEWS ? address.get("view") : "board";
    this.warehouse = address.get("warehouse") ?? "";
  }

  /** Opens an order; whoever chose it by a key is in it then. */
  async choose(order, event) {
    this.go({ chosen: order.code });
    if (event.detail > 0) return; // a mouse counts its clicks
    await new Promise((shown) => addEventListener("hashchange", shown, { once: true }));
    await this.updateComplete;
    const panel = this.querySelector("cordee-order");
    await panel?.updateComplete;
    panel?.querySelector("h2").focus();
  }

  /** Closes the order, and goes back to its card. */
  left() {
    const { chosen } = this;
    this.querySelector(`[data-order="${CSS.escape(chosen)}"]`)?.focus();
    this.go({ chosen: null });
  }

  go(change) {
    const { chosen: order, view, warehouse } = { chosen: this.chosen, view: this.view, warehouse: this.warehouse, ...change };
    const wanted = Object.entries({ order, view: view === "board" ? null : view, warehouse }).filter(([, value]) => value);
    location.hash = new URLSearchParams(wanted).toString();
  }

  /** Called with the live view: asks again if orders have changed. */
  follow(view, now) {
    this.now = now;
    const basis = JSON.stringify(view?.orders ?? null);
    if (basis === this.basis) return;
    this.basis = basis;
    this.again.now();
  }

  async ask() {
    const { orders, total } = await read(`/v1/orders?limit=${ORDERS_MAX}`);
    Object.assign(this, { orders, total });
  }

  /** A code that was scanned where no order is open: the order that it names, or whose box it is. */
  scanned(code) {
    if (this.querySelector("cordee-order")?.scanned(code)) return;
    const order = this.orders?.find((one) => one.code === code);
    if (order) this.go({ chosen: order.code, view: "board" });
    else say(t("{code} is no order here. Choose an order first.", { code }));
  }

  render() {
    const all = this.orders?.filter((order) => !this.warehouse || order.warehouse === this.warehouse) ?? null;
    const warehouses = [...new Set(this.orders?.map((order) => order.warehouse))].sort();
    return html`
      <div class="line" role="toolbar" aria-label=${t("What to show")}>
        ${Object.entries(VIEWS).map(([name, title]) => html`<button class="button" aria-pressed=${String(this.view === name)}
          @click=${() => this.go({ view: name })}>${title()}</button>`)}
        ${warehouses.length > 1 ? html`<label>${t("Warehouse")}
          <select @change=${(event) => this.go({ warehouse: event.target.value })}>
            <option value="">${t("All")}</option>
            ${warehouses.map((code) => html`<option ?selected=${code === this.warehouse}>${code}</option>`)}
          </select></label>` : nothing}
        ${asCsv("/v1/orders")} ${asCsv("/v1/order-lines", t("Order lines as CSV"))}
      </div>
      ${this.again.said()}
      ${this.view === "board" ? this.board(all) : html`<cordee-shortages .what=${this.view} .who=${this.who} .now=${this.now}></cordee-shortages>`}`;
  }

  board(all) {
    if (all === null) return html`<p class="empty">${t("Waiting for the first data…")}</p>`;
    const lanes = new Map(SHOWN.map((column) => [column, []]));
    for (const order of all) {
      const column = COLUMNS.find((one) => one.takes(order));
      if (column) lanes.get(column).push(order);
    }
    if (all.length === 0) {
      return html`<p class="empty">${t("No order waits here. Orders come at each cut-off; what the next one will ask for is under Waiting.")}</p>`;
    }
    const order = all.find((one) => one.code === this.chosen);
    const [n, beyond] = [this.orders.length, this.total > this.orders.length];
    return html`${beyond ? html`<p role="status">${t("The board has the newest {n} of {all} orders; the CSV has all.", { n: count(n), all: count(this.total) })}</p>` : nothing}
    <div class="desk ${order ? "with-order" : ""}">
      <div class="board">${SHOWN.map((column) => this.lane(column, lanes.get(column)))}</div>
      ${order ? html`<cordee-order class="panel" .order=${order} .who=${this.who} .now=${this.now}
        @left=${this.left} @keydown=${(event) => event.key === "Escape" && this.left()} @changed=${() => this.again.now()}></cordee-order>` : nothing}
    </div>`;
  }

  lane(column, orders) {
    const name = column.title();
    const urgent = (a, b) => b.urgent - a.urgent || dueOf(a) - dueOf(b) || (a.code < b.code ? -1 : 1);
    // What is done is only worth a look while it is fresh: the newest first.
    const sorted = column.late ? orders.sort(urgent) : orders.sort((a, b) => dueOf(b) - dueOf(a));
    return html`<section class="lane" aria-label=${name}>
      <h2>${name} <span class="quiet">${count(orders.length)}</span></h2>
      ${orders.length === 0 ? html`<p class="quiet">${t("None.")}</p>` : nothing}
      <ul>${repeat(sorted.slice(0, 100), (order) => order.code, (order) => html`<li>${this.card(order, column)}</li>`)}</ul>
      ${orders.length > 100 ? html`<p class="quiet">${tn("and {n} more", "and {n} more", orders.length - 100)}</p>` : nothing}
    </section>`;
  }

  card(order, column) {
    const urgency = column.late ? urgencyOf(order, this.now) : null;
    return html`<button data-order=${order.code} class="order ${order.code === this.chosen ? "selected" : ""} ${urgency ?? ""}"
      aria-pressed=${String(order.code === this.chosen)} @click=${(event) => this.choose(order, event)}>
      <b>${order.van ?? order.code}</b>${order.urgent ? html` <span class="tag">${t("urgent")}</span>` : nothing}
      <span class="second">${MODES[order.mode]()} · ${tn("{n} line", "{n} lines", order.lines)}, ${tn("{n} unit", "{n} units", order.units)}</span>
      <span class="second">${dueText(order, this.now)}</span>
      ${urgency ? status(urgency, { said: urgency === "late" ? t("overdue") : t("due soon") }) : nothing}
      ${order.state === "proposed" ? status("proposed", { said: t("waits for approval") }) : nothing}
      ${order.picked > 0 && column.name === "picking" ? html`<progress max=${order.units - order.cancelled} value=${order.picked}
        aria-label=${t("{n} of {all} picked", { n: order.picked, all: order.units })}></progress>` : nothing}
    </button>`;
  }
}
define("cordee-warehouse", Warehouse);

open("warehouse", ({ who, live, main }) => {
  const page = new Warehouse();
  page.who = who;
  page.now = live.now();
  main.append(page);
  return () => page.follow(live.view, live.now());
});
