"""Distances against two oracles, the index against a look at every site, and who may see what."""

import json
from math import acos, asin, atan2, cos, hypot, pi, radians, sin, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod
from shapely.geometry import LineString, Point, Polygon

from geofence.fences import Fences, Site, distance_m
from geofence.rules import Rules

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


WGS84 = Geod(ellps="WGS84")


@given(
    st.floats(36, 71), st.floats(-10, 32), st.floats(0, 360), st.floats(0.01, 2_000),
)  # fmt: skip
def test_a_distance_up_to_2_km_is_that_of_the_geodesic_to_half_a_percent(
    lat: float, lon: float, azimuth_deg: float, way_m: float
) -> None:
    lon_there, lat_there, _ = WGS84.fwd(lon, lat, azimuth_deg, way_m)
    measured = centre_m(Site(1, 1, lat, lon, 100.0), lat_there, lon_there)
    assert measured == pytest.approx(way_m, rel=0.005, abs=1e-6)


def test_the_plane_is_worst_in_the_far_north_and_east_to_west() -> None:
    """Half a percent holds at the North Cape too, with a sixth of it to spare."""
    degrees = np.arange(36.0, 71.01, 1.0)
    azimuths_deg = np.arange(0.0, 360.0, 5.0)
    lat, azimuth_deg = (a.ravel() for a in np.meshgrid(degrees, azimuths_deg, indexing="ij"))
    sites = [Site(i, 1, float(at), 25.0, 100.0) for i, at in enumerate(lat)]
    there = WGS84.fwd(np.full(len(lat), 25.0), lat, azimuth_deg, np.full(len(lat), 2_000.0))
    _, measured = Fences(sites).measure(np.arange(len(lat)), there[1], there[0])
    error = measured.reshape(len(degrees), -1) / 2_000 - 1
    assert 0.004 < np.abs(error).max() < 0.005
    worst_row, worst_column = np.unravel_index(np.abs(error).argmax(), error.shape)
    assert degrees[worst_row] == 71
    assert abs(np.sin(np.radians(azimuths_deg[worst_column]))) > 0.9
    assert np.abs(error[degrees <= 61]).max() < 0.004


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

Ring = list[tuple[float, float]]


def ring(east_m: float, north_m: float, half_m: float, *, back: bool = False) -> Ring:
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


def several(kind: str, *areas: str) -> str:
    return json.dumps({"type": kind, "coordinates": [json.loads(a)["coordinates"] for a in areas]})


def line_area(*east_north_m: tuple[float, float]) -> str:
    """Return the line through places given in metres from HERE."""
    places = [moved(*HERE, east_m, north_m)[::-1] for east_m, north_m in east_north_m]
    return json.dumps({"type": "LineString", "coordinates": places})


@st.composite
def random_areas(
    draw: st.DrawFn, east_m: float, north_m: float, half_m: float
) -> tuple[str | None, float]:
    """Return an area of each kind near a place, and the radius to go with it."""
    kind = draw(st.sampled_from(["circle", "square", "ring", "squares", "line", "lines"]))
    metres = st.floats(-800, 800)
    bends = st.lists(st.tuples(metres, metres), min_size=2, max_size=5, unique=True)
    hole_m = half_m * draw(st.floats(0.1, 0.9))
    if kind == "circle":
        return None, half_m
    if kind == "square":
        return square_area(east_m, north_m, half_m), 1.0
    if kind == "ring":
        return square_area(east_m, north_m, half_m, hole_m), 1.0
    if kind == "squares":
        beside = square_area(east_m + 2.5 * half_m, north_m, half_m)
        return several("MultiPolygon", square_area(east_m, north_m, half_m, hole_m), beside), 1.0
    if kind == "line":
        return line_area(*draw(bends)), half_m / 4
    return several("MultiLineString", line_area(*draw(bends)), line_area(*draw(bends))), half_m / 4


@st.composite
def random_sites(draw: st.DrawFn) -> list[Site]:
    metres = st.floats(-1_500, 1_500)
    made = []
    for site_id in range(1, draw(st.integers(1, 12)) + 1):
        east_m, north_m = draw(metres), draw(metres)
        lat, lon = moved(*HERE, east_m, north_m)
        area, radius_m = draw(random_areas(east_m, north_m, draw(st.floats(5, 500))))
        made.append(Site(site_id, draw(st.integers(1, 2)), lat, lon, radius_m, area=area))
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
    area = json.loads(site.area)
    parts = area["coordinates"] if area["type"].startswith("Multi") else [area["coordinates"]]
    if "Line" in area["type"]:
        lines = [LineString([plane(p) for p in part]) for part in parts]
        return min(line.distance(Point(here)) for line in lines) - site.radius_m, site.radius_m
    polygons = [Polygon(*split([[plane(p) for p in ring] for ring in part])) for part in parts]
    radius_m = sqrt(sum(polygon.area for polygon in polygons) / pi)
    return min(polygon.distance(Point(here)) for polygon in polygons), radius_m


def split(rings: list[Ring]) -> tuple[Ring, list[Ring]]:
    return rings[0], rings[1:]


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


