// The alert queue: what to look at, in the order of looking (urgency.js), by groups of whose it is.

import { classMap, define, guard, html, nothing, repeat } from "../base/lit.js";
import { nameOf, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { status, word } from "../base/status.js";
import { Pane } from "./desk.js";
import { acknowledge, assign, snooze } from "./handling.js";
import { remember, remembered } from "./panes.js";
import { GROUPS, grouped } from "./urgency.js";
import { aboutAlert, lateness, whyAlert } from "./words.js";

const SHOWN = 100;
const MINUTE_MS = 60_000;
/** Said aloud at most so often, however many there are. */
const SAID_EVERY_MS = 15_000;

const NAMES = { new: () => t("New"), mine: () => t("Mine"), possible: () => t("Possible"), snoozed: () => t("Put off"), handled: () => t("Handled") };
const EMPTY = {
  new: () => t("Nobody is late or silent unseen. What is likely to become late, is late or falls silent appears here."),
  mine: () => t("You have nothing to see to. What you acknowledge, or are given, stands here."),
  possible: () => t("Nothing. What may become late, but is not likely to yet, stands here."),
  snoozed: () => t("Nothing is put off."),
  handled: () => t("Nothing yet. What others see to, and what is over, stands here for 12 hours."),
};

export class Queue extends Pane {
  static properties = { open: { state: true } };
  #saidAt = -Infinity;
  #seen = null;
  #said = "";
  #held = null;

  constructor() {
    super();
    this.open = new Set(remembered("groups") ?? ["new", "mine"]);
  }

  willUpdate() {
    this.#held = this.contains(document.activeElement) ? document.activeElement.closest("[data-alert]")?.dataset.alert : null;
    const before = this.groups;
    this.groups = grouped(this.desk.shown.alerts, this.desk.who.login, this.desk.now());
    this.#remember(before);
    this.#listen();
  }

  /** What has the focus keeps it when it goes to another group; where that is folded, the first group gets it. */
  updated() {
    if (!this.#held || document.activeElement !== document.body) return;
    (this.querySelector(`[data-alert="${this.#held}"] > button`) ?? this.querySelector(".row-button")).focus();
  }

  /** Remembers what stood after the chosen alert when that goes to another group: j goes on there. */
  #remember(before) {
    const { chosen } = this;
    const within = (groups) => GROUPS.find((name) => groups?.[name].some((alert) => alert.alert_id === chosen?.alert_id));
    const [was, is] = [within(before), within(this.groups)];
    if (!chosen || chosen.alert_id !== this.moved?.alert_id) this.moved = null;
    if (!was || was === is) return;
    const at = before[was].findIndex((alert) => alert.alert_id === chosen.alert_id);
    this.moved = { alert_id: chosen.alert_id, next: before[was][at + 1]?.alert_id ?? null };
  }

  /** Notices new alerts, and says so aloud after a while. */
  #listen() {
    if (!this.desk.rows("alerts")) return;
    const now = new Set(this.groups.new.map((alert) => alert.alert_id));
    this.#seen ??= now;
    const fresh = this.groups.new.filter((alert) => !this.#seen.has(alert.alert_id));
    if (!fresh.length || performance.now() - this.#saidAt < SAID_EVERY_MS) return;
    [this.#saidAt, this.#seen] = [performance.now(), now];
    const worst = [fresh[0].van, word(fresh[0].kind), lateness(fresh[0], this.desk.now())].filter(Boolean).join(" ");
    this.#said = tn("A new alert: {worst}", "{n} new alerts, the worst: {worst}", fresh.length, { worst });
  }

  render() {
    const waiting = this.desk.rows("alerts") === null;
    return html`
      <p class="unseen" role="status">${this.#said}</p>
      ${waiting ? html`<p class="empty">${t("Waiting for the first data…")}</p>` : GROUPS.map((name) => this.#group(name))}`;
  }

  #group(name) {
    const alerts = this.groups[name];
    // What an alert shows changes once a minute, if nothing else changes.
    const minute = Math.floor(this.desk.now() / MINUTE_MS);
    const open = this.open.has(name);
    return html`<section class="group" data-group=${name}>
      <h3><button class="bare row-button" aria-expanded=${String(open)} @click=${() => this.#toggle(name)}>${NAMES[name]()} <span class="badge">${alerts.length}</span></button></h3>
      ${!open ? nothing : alerts.length === 0 ? html`<p class="quiet none">${EMPTY[name]()}</p>` : html`
        <ol>${repeat(alerts.slice(0, SHOWN), (alert) => alert.alert_id, (alert) => guard([alert, minute, this.desk.isChosen("alert", alert.alert_id)], () => this.#alert(alert)))}</ol>
        ${alerts.length > SHOWN ? html`<p class="quiet none">${tn("and {n} more, less urgent", "and {n} more, less urgent", alerts.length - SHOWN)}</p>` : nothing}`}
    </section>`;
  }

  #toggle(name) {
    if (!this.open.delete(name)) this.open.add(name);
    remember("groups", [...this.open]);
    this.requestUpdate();
  }

  #alert(alert) {
    const now = this.desk.now();
    const chosen = this.desk.isChosen("alert", alert.alert_id);
    const over = alert.state !== "open";
    return html`<li class=${classMap({ alert: true, [alert.kind]: !over, chosen })} data-alert=${alert.alert_id}>
      <button class="bare" aria-current=${chosen ? "true" : nothing} @click=${() => this.desk.choose("alert", alert.alert_id)}>
        <span class="line">${status(alert.kind, { over })}<b>${lateness(alert, now)}</b><span class="grow"></span>${this.#whose(alert, now)}</span>
        <span class="first">${alert.van}${alert.technician ? html` · ${alert.technician}` : nothing}</span>
        <span class="second">${aboutAlert(alert, now)}${alert.stop === null ? nothing : html` · ${t("due {time}", { time: time(alert.due_at_ms, now) })}`}</span>
        <span class="second">${whyAlert(alert)}</span>
      </button>
      ${chosen && !over ? html`<p class="does">${this.#actions(alert)}</p>` : nothing}
    </li>`;
  }

  /** What became of it, or who has it. */
  #whose(alert, now) {
    if (alert.state === "withdrawn") return status("withdrawn", { over: true });
    if (alert.state === "cleared") return status("cleared", { over: true, more: alert.ended_at_ms === null ? nothing : html` ${time(alert.ended_at_ms, now)}` });
    const { snoozed_until_ms: until, owner, acknowledged_by: by } = alert.handling ?? {};
    if (until && until > now) return html`<span class="quiet">${t("until {time}", { time: time(until, now) })}</span>`;
    const whose = owner ?? nameOf(by);
    return whose && whose !== this.desk.who.login ? html`<span class="quiet">${whose}</span>` : nothing;
  }

  #actions(alert) {
    const done = alert.handling?.acknowledged_by != null;
    return html`
      <button class="button small" aria-pressed=${String(done)} @click=${() => acknowledge(this.desk, alert)}>${t("Acknowledge")}</button>
      <button class="button small" @click=${() => snooze(this.desk, alert)}>${t("Put off…")}</button>
      <button class="button small" @click=${() => assign(this.desk, alert)}>${t("Assign, cause…")}</button>`;
  }

  /** The alerts that can be seen, from top to bottom. */
  get #visible() {
    return GROUPS.filter((name) => this.open.has(name)).flatMap((name) => this.groups[name].slice(0, SHOWN));
  }

  get chosen() {
    const { kind, id } = this.desk.chosen ?? {};
    return kind === "alert" ? this.desk.alert(id) : null;
  }

  /** Chooses the next alert, or the one before. */
  async step(by) {
    const alerts = this.#visible;
    if (!alerts.length) return;
    const nth = (id) => alerts.findIndex((alert) => alert.alert_id === id);
    const gone = this.moved ? nth(this.moved.next) : -1;
    const at = gone >= 0 ? gone - (by > 0 ? 1 : 0) : this.chosen ? nth(this.chosen.alert_id) : -1;
    const next = alerts[Math.min(alerts.length - 1, Math.max(0, at + by))];
    this.desk.choose("alert", next.alert_id, { step: true });
    await this.updateComplete;
    this.querySelector(`[data-alert="${next.alert_id}"] > button`)?.focus();
  }
}
define("cordee-queue", Queue);
