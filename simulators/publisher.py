"""Sends a stream of messages over MQTT when each is due, and says which the broker has acknowledged.

One task walks the stream and waits for the clock; it deals the messages to a few connections, by
van, through bounded queues. Each connection takes what has come, up to a few hundred, hands all of
it to the broker at once (QoS 1), waits for every PUBACK, and takes the next: in order per van, many
in flight, never unbounded. When a connection breaks, what was not acknowledged is sent again on the
next one: at least once, as MQTT means it.

Where each van has a login of its own, each has a connection of its own, and what no login may send
(an unknown van's) is not sent.

Asked to stop, it sends what the vans still held back, and returns once all is acknowledged.
"""

import asyncio
import logging
import ssl
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import aiomqtt

from ingest.messages import QOS
from simulators.faults import HELD_MS_MAX, Outgoing, flush

GROUP_MAX: Final = 200
QUEUE_MAX: Final = 1_000
ACK_TIMEOUT_S: Final = 30.0
BACKOFF_S_MAX: Final = 5.0
#: Connections in a row that get nothing acknowledged before giving up: about five minutes.
ATTEMPTS_MAX: Final = 60
#: Sleeping less would send every message alone, at three times the cost.
NAP_S_MIN: Final = 0.02
#: Sleeping more would notice a changed clock too late.
NAP_S_MAX: Final = 0.2
#: Messages dealt without letting the connections work.
DEAL_MAX: Final = 200

#: aiomqtt warns of every call beyond ten in flight; here hundreds are meant.
QUIET: Final = logging.getLogger(__name__)
QUIET.setLevel(logging.ERROR)

#: A user and its password.
Login = tuple[str, str]

Clock = Callable[[], int]
Record = Callable[[Outgoing, int], None]


@dataclass(frozen=True, slots=True)
class _Broker:
    host: str
    port: int
    user: str | None
    password: str | None
    tls_context: ssl.SSLContext | None
    ack_within_s: float

    def client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self.host,
            self.port,
            username=self.user,
            password=self.password,
            tls_context=self.tls_context,
            logger=QUIET,
            max_inflight_messages=GROUP_MAX,
            max_concurrent_outgoing_calls=GROUP_MAX,
            timeout=self.ack_within_s,
        )


async def publish(
    outgoing: Iterator[Outgoing],
    *,
    host: str,
    port: int,
    user: str | None,
    password: str | None,
    logins: Mapping[str, Login] | None = None,
    clock: Clock,
    speed: float,
    record: Record,
    stop: asyncio.Event,
    connections: int = 8,
    held_ms_max: int = HELD_MS_MAX,
    tls_context: ssl.SSLContext | None = None,
    ack_within_s: float = ACK_TIMEOUT_S,
) -> None:
    """Publish each message when `clock()` (simulated ms) reaches its `send_ms`.

    Args:
        outgoing: Messages by rising `send_ms`; the end of it ends the publishing.
        host: The broker's.
        port: The broker's.
        user: May publish for every van.
        password: The user's.
        logins: By van's code, instead of one user for all; a van without one sends nothing.
        clock: Simulated milliseconds UTC.
        speed: Simulated seconds in a real one; only to know how long to sleep.
        record: Called with each message after its PUBACK, and the wall-clock ms when it was first
            handed to the broker.
        stop: Set it to flush what is held back and return.
        connections: Among which the vans are dealt that have no logins.
        held_ms_max: How far ahead to look for what is held back: `Rates.held_ms_max`.
        tls_context: What to check the broker by; None for no TLS.
        ack_within_s: After that without a PUBACK a connection is taken for broken.

    Raises:
        ExceptionGroup: Of aiomqtt.MqttError, when the broker stays away for about five minutes.
    """
    if logins is None:
        shared = _Broker(host, port, user, password, tls_context, ack_within_s)
        brokers = {str(number): shared for number in range(connections)}
    else:
        brokers = {
            van: _Broker(host, port, *login, tls_context, ack_within_s)
            for van, login in logins.items()
        }
    lines = {name: asyncio.Queue[Outgoing | None](QUEUE_MAX) for name in brokers}

    def line_of(message: Outgoing) -> str:
        van = message.topic.split("/")[2]
        return van if logins is not None else str(zlib.crc32(van.encode()) % connections)

    sendable = (message for message in outgoing if line_of(message) in lines)
    async with asyncio.TaskGroup() as tasks:
        for name, broker in brokers.items():
            tasks.create_task(_serve(lines[name], broker, record))
        await _deal(
            sendable, lambda message: lines[line_of(message)], clock, speed, stop, held_ms_max
        )
        for line in lines.values():
            await line.put(None)


