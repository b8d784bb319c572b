// What every page has around it: who is signed in, the way to the other pages, how old the data is,
// language and theme. A page begins with `open`, which asks for a sign-in first where one is needed.

import { Part, define, html, nothing, render } from "./lit.js";
import { longDay, timeOfDay } from "./format.js";
import { LANGUAGES, language, speak, t } from "./i18n.js";
import { follow } from "./live.js";
import { signOut, signedIn, stillSignedIn } from "./session.js";
import { status } from "./status.js";
import { THEMES, theme, wear } from "./theme.js";
import "./sign-in.js";

/** The pages, in the order in which they are offered; a role is led to the first one of its own. */
export const PAGES = [
  { name: "planner", title: () => t("Planning"), roles: ["planner", "admin"] },
  { name: "warehouse", title: () => t("Warehouse"), roles: ["warehouse", "planner", "admin"] },
  { name: "van", title: () => t("My van"), roles: ["technician"] },
  { name: "client", title: () => t("My sites"), roles: ["client"] },
  { name: "operations", title: () => t("Operations"), roles: ["ops", "admin"] },
];

/** How long a page may be empty before it says why. */
const PATIENCE_MS = 2_000;

export const pagesOf = (role) => PAGES.filter((page) => page.roles.includes(role));
export const ROLES = {
  planner: () => t("planner"),
  warehouse: () => t("warehouse"),
  technician: () => t("technician"),
  client: () => t("client"),
  ops: () => t("operator"),
  admin: () => t("administrator"),
};

/**
 * The line on top. `live` is what `follow` returns, or null on a page that shows nothing live; `more` are
 * things that this page offers in the menu: [{ word, act }].
 */
export class Top extends Part {
  static properties = { page: {}, who: {}, live: {}, more: { attribute: false } };

  /** What is scrolled to, because it gets the focus, stops below this line and not behind it. */
  #below = new ResizeObserver(() => (document.documentElement.style.scrollPaddingTop = `${this.offsetHeight + 8}px`));

  connectedCallback() {
    super.connectedCallback();
    this.ticking = setInterval(() => this.requestUpdate(), 1_000);
    this.#below.observe(this);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.ticking);
    this.#below.disconnect();
  }

  render() {
    return html`
      <a class="skip" href="#main">${t("Skip to the content")}</a>
      <a class="brand" href="/">Cordée</a>
      ${this.who ? html`<nav aria-label=${t("Pages")}>${pagesOf(this.who.role).map((page) => this.link(page))}</nav>` : nothing}
      <div class="grow" id="top-tools"></div>
      ${this.live ? this.age() : nothing}
      <details class="menu" @focusout=${closeWhenLeft} @keydown=${closeOnEscape}>
        <summary>${this.who ? this.who.name : t("Settings")}</summary>
        <div class="card">
          ${this.who ? html`<p class="quiet">${this.who.login} · ${ROLES[this.who.role]()}</p>
            <a href="/account/">${t("My account")}</a>
            ${this.more?.map(({ word, act }) => html`<button class="button" @click=${act}>${word}</button>`) ?? nothing}` : nothing}
          <label>${t("Language")} ${choice(LANGUAGES, language, speak)}</label>
          <label>${t("Theme")} ${choice(Object.fromEntries(Object.entries(THEMES).map(([name, said]) => [name, said()])), theme(), wear)}</label>
          ${this.who ? html`<button class="button" @click=${() => signOut().catch((problem) => say(problem.message))}>${t("Sign out")}</button>` : nothing}
        </div>
      </details>`;
  }

  link(page) {
    return html`<a href="/${page.name}/" aria-current=${page.name === this.page ? "page" : nothing}>${page.title()}</a>`;
  }

  age() {
    const state = this.live.state();
    const age = this.live.age_s();
    const said = {
      stale: () => t("stale {n} s", { n: age }),
      databaseDown: () => t("stale {n} s: the database does not answer", { n: age }),
    }[state]?.();
    const now = this.live.now();
    const simulated = Math.abs(now - Date.now()) > 120_000;
    document.body.classList.toggle("not-live", state !== "live");
    return html`
      <p class="clock">${simulated ? html`<span class="quiet">${t("simulated time")} · </span>` : nothing}${longDay(now)} · ${timeOfDay(now)}</p>
      <p class="connection" role="status">${status(state === "databaseDown" ? "stale" : state, said ? { said } : {})}</p>`;
  }
}
define("cordee-top", Top);

const choice = (options, chosen, choose) => html`
  <select @change=${(event) => choose(event.target.value)}>
    ${Object.entries(options).map(([value, said]) => html`<option value=${value} ?selected=${value === chosen}>${said}</option>`)}
  </select>`;

function closeWhenLeft(event) {
  const menu = event.currentTarget;
  if (menu.open && event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
}

function closeOnEscape(event) {
  if (event.key !== "Escape") return;
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

/** Says something once, in passing: what was done, or why it was not. Read out by screen readers. */
export function say(text, { undo } = {}) {
  const place = document.getElementById("said");
  const close = () => render(nothing, place);
  render(
    html`<p class="card">${text}
      ${undo ? html`<button class="button" @click=${() => { close(); undo(); }}>${t("Undo")}</button>` : nothing}
      <button class="button bare" aria-label=${t("Close")} @click=${close}>×</button></p>`,
    place,
  );
  clearTimeout(say.closing);
  say.closing = setTimeout(close, undo ? 20_000 : 8_000);
}

/**
 * Opens page `name` for those whose role has it: `begin({ who, live, main })` is called once somebody is
 * signed in, `changed()` of it, if it returns that, whenever the live view has changed and once a second.
 */
export async function open(name, begin, { live: wanted = true } = {}) {
  const top = new Top();
  Object.assign(top, { page: name, who: null, live: null, className: "top" });
  const main = document.createElement("main");
  main.id = "main";
  main.tabIndex = -1;
  const said = document.createElement("div");
  Object.assign(said, { id: "said", role: "status" });
  document.body.prepend(top);
  document.body.append(main, said);
  const unreachable = setTimeout(() => main.replaceChildren(sentence(t("Cordée cannot be reached just now. It is tried again every few seconds."))), PATIENCE_MS);
  const session = await signedIn();
  clearTimeout(unreachable);
  const who = session ?? (await asked(main));
  main.replaceChildren();
  top.who = who;
  const page = PAGES.find((one) => one.name === name);
  if (page && !page.roles.includes(who.role)) {
    location.replace(`/${pagesOf(who.role)[0].name}/`);
    return;
  }
  document.title = page ? `${page.title()} – Cordée` : "Cordée";
  let changed = () => {};
  const live = wanted ? follow("/v1/live", () => changed(), stillSignedIn) : null;
  top.live = live;
  changed = (await begin({ who, live, main })) ?? changed;
  if (wanted) setInterval(() => changed(), 1_000);
  changed();
}

function sentence(text) {
  return Object.assign(document.createElement("p"), { className: "empty", textContent: text });
}

function asked(main) {
  const form = document.createElement("cordee-sign-in");
  main.replaceChildren(form);
  return new Promise((resolve) => form.addEventListener("signed-in", (event) => resolve(event.detail)));
}
