"""Imports of what resupply goes by: good files, each refusal in words, corrections."""

from collections.abc import AsyncIterator
from datetime import date, time

import pytest

from geofence.imports.reference import import_warehouses
from stock_tracker import reference, supplies
from storage.imports import Importer, ImportResult
from storage.pool import Pool
from tests.integration.test_orders import FRIDAY_EVENING, MONDAY_MORNING, MONDAY_NOON, tick
from tests.integration.test_resupply import PROPOSALS
from tests.integration.test_stock_ledger import commit, full_count, opened, rows, scan


@pytest.fixture
async def pool(company_url: str) -> AsyncIterator[Pool]:
    async with opened(company_url) as it:
        await tick(it, FRIDAY_EVENING)
        yield it


async def put(pool: Pool, importer: Importer, *lines: str) -> ImportResult:
    async with pool.connection() as conn:
        return await importer(conn, "\n".join(lines).encode(), organisation="default")


def counts(done: ImportResult) -> tuple[int, int, int]:
    return done.inserted, done.updated, done.unchanged


def refusals(done: ImportResult) -> dict[int, str]:
    return {bad.line: bad.reason for bad in done.bad}


async def test_substitutes_are_merged_and_none_stands_in_for_itself(
    company_url: str, pool: Pool
) -> None:
    lines = ["item,substitute,rank", "P-1,P-2,2", "P-1,P-1,1", "P-1,P-9,1", "P-2,P-1,0"]
    done = await put(pool, supplies.import_substitutes, *lines)
    assert counts(done) == (1, 0, 0)
    words = refusals(done)
    assert words.keys() == {3, 4, 5}
    assert "cannot stand in for itself" in words[3]
    again = await put(pool, supplies.import_substitutes, "item,substitute,rank", "P-1,P-2,1")
    assert counts(again) == (0, 1, 0)
    assert rows(company_url, "SELECT * FROM item_substitute") == [(1, 2, 1)]


async def test_an_exception_changes_what_its_van_proposes_at_once(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=6, t=MONDAY_MORNING), now=MONDAY_MORNING)
    assert rows(company_url, PROPOSALS) == []
    head = "van,item,reorder_point,order_up_to,cap,until,reason"
    done = await put(
        pool, supplies.import_exceptions, head, "van-001,P-1,8,12,20,2026-12-31,nights",
        "van-001,P-2,3,3,3,2026-12-31,x", "van-001,P-2,1,3,3,soon,x",
    )  # fmt: skip
    assert counts(done) == (1, 0, 0)
    assert refusals(done).keys() == {3, 4}
    assert "must be less than order_up_to" in refusals(done)[3]
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 6, 0)]
    await put(pool, supplies.import_exceptions, head, "van-001,P-1,2,12,20,2026-12-31,days")
    assert rows(company_url, PROPOSALS) == []


async def test_a_template_changes_what_its_vans_propose_at_once(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=6, t=MONDAY_MORNING), now=MONDAY_MORNING)
    head = "template,item,reorder_point,order_up_to,cap"
    await put(pool, reference.import_templates, head, "T,P-1,7,11,20")
    assert rows(company_url, PROPOSALS) == [("van-001", "P-1", 5, 0)]
    await put(pool, reference.import_templates, head, "T,P-1,5,11,20")
    assert rows(company_url, PROPOSALS) == []


async def test_what_a_warehouse_holds_is_a_count_that_a_later_file_corrects(
    company_url: str, pool: Pool
) -> None:
    head = "warehouse,item,qty,counted_at,bin"
    noon = "2026-09-20T12:00+02:00"
    done = await put(
        pool, supplies.import_warehouse_stock, head, f"WH,P-1,40,{noon},A-07", f"WH,P-2,3,{noon},",
        f"XX,P-1,4,{noon},", f"WH,P-1,-1,{noon},", "WH,P-1,4,yesterday,",
    )  # fmt: skip
    assert counts(done) == (2, 0, 0)
    assert refusals(done).keys() == {4, 5, 6}
    held = (
        "SELECT item_id, qty FROM level JOIN location USING (location_id) WHERE kind = 'warehouse'"
        " ORDER BY 1"
    )
    assert rows(company_url, held) == [(1, 40), (2, 3)]
    assert rows(company_url, "SELECT item_id, bin FROM warehouse_bin") == [(1, "A-07")]
    again = await put(
        pool, supplies.import_warehouse_stock, head, f"WH,P-1,44,{noon},B-01", f"WH,P-2,3,{noon},"
    )
    assert counts(again) == (0, 1, 1)
    assert rows(company_url, held) == [(1, 44), (2, 3)]
    assert rows(company_url, "SELECT item_id, bin FROM warehouse_bin") == [(1, "B-01")]
    await commit(pool, scan("van-001", 1, "load", qty=4, t=MONDAY_MORNING), now=MONDAY_MORNING)
    assert rows(company_url, held) == [(1, 40), (2, 3)]


