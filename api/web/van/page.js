// The technician's tablet: four tabs over one store, which works without a network for a day and more.

import { define, html, nothing } from "../base/lit.js";
import { duration } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { open, say } from "../base/shell.js";
import { wedge } from "../base/wedge.js";
import { wrongByMs } from "./clock.js";
import { Installed } from "./installed.js";
import { VanPart, icon } from "./part.js";
import { followDevice } from "./positions.js";
import { sentence } from "./scanning.js";
import { isLow } from "./stock.js";
import { openTablet } from "./tablet.js";
import { showKnown, showSettings } from "./tools.js";
import "./messages.js";
import "./scan.js";
import "./tour.js";

const TABS = {
  scan: { word: () => t("Scan") },
  stock: { word: () => t("Stock"), badge: ({ levels }) => levels.filter(isLow).length, said: (n) => tn("{n} low", "{n} low", n) },
  tour: { word: () => t("Tour") },
  messages: { word: () => t("Messages"), badge: ({ unread }) => unread, said: (n) => tn("{n} unread", "{n} unread", n) },
};

class Van extends VanPart {
  static properties = { tab: { state: true }, report: { state: true } };

  connectedCallback() {
    super.connectedCallback();
    this.follow = () => this.go();
    addEventListener("hashchange", this.follow);
    this.go();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("hashchange", this.follow);
  }

  /** Shows what the address names: #stock, #report/4711. */
  go() {
    const [name, stop] = location.hash.slice(1).split("/");
    this.report = name === "report" ? stop : null;
    this.tab = this.report ? "tour" : name in TABS ? name : "scan";
  }

  render() {
    return html`
      <nav class="tabs" aria-label=${t("Tabs")}>${Object.entries(TABS).map(([name, tab]) => this.link(name, tab))}</nav>
      <div class="view">${this.notices()}${this.view()}</div>`;
  }

  link(name, { word, badge, said }) {
    const n = badge?.(this.tablet) ?? 0;
    return html`<a href="#${name}" aria-current=${name === this.tab ? "page" : nothing}>${icon(name)}<span>${word()}</span>
      ${n ? html`<span class="badge" aria-hidden="true">${n > 99 ? "99+" : n}</span><span class="unseen">${said(n)}</span>` : nothing}</a>`;
  }

  view() {
    const { tablet } = this;
    return {
      scan: () => html`<van-scan .tablet=${tablet}></van-scan>`,
      stock: () => html`<van-stock .tablet=${tablet}></van-stock>`,
      tour: () => html`<van-tour .tablet=${tablet} .report=${this.report}></van-tour>`,
      messages: () => html`<van-messages .tablet=${tablet}></van-messages>`,
    }[this.tab]();
  }

  notices() {
    const { installed } = this.tablet;
    const wrong = wrongByMs();
    return html`
      ${installed.newer ? html`<p class="notice" role="status">${t("A new version of this page is here. What you have scanned and written stays.")}
        <button class="button primary" @click=${() => installed.update()}>${t("Take it")}</button></p>` : nothing}
      ${installed.possible ? nothing : html`<p class="notice">${t("At this address the page cannot work offline, nor use the camera: that needs https.")}</p>`}
      ${wrong ? html`<p class="notice">${t("This device’s clock is wrong by {time}. The server’s time is used; set the clock right.", { time: duration(Math.abs(wrong) / 1_000) })}</p>` : nothing}`;
  }
}
define("van-page", Van);

/** Scans go to what one is doing, whichever tab is in front; elsewhere than on the first it is said. */
function hearScanner(tablet) {
  const { scanning } = tablet;
  const elsewhere = () => !document.querySelector("van-scan") || document.querySelector("dialog[open]");
  wedge(async (readings) => {
    const row = await scanning.take(readings);
    if (row && elsewhere()) say(sentence(row), { undo: () => scanning.undo(row.seq) });
    else if (scanning.state.draft && elsewhere()) say(t("Being counted: {what}", { what: scanning.state.draft.found?.name ?? readings[0] }));
  });
  tablet.addEventListener("refused", (event) => elsewhere() && say(event.detail));
}

/** Says why there is nothing to work with, and what to do about it. */
const instead = (text) => Object.assign(document.createElement("p"), { className: "empty", textContent: text });

/** The van that the address names, if it is one of theirs; else the first. */
const vanOf = ({ vans }) => {
  const asked = new URLSearchParams(location.search).get("van");
  return vans.includes(asked) ? asked : vans[0];
};

const installed = new Installed();
installed.start();

open("van", async ({ who, live, main }) => {
  if (!who.vans.length) {
    main.append(instead(t("No van is yours at the moment. Ask the planners to enter which one you drive.")));
    return undefined;
  }
  let tablet;
  try {
    tablet = await openTablet(who, vanOf(who), installed);
  } catch (error) {
    main.append(instead(t("This browser keeps nothing for the page, so nothing would be safe here: {reason}. Leave its private mode, or free some space.", { reason: error.message })));
    return undefined;
  }
  const [page, tools] = [new Van(), document.createElement("van-tools")];
  page.tablet = tools.tablet = tablet;
  document.getElementById("top-tools").append(tools);
  document.querySelector("cordee-top").more = [
    { word: t("This tablet"), act: () => showSettings(tablet) },
    { word: t("What is known about me"), act: () => showKnown(tablet) },
  ];
  main.append(page);
  hearScanner(tablet);
  followDevice(tablet);
  tablet.start();
  return () => tablet.hear(live);
});
