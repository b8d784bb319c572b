"""Servers and workers of a cluster are killed under load, and nothing is lost."""

from ops.faults import failover
from ops.faults.failover import Plan

EVENTS = ("kill_leading_server", "kill_worker", "add_worker")


def test_killing_a_server_and_a_worker_and_adding_one_loses_nothing_and_changes_no_row() -> None:
    report = failover.run(Plan(seed=3, vans=12, events=EVENTS))
    told = {key: report[key] for key in report if key != "rows_compared"}
    assert report["lost"] == 0, told
    assert report["tables_equal"], report["differences"]
    assert not failover.failed(report), told
    assert list(report["failover"]) == list(EVENTS)
    assert report["messages"] > 300
    assert all(report["fixes_by_partition"][number] > 0 for number in range(4)), told
    # The one that is set by us: a look a second. An election takes NATS up to 9 s.
    assert report["failover"]["kill_worker"]["gap_s"] < failover.RECOVERS_WITHIN_S
