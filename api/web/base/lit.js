// Lit, what components have in common, and their one base class: in light DOM, so that a page has one style
// sheet and a label may name a field of another component.

import { LitElement, html } from "../vendor/lit.js";

export * from "../vendor/lit.js";

/** A component without a shadow: what it renders is part of the page. */
export class Part extends LitElement {
  createRenderRoot() {
    return this;
  }
}

/** Defines `<name>` once, and returns the class. */
export function define(name, component) {
  customElements.define(name, component);
  return component;
}

/** What there is of some things, one after the other; where a line ends it ends between two of them. */
export const listed = (...things) => things.filter(Boolean).map((thing, nth) => html`${nth ? " · " : ""}<span class="whole">${thing}</span>`);
