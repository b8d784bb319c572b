"""Lists as CSV: all rows, in columns that a spreadsheet can work with, and no formula among them."""

import csv
import io
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import (
    NOW_MS,
    answer,
    as_organisation,
    new_session,
    new_user,
    problem,
    sign_in_as,
)

Database = psycopg.Connection[Any]

DAY = {"from_ms": NOW_MS - 86_400_000, "to_ms": NOW_MS + 86_400_000}
MOVED = """
INSERT INTO location (location_id, organisation_id, kind) VALUES (501, 2, 'customer');
INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id, to_location_id)
SELECT 'V1', 'e', 1, '2026-11-20 08:00Z', 'issue', 1, 2, 101, location_id FROM location
WHERE kind = 'customer' AND organisation_id = 1;
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw, received_time)
VALUES ('V1', 'e', 80, 0, 1, '2026-11-20 08:00Z', 'issue', 'NEW', 'unknown_code', '{}', '2026-11-20 08:00Z');
INSERT INTO missing_part (device, epoch, seq, location_id, item_id, qty, t)
VALUES ('V1', 'e', 81, 101, 1, 2, '2026-11-20 08:00Z');
INSERT INTO operator_action (organisation_id, done_time, done_by, action, subject, detail)
VALUES (1, '2026-11-20 08:00Z', 'user:ola', 'discard', '01', 'fleet/v1/V1/scan: malformed');
"""


async def table(api: httpx.AsyncClient, path: str, **params: Any) -> list[dict[str, str]]:
    response = await api.get(path, params={**params, "format": "csv"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(response.text, newline="")))


@pytest.mark.parametrize(
    ("path", "params", "name", "of"),
    [
        ("/v1/alerts", {}, "alerts-2026-11-20.csv", "alerts"),
        ("/v1/visits", {}, "visits-2026-11-20.csv", "visits"),
        ("/v1/orders", {}, "orders-2026-11-20.csv", "orders"),
        ("/v1/vans/V1/stock", {}, "stock-2026-11-20.csv", "levels"),
        ("/v1/parts", DAY, "parts-2026-11-20.csv", "charges"),
        ("/v1/visit-reports", DAY, "visit-reports-2026-11-20.csv", "reports"),
        ("/v1/audit", {}, "audit-2026-11-20.csv", "actions"),
        ("/v1/order-lines", {}, "order-lines-2026-11-20.csv", "lines"),
        ("/v1/parts/unknown-codes", {}, "unknown-codes-2026-11-20.csv", "codes"),
        ("/v1/stock/missing", {}, "missing-2026-11-20.csv", "items"),
    ],
)
async def test_a_csv_has_the_rows_and_columns_of_the_list(
    api: httpx.AsyncClient, conn: Database, path: str, params: dict[str, Any], name: str, of: str
) -> None:
    conn.execute(MOVED)
    response = await api.get(path, params={**params, "format": "csv"})
    assert response.headers["content-disposition"] == f'attachment; filename="{name}"'
    rows = await table(api, path, **params)
    listed = (await answer(api, path, **params))[of]
    assert len(rows) == len(listed) > 0
    for row, told in zip(rows, listed, strict=True):
        for column, value in told.items():
            if isinstance(value, str) and not value.startswith("-"):
                assert row[column] == value, column
            if column.endswith("_ms"):
                assert column not in row
                assert bool(row[column.removesuffix("_ms")]) == (value is not None)


async def test_a_csv_has_all_rows_whatever_the_page(api: httpx.AsyncClient, conn: Database) -> None:
    conn.execute(
        "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain,"
        " ignition_off, service_date) SELECT 1, 1, '2026-11-01Z'::timestamptz + n * INTERVAL '1 min',"
        " '2026-11-01Z'::timestamptz + n * INTERVAL '1 min', 'visit', false, false, '2026-11-01'"
        " FROM generate_series(1, 2500) AS n"
    )
    rows = await table(api, "/v1/visits", limit=1)
    assert len(rows) == 2_503
    assert rows[0]["arrived_at"] == "2026-11-20T08:55:00+01:00"  # in Paris
    assert [row["arrived_at"] for row in rows] == sorted(
        (row["arrived_at"] for row in rows), reverse=True
    )


