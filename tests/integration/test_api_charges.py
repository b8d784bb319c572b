"""Scans meet visits: what was used where, whichever came late, and what does not fit together."""

from datetime import timedelta
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import answer

MINUTE_MS = 60_000
#: 2026-11-20 00:00 UTC.
MIDNIGHT_MS = 1_795_132_800_000
#: V1 is at the bakery from 7:55 on; it was at the school on the day before, until 9:31.
USED = """
INSERT INTO scan VALUES
  ('V1', 'u', {seq}, 0, 1, '{t}', '{kind}', 'FIL-20', 'applied', '{{}}', '2026-11-20 09:00Z');
INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id,
                      to_location_id, work_order)
VALUES ('V1', 'u', {seq}, '{t}', '{kind}', 1, 2, 101,
        (SELECT location_id FROM location WHERE organisation_id = 1 AND kind = 'customer'), {job});
"""
#: By the second scan, at the time of the first.
TAKEN_BACK = """
INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id, to_location_id,
                      reverses_epoch, reverses_seq)
SELECT device, epoch, 2, t, 'reverse', item_id, qty, to_location_id, from_location_id, epoch, seq
FROM movement WHERE (device, epoch, seq) = ('V1', 'u', 1)
"""
LEFT_AT_8_30 = """
UPDATE visit SET left_at = '2026-11-20 08:30Z', last_inside_at = '2026-11-20 08:29Z'
WHERE (van_id, site_id) = (1, 1)
"""
DAY = {"from_ms": MIDNIGHT_MS, "to_ms": MIDNIGHT_MS + 24 * 60 * MINUTE_MS}


def use(
    conn: psycopg.Connection[Any], seq: int, t: str, kind: str = "issue", job: str = "NULL"
) -> None:
    for statement in USED.format(seq=seq, t=f"2026-11-20 {t}Z", kind=kind, job=job).split(";\n"):
        if statement.strip():
            conn.execute(statement)


async def charged(api: httpx.AsyncClient, **which: Any) -> list[tuple[Any, ...]]:
    rows = (await answer(api, "/v1/parts", **DAY, **which))["charges"]
    return [(row["site"], row["stop"], row["work_order"]) for row in rows]


async def asked(api: httpx.AsyncClient, **which: Any) -> list[tuple[Any, ...]]:
    rows = (await answer(api, "/v1/parts/questions", **DAY, **which))["questions"]
    return [(row["kind"], row["van"], row["site"], row["item"], row["qty"]) for row in rows]


async def test_a_part_is_charged_to_the_visit_and_the_job_of_its_time(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("UPDATE stop SET work_order = 'WO-1' WHERE stop_id = 1")
    use(conn, 1, "08:10")
    [row] = (await answer(api, "/v1/parts", **DAY))["charges"]
    assert row == {
        "t_ms": MIDNIGHT_MS + 490 * MINUTE_MS,
        "van": "V1",
        "kind": "issue",
        "item": "FIL-20",
        "name": "Filter 20",
        "base_unit": "piece",
        "lot": "",
        "qty": 2,
        "site": "BAKERY",
        "site_name": "Bakery",
        "arrived_at_ms": MIDNIGHT_MS + 475 * MINUTE_MS,
        "tour": "TOUR1",
        "stop": 1,
        "work_order": "WO-1",
    }
    use(conn, 2, "08:11", job="'WO-9'")
    assert await charged(api) == [("BAKERY", 1, "WO-9"), ("BAKERY", 1, "WO-1")]
    assert await charged(api, work_order="WO-9") == [("BAKERY", 1, "WO-9")]


async def test_what_was_taken_back_was_not_used(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEFT_AT_8_30)
    use(conn, 1, "08:10")
    assert await charged(api) == [("BAKERY", 1, None)]
    conn.execute(TAKEN_BACK)
    assert await charged(api) == []
    assert ("visit_without_scan", "V1", "BAKERY", None, None) in await asked(api)


@pytest.mark.parametrize(
    ("t", "site"),
    [
        ("07:54:59", None),
        ("07:55", "BAKERY"),
        ("08:30", "BAKERY"),
        ("08:40", "BAKERY"),
        ("08:40:01", None),
    ],
)
async def test_a_part_belongs_to_the_visit_until_10_minutes_after_the_van_has_left(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], t: str, site: str | None
) -> None:
    conn.execute(LEFT_AT_8_30)
    use(conn, 1, t)
    assert [row[0] for row in await charged(api)] == [site]


async def test_a_part_belongs_to_the_visit_that_has_begun_last(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEFT_AT_8_30)
    use(conn, 1, "08:35")
    conn.execute(
        "UPDATE visit SET verdict = 'visit', arrived_at = '2026-11-20 08:33Z',"
        " left_at = '2026-11-20 08:50Z' WHERE (van_id, site_id, verdict) = (1, 2, 'pass')"
    )
    assert [row[0] for row in await charged(api)] == ["SCHOOL"]


