// The report of a visit: what was done, and who signed for it. Written and signed without a network, sent
// when there is one; a correction is one more report of the same visit.

import { define, html, listed, nothing } from "../base/lit.js";
import { range } from "../base/format.js";
import { t } from "../base/i18n.js";
import { say } from "../base/shell.js";
import { VanPart } from "./part.js";
import { draft, dropDraft, keepDraft } from "./drafts.js";
import "./signature.js";

const TEXT_MAX = 4_000;
const EMPTY = { text: "", signed: "drawn", name: "", strokes: [] };

class Report extends VanPart {
  static properties = { stop: { attribute: false }, kept: { state: true }, problem: { state: true } };

  get draftName() {
    return `report ${this.stop.stop_id}`;
  }

  connectedCallback() {
    super.connectedCallback();
    const before = this.tablet.reportOf(this.stop)?.written; // a correction is signed anew
    this.kept = { ...EMPTY, ...(before ? { text: before.text, name: before.name } : {}), ...draft(this.draftName) };
  }

  set(changes) {
    this.kept = { ...this.kept, ...changes };
    keepDraft(this.draftName, this.kept);
  }

  render() {
    const { stop, kept } = this;
    const way = (value, words) => html`<label class="tile ${kept.signed === value ? "chosen" : ""}">
      <input class="unseen" type="radio" name="signed" value=${value} .checked=${kept.signed === value} @change=${() => this.set({ signed: value })}><span>${words}</span></label>`;
    return html`<form class="report card" novalidate @submit=${this.send}>
      <h2>${t("Report: {site}", { site: stop.site_name })}</h2>
      <p class="quiet">${listed(range(stop.window_start_ms, stop.window_end_ms, this.tablet.now()), stop.work_order, t("Times and parts come by themselves."))}</p>
      <label class="field">${t("What was done")}
        <textarea rows="5" maxlength=${TEXT_MAX} .value=${kept.text} @input=${(event) => this.set({ text: event.target.value })}></textarea></label>
      <fieldset class="intents"><legend>${t("Who signs for it?")}</legend>
        ${way("drawn", t("The client, here"))}${way("name", t("The client, by name"))}${way("absent", t("Nobody: the client is absent"))}
      </fieldset>
      ${kept.signed === "drawn" ? html`<van-signature .strokes=${kept.strokes} @changed=${(event) => this.set({ strokes: event.detail })}></van-signature>` : nothing}
      ${kept.signed === "absent" ? nothing : html`<label class="field">${kept.signed === "name" ? t("Signed by name: who") : t("Name of who signs")}
        <input .value=${kept.name} maxlength="200" autocomplete="off" @input=${(event) => this.set({ name: event.target.value })}></label>`}
      <p class="problem" role="alert">${this.problem ?? ""}</p>
      <p class="actions">
        <a class="button" href="#tour">${t("Back, and keep what is written")}</a>
        <button class="button primary">${t("Done")}</button>
      </p></form>`;
  }

  async send(event) {
    event.preventDefault();
    this.problem = this.lacks();
    if (this.problem) return;
    await this.tablet.report(this.stop, this.kept);
    dropDraft(this.draftName);
    say(navigator.onLine ? t("The report is kept, and is being sent.") : t("The report is kept. It is sent as soon as there is a network."));
    location.hash = "tour";
  }

  /** What must not be missing, as a sentence; empty if all is there. */
  lacks() {
    const { text, signed, name, strokes } = this.kept;
    if (!text.trim()) return t("Write what was done.");
    if (signed === "drawn" && !strokes.length) return t("The signature is missing. If the client cannot draw it, choose “by name”.");
    if (signed !== "absent" && !name.trim()) return t("Write the name of who signs.");
    return "";
  }
}
define("van-report", Report);
