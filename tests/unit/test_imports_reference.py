"""What makes a site, a time window or a barcode good, without a database."""

import json
import math
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest
from biip.gtin import Gtin
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon

from geofence.reference import (
    SiteRow,
    TechnicianRow,
    VanCode,
    WarehouseRow,
    clock_time,
    geojson_rows,
    reach_m,
    staged_site,
    staged_technician,
    staged_warehouse,
    window,
    zone,
)
from stock_tracker.barcodes import stored
from storage.imports import Sheet, UnusableFileError, UnusableRowError, as_row, sift

PARIS = ZoneInfo("Europe/Paris")
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
    assert sheet.staged == [("S-1", "Lift", 48.5, 2.5, 80.0, None, "Europe/Paris")]


def test_a_geojson_polygon_keeps_its_area_and_stands_at_its_centroid() -> None:
    sheet = read_geojson(collection(feature("Polygon", [SQUARE], name="Yard")))
    code, name, latitude_deg, longitude_deg, radius_m, area, _zone = sheet.staged[0]
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


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (feature("Polygon", [[[2, 48], [2.01, 48.01], [2.01, 48], [2, 48.01], [2, 48]]], site="S"),
         "Self-intersection[2.005 48.005]"),
        (feature("Polygon", [SQUARE[:-1]], site="S"), "not closed"),
        (feature("Polygon", [], site="S"), "no outline"),
        (feature("Polygon", [[[200, 48], [2, 48], [2, 49], [200, 48]]], site="S"), "no place"),
        (feature("Polygon", [[[2, 48], [3, 48], [3, 49], [2, 48]]], site="S"), "radius_m is"),
        (feature("MultiPolygon", [[SQUARE]], site="S"), "is a MultiPolygon"),
        (feature("Point", [2.5], site="S", radius_m=80), "no GeoJSON feature"),
        (feature("Point", [2.5, 48.5], site="S"), "radius_m is missing"),
        (feature("Point", [2.5, 48.5], radius_m=80), "site is missing"),
        (feature("Point", [0, 0], site="S", radius_m=80), "(0, 0)"),
        (feature("Point", [2.5, 48.5], site="S", radius_m=5), "from 10 to 20000"),
        ({"type": "Feature", "geometry": None, "properties": {"site": "S"}}, "no geometry"),
        (["not", "a", "feature"], "no GeoJSON feature"),
    ],
)  # fmt: skip
def test_a_bad_feature_is_refused_in_words_and_the_next_is_read(
    geometry: object, reason: str
) -> None:
    good = feature("Point", [2.5, 48.5], site="S-2", radius_m=80)
    sheet = read_geojson(collection(geometry, good))
    assert [bad.line for bad in sheet.bad] == [1]
    assert reason in sheet.bad[0].reason
    assert [row[0] for row in sheet.staged] == ["S-2"]


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

    assert reach_m(area) == pytest.approx(max(haversine_m(*corner) for corner in corners), rel=2e-3)


@pytest.mark.parametrize("name", ["Mars/Olympus", "Europe", "../etc/passwd", "europe paris", ""])
def test_a_time_zone_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(UnusableRowError, match="IANA"):
        zone(name)


@pytest.mark.parametrize("code", ["V-1", "AB_123", "véhicule"])
def test_a_van_code_fit_for_a_topic_is_taken(code: str) -> None:
    assert msgspec.convert(code, VanCode) == code


@pytest.mark.parametrize("character", list("/+#.>* \t\u00a0\n\0"))
def test_a_van_code_unfit_for_a_topic_is_refused(character: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(f"V{character}1", VanCode)


def test_half_a_home_is_refused() -> None:
    with pytest.raises(UnusableRowError, match="both"):
        staged_technician(2, as_row({"technician": "T", "name": "T", "home_latitude_deg": "48"},
                                    TechnicianRow))  # fmt: skip


@pytest.mark.parametrize("text", ["16:00;7:30", "7:30 16:00", "07:30; 16:00;", "16:00;7:30;16:00"])
def test_cutoff_times_stand_in_order_however_they_are_written(text: str) -> None:
    row = WarehouseRow("W", "W", 48, 2, cutoff_times=text)
    assert staged_warehouse(2, row)[5] == [clock_time("07:30"), clock_time("16:00")]


@pytest.mark.parametrize("text", ["24:00", "8h30", "noon", ";"])
def test_cutoff_times_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UnusableRowError):
        staged_warehouse(2, WarehouseRow("W", "W", 48, 2, cutoff_times=text))


