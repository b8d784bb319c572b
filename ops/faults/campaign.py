"""A working day of a fleet through the real processes, with faults; judged by a calm run.

1. A world of the seed is imported. PostgreSQL, NATS, ingest, relay and API run as processes; the vans
   publish in simulated time, at QoS 1, each message kept and sent again until its PUBACK.
2. The faults of `plan.py` strike one after the other. After each, probes are sent until one's receipt
   has come back to the van, and the API says that it is ready: that is its recovery.
3. The vans send what they hold back, everything drains, and nothing may be missing: `lost`.
4. The messages that the broker acknowledged are committed once more, by the same functions, to a fresh
   copy of the world, in one process and without faults. All tables that do not depend on when something
   was known must be equal, row for row: `tables_equal`.
"""

import asyncio
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.request import urlopen

import aiomqtt
import msgspec
import psycopg

from ingest.subscriber import limit_backlog, open_session
from ops import embedded
from ops import stock as stocks
from ops.faults import acts, calm, compare, plan
from ops.faults import stack as stacks
from ops.faults.acts import Clockwork, Field, NotHadError
from ops.faults.stack import SERVICES, Stack
from ops.faults.tablets import Ears, Journal, Prober
from simulators.faults import HARSH, Rates
from simulators.fleet import outgoing
from simulators.publisher import publish
from simulators.vans import Tracker
from simulators.world import World, create_world, local_ms
from storage.settings import Settings, as_datetime, real_ms

Result = TypeVar("Result")

FIRST_DAY: Final = date(2026, 6, 2)
MORNING_S: Final = 7 * 3_600 + 40 * 60
SITES: Final = 1_500
ITEMS: Final = 300
#: Simulated seconds in a real one.
FACTOR: Final = 15.0
#: A fix from the future is refused by the clock, so its fate depends on when it comes.
RATES: Final[Rates] = replace(HARSH, future_share=0.0)

RECOVERS_WITHIN_S: Final = 90.0
DRAINS_WITHIN_S: Final = 240.0
LOOK_S: Final = 0.25

