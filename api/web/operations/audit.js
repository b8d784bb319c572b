// What operators did by hand in the last month, and to what.

import { Again } from "../base/again.js";
import { asCsv } from "../base/csv.js";
import { Part, define, html } from "../base/lit.js";
import { longDay, nameOf, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { read } from "../base/session.js";
import "../base/table.js";

const AGAIN_MS = 60_000;
const ACTIONS = {
  replay: () => t("sent again"),
  discard: () => t("discarded"),
  map_code: () => t("entered a code"),
  resend: () => t("delivery sent again"),
};

class Audit extends Part {
  static properties = { actions: { state: true } };

  again = new Again(this, AGAIN_MS, () => this.ask());

  async ask() {
    this.actions = (await read("/v1/audit?limit=1000")).actions;
  }

  render() {
    return html`${this.again.said()}<section class="panel" aria-label=${t("Who did what")}>
      <div class="head"><h2>${t("Who did what, last 31 days")}</h2>${asCsv("/v1/audit")}</div>
      <cordee-table .columns=${COLUMNS} .rows=${this.actions ?? null} .key=${(one) => `${one.done_ms} ${one.subject} ${one.action}`}
        .empty=${t("Nobody has sent again, discarded or entered anything by hand.")}></cordee-table></section>`;
  }
}
define("cordee-audit", Audit);

const COLUMNS = [
  { name: "when", label: t("When"), show: (one) => `${longDay(one.done_ms)}, ${time(one.done_ms, one.done_ms)}`, sort: (one) => one.done_ms },
  { name: "who", label: t("Who"), show: (one) => nameOf(one.done_by), sort: (one) => one.done_by },
  { name: "what", label: t("What"), show: (one) => ACTIONS[one.action]() },
  { name: "to", label: t("To what"), show: (one) => html`<code>${one.subject}</code> ${one.detail}`, className: "wide" },
];
