// A fence while it is being drawn: a circle, an area of corners, or a corridor along a line. Pure: each
// change gives another draft. Places are [lon, lat].

import { circle } from "./fences.js";

const M_PER_DEG = 111_195;
const round = (degrees) => Math.round(degrees * 1e6) / 1e6;
const rounded = ([lon, lat]) => [round(lon), round(lat)];
const middle = ([lon1, lat1], [lon2, lat2]) => rounded([(lon1 + lon2) / 2, (lat1 + lat2) / 2]);

export const CORNERS_MIN = 3;

/** The draft of a site's fence as it is. */
export function draftOf({ latitude_deg: lat, longitude_deg: lon, radius_m, geometry }) {
  const centre = [lon, lat];
  if (geometry?.type === "Polygon" && geometry.coordinates.length === 1) return { kind: "area", corners: geometry.coordinates[0].slice(0, -1).map(rounded), centre, radius_m };
  if (geometry && geometry.type !== "Point") return { kind: "fixed", geometry, centre, radius_m };
  return { kind: "circle", centre, radius_m };
}

/** The same place as another kind of fence: an area begins as what the circle covers. */
export function turnedInto(kind, draft) {
  if (kind === draft.kind) return draft;
  if (kind === "circle") return { kind, centre: draft.corners ? centreOf(draft.corners) : draft.centre, radius_m: draft.radius_m || 100 };
  const [lon, lat] = draft.centre;
  const ring = circle({ lon, lat, radius_m: draft.radius_m || 100 }).coordinates[0];
  return { ...draft, kind, corners: [6, 18, 30, 42].map((nth) => rounded(ring[nth])) };
}

const centreOf = (corners) => rounded([0, 1].map((axis) => corners.reduce((sum, corner) => sum + corner[axis], 0) / corners.length));

/** What is drawn: the shape, and points to take hold of; `half` are those that become corners. */
export function featuresOf(draft) {
  if (draft.kind === "fixed") return [{ type: "Feature", properties: {}, geometry: draft.geometry }];
  if (draft.kind === "circle") {
    const [lon, lat] = draft.centre;
    const shape = circle({ lon, lat, radius_m: draft.radius_m });
    return [{ type: "Feature", properties: {}, geometry: shape }, handle(draft.centre, "centre"), handle(shape.coordinates[0][0], "edge")];
  }
  const { corners } = draft;
  return [
    { type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [[...corners, corners[0]]] } },
    ...corners.map((corner, nth) => handle(middle(corner, corners[(nth + 1) % corners.length]), `half ${nth}`)),
    ...corners.map((corner, nth) => handle(corner, `corner ${nth}`)),
  ];
}

const handle = (coordinates, name) => ({ type: "Feature", properties: { name, half: name.startsWith("half") }, geometry: { type: "Point", coordinates } });

/** The draft once a handle was moved to a place, and the handle that one holds then. */
export function moved(draft, name, place) {
  const [what, nth] = name.split(" ");
  if (what === "centre") return { draft: { ...draft, centre: rounded(place) }, name };
  if (what === "edge") return { draft: { ...draft, radius_m: Math.max(1, Math.round(metres(draft.centre, place))) }, name };
  if (what === "half") return { draft: cornerAfter(draft, Number(nth), place), name: `corner ${Number(nth) + 1}` };
  return { draft: { ...draft, corners: draft.corners.with(Number(nth), rounded(place)) }, name };
}

/** Another corner after the nth, half-way to the next unless it is given. */
export function cornerAfter(draft, nth, place = middle(draft.corners[nth], draft.corners[(nth + 1) % draft.corners.length])) {
  return { ...draft, corners: draft.corners.toSpliced(nth + 1, 0, rounded(place)) };
}

export const withoutCorner = (draft, nth) => (draft.corners.length > CORNERS_MIN ? { ...draft, corners: draft.corners.toSpliced(nth, 1) } : draft);

/** Metres between two places that are near each other. */
export function metres([lon1, lat1], [lon2, lat2]) {
  const wide = (lon2 - lon1) * Math.cos((lat1 * Math.PI) / 180);
  return Math.hypot(wide, lat2 - lat1) * M_PER_DEG;
}

const isLine = ({ type }) => type.endsWith("LineString");

/** The site with this fence, as PUT /v1/sites/{code} takes it. */
export function bodyOf(site, draft) {
  const { name, time_zone = null, client = null, town = null } = site;
  const rest = { name, time_zone, client, town };
  if (draft.kind === "circle") return { ...rest, longitude_deg: draft.centre[0], latitude_deg: draft.centre[1], radius_m: draft.radius_m };
  if (draft.kind === "fixed") return { ...rest, geometry: draft.geometry, ...(isLine(draft.geometry) && { radius_m: draft.radius_m }) };
  return { ...rest, geometry: { type: "Polygon", coordinates: [[...draft.corners, draft.corners[0]]] } };
}
