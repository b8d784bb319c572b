// All sites as a table: the fences of the map, in words.

import { define, html } from "../base/lit.js";
import { count } from "../base/format.js";
import { t } from "../base/i18n.js";
import { Pane } from "./desk.js";

class Sites extends Pane {
  static properties = { find: { state: true } };

  constructor() {
    super();
    this.find = "";
  }

  render() {
    const { fences } = this.desk;
    if (fences.problem) return html`<p class="problem" role="alert">${fences.problem.message}</p>`;
    return html`<p class="finder"><input type="search" aria-label=${t("Code of a site")} placeholder=${t("Code of a site")} .value=${this.find} @input=${(event) => (this.find = event.target.value)}></p>
      <cordee-table .label=${t("Sites")} .columns=${COLUMNS()} .rows=${this.#rows()} .selected=${this.desk.subject.site} .choosable=${true} 
        .empty=${this.find ? t("No site is called so.") : t("No site is known yet. Import sites; each has its fence here.")} @chosen=${(event) => this.desk.choose("site", event.detail.row.code)}></cordee-table>`;
  }

  /** Found once for what was typed: 20,000 names are not looked through every second. */
  #rows() {
    const { all } = this.desk.fences;
    if (all === this.from && this.find === this.found?.find) return this.found.rows;
    const find = this.find.trim().toLowerCase();
    const rows = all && find ? all.filter(({ code }) => code.toLowerCase().includes(find)) : all;
    [this.from, this.found] = [all, { find: this.find, rows }];
    return rows;
  }
}
define("cordee-sites", Sites);

const COLUMNS = () => [
  { name: "code", label: t("Site"), className: "wide", sort: (s) => s.code, show: (s) => s.code },
  { name: "place", label: t("Place"), show: (s) => `${s.lat.toFixed(4)}, ${s.lon.toFixed(4)}` },
  { name: "radius", label: t("Radius, m"), className: "number", sort: (s) => s.radius_m, show: (s) => count(s.radius_m) },
];
