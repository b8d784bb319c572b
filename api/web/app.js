// The page: figures on top, tables below, all from the live stream. What opens is fetched.

import { element, setStatus, setText, setTwoLines } from "./dom.js";
import { count, day, duration, kmh, longDay, place, rate, span, time, timeOfDay } from "./format.js";
import { follow } from "./live.js";
import { map } from "./map.js";
import { words } from "./strings.js";
import { panel, table } from "./table.js";

const SHAPES = {
  driving: "arrow",
  standing: "square",
  at_site: "disc",
  silent: "ring",
  off_duty: "bar",
  never_seen: "dotted",
  early: "disc",
  on_time: "disc",
  late: "diamond",
  unplanned: "square",
  repeated: "square",
  open: "diamond",
  cleared: "tick",
  withdrawn: "bar",
};
const LATE_FIGURES = { alerts_open: "late", vans_silent: "silent" };
const STOCK_EVERY_MS = 20_000;
const STOCK_SHOWN = 100;

const byId = (id) => document.getElementById(id);
const chosen = { van: new URLSearchParams(location.hash.slice(1)).get("van"), state: "all", find: "" };

async function read(url) {
  const answer = await fetch(url, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

function select(code) {
  chosen.van = code;
  history.replaceState(null, "", `#van=${encodeURIComponent(code)}`);
  readStock();
  render();
  vans.reveal(code);
}

// ---- the tables -------------------------------------------------------------------------------

const parts = Object.fromEntries(
  Object.entries(words.panels).map(([id, title]) => [id, panel(byId(id), title)]),
);
const number = "number";
const column = (label, show, className = "") => ({ label, show, className });
const at = (field) => (cell, row, now) => setText(cell, time(row[field], now));
const c = words.columns;

const alerts = table(parts.alerts.body, {
  key: (a) => String(a.alert_id),
  name: (a) => a.van,
  empty: words.empty.alerts,
  select: (a) => select(a.van),
  columns: [
    column(c.van, (cell, a) => setTwoLines(cell, a.van, a.technician)),
    column(c.site, (cell, a) => setTwoLines(cell, a.site_name, a.reason), "wide"),
    column(c.due, at("due_at_ms"), number),
    column(c.late, showLateness, number),
    column(c.state, (cell, a) => setStatus(cell, a.state, SHAPES[a.state], words.alertStates[a.state])),
  ],
});

function showLateness(cell, alert, now) {
  const late_s = ((alert.arrived_at_ms ?? now) - alert.due_at_ms) / 1_000;
  setText(cell, alert.state === "withdrawn" ? words.none : duration(late_s));
}

const vans = table(parts.vans.body, {
  key: (v) => v.code,
  name: (v) => v.code,
  empty: words.empty.vans,
  select: (v) => select(v.code),
  columns: [
    column(c.van, (cell, v) => setTwoLines(cell, v.code, v.technician ?? v.name)),
    column(c.state, (cell, v) => setStatus(cell, v.state, SHAPES[v.state], words.vanStates[v.state])),
    column(c.where, (cell, v) => setText(cell, v.site?.name ?? (v.last_fix ? place(v.last_fix) : words.none)), "wide"),
    column(c.speed, (cell, v) => setText(cell, v.last_fix ? kmh(v.last_fix.speed_mps) : words.none), number),
    column(c.lastFix, (cell, v, now) => setText(cell, v.last_fix ? words.newestFix(duration((now - v.last_fix.t_ms) / 1_000)) : words.none), number),
  ],
});

const visits = table(parts.visits.body, {
  key: (v) => `${v.van} ${v.site} ${v.arrived_at_ms}`,
  name: (v) => v.van,
  empty: words.empty.visits,
  select: (v) => select(v.van),
  columns: [
    column(c.van, (cell, v) => setText(cell, v.van)),
    column(c.site, (cell, v) => setText(cell, v.site_name), "wide"),
    column(c.arrived, at("arrived_at_ms"), number),
    column(c.left, showLeft, number),
    column(c.dwell, (cell, v) => setText(cell, duration(v.dwell_s)), number),
    column(c.punctuality, showPunctuality),
  ],
});

function showLeft(cell, visit, now) {
  const left = visit.left_at_ms;
  setText(cell, left === null ? words.stillThere : `${visit.uncertain ? "≈ " : ""}${time(left, now)}`);
  cell.title = visit.uncertain ? words.uncertain : "";
  cell.classList.toggle("quiet", left === null);
}

function showPunctuality(cell, visit) {
  const kept = visit.punctuality;
  if (kept) setStatus(cell, kept, SHAPES[kept], words.punctuality[kept]);
  else {
    setText(cell, words.none);
    delete cell.dataset.status;
  }
}

const orders = table(parts.orders.body, {
  key: (o) => o.code,
  name: (o) => o.code,
  empty: words.empty.orders,
  detail: showOrder,
  columns: [
    column(c.order, (cell, o) => setText(cell, o.code)),
    column(c.van, (cell, o) => setTwoLines(cell, o.van ?? words.unknown, words.modes[o.mode]), "fill"),
    column(c.lines, (cell, o) => setText(cell, count(o.lines)), number),
    column(c.cutoff, at("cutoff_at_ms"), number),
    column(c.state, (cell, o) => setText(cell, words.orderStates[o.state])),
  ],
});

async function showOrder(order, cell) {
  setText(cell, words.reading);
  try {
    const { lines } = await read(`/v1/orders/${encodeURIComponent(order.code)}`);
    cell.replaceChildren(element("ul", "lines", ...lines.map(orderLine)));
  } catch {
    setText(cell, words.notRead);
  }
}

function orderLine(line) {
  const what = element("span", "what", element("b", "", `${count(line.requested)} × `), `${line.item} ${line.name}`);
  return element("li", "", what, element("span", "why", line.why ?? words.noWhy));
}

const rejected = table(parts.rejected.body, {
  key: (r) => r.reason,
  name: (r) => r.reason,
  empty: words.empty.rejected,
  detail: showRejected,
  columns: [
    column(c.reason, (cell, r) => setText(cell, r.reason), "wide"),
    column(c.count, (cell, r) => setText(cell, count(r.count)), number),
    column(c.last, at("last_received_ms"), number),
  ],
});

async function showRejected(reason, cell) {
  setText(cell, words.reading);
  try {
    const { messages } = await read(`/v1/rejected?limit=5&reason=${encodeURIComponent(reason.reason)}`);
    cell.replaceChildren(element("ul", "lines", ...messages.map(rejectedMessage)));
  } catch {
    setText(cell, words.notRead);
  }
}

function rejectedMessage(message) {
  return element(
    "li", "",
    element("span", "what", message.topic),
    element("span", "why", message.detail),
    element("code", "", message.payload_text.slice(0, 300)),
  );
}

const stock = table(parts.stock.body, {
  key: (l) => l.item,
  name: (l) => l.item,
  empty: words.empty.stock,
  columns: [
    column(c.item, (cell, l) => setTwoLines(cell, l.item, l.name), "wide"),
    column(c.held, (cell, l) => setText(cell, count(l.qty)), number),
    column(c.onOrder, (cell, l) => setText(cell, count(l.on_order)), number),
    column(c.reorderAt, (cell, l) => setText(cell, count(l.reorder_point)), number),
    column(c.fillTo, (cell, l) => setText(cell, count(l.order_up_to)), number),
    column(c.counted, (cell, l, now) => setText(cell, l.counted_at_ms === null ? words.neverCounted : day(l.counted_at_ms, now)), number),
  ],
});

// ---- the stock of the chosen van: fetched, and fetched again when scans or orders came -----------

const levels = { van: null, rows: [], basis: "", at: 0, asked: 0 };
const vanChoice = element("select");
vanChoice.setAttribute("aria-label", words.chooseVan);
vanChoice.addEventListener("change", () => select(vanChoice.value));
parts.stock.head.append(vanChoice);

async function readStock() {
  const van = chosen.van;
  if (!van) return;
  const turn = (levels.asked += 1);
  levels.at = performance.now();
  try {
    const answer = await read(`/v1/vans/${encodeURIComponent(van)}/stock?below=true&limit=${STOCK_SHOWN}`);
    if (turn !== levels.asked) return;
    Object.assign(levels, { van, rows: answer.levels });
    render();
  } catch {
    if (turn === levels.asked) levels.at = performance.now() - STOCK_EVERY_MS / 2;
  }
}

function renderStock(view, now) {
  const codes = Object.keys(view.vans).sort();
  if (!chosen.van || !(chosen.van in view.vans)) chosen.van = codes[0] ?? null;
  if (vanChoice.dataset.codes !== codes.join()) {
    vanChoice.dataset.codes = codes.join();
    vanChoice.replaceChildren(...codes.map((code) => new Option(code, code)));
  }
  if (chosen.van && vanChoice.value !== chosen.van) vanChoice.value = chosen.van;
  vanChoice.hidden = codes.length === 0;
  const basis = `${chosen.van} ${view.overview.scans_today} ${view.overview.orders_open}`;
  if (basis !== levels.basis || performance.now() - levels.at > STOCK_EVERY_MS) {
    levels.basis = basis;
    readStock();
  }
  const here = levels.van === chosen.van ? levels.rows : [];
  stock.update(here, now, { emptyText: chosen.van ? words.empty.stock : words.empty.stockNoVan });
}

// ---- filters of the vans table --------------------------------------------------------------------

const find = element("input");
find.type = "search";
find.placeholder = find.ariaLabel = words.find;
find.addEventListener("input", () => {
  chosen.find = find.value.trim().toLowerCase();
  render();
});
const chips = element("div", "chips");
const chipOf = new Map();
for (const state of ["all", ...Object.keys(words.vanStates)]) {
  const chip = element("button", "chip");
  chip.type = "button";
  chip.addEventListener("click", () => {
    chosen.state = state;
    render();
  });
  chips.append(chip);
  chipOf.set(state, chip);
}
parts.vans.head.append(find);
parts.vans.head.after(chips);

function renderVans(view, now) {
  const all = Object.values(view.vans).sort((a, b) => (a.code < b.code ? -1 : 1));
  for (const [state, chip] of chipOf) {
    const n = state === "all" ? all.length : all.filter((van) => van.state === state).length;
    if (state === "all") setText(chip, `${words.all} ${count(n)}`);
    else setStatus(chip, state, SHAPES[state], `${words.vanStates[state]} ${count(n)}`);
    chip.hidden = n === 0 && state !== chosen.state;
    chip.setAttribute("aria-pressed", String(state === chosen.state));
  }
  chips.hidden = all.length === 0;
  find.hidden = all.length === 0;
  const matches = (text) => (text ?? "").toLowerCase().includes(chosen.find);
  const rows = all.filter(
    (van) =>
      (chosen.state === "all" || van.state === chosen.state) &&
      (matches(van.code) || matches(van.technician) || matches(van.name)),
  );
  vans.update(rows, now, {
    selected: chosen.van,
    emptyText: all.length ? words.empty.vansFiltered : words.empty.vans,
  });
  picture.update(all, chosen.van);
}

const picture = map(parts.map.body, SHAPES, select);

// ---- the top ------------------------------------------------------------------------------------------

const figures = new Map();
for (const [name, [title]] of Object.entries(words.figures)) {
  const tile = { value: element("dd", "value", words.none), note: element("dd", "note", "\u00a0"), box: null };
  tile.box = element("div", "figure", element("dt", "", title), tile.value, tile.note);
  tile.box.dataset.figure = name;
  byId("figures").append(tile.box);
  figures.set(name, tile);
}

function renderFigures(overview) {
  for (const [name, tile] of figures) {
    const value = overview[name];
    const text = name === "messages_per_s" ? words.perSecond(rate(value))
      : name === "lag_p99_ms" ? (value === null ? words.none : words.under(span(value)))
      : count(value);
    setText(tile.value, text);
    setText(tile.note, words.figures[name][1](overview, span));
    tile.box.classList.toggle(`is-${LATE_FIGURES[name]}`, name in LATE_FIGURES && value > 0);
  }
}

const CONNECTION = {
  live: ["is-live", "disc"],
  connecting: ["is-stale", "ring"],
  stale: ["is-stale", "triangle"],
  databaseDown: ["is-stale", "triangle"],
  offline: ["is-offline", "ring"],
};

function renderTop() {
  const state = live.state();
  const word = words.connection[state];
  setStatus(byId("connection"), ...CONNECTION[state], typeof word === "function" ? word(live.age_s()) : word);
  const now = live.now();
  const simulated = Math.abs(now - Date.now()) > 120_000 ? `${words.simulated} · ` : "";
  setText(byId("clock"), `${simulated}${longDay(now)} · ${timeOfDay(now)}`);
  document.body.classList.toggle("not-live", state !== "live");
}

// ---- everything ---------------------------------------------------------------------------------------

const lateness = (a, b) =>
  (b.state === "open") - (a.state === "open") ||
  (a.state === "open" ? a.due_at_ms - b.due_at_ms : b.changed_ms - a.changed_ms);

function render() {
  renderTop();
  const view = live.view;
  if (!view) return;
  const now = live.now();
  renderStock(view, now);
  renderFigures(view.overview);
  renderVans(view, now);
  alerts.update(Object.values(view.alerts).sort(lateness), now);
  visits.update(Object.values(view.visits).sort((a, b) => b.arrived_at_ms - a.arrived_at_ms), now);
  orders.update(Object.values(view.orders).sort((a, b) => b.cutoff_at_ms - a.cutoff_at_ms || (a.code < b.code ? -1 : 1)), now);
  rejected.update(Object.values(view.rejected).sort((a, b) => b.count - a.count), now);
}

const live = follow("/v1/live", render);
setInterval(render, 1_000);
render();
