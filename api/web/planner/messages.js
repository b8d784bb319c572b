// What base and van have written to one another, who has read it, and a field to write.

import { Again, notRead } from "../base/again.js";
import { define, html, nothing } from "../base/lit.js";
import { time } from "../base/format.js";
import { t } from "../base/i18n.js";
import { change } from "../base/session.js";
import { say } from "../base/shell.js";
import { textOf } from "../base/told_by_cordee.js";
import { Asked } from "./asked.js";
import { Pane } from "./desk.js";

const SHOWN = 20;
/** The stream tells of what a van has written; that somebody there has read is asked for. */
const EVERY_MS = 30_000;

class Messages extends Pane {
  static properties = { van: {}, busy: { state: true }, problem: { state: true } };
  list = new Asked(this);
  again = new Again(this, EVERY_MS, () => this.list.again(), { first: false });

  willUpdate(changed) {
    if (changed.has("van")) this.problem = "";
    const heard = this.desk.live.view?.messages?.[this.van];
    const sign = `${this.van} ${heard?.unread} ${heard?.newest_ms}`;
    if (this.heard !== undefined && this.heard !== sign && !changed.has("van")) this.list.again();
    this.heard = sign;
  }

  render() {
    const { value, problem } = this.list.of(`/v1/messages?van=${encodeURIComponent(this.van)}&limit=${SHOWN}`);
    const messages = value?.messages ?? null;
    const unread = messages?.findLast((one) => !one.from_base && one.read_ms === null) ?? null;
    return html`<section><h4>${t("Messages")}</h4>
      ${notRead(problem?.message, this.list.readAt)}
      ${messages?.length === 0 ? html`<p class="quiet">${t("Nothing was written yet.")}</p>` : html`<ol class="messages" aria-live="polite">${(messages ?? []).map((one) => this.#message(one))}</ol>`}
      ${unread ? html`<p><button class="button small" @click=${() => this.#read(unread)}>${t("Mark as read")}</button></p>` : nothing}
      <form class="write" @submit=${this.#write}>
        <label class="field">${t("Write to {van}", { van: this.van })}<textarea name="text" rows="2" maxlength="2000" required></textarea></label>
        <p class="problem" role="alert">${this.problem}</p>
        <p class="actions"><button class="button" ?disabled=${this.busy}>${t("Send")}</button></p>
      </form></section>`;
  }

  #message(one) {
    const now = this.desk.now();
    const who = one.author ?? t("Cordée");
    return html`<li class="${one.from_base ? "from-base" : "from-van"} ${!one.from_base && one.read_ms === null ? "unread" : ""}">
      <p class="said">${textOf(one)}</p>
      <p class="second">${who}, ${time(one.sent_ms, now)} · ${this.#wayOf(one, now)}</p></li>`;
  }

  #wayOf(one, now) {
    if (one.read_ms !== null) return t("read {time}", { time: time(one.read_ms, now) });
    if (!one.from_base) return t("not read yet");
    return one.delivered_ms === null ? t("on its way") : t("arrived {time}", { time: time(one.delivered_ms, now) });
  }

  async #read(one) {
    try {
      await change("POST", `/v1/messages/${encodeURIComponent(one.id)}/read`);
      await this.list.again();
    } catch (problem) {
      say(problem.message);
    }
  }

  #write = async (event) => {
    event.preventDefault();
    const form = event.target;
    [this.busy, this.problem] = [true, ""];
    try {
      await change("POST", "/v1/messages", { van: this.van, text: new FormData(form).get("text") });
      form.reset();
      await this.list.again();
    } catch (problem) {
      this.problem = problem.message;
    }
    this.busy = false;
  };
}
define("cordee-messages", Messages);
