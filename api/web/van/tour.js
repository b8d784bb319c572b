// The third tab: where to go, when, with what. Nobody has to say "I am here": visits come from positions.

import { define, html, listed, nothing } from "../base/lit.js";
import { count, duration, fullDay, range, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { status } from "../base/status.js";
import { VanPart, icon } from "./part.js";
import { wayTo } from "./maps.js";
import { preferences } from "./preferences.js";
import "./report.js";

class Tour extends VanPart {
  static properties = { report: {} };

  render() {
    const { today, days } = this.tablet;
    const stop = this.report && days.flatMap(({ stops }) => stops).find(({ stop_id }) => String(stop_id) === this.report);
    if (this.report && stop) return html`<van-report .tablet=${this.tablet} .stop=${stop}></van-report>`;
    const known = this.tablet.told.day;
    return html`<div class="tour">
      <section aria-labelledby="today"><h2 id="today">${t("Today")}</h2>
        ${today.length ? html`<ol>${today.map((one) => this.stop(one, today))}</ol>`
          : html`<p class="empty">${known ? t("No tour is planned for this van today.") : t("The tour is not known yet: it comes with the first connection.")}</p>`}
      </section>
      ${days.filter((one) => !one.isToday).map(({ date, stops }) => html`<details class="panel later"><summary>${fullDay(Date.parse(`${date}T12:00Z`))} · ${tn("{n} stop", "{n} stops", stops.length)}</summary>
        <ol>${stops.map((one) => this.stop(one, stops))}</ol></details>`)}
    </div>`;
  }

  stop(stop, tour) {
    const now = this.tablet.now();
    const ahead = stop.outcome === "planned" || stop.outcome === "on_site";
    const said = stateOf(stop, stop === tour.find(({ outcome }) => outcome === "planned"));
    const way = ahead && wayTo(stop, preferences().map);
    return html`<li class="card stop ${said}">
      <div class="head"><h3>${stop.stop}. ${stop.site_name}</h3>${status(said, { over: !ahead })}</div>
      <p class="quiet">${listed(html`<strong>${range(stop.window_start_ms, stop.window_end_ms, now)}</strong>`, ...about(stop))}</p>
      ${this.when(stop, now)}
      ${ahead ? this.needs(stop) : nothing}
      <p class="actions">
        ${way ? html`<a class="button" href=${way} target="_blank" rel="noreferrer">${icon("tour")}<span>${t("Way there")}</span></a>` : nothing}
        ${ahead && stop.work_order ? html`<button class="button" @click=${() => this.useParts(stop)}>${icon("issue")}<span>${t("Use parts")}</span></button>` : nothing}
        ${this.reported(stop)}
      </p></li>`;
  }

  when(stop, now) {
    if (stop.left_at_ms) return html`<p class="quiet">${t("there {range}", { range: range(stop.arrived_at_ms, stop.left_at_ms, now) })}</p>`;
    if (stop.arrived_at_ms) return html`<p class="quiet">${t("there since {time}", { time: time(stop.arrived_at_ms, now) })}</p>`;
    if (!stop.eta || stop.outcome !== "planned") return nothing;
    const { early_at_ms, late_at_ms, chance_late } = stop.eta;
    return html`<p>${t("You will be there {range}", { range: range(early_at_ms, late_at_ms, now) })}${chance_late >= 0.5 ? html` · ${status("at_risk", { said: t("probably late") })}` : nothing}</p>`;
  }

  /** What the job needs, and whether it is on board. */
  needs({ parts }) {
    const needed = Object.entries(parts ?? {});
    if (!needed.length) return nothing;
    const held = new Map(this.tablet.levels.map(({ item, qty }) => [item, qty]));
    return html`<ul class="needs" aria-label=${t("Parts for this job")}>${needed.map(([item, n]) => {
      const enough = (held.get(item) ?? 0) >= n;
      return html`<li><span class="grow">${count(n)} × ${this.tablet.catalogue.named(item).name}</span>
        ${enough ? status("on_board") : status("missed", { said: t("{n} on board", { n: count(held.get(item) ?? 0) }) })}</li>`;
    })}</ul>`;
  }

  async useParts({ work_order }) {
    await this.tablet.scanning.choose("issue");
    this.tablet.scanning.set({ job: work_order });
    location.hash = "scan";
  }

  reported(stop) {
    if (stop.outcome === "planned" && !stop.arrived_at_ms) return nothing;
    const state = this.tablet.reportOf(stop)?.state;
    const said = { waiting: t("report not sent yet"), refused: t("report refused"), saved: t("report sent") }[state];
    return html`<a class="button ${state ? "" : "primary"}" href="#report/${stop.stop_id}">${icon("pen")}<span>${state ? t("Correct the report") : t("Report")}</span></a>
      ${state ? status(state, { said }) : nothing}`;
  }
}
define("van-tour", Tour);

/** How long the work is, its order and its trade. */
const about = ({ planned_duration_s, work_order, skill }) =>
  [planned_duration_s ? t("{time} of work", { time: duration(planned_duration_s) }) : "", work_order, skill];

function stateOf({ outcome, punctuality }, isNext) {
  if (outcome === "done") return "completed";
  if (outcome === "on_site") return "arrived";
  if (outcome === "skipped") return "skipped";
  return isNext ? "en_route" : punctuality ?? "scheduled";
}
