// One field for vans, technicians, sites, items and orders: what is found is chosen, or leads to its page.

import { Part, define, html, nothing } from "../base/lit.js";
import { t, tn } from "../base/i18n.js";
import { read } from "../base/session.js";
import { say } from "../base/shell.js";
import { word } from "../base/status.js";

const PAUSE_MS = 150;

/** What is said of each kind, and what is chosen by it: name, what stands below, go(desk, one). */
const KINDS = {
  vans: {
    said: (one) => [one.code, [t("Van"), one.name, one.technician]],
    go: (desk, one) => desk.choose("van", one.code),
  },
  technicians: {
    said: (one) => [one.name, [t("Technician"), one.van]],
    go: (desk, one) => (one.van ? desk.choose("van", one.van) : say(t("{name} drives no van.", { name: one.name }))),
  },
  sites: {
    said: (one) => [one.name, [t("Site"), one.code, one.town]],
    go: (desk, one) => desk.choose("site", one.code),
  },
  items: {
    said: (one) => [one.name, [t("Item"), one.item, one.barcode]],
    go: (desk, one) => {
      desk.lookFor(one.item);
      if (!desk.subject.van) say(t("Choose a van: its stock of {item} is shown.", { item: one.item }));
    },
  },
  orders: {
    said: (one) => [one.code, [t("Order"), one.van, word(one.state)]],
    go: (_, one) => location.assign(`/warehouse/#${new URLSearchParams({ order: one.code })}`),
  },
};

export class Search extends Part {
  static properties = { desk: { attribute: false }, found: { state: true }, at: { state: true }, problem: { state: true } };

  constructor() {
    super();
    Object.assign(this, { found: null, at: 0, problem: "" });
  }

  /** Puts the cursor into the field. */
  focus() {
    this.before = document.activeElement;
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
    const [name, more] = KINDS[one.kind].said(one.row);
    return html`<li role="option" id="found-${nth}" aria-selected=${String(nth === this.at)} @pointerdown=${(event) => event.preventDefault()} @click=${() => this.#go(one)}>
      <span class="first">${name}</span><span class="second">${more.filter(Boolean).join(" · ")}</span></li>`;
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
      const answer = await read(`/v1/search?q=${encodeURIComponent(q)}`, { signal: this.abort.signal });
      const found = Object.keys(KINDS).flatMap((kind) => answer[kind].map((row) => ({ kind, row })));
      Object.assign(this, { found, at: 0, problem: "" });
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
      this.#leave();
    }
  };

  #go(one) {
    this.#close();
    this.#field.value = "";
    this.#leave();
    KINDS[one.kind].go(this.desk, one.row);
    document.querySelector("cordee-planner").enter();
  }

  /** Leaves the field for where one was when one was called here. */
  #leave() {
    this.#field.blur();
    if (this.before?.isConnected) this.before.focus();
    this.before = null;
  }
}
define("cordee-search", Search);
