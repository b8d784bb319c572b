// The strip on top: what is late, at risk, silent, under way and visited. Each figure is a filter.

import { define, html } from "../base/lit.js";
import { count } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { shape, shapeOf } from "../base/status.js";
import { Pane } from "./desk.js";

/** of: the filter's name, the state whose shape and colour it has once it counts any, figure and note of the overview. */
const FIGURES = [
  {
    of: "late", state: "late", label: () => t("Late"), figure: (f) => f.stops_late,
    note: (f) => (f.stops_late ? tn("in {n} van", "in {n} vans", f.vans_late) : t("{n} today", { n: count(f.late_stops_today) })),
  },
  {
    of: "at_risk", state: "at_risk", label: () => t("At risk"), figure: (f) => f.stops_at_risk,
    note: (f) => (f.stops_at_risk ? tn("in {n} van", "in {n} vans", f.vans_at_risk) : t("no stop")),
  },
  { of: "silent", state: "silent", label: () => t("Silent"), figure: (f) => f.vans_silent, note: () => t("no position for 15 min") },
  {
    of: "road", state: "driving", label: () => t("On the road"), figure: (f) => f.vans_on_the_road,
    note: (f) => tn("of {n} van", "of {n} vans", f.vans_total),
  },
  {
    of: "visits", state: "at_site", label: () => t("Visits today"), figure: (f) => f.visits_today,
    note: (_, desk) => t("{n} under way", { n: count((desk.rows("vans") ?? []).filter((van) => van.state === "at_site").length) }),
  },
  {
    of: "unread", state: "unread", label: () => t("Unread"), figure: (_, desk) => desk.unread.reduce((sum, one) => sum + one.unread, 0),
    note: (_, desk) => (desk.unread.length ? tn("of {n} van", "of {n} vans", desk.unread.length) : t("messages")),
  },
];

class Kpis extends Pane {
  render() {
    const overview = this.desk.overview;
    return html`<div class="kpis" role="group" aria-label=${t("Figures of now; each shows its vans alone")}>
      ${FIGURES.map((figure) => this.figure(figure, overview))}
    </div>`;
  }

  figure({ of, state, label, figure, note }, overview) {
    const value = overview ? figure(overview, this.desk) : null;
    return html`<button class="kpi ${value ? state : ""}" data-kpi=${of} aria-pressed=${String(this.desk.show === of)} @click=${() => this.desk.filter(of)}>
      <span class="label">${shape(shapeOf(state))}${label()}</span>
      <span class="value">${count(value)}</span>
      <span class="second">${overview ? note(overview, this.desk) : "\u00a0"}</span>
    </button>`;
  }
}
define("cordee-kpis", Kpis);
