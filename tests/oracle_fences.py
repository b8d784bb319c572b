"""What the fences should say, found without them: every fence against every fix, by geodesics.

Distances are those of WGS 84 (Karney, Algorithms for geodesics, 2013, by pyproj), and no code is
shared with `geofence`. A polygon or a line is made of many short pieces, straight in degrees as
GeoJSON has it (RFC 7946, 3.1.1), and measured in an azimuthal equidistant projection at its site.

The fences lay a plane on a sphere and promise 0.5 %. Pairs whose distance is nearer than that to a
threshold are *in the band*: they are counted, and not compared.

For large numbers a fence looks only at the fixes in a window of degrees around it, at least four
radii and a kilometre away from its outermost point. `compare(…, every_pair=True)` has no windows.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Geod, Proj

from geofence.fences import Fences, Site

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

WGS84 = Geod(ellps="WGS84")
BAND = 0.005
#: Metres in a degree of latitude at least and at most, on any ellipsoid near the Earth's.
DEGREE_M_MIN, DEGREE_M_MAX = 110_000.0, 112_000.0
#: From Lisbon to Helsinki and beyond.
LATITUDES, LONGITUDES = (36.0, 70.0), (-10.0, 32.0)
PIECE_M = 25.0
EDGES = ("inside", "bound", "beyond")
#: How positions at an edge are moved off it: just beyond the band, and to 1 %.
OFF = (0.99, 0.994, 1.006, 1.01)


@dataclass
class Agreement:
    """What a comparison found.

    Attributes:
        fixes: Positions asked.
        sites: Fences asked.
        pairs: Pairs of a fix and a fence that the oracle looked at.
        inside: Of these, those inside the fence, by the oracle.
        bound: Those within the bound, inside or not.
        near_edge: Those within 2 % of a threshold, in the band or not.
        band: Pairs nearer than 0.5 % to a threshold, for each; that one is not compared.
        differing: (fix, site, threshold) where the fences say other than the oracle.
        stray: Pairs that the fences found and the oracle never looked at.
        seconds: How long the fences took to answer `near`.
    """

    fixes: int
    sites: int
    pairs: int = 0
    inside: int = 0
    bound: int = 0
    near_edge: int = 0
    band: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EDGES, 0))
    differing: list[tuple[int, int, str]] = field(default_factory=list)
    stray: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Truth:
    """A site as the oracle sees it.

    Attributes:
        radius_m: Of the circle; by the geodesic area; or half the width.
        margin_m: How far the bound reaches.
        outermost_m: The distance of its outermost point from the site's.
        plane: Its own projection to metres, None for a circle.
        shape: The polygon or line in that plane, None for a circle.
        width_m: What is taken off the distance to the shape or point.
    """

    site: Site
    radius_m: float
    margin_m: float
    outermost_m: float
    plane: Proj | None
    shape: shapely.Geometry | None
    width_m: float

    def apart_m(self, lat: Floats, lon: Floats) -> Floats:
        """Return the distance from the point or the shape itself, zero inside a polygon."""
        if self.plane is None:
            from_lon = np.full(len(lat), self.site.longitude_deg)
            from_lat = np.full(len(lat), self.site.latitude_deg)
            return np.asarray(WGS84.inv(from_lon, from_lat, lon, lat)[2])
        return np.asarray(shapely.distance(self.shape, shapely.points(*self.plane(lon, lat))))

    def outline_m(self, lat: Floats, lon: Floats) -> Floats:
        """Return the distance from a polygon's outline, on whichever side of it."""
        assert self.plane is not None
        points = shapely.points(*self.plane(lon, lat))
        return np.asarray(shapely.distance(shapely.boundary(self.shape), points))

    @property
    def is_polygon(self) -> bool:
        return self.shape is not None and self.shape.area > 0


