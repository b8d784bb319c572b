// What can be set on this tablet, and how it stands as an app.

import { define, html, nothing } from "../base/lit.js";
import { t } from "../base/i18n.js";
import { status } from "../base/status.js";
import { VanPart } from "./part.js";
import { MAPS } from "./maps.js";
import { prefer, preferences } from "./preferences.js";
import { signal } from "./sound.js";

class Settings extends VanPart {
  static properties = { stays: { state: true } };

  async firstUpdated() {
    this.stays = await navigator.storage?.persisted?.();
  }

  set(name, value) {
    prefer(name, value);
    this.tablet.dispatchEvent(new Event("preferred"));
    this.requestUpdate();
  }

  render() {
    const now = preferences();
    const check = (name, words) => html`<label class="check"><input type="checkbox" .checked=${now[name]} @change=${(event) => this.set(name, event.target.checked)}> <span>${words}</span></label>`;
    return html`
      ${this.which()}
      <h3>${t("Signals")}</h3>
      ${check("sound", t("Sounds"))} ${check("vibration", t("Vibration"))}
      <p><button class="button" @click=${() => signal("good")}>${t("Try")}</button></p>
      <h3>${t("The way to a stop")}</h3>
      <label class="field">${t("Show it with")}
        <select @change=${(event) => this.set("map", event.target.value)}>${Object.entries(MAPS).map(([name, { title }]) => html`<option value=${name} ?selected=${name === now.map}>${title()}</option>`)}</select></label>
      <h3>${t("Positions")}</h3>
      ${check("positions", t("Let this device send where it is, while I am on duty and this page is in sight"))}
      <p class="quiet">${t("Not needed where the van has a tracker, or a phone app sends positions.")}</p>
      <h3>${t("Scanner")}</h3>
      <label class="field">${t("Character that it types for the separator of GS1 codes (FNC1)")}
        <input maxlength="1" size="3" autocomplete="off" .value=${now.separator} @change=${(event) => this.set("separator", event.target.value)}></label>
      <p class="quiet">${t("Set the scanner to type like a keyboard and to end with Enter. If its keyboard is a US one and this device’s is not, digits are understood all the same.")}</p>
      <h3>${t("This tablet as an app")}</h3>
      ${this.app()}`;
  }

  /** Whoever drives several vans says which one this tablet is in. */
  which() {
    const { who, van } = this.tablet;
    if (who.vans.length < 2) return nothing;
    return html`<label class="field">${t("Van")}
      <select @change=${(event) => (location.search = new URLSearchParams({ van: event.target.value }))}>
        ${who.vans.map((each) => html`<option ?selected=${each === van}>${each}</option>`)}</select></label>`;
  }

  app() {
    const { installed } = this.tablet;
    if (!installed.possible) return html`<p>${status("refused", { said: t("Not possible at this address") })}</p>
      <p class="quiet">${t("Offline work and the camera need https (or this machine itself). Ask whoever runs Cordée for an https address.")}</p>`;
    return html`
      <p>${installed.ready ? status("saved", { said: t("opens without a network") }) : status("waiting", { said: t("getting ready for offline") })}</p>
      <p>${this.stays ? status("saved", { said: t("the browser keeps what is stored") }) : status("waiting", { said: t("the browser may clear what is stored if space runs out: install the app to prevent that") })}</p>
      ${installed.offer ? html`<p><button class="button primary" @click=${() => installed.install()}>${t("Install")}</button></p>` : nothing}`;
  }
}
define("van-settings", Settings);
