// The fences of all sites: 20,000 of them come as bare numbers, and are kept as they came. On the map they are
// dots, and shapes only where one looks closely: a grid of cells finds those in view.

import { read } from "../base/session.js";

const CELL_DEG = 0.1;
const CORNERS = 48;
const M_PER_DEG = 111_195;
/** At zoom 0 on the equator, of MapLibre's tiles of 512 pixels. */
const M_PER_PX = 78_271.5;
/** More shapes than one can tell apart are not drawn. */
const SHAPES_MAX = 2_000;

const cellOf = (lon, lat) => `${Math.floor(lon / CELL_DEG)} ${Math.floor(lat / CELL_DEG)}`;

export class Fences extends EventTarget {
  /** [{ id, code, lon, lat, radius_m, geometry }]; null before they came. */
  all = null;
  problem = null;
  #cells = new Map();
  #byCode = new Map();
  #names = new Map();

  of = (code) => this.#byCode.get(code) ?? null;
  byId = (id) => this.all?.[id] ?? null;

  async read() {
    try {
      this.#keep(await read("/v1/fences"));
      this.problem = null;
    } catch (problem) {
      this.problem = problem;
    }
    this.dispatchEvent(new Event("changed"));
  }

  #keep({ sites, areas }) {
    const geometries = new Map(areas.map(({ site, geometry }) => [site, geometry]));
    this.all = sites.map(([code, lon, lat, radius_m], id) => ({ id, code, lon, lat, radius_m, geometry: geometries.get(code) ?? null }));
    this.#byCode = new Map(this.all.map((fence) => [fence.code, fence]));
    this.#cells = Map.groupBy(this.all, ({ lon, lat }) => cellOf(lon, lat));
  }

  /** What a site is called, once that was asked for; until then its code. `said` is told when it is known. */
  nameOf(code, said) {
    if (!this.#names.has(code)) {
      this.#names.set(code, code);
      const keep = (site) => {
        this.#names.set(code, site.name);
        said(site.name);
      };
      read(`/v1/sites/${encodeURIComponent(code)}`).then(keep, () => this.#names.delete(code));
    }
    return this.#names.get(code);
  }

  /** Features of the middles of all fences. */
  dots() {
    return (this.all ?? []).map(({ id, lon, lat }) => ({ type: "Feature", id, properties: {}, geometry: { type: "Point", coordinates: [lon, lat] } }));
  }

  /** Features of the shapes within bounds; `chosen` is the code of one that stands out. */
  shapes({ west, south, east, north }, chosen) {
    const found = [];
    for (let lon = Math.floor(west / CELL_DEG); lon <= Math.floor(east / CELL_DEG); lon += 1) {
      for (let lat = Math.floor(south / CELL_DEG); lat <= Math.floor(north / CELL_DEG); lat += 1) {
        found.push(...(this.#cells.get(`${lon} ${lat}`) ?? []));
        if (found.length > SHAPES_MAX) return [];
      }
    }
    return found.map((fence) => ({ type: "Feature", id: fence.id, properties: { chosen: fence.code === chosen, width: widthOf(fence) }, geometry: shapeOf(fence) }));
  }
}

/** Pixels at zoom 0 that a corridor is wide; a map draws its line with it, twice as wide at each zoom. */
const widthOf = ({ lat, radius_m }) => (2 * radius_m) / (M_PER_PX * Math.cos((lat * Math.PI) / 180));

/** The geometry of a fence; of a corridor its line. */
const shapeOf = (fence) => (fence.geometry && fence.geometry.type !== "Point" ? fence.geometry : circle(fence));

/** A circle of metres as a polygon, on the sphere near its middle. */
export function circle({ lon, lat, radius_m: radius }) {
  const high = radius / M_PER_DEG;
  const wide = high / Math.cos((lat * Math.PI) / 180);
  const ring = Array.from({ length: CORNERS + 1 }, (_, nth) => {
    const angle = (2 * Math.PI * nth) / CORNERS;
    return [lon + wide * Math.cos(angle), lat + high * Math.sin(angle)];
  });
  return { type: "Polygon", coordinates: [ring] };
}
