"""The database is away for minutes while vans go on: memory stays bounded, the broker keeps the rest.

A flood of fixes is published at QoS 1, faster than any fleet, while PostgreSQL is down. Ingest's memory is
watched; what it cannot hold stays with the broker. Then PostgreSQL comes back, and how fast the backlog
drains is measured beside how fast the same number drains with nothing in the way.
"""

import asyncio
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from ops.faults import company
from ops.faults import stack as stacks
from ops.faults.company import Watch
from ops.faults.stack import Stack
from simulators.faults import Outgoing
from simulators.publisher import publish
from storage import backlog
from storage.settings import real_ms

DRAINS_WITHIN_S: Final = 900.0
LOOK_S: Final = 0.2
STARTS_WITHIN_LOOKS: Final = 300
COUNT: Final = "SELECT count(*) FROM fix"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    seed: int = 1
    messages: int = 60_000
    away_s: float = 150.0


def run(asked: Plan) -> dict[str, Any]:
    """Return the report.

    Raises:
        embedded.ServerError: A server did not start.
    """
    return stacks.run("pressure", lambda folder: Pressure(asked, folder).run())


class Pressure:
    """One run."""

    def __init__(self, asked: Plan, folder: Path) -> None:
        self.asked, self.folder = asked, folder
        self.now_ms = real_ms()
        self.published = 0

    async def run(self) -> dict[str, Any]:
        """Fill, wait, drain, and return the figures."""
        async with stacks.opened(self.folder) as stack:
            await company.start(stack)
            watch = Watch(stack)
            watching = asyncio.create_task(watch.run())
            calm_s = await self._calm(stack)
            before_mb = watch.most_mb
            connected = self._connections()
            await stack.stop("database")
            begun = time.monotonic()
            await self._publish(stack, self.asked.messages)
            filled_s = time.monotonic() - begun
            await asyncio.sleep(max(0.0, self.asked.away_s - filled_s))
            kept = await backlog.look(stack.settings.broker_monitor_url)
            away_mb, away_s = watch.most_mb, time.monotonic() - begun
            await stack.up("database")
            back = time.monotonic()
            drained = await self._until_stored(stack, self.published)
            drained_s = time.monotonic() - back
            emptied = await self._until_empty(stack)
            watching.cancel()
            return {
                "seed": self.asked.seed,
                "messages": self.published,
                "database_away_s": round(away_s, 1),
                "published_meanwhile": self.asked.messages,
                "kept_by_broker": kept.messages,
                "stored": drained,
                "lost": self.published - drained,
                "broker_is_empty": emptied,
                "ingest_alive": stack.is_up("ingest"),
                "reconnects": self._connections() - connected,
                "rss_mb_before": before_mb,
                "rss_mb_while_away": away_mb,
                "rss_mb_max": watch.most_mb,
                "calm_messages_per_s": round(self.asked.messages / calm_s),
                "drain_messages_per_s": round(self.asked.messages / drained_s),
                "drained_after_s": round(drained_s, 1),
            }

    async def _calm(self, stack: Stack) -> float:
        """Return how long as many messages take as a backlog, with the database there."""
        await stack.stop("ingest")
        await self._publish(stack, self.asked.messages)
        known = self._connections()
        await stack.up("ingest")
        for _ in range(STARTS_WITHIN_LOOKS):  # the time that Python takes to start is not the point
            if self._connections() > known:
                break
            await asyncio.sleep(LOOK_S)
        begun = time.monotonic()
        stored = await self._until_stored(stack, self.published)
        assert stored == self.published, "the calm half lost messages"  # noqa: S101
        return time.monotonic() - begun

    async def _publish(self, stack: Stack, count: int) -> None:
        first = self.published

        def fixes() -> Any:
            for number in range(first, first + count):
                van = number % company.VANS
                t = self.now_ms - 7_200_000 + number // company.VANS * 5_000
                said = {"t": t, "lat": 48 + van / 100, "lon": 11.0 + number % 7 / 1e5, "acc_m": 5}
                yield Outgoing(0, f"fleet/v1/van-{van + 1:03d}/position", json.dumps(said).encode())

        await publish(
            fixes(), host="127.0.0.1", port=stack.broker_port, user=None, password=None,
            clock=lambda: 1, speed=1.0, record=lambda *_: None, stop=asyncio.Event(),
        )  # fmt: skip
        self.published += count

    def _connections(self) -> int:
        """Return how often ingest has connected to the broker."""
        log = (self.folder / "ingest.log").read_text()
        return log.count('"event": "connected to the broker"')

    async def _until_stored(self, stack: Stack, count: int) -> int:
        deadline, stored = time.monotonic() + DRAINS_WITHIN_S, 0
        while stored < count and time.monotonic() < deadline:
            async with await psycopg.AsyncConnection.connect(stack.settings.database_url) as conn:
                row = await (await conn.execute(COUNT)).fetchone()
            stored = int(row[0]) if row else 0
            await asyncio.sleep(LOOK_S)
        return stored

    async def _until_empty(self, stack: Stack) -> bool:
        """Wait until the broker holds nothing: every acknowledgement has arrived."""
        deadline = time.monotonic() + 60
        while (await backlog.look(stack.settings.broker_monitor_url)).messages:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(LOOK_S)
        return True


def failed(report: dict[str, Any]) -> bool:
    """Whether a report says that something was lost, or that ingest did not live through it."""
    return bool(report["lost"] or not report["ingest_alive"] or not report["broker_is_empty"])
