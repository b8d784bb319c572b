// The first tab: choose what you do, scan, see what it came to. Everything works without a network.

import { define, html, nothing, repeat } from "../base/lit.js";
import { count, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { shape, status } from "../base/status.js";
import { say } from "../base/shell.js";
import { askInDialog } from "../base/dialog.js";
import { VanPart, icon } from "./part.js";
import { canReverse } from "./levels.js";
import { FOR_A_JOB, INTENTS, QTY_MAX, printable, sentence } from "./scanning.js";
import "./stepper.js";

const SHOWN = 20;

class Scan extends VanPart {
  static properties = { typed: { state: true }, camera: { state: true }, choosing: { state: true } };

  constructor() {
    super();
    Object.assign(this, { typed: "", camera: false, choosing: false });
  }

  get scanning() {
    return this.tablet.scanning;
  }

  render() {
    const { intent } = this.scanning.state;
    return html`
      <div class="scan">
        <div class="doing">
          <fieldset class="intents ${intent && !this.choosing ? "settled" : ""}"><legend>${t("What are you doing?")}</legend>
            ${Object.entries(INTENTS).map(([name, { word }]) => this.tile(name, word(), name === intent))}
            <button class="button change" @click=${() => (this.choosing = true)}>${t("Change")}</button>
          </fieldset>
          ${intent ? this.forWhat(intent) : nothing}
          ${this.counting()}
          ${this.entry(intent)}
        </div>
        <div class="done">
          ${this.draft()}
          ${this.result()}
          ${this.journal()}
        </div>
      </div>`;
  }

  tile(name, word, chosen) {
    return html`<label class="tile ${chosen ? "chosen" : ""}">
      <input class="unseen" type="radio" name="intent" value=${name} .checked=${chosen} @change=${() => this.choose(name)}>
      ${icon(name)}<span>${word}</span></label>`;
  }

  choose(name) {
    this.choosing = false;
    return this.scanning.choose(name);
  }

  updated() {
    const { last } = this.scanning;
    if (last !== this.shownLast) this.querySelector(".result")?.scrollIntoView({ block: "nearest" });
    this.shownLast = last;
  }

  // ---- what for ----

  forWhat(intent) {
    if (intent === "transfer") return this.counterpart();
    if (FOR_A_JOB.has(intent)) return this.job();
    return nothing;
  }

  counterpart() {
    const { counterpart } = this.scanning.state;
    const agreed = (this.tablet.told.transfers?.value.transfers ?? []).filter(({ from_van, state }) => from_van === this.tablet.van && state === "accepted");
    const vans = [...new Set(agreed.map(({ to_van }) => to_van))];
    return html`
      <label class="field">${t("To which van")}
        <input .value=${counterpart} list="vans" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="200"
          @change=${(event) => this.scanning.set({ counterpart: event.target.value.trim() })}></label>
      <datalist id="vans">${vans.map((van) => html`<option value=${van}></option>`)}</datalist>
      ${agreed.map(({ to_van, name, qty }) => html`<p class="quiet">${t("Agreed: {n} × {name} for {van}", { n: count(qty), name, van: to_van })}</p>`)}`;
  }

  job() {
    const { job } = this.scanning.state;
    const jobs = this.tablet.today.filter(({ work_order }) => work_order);
    if (!jobs.length && !job) return nothing;
    const known = jobs.some(({ work_order }) => work_order === job);
    return html`<label class="field">${t("For which job")}
      <select @change=${(event) => this.scanning.set({ job: event.target.value || null })}>
        <option value="" ?selected=${!job}>${t("The one where the van is")}</option>
        ${jobs.map((stop) => html`<option value=${stop.work_order} ?selected=${stop.work_order === job}>${stop.stop}. ${stop.site_name} · ${stop.work_order}</option>`)}
        ${job && !known ? html`<option value=${job} selected>${job}</option>` : nothing}
      </select></label>`;
  }

  counting() {
    const { counting } = this.scanning.state;
    if (!counting) return nothing;
    return html`<div class="counting card">
      <p>${icon("count_all")} ${tn("Counting everything since {time}: {n} part so far", "Counting everything since {time}: {n} parts so far", counting.items.length, { time: time(counting.since, this.tablet.now()) })}</p>
      <p class="actions">
        <button class="button" @click=${() => this.scanning.set({ counting: null })}>${t("Give up")}</button>
        <button class="button primary" @click=${this.endCount}>${t("All is counted")}</button>
      </p></div>`;
  }

  async endCount() {
    await this.scanning.save();
    const rest = this.scanning.notCounted();
    await askInDialog({
      title: t("Is everything counted?"),
      content: html`<p>${tn("{n} part was not counted. It is then not on board:", "{n} parts were not counted. They are then not on board:", rest.length)}</p>
        <ul class="plain">${rest.slice(0, 12).map(({ told, name, item, qty }) => html`<li>${told?.name ?? name ?? item} · ${count(qty)}</li>`)}</ul>
        ${rest.length > 12 ? html`<p class="quiet">${tn("and {n} more", "and {n} more", rest.length - 12)}</p>` : nothing}`,
      action: t("All is counted"),
      act: async () => {
        await this.scanning.countedAll();
        say(t("Everything is counted."));
        return true;
      },
    });
  }

  // ---- the code ----

  entry(intent) {
    const counts = intent === "count" || intent === "count_all";
    const found = this.typed.length > 1 ? this.tablet.catalogue.search(this.typed) : [];
    return html`
      <form class="entry" @submit=${this.enter}>
        ${counts ? nothing : html`<van-stepper .label=${t("How many")} .value=${this.scanning.quantity} .min=${1} .max=${QTY_MAX}
          @changed=${(event) => this.quantity(event.detail)}></van-stepper>`}
        <label class="field grow">${t("Scan, or type a code or a name")}
          <input name="code" .value=${this.typed} autocomplete="off" autocapitalize="none" autocorrect="off" spellcheck="false" enterkeyhint="done" maxlength="200"
            @input=${(event) => (this.typed = event.target.value)}></label>
        <button class="button primary" ?disabled=${!this.typed.trim()}>${t("Take")}</button>
        <button type="button" class="button" aria-pressed=${String(this.camera)} @click=${this.switchCamera}>${icon("camera")}<span>${t("Camera")}</span></button>
      </form>
      ${found.length ? html`<ul class="suggestions" aria-label=${t("Parts of that name")}>${found.map((item) => html`<li>
        <button class="button" @click=${() => this.pick(item)}><span class="grow">${item.name}</span><span class="quiet">${item.item}</span></button></li>`)}</ul>` : nothing}
      ${this.camera ? html`<van-camera @scanned=${({ detail }) => this.scanning.take([detail.text], detail.aim)} @left=${() => (this.camera = false)}></van-camera>` : nothing}`;
  }

  quantity(n) {
    this.scanning.quantity = n;
    this.requestUpdate();
  }

  async switchCamera() {
    if (!this.camera) await import("./camera.js");
    this.camera = !this.camera;
  }

  enter(event) {
    event.preventDefault();
    const code = this.typed.trim();
    if (!code) return;
    this.typed = "";
    this.scanning.take([code]);
  }

  pick({ item }) {
    this.typed = "";
    this.scanning.take([this.tablet.catalogue.codeOf.get(item) ?? item]);
  }

  // ---- what it came to ----

  draft() {
    const { draft } = this.scanning.state;
    if (!draft) return nothing;
    const { code, found, qty } = draft;
    const set = (n) => this.scanning.set({ draft: { ...draft, qty: n } });
    return html`<section class="card draft" aria-label=${t("Being counted")}>
      <h2>${found?.name ?? printable(code.code)}</h2>
      <p class="quiet">${found ? this.packs(found) : t("Unknown code: the count is kept, and counts once somebody has entered the code.")}</p>
      <van-stepper .label=${t("How many are there")} .value=${qty} .min=${0} .max=${QTY_MAX} @changed=${(event) => set(event.detail)}></van-stepper>
      <p class="actions">
        <button class="button" @click=${() => this.scanning.set({ draft: null })}>${t("Do not count it")}</button>
        <button class="button primary" @click=${() => this.scanning.save()}>${t("Keep the count")}</button>
      </p></section>`;
  }

  packs({ item, units, unit }) {
    return units > 1 ? t("{item} · packs of {n} {unit}", { item, n: count(units), unit }) : item;
  }

  result() {
    const { last } = this.scanning;
    return html`<div class="result" role="status">${last ? this.lastCard(last) : nothing}</div>`;
  }

  lastCard({ row, known, problem }) {
    const onBoard = row?.item ? this.tablet.levels.find(({ item }) => item === row.item)?.qty : undefined;
    return html`<div class="card last ${known ? "good" : row ? "unsure" : "bad"}">
      <p class="what">${shape(known ? "check" : row ? "triangle" : "cross")} <span>${row ? sentence(row) : t("Not taken")}</span></p>
      ${problem ? html`<p>${problem}</p>` : nothing}
      ${onBoard === undefined ? nothing : html`<p class="quiet">${t("{n} on board now", { n: count(onBoard) })}</p>`}
    </div>`;
  }

  journal() {
    const { scans } = this.tablet;
    const shown = scans.filter(({ intent }) => intent !== "reverse").slice(0, SHOWN);
    return html`<section class="panel journal" aria-labelledby="journal">
      <div class="head"><h2 id="journal">${t("Last scans")}</h2></div>
      ${shown.length ? html`<ul>${repeat(shown, ({ seq }) => seq, (scan) => this.scanned(scan))}</ul>`
        : html`<p class="empty">${t("Nothing is scanned yet. A scanner works at once: it types like a keyboard.")}</p>`}
    </section>`;
  }

  scanned(scan) {
    const state = { waiting: ["waiting", t("not sent yet")], sent: ["saved", t("sent")], refused: ["refused", t("refused")] }[scan.state];
    return html`<li class=${scan.reversed ? "over" : ""}>
      ${icon(scan.intent)}
      <div class="grow">
        <p class="what">${sentence(scan)}${scan.reversed ? html` · ${t("taken back")}` : nothing}</p>
        <p class="quiet">${time(scan.t, this.tablet.now())} · ${status(state[0], { said: state[1] })}${scan.item || scan.box || scan.intent === "count_all" ? nothing : html` · ${t("unknown code")}`}</p>
      </div>
      ${canReverse(scan) ? html`<button class="button" aria-label=${t("Undo: {what}", { what: sentence(scan) })} @click=${() => this.undo(scan)}>${icon("undo")}<span>${t("Undo")}</span></button>` : nothing}
    </li>`;
  }

  async undo(scan) {
    await this.scanning.undo(scan.seq);
    say(t("Taken back: {what}", { what: sentence(scan) }));
  }
}
define("van-scan", Scan);
