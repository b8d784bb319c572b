"""Edits through the API: the checks and the merge of the imports, whole or not at all."""

from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest

from api.routes import edits
from geofence import tracks
from geofence.imports.tours import import_tours
from ingest.store import load_reference
from storage.imports import ImportResult
from tests.integration.api_client import (
    NOW_MS,
    as_organisation,
    fleet,
    problem,
    refusal,
)

Database = psycopg.Connection[Any]

SCHOOL = {
    "site": "SCHOOL",
    "window_start": "08:00",
    "window_end": "09:30",
    "planned_minutes": 45,
}
BAKERY = {
    "site": "BAKERY",
    "window_start": "2026-11-20T10:00+01:00",
    "window_end": "2026-11-20T11:00+01:00",
    "planned_minutes": 60,
    "work_order": "W-1",
}
TOUR = {"van": "V1", "date": "2026-11-20", "stops": [SCHOOL, BAKERY]}
CIRCLE = {"name": "Bakery", "latitude_deg": 45.75, "longitude_deg": 4.85, "radius_m": 80}
SQUARE = [[4.85, 45.75], [4.853, 45.75], [4.853, 45.752], [4.85, 45.752], [4.85, 45.75]]


@pytest.fixture
def conn(database_url: str) -> Any:
    with fleet(database_url) as connection:
        connection.execute("DELETE FROM fence_edit")
        connection.execute("DELETE FROM tour_edit")
        for table in ("tour", "stop", "site"):  # the fleet's ids are given by hand
            key = f"pg_get_serial_sequence('{table}', '{table}_id')"
            connection.execute(f"SELECT setval({key}, 1000)")
        yield connection


def plan(conn: Database, tour: str = "TOUR1") -> list[Any]:
    """Return the stops of a tour as they are stored."""
    return conn.execute(
        "SELECT stop.stop_id, position, site.code, window_start, window_end, planned_duration_s,"
        " work_order FROM stop JOIN tour USING (tour_id) JOIN site USING (site_id)"
        " WHERE tour.code = %s ORDER BY position",
        (tour,),
    ).fetchall()


def version(conn: Database) -> int:
    row = conn.execute("SELECT version FROM reference_version").fetchone()
    assert row is not None
    return int(row[0])


def utc(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 20, hour, minute, tzinfo=UTC)


