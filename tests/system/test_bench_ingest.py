"""The benchmarks of ingest run, on a small scale; what they measure decides nothing here."""

from typing import Any

from benchmarks import backlog, ingest
from benchmarks.messages import ARRAY, arrays_by_van, singles
from ops.verify import FIRST_DAY
from simulators.fleet import fleet_days
from simulators.vans import Tracker
from simulators.world import create_world

FIGURES = ("messages_per_s", "fixes_per_s_backlog", "copy_rows_per_s", "publish_to_commit_ms_p99")


def test_ingest_is_measured_one_by_one_in_arrays_and_at_a_pace(monkeypatch: Any) -> None:
    monkeypatch.setattr(ingest, "PACED", 300)
    figures = ingest.run(vans=3, runs=1, sites=1_200, messages=2_000)
    assert figures["messages"] == 2_000
    assert all(figures[name] > 0 for name in FIGURES)
    assert figures["cpu_s_per_million_ingest"] > 0


def test_a_fleet_that_comes_back_leaves_the_tables_of_a_day_without_an_outage(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(backlog, "LIVE_S", 5)
    figures = backlog.run(vans=4, hours=1.0, sites=1_200)
    assert figures["fixes"] == 4 * 3_600
    assert figures["tables_equal"], figures["differences"]
    assert figures["rows_compared"] > 4 * 3_600
    assert figures["drain_s"] > 0


def test_arrays_hold_what_single_messages_say() -> None:
    world = create_world(1, vans=2, sites=1_200, items=20)
    today = next(fleet_days(world, FIRST_DAY, Tracker(10, 10)))
    tracks = [(it.van, it.fixes) for it in today.van_days]
    of_van = list(arrays_by_van(tracks))
    assert [sum(it.fixes for it in arrays) for arrays in of_van] == [len(f.t_ms) for _, f in tracks]
    assert max(it.fixes for arrays in of_van for it in arrays) == ARRAY
    said = b",".join(it.payload[1:-1] for arrays in of_van for it in arrays)
    one_by_one = sorted(singles(tracks), key=lambda it: (it.van, it.t_ms))
    assert said == b",".join(it.payload for it in one_by_one)
