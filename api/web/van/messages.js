// The fourth tab: messages from the base and to it. Written without a network, they go when there is one.

import { define, html, nothing, repeat } from "../base/lit.js";
import { time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { textOf } from "../base/told_by_cordee.js";
import { VanPart } from "./part.js";
import { draft, dropDraft, keepDraft } from "./drafts.js";

const TEXT_MAX = 2_000;
const DRAFT = "message";

class Messages extends VanPart {
  static properties = { text: { state: true }, replyTo: { state: true } };

  constructor() {
    super();
    this.text = draft(DRAFT) ?? "";
    this.replyTo = null;
  }

  render() {
    const all = this.tablet.conversation;
    return html`<div class="messages">
      <form class="card write" @submit=${this.send}>
        ${this.replyTo ? html`<p class="quiet grow">${t("In reply to: {text}", { text: this.replyTo.text })}
          <button type="button" class="button" @click=${() => (this.replyTo = null)}>${t("No reply")}</button></p>` : nothing}
        <label class="field grow">${t("To the base")}
          <textarea rows="2" maxlength=${TEXT_MAX} .value=${this.text} @input=${this.change}></textarea></label>
        <button class="button primary" ?disabled=${!this.text.trim()}>${t("Send")}</button>
      </form>
      ${all.length ? html`<ol aria-label=${t("Messages, newest first")}>${repeat(all, ({ id }) => id, (message) => this.message(message, all))}</ol>`
        : html`<p class="empty">${t("No message yet. What the base writes to you is shown here.")}</p>`}
    </div>`;
  }

  message(message, all) {
    const { mine, author, t: at, kind, items, in_reply_to: replied } = message;
    const to = replied && all.find(({ id }) => id === replied);
    return html`<li class="card message ${mine ? "mine" : "theirs"}">
      <p class="quiet">${mine ? t("You") : author ?? t("The base")} · ${time(at, this.tablet.now())}</p>
      ${to ? html`<p class="quiet">${t("In reply to: {text}", { text: textOf(to) })}</p>` : nothing}
      <p class="text">${textOf(message)}</p>
      ${kind === "count_request" ? html`<p class="actions">${items.map((item) => this.toCount(item))}</p>` : nothing}
      ${mine ? html`<p>${this.became(message)}</p>` : kind === "message" ? html`<p class="actions">
        <button class="button" @click=${() => this.reply(message)}>${t("Reply")}</button></p>` : nothing}
    </li>`;
  }

  became({ state, read_ms }) {
    if (state === "waiting") return status("waiting", { said: t("not sent yet") });
    return read_ms ? status("saved", { said: t("read {time}", { time: time(read_ms, this.tablet.now()) }) }) : status("sent");
  }

  toCount(item) {
    const { name } = this.tablet.catalogue.named(item);
    return html`<button class="button" @click=${() => this.tablet.scanning.countItem(item)}>${t("Count {name}", { name })}</button>`;
  }

  /** Whatever is shown, in a tab that is looked at, is read. */
  updated() {
    if (this.tablet.unread && document.visibilityState === "visible") this.tablet.acknowledge({ read: true });
  }

  reply(message) {
    this.replyTo = message;
    this.querySelector("textarea").focus();
  }

  change(event) {
    this.text = event.target.value;
    keepDraft(DRAFT, this.text);
  }

  async send(event) {
    event.preventDefault();
    const text = this.text.trim();
    if (!text) return;
    await this.tablet.write(text, this.replyTo?.id);
    dropDraft(DRAFT);
    Object.assign(this, { text: "", replyTo: null });
  }
}
define("van-messages", Messages);
