"""Fences around sites, and which of them a fix is near.

A site is a circle, a polygon, or a corridor: all that lies within half a width of a line, like a
stretch of motorway. All distances are metres in a plane laid at the site itself:
x = R cos(lat0) (lon - lon0), y = R (lat - lat0), with R the mean radius of the Earth
(equirectangular projection; Snyder, Map Projections, 1987, p. 90). Within 2 km of the site it is
right to 0.5 % between Lisbon and the North Cape, where a flat France would not be.

The one number that the rules need is `outside_m`, how far a position lies outside the shape: zero
or less inside. From it follow *inside* (`outside_m <= 0`), the *bound* with its hysteresis
(`outside_m <= max(25 m, 25 % of the radius)`) and *beyond three radii* (`outside_m > 2 radii`).
A polygon's radius is that of the circle of the same area, a corridor's is half its width.

Most positions are far from every fence. `near` looks them up in a table of cells, which knows the
few cells that a fence touches; only what is left asks the tree, and only what the tree finds is
measured.

This module knows nothing of time, of vans or of tours.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import shape

from geofence.rules import USUAL, Rules

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Shapes = npt.NDArray[np.object_]

EARTH_RADIUS_M: Final = 6_371_008.8


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a fence: a circle around the point, or what `area` says where it is given.

    Attributes:
        latitude_deg: WGS 84.
        longitude_deg: WGS 84.
        radius_m: Of the circle; half the width of a corridor. A polygon has no use for it.
        area: GeoJSON text, WGS 84, lon-lat order: a Polygon or MultiPolygon, or the LineString or
            MultiLineString along the middle of a corridor. It does not cross the date line.
    """

    site_id: int
    organisation_id: int
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    time_zone: str = "Europe/Paris"
    area: str | None = None


@dataclass(frozen=True, slots=True)
class Nearness:
    """Pairs of a fix and a site whose bound holds it. All arrays have shape (pairs,).

    Attributes:
        fix: Index of the fix in the query, ascending.
        site: Index of the site in `Fences.sites`.
        outside_m: Distance outside the shape, zero or less inside.
        centre_m: Distance to the site's point.
    """

    fix: Indices
    site: Indices
    outside_m: Floats
    centre_m: Floats


