// What a client wants to know of its own sites: who comes when, when exactly as the morning goes on, and
// what was done. Asked again every half minute; positions of vans are nobody's business here.

import { asCsv } from "../base/csv.js";
import { Again } from "../base/again.js";
import { Part, define, html, listed, nothing, repeat } from "../base/lit.js";
import { NONE, count, day, duration, fullDay, isoDay, range, time } from "../base/format.js";
import { language, t } from "../base/i18n.js";
import { read } from "../base/session.js";
import { open } from "../base/shell.js";
import { status } from "../base/status.js";
import { twoLines } from "../base/table.js";

const AGAIN_MS = 30_000;

/** What becomes of a planned visit, in the words of `status.js`. */
const STATES = { planned: "scheduled", on_site: "arrived", done: "completed", skipped: "skipped" };

class Client extends Part {
  static properties = {
    planned: { state: true }, reports: { state: true }, site: { state: true }, now: { state: true },
  };

  again = new Again(this, AGAIN_MS, () => this.ask());

  constructor() {
    super();
    this.site = new URLSearchParams(location.hash.slice(1)).get("site") ?? "";
  }

  async ask() {
    const [{ visits, now_ms }, { reports }] = await Promise.all([read("/v1/planning?limit=1000"), read("/v1/visit-reports?limit=1000")]);
    Object.assign(this, { planned: visits, reports, now: now_ms });
  }

  /** The sites that anything is known of, for the choice. */
  sites() {
    const names = new Map([...(this.planned ?? []), ...(this.reports ?? [])].map((one) => [one.site, one.site_name]));
    return [...names].sort(([, a], [, b]) => a.localeCompare(b));
  }

  choose(site) {
    this.site = site;
    history.replaceState(null, "", site ? `#site=${encodeURIComponent(site)}` : location.pathname);
  }

  render() {
    const mine = (one) => !this.site || one.site === this.site;
    const now = this.now ?? Date.now();
    const planned = this.planned?.filter(mine) ?? null;
    const today = isoDay(now);
    return html`
      ${this.again.said()}
      <div class="line">
        <h1>${fullDay(now)}</h1>
        ${this.sites().length > 1 ? html`<label>${t("Site")}
          <select @change=${(event) => this.choose(event.target.value)}>
            <option value="">${t("All sites")}</option>
            ${this.sites().map(([code, name]) => html`<option value=${code} ?selected=${code === this.site}>${name}</option>`)}
          </select></label>` : nothing}
        <p class="quiet" role="status">${this.now ? t("as of {time}", { time: time(now, now) }) : ""}</p>
      </div>
      ${this.today(planned?.filter((visit) => visit.date === today) ?? null, now)}
      <section class="panel" aria-labelledby="next">
        <div class="head"><h2 id="next">${t("The next two weeks")}</h2></div>
        <cordee-table .columns=${PLANNED} .rows=${planned?.filter((visit) => visit.date > today) ?? null} .key=${keyOf}
          .empty=${t("Nothing is planned at your sites in the next two weeks.")}></cordee-table>
      </section>
      <section class="panel" aria-labelledby="done">
        <div class="head"><h2 id="done">${t("Visits of the last 31 days")}</h2>${asCsv(this.site ? `/v1/visit-reports?site=${encodeURIComponent(this.site)}` : "/v1/visit-reports")}</div>
        <cordee-table .columns=${REPORTS} .rows=${this.reports?.filter(mine) ?? null} .detail=${details}
          .key=${(report) => `${report.site} ${atOf(report)}`} .named=${(report) => report.site_name}
          .empty=${t("Nobody was at your sites in the last 31 days.")}></cordee-table>
      </section>`;
  }

  today(visits, now) {
    if (visits === null) return html`<p class="empty">${t("Waiting for the first data…")}</p>`;
    if (visits.length === 0) return html`<p class="card empty">${t("Nobody is expected today.")}</p>`;
    return html`<div class="today">${repeat(visits, keyOf, (visit) => this.expected(visit, now))}</div>`;
  }

