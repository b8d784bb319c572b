// What is chosen, in full: a van, a stop, a site or an alert.

import { define, html, nothing } from "../base/lit.js";
import { t } from "../base/i18n.js";
import { Pane } from "./desk.js";
import "./alert_card.js";
import "./site_card.js";
import "./stop_card.js";
import "./van_card.js";

const NAMES = { alert: () => t("Alert"), stop: () => t("Stop"), van: () => t("Van"), site: () => t("Site") };

const CARDS = {
  alert: (desk, id) => html`<cordee-alert-card .desk=${desk} .alertId=${id}></cordee-alert-card>`,
  stop: (desk, id) => html`<cordee-stop-card .desk=${desk} .stopId=${Number(id)}></cordee-stop-card>`,
  van: (desk, id) => html`<cordee-van-card .desk=${desk} .code=${id}></cordee-van-card>`,
  site: (desk, id) => html`<cordee-site-card .desk=${desk} .code=${id}></cordee-site-card>`,
};

class Drawer extends Pane {
  #held = false;

  willUpdate() {
    this.#held = this.contains(document.activeElement);
  }

  /** Whoever chose something else in here is still in here. */
  updated() {
    if (this.#held && document.activeElement === document.body) this.querySelector(".body")?.focus();
  }

  render() {
    const { chosen } = this.desk;
    if (!chosen) return nothing;
    this.role = "region";
    this.ariaLabel = NAMES[chosen.kind]();
    return html`<div class="head"><h2>${NAMES[chosen.kind]()}</h2>
        <button class="button bare" aria-label=${t("Close")} title=${t("Close")} @click=${() => this.desk.leave()}>×</button></div>
      <div class="body" tabindex="0" role="group" aria-label=${NAMES[chosen.kind]()}>${CARDS[chosen.kind](this.desk, chosen.id)}</div>`;
  }

  /** Asks who could take the stop that is shown; false if none is. */
  move() {
    const { stop } = this.desk.subject;
    if (!stop) return false;
    this.desk.replan(stop);
    return true;
  }
}
define("cordee-drawer", Drawer);
