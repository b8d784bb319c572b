"""How many messages a second become committed rows, and how long one takes: publisher to acknowledgement.

Everything is on: 20,000 fences, a day's tours, stock, outbox, broker with its file store, durable commits.
The processes are those of production: NATS Server, PostgreSQL, `cordee ingest`; a publisher that sends
packets made beforehand (`simulators/load.py`). All of them together have two cores. With several workers the
fleet is split into as many partitions (`ingest/partitions.py`), and their figures are added up.

| figure                    | from, to                                                              |
| ------------------------- | --------------------------------------------------------------------- |
| `messages_per_s`          | first byte sent; broker holds nothing unacknowledged. One fix a message |
| `fixes_per_s_backlog`     | the same, of a day's fixes in arrays of 500, all vans in turn: every 2 s |
|                           | from 200 vans, every 20 s from 2,000, for the broker keeps them all    |
| `publish_to_commit_ms_*`  | each sent alone, 200 a second; its row's commit, as PostgreSQL says    |
| `copy_rows_per_s`         | the same rows by binary COPY into a table like `fix`, same minute      |
| `cpu_s_per_million_*`     | of single fixes: CPU seconds of each process for a million messages    |
| `backlog_cpu_s_per_million_*` | of fixes in arrays: the same for a million fixes                   |

A run has a database, sessions and workers of its own, which have read the reference data when the first
byte is sent. Of several runs each figure is the median.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count, zip_longest
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import psycopg

from benchmarks import cpu
from benchmarks.messages import Message, Tracks, arrays_by_van, singles
from ingest import partitions
from ingest.subscriber import open_session
from ops import embedded
from ops.embedded import ServerError, Servers
from ops.services import Services
from ops.verify import FIRST_DAY, Bench
from simulators.fleet import fleet_days
from simulators.load import SENT, load_of
from simulators.vans import Tracker
from simulators.world import World, create_world
from storage import backlog, broker
from storage.settings import Settings, real_ms

CORES: Final = 2
PER_SECOND: Final = 200
PACED: Final = 6_000
POLL_S: Final = 0.05
GIVE_UP_S: Final = 1_800.0
PUBLISHER_WINDOW: Final = 4_000
LIVE: Final = Tracker(10, 10)
#: Of a day in arrays the broker keeps this many fixes a second, of all vans together.
KEPT_PER_S: Final = 100

COMMITTED: Final = "SELECT coalesce(sum(messages), 0)::bigint FROM ingest_activity"
COMMIT_TIMES: Final = """
SELECT extract(epoch FROM pg_xact_commit_timestamp(fix.xmin))::float8
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS sent (code, t_ms, nth)
JOIN van USING (code)
JOIN fix ON fix.van_id = van.van_id AND fix_time = to_timestamp(t_ms / 1000.0)
ORDER BY nth
"""
COPIED: Final = (
    "CREATE TABLE copied (LIKE fix INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
)


@dataclass(frozen=True, slots=True)
class Stage:
    """CPU seconds of each process, from before the first message to after the last acknowledgement."""

    publisher: float
    broker: float
    ingest: float
    ingest_network: float
    database: float

    def per_million(self, name: str, count: int) -> dict[str, float]:
        """Return the seconds of each process for a million of what there were `count` of."""
        return {
            f"{name}_{process}": round(getattr(self, process) * 1e6 / count, 1)
            for process in self.__slots__
        }


@dataclass(frozen=True, slots=True)
class Given:
    """What one run is given."""

    singles: list[Message]
    arrays: list[Message]
    paced: list[Message]

    @classmethod
    def of(cls, bench: "IngestBench", messages: int | None, every_s: int = 10) -> Self:
        """Return a working day: at most so many fixes one by one, all of them in arrays, some paced."""
        live = singles(bench.tracks(Tracker(every_s, every_s)), messages)
        apart_s = max(2, len(bench.world.vans) // KEPT_PER_S)
        by_van = arrays_by_van(bench.tracks(Tracker(apart_s, apart_s)))
        in_turn = [message for nth in zip_longest(*by_van) for message in nth if message]
        return cls(live, in_turn, live[:PACED])


def run(
    vans: int = 200,
    runs: int = 5,
    sites: int = 20_000,
    messages: int | None = None,
    workers: int = 1,
    every_s: int = 10,
) -> dict[str, Any]:
    """Return the figures of the table above, for so many vans.

    Args:
        vans: How many send.
        runs: Of how many each figure is the median.
        sites: How many fences there are.
        messages: How many single fixes are sent; all of a working day if None.
        workers: How many processes ingest, each with a partition of the fleet if they are several.
        every_s: How often each van sends one.

    Raises:
        ServerError: A server did not start, or ingest stopped working.
    """
    with opened(vans, sites, workers) as bench:
        given = Given.of(bench, messages, every_s)
        found = [bench.once(given) for _ in range(runs)]
    figures = {name: statistics.median(one[name] for one in found) for name in found[0]}
    asked = {"vans": vans, "sites": sites, "runs": runs, "workers": workers, "every_s": every_s}
    return asked | {"messages": len(given.singles)} | figures


@contextmanager
def opened(vans: int, sites: int, workers: int = 1) -> Iterator["IngestBench"]:
    """Start the servers, on as many cores as all of it may have, with a world of so many vans and fences.

    Raises:
        ServerError: A server did not start.
    """
    with ExitStack() as stack:
        stack.enter_context(cpu.cores(CORES))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        mappings = partitions.nats_mappings(_partitions(workers))
        servers = stack.enter_context(embedded.servers(folder, nats_more=mappings))
        world = create_world(1, vans=vans, sites=sites, items=400)
        yield IngestBench(servers, folder, world, workers)


def _partitions(workers: int) -> int:
    return workers if workers > 1 else 0


class IngestBench:
    """A day of a fleet as messages, and servers that take them."""

    def __init__(self, servers: Servers, folder: Path, world: World, workers: int) -> None:
        """Import the world into a database that each run copies."""
        self.servers, self.folder, self.world, self.workers = servers, folder, world, workers
        today = next(fleet_days(world, FIRST_DAY, LIVE))
        server_url = servers.database_url.rsplit("/", 1)[0] + "/postgres"
        self.bench = Bench(server_url, folder, world, today)
        self._numbers = count()

    def tracks(self, tracker: Tracker) -> Tracks:
        """Return where each van was on that day, as a tracker tells it."""
        today = next(fleet_days(self.world, FIRST_DAY, tracker))
        return [(it.van, it.fixes) for it in today.van_days]

    def once(self, given: "Given") -> dict[str, float]:
        """Return all figures of one run."""
        with self.running() as one:
            seconds, stage = one.flood(given.singles)
            copied = one.copied()
            peak = one.peak_mb()
        with self.running() as one:
            backlog_seconds, backlog_stage = one.flood(given.arrays)
            backlog_peak = one.peak_mb()
        with self.running() as one:
            waits = one.paced(given.paced)
        fixes = sum(message.fixes for message in given.arrays)
        messages_per_s = len(given.singles) / seconds
        return {
            "messages_per_s": round(messages_per_s),
            "fixes_per_s_backlog": round(fixes / backlog_seconds),
            "publish_to_commit_ms_p50": round(float(np.quantile(waits, 0.5)), 1),
            "publish_to_commit_ms_p99": round(float(np.quantile(waits, 0.99)), 1),
            "copy_rows_per_s": round(copied),
            "ratio_to_copy": round(messages_per_s / copied, 4),
            "backlog_ratio_to_copy": round(fixes / backlog_seconds / copied, 4),
            "ingest_peak_mb": peak,
            "backlog_ingest_peak_mb": backlog_peak,
            **stage.per_million("cpu_s_per_million", len(given.singles)),
            **backlog_stage.per_million("backlog_cpu_s_per_million", fixes),
        }

    @contextmanager
    def running(self) -> Iterator["Running"]:
        """Run workers on a database and sessions of their own."""
        name = f"run_{next(self._numbers)}"
        url = self.bench.database(name)
        settings = Settings(
            database_url=url,
            broker_port=self.servers.mqtt_port,
            broker_monitor_url=self.servers.monitor_url,
            ingest_client_id=name,
            partitions=_partitions(self.workers),
            clock_origin_ms=self.bench.evening_ms,
            clock_start_ms=real_ms(),
        )
        asyncio.run(open_session(settings))
        folder = self.folder / name
        workers = tuple(Services(settings, folder / f"worker-{n}") for n in range(self.workers))
        for services in workers:
            services.folder.mkdir(parents=True)
            services.start("ingest")
        try:
            yield Running(self.servers, settings, folder, workers)
        finally:
            for services in workers:
                services.stop_all()
            asyncio.run(_forget_sessions(settings))
            with psycopg.connect(self.bench.url, autocommit=True) as conn:
                conn.execute(f"DROP DATABASE {name} (FORCE)")


@dataclass(frozen=True, slots=True)
class Running:
    """Workers, and where they put what they read."""

    servers: Servers
    settings: Settings
    folder: Path
    workers: tuple[Services, ...]

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [services.children["ingest"].process.pid for services in self.workers]

    def flood(self, messages: Sequence[Message]) -> tuple[float, Stage]:
        """Send all at once; return the seconds until the broker holds nothing, and what they cost.

        Raises:
            ServerError: Ingest does not come to an end.
        """
        self.write("flood", self.warm(messages))
        before, began = self._cost(), time.monotonic()
        publisher = self.publisher("flood")
        self.until_committed(len(messages))
        seconds = time.monotonic() - began
        publisher.wait()
        after = self._cost()
        return seconds, Stage(*(b - a for a, b in zip(before, after, strict=True)))

    def paced(self, messages: Sequence[Message]) -> npt.NDArray[np.float64]:
        """Send 200 a second; return from sending to commit, ms, of each message but those that warm."""
        rest = self.warm(messages)
        self.write("paced", rest)
        self.publisher("paced", per_second=PER_SECOND).wait()
        self.until_committed(len(messages))
        return self.waits("paced", rest)

    def waits(self, name: str, messages: Sequence[Message]) -> npt.NDArray[np.float64]:
        """Return from sending to commit, ms, of messages that were sent at a pace."""
        keys = [message.van for message in messages], [message.t_ms for message in messages]
        with psycopg.connect(self.settings.database_url) as conn:
            committed = np.array([at for (at,) in conn.execute(COMMIT_TIMES, keys)])
        waits: npt.NDArray[np.float64] = committed - np.load(self.folder / name / SENT)
        return 1_000 * waits

    def warm(self, messages: Sequence[Message]) -> list[Message]:
        """Have each worker read its reference data, which takes seconds, and is not what is measured.

        Returns:
            All but the first message of each worker, which it was sent.
        """
        for services in self.workers:
            log = services.folder / "ingest.log"
            self._until(lambda log=log: "connected to the broker" in log.read_text())  # type: ignore[misc]
        firsts: dict[int, int] = {}
        for nth, message in enumerate(messages):
            firsts.setdefault(partitions.of(message.van, len(self.workers)), nth)
            if len(firsts) == len(self.workers):
                break
        self.write("warm", [messages[nth] for nth in firsts.values()])
        self.publisher("warm").wait()
        self.until_committed(len(firsts))
        first = set(firsts.values())
        return [message for nth, message in enumerate(messages) if nth not in first]

    def write(self, name: str, messages: Sequence[Message]) -> None:
        """Put messages where a publisher finds them by a name."""
        folder = self.folder / name
        folder.mkdir()
        load_of(message.packet for message in messages).write(folder)

    def copied(self) -> float:
        """Return how many rows a second a binary COPY of what is stored writes."""
        with psycopg.connect(self.settings.database_url) as conn:
            with conn.cursor().copy("COPY fix TO STDOUT (FORMAT BINARY)") as copy:
                rows = b"".join(copy)
            conn.execute(COPIED)
            conn.commit()
            began = time.monotonic()
            with conn.cursor() as cursor:
                with cursor.copy("COPY copied FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(rows)
                conn.commit()
                return cursor.rowcount / (time.monotonic() - began)

    def peak_mb(self) -> float:
        """Return the most memory that workers have held, added up."""
        return sum(map(cpu.peak_mb, self.pids))

    def publisher(self, name: str, per_second: int = 0) -> subprocess.Popen[bytes]:
        """Begin to send what was written under a name."""
        program = [sys.executable, "-m", "simulators.load", str(self.servers.mqtt_port)]
        command = [*program, str(self.folder / name), str(PUBLISHER_WINDOW), str(per_second)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603

    def _cost(self) -> tuple[float, ...]:
        ended = os.times()
        first, network = map(sum, zip(*map(cpu.of_threads, self.pids), strict=True))
        return (
            ended.children_user + ended.children_system,
            cpu.of_tree(self.servers.nats.process.pid),
            first,
            network,
            cpu.of_tree(self.servers.postgres.process.pid),
        )

    def until_committed(self, messages: int) -> None:
        """Wait until so many are committed in all, and the broker has been told so."""
        with psycopg.connect(self.settings.database_url, autocommit=True) as conn:

            def all_stored() -> bool:
                [(stored,)] = conn.execute(COMMITTED).fetchall()
                return bool(stored >= messages)

            self._until(all_stored)
        monitor = self.settings.broker_monitor_url
        self._until(lambda: asyncio.run(backlog.look(monitor)).messages == 0)

    def _until(self, done: Callable[[], bool]) -> None:
        began = time.monotonic()
        while not done():
            if time.monotonic() - began > GIVE_UP_S:
                raise ServerError(f"ingest did not come to an end within {GIVE_UP_S:g} s")
            time.sleep(POLL_S)


async def _forget_sessions(settings: Settings) -> None:
    """Let the broker keep nothing more for this run."""
    for partition in partitions.every(settings.partitions):
        name = partitions.client_id(settings.ingest_client_id, partition)
        async with broker.client(settings, identifier=name, clean_session=True):
            pass
