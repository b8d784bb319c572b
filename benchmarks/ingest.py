"""How many messages a second become committed rows, and how long one takes: publisher to acknowledgement.

Everything is on: 20,000 fences, a day's tours, stock, outbox, broker with its file store, durable commits.
The processes are those of production: NATS Server, PostgreSQL, `cordee ingest`; a publisher that sends
packets made beforehand (`simulators/load.py`). All of them together have two cores.

| figure                    | from, to                                                              |
| ------------------------- | --------------------------------------------------------------------- |
| `messages_per_s`          | first byte sent; broker holds nothing unacknowledged. One fix a message |
| `fixes_per_s_backlog`     | the same, of arrays of 500 fixes                                       |
| `publish_to_commit_ms_*`  | each sent alone, 200 a second; its row's commit, as PostgreSQL says    |
| `copy_rows_per_s`         | the same rows by binary COPY into a table like `fix`, same minute      |
| `cpu_s_per_million`       | of single fixes: CPU seconds of each process for a million messages    |

A run has a database, a session and an ingest of its own. Of several runs each figure is the median.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import psycopg

from benchmarks import cpu
from ingest.messages import Position
from ingest.subscriber import open_session
from ops import embedded
from ops.embedded import ServerError, Servers
from ops.services import Services
from ops.verify import FIRST_DAY, Bench
from simulators.fleet import fleet_days
from simulators.load import SENT, Load, load_of
from simulators.vans import Fixes, Tracker
from simulators.world import World, create_world
from storage import backlog, broker
from storage.settings import Settings, real_ms

CORES: Final = 2
ARRAY: Final = 500
PER_SECOND: Final = 200
PACED: Final = 6_000
POLL_S: Final = 0.05
GIVE_UP_S: Final = 900.0
PUBLISHER_WINDOW: Final = 4_000

COMMITTED: Final = "SELECT coalesce(sum(messages), 0)::bigint FROM ingest_activity"
COMMIT_TIMES: Final = """
SELECT van.code, (extract(epoch FROM fix_time) * 1000)::bigint,
       extract(epoch FROM pg_xact_commit_timestamp(fix.xmin))::float8
