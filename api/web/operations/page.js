// For those who keep it running: how it does, who is silent, what could not be used and what becomes of it.

import { Again } from "../base/again.js";
import { Part, define, html, nothing } from "../base/lit.js";
import { count, duration, percent, rate, span } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { read } from "../base/session.js";
import { open } from "../base/shell.js";
import { status } from "../base/status.js";
import "../base/table.js";
import { twoLines } from "../base/table.js";
import "./audit.js";
import "./rejected.js";
import "./webhooks.js";

const AGAIN_MS = 10_000;
const SILENT_S = 15 * 60;
/** A position that came earlier than its own time, by so much, comes from a clock that is ahead. */
const AHEAD_S = -5;
const LAG_HIGH_MS = 10_000;

const VIEWS = {
  present: () => t("How it does"),
  vans: () => t("Vans"),
  rejected: () => t("Rejected messages"),
  webhooks: () => t("Webhooks"),
  audit: () => t("Who did what"),
};

class Operations extends Part {
  static properties = {
    overview: { attribute: false }, now: { attribute: false }, view: { state: true },
    servers: { state: true }, outbox: { state: true }, devices: { state: true },
  };

  again = new Again(this, AGAIN_MS, () => this.ask());

  constructor() {
    super();
    this.readAddress();
    addEventListener("hashchange", () => this.readAddress());
  }

  readAddress() {
    const name = new URLSearchParams(location.hash.slice(1)).get("view");
    this.view = name in VIEWS ? name : "present";
  }

  async ask() {
    const [servers, { waiting }, { devices }] = await Promise.all(["/v1/servers", "/v1/outbox", "/v1/devices"].map((url) => read(url)));
    Object.assign(this, { servers, outbox: waiting, devices });
  }

  render() {
    const shown = {
      present: () => this.present(),
      vans: () => this.vans(),
      rejected: () => html`<cordee-rejected .now=${this.now}></cordee-rejected>`,
      webhooks: () => html`<cordee-webhooks .now=${this.now}></cordee-webhooks>`,
      audit: () => html`<cordee-audit></cordee-audit>`,
    };
    return html`
      <div class="line" role="toolbar" aria-label=${t("What to show")}>
        ${Object.entries(VIEWS).map(([name, title]) => html`<a class="button" href="#view=${name}" aria-current=${name === this.view ? "page" : nothing}>
          ${title()}${name === "rejected" && this.overview?.rejected_24h ? html`<span class="tag">${count(this.overview.rejected_24h)}</span>` : nothing}</a>`)}
      </div>
      ${this.again.said()}
      ${shown[this.view]()}`;
  }

  /** What somebody may have to do something about, each with a word that says whether. */
  present() {
    const { overview, servers, outbox } = this;
    if (!overview || !servers) return html`<p class="empty">${t("Waiting for the first data…")}</p>`;
    const { database, broker } = servers;
    const waiting = outbox.reduce((sum, one) => sum + one.messages, 0);
    const silent = this.devices.filter((one) => this.heardAgo(one) > SILENT_S).length;
    const full = database.connections / database.connections_max > 0.8;
    return html`<div class="figures">
      ${figure(t("Messages"), t("{n}/s", { n: rate(overview.messages_per_s) }), t("over the last minute"))}
      ${figure(t("Lag of ingest"), overview.lag_p99_ms === null ? "–" : t("under {span}", { span: span(overview.lag_p99_ms) }),
        overview.lag_p50_ms === null ? t("no message") : t("99 of 100; half of them under {span}", { span: span(overview.lag_p50_ms) }),
        overview.lag_p99_ms > LAG_HIGH_MS ? "late" : "on_time")}
      ${figure(t("Broker"), broker === null ? t("not watched") : broker.share === null ? t("no answer") : t("{share} full", { share: percent(broker.share) }),
        broker === null ? t("Set CORDEE_BROKER_MONITOR_URL to see how full it is.") : broker.detail || tn("{n} message waits for ingest", "{n} messages wait for ingest", broker.messages),
        broker === null ? null : !broker.well || broker.share > 0.8 ? "late" : broker.share > 0.5 ? "at_risk" : "on_time")}
      ${figure(t("To be sent"), count(waiting), waiting ? t("the oldest for {span}", { span: duration((this.now - outbox[0].oldest_ms) / 1_000) }) : t("nothing waits"),
        waiting && this.now - outbox[0].oldest_ms > 60_000 ? "late" : "on_time")}
      ${figure(t("Database"), bytes(database.size_bytes), t("{n} of {max} connections; PostgreSQL {version}", { n: database.connections, max: database.connections_max, version: database.version }), full ? "late" : "on_time")}
      ${figure(t("Vans silent for 15 minutes"), count(silent), t("of {n}", { n: count(this.devices.length) }), silent ? "at_risk" : "on_time")}
      ${figure(t("Rejected in 24 hours"), count(overview.rejected_24h), html`<a href="#view=rejected">${t("Look at them")}</a>`, overview.rejected_24h ? "at_risk" : "on_time")}
      ${figure(t("Open pages"), count(servers.pages), t("at this server"))}
    </div>
    ${outbox.length ? html`<section class="panel" aria-label=${t("What waits to be sent")}>
      <div class="head"><h2>${t("What waits to be sent")}</h2></div>
      <cordee-table .columns=${[
        { name: "kind", label: t("Kind"), show: (one) => one.kind, className: "wide" },
        { name: "messages", label: t("Messages"), show: (one) => count(one.messages), className: "number" },
        { name: "oldest", label: t("The oldest for"), show: (one) => duration((this.now - one.oldest_ms) / 1_000), className: "number" },
      ]} .rows=${outbox} .key=${(one) => one.kind}></cordee-table></section>` : nothing}`;
  }

