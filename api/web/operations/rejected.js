// What could not be used in the last day: why, what it was, and what becomes of it. Codes that nobody has
// entered are given their meaning here.

import { Again } from "../base/again.js";
import { asCsv } from "../base/csv.js";
import { Part, define, html, nothing } from "../base/lit.js";
import { count, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { change, read } from "../base/session.js";
import { say } from "../base/shell.js";
import { askInDialog } from "../base/dialog.js";
import "../base/table.js";
import { twoLines } from "../base/table.js";

const SHOWN = 200;
const AGAIN_MS = 15_000;

class Rejected extends Part {
  static properties = { now: { attribute: false }, found: { state: true }, codes: { state: true }, reason: { state: true } };

  again = new Again(this, AGAIN_MS, () => this.ask());

  constructor() {
    super();
    this.reason = "";
  }

  async ask() {
    const reason = this.reason ? `&reason=${encodeURIComponent(this.reason)}` : "";
    const [found, { codes }] = await Promise.all([read(`/v1/rejected?limit=${SHOWN}${reason}`), read("/v1/parts/unknown-codes")]);
    Object.assign(this, { found, codes });
  }

  choose(reason) {
    this.reason = reason;
    this.again.now();
  }

  render() {
    const all = this.found?.reasons.reduce((sum, one) => sum + one.count, 0);
    return html`
      ${this.again.said()}
      <section class="panel" aria-label=${t("Rejected messages")}>
        <div class="head"><h2>${t("Messages that could not be used, last 24 hours")}</h2></div>
        ${this.found?.reasons.length ? html`<div class="chips">
          ${[{ reason: "", count: all }, ...this.found.reasons].map((one) => html`<button class="chip" aria-pressed=${String(one.reason === this.reason)}
            @click=${() => this.choose(one.reason)}>${one.reason || t("all")} ${count(one.count)}</button>`)}</div>` : nothing}
        <cordee-table .columns=${this.columns()} .rows=${this.found?.messages ?? null} .key=${(one) => one.rejected_id} .named=${(one) => one.topic}
          .detail=${(one) => this.detail(one)} .empty=${t("Nothing was rejected. A message that cannot be used is kept here with its reason.")}></cordee-table>
        ${this.found?.messages.length === SHOWN ? html`<p class="empty">${tn("The newest {n} is shown.", "The newest {n} are shown.", SHOWN)}</p>` : nothing}
      </section>
      <section class="panel" aria-label=${t("Codes that nobody has entered")}>
        <div class="head"><h2>${t("Codes that nobody has entered")}</h2>${asCsv("/v1/parts/unknown-codes")}</div>
        <cordee-table .columns=${this.codeColumns()} .rows=${this.codes ?? null} .key=${(one) => one.code_base64} .named=${(one) => one.code}
          .empty=${t("Every code that was scanned is known.")}></cordee-table>
      </section>`;
  }

  columns() {
    return [
      { name: "topic", label: t("Topic"), show: (one) => one.topic },
      { name: "reason", label: t("Why"), show: (one) => twoLines(one.reason, one.detail), className: "wide" },
      { name: "received", label: t("Received"), show: (one) => time(one.received_ms, this.now), sort: (one) => one.received_ms, className: "number" },
      { name: "bytes", label: t("Bytes"), show: (one) => count(one.payload_bytes), sort: (one) => one.payload_bytes, className: "number" },
    ];
  }

  detail(one) {
    return html`<pre tabindex="0">${one.payload_text}</pre>
      ${one.payload_bytes > one.payload_text.length ? html`<p class="quiet">${t("The first {n} of {all} bytes.", { n: count(one.payload_text.length), all: count(one.payload_bytes) })}
        <a href="/v1/rejected/${one.rejected_id}" target="_blank">${t("All of it")}</a></p>` : nothing}
      <p class="actions">
        <button class="button" @click=${() => this.act(one, "replay", t("Sent again. If it cannot be used after all, it is back here in a moment."))}>${t("Send it again")}</button>
        <button class="button" @click=${() => this.discard(one)}>${t("Discard…")}</button>
      </p>`;
  }

  async act(one, what, said) {
    try {
      await change("POST", `/v1/rejected/${one.rejected_id}/${what}`);
      say(said);
    } catch (problem) {
      say(problem.message);
    }
    await this.again.now();
  }

  async discard(one) {
    await askInDialog({
      title: t("Discard this message?"),
      content: html`<p>${t("Its bytes are gone for good. Who discarded it, and what it was about, is kept.")}</p>`,
      action: t("Discard"),
      danger: true,
      act: async () => {
        await this.act(one, "discard", t("Discarded."));
        return true;
      },
    });
  }

  codeColumns() {
    return [
      { name: "code", label: t("Code"), show: (one) => html`<code>${one.code}</code>`, className: "wide" },
      { name: "scans", label: t("Scanned"), show: (one) => tn("{n} time", "{n} times", one.scans), sort: (one) => one.scans, className: "number" },
      { name: "vans", label: t("By"), show: (one) => tn("{n} van", "{n} vans", one.vans), className: "number" },
      { name: "last", label: t("Last"), show: (one) => time(one.last_ms, this.now), sort: (one) => one.last_ms, className: "number" },
      { name: "map", label: "", show: (one) => html`<button class="button" @click=${() => this.map(one)}>${t("Say what it means…")}</button>` },
    ];
  }

  async map(one) {
    const done = await askInDialog({
      title: t("What does {code} mean?", { code: one.code }),
      content: html`
        <label class="field">${t("Item")}<input name="item" required maxlength="64" autocomplete="off" spellcheck="false"></label>
        <label class="field">${t("Units that one scan of it means")}<input name="pack" type="number" min="1" max="1000000" value="1" required></label>
        <p class="quiet">${t("What was scanned with it takes effect, each scan at its own time.")}</p>`,
      action: t("Enter it"),
      act: async (data) => {
        await change("POST", "/v1/parts/unknown-codes/mapping", {
          code_base64: one.code_base64, item: data.get("item").trim(), pack_qty: Number(data.get("pack")),
        });
        return true;
      },
    });
    if (!done) return;
    say(t("{code} is known now.", { code: one.code }));
    await this.again.now();
  }
}
define("cordee-rejected", Rejected);
