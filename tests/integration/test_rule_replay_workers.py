"""Past days read by many say what one says; what goes wrong says of which van and day, and leaves nothing.

The fleet is simulated, three vans on two days, with what networks do: fixes twice, hours late, poor.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from distributed import LocalCluster

from geofence import tracks
from ingest import service
from ops import replay_workers
from ops.replay_workers import HOW_TO_INSTALL, ReplayError
from ops.rule_replay import replay, rules_of
from ops.verify import Bench, batches
from simulators.faults import HARSH, Outgoing
from simulators.fleet import fleet_days, outgoing_of_day
from simulators.vans import Tracker
from simulators.world import create_world
from storage.pool import connect
from storage.settings import Settings
from tests.conftest import keep_as_template

FIRST, LAST = date(2026, 6, 2), date(2026, 6, 3)
OTHERS = rules_of(["dwell_s=400", "radius_m=500"])
WITHIN_S = 60.0

#: The table behind a view that does something at van 2's fixes of the second day.
BEHIND = """
ALTER TABLE fix RENAME TO kept;
CREATE VIEW fix AS SELECT van_id, fix_time, longitude_deg, horizontal_accuracy_m, ignition, odometer_m,
  CASE WHEN van_id = 2 AND fix_time >= '2026-06-03' THEN {what} ELSE latitude_deg END AS latitude_deg
FROM kept;
"""
RAISES = BEHIND.format(what="latitude_deg / (van_id - 2)")
# Said to be stable, or the view would be read as a whole, and every van's reader would sleep.
SLEEPS = """
CREATE FUNCTION slept() RETURNS float8 LANGUAGE plpgsql STABLE
AS 'BEGIN PERFORM pg_sleep(600); RETURN 0; END';
""" + BEHIND.format(what="slept()")
ASLEEP = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'cordee-replay-rules'
  AND wait_event = 'PgSleep'
"""


