"""Scans that take others back, wait for their time, or wait for a person: the same in any order."""

import random
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from ingest.batch import Delivery
from stock_tracker.ledger import ScanKey
from stock_tracker.reference import import_barcodes
from stock_tracker.store import decide
from storage.pool import Pool
from tests.integration.test_orders import tick
from tests.integration.test_resupply import BOX, execute, report
from tests.integration.test_resupply import lines as lines_of
from tests.integration.test_stock_ledger import (
    EMPTY,
    NOW,
    commit,
    last_receipts,
    opened,
    rows,
    scan,
    tables,
)

DAY = 86_400_000
LEVELS = """
SELECT coalesce(van.code, kind), item_id, qty FROM level JOIN location USING (location_id)
LEFT JOIN van USING (van_id) WHERE kind IN ('van', 'customer') ORDER BY 1, 2
"""
ORDER = """
INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state,
                            created_time, sent_time, approved_by)
VALUES ('R-1', 1, 1, 6, 'van', '2026-09-20Z', 'sent', '2026-09-20Z', '2026-09-20Z', 'rule');
INSERT INTO resupply_line (order_id, item_id, requested, inputs)
SELECT order_id, 1, 9, '{}' FROM resupply_order;
"""


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


def back(seq: int, of: int, *, van: str = "van-001", t: int = NOW) -> Delivery:
    """Scan `seq` takes scan `of` back."""
    undone = {"epoch": "e", "seq": of}
    return scan(van, seq, "reverse", None, reverses=undone, t=t + seq)  # type: ignore[arg-type]


async def test_what_is_taken_back_has_never_been(company_url: str, pool: Pool) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=8), scan("van-001", 2, "issue", qty=3))
    assert rows(company_url, LEVELS) == [("customer", 1, 3), ("van-001", 1, 5)]
    await commit(pool, back(3, 2))
    assert rows(company_url, LEVELS) == [("customer", 1, 0), ("van-001", 1, 8)]
    assert rows(company_url, "SELECT kind FROM standing_movement") == []
    assert len(rows(company_url, "SELECT FROM movement")) == 2
    assert rows(company_url, "SELECT sum(delta) FROM posting") == [(0,)]


async def test_a_count_in_between_has_seen_both(company_url: str, pool: Pool) -> None:
    await commit(
        pool,
        scan("van-001", 1, "count", qty=8),
        scan("van-001", 2, "issue", qty=3),
        scan("van-001", 3, "count", qty=8),
        back(4, 2),
    )
    assert ("van-001", 1, 8) in rows(company_url, LEVELS)
    # With the issue taken back the second count found what was booked.
    assert rows(company_url, "SELECT variance FROM count_variance WHERE before_t IS NOT NULL") == [
        (0,)
    ]


async def test_taking_back_twice_takes_back_once_and_only_ones_own(
    company_url: str, pool: Pool
) -> None:
    await commit(
        pool,
        scan("van-001", 1, "count", qty=8),
        scan("van-001", 2, "issue", qty=3),
        back(3, 2),
        back(4, 2),
        back(1, 2, van="van-002"),
    )
    assert ("van-001", 1, 8) in rows(company_url, LEVELS)


@pytest.mark.parametrize("first", ["said", "taken back"])
async def test_a_count_taken_back_leaves_what_was_known_before_it(
    company_url: str, pool: Pool, first: str
) -> None:
    counted, mistaken = scan("van-001", 1, "count", qty=8), scan("van-001", 2, "count", qty=80)
    told = [counted, mistaken, back(3, 2)] if first == "said" else [back(3, 2), mistaken, counted]
    for one in told:
        await commit(pool, one)
    assert rows(company_url, LEVELS) == [("van-001", 1, 8)]
    assert rows(company_url, "SELECT seq FROM count_line") == [(1,)]
    await commit(pool, back(4, 1))
    assert rows(company_url, LEVELS) == []


async def test_a_full_count_taken_back_says_nothing_of_what_it_did_not_list(
    company_url: str, pool: Pool
) -> None:
    full = scan("van-001", 2, "count_all", None, since=NOW, t=NOW + 2)  # type: ignore[arg-type]
    await commit(pool, scan("van-001", 1, "count", qty=8, t=NOW - 9), full)
    assert rows(company_url, LEVELS) == [("van-001", 1, 0)]
    await commit(pool, back(3, 2))
    assert rows(company_url, LEVELS) == [("van-001", 1, 8)]


async def test_a_part_that_was_there_after_all_was_not_lacking(
    company_url: str, pool: Pool
) -> None:
    lacking = "SELECT qty FROM missing_part"
    await commit(pool, scan("van-001", 1, "missing", qty=2, work_order="W"))
    assert rows(company_url, lacking) == [(2,)]
    await commit(pool, back(2, 1))
    assert rows(company_url, lacking) == []


