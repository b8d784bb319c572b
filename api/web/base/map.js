// The map that all pages share: MapLibre over the offline basemap, or over the installation's own.
//
// createMap(container) is asked once a pane. What it gives is MapLibre's own Map, ready for a page's
// sources and layers; `map.addLayer(layer, BELOW_NAMES)` puts one under the names of places. It has
// no rotation and no pitch, is moved by mouse, touch and keyboard, and stands still at once for who
// wants less motion. When the page's palette changes it follows and fires "palette", so that a page
// recolours what it drew itself.

import { BELOW_NAMES, TOKENS, offlineStyle, protomapsStyle, withAnchor } from "./map_style.js";

export { BELOW_NAMES };

const CONFIGURATION = "/v1/map";
const FRANCE = [[-4.9, 42.2], [8.3, 51.2]];
const ZOOM = { minZoom: 2, maxZoom: 18 };

/** The map cannot be drawn here; a page shows its lists alone, and `message` above them. */
export class MapUnavailable extends Error {
  name = "MapUnavailable";
}

/**
 * Resolves with a MapLibre Map in `container` once its basemap is there to draw on.
 *
 * @param {HTMLElement} container empty and with a size
 * @param {object} [options]
 * @param {(text: string) => string} [options.t] translates what the controls and errors say
 * @param {string} [options.language] in which countries are named, as a BCP 47 tag
 * @param {[[number, number], [number, number]]} [options.bounds] south-west and north-east, longitude first
 * @param {(message: string) => void} [options.onProblem] told when the installation's own map does
 *   not answer, and the offline one is shown instead
 * @throws {MapUnavailable} there is no WebGL 2
 */
export async function createMap(container, options = {}) {
  const { t = (text) => text, language = document.documentElement.lang || "en" } = options;
  const { bounds = FRANCE, onProblem = console.warn } = options;
  if (!hasWebGL()) throw unavailable(t);
  const [maplibre, configured] = await Promise.all([import("../vendor/maplibre-gl.mjs"), configuration()]);
  const basemap = await basemapOf(maplibre, configured, language).catch((error) => {
    onProblem(`${t("The map of this installation does not answer; here is the built-in one.")} (${error.message})`);
    return offlineBasemap(language);
  });
  let map;
  try {
    map = new maplibre.Map({
      container,
      style: basemap(paletteOf(container)),
      bounds,
      fitBoundsOptions: { padding: 16 },
      ...ZOOM,
      maxPitch: 0,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 150,
      attributionControl: { compact: false },
      locale: {
        "Map.Title": t("Map"),
        "NavigationControl.ZoomIn": t("Zoom in"),
        "NavigationControl.ZoomOut": t("Zoom out"),
      },
    });
  } catch (error) {
    if (error instanceof maplibre.GPUInitializationError) throw unavailable(t);
    throw error;
  }
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-right");
  map.addControl(new maplibre.ScaleControl({ maxWidth: 90 }), "bottom-left");
  await map.once("style.load");
  followPalette(map, container, basemap);
  return map;
}

/** The page's colours where `element` is, by name: what a page's own layers are drawn in, too. */
export function paletteOf(element) {
  const style = getComputedStyle(element);
  return Object.fromEntries(TOKENS.map((name) => [name, style.getPropertyValue(`--map-${name}`)]));
}

function hasWebGL() {
  return document.createElement("canvas").getContext("webgl2") !== null;
}

function unavailable(t) {
  return new MapUnavailable(
    t("This browser cannot draw the map: it has no WebGL 2. All that is on it stands in the lists."),
  );
}

async function json(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return answer.json();
}

const configuration = () => json(CONFIGURATION);

/** A function from a palette to a style: the installation's own, its tiles', or the built-in one. */
async function basemapOf(maplibre, configured, language) {
  if (configured.style_url) {
    const style = withAnchor(await json(configured.style_url));
    return () => style;
  }
  if (!configured.tiles_url) return offlineBasemap(language);
  const [{ PMTiles, Protocol }, protomaps] = await Promise.all([
    import("../vendor/pmtiles.js"),
    import("../vendor/protomaps.js"),
  ]);
  const archive = new PMTiles(new URL(configured.tiles_url, location.href).href);
  await archive.getHeader();
  const protocol = new Protocol();
  protocol.add(archive);
  maplibre.addProtocol("pmtiles", protocol.tile);
  return (palette) => protomapsStyle(protomaps, archive.source.getKey(), palette, language);
}

async function offlineBasemap(language) {
  const places = await json(new URL("../basemap/places.json", import.meta.url));
  const folder = new URL("../basemap/", import.meta.url).href;
  return (palette) => offlineStyle(folder, places, palette, language);
}

/** Recolours the basemap when the page's palette changes; what the page added stays as it is. */
function followPalette(map, container, basemap) {
  let shown = JSON.stringify(paletteOf(container));
  const recolour = () => {
    const palette = paletteOf(container);
    if (JSON.stringify(palette) === shown) return;
    shown = JSON.stringify(palette);
    for (const { id, paint = {} } of basemap(palette).layers) {
      for (const [property, value] of Object.entries(paint)) map.setPaintProperty(id, property, value);
    }
    map.fire("palette", { palette });
  };
  const observer = new MutationObserver(recolour);
  observer.observe(document.documentElement, { attributes: true });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", recolour);
  map.once("remove", () => {
    observer.disconnect();
    dark.removeEventListener("change", recolour);
  });
}
