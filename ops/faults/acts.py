"""How each kind of fault is brought about, and how to see that it really was.

An act returns what was seen of the fault: a sentence. One that could not be brought about raises
`NotHadError`, and the campaign fails. `over_s` in the report counts from the moment when an act returns:
the cause is gone then, and recovery begins.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiomqtt
import psycopg

from ops.faults.plan import Fault
from ops.faults.proxy import Proxy
from ops.faults.stack import Stack
from ops.faults.tablets import QUIET, Prober

HOUR_MS: Final = 3_600_000
#: How far the services' clock is set wrong, simulated.
CLOCK_WRONG_MS: Final = (2 * HOUR_MS, 5 * HOUR_MS)
DIES_WITHIN_S: Final = 60.0
#: Vans whose broker was ill wait for its answer and then for their back-off before they are there.
STRIKES_WITHIN_S: Final = 60.0
SECOND_INGEST: Final = "ingest-2"
DELAY_S: Final = (0.02, 0.3)
SLOW_S: Final = (0.1, 0.6)

SESSIONS: Final = """
SELECT pid FROM pg_stat_activity
WHERE application_name = 'cordee-ingest' AND backend_type = 'client backend'
"""
LOCKS: Final = (
    "LOCK TABLE fix IN ACCESS EXCLUSIVE MODE",
    "SELECT FROM van FOR UPDATE",
    "LOCK TABLE outbox, scan IN ACCESS EXCLUSIVE MODE",
)
NO_SPACE: Final = re.compile(
    "No space left|no space|insufficient|out of .*resources", re.IGNORECASE
)


class NotHadError(RuntimeError):
    """A fault could not be brought about; the message says why."""


@dataclass(slots=True)
class Clockwork:
    """The time of the fleet and of the services, and by how much the services' clock is wrong."""

    path: Path
    factor: float
    steps_ms: int = 0
    wrong_ms: int = 0

    def write(self) -> None:
        """Tell the services."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(str(self.steps_ms + self.wrong_ms))
        fresh.replace(self.path)

    def step(self, simulated_ms: int) -> None:
        """Let the fleet's and the services' time be later from now on."""
        self.steps_ms += round(simulated_ms / self.factor)
        self.write()

    @contextmanager
    def wrong(self, simulated_ms: int) -> Iterator[None]:
        """Set the services' clock wrong for a while."""
        self.wrong_ms = round(simulated_ms / self.factor)
        self.write()
        try:
            yield
        finally:
            self.wrong_ms = 0
            self.write()


@dataclass(slots=True)
class Field:
    """What acts work on."""

    stack: Stack
    clockwork: Clockwork
    prober: Prober
    read: dict[Path, int] = field(default_factory=dict)

    def mark(self) -> None:
        """Read logs from here on."""
        self.read = {
            path: path.stat().st_size for path in self.stack.folder.glob("*.log") if path.exists()
        }

    def logged(self, name: str) -> str:
        """Return what a log says since the mark."""
        path = self.stack.folder / name
        with path.open("rb") as file:
            file.seek(self.read.get(path, 0))
            return file.read().decode(errors="replace")


Act = Callable[[Field, Fault], Awaitable[str]]


def _between(span: tuple[float, float], dice: float) -> float:
    return span[0] + (span[1] - span[0]) * dice


def _kill(name: str) -> Act:
    async def act(it: Field, fault: Fault) -> str:
        await asyncio.sleep(fault.dice)
        pid = it.stack.children[name].process.pid
        await it.stack.kill(name)
        return f"{name} ({pid}) ended with -9"

    return act