async def put(api: httpx.AsyncClient, path: str, body: object) -> Any:
    response = await api.put(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


async def reasons(
    api: httpx.AsyncClient, path: str, body: object, status: int = 422
) -> list[tuple[str, str]]:
    """Return where and why an edit was refused."""
    response = await api.put(path, json=body)
    assert refusal(response)[0] == status, response.text
    return [(error["where"], error["message"]) for error in response.json()["errors"]]


# ---- tours ----


async def test_a_tour_that_was_put_is_what_the_body_lists(
    api: httpx.AsyncClient, conn: Database
) -> None:
    before = version(conn)
    conn.execute(
        "INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,"
        " planned_duration_s) VALUES (3, 1, 3, 1, '2026-11-20 12:00Z', '2026-11-20 13:00Z', 60)"
    )
    assert await put(api, "/v1/tours/TOUR1", TOUR) == {
        "tour": "TOUR1",
        "van": "V1",
        "date": "2026-11-20",
        "added": 0,
        "changed": 2,
        "unchanged": 0,
        "removed": 1,
    }
    assert plan(conn) == [
        (1, 1, "SCHOOL", utc(7), utc(8, 30), 2700, None),
        (2, 2, "BAKERY", utc(9), utc(10), 3600, "W-1"),
    ]
    assert version(conn) == before + 1
    days = conn.execute("SELECT van_id, service_date::text FROM tour_edit").fetchall()
    assert days == [(1, "2026-11-20")]


async def test_a_new_tour_is_added_and_putting_it_again_changes_nothing(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = {**TOUR, "van": "V2"}
    assert (await put(api, "/v1/tours/T2", body))["added"] == 2
    first = plan(conn, "T2")
    again = await put(api, "/v1/tours/T2", body)
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 2)
    assert plan(conn, "T2") == first


async def test_a_tour_goes_to_another_van_with_its_stops(
    api: httpx.AsyncClient, conn: Database
) -> None:
    await put(api, "/v1/tours/TOUR1", {**TOUR, "van": "V2"})
    assert [row[0] for row in plan(conn)] == [1, 2]
    assert conn.execute("SELECT van_id FROM tour WHERE code = 'TOUR1'").fetchone() == (2,)
    vans = conn.execute("SELECT DISTINCT van_id FROM tour_edit ORDER BY van_id").fetchall()
    assert vans == [(1,), (2,)]


async def test_ingest_matches_the_days_visits_to_a_new_plan_at_its_next_look(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    conn.execute(
        "INSERT INTO location (organisation_id, kind)"
        " SELECT 2, unnest('{customer,in_transit,scrap}'::text[])"
    )
    stop = "SELECT stop_id, punctuality FROM visit WHERE van_id = 1 AND arrived_at = %s"
    assert conn.execute(stop, (utc(7, 55),)).fetchone() == (1, "on_time")
    await put(api, "/v1/tours/TOUR1", TOUR)
    async with await psycopg.AsyncConnection.connect(database_url) as ingest:
        await tracks.prepare(ingest)
        await load_reference(ingest, None, NOW_MS)
        await ingest.commit()
    assert conn.execute(stop, (utc(7, 55),)).fetchone() == (2, "early")


async def test_a_stop_that_was_put_has_what_the_body_says_of_it_and_nothing_from_before(
    api: httpx.AsyncClient, conn: Database
) -> None:
    needs = {"planned_arrival": "08:15", "skill": "Lift", "parts": {"FIL-20": 2, "PUMP": 1}}
    await put(api, "/v1/tours/TOUR1", {**TOUR, "stops": [{**SCHOOL, **needs}, BAKERY]})
    first, second = (await api.get("/v1/vans/V1/tour")).json()["stops"]
    assert (first["skill"], first["parts"]) == ("lift", {"FIL-20": 2, "PUMP": 1})
    assert first["planned_arrival_ms"] == NOW_MS - 105 * 60_000
    assert (second["skill"], second["parts"], second["planned_arrival_ms"]) == (None, {}, None)
    done = await put(api, "/v1/tours/TOUR1", {**TOUR, "stops": [BAKERY, SCHOOL]})
    assert done["changed"] == 2
    stops = (await api.get("/v1/vans/V1/tour")).json()["stops"]
    assert [(s["skill"], s["parts"], s["planned_arrival_ms"]) for s in stops] == [
        (None, {}, None), (None, {}, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ({"site": "NOWHERE"}, 404, "site NOWHERE is not known"),
        ({"site": "HARBOUR"}, 404, "site HARBOUR is not known"),
        ({"parts": {"NONE": 1}}, 404, "item NONE is not known"),
        ({"parts": {"a;b:2": 1}}, 404, "item a;b:2 is not known"),
        ({"window_start": "10:00", "window_end": "10:00"}, 422, "not after its start"),
        (
            {"window_start": "2026-11-20T10:00Z", "window_end": "2026-11-20T10:00+02:00"},
            422,
            "not after its start",
        ),
    ],
)
async def test_a_stop_that_the_import_would_refuse_is_named_with_the_reason_and_nothing_is_kept(
    api: httpx.AsyncClient, conn: Database, stop: dict[str, object], status: int, reason: str
) -> None:
    before, was = plan(conn), version(conn)
    body = {**TOUR, "stops": [BAKERY, {**SCHOOL, **stop}]}
    [(where, message)] = await reasons(api, "/v1/tours/TOUR1", body, status)
    assert where == "body.stops.1"
    assert reason in message
    assert (plan(conn), version(conn)) == (before, was)


@pytest.mark.parametrize(
    "stop",
    [
        {"window_start": "25:00"},
        {"window_start": "8:00"},
        {"window_end": "2026-11-20T09:30"},
        {"window_end": "2026-02-30T09:30Z"},
        {"window_end": "1999-11-20T09:30Z"},
        {"window_end": ""},
        {"planned_minutes": -1},
        {"planned_minutes": "45"},
        {"work_order": "x" * 201},
        {"work_order": "a\0b"},
        {"planned_arrival": "noon"},
        {"skill": "two words"},
        {"skill": "a;b"},
        {"parts": {"PUMP": 0}},
        {"parts": {"PUMP": True}},
        {"planed_arrival": "08:30"},
    ],
)
async def test_a_stop_that_does_not_fit_the_description_is_refused_by_it(
    api: httpx.AsyncClient, stop: dict[str, object]
) -> None:
    body = {**TOUR, "stops": [BAKERY, {**SCHOOL, **stop}]}
    response = await api.put("/v1/tours/TOUR1", json=body)
    assert refusal(response) == (422, "invalid_parameters")
    wheres = [error["where"] for error in response.json()["errors"]]
    assert all(where.startswith(f"body.stops.1.{next(iter(stop))}") for where in wheres), wheres


async def test_every_stop_that_cannot_be_used_has_its_own_reason(api: httpx.AsyncClient) -> None:
    bad = {**SCHOOL, "site": "NOWHERE"}
    response = await api.put("/v1/tours/TOUR1", json={**TOUR, "stops": [bad, BAKERY, bad]})
    assert refusal(response) == (404, "unusable_tour")
    assert [error["where"] for error in response.json()["errors"]] == [
        "body.stops.0",
        "body.stops.2",
    ]


async def test_what_cannot_be_goes_before_what_is_not_there(api: httpx.AsyncClient) -> None:
    stops = [{**SCHOOL, "site": "NOWHERE"}, {**SCHOOL, "window_end": "08:00"}]
    found = await reasons(api, "/v1/tours/TOUR1", {**TOUR, "stops": stops}, 422)
    assert [where for where, _ in found] == ["body.stops.0", "body.stops.1"]


@pytest.mark.parametrize(
    ("code", "van", "status", "reason"),
    [
        ("OTHER", "V1", 409, "the van has tour TOUR1 on that day already"),
        ("TOUR9", "V2", 409, "tour TOUR9 is another organisation's"),
        ("TOUR1", "X9", 404, "van X9 is not known"),
        ("x" * 65, "V2", 422, "at most 64 characters"),
    ],
)
async def test_a_tour_that_cannot_be_is_refused_as_a_whole(
    api: httpx.AsyncClient, conn: Database, code: str, van: str, status: int, reason: str
) -> None:
    before = [plan(conn, tour) for tour in ("TOUR1", "TOUR9")]
    found = await reasons(api, f"/v1/tours/{code}", {**TOUR, "van": van}, status)
    assert all(reason in message for _, message in found)
    assert [plan(conn, tour) for tour in ("TOUR1", "TOUR9")] == before


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"stops": []}, "body.stops"),
        ({"stops": [{**SCHOOL, "planned_minutes": "long"}]}, "body.stops.0.planned_minutes"),
        ({"stops": [{"site": "SCHOOL"}]}, "body.stops.0.window_start"),
        ({"date": "20 November"}, "body.date"),
        ({"date": 1_795_165_200}, "body.date"),
        ({"date": "2100-01-01"}, "body.date"),
        ({"van": 7}, "body.van"),
        ({"stops": [SCHOOL] * (edits.STOPS_MAX + 1)}, "body.stops"),
    ],
)
async def test_an_ill_typed_tour_is_refused_where_it_is_wrong(
    api: httpx.AsyncClient, change: dict[str, object], where: str
) -> None:
    found = await reasons(api, "/v1/tours/TOUR1", {**TOUR, **change})
    assert where in [place for place, _ in found]


