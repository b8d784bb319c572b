// What a basemap looks like, as MapLibre styles: functions of a palette, and of nothing else.
//
// No style names glyphs, so that letters are drawn in the fonts of whoever looks; none needs a sprite.

/** Colours that a palette has, each from the custom property `--map-…`. */
export const TOKENS = ["water", "land", "coast", "region", "border", "name", "quiet-name"];

/** The layer that lies just under the names of places, and shows nothing. */
export const BELOW_NAMES = "below-names";

const FONT = ["system-ui", "sans-serif"];
const IS_DUE = ["<=", ["get", "zoom"], ["zoom"]];
const ANCHOR = { id: BELOW_NAMES, type: "background", layout: { visibility: "none" } };
const NATURAL_EARTH = '<a href="https://www.naturalearthdata.com/" target="_blank" rel="noreferrer">Natural Earth</a>';
const GEONAMES = '<a href="https://www.geonames.org/" target="_blank" rel="noreferrer">GeoNames</a> (CC BY 4.0)';
const OPENSTREETMAP =
  '<a href="https://www.openstreetmap.org/copyright" target="_blank" rel="noreferrer">© OpenStreetMap</a>';

/** Outlines are as exact at this zoom as their data; nearer ones are made of the same tiles. */
const OUTLINES_ZOOM_MAX = 9;

/**
 * The built-in basemap.
 *
 * @param {string} folder address of `basemap/`, with its slash
 * @param {{countries: Row[], cities: Row[]}} places rows as `tools/basemap.py` describes them
 * @param {Record<string, string>} palette
 * @param {string} language
 */
export function offlineStyle(folder, places, palette, language) {
  const outlines = (name) => ({
    type: "geojson",
    data: `${folder}${name}.json`,
    maxzoom: OUTLINES_ZOOM_MAX,
  });
  const names = new Intl.DisplayNames([language], { type: "region" });
  const countries = places.countries.map(([code, lon, lat, zoom], rank) =>
    point([lon, lat], { name: names.of(code), zoom, rank }),
  );
  const cities = places.cities.map(([name, lon, lat, zoom, size = zoom], rank) =>
    point([lon, lat], { name, zoom, size, rank }),
  );
  return {
    version: 8,
    sources: {
      land: { ...outlines("land"), attribution: NATURAL_EARTH },
      lakes: outlines("lakes"),
      regions: outlines("regions"),
      borders: outlines("borders"),
      countries: { type: "geojson", data: { type: "FeatureCollection", features: countries } },
      cities: {
        type: "geojson",
        data: { type: "FeatureCollection", features: cities },
        maxzoom: 12,
        attribution: GEONAMES,
      },
    },
    layers: [
      { id: "water", type: "background", paint: { "background-color": palette.water } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": palette.land, "fill-antialias": false } },
      {
        id: "regions",
        type: "line",
        source: "regions",
        minzoom: 5,
        paint: { "line-color": palette.region, "line-width": byZoom(5, 0.5, 10, 1.4) },
      },
      { id: "lakes", type: "fill", source: "lakes", paint: { "fill-color": palette.water } },
      outline("coast", "land", palette.coast, byZoom(4, 0.5, 10, 1.2)),
      outline("shores", "lakes", palette.coast, byZoom(6, 0.4, 10, 1)),
      outline("borders", "borders", palette.border, byZoom(4, 0.7, 10, 1.8)),
      ANCHOR,
      {
        id: "countries",
        type: "symbol",
        source: "countries",
        maxzoom: 6,
        filter: IS_DUE,
        layout: {
          "text-field": ["get", "name"],
          "text-font": FONT,
          "text-size": byZoom(3, 10, 5, 13),
          "text-transform": "uppercase",
          "text-letter-spacing": 0.12,
          "text-max-width": 7,
          "symbol-sort-key": ["get", "rank"],
        },
        paint: text(palette["quiet-name"], palette.land),
      },
      {
        id: "cities",
        type: "symbol",
        source: "cities",
        minzoom: 4,
        filter: IS_DUE,
        layout: {
          "text-field": ["get", "name"],
          "text-font": FONT,
          "text-size": [
            "interpolate", ["linear"], ["zoom"],
            4, ["step", ["get", "size"], 11.5, 5, 10.5],
            8, ["step", ["get", "size"], 16, 5, 15, 6, 13.5, 7, 12, 8, 11],
            12, ["step", ["get", "size"], 20, 5, 18, 6, 17, 7, 15.5, 8, 14, 9, 13, 10, 12],
          ],
          "text-max-width": 8,
          "text-padding": 5,
          "symbol-sort-key": ["get", "rank"],
        },
        paint: text(["step", ["get", "size"], palette.name, 9, palette["quiet-name"]], palette.land),
      },
    ],
  };
}

/**
 * Protomaps' own style for tiles of OpenStreetMap.
 *
 * @param {{layers: Function, namedFlavor: Function}} protomaps
 * @param {string} archive address of the tiles' file
 * @param {Record<string, string>} palette of which only matters whether it is dark
 * @param {string} language
 */
export function protomapsStyle(protomaps, archive, palette, language) {
  const flavor = protomaps.namedFlavor(isDark(palette.land) ? "dark" : "light");
  const [lang] = language.split("-");
  return withAnchor({
    version: 8,
    sources: { protomaps: { type: "vector", url: `pmtiles://${archive}`, attribution: OPENSTREETMAP } },
    layers: protomaps.layers("protomaps", flavor, { lang }).map(withoutIcons).filter(isSeen),
  });
}

/** A style with the layer under which a page draws what names may cover. */
export function withAnchor(style) {
  const first = style.layers.findIndex((layer) => layer.type === "symbol");
  const at = first < 0 ? style.layers.length : first;
  return { ...style, layers: style.layers.toSpliced(at, 0, ANCHOR) };
}

function withoutIcons(layer) {
  if (layer.type !== "symbol") return layer;
  const layout = Object.entries(layer.layout ?? {}).filter(([name]) => !name.startsWith("icon-"));
  return { ...layer, layout: { ...Object.fromEntries(layout), "text-font": FONT } };
}

const isSeen = (layer) => layer.type !== "symbol" || "text-field" in layer.layout;

function isDark(colour) {
  const [red, green, blue] = colour.match(/\d+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue < 128;
}

function point(coordinates, properties) {
  return { type: "Feature", properties, geometry: { type: "Point", coordinates } };
}

function outline(id, source, colour, width) {
  return { id, type: "line", source, layout: { "line-join": "round" }, paint: { "line-color": colour, "line-width": width } };
}

function text(colour, halo) {
  return { "text-color": colour, "text-halo-color": halo, "text-halo-width": 1.2 };
}

function byZoom(zoom, from, further, to) {
  return ["interpolate", ["linear"], ["zoom"], zoom, from, further, to];
}
