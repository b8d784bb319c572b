// An alert: what it says and why, what somebody did about it, and what can be done.

import { define, html, nothing } from "../base/lit.js";
import { nameOf, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { acknowledge, assign, snooze } from "./handling.js";
import { aboutAlert, found, lateness, whyAlert } from "./words.js";

class AlertCard extends Pane {
  static properties = { alertId: {} };
  one = new Asked(this);

  render() {
    // The history is asked for again with each version of what was done.
    const shown = this.desk.alert(this.alertId);
    const { value, problem } = this.one.of(`/v1/alerts/${this.alertId}#${shown?.handling?.version ?? 0} ${shown?.state ?? ""}`);
    const alert = shown ?? value?.alert;
    if (problem && !alert) return html`<p class="problem">${problem.message}</p>`;
    if (!alert) return html`<p class="empty">${t("Waiting for the first data…")}</p>`;
    return html`
      <header class="subject"><h3>${status(alert.kind, { over: alert.state !== "open" })} ${lateness(alert, this.desk.now())}</h3>
        <p><button class="link" @click=${() => this.desk.choose("van", alert.van)}>${alert.van}${alert.technician ? ` · ${alert.technician}` : nothing}</button></p></header>
      ${this.#facts(alert)}
      ${alert.state === "open" ? this.#actions(alert) : nothing}
      ${this.#history(value?.history ?? [])}`;
  }

  #facts(alert) {
    const now = this.desk.now();
    const { handling } = alert;
    return html`<dl class="facts">
      <dt>${t("About")}</dt><dd>${alert.stop_id === null ? aboutAlert(alert, now) : html`<button class="link" @click=${() => this.desk.choose("stop", alert.stop_id)}>${aboutAlert(alert, now)}</button>`}</dd>
      ${alert.stop_id === null ? nothing : html`<dt>${t("Due")}</dt><dd>${time(alert.due_at_ms, now)}</dd>`}
      <dt>${t("Why")}</dt><dd>${whyAlert(alert)}</dd>
      <dt>${t("State")}</dt><dd>${status(alert.state)} ${alert.ended_at_ms === null ? nothing : time(alert.ended_at_ms, now)}
        ${alert.state === "withdrawn" ? html`<span class="second">${t("It was raised on what was known then; later messages say otherwise.")}</span>` : nothing}</dd>
      <dt>${t("Raised")}</dt><dd>${time(alert.raised_ms, now)}${alert.told ? nothing : html` <span class="quiet">${t("(shown here, not sent to anybody)")}</span>`}</dd>
      ${handling?.acknowledged_by ? html`<dt>${t("Acknowledged")}</dt><dd>${nameOf(handling.acknowledged_by)}, ${time(handling.acknowledged_at_ms, now)}</dd>` : nothing}
      ${handling?.owner ? html`<dt>${t("Seen to by")}</dt><dd>${handling.owner}</dd>` : nothing}
      ${handling?.snoozed_until_ms > now ? html`<dt>${t("Put off until")}</dt><dd>${time(handling.snoozed_until_ms, now)}</dd>` : nothing}
      ${handling?.cause ? html`<dt>${t("Cause")}</dt><dd>${found(handling.cause)}</dd>` : nothing}
      ${handling?.note ? html`<dt>${t("Note")}</dt><dd class="said">${handling.note}</dd>` : nothing}
    </dl>`;
  }

  #actions(alert) {
    const done = alert.handling?.acknowledged_by != null;
    return html`<p class="actions">
      <button class="button ${done ? "" : "primary"}" aria-pressed=${String(done)} @click=${() => acknowledge(this.desk, alert)}>${t("Acknowledge")}</button>
      <button class="button" @click=${() => snooze(this.desk, alert)}>${t("Put off…")}</button>
      <button class="button" @click=${() => assign(this.desk, alert)}>${t("Assign, cause…")}</button>
      ${alert.stop_id !== null && alert.kind !== "overstayed" ? html`<button class="button" @click=${() => this.desk.replan(alert.stop_id)}>${t("Move to…")}</button>` : nothing}
    </p>`;
  }

  #history(history) {
    if (!history.length) return nothing;
    const now = this.desk.now();
    return html`<section><h4>${t("What was done")}</h4><ol class="history">${history.map(
      (one) => html`<li><span class="quiet">${time(one.at_ms, now)} ${nameOf(one.by)}</span> ${Object.entries(one.changes).map(([name, value]) => html`<div>${DONE[name]?.(value, now) ?? name}</div>`)}</li>`,
    )}</ol></section>`;
  }
}
define("cordee-alert-card", AlertCard);

const DONE = {
  acknowledged: (value) => (value ? t("acknowledged it") : t("took the acknowledgement back")),
  snoozed_until_ms: (value, now) => (value ? t("put it off until {time}", { time: time(value, now) }) : t("did not put it off any more")),
  owner: (value) => (value ? t("gave it to {name}", { name: value }) : t("gave it to nobody")),
  cause: (value) => (value ? t("cause: {cause}", { cause: found(value) }) : t("took the cause back")),
  note: (value) => (value ? t("note: {note}", { note: value }) : t("took the note back")),
};
