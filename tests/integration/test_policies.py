"""What vans should hold follows from demand, is proposed with its reason, and applied when accepted."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import psycopg
import pytest

from stock_tracker.resupply import policies
from stock_tracker.supplies import import_usage
from storage.pool import Pool
from tests.integration.test_orders import MONDAY_MORNING
from tests.integration.test_resupply import execute, plan
from tests.integration.test_stock_ledger import commit, opened, rows, scan

#: Weeks before Monday 2026-09-21.
MONDAY = date(2026, 9, 21)
PROPOSED = """
SELECT ref, reorder_point, order_up_to FROM policy_proposal JOIN item USING (item_id) ORDER BY 1
"""
LINES = "SELECT item_id, reorder_point, order_up_to FROM template_line ORDER BY 1"
SITE = """
INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 'S-1', 'Mill', 48.0, 11.0, 100)
"""


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


async def used(pool: Pool, item: str, every: int, units: int, weeks: int = 60) -> None:
    """Let both vans use units of an item every so many weeks, until the week before."""
    lines = ["van,item,week,qty"] + [
        f"{van},{item},{MONDAY - timedelta(weeks=back)},{units}"
        for back in range(1, weeks + 1)
        if back % every == 0
        for van in ("van-001", "van-002")
    ]
    async with pool.connection() as conn:
        done = await import_usage(conn, "\n".join(lines).encode(), organisation="default")
        assert not done.bad


async def propose(pool: Pool, target: float = 0.95) -> dict[str, tuple[int, float]]:
    async with pool.connection() as conn:
        return await policies.propose(conn, MONDAY_MORNING, target)


async def accept(pool: Pool, items: list[str] | None = None) -> int:
    async with pool.connection() as conn:
        return await policies.accept(conn, "T", items)


async def test_what_is_used_is_held_and_what_is_not_is_dropped(
    company_url: str, pool: Pool
) -> None:
    await used(pool, "P-1", 1, 1)
    made = await propose(pool)
    proposed = {ref: (low, high) for ref, low, high in rows(company_url, PROPOSED)}
    # P-1 has 4 and 10 where it uses one a week, P-2 has 1 and 2 and is never used.
    assert proposed["P-2"] == (-1, 0)
    assert 0 <= proposed["P-1"][0] < proposed["P-1"][1] < 5
    assert made["T"][0] == 2
    assert made["T"][1] >= 0.95
    reasons = dict(rows(company_url, "SELECT item_id, reason FROM policy_proposal"))
    assert reasons[2] == (
        "about 0 a week in 2 vans, 2 working days to refill: too few to carry; now min 1, max 2"
    )
    assert reasons[1].startswith("about 1.9 a week in 2 vans, 2 working days to refill: min ")
    assert reasons[1].endswith("% of requests; now min 4, max 10")


async def test_nothing_changes_until_somebody_accepts_and_then_only_what_they_accept(
    company_url: str, pool: Pool
) -> None:
    await used(pool, "P-1", 1, 1)
    await propose(pool)
    before = rows(company_url, LINES)
    assert before == [(1, 4, 10), (2, 1, 2)]
    assert await accept(pool, ["P-2"]) == 1
    assert rows(company_url, LINES) == [(1, 4, 10)]
    assert await accept(pool) == 1
    ((item, low, high),) = rows(company_url, LINES)
    assert (item, low) == (1, high - 1)
    assert await accept(pool) == 0
    assert (await propose(pool))["T"][0] == 0


async def test_open_proposals_follow_a_policy_that_is_accepted(
    company_url: str, pool: Pool
) -> None:
    await used(pool, "P-1", 1, 1)
    await commit(
        pool,
        scan("van-001", 1, "count", "FUSE", qty=3, t=MONDAY_MORNING),
        scan("van-001", 2, "count", "4006381333931", qty=0, t=MONDAY_MORNING),
        now=MONDAY_MORNING,
    )
    open_now = "SELECT item_id, qty FROM proposal ORDER BY 1"
    assert rows(company_url, open_now) == [(1, 7), (2, 2)]
    await propose(pool)
    await accept(pool)
    ((_, low, _),) = rows(company_url, LINES)
    assert low < 3
    assert rows(company_url, open_now) == []


async def test_a_critical_item_is_held_however_rarely_it_is_used(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, "UPDATE item SET critical = true, cost = 500 WHERE item_id = 2")
    await used(pool, "P-1", 1, 1)
    await used(pool, "P-2", 59, 1)
    await propose(pool)
    assert ("P-2", 0, 1) in rows(company_url, PROPOSED)


async def test_several_at_a_time_need_several_on_board(company_url: str, pool: Pool) -> None:
    await used(pool, "P-1", 4, 6)
    await propose(pool, 0.9)
    ((low, high),) = [row[1:] for row in rows(company_url, PROPOSED) if row[0] == "P-1"]
    assert high >= 6
    assert low == high - 1


async def test_what_planned_jobs_use_is_no_demand_that_the_stock_must_meet(
    company_url: str, pool: Pool
) -> None:
    execute(company_url, SITE)
    plan(company_url, 1, 1, "2026-09-14T09:00", {1: 2}, "W-1")
    t = MONDAY_MORNING - 7 * 86_400_000
    await commit(
        pool,
        scan("van-001", 1, "issue", qty=2, t=t, work_order="W-1"),
        scan("van-001", 2, "issue", qty=3, t=t + 1, work_order="W-2"),
        scan("van-001", 3, "missing", qty=4, t=t + 2, work_order="W-3"),
        now=MONDAY_MORNING,
    )
    assert rows(company_url, "SELECT van_id, item_id, week, qty FROM weekly_demand") == [
        (1, 1, date(2026, 9, 14), 7)
    ]


async def test_vans_of_other_skills_do_not_share_their_demand(company_url: str, pool: Pool) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute(
            "INSERT INTO technician (organisation_id, code, name, skills) VALUES"
            " (1, 'T1', 'A', '{locks}'), (1, 'T2', 'B', '{heating}')"
        )
        conn.execute("INSERT INTO van_template (code) VALUES ('U')")
        conn.execute("UPDATE van SET technician_id = van_id, template_id = van_id")
    await used(pool, "P-1", 1, 1)
    execute(company_url, "DELETE FROM usage_history WHERE van_id = 2")
    made = await propose(pool)
    assert made["U"] == (0, pytest.approx(0.0))
    assert made["T"][0] == 2


async def test_usage_is_imported_by_monday_and_corrected_by_a_second_file(
    company_url: str, pool: Pool
) -> None:
    async with pool.connection() as conn:
        data = b"van,item,week,qty\nvan-001,P-1,2026-09-14,3\nvan-001,P-1,2026-09-15,3\nvan-9,P-1,2026-09-14,1\n"
        done = await import_usage(conn, data, organisation="default")
        assert (done.inserted, [bad.line for bad in done.bad]) == (1, [3, 4])
        assert "week 2026-09-15 is no Monday: did you mean 2026-09-14?" in done.bad[0].reason
        again = await import_usage(conn, data.replace(b",3\n", b",5\n", 1), organisation="default")
        assert (again.inserted, again.updated) == (0, 1)
    assert rows(company_url, "SELECT qty FROM usage_history") == [(5,)]
