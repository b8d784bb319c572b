// One order: where each line lies, confirmed by scanning, short with a reason; then boxes, each with its
// number and label; then away. What is picked and not yet reported is kept in this browser.

import { Part, define, html, nothing, repeat } from "../base/lit.js";
import { count, nameOf, time } from "../base/format.js";
import { language, t, tn } from "../base/i18n.js";
import { change, read } from "../base/session.js";
import { say } from "../base/shell.js";
import { shape, status } from "../base/status.js";
import { askInDialog } from "../base/dialog.js";
import { MODES, dueText } from "./orders.js";
import { inputsOf, whyOf } from "./why.js";

const REASONS = {
  not_there: () => t("not in its bin"),
  damaged: () => t("damaged"),
  expired: () => t("expired"),
  fewer: () => t("fewer than booked"),
  other: () => t("another reason"),
};

const OVER = new Set(["shipped", "received", "cancelled"]);
const REPORTS = {
  accepted: () => t("begun"),
  picked: () => t("picked"),
  short: () => t("short"),
  shipped: () => t("shipped"),
  delivered: () => t("delivered"),
  cancelled: () => t("cancelled"),
};
const keyOf = (order) => `cordee.picking.${order}`;

export class Order extends Part {
  static properties = {
    order: { attribute: false }, who: { attribute: false }, now: { attribute: false },
    found: { state: true }, picks: { state: true }, last: { state: true }, problem: { state: true }, busy: { state: true },
  };

  constructor() {
    super();
    this.problem = "";
  }

  willUpdate(changed) {
    const before = changed.get("order");
    if (!changed.has("order")) return;
    if (before?.code !== this.order.code) {
      Object.assign(this, { found: null, last: null, problem: "", picks: kept(this.order.code) });
    }
    if (JSON.stringify(before) !== JSON.stringify(this.order)) this.read();
  }

  async read() {
    const { code } = this.order;
    try {
      const found = await read(`/v1/orders/${encodeURIComponent(code)}`);
      if (code !== this.order.code) return;
      this.found = { ...found, lines: inBinOrder(found.lines) };
      this.problem = "";
    } catch (problem) {
      this.problem = problem.message;
    }
  }

  /** What is picked of a line, reported or not. */
  pickedOf(line) {
    return Math.max(line.picked, this.picks[line.item]?.qty ?? 0);
  }

  leftOf(line) {
    return Math.max(0, line.requested - line.cancelled - this.pickedOf(line));
  }

  keep(item, change) {
    this.picks = { ...this.picks, [item]: { ...this.picks[item], ...change } };
    localStorage.setItem(keyOf(this.order.code), JSON.stringify(this.picks));
  }

  /** Takes a scanned code if it is of this order; returns whether it was. */
  scanned(code) {
    if (!this.found || OVER.has(this.order.state) || !this.mayReport()) return false;
    const line = this.found.lines.find((one) => one.item === code || code in one.codes);
    if (!line) {
      this.last = { problem: t("{code} is not on this order. Put it back.", { code }) };
      return true;
    }
    const qty = line.codes[code] ?? 1;
    if (qty > this.leftOf(line)) {
      this.last = { line, problem: t("{name}: all {n} are picked already. Put it back.", { name: line.name, n: count(this.pickedOf(line)) }) };
      return true;
    }
    this.keep(line.item, { qty: this.pickedOf(line) + qty });
    this.last = { line, said: t("{name}: {n} of {all}", { name: line.name, n: count(this.pickedOf(line)), all: count(line.requested - line.cancelled) }) };
    return true;
  }

  mayReport() {
    return this.who.role === "warehouse" || this.who.role === "admin";
  }

  render() {
    const { order } = this;
    return html`
      <div class="head">
        <h2 tabindex="-1">${order.van ?? ""} <span class="quiet">${order.code}</span></h2>
        ${status(order.state)}
        <button class="button bare" aria-label=${t("Close")} @click=${() => this.dispatchEvent(new CustomEvent("left"))}>×</button>
      </div>
      <div class="body">
        <p class="about">${MODES[order.mode]()}${order.site ? html` ${order.site}` : nothing} · ${dueText(order, this.now)}
          · <a href="/v1/orders/${encodeURIComponent(order.code)}/pick-list.pdf?lang=${language}" target="_blank">${t("Pick list (PDF)")}</a>
          · <a href="/v1/orders/${encodeURIComponent(order.code)}/pick-list.csv" download>${t("as a table")}</a></p>
        ${this.problem ? html`<p class="problem" role="alert">${this.problem}</p>` : nothing}
        ${this.found ? html`${this.steps()}${this.lines()}${this.history()}` : html`<p class="empty">${t("Reading…")}</p>`}
      </div>`;
  }

