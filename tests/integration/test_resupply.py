"""Orders that are right once: what jobs need, what warehouses answer, boxes, shortages, haste."""

import json
import random
from collections.abc import AsyncIterator, Sequence

import msgspec
import psycopg
import pytest
from psycopg.rows import TupleRow

from ingest.batch import Delivery
from ingest.messages import InboxMessage, OrderEvent
from stock_tracker.resupply import why
from storage.pool import Pool
from storage.words import words
from tests.integration.test_orders import FRIDAY_EVENING, MONDAY_MORNING, MONDAY_NOON, at, tick
from tests.integration.test_stock_ledger import commit, opened, rows, scan

GERMAN = words("de")
TUESDAY_MORNING = at("2026-09-22T08:00")
BOX = "004000000000000176"
OTHER_BOX = "004000000000000183"
REPORTS = "warehouse/v1/reports/WH"
ORDER = "R-20260921-1000-van-001"

SITES = """
INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m) VALUES
  (1, 'S-1', 'Mill', 48.0, 11.0, 100), (1, 'S-2', 'Bakery', 48.05, 11.0, 100),
  (1, 'S-3', 'Harbour', 49.0, 11.0, 100);
"""
PROPOSALS = """
SELECT van.code, ref, qty, short FROM proposal JOIN location USING (location_id)
JOIN van USING (van_id) JOIN item USING (item_id) ORDER BY 1, 2
"""
LINES = """
SELECT o.code, o.state, ref, requested, allocated, picked, shipped, received, cancelled
FROM resupply_order AS o JOIN resupply_line USING (order_id) JOIN item USING (item_id)
ORDER BY o.order_id, ref
"""
LEVELS = """
SELECT kind, coalesce(van.code, ''), ref, qty FROM level JOIN location USING (location_id)
LEFT JOIN van USING (van_id) JOIN item USING (item_id) WHERE kind IN ('van', 'in_transit', 'warehouse')
ORDER BY 1, 2, 3
"""


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    """A depot whose mark stands at Friday noon, and three sites."""
    with psycopg.connect(company_url) as conn:
        conn.execute(SITES)
    async with opened(company_url) as it:
        await tick(it, FRIDAY_EVENING)
        yield it


def execute(url: str, query: str, *values: object) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(query, values)


def plan(url: str, van: int, site: int, begin: str, parts: dict[int, int], order: str) -> None:
    """Plan a stop of an hour from `begin`, local time, whose job needs parts."""
    day = begin[:10]
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO tour (code, van_id, service_date) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (f"T-{van}-{day}", van, day),
        )
        made = conn.execute(
            "INSERT INTO stop (tour_id, position, site_id, window_start, window_end,"
            " planned_duration_s, work_order)"
            " SELECT tour_id, (SELECT count(*) + 1 FROM stop WHERE tour_id = tour.tour_id), %s,"
            " %s::timestamptz, %s::timestamptz + INTERVAL '1 hour', 3600, %s"
            " FROM tour WHERE code = %s RETURNING stop_id",
            (site, f"{begin}+02:00", f"{begin}+02:00", order, f"T-{van}-{day}"),
        ).fetchone()
        assert made
        for item, qty in parts.items():
            conn.execute("INSERT INTO stop_part VALUES (%s, %s, %s)", (made[0], item, qty))


def report(
    kind: str, number: int, t: int = MONDAY_NOON, order: str = ORDER, **more: object
) -> Delivery:
    said = {"id": f"r-{number}", "t": t, "order": order, "kind": kind, **more}
    return Delivery(REPORTS, json.dumps(said).encode())


def lines(*of: tuple[str, int]) -> list[dict[str, object]]:
    return [{"item": ref, "qty": qty} for ref, qty in of]


async def count(
    pool: Pool, seq: int, qty: int, t: int, code: str = "FUSE", van: str = "van-001"
) -> None:
    await commit(pool, scan(van, seq, "count", code, qty=qty, t=t), now=t)


async def ordered(pool: Pool) -> None:
    """Van 1 holds one fuse and no contactor; at Monday noon it gets 9 and 2."""
    await count(pool, 1, 1, MONDAY_MORNING)
    await count(pool, 2, 0, MONDAY_MORNING, "4006381333931")
    await tick(pool, MONDAY_NOON)


# --- What jobs need --------------------------------------------------------------------------------


