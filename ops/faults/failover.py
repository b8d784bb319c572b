"""A fleet on three NATS servers and two workers, of which some are killed; judged by a calm run.

1. A world of the seed is imported. PostgreSQL, three NATS servers that map the fleet into partitions, and
   two `cordee ingest` that share these run as processes. The vans publish in simulated time, each message
   kept and sent again until its PUBACK, over connections that a balancer spreads over the servers that live.
2. One after the other the server that leads the messages' stream is killed with -9, another server, and a
   worker; a worker is added; the leading server is stopped as for an upgrade. After each, everything must
   work again.
3. Nothing acknowledged may be missing (`lost`), and all tables that do not depend on when something was
   known must be those of one process that committed the same messages without any of this.

How long each took is read from PostgreSQL's own commit times: `gap_s` is the longest that any partition
went without a commit, `whole_s` the longest from a PUBACK to the commit of that message.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg

from ingest import partitions
from ingest.batch import Delivery, decode
from ingest.claims import PARTITION
from ingest.subscriber import limit_backlog, open_session
from ops import cluster, embedded
from ops import stock as stocks
from ops.cluster import Cluster
from ops.embedded import Child
from ops.faults import calm, company, compare
from ops.faults import stack as stacks
from ops.faults.campaign import FACTOR, FIRST_DAY, MORNING_S, RATES, but_broken_connections
from ops.faults.proxy import Proxy
from ops.faults.tablets import Journal
from ops.services import environment
from simulators.fleet import outgoing
from simulators.publisher import publish
from simulators.vans import Tracker
from simulators.world import World, create_world, local_ms
from storage import backlog
from storage.settings import Settings, real_ms

SITES: Final = 400
ITEMS: Final = 100

SETTLES_S: Final = 3.0
LOOK_S: Final = 0.2
#: A partition that has committed so lately is at work.
LATELY_S: Final = 1.5
RECOVERS_WITHIN_S: Final = 60.0
DRAINS_WITHIN_S: Final = 90.0

#: What is done, in this order, and what its gap is made of.
EVENTS: Final[Mapping[str, str]] = {
    "kill_leading_server": "the two servers left elect a new leader of the stream after 4 to 9 s without a"
    " heartbeat, NATS's own constants, which no setting changes; then up to 2 s until a sender tries again",
    "kill_other_server": "its clients come back at another server after 0.1 s; where it led a session's"
    " consumer, an election as above",
    "kill_worker": "PostgreSQL has let go of its locks at once, others look once a second and open the"
    " sessions; what it had in hand comes again after the broker's ack_wait",
    "add_worker": "nobody waits but for what was on the way when a partition moved: ack_wait",
    "stop_leading_server": "a server that is stopped hands its leadership over first",
}

COMMITS: Final = """
SELECT code, (extract(epoch FROM fix_time) * 1000)::bigint,
       extract(epoch FROM pg_xact_commit_timestamp(fix.xmin))::float8
FROM fix JOIN van USING (van_id)
"""
HELD: Final = """
SELECT count(*), count(DISTINCT pid) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    seed: int = 1
    vans: int = 30
    partitions: int = 4
    events: tuple[str, ...] = tuple(EVENTS)


@dataclass(slots=True)
class Event:
    """Something that was done. Times are seconds since 1970, then seconds."""

    name: str
    began: float
    ended: float = 0.0
    recovered: bool = False
    gap_s: float = 0.0
    whole_s: float = 0.0


def run(asked: Plan) -> dict[str, Any]:
    """Return the report.

    Raises:
        embedded.ServerError: A server did not start.
    """
    return stacks.run("cluster", lambda folder: Run(asked, folder).run())


class Balancer(Proxy):
    """Leads each new connection to the next server that lives, as a balancer with health checks does."""

    def __init__(self, servers: Callable[[], Sequence[int]], seed: int) -> None:
        """Begin with nothing broken; `servers` are the ports of those that live."""
        super().__init__(0, seed)
        self._ports, self._turns = servers, itertools.count()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ports = self._ports()
        self.target_port = ports[next(self._turns) % len(ports)]
        await super()._serve(reader, writer)


