"""Every route of the API over a real database, asked as a client would."""

import base64
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.api_client import (
    MINUTE_MS,
    NOW_MS,
    answer,
    as_organisation,
    client_of,
    machine_token,
    problem,
    refusal,
    settings_at,
)

# ---- vans ----


async def test_each_van_is_listed_with_its_state_and_newest_fix(api: httpx.AsyncClient) -> None:
    vans = (await answer(api, "/v1/vans"))["vans"]
    assert [(van["code"], van["state"]) for van in vans] == [
        ("V1", "at_site"), ("V2", "silent"), ("V3", "never_seen"),
    ]  # fmt: skip
    assert vans[0] == {
        "code": "V1",
        "name": "Kangoo 1",
        "technician": "Ana",
        "state": "at_site",
        "site": {"code": "BAKERY", "name": "Bakery"},
        "last_fix": {
            "t_ms": NOW_MS - MINUTE_MS,
            "latitude_deg": 45.75,
            "longitude_deg": 4.85,
            "speed_mps": 0.0,
            "bearing_deg": 90.0,
            "ignition": False,
            "age_s": 60,
        },
        "next_stop": {
            "tour": "TOUR1",
            "stop_id": 2,
            "stop": 2,
            "site": "SCHOOL",
            "site_name": "School",
            "window_start_ms": NOW_MS - 60 * MINUTE_MS,
            "window_end_ms": NOW_MS - 30 * MINUTE_MS,
            "eta": None,
            "alert": "late",
        },
    }
    assert vans[2]["last_fix"] is None


async def test_one_van_is_the_same_as_in_the_list(api: httpx.AsyncClient) -> None:
    everyone = (await answer(api, "/v1/vans"))["vans"]
    assert await answer(api, "/v1/vans/V2") == everyone[1]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("UPDATE van_position SET speed_mps = 1.4 WHERE van_id = 2", "driving"),
        ("UPDATE van_position SET speed_mps = 1.3 WHERE van_id = 2", "standing"),
        ("UPDATE van_position SET speed_mps = NULL WHERE van_id = 2", "driving"),
        ("UPDATE van_position SET speed_mps = NULL, ignition = NULL WHERE van_id = 2", "standing"),
        ("UPDATE van_position SET fix_time = '2026-11-20 08:45Z' WHERE van_id = 2", "silent"),
        ("INSERT INTO van_status VALUES (2, '2026-11-20 08:00Z', 'online', 'off')", "off_duty"),
        ("INSERT INTO van_status VALUES (2, '2026-11-20 08:00Z', 'offline', 'on')", "driving"),
        ("DELETE FROM van_position WHERE van_id = 2", "never_seen"),
        ("UPDATE visit SET left_at = NULL, closed_by = NULL WHERE van_id = 2 AND site_id = 2",
         "at_site"),
        ("UPDATE visit SET left_at = NULL, closed_by = NULL WHERE van_id = 2 AND site_id = 1",
         "driving"),
    ],
)  # fmt: skip
async def test_state_follows_the_table_in_states(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], change: str, state: str
) -> None:
    conn.execute("UPDATE van_position SET fix_time = '2026-11-20 08:45:01Z' WHERE van_id = 2")
    conn.execute(change)
    assert (await answer(api, "/v1/vans/V2"))["state"] == state


@pytest.mark.parametrize("path", ["", "/track", "/visits", "/stock", "/tour", "/legs"])
@pytest.mark.parametrize("van", ["NOBODY", "X9", "V1%20", "v1"])
async def test_an_unknown_van_is_not_found(api: httpx.AsyncClient, path: str, van: str) -> None:
    assert await problem(api, f"/v1/vans/{van}{path}") == (404, "van_not_found")


# ---- track ----


def put_fixes(conn: psycopg.Connection[Any], minutes: range) -> None:
    conn.execute(
        "INSERT INTO fix SELECT 1, to_timestamp(%s / 1000) + m * INTERVAL '1 minute',"
        " 45 + m / 1000.0, 4 + m / 1000.0, 5, m, NULL, NULL, NULL, NULL, 0, now()"
        " FROM unnest(%s::int[]) AS m",
        (NOW_MS, list(minutes)),
    )


