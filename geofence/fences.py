"""Fences around sites, and which of them a fix is near.

A site is a circle or a polygon. All distances are metres in a plane laid at the site itself:
x = R cos(lat0) (lon - lon0), y = R (lat - lat0), with R the mean radius of the Earth
(equirectangular projection; Snyder, Map Projections, 1987, p. 90). Within the few kilometres that
matter here it is right to 0.5 % between Lisbon and Helsinki, where a flat France would not be.

The one number that the rules need is `outside_m`, how far a position lies outside the shape: zero
or less inside. From it follow *inside* (`outside_m <= 0`), the *bound* with its hysteresis
(`outside_m <= max(25 m, 25 % of the radius)`) and *beyond three radii* (`outside_m > 2 radii`).
A polygon's radius is that of the circle of the same area.

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

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

EARTH_RADIUS_M: Final = 6_371_008.8
MARGIN_M_MIN: Final = 25.0
MARGIN_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class Site:
    """A place with a fence: a circle around the point, or the polygon where `area` is given.

    `area` is a GeoJSON Polygon, WGS 84, lon-lat order.
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
        fix: Index of the fix in the query.
        site: Index of the site in `Fences.sites`.
        outside_m: Distance outside the shape, zero or less inside.
        centre_m: Distance to the site's point.
    """

    fix: Indices
    site: Indices
    outside_m: Floats
    centre_m: Floats


class Fences:
    """The fences of many sites, indexed once and asked often."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sites = tuple(sites)
        self.index_of = {site.site_id: i for i, site in enumerate(self.sites)}
        self._organisation = np.array([s.organisation_id for s in sites], dtype=np.int64)
        self._latitude_deg = np.array([s.latitude_deg for s in sites], dtype=np.float64)
        self._longitude_deg = np.array([s.longitude_deg for s in sites], dtype=np.float64)
        self._metres_per_lon_deg = metres_per_longitude_deg(self._latitude_deg)
        self._areas = {
            i: self._project_area(i, site.area) for i, site in enumerate(sites) if site.area
        }
        self.radius_m = np.array([s.radius_m for s in sites], dtype=np.float64)
        for i, area in self._areas.items():
            self.radius_m[i] = np.sqrt(area.area / np.pi)
        self.margin_m = np.maximum(MARGIN_M_MIN, MARGIN_SHARE * self.radius_m)
        self._tree = shapely.STRtree(self._bounds())

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
        if not self.sites:
            empty = np.empty(0, dtype=np.intp)
            return Nearness(empty, empty, np.empty(0), np.empty(0))
        fix, site = self._tree.query(shapely.points(longitude_deg, latitude_deg), "intersects")
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
            `outside_m` and `centre_m`, both of shape (n,).
        """
        x = (longitude_deg - self._longitude_deg[site]) * self._metres_per_lon_deg[site]
        y = (latitude_deg - self._latitude_deg[site]) * METRES_PER_LATITUDE_DEG
        centre_m: Floats = np.hypot(x, y)
        outside_m: Floats = centre_m - self.radius_m[site]
        for k in np.flatnonzero(np.isin(site, list(self._areas))) if self._areas else ():
            outside_m[k] = shapely.distance(self._areas[int(site[k])], shapely.Point(x[k], y[k]))
        return outside_m, centre_m

    def _project_area(self, i: int, geojson: str) -> shapely.Geometry:
        """Return a polygon in metres around its site's point."""
        origin = np.array([self._longitude_deg[i], self._latitude_deg[i]])
        scale = np.array([self._metres_per_lon_deg[i], METRES_PER_LATITUDE_DEG])
        return shapely.transform(
            shape(json.loads(geojson)), lambda lon_lat: (lon_lat - origin) * scale
        )

    def _bounds(self) -> npt.NDArray[np.object_]:
        """Return a box in degrees around each shape, as wide as its bound."""
        west, south = -self.radius_m.copy(), -self.radius_m.copy()
        east, north = self.radius_m.copy(), self.radius_m.copy()
        for i, area in self._areas.items():
            west[i], south[i], east[i], north[i] = shapely.bounds(area)
        longitude, latitude = self._longitude_deg, self._latitude_deg
        boxes: npt.NDArray[np.object_] = shapely.box(
            longitude + (west - self.margin_m) / self._metres_per_lon_deg,
            latitude + (south - self.margin_m) / METRES_PER_LATITUDE_DEG,
            longitude + (east + self.margin_m) / self._metres_per_lon_deg,
            latitude + (north + self.margin_m) / METRES_PER_LATITUDE_DEG,
        )
        return boxes


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
