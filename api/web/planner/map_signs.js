// The signs of vans on the map: the shapes of base/status.js, drawn once for each palette. An arrow points
// north, so that a bearing turns it as it is.

import { shapeOf } from "../base/status.js";

const PX = 22;
const DENSITY = 2;
const COLOURS = {
  driving: "--good", standing: "--standing", at_site: "--site", silent: "--silent", off_duty: "--silent",
  late: "--late", at_risk: "--risk", again: "--accent",
};
const SHAPES = {
  arrow: (g) => path(g, [[11, 2], [18, 19], [11, 15], [4, 19]]),
  square: (g) => g.rect(5.5, 5.5, 11, 11),
  disc: (g) => g.arc(11, 11, 6, 0, 2 * Math.PI),
  ring: (g) => g.arc(11, 11, 5.5, 0, 2 * Math.PI),
  bar: (g) => g.rect(4.5, 8.5, 13, 5),
  diamond: (g) => path(g, [[11, 4], [18, 11], [11, 18], [4, 11]]),
  triangle: (g) => path(g, [[11, 4], [18.5, 17.5], [3.5, 17.5]]),
};
const HOLLOW = new Set(["ring"]);

/** What a van is drawn as; one that drives without saying where to has no arrow. */
export const signOf = (van) => (van.state === "driving" && van.last_fix.bearing_deg === null ? "driving-somewhere" : van.state);

/** The signs and how they look to whoever looks at `element`: [[name, { width, height, data }]]. */
export function signs(element) {
  const style = getComputedStyle(element);
  const colour = (token) => style.getPropertyValue(token).trim();
  const all = Object.keys(COLOURS).map((state) => [state, shapeOf(state), colour(COLOURS[state])]);
  all.push(["driving-somewhere", "disc", colour("--good")]);
  return all.map(([name, shape, fill]) => [name, drawn(name === "again" ? "arrow" : shape, fill, colour("--card"), colour("--ink"))]);
}

export const PIXEL_RATIO = DENSITY;

function drawn(shape, fill, halo, ink) {
  const canvas = new OffscreenCanvas(PX * DENSITY, PX * DENSITY);
  const g = canvas.getContext("2d");
  g.scale(DENSITY, DENSITY);
  g.beginPath();
  SHAPES[shape](g);
  g.closePath();
  g.lineJoin = "round";
  stroke(g, halo, 5);
  if (HOLLOW.has(shape)) {
    g.fillStyle = halo;
    g.fill();
    stroke(g, fill, 3);
  } else {
    // A dark edge, because amber on a light map has too little contrast by itself.
    stroke(g, ink, 1.6);
    g.fillStyle = fill;
    g.fill();
  }
  return g.getImageData(0, 0, canvas.width, canvas.height);
}

function stroke(g, colour, width) {
  [g.strokeStyle, g.lineWidth] = [colour, width];
  g.stroke();
}

function path(g, points) {
  for (const [x, y] of points) g.lineTo(x, y);
}
