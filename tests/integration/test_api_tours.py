"""Tours as planned, as they became, and as foreseen; and the ways that vans took."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import (
    MINUTE_MS,
    NOW_MS,
    answer,
    as_organisation,
    client_of,
    fleet,
    problem,
    settings_at,
)

HOUR_MS = 60 * MINUTE_MS

#: Two more stops of today's tour, tomorrow's, yesterday's; arrival times of what is ahead.
PLAN = """
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s,
                  work_order)
VALUES (3, 1, 3, 1, '2026-11-20 09:30Z', '2026-11-20 10:00Z', 1800, 'W-3'),
       (4, 1, 4, 2, '2026-11-20 13:00Z', '2026-11-20 14:00Z', 2700, NULL);
UPDATE stop SET skill = 'lift', planned_arrival = '2026-11-20 09:40Z' WHERE stop_id = 3;
INSERT INTO stop_part VALUES (3, 1, 2), (3, 3, 1);
INSERT INTO tour (tour_id, code, van_id, service_date)
VALUES (2, 'TOUR2', 2, '2026-11-20'), (3, 'OLD', 1, '2026-11-19'), (4, 'NEW', 1, '2026-11-21');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (20, 2, 1, 2, '2026-11-20 06:00Z', '2026-11-20 07:00Z', 600),
       (30, 3, 1, 2, '2026-11-19 12:00Z', '2026-11-19 13:00Z', 600),
       (40, 4, 1, 2, '2026-11-21 12:00Z', '2026-11-21 13:00Z', 600);
UPDATE visit SET stop_id = 20, punctuality = 'late', wrong_order = true, overstayed = true
WHERE van_id = 2 AND site_id = 2;
INSERT INTO eta
SELECT stop_id, '2026-11-20 08:59Z', window_start, window_start + INTERVAL '10 minutes',
       window_start + INTERVAL '25 minutes', 0.25