  /** What is to be done next, as one button where one is enough. */
  steps() {
    const { order } = this;
    if (order.state === "proposed") {
      return html`<p class="actions"><button class="button primary" ?disabled=${this.busy} @click=${this.approve}>${t("Approve")}</button></p>`;
    }
    if (OVER.has(order.state) || !this.mayReport()) return nothing;
    const left = this.found.lines.reduce((sum, line) => sum + this.leftOf(line), 0);
    const picked = this.found.lines.some((line) => this.pickedOf(line) > line.shipped);
    return html`
      <div class="scan ${this.last?.problem ? "wrong" : ""}" role="status" aria-live="assertive">
        ${this.last ? this.last.problem ?? this.last.said : t("Scan what you pick: the scanner works wherever you are on this page.")}
      </div>
      <p class="actions">
        ${order.accepted ? nothing : html`<button class="button" ?disabled=${this.busy} @click=${() => this.report("accepted")}>${t("Begin picking")}</button>`}
        ${this.unreported() ? html`<button class="button ${left ? "" : "primary"}" ?disabled=${this.busy} @click=${this.reportPicked}>
          ${left ? tn("Report what is picked; {n} is left", "Report what is picked; {n} are left", left) : t("All is picked: report it")}</button>` : nothing}
        ${picked ? html`<button class="button ${this.unreported() ? "" : "primary"}" ?disabled=${this.busy} @click=${this.pack}>${t("Pack a box and ship it")}</button>` : nothing}
      </p>`;
  }

  unreported() {
    return this.found.lines.some((line) => (this.picks[line.item]?.qty ?? 0) > line.picked || this.picks[line.item]?.short);
  }

  lines() {
    return html`<table>
      <thead><tr><th scope="col">${t("Bin")}</th><th scope="col">${t("Item")}</th>
        <th scope="col" class="number">${t("Asked for")}</th><th scope="col" class="number">${t("Picked")}</th><th></th></tr></thead>
      ${repeat(this.found.lines, (line) => line.item, (line) => this.line(line))}
    </table>`;
  }

  line(line) {
    const left = this.leftOf(line);
    const short = this.picks[line.item]?.short;
    const open = !OVER.has(this.order.state) && this.mayReport() && this.order.state !== "proposed";
    return html`<tbody data-key=${line.item} class=${this.last?.line?.item === line.item ? "selected" : ""}><tr class=${left ? "" : "done"}>
      <td>${line.bin ?? "–"}</td>
      <th scope="row" class="wide">${line.name}<span class="second">${line.item}${line.instead_of ? html` · ${t("instead of {item}", { item: line.instead_of })}` : nothing}</span>
        <details><summary>${t("Why this line?")}</summary>
          <p>${whyOf(line)}</p>
          <dl>${inputsOf(line).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
        </details></th>
      <td class="number">${count(line.requested)}${line.allocated !== null && line.allocated < line.requested
        ? html`<span class="second">${t("{n} in stock", { n: count(line.allocated) })}</span>` : nothing}
        ${line.cancelled ? html`<span class="second">${t("{n} cancelled", { n: count(line.cancelled) })}</span>` : nothing}</td>
      <td class="number">${left ? nothing : shape("check")} ${count(this.pickedOf(line))}${short ? html`<span class="second">${REASONS[short.reason]()}</span>` : nothing}
        ${line.shipped ? html`<span class="second">${t("{n} shipped", { n: count(line.shipped) })}</span>` : nothing}</td>
      <td class="number">${open ? html`
        <button class="button" aria-label=${t("One less of {name}", { name: line.name })} ?disabled=${this.pickedOf(line) <= line.picked}
          @click=${() => this.keep(line.item, { qty: this.pickedOf(line) - 1 })}>−</button>
        <button class="button" aria-label=${t("One more of {name}", { name: line.name })} ?disabled=${left === 0}
          @click=${() => this.keep(line.item, { qty: this.pickedOf(line) + 1 })}>+</button>
        <button class="button" ?disabled=${left === 0} @click=${() => this.short(line)}>${t("Short…")}</button>` : nothing}</td>
    </tr></tbody>`;
  }

  history() {
    if (this.found.reports.length === 0) return nothing;
    return html`<h3>${t("What was reported")}</h3>
      <ul class="history">${this.found.reports.map((report) => html`<li>
        ${time(report.t_ms, this.now)} ${REPORTS[report.kind]()} ${nameOf(report.posted_by) ?? report.author ?? ""}
        ${report.sscc ? html` · <a href="/v1/orders/${encodeURIComponent(this.order.code)}/boxes/${report.sscc}.pdf?lang=${language}" target="_blank">${t("label of box {sscc}", { sscc: report.sscc })}</a>` : nothing}
        ${report.counts ? nothing : html` <b>${t("does not count: its number came twice with different contents")}</b>`}
      </li>`)}</ul>`;
  }

