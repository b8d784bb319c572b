"""What a tablet is primed with: its days, its stock, its messages, and what every code stands for."""

from datetime import date
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.rows import TupleRow
from pydantic import TypeAdapter

from api import answers
from api.routes import devices, me
from ops import imports
from simulators.world import create_world
from simulators.world_files import write_world
from storage.settings import Settings
from tests.integration.api_client import (
    NOW_MS,
    answer,
    client_of,
    new_session,
    new_user,
    problem,
    settings_at,
    sign_in_as,
)

NEWS = """
INSERT INTO message (van_id, message_id, kind, text, sent_at)
VALUES (1, 'm9', 'message', 'news', now())
"""
DAY, CATALOGUE = "/v1/me/day", "/v1/catalogue"
AHEAD = """
INSERT INTO tour (tour_id, code, van_id, service_date) VALUES
  (2, 'TOUR2', 1, '2026-11-21'), (3, 'TOUR3', 1, '2026-11-22'), (4, 'TOUR4', 1, '2026-11-23'),
  (5, 'TOUR5', 1, '2026-11-19'), (6, 'OTHER', 2, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s,
                  work_order, skill)
SELECT tour_id * 10, tour_id, 1, 1, service_date + time '08:00', service_date + time '09:00', 1800, 'W-1',
       'lift'
FROM tour WHERE tour_id BETWEEN 2 AND 6;
INSERT INTO stop_part VALUES (20, 1, 2), (20, 3, 1);
INSERT INTO duty_switch VALUES (1, '2026-11-20 06:30Z', 'on'), (1, '2026-11-19 17:00Z', 'off');
INSERT INTO message (van_id, message_id, kind, text, sent_at) VALUES
  (1, 'm1', 'message', 'one', '2026-11-20 08:00Z'), (1, 'm2', 'order_news', 'two', '2026-11-20 08:01Z'),
  (2, 'm3', 'message', 'of another', '2026-11-20 08:02Z');
INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, delivered, read, received_time)
VALUES ('V1', 'e', 1, 0, 1, '2026-11-20 08:05Z', '{}', '{m1}', '2026-11-20 08:05Z');
INSERT INTO barcode VALUES ('FIL-BOX', 1, 10), ('04006381333931', 3, 1);
"""


@pytest.fixture
async def ana(
    api: httpx.AsyncClient, database_url: str, conn: psycopg.Connection[TupleRow]
) -> httpx.AsyncClient:
    conn.execute(AHEAD)
    user = new_user(database_url, "ana", "technician", technician_id=1)
    sign_in_as(api, new_session(database_url, user))
    return api


async def test_a_day_holds_todays_tour_and_those_of_the_next_two_days(
    ana: httpx.AsyncClient,
) -> None:
    day = await answer(ana, DAY)
    assert [(it["tour"], it["date"], len(it["stops"])) for it in day["tours"]] == [
        ("TOUR1", "2026-11-20", 2), ("TOUR2", "2026-11-21", 1), ("TOUR3", "2026-11-22", 1),
    ]  # fmt: skip
    (stop,) = day["tours"][1]["stops"]
    assert stop == {
        "stop_id": 20, "stop": 1, "site": "BAKERY", "site_name": "Bakery", "latitude_deg": 45.75,
        "longitude_deg": 4.85, "window_start_ms": NOW_MS + 23 * 3_600_000,
        "window_end_ms": NOW_MS + 24 * 3_600_000, "planned_arrival_ms": None,
        "planned_duration_s": 1_800, "work_order": "W-1", "skill": "lift", "outcome": "planned",
        "needs": {"FIL-20": 2, "PUMP": 1},
    }  # fmt: skip
    assert [it["outcome"] for it in day["tours"][0]["stops"]] == ["on_site", "planned"]


async def test_a_day_holds_stock_unread_messages_duty_and_where_one_is_told_of_oneself(
    ana: httpx.AsyncClient,
) -> None:
    day = await answer(ana, DAY)
    assert day["van"] == "V1"
    assert {it["item"]: it["qty"] for it in day["stock"]} == {"FIL-20": 4, "SEAL_5": 0, "PUMP": 7}
    assert [it["id"] for it in day["messages"]] == ["m2"]
    assert day["duty"] == {"state": "on", "switch": "on", "switched_ms": NOW_MS - 150 * 60_000}
    for path in day["about_me"].values():
        assert (await ana.get(path)).status_code == 200, path


async def test_duty_is_that_of_switch_and_calendar(
    ana: httpx.AsyncClient, conn: psycopg.Connection[TupleRow]
) -> None:
    conn.execute("INSERT INTO duty_switch VALUES (1, '2026-11-20 08:50Z', 'off')")
    assert (await answer(ana, DAY))["duty"]["state"] == "off"
    conn.execute("DELETE FROM duty_switch")
    assert (await answer(ana, DAY))["duty"] == {"state": "on", "switch": None, "switched_ms": None}
    conn.execute("""
      INSERT INTO working_calendar (organisation_id) VALUES (1);
      INSERT INTO working_hours SELECT calendar_id, 5, 780, 1020 FROM working_calendar;
    """)
    assert (await answer(ana, DAY))["duty"]["state"] == "off"  # Friday, 10:00: not before 13:00


