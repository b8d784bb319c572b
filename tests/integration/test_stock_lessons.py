"""Fifteen ways in which systems that keep stock are known to go wrong, and that this one does not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from stock_tracker.levels import lock_ledger
from stock_tracker.resupply.positions import refresh_proposals
from storage.pool import Pool
from tests.integration.test_orders import FRIDAY_EVENING, MONDAY_MORNING, MONDAY_NOON, at, tick
from tests.integration.test_resupply import BOX, LINES, OTHER_BOX, PROPOSALS, execute, report
from tests.integration.test_resupply import lines as lines_of
from tests.integration.test_stock_ledger import NOW, commit, opened, rows, scan

TUESDAY_NOON = at("2026-09-22T12:00")
LEVEL = "SELECT qty FROM level WHERE (location_id, item_id) = (6, 1)"


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    """A depot whose mark stands at Friday noon; location 6 is the first van's."""
    async with opened(company_url) as it:
        await tick(it, FRIDAY_EVENING)
        yield it


async def count(pool: Pool, seq: int, qty: int, t: int = MONDAY_MORNING, **more: object) -> None:
    await commit(pool, scan("van-001", seq, "count", qty=qty, t=t, **more), now=t)


async def test_1_an_order_that_lands_on_the_trigger_does_not_trigger_again(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "UPDATE template_line SET reorder_point = 9 WHERE item_id = 1")
    await count(pool, 1, 0)
    await tick(pool, MONDAY_NOON)
    for noon in (TUESDAY_NOON, at("2026-09-23T12:00")):
        await tick(pool, noon)
    assert [row[3] for row in rows(company_url, LINES)] == [10]


async def test_2_two_schedulers_at_once_do_not_double_demand(company_url: str, pool: Pool) -> None:
    await count(pool, 1, 0)
    async with opened(company_url) as other:
        await asyncio.gather(*(tick(of, MONDAY_NOON) for of in (pool, other, pool, other)))
    assert [row[3] for row in rows(company_url, LINES)] == [10]


async def test_3_a_second_run_sets_the_same_proposal_and_adds_nothing(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 3)
    for _ in range(3):
        async with pool.connection() as conn:
            await lock_ledger(conn)
            await refresh_proposals(conn, [(6, 1)])
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 7, 0)]


async def test_4_an_order_that_is_late_is_still_on_order(company_url: str, pool: Pool) -> None:
    await count(pool, 1, 3)
    await tick(pool, MONDAY_NOON)
    weeks_later = at("2026-10-19T12:00")
    await count(pool, 2, 3, weeks_later)
    await tick(pool, weeks_later)
    assert [row[3] for row in rows(company_url, LINES)] == [7]


async def test_5_nothing_sticks_in_progress_once_it_is_received(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 3)
    await tick(pool, MONDAY_NOON)
    t = MONDAY_NOON + 60_000
    await commit(pool, scan("van-001", 2, "receive", qty=7, t=t), now=t)
    await commit(pool, scan("van-001", 3, "issue", qty=8, t=t + 1), now=t + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 8, 0)]


async def test_6_packs_are_rounded_one_way_within_a_cap(company_url: str, pool: Pool) -> None:
    execute(company_url, "UPDATE template_line SET pack_qty = 6, cap = 12 WHERE item_id = 1")
    await count(pool, 1, 0)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 12, 0)]  # up: 12 fits
    execute(company_url, "UPDATE template_line SET cap = 11 WHERE item_id = 1")
    await count(pool, 2, 0, MONDAY_MORNING + 1)
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 6, 0)]  # down: 12 does not, 6 > 4


def test_7_no_quantity_is_a_float(company_url: str) -> None:
    kinds = rows(
        company_url,
        "SELECT DISTINCT data_type FROM information_schema.columns WHERE table_schema = 'public' AND"
        " (column_name ~ '^(qty|delta|requested|allocated|picked|shipped|received|cancelled)$'"
        "  OR column_name IN ('reorder_point', 'order_up_to', 'cap', 'pack_qty', 'variance'))",
    )
    assert {kind for (kind,) in kinds} == {"integer", "bigint"}


async def test_8_two_writers_of_a_pair_leave_one_level_with_both(
    company_url: str, pool: Pool
) -> None:
    async with opened(company_url) as other:
        await asyncio.gather(
            *(
                commit(of, scan("van-001", seq, "load", qty=seq, t=NOW - seq))
                for seq, of in enumerate([pool, other] * 5, start=1)
            )
        )
    assert rows(company_url, LEVEL) == [(55,)]