async def _kill_database(it: Field, fault: Fault) -> str:
    if fault.dice < 0.7:
        return await _kill("database")(it, fault)
    async with await psycopg.AsyncConnection.connect(it.stack.settings.database_url) as conn:
        pids = [pid for (pid,) in await (await conn.execute(SESSIONS)).fetchall()]
    for pid in pids[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return f"session {pid} of ingest ended with -9; PostgreSQL ended all others"
    return await _kill("database")(it, fault)


def _dies_at(name: str, point: str) -> Act:
    async def act(it: Field, fault: Fault) -> str:
        setting = f"{point}:{1 + int(4 * fault.dice)}"
        it.stack.held.add(name)
        try:
            await it.stack.kill(name)
            await it.stack.up(name, CORDEE_FAULT_POINT=setting)
            began = time.monotonic()
            while it.stack.is_up(name):
                it.prober.send()
                await it.stack.died(name, 1.0)
                if time.monotonic() - began > DIES_WITHIN_S:
                    raise NotHadError(f"{name} did not come to {setting} in {DIES_WITHIN_S:g} s")
            code = it.stack.children[name].process.returncode
            if code != -signal.SIGKILL:
                raise NotHadError(f"{name} ended with {code}, not at {setting}")
        finally:
            it.stack.held.discard(name)
        return f"{name} ended at {setting}"

    return act


def _cut(which: Callable[[Stack], Proxy]) -> Act:
    async def act(it: Field, fault: Fault) -> str:
        proxy, before = which(it.stack), which(it.stack).cuts
        proxy.cut()
        deadline = time.monotonic() + STRIKES_WITHIN_S
        while proxy.cuts == before:
            if time.monotonic() > deadline:
                raise NotHadError(f"nothing passed to be cut, of {proxy.open_links} connections")
            await asyncio.sleep(0.02)
            proxy.cut()
        if fault.dice < 0.5:  # the next connection, too
            await asyncio.sleep(0.5 + fault.dice)
            proxy.cut()
            await asyncio.sleep(0.2)
        return f"{proxy.cuts - before} connections reset in the middle of a packet"

    return act


def _delay(which: Callable[[Stack], Proxy], span: tuple[float, float]) -> Act:
    async def act(it: Field, fault: Fault) -> str:
        proxy = which(it.stack)
        proxy.delay_s = _between(span, fault.dice)
        try:
            await asyncio.sleep(fault.hold_s)
        finally:
            delay_s, proxy.delay_s = proxy.delay_s, 0.0
        return f"each packet halved by {1_000 * delay_s:.0f} ms for {fault.hold_s:.1f} s"

    return act


async def _lock_held(it: Field, fault: Fault) -> str:
    statement = LOCKS[int(fault.dice * len(LOCKS))]
    url = it.stack.settings.database_url
    async with await psycopg.AsyncConnection.connect(url) as conn:
        await conn.execute("SET lock_timeout = '20s'")
        await conn.commit()
        while True:
            try:
                await conn.execute(statement)
                break
            except psycopg.errors.DeadlockDetected:
                # PostgreSQL chose us for the victim this time, and not ingest.
                await conn.rollback()
        await asyncio.sleep(fault.hold_s)
        await conn.rollback()
    return f"{statement} for {fault.hold_s:.1f} s"


def _disk_of(it: Field, name: str) -> "DiskFull":
    if name not in it.stack.disks:
        raise NotHadError(it.stack.cannot_mount)
    return DiskFull(it, name)


@dataclass(slots=True)
class DiskFull:
    """A full disk, from `with` to its end."""

    it: Field
    name: str

    async def __aenter__(self) -> None:
        """Fill it."""
        await asyncio.to_thread(self.it.stack.disks[self.name].fill)

    async def __aexit__(self, *_: object) -> None:
        """Free it."""
        self.it.stack.disks[self.name].free()


async def _until_no_space(it: Field, log: str, press: Callable[[], Awaitable[None]]) -> str:
    """Press until a server complains of its disk; return its words."""
    deadline = time.monotonic() + STRIKES_WITHIN_S
    while time.monotonic() < deadline:
        await press()
        for line in it.logged(log).splitlines():
            if NO_SPACE.search(line):
                return line.strip()[-160:]
        await asyncio.sleep(0.1)
    raise NotHadError(f"the disk was full, and {log} does not say so after {STRIKES_WITHIN_S:g} s")


async def _disk_full_database(it: Field, fault: Fault) -> str:
    begun = time.monotonic()

    async def press() -> None:
        # Half of the time tables are let to grow into the full disk, else its log must.
        if fault.dice > 0.5 and time.monotonic() - begun < STRIKES_WITHIN_S / 2:
            return
        with contextlib.suppress(psycopg.OperationalError):
            url = it.stack.server_url
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
                await conn.execute("SELECT pg_logical_emit_message(false, 'faults', 'x', true)")
                await conn.execute("SELECT pg_switch_wal()")

    async with _disk_of(it, "database"):
        said = await _until_no_space(it, "postgres.log", press)
        await asyncio.sleep(fault.hold_s)
    return f"tmpfs full: {said}"


async def _disk_full_broker(it: Field, fault: Fault) -> str:
    async def press() -> None:
        it.prober.send()

    async with _disk_of(it, "broker"):
        said = await _until_no_space(it, "nats.log", press)
        await asyncio.sleep(fault.hold_s)
    return f"tmpfs full: {said}"


def _clock(sign: int) -> Act:
    async def act(it: Field, fault: Fault) -> str:
        wrong_ms = round(sign * _between(CLOCK_WRONG_MS, fault.dice))
        with it.clockwork.wrong(wrong_ms):
            await asyncio.sleep(fault.hold_s)
        return f"clock wrong by {wrong_ms / HOUR_MS:+.1f} h for {fault.hold_s:.1f} s"

    return act


async def _two_ingests(it: Field, fault: Fault) -> str:
    own_name = fault.dice < 0.5
    extra = {"CORDEE_INGEST_CLIENT_ID": SECOND_INGEST} if own_name else {}
    await it.stack.up(SECOND_INGEST, **extra)
    try:
        deadline = time.monotonic() + DIES_WITHIN_S
        while "connected to the broker" not in it.logged(f"{SECOND_INGEST}.log"):
            if time.monotonic() > deadline:
                raise NotHadError("the second ingest did not reach the broker")
            await asyncio.sleep(0.05)
        await asyncio.sleep(fault.hold_s)
    finally:
        await (it.stack.kill if fault.hold_s > 2.5 else it.stack.stop)(SECOND_INGEST)
        if own_name:
            await forget_session(it.stack.broker_port, SECOND_INGEST)
    batches = it.logged(f"{SECOND_INGEST}.log").count('"event": "batch"')
    return f"a second ingest as {'itself' if own_name else 'the first'}; it did {batches} batches"


async def forget_session(port: int, client_id: str) -> None:
    """Make the broker forget a session, so that it keeps nothing for it."""
    client = aiomqtt.Client("127.0.0.1", port, identifier=client_id, logger=QUIET)
    with contextlib.suppress(aiomqtt.MqttError):
        async with client:
            pass


async def _consumer_stops(it: Field, fault: Fault) -> str:
    it.stack.held.add("ingest")
    try:
        before = len(it.prober.journal.messages)
        await it.stack.stop("ingest")
        it.clockwork.step(HOUR_MS)
        await asyncio.sleep(fault.hold_s)
        kept = len(it.prober.journal.messages) - before
    finally:
        it.stack.held.discard("ingest")
    return f"an hour passed; {kept} messages acknowledged meanwhile"


ACTS: Final[dict[str, Act]] = {
    "kill_ingest": _kill("ingest"),
    "kill_relay": _kill("relay"),
    "kill_api": _kill("api"),
    "kill_broker": _kill("broker"),
    "kill_database": _kill_database,
    "commit_ack": _dies_at("ingest", "commit-ack"),
    "publish_mark": _dies_at("relay", "publish-mark"),
    "cut_vans": _cut(lambda stack: stack.vans),
    "cut_ingest": _cut(lambda stack: stack.to_ingest),
    "cut_database": _cut(lambda stack: stack.to_database),
    "delay_vans": _delay(lambda stack: stack.vans, DELAY_S),
    "delay_ingest": _delay(lambda stack: stack.to_ingest, DELAY_S),
    "slow_database": _delay(lambda stack: stack.to_database, SLOW_S),
    "lock_held": _lock_held,
    "disk_full_database": _disk_full_database,
    "disk_full_broker": _disk_full_broker,
    "clock_forward": _clock(+1),
    "clock_back": _clock(-1),
    "two_ingests": _two_ingests,
    "consumer_stops": _consumer_stops,
}