  async short(line) {
    const left = this.leftOf(line);
    const short = await askInDialog({
      title: t("{name} is short", { name: line.name }),
      content: html`
        <p>${tn("{n} is missing.", "{n} are missing.", left)}</p>
        <label class="field">${t("Why")}<select name="reason">${Object.entries(REASONS).map(([value, said]) => html`<option value=${value}>${said()}</option>`)}</select></label>
        <label><input type="radio" name="backorder" value="yes" checked> ${t("It will still come")}</label>
        <label><input type="radio" name="backorder" value=""> ${t("It will not: cancel it")}</label>`,
      action: t("Note it"),
      act: (data) => ({ qty: left, reason: data.get("reason"), backorder: data.get("backorder") === "yes" }),
    });
    if (short) this.keep(line.item, { short });
  }

  async act(work, said) {
    this.busy = true;
    this.problem = "";
    try {
      await work();
      if (said) say(said);
      this.dispatchEvent(new CustomEvent("changed"));
      return true;
    } catch (problem) {
      this.problem = problem.message;
      return false;
    } finally {
      this.busy = false;
    }
  }

  approve() {
    return this.act(() => change("POST", `${this.path()}/approval`), t("Approved: the order is sent."));
  }

  path() {
    return `/v1/orders/${encodeURIComponent(this.order.code)}`;
  }

  /** Reports go the way of all messages, and show on the order a moment later. */
  report(kind, more = {}) {
    return this.act(() => this.post(kind, more), { accepted: t("Begun.") }[kind]);
  }

  post(kind, more) {
    return change("POST", `${this.path()}/reports`, { id: crypto.randomUUID(), kind, ...more });
  }

  async reportPicked() {
    const picked = this.found.lines
      .map((line) => ({ item: line.item, qty: this.pickedOf(line) })).filter((line) => line.qty > 0);
    const short = this.found.lines
      .filter((line) => this.picks[line.item]?.short)
      .map((line) => ({ item: line.item, ...this.picks[line.item].short }));
    const done = await this.act(async () => {
      if (picked.length) await this.post("picked", { lines: picked });
      if (short.length) await this.post("short", { lines: short });
    }, t("Reported."));
    if (done) this.forgetShort();
  }

  forgetShort() {
    for (const item of Object.keys(this.picks)) this.keep(item, { short: undefined });
  }

  /** Gives a box its number, offers its label, and ships it when its label was scanned or it is said so. */
  async pack() {
    const lines = this.found.lines
      .map((line) => ({ item: line.item, name: line.name, qty: this.pickedOf(line) - line.shipped })).filter((line) => line.qty > 0);
    let sscc;
    if (!(await this.act(async () => ({ sscc } = await change("POST", `${this.path()}/boxes`))))) return;
    const label = `${this.path()}/boxes/${sscc}.pdf?lang=${language}`;
    const shipped = await askInDialog({
      title: t("A box for {van}", { van: this.order.van ?? this.order.code }),
      content: html`
        <p>${t("Its number is {sscc}.", { sscc })} <a href=${label} target="_blank">${t("Print its label")}</a></p>
        <ul>${lines.map((line) => html`<li>${t("{n} × {item} {name}", { ...line, n: count(line.qty) })}</li>`)}</ul>`,
      action: t("It is packed: ship it"),
      act: async () => {
        if (this.unreported()) {
          await this.post("picked", { lines: lines.map(({ item }) => ({ item, qty: this.pickedOf(this.found.lines.find((line) => line.item === item)) })) });
        }
        await this.post("shipped", { sscc, lines: lines.map(({ item, qty }) => ({ item, qty })) });
        return true;
      },
    });
    if (!shipped) return;
    say(t("Box {sscc} is on its way.", { sscc }));
    this.dispatchEvent(new CustomEvent("changed"));
  }
}
define("cordee-order", Order);

/** By bin, as one walks; what has none last. Numbers within names count as numbers. */
const inBinOrder = (lines) => [...lines].sort((a, b) =>
  (a.bin === null) - (b.bin === null) || (a.bin ?? "").localeCompare(b.bin ?? "", "en", { numeric: true }) || a.item.localeCompare(b.item));

function kept(code) {
  try {
    return JSON.parse(localStorage.getItem(keyOf(code))) ?? {};
  } catch {
    return {};
  }
}