async def test_the_hour_that_comes_twice_is_told_apart_by_its_offset(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute("DELETE FROM visit")
    conn.execute(
        "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain,"
        " ignition_off, service_date) SELECT 1, 1, t, t, 'visit', false, false, '2026-10-25'"
        " FROM unnest('{2026-10-25 00:30Z,2026-10-25 01:30Z}'::timestamptz[]) AS t"
    )
    assert [row["arrived_at"] for row in await table(api, "/v1/visits")] == [
        "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00+02:00",
    ]  # fmt: skip


async def test_what_is_nested_is_taken_apart_and_what_is_null_is_empty(
    api: httpx.AsyncClient,
) -> None:
    [row, other] = await table(api, "/v1/alerts")
    assert {"handling_owner", "handling_acknowledged_at", "handling_version"} <= set(row)
    assert row["handling_version"] == ""
    body = {"acknowledged": True, "note": '=HYPERLINK("http://evil")'}
    await api.patch("/v1/alerts/2", json=body, headers={"if-match": "*"})
    [row, other] = await table(api, "/v1/alerts")
    assert row["handling_acknowledged_by"] == "user:admin-1"
    assert row["handling_acknowledged_at"] == "2026-11-20T10:00:00+01:00"
    assert row["handling_note"] == '\'=HYPERLINK("http://evil")'
    assert (row["told"], row["pushes"], row["ended_at"]) == ("false", "[]", "")
    assert other["handling_owner"] == ""


async def test_tours_are_a_row_a_stop(api: httpx.AsyncClient, conn: Database) -> None:
    conn.execute(
        "INSERT INTO eta SELECT 2, '2026-11-20 08:59Z', '2026-11-20 09:10Z', '2026-11-20 09:20Z',"
        " '2026-11-20 09:40Z', 0.5"
    )
    rows = await table(api, "/v1/tours")
    assert [(row["van"], row["tour"], row["stop"], row["state"]) for row in rows] == [
        ("V1", "TOUR1", "1", "arrived"), ("V1", "TOUR1", "2", "scheduled"),
    ]  # fmt: skip
    assert rows[1]["eta_early_at"] == "2026-11-20T10:10:00+01:00"
    assert rows[0]["eta_early_at"] == ""
    assert await table(api, "/v1/tours", date="2026-11-22") == []


async def test_a_byte_order_mark_is_there_for_whoever_asks(api: httpx.AsyncClient) -> None:
    plain = await api.get("/v1/orders?format=csv")
    marked = await api.get("/v1/orders?format=csv&bom=true")
    assert marked.content == b"\xef\xbb\xbf" + plain.content


async def test_names_that_are_formulas_are_text(api: httpx.AsyncClient, conn: Database) -> None:
    conn.execute("UPDATE item SET name = '=1+1' WHERE item_id = 3; UPDATE level SET qty = -5")
    rows = await table(api, "/v1/vans/V1/stock")
    assert {row["item"]: row["name"] for row in rows}["PUMP"] == "'=1+1"
    assert {row["qty"] for row in rows} == {"-10", "-5", "0"}


async def test_what_no_spreadsheet_takes_is_refused_before_it_begins(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.spreadsheets.ROWS_MAX", 1)
    assert await problem(api, "/v1/visits", format="csv") == (422, "csv_too_long")
    assert await problem(api, "/v1/visits", format="xls") == (422, "invalid_parameters")


async def test_a_csv_shows_nobody_more_than_the_list(
    api: httpx.AsyncClient, database_url: str
) -> None:
    login = new_user(database_url, "tec", "technician", technician_id=1)
    sign_in_as(api, new_session(database_url, login))
    assert {row["van"] for row in await table(api, "/v1/visits")} == {"V1"}
    assert await problem(api, "/v1/visits", van="V2", format="csv") == (404, "van_not_found")
    as_organisation(api, 2)
    assert {row["van"] for row in await table(api, "/v1/visits")} == {"X9"}
    assert {row["van"] for row in await table(api, "/v1/alerts")} == {"X9"}
