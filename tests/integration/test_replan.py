"""Who could take a stop at risk, asked over HTTP about rows put straight into the database."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import numpy as np
import psycopg
import pytest

from api import problems
from geofence.forecast.store import foresee_vans
from geofence.forecast.work import UNCALIBRATED_WORK, work_left
from geofence.replan_store import travel
from storage.pool import connect
from storage.settings import Settings
from tests.integration.api_client import as_organisation, client_of
from tests.unit.steady_fleet import STEADY, WORK

#: Friday 2026-11-20 10:00 in Paris; the clock stands still there (a factor that small).
NOW_MS = 1_795_165_200_000
MINUTE_MS = 60_000

# V1 stands 55 km south of the bakery, where it should be by 10:30; V2 and V3 are near it.
FLEET = """
INSERT INTO organisation (organisation_id, name) VALUES (2, 'other');
INSERT INTO technician (technician_id, organisation_id, code, name, home_latitude_deg,
                        home_longitude_deg, skills)
VALUES (1, 1, 'T1', 'Ana', 45.25, 4.85, '{lift}'), (2, 1, 'T2', 'Bo', 45.70, 4.85, '{lift,hvac}'),
       (3, 1, 'T3', 'Cy', NULL, NULL, '{hvac}');
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20'), (2, 'PUMP', 'Pump');
INSERT INTO van (van_id, organisation_id, code, name, technician_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1), (2, 1, 'V2', 'Kangoo 2', 2), (3, 1, 'V3', 'Kangoo 3', 3),
       (4, 1, 'V4', 'Kangoo 4', NULL), (9, 2, 'X9', 'Their van', NULL);
INSERT INTO location (location_id, organisation_id, kind, van_id)
VALUES (101, 1, 'van', 1), (102, 1, 'van', 2), (103, 1, 'van', 3), (109, 2, 'van', 9);
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 1, 'BAKERY', 'Bakery', 45.75, 4.85, 100), (2, 1, 'SCHOOL', 'School', 45.26, 4.85, 100),
       (3, 1, 'POOL', 'Pool', 45.76, 4.85, 100), (9, 2, 'HARBOUR', 'Harbour', 45.75, 4.85, 100);
INSERT INTO tour (tour_id, code, van_id, service_date)
VALUES (1, 'TOUR1', 1, '2026-11-20'), (2, 'TOUR2', 2, '2026-11-20'),
       (3, 'TOUR3', 3, '2026-11-20'), (9, 'TOUR9', 9, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, 1, '2026-11-20 07:00Z', '2026-11-20 09:30Z', 1800),
       (2, 1, 2, 2, '2026-11-20 07:00Z', '2026-11-20 11:00Z', 1800),
       (3, 2, 1, 3, '2026-11-20 07:00Z', '2026-11-20 12:00Z', 1800),
       (4, 3, 1, 3, '2026-11-20 07:00Z', '2026-11-20 12:00Z', 1800),
       (9, 9, 1, 9, '2026-11-20 07:00Z', '2026-11-20 12:00Z', 1800);
INSERT INTO van_position
VALUES (1, '2026-11-20 08:59Z', 45.25, 4.85, 0, 90, true, '2026-11-20 08:59Z'),
       (2, '2026-11-20 08:59Z', 45.70, 4.85, 9, 90, true, '2026-11-20 08:59Z'),
       (3, '2026-11-20 08:59Z', 45.74, 4.85, 9, 90, true, '2026-11-20 08:59Z'),
       (9, '2026-11-20 08:59Z', 45.75, 4.85, 9, 90, true, '2026-11-20 08:59Z');
"""

VISIT = """
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict,
                   uncertain, ignition_off, service_date, stop_id)
