// The vans as a table: all that the map shows, for who cannot see it, or has none.

import { define, html, nothing } from "../base/lit.js";
import { duration, kmh, NONE, place, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { twoLines } from "../base/table.js";
import { Pane } from "./desk.js";
import { etaOf, stopOf } from "./words.js";

export class Vans extends Pane {
  render() {
    const waiting = this.desk.rows("vans") === null;
    const vans = this.desk.shown.vans;
    return html`<cordee-table .label=${t("Vans")} .columns=${this.columns()} .rows=${waiting ? null : vans} .selected=${this.desk.subject.van}
      .empty=${this.desk.show ? t("No van is so just now.") : t("No van is known yet. Import vans; each appears here, and moves with its first position.")}
      .choosable=${true} @chosen=${(event) => this.desk.choose("van", event.detail.row.code)}></cordee-table>`;
  }

  updated() {
    const { van } = this.desk.subject;
    if (van !== this.revealed) this.querySelector("cordee-table")?.reveal((this.revealed = van) ?? "");
  }

  columns() {
    const now = this.desk.now();
    return [
      { name: "van", label: t("Van"), sort: (v) => v.code, show: (v) => twoLines(v.code, v.technician ?? v.name) },
      { name: "state", label: t("State"), sort: (v) => v.state, className: "some", show: (v) => twoLines(status(v.state), v.site?.name ?? (v.last_fix ? place(v.last_fix) : "")) },
      { name: "next", label: t("Next stop"), className: "wide", show: (v) => nextOf(v) },
      { name: "eta", label: t("Expected"), className: "number", sort: (v) => v.next_stop?.eta?.expected_at_ms, show: (v) => expectedOf(v, now) },
      { name: "speed", label: t("km/h"), className: "number", sort: (v) => v.last_fix?.speed_mps, show: (v) => kmh(v.last_fix?.speed_mps) },
      { name: "fix", label: t("Last position"), className: "number", sort: (v) => v.last_fix?.t_ms, show: (v) => (v.last_fix ? t("{age} ago", { age: duration((now - v.last_fix.t_ms) / 1_000) }) : NONE) },
    ];
  }
}
define("cordee-vans", Vans);

function nextOf({ next_stop: next }) {
  if (!next) return NONE;
  return twoLines(stopOf(next.stop, next.site_name), next.alert ? status(next.alert) : nothing);
}

function expectedOf({ next_stop: next }, now) {
  if (!next) return NONE;
  return twoLines(etaOf(next.eta, now), t("window to {time}", { time: time(next.window_end_ms, now) }));
}
