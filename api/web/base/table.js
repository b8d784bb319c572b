// A table whose rows are keyed and change in place, can be chosen or opened, and can be sorted by those
// columns that say how. Rows that are many are shown in pages of a hundred.

import { Part, define, html, nothing, repeat } from "./lit.js";
import { t, tn } from "./i18n.js";

const SHOWN = 100;

/**
 * columns: [{ name, label, show(row), className, sort(row) }]; the first is the row's header.
 * key(row), named(row): what a row is known and called by. rows: in the order to show, unless sorted.
 * detail(row): what opens below a row. selected: a key. empty: what to expect where there is no row.
 * `chosen` is sent with { row } when a row that does not open is chosen.
 */
export class Table extends Part {
  static properties = {
    columns: { attribute: false },
    rows: { attribute: false },
    key: { attribute: false },
    named: { attribute: false },
    detail: { attribute: false },
    selected: { attribute: false },
    choosable: { attribute: false },
    empty: { attribute: false },
    label: { attribute: false },
    opened: { state: true },
    sorted: { state: true },
    shown: { state: true },
  };

  constructor() {
    super();
    this.rows = null;
    this.key = (row) => row.code;
    this.named = this.key;
    this.opened = new Set();
    this.sorted = null;
    this.shown = SHOWN;
    this.choosable = false;
  }

  render() {
    if (this.rows === null) return html`<p class="empty">${t("Waiting for the first data…")}</p>`;
    if (this.rows.length === 0) return html`<p class="empty">${this.empty}</p>`;
    const rows = this.inOrder();
    return html`
      <table aria-label=${this.label ?? nothing}>
        <thead><tr>${this.columns.map((column) => this.heading(column))}</tr></thead>
        ${repeat(rows.slice(0, this.shown), this.key, (row) => this.row(row))}
      </table>
      ${rows.length > this.shown ? html`<p class="empty"><button class="button" @click=${() => (this.shown += SHOWN)}>
        ${tn("Show {n} more", "Show {n} more", Math.min(SHOWN, rows.length - this.shown))}</button></p>` : nothing}`;
  }

  inOrder() {
    if (!this.sorted) return this.rows;
    const by = this.columns.find((column) => column.name === this.sorted.name).sort;
    const compare = (a, b) => (a === b ? 0 : a === null || a === undefined ? 1 : b === null || b === undefined ? -1 : a < b ? -1 : 1);
    const turn = this.sorted.down ? -1 : 1;
    return [...this.rows].sort((a, b) => turn * compare(by(a), by(b)));
  }

  heading(column) {
    if (!column.sort) return html`<th scope="col" class=${column.className ?? ""}>${column.label}</th>`;
    const mine = this.sorted?.name === column.name;
    const direction = mine ? (this.sorted.down ? "descending" : "ascending") : nothing;
    return html`<th scope="col" class=${column.className ?? ""} aria-sort=${direction}>
      <button class="bare" @click=${() => this.sort(column.name)}>${column.label}</button></th>`;
  }

  /** Once up, once down, then as it comes again. */
  sort(name) {
    const { name: before, down } = this.sorted ?? {};
    this.sorted = before !== name ? { name, down: false } : down ? null : { name, down: true };
  }

  row(row) {
    const id = this.key(row);
    const open = this.opened.has(id);
    const [first, ...rest] = this.columns;
    const acts = this.detail || this.choosable;
    return html`
      <tbody data-key=${id} class=${id === this.selected ? "selected" : ""}>
        <tr class=${acts ? "clickable" : ""} @click=${acts ? () => this.act(row, id) : nothing}>
          <th scope="row" class=${first.className ?? ""}>${acts ? this.button(row, open, first) : first.show(row)}</th>
          ${rest.map((column) => html`<td class=${column.className ?? ""}>${column.show(row)}</td>`)}
        </tr>
        ${open ? html`<tr class="detail-row"><td class="detail" colspan=${this.columns.length}>${this.detail(row)}</td></tr>` : nothing}
      </tbody>`;
  }

  button(row, open, first) {
    const label = this.detail ? t("Details of {name}", { name: this.named(row) }) : this.named(row);
    return html`<button class="bare row-button" aria-label=${label} aria-expanded=${this.detail ? String(open) : nothing}>${first.show(row)}</button>`;
  }

  act(row, id) {
    if (this.detail) {
      if (!this.opened.delete(id)) this.opened.add(id);
      this.requestUpdate();
    } else {
      this.dispatchEvent(new CustomEvent("chosen", { detail: { row }, bubbles: true }));
    }
  }

  /** Scrolls what holds the table, and only that, until the row can be seen. */
  async reveal(id) {
    await this.updateComplete;
    this.querySelector(`tbody[data-key="${CSS.escape(id)}"]`)?.scrollIntoView({ block: "nearest" });
  }
}
define("cordee-table", Table);

/** A cell of two lines: what matters, and below it something smaller. */
export const twoLines = (first, second) =>
  html`<span class="first">${first}</span>${second ? html`<span class="second">${second}</span>` : nothing}`;
