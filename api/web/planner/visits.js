// The latest visits, newest first.

import { asCsv } from "../base/csv.js";
import { define, html, nothing } from "../base/lit.js";
import { duration, NONE, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { twoLines } from "../base/table.js";
import { Pane } from "./desk.js";

/** What is downloaded: the visits of the last month, passes among them. */
const MONTH_MS = 31 * 86_400_000;

class Visits extends Pane {
  render() {
    const codes = this.desk.show ? new Set(this.desk.shown.vans.map((van) => van.code)) : null;
    const visits = this.desk.rows("visits")?.filter((visit) => !codes || codes.has(visit.van)).sort((a, b) => b.arrived_at_ms - a.arrived_at_ms) ?? null;
    return html`<p class="line quiet">${asCsv(`/v1/visits?verdict=any&from_ms=${Math.floor(this.desk.now()) - MONTH_MS}`)}</p>
      <cordee-table .label=${t("Latest visits")} .columns=${columns(this.desk.now())} .rows=${visits} .key=${(v) => `${v.van} ${v.site} ${v.arrived_at_ms}`} .named=${(v) => v.van}
      .empty=${t("No visit yet. One appears when a van stays at a site: a minute where a stop is planned, three elsewhere.")}
      .choosable=${true} @chosen=${(event) => this.desk.choose("site", event.detail.row.site)}></cordee-table>`;
  }
}
define("cordee-visits", Visits);

const columns = (now) => [
  { name: "van", label: t("Van"), sort: (v) => v.van, show: (v) => v.van },
  { name: "site", label: t("Site"), sort: (v) => v.site_name, className: "wide", show: (v) => v.site_name },
  { name: "arrived", label: t("Arrived"), sort: (v) => v.arrived_at_ms, className: "number", show: (v) => time(v.arrived_at_ms, now) },
  { name: "left", label: t("Left"), sort: (v) => v.left_at_ms, className: "number", show: (v) => leftOf(v, now) },
  { name: "dwell", label: t("Stayed"), sort: (v) => v.dwell_s, className: "number", show: (v) => duration(v.dwell_s) },
  { name: "punctuality", label: t("Punctuality"), show: punctualityOf },
];

function leftOf(visit, now) {
  if (visit.left_at_ms === null) return html`<span class="quiet">${t("still there")}</span>`;
  const at = time(visit.left_at_ms, now);
  return visit.uncertain ? html`<span title=${t("Positions leave more than five minutes open")}>≈ ${at}</span>` : at;
}

function punctualityOf(visit) {
  const notes = [visit.wrong_order && t("wrong order"), visit.overstayed && t("overstayed")].filter(Boolean).join(", ");
  return twoLines(visit.punctuality ? status(visit.punctuality) : NONE, notes || nothing);
}
