// What the map is drawn from: one source for each thing that changes at its own pace, and the layers over
// them, from the ground up. Pure: functions of colours.
//
// Fences are dots while one looks at a region, and shapes from FENCES_FROM on, where a hundred metres can
// be seen.

export const FENCES_FROM = 10;

const FONT = ["system-ui", "sans-serif"];
const EMPTY = { type: "FeatureCollection", features: [] };

/** Sources by name; all are GeoJSON that starts empty. */
export const SOURCES = ["fences", "shapes", "track", "tour", "stops", "proposed", "draft", "chosen", "vans", "again"];

export const source = () => ({ type: "geojson", data: EMPTY });

const byState = (c) => ["match", ["get", "state"], "completed", c.done, "arrived", c.site, "at_risk", c.risk, ["late", "missed", "skipped"], c.late, c.accent];
const line = (id, from, paint, more = {}) => ({ id, type: "line", source: from, layout: { "line-join": "round", "line-cap": "round" }, paint, ...more });
const byZoom = (...stops) => ["interpolate", ["linear"], ["zoom"], ...stops];

/** The layers from below to above; `c` are the page's colours by name. */
export function layers(c) {
  return [
    { id: "fence-dots", type: "circle", source: "fences", maxzoom: FENCES_FROM, paint: { "circle-radius": byZoom(4, 0.6, 7, 1.4, 10, 3), "circle-color": c.site, "circle-opacity": byZoom(4, 0.25, 9, 0.7) } },
    { id: "fence-areas", type: "fill", source: "shapes", minzoom: FENCES_FROM, paint: { "fill-color": c.site, "fill-opacity": 0.14 } },
    line("fence-corridors", "shapes", { "line-color": c.site, "line-opacity": 0.18, "line-width": ["interpolate", ["exponential", 2], ["zoom"], 0, ["get", "width"], 22, ["*", ["get", "width"], 2 ** 22]] }, { minzoom: FENCES_FROM, filter: ["==", ["geometry-type"], "LineString"] }),
    line("fence-edges", "shapes", { "line-color": c.site, "line-width": ["case", ["get", "chosen"], 3, 1] }, { minzoom: FENCES_FROM }),
    line("track", "track", { "line-color": c.good, "line-width": 3, "line-opacity": 0.75 }),
    line("tour", "tour", { "line-color": c.ink, "line-width": 1.6, "line-dasharray": [2, 2.5], "line-opacity": 0.8 }),
    line("proposed", "proposed", { "line-color": c.accent, "line-width": 3, "line-dasharray": [3, 1.5] }),
    { id: "stops", type: "circle", source: "stops", paint: { "circle-radius": ["case", ["get", "chosen"], 13, 10], "circle-color": c.card, "circle-stroke-color": byState(c), "circle-stroke-width": ["case", ["get", "chosen"], 4, 2.5] } },
    { id: "stop-numbers", type: "symbol", source: "stops", layout: { "text-field": ["get", "stop"], "text-font": FONT, "text-size": 11.5, "text-allow-overlap": true, "text-ignore-placement": true }, paint: { "text-color": c.ink } },
    { id: "draft-area", type: "fill", source: "draft", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": c.accent, "fill-opacity": 0.16 } },
    line("draft-edge", "draft", { "line-color": c.accent, "line-width": 2.5 }),
    { id: "draft-points", type: "circle", source: "draft", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-radius": ["case", ["get", "half"], 5, 8], "circle-color": ["case", ["get", "half"], c.card, c.accent], "circle-stroke-color": c.accent, "circle-stroke-width": 2 } },
    { id: "chosen", type: "circle", source: "chosen", paint: { "circle-radius": 17, "circle-color": c.accent, "circle-opacity": 0.2, "circle-stroke-color": c.accent, "circle-stroke-width": 2.5 } },
    {
      id: "vans", type: "symbol", source: "vans",
      layout: {
        "icon-image": ["get", "sign"], "icon-rotate": ["get", "turn"], "icon-rotation-alignment": "map", "icon-allow-overlap": true, "icon-ignore-placement": true,
        "icon-size": byZoom(5, 0.62, 9, 1), "symbol-sort-key": ["get", "rank"],
      },
      paint: { "icon-opacity": ["match", ["get", "sign"], ["silent", "off_duty"], 0.75, 1] },
    },
    {
      id: "van-trouble", type: "symbol", source: "vans", filter: ["!=", ["get", "trouble"], ""],
      layout: { "icon-image": ["get", "trouble"], "icon-size": byZoom(5, 0.4, 9, 0.62), "icon-offset": [17, -17], "icon-allow-overlap": true, "icon-ignore-placement": true, "symbol-sort-key": ["get", "rank"] },
    },
    {
      id: "van-names", type: "symbol", source: "vans", minzoom: 8,
      layout: { "text-field": ["get", "code"], "text-font": FONT, "text-size": 12, "text-offset": [0, 1.1], "text-anchor": "top", "text-optional": true, "symbol-sort-key": ["get", "rank"] },
      paint: { "text-color": c.ink, "text-halo-color": c.card, "text-halo-width": 1.6 },
    },
    {
      id: "again", type: "symbol", source: "again",
      layout: { "icon-image": "again", "icon-rotate": ["get", "turn"], "icon-rotation-alignment": "map", "icon-allow-overlap": true, "icon-ignore-placement": true, "icon-size": 1.25 },
    },
  ];
}

/** The page's colours, as whoever looks at `element` sees them. */
export function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["ink", "card", "accent", "good", "site", "risk", "late", "done", "silent"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