async def test_a_put_refuses_and_keeps_what_the_import_of_the_same_rows_does(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    """One code path: the words for a row of tours.csv are those for a stop."""
    sheet = (
        "tour,van,date,stop,site,window_start,window_end,planned_minutes\n"
        "TOUR1,V1,2026-11-20,1,SCHOOL,09:30,09:30,45\n"
    )
    async with await psycopg.AsyncConnection.connect(database_url) as other:
        result: ImportResult = await import_tours(other, sheet.encode(), organisation="default")
        await other.rollback()
    body = {**TOUR, "stops": [{**SCHOOL, "window_start": "09:30"}]}
    assert await reasons(api, "/v1/tours/TOUR1", body) == [("body.stops.0", result.bad[0].reason)]


# ---- sites ----


async def test_a_circle_that_was_put_is_stored_and_noted_for_reading_again(
    api: httpx.AsyncClient, conn: Database
) -> None:
    before = version(conn)
    assert await put(api, "/v1/sites/BAKERY", CIRCLE) == {
        "site": "BAKERY",
        "outcome": "changed",
        "latitude_deg": 45.75,
        "longitude_deg": 4.85,
        "radius_m": 80.0,
        "area": False,
    }
    assert version(conn) == before + 1
    radii = conn.execute("SELECT radius_m FROM fence_edit ORDER BY edit_id").fetchall()
    assert radii == [(100.0,), (80.0,)]
    assert (await put(api, "/v1/sites/BAKERY", CIRCLE))["outcome"] == "unchanged"
    assert (await put(api, "/v1/sites/NEW", {**CIRCLE, "time_zone": "Europe/Lisbon"}))[
        "outcome"
    ] == "added"
    row = conn.execute("SELECT time_zone FROM site WHERE code = 'NEW'").fetchone()
    assert row == ("Europe/Lisbon",)


@pytest.mark.parametrize(
    ("geometry", "radius_m", "kind"),
    [
        ({"type": "Polygon", "coordinates": [SQUARE]}, None, "Polygon"),
        ({"type": "MultiPolygon", "coordinates": [[SQUARE]]}, None, "MultiPolygon"),
        ({"type": "LineString", "coordinates": SQUARE[:3]}, 40, "LineString"),
    ],
)
async def test_a_site_may_be_an_area_or_a_corridor(
    api: httpx.AsyncClient,
    conn: Database,
    geometry: dict[str, object],
    radius_m: float | None,
    kind: str,
) -> None:
    body = {"name": "Yard", "geometry": geometry} | ({"radius_m": radius_m} if radius_m else {})
    answered = await put(api, "/v1/sites/YARD", body)
    assert answered["area"] is True
    assert radius_m is None or answered["radius_m"] == radius_m
    row = conn.execute("SELECT area ->> 'type' FROM site WHERE code = 'YARD'").fetchone()
    assert row == (kind,)


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"radius_m": 9}, 422, "greater than or equal to 10"),
        ({"radius_m": 20_001}, 422, "less than or equal to 20000"),
        ({"radius_m": None}, 422, "valid number"),
        ({"radius_m": "80"}, 422, "a number"),
        ({"latitude_deg": 91}, 422, "less than or equal to 90"),
        ({"latitude_deg": 0, "longitude_deg": 0}, 422, "the position is (0, 0)"),
        ({"time_zone": "Mars/Base"}, 404, "time zone Mars/Base is not known"),
        ({"name": "a\0b"}, 422, "match pattern"),
        ({"colour": "red"}, 422, ""),
    ],
)
async def test_a_circle_that_cannot_be_is_refused_with_the_reason(
    api: httpx.AsyncClient, conn: Database, change: dict[str, object], status: int, reason: str
) -> None:
    was = version(conn)
    [(where, message)] = await reasons(api, "/v1/sites/BAKERY", {**CIRCLE, **change}, status)
    assert where.startswith("body")
    assert reason in message
    assert version(conn) == was
    assert conn.execute("SELECT radius_m FROM site WHERE code = 'BAKERY'").fetchone() == (100.0,)
    assert conn.execute("SELECT count(*) FROM fence_edit").fetchone() == (0,)


