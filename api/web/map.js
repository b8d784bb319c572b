// Where the vans are, on a plain grid of degrees: no outline is drawn that we do not have.

import { element, svg } from "./dom.js";
import { words } from "./strings.js";

const MARGIN = 34;
const SPAN_MIN_DEG = 0.4;
const KM_PER_DEG = 111.2;
const STEPS_DEG = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 45];
const STEPS_KM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/** Degrees to pixels of a picture: equirectangular about the middle, the same scale both ways. */
export function projection(fixes, { width, height }) {
  const lats = fixes.map((fix) => fix.latitude_deg);
  const lons = fixes.map((fix) => fix.longitude_deg);
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const span = (values) => Math.max(SPAN_MIN_DEG, (Math.max(...values) - Math.min(...values)) * 1.1);
  const [lat0, lon0] = [middle(lats), middle(lons)];
  const shrink = Math.max(0.05, Math.cos((lat0 * Math.PI) / 180));
  const perDeg = Math.min(
    Math.max(1, height - 2 * MARGIN) / span(lats),
    Math.max(1, width - 2 * MARGIN) / (span(lons) * shrink),
  );
  return {
    perDeg,
    x: (lon) => width / 2 + (lon - lon0) * shrink * perDeg,
    y: (lat) => height / 2 - (lat - lat0) * perDeg,
    lon: (x) => lon0 + (x - width / 2) / (shrink * perDeg),
    lat: (y) => lat0 - (y - height / 2) / perDeg,
  };
}

const label = (value, positive, negative, digits) =>
  `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : positive}`;

function drawGrid(layer, to, { width, height }) {
  layer.replaceChildren();
  const step = STEPS_DEG.find((deg) => deg * to.perDeg > 60) ?? 45;
  const digits = step < 1 ? 1 : 0;
  for (let n = Math.ceil(to.lat(height) / step); n * step < to.lat(0); n += 1) {
    const y = to.y(n * step);
    const text = svg("text", { x: 6, y: y - 4 });
    text.textContent = label(n * step, "N", "S", digits);
    layer.append(svg("line", { x1: 0, x2: width, y1: y, y2: y }), text);
  }
  for (let n = Math.ceil(to.lon(0) / step); n * step < to.lon(width); n += 1) {
    const x = to.x(n * step);
    const text = svg("text", { x: x + 4, y: height - 6 });
    text.textContent = label(n * step, "E", "W", digits);
    layer.append(svg("line", { x1: x, x2: x, y1: 0, y2: height }), text);
  }
  const pxPerKm = to.perDeg / KM_PER_DEG;
  const km = STEPS_KM.find((n) => n * pxPerKm > 50) ?? 1000;
  const right = width - 12;
  const bar = svg("path", { class: "scale", d: `M${right - km * pxPerKm} 16v5h${km * pxPerKm}v-5` });
  const text = svg("text", { x: right, y: 14, "text-anchor": "end" });
  text.textContent = words.scale(km);
  layer.append(bar, text);
}

/** A map in `body`; `select(code)` is called for a dot that is clicked. */
export function map(body, shapes, select) {
  const picture = svg("svg", { class: "map", role: "img" });
  picture.setAttribute("aria-label", words.panels.map);
  const grid = svg("g", { class: "grid" });
  const dots = svg("g");
  picture.append(grid, dots);
  const notice = element("p", "empty", words.empty.map);
  const shown = new Map();
  let drawnFor = "";

  function dot(code) {
    const group = svg("g");
    group.append(svg("title"), svg("circle", { class: "halo", r: 11 }), svg("use", { x: -6, y: -6, width: 12, height: 12 }));
    const text = svg("text", { class: "name", y: -12, "text-anchor": "middle" });
    text.textContent = code;
    group.append(text);
    group.addEventListener("click", () => select(code));
    dots.append(group);
    return group;
  }

  function update(vans, selected) {
    const placed = vans.filter((van) => van.last_fix);
    const visible = placed.length ? picture : notice;
    if (body.firstChild !== visible) body.replaceChildren(visible);
    if (!placed.length) return;
    const size = { width: body.clientWidth, height: body.clientHeight };
    const to = projection(placed.map((van) => van.last_fix), size);
    const frame = [to.perDeg, to.lon(0), to.lat(0), size.width].map((n) => n.toFixed(3)).join();
    if (frame !== drawnFor) drawGrid(grid, to, size);
    drawnFor = frame;
    const codes = new Set(placed.map((van) => van.code));
    for (const [code, group] of shown) {
      if (!codes.has(code)) {
        group.remove();
        shown.delete(code);
      }
    }
    for (const van of placed) {
      let group = shown.get(van.code);
      if (!group) shown.set(van.code, (group = dot(van.code)));
      const { latitude_deg: lat, longitude_deg: lon, bearing_deg: bearing } = van.last_fix;
      group.setAttribute("transform", `translate(${to.x(lon).toFixed(1)} ${to.y(lat).toFixed(1)})`);
      group.setAttribute("class", `dot ${van.state}${van.code === selected ? " selected" : ""}`);
      group.querySelector("title").textContent = `${van.code}, ${words.vanStates[van.state]}`;
      const use = group.querySelector("use");
      use.setAttribute("href", `#${shapes[van.state]}`);
      // The arrow points east by itself; a bearing counts clockwise from north.
      const turn = van.state === "driving" && bearing !== null ? bearing - 90 : 0;
      use.setAttribute("transform", `rotate(${turn})`);
      if (van.code === selected) dots.append(group);
    }
  }

  return { update };
}