@dataclass(slots=True)
class Run:
    """The servers, the workers, and what was acknowledged."""

    asked: Plan
    folder: Path
    journal: Journal = field(default_factory=Journal)
    workers: dict[str, Child] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    settings: Settings = field(default_factory=Settings)
    origin_ms: int = field(default_factory=lambda: local_ms(FIRST_DAY, MORNING_S))
    start_ms: int = 0
    world: World = field(init=False)

    def now(self) -> int:
        """Return the fleet's time, simulated ms."""
        return self.origin_ms + int(max(0, real_ms() - self.start_ms) * FACTOR)

    async def run(self) -> dict[str, Any]:
        """Run everything, and return the report."""
        asyncio.get_running_loop().set_exception_handler(but_broken_connections)
        with contextlib.ExitStack() as exits:
            postgres, server_url = embedded.start_postgres(self.folder, stacks.POSTGRES_OPTIONS)
            exits.callback(postgres.stop)
            servers = Cluster(self.folder, partitions.nats_mappings(self.asked.partitions))
            exits.callback(servers.stop)
            await asyncio.to_thread(servers.start)
            exits.callback(self._stop_workers)
            await self._prepare(servers, server_url)
            async with self._load(servers):
                for name in self.asked.events:
                    await asyncio.sleep(SETTLES_S)
                    await self._do(name, servers)
                await asyncio.sleep(SETTLES_S)
            await self._drained()
            self._stop_workers()
            return await self._judge(server_url)

    async def _prepare(self, servers: Cluster, server_url: str) -> None:
        self.world = create_world(self.asked.seed, vans=self.asked.vans, sites=SITES, items=ITEMS)
        await calm.import_world(self.world, FIRST_DAY, self.folder, server_url, ("cordee", "calm"))
        first, *others = (ports.mqtt for ports in servers.ports)
        self.start_ms = real_ms()
        self.settings = Settings(
            database_url=server_url.rsplit("/", 1)[0] + "/cordee",
            broker_port=first,
            broker_others=",".join(f"127.0.0.1:{port}" for port in others),
            broker_monitor_url=servers.monitor_url(),
            partitions=self.asked.partitions,
            clock_origin_ms=self.origin_ms,
            clock_start_ms=self.start_ms,
            clock_factor=FACTOR,
        )
        await open_session(self.settings)
        await limit_backlog(self.settings)
        for name in ("worker-1", "worker-2"):
            self._start_worker(name)
        await _until(lambda: self._held() == (self.asked.partitions, 2), RECOVERS_WITHIN_S)

    def _start_worker(self, name: str) -> None:
        self.workers[name] = embedded.start(
            name,
            [sys.executable, "-m", "ops.cli", "ingest"],
            self.folder / f"{name}.log",
            environment=environment(self.settings),
        )

    def _stop_workers(self) -> None:
        for child in self.workers.values():
            child.stop()

    def _held(self) -> tuple[int, int]:
        """Return how many partitions are claimed, and by how many workers."""
        with psycopg.connect(self.settings.database_url) as conn:
            held, holders = conn.execute(HELD, (PARTITION,)).fetchone() or (0, 0)
            return int(held), int(holders)

    @contextlib.asynccontextmanager
    async def _load(self, servers: Cluster) -> AsyncIterator[None]:
        """Let the fleet work until the block ends, and then send what it holds back."""
        stop = asyncio.Event()
        stream = outgoing(
            self.world, FIRST_DAY, since_ms=self.origin_ms, rates=RATES, tracker=Tracker(10, 10)
        )
        async with Balancer(lambda: _living(servers), self.asked.seed) as balancer:
            fleet = asyncio.create_task(
                publish(
                    stream,
                    host="127.0.0.1",
                    port=balancer.port,
                    user=None,
                    password=None,
                    clock=self.now,
                    speed=FACTOR,
                    record=self.journal.record,
                    stop=stop,
                    held_ms_max=RATES.held_ms_max,
                    ack_within_s=cluster.STORE_WITHIN_S,
                )
            )
            try:
                await _until(lambda: bool(self._at_work()), RECOVERS_WITHIN_S)
                yield
            finally:
                stop.set()
                await fleet

    def _at_work(self) -> bool:
        """Whether every partition has committed something just now."""
        latest = {
            number: max((at for at, _ in commits), default=0.0)
            for number, commits in self._commits().items()
        }
        return (
            len(latest) == self.asked.partitions and min(latest.values()) > time.time() - LATELY_S
        )

    def _commits(self) -> dict[int, list[tuple[float, tuple[str, int]]]]:
        """Return by partition when each fix was committed, and its key."""
        found = defaultdict(list)
        with psycopg.connect(self.settings.database_url) as conn:
            for code, t, at in conn.execute(COMMITS):
                found[partitions.of(code, self.asked.partitions)].append((at, (code, t)))
        return found

    async def _do(self, name: str, servers: Cluster) -> None:
        """Do one thing, wait until all works again, and bring back what is gone."""
        event = Event(name, time.time())
        self.events.append(event)
        gone: int | None = None
        match name:
            case "kill_leading_server":
                gone = await asyncio.to_thread(servers.leader, backlog.STREAM)
                servers.kill(gone or 0)
            case "kill_other_server":
                gone = ((await asyncio.to_thread(servers.leader, backlog.STREAM) or 0) + 1) % 3
                servers.kill(gone)
            case "stop_leading_server":
                gone = await asyncio.to_thread(servers.leader, backlog.STREAM)
                await asyncio.to_thread(servers.children[gone or 0].stop)
            case "kill_worker":
                self.workers["worker-1"].process.send_signal(signal.SIGKILL)
            case _:
                self._start_worker("worker-3")
        since = time.monotonic()
        event.recovered = await _until(
            lambda: time.monotonic() - since > SETTLES_S and self._at_work(), RECOVERS_WITHIN_S
        )
        await asyncio.sleep(SETTLES_S)  # that is, it goes on working
        event.ended = time.time()
        if gone is not None:
            await asyncio.to_thread(servers.start, [gone])
            await _until(lambda: servers.in_step(backlog.STREAM), RECOVERS_WITHIN_S)
        print(f"{name} {event.ended - event.began:.1f} s", flush=True)

    async def _drained(self) -> None:
        """Wait until nothing is missing, or waiting helps nobody."""
        await _until(lambda: not sum(self._missing().values()), DRAINS_WITHIN_S)

    def _missing(self) -> dict[str, int]:
        with psycopg.connect(self.settings.database_url) as conn:
            return calm.missing(conn, self.journal.messages, self.now())

    async def _judge(self, server_url: str) -> dict[str, Any]:
        end_ms = self.now()
        url, calmly = self.settings.database_url, server_url.rsplit("/", 1)[0] + "/calm"
        lost = self._missing()
        commits = self._commits()
        self._time(commits)
        await calm.commit([], url, end_ms)
        drift = await stocks.rebuild(Settings(database_url=url), check=True)
        await calm.commit(self.journal.messages, calmly, end_ms)
        counts, differences = await asyncio.to_thread(compare.compare, url, calmly)
        return {
            **asdict(self.asked),
            "servers": cluster.SERVERS,
            "messages": len(self.journal.messages),
            "lost": sum(lost.values()),
            "lost_by_kind": lost,
            "tables_equal": not differences,
            "rows_compared": counts,
            "differences": {table: asdict(row) for table, row in differences.items()},
            "drift": drift,
            "fixes_by_partition": {number: len(its) for number, its in sorted(commits.items())},
            "calm_gap_s": self._calm_gap(commits),
            "ack_wait_s": cluster.ACK_WAIT_S,
            "failover": {
                event.name: {
                    "recovered": event.recovered,
                    "gap_s": event.gap_s,
                    "whole_s": event.whole_s,
                    "set_by": EVENTS[event.name],
                }
                for event in self.events
            },
        }

    def _time(self, commits: Mapping[int, Sequence[tuple[float, tuple[str, int]]]]) -> None:
        """Note of each event how long commits were away, and how late the latest message was."""
        acked = self._acked()
        for event in self.events:
            event.gap_s = max(
                _gap([at for at, _ in its], event.began - 1, event.ended)
                for its in commits.values()
            )
            event.whole_s = round(
                max(
                    (
                        at - acked[key]
                        for its in commits.values()
                        for at, key in its
                        if key in acked and event.began - 1 <= acked[key] < event.ended
                    ),
                    default=0.0,
                ),
                2,
            )

    def _acked(self) -> dict[tuple[str, int], float]:
        """Return when each fix was first acknowledged, seconds since 1970, by its key."""
        with psycopg.connect(self.settings.database_url) as conn:
            vans = company.vans_of(conn)
        codes = {van.van_id: code for code, van in vans.items()}
        to_wall = time.time() - time.monotonic()
        found: dict[tuple[str, int], float] = {}
        for message, at in zip(self.journal.messages, self.journal.acked_s, strict=True):
            said = decode([Delivery(*message)], vans, self.now())
            for key in calm.fix_keys(said, codes):
                found.setdefault(key, at + to_wall)
        return found

    def _calm_gap(self, commits: Mapping[int, Sequence[tuple[float, tuple[str, int]]]]) -> float:
        """Return the longest gap before the first event, when nothing was wrong."""
        first = self.events[0].began
        return max(
            _gap([at for at, _ in its], first - SETTLES_S, first) for its in commits.values()
        )


def failed(report: dict[str, Any]) -> bool:
    """Whether a report says that a promise was broken, or that something did not come back."""
    return bool(
        report["lost"]
        or not report["tables_equal"]
        or any(report["drift"].values())
        or not all(its["recovered"] for its in report["failover"].values())
    )


def _gap(moments: Sequence[float], since: float, until: float) -> float:
    """Return the longest time without one of the moments, between two others."""
    inside = sorted(at for at in moments if since <= at <= until)
    edges = [since, *inside, until]
    return round(max(after - before for before, after in itertools.pairwise(edges)), 2)


def _living(servers: Cluster) -> list[int]:
    """Return the MQTT ports of the servers that run."""
    return [
        servers.ports[number].mqtt
        for number, child in sorted(servers.children.items())
        if child.process.poll() is None
    ]


async def _until(is_so: Callable[[], bool], within_s: float) -> bool:
    """Ask until it is so, or for so long; return whether it is."""
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(is_so):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True
