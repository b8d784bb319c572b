// What is lacking and who could help out; and what waits for somebody: boxes nobody has received, counts
// that surprised, parts of proposals that nobody has confirmed.

import { Again } from "../base/again.js";
import { asCsv } from "../base/csv.js";
import { Part, define, html, nothing } from "../base/lit.js";
import { count, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { change, read } from "../base/session.js";
import { say } from "../base/shell.js";
import "../base/table.js";
import { twoLines } from "../base/table.js";
import { whyOf } from "./why.js";

const AGAIN_MS = 30_000;

class Shortages extends Part {
  static properties = { what: { attribute: false }, who: { attribute: false }, now: { attribute: false }, found: { state: true } };
  again = new Again(this, AGAIN_MS, () => this.ask(), { first: false });

  willUpdate(changed) {
    if (changed.has("what")) this.again.now();
  }

  async ask() {
    const [{ proposals }, { transfers }, { boxes }, { variances }] = await Promise.all(
      ["/v1/proposals?limit=2000", "/v1/transfers?limit=200", "/v1/boxes/unclaimed", "/v1/counts/variances"].map((url) => read(url)),
    );
    this.found = { proposals, transfers, boxes, variances };
  }

  render() {
    const found = this.found ?? {};
    const panel = (title, rows, columns, key, empty, detail) => html`<section class="panel" aria-label=${title}>
      <div class="head"><h2>${title}</h2></div>
      <div class="body"><cordee-table .columns=${columns} .rows=${rows ?? null} .key=${key} .named=${key} .empty=${empty} .detail=${detail}></cordee-table></div></section>`;
    const problem = this.again.said();
    if (this.what === "shortages") {
      return html`${problem}<div class="halves">
        ${panel(t("Jobs need it before the next delivery"), found.proposals?.filter((one) => one.short > 0), this.lacking(),
          (one) => `${one.van} ${one.item}`, t("No job lacks a part."), (one) => html`<p>${whyOf(one)}</p>`)}
        ${panel(t("From van to van"), found.transfers, this.transfers(), (one) => String(one.transfer_id),
          t("No van has to help another."), (one) => html`<p>${whyOf(one)}</p>`)}</div>
        <p>${asCsv("/v1/stock/missing", t("Parts that jobs lacked in the last 30 days, as CSV"))}</p>`;
    }
    return html`${problem}<div class="halves">
      ${panel(t("Not ordered until somebody counts or confirms"), found.proposals?.filter((one) => one.waits && !one.approved_by), this.waiting(),
        (one) => `${one.van} ${one.item}`, t("Nothing waits."), (one) => html`<p>${whyOf(one)}</p>`)}
      ${panel(t("Boxes that nobody has received"), found.boxes, this.boxes(), (one) => one.sscc, t("Every box that was left somewhere has been received."))}
      ${panel(t("Counts that differ from what was booked, today"), found.variances, this.variances(),
        (one) => `${one.t_ms} ${one.van} ${one.item} ${one.lot}`, t("No count has differed today."))}</div>`;
  }

  lacking() {
    return [
      { name: "van", label: t("Van"), show: (one) => one.van, sort: (one) => one.van },
      { name: "item", label: t("Item"), show: (one) => twoLines(one.name, one.item), className: "wide" },
      { name: "short", label: t("Lacking"), show: (one) => count(one.short), sort: (one) => one.short, className: "number" },
      { name: "qty", label: t("To be ordered"), show: (one) => count(one.qty), className: "number" },
    ];
  }

  waiting() {
    return [
      { name: "van", label: t("Van"), show: (one) => one.van, sort: (one) => one.van },
      { name: "item", label: t("Item"), show: (one) => twoLines(one.name, one.item), className: "wide" },
      { name: "qty", label: t("To be ordered"), show: (one) => count(one.qty), className: "number" },
      { name: "confirm", label: "", show: (one) => html`<button class="button" @click=${(event) => this.confirm(event, one)}>${t("Order it all the same")}</button>` },
    ];
  }

  transfers() {
    const decides = this.who.role === "planner" || this.who.role === "admin";
    const states = { proposed: () => t("proposed"), accepted: () => t("accepted"), refused: () => t("refused"), done: () => t("done"), expired: () => t("too late") };
    return [
      { name: "from", label: t("From"), show: (one) => one.from_van },
      { name: "to", label: t("To"), show: (one) => twoLines(one.to_van, one.work_order) },
      { name: "item", label: t("Item"), show: (one) => twoLines(`${count(one.qty)} × ${one.name}`, one.item), className: "wide" },
      { name: "until", label: t("Until"), show: (one) => time(one.until_ms, this.now), sort: (one) => one.until_ms, className: "number" },
      { name: "state", label: t("State"), show: (one) => states[one.state]?.() ?? one.state },
      ...(decides ? [{ name: "decide", label: "", show: (one) => one.state !== "proposed" ? nothing : html`
        <button class="button" @click=${(event) => this.decide(event, one, true)}>${t("Accept")}</button>
        <button class="button" @click=${(event) => this.decide(event, one, false)}>${t("Refuse")}</button>` }] : []),
    ];
  }

  boxes() {
    return [
      { name: "van", label: t("For"), show: (one) => twoLines(one.van, one.technician) },
      { name: "where", label: t("Where"), show: (one) => one.mode === "home" ? t("at home") : one.site ?? "", className: "wide" },
      { name: "since", label: t("Since"), show: (one) => time(one.delivered_ms, this.now), sort: (one) => one.delivered_ms, className: "number" },
      { name: "units", label: t("Units"), show: (one) => count(one.units), className: "number" },
      { name: "box", label: t("Box"), show: (one) => one.sscc },
    ];
  }

  variances() {
    return [
      { name: "where", label: t("Where"), show: (one) => one.van ?? one.warehouse },
      { name: "item", label: t("Item"), show: (one) => twoLines(one.name, one.item), className: "wide" },
      { name: "booked", label: t("Booked"), show: (one) => count(one.expected), className: "number" },
      { name: "counted", label: t("Counted"), show: (one) => count(one.counted), className: "number" },
      { name: "variance", label: t("Difference"), show: (one) => count(one.variance), sort: (one) => Math.abs(one.variance), className: "number" },
    ];
  }

  async confirm(event, { van, item }) {
    event.stopPropagation();
    await this.act(() => change("POST", `/v1/proposals/${encodeURIComponent(van)}/${encodeURIComponent(item)}/approval`), t("It will be ordered at the next cut-off."));
  }

  async decide(event, transfer, accept) {
    event.stopPropagation();
    const said = accept ? t("Both technicians are told.") : t("It is ordered instead.");
    await this.act(() => change("POST", `/v1/transfers/${transfer.transfer_id}/decision`, { accept }), said);
  }

  async act(work, said) {
    try {
      await work();
      say(said);
      await this.again.now();
    } catch (problem) {
      say(problem.message);
    }
  }
}
define("cordee-shortages", Shortages);
