"""Faults strike the running processes, and nothing is lost; an ingest that breaks its word is found out.

Where this user may not mount a small disk, that is said in the report, and the campaign has failed.
"""

import sys
from pathlib import Path
from typing import Any

import pytest

from ops.faults import campaign, plan
from ops.faults.campaign import Plan

DISKS = ("disk_full_database", "disk_full_broker")
SOME = (
    "kill_ingest",
    "kill_broker",
    "kill_database",
    "commit_ack",
    "publish_mark",
    "cut_ingest",
    "cut_database",
    "disk_full_database",
    "disk_full_broker",
    "clock_back",
)


def broken(how: str) -> tuple[str, ...]:
    return sys.executable, "-m", "tests.system.broken_ingest", how


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_ten_faults_lose_nothing_double_nothing_and_leave_the_rows_of_a_calm_run() -> None:
    report = campaign.run(Plan(seed=5, faults=len(SOME), vans=8, kinds=SOME))
    told: dict[str, Any] = {key: report[key] for key in report if key not in {"exempt", "struck"}}
    assert report["lost"] == 0, told
    assert report["duplicated"] == 0, told
    assert report["tables_equal"], report["differences"]
    assert not any(report["drift"].values()), told
    assert report["not_recovered"] == []
    assert report["messages"] > 500
    assert report["rows_compared"]["fix"] > 300
    may_mount = report["disk_full_by"] == "tmpfs"
    assert report["missing_kinds"].keys() == (set() if may_mount else set(DISKS))
    assert campaign.failed(report) is not may_mount
    assert len(report["struck"]) == len(SOME)


def test_an_ingest_that_acknowledges_before_it_commits_is_found_out() -> None:
    report = campaign.run(
        Plan(
            seed=6, faults=2, vans=8, kinds=("commit_ack",), ingest_command=broken("early"),
            drains_within_s=45.0,
        )
    )  # fmt: skip
    assert report["lost"] > 0
    assert not report["tables_equal"]
    assert campaign.failed(report)


def test_an_ingest_that_forgets_what_it_has_seen_is_found_out() -> None:
    report = campaign.run(
        Plan(seed=7, faults=2, vans=8, kinds=("kill_ingest",), ingest_command=broken("forgetful"))
    )
    assert report["lost"] == 0
    assert not report["tables_equal"]
    assert report["differences"]["scan"]["surplus"] > 0
    assert campaign.failed(report)


def test_kinds_of_the_small_campaign_are_kinds() -> None:
    assert set(SOME) <= plan.KINDS.keys()
