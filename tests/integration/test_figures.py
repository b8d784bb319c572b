"""Figures are what a calculation by hand gives, and what comes late counts as if it had been in time."""

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from ingest.batch import Delivery
from storage.pool import Pool
from storage.settings import as_datetime
from tests.integration.api_client import answer, client_of, problem, settings_at
from tests.integration.test_stock_ledger import NOW, commit, opened, scan

HOUR = 3_600_000
#: From the first count on.
SINCE = NOW - 10 * HOUR
PERIOD = {"from_ms": SINCE, "to_ms": NOW}


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        yield it


@pytest.fixture
async def asked(company_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_at(company_url, NOW)) as it:
        yield it


def at(
    seq: int, hours: float, intent: str, code: str = "FUSE", van: str = "van-001", **more: object
) -> Delivery:
    return scan(van, seq, intent, code, t=SINCE + round(hours * HOUR), **more)


STORY = [
    at(1, 0, "count", qty=3),
    at(2, 1, "issue", qty=1, work_order="W-1"),
    at(3, 2, "issue", qty=2, work_order="W-2"),  # nothing is left from here on
    at(4, 3, "missing", qty=2, work_order="W-3"),
    at(5, 3.5, "missing", "4006381333931", qty=1, work_order="W-3"),
    at(6, 4, "issue", "4006381333931", qty=1, work_order="W-4"),
    at(7, 7, "load", qty=6),  # for five hours nothing was on board
    at(8, 9, "count", qty=5),  # one less than was booked
    at(1, 0, "count", qty=9, van="van-002"),
    at(2, 9.5, "count", qty=9, van="van-002"),
]


async def test_figures_of_a_day_are_those_worked_out_by_hand(
    pool: Pool, asked: httpx.AsyncClient
) -> None:
    await commit(pool, *STORY)
    it = await answer(asked, "/v1/stock/figures", **PERIOD, van="van-001")
    assert (it["units_asked"], it["units_had"]) == (1 + 2 + 2 + 1 + 1, 1 + 2 + 1)
    assert it["units_share"] == pytest.approx(4 / 7)
    assert (it["jobs"], it["jobs_complete"], it["jobs_share"]) == (4, 3, 0.75)
    assert (it["counts"], it["counts_exact"], it["counts_close"]) == (1, 0, 1)
    # Of the fuse 10 hours are known and 5 of them without; of the contactor it is issued at hour 4 from
    # nothing, so that it is known for six hours and never there.
    assert (it["pairs"], it["pair_hours"], it["out_hours"]) == (2, 16, 11)
    both = await answer(asked, "/v1/stock/figures", **PERIOD)
    assert (both["counts"], both["counts_exact"]) == (2, 1)
    assert both["out_hours"] == 11


async def test_figures_of_an_empty_period_are_null_not_an_error(asked: httpx.AsyncClient) -> None:
    it = await answer(asked, "/v1/stock/figures", **PERIOD)
    shares = ("units_share", "jobs_share", "out_share", "exact_share", "close_share")
    assert [it[share] for share in shares] == [None] * 5
    for path in ("missing", "trust"):
        found = await answer(asked, f"/v1/stock/{path}")
        assert not found.get("items", found.get("pairs"))
    assert await problem(asked, "/v1/stock/figures", van="van-9") == (404, "van_not_found")


@pytest.mark.parametrize("seed", range(3))
async def test_what_comes_late_changes_figures_as_if_it_had_been_in_time(
    pool: Pool, asked: httpx.AsyncClient, company_url: str, seed: int
) -> None:
    await commit(pool, *STORY)
    paths = ("figures", "missing", "trust")
    expected = [await answer(asked, f"/v1/stock/{path}") for path in paths]
    with psycopg.connect(company_url) as conn:
        conn.execute(
            "TRUNCATE scan, movement, posting, count_line, level, missing_part, proposal, count_task,"
            " outbox, webhook_delivery, scan_through"
        )
    said = list(STORY)
    random.Random(seed).shuffle(said)
    for one in said:
        await commit(pool, one)
    assert [await answer(asked, f"/v1/stock/{path}") for path in paths] == expected


async def test_the_parts_that_most_jobs_lacked_come_first(
    pool: Pool, asked: httpx.AsyncClient
) -> None:
    more = [
        at(20, 5, "missing", "4006381333931", qty=1, work_order="W-5"),
        at(21, 5.1, "missing", "4006381333931", qty=1, work_order="W-5"),
    ]
    await commit(pool, *STORY, *more)
    found = (await answer(asked, "/v1/stock/missing"))["items"]
    assert [(i["item"], i["jobs"], i["units"], i["scans"]) for i in found] == [
        ("P-2", 2, 3, 3), ("P-1", 1, 2, 1),
    ]  # fmt: skip