FROM stop WHERE stop_id <> 9;
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time, changed_time)
VALUES (1, 3, 'at_risk', '2026-11-20 10:00Z', 'open', 'it may be late', now(), now());
"""


@pytest.fixture
def conn(database_url: str) -> Any:
    with fleet(database_url) as connection:
        connection.execute(PLAN)
        yield connection


# ---- tours ----


async def test_a_tour_shows_its_stops_in_order_with_what_became_of_them(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE visit SET stop_id = 3 WHERE stop_id = 1")
    tour = await answer(api, "/v1/vans/V1/tour")
    assert (tour["tour"], tour["technician"], tour["date"]) == ("TOUR1", "Ana", "2026-11-20")
    assert [(s["stop"], s["outcome"], s["eta"] is not None) for s in tour["stops"]] == [
        (1, "skipped", True), (2, "skipped", True), (3, "on_site", False), (4, "planned", True),
    ]  # fmt: skip
    assert tour["stops"][2] == {
        "stop_id": 3,
        "stop": 3,
        "site": "BAKERY",
        "site_name": "Bakery",
        "latitude_deg": 45.75,
        "longitude_deg": 4.85,
        "window_start_ms": NOW_MS + 30 * MINUTE_MS,
        "window_end_ms": NOW_MS + HOUR_MS,
        "planned_duration_s": 1800,
        "planned_arrival_ms": NOW_MS + 40 * MINUTE_MS,
        "work_order": "W-3",
        "skill": "lift",
        "parts": {"FIL-20": 2, "PUMP": 1},
        "outcome": "on_site",
        "arrived_at_ms": NOW_MS - 65 * MINUTE_MS,
        "left_at_ms": None,
        "punctuality": "on_time",
        "wrong_order": False,
        "overstayed": False,
        "eta": None,
    }


async def test_a_stop_ahead_has_an_eta_as_a_range_with_the_chance_that_it_is_late(
    api: httpx.AsyncClient,
) -> None:
    stop = (await answer(api, "/v1/vans/V1/tour"))["stops"][2]
    assert stop["eta"] == {
        "early_at_ms": NOW_MS + 30 * MINUTE_MS,
        "expected_at_ms": NOW_MS + 40 * MINUTE_MS,
        "late_at_ms": NOW_MS + 55 * MINUTE_MS,
        "chance_late": 0.25,
        "made_ms": NOW_MS - MINUTE_MS,
    }


async def test_a_stop_that_is_done_says_how_it_was_kept(api: httpx.AsyncClient) -> None:
    [stop] = (await answer(api, "/v1/vans/V2/tour"))["stops"]
    assert (stop["outcome"], stop["punctuality"], stop["wrong_order"], stop["overstayed"]) == (
        "done", "late", True, True,
    )  # fmt: skip
    assert (stop["arrived_at_ms"], stop["left_at_ms"]) == (
        NOW_MS - 3 * HOUR_MS,
        NOW_MS - 150 * MINUTE_MS,
    )


async def test_a_tour_of_another_day_is_found_by_its_date(api: httpx.AsyncClient) -> None:
    tomorrow = await answer(api, "/v1/vans/V1/tour", date="2026-11-21")
    assert (tomorrow["tour"], tomorrow["stops"][0]["eta"] is not None) == ("NEW", True)


async def test_what_was_foreseen_of_a_day_gone_by_is_not_told(api: httpx.AsyncClient) -> None:
    yesterday = await answer(api, "/v1/vans/V1/tour", date="2026-11-19")
    assert (yesterday["tour"], yesterday["stops"][0]["eta"]) == ("OLD", None)
    [line] = (await answer(api, "/v1/tours", date="2026-11-19"))["tours"]
    assert (line["planned"], line["next_stop"]) == (1, None)


async def test_a_day_turns_at_three_in_the_morning(
    conn: psycopg.Connection[Any], database_url: str
) -> None:
    night = NOW_MS + 16 * HOUR_MS + 59 * MINUTE_MS
    async with client_of(settings_at(database_url, night)) as api:
        assert (await answer(api, "/v1/vans/V1/tour"))["tour"] == "TOUR1"
    async with client_of(settings_at(database_url, night + MINUTE_MS)) as api:
        assert (await answer(api, "/v1/vans/V1/tour"))["tour"] == "NEW"


@pytest.mark.parametrize("params", [{"date": "2026-11-22"}, {"date": "2000-01-01"}])
async def test_a_van_without_a_tour_that_day_is_not_found(
    api: httpx.AsyncClient, params: dict[str, str]
) -> None:
    assert await problem(api, "/v1/vans/V1/tour", **params) == (404, "tour_not_found")
    assert await problem(api, "/v1/vans/V3/tour") == (404, "tour_not_found")


async def test_tours_of_a_day_count_their_stops_and_name_the_next(api: httpx.AsyncClient) -> None:
    listed = await answer(api, "/v1/tours")
    assert listed["date"] == "2026-11-20"
    first, second = listed["tours"]
    following = first.pop("next_stop")
    assert len(first.pop("timeline")) == 4
    assert first == {
        "tour": "TOUR1",
        "van": "V1",
        "technician": "Ana",
        "stops": 4,
        "planned": 3,
        "on_site": 1,
        "done": 0,
        "skipped": 0,
        "late": 0,
    }
    assert (following["stop"], following["site"], following["alert"]) == (2, "SCHOOL", "late")
    assert (second["van"], second["done"], second["late"]) == ("V2", 1, 1)
    assert second["next_stop"] is None


async def test_a_timeline_has_all_that_a_bar_shows(api: httpx.AsyncClient) -> None:
    timeline = (await answer(api, "/v1/tours"))["tours"][0]["timeline"]
    assert timeline[2] == {
        "stop_id": 3,
        "stop": 3,
        "site": "BAKERY",
        "site_name": "Bakery",
        "work_order": "W-3",
        "window_start_ms": NOW_MS + 30 * MINUTE_MS,
        "window_end_ms": NOW_MS + HOUR_MS,
        "planned_arrival_ms": NOW_MS + 40 * MINUTE_MS,
        "planned_duration_s": 1800,
        "state": "scheduled",
        "eta": {
            "early_at_ms": NOW_MS + 30 * MINUTE_MS,
            "expected_at_ms": NOW_MS + 40 * MINUTE_MS,
            "late_at_ms": NOW_MS + 55 * MINUTE_MS,
            "chance_late": 0.25,
            "made_ms": NOW_MS - MINUTE_MS,
        },
        "arrived_at_ms": None,
        "left_at_ms": None,
        "punctuality": None,
        "alert": "at_risk",
    }
    assert (timeline[0]["arrived_at_ms"], timeline[0]["eta"]) == (NOW_MS - 65 * MINUTE_MS, None)


LEFT = "UPDATE visit SET left_at = last_inside_at, closed_by = last_inside_at WHERE stop_id IS NOT NULL"


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ("", ["arrived", "scheduled", "scheduled", "scheduled"]),
        (LEFT, ["completed", "en_route", "scheduled", "scheduled"]),
        (f"{LEFT}; UPDATE van_position SET speed_mps = 9, ignition = true WHERE van_id = 1",
         ["completed", "en_route", "scheduled", "scheduled"]),
        (f"{LEFT}; UPDATE van_position SET fix_time = '2026-11-20 08:30Z' WHERE van_id = 1",
         ["completed", "scheduled", "scheduled", "scheduled"]),
        ("UPDATE visit SET stop_id = NULL, left_at = last_inside_at WHERE van_id = 1",
         ["scheduled", "scheduled", "scheduled", "scheduled"]),
        (f"{LEFT}; UPDATE visit SET stop_id = 2 WHERE stop_id = 1",
         ["skipped", "completed", "en_route", "scheduled"]),
        (f"{LEFT}; UPDATE visit SET stop_id = 4 WHERE stop_id = 1",
         ["en_route", "skipped", "skipped", "completed"]),
        ("UPDATE alert SET kind = 'missed' WHERE stop_id = 2",
         ["arrived", "missed", "scheduled", "scheduled"]),
    ],
)  # fmt: skip
async def test_a_stop_stands_as_the_table_in_states_says(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], change: str, states: list[str]
) -> None:
    if change:
        conn.execute(change)
    timeline = (await answer(api, "/v1/tours"))["tours"][0]["timeline"]
    assert [stop["state"] for stop in timeline] == states


async def test_of_a_day_gone_by_what_nobody_kept_was_missed_and_of_tomorrow_nobody_is_under_way(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE van_position SET speed_mps = 9, ignition = true")
    for day, state in (("2026-11-19", "missed"), ("2026-11-21", "scheduled")):
        [line] = (await answer(api, "/v1/tours", date=day))["tours"]
        assert [stop["state"] for stop in line["timeline"]] == [state]


async def test_the_next_stop_is_ahead_of_those_passed_over_and_bears_its_worst_alert(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE visit SET stop_id = 2 WHERE stop_id = 1")
    van = await answer(api, "/v1/vans/V1")
    assert (van["next_stop"]["stop"], van["next_stop"]["alert"]) == (3, "at_risk")
    assert van["next_stop"]["eta"]["expected_at_ms"] == NOW_MS + 40 * MINUTE_MS
    conn.execute("UPDATE visit SET stop_id = 4 WHERE stop_id = 2")
    van = await answer(api, "/v1/vans/V1")
    assert (van["next_stop"]["stop"], van["next_stop"]["alert"]) == (1, None)
    conn.execute("DELETE FROM stop WHERE tour_id = 1 AND position < 4")
    assert (await answer(api, "/v1/vans/V1"))["next_stop"] is None


async def test_no_organisation_sees_tours_of_another(api: httpx.AsyncClient) -> None:
    as_organisation(api, 2)
    assert [t["tour"] for t in (await answer(api, "/v1/tours"))["tours"]] == ["TOUR9"]
    assert await problem(api, "/v1/vans/V1/tour") == (404, "van_not_found")


# ---- legs ----

#: A trip, a visit of 30 minutes, a trip with a silence, a halt that nobody planned; the night before.
LEGS = """
INSERT INTO leg VALUES
  (1, '2026-11-19 17:00Z', 'halt', '2026-11-20 06:00Z', true, 0, 46800, 0, 45.7, 4.8),
  (1, '2026-11-20 06:00Z', 'trip', '2026-11-20 07:55Z', true, 42000, 600, 1200, 45.75, 4.85),
  (1, '2026-11-20 07:55Z', 'halt', '2026-11-20 08:25Z', true, 0, 1800, 0, 45.75, 4.85),
  (1, '2026-11-20 08:25Z', 'trip', '2026-11-20 08:40Z', true, 9000, 0, 0, 45.8, 4.9),
  (1, '2026-11-20 08:40Z', 'halt', '2026-11-20 08:50Z', true, 0, 600, 0, 45.8, 4.9),
  (1, '2026-11-20 08:50Z', 'trip', '2026-11-20 08:59Z', false, 5000, 0, 0, 45.9, 4.9),
  (2, '2026-11-20 08:50Z', 'trip', '2026-11-20 08:59Z', false, 5000, 0, 0, 45.9, 4.9);