async def test_a_contested_taking_back_leaves_the_count(company_url: str, pool: Pool) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=8), scan("van-001", 2, "count", qty=5))
    await commit(pool, back(3, 2))
    assert rows(company_url, LEVELS) == [("van-001", 1, 8)]
    await commit(pool, back(3, 1))
    assert rows(company_url, LEVELS) == [("van-001", 1, 5)]


async def test_a_box_that_was_received_by_mistake_is_on_order_again(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, ORDER)
    await commit(
        pool,
        report("shipped", 1, t=NOW, order="R-1", lines=lines_of(("P-1", 9)), sscc=BOX),
        scan("van-001", 1, "receive", BOX),
    )
    received = "SELECT state, received FROM resupply_order JOIN resupply_line USING (order_id)"
    assert rows(company_url, received) == [("received", 9)]
    await commit(pool, back(2, 1))
    assert ("van-001", 1, 0) in rows(company_url, LEVELS)
    assert rows(company_url, received) == [("shipped", 0)]
    assert rows(company_url, "SELECT on_order(6, 1)") == [(9,)]


def story(rng: random.Random) -> list[Delivery]:
    """Issues, a box, what takes them back, and conflicts among both."""
    full = {"since": NOW - 30_000}
    said = [
        scan("van-001", 1, "count", qty=8, t=NOW - 90_000),
        scan("van-001", 2, "issue", qty=3, t=NOW - 80_000),
        scan("van-001", 3, "transfer", qty=2, counterpart="van-002", t=NOW - 70_000),
        scan("van-001", 4, "count", qty=5, t=NOW - 60_000),
        scan("van-001", 5, "receive", BOX, t=NOW - 50_000),
        back(6, 2, t=NOW - 40_000),
        back(7, 2, t=NOW - 45_000),
        back(8, 3, t=NOW - 30_000),
        back(8, 2, t=NOW - 30_000),  # another payload under the key: neither counts
        back(9, 5, t=NOW - 20_000),
        back(10, 9, t=NOW - 10_000),  # taking back a taking back does nothing
        back(11, 77, t=NOW - 10_000),
        back(12, 4, t=NOW - 9_000),
        back(13, 1, t=NOW - 9_000),
        back(13, 4, t=NOW - 9_000),  # a conflict: the first count stands
        scan("van-001", 14, "missing", qty=2, work_order="W", t=NOW - 8_000),
        back(15, 14, t=NOW - 7_000),
        scan("van-001", 16, "count_all", None, t=NOW - 6_000, **full),  # type: ignore[arg-type]
        back(17, 16, t=NOW - 5_000),
        scan("van-001", 2, "issue", qty=4, t=NOW - 80_000),  # a conflict
        report("shipped", 1, t=NOW, order="R-1", lines=lines_of(("P-1", 6), ("P-2", 1)), sscc=BOX),
    ]
    chosen = [one for one in said if rng.random() < 0.8]
    return chosen + rng.choices(chosen, k=3)


async def told(url: str, pool: Pool, parts: Sequence[Sequence[Delivery]]) -> object:
    execute(url, f"{EMPTY}, resupply_order, resupply_line, order_report, order_report_line, box_scan,"
                 " reversal, missing_part RESTART IDENTITY CASCADE")  # fmt: skip
    with psycopg.connect(url) as conn:
        conn.execute(ORDER)
    for part in parts:
        await commit(pool, *part)
    line = rows(url, "SELECT state, shipped, received FROM resupply_order JOIN resupply_line"
                     " USING (order_id)")  # fmt: skip
    lacking = rows(url, "SELECT seq, qty FROM missing_part")
    return tables(url), line, lacking


@pytest.mark.parametrize("seed", range(8))
async def test_in_any_order_and_batches_it_comes_to_the_same(
    company_url: str, pool: Pool, seed: int
) -> None:
    rng = random.Random(seed)
    said = story(rng)
    expected = await told(company_url, pool, [said])
    for _ in range(3):
        rng.shuffle(said)
        cuts = sorted(rng.sample(range(len(said) + 1), min(3, len(said))))
        parts = [said[i:j] for i, j in zip([0, *cuts], [*cuts, None], strict=True)]
        assert await told(company_url, pool, [part for part in parts if part]) == expected


# --- A time to come, and a time long past --------------------------------------------------------


async def test_a_scan_of_a_time_to_come_is_held_until_then(company_url: str, pool: Pool) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=8))
    await commit(pool, scan("van-001", 2, "issue", qty=3, t=NOW + 3_600_000))
    status = "SELECT status FROM scan WHERE seq = 2"
    assert rows(company_url, status) == [("held",)]
    assert rows(company_url, LEVELS) == [("van-001", 1, 8)]
    assert last_receipts(company_url) == {("van-001", "e"): 2}
    await tick(pool, NOW + 3_000_000)
    assert rows(company_url, status) == [("held",)]
    await tick(pool, NOW + 3_600_000)
    assert rows(company_url, status) == [("applied",)]
    assert rows(company_url, LEVELS) == [("customer", 1, 3), ("van-001", 1, 5)]
    await tick(pool, NOW + 3_700_000)
    assert ("van-001", 1, 5) in rows(company_url, LEVELS)


