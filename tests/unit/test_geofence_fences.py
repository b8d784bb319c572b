"""Distances against two oracles, the index against a look at every site, and who may see what."""

import json
from math import acos, asin, atan2, cos, hypot, pi, radians, sin, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon

from geofence.fences import Fences, Site, distance_m

EARTH_RADIUS_M = 6_371_008.8
#: WGS 84: half the longer axis in m, and the square of the first eccentricity.
SEMI_MAJOR_M, ECCENTRICITY_2 = 6_378_137.0, 6.694_379_990_14e-3

#: From south of Lisbon to north of Helsinki.
latitudes = st.floats(38.0, 61.0)
longitudes = st.floats(-10.0, 25.5)


def moved(lat: float, lon: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Return a position about that many metres away."""
    degree_m = radians(EARTH_RADIUS_M)
    return lat + north_m / degree_m, lon + east_m / (degree_m * cos(radians(lat)))


def chord_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance on the sphere from the chord through the Earth, in three dimensions."""

    def unit(lat: float, lon: float) -> tuple[float, float, float]:
        phi, lam = radians(lat), radians(lon)
        return cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)

    chord = sqrt(sum((p - q) ** 2 for p, q in zip(unit(*a), unit(*b), strict=True)))
    return 2 * EARTH_RADIUS_M * asin(min(1.0, chord / 2))