async def test_a_visit_that_is_known_late_takes_the_parts_that_were_used_there(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEFT_AT_8_30)
    bakery = "UPDATE visit SET verdict = %s WHERE (van_id, site_id) = (1, 1)"
    conn.execute(bakery, ("undecided",))
    use(conn, 1, "08:10")
    assert await charged(api) == [(None, None, None)]
    assert await asked(api) == [("scan_without_visit", "V1", None, "FIL-20", 2)]
    conn.execute(bakery, ("visit",))
    assert await charged(api) == [("BAKERY", 1, None)]
    assert await asked(api) == []


async def test_a_planned_visit_that_used_nothing_is_asked_about_once_it_is_over(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    assert await asked(api) == []
    conn.execute(LEFT_AT_8_30)
    conn.execute("INSERT INTO stop_part VALUES (1, 1, 2), (1, 2, 1)")
    assert await asked(api) == [("visit_without_scan", "V1", "BAKERY", None, 3)]
    use(conn, 1, "08:10", "return")
    assert len(await asked(api)) == 1
    use(conn, 2, "08:38")
    assert await asked(api) == []


async def test_a_visit_is_asked_about_whose_van_used_something_only_at_the_next_one(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LEFT_AT_8_30)
    conn.execute(
        "UPDATE visit SET verdict = 'visit', arrived_at = '2026-11-20 08:33Z',"
        " left_at = '2026-11-20 08:50Z' WHERE (van_id, site_id, verdict) = (1, 2, 'pass')"
    )
    use(conn, 1, "08:35")
    assert ("visit_without_scan", "V1", "BAKERY", None, None) in await asked(api)
    use(conn, 2, "08:32")
    assert "BAKERY" not in [row[2] for row in await asked(api)]


FIX = """
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
VALUES (1, '2026-11-20 {t}Z', {latitude_deg}, 4.8, 0, '2026-11-20 09:00Z')
"""


@pytest.mark.parametrize(
    ("latitude_deg", "is_asked"), [(45.7, False), (45.7044, False), (45.7046, True), (45.8, True)]
)
async def test_a_load_further_than_500_m_from_every_depot_is_asked_about(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], latitude_deg: float, *, is_asked: bool
) -> None:
    use(conn, 1, "06:00", "load")
    conn.execute(FIX.format(t="05:50", latitude_deg=latitude_deg))
    kinds = [kind for kind, *_ in await asked(api)]
    assert kinds == ["load_away_from_depot"] * is_asked


async def test_a_load_at_home_or_of_a_van_whose_place_is_not_known_is_not_asked_about(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    use(conn, 1, "06:00", "load")
    assert await asked(api) == []
    conn.execute(FIX.format(t="05:44", latitude_deg=45.8))
    conn.execute(FIX.format(t="06:01", latitude_deg=45.8))
    assert await asked(api) == []
    conn.execute(FIX.format(t="05:46", latitude_deg=45.8))
    assert len(await asked(api)) == 1
    conn.execute("INSERT INTO unusable_fix VALUES (1, '2026-11-20 05:46Z', 'jump')")
    assert await asked(api) == []
    conn.execute(FIX.format(t="05:47", latitude_deg=45.8))
    conn.execute("UPDATE technician SET home_latitude_deg = 45.8, home_longitude_deg = 4.8")
    assert await asked(api) == []


async def test_parts_of_other_organisations_and_contested_scans_are_not_shown(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    use(conn, 1, "08:10")
    conn.execute("UPDATE scan SET status = 'conflict' WHERE epoch = 'u'")
    assert await charged(api) == []
    conn.execute("UPDATE scan SET status = 'applied', van_id = 9 WHERE epoch = 'u'")
    assert await charged(api) == []


async def test_a_mistyped_van_or_site_is_not_read_as_no_parts(api: httpx.AsyncClient) -> None:
    for path in ("/v1/parts", "/v1/parts/questions"):
        assert (await api.get(path, params={"van": "V7"})).status_code == 404
        assert (await api.get(path, params={"site": "NOWHERE"})).status_code == 404


async def test_unknown_codes_are_listed_with_how_often_and_since_when(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    assert (await answer(api, "/v1/parts/unknown-codes"))["codes"] == []
    for seq, van, code in [(1, 1, b"ZZ"), (2, 2, b"ZZ"), (3, 1, b"\xff"), (4, 9, b"THEIRS")]:
        conn.execute(
            "INSERT INTO scan VALUES ('x', 'x', %s, 0, %s, '2026-11-20Z'::timestamptz + %s, 'issue',"
            " %s, 'unknown_code', '{}', '2026-11-20Z')",
            (seq, van, timedelta(minutes=seq), code),
        )
    assert (await answer(api, "/v1/parts/unknown-codes"))["codes"] == [
        {"code": "ZZ", "code_base64": "Wlo=", "scans": 2, "vans": 2,
         "first_ms": MIDNIGHT_MS + MINUTE_MS, "last_ms": MIDNIGHT_MS + 2 * MINUTE_MS},
        {"code": "\ufffd", "code_base64": "/w==", "scans": 1, "vans": 1,
         "first_ms": MIDNIGHT_MS + 3 * MINUTE_MS, "last_ms": MIDNIGHT_MS + 3 * MINUTE_MS},
    ]  # fmt: skip
    assert (await answer(api, "/v1/parts/unknown-codes", limit=1))["truncated"]