def utc(day: int, hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start", "end", "expected"),
    [
        (date(2026, 1, 5), "08:00", "10:00", (utc(5, 7), utc(5, 9))),
        (date(2026, 7, 5), "08:00", "10:00", (utc(5, 6, month=7), utc(5, 8, month=7))),
        (date(2026, 1, 5), "23:00", "01:00", (utc(5, 22), utc(6, 0))),
        (date(2026, 1, 5), "2026-01-05T08:00Z", "2026-01-05T10:00+01:00", (utc(5, 8), utc(5, 9))),
        # 2026-03-29: 02:00 to 03:00 does not exist; 02:30 is 03:30 summer time.
        (date(2026, 3, 29), "02:30", "04:00", (utc(29, 1, 30, 3), utc(29, 2, 0, 3))),
        # The window of the night before keeps both ends, and is an hour shorter.
        (date(2026, 3, 28), "23:00", "04:00", (utc(28, 22, 0, 3), utc(29, 2, 0, 3))),
        # 2026-10-25: 02:30 comes twice; the first is meant.
        (date(2026, 10, 25), "02:30", "04:00", (utc(25, 0, 30, 10), utc(25, 3, 0, 10))),
    ],
)
def test_a_window_is_read_at_the_site(
    day: date, start: str, end: str, expected: tuple[datetime, datetime]
) -> None:
    assert window(start, end, day, PARIS) == expected


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (date(2026, 1, 5), "08:00", "08:00"),
        (date(2026, 1, 5), "2026-01-05T08:00Z", "2026-01-05T08:00+01:00"),
        (date(2026, 1, 5), "2026-01-05T08:00", "09:00"),
        (date(2026, 3, 29), "02:30", "03:15"),
        (date(2026, 1, 5), "8", "9"),
    ],
)
def test_a_window_that_does_not_open_is_refused(day: date, start: str, end: str) -> None:
    with pytest.raises(UnusableRowError):
        window(start, end, day, PARIS)


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.times(),
    st.times(),
    st.sampled_from(["Europe/Paris", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_a_local_window_is_refused_or_opens_for_less_than_26_hours(
    day: date, start: object, end: object, name: str
) -> None:
    try:
        opens, closes = window(f"{start:%H:%M}", f"{end:%H:%M}", day, ZoneInfo(name))
    except UnusableRowError:
        return
    assert 0 < (closes - opens).total_seconds() < 26 * 3600


@pytest.mark.parametrize(
    ("code", "as_stored"),
    [
        ("96385074", "00000096385074"),
        ("036000291452", "00036000291452"),
        ("4006381333931", "04006381333931"),
        ("10614141000415", "10614141000415"),
        ("4006381333932", "4006381333932"),
        ("40063813339", "40063813339"),
        ("REF-4006381333931", "REF-4006381333931"),
        ("٤٠٠٦٣٨١٣٣٣٩٣١", "٤٠٠٦٣٨١٣٣٣٩٣١"),
    ],
)
def test_a_gtin_is_stored_as_14_digits_and_any_other_code_as_it_is(
    code: str, as_stored: str
) -> None:
    assert stored(code) == as_stored


@given(
    st.sampled_from([7, 11, 12]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n))
)
def test_of_ten_check_digits_one_makes_a_gtin(payload: str) -> None:
    codes = [f"{payload}{digit}" for digit in range(10)]
    (valid,) = [code for code in codes if stored(code) != code]
    assert Gtin.parse(valid).as_gtin_14() == stored(valid)
