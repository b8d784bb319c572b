// One field for vans, technicians, sites, items and orders: what is found is chosen, or leads to its page.

import { Part, define, html, nothing } from "../base/lit.js";
import { t, tn } from "../base/i18n.js";
import { read } from "../base/session.js";

const PAUSE_MS = 150;
const NAMES = { van: () => t("Van"), technician: () => t("Technician"), site: () => t("Site"), item: () => t("Item"), order: () => t("Order") };

export class Search extends Part {
  static properties = { desk: { attribute: false }, found: { state: true }, at: { state: true }, problem: { state: true } };

  constructor() {
    super();
    Object.assign(this, { found: null, at: 0, problem: "" });
  }

  /** Puts the cursor into the field. */
  focus() {
    this.#field.focus();
    this.#field.select();
  }

  get #field() {
    return this.querySelector("input");
  }

  render() {
    const open = this.found !== null;
    return html`<search class="search" @focusout=${this.#left}>
      <input type="search" role="combobox" aria-label=${t("Search vans, technicians, sites, items, orders")} placeholder=${t("Search")} autocomplete="off" spellcheck="false" maxlength="100"
        aria-expanded=${String(open)} aria-controls="found" aria-autocomplete="list" aria-activedescendant=${open && this.found.length ? `found-${this.at}` : nothing}
        @input=${this.#typed} @keydown=${this.#key}>
      <kbd aria-hidden="true">/</kbd>
      <ul class="card" id="found" role="listbox" aria-label=${t("Found")} ?hidden=${!open || !this.found.length}>${(this.found ?? []).map((one, nth) => this.#option(one, nth))}</ul>
      <p class="card" ?hidden=${!open || this.found.length > 0}>${this.problem || t("Nothing is called so.")}</p>
      <p class="unseen" role="status">${open && this.found.length ? tn("{n} found", "{n} found", this.found.length) : nothing}</p>
    </search>`;
  }

  #option(one, nth) {
    return html`<li role="option" id="found-${nth}" aria-selected=${String(nth === this.at)} @pointerdown=${(event) => event.preventDefault()} @click=${() => this.#go(one)}>
      <span class="first">${one.name}</span><span class="second">${[NAMES[one.kind]?.() ?? one.kind, one.code === one.name ? null : one.code, one.detail].filter(Boolean).join(" · ")}</span></li>`;
  }

  #typed = () => {
    clearTimeout(this.waiting);
    this.abort?.abort();
    const q = this.#field.value.trim();
    if (!q) return this.#close();
    this.waiting = setTimeout(() => this.#ask(q), PAUSE_MS);
  };

  async #ask(q) {
    this.abort = new AbortController();
    try {
      const { results } = await read(`/v1/search?q=${encodeURIComponent(q)}`, { signal: this.abort.signal });
      Object.assign(this, { found: results, at: 0, problem: "" });
    } catch (problem) {
      if (problem.name !== "AbortError") Object.assign(this, { found: [], problem: problem.message });
    }
  }

  #close() {
    Object.assign(this, { found: null, problem: "" });
  }

  #left = (event) => {
    if (!this.contains(event.relatedTarget)) this.#close();
  };

  #key = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found?.length) {
      event.preventDefault();
      this.at = (this.at + step + this.found.length) % this.found.length;
    } else if (event.key === "Enter" && this.found?.length) {
      this.#go(this.found[this.at]);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.#close();
      this.#field.blur();
    }
  };

  #go(one) {
    this.#close();
    this.#field.value = "";
    this.#field.blur();
    if (one.kind === "van" || one.kind === "site") this.desk.choose(one.kind, one.code);
    else if (one.kind === "technician") this.desk.choose("van", one.van);
    else location.assign(`/warehouse/#${new URLSearchParams({ [one.kind]: one.code })}`);
  }
}
define("cordee-search", Search);