UPDATE visit SET last_inside_at = '2026-11-20 08:10Z' WHERE van_id = 1 AND stop_id = 1;
"""


async def test_legs_of_today_tell_halts_that_nobody_planned(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEGS)
    legs = await answer(api, "/v1/vans/V1/legs")
    assert (legs["from_ms"], legs["to_ms"]) == (NOW_MS - 7 * HOUR_MS, NOW_MS + 17 * HOUR_MS)
    assert [(leg["kind"], leg["unplanned"]) for leg in legs["legs"]] == [
        ("trip", False), ("halt", False), ("trip", False), ("halt", True), ("trip", False),
    ]  # fmt: skip
    assert legs["legs"][0] == {
        "kind": "trip",
        "started_at_ms": NOW_MS - 3 * HOUR_MS,
        "ended_at_ms": NOW_MS - 65 * MINUTE_MS,
        "closed": True,
        "distance_m": 42_000,
        "driving_s": 115 * 60 - 600 - 1200,
        "standing_s": 600,
        "unknown_s": 1200,
        "latitude_deg": 45.75,
        "longitude_deg": 4.85,
        "unplanned": False,
    }
    assert legs["days"] == [
        {
            "date": "2026-11-20",
            "trips": 3,
            "halts": 2,
            "unplanned_halts": 1,
            "distance_m": 56_000,
            "driving_s": 115 * 60 - 1800 + 15 * 60 + 9 * 60,
            "standing_s": 600,
            "unknown_s": 1200,
            "halted_s": 2400,
            "unplanned_s": 600,
        }
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE visit SET last_inside_at = '2026-11-20 08:09:59Z' WHERE stop_id = 1",
        "UPDATE visit SET verdict = 'pass' WHERE stop_id = 1",
        "UPDATE visit SET shadowed_by = 2 WHERE stop_id = 1",
    ],
)
async def test_a_halt_is_unplanned_if_no_visit_covers_half_of_it(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], change: str
) -> None:
    conn.execute(LEGS)
    conn.execute(change)
    halt = (await answer(api, "/v1/vans/V1/legs"))["legs"][1]
    assert (halt["kind"], halt["unplanned"]) == ("halt", True)


async def test_a_visit_that_began_before_the_range_covers_a_halt_in_it(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEGS)
    conn.execute("UPDATE visit SET arrived_at = '2026-11-20 02:00Z' WHERE stop_id = 1")
    only = {"from_ms": NOW_MS - 65 * MINUTE_MS, "to_ms": NOW_MS - 64 * MINUTE_MS}
    [halt] = (await answer(api, "/v1/vans/V1/legs", **only))["legs"]
    assert halt["unplanned"] is False


async def test_legs_are_summed_by_the_day_on_which_they_began(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEGS)
    legs = await answer(api, "/v1/vans/V1/legs", from_ms=NOW_MS - 24 * HOUR_MS)
    assert [(day["date"], day["halts"], day["halted_s"]) for day in legs["days"]] == [
        ("2026-11-19", 1, 46_800),
        ("2026-11-20", 2, 2_400),
    ]
    first = legs["legs"][0]["started_at_ms"]
    cut = await answer(api, "/v1/vans/V1/legs", from_ms=first, to_ms=first + 1)
    assert cut["legs"] == legs["legs"][:1]
    none = await answer(api, "/v1/vans/V1/legs", from_ms=first + 1, to_ms=first + 2)
    assert (none["legs"], none["days"]) == ([], [])


# ---- unusable fixes ----

UNUSABLE = """
INSERT INTO unusable_fix VALUES
  (1, '2026-11-20 08:00Z', 'jump'), (1, '2026-11-20 08:01Z', 'poor_accuracy'),
  (1, '2026-11-20 08:02Z', 'poor_accuracy'), (2, '2026-11-20 08:00Z', 'poor_accuracy'),
  (2, '2026-11-19 08:59:59Z', 'frozen'), (9, '2026-11-20 08:00Z', 'null_island');
