// A stop: what was planned, what became of it or is expected, what its job needs, and who else could do it.

import { define, html, nothing } from "../base/lit.js";
import { duration, percent, range, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { isAhead, troubleOf } from "./gantt_scale.js";
import { etaOf, lateness, stopOf, whyAlert, windowOf } from "./words.js";
import "./replan.js";


class StopCard extends Pane {
  static properties = { stopId: { type: Number } };
  tour = new Asked(this);

  render() {
    const found = this.desk.day.stop(this.stopId);
    if (!found) return html`<p class="empty">${this.desk.day.tours ? t("This stop is not among today’s tours.") : t("Waiting for the first data…")}</p>`;
    const { stop, tour } = found;
    const now = this.desk.now();
    const trouble = troubleOf(stop);
    // What a job needs is told of one tour, not of all tours of the day.
    const more = this.tour.of(`/v1/vans/${encodeURIComponent(tour.van)}/tour`).value?.stops.find((one) => one.stop_id === stop.stop_id);
    return html`
      <header class="subject"><h3>${stopOf(stop.stop, stop.site_name)}</h3>
        <p><button class="link" @click=${() => this.desk.choose("van", tour.van)}>${tour.van}${tour.technician ? ` · ${tour.technician}` : nothing}</button>
          · <button class="link" @click=${() => this.desk.choose("site", stop.site)}>${t("the site")}</button></p></header>
      <dl class="facts">
        <dt>${t("State")}</dt><dd>${status(stop.state)} ${trouble && trouble !== stop.state ? status(trouble) : nothing}
          ${more?.wrong_order ? html`<span class="second">${t("in another order than planned")}</span>` : nothing}</dd>
        <dt>${t("Window")}</dt><dd>${windowOf(stop, now)}</dd>
        <dt>${t("Planned")}</dt><dd>${stop.planned_arrival_ms === null ? nothing : html`${time(stop.planned_arrival_ms, now)}, `}${duration(stop.planned_duration_s)}</dd>
        ${stop.arrived_at_ms === null ? nothing : html`<dt>${t("There")}</dt><dd>${stop.left_at_ms === null ? t("since {time}", { time: time(stop.arrived_at_ms, now) }) : range(stop.arrived_at_ms, stop.left_at_ms, now)}</dd>`}
        ${isAhead(stop) ? html`<dt>${t("Expected")}</dt><dd>${etaOf(stop.eta, now)}
          ${stop.eta ? html`<span class="second">${t("{share} that it is late; said at {time}", { share: percent(stop.eta.chance_late), time: time(stop.eta.made_ms, now) })}</span>` : nothing}</dd>` : nothing}
        ${stop.work_order ? html`<dt>${t("Work order")}</dt><dd>${stop.work_order}</dd>` : nothing}
        ${more?.skill ? html`<dt>${t("Skill")}</dt><dd>${more.skill}</dd>` : nothing}
        ${Object.keys(more?.parts ?? {}).length ? html`<dt>${t("Parts")}</dt><dd>${Object.entries(more.parts).map(([item, qty]) => html`<div>${qty} × ${item}</div>`)}</dd>` : nothing}
      </dl>
      ${this.#alerts()}
      ${isAhead(stop) ? html`<cordee-replan .desk=${this.desk} .stopId=${stop.stop_id}></cordee-replan>` : nothing}`;
  }

  #alerts() {
    const now = this.desk.now();
    const mine = (this.desk.rows("alerts") ?? []).filter((alert) => alert.stop_id === this.stopId);
    if (!mine.length) return nothing;
    return html`<section><h4>${t("Alerts")}</h4><ul class="stops">${mine.map((alert) => html`<li><button class="bare" @click=${() => this.desk.choose("alert", alert.alert_id)}>
      <span class="line">${status(alert.kind, { over: alert.state !== "open" })} <b>${lateness(alert, now)}</b></span><span class="second">${whyAlert(alert)}</span></button></li>`)}</ul></section>`;
  }
}
define("cordee-stop-card", StopCard);
