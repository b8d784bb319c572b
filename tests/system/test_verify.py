"""A small day through the real engine, judged by the simulator's truth."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ops import verify


@pytest.fixture(scope="module")
def report() -> dict[str, object]:
    plan = verify.Plan(vans=8, hours=4.0, interval=10, seed=4, days_before=1, sites=1_200)
    return verify.run(plan)


def test_every_visit_is_found_and_no_other(report: dict[str, object]) -> None:
    assert report["visits_true"]
    assert report["visit_precision"] == 1.0
    assert report["visit_recall"] == 1.0
    assert report["flaps"] == 0
    assert report["driveby_as_visit"] == 0
    assert report["passes_true"]


def test_the_arrival_is_known_to_a_fix_interval(report: dict[str, float]) -> None:
    assert report["arrival_error_s_p50"] <= 10


def test_live_in_order_and_shuffled_deliveries_leave_the_same_rows(
    report: dict[str, object],
) -> None:
    assert report["tables_equal"]


def test_what_is_not_used_is_counted_by_its_reason(report: dict[str, object]) -> None:
    counted = report["not_used"]
    assert isinstance(counted, dict)
    assert {"poor_accuracy", "jump", "null_island", "frozen"} <= counted.keys()
    # A time far ahead is one at which the van is at home: such a position is not even kept as rejected.
    assert counted["off_duty"] > 0


def test_what_could_be_known_of_a_day_is_told_by_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.cli", "verify", "--what", "knowable", "--seed", "4"]
    small = ["--vans", "6", "--sites", "1200", "--days-before", "0"]
    report = tmp_path / "r.json"
    subprocess.run([*command, *small, "--report", str(report)], check=True, capture_output=True)
    figures = json.loads(report.read_text())
    assert figures["late_true"] > 0
    assert 0 <= figures["knowable_announced_share"] <= 1
    assert 0 <= figures["knowable_false_share"] <= 1