INSERT INTO rejected VALUES
  ('\\x11', 'fleet/v1/V2/position', '{}', 'future', 'ahead', 'V2', '2026-11-20 08:00Z'),
  ('\\x12', 'owntracks/V2/phone', '{}', 'ancient', 'years old', 'V2', '2026-11-20 08:00Z'),
  ('\\x13', 'fleet/v1/V2/scan', '{}', 'future', 'a scan', 'V2', '2026-11-20 08:00Z'),
  ('\\x14', 'fleet/v1/GONE/position', '{}', 'future', 'unknown', 'GONE', '2026-11-20 08:03Z'),
  ('\\x15', 'fleet/v1/X9/position', '{}', 'ancient', 'theirs', 'X9', '2026-11-20 08:00Z');
"""


async def test_unusable_fixes_of_a_day_are_counted_by_reason_and_van(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(UNUSABLE)
    found = await answer(api, "/v1/fixes/unusable")
    assert (found["from_ms"], found["to_ms"]) == (NOW_MS - 24 * HOUR_MS, NOW_MS)
    assert found["reasons"] == [
        {"reason": "poor_accuracy", "count": 3, "vans": 2},
        {"reason": "future", "count": 2, "vans": 2},
        {"reason": "ancient", "count": 1, "vans": 1},
        {"reason": "jump", "count": 1, "vans": 1},
    ]
    assert [(v["van"], v["reason"], v["count"]) for v in found["vans"]] == [
        ("V1", "poor_accuracy", 2),
        ("V1", "jump", 1),
        ("V2", "ancient", 1),
        ("V2", "future", 1),
        ("V2", "poor_accuracy", 1),
        (None, "future", 1),
    ]
    assert found["vans"][0]["last_ms"] == NOW_MS - 58 * MINUTE_MS


async def test_unusable_fixes_of_a_range_are_those_in_it(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(UNUSABLE)
    eight = NOW_MS - HOUR_MS
    found = await answer(api, "/v1/fixes/unusable", from_ms=eight, to_ms=eight + MINUTE_MS)
    assert {row["reason"]: row["count"] for row in found["reasons"]} == {
        "jump": 1, "poor_accuracy": 1, "future": 1, "ancient": 1,
    }  # fmt: skip
    long_ago = await answer(api, "/v1/fixes/unusable", from_ms=5, to_ms=6)
    assert (long_ago["reasons"], long_ago["vans"]) == ([], [])


async def test_no_organisation_sees_unusable_fixes_of_another(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(UNUSABLE)
    as_organisation(api, 2)
    found = await answer(api, "/v1/fixes/unusable")
    assert {(row["van"], row["reason"]) for row in found["vans"]} == {
        ("X9", "null_island"), ("X9", "ancient"),
    }  # fmt: skip