async def test_a_warehouse_is_set_up_by_the_columns_that_a_file_has(
    company_url: str, pool: Pool
) -> None:
    said = (
        "SELECT closed_days, delivery_days, delivery_time, express_minutes, approval, sscc_prefix"
        " FROM warehouse"
    )
    usual = ([], 1, time(6, 30), 240, "automatic", "0400000")
    base = "warehouse,name,latitude_deg,longitude_deg"
    await put(pool, import_warehouses, base, "WH,Depot,48,11")
    assert rows(company_url, said) == [usual]
    done = await put(
        pool, import_warehouses,
        f"{base},closed_days,delivery_days,delivery_time,express_minutes,approval,sscc_prefix",
        "WH,Depot,48,11,2026-12-25;2027-01-01,2,05:45,0,by_person,3401234",
    )  # fmt: skip
    assert not done.bad
    changed = ([date(2026, 12, 25), date(2027, 1, 1)], 2, time(5, 45), 0, "by_person", "3401234")
    assert rows(company_url, said) == [changed]
    await put(pool, import_warehouses, base, "WH,Depot,48,11")
    assert rows(company_url, said) == [changed]


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("closed_days", "Christmas", "are no days"),
        ("delivery_days", "31", "from 0 to 30"),
        ("delivery_time", "noon", "noon"),
        ("approval", "maybe", "automatic or by_person"),
        ("sscc_prefix", "123", "7 to 12 digits"),
    ],
)
async def test_what_a_warehouse_cannot_be_is_refused_in_words(
    company_url: str, pool: Pool, column: str, cell: str, words: str
) -> None:
    head = f"warehouse,name,latitude_deg,longitude_deg,{column}"
    done = await put(pool, import_warehouses, head, f"WH,Depot,48,11,{cell}")
    assert words in refusals(done)[2]


async def test_what_an_item_costs_to_hold_is_told_by_its_file(company_url: str, pool: Pool) -> None:
    await put(pool, reference.import_items, "item,name,cost", "P-1,Fuse,0.5", "P-3,Pump,80")
    assert rows(company_url, "SELECT ref, cost FROM item ORDER BY 1") == [
        ("P-1", 0.5), ("P-2", 1.0), ("P-3", 80.0),
    ]  # fmt: skip
    done = await put(pool, reference.import_items, "item,name,cost", "P-1,Fuse,0")
    assert "0.000001" in refusals(done)[2]


# --- What follows from an import -----------------------------------------------------------------------

EXCEPTIONS = "van,item,reorder_point,order_up_to,cap,until,reason"
STOCK = "van,item,qty,counted_at"
P_2 = "4006381333931"
HELD = """
SELECT item_id, qty FROM level JOIN location USING (location_id) WHERE van_id = 1 ORDER BY 1
"""


@pytest.mark.parametrize(
    ("until", "proposed"),
    [("2026-09-22", [("van-001", "P-1", 6, 0)]), ("2026-09-21", [])],
)
async def test_an_exception_counts_for_what_is_there_on_its_last_day(
    company_url: str, pool: Pool, until: str, proposed: list[tuple[object, ...]]
) -> None:
    """What Monday's cut-off orders is there on Tuesday."""
    await commit(pool, scan("van-001", 1, "count", qty=6, t=MONDAY_MORNING), now=MONDAY_MORNING)
    await put(pool, supplies.import_exceptions, EXCEPTIONS, f"van-001,P-1,8,12,20,{until},nights")
    assert rows(company_url, PROPOSALS) == proposed


async def test_an_exception_that_has_ended_gives_way_to_the_template(
    company_url: str, pool: Pool
) -> None:
    await commit(pool, scan("van-001", 1, "count", qty=3, t=MONDAY_MORNING), now=MONDAY_MORNING)
    line = "van-001,P-1,0,1,1,2026-09-22,in repair"
    await put(pool, supplies.import_exceptions, EXCEPTIONS, line)
    assert rows(company_url, PROPOSALS) == []
    await tick(pool, MONDAY_NOON)
    assert [row[:2] for row in rows(company_url, PROPOSALS)] == [("van-001", "P-1")]