async def _deal(
    outgoing: Iterator[Outgoing],
    queue_of: Callable[[Outgoing], asyncio.Queue[Outgoing | None]],
    clock: Clock,
    speed: float,
    stop: asyncio.Event,
    held_ms_max: int,
) -> None:
    for dealt, message in enumerate(outgoing, start=1):
        while (wait_ms := message.send_ms - clock()) > 0 and not stop.is_set():
            await _nap(stop, min(max(wait_ms / 1000 / speed, NAP_S_MIN), NAP_S_MAX))
        if stop.is_set():
            for held in flush(_chain(message, outgoing), clock(), held_ms_max):
                await queue_of(held).put(held)
            return
        await queue_of(message).put(message)
        if dealt % DEAL_MAX == 0:
            # A put into a queue with room does not yield; late, we would starve the connections.
            await asyncio.sleep(0)


def _chain(first: Outgoing, rest: Iterator[Outgoing]) -> Iterator[Outgoing]:
    yield first
    yield from rest


async def _nap(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass


async def _serve(
    queue: asyncio.Queue[Outgoing | None],
    broker: _Broker,
    record: Record,
) -> None:
    """Serve one queue until its end, over as many connections as it takes."""
    unacknowledged: list[tuple[Outgoing, int]] = []
    failed = 0
    while True:
        try:
            async with broker.client() as client:
                while True:
                    if not unacknowledged:
                        group = await _take(queue)
                        if not group:
                            return
                        now_ms = time.time_ns() // 1_000_000
                        unacknowledged = [(message, now_ms) for message in group]
                    await _send(client, unacknowledged, record)
                    failed = 0
        except aiomqtt.MqttError:
            # The broker is away, restarting or slow: wait longer each time, and send again.
            failed += 1
            if failed == ATTEMPTS_MAX:
                raise
            await asyncio.sleep(min(0.1 * 2**failed, BACKOFF_S_MAX))


async def _take(queue: asyncio.Queue[Outgoing | None]) -> list[Outgoing]:
    """Wait for one message and take what else has come; empty at the end of the stream."""
    message = await queue.get()
    group: list[Outgoing] = []
    while message is not None:
        group.append(message)
        if len(group) == GROUP_MAX or queue.empty():
            return group
        message = queue.get_nowait()
    # The end is seen again by the next call.
    queue.put_nowait(None)
    return group


async def _send(
    client: aiomqtt.Client, unacknowledged: list[tuple[Outgoing, int]], record: Record
) -> None:
    """Publish all, wait for their PUBACKs, and leave in the list only those that got none.

    Raises:
        aiomqtt.MqttError: Some got none.
    """
    outcomes = await asyncio.gather(
        *(
            # Tasks start in order, so the messages of a van stay in order.
            client.publish(message.topic, message.payload, QOS, message.retain)
            for message, _ in unacknowledged
        ),
        return_exceptions=True,
    )
    failures: list[BaseException] = []
    left: list[tuple[Outgoing, int]] = []
    for (message, first_sent_ms), outcome in zip(unacknowledged, outcomes, strict=True):
        if outcome is None:
            record(message, first_sent_ms)
        else:
            failures.append(outcome)
            left.append((message, first_sent_ms))
    unacknowledged[:] = left
    if failures:
        raise failures[0]
