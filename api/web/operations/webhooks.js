// Who is told by HTTP, and what did not get through.

import { Again } from "../base/again.js";
import { Part, define, html, nothing } from "../base/lit.js";
import { count, time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { change, read } from "../base/session.js";
import { say } from "../base/shell.js";
import { status } from "../base/status.js";
import "../base/table.js";
import { twoLines } from "../base/table.js";

const AGAIN_MS = 15_000;
const STATES = {
  pending: ["scheduled", () => t("waits")],
  retrying: ["at_risk", () => t("is tried again")],
  delivered: ["completed", () => t("delivered")],
  dead: ["missed", () => t("given up")],
};

class Webhooks extends Part {
  static properties = { now: { attribute: false }, webhooks: { state: true }, deliveries: { state: true } };
  again = new Again(this, AGAIN_MS, () => this.ask());

  async ask() {
    const [{ webhooks }, { deliveries }] = await Promise.all([read("/v1/webhooks"), read("/v1/webhooks/deliveries?limit=200")]);
    Object.assign(this, { webhooks, deliveries });
  }

  render() {
    return html`
      ${this.again.said()}
      <section class="panel" aria-label=${t("Who is told")}>
        <div class="head"><h2>${t("Who is told")}</h2></div>
        <cordee-table .columns=${WEBHOOKS} .rows=${this.webhooks ?? null} .key=${(one) => String(one.webhook_id)}
          .empty=${t("Nobody is told by HTTP. Add one: `cordee webhook add URL`.")}></cordee-table>
      </section>
      <section class="panel" aria-label=${t("Deliveries")}>
        <div class="head"><h2>${t("Deliveries, the ones last changed first")}</h2></div>
        <cordee-table .columns=${this.columns()} .rows=${this.deliveries ?? null} .key=${(one) => String(one.delivery_id)}
          .empty=${t("Nothing was delivered yet.")}></cordee-table>
      </section>`;
  }

  columns() {
    return [
      { name: "to", label: t("To"), show: (one) => twoLines(one.receiver, one.topic), className: "wide" },
      { name: "state", label: t("State"), show: (one) => status(STATES[one.state][0], { said: STATES[one.state][1]() }) },
      { name: "tries", label: t("Tries"), show: (one) => count(one.attempts), className: "number" },
      { name: "last", label: t("Last answer"), show: (one) => one.last_error ?? one.last_status ?? "–" },
      { name: "next", label: t("Next try"), show: (one) => time(one.next_try_ms, Date.now()), className: "number" },
      { name: "again", label: "", show: (one) => one.state !== "dead" ? nothing : html`<button class="button" @click=${() => this.resend(one)}>${t("Send it again")}</button>` },
    ];
  }

  async resend(one) {
    try {
      await change("POST", `/v1/webhooks/deliveries/${one.delivery_id}/resend`);
      say(t("It is tried again."));
    } catch (problem) {
      say(problem.message);
    }
    await this.again.now();
  }
}
define("cordee-webhooks", Webhooks);

const WEBHOOKS = [
  { name: "receiver", label: t("Receiver"), show: (one) => twoLines(one.receiver, one.topics.join(", ")), className: "wide" },
  { name: "on", label: t("State"), show: (one) => one.active ? status("live", { said: t("on") }) : status("off_duty", { said: t("off: {why}", { why: one.off_reason ?? "" }) }) },
  { name: "waiting", label: t("Waiting"), show: (one) => count(one.waiting), className: "number" },
  { name: "dead", label: t("Given up"), show: (one) => count(one.dead), className: "number" },
];