def truth_of(site: Site) -> Truth:
    """Return what the oracle makes of a site, from its description alone."""
    if site.area is None:
        margin_m = max(25.0, 0.25 * site.radius_m)
        return Truth(site, site.radius_m, margin_m, site.radius_m, None, None, site.radius_m)
    plane = Proj(proj="aeqd", lat_0=site.latitude_deg, lon_0=site.longitude_deg, ellps="WGS84")
    fine = shapely.segmentize(
        shapely.from_geojson(site.area), PIECE_M / DEGREE_M_MAX
    )  # degrees of longitude are shorter still
    drawn = shapely.transform(fine, lambda lon_lat: np.column_stack(plane(*lon_lat.T)))
    corners = shapely.get_coordinates(drawn)
    outermost_m = float(np.hypot(corners[:, 0], corners[:, 1]).max())
    if drawn.area > 0:
        area_m2 = abs(WGS84.geometry_area_perimeter(shapely.orient_polygons(fine))[0])
        radius_m, width_m = float(np.sqrt(area_m2 / np.pi)), 0.0
    else:
        radius_m = width_m = site.radius_m
    shapely.prepare(drawn)
    margin_m = max(25.0, 0.25 * radius_m)
    return Truth(site, radius_m, margin_m, outermost_m + width_m, plane, drawn, width_m)