async def test_a_day_that_has_not_changed_is_not_sent_again(
    ana: httpx.AsyncClient, conn: psycopg.Connection[TupleRow]
) -> None:
    first = await ana.get(DAY)
    assert first.headers["content-encoding"] == "gzip"
    known = {"if-none-match": first.headers["etag"]}
    again = await ana.get(DAY, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    plain = await ana.get(DAY, headers={**known, "accept-encoding": "identity"})
    assert plain.status_code == 304
    for change in (
        "UPDATE level SET qty = qty + 1 WHERE location_id = 101 AND item_id = 3",
        "UPDATE stop SET window_end = window_end + INTERVAL '1 hour' WHERE stop_id = 30",
        NEWS,
        "INSERT INTO duty_switch VALUES (1, '2026-11-20 08:55Z', 'off')",
    ):
        conn.execute(change)
        changed = await ana.get(DAY, headers=known)
        assert changed.status_code == 200, change
        known = {"if-none-match": changed.headers["etag"]}
    conn.execute("UPDATE level SET qty = qty + 1 WHERE location_id = 109")
    assert (await ana.get(DAY, headers=known)).status_code == 304  # another's


async def test_a_day_is_the_own_vans_only(
    ana: httpx.AsyncClient, conn: psycopg.Connection[TupleRow]
) -> None:
    assert "of another" not in (await ana.get(DAY)).text
    assert "OTHER" not in (await ana.get(DAY)).text
    for van in ("V2", "X9", "none"):
        assert await problem(ana, DAY, van=van) == (404, "van_not_found")
    conn.execute("UPDATE van SET technician_id = 1 WHERE code = 'V2'")
    assert (await answer(ana, DAY))["van"] == "V1"
    assert (await answer(ana, DAY, van="V2"))["messages"][0]["text"] == "of another"
    conn.execute("UPDATE van SET technician_id = NULL")
    assert await problem(ana, DAY) == (404, "van_not_found")


async def test_the_catalogue_says_what_every_code_stands_for_and_when_that_has_changed(
    ana: httpx.AsyncClient, conn: psycopg.Connection[TupleRow]
) -> None:
    first = await ana.get(CATALOGUE)
    it = first.json()
    codes = {code: (it["items"][place], pack) for code, place, pack in it["codes"]}
    assert codes == {
        "FIL-BOX": (["FIL-20", "Filter 20", "piece"], 10),
        "04006381333931": (["PUMP", "Pump", "piece"], 1),
    }
    assert len(it["items"]) == 3
    known = {"if-none-match": first.headers["etag"]}
    assert (await ana.get(CATALOGUE, headers=known)).status_code == 304
    conn.execute("UPDATE reference_version SET version = version + 1")
    assert (await ana.get(CATALOGUE, headers=known)).status_code == 304  # something else was edited
    conn.execute("INSERT INTO barcode VALUES ('NEW', 2, 1)")
    conn.execute("UPDATE reference_version SET version = version + 1")
    changed = await ana.get(CATALOGUE, headers=known)
    assert changed.status_code == 200
    assert "NEW" in changed.text


async def test_the_catalogue_of_4000_references_is_small_enough_for_a_morning(
    database_url: str, tmp_path: Path
) -> None:
    """Measured with the simulator's company: 4,000 items. It is read once and then asked by its tag."""
    write_world(create_world(1, vans=2, sites=20, items=4_000), tmp_path, date(2026, 11, 20))
    settings = Settings(database_url=database_url)
    for kind in ("items", "barcodes"):
        assert (await imports.import_file(settings, kind, tmp_path / f"{kind}.csv")).bad == []
    async with client_of(settings_at(database_url)) as client:
        plain = await client.get(CATALOGUE, headers={"accept-encoding": "identity"})
        zipped = await client.get(CATALOGUE)
    it = plain.json()
    assert len(it["items"]) == 4_000
    assert len(it["codes"]) >= 4_000
    size = {"codes": len(it["codes"]), "plain": len(plain.content),
            "gzip": int(zipped.headers["content-length"])}  # fmt: skip
    print("catalogue:", size)  # noqa: T201  the figure of the README
    assert size["plain"] < 500_000
    assert size["gzip"] < 150_000


@pytest.mark.parametrize(
    ("example", "shape"),
    [
        (me.DAY_EXAMPLE, answers.MyDay),
        (devices.CATALOGUE_EXAMPLE, answers.Catalogue),
        (devices.BATCH_EXAMPLE, answers.BatchTaken),
    ],
)
def test_examples_have_the_shape_of_the_answers(example: Any, shape: type[object]) -> None:
    adapter = TypeAdapter(shape)
    assert adapter.dump_python(adapter.validate_python(example), mode="json") == example