  /** One visit of today: when it is, in large; what was promised, below. */
  expected(visit, now) {
    const [title, said] = whenOf(visit, now);
    return html`<article class="card visit">
      <h2>${visit.site_name}</h2>
      ${status(stateOf(visit))}
      <p class="when"><span class="quiet">${title}</span> <strong>${said}</strong></p>
      <p class="quiet">${listed(
        t("Planned {window}", { window: range(visit.window_start_ms, visit.window_end_ms, now) }),
        visit.technician, visit.work_order,
      )}</p>
    </article>`;
  }
}
define("cordee-client", Client);

const keyOf = (visit) => `${visit.site} ${visit.window_start_ms} ${visit.work_order}`;

const stateOf = (visit) => STATES[visit.outcome];

/** What of its times matters now, and what it is. */
function whenOf(visit, now) {
  if (visit.left_at_ms !== null) return [t("Was there"), range(visit.arrived_at_ms, visit.left_at_ms, now)];
  if (visit.arrived_at_ms !== null) return [t("There since"), time(visit.arrived_at_ms, now)];
  if (visit.early_at_ms !== null) return [t("Expected between"), range(visit.early_at_ms, visit.late_at_ms, now)];
  return [t("Planned between"), range(visit.window_start_ms, visit.window_end_ms, now)];
}

/** When it was; of what was written where no van was seen, when that was. */
const atOf = (report) => report.arrived_at_ms ?? report.signed[0].t_ms;

const PLANNED = [
  { name: "site", label: t("Site"), show: (v) => twoLines(v.site_name, v.work_order), className: "wide" },
  { name: "day", label: t("Day"), show: (v) => fullDay(v.window_start_ms), sort: (v) => v.window_start_ms },
  { name: "window", label: t("Between"), show: (v) => range(v.window_start_ms, v.window_end_ms, v.window_start_ms) },
  { name: "length", label: t("For about"), show: (v) => duration(v.planned_duration_s), className: "number" },
  { name: "technician", label: t("Technician"), show: (v) => v.technician ?? "" },
];

const REPORTS = [
  { name: "site", label: t("Site"), show: (r) => twoLines(r.site_name, r.work_order), sort: (r) => r.site_name, className: "wide" },
  { name: "day", label: t("Day"), show: (r) => day(atOf(r), 0), sort: atOf },
  { name: "from", label: t("Arrived"), show: (r) => (r.arrived_at_ms === null ? NONE : time(r.arrived_at_ms, r.arrived_at_ms)), className: "number" },
  { name: "to", label: t("Left"), show: (r) => left(r), className: "number" },
  { name: "dwell", label: t("Stayed"), show: (r) => (r.dwell_s === null ? NONE : duration(r.dwell_s)), sort: (r) => r.dwell_s, className: "number" },
  { name: "technician", label: t("Technician"), show: (r) => r.technician ?? "" },
  { name: "parts", label: t("Parts"), show: (r) => count(r.parts.length), className: "number" },
];

const left = (report) =>
  report.arrived_at_ms === null ? NONE
    : report.left_at_ms === null ? t("still there") : `${report.uncertain ? "≈ " : ""}${time(report.left_at_ms, report.left_at_ms)}`;

function details(report) {
  const planned = report.window_start_ms === null ? t("It was not planned.")
    : t("Planned {window}", { window: range(report.window_start_ms, report.window_end_ms, atOf(report)) });
  return html`
    <p>${planned}${report.uncertain ? html` ${t("When it left is uncertain: the positions leave more than five minutes open.")}` : nothing}</p>
    ${report.parts.length ? html`<ul>${report.parts.map((part) => html`<li>${partLine(part)}</li>`)}</ul>`
      : html`<p class="quiet">${t("No parts were used.")}</p>`}
    ${report.signed.map(written)}`;
}

/** What the technician wrote, who signed it, and the paper. */
const written = (signed) => html`<p>${signed.work}</p>
  <p class="quiet">${signed.absent ? t("Nobody was there to sign.") : t("Signed by {name}.", { name: signed.signer })}
    <a href="/v1/visit-reports/${signed.report}.pdf?lang=${language}" target="_blank">${t("Visit report (PDF)")}</a></p>`;

const partLine = (part) =>
  part.kind === "return" ? t("{n} × {item} {name}, taken back", { n: count(part.qty), item: part.item, name: part.name })
    : t("{n} × {item} {name}", { n: count(part.qty), item: part.item, name: part.name });

open("client", ({ main }) => main.append(new Client()), { live: false });