class Fences:
    """The fences of many sites, indexed once and asked often.

    Attributes:
        sites: As given.
        index_of: The index in `sites` by site_id.
        radius_m: Of the circle, of the circle as large as the polygon, or half the width of the
            corridor. Shape (sites,).
        margin_m: How far the bound reaches beyond the shape. Shape (sites,).
    """

    def __init__(self, sites: Sequence[Site], rules: Rules = USUAL) -> None:
        self.sites = tuple(sites)
        self.rules = rules
        self.index_of = {site.site_id: i for i, site in enumerate(self.sites)}
        self._organisation = np.array([s.organisation_id for s in sites], dtype=np.int64)
        self._latitude_deg = np.array([s.latitude_deg for s in sites], dtype=np.float64)
        self._longitude_deg = np.array([s.longitude_deg for s in sites], dtype=np.float64)
        self._metres_per_lon_deg = metres_per_longitude_deg(self._latitude_deg)
        self._shaped = np.array([s.area is not None for s in sites], dtype=np.bool_)
        self._shapes = self._project_areas()
        self.radius_m = np.array([s.radius_m for s in sites], dtype=np.float64)
        polygons = shapely.get_dimensions(self._shapes) == 2
        self.radius_m[polygons] = np.sqrt(shapely.area(self._shapes[polygons]) / np.pi)
        if rules.radius_m is not None:
            self.radius_m[~self._shaped] = rules.radius_m
        #: How far the fence reaches beyond its point, line or polygon. Shape (sites,).
        self._half_width_m = np.where(polygons, 0.0, self.radius_m)
        self.margin_m = np.maximum(rules.margin_m_min, rules.margin_share * self.radius_m)
        west, south, east, north = self.bounds()
        self._tree = shapely.STRtree(shapely.box(west, south, east, north))
        self._cells = _Cells(west, south, east, north)

    def near(
        self,
        latitude_deg: Floats,
        longitude_deg: Floats,
        organisation: npt.NDArray[np.int64],
    ) -> Nearness:
        """Return every pair of a fix and a site of its organisation whose bound holds the fix.

        Args:
            latitude_deg: WGS 84, shape (n,).
            longitude_deg: WGS 84, shape (n,).
            organisation: Whose van sent the fix, shape (n,).
        """
        candidates = self._cells.touched(latitude_deg, longitude_deg)
        if not len(candidates):
            return Nearness(candidates, candidates, np.empty(0), np.empty(0))
        points = shapely.points(longitude_deg[candidates], latitude_deg[candidates])
        # Without a predicate the tree compares boxes, and boxes are all that it holds.
        found, site = self._tree.query(points)
        fix = candidates[found]
        same = organisation[fix] == self._organisation[site]
        fix, site = fix[same], site[same]
        outside_m, centre_m = self.measure(site, latitude_deg[fix], longitude_deg[fix])
        kept = outside_m <= self.margin_m[site]
        return Nearness(fix[kept], site[kept], outside_m[kept], centre_m[kept])

    def measure(
        self, site: Indices, latitude_deg: Floats, longitude_deg: Floats
    ) -> tuple[Floats, Floats]:
        """Return how far each position lies outside its site's shape, and from its point, in m.

        Args:
            site: Indices into `sites`, shape (n,).
            latitude_deg: WGS 84, shape (n,).
            longitude_deg: WGS 84, shape (n,).

        Returns:
            `outside_m` and `centre_m`, both of shape (n,). Inside a polygon `outside_m` is zero.
        """
        x = (longitude_deg - self._longitude_deg[site]) * self._metres_per_lon_deg[site]
        y = (latitude_deg - self._latitude_deg[site]) * METRES_PER_LATITUDE_DEG
        centre_m: Floats = np.hypot(x, y)
        outside_m: Floats = centre_m - self.radius_m[site]
        shaped = np.flatnonzero(self._shaped[site])
        if len(shaped):
            which = site[shaped]
            outside_m[shaped] = _apart_m(self._shapes[which], x[shaped], y[shaped])
            outside_m[shaped] -= self._half_width_m[which]
        return outside_m, centre_m

    def _project_areas(self) -> Shapes:
        """Return each area in metres around its site's point, None for circles. Shape (sites,)."""
        shapes = np.full(len(self.sites), None, dtype=np.object_)
        for i in np.flatnonzero(self._shaped).tolist():
            shapes[i] = shape(json.loads(self.sites[i].area or ""))
        lon_lat, owner = shapely.get_coordinates(shapes, return_index=True)
        lon_lat[:, 0] -= self._longitude_deg[owner]
        lon_lat[:, 0] *= self._metres_per_lon_deg[owner]
        lon_lat[:, 1] -= self._latitude_deg[owner]
        lon_lat[:, 1] *= METRES_PER_LATITUDE_DEG
        projected: Shapes = shapely.set_coordinates(shapes, lon_lat)
        shapely.prepare(projected)  # for _apart_m
        return projected

    def bounds(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Return west, south, east and north of each bound, in degrees. Shape (sites,) each."""
        bounds = np.zeros((len(self.sites), 4))
        bounds[self._shaped] = shapely.bounds(self._shapes[self._shaped])
        west, south, east, north = bounds.T
        away = self._half_width_m
        longitude, latitude = self._longitude_deg, self._latitude_deg
        return (
            longitude + (west - away - self.margin_m) / self._metres_per_lon_deg,
            latitude + (south - away - self.margin_m) / METRES_PER_LATITUDE_DEG,
            longitude + (east + away + self.margin_m) / self._metres_per_lon_deg,
            latitude + (north + away + self.margin_m) / METRES_PER_LATITUDE_DEG,
        )


class _Cells:
    """Which cells of a grid over the whole Earth are touched by any of many boxes.

    The grid is folded into a table of 2^k by 2^k by dropping the upper bits of row and column. Two
    places that share an entry cost a look too many, and none is missed: a position and the corners
    of the box around it are turned into columns by the same monotone arithmetic.
    """

    #: Entries of the table for each box, about, and at most in all. One takes a byte.
    ENTRIES_PER_BOX: Final = 64
    BITS_MAX: Final = 12

    def __init__(self, west: Floats, south: Floats, east: Floats, north: Floats) -> None:
        """Touch the cells of boxes in degrees, shape (n,) each."""
        entries = self.ENTRIES_PER_BOX * max(len(west), 1)
        bits = min(entries.bit_length() // 2 + 1, self.BITS_MAX)
        self._mask = (1 << bits) - 1
        # As large as the boxes are on (quadratic) average: a box then touches about four cells.
        self._per_degree_x, self._per_degree_y = (
            1 / sqrt(float(np.mean((high - low) ** 2))) if len(low) else 1.0
            for low, high in ((west, east), (south, north))
        )
        self._table = np.zeros((self._mask + 1, self._mask + 1), dtype=np.bool_)
        first_column, first_row = self._columns(west), self._rows(south)
        wide = self._columns(east) - first_column + 1
        count = wide * (self._rows(north) - first_row + 1)
        box = np.repeat(np.arange(len(west)), count)
        nth = np.arange(len(box)) - np.repeat(np.cumsum(count) - count, count)
        rows = first_row[box] + nth // wide[box]
        columns = first_column[box] + nth % wide[box]
        self._table[rows & self._mask, columns & self._mask] = True

    def touched(self, latitude_deg: Floats, longitude_deg: Floats) -> Indices:
        """Return the indices, ascending, of the positions that may lie in a box."""
        rows, columns = self._rows(latitude_deg), self._columns(longitude_deg)
        return np.flatnonzero(self._table[rows & self._mask, columns & self._mask])

    def _columns(self, longitude_deg: Floats) -> npt.NDArray[np.int64]:
        return _whole(longitude_deg * self._per_degree_x)

    def _rows(self, latitude_deg: Floats) -> npt.NDArray[np.int64]:
        return _whole(latitude_deg * self._per_degree_y)


def _whole(values: Floats) -> npt.NDArray[np.int64]:
    """Return values without their fractions; of what is not finite any number, as it hits no box."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.int64)


def _apart_m(shapes: Shapes, x: Floats, y: Floats) -> Floats:
    """Return the distance of each point to its shape, zero inside. Shape (n,) each.

    Being inside is found by the prepared shape, many times as fast as a distance.
    """
    apart_m = np.zeros(len(shapes))
    away = np.flatnonzero(~shapely.intersects_xy(shapes, x, y))
    apart_m[away] = shapely.distance(shapes[away], shapely.points(x[away], y[away]))
    return apart_m


METRES_PER_LATITUDE_DEG: Final = float(np.radians(EARTH_RADIUS_M))


def metres_per_longitude_deg(latitude_deg: Floats) -> Floats:
    """Return the length of one degree of longitude at each latitude. Shape (n,) both."""
    length: Floats = METRES_PER_LATITUDE_DEG * np.cos(np.radians(latitude_deg))
    return length


def distance_m(
    latitude_a_deg: float, longitude_a_deg: float, latitude_b_deg: float, longitude_b_deg: float
) -> float:
    """Return the distance between two positions on the sphere (haversine)."""
    phi_a, phi_b = radians(latitude_a_deg), radians(latitude_b_deg)
    half_lambda = radians(longitude_b_deg - longitude_a_deg) / 2
    h = sin((phi_b - phi_a) / 2) ** 2 + cos(phi_a) * cos(phi_b) * sin(half_lambda) ** 2
    return 2 * EARTH_RADIUS_M * asin(sqrt(h))