@given(
    st.lists(
        st.tuples(st.floats(-70, 70), st.floats(-179, 179), st.floats(5, 20_000)),
        min_size=1, max_size=30,
    ),
    st.floats(0, 2 * pi),
    st.floats(0, 1.2),
)  # fmt: skip
def test_fences_all_over_the_earth_are_found_where_they_are(
    circles: list[tuple[float, float, float]], angle: float, share: float
) -> None:
    """The table of cells is folded many times here, and boxes are much larger than its cells."""
    fences = Fences([Site(i, 1, *circle) for i, circle in enumerate(circles)])
    fixes = []
    for (lat, lon, radius_m), margin_m in zip(circles, fences.margin_m, strict=True):
        way_m = share * (radius_m + margin_m)
        fixes.append(moved(lat, lon, way_m * cos(angle), way_m * sin(angle)))
    table = np.array(fixes)
    found = fences.near(table[:, 0], table[:, 1], np.ones(len(table), dtype=np.int64))
    pairs = set(zip(found.fix.tolist(), found.site.tolist(), strict=True))
    every = np.arange(len(circles))
    for i in range(len(circles)):
        here = np.full(len(circles), i)
        outside, _ = fences.measure(every, table[here, 0], table[here, 1])
        within_m = fences.margin_m - outside
        expected = {(i, int(j)) for j in np.flatnonzero(within_m >= 1e-6)}
        unclear = {(i, int(j)) for j in np.flatnonzero(np.abs(within_m) < 1e-6)}
        assert {pair for pair in pairs if pair[0] == i} - unclear == expected


def test_what_is_no_position_is_near_nothing() -> None:
    fences = Fences([Site(1, 1, *HERE, 80.0), Site(2, 1, 0.0, 0.0, 80.0)])
    lat = np.array([np.nan, HERE[0], np.inf, -np.inf, 1e300, HERE[0]])
    lon = np.array([HERE[1], np.nan, HERE[1], -1e300, 0.0, HERE[1]])
    found = fences.near(lat, lon, np.ones(len(lat), dtype=np.int64))
    assert found.fix.tolist() == [5]


def test_fixes_come_back_in_the_order_they_were_given() -> None:
    fences = Fences([Site(i, 1, *moved(*HERE, 40.0 * i, 0), 100.0) for i in range(20)])
    places = np.array([moved(*HERE, 13.0 * i % 900, 0) for i in range(500)])
    found = fences.near(places[:, 0], places[:, 1], np.ones(500, dtype=np.int64))
    assert len(found.fix) > 1_000
    assert (np.diff(found.fix) >= 0).all()


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


def test_two_polygons_are_one_site_as_large_as_both() -> None:
    area = several("MultiPolygon", square_area(-200, 0, 50.0), square_area(200, 0, 50.0))
    site = Site(1, 1, *HERE, 9_999.0, area=area)
    assert Fences([site]).radius_m[0] == pytest.approx(sqrt(2 * 100 * 100 / pi), rel=1e-6)
    for east_m, expected_m in ((-260, 10), (-200, 0), (0, 150), (160, 0), (251, 1)):
        assert outside_m(site, *moved(*HERE, east_m, 0)) == pytest.approx(expected_m, abs=0.01)


MOTORWAY = line_area((-1_000, 0), (1_000, 0))
TRAM = several(
    "MultiLineString", line_area((-300, 0), (0, 0), (0, 300)), line_area((500, 0), (500, 300))
)


@pytest.mark.parametrize(
    ("area", "east_m", "north_m", "from_line_m"),
    [
        (MOTORWAY, 0, 0, 0),
        (MOTORWAY, -900, 20, 20),
        (MOTORWAY, 700, -31, 31),
        (MOTORWAY, 1_030, 40, 50),
        (TRAM, -10, 300, 10),
        (TRAM, 100, 100, 100),
        (TRAM, 460, 100, 40),
    ],
)
def test_a_corridor_is_all_that_lies_within_half_its_width_of_the_line(
    area: str, east_m: float, north_m: float, from_line_m: float
) -> None:
    site = Site(1, 1, *HERE, 30.0, area=area)
    place = moved(*HERE, east_m, north_m)
    assert outside_m(site, *place) == pytest.approx(from_line_m - 30, abs=0.01)
    assert centre_m(site, *place) == pytest.approx(hypot(east_m, north_m), abs=0.01)


@pytest.mark.parametrize(("half_width_m", "margin_m"), [(5, 25), (100, 25), (160, 40)])
def test_a_corridor_has_half_its_width_as_radius_and_its_bound_all_along(
    half_width_m: float, margin_m: float
) -> None:
    fences = Fences([Site(1, 1, *HERE, half_width_m, area=MOTORWAY)])
    assert fences.radius_m[0] == half_width_m
    assert fences.margin_m[0] == margin_m
    reach_m = half_width_m + margin_m
    for off_m, is_near in ((reach_m - 0.05, True), (reach_m + 0.05, False)):
        ends = [(1_000 + off_m, 0.0), (-1_000 - off_m, 0.0), (0, off_m), (990, -off_m)]
        for east_m, north_m in ends:
            lat, lon = moved(*HERE, east_m, north_m)
            found = fences.near(np.array([lat]), np.array([lon]), np.array([1]))
            assert (len(found.fix) == 1) is is_near


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


def test_circles_of_another_radius_are_found_as_far_as_they_reach() -> None:
    """Rules may set one radius for every circle; shapes keep their own."""
    sites = [Site(1, 1, *HERE, 50.0), Site(2, 1, *HERE, 20.0, area=MOTORWAY)]
    fences = Fences(sites, Rules(radius_m=500.0, margin_share=0.1))
    assert fences.radius_m.tolist() == [500.0, 20.0]
    places = np.array([moved(*HERE, 0, north_m) for north_m in (-549.0, 549.0, 551.0, 44.0, 46.0)])
    found = fences.near(places[:, 0], places[:, 1], np.ones(5, dtype=np.int64))
    pairs = sorted(zip(found.fix.tolist(), found.site.tolist(), strict=True))
    assert pairs == [(0, 0), (1, 0), (3, 0), (3, 1), (4, 0)]


def test_the_border_itself_is_inside() -> None:
    assert outside_m(Site(1, 1, *HERE, 0.0), *HERE) == 0