async def test_five_minutes_ahead_are_believed(company_url: str, pool: Pool) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=8, t=NOW + 300_000))
    await commit(pool, scan("van-001", 2, "count", qty=9, t=NOW + 300_001))
    assert rows(company_url, "SELECT seq, status FROM scan ORDER BY 1") == [
        (1, "applied"), (2, "held"),
    ]  # fmt: skip


async def test_a_held_full_count_keeps_when_it_began(company_url: str, pool: Pool) -> None:
    t = NOW + 3_600_000
    await commit(
        pool,
        scan("van-001", 1, "count", qty=8),
        scan("van-001", 2, "count", "4006381333931", qty=2, t=t),
        scan("van-001", 3, "count_all", None, since=t - 1_000, t=t + 1_000),  # type: ignore[arg-type]
    )
    await tick(pool, t + 1_000)
    assert rows(company_url, LEVELS) == [("van-001", 1, 0), ("van-001", 2, 2)]


@pytest.mark.parametrize("accept", [True, False])
async def test_a_scan_of_last_year_waits_for_a_person(
    company_url: str, pool: Pool, *, accept: bool
) -> None:
    await commit(pool, scan("van-001", 1, "issue", qty=3, t=NOW - 40 * DAY))
    assert rows(company_url, "SELECT status FROM scan") == [("review",)]
    assert rows(company_url, LEVELS) == []
    key = ScanKey("van-001", "e", 1)
    async with pool.connection() as conn:
        assert await decide(conn, key, "user:p.planner", accept=accept)
        assert not await decide(conn, key, "user:p.planner", accept=accept)
    ((status, by),) = rows(company_url, "SELECT status, decided_by FROM scan")
    assert (status, by) == ("applied" if accept else "refused", "user:p.planner")
    assert rows(company_url, LEVELS) == ([("customer", 1, 3), ("van-001", 1, -3)] if accept else [])


async def test_thirty_days_late_is_not_too_late(company_url: str, pool: Pool) -> None:
    await commit(pool, scan("van-001", 1, "issue", qty=3, t=NOW - 30 * DAY))
    assert rows(company_url, "SELECT status FROM scan") == [("applied",)]


# --- A code that meant something else --------------------------------------------------------------


async def imported(pool: Pool, *lines: str) -> None:
    async with pool.connection() as conn:
        data = "\n".join(["code,item,pack_qty", *lines]).encode()
        assert not (await import_barcodes(conn, data, organisation="default")).bad


async def test_a_corrected_pack_corrects_what_was_scanned_by_it(
    company_url: str, pool: Pool
) -> None:
    said = [
        scan("van-001", 1, "count", qty=8, t=NOW - 5_000),
        scan("van-001", 2, "load", "FUSE-BOX", qty=2, t=NOW - 4_000),
        scan("van-001", 3, "issue", "FUSE-BOX", t=NOW - 3_000),
        back(4, 3, t=NOW - 2_000),
    ]
    await commit(pool, *said)
    assert ("van-001", 1, 28) in rows(company_url, LEVELS)
    await imported(pool, "FUSE-BOX,P-1,5")
    assert ("van-001", 1, 18) in rows(company_url, LEVELS)
    corrected = tables(company_url)
    # As if it had been right from the beginning.
    execute(company_url, f"{EMPTY}, reversal, stock_dirty")
    await commit(pool, *said)
    assert tables(company_url) == corrected


async def test_a_code_that_was_entered_for_another_item_moves_its_scans_there(
    company_url: str, pool: Pool
) -> None:
    await commit(
        pool, scan("van-001", 1, "load", qty=2), scan("van-001", 2, "missing", qty=1, t=NOW + 9)
    )
    await imported(pool, "FUSE,P-2,1")
    held = "SELECT item_id, qty FROM level WHERE location_id = 6"
    assert rows(company_url, held) == [(2, 2)]
    assert rows(company_url, "SELECT item_id FROM missing_part") == [(2,)]


async def test_what_a_late_code_makes_negative_is_to_be_counted_at_the_next_tick(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "issue", "NEW"))
    await imported(pool, "NEW,P-1,1")
    assert rows(company_url, "SELECT FROM count_task") == []
    await tick(pool, NOW + 1)
    assert rows(company_url, "SELECT reason FROM count_task") == [("negative",)]
    topics = rows(company_url, "SELECT topic FROM outbox WHERE topic LIKE '%/inbox'")
    assert topics == [("fleet/v1/van-001/inbox",)]


async def test_a_full_count_that_is_said_twice_raises_no_question(
    company_url: str, pool: Pool
) -> None:
    for seq in (1, 2):
        await commit(pool, scan("van-001", seq, "count_all", None, since=NOW - 9, t=NOW + seq))  # type: ignore[arg-type]
    assert rows(company_url, "SELECT * FROM scan_flag") == []
