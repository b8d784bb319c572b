// A table whose rows are keyed and changed in place. Each row is its own <tbody>, so that a detail
// row can open below it.

import { element, setText } from "./dom.js";
import { words } from "./strings.js";

/** A panel's heading, with room for controls beside it. */
export function panel(root, title) {
  const head = element("div", "head", element("h2", "", title));
  const body = element("div", "body");
  body.tabIndex = 0;
  body.setAttribute("role", "region");
  body.setAttribute("aria-label", title);
  root.replaceChildren(head, body);
  return { head, body };
}

/**
 * columns: [{ label, className, show(cell, row, now) }]; the first one is the row's header.
 * detail(row, cell): fills the row that opens below; without it rows do not open.
 * select(row): what a click on a row does, where it does not open.
 */
export function table(body, { columns, key, name, empty, detail, select }) {
  const grid = element("table");
  const header = element("tr");
  for (const column of columns) {
    const cell = element("th", column.className, column.label);
    cell.scope = "col";
    header.append(cell);
  }
  grid.append(element("thead", "", header));
  const notice = element("p", "empty", words.empty.waiting);
  body.replaceChildren(notice);
  const shown = new Map();

  function create(row) {
    const entry = { row, group: element("tbody"), cells: [], button: null, open: null };
    const line = element("tr");
    columns.forEach((column, i) => {
      const cell = element(i === 0 ? "th" : "td", column.className);
      let inside = cell;
      if (i === 0) {
        cell.scope = "row";
        if (detail || select) {
          inside = entry.button = element("button", "row-button");
          entry.button.type = "button";
          if (detail) entry.button.setAttribute("aria-expanded", "false");
          cell.append(inside);
        }
      }
      entry.cells.push(inside);
      line.append(cell);
    });
    if (detail || select) {
      line.className = "clickable";
      line.addEventListener("click", () => (detail ? toggle(entry) : select(entry.row)));
    }
    entry.group.append(line);
    return entry;
  }

  function toggle(entry) {
    if (entry.open) {
      entry.open.remove();
      entry.open = null;
    } else {
      const cell = element("td", "detail");
      cell.colSpan = columns.length;
      entry.open = element("tr", "detail-row", cell);
      entry.group.append(entry.open);
      detail(entry.row, cell);
    }
    entry.button.setAttribute("aria-expanded", String(entry.open !== null));
  }

  /** Shows these rows in this order; `emptyText` says what to expect when there is none. */
  function update(rows, now, { selected = null, emptyText = empty } = {}) {
    const wanted = new Set(rows.map(key));
    for (const [id, entry] of shown) {
      if (!wanted.has(id)) {
        entry.group.remove();
        shown.delete(id);
      }
    }
    let place = grid.tHead.nextSibling;
    for (const row of rows) {
      const id = key(row);
      let entry = shown.get(id);
      if (!entry) shown.set(id, (entry = create(row)));
      entry.row = row;
      columns.forEach((column, i) => column.show(entry.cells[i], row, now));
      entry.group.dataset.key = id;
      entry.group.classList.toggle("selected", id === selected);
      entry.button?.setAttribute("aria-label", detail ? words.showDetails(name(row)) : name(row));
      if (entry.group === place) place = place.nextSibling;
      else grid.insertBefore(entry.group, place);
    }
    if (rows.length === 0) setText(notice, emptyText);
    const visible = rows.length === 0 ? notice : grid;
    if (body.firstChild !== visible) body.replaceChildren(visible);
  }

  /** Scrolls the panel, and only the panel, until the row can be seen. */
  function reveal(id) {
    const group = shown.get(id)?.group;
    if (!group?.isConnected) return;
    const top = group.offsetTop - grid.tHead.offsetHeight;
    const bottom = group.offsetTop + group.offsetHeight;
    if (top < body.scrollTop) body.scrollTop = top;
    else if (bottom > body.scrollTop + body.clientHeight) body.scrollTop = bottom - body.clientHeight;
  }

  return { update, reveal };
}