FROM fix JOIN van USING (van_id)
"""
COPIED: Final = (
    "CREATE TABLE copied (LIKE fix INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
)

Messages = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Stage:
    """CPU seconds of each process, from before the first message to after the last acknowledgement."""

    publisher: float
    broker: float
    ingest: float
    ingest_network: float
    database: float


def run(
    vans: int = 200, runs: int = 5, sites: int = 20_000, messages: int | None = None
) -> dict[str, Any]:
    """Return the figures of the table above, for so many vans.

    Args:
        vans: How many send.
        runs: Of how many each figure is the median.
        sites: How many fences there are.
        messages: How many single fixes are sent; all of a working day, every 10 s, if None.

    Raises:
        ServerError: A server did not start, or ingest stopped working.
    """
    with ExitStack() as stack:
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(
            0, set(sorted(cores)[:CORES])
        )  # and so is whatever is started from here
        stack.callback(os.sched_setaffinity, 0, cores)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        servers = stack.enter_context(embedded.servers(folder))
        bench = IngestBench(servers, folder, create_world(1, vans=vans, sites=sites, items=400))
        single, arrays, paced = bench.singles(messages), bench.arrays(), bench.singles(PACED)
        found = [bench.once(single, arrays, paced) for _ in range(runs)]
    figures = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {"vans": vans, "sites": sites, "runs": runs, "messages": len(single)} | figures


class IngestBench:
    """A day of a fleet as messages, and servers that take them."""

    def __init__(self, servers: Servers, folder: Path, world: World) -> None:
        """Import the world into a database that each run copies."""
        self.servers, self.folder, self.world = servers, folder, world
        today = next(fleet_days(world, FIRST_DAY, Tracker(10, 10)))
        self.tracks: list[tuple[str, Fixes]] = [(it.van, it.fixes) for it in today.van_days]
        server_url = servers.database_url.rsplit("/", 1)[0] + "/postgres"
        self.bench = Bench(server_url, folder, world, today)
        self._numbers = count()

    def singles(self, most: int | None = None) -> Messages:
        """Return every fix of the day as a message, by time."""
        rows = [(fixes.t_ms[i], nth, i) for nth, (_, fixes) in enumerate(self.tracks)
                for i in range(len(fixes.t_ms))]  # fmt: skip
        rows.sort()
        return [
            (
                f"fleet/v1/{self.tracks[nth][0]}/position",
                msgspec.json.encode(self._position(nth, i)),
            )
            for _, nth, i in rows[:most]
        ]

    def arrays(self) -> Messages:
        """Return the same fixes as backlogs, all vans in turn."""
        longest = max(len(fixes.t_ms) for _, fixes in self.tracks)
        return [
            (
                f"fleet/v1/{van}/position",
                msgspec.json.encode(
                    [
                        self._position(nth, i)
                        for i in range(first, min(first + ARRAY, len(fixes.t_ms)))
                    ]
                ),
            )
            for first in range(0, longest, ARRAY)
            for nth, (van, fixes) in enumerate(self.tracks)
            if first < len(fixes.t_ms)
        ]

    def _position(self, nth: int, i: int) -> Position:
        fixes = self.tracks[nth][1]
        return Position(
            t=int(fixes.t_ms[i]),
            lat=round(float(fixes.latitude_deg[i]), 7),
            lon=round(float(fixes.longitude_deg[i]), 7),
            acc_m=5.0,
            speed_mps=round(float(fixes.speed_mps[i]), 1),
            bearing_deg=round(float(fixes.bearing_deg[i]), 1) % 360,
            ignition=bool(fixes.ignition[i]),
            odometer_m=round(float(fixes.odometer_m[i])),
        )

    def once(self, singles: Messages, arrays: Messages, paced: Messages) -> dict[str, float]:
        """Return all figures of one run."""
        fixes = sum(len(fixes.t_ms) for _, fixes in self.tracks)
        with self._running() as one:
            seconds, stage = one.flood(load_of(singles))
            copied = one.copied()
            peak = one.peak_mb()
        with self._running() as one:
            backlog_seconds, _ = one.flood(load_of(arrays))
        with self._running() as one:
            waits = one.paced(load_of(paced), paced)
        million = len(singles) / 1e6
        return {
            "messages_per_s": round(len(singles) / seconds),
            "fixes_per_s_backlog": round(fixes / backlog_seconds),
            "publish_to_commit_ms_p50": round(float(np.quantile(waits, 0.5)), 1),
            "publish_to_commit_ms_p99": round(float(np.quantile(waits, 0.99)), 1),
            "copy_rows_per_s": round(copied),
            "ratio_to_copy": round(len(singles) / seconds / copied, 4),
            "ingest_peak_mb": peak,
        } | {
            f"cpu_s_per_million_{name}": round(getattr(stage, name) / million, 1)
            for name in Stage.__slots__
        }

    @contextmanager
    def _running(self) -> Iterator["Running"]:
        """Run an ingest on a database and a session of its own."""
        name = f"run_{next(self._numbers)}"
        url = self.bench.database(name)
        settings = Settings(
            database_url=url,
            broker_port=self.servers.mqtt_port,
            broker_monitor_url=self.servers.monitor_url,
            ingest_client_id=name,
            clock_origin_ms=self.bench.evening_ms,
            clock_start_ms=real_ms(),
        )
        asyncio.run(open_session(settings))
        folder = self.folder / name
        folder.mkdir()
        services = Services(settings, folder)
        services.start("ingest")
        try:
            yield Running(self.servers, settings, folder, services.children["ingest"].process.pid)
        finally:
            services.stop_all()
            asyncio.run(_forget_session(settings))
            with psycopg.connect(self.bench.url, autocommit=True) as conn:
                conn.execute(f"DROP DATABASE {name} (FORCE)")


@dataclass(frozen=True, slots=True)
class Running:
    """An ingest at work, and where it puts what it reads."""

    servers: Servers
    settings: Settings
    folder: Path
    pid: int

    def flood(self, load: Load) -> tuple[float, Stage]:
        """Send all at once; return the seconds until the broker holds nothing, and what they cost.

        Raises:
            ServerError: Ingest does not come to an end.
        """
        load.write(self.folder)
        self._until_ready()
        before, began = self._cost(), time.monotonic()
        publisher = self._publisher(str(PUBLISHER_WINDOW))
        self._until_committed(len(load.ends), began)
        seconds = time.monotonic() - began
        publisher.wait()
        after = self._cost()
        return seconds, Stage(*(b - a for a, b in zip(before, after, strict=True)))

    def paced(self, load: Load, messages: Messages) -> npt.NDArray[np.float64]:
        """Send 200 a second; return from sending to commit, ms, of each message."""
        load.write(self.folder)
        self._until_ready()
        self._publisher(str(PUBLISHER_WINDOW), str(PER_SECOND)).wait()
        self._until_committed(len(load.ends), time.monotonic())
        with psycopg.connect(self.settings.database_url) as conn:
            committed = {(van, t): at for van, t, at in conn.execute(COMMIT_TIMES)}
        sent_at = np.load(self.folder / SENT)
        keys = [(topic.split("/")[2], _t_of(payload)) for topic, payload in messages]
        waits: npt.NDArray[np.float64] = np.array([committed[key] for key in keys]) - sent_at
        return 1_000 * waits

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
        """Return the most memory that ingest has held."""
        return cpu.peak_mb(self.pid)

    def _publisher(self, *arguments: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "simulators.load", str(self.servers.mqtt_port)]
        command = [*program, str(self.folder), *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603

    def _cost(self) -> tuple[float, ...]:
        ended = os.times()
        first, network = cpu.of_threads(self.pid)
        return (
            ended.children_user + ended.children_system,
            cpu.of_tree(self.servers.nats.process.pid),
            first,
            network,
            cpu.of_tree(self.servers.postgres.process.pid),
        )

    def _until_ready(self) -> None:
        """Wait until ingest has connected: how long Python takes to start is not the point."""
        log = self.folder / "ingest.log"
        self._until(lambda: "connected to the broker" in log.read_text(), time.monotonic())

    def _until_committed(self, messages: int, began: float) -> None:
        """Wait until all is committed, and the broker has been told so."""
        with psycopg.connect(self.settings.database_url, autocommit=True) as conn:

            def all_stored() -> bool:
                [(stored,)] = conn.execute(COMMITTED).fetchall()
                return bool(stored >= messages)

            self._until(all_stored, began)
        monitor = self.settings.broker_monitor_url
        self._until(lambda: asyncio.run(backlog.look(monitor)).messages == 0, began)

    def _until(self, done: Callable[[], bool], began: float) -> None:
        while not done():
            if time.monotonic() - began > GIVE_UP_S:
                raise ServerError(f"ingest did not come to an end within {GIVE_UP_S:g} s")
            time.sleep(POLL_S)


async def _forget_session(settings: Settings) -> None:
    """Let the broker keep nothing more for this run."""
    async with broker.client(settings, identifier=settings.ingest_client_id, clean_session=True):
        pass


def _t_of(payload: bytes) -> int:
    return msgspec.json.decode(payload, type=Position).t
