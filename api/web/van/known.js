// What is known about the technician, who looked, and for how long it is kept.

import { define, html, nothing } from "../base/lit.js";
import { longDay, time } from "../base/format.js";
import { t, tn } from "../base/i18n.js";
import { purposeOf } from "../base/purposes.js";
import { VanPart } from "./part.js";
import { tell } from "./told.js";

const LOOKED = { position: () => t("where it was"), track: () => t("its way") };
const SHOWN = 30;

class Known extends VanPart {
  static properties = { seen: { state: true }, kept: { state: true } };

  async firstUpdated() {
    const [seen, kept] = await Promise.all([tell("seen", this.tablet.van), tell("kept", this.tablet.van)]);
    this.seen = seen?.value.entries ?? [];
    this.kept = kept?.value.purposes ?? [];
  }

  render() {
    return html`
      <p>${t("On duty, the base sees where the van is, its way, and when it came to and left its stops. Scans, reports, messages and duty carry your login.")}</p>
      <p>${t("Off duty, nothing is kept of where the van is: not here, not at the base. Forgetting to switch off does not follow you home where your working hours are entered.")}</p>
      <h3>${t("Who looked at where my van is")}</h3>
      ${this.list(this.seen, t("Nobody has looked, or this is not known without a network."), ({ hour_ms, who, what }) => html`${longDay(hour_ms)}, ${time(hour_ms, hour_ms)} · ${who} · ${LOOKED[what]()}`)}
      <h3>${t("What is kept, and for how long")}</h3>
      ${this.list(this.kept, t("This is not known without a network."), (one) => html`${purposeOf(one)} · ${tn("{n} day", "{n} days", one.days)}`)}
      <p><a href="/account/">${t("My account: all of it, and the password")}</a></p>`;
  }

  list(rows, none, show) {
    if (!rows) return html`<p class="quiet">${t("Asking…")}</p>`;
    if (!rows.length) return html`<p class="quiet">${none}</p>`;
    return html`<ul>${rows.slice(0, SHOWN).map((row) => html`<li>${show(row)}</li>`)}</ul>
      ${rows.length > SHOWN ? html`<p class="quiet">${tn("and {n} more", "and {n} more", rows.length - SHOWN)}</p>` : nothing}`;
  }
}
define("van-known", Known);