async def test_imported_stock_goes_before_an_older_full_count_and_not_before_a_newer_one(
    company_url: str, pool: Pool
) -> None:
    await put(pool, reference.import_stock, STOCK, "van-001,P-1,9,2026-09-20T08:00Z")
    counted = scan("van-001", 1, "count", P_2, qty=4, t=MONDAY_MORNING)
    everything = full_count(2, MONDAY_MORNING - 1, MONDAY_MORNING + 1)
    await commit(pool, counted, everything, now=MONDAY_MORNING + 1)
    assert rows(company_url, HELD) == [(1, 0), (2, 4)]
    await put(pool, reference.import_stock, STOCK, "van-001,P-1,7,2026-09-20T09:00Z",
              "van-001,P-2,5,2026-09-20T09:00Z")  # fmt: skip
    assert rows(company_url, HELD) == [(1, 0), (2, 4)]
    await put(pool, reference.import_stock, STOCK, "van-001,P-1,8,2026-09-22T09:00Z")
    assert rows(company_url, HELD) == [(1, 8), (2, 4)]


async def test_imported_stock_settles_what_was_to_be_counted_again(
    company_url: str, pool: Pool
) -> None:
    await put(pool, reference.import_stock, STOCK, "van-001,P-1,20,2026-09-20T08:00Z")
    await commit(pool, scan("van-001", 1, "count", qty=8, t=MONDAY_MORNING), now=MONDAY_MORNING)
    asked = "SELECT reason FROM count_task"
    assert rows(company_url, asked) == [("unconfirmed",)]
    await put(pool, reference.import_stock, STOCK, "van-001,P-1,8,2026-09-21T09:00Z")
    await tick(pool, MONDAY_MORNING + 60_000)
    assert rows(company_url, asked) == []


async def test_a_template_lowered_takes_back_what_its_lots_and_exceptions_proposed(
    company_url: str, pool: Pool
) -> None:
    """Pairs of lots are looked at too: no one of them says what all have."""
    counted = "0104006381333931" + "17260922" + "10L1"
    await commit(pool, scan("van-001", 1, "count", counted, aim_id="]C1", qty=9, t=MONDAY_MORNING),
                 now=MONDAY_MORNING)  # fmt: skip
    head = "template,item,reorder_point,order_up_to,cap"
    await put(pool, reference.import_templates, head, "T,P-2,5,10,20")
    assert [row[:2] for row in rows(company_url, PROPOSALS)] == [("van-001", "P-2")]
    await put(pool, reference.import_templates, head, "T,P-2,0,1,20")
    assert rows(company_url, PROPOSALS) == [("van-001", "P-2", 1, 0)]


async def test_a_warehouse_whose_settings_change_is_counted_as_changed(
    company_url: str, pool: Pool
) -> None:
    base = "warehouse,name,latitude_deg,longitude_deg,delivery_days"
    await put(pool, import_warehouses, base, "WH,Depot,48,11,1", "W2,Annex,48,11,3")
    again = await put(pool, import_warehouses, base, "WH,Depot,48,11,2", "W2,Annex,48,11,3")
    assert counts(again) == (0, 1, 1)
    assert rows(company_url, "SELECT delivery_days FROM warehouse ORDER BY code") == [(3,), (2,)]


async def test_an_empty_bin_clears_it_and_a_file_without_bins_leaves_it(
    company_url: str, pool: Pool
) -> None:
    bins = "SELECT item_id, bin FROM warehouse_bin ORDER BY 1"
    head, t = "warehouse,item,qty,counted_at", "2026-09-20T12:00Z"
    stock = supplies.import_warehouse_stock
    await put(pool, stock, f"{head},bin", f"WH,P-1,4,{t},A-1", f"WH,P-2,4,{t},A-2")
    await put(pool, stock, head, f"WH,P-1,4,{t}")
    assert rows(company_url, bins) == [(1, "A-1"), (2, "A-2")]
    done = await put(pool, stock, f"{head},bin", f"WH,P-1,4,{t},", f"WH,P-2,4,{t},{'x' * 41}")
    assert "up to 40 characters" in refusals(done)[3]
    assert rows(company_url, bins) == [(2, "A-2")]


@pytest.mark.parametrize("cost", ["0", "1e-50", "nan", "inf"])
async def test_a_cost_that_no_item_has_is_refused_in_words(
    company_url: str, pool: Pool, cost: str
) -> None:
    done = await put(pool, reference.import_items, "item,name,cost", f"P-9,Fuse,{cost}")
    assert "cost is" in refusals(done)[2]
    assert rows(company_url, "SELECT FROM item WHERE ref = 'P-9'") == []