async def test_track_is_geojson_with_a_time_for_each_point(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    put_fixes(conn, range(-3, 0))
    response = await api.get("/v1/vans/V1/track")
    assert response.headers["content-type"] == "application/geo+json"
    feature = response.json()
    assert feature["geometry"] == {
        "type": "LineString",
        "coordinates": [[3.997, 44.997], [3.998, 44.998], [3.999, 44.999]],
    }
    properties = feature["properties"]
    assert properties["times_ms"] == [NOW_MS + m * MINUTE_MS for m in (-3, -2, -1)]
    assert properties["truncated"] is False


async def test_track_tells_speeds_as_they_are_stored_and_what_is_not_known_as_null(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    put_fixes(conn, range(-3, 0))
    conn.execute(
        "UPDATE fix SET horizontal_accuracy_m = NULL, speed_mps = NULLIF(12.3 - row, 11.3)"
        " FROM (SELECT fix_time, row_number() OVER (ORDER BY fix_time) - 1 AS row FROM fix) AS nth"
        " WHERE nth.fix_time = fix.fix_time"
    )
    properties = (await answer(api, "/v1/vans/V1/track"))["properties"]
    assert properties["speeds_mps"] == [12.3, None, 10.3]
    assert properties["horizontal_accuracies_m"] == [None, None, None]


async def test_track_without_bounds_is_the_12_hours_before_the_newest_fix(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    put_fixes(conn, range(-900, 0))
    times = (await answer(api, "/v1/vans/V1/track"))["properties"]["times_ms"]
    assert (times[0], times[-1]) == (NOW_MS - 721 * MINUTE_MS, NOW_MS - MINUTE_MS)


async def test_track_keeps_the_newest_fixes_of_a_range_that_holds_too_many(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    put_fixes(conn, range(-10, 0))
    bounds = {"from_ms": NOW_MS - 8 * MINUTE_MS, "to_ms": NOW_MS - 2 * MINUTE_MS}
    whole = (await answer(api, "/v1/vans/V1/track", **bounds))["properties"]
    assert len(whole["times_ms"]) == 7
    cut = (await answer(api, "/v1/vans/V1/track", **bounds, limit=2))["properties"]
    assert cut["truncated"] is True
    assert cut["times_ms"] == whole["times_ms"][-2:]


async def test_track_of_one_fix_is_a_point_and_of_none_has_no_geometry(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    assert (await answer(api, "/v1/vans/V3/track"))["geometry"] is None
    put_fixes(conn, range(-1, 0))
    assert (await answer(api, "/v1/vans/V1/track"))["geometry"]["type"] == "Point"


# ---- visits ----


def keys(page: Any) -> list[tuple[str, str]]:
    return [(visit["van"], visit["site"]) for visit in page["visits"]]


async def test_visits_are_those_that_count_newest_first(api: httpx.AsyncClient) -> None:
    page = await answer(api, "/v1/visits")
    assert keys(page) == [("V1", "BAKERY"), ("V2", "SCHOOL"), ("V1", "SCHOOL")]
    assert page["next_cursor"] is None
    first, second, _ = page["visits"]
    assert (first["tour"], first["stop"], first["punctuality"]) == ("TOUR1", 1, "on_time")
    assert (first["left_at_ms"], first["dwell_s"]) == (None, 64 * 60)
    assert second["uncertain"] is True
    assert second["left_at_ms"] == NOW_MS - 150 * MINUTE_MS


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"van": "V2"}, [("V2", "SCHOOL")]),
        ({"site": "SCHOOL"}, [("V2", "SCHOOL"), ("V1", "SCHOOL")]),
        ({"verdict": "pass"}, [("V1", "SCHOOL")]),
        ({"verdict": "undecided"}, []),
        ({"van": "V2", "shadowed": True}, [("V2", "SCHOOL"), ("V2", "BAKERY")]),
        ({"from_ms": NOW_MS - 65 * MINUTE_MS}, [("V1", "BAKERY")]),
        ({"from_ms": NOW_MS - 65 * MINUTE_MS + 1}, []),
        ({"to_ms": NOW_MS - 180 * MINUTE_MS}, [("V1", "SCHOOL")]),
    ],
)
async def test_visits_are_filtered(
    api: httpx.AsyncClient, params: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert keys(await answer(api, "/v1/visits", **params)) == expected


async def test_pages_of_visits_hold_each_visit_once_even_at_equal_times(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by,"
        " verdict, uncertain, ignition_off, service_date, punctuality)"
        " SELECT 3, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict, uncertain,"
        " ignition_off, service_date, punctuality"
        " FROM visit WHERE van_id = 2"
    )
    wanted = keys(await answer(api, "/v1/visits", verdict="any", shadowed=True))
    assert len(wanted) == 7
    seen: list[tuple[str, str]] = []
    cursor: dict[str, str | None] = {}
    for _ in wanted:
        page = await answer(api, "/v1/visits", verdict="any", shadowed=True, limit=1, **cursor)
        seen += keys(page)
        cursor = {"cursor": page["next_cursor"]}
    assert seen == wanted
    assert cursor == {"cursor": None}


async def test_a_visit_says_whether_it_was_out_of_order_or_too_long(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE visit SET wrong_order = true WHERE stop_id = 1")
    conn.execute("UPDATE visit SET overstayed = true WHERE van_id = 2")
    visits = (await answer(api, "/v1/visits"))["visits"]
    assert [(v["wrong_order"], v["overstayed"]) for v in visits] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip


async def test_visits_of_one_van(api: httpx.AsyncClient) -> None:
    page = await answer(api, "/v1/vans/V1/visits")
    assert keys(page) == [("V1", "BAKERY"), ("V1", "SCHOOL")]


def _cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "", "x", "ééé", "not base64!", _cursor("[]"), _cursor("{}"), _cursor("null"),
        _cursor('{"arrived_at_ms": -1, "van": "V1", "site": "S"}'),
        _cursor('{"arrived_at_ms": 99999999999999999999, "van": "V1", "site": "S"}'),
        _cursor('{"arrived_at_ms": "1", "van": "V1", "site": "S"}'),
    ],
)  # fmt: skip
async def test_a_bad_cursor_is_a_bad_request(api: httpx.AsyncClient, cursor: str) -> None:
    assert await problem(api, "/v1/visits", cursor=cursor) == (400, "bad_cursor")
    assert await problem(api, "/v1/vans/V1/visits", cursor=cursor) == (400, "bad_cursor")


# ---- alerts, stock, orders, rejected ----


async def test_open_alerts_come_first_with_the_time_they_last(api: httpx.AsyncClient) -> None:
    alerts = (await answer(api, "/v1/alerts"))["alerts"]
    assert [(a["van"], a["site"], a["state"], a["lasting_s"]) for a in alerts] == [
        ("V1", "SCHOOL", "open", 1800),
        ("V1", "BAKERY", "cleared", 900),
    ]
    only = (await answer(api, "/v1/alerts", state="cleared"))["alerts"]
    assert only == alerts[1:]


MORE_ALERTS = """
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (3, 1, 3, 1, '2026-11-20 09:00Z', '2026-11-20 09:40Z', 3600),
       (4, 1, 4, 2, '2026-11-20 09:00Z', '2026-11-20 09:20Z', 3600);
INSERT INTO alert (van_id, stop_id, kind, due_at, ended_at, state, reason, minutes, cause, pushes,
                   told, raised_time, changed_time)
VALUES (1, 3, 'at_risk', '2026-11-20 09:40Z', NULL, 'open', 'expected 12 min late', 12, 'detour',
        '{4,5}', true, '2026-11-20 08:55Z', '2026-11-20 08:55Z'),
       (1, 4, 'at_risk', '2026-11-20 09:20Z', NULL, 'open', 'it may be late', -1, NULL,
        '{}', false, '2026-11-20 08:50Z', '2026-11-20 08:50Z'),
       (1, 1, 'overstayed', '2026-11-20 08:55Z', NULL, 'open', 'longer than planned', 35,
        'long_visit', '{}', true, '2026-11-20 08:56Z', '2026-11-20 08:56Z'),
       (1, 3, 'missed', '2026-11-19 15:00Z', NULL, 'open', 'nobody came that day', NULL, NULL,
        '{}', true, '2026-11-20 02:00Z', '2026-11-20 02:00Z'),
       (1, 4, 'missed', '2026-11-18 15:00Z', NULL, 'open', 'nobody came that day', NULL, NULL,
        '{}', true, '2026-11-19 02:00Z', '2026-11-19 02:00Z'),
       (2, NULL, 'silent', '2026-11-20 08:40Z', NULL, 'open', 'no position', 15, 'silence',
        '{}', true, '2026-11-20 08:55Z', '2026-11-20 08:55Z'),
       (2, NULL, 'silent', '2026-11-20 07:00Z', '2026-11-20 07:30Z', 'cleared',
        'back after 30 min', 30, NULL, '{}', true, '2026-11-20 07:15Z', '2026-11-20 07:31Z');
"""


async def test_late_and_missed_stops_come_before_those_at_risk_and_silences_after(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(MORE_ALERTS)
    alerts = (await answer(api, "/v1/alerts"))["alerts"]
    assert [(a["kind"], a["state"], a["stop"]) for a in alerts] == [
        ("late", "open", 2),
        ("missed", "open", 3),
        ("missed", "open", 4),
        ("at_risk", "open", 3),
        ("at_risk", "open", 4),
        ("silent", "open", None),
        ("overstayed", "open", 1),
        ("late", "cleared", 1),
        ("silent", "cleared", None),
    ]
    at_risk = alerts[3]
    assert (at_risk["minutes"], at_risk["cause"], at_risk["pushes"], at_risk["told"]) == (
        12, "detour", [4, 5], True,
    )  # fmt: skip
    assert at_risk["lasting_s"] == 0


async def test_a_silent_van_has_an_alert_without_a_stop(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(MORE_ALERTS)
    silent, back = (await answer(api, "/v1/alerts", kind="silent"))["alerts"]
    assert silent["van"] == "V2"
    assert {silent[name] for name in ("site", "site_name", "tour", "stop_id", "stop")} == {None}
    assert (silent["lasting_s"], silent["ended_at_ms"]) == (20 * 60, None)
    assert (back["state"], back["lasting_s"]) == ("cleared", 30 * 60)
    assert back["ended_at_ms"] == NOW_MS - 90 * MINUTE_MS


@pytest.mark.parametrize(
    ("kind", "count"),
    [("at_risk", 2), ("late", 2), ("missed", 2), ("overstayed", 1), ("silent", 2)],
)
async def test_alerts_are_filtered_by_kind(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], kind: str, count: int
) -> None:
    conn.execute(MORE_ALERTS)
    alerts = (await answer(api, "/v1/alerts", kind=kind))["alerts"]
    assert [a["kind"] for a in alerts] == [kind] * count


async def test_stock_adds_lots_and_says_what_is_below_its_reorder_point(
    api: httpx.AsyncClient,
) -> None:
    stock = await answer(api, "/v1/vans/V1/stock")
    assert [(x["item"], x["qty"], x["on_order"], x["reorder_point"], x["below"])
            for x in stock["levels"]] == [
        ("FIL-20", 4, 6, 4, True),
        ("SEAL_5", 0, 0, 2, True),
        ("PUMP", 7, 1, None, False),
    ]  # fmt: skip
    assert stock["levels"][0]["counted_at_ms"] == NOW_MS - 47 * 60 * MINUTE_MS


@pytest.mark.parametrize(
    ("params", "items"),
    [
        ({"q": "fil"}, ["FIL-20"]),
        ({"q": "%"}, ["SEAL_5"]),
        ({"q": "_"}, ["SEAL_5"]),
        ({"q": "nothing"}, []),
        ({"below": True}, ["FIL-20", "SEAL_5"]),
        ({"limit": 1}, ["FIL-20"]),
    ],
)
async def test_stock_is_searched_literally(
    api: httpx.AsyncClient, params: dict[str, Any], items: list[str]
) -> None:
    stock = await answer(api, "/v1/vans/V1/stock", **params)
    assert [level["item"] for level in stock["levels"]] == items
    assert stock["truncated"] is ("limit" in params)


async def test_an_order_shows_why_each_line_is_on_it(api: httpx.AsyncClient) -> None:
    [order] = (await answer(api, "/v1/orders"))["orders"]
    assert (order["code"], order["van"], order["lines"], order["units"]) == ("O-1", "V1", 2, 7)
    one = await answer(api, "/v1/orders/O-1")
    assert one["order"] == order
    assert [(line["item"], line["why"]) for line in one["lines"]] == [
        ("FIL-20", "4 on hand, reorder at 4"),
        ("PUMP", None),
    ]
    assert one["lines"][1]["inputs"] == {"on_hand": 0}


async def test_orders_are_filtered_by_van_and_state(api: httpx.AsyncClient) -> None:
    assert (await answer(api, "/v1/orders", van="V2"))["orders"] == []
    assert (await answer(api, "/v1/orders", state="received"))["orders"] == []
    assert len((await answer(api, "/v1/orders", van="V1", state="sent"))["orders"]) == 1


async def test_rejected_messages_show_raw_bytes_both_ways(api: httpx.AsyncClient) -> None:
    rejected = await answer(api, "/v1/rejected")
    assert [(r["reason"], r["count"]) for r in rejected["reasons"]] == [
        ("malformed", 1), ("unknown_van", 1),
    ]  # fmt: skip
    assert [m["van"] for m in rejected["messages"]] == ["NOBODY", "V1"]
    shown = rejected["messages"][1]
    assert shown["payload_text"] == "\ufffd\0abc"
    assert base64.b64decode(shown["payload_base64"]) == b"\xff\0abc"
    assert shown["payload_bytes"] == 5


async def test_only_the_beginning_of_a_long_rejected_payload_is_sent(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE rejected SET payload = %s", (b"x" * 1_000_000,))
    [shown, _] = (await answer(api, "/v1/rejected"))["messages"]
    assert (len(shown["payload_text"]), shown["payload_bytes"]) == (2_048, 1_000_000)


# ---- overview, metrics, operations ----


async def test_overview_counts_today_in_paris(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO ingest_activity VALUES"
        " (clock_timestamp() - INTERVAL '10 s', 1, 100, 90, 8, 2, '{0,0,50,49,1}'),"
        " (clock_timestamp() - INTERVAL '20 s', 1, 200, 190, 8, 2, '{0,0,101,99}'),"
        " (clock_timestamp() - INTERVAL '90 s', 1, 999, 9, 9, 9, '{0,0,0,0,0,0,0,0,999}')"
    )
    assert await answer(api, "/v1/overview") == {
        "vans_total": 3,
        "vans_seen_today": 2,
        "vans_on_the_road": 1,
        "vans_silent": 1,
        "visits_today": 2,
        "late_stops_today": 2,
        "stops_late": 1,
        "vans_late": 1,
        "stops_at_risk": 0,
        "vans_at_risk": 0,
        "alerts_open": 1,
        "scans_today": 1,
        "orders_open": 1,
        "rejected_24h": 2,
        "messages_per_s": 5.0,
        "lag_p50_ms": 4,
        "lag_p99_ms": 8,
    }


async def test_overview_counts_what_is_late_and_at_risk_and_forgets_what_was_missed_long_ago(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(MORE_ALERTS)
    figures = await answer(api, "/v1/overview")
    counted = ("stops_late", "vans_late", "stops_at_risk", "vans_at_risk", "alerts_open")
    assert [figures[name] for name in counted] == [1, 1, 2, 1, 6]
    assert figures["vans_silent"] == 1


async def test_overview_of_an_empty_database_has_no_lag(database_url: str) -> None:
    async with client_of(settings_at(database_url)) as empty:
        figures = await answer(empty, "/v1/overview")
        assert (figures["vans_total"], figures["lag_p99_ms"]) == (0, None)
        assert (await answer(empty, "/v1/vans"))["vans"] == []


async def metric_values(api: httpx.AsyncClient) -> dict[tuple[str, str], float]:
    response = await api.get("/metrics")
    assert response.status_code == 200
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


async def test_metrics_show_the_whole_installation(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("INSERT INTO outbox (topic, payload, created_time) VALUES ('a', '', now())")
    found = await metric_values(api)
    assert found["fleet_vans", "at_site"] == 2
    assert found["fleet_vans", "silent"] == 1
    assert found["fleet_dead_letters", "malformed"] == 2
    assert found["fleet_alerts", "open"] == 2
    assert found["fleet_outbox_pending", ""] == 1
    assert found["fleet_database_up", ""] == 1
    assert found["fleet_sse_clients", ""] == 0


async def test_errors_of_arrival_times_are_told_by_how_far_ahead_they_were_said(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    name = "fleet_eta_error_seconds_bucket"
    assert (await metric_values(api))[name, "2h,+Inf"] == 0  # there before the first arrival is
    conn.execute(
        "INSERT INTO ingest_activity (second, batches, messages, fixes, scans, rejected, lag_counts,"
        " tallies) VALUES (clock_timestamp() - INTERVAL '30 s', 1, 5, 3, 1, 1, '{1}',"
        ' \'{"eta_30m:0": 1, "eta_30m:7": 2, "eta_2h:13": 4, "event:visit": 9}\')'
    )
    found = await metric_values(api)
    bounds = ("-3600.0", "0.0", "120.0", "3600.0", "+Inf")
    assert [found[name, f"30m,{bound}"] for bound in bounds] == [1, 1, 3, 3, 3]
    assert [found[name, f"2h,{bound}"] for bound in bounds] == [0, 0, 0, 0, 4]
    assert ("fleet_eta_error_seconds_sum", "30m") not in found  # of what may be below zero


async def test_message_counters_add_settled_seconds_once_and_never_fall(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    second = (
        "INSERT INTO ingest_activity VALUES (clock_timestamp() - %s::interval, 1, 10, 9, 1, 0, %s)"
    )
    conn.execute(second, ("60 s", [0, 0, 10]))
    conn.execute(second, ("-60 s", [0, 0, 10]))
    for _ in range(2):
        found = await metric_values(api)
        assert found["fleet_messages_total", ""] == 10
        assert found["fleet_ingest_lag_seconds_bucket", "0.002"] == 0
        assert found["fleet_ingest_lag_seconds_bucket", "0.004"] == 10
    conn.execute("DELETE FROM ingest_activity")
    conn.execute(second, ("30 s", [0, 5, 5]))
    found = await metric_values(api)
    assert found["fleet_messages_total", ""] == 20
    assert found["fleet_ingest_lag_seconds_bucket", "+Inf"] == 20


async def test_ready_once_every_migration_is_applied(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    assert await answer(api, "/readyz") == {"status": "ready"}
    conn.execute("DELETE FROM _yoyo_migration WHERE migration_id LIKE '0003%'")
    assert await problem(api, "/readyz") == (503, "migrations_missing")
    assert "0003.stock" in (await api.get("/readyz")).json()["detail"]
    conn.execute("DROP TABLE _yoyo_migration CASCADE")
    assert await problem(api, "/readyz") == (503, "migrations_missing")


async def test_without_a_database_the_process_is_alive_but_not_ready(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.resources.CONNECTION_WITHIN_S", 0.5)
    monkeypatch.setattr("api.routes.operations.CONNECTION_WITHIN_S", 0.5)
    held = api.app.state.resources  # type: ignore[attr-defined]
    token = await machine_token(api, "ops")
    await held.pool.close()
    assert await answer(api, "/healthz") == {"status": "alive"}
    assert await problem(api, "/readyz") == (503, "database_unavailable")
    assert await problem(api, "/v1/vans") == (503, "database_unavailable")
    assert await problem(api, "/metrics") == (503, "database_unavailable")
    api.headers["authorization"] = f"Bearer {token}"
    found = await metric_values(api)
    assert found["fleet_database_up", ""] == 0
    assert ("fleet_vans", "silent") not in found


# ---- refusals ----


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/visits", {"limit": 501}),
        ("/v1/visits", {"limit": 0}),
        ("/v1/visits", {"limit": "many"}),
        ("/v1/visits", {"verdict": "maybe"}),
        ("/v1/visits", {"from_ms": -1}),
        ("/v1/visits", {"from_ms": 10**20}),
        ("/v1/visits", {"from_ms": 5, "to_ms": 5}),
        ("/v1/visits", {"van": "x" * 201}),
        ("/v1/visits", {"cursor": "x" * 1_001}),
        ("/v1/vans/V1/visits", {"limit": 501}),
        ("/v1/vans/V1/track", {"limit": 20_001}),
        ("/v1/vans/V1/track", {"from_ms": 9, "to_ms": 3}),
        ("/v1/vans/V1/stock", {"limit": 5_001}),
        ("/v1/vans/V1/stock", {"q": "x" * 201}),
        ("/v1/alerts", {"state": "gone"}),
        ("/v1/alerts", {"kind": "early"}),
        ("/v1/tours", {"date": "tomorrow"}),
        ("/v1/tours", {"date": "1999-12-31"}),
        ("/v1/tours", {"date": "1795165200"}),
        ("/v1/vans/V1/tour", {"date": "2026-02-30"}),
        ("/v1/vans/V1/legs", {"from_ms": 9, "to_ms": 3}),
        ("/v1/vans/V1/legs", {"from_ms": 0, "to_ms": 31 * 86_400_000 + 1}),
        ("/v1/vans/V1/legs", {"from_ms": 0}),
        ("/v1/fixes/unusable", {"from_ms": 5, "to_ms": 5}),
        ("/v1/fixes/unusable", {"from_ms": 0}),
        ("/v1/alerts", {"limit": 501}),
        ("/v1/orders", {"state": "lost"}),
        ("/v1/rejected", {"limit": 501}),
    ],
)
async def test_a_wrong_parameter_is_named(
    api: httpx.AsyncClient, path: str, params: dict[str, Any]
) -> None:
    assert await problem(api, path, **params) == (422, "invalid_parameters")
    errors = (await api.get(path, params=params)).json()["errors"]
    assert {error["where"].removeprefix("query.") for error in errors} <= set(params)


@pytest.mark.parametrize(
    ("path", "params", "refusal"),
    [
        ("/v1/visits", {"van": "X9"}, (404, "van_not_found")),
        ("/v1/visits", {"site": "HARBOUR"}, (404, "site_not_found")),
        ("/v1/visits", {"site": "NOWHERE"}, (404, "site_not_found")),
        ("/v1/orders", {"van": "X9"}, (404, "van_not_found")),
        ("/v1/orders/NONE", {}, (404, "order_not_found")),
        ("/v1/orders/O-9", {}, (404, "order_not_found")),
        ("/v1/nothing", {}, (404, "route_not_found")),
        ("/nothing.html", {}, (404, "route_not_found")),
        ("/../pyproject.toml", {}, (404, "route_not_found")),
        ("/%2e%2e/app.py", {}, (404, "route_not_found")),
        ("/docs", {}, (404, "route_not_found")),
        ("/v1/vans/%00", {}, (422, "invalid_parameters")),
        ("/v1/vans/V1/stock", {"q": "a\0"}, (422, "invalid_parameters")),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(
    api: httpx.AsyncClient, path: str, params: dict[str, Any], refusal: tuple[int, str]
) -> None:
    assert await problem(api, path, **params) == refusal


@pytest.mark.parametrize(
    ("method", "path", "title"),
    [
        ("GET", "/v1/vans/X9", "Dieses Fahrzeug gibt es nicht"),
        ("GET", "/v1/vans/V1/visits?limit=x", "Ein Parameter ist falsch"),
        ("GET", "/nowhere.html", "Unter dieser Adresse ist nichts"),
        ("PATCH", "/v1/vans", "Nicht mit dieser Methode"),
    ],
    ids=["by a route", "of parameters", "by files", "at the door"],
)
async def test_a_problem_has_its_title_in_the_language_that_is_asked_for(
    api: httpx.AsyncClient, method: str, path: str, title: str
) -> None:
    english = await api.request(method, path)
    assert english.headers["content-language"] == "en"
    assert "Accept-Language" in english.headers["vary"]
    asked = {"accept-language": "xx, de-AT;q=0.9, en;q=0.8"}
    german = await api.request(method, path, headers=asked)
    assert german.json() == english.json() | {"title": title}
    assert german.headers["content-language"] == "de"
    invented = await api.request(method, path, headers={"accept-language": "en-XA"})
    assert invented.json()["title"].startswith("[")


async def test_other_methods_are_refused(api: httpx.AsyncClient) -> None:
    for path, there_are in {
        "/v1/vans": "GET",
        "/v1/session": "DELETE, GET, POST",
        "/base/format.js": "GET, HEAD",
    }.items():
        response = await api.patch(path)
        assert refusal(response) == (405, "method_not_allowed")
        assert response.headers["allow"] == there_are


async def test_a_mistake_of_ours_tells_nothing_of_itself(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise AssertionError("secret")

    monkeypatch.setattr("api.queries.vans.of_organisation", broken)
    assert await problem(api, "/v1/vans") == (500, "internal_error")
    assert "secret" not in (await api.get("/v1/vans")).text


# ---- organisations ----

LISTS = ["/v1/tours", "/v1/fixes/unusable", "/v1/vans", "/v1/visits?verdict=any&shadowed=true", "/v1/alerts", "/v1/orders",
         "/v1/rejected", "/v1/overview"]  # fmt: skip


@pytest.mark.parametrize("path", LISTS)
async def test_no_organisation_sees_rows_of_another(api: httpx.AsyncClient, path: str) -> None:
    ours = (await api.get(path)).text
    as_organisation(api, 2)
    theirs = (await api.get(path)).text
    for mine in ("V1", "V2", "BAKERY", "SCHOOL", "O-1", "NOBODY", "Ana"):
        assert f'"{mine}"' not in theirs
    for foreign in ("X9", "HARBOUR", "O-9", "theirs"):
        assert f'"{foreign}"' not in ours


async def test_another_organisation_sees_its_own_rows(api: httpx.AsyncClient) -> None:
    as_organisation(api, 2)
    assert [van["code"] for van in (await answer(api, "/v1/vans"))["vans"]] == ["X9"]
    assert keys(await answer(api, "/v1/visits")) == [("X9", "HARBOUR")]
    assert len((await answer(api, "/v1/alerts"))["alerts"]) == 1
    assert [o["code"] for o in (await answer(api, "/v1/orders"))["orders"]] == ["O-9"]
    assert [m["detail"] for m in (await answer(api, "/v1/rejected"))["messages"]] == ["theirs"]
    figures = await answer(api, "/v1/overview")
    assert (figures["vans_total"], figures["visits_today"], figures["scans_today"]) == (1, 1, 1)
    assert await problem(api, "/v1/vans/V1") == (404, "van_not_found")
    assert await problem(api, "/v1/orders/O-1") == (404, "order_not_found")


# ---- the page's files, the schema, the address ----


async def test_the_page_comes_with_a_policy_that_forbids_foreign_code(
    api: httpx.AsyncClient,
) -> None:
    response = await api.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    for name in ("start.js", "base/base.css", "base/i18n.js", "planner/page.js", "icon.svg"):
        file = await api.get(f"/{name}")
        assert file.status_code == 200
        assert "http://" not in file.text.replace("http://www.w3.org/", "")
        assert "https://" not in file.text


async def test_every_route_is_described(api: httpx.AsyncClient) -> None:
    paths = (await answer(api, "/v1/openapi.json"))["paths"]
    assert set(paths) == {
        "/healthz", "/readyz", "/metrics", "/v1/vans", "/v1/vans/{van}", "/v1/vans/{van}/track",
        "/v1/vans/{van}/visits", "/v1/vans/{van}/stock", "/v1/vans/{van}/tour", "/v1/tours",
        "/v1/vans/{van}/legs", "/v1/fixes/unusable", "/v1/tours/{code}", "/v1/sites/{code}",
        "/v1/visits", "/v1/alerts", "/v1/orders", "/v1/orders/{code}", "/v1/order-lines", "/v1/rejected",
        "/v1/overview", "/v1/live", "/v1/stops/{stop_id}/proposals",
        "/v1/webhooks", "/v1/webhooks/deliveries", "/v1/webhooks/deliveries/{delivery_id}/resend",
        "/v1/stock/figures", "/v1/stock/missing", "/v1/stock/dead", "/v1/stock/trust",
        "/v1/parts", "/v1/parts/questions", "/v1/parts/unknown-codes",
        "/v1/orders/{code}/approval", "/v1/orders/{code}/reports", "/v1/proposals",
        "/v1/proposals/{van}/{item}/approval", "/v1/transfers",
        "/v1/transfers/{transfer_id}/decision", "/v1/counts/variances", "/v1/counts/recounts", "/v1/boxes/unclaimed",
        "/v1/parts/waiting", "/v1/parts/waiting/{van}/{epoch}/{seq}/decision",
        "/v1/orders/{code}/pick-list.pdf", "/v1/orders/{code}/pick-list.csv",
        "/v1/orders/{code}/boxes", "/v1/orders/{code}/boxes/{sscc}.pdf",
        "/v1/warehouses/{code}/bin-labels.pdf", "/v1/templates/proposals",
        "/v1/templates/{template}/acceptance",
        "/v1/session", "/v1/session/ways", "/v1/token",
        "/v1/session/oidc", "/v1/session/oidc/callback",
        "/v1/me/password", "/v1/me/sessions", "/v1/me/access-log", "/v1/planning", "/v1/visit-reports",
        "/v1/retention", "/v1/rejected/{rejected_id}", "/v1/rejected/{rejected_id}/replay",
        "/v1/rejected/{rejected_id}/discard", "/v1/parts/unknown-codes/mapping",
        "/v1/audit", "/v1/devices", "/v1/outbox", "/v1/servers",
        "/v1/map", "/v1/map/tiles.pmtiles",
        "/v1/alerts/{alert_id}", "/v1/people",
        "/v1/replans", "/v1/replans/{replan_id}/undo",
        "/v1/devices/{van}/events:batch", "/v1/me/day", "/v1/catalogue",
        "/v1/visit-reports/{report}.pdf",
        "/v1/messages", "/v1/messages/{id}/read",
        "/v1/fences", "/v1/search",
        "/v1/ingress/owntracks", "/v1/ingress/osmand",
    }  # fmt: skip