def random_world(sites: int, rng: np.random.Generator) -> list[Site]:
    """Return sites in towns all over Europe: 80 % circles, 10 % polygons, 10 % corridors."""
    towns = max(sites // 50, 3)
    town_lat, town_lon = rng.uniform(*LATITUDES, towns), rng.uniform(*LONGITUDES, towns)
    made = []
    for site_id, town in enumerate(rng.integers(0, towns, sites).tolist(), start=1):
        lat = float(np.clip(town_lat[town] + rng.normal(0, 0.05), *LATITUDES))
        lon = float(np.clip(town_lon[town] + rng.normal(0, 0.08), *LONGITUDES))
        radius_m = float(np.exp(rng.uniform(np.log(20), np.log(600))))
        kind = rng.random()
        area = None
        if kind > 0.9:
            radius_m = float(rng.uniform(5, 60))
            area = _random_line(lat, lon, rng)
        elif kind > 0.8:
            area = _random_polygon(lat, lon, radius_m, rng)
        made.append(Site(site_id, 1, lat, lon, radius_m, area=area))
    return made


def _around(
    lat: float, lon: float, azimuth_deg: Floats, way_m: Floats
) -> list[tuple[float, float]]:
    there = WGS84.fwd(np.full(len(way_m), lon), np.full(len(way_m), lat), azimuth_deg, way_m)
    return list(zip(there[0].tolist(), there[1].tolist(), strict=True))


def _random_polygon(lat: float, lon: float, radius_m: float, rng: np.random.Generator) -> str:
    """Return a star-shaped polygon, sometimes with a hole, sometimes with a second one beside."""
    azimuths = np.arange(0.0, 360.0, 360.0 / rng.integers(4, 20))
    away_m = radius_m * rng.uniform(0.6, 1.3, len(azimuths))
    rings = [_around(lat, lon, -azimuths, away_m)]
    if rng.random() < 0.4:
        rings.append(_around(lat, lon, azimuths, 0.4 * away_m))
    closed = [[*ring, ring[0]] for ring in rings]
    if rng.random() < 0.7:
        return json.dumps({"type": "Polygon", "coordinates": closed})
    beside = _around(lat, lon, np.array([80.0, 90.0, 85.0]), radius_m * np.array([1.5, 1.5, 2.2]))
    both = [closed, [[*beside, beside[0]]]]
    return json.dumps({"type": "MultiPolygon", "coordinates": both})


def _random_line(lat: float, lon: float, rng: np.random.Generator) -> str:
    """Return a bent line through the place, or two."""
    lines = []
    for _ in range(1 if rng.random() < 0.7 else 2):
        azimuth = rng.uniform(0, 180)
        azimuths = azimuth + np.array([180.0, 0.0, 15.0, -10.0])
        lines.append(_around(lat, lon, azimuths, rng.uniform(50, 600, 4).cumsum() - 40))
    if len(lines) == 1:
        return json.dumps({"type": "LineString", "coordinates": lines[0]})
    return json.dumps({"type": "MultiLineString", "coordinates": lines})


def random_fixes(
    truths: list[Truth], fixes: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return positions: 40 % anywhere, 20 % in towns, 40 % just off fences' edges.

    The edges are those of the shape, of its bound, and of three radii. Shape (fixes,) each.
    """
    lat, lon = rng.uniform(*LATITUDES, fixes), rng.uniform(*LONGITUDES, fixes)
    share = rng.random(fixes)
    at = rng.integers(0, len(truths), fixes)
    site_lat = np.array([truth.site.latitude_deg for truth in truths])[at]
    site_lon = np.array([truth.site.longitude_deg for truth in truths])[at]
    in_town = (share >= 0.4) & (share < 0.6)
    lat[in_town] = (site_lat + rng.normal(0, 0.02, fixes))[in_town]
    lon[in_town] = (site_lon + rng.normal(0, 0.03, fixes))[in_town]

    edge = share >= 0.6
    off = rng.choice(OFF, fixes)
    which = rng.integers(0, 3, fixes)
    round_ = np.array([truth.shape is None for truth in truths])[at]
    radius_m = np.array([truth.radius_m for truth in truths])[at]
    margin_m = np.array([truth.margin_m for truth in truths])[at]
    way_m = off * np.choose(which, [radius_m, radius_m + margin_m, 3 * radius_m])
    circles = np.flatnonzero(edge & round_)
    azimuth = rng.uniform(0, 360, len(circles))
    lon[circles], lat[circles], _ = WGS84.fwd(
        site_lon[circles], site_lat[circles], azimuth, way_m[circles]
    )

    shaped = np.flatnonzero(edge & ~round_)
    shaped = shaped[np.argsort(at[shaped], kind="stable")]
    for group in np.split(shaped, np.flatnonzero(np.diff(at[shaped])) + 1) if len(shaped) else ():
        truth = truths[int(at[group[0]])]
        for nth in range(3):
            for times in OFF:
                chosen = group[(which[group] == nth) & (off[group] == times)]
                if len(chosen):
                    lon[chosen], lat[chosen] = _on_edge(truth, nth, times, rng.random(len(chosen)))
    return lat, lon


def _on_edge(truth: Truth, nth: int, times: float, where: Floats) -> tuple[Floats, Floats]:
    """Return positions on a shape's edge moved by `times`, as shares of its length, in lon and lat."""
    assert truth.plane is not None
    radius_m = truth.radius_m
    beyond_m = (0.0, truth.margin_m, 2 * radius_m)[nth]
    if truth.is_polygon:
        away_m = beyond_m * times if nth else (times - 1) * radius_m
    else:
        away_m = (radius_m + beyond_m) * times
    edge = shapely.boundary(shapely.buffer(truth.shape, away_m, quad_segs=32))
    if shapely.is_empty(edge):
        edge = shapely.boundary(truth.shape)
    at = shapely.get_coordinates(shapely.line_interpolate_point(edge, where, normalized=True))
    lon, lat = truth.plane(at[:, 0], at[:, 1], inverse=True)
    return np.asarray(lon), np.asarray(lat)


def compare(
    sites: int, fixes: int, *, seed: int, every_pair: bool = False, at_once: int = 2_000_000
) -> Agreement:
    """Compare the fences with the oracle on a random world.

    Args:
        sites: How many fences.
        fixes: How many positions.
        seed: Of the world.
        every_pair: Measure each pair, without windows.
        at_once: Pairs to hold in memory, about.
    """
    rng = np.random.default_rng(seed)
    made = random_world(sites, rng)
    truths = [truth_of(site) for site in made]
    lat, lon = random_fixes(truths, fixes, rng)
    order = np.argsort(lat)
    lat, lon = lat[order], lon[order]

    fences = Fences(made)
    started = perf_counter()
    found = fences.near(lat, lon, np.ones(fixes, dtype=np.int64))
    agreement = Agreement(fixes, sites, seconds=perf_counter() - started)
    said = np.sort(found.site * fixes + found.fix)
    said_inside = np.sort((found.site * fixes + found.fix)[found.outside_m <= 0])

    seen = 0
    for site, fix in _batches(truths, lat, lon, at_once, every_pair=every_pair):
        key = site * fixes + fix
        seen += int(np.isin(said, key, assume_unique=True).sum())
        outside_m, _ = fences.measure(site, lat[fix], lon[fix])
        says = {
            "inside": np.isin(key, said_inside, assume_unique=True),
            "bound": np.isin(key, said, assume_unique=True),
            "beyond": outside_m > 2 * fences.radius_m[site],
        }
        _judge(agreement, truths, site, fix, lat, lon, says)
    agreement.stray = len(said) - seen
    return agreement


def _batches(
    truths: list[Truth], lat: Floats, lon: Floats, at_once: int, *, every_pair: bool
) -> Iterator[tuple[Indices, Indices]]:
    """Yield pairs of a site and a fix, all of a site together; `lat` ascends."""
    held_site: list[Indices] = []
    held_fix: list[Indices] = []
    held = 0
    for site, truth in enumerate(truths):
        fix = np.arange(len(lat)) if every_pair else _window(truth, lat, lon)
        held_site.append(np.full(len(fix), site))
        held_fix.append(fix)
        held += len(fix)
        if held >= at_once or site == len(truths) - 1:
            yield np.concatenate(held_site), np.concatenate(held_fix)
            held_site, held_fix, held = [], [], 0


def _window(truth: Truth, lat: Floats, lon: Floats) -> Indices:
    """Return the fixes in a rectangle of degrees around a site; `lat` ascends."""
    high_deg = (truth.outermost_m + 4 * truth.radius_m + 1_000) / DEGREE_M_MIN
    middle = truth.site.latitude_deg
    first, last = np.searchsorted(lat, [middle - high_deg, middle + high_deg])
    wide_deg = high_deg / np.cos(np.radians(min(abs(middle) + high_deg, 89)))
    near = np.abs(lon[first:last] - truth.site.longitude_deg) <= wide_deg
    return first + np.flatnonzero(near)


def _judge(
    agreement: Agreement,
    truths: list[Truth],
    site: Indices,
    fix: Indices,
    lat: Floats,
    lon: Floats,
    says: dict[str, npt.NDArray[np.bool_]],
) -> None:
    """Add to the agreement what the oracle finds for pairs; those of a site stand together."""
    starts = np.flatnonzero(np.r_[True, np.diff(site) > 0]) if len(site) else np.empty(0, int)
    ends = np.r_[starts[1:], len(site)]
    numbers = np.array([(t.radius_m, t.margin_m, t.width_m) for t in truths])
    radius_m, margin_m, width_m = numbers[site].T
    apart_m = np.empty(len(site))
    round_ = np.array([truth.shape is None for truth in truths])[site]
    apart_m[round_] = WGS84.inv(
        np.array([t.site.longitude_deg for t in truths])[site[round_]],
        np.array([t.site.latitude_deg for t in truths])[site[round_]],
        lon[fix[round_]],
        lat[fix[round_]],
    )[2]
    outline_m = np.full(len(site), np.inf)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        truth = truths[int(site[start])]
        if truth.shape is not None:
            here = fix[start:end]
            apart_m[start:end] = truth.apart_m(lat[here], lon[here])
            if truth.is_polygon:
                outline_m[start:end] = truth.outline_m(lat[here], lon[here])

    thresholds_m = {
        "inside": width_m,
        "bound": width_m + margin_m,
        "beyond": width_m + 2 * radius_m,
    }
    polygon = np.isfinite(outline_m)
    close = np.zeros(len(site), dtype=np.bool_)
    for edge, threshold_m in thresholds_m.items():
        off = np.abs(apart_m - threshold_m) / np.where(threshold_m > 0, threshold_m, 1.0)
        if edge == "inside":  # a polygon's outline itself has no distance to be 0.5 % of
            off = np.where(polygon, outline_m / radius_m, off)
        band = off <= BAND
        expected = apart_m > threshold_m if edge == "beyond" else apart_m <= threshold_m
        wrong = np.flatnonzero((expected != says[edge]) & ~band)
        agreement.band[edge] += int(band.sum())
        agreement.differing += [(int(fix[k]), int(site[k]), edge) for k in wrong]
        close |= off <= 0.02
        if edge == "inside":
            agreement.inside += int(expected.sum())
        if edge == "bound":
            agreement.bound += int(expected.sum())
    agreement.pairs += len(site)
    agreement.near_edge += int(close.sum())


def main() -> None:
    """Compare a million fixes with 20,000 fences; some minutes."""
    found = compare(20_000, 1_000_000, seed=1)
    figures = {name: getattr(found, name) for name in ("fixes", "sites", "pairs", "inside", "band")}
    sys.stdout.write(json.dumps({**figures, "differing": found.differing[:20]}) + "\n")
    raise SystemExit(1 if found.differing or found.stray else 0)


if __name__ == "__main__":
    main()