LEFT_TO_SEND: Final = "SELECT count(*) FROM outbox WHERE sent_time IS NULL"
SENT: Final = "SELECT topic, payload FROM outbox"
ORDERED_TWICE: Final = """
SELECT count(*) FROM (SELECT FROM resupply_order WHERE NOT is_urgent
  GROUP BY warehouse_id, location_id, cutoff_at HAVING count(*) > 1) AS twice
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    seed: int = 1
    faults: int = 100
    vans: int = 30
    kinds: tuple[str, ...] = tuple(plan.KINDS)
    ingest_command: tuple[str, ...] = ()
    recovers_within_s: float = RECOVERS_WITHIN_S
    drains_within_s: float = DRAINS_WITHIN_S


@dataclass(slots=True)
class Struck:
    """One fault as it happened. Times are seconds since the campaign began."""

    number: int
    kind: str
    at_s: float
    simulated: str
    seen: str
    over_s: float
    recovery_s: float | None
    restarted: dict[str, int] = field(default_factory=dict)
    is_missing: bool = False


def run(asked: Plan) -> dict[str, Any]:
    """Return the report.

    Raises:
        embedded.ServerError: A server did not start.
    """
    return stacks.run("faults", lambda folder: Campaign(asked, folder).run())


class Campaign:
    """The stack, the fleet, and what both have said."""

    def __init__(self, asked: Plan, folder: Path) -> None:
        self.asked, self.folder = asked, folder
        self.world: World = create_world(asked.seed, vans=asked.vans, sites=SITES, items=ITEMS)
        self.journal = Journal()
        self.clockwork = Clockwork(folder / "clock", FACTOR)
        self.origin_ms = local_ms(FIRST_DAY, MORNING_S)
        self.start_ms = 0
        self.struck: list[Struck] = []
        self.rss_mb: dict[str, float] = defaultdict(float)
        self.took: dict[str, float] = {}

    def now(self) -> int:
        """Return the fleet's time, simulated ms."""
        elapsed_ms = max(0, real_ms() + self.clockwork.steps_ms - self.start_ms)
        return self.origin_ms + int(elapsed_ms * FACTOR)

    async def run(self) -> dict[str, Any]:
        """Run everything, and return the report."""
        asyncio.get_running_loop().set_exception_handler(but_broken_connections)
        async with stacks.opened(self.folder, self.asked.seed) as stack:
            if self.asked.ingest_command:
                stack.ingest_command = self.asked.ingest_command
            stack.mount()
            await self._timed("prepared", self._prepare(stack))
            await self._timed("faults", self._disturb(stack))
            return await self._timed("compared", self._judge(stack))

    async def _timed(self, name: str, work: Coroutine[Any, Any, Result]) -> Result:
        begun = time.monotonic()
        try:
            return await work
        finally:
            self.took[name] = round(time.monotonic() - begun, 1)

    async def _prepare(self, stack: Stack) -> None:
        """Start the servers, and import the world twice: for the campaign, and for the calm run."""
        await asyncio.to_thread(stack.start_servers)
        await calm.import_world(
            self.world, FIRST_DAY, self.folder, stack.server_url, ("cordee", "calm")
        )
        self.clockwork.write()
        self.start_ms = real_ms()
        stack.settings = Settings(
            database_url=stack.server_url.rsplit("/", 1)[0] + "/cordee",
            broker_port=stack.broker_port,
            api_port=embedded.free_port(),
            clock_origin_ms=self.origin_ms,
            clock_start_ms=self.start_ms,
            clock_factor=FACTOR,
            clock_shift_file=str(self.clockwork.path),
            broker_monitor_url=embedded.monitor_url(self.folder),
        )
        await open_session(stack.settings)
        await limit_backlog(stack.settings)

    async def _disturb(self, stack: Stack) -> None:
        """Let the fleet work and the faults strike; return when all is drained."""
        self.ears = Ears(stack.broker_port)
        prober = Prober(stack.vans.port, self.ears, self.journal, self.now)
        it = Field(stack, self.clockwork, prober)
        listening = asyncio.create_task(self.ears.listen())
        for name in SERVICES:
            await stack.up(name)
        alive = asyncio.create_task(stack.keep_alive())
        watching = asyncio.create_task(self._watch(stack))
        began = time.monotonic()
        try:
            if await prober.first_heard(RECOVERS_WITHIN_S) is None:
                raise embedded.ServerError(
                    f"the stack did not begin to work\n{stack.children['ingest'].last_words()}"
                )
            stop = asyncio.Event()
            fleet = asyncio.create_task(self._publish(stack, stop))
            for fault in plan.schedule(self.asked.seed, self.asked.faults, self.asked.kinds):
                await asyncio.sleep(fault.pause_s)
                self.struck.append(await self._strike(it, fault, began))
                if fleet.done():
                    fleet.result()
            stop.set()
            await fleet
            while prober.tasks:
                await asyncio.wait(prober.tasks)
            await self._drained(stack)
        finally:
            for task in (alive, watching, listening):
                task.cancel()
            await asyncio.gather(alive, watching, listening, return_exceptions=True)
            for name in SERVICES:
                await stack.stop(name)

    async def _publish(self, stack: Stack, stop: asyncio.Event) -> None:
        stream = outgoing(
            self.world, FIRST_DAY, since_ms=self.origin_ms, rates=RATES, tracker=Tracker(10, 10)
        )
        await publish(
            stream,
            host="127.0.0.1",
            port=stack.vans.port,
            user=None,
            password=None,
            clock=self.now,
            speed=FACTOR,
            record=self.journal.record,
            stop=stop,
            held_ms_max=RATES.held_ms_max,
        )

    async def _watch(self, stack: Stack) -> None:
        """Note the most memory that each service has held."""
        while True:
            for name in SERVICES:
                self.rss_mb[name] = max(self.rss_mb[name], stack.rss_mb(name))
            await asyncio.sleep(LOOK_S)

    async def _strike(self, it: Field, fault: plan.Fault, began: float) -> Struck:
        """Let one fault strike, and wait until everything works again."""
        it.mark()
        restarts = Counter(it.stack.restarts)
        at_s, simulated = (
            time.monotonic() - began,
            as_datetime(self.now()).isoformat(timespec="seconds"),
        )
        is_missing = False
        try:
            seen = await acts.ACTS[fault.kind](it, fault)
        except NotHadError as error:
            seen, is_missing = f"not had: {error}", True
        over = time.monotonic()
        heard = await it.prober.first_heard(self.asked.recovers_within_s)
        ready = await self._api_is_ready(it.stack, self.asked.recovers_within_s)
        recovery_s = None if heard is None or not ready else round(time.monotonic() - over, 2)
        restarted = dict(Counter(it.stack.restarts) - restarts)
        done = Struck(
            fault.number, fault.kind, round(at_s, 1), simulated, seen, round(over - began, 1),
            recovery_s, restarted, is_missing,
        )  # fmt: skip
        print(
            f"{fault.number:3d}/{self.asked.faults} {done.at_s:7.1f} s  {fault.kind:18s}"
            f" back after {recovery_s} s  {seen[:100]}",
            flush=True,
        )
        return done

    async def _api_is_ready(self, stack: Stack, within_s: float) -> bool:
        url = f"http://127.0.0.1:{stack.settings.api_port}/readyz"

        def ask() -> bool:
            with suppress(OSError), urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
            return False

        deadline = time.monotonic() + within_s
        while not await asyncio.to_thread(ask):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.05)
        return True

    async def _drained(self, stack: Stack) -> None:
        """Wait until nothing is missing and nothing waits to be sent, or waiting helps nobody."""
        deadline = time.monotonic() + self.asked.drains_within_s
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                lost = await asyncio.to_thread(self._lost, stack)
                if not sum(lost.values()):
                    return
            await asyncio.sleep(1.0)

    def _lost(self, stack: Stack) -> dict[str, int]:
        """Return what was acknowledged and is not in the tables, by kind; what was not sent, too."""
        with psycopg.connect(stack.settings.database_url) as conn:
            missing = calm.missing(conn, self.journal.messages, self.now())
            sent = Counter((topic, payload) for topic, payload in conn.execute(SENT))
            heard = {(topic, p) for topic, parts in self.ears.heard.items() for p in parts}
            waiting = conn.execute(LEFT_TO_SEND).fetchone() or (0,)
            return {
                **missing,
                "not_sent": int(waiting[0]),
                "not_heard": len(sent.keys() - heard),
            }

    async def _judge(self, stack: Stack) -> dict[str, Any]:
        """Compare with the calm run, and return the report."""
        end_ms = self.now()
        url, calmly = stack.settings.database_url, stack.server_url.rsplit("/", 1)[0] + "/calm"
        lost = self._lost(stack)
        await calm.commit([], url, end_ms)
        drift = await stocks.rebuild(Settings(database_url=url), check=True)
        await calm.commit(self.journal.messages, calmly, end_ms)
        counts, differences = await asyncio.to_thread(compare.compare, url, calmly)
        duplicated, again = self._duplicated(url)
        recoveries = [s.recovery_s for s in self.struck if s.recovery_s is not None]
        happened = Counter(s.kind for s in self.struck if not s.is_missing)
        return {
            "seed": self.asked.seed,
            "vans": self.asked.vans,
            "faults": len(self.struck),
            "messages": len(self.journal.messages),
            "lost": sum(lost.values()),
            "lost_by_kind": lost,
            "duplicated": sum(duplicated.values()),
            "duplicated_by_kind": duplicated,
            "sent_again_under_the_same_id": again,
            "tables_equal": not differences,
            "rows_compared": counts,
            "differences": {table: asdict(row) for table, row in differences.items()},
            "drift": drift,
            "exempt": dict(compare.exemptions()),
            "recovery_s_p50": _percentile(recoveries, 50),
            "recovery_s_p99": _percentile(recoveries, 99),
            "recovery_s_max": max(recoveries, default=None),
            "not_recovered": [s.number for s in self.struck if s.recovery_s is None],
            "count_by_kind": dict(sorted(happened.items())),
            "missing_kinds": {
                s.kind: s.seen for s in self.struck if s.is_missing
            } | dict.fromkeys(plan.too_few(happened, self.asked.faults, self.asked.kinds), "too few"),
            "disk_full_by": "tmpfs" if stack.disks else stack.cannot_mount,
            "restarts": dict(stack.restarts),
            "rss_mb_max": dict(self.rss_mb),
            "struck": [asdict(s) for s in self.struck],
            "seconds": self.took,
        }  # fmt: skip

    def _duplicated(self, url: str) -> tuple[dict[str, int], int]:
        """Return what was said twice in different words under one id, and repeats that are none."""
        words: dict[tuple[str, str], set[bytes]] = defaultdict(set)
        again = 0
        for topic, parts in self.ears.heard.items():
            again += len(parts) - len(set(parts))
            if topic.endswith("/receipt"):
                continue  # a receipt says how far: the same or further, never a second effect
            for part in parts:
                words[topic, str(msgspec.json.decode(part)["id"])].add(part)
        with psycopg.connect(url) as conn:
            twice = conn.execute(ORDERED_TWICE).fetchone() or (0,)
        return {
            "ids_with_two_contents": sum(len(said) - 1 for said in words.values()),
            "orders_of_one_cutoff": int(twice[0]),
        }, again


def failed(report: dict[str, Any]) -> bool:
    """Whether a report says that a promise was broken, or that a kind of fault was missing."""
    return bool(
        report["lost"]
        or report["duplicated"]
        or not report["tables_equal"]
        or any(report["drift"].values())
        or report["missing_kinds"]
        or report["not_recovered"]
    )


def but_broken_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Be silent about connections that broke while nobody waited for them any more."""
    if not isinstance(context.get("exception"), aiomqtt.MqttError):
        loop.default_exception_handler(context)


def _percentile(values: Sequence[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 2)