"""

DUTY = "INSERT INTO van_status VALUES"
BESIDE_V3 = """
INSERT INTO van_position SELECT 4, fix_time, latitude_deg, longitude_deg, 0, 0, true, fix_time
FROM van_position WHERE van_id = 3
"""


def settings_at(database_url: str, now_ms: int = NOW_MS) -> Settings:
    return Settings(
        database_url=database_url, clock_origin_ms=now_ms, clock_start_ms=0, clock_factor=1e-15
    )


@pytest.fixture
def conn(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FLEET)
        yield connection


@pytest.fixture
async def api(conn: psycopg.Connection[Any], database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_at(database_url)) as client:
        yield client


async def answer(api: httpx.AsyncClient, stop_id: int = 1, **params: Any) -> Any:
    response = await api.get(f"/v1/stops/{stop_id}/proposals", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def by_van(api: httpx.AsyncClient, stop_id: int = 1, **params: Any) -> dict[str, Any]:
    """Return the proposals by van, without another order of the van that has the stop."""
    found = (await answer(api, stop_id, **params))["proposals"]
    return {one["van"]: one for one in found if one["kind"] != "reorder"}


async def problem(api: httpx.AsyncClient, stop_id: object) -> tuple[int, str]:
    response = await api.get(f"/v1/stops/{stop_id}/proposals")
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["title"] == problems.TITLES[body["code"]]
    assert body["detail"]
    return response.status_code, body["code"]


async def test_a_late_stop_is_offered_to_vans_that_are_near(api: httpx.AsyncClient) -> None:
    told = await answer(api)
    proposals = told.pop("proposals")
    assert told == {
        "now_ms": NOW_MS, "stop_id": 1, "tour": "TOUR1", "stop": 1, "site": "BAKERY",
        "site_name": "Bakery", "van": "V1", "skill": None,
    }  # fmt: skip
    assert [(one["kind"], one["van"]) for one in proposals] == [
        ("move", "V3"), ("move", "V2"), ("reorder", "V1"), ("keep", "V1"),
    ]  # fmt: skip
    first, _, _, plan = proposals
    # 1.1 km at 20 km/h and two minutes.
    assert first["expected_ms"] == pytest.approx(NOW_MS + 5.33 * MINUTE_MS, abs=6_000)
    assert (first["late_min"], first["taker"]["lost_min"], first["missing"]) == (0, 0, [])
    assert [stop["stop_id"] for stop in first["order"]] == [1, 4]
    assert first["words"].startswith("Give it to V3 (Cy): there at 10:05, in time; V1 would be ")
    assert plan["late_min"] == plan["late_before_min"] > 30
    assert plan["weighted_min"] == 0
    assert plan["taker"] is None
    assert plan["words"] == f"Keep it with V1 (Ana): there at 11:06, {plan['late_min']} min late."
    assert first["expected_before_ms"] == plan["expected_ms"]


async def test_what_the_giver_is_spared_is_told(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    found = await by_van(api)
    giver = found["V3"]["giver"]
    assert giver["gained_min"] > 30  # the school, behind the bakery
    assert (giver["lost_min"], giver["overtime_min"]) == (0, 0)
    assert giver["extra_km"] == pytest.approx(-2 * 1.3 * 54.5, abs=0.5)
    assert f"The other stops of V1 gain {giver['gained_min']} min." in found["V3"]["words"]
    assert found["V3"]["weighted_min"] == pytest.approx(
        -giver["gained_min"] - found["V1"]["late_min"], abs=1
    )


async def test_only_technicians_with_the_skill_are_asked(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE stop SET skill = 'lift' WHERE stop_id = 1")
    assert set(await by_van(api)) == {"V2", "V1"}
    assert (await answer(api))["skill"] == "lift"
    conn.execute("UPDATE stop SET skill = 'gas' WHERE stop_id = 1")
    assert set(await by_van(api)) == {"V1"}


async def test_parts_that_are_not_on_board_are_named_and_count(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        """
        INSERT INTO stop_part VALUES (1, 1, 3), (1, 2, 1), (4, 1, 2);
        INSERT INTO level (location_id, item_id, lot, qty)
        VALUES (101, 1, '', 9), (102, 1, 'A', 1), (102, 1, 'B', 2), (102, 2, '', 1),
               (103, 1, '', 4), (103, 2, '', -1), (109, 2, '', 5)
        """
    )
    found = (await answer(api))["proposals"]
    assert [one["van"] for one in found][:2] == ["V2", "V3"]
    by_code = await by_van(api)
    assert by_code["V2"]["missing"] == []
    # Of its 4 filters its own stop needs 2.
    assert by_code["V3"]["missing"] == [
        {"item": "FIL-20", "name": "Filter 20", "qty": 1}, {"item": "PUMP", "name": "Pump", "qty": 1},
    ]  # fmt: skip
    assert by_code["V3"]["words"].endswith("Not free on board: 1 x FIL-20, 1 x PUMP.")
    assert [part["item"] for part in by_code["V1"]["missing"]] == ["PUMP"]


AT_POOL = (
    f"{VISIT} VALUES (3, 3, '2026-11-20 08:50Z', '2026-11-20 08:59Z', NULL, NULL, 'visit',"
    " false, true, '2026-11-20', 4)"
)


async def test_a_visit_under_way_comes_first(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(AT_POOL)
    one = (await by_van(api))["V3"]
    # Of those who have worked 9 minutes of 30 planned half are done after 30; 1.1 km away.
    assert one["expected_ms"] == pytest.approx(NOW_MS + 25.33 * MINUTE_MS, abs=30_000)
    assert [stop["stop_id"] for stop in one["order"]] == [1]
    # What should be done long ago may last: an hour and more has gone already.
    conn.execute("UPDATE visit SET arrived_at = '2026-11-20 07:50Z'")
    later = (await by_van(api))["V3"]
    [[left_s]] = work_left(
        UNCALIBRATED_WORK, np.array([1_800.0]), np.array([69 * 60.0]), np.array([0.5])
    )
    assert left_s > 300
    assert later["expected_ms"] == pytest.approx(
        NOW_MS - MINUTE_MS + 1_000 * left_s + 5.33 * MINUTE_MS, abs=6_000
    )


async def test_who_is_done_early_where_the_plan_has_an_arrival_waits_there(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(AT_POOL)
    conn.execute("UPDATE stop SET planned_arrival = '2026-11-20 09:15Z' WHERE stop_id = 4")
    one = (await by_van(api))["V3"]
    assert one["expected_ms"] == pytest.approx(NOW_MS + (45 + 5.33) * MINUTE_MS, abs=6_000)


async def test_who_stands_where_nothing_is_planned_is_free_if_nothing_is_left_to_do(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(AT_POOL)
    conn.execute("UPDATE visit SET stop_id = NULL")
    busy = (await by_van(api))["V3"]  # it still has its own stop there, and what it does is unknown
    assert busy["expected_ms"] > NOW_MS + 15 * MINUTE_MS
    conn.execute(f"DELETE FROM stop WHERE stop_id = 4; {DUTY} (3, '2026-11-20Z', 'online', 'on')")
    idle = (await by_van(api))["V3"]
    assert idle["expected_ms"] == pytest.approx(NOW_MS + 5.33 * MINUTE_MS, abs=6_000)


async def test_a_visit_of_yesterday_is_no_work_of_today(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    """The van has stood there since the evening: at home, or at the depot."""
    conn.execute(AT_POOL)
    conn.execute(
        "UPDATE visit SET stop_id = NULL, service_date = '2026-11-19',"
        " arrived_at = '2026-11-19 17:00Z'"
    )
    one = (await by_van(api))["V3"]
    assert one["expected_ms"] == pytest.approx(NOW_MS + 4 * MINUTE_MS, abs=2 * MINUTE_MS)


#: V1 works at the school since 9:40, as its second stop. It waits there and at the pool; the bakery,
#: which it has passed over, comes last.
DAY = f"""
UPDATE stop SET planned_arrival = '2026-11-20 09:30Z' WHERE stop_id = 2;
UPDATE site SET radius_m = 1;
{VISIT} VALUES (1, 2, '2026-11-20 08:40Z', '2026-11-20 08:59:30Z', NULL, NULL, 'visit',
                false, true, '2026-11-20', 2);
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,
                  planned_duration_s, planned_arrival)