async def test_what_jobs_need_is_ordered_on_top_of_what_the_van_should_hold(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 6, MONDAY_MORNING)  # above the reorder point of 4
    plan(company_url, 1, 1, "2026-09-22T14:00", {1: 3}, "W-1")
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 7, 0)]
    ((sentence,),) = rows(company_url, "SELECT inputs ->> 'why' FROM proposal")
    assert "3 needed by jobs (W-1)" in sentence


async def test_an_item_that_the_van_does_not_hold_is_ordered_for_its_jobs_alone(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "INSERT INTO item (ref, name) VALUES ('P-3', 'Valve')")
    plan(company_url, 1, 1, "2026-09-22T14:00", {3: 2}, "W-1")
    await tick(pool, MONDAY_MORNING)
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-3", 2, 0)]
    await tick(pool, MONDAY_NOON)
    assert [row[2:4] for row in rows(company_url, LINES)] == [("P-3", 2)]
    assert rows(company_url, PROPOSALS) == []


async def test_a_job_after_the_delivery_of_the_order_after_the_next_can_wait(
    company_url: str, pool: Pool
) -> None:
    # Before Monday's cut-off the next delivery is Tuesday's, the one after it Wednesday's, 06:30.
    await count(pool, 1, 6, MONDAY_MORNING)
    plan(company_url, 1, 1, "2026-09-23T08:00", {1: 6}, "W-1")
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == []
    await tick(pool, MONDAY_NOON)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 10, 0)]


async def test_what_is_issued_for_a_job_is_no_longer_needed_by_it(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 6, MONDAY_MORNING)
    plan(company_url, 1, 1, "2026-09-21T09:00", {1: 3}, "W-1")
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 7, 0)]
    issued = scan("van-001", 2, "issue", qty=3, t=MONDAY_MORNING + 2, work_order="W-1")
    await commit(pool, issued, now=MONDAY_MORNING + 2)
    await tick(pool, MONDAY_MORNING + 3)
    # Three on board, none needed: 3 <= 4, filled up to 10.
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 7, 0)]
    assert rows(company_url, "SELECT * FROM need") == []


async def test_what_a_job_needs_ends_with_its_visit(company_url: str, pool: Pool) -> None:
    await count(pool, 1, 6, MONDAY_MORNING)
    plan(company_url, 1, 1, "2026-09-21T09:00", {1: 3}, "W-1")
    await tick(pool, MONDAY_MORNING + 1)
    execute(
        company_url,
        "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, verdict, uncertain,"
        " ignition_off, service_date, stop_id)"
        " VALUES (1, 1, '2026-09-21 07:00Z', '2026-09-21 07:30Z', '2026-09-21 07:31Z', 'visit', false,"
        " true, '2026-09-21', 1)",
    )
    await tick(pool, MONDAY_MORNING + 2)
    assert rows(company_url, PROPOSALS) == []


async def test_an_exception_goes_before_the_template_until_its_day_is_over(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 6, MONDAY_MORNING)
    execute(
        company_url,
        "INSERT INTO policy_exception VALUES (6, 1, 8, 12, 20, '2026-09-22', 'night duty')"
        if rows(company_url, "SELECT location_id FROM location WHERE van_id = 1") == [(6,)]
        else "SELECT 1 / 0",
    )
    await count(pool, 2, 6, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 6, 0)]
    await tick(pool, MONDAY_NOON)
    await tick(pool, at("2026-09-22T12:00"))
    await tick(pool, at("2026-09-22T12:01"))
    assert rows(company_url, PROPOSALS) == []


async def test_a_lot_that_expires_before_it_is_needed_does_not_count_as_on_board(
    company_url: str, pool: Pool
) -> None:
    counted = "0104006381333931" + "17260922" + "10L1"
    await commit(
        pool,
        scan("van-001", 1, "count", counted, aim_id="]C1", qty=2, t=MONDAY_MORNING),
        now=MONDAY_MORNING,
    )
    assert rows(company_url, "SELECT lot, qty FROM level") == [("L1", 2)]
    assert rows(company_url, PROPOSALS) == [("van-001", "P-2", 2, 0)]


# --- What the warehouse answers ----------------------------------------------------------------------


