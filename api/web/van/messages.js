// The fourth tab: messages from the base and to it. Written without a network, they go when there is one.

import { define, html, nothing, repeat } from "../base/lit.js";
import { time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { VanPart } from "./part.js";
import { draft, dropDraft, keepDraft } from "./drafts.js";

const TEXT_MAX = 2_000;
const DRAFT = "message";

class Messages extends VanPart {
  static properties = { text: { state: true } };

  constructor() {
    super();
    this.text = draft(DRAFT) ?? "";
  }

  render() {
    const all = this.tablet.conversation;
    return html`<div class="messages">
      <form class="card write" @submit=${this.send}>
        <label class="field grow">${t("To the base")}
          <textarea rows="2" maxlength=${TEXT_MAX} .value=${this.text} @input=${this.write}></textarea></label>
        <button class="button primary" ?disabled=${!this.text.trim()}>${t("Send")}</button>
      </form>
      ${all.length ? html`<ol aria-label=${t("Messages, newest first")}>${repeat(all, ({ id }) => id, (message) => this.message(message))}</ol>`
        : html`<p class="empty">${t("No message yet. What the base writes to you is shown here.")}</p>`}
    </div>`;
  }

  message({ mine, author, text, t_ms, state, read_ms }) {
    const now = this.tablet.now();
    return html`<li class="card message ${mine ? "mine" : "theirs"}">
      <p class="quiet">${mine ? t("You") : author ?? t("The base")} · ${time(t_ms, now)}</p>
      <p class="text">${text}</p>
      ${mine ? html`<p>${state === "waiting" ? status("waiting", { said: t("not sent yet") }) : read_ms ? status("saved", { said: t("read {time}", { time: time(read_ms, now) }) }) : status("sent")}</p>` : nothing}
    </li>`;
  }

  updated() {
    this.tablet.readAll();
  }

  write(event) {
    this.text = event.target.value;
    keepDraft(DRAFT, this.text);
  }

  async send(event) {
    event.preventDefault();
    const text = this.text.trim();
    if (!text) return;
    await this.tablet.write(text);
    dropDraft(DRAFT);
    this.text = "";
  }
}
define("van-messages", Messages);
