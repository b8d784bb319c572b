// A site: who comes and came, and its fence, which can be drawn anew.

import { define, html, nothing } from "../base/lit.js";
import { count, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { askJson, change } from "../base/session.js";
import { say } from "../base/shell.js";
import { status } from "../base/status.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";
import { bodyOf, draftOf } from "./draft.js";
import { troubleOf } from "./gantt_scale.js";
import { windowOf } from "./words.js";
import { whenOf } from "./van_card.js";
import "./fence_editor.js";

const VISITS_SHOWN = 20;

class SiteCard extends Pane {
  static properties = { code: {}, busy: { state: true }, problem: { state: true } };
  site = new Asked(this, askJson);
  visits = new Asked(this);

  willUpdate(changed) {
    if (changed.has("code")) {
      this.problem = "";
      if (this.desk.draft) this.#leave();
    }
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.desk.draft = null;
  }

  get #url() {
    return `/v1/sites/${encodeURIComponent(this.code)}`;
  }

  render() {
    const { value, problem } = this.site.of(this.#url);
    if (problem) return html`<p class="problem" role="alert">${problem.message}</p>`;
    if (!value) return html`<p class="quiet">${t("Reading…")}</p>`;
    const { body: site, etag } = value;
    return html`
      <header class="subject"><h3>${site.name}</h3><p class="quiet">${site.site}${site.client ? ` · ${site.client}` : nothing}</p></header>
      ${this.desk.draft ? this.#editor(site, etag) : this.#fence(site)}
      ${this.#stops(site)}
      ${this.#visits()}`;
  }

  // ---- the fence -----------------------------------------------------------------------------------------

  #fence(site) {
    const draft = draftOf(site);
    const said = {
      circle: () => t("a circle of {n} m", { n: count(draft.radius_m) }),
      area: () => t("an area with {n} corners", { n: draft.corners.length }),
      fixed: () => t("a corridor, or an area with holes"),
    }[draft.kind]();
    return html`<section><h4>${t("Fence")}</h4><p>${said} · ${site.latitude_deg.toFixed(5)}, ${site.longitude_deg.toFixed(5)}</p>
      <p class="actions"><button class="button" @click=${() => {
        this.desk.draft = draft;
        this.desk.changed();
      }}>${t("Edit the fence")}</button></p></section>`;
  }

  #editor(site, etag) {
    return html`<form class="fence" aria-label=${t("Fence")} @submit=${(event) => this.#save(event, site, etag)}>
      <h4>${t("Fence")}</h4>
      <cordee-fence-editor .desk=${this.desk}></cordee-fence-editor>
      <p class="problem" role="alert">${this.problem}</p>
      <p class="actions"><button class="button primary" ?disabled=${this.busy}>${t("Save the fence")}</button>
        <button type="button" class="button" @click=${() => this.#leave()}>${t("Cancel")}</button></p>
      <p class="quiet">${t("Arrivals and visits are judged anew by it, also those of today.")}</p></form>`;
  }

  #leave() {
    this.problem = "";
    this.desk.draft = null;
    this.desk.changed();
  }

  async #save(event, site, etag) {
    event.preventDefault();
    [this.busy, this.problem] = [true, ""];
    try {
      await change("PUT", this.#url, bodyOf(site, this.desk.draft), { "if-match": etag });
      say(t("The fence of {site} is saved.", { site: site.name }));
      this.#leave();
      await Promise.all([this.site.again(), this.desk.fences.read()]);
    } catch (problem) {
      this.problem = [problem.message, ...problem.errors.map((error) => error.message)].join(" ");
      // What somebody else has saved meanwhile is read; what is drawn here stays, to be saved over it or not.
      if (problem.status === 412) await this.site.again();
    }
    this.busy = false;
  }

  // ---- who comes, who came ----------------------------------------------------------------------------------

  #stops({ windows }) {
    const now = this.desk.now();
    return html`<section><h4>${t("Planned here")}</h4>${windows.length === 0 ? html`<p class="quiet">${t("Nobody is planned here, today or later.")}</p>` : html`
      <ul class="stops">${windows.map((window) => {
        const today = this.desk.day.stop(window.stop_id)?.stop;
        const when = today ? whenOf(today, now) : t("window {range}", { range: windowOf(window, now) });
        return html`<li><button class="bare" ?disabled=${!today} @click=${() => this.desk.choose("stop", window.stop_id)}>
          <span class="first">${window.van}${window.work_order ? ` · ${window.work_order}` : nothing}</span>
          <span class="line">${today ? status(troubleOf(today) ?? today.state) : nothing}<span class="grow"></span><span class="quiet">${when}</span></span></button></li>`;
      })}</ul>`}</section>`;
  }

  #visits() {
    const { value, problem } = this.visits.of(`/v1/visits?site=${encodeURIComponent(this.code)}&limit=${VISITS_SHOWN}`);
    if (problem) return html`<p class="problem">${problem.message}</p>`;
    const now = this.desk.now();
    return html`<section><h4>${t("Last visits")}</h4>${value?.visits.length === 0 ? html`<p class="quiet">${t("Nobody has been here yet.")}</p>` : html`
      <ul class="stops">${(value?.visits ?? []).map((visit) => html`<li><button class="bare" @click=${() => this.desk.choose("van", visit.van)}>
        <span class="line">${visit.van}<span class="grow"></span><span class="quiet">${time(visit.arrived_at_ms, now)} – ${visit.left_at_ms === null ? t("still there") : time(visit.left_at_ms, now)}</span></span></button></li>`)}</ul>`}</section>`;
  }
}
define("cordee-site-card", SiteCard);
