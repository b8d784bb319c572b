"""Weeks of a small fleet's stock through the real engine, judged by what was scanned; and its bench."""

from typing import Any

import pytest

from benchmarks import stock as stock_bench
from ops import stock_verify


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    return stock_verify.run(stock_verify.Plan(vans=10, items=120, days=7, seed=2))


def test_every_level_is_what_the_scans_add_up_to(report: dict[str, object]) -> None:
    assert report["scans"]
    assert report["levels_wrong"] == 0


def test_any_order_of_the_messages_leaves_the_same_rows(report: dict[str, object]) -> None:
    assert report["tables_equal"], report["digests"]


def test_nothing_is_ordered_twice_and_jobs_find_their_parts(report: dict[str, float]) -> None:
    assert report["order_lines"] > 20
    assert report["duplicate_orders"] == 0
    assert report["job_fill_rate"] > 0.9


def test_the_figures_say_what_the_simulated_jobs_met(report: dict[str, Any]) -> None:
    """But for the scans that people forgot, and the jobs that needed nothing."""
    told = report["stock"]
    assert told["jobs_share"] == pytest.approx(report["job_fill_rate"], abs=0.02)
    assert told["units_share"] == pytest.approx(report["unit_fill_rate"], abs=0.02)
    assert told["jobs"] == pytest.approx(report["jobs_with_parts"], rel=0.05)
    assert told["counts"] > 50
    assert told["pair_hours"] == pytest.approx(told["pairs"] * told["days"] * 24, rel=0.01)
    assert told["out_share"] < 0.2


def test_a_warehouse_notices_an_order_that_forgets_what_is_under_way() -> None:
    world = stock_verify.stock_world.create(1, 2, 20, stock_verify.FIRST_DAY)
    warehouse = stock_verify.Warehouse(world)
    warehouse.note("van-001", world.parts[0].ref, 3, 0)
    warehouse.note("van-001", world.parts[0].ref, 1, 3)
    assert warehouse.duplicates == 0
    warehouse.note("van-001", world.parts[0].ref, 1, 3)
    assert warehouse.duplicates == 1


def test_the_bench_measures_batches_and_every_pair() -> None:
    figures = stock_bench.stock(runs=1, vans=3, items=30)
    assert {f"batch_of_{size}" for size in stock_bench.SIZES} <= figures.keys()
    assert figures["every_pair"]["pairs"] == 90
