"""What makes a feature of a GeoJSON file a site, without a database."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, shape

from geofence.imports.geojson import geojson_rows
from geofence.imports.shapes import farthest
from geofence.imports.sites import SiteRow, staged_site
from storage.sheets import Sheet, UnusableFileError, sift

SQUARE = [[2.0, 48.0], [2.002, 48.0], [2.002, 48.001], [2.0, 48.001], [2.0, 48.0]]


def feature(kind: str, coordinates: object, **properties: object) -> dict[str, object]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(*features: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def read_geojson(data: bytes) -> Sheet:
    areas: dict[int, str] = {}
    rows = geojson_rows(data, areas)
    return sift(rows, SiteRow, lambda at, row: staged_site(areas, at, row), ["site"], "feature")


def test_a_geojson_point_is_a_circle() -> None:
    sheet = read_geojson(
        collection(feature("Point", [2.5, 48.5, 130.0], site="S-1", name="Lift", radius_m=80))
    )
    assert sheet.staged == [("S-1", "Lift", 48.5, 2.5, 80.0, None, "Europe/Paris", None, None)]


def test_a_geojson_polygon_keeps_its_area_and_stands_at_its_centroid() -> None:
    sheet = read_geojson(collection(feature("Polygon", [SQUARE], name="Yard")))
    code, name, latitude_deg, longitude_deg, radius_m, area, _zone, _client, _town = sheet.staged[0]
    assert (code, name) == ("Yard", "Yard")
    assert (latitude_deg, longitude_deg) == pytest.approx((48.0005, 2.001))
    assert json.loads(str(area)) == {"type": "Polygon", "coordinates": [SQUARE]}
    assert radius_m == pytest.approx(92.8, abs=0.1)  # half of 148.8 m by 111.2 m, by Pythagoras


@pytest.mark.parametrize(
    ("properties", "id_", "code"),
    [
        ({"site": "S", "name": "N"}, "I", "S"),
        ({"name": "N"}, "I", "N"),
        ({}, "I", "I"),
        ({}, 7, "7"),
        ({"site": 12}, None, "12"),
    ],
)
def test_a_feature_is_known_by_site_else_name_else_id(
    properties: dict[str, object], id_: object, code: str
) -> None:
    point = feature("Point", [2.5, 48.5], radius_m=80, **properties)
    assert read_geojson(collection(point | {"id": id_})).staged[0][0] == code


YARD = [[[2.1, 48.1], [2.101, 48.1], [2.101, 48.101], [2.1, 48.1]]]


def test_a_geojson_multipolygon_keeps_all_its_parts_and_holes() -> None:
    hole = [[2.0005, 48.0003], [2.0005, 48.0006], [2.001, 48.0006], [2.0005, 48.0003]]
    parts = [[SQUARE, hole], YARD]
    sheet = read_geojson(collection(feature("MultiPolygon", parts, site="S")))
    _, _, latitude_deg, longitude_deg, radius_m, area, _zone, _client, _town = sheet.staged[0]
    assert json.loads(str(area)) == {"type": "MultiPolygon", "coordinates": parts}
    centre = shape(json.loads(str(area))).centroid
    assert (longitude_deg, latitude_deg) == (centre.x, centre.y)
    assert radius_m == farthest(shape(json.loads(str(area))), (centre.x, centre.y))[0] > 6_000


def test_a_polygon_needs_no_radius_and_heeds_none() -> None:
    bare = read_geojson(collection(feature("Polygon", [SQUARE], site="S")))
    given = read_geojson(collection(feature("Polygon", [SQUARE], site="S", radius_m=1)))
    assert bare.staged == given.staged
    assert len(bare.staged) == 1


@pytest.mark.parametrize("radius_m", [5, 12.5, 20_000])
def test_a_geojson_line_is_a_corridor_of_twice_its_radius(radius_m: float) -> None:
    bends = [[2.0, 48.0], [2.01, 48.0], [2.01, 48.003]]
    sheet = read_geojson(collection(feature("LineString", bends, site="S", radius_m=radius_m)))
    assert sheet.bad == []
    assert sheet.staged[0][4] == radius_m
    assert json.loads(str(sheet.staged[0][5])) == {"type": "LineString", "coordinates": bends}


@pytest.mark.parametrize(
    ("kind", "coordinates", "longitude_deg", "latitude_deg"),
    [
        ("LineString", [[2.0, 48.0], [2.01, 48.0]], 2.005, 48.0),
        ("LineString", [[2.0, 48.0], [2.001, 48.0], [2.01, 48.0]], 2.005, 48.0),
        # East 0.02 deg at 60 degrees north are as long as north 0.01 deg.
        ("LineString", [[2.0, 60.0], [2.02, 60.0], [2.02, 60.01]], 2.02, 60.0),
        ("MultiLineString", [[[2.0, 48.0], [2.01, 48.0]], [[2.05, 48.0], [2.08, 48.0]]], 2.06, 48),
    ],
)
def test_a_line_stands_at_its_middle_along_itself(
    kind: str, coordinates: object, longitude_deg: float, latitude_deg: float
) -> None:
    sheet = read_geojson(collection(feature(kind, coordinates, site="S", radius_m=8)))
    assert sheet.staged[0][2:4] == pytest.approx((latitude_deg, longitude_deg), abs=5e-6)


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [2.0, 48.0, 31.0]),
        ("LineString", [[2.0, 48.0, 31.0], [2.001, 48.0, 32.0]]),
        ("MultiLineString", [[[2.0, 48.0, 31.0], [2.001, 48.0]]]),
        ("Polygon", [[[*corner, 31.0] for corner in SQUARE]]),
        ("MultiPolygon", [[[[*corner, 31.0] for corner in SQUARE]]]),
    ],
)
def test_altitudes_are_dropped(kind: str, coordinates: object) -> None:
    sheet = read_geojson(collection(feature(kind, coordinates, site="S", radius_m=50)))
    assert len(sheet.staged) == 1
    assert "31.0" not in str(sheet.staged[0][5])


def refusal(sick: object) -> str:
    """Return why a feature is refused, once the next has been seen to be read."""
    good = feature("Point", [2.5, 48.5], site="S-2", radius_m=80)
    sheet = read_geojson(collection(sick, good))
    assert [row[0] for row in sheet.staged] == ["S-2"]
    (bad,) = sheet.bad
    assert bad.line == 1
    return bad.reason


BOW = [[2.35, 48.857], [2.3524, 48.8572], [2.3524, 48.857], [2.35, 48.8572], [2.35, 48.857]]


def test_a_polygon_that_crosses_itself_is_refused_with_the_crossing() -> None:
    assert refusal(feature("Polygon", [BOW], site="S")) == (
        "its polygon crosses itself at 2.35120, 48.85710"
    )


def test_a_polygon_that_touches_itself_is_refused_with_the_place() -> None:
    pinched = [[2, 48], [2.004, 48], [2.004, 48.004], [2.002, 48], [2, 48.004], [2, 48]]
    assert refusal(feature("Polygon", [pinched], site="S")) == (
        "its polygon touches itself at 2.00200, 48.00000"
    )


def test_a_flat_polygon_is_refused_with_the_place() -> None:
    flat = [[2, 48], [2.001, 48], [2.002, 48], [2, 48]]
    assert refusal(feature("Polygon", [flat], site="S")).startswith(
        "its polygon crosses itself at 2.00"
    )


def test_a_polygon_of_one_place_is_refused_with_the_place() -> None:
    assert refusal(feature("Polygon", [[[2, 48]] * 4], site="S")) == (
        "its polygon has a ring without three different corners at 2.00000, 48.00000"
    )


@pytest.mark.parametrize(
    ("holes", "reason"),
    [
        (
            [[[3, 48], [3.001, 48], [3.001, 48.001], [3, 48]]],
            "has a hole outside its outline at 3.00000, 48.00000",
        ),
        (
            [
                [[2.0002, 48.0002], [2.0018, 48.0002], [2.0018, 48.0008], [2.0002, 48.0002]],
                [[2.0012, 48.0004], [2.0014, 48.0004], [2.0014, 48.0005], [2.0012, 48.0004]],
            ],
            "has a hole inside a hole at 2.00120, 48.00040",
        ),
        (
            [[[2.0, 48.0005], [2.001, 48.0], [2.002, 48.0005], [2.001, 48.001], [2.0, 48.0005]]],
            "is cut in two by a hole at 2.00100, 48.00000",
        ),
    ],
)
def test_a_polygon_with_a_wrong_hole_is_refused_with_the_place(
    holes: list[object], reason: str
) -> None:
    assert refusal(feature("Polygon", [SQUARE, *holes], site="S")) == f"its polygon {reason}"


def test_polygons_that_overlap_are_refused_with_the_place() -> None:
    east = [[x + 0.001, y + 0.0005] for x, y in SQUARE]
    reason = refusal(feature("MultiPolygon", [[SQUARE], [east]], site="S"))
    assert reason.startswith("its MultiPolygon has polygons that overlap or share an edge at 2.00")


def test_a_polygon_inside_another_is_refused_with_the_place() -> None:
    inner = [[2.0005, 48.0002], [2.001, 48.0002], [2.001, 48.0005], [2.0005, 48.0002]]
    assert refusal(feature("MultiPolygon", [[SQUARE], [inner]], site="S")) == (
        "its MultiPolygon has a polygon inside another at 2.00050, 48.00020"
    )


def test_a_bad_polygon_among_several_is_named_by_its_number() -> None:
    assert refusal(feature("MultiPolygon", [YARD, [BOW]], site="S")) == (
        "polygon 2 of its MultiPolygon crosses itself at 2.35120, 48.85710"
    )


def test_a_ring_of_fewer_than_four_positions_is_refused_with_its_start() -> None:
    assert refusal(feature("Polygon", [[SQUARE[0], SQUARE[1], SQUARE[0]]], site="S")) == (
        "the outline of its polygon has 3 positions only, from 2.00000, 48.00000: it needs 4 or "
        "more, the last equal to the first"
    )


def test_an_unclosed_ring_is_refused_with_both_its_ends() -> None:
    assert refusal(feature("Polygon", [SQUARE, SQUARE[:-1]], site="S")) == (
        "hole 1 of its polygon is not closed: it starts at 2.00000, 48.00000 and ends at 2.00000, "
        "48.00100; repeat the first position as the last"
    )


@pytest.mark.parametrize(
    ("kind", "coordinates", "reason"),
    [
        ("Point", [], "its Point is empty"),
        ("LineString", [], "its LineString is empty"),
        ("MultiLineString", [], "its MultiLineString is empty"),
        ("MultiLineString", [[]], "line 1 of its MultiLineString is empty"),
        ("Polygon", [], "its Polygon is empty"),
        ("Polygon", None, "its Polygon is empty"),
        ("Polygon", [[]], "the outline of its polygon is empty"),
        ("MultiPolygon", [], "its MultiPolygon is empty"),
        ("MultiPolygon", [YARD, []], "polygon 2 of its MultiPolygon has no outline"),
        ("MultiPolygon", [YARD, [[]]], "the outline of polygon 2 of its MultiPolygon is empty"),
    ],
)
def test_an_empty_geometry_is_refused_with_what_is_empty(
    kind: str, coordinates: object, reason: str
) -> None:
    assert refusal(feature(kind, coordinates, site="S", radius_m=50)).startswith(reason)


def test_a_line_of_one_position_is_refused_with_the_place() -> None:
    assert refusal(feature("LineString", [[2, 48]], site="S", radius_m=9)) == (
        "its line has one position only, 2.00000, 48.00000: it needs 2 or more"
    )


def test_a_line_without_length_is_refused_with_the_place() -> None:
    lines = [[[2.1, 48], [2.2, 48]], [[2, 48], [2, 48], [2, 48]]]
    assert refusal(feature("MultiLineString", lines, site="S", radius_m=9)) == (
        "line 2 of its MultiLineString has no length: all its positions are 2.00000, 48.00000"
    )


@pytest.mark.parametrize(
    ("kind", "coordinates", "reason"),
    [
        ("Point", [200, 48], "its point is 200, 48, "),
        ("LineString", [[2, 48], [2, 91.5]], "position 2 of its line is 2, 91.5, "),
        (
            "Polygon",
            [[[2, 48], [-180.25, 48], [2, 49], [2, 48]]],
            "position 2 of the outline of its polygon is -180.25, 48, ",
        ),
    ],
)
def test_a_position_off_the_earth_is_refused_with_its_number_and_values(
    kind: str, coordinates: object, reason: str
) -> None:
    assert refusal(feature(kind, coordinates, site="S", radius_m=50)) == (
        f"{reason}which is no place in degrees, longitude first"
    )


@pytest.mark.parametrize(
    ("position", "shown"),
    [
        ([math.nan, 48], "[null,48]"),
        ([2, math.inf], "[2,null]"),
        ([2], "[2]"),
        (["2", "48"], '["2","48"]'),
        ([True, 48], "[true,48]"),
        ({"lat": 48}, '{"lat":48}'),
        (2, "2"),
    ],
)
def test_what_is_no_pair_of_numbers_is_refused_with_its_number_and_the_rest_is_read(
    position: object, shown: str
) -> None:
    """Of NaN too, which `json.dumps` writes and JSON does not have."""
    assert refusal(feature("LineString", [[2, 48], position], site="S", radius_m=9)) == (
        f"position 2 of its line is {shown}, which is no pair of numbers"
    )


def test_a_site_without_a_name_in_a_file_with_nan_has_no_name() -> None:
    assert "site is missing" in refusal(feature("Point", [2, 48], site=math.nan, radius_m=50))


@pytest.mark.parametrize(
    ("kind", "coordinates", "what"),
    [
        ("LineString", [[-179.9, 60], [179.9, 61]], "line"),
        ("Polygon", [[[-179.9, 60], [179.9, 60], [179.9, 61], [-179.9, 60]]], "polygon"),
    ],
)
def test_what_crosses_the_date_line_is_refused_with_both_its_ends(
    kind: str, coordinates: object, what: str
) -> None:
    assert refusal(feature(kind, coordinates, site="S", radius_m=9)) == (
        f"its {what} spans 359.8 degrees of longitude, from -179.90000, 60.00000 to 179.90000, "
        "61.00000: a site cannot cross the date line"
    )


def test_polygons_on_either_side_of_the_date_line_are_refused() -> None:
    sides = [[[[x, 60], [x + 0.1, 60], [x, 60.1], [x, 60]]] for x in (-180, 179.9)]
    reason = refusal(feature("MultiPolygon", sides, site="S"))
    assert reason.startswith("its MultiPolygon spans 360 degrees of longitude")


def test_a_polygon_beyond_20_km_is_refused_with_its_farthest_corner() -> None:
    assert refusal(feature("Polygon", [[[2, 48], [2.1, 48], [2.1, 48.4], [2, 48]]], site="S")) == (
        "its polygon reaches 29.8 km from its middle, to 2.10000, 48.40000: a site reaches 20 km "
        "at most"
    )


def test_a_line_beyond_20_km_is_refused_with_its_farthest_end() -> None:
    reason = refusal(feature("LineString", [[2, 48], [2, 48.4]], site="S", radius_m=9))
    assert reason.startswith("its line reaches 22.2 km from its middle, to 2.00000, 48.")
    stretch = feature("LineString", [[2, 48], [2, 48.35]], site="S", radius_m=9)
    assert len(read_geojson(collection(stretch)).staged) == 1


def test_a_polygon_too_small_to_be_a_site_is_refused_with_its_place() -> None:
    tiny = [[2, 48], [2.00003, 48], [2.00003, 48.00003], [2, 48]]
    assert refusal(feature("Polygon", [tiny], site="S")) == (
        "its polygon at 2.00002, 48.00001 reaches only 2.3 m from its middle: a site reaches 10 m "
        "or more"
    )


@pytest.mark.parametrize("kind", ["LineString", "MultiLineString"])
def test_a_line_without_a_radius_is_refused(kind: str) -> None:
    assert refusal(feature(kind, [[2, 48], [2, 48.1]], site="S")) == (
        f"its {kind} needs the property radius_m: half its width, 5 m or more"
    )


@pytest.mark.parametrize("radius_m", [4.9, -5, 20_001, "wide", math.nan])
def test_a_line_with_a_radius_that_is_none_is_refused(radius_m: object) -> None:
    line = feature("LineString", [[2, 48], [2, 48.1]], site="S", radius_m=radius_m)
    assert "radius_m" in refusal(line)


@pytest.mark.parametrize("kind", ["MultiPoint", "GeometryCollection", "Circle"])
def test_a_geometry_that_is_no_fence_is_refused_with_those_that_are(kind: str) -> None:
    reason = refusal(feature(kind, [[2, 48]], site="S"))
    assert reason.startswith(f"its geometry is a {kind}: a site is a Point or a LineString")


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (feature("Point", [2.5, 48.5], site="S"), "radius_m is missing"),
        (feature("Point", [2.5, 48.5], radius_m=80), "site is missing"),
        (feature("Point", [0, 0], site="S", radius_m=80), "(0, 0)"),
        (feature("Point", [2.5, 48.5], site="S", radius_m=4), "from 10 to 20000"),
        (feature("Point", [2.5, 48.5], site="S", radius_m=9.5), "from 10 to 20000"),
        ({"type": "Feature", "geometry": None, "properties": {"site": "S"}}, "no geometry"),
        (["not", "a", "feature"], "no GeoJSON feature"),
    ],
)  # fmt: skip
def test_a_bad_feature_is_refused_in_words_and_the_next_is_read(
    geometry: object, reason: str
) -> None:
    assert reason in refusal(geometry)


def test_a_repeated_feature_is_refused_with_the_number_of_the_first() -> None:
    point = feature("Point", [2.5, 48.5], site="S", radius_m=80)
    assert read_geojson(collection(point, point)).bad[0].reason == (
        "site S is already in feature 1"
    )


@pytest.mark.parametrize(
    "data", [b"{", b"{}", b'{"type":"Feature","features":[]}', b'{"a":"\xe9"}']
)
def test_json_that_is_no_feature_collection_is_refused_whole(data: bytes) -> None:
    with pytest.raises(UnusableFileError, match="no GeoJSON FeatureCollection"):
        read_geojson(data)


@given(st.floats(-60, 60), st.floats(-170, 170), st.floats(0.001, 0.05), st.floats(0.001, 0.05))
def test_no_corner_lies_beyond_the_reach(
    latitude_deg: float, longitude_deg: float, height_deg: float, width_deg: float
) -> None:
    """Against the haversine distance, within the 0.1 % that a local projection costs."""
    east, north = longitude_deg + width_deg, latitude_deg + height_deg
    corners = [(longitude_deg, latitude_deg), (east, latitude_deg), (east, north)]
    area = Polygon(corners)
    centre = area.centroid

    def haversine_m(lon: float, lat: float) -> float:
        a = (
            math.sin(math.radians(lat - centre.y) / 2) ** 2
            + math.cos(math.radians(lat)) * math.cos(math.radians(centre.y))
            * math.sin(math.radians(lon - centre.x) / 2) ** 2
        )  # fmt: skip
        return 2 * 6_371_008.8 * math.asin(math.sqrt(a))

    away_m, corner = farthest(area, (centre.x, centre.y))
    assert away_m == pytest.approx(max(haversine_m(*each) for each in corners), rel=2e-3)
    assert haversine_m(*corner) == pytest.approx(away_m, rel=2e-3)