BOW_TIE = [[4.85, 45.75], [4.853, 45.752], [4.853, 45.75], [4.85, 45.752], [4.85, 45.75]]


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        ({"type": "Polygon", "coordinates": [BOW_TIE]}, "crosses itself"),
        ({"type": "Polygon", "coordinates": [SQUARE[:4]]}, "is not closed"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]}, "km at most"),
    ],
)
async def test_an_area_that_the_import_would_refuse_is_refused_with_the_reason(
    api: httpx.AsyncClient, conn: Database, geometry: dict[str, object], reason: str
) -> None:
    response = await api.put("/v1/sites/YARD", json={"name": "Yard", "geometry": geometry})
    assert refusal(response) == (422, "unusable_site")
    [error] = response.json()["errors"]
    assert reason in error["message"]
    assert conn.execute("SELECT FROM site WHERE code = 'YARD'").fetchone() is None


@pytest.mark.parametrize(
    ("body", "wheres"),
    [
        ({"radius_m": 50}, {"body.circle.latitude_deg", "body.circle.longitude_deg"}),
        ({"radius_m": 50, "latitude_deg": 45.7}, {"body.circle.longitude_deg"}),
        (
            {"geometry": {"type": "LineString", "coordinates": SQUARE[:2]}},
            {"body.corridor.radius_m"},
        ),
        ({"geometry": {"type": "GeometryCollection"}}, {"body.area.geometry"}),
        ({"geometry": {"type": {"type": "Polygon"}}}, {"body.area.geometry"}),
        ({"geometry": "Polygon"}, {"body.area.geometry"}),
        (
            {"geometry": {"type": "Polygon", "coordinates": [SQUARE]}, "radius_m": 50},
            {"body.area.radius_m"},
        ),
        (
            {"geometry": {"type": "Polygon", "coordinates": [[*SQUARE[:3], [4.85, 91, 300]]]}},
            {"body.area.geometry.Polygon.coordinates.0.3.with altitude.1"},
        ),
    ],
)
async def test_what_is_wrong_with_a_site_is_said_of_the_form_that_it_has(
    api: httpx.AsyncClient, body: dict[str, object], wheres: set[str]
) -> None:
    found = await reasons(api, "/v1/sites/YARD", {"name": "Yard", **body})
    assert {where for where, _ in found} == wheres