VALUES (11, 1, 3, 3, '2026-11-20 07:00Z', '2026-11-20 10:00Z', 600, '2026-11-20 12:00Z'),
       (12, 1, 4, 1, '2026-11-20 07:00Z', '2026-11-20 12:15Z', 0, NULL),
       (13, 1, 5, 3, '2026-11-20 07:00Z', '2026-11-20 12:15Z', 1800, NULL);
INSERT INTO travel_model (made_time, model, work) VALUES ('2026-11-20 08:00Z', %s, %s)
"""


async def test_what_is_expected_as_planned_is_what_the_tour_shows(
    conn: psycopg.Connection[Any], api: httpx.AsyncClient, database_url: str
) -> None:
    for statement in DAY.split(";"):
        values = [msgspec.json.encode(one).decode() for one in (STEADY, WORK)]
        conn.execute(statement, values if "%s" in statement else None)
    seen = [[[NOW_MS - 30_000, 45.26, 4.85]]]
    conn.execute(
        "INSERT INTO van_progress (van_id, through, state) VALUES (1, '2026-11-20 08:59:30Z', %s)",
        (json.dumps(seen),),
    )
    async with connect(database_url, "test") as pool, pool.connection() as own:
        await foresee_vans(own, [1], None, NOW_MS)
    tour = (await api.get("/v1/vans/V1/tour")).json()["stops"]
    shown = {stop["stop_id"]: stop["eta"]["expected_at_ms"] for stop in tour if stop["eta"]}
    assert set(shown) == {1, 11, 12, 13}
    for stop_id, expected_ms in shown.items():
        plan = (await by_van(api, stop_id))["V1"]
        assert plan["expected_ms"] == pytest.approx(expected_ms, abs=5_000), stop_id


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        ("DELETE FROM van_position WHERE van_id = 3", {"V1", "V2"}),
        ("DELETE FROM van_position WHERE van_id = 2", {"V1", "V2", "V3"}),  # from home
        ("DELETE FROM van_position WHERE van_id = 1", {"V1", "V2", "V3"}),
        ("DELETE FROM stop WHERE stop_id = 4", {"V1", "V2", "V3"}),
        ("DELETE FROM tour WHERE tour_id = 3", {"V1", "V2"}),
        (f"{DUTY} (3, '2026-11-20 08:00Z', 'online', 'off')",
         {"V1", "V2", "V3"}),
        (f"DELETE FROM stop WHERE stop_id = 4; {DUTY} (3, '2026-11-20 08:00Z', 'online', 'off')",
         {"V1", "V2"}),
        (f"{BESIDE_V3}; {DUTY} (4, '2026-11-20 08:00Z', 'online', 'on')",
         {"V1", "V2", "V3", "V4"}),
        (BESIDE_V3, {"V1", "V2", "V3"}),
    ],
)  # fmt: skip
async def test_vans_that_work_that_day_and_are_somewhere_are_asked(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], change: str, asked: set[str]
) -> None:
    conn.execute(change)
    assert set(await by_van(api)) == asked


async def test_stops_that_are_visited_are_no_part_of_a_tour_any_more(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        f"{VISIT} VALUES (2, 3, '2026-11-20 08:00Z', '2026-11-20 08:20Z', '2026-11-20 08:20Z',"
        " '2026-11-20 08:25Z', 'visit', false, true, '2026-11-20', 3)"
    )
    assert [stop["stop_id"] for stop in (await by_van(api))["V2"]["order"]] == [1]


async def test_who_should_be_home_by_then_is_said_to_be_late_there(api: httpx.AsyncClient) -> None:
    on_time = (await by_van(api))["V2"]
    late = (await by_van(api, home_by_ms=NOW_MS + 10 * MINUTE_MS))["V2"]
    assert on_time["taker"]["overtime_min"] == 0
    assert late["taker"]["overtime_min"] > late["taker"]["overtime_before_min"] > 0
    assert f"V2 is at home {late['taker']['overtime_min']} min late." in late["words"]


async def test_a_day_to_come_begins_at_home(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        """
        UPDATE tour SET service_date = '2026-11-21';
        UPDATE stop SET window_start = window_start + INTERVAL '1 day',
                        window_end = window_end + INTERVAL '1 day';
        UPDATE van_position SET latitude_deg = 50 WHERE van_id = 2
        """
    )
    found = await by_van(api)
    # V2 lives near, wherever it is now: it is there before 8 and waits.
    assert found["V2"]["expected_ms"] == NOW_MS + (24 - 2) * 60 * MINUTE_MS
    assert found["V2"]["taker"]["lost_min"] == 0
    assert found["V2"]["slack_min"] == 265  # at the pool, once the bakery is done


async def test_a_stop_that_does_not_exist_is_a_problem(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    assert await problem(api, 77) == (404, "stop_not_found")
    assert await problem(api, 2**31 - 1) == (404, "stop_not_found")
    assert await problem(api, 0) == (422, "invalid_parameters")
    assert await problem(api, 2**31) == (422, "invalid_parameters")
    assert await problem(api, "TOUR1") == (422, "invalid_parameters")


async def test_a_stop_that_is_visited_is_a_problem(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        f"{VISIT} VALUES (1, 1, '2026-11-20 08:50Z', '2026-11-20 08:59Z', NULL, NULL, 'visit',"
        " false, true, '2026-11-20', 1)"
    )
    assert await problem(api, 1) == (409, "stop_visited")


async def test_a_stop_of_a_past_day_is_a_problem(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE tour SET service_date = '2026-11-19' WHERE tour_id = 1")
    assert await problem(api, 1) == (409, "stop_over")


async def test_no_organisation_sees_stops_or_vans_of_another(api: httpx.AsyncClient) -> None:
    assert await problem(api, 9) == (404, "stop_not_found")
    assert "X9" not in await by_van(api)
    as_organisation(api, 2)
    assert await problem(api, 1) == (404, "stop_not_found")
    assert set(await by_van(api, 9)) == {"X9"}


async def test_asking_changes_nothing(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    plan = "SELECT stop::text FROM stop UNION ALL SELECT tour::text FROM tour ORDER BY 1"
    before = conn.execute(plan).fetchall()
    await answer(api)
    assert conn.execute(plan).fetchall() == before


def test_ingest_starts_without_the_solver() -> None:
    listed = "import sys, ingest.service; print('ortools' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


async def test_drives_take_what_they_take_this_fleet(database_url: str) -> None:
    async with connect(database_url, "test") as pool, pool.connection() as conn:
        matrix = await travel(conn, NOW_MS, "Europe/Paris")
    latitude_deg = np.array([45.0, 45.0, 45.01, 45.1, 46.0])
    seconds = matrix(latitude_deg, np.full(5, 4.85))
    assert seconds[0, 1] == 0
    assert (np.diff(seconds[0, 1:]) > 0).all()
    assert (seconds == seconds.T).all()
    minutes = seconds[0, 2:] / 60
    assert minutes == pytest.approx([5.3, 23, 119], rel=0.2)