  heardAgo(device) {
    return device.heard_ms === null ? Infinity : (this.now - device.heard_ms) / 1_000;
  }

  vans() {
    return html`<section class="panel" aria-label=${t("Vans")}>
      <div class="head"><h2>${t("Vans by when they were heard of")}</h2></div>
      <cordee-table .columns=${this.columns()} .rows=${this.devices ?? null} .key=${(one) => one.van}
        .empty=${t("No van is known yet. Import vans: `cordee import vans FILE`.")}></cordee-table></section>`;
  }

  columns() {
    return [
      { name: "van", label: t("Van"), show: (one) => twoLines(one.van, one.technician), sort: (one) => one.van },
      { name: "heard", label: t("Heard of"), sort: (one) => one.heard_ms, show: (one) => one.heard_ms === null ? status("never_seen")
        : html`${this.heardAgo(one) > SILENT_S ? status("silent") : status("live")} ${t("{span} ago", { span: duration(this.heardAgo(one)) })}` },
      { name: "state", label: t("Connection"), show: (one) => one.state === null ? "–" : status(one.state) },
      { name: "behind", label: t("Its newest position came"), sort: (one) => one.behind_s, show: (one) => behind(one) },
      { name: "credentials", label: t("Credentials"), sort: (one) => one.credentials, className: "number",
        show: (one) => one.credentials ? count(one.credentials) : t("none") },
      { name: "rejected", label: t("Rejected, 24 h"), sort: (one) => one.rejected_24h + one.not_kept, className: "number",
        show: (one) => one.rejected_24h || one.not_kept ? html`${count(one.rejected_24h)}${one.not_kept ? html` <span class="second">${t("and {n} only counted", { n: count(one.not_kept) })}</span>` : nothing}` : "–" },
    ];
  }
}
define("cordee-operations", Operations);

function behind({ behind_s }) {
  if (behind_s === null) return "–";
  if (behind_s < AHEAD_S) return html`${status("at_risk", { said: t("clock ahead") })} ${t("by {span}", { span: duration(-behind_s) })}`;
  return t("{span} after its time", { span: duration(behind_s) });
}

const figure = (title, value, note, state = null) => html`<div class="card figure ${state ?? ""}">
  <h2>${title}</h2><p class="value">${value}</p>
  <p class="quiet">${state && state !== "on_time" ? status(state, { said: t("look at this") }) : nothing} ${note}</p></div>`;

const bytes = (n) => n > 1e9 ? t("{n} GB", { n: rate(n / 1e9) }) : t("{n} MB", { n: rate(n / 1e6) });

open("operations", ({ live, main }) => {
  const page = new Operations();
  page.now = live.now();
  main.append(page);
  return () => Object.assign(page, { overview: live.view?.overview, now: live.now() });
});