async def test_an_altitude_is_read_by_nobody(api: httpx.AsyncClient, conn: Database) -> None:
    ring = [[*position, 300] for position in SQUARE]
    body = {"name": "Yard", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    await put(api, "/v1/sites/YARD", body)
    row = conn.execute("SELECT area #> '{coordinates,0,0}' FROM site WHERE code = 'YARD'")
    assert row.fetchone() == ([4.85, 45.75],)


# ---- who may edit, and when ----


async def test_an_organisation_edits_only_what_is_its_own(
    api: httpx.AsyncClient, conn: Database
) -> None:
    as_organisation(api, 2)
    [(_, message)] = await reasons(
        api, "/v1/tours/NEW", {**TOUR, "van": "X9", "date": "2026-11-21", "stops": [SCHOOL]}, 404
    )
    assert "site SCHOOL is not known" in message
    await put(api, "/v1/sites/BAKERY", CIRCLE)
    owners = conn.execute(
        "SELECT organisation_id, radius_m FROM site WHERE code = 'BAKERY' ORDER BY 1"
    ).fetchall()
    assert owners == [(1, 100.0), (2, 80.0)]


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/tours/TOUR1", TOUR), ("/v1/sites/BAKERY", CIRCLE)]
)
async def test_an_edit_does_not_wait_for_a_long_import(
    api: httpx.AsyncClient,
    conn: Database,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: dict[str, object],
) -> None:
    monkeypatch.setattr("api.commands.LOCK_WITHIN", "SET LOCAL lock_timeout = '50ms'")
    with conn.transaction():
        conn.execute("UPDATE reference_version SET version = version + 1")
        response = await api.put(path, json=body)
    assert refusal(response) == (503, "edits_under_way")
    assert response.headers["retry-after"] == "5"
    await put(api, path, body)


async def test_an_edit_of_a_code_that_cannot_be_stored_is_refused(api: httpx.AsyncClient) -> None:
    [(where, _)] = await reasons(api, "/v1/sites/a%00b", CIRCLE)
    assert where == "path.code"
    assert await problem(api, "/v1/tours/TOUR1") == (405, "method_not_allowed")