@pytest.fixture(scope="module")
def filled(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server with two days' messages in a template, as harsh networks deliver them: late, twice, in no order."""
    world = create_world(3, vans=3, sites=1_200, items=10)
    both = list(islice(fleet_days(world, FIRST, Tracker(10, 30)), 2))
    bench = Bench(postgres_url, tmp_path_factory.mktemp("fleet"), world, both[-1])
    sent = [
        message
        for day in both
        for message in outgoing_of_day(world, day, HARSH)
        if message.topic.endswith("/position") and not message.spoiled
    ]
    random.Random(0).shuffle(sent)
    asyncio.run(_commit(bench.database("fleet"), sent, bench.evening_ms))
    keep_as_template(postgres_url, "fleet")
    return postgres_url


async def _commit(url: str, sent: list[Outgoing], now_ms: int) -> None:
    async with connect(url, "test", prepare=tracks.prepare) as pool:
        reference = None
        for batch in batches(sent, 5_000):
            reference = await service.commit(pool, batch, reference, lambda: now_ms)


@pytest.fixture
def past(filled: str) -> Iterator[Settings]:
    """A copy of that database, to be spoilt by a test."""
    with psycopg.connect(filled, autocommit=True) as conn:
        conn.execute("CREATE DATABASE spoilt TEMPLATE fleet")
        yield Settings(database_url=filled.rsplit("/", 1)[0] + "/spoilt")
        conn.execute("DROP DATABASE spoilt WITH (FORCE)")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A scheduler and two workers, each a process with one thread."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    ) as workers:
        yield workers.scheduler_address


def test_one_process_three_and_a_dask_cluster_say_the_same(past: Settings, cluster: str) -> None:
    alone = replay(past, FIRST, LAST, OTHERS)
    assert alone["van_days"] == 6
    assert alone["as_it_was"]["visit"] > 20
    assert len({one["van"] for one in alone["differences"]}) == 3
    assert replay(past, FIRST, LAST, OTHERS, processes=3) == alone
    assert replay(past, FIRST, LAST, OTHERS, dask=cluster) == alone


def test_a_cluster_that_has_replayed_before_knows_the_fences_of_today(
    past: Settings, cluster: str
) -> None:
    before = replay(past, FIRST, LAST, OTHERS, dask=cluster)
    with psycopg.connect(past.database_url) as conn:
        conn.execute("UPDATE site SET radius_m = 1")
    after = replay(past, FIRST, LAST, OTHERS, dask=cluster)
    assert after["as_it_was"] != before["as_it_was"]
    assert after == replay(past, FIRST, LAST, OTHERS)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_van_day_that_cannot_be_read_is_named(past: Settings, processes: int) -> None:
    with psycopg.connect(past.database_url) as conn:
        conn.execute(RAISES)
    with pytest.raises(ReplayError, match=r"^van-002 on 2026-06-03: DivisionByZero: division by"):
        replay(past, FIRST, LAST, OTHERS, processes=processes)


def test_a_van_day_that_a_dask_worker_cannot_read_is_named(past: Settings, cluster: str) -> None:
    with psycopg.connect(past.database_url) as conn:
        conn.execute(RAISES)
    with pytest.raises(ReplayError, match=r"^van-002 on 2026-06-03: DivisionByZero: division by"):
        replay(past, FIRST, LAST, OTHERS, dask=cluster)


@pytest.fixture
def stuck(past: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A replay by two processes, one of which is in the middle of a van's second day."""
    with psycopg.connect(past.database_url, autocommit=True) as conn:
        conn.execute(SLEEPS)
        command = [sys.executable, "-m", "ops.cli", "replay-rules", "--processes", "2"]
        with (tmp_path / "said").open("wb") as said:
            child = subprocess.Popen(
                [*command, "--from", str(FIRST), "--to", str(LAST)],
                stdout=said,
                stderr=said,
                env={**os.environ, "CORDEE_DATABASE_URL": past.database_url},
            )
        until(lambda: conn.execute(ASLEEP).fetchone() == (1,))
        yield child
        child.kill()
        child.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def readers(parent: int) -> list[int]:
    """Return the processes that read for a replay."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [
        int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def are_gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)


def test_a_process_that_is_killed_ends_the_replay_and_says_what_was_in_hand(
    stuck: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pids = readers(stuck.pid)
    os.kill(pids[0], signal.SIGKILL)
    assert stuck.wait(WITHIN_S) == 1
    said = (tmp_path / "said").read_text()
    assert said.startswith("Error: A process of the replay was killed; in hand were ")
    assert "van-002" in said
    until(lambda: are_gone(pids))


def test_control_c_ends_all_processes_at_once_and_without_a_traceback(
    stuck: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    pids = readers(stuck.pid)
    for pid in (*pids, stuck.pid):  # as a terminal does
        os.kill(pid, signal.SIGINT)
    assert stuck.wait(WITHIN_S) == 1
    assert (tmp_path / "said").read_text().strip() == "Aborted!"
    until(lambda: are_gone(pids))


def test_processes_end_when_whoever_asked_is_killed(stuck: subprocess.Popen[bytes]) -> None:
    pids = readers(stuck.pid)
    stuck.kill()
    until(lambda: are_gone(pids))


def test_without_dask_it_is_said_how_to_install_it(
    past: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ReplayError) as refused:
        replay(past, FIRST, LAST, OTHERS, dask="tcp://127.0.0.1:1")
    assert str(refused.value) == HOW_TO_INSTALL
    assert "pip install 'cordee[dask]'" in HOW_TO_INSTALL


def test_a_scheduler_that_does_not_answer_is_named(
    past: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_workers, "ANSWERS_WITHIN_S", 0.5)
    with pytest.raises(ReplayError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        replay(past, FIRST, LAST, OTHERS, dask="tcp://127.0.0.1:1")


def test_a_cluster_without_workers_is_refused(past: Settings) -> None:
    with (
        LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(ReplayError, match="has no workers"),
    ):
        replay(past, FIRST, LAST, OTHERS, dask=empty.scheduler_address)


def test_workers_with_another_version_are_refused(
    past: Settings, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_workers.metadata, "version", lambda _: "0.0.9")
    with pytest.raises(ReplayError, match=r"has not Cordée 0\.0\.9 but: 0\.1\.0"):
        replay(past, FIRST, LAST, OTHERS, dask=cluster)