async def test_an_order_goes_from_sent_to_received_as_the_warehouse_and_the_van_report(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    assert [row[1] for row in rows(company_url, LINES)] == ["sent", "sent"]
    await commit(pool, report("accepted", 1), now=MONDAY_NOON)
    assert [row[1] for row in rows(company_url, LINES)] == ["sent", "sent"]
    picked = report("picked", 2, lines=lines(("P-1", 9), ("P-2", 1)))
    await commit(pool, picked, now=MONDAY_NOON)
    assert [(row[1], row[5]) for row in rows(company_url, LINES)] == [("picked", 9), ("picked", 1)]
    shipped = report("shipped", 3, lines=lines(("P-1", 9), ("P-2", 2)), sscc=BOX)
    await commit(pool, shipped, now=MONDAY_NOON)
    assert [(row[1], row[6]) for row in rows(company_url, LINES)] == [
        ("shipped", 9),
        ("shipped", 2),
    ]
    assert rows(company_url, LEVELS) == [
        ("in_transit", "", "P-1", 9),
        ("in_transit", "", "P-2", 2),
        ("van", "van-001", "P-1", 1),
        ("van", "van-001", "P-2", 0),
        ("warehouse", "", "P-1", -9),
        ("warehouse", "", "P-2", -2),
    ]
    received = scan("van-001", 3, "receive", f"00{BOX}", aim_id="]C1", t=TUESDAY_MORNING)
    await commit(pool, received, now=TUESDAY_MORNING)
    assert rows(company_url, LINES) == [
        (ORDER, "received", "P-1", 9, None, 9, 9, 9, 0),
        (ORDER, "received", "P-2", 2, None, 1, 2, 2, 0),
    ]
    assert [row for row in rows(company_url, LEVELS) if row[0] != "warehouse"] == [
        ("in_transit", "", "P-1", 0),
        ("in_transit", "", "P-2", 0),
        ("van", "van-001", "P-1", 10),
        ("van", "van-001", "P-2", 2),
    ]
    assert rows(company_url, PROPOSALS) == []


async def test_a_technician_is_told_when_a_box_is_on_its_way(company_url: str, pool: Pool) -> None:
    await ordered(pool)
    said = report("shipped", 3, lines=lines(("P-1", 9), ("P-2", 2)), sscc=BOX)
    for _ in range(2):
        await commit(pool, said, now=MONDAY_NOON)
    inbox = rows(company_url, "SELECT topic, payload FROM outbox WHERE topic LIKE '%/inbox'")
    ((topic, payload),) = inbox
    message = msgspec.json.decode(payload, type=InboxMessage)
    assert topic == "fleet/v1/van-001/inbox"
    assert (message.kind, message.order) == ("order_news", ORDER)
    assert message.text == f"{ORDER} is on its way: 2 lines, to your van."


async def test_what_is_short_is_a_backorder_or_cancelled(company_url: str, pool: Pool) -> None:
    await ordered(pool)
    short = [
        {"item": "P-1", "qty": 4, "reason": "none left", "backorder": True},
        {"item": "P-2", "qty": 2, "reason": "no longer made", "backorder": False},
    ]
    await commit(pool, report("short", 1, lines=short), now=MONDAY_NOON)
    assert [row[2:] for row in rows(company_url, LINES)] == [
        ("P-1", 9, None, 0, 0, 0, 0),
        ("P-2", 2, None, 0, 0, 0, 2),
    ]
    # What will not come is proposed anew; what will, is on order.
    assert rows(company_url, PROPOSALS) == [("van-001", "P-2", 2, 0)]


async def test_a_cancelled_order_is_proposed_anew(company_url: str, pool: Pool) -> None:
    await ordered(pool)
    assert rows(company_url, PROPOSALS) == []
    await commit(pool, report("cancelled", 1), now=MONDAY_NOON)
    assert {row[1] for row in rows(company_url, LINES)} == {"cancelled"}
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 9, 0), ("van-001", "P-2", 2, 0)]