async def test_9_no_balance_is_stored_that_a_late_row_would_have_to_correct(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 5, "load", qty=5, t=NOW))
    await commit(pool, scan("van-001", 1, "load", qty=2, t=NOW - 10_000))
    assert rows(company_url, LEVEL) == [(7,)]
    columns = rows(
        company_url,
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'posting'",
    )
    assert not {name for (name,) in columns} & {"balance", "qty_after", "running"}


async def test_10_what_is_backdated_before_a_count_does_not_change_it(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 2, "count", qty=1, t=NOW))
    await commit(pool, scan("van-001", 1, "load", qty=42, t=NOW - 60_000))
    assert rows(company_url, LEVEL) == [(1,)]


async def test_11_what_moves_during_a_count_is_told_from_what_was_counted(
    company_url: str, pool: Pool
) -> None:
    """The first item is counted, used and loaded while the second still is."""
    said = [
        scan("van-001", 1, "count", qty=4, t=NOW - 50_000),
        scan("van-001", 2, "issue", qty=1, t=NOW - 40_000),
        scan("van-001", 3, "issue", "4006381333931", qty=1, t=NOW - 35_000),
        scan("van-001", 4, "count", "4006381333931", qty=3, t=NOW - 30_000),
        scan("van-001", 5, "count_all", None, since=NOW - 60_000, t=NOW),  # type: ignore[arg-type]
    ]
    await commit(pool, *said)
    held = "SELECT item_id, qty FROM level WHERE location_id = 6 ORDER BY 1"
    assert rows(company_url, held) == [(1, 3), (2, 3)]


async def test_12_what_is_committed_is_in_the_level_at_once(company_url: str, pool: Pool) -> None:
    for seq in range(1, 6):
        await commit(pool, scan("van-001", seq, "load", qty=1, t=NOW + seq))
        assert rows(company_url, LEVEL) == [(seq,)]
        assert rows(company_url, "SELECT count(*) FROM scan WHERE status = 'applied'") == [(seq,)]


async def test_13_only_the_pairs_that_a_batch_touches_are_worked_out(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=2), scan("van-002", 1, "count", qty=2))
    written = "SELECT location_id, xmin::text FROM {} WHERE location_id IN (6, 7) ORDER BY 1"
    before = {t: rows(company_url, written.format(t)) for t in ("level", "proposal")}
    await commit(pool, scan("van-001", 2, "count", qty=1, t=NOW + 5))
    for table, was in before.items():
        now = rows(company_url, written.format(table))
        assert now[0] != was[0]
        assert now[1] == was[1]


async def test_14_a_code_that_means_two_things_is_read_the_same_way_or_not_at_all(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "INSERT INTO barcode VALUES ('10452', 2, 1)")
    said = [
        scan("van-001", 1, "load", "10452"),  # never lot 452 of something
        scan("van-001", 2, "load", "4006381333931", aim_id="]E0"),
        scan("van-001", 3, "load", "04006381333931"),
        scan("van-001", 4, "load", "4006381333932"),  # a wrong check digit: no best guess
    ]
    await commit(pool, *said)
    held = "SELECT item_id, lot, qty FROM level WHERE location_id = 6"
    assert rows(company_url, held) == [(2, "", 3)]
    assert rows(company_url, "SELECT status FROM scan WHERE seq = 4") == [("unknown_code",)]


async def test_15_a_second_partial_receipt_adds_and_the_first_sent_again_does_not(
    company_url: str, pool: Pool
) -> None:
    await count(pool, 1, 1)
    await tick(pool, MONDAY_NOON)
    t = MONDAY_NOON + 60_000
    boxes = [
        report("shipped", 1, lines=lines_of(("P-1", 4)), sscc=BOX),
        report("shipped", 2, lines=lines_of(("P-1", 5)), sscc=OTHER_BOX),
    ]
    first = scan("van-001", 2, "receive", BOX, t=t)
    await commit(pool, *boxes, first, now=t)
    assert [row[7] for row in rows(company_url, LINES)] == [4]
    await commit(pool, scan("van-001", 3, "receive", OTHER_BOX, t=t + 1), now=t + 1)
    await commit(pool, first, *boxes, now=t + 2)
    assert [(row[1], row[7]) for row in rows(company_url, LINES)] == [("received", 9)]
    assert rows(company_url, LEVEL) == [(10,)]
