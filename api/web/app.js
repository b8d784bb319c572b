// The page: figures on top, tables below, all from the live stream. What opens is fetched. What there
// is to see depends on the role; the server sends nothing else.

import { element, setStatus, setStatusAndNote, setText, setTwoLines } from "./dom.js";
import { count, day, duration, kmh, longDay, place, range, rate, span, time, timeOfDay } from "./format.js";
import { follow } from "./base/live.js";
import { map } from "./map.js";
import { ask, stillSignedIn, withSession } from "./session.js";
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
  missed: "cross",
  at_risk: "triangle",
  overstayed: "hourglass",
};
const MARKED_FIGURES = { stops_late: "late", stops_at_risk: "risk", vans_silent: "silent" };
// What to look at first, as api/queries/alerts.py has it.
const ALERT_ORDER = ["late", "missed", "at_risk", "silent", "overstayed"];
const STOCK_EVERY_MS = 20_000;
const STOCK_SHOWN = 100;

const byId = (id) => document.getElementById(id);
const chosen = { van: new URLSearchParams(location.hash.slice(1)).get("van"), state: "all", find: "" };

async function read(url) {
  const answer = await ask(url);
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
    column(c.alert, showAlert),
    column(c.about, showAbout, "wide"),
    column(c.due, showDue, number),
    column(c.minutes, (cell, a, now) => setText(cell, minutesOf(a, now)), number),
  ],
});

function showAlert(cell, alert, now) {
  const open = alert.state === "open";
  const state = alert.kind === "silent" && alert.state === "cleared" ? words.back : words.alertStates[alert.state];
  const ended = alert.state === "cleared" && alert.ended_at_ms !== null;
  const note = ended ? words.endedAt(state, time(alert.ended_at_ms, now)) : state;
  setStatusAndNote(cell, open ? alert.kind : `${alert.kind} over`, SHAPES[alert.kind], words.alertKinds[alert.kind], note);
}

function showAbout(cell, alert, now) {
  const ofVan = alert.stop === null;
  const about = ofVan ? words.lastFixAt(time(alert.due_at_ms, now)) : words.stopOf(alert.stop, alert.site_name);
  // The reason of an overstay names its minutes as they were; here they run.
  const why = [alert.kind === "overstayed" && alert.state === "open" ? words.longer : alert.reason];
  // Of a silence and an overstay the kind says it already.
  if (alert.cause && (alert.kind === "at_risk" || alert.kind === "late")) why.push(words.because(words.causes[alert.cause]));
  if (alert.pushes.length) why.push(words.pushes(alert.pushes));
  setTwoLines(cell, about, why.join("; "));
}

/** Of a silence nothing is due: it has no stop. */
function showDue(cell, alert, now) {
  setText(cell, alert.stop === null ? words.none : time(alert.due_at_ms, now));
}

/** How late, how long over, how long silent: what runs is counted on to now. */
function minutesOf(alert, now) {
  if (alert.state === "withdrawn" || alert.kind === "missed") return words.none;
  const open = alert.state === "open";
  const since = (ms) => Math.floor((now - ms) / 60_000);
  if (alert.kind === "silent") return duration(((open ? now : alert.ended_at_ms ?? now) - alert.due_at_ms) / 1_000);
  if (alert.kind === "late" && open) return words.signedMinutes(since(alert.due_at_ms));
  if (alert.minutes === null) return words.none;
  const runs = alert.kind === "overstayed" && open;
  return words.signedMinutes(alert.minutes + (runs ? since(alert.changed_ms) : 0));
}

const vans = table(parts.vans.body, {
  key: (v) => v.code,
  name: (v) => v.code,
  empty: words.empty.vans,
  select: (v) => select(v.code),
  columns: [
    column(c.van, (cell, v) => setTwoLines(cell, v.code, v.technician ?? v.name)),
    column(c.state, showVan, "some"),
    column(c.next, showNext, "wide"),
    column(c.eta, showEta, number),
    column(c.speed, (cell, v) => setText(cell, v.last_fix ? kmh(v.last_fix.speed_mps) : words.none), number),
    column(c.lastFix, (cell, v, now) => setText(cell, v.last_fix ? words.newestFix(duration((now - v.last_fix.t_ms) / 1_000)) : words.none), number),
  ],
});

function showVan(cell, van) {
  const where = van.site?.name ?? (van.last_fix ? place(van.last_fix) : "");
  setStatusAndNote(cell, van.state, SHAPES[van.state], words.vanStates[van.state], where);
}