async def test_what_was_not_issued_for_a_year_is_dead_and_what_was_is_not(
    pool: Pool, asked: httpx.AsyncClient, company_url: str
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("UPDATE item SET cost = 2.5 WHERE item_id = 1")
    await commit(pool, *STORY)
    found = await answer(asked, "/v1/stock/dead")
    assert [(i["van"], i["item"], i["qty"], i["value"]) for i in found["items"]] == [
        ("van-002", "P-1", 9, 22.5)
    ]
    assert (found["pairs"], found["units"], found["value"]) == (1, 9, 22.5)
    none = await answer(asked, "/v1/stock/dead", van="van-001")
    assert (none["pairs"], none["units"], none["value"], none["items"]) == (0, 0, 0, [])
    # Taken back, the issues were none.
    undone = [
        scan("van-001", 30 + of, "reverse", None, reverses={"epoch": "e", "seq": of})  # type: ignore[arg-type]
        for of in (2, 3)
    ]
    await commit(pool, *undone)
    assert {i["van"] for i in (await answer(asked, "/v1/stock/dead"))["items"]} == {
        "van-001", "van-002",
    }  # fmt: skip


async def trust(asked: httpx.AsyncClient, van: str, item: str) -> dict[str, Any]:
    pairs = (await answer(asked, "/v1/stock/trust", van=van))["pairs"]
    [found] = [pair for pair in pairs if pair["item"] == item]
    return dict(found)


async def test_trust_falls_with_time_movements_and_doubt(
    pool: Pool, asked: httpx.AsyncClient
) -> None:
    await commit(pool, at(1, 10 - 24 * 29, "count", qty=9), at(2, 9, "issue", qty=1))
    it = await trust(asked, "van-001", "P-1")
    assert it["trust"] == pytest.approx(0.98 * 0.5 ** (29 / 180), abs=0.001)
    assert it["reasons"] == ["old_count", "movements"]
    await commit(pool, at(3, 9.5, "count", qty=3))  # five are gone: unconfirmed
    it = await trust(asked, "van-001", "P-1")
    assert it["trust"] == pytest.approx(0.5, abs=0.01)
    assert it["reasons"] == ["unconfirmed"]
    await commit(pool, at(4, 9.6, "issue", qty=5))
    it = await trust(asked, "van-001", "P-1")
    assert (it["trust"], it["reasons"][0]) == (0, "negative")


async def test_what_nobody_counted_comes_first_and_then_what_is_worth_most(
    pool: Pool, asked: httpx.AsyncClient, company_url: str
) -> None:
    with psycopg.connect(company_url) as conn:
        conn.execute("UPDATE item SET cost = 100 WHERE item_id = 2")
    await commit(
        pool,
        at(1, 1, "load", "4006381333931", qty=2),
        at(2, 1, "count", qty=5),
        at(1, 1, "load", qty=2, van="van-002"),
    )
    pairs = (await answer(asked, "/v1/stock/trust"))["pairs"]
    assert [(p["van"], p["item"]) for p in pairs] == [
        ("van-001", "P-2"), ("van-002", "P-1"), ("van-001", "P-1"),
    ]  # fmt: skip
    with psycopg.connect(company_url) as conn:
        worth = conn.execute(
            "SELECT item_id, worth FROM worth_counting(6, %s, 5)", [as_datetime(NOW)]
        ).fetchall()
    assert [row[0] for row in worth] == [2, 1]
    assert worth[0][1] == pytest.approx(100)


@pytest.mark.parametrize("seed", range(12))
async def test_hours_out_of_stock_are_those_of_a_naive_replay(
    pool: Pool, asked: httpx.AsyncClient, seed: int
) -> None:
    rng = random.Random(seed)
    said = [
        (rng.randrange(1, 999) / 100, rng.choice(["count", "issue", "load"]), rng.randrange(4))
        for _ in range(rng.randrange(1, 12))
    ]
    await commit(
        pool,
        *(at(seq, t, intent, qty=qty) for seq, (t, intent, qty) in enumerate(said, start=1)),
    )
    level, since, out = 0, None, 0.0
    for t, intent, qty in [*sorted(said, key=lambda s: (s[0], said.index(s))), (10.0, "end", 0)]:
        if since is not None and max(0, level) == 0:
            out += t - since
        if intent == "count" or qty or since is not None:
            since = t
        level = qty if intent == "count" else level + {"issue": -qty, "load": qty}.get(intent, 0)
    it = await answer(asked, "/v1/stock/figures", **PERIOD, van="van-001")
    assert it["out_hours"] == pytest.approx(out, abs=0.001)
