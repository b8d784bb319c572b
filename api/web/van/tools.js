// What stands on top of every tab: the duty switch and what it means, and what is not sent yet.

import { define, html, nothing, repeat } from "../base/lit.js";
import { time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { say } from "../base/shell.js";
import { status } from "../base/status.js";
import { VanPart } from "./part.js";
import { INTENTS } from "./scanning.js";
import { showSheet } from "./sheet.js";
import "./known.js";
import "./settings.js";

const ON = () => t("You are on duty: the base sees where the van is, and when it is where it is awaited.");
const OFF = () => t("You are off duty: nothing is kept of where the van is, until you switch on again.");

class Tools extends VanPart {
  render() {
    const { onDuty } = this.tablet;
    return html`
      <button class="duty button ${onDuty ?? "unsaid"}" role="switch" aria-checked=${String(onDuty === "on")} aria-describedby="duty-means" @click=${this.switchDuty}>
        ${onDuty === "on" ? status("on_duty") : status("off_duty", { said: onDuty ? undefined : t("duty not said") })}</button>
      <span class="unseen" id="duty-means">${onDuty === "on" ? ON() : OFF()}</span>
      <button class="button" aria-label=${t("What is known about me")} @click=${() => showKnown(this.tablet)}>?</button>
      <button class="outbox button" @click=${() => show(this.tablet, t("What is not sent yet"), "van-outbox")}>${outboxState(this.tablet)}</button>`;
  }

  async switchDuty() {
    const duty = this.tablet.onDuty === "on" ? "off" : "on";
    await this.tablet.event("status", (at) => ({ state: "online", t: at, duty }));
    say(duty === "on" ? ON() : OFF());
  }
}
define("van-tools", Tools);

function show(tablet, title, name) {
  const part = document.createElement(name);
  part.tablet = tablet;
  showSheet(title, part);
}

export const showKnown = (tablet) => show(tablet, t("What is known about me"), "van-known");
export const showSettings = (tablet) => show(tablet, t("This tablet"), "van-settings");

/** How much is not sent, as colour, shape and word. */
export function outboxState({ waiting, refused }) {
  const n = waiting.length;
  if (refused.length) return status("refused", { said: html`${tn("{n} refused", "{n} refused", refused.length)}${n ? html` · ${tn("{n} waiting", "{n} waiting", n)}` : nothing}` });
  return n ? status("waiting", { said: tn("{n} waiting", "{n} waiting", n) }) : status("saved", { said: t("all sent") });
}

const KINDS = {
  scan: ({ intent, code }) => [intent === "reverse" ? t("Take back") : INTENTS[intent]?.word() ?? intent, code].filter(Boolean).join(" · "),
  position: () => t("Position"),
  status: ({ duty }) => (duty === "on" ? t("On duty") : t("Off duty")),
  report: () => t("Visit report"),
  message: ({ text }) => (text ? t("Message: {text}", { text }) : t("Messages have come, or were read")),
};
const REASONS = {
  bad_payload: () => t("The server cannot read it."),
  malformed: () => t("The server cannot read it."),
  conflict: () => t("Something else was sent under the same number. Both wait for a person at the base."),
  over_quota: () => t("This van has sent too much today that cannot be used. Send it again tomorrow."),
  future: () => t("Its time is in the future: the clock was wrong."),
  ancient: () => t("It is too old."),
  too_large: () => t("It is too large."),
  unknown_van: () => t("The base does not know this van."),
};

class OutboxSheet extends VanPart {
  static properties = { shown: { state: true } };

  constructor() {
    super();
    this.shown = 50;
  }

  render() {
    const { waiting, refused, outbox, elsewhere } = this.tablet;
    return html`
      <p>${outboxState(this.tablet)}</p>
      ${elsewhere.map(({ van, n }) => html`<p>${status("waiting", { said: tn("{n} more of van {van} goes when its technician signs in here", "{n} more of van {van} go when its technician signs in here", n, { van }) })}</p>`)}
      <p class="quiet">${t("What you do here is kept on this device until the base has said that it is stored. Nothing is lost without a network, for days; do not clear the browser’s data meanwhile.")}</p>
      ${refused.length ? html`<h3>${t("Refused by the server")}</h3><ul>${refused.map((row) => this.refused(row))}</ul>` : nothing}
      ${waiting.length ? html`<h3>${t("Waiting")}</h3>
        ${outbox.problem ? html`<p class="problem">${outbox.problem.status ? outbox.problem.message : t("There is no connection just now. It is tried again by itself, every quarter of a minute.")}</p>` : nothing}
        <p><button class="button primary" ?disabled=${outbox.sending} @click=${() => outbox.flush()}>${outbox.sending ? t("Sending…") : t("Send now")}</button></p>
        <ul>${repeat(waiting.slice(0, this.shown), ({ n }) => n, (row) => html`<li>${this.what(row)}</li>`)}</ul>
        ${waiting.length > this.shown ? html`<p class="quiet">${tn("and {n} more", "and {n} more", waiting.length - this.shown)}</p>` : nothing}` : nothing}`;
  }

  what({ kind, payload }) {
    return html`<div class="grow"><p class="what">${(KINDS[kind] ?? (() => kind))(payload)}</p><p class="quiet">${time(payload.t, this.tablet.now())}</p></div>`;
  }

  refused(row) {
    return html`<li><div class="grow">${this.what(row)}
        <p>${status("refused", { said: REASONS[row.reason]?.() ?? row.reason })}</p>${row.detail ? html`<p class="quiet">${row.detail}</p>` : nothing}
        <p class="actions">
          <button class="button" @click=${() => this.tablet.again(row.n)}>${t("Send again")}</button>
          <button class="button" @click=${() => this.tablet.dismiss(row.n)}>${t("Let it go")}</button></p></div></li>`;
  }
}
define("van-outbox", OutboxSheet);
