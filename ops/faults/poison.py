"""A million messages of rubbish through a real broker and a running ingest, each accounted for.

What `rubbish.py` makes is published by van at QoS 1; half of it by one van that has gone mad. Afterwards
the same messages are made again from the seed and read by the same decoder, here: each must stand in the
tables, as what it says or as a rejection with its bytes. Only the mad van goes beyond its quota: what of
it is not kept must have been counted. Ingest must have been one process from first to last, and its
memory bounded.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import psycopg

from ingest.batch import Delivery, decode
from ingest.quota import sender_of
from ops.faults import company
from ops.faults import stack as stacks
from ops.faults.company import Watch
from ops.faults.rubbish import rubbish
from ops.faults.stack import Stack
from ops.report import SCANS
from simulators.faults import Outgoing
from simulators.publisher import publish
from storage import backlog
from storage.message_id import message_id
from storage.settings import real_ms

MAD: Final = "van-001"
LOOK_S: Final = 0.5
STALLS_AFTER_S: Final = 120.0
READ_AT_A_TIME: Final = 5_000

FIXES: Final = "SELECT van_id, (extract(epoch FROM fix_time) * 1000)::bigint FROM fix"
KEYED: Final = f"""
{SCANS} UNION SELECT device, epoch, seq FROM visit_report
UNION SELECT device, epoch, seq FROM van_message
"""
QUOTAS: Final = (
    "SELECT sender, sum(kept)::bigint, sum(not_kept)::bigint FROM rejected_quota GROUP BY 1"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    seed: int = 1
    messages: int = 1_000_000


def run(asked: Plan) -> dict[str, Any]:
    """Return the report.

    Raises:
        embedded.ServerError: A server did not start.
    """
    return stacks.run("poison", lambda folder: _run(asked, folder))


async def _run(asked: Plan, folder: Path) -> dict[str, Any]:
    origin_ms = real_ms()
    stream = Stream(asked, company.codes(), origin_ms)
    async with stacks.opened(folder) as stack:
        await company.start(stack)
        pid = stack.children["ingest"].process.pid
        watch = Watch(stack)
        watching = asyncio.create_task(watch.run())
        begun = time.monotonic()
        acked = await _publish(stack, stream)
        published_s = time.monotonic() - begun
        await _drained(stack)
        drained_s = time.monotonic() - begun
        watching.cancel()
        is_alive = stack.is_up("ingest") and stack.children["ingest"].process.pid == pid
        if is_alive:
            await stack.stop("ingest")
        account = await asyncio.to_thread(_account, stack.settings.database_url, stream)
        return {
            "seed": asked.seed,
            "messages": asked.messages,
            "acknowledged": acked,
            "ingest_alive": is_alive,
            "rss_mb_max": watch.most_mb,
            "messages_per_s": round(asked.messages / drained_s),
            **account,
            "seconds": {"published": round(published_s, 1), "drained": round(drained_s, 1)},
        }


@dataclass(frozen=True, slots=True)
class Stream:
    """The messages, which can be made again."""

    asked: Plan
    vans: list[str]
    now_ms: int

    def __iter__(self) -> Iterator[Outgoing]:
        """Make them."""
        return rubbish(self.asked.seed, self.asked.messages, self.vans, MAD, self.now_ms)


async def _publish(stack: Stack, stream: Stream) -> int:
    """Publish all of it as fast as the broker acknowledges; return how many it acknowledged."""
    acked = 0

    def record(_message: Outgoing, _first_sent_ms: int) -> None:
        nonlocal acked
        acked += 1

    await publish(
        iter(stream),
        host="127.0.0.1",
        port=stack.broker_port,
        user=None,
        password=None,
        clock=lambda: 1,
        speed=1.0,
        record=record,
        stop=asyncio.Event(),
    )
    return acked


async def _drained(stack: Stack) -> None:
    """Wait until the broker holds nothing for ingest, or nothing has moved for a while."""
    least, since = -1, time.monotonic()
    while time.monotonic() - since < STALLS_AFTER_S and stack.is_up("ingest"):
        with suppress(backlog.BrokerError):
            waiting = (await backlog.look(stack.settings.broker_monitor_url)).messages
            if waiting == 0:
                return
            if least < 0 or waiting < least:
                least, since = waiting, time.monotonic()
        await asyncio.sleep(LOOK_S)


def _account(url: str, stream: Stream) -> dict[str, Any]:
    """Read the messages again, and return what became of them."""
    with psycopg.connect(url) as conn:
        vans = company.vans_of(conn)
        kept = {bytes(key) for (key,) in conn.execute("SELECT rejected_id FROM rejected")}
        fixes, keyed = set(conn.execute(FIXES).fetchall()), set(conn.execute(KEYED).fetchall())
        found = conn.execute("SELECT reason, count(*) FROM rejected GROUP BY 1").fetchall()
        reasons = {str(reason): int(count) for reason, count in found}
        quotas = {
            sender: (kept_, not_kept) for sender, kept_, not_kept in conn.execute(QUOTAS).fetchall()
        }
    lost, accepted, rejected = [], 0, 0
    mad: set[bytes] = set()
    rest = iter(stream)
    while part := list(islice(rest, READ_AT_A_TIME)):
        said = decode([Delivery(m.topic, m.payload) for m in part], vans, stream.now_ms)
        keys = list(zip(said.fixes.van_id.tolist(), said.fixes.t_ms.tolist(), strict=True))
        lost += [f"fix {key}" for key in keys if key not in fixes]
        lost += [
            f"what was said under {key}"
            for key in said.tablet_keys()
            if (key.device, key.epoch, key.seq) not in keyed
        ]
        for event in said.reports:  # of orders that do not exist
            if message_id(event.delivery.topic, event.delivery.payload) not in kept:
                lost.append(f"report {event.said.id}")
        accepted += len(keys) + len(said.tablet_keys()) + len(said.statuses)
        for rejection in said.rejections:
            rejected += 1
            key = message_id(rejection.topic, rejection.payload)
            if sender_of(rejection) == MAD:
                mad.add(key)
            elif key not in kept:
                lost.append(f"rejection {rejection.reason} {rejection.topic[:60]}")
    of_mad, counted = quotas.get(MAD, (0, 0))
    if of_mad + counted < len(mad):
        lost.append(f"{MAD}: {len(mad)} unusable, {of_mad} kept and {counted} counted")
    return {
        "accepted": accepted,
        "rejected": rejected,
        "lost": len(lost),
        "lost_some": lost[:10],
        "mad_van": {"unusable": len(mad), "kept": of_mad, "counted_and_not_kept": counted},
        "rejected_by_reason": reasons,
        "over_quota_senders": sorted(s for s, (_, not_kept) in quotas.items() if not_kept),
    }


def failed(report: dict[str, Any]) -> bool:
    """Whether a report says that something is not accounted for, or that somebody else was harmed."""
    return bool(
        report["lost"]
        or not report["ingest_alive"]
        or report["acknowledged"] != report["messages"]
        or report["over_quota_senders"] not in ([], [MAD])
    )
