// Vans as features of the map, and what of them has changed since they were last drawn: MapLibre is given
// the difference, under numbers of its own, once a second at most. Pure but for its memory.

import { signOf } from "./map_signs.js";

const RANKS = { late: 3, at_risk: 2, "": 1 };

/** The worst that is open of each van: late, at_risk. */
export function troubles(alerts) {
  const worst = new Map();
  for (const { state, kind, van } of alerts) {
    if (state !== "open") continue;
    if (kind === "late" || kind === "missed") worst.set(van, "late");
    else if (kind === "at_risk" && !worst.has(van)) worst.set(van, "at_risk");
  }
  return worst;
}

export class VanFeatures {
  /** Number, row and trouble of each van that is drawn, by its code. */
  #drawn = new Map();
  #codes = [];

  codeOf = (id) => this.#codes[id] ?? null;

  /** The difference to what was drawn, as GeoJSONSource.updateData takes it; null if there is none. */
  difference(vans, worst) {
    const difference = { add: [], update: [], remove: [] };
    const gone = new Set(this.#drawn.keys());
    for (const van of vans) {
      if (!van.last_fix) continue;
      gone.delete(van.code);
      const trouble = worst.get(van.code) ?? "";
      const before = this.#drawn.get(van.code);
      // The stream replaces a row that changes: another object is other news.
      if (before?.van === van && before.trouble === trouble) continue;
      const id = before?.id ?? this.#codes.push(van.code) - 1;
      this.#drawn.set(van.code, { id, van, trouble });
      if (before) difference.update.push(update(id, van, trouble));
      else difference.add.push(feature(id, van, trouble));
    }
    for (const code of gone) {
      difference.remove.push(this.#drawn.get(code).id);
      this.#drawn.delete(code);
    }
    return difference.add.length + difference.update.length + difference.remove.length ? difference : null;
  }
}

export const pointOf = ({ last_fix: fix }) => [fix.longitude_deg, fix.latitude_deg];

const properties = (van, trouble) => ({
  code: van.code,
  sign: signOf(van),
  turn: van.state === "driving" ? van.last_fix.bearing_deg ?? 0 : 0,
  trouble,
  rank: RANKS[trouble],
});

const feature = (id, van, trouble) => ({
  type: "Feature",
  id,
  properties: properties(van, trouble),
  geometry: { type: "Point", coordinates: pointOf(van) },
});

const update = (id, van, trouble) => ({
  id,
  newGeometry: { type: "Point", coordinates: pointOf(van) },
  addOrUpdateProperties: Object.entries(properties(van, trouble)).map(([key, value]) => ({ key, value })),
});
