// What all parts of this page share: they show one tablet, and draw again when it has changed.

import { Part, html } from "../base/lit.js";

export class VanPart extends Part {
  static properties = { tablet: { attribute: false } };
  #again = () => this.requestUpdate();

  connectedCallback() {
    super.connectedCallback();
    this.tablet.addEventListener("changed", this.#again);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    this.tablet.removeEventListener("changed", this.#again);
  }
}

const ICONS = new URL("icons.svg", import.meta.url).pathname;

/** A sign beside a word; never alone without a label. */
export const icon = (name) => html`<svg class="icon" aria-hidden="true"><use href="${ICONS}#${name}"></use></svg>`;
