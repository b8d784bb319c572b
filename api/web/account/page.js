// One's own account: password, sessions, who looked at one's van, and what is kept about anybody.

import { Part, define, html, nothing } from "../base/lit.js";
import { count, fullDay, longDay, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { change, read, signOut, welcome } from "../base/session.js";
import { ROLES, open, say } from "../base/shell.js";
import { askInDialog } from "../base/dialog.js";
import { purposeOf } from "../base/purposes.js";
import "../base/table.js";

const LOOKED = { position: () => t("where it was"), track: () => t("its way") };

class Account extends Part {
  static properties = { who: { attribute: false }, seen: { state: true }, kept: { state: true }, problem: { state: true } };

  async firstUpdated() {
    this.kept = (await read("/v1/retention").catch(() => null))?.purposes ?? [];
    if (this.who.role === "technician") this.seen = (await read("/v1/me/access-log").catch(() => null))?.entries ?? [];
  }

  render() {
    return html`
      <section class="card" aria-labelledby="me">
        <h1 id="me">${this.who.name}</h1>
        <p>${this.who.login} · ${ROLES[this.who.role]()}${this.who.vans.length ? html` · ${this.who.vans.join(", ")}` : nothing}</p>
        <p class="actions">
          <button class="button" @click=${this.password}>${t("Change the password")}</button>
          <button class="button" @click=${this.everywhere}>${t("Sign out everywhere")}</button>
          <button class="button" @click=${() => signOut().catch((problem) => say(problem.message))}>${t("Sign out")}</button>
        </p>
      </section>
      ${this.who.role === "technician" ? this.looked() : nothing}
      <section class="panel" aria-labelledby="kept">
        <div class="head"><h2 id="kept">${t("What is kept, what for, and for how long")}</h2></div>
        <cordee-table .columns=${KEPT} .rows=${this.kept ?? null} .key=${(p) => p.name}></cordee-table>
      </section>`;
  }

  looked() {
    return html`<section class="panel" aria-labelledby="looked">
      <div class="head"><h2 id="looked">${t("Who looked at where my van is")}</h2></div>
      <cordee-table .columns=${SEEN} .rows=${this.seen ?? null} .key=${(e) => `${e.hour_ms} ${e.van} ${e.who} ${e.what}`}
        .empty=${t("Nobody has looked at where your van is or was.")}></cordee-table>
    </section>`;
  }

  async password() {
    const field = (name, label, complete) => html`<label class="field">${label}
      <input name=${name} type="password" autocomplete=${complete} required maxlength="200"></label>`;
    const done = await askInDialog({
      title: t("Change the password"),
      content: html`${field("old", t("The password so far"), "current-password")}
        ${field("new", t("The new one"), "new-password")}
        ${field("again", t("The new one again"), "new-password")}
        <p class="quiet">${t("All other sessions end.")}</p>`,
      action: t("Change"),
      act: async (data) => {
        if (data.get("new") !== data.get("again")) throw new Error(t("The two new passwords differ."));
        welcome(await change("PUT", "/v1/me/password", { old: data.get("old"), new: data.get("new") }));
        return true;
      },
    });
    if (done) say(t("The password is changed."));
  }

  async everywhere() {
    const done = await askInDialog({
      title: t("Sign out everywhere?"),
      content: html`<p>${t("Every session of yours ends, on every device, this one too.")}</p>`,
      action: t("Sign out everywhere"),
      act: async () => {
        await change("DELETE", "/v1/me/sessions");
        return true;
      },
    });
    if (done) location.assign("/");
  }
}
define("cordee-account", Account);

const SEEN = [
  { name: "hour", label: t("Hour"), show: (e) => `${longDay(e.hour_ms)}, ${time(e.hour_ms, e.hour_ms)}`, sort: (e) => e.hour_ms },
  { name: "van", label: t("Van"), show: (e) => e.van },
  { name: "who", label: t("Who"), show: (e) => e.who, sort: (e) => e.who, className: "wide" },
  { name: "what", label: t("Looked at"), show: (e) => LOOKED[e.what]() },
];

const KEPT = [
  { name: "purpose", label: t("What for"), show: purposeOf, className: "wide" },
  { name: "days", label: t("Kept"), show: (p) => tn("{n} day", "{n} days", p.days), className: "number" },
  { name: "since", label: t("So since"), show: (p) => fullDay(p.since_ms) },
  { name: "deleted", label: t("Deleted last"), show: (p) => count(p.tables.reduce((rows, table) => rows + table.rows, 0)), className: "number" },
];

open("account", ({ who, main }) => {
  const account = new Account();
  account.who = who;
  main.append(account);
}, { live: false });
