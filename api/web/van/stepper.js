// A number with a button on each side, for thumbs with gloves on.

import { Part, define, html } from "../base/lit.js";
import { t } from "../base/i18n.js";

let steppers = 0;

/** Sends `changed` with the number. */
export class Stepper extends Part {
  static properties = { label: {}, value: { type: Number }, min: { type: Number }, max: { type: Number } };
  field = `stepper-${(steppers += 1)}`;

  render() {
    const step = (by) => html`<button type="button" class="button" ?disabled=${this.value + by < this.min || this.value + by > this.max}
      aria-label=${by < 0 ? t("One less") : t("One more")} @click=${() => this.set(this.value + by)}>${by < 0 ? "−" : "+"}</button>`;
    return html`<div class="field stepper"><label for=${this.field}>${this.label}</label>
      <span class="row">${step(-1)}
        <input id=${this.field} inputmode="numeric" autocomplete="off" .value=${String(this.value)} @focus=${(event) => event.target.select()}
          @change=${(event) => this.typed(event.target)}>
        ${step(1)}</span></div>`;
  }

  typed(field) {
    const n = /^\d+$/.test(field.value.trim()) ? Number(field.value) : NaN;
    if (n >= this.min && n <= this.max) this.set(n);
    else field.value = String(this.value);
  }

  set(n) {
    this.value = n;
    this.dispatchEvent(new CustomEvent("changed", { detail: n }));
  }
}
define("van-stepper", Stepper);