def ellipsoid_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance on WGS 84 by the radii of curvature halfway; exact to mm at 3 km."""
    middle = radians((a[0] + b[0]) / 2)
    w = sqrt(1 - ECCENTRICITY_2 * sin(middle) ** 2)
    north_m = SEMI_MAJOR_M * (1 - ECCENTRICITY_2) / w**3 * radians(b[0] - a[0])
    east_m = SEMI_MAJOR_M / w * cos(middle) * radians(b[1] - a[1])
    return hypot(north_m, east_m)


def centre_m(site: Site, lat: float, lon: float) -> float:
    _, centre = Fences([site]).measure(np.array([0]), np.array([lat]), np.array([lon]))
    return float(centre[0])


def outside_m(site: Site, lat: float, lon: float) -> float:
    outside, _ = Fences([site]).measure(np.array([0]), np.array([lat]), np.array([lon]))
    return float(outside[0])


@given(latitudes, longitudes, st.floats(-3_000, 3_000), st.floats(-3_000, 3_000))
def test_a_distance_from_a_site_is_right_to_half_a_percent_on_the_ellipsoid(
    lat: float, lon: float, east_m: float, north_m: float
) -> None:
    there = moved(lat, lon, east_m, north_m)
    measured = centre_m(Site(1, 1, lat, lon, 100.0), *there)
    assert measured == pytest.approx(ellipsoid_m((lat, lon), there), rel=0.005, abs=0.001)


@given(latitudes, longitudes, st.floats(-5_000, 5_000), st.floats(-5_000, 5_000))
def test_a_distance_from_a_site_is_right_to_two_per_mille_on_the_sphere(
    lat: float, lon: float, east_m: float, north_m: float
) -> None:
    there = moved(lat, lon, east_m, north_m)
    measured = centre_m(Site(1, 1, lat, lon, 100.0), *there)
    assert measured == pytest.approx(chord_m((lat, lon), there), rel=0.002, abs=0.001)


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_the_distance_of_two_positions_is_that_of_the_chord(
    lat_a: float, lon_a: float, lat_b: float, lon_b: float
) -> None:
    way_m = distance_m(lat_a, lon_a, lat_b, lon_b)
    if way_m < 19_900_000:  # near the antipode the chord itself says too little
        assert way_m == pytest.approx(chord_m((lat_a, lon_a), (lat_b, lon_b)), rel=1e-6, abs=0.1)
    assert 0 <= way_m <= pi * EARTH_RADIUS_M * 1.000_001


@given(st.floats(-90, 90), st.floats(0, 180))
def test_the_other_side_of_the_earth_has_a_distance_too(lat: float, lon: float) -> None:
    assert distance_m(lat, lon, -lat, lon - 180) == pytest.approx(pi * EARTH_RADIUS_M, rel=1e-6)


def test_distances_agree_with_known_ones() -> None:
    lisbon, helsinki = (38.7223, -9.1393), (60.1699, 24.9384)
    angle = acos(
        sin(radians(lisbon[0])) * sin(radians(helsinki[0]))
        + cos(radians(lisbon[0])) * cos(radians(helsinki[0])) * cos(radians(9.1393 + 24.9384))
    )
    assert distance_m(*lisbon, *helsinki) == pytest.approx(angle * EARTH_RADIUS_M, rel=1e-9)
    assert distance_m(0, 0, 0, 90) == pytest.approx(EARTH_RADIUS_M * atan2(1, 0), rel=1e-12)


# ---- the index against a look at every site

HERE = (48.1, 11.5)


def ring(
    east_m: float, north_m: float, half_m: float, *, back: bool = False
) -> list[tuple[float, float]]:
    """Return the lon-lat ring of a square around a place given in metres from HERE."""
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    made = [moved(*HERE, east_m + half_m * i, north_m + half_m * j)[::-1] for i, j in corners]
    return made[::-1] if back else made


def square_area(
    east_m: float, north_m: float, half_m: float, hole_half_m: float | None = None
) -> str:
    rings = [ring(east_m, north_m, half_m)]
    if hole_half_m is not None:
        rings.append(ring(east_m, north_m, hole_half_m, back=True))
    return json.dumps({"type": "Polygon", "coordinates": rings})


@st.composite
def random_sites(draw: st.DrawFn) -> list[Site]:
    metres = st.floats(-1_500, 1_500)
    made = []
    for site_id in range(1, draw(st.integers(1, 12)) + 1):
        east_m, north_m = draw(metres), draw(metres)
        lat, lon = moved(*HERE, east_m, north_m)
        half_m = draw(st.floats(5, 500))
        area = None
        if draw(st.booleans()):
            hole = draw(st.none() | st.floats(0.1, 0.9))
            area = square_area(east_m, north_m, half_m, None if hole is None else half_m * hole)
        made.append(Site(site_id, draw(st.integers(1, 2)), lat, lon, half_m, area=area))
    return made


def outside_by_hand_m(site: Site, lat: float, lon: float) -> tuple[float, float]:
    """Return (outside_m, radius_m) of one position and one site, in a plane laid at the site."""
    degree_m = radians(EARTH_RADIUS_M)

    def plane(lon_lat: tuple[float, float]) -> tuple[float, float]:
        return (
            (lon_lat[0] - site.longitude_deg) * degree_m * cos(radians(site.latitude_deg)),
            (lon_lat[1] - site.latitude_deg) * degree_m,
        )

    here = plane((lon, lat))
    if site.area is None:
        return hypot(*here) - site.radius_m, site.radius_m
    rings = [[plane(p) for p in points] for points in json.loads(site.area)["coordinates"]]
    shape = Polygon(rings[0], rings[1:])
    return shape.distance(Point(here)), sqrt(shape.area / pi)


@given(
    random_sites(),
    st.lists(
        st.tuples(st.floats(-2_500, 2_500), st.floats(-2_500, 2_500), st.integers(1, 3)),
        max_size=30,
    ),
)
def test_the_index_finds_what_a_look_at_every_site_finds(
    sites: list[Site], fixes: list[tuple[float, float, int]]
) -> None:
    places = [moved(*HERE, east_m, north_m) for east_m, north_m, _ in fixes]
    expected, unclear = set(), set()
    for i, (lat, lon) in enumerate(places):
        for j, site in enumerate(sites):
            outside, radius = outside_by_hand_m(site, lat, lon)
            beyond_bound_m = outside - max(25.0, 0.25 * radius)
            if abs(beyond_bound_m) < 1e-6:
                unclear.add((i, j))
            elif beyond_bound_m < 0 and site.organisation_id == fixes[i][2]:
                expected.add((i, j))
    table = np.array(places, dtype=np.float64).reshape(-1, 2)
    organisations = np.array([fix[2] for fix in fixes], dtype=np.int64)
    found = Fences(sites).near(table[:, 0], table[:, 1], organisations)
    pairs = set(zip(found.fix.tolist(), found.site.tolist(), strict=True))
    assert len(pairs) == len(found.fix)
    assert pairs - unclear == expected - unclear
    for fix, j, outside in zip(found.fix, found.site, found.outside_m, strict=True):
        by_hand, _ = outside_by_hand_m(sites[j], *places[fix])
        assert outside == pytest.approx(by_hand, abs=1e-6)


def test_no_site_and_no_fix_are_near_nothing() -> None:
    nothing, nobody = np.empty(0), np.empty(0, dtype=np.int64)
    assert len(Fences([]).near(np.array([48.0]), np.array([11.0]), np.array([1])).fix) == 0
    assert len(Fences([Site(1, 1, 48, 11, 50)]).near(nothing, nothing, nobody).fix) == 0


def test_a_site_of_another_organisation_does_not_exist() -> None:
    fences = Fences([Site(1, 1, *HERE, 80.0), Site(2, 2, *HERE, 80.0)])
    lat, lon = np.full(3, HERE[0]), np.full(3, HERE[1])
    found = fences.near(lat, lon, np.array([1, 2, 3]))
    assert sorted(zip(found.fix.tolist(), found.site.tolist(), strict=True)) == [(0, 0), (1, 1)]


# ---- shapes and bounds


@pytest.mark.parametrize(
    ("east_m", "expected_m"), [(0, 60), (55, 5), (61, 0), (149, 0), (151, 1), (250, 100)]
)
def test_a_polygon_is_inside_its_ring_and_outside_its_hole(
    east_m: float, expected_m: float
) -> None:
    site = Site(1, 1, *HERE, 1.0, area=square_area(0, 0, 150.0, 60.0))
    assert outside_m(site, *moved(*HERE, east_m, 0)) == pytest.approx(expected_m, abs=0.01)


def test_a_polygon_is_as_large_as_the_circle_of_its_area() -> None:
    fences = Fences([Site(1, 1, *HERE, 9_999.0, area=square_area(0, 0, 150.0))])
    assert fences.radius_m[0] == pytest.approx(sqrt(300 * 300 / pi), rel=1e-6)


@pytest.mark.parametrize(
    ("radius_m", "margin_m"), [(0, 25), (10, 25), (99.9, 25), (100, 25), (100.4, 25.1), (400, 100)]
)
def test_the_bound_is_25_metres_or_a_quarter_of_the_radius(
    radius_m: float, margin_m: float
) -> None:
    fences = Fences([Site(1, 1, *HERE, radius_m)])
    assert fences.margin_m[0] == pytest.approx(margin_m)
    for way_m, is_near in ((radius_m + margin_m - 0.05, True), (radius_m + margin_m + 0.05, False)):
        for east, north in ((1, 0), (-1, 0), (0, 1), (0, -1), (0.6, 0.8)):
            lat, lon = moved(*HERE, east * way_m, north * way_m)
            found = fences.near(np.array([lat]), np.array([lon]), np.array([1]))
            assert (len(found.fix) == 1) is is_near


def test_the_border_itself_is_inside() -> None:
    assert outside_m(Site(1, 1, *HERE, 0.0), *HERE) == 0