async def test_a_line_scanned_by_itself_goes_before_what_its_box_says(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    shipped = report("shipped", 3, lines=lines(("P-1", 9), ("P-2", 2)), sscc=BOX)
    line = scan("van-001", 4, "receive", qty=7, t=TUESDAY_MORNING, shipment=BOX)
    box = scan("van-001", 5, "receive", f"00{BOX}", aim_id="]C1", t=TUESDAY_MORNING + 1)
    await commit(pool, shipped, line, box, now=TUESDAY_MORNING + 1)
    vans = [row[2:] for row in rows(company_url, LEVELS) if row[0] == "van"]
    assert vans == [("P-1", 8), ("P-2", 2)]
    assert [(row[1], row[7]) for row in rows(company_url, LINES)] == [
        ("shipped", 7),
        ("shipped", 2),
    ]


async def test_a_box_that_is_scanned_twice_is_received_once(company_url: str, pool: Pool) -> None:
    await ordered(pool)
    said = [
        report("shipped", 3, lines=lines(("P-1", 9)), sscc=BOX),
        scan("van-001", 5, "receive", BOX, t=TUESDAY_MORNING),
        scan("van-001", 6, "receive", BOX, t=TUESDAY_MORNING + 60_000),
    ]
    await commit(pool, *said, now=TUESDAY_MORNING + 60_000)
    assert ("van", "van-001", "P-1", 10) in rows(company_url, LEVELS)


async def test_of_two_vans_that_scan_a_box_the_one_that_scanned_it_first_has_it(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    said = [
        report("shipped", 3, lines=lines(("P-1", 9)), sscc=BOX),
        scan("van-002", 5, "receive", BOX, t=TUESDAY_MORNING + 60_000),
        scan("van-001", 6, "receive", BOX, t=TUESDAY_MORNING),
    ]
    for one in said:
        await commit(pool, one, now=TUESDAY_MORNING + 60_000)
    assert ("van", "van-001", "P-1", 10) in rows(company_url, LEVELS)
    assert not [row for row in rows(company_url, LEVELS) if row[1] == "van-002" and row[3]]


async def test_a_box_that_nobody_has_sent_waits_until_somebody_has(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    box = scan("van-001", 5, "receive", BOX, t=TUESDAY_MORNING)
    await commit(pool, box, now=TUESDAY_MORNING)
    assert rows(company_url, "SELECT status FROM scan WHERE seq = 5") == [("unknown_code",)]
    assert ("van", "van-001", "P-1", 1) in rows(company_url, LEVELS)
    late = report("shipped", 3, lines=lines(("P-1", 9)), sscc=BOX)
    await commit(pool, late, now=TUESDAY_MORNING + 60_000)
    assert rows(company_url, "SELECT status FROM scan WHERE seq = 5") == [("applied",)]
    assert ("van", "van-001", "P-1", 10) in rows(company_url, LEVELS)


async def test_receipts_without_a_box_fill_the_oldest_order_first(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    await count(pool, 3, 0, MONDAY_NOON + 60_000)  # one more is gone: the next order asks for it
    execute(company_url, "UPDATE template_line SET reorder_point = 9 WHERE item_id = 1")
    await count(pool, 4, 0, MONDAY_NOON + 61_000)
    await tick(pool, at("2026-09-22T12:00"))
    asked = [row for row in rows(company_url, LINES) if row[2] == "P-1"]
    assert [row[3] for row in asked] == [9, 1]
    got = scan("van-001", 9, "receive", qty=9, t=at("2026-09-22T13:00"))
    await commit(pool, got, now=at("2026-09-22T13:00"))
    asked = [row for row in rows(company_url, LINES) if row[2] == "P-1"]
    assert [row[7] for row in asked] == [9, 0]


@pytest.mark.parametrize(
    ("said", "reason", "detail"),
    [
        ({"order": "R-9"}, "unknown_order", "warehouse WH has no order 'R-9'"),
        ({"lines": lines(("P-9", 1))}, "unknown_item", "no item is called P-9"),
        ({"lines": []}, "bad_payload", "needs `lines`"),
        ({"sscc": "004000000000000177"}, "bad_payload", "check digit"),
        ({"kind": "accepted", "sscc": BOX}, "bad_payload", "only what is shipped"),
        ({"kind": "delivered", "lines": []}, "bad_payload", "needs the `sscc`"),
        ({"kind": "eaten"}, "bad_payload", "eaten"),
        ({"t": MONDAY_NOON + 600_000}, "future", "ahead of the clock"),
    ],
)
async def test_a_report_that_cannot_be_used_is_kept_with_its_reason(
    company_url: str, pool: Pool, said: dict[str, object], reason: str, detail: str
) -> None:
    await ordered(pool)
    good = {
        "id": "r-1",
        "t": MONDAY_NOON,
        "order": ORDER,
        "kind": "shipped",
        "lines": lines(("P-1", 1)),
    }
    payload = json.dumps(good | said).encode()
    await commit(pool, Delivery(REPORTS, payload), now=MONDAY_NOON)
    ((kept, why, words),) = rows(company_url, "SELECT payload, reason, detail FROM rejected")
    assert (kept, why) == (payload, reason)
    assert detail in words
    assert [row[1] for row in rows(company_url, LINES)] == ["sent", "sent"]


async def test_another_warehouse_cannot_report_on_an_order(company_url: str, pool: Pool) -> None:
    await ordered(pool)
    said = report("cancelled", 1)
    await commit(pool, Delivery("warehouse/v1/reports/OTHER", said.payload), now=MONDAY_NOON)
    assert rows(company_url, "SELECT reason FROM rejected") == [("unknown_order",)]


# --- What is left at a home or a site -----------------------------------------------------------------

PLACES = """
SELECT kind, item_id, qty FROM level JOIN location USING (location_id)
WHERE kind IN ('home', 'site', 'in_transit', 'van') AND item_id = 1 ORDER BY 1
"""
AT_HOME = """
INSERT INTO technician (organisation_id, code, name, home_latitude_deg, home_longitude_deg)
VALUES (1, 'T1', 'Jo', 48, 11);
UPDATE van SET technician_id = 1 WHERE code = 'van-001';
"""


async def at_home(url: str, pool: Pool) -> None:
    """An order of nine fuses and two contactors goes to the home of van 1's technician."""
    with psycopg.connect(url) as conn:
        conn.execute(AT_HOME)
    await ordered(pool)
    assert rows(url, "SELECT mode FROM resupply_order") == [("home",)]


async def test_what_is_left_at_a_home_lies_there_until_the_van_takes_it_on_board(
    company_url: str, pool: Pool
) -> None:
    await at_home(company_url, pool)
    shipped = report("shipped", 3, lines=lines(("P-1", 9)), sscc=BOX)
    left = report("delivered", 4, MONDAY_NOON + 60_000, sscc=BOX)
    await commit(pool, shipped, now=MONDAY_NOON)
    assert rows(company_url, PLACES) == [("in_transit", 1, 9), ("van", 1, 1)]
    await commit(pool, left, now=MONDAY_NOON + 60_000)
    assert rows(company_url, PLACES) == [("home", 1, 9), ("in_transit", 1, 0), ("van", 1, 1)]
    assert {row[1] for row in rows(company_url, LINES)} == {"shipped"}
    box = scan("van-001", 5, "receive", BOX, t=TUESDAY_MORNING)
    await commit(pool, box, now=TUESDAY_MORNING)
    assert rows(company_url, PLACES) == [("home", 1, 0), ("in_transit", 1, 0), ("van", 1, 10)]


async def test_a_van_without_a_home_to_deliver_to_has_its_boxes_on_their_way(
    company_url: str, pool: Pool
) -> None:
    await ordered(pool)
    said = [
        report("shipped", 3, lines=lines(("P-1", 9)), sscc=BOX),
        report("delivered", 4, MONDAY_NOON + 1, sscc=BOX),
    ]
    await commit(pool, *said, now=MONDAY_NOON + 1)
    assert rows(company_url, PLACES) == [("in_transit", 1, 9), ("van", 1, 1)]


@pytest.mark.parametrize("seed", range(6))
async def test_what_was_left_where_comes_to_the_same_in_any_order(
    company_url: str, pool: Pool, seed: int
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute(AT_HOME)
    rng = random.Random(seed)
    said = [
        report("shipped", 3, lines=lines(("P-1", 6), ("P-2", 2)), sscc=BOX),
        report("shipped", 4, lines=lines(("P-1", 3)), sscc=OTHER_BOX),
        report("delivered", 5, MONDAY_NOON + 60_000, sscc=BOX),
        report("delivered", 6, MONDAY_NOON + 50_000, sscc=BOX),
        report("delivered", 7, MONDAY_NOON + 60_000, sscc=OTHER_BOX),
        scan("van-001", 5, "receive", "FUSE", qty=5, t=TUESDAY_MORNING, shipment=BOX),
        scan("van-001", 6, "receive", BOX, t=TUESDAY_MORNING + 1),
        scan("van-001", 7, "receive", OTHER_BOX, t=TUESDAY_MORNING + 2),
    ]
    said = [one for one in said if rng.random() < 0.85]
    expected = await told(company_url, pool, [said])
    kept = rows(company_url, PLACES)
    for _ in range(3):
        rng.shuffle(said)
        assert await told(company_url, pool, [[one] for one in said]) == expected
        assert rows(company_url, PLACES) == kept


# --- Order does not matter -------------------------------------------------------------------------

FACTS = (
    LEVELS,
    LINES,
    "SELECT location_id, item_id, qty, inputs, short FROM proposal ORDER BY 1, 2",
)


def story(rng: random.Random) -> list[Delivery]:
    """What a warehouse and a van say of two orders' lines, with repeats, an overage and a conflict."""
    said = [
        report("accepted", 1),
        report("picked", 2, MONDAY_NOON + 1, lines=lines(("P-1", 5))),
        report("picked", 3, MONDAY_NOON + 2, lines=lines(("P-1", 8), ("P-2", 2))),
        report("shipped", 4, MONDAY_NOON + 3, lines=lines(("P-1", 6)), sscc=BOX),
        report("shipped", 5, MONDAY_NOON + 4, lines=lines(("P-1", 2), ("P-2", 3)), sscc=OTHER_BOX),
        report("short", 6, MONDAY_NOON + 5, lines=[{"item": "P-1", "qty": 1, "backorder": False}]),
        report("cancelled", 7, MONDAY_NOON + 6),
        report("cancelled", 7, MONDAY_NOON + 7),  # another payload under the id: neither counts
        scan("van-001", 10, "receive", BOX, t=TUESDAY_MORNING),
        scan("van-001", 11, "receive", BOX, t=TUESDAY_MORNING + 5),
        scan("van-002", 1, "receive", f"00{OTHER_BOX}", aim_id="]C1", t=TUESDAY_MORNING),
        scan(
            "van-001", 12, "receive", "4006381333931", qty=1, t=TUESDAY_MORNING, shipment=OTHER_BOX
        ),
        scan("van-001", 13, "receive", "FUSE", qty=2, t=TUESDAY_MORNING + 9),
        scan("van-001", 14, "count", "FUSE", qty=3, t=TUESDAY_MORNING + 7),
        scan("van-002", 2, "receive", "FUSE", qty=2, t=TUESDAY_MORNING + 1),
        scan("van-002", 2, "receive", "FUSE", qty=4, t=TUESDAY_MORNING + 1),  # a conflict
    ]
    chosen = [one for one in said if rng.random() < 0.85]
    return chosen + rng.choices(chosen, k=4)


async def told(url: str, pool: Pool, parts: Sequence[Sequence[Delivery]]) -> list[list[TupleRow]]:
    """Return what the tables say when these batches have come after the same order."""
    emptied = (
        "TRUNCATE scan, movement, posting, count_line, level, proposal, resupply_order, resupply_line,"
        " order_report, order_report_line, box_scan, scan_through, count_task, rejected, outbox,"
        " webhook_delivery RESTART IDENTITY; UPDATE warehouse SET cutoff_done_at = '2026-09-18 10:00Z'"
    )
    execute(url, emptied)
    await ordered(pool)
    for part in parts:
        await commit(pool, *part, now=TUESDAY_MORNING + 60_000)
    return [rows(url, query) for query in FACTS]


@pytest.mark.parametrize("seed", range(8))
async def test_boxes_reports_and_receipts_in_any_order_and_batches_come_to_the_same(
    company_url: str, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    said = story(rng)
    expected = await told(company_url, pool, [said])
    for _ in range(3):
        rng.shuffle(said)
        cuts = sorted(rng.sample(range(len(said) + 1), 3))
        parts = [said[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
        assert await told(company_url, pool, [part for part in parts if part]) == expected


# --- Approval --------------------------------------------------------------------------------------


async def test_where_a_person_approves_an_order_waits_and_is_sent_once_approved(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "UPDATE warehouse SET approval = 'by_person'")
    await ordered(pool)
    assert {row[1] for row in rows(company_url, LINES)} == {"proposed"}
    assert rows(company_url, "SELECT FROM outbox WHERE topic LIKE 'warehouse/%'") == []
    execute(
        company_url, "UPDATE resupply_order SET state = 'approved', approved_by = 'user:c.petit'"
    )
    for later in (1, 2):
        await tick(pool, MONDAY_NOON + later)
    assert {row[1] for row in rows(company_url, LINES)} == {"sent"}
    assert len(rows(company_url, "SELECT FROM outbox WHERE topic LIKE 'warehouse/%'")) == 1


async def test_a_proposal_on_an_unconfirmed_level_waits_unless_somebody_approves_it(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 20, MONDAY_MORNING)
    await count(pool, 2, 2, MONDAY_MORNING + 1)  # eighteen are gone and nobody said why
    assert rows(company_url, "SELECT reason FROM count_task") == [("unconfirmed",)]
    await tick(pool, MONDAY_NOON)
    assert rows(company_url, LINES) == []
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 8, 0)]
    execute(company_url, "UPDATE proposal SET approved_by = 'user:c.petit'")
    await tick(pool, at("2026-09-22T12:00"))
    assert [row[2:4] for row in rows(company_url, LINES)] == [("P-1", 8)]


# --- When the warehouse is short -------------------------------------------------------------------


def stocked(url: str, item: int, qty: int) -> None:
    """Count what the warehouse has."""
    execute(
        url,
        "INSERT INTO count_line SELECT 'import', 'x', %s, location_id, %s, '', %s, '2026-09-20 00:00Z'"
        " FROM location WHERE kind = 'warehouse'",
        item, item, qty,
    )  # fmt: skip
    execute(
        url,
        "INSERT INTO level SELECT location_id, %s, '', %s, '2026-09-20 00:00Z'"
        " FROM location WHERE kind = 'warehouse'",
        item, qty,
    )  # fmt: skip


async def test_no_van_is_filled_up_while_another_is_below_its_reorder_point(
    company_url: str, pool: Pool
) -> None:
    stocked(company_url, 1, 9)
    await count(pool, 1, 4, MONDAY_MORNING)  # asks for 6, needs 1 to be above 4
    await count(pool, 1, 0, MONDAY_MORNING, van="van-002")  # asks for 10, needs 5
    await tick(pool, MONDAY_NOON)
    assert [row[3:5] for row in rows(company_url, LINES)] == [(6, 1), (10, 8)]


async def test_what_a_job_needs_goes_first(company_url: str, pool: Pool) -> None:
    stocked(company_url, 1, 3)
    await count(pool, 1, 4, MONDAY_MORNING)
    await count(pool, 1, 0, MONDAY_MORNING, van="van-002")
    plan(company_url, 1, 1, "2026-09-22T14:00", {1: 7}, "W-1")
    await tick(pool, MONDAY_NOON)
    # Van 1 has four and its job takes seven: three are the job's.
    assert [row[3:5] for row in rows(company_url, LINES)] == [(13, 3), (10, 0)]


async def test_a_backorder_is_served_before_new_orders(company_url: str, pool: Pool) -> None:
    stocked(company_url, 1, 2)
    await count(pool, 1, 0, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)
    assert [row[3:5] for row in rows(company_url, LINES)] == [(10, 2)]
    execute(company_url, "UPDATE level SET qty = 9 WHERE counted_at IS NOT NULL AND qty = 2")
    await count(pool, 1, 0, MONDAY_NOON + 1, van="van-002")
    await tick(pool, at("2026-09-22T12:00"))
    assert [row[3:5] for row in rows(company_url, LINES)] == [(10, 9), (10, 0)]


async def test_what_the_warehouse_lacks_may_come_from_a_van_that_passes_by(
    company_url: str, pool: Pool
) -> None:
    stocked(company_url, 1, 0)
    plan(company_url, 1, 1, "2026-09-21T15:00", {}, "W-1")
    plan(company_url, 2, 2, "2026-09-21T15:00", {}, "W-2")  # 5.6 km away
    await count(pool, 1, 1, MONDAY_MORNING)
    await count(pool, 1, 20, MONDAY_MORNING, van="van-002")
    await tick(pool, MONDAY_NOON)
    made = rows(
        company_url,
        "SELECT g.van_id, r.van_id, qty, state, inputs ->> 'why' FROM transfer"
        " JOIN location AS g ON g.location_id = from_location_id"
        " JOIN location AS r ON r.location_id = to_location_id",
    )
    assert made == [
        (2, 1, 4, "proposed", "van-002 has 16 to spare, and its way comes within 5.6 km")
    ]
    assert [row[3:5] for row in rows(company_url, LINES)] == [(5, 0)]
    # Together they fill it up: nothing is asked for twice.
    assert rows(company_url, PROPOSALS) == []
    execute(company_url, "UPDATE transfer SET state = 'accepted', decided_by = 'user:p'")
    for later in (1, 2):
        await tick(pool, MONDAY_NOON + later)
    inbox = rows(company_url, "SELECT topic FROM outbox WHERE topic LIKE '%/inbox' ORDER BY 1")
    assert inbox == [("fleet/v1/van-001/inbox",), ("fleet/v1/van-002/inbox",)]
    handed = scan("van-002", 9, "transfer", qty=4, t=MONDAY_NOON + 9, counterpart="van-001")
    await commit(pool, handed, now=MONDAY_NOON + 9)
    assert rows(company_url, "SELECT state FROM transfer") == [("done",)]
    assert rows(company_url, PROPOSALS) == []


async def test_no_van_gives_what_is_below_its_own_reorder_point_or_too_far(
    company_url: str, pool: Pool
) -> None:
    stocked(company_url, 1, 0)
    plan(company_url, 1, 1, "2026-09-21T15:00", {}, "W-1")
    plan(company_url, 2, 3, "2026-09-21T15:00", {}, "W-2")  # 111 km away
    await count(pool, 1, 1, MONDAY_MORNING)
    await count(pool, 1, 20, MONDAY_MORNING, van="van-002")
    await tick(pool, MONDAY_NOON)
    assert rows(company_url, "SELECT FROM transfer") == []
    assert [row[3:5] for row in rows(company_url, LINES)] == [(9, 0)]


async def test_a_substitute_is_sent_for_what_a_job_lacks_when_nothing_else_helps(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "INSERT INTO item (ref, name) VALUES ('P-3', 'Contactor, new model')")
    execute(company_url, "INSERT INTO item_substitute VALUES (2, 3, 1)")
    stocked(company_url, 2, 0)
    stocked(company_url, 3, 5)
    await count(pool, 1, 0, MONDAY_MORNING, "4006381333931")
    plan(company_url, 1, 1, "2026-09-22T14:00", {2: 1}, "W-1")
    await tick(pool, MONDAY_NOON)
    assert [row[2:5] for row in rows(company_url, LINES)] == [("P-2", 3, 0), ("P-3", 1, 1)]
    ((said,),) = rows(company_url, "SELECT inputs FROM resupply_line WHERE item_id = 3")
    assert said["why"].startswith("instead of 1 P-2 that the warehouse lacks")
    assert why.in_words(why.of_order(said), GERMAN).startswith(
        "statt 1 P-2, die dem Lager fehlen; 0 an Bord; "
    )


# --- What cannot wait ------------------------------------------------------------------------------


async def test_a_job_before_the_next_delivery_gets_an_urgent_order_once(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 5, MONDAY_MORNING)
    plan(company_url, 1, 1, "2026-09-21T15:00", {1: 7}, "W-1")
    await tick(pool, MONDAY_MORNING + 1)
    for later in (2, 700_000, 1_400_000):
        await tick(pool, MONDAY_MORNING + later)
    asked = [row for row in rows(company_url, LINES) if row[0].startswith("U-")]
    assert [row[1:4] for row in asked] == [("sent", "P-1", 2)]
    events = rows(company_url, "SELECT payload FROM outbox WHERE topic LIKE 'warehouse/%'")
    ((payload,),) = events
    order = msgspec.json.decode(payload, type=OrderEvent).data
    assert (order.urgent, order.mode, order.site) == (True, "site", "S-1")
    assert order.lines[0].why.startswith("job W-1 lacks 2 before the next delivery")
    ((said,),) = rows(company_url, "SELECT inputs FROM resupply_line WHERE inputs ? 'urgent'")
    assert why.in_words(why.of_order(said), GERMAN).startswith(
        "Einsatz W-1 fehlen 2 vor der nächsten Lieferung; 5 an Bord; "
    )
    # What is still below is on the regular order, and the urgent two are not asked for again.
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 10, 0)]


async def test_an_urgent_part_comes_from_a_van_near_by_where_that_is_cheaper(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 5, MONDAY_MORNING)
    await count(pool, 1, 15, MONDAY_MORNING, van="van-002")
    plan(company_url, 1, 1, "2026-09-21T15:00", {1: 7}, "W-1")
    plan(company_url, 2, 2, "2026-09-21T13:00", {}, "W-2")
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, "SELECT qty, state FROM transfer") == [(2, "proposed")]
    assert rows(company_url, LINES) == []


async def test_what_no_way_brings_in_time_is_left_to_the_next_order(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 5, MONDAY_MORNING)
    plan(
        company_url, 1, 1, "2026-09-21T09:00", {1: 7}, "W-1"
    )  # over in two hours, a courier takes 4
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, LINES) == []
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 12, 2)]


async def test_a_transfer_that_nobody_makes_lapses_and_is_ordered_instead(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 5, MONDAY_MORNING)
    await count(pool, 1, 15, MONDAY_MORNING, van="van-002")
    plan(company_url, 1, 1, "2026-09-21T09:30", {1: 7}, "W-1")
    plan(company_url, 2, 2, "2026-09-21T13:00", {}, "W-2")
    await tick(pool, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 10, 0)]
    await tick(pool, at("2026-09-21T11:00"))
    assert rows(company_url, "SELECT state, decided_by FROM transfer") == [("refused", "time")]
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 12, 2)]
