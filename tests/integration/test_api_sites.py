"""Sites and fences for a map, what is GeoJSON, and edits of what somebody has seen."""

import gzip
import json
from typing import Any

import httpx
import psycopg
import pytest

from geofence.imports.sites import import_sites
from storage.pool import connect
from tests.integration.api_client import (
    MINUTE_MS,
    NOW_MS,
    answer,
    as_organisation,
    fleet,
    problem,
    refusal,
)

Database = psycopg.Connection[Any]

SQUARE = {
    "type": "Polygon",
    "coordinates": [
        [[4.85, 45.75], [4.853, 45.75], [4.853, 45.752], [4.85, 45.752], [4.85, 45.75]]
    ],
}
CANAL = {"type": "LineString", "coordinates": [[4.85, 45.75], [4.87, 45.75]]}
CIRCLE = {"name": "Bakery", "latitude_deg": 45.75, "longitude_deg": 4.85, "radius_m": 80.5}


@pytest.fixture
def conn(database_url: str) -> Any:
    with fleet(database_url) as connection:
        for table in ("tour", "stop", "site"):  # the fleet's ids are given by hand
            key = f"pg_get_serial_sequence('{table}', '{table}_id')"
            connection.execute(f"SELECT setval({key}, 1000)")
        yield connection


async def put(
    api: httpx.AsyncClient, code: str, body: dict[str, object], **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.put(f"/v1/sites/{code}", json=body, headers=named)


async def shapes(api: httpx.AsyncClient) -> None:
    """Make three sites: a circle, an outline and a corridor."""
    for code, body in (
        ("BAKERY", CIRCLE),
        ("YARD", {"name": "Yard", "geometry": SQUARE, "client": "DUPONT", "town": "Lyon"}),
        ("CANAL", {"name": "Canal", "geometry": CANAL, "radius_m": 40, "time_zone": "Europe/Rome"}),
    ):
        assert (await put(api, code, body)).status_code == 200


# ---- one site ----


async def test_a_site_is_told_with_its_fence_and_what_is_planned_there(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute(
        "INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (2, 'OLD', 1, '2026-11-19'),"
        " (3, 'NEXT', 2, '2026-11-23');"
        "INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s,"
        " work_order) SELECT tour_id, 1, 1, service_date + TIME '09:00', service_date + TIME '10:00',"
        " 60, 'W-' || tour_id FROM tour WHERE tour_id IN (2, 3)"
    )
    told = await answer(api, "/v1/sites/BAKERY")
    windows = told.pop("windows")
    assert told == {
        "site": "BAKERY", "name": "Bakery", "latitude_deg": 45.75, "longitude_deg": 4.85,
        "radius_m": 100.0, "geometry": None, "time_zone": "Europe/Paris", "client": None,
        "town": None,
    }  # fmt: skip
    assert [(one["date"], one["tour"], one["van"], one["stop"]) for one in windows] == [
        ("2026-11-20", "TOUR1", "V1", 1), ("2026-11-23", "NEXT", "V2", 1),
    ]  # fmt: skip
    assert windows[1]["work_order"] == "W-3"
    assert windows[0]["window_end_ms"] - windows[0]["window_start_ms"] == 3_600_000


async def test_an_area_is_told_as_it_was_drawn(api: httpx.AsyncClient) -> None:
    await shapes(api)
    yard = await answer(api, "/v1/sites/YARD")
    assert (yard["geometry"], yard["client"]) == (SQUARE, "DUPONT")
    assert yard["longitude_deg"] == pytest.approx(4.8515)
    canal = await answer(api, "/v1/sites/CANAL")
    assert (canal["geometry"], canal["radius_m"]) == (CANAL, 40)


async def test_sites_of_others_are_not_found(api: httpx.AsyncClient) -> None:
    for code in ("HARBOUR", "NOWHERE"):
        assert await problem(api, f"/v1/sites/{code}") == (404, "site_not_found")


# ---- edits of what was seen ----


async def test_a_site_is_changed_only_as_it_was_seen(api: httpx.AsyncClient) -> None:
    seen = (await api.get("/v1/sites/BAKERY")).headers["etag"]
    first = await put(api, "BAKERY", CIRCLE, if_match=seen)
    assert first.status_code == 200
    assert first.headers["etag"] != seen
    other = {**CIRCLE, "name": "Bakery Dupont"}
    assert refusal(await put(api, "BAKERY", other, if_match=seen)) == (412, "changed_meanwhile")
    assert (await answer(api, "/v1/sites/BAKERY"))["name"] == "Bakery"
    again = await put(api, "BAKERY", other, if_match=first.headers["etag"])
    assert again.json()["outcome"] == "changed"
    assert again.headers["etag"] == (await api.get("/v1/sites/BAKERY")).headers["etag"]
    assert (await put(api, "BAKERY", CIRCLE)).status_code == 200


async def test_what_is_planned_there_is_no_other_version_of_a_site(
    api: httpx.AsyncClient, conn: Database
) -> None:
    seen = (await api.get("/v1/sites/BAKERY")).headers["etag"]
    conn.execute("UPDATE stop SET work_order = 'W'")
    assert (await put(api, "BAKERY", CIRCLE, if_match=seen)).status_code == 200


async def test_a_new_site_takes_nobodys_code(api: httpx.AsyncClient) -> None:
    refused = await put(api, "BAKERY", CIRCLE, if_none_match="*")
    assert refusal(refused) == (412, "changed_meanwhile")
    made = await put(api, "NEW", CIRCLE, if_none_match="*")
    assert made.json()["outcome"] == "added"
    assert refusal(await put(api, "GONE", CIRCLE, if_match="*")) == (412, "changed_meanwhile")
    assert await problem(api, "/v1/sites/GONE") == (404, "site_not_found")


# ---- fences ----


async def test_fences_are_a_row_each_and_areas_apart(api: httpx.AsyncClient) -> None:
    await shapes(api)
    told = await answer(api, "/v1/fences")
    assert told["columns"] == ["site", "longitude_deg", "latitude_deg", "radius_m"]
    assert [row[0] for row in told["sites"]] == ["BAKERY", "CANAL", "SCHOOL", "YARD"]
    assert told["sites"][0] == ["BAKERY", 4.85, 45.75, 80.5]
    assert told["areas"] == [
        {"site": "CANAL", "geometry": CANAL}, {"site": "YARD", "geometry": SQUARE},
    ]  # fmt: skip


async def test_fences_that_somebody_has_are_not_sent_again(api: httpx.AsyncClient) -> None:
    first = await api.get("/v1/fences", headers={"accept-encoding": "identity"})
    tag = first.headers["etag"]
    again = await api.get("/v1/fences", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    await put(api, "BAKERY", CIRCLE)
    changed = await api.get("/v1/fences", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert changed.json()["sites"][0][3] == 80.5


async def test_an_edit_of_something_else_leaves_the_fences_as_they_are(
    api: httpx.AsyncClient, conn: Database
) -> None:
    tag = (await api.get("/v1/fences")).headers["etag"]
    conn.execute("UPDATE reference_version SET version = version + 1")
    assert (await api.get("/v1/fences", headers={"if-none-match": tag})).status_code == 304


async def test_compressed_they_are_another_representation(api: httpx.AsyncClient) -> None:
    async with api.stream("GET", "/v1/fences", headers={"accept-encoding": "gzip, br"}) as zipped:
        raw = b"".join([part async for part in zipped.aiter_raw()])
    plain = await api.get("/v1/fences", headers={"accept-encoding": "identity"})
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert zipped.headers["etag"] != plain.headers["etag"]
    assert zipped.headers["vary"] == plain.headers["vary"] == "accept-encoding"
    for encoding in ("gzip", "identity"):
        known = {"if-none-match": zipped.headers["etag"], "accept-encoding": encoding}
        assert (await api.get("/v1/fences", headers=known)).status_code == 304


async def test_each_organisation_has_fences_of_its_own(api: httpx.AsyncClient) -> None:
    tag = (await api.get("/v1/fences")).headers["etag"]
    as_organisation(api, 2)
    theirs = await api.get("/v1/fences", headers={"if-none-match": tag})
    assert [row[0] for row in theirs.json()["sites"]] == ["HARBOUR"]


# ---- GeoJSON ----


async def test_sites_as_geojson_are_what_an_import_reads(
    api: httpx.AsyncClient, database_url: str
) -> None:
    await shapes(api)
    response = await api.get("/v1/fences?format=geojson")
    assert response.headers["content-type"] == "application/geo+json"
    features = response.json()["features"]
    assert [one["geometry"]["type"] for one in features] == [
        "Point", "LineString", "Point", "Polygon",
    ]  # fmt: skip
    async with connect(database_url, "test") as pool, pool.connection() as own:
        done = await import_sites(own, response.content, organisation="default")
    assert (done.unchanged, done.updated, done.inserted, done.bad) == (4, 0, 0, [])


async def test_one_site_as_geojson_is_the_feature_of_the_list(api: httpx.AsyncClient) -> None:
    await shapes(api)
    response = await api.get("/v1/sites/YARD?format=geojson")
    assert response.headers["content-type"] == "application/geo+json"
    assert response.json() == (await answer(api, "/v1/fences", format="geojson"))["features"][3]
    assert response.headers["etag"] == (await api.get("/v1/sites/YARD")).headers["etag"]
    assert await problem(api, "/v1/sites/YARD", format="kml") == (422, "invalid_parameters")


async def test_visits_as_geojson_are_points_at_their_sites(api: httpx.AsyncClient) -> None:
    told = await answer(api, "/v1/visits", format="geojson", limit=1)
    [first] = told["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [4.85, 45.75]}
    [same] = (await answer(api, "/v1/visits", limit=1))["visits"]
    assert first["properties"] == {
        name: value for name, value in same.items() if name not in {"latitude_deg", "longitude_deg"}
    }
    following = await answer(
        api, "/v1/visits", format="geojson", cursor=told["next_cursor"], limit=1
    )
    assert following["features"][0]["properties"]["site"] == "SCHOOL"


async def test_a_track_is_geojson_by_itself(api: httpx.AsyncClient, conn: Database) -> None:
    conn.execute(
        "INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)"
        " VALUES (1, to_timestamp(%s / 1000.0), 45.75, 4.85, 0, now())",
        (NOW_MS - MINUTE_MS,),
    )
    plain = await api.get("/v1/vans/V1/track")
    asked = await api.get("/v1/vans/V1/track?format=geojson")
    assert asked.content == plain.content
    assert json.loads(plain.content)["geometry"]["type"] == "Point"
