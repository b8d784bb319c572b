"""At a cut-off what is proposed becomes one order a van, once, and what is on order is not asked again."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import psycopg
import pytest

from ingest import service
from ingest.messages import OrderEvent, OrderLine
from storage.pool import Pool
from storage.settings import as_ms
from tests.integration.test_stock_ledger import commit, held, opened, rows, scan, waiting


def at(text: str) -> int:
    """A local time of the depot, summer time, in ms."""
    return as_ms(datetime.fromisoformat(f"{text}+02:00"))


FRIDAY_EVENING = at("2026-09-18T20:00")
MONDAY_MORNING = at("2026-09-21T08:00")
MONDAY_NOON = at("2026-09-21T12:00")
TUESDAY_NOON = at("2026-09-22T12:00")

PROPOSALS = """
SELECT van.code, ref, qty, (inputs ->> 'on_hand')::int, (inputs ->> 'on_order')::int
FROM proposal JOIN location USING (location_id) JOIN van USING (van_id) JOIN item USING (item_id)
ORDER BY 1, 2
"""
ORDERS = """
SELECT resupply_order.code, mode, state, cutoff_at, ref, requested, inputs
FROM resupply_order JOIN resupply_line USING (order_id) JOIN item USING (item_id) ORDER BY 1, 5
"""
EVENTS = "SELECT topic, payload FROM outbox WHERE topic LIKE 'warehouse/%' ORDER BY outbox_id"


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    """A depot whose mark stands at Friday noon."""
    async with opened(company_url) as it:
        await tick(it, FRIDAY_EVENING)
        yield it


@pytest.fixture
async def new_pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


async def tick(pool: Pool, now: int) -> None:
    await service.tick(pool, None, lambda: now)


_numbers = itertools.count(1)


async def told(
    pool: Pool, intent: str, qty: int, t: int, *, van: str = "van-001", **more: object
) -> None:
    """Commit one scan of the next number, made at `t`."""
    said = scan(van, next(_numbers), intent, qty=qty, t=t, **more)  # type: ignore[arg-type]
    await commit(pool, said, now=t)


async def test_the_first_look_at_a_new_warehouse_only_sets_the_mark(
    company_url: str, new_pool: Pool
) -> None:
    await told(new_pool, "count", 1, MONDAY_MORNING)
    await tick(new_pool, MONDAY_NOON + 1)
    assert rows(company_url, ORDERS) == []
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 9, 1, 0)]
    assert rows(company_url, "SELECT cutoff_done_at FROM warehouse") == [
        (datetime(2026, 9, 21, 10, tzinfo=UTC),)
    ]


async def test_at_the_cutoff_proposals_become_one_order_a_van_with_frozen_inputs(
    company_url: str, pool: Pool
) -> None:
    await told(pool, "count", 1, MONDAY_MORNING)
    await told(pool, "count", 0, MONDAY_MORNING, code="4006381333931")
    await told(pool, "count", 4, MONDAY_MORNING, van="van-002")
    await tick(pool, MONDAY_NOON - 1)
    assert rows(company_url, ORDERS) == []
    await tick(pool, MONDAY_NOON)
    made = rows(company_url, ORDERS)
    noon = datetime(2026, 9, 21, 10, tzinfo=UTC)
    assert [row[:6] for row in made] == [
        ("R-20260921-1000-van-001", "van", "sent", noon, "P-1", 9),
        ("R-20260921-1000-van-001", "van", "sent", noon, "P-2", 2),
        ("R-20260921-1000-van-002", "van", "sent", noon, "P-1", 6),
    ]
    frozen = {
        "on_hand": 1, "on_order": 0, "reorder_point": 4, "order_up_to": 10, "cap": 20, "pack_qty": 1,
    }  # fmt: skip
    assert made[0][6].items() >= frozen.items()
    assert rows(company_url, PROPOSALS) == []
    await told(pool, "count", 3, MONDAY_NOON + 1)
    assert rows(company_url, ORDERS) == made


async def test_the_warehouse_is_told_of_each_order_once(company_url: str, pool: Pool) -> None:
    await told(pool, "count", 1, MONDAY_MORNING)
    await told(pool, "count", 0, MONDAY_MORNING, code="4006381333931")
    await told(pool, "count", 4, MONDAY_MORNING, van="van-002")
    for later in (0, 0, 1, 3_600_000):
        await tick(pool, MONDAY_NOON + later)
    sent = rows(company_url, EVENTS)
    assert [topic for topic, _ in sent] == [
        "warehouse/v1/orders/R-20260921-1000-van-001",
        "warehouse/v1/orders/R-20260921-1000-van-002",
    ]
    event = msgspec.json.decode(sent[0][1], type=OrderEvent)
    assert event.id == event.subject == event.data.order == "R-20260921-1000-van-001"
    assert (event.specversion, event.type) == ("1.0", "cordee.order.sent.v1")
    assert as_ms(datetime.fromisoformat(event.time)) == MONDAY_NOON
    assert (event.data.warehouse, event.data.van, event.data.mode) == ("WH", "van-001", "van")
    assert event.data.cutoff_t == MONDAY_NOON
    (((why,)),) = rows(
        company_url,
        "SELECT inputs ->> 'why' FROM resupply_line JOIN resupply_order USING (order_id)"
        " WHERE item_id = 1 AND code LIKE '%van-001'",
    )
    assert event.data.lines[0] == OrderLine("P-1", "Fuse 10 A", 9, why)
    assert [(line.item, line.qty) for line in event.data.lines] == [("P-1", 9), ("P-2", 2)]
    assert len(rows(company_url, "SELECT FROM resupply_order")) == 2


async def test_two_ticks_at_once_make_the_orders_once(company_url: str, pool: Pool) -> None:
    await told(pool, "count", 1, MONDAY_MORNING)
    async with opened(company_url) as second:
        async with held(company_url, "LOCK TABLE resupply_order IN SHARE MODE"):
            ticks = [asyncio.create_task(tick(of, MONDAY_NOON)) for of in (pool, second)]
            await waiting(company_url, 2)
        await asyncio.gather(*ticks)
    assert len(rows(company_url, ORDERS)) == 1
    assert len(rows(company_url, EVENTS)) == 1


async def test_a_cutoff_without_proposals_makes_nothing_and_is_done(
    company_url: str, pool: Pool
) -> None:
    await tick(pool, MONDAY_NOON)
    await told(pool, "count", 1, MONDAY_NOON + 1)
    await tick(pool, MONDAY_NOON + 2)
    assert rows(company_url, ORDERS) == []
    await tick(pool, TUESDAY_NOON)
    assert [row[0] for row in rows(company_url, ORDERS)] == ["R-20260922-1000-van-001"]


async def test_nothing_is_ordered_on_a_weekend(company_url: str, pool: Pool) -> None:
    await told(pool, "count", 1, at("2026-09-19T08:00"))
    for moment in ("2026-09-19T12:00", "2026-09-20T12:00", "2026-09-20T23:59", "2026-09-21T11:59"):
        await tick(pool, at(moment))
    assert rows(company_url, ORDERS) == []
    await tick(pool, MONDAY_NOON)
    assert len(rows(company_url, ORDERS)) == 1


async def test_cutoffs_missed_while_nobody_looked_make_one_order(
    company_url: str, pool: Pool
) -> None:
    await told(pool, "count", 1, MONDAY_MORNING)
    await tick(pool, at("2026-09-24T15:00"))
    assert [row[0] for row in rows(company_url, ORDERS)] == ["R-20260924-1000-van-001"]


async def test_each_cutoff_of_a_day_makes_an_order_of_its_own(company_url: str, pool: Pool) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("UPDATE warehouse SET cutoff_times = '{16:00,12:00}'")
    await tick(pool, MONDAY_MORNING)
    await told(pool, "count", 1, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)
    await told(pool, "count", 0, MONDAY_NOON, code="4006381333931")
    await tick(pool, at("2026-09-21T16:00"))
    assert [(row[0], row[4]) for row in rows(company_url, ORDERS)] == [
        ("R-20260921-1000-van-001", "P-1"),
        ("R-20260921-1400-van-001", "P-2"),
    ]


async def test_an_order_goes_home_where_the_technician_has_one(
    company_url: str, pool: Pool
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute(
            "INSERT INTO technician (organisation_id, code, name, home_latitude_deg,"
            " home_longitude_deg) VALUES (1, 'T1', 'Jo', 48, 11)"
        )
        conn.execute("UPDATE van SET technician_id = 1 WHERE code = 'van-002'")
    for van in ("van-001", "van-002"):
        await told(pool, "count", 1, MONDAY_MORNING, van=van)
    await tick(pool, MONDAY_NOON)
    assert [row[1] for row in rows(company_url, ORDERS)] == ["van", "home"]


async def test_what_is_on_order_is_not_ordered_again_by_the_next_count(
    company_url: str, pool: Pool
) -> None:
    await told(pool, "count", 1, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)
    await told(pool, "count", 0, MONDAY_NOON + 1)  # 0 + 9 on order
    assert rows(company_url, PROPOSALS) == []
    await tick(pool, TUESDAY_NOON)
    assert len(rows(company_url, ORDERS)) == 1


async def test_a_receipt_lowers_what_is_on_order(company_url: str, pool: Pool) -> None:
    await told(pool, "count", 0, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)  # 10
    await told(pool, "receive", 6, MONDAY_NOON + 1)
    assert rows(company_url, PROPOSALS) == []  # 6 + 4
    await told(pool, "issue", 6, MONDAY_NOON + 2)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 6, 0, 4)]
    await told(pool, "receive", 4, MONDAY_NOON + 3)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 6, 4, 0)]


async def test_receiving_more_than_was_ordered_is_no_negative_order(
    company_url: str, pool: Pool
) -> None:
    await told(pool, "count", 4, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)  # 6
    await told(pool, "receive", 8, MONDAY_NOON + 1)
    await told(pool, "issue", 9, MONDAY_NOON + 2)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 7, 3, 0)]


async def test_a_cancelled_order_is_not_on_order(company_url: str, pool: Pool) -> None:
    await told(pool, "count", 0, MONDAY_MORNING)
    await tick(pool, MONDAY_NOON)
    with psycopg.connect(company_url) as conn:
        conn.execute("UPDATE resupply_line SET cancelled = requested")
    await told(pool, "count", 0, MONDAY_NOON + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 10, 0, 0)]


async def test_what_was_received_before_an_order_does_not_count_against_it(
    company_url: str, pool: Pool
) -> None:
    await told(pool, "receive", 8, MONDAY_MORNING)  # without any order
    await told(pool, "count", 0, MONDAY_MORNING + 1)
    await tick(pool, MONDAY_NOON)  # 10
    await told(pool, "count", 0, MONDAY_NOON + 1)  # 0 + 10 on order
    assert rows(company_url, PROPOSALS) == []


async def test_a_scan_during_a_cutoff_does_not_bring_back_what_was_just_ordered(
    company_url: str, pool: Pool
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute(
            "INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg,"
            " cutoff_times, cutoff_done_at) VALUES (1, 'W2', 'North', 48, 11, '{12:00}',"
            " '2026-09-21T10:00Z')"
        )
        conn.execute("UPDATE van SET warehouse_id = 2 WHERE code = 'van-001'")
    for van in ("van-001", "van-002"):
        await told(pool, "count", 1, MONDAY_MORNING, van=van)
    both = [
        scan(van, 1, "count", qty=0, t=MONDAY_NOON, epoch="f") for van in ("van-001", "van-002")
    ]
    first = "SELECT FROM proposal WHERE location_id = 6 FOR UPDATE"
    async with opened(company_url) as second:
        async with held(company_url, first):
            # It has seen that nothing is on order, and stops at the proposal of van-001.
            counting = asyncio.create_task(commit(second, *both, now=MONDAY_NOON))
            await waiting(company_url, 1)
            ordering = asyncio.create_task(tick(pool, MONDAY_NOON))  # orders for van-002
            blocked = asyncio.create_task(waiting(company_url, 2))
            await asyncio.wait([ordering, blocked], return_when=asyncio.FIRST_COMPLETED)
            blocked.cancel()
        await asyncio.gather(counting, ordering, blocked, return_exceptions=True)
        assert counting.exception() is ordering.exception() is None
    assert [row[0][-7:] for row in rows(company_url, ORDERS)] == ["van-002"]
    await tick(pool, TUESDAY_NOON)
    asked = "SELECT sum(requested) FROM resupply_line WHERE location_id = 7"
    ((total,),) = rows(company_url, asked)
    assert total <= 10