function showNext(cell, van) {
  const next = van.next_stop;
  if (cell.childElementCount !== 2) cell.replaceChildren(element("span", "first"), element("span", "mark"));
  setText(cell.firstChild, next ? words.stopOf(next.stop, next.site_name) : words.none);
  const kind = next?.alert;
  if (kind) setStatus(cell.lastChild, kind, SHAPES[kind], words.alertKinds[kind]);
  else {
    setText(cell.lastChild, "");
    delete cell.lastChild.dataset.status;
  }
}

function showEta(cell, van, now) {
  const next = van.next_stop;
  const eta = next?.eta;
  const expected = eta ? range(eta.early_at_ms, eta.late_at_ms, now) : next ? words.noEta : words.none;
  setTwoLines(cell, expected, next ? words.windowTo(time(next.window_end_ms, now)) : "");
}

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
  const notes = [visit.wrong_order && words.wrongOrder, visit.overstayed && words.overstayed];
  if (kept) setStatusAndNote(cell, kept, SHAPES[kept], words.punctuality[kept], notes.filter(Boolean).join(", "));
  else {
    setTwoLines(cell, words.none, "");
    delete cell.firstChild.dataset.status;
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
  const codes = Object.keys(view.vans ?? view.van_names ?? {}).sort();
  if (!chosen.van || !codes.includes(chosen.van)) chosen.van = codes[0] ?? null;
  if (vanChoice.dataset.codes !== codes.join()) {
    vanChoice.dataset.codes = codes.join();
    vanChoice.replaceChildren(...codes.map((code) => new Option(code, code)));
  }
  if (chosen.van && vanChoice.value !== chosen.van) vanChoice.value = chosen.van;
  vanChoice.hidden = codes.length === 0;
  const basis = `${chosen.van} ${view.overview?.scans_today} ${view.overview?.orders_open}`;
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
    tile.box.classList.toggle(`is-${MARKED_FIGURES[name]}`, name in MARKED_FIGURES && value > 0);
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
  if (!live) return;
  const state = live.state();
  const word = words.connection[state];
  setStatus(byId("connection"), ...CONNECTION[state], typeof word === "function" ? word(live.age_s()) : word);
  const now = live.now();
  const simulated = Math.abs(now - Date.now()) > 120_000 ? `${words.simulated} · ` : "";
  setText(byId("clock"), `${simulated}${longDay(now)} · ${timeOfDay(now)}`);
  document.body.classList.toggle("not-live", state !== "live");
}

// ---- everything ---------------------------------------------------------------------------------------

const urgency = (a, b) =>
  (b.state === "open") - (a.state === "open") ||
  (a.state === "open" && ALERT_ORDER.indexOf(a.kind) - ALERT_ORDER.indexOf(b.kind)) ||
  (a.state === "open" && a.kind === "at_risk" && b.told - a.told) ||
  (a.state === "open" && a.kind !== "missed" ? a.due_at_ms - b.due_at_ms : b.changed_ms - a.changed_ms);

// What each panel is made of; a role that is not sent it does not have the panel.
const PANELS = {
  alerts: (view) => view.alerts,
  vans: (view) => view.vans,
  visits: (view) => view.visits,
  map: (view) => view.vans,
  orders: (view) => view.orders,
  stock: (view) => view.vans ?? view.van_names,
  rejected: (view) => view.rejected,
  figures: (view) => view.overview,
};

function render() {
  renderTop();
  const view = live?.view;
  if (!view) return;
  const now = live.now();
  for (const [id, needs] of Object.entries(PANELS)) byId(id).hidden = needs(view) === undefined;
  if (PANELS.stock(view)) renderStock(view, now);
  if (view.overview) renderFigures(view.overview);
  if (view.vans) renderVans(view, now);
  if (view.alerts) alerts.update(Object.values(view.alerts).sort(urgency), now);
  if (view.visits) visits.update(Object.values(view.visits).sort((a, b) => b.arrived_at_ms - a.arrived_at_ms), now);
  if (view.orders) orders.update(Object.values(view.orders).sort((a, b) => b.cutoff_at_ms - a.cutoff_at_ms || (a.code < b.code ? -1 : 1)), now);
  if (view.rejected) rejected.update(Object.values(view.rejected).sort((a, b) => b.count - a.count), now);
}

// ---- while somebody is signed in ----------------------------------------------------------------------

let live = null;

withSession((who) => {
  const hasPage = who.role !== "client";
  byId("work").hidden = !hasPage;
  if (!hasPage) return;
  live = follow("/v1/live", render, stillSignedIn);
  setInterval(render, 1_000);
  render();
});
