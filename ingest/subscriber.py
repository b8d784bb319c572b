"""The MQTT side of ingest: messages in, acknowledgements out when the caller says so.

paho-mqtt runs its network loop in a thread. That thread only puts deliveries into a queue, bounded in
messages and in bytes; when the queue is full it waits, TCP fills up, and the broker keeps the rest. The
session is persistent: what is not acknowledged comes again after a crash or a lost connection.

An acknowledgement names a packet id, which a new connection may give to another message. A ticket
therefore carries the connection it came by, and is void once that connection is gone. While we hold a
ticket, the same ticket is the same message, sent again because we are slow (NATS: every 30 s): it is
dropped, or a database that is away for minutes would fill the queue with repeats. Copies that were on
their way when we acknowledged come later, with a backlog of large messages by the hundred megabytes. What
was acknowledged last under an id, and says the same, is committed: it is acknowledged once more and
dropped. A message that was published at QoS 0 has no packet id, and nothing to acknowledge.
"""

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest import partitions
from ingest.batch import Delivery
from ingest.frugal import NO_PACKET_ID, FrugalClient, Publish
from ingest.messages import QOS
from storage import backlog, broker
from storage.settings import Settings, real_ms

LIMIT_LOOKS: Final = 50
LIMIT_LOOK_S: Final = 0.1
KEEPALIVE_S = 60
#: Where there is another server to go to: a machine that is gone is noticed within twice that.
KEEPALIVE_IN_CLUSTER_S = 5
RECONNECT_S_MIN = 1
RECONNECT_IN_CLUSTER_S_MIN = 0.1
RECONNECT_S_MAX = 30
ASK_AGAIN_S = 10.0
#: Of a delivery's objects, beside its texts.
OVERHEAD_BYTES: Final = 400

log = structlog.get_logger()


async def open_session(settings: Settings) -> None:
    """Make the broker keep messages for ingest from now on, though ingest may not run yet.

    A broker keeps nothing for a session that it has never seen: what is published before the first
    subscription is acknowledged and gone. Done once, before the first van is let in; with partitions,
    for each of them.

    Raises:
        aiomqtt.MqttError: The broker is away or refuses.
    """
    for partition in partitions.every(settings.partitions):
        name = partitions.client_id(settings.ingest_client_id, partition)
        async with broker.client(settings, identifier=name, clean_session=False) as client:
            await client.subscribe([(topic, QOS) for topic in partitions.filters(partition)])


async def limit_backlog(settings: Settings) -> bool:
    """Make a NATS Server refuse what is new when it is full; return whether that had to be said.

    Without this it would let nobody connect any more, ingest included: see `storage/backlog.py`.

    Raises:
        backlog.BrokerError: The monitoring is away, or the limit was not taken.
        aiomqtt.MqttError: The broker is away or refuses.
    """
    if not settings.broker_monitor_url:
        return False
    held = await backlog.look(settings.broker_monitor_url)
    wanted = held.wanted()
    if wanted is None or wanted == held.config:
        return False
    async with broker.client(settings) as client:
        # NATS takes its own API's subjects from MQTT clients too; there is no answer to wait for.
        await client.publish(backlog.LIMIT_TOPIC, msgspec.json.encode(wanted), 0)
        for _ in range(LIMIT_LOOKS):
            await asyncio.sleep(LIMIT_LOOK_S)
            if (await backlog.look(settings.broker_monitor_url)).config == wanted:
                return True
    raise backlog.BrokerError(
        f"the broker did not take a limit of {wanted['max_bytes']:,} bytes for {backlog.STREAM}: may"
        f" the user {settings.broker_user!r} publish to {backlog.LIMIT_TOPIC}?"
    )


class Subscriber:
    """A persistent MQTT session whose messages are acknowledged by hand.

    Of one partition of the fleet, or of all of it. `arrived` is set when something has come, and may be
    shared by several.
    """

    def __init__(
        self, settings: Settings, partition: int | None = None, arrived: asyncio.Event | None = None
    ) -> None:
        self._settings = settings
        self._partition = partition
        self._filters = [(topic, QOS) for topic in partitions.filters(partition)]
        self._waiting: deque[Delivery] = deque()
        self._room = Room(settings.queue_messages_max, settings.queue_mb_max * 1_000_000)
        self._batch_bytes_max = settings.batch_mb_max * 1_000_000
        self._held: set[tuple[int, int]] = set()
        self._done: dict[int, int] = {}  # by packet id of this connection, what it was: _content
        self._arrived = arrived or asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._connection = 0
        self._same_connection = threading.Lock()
        self._closing = False
        self._ask_again_at: float | None = None
        client = FrugalClient(
            self._on_publishes,
            callback_api_version=CallbackAPIVersion.VERSION2,
            client_id=partitions.client_id(settings.ingest_client_id, partition),
            clean_session=False,
            protocol=MQTTv311,
            manual_ack=True,
        )
        if settings.broker_user:
            client.username_pw_set(settings.broker_user, settings.broker_password)
        if (context := broker.tls(settings)) is not None:
            client.tls_set_context(context)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_connect_fail = lambda client, _userdata: self._go_to_next(client)
        # Sessions begin at different servers, so that none of these serves all.
        self._servers, self._turn = broker.servers(settings), partition or 0
        is_alone = len(self._servers) == 1
        self._keepalive_s = KEEPALIVE_S if is_alone else KEEPALIVE_IN_CLUSTER_S
        client.reconnect_delay_set(
            RECONNECT_S_MIN if is_alone else RECONNECT_IN_CLUSTER_S_MIN,  # type: ignore[arg-type]  # paho only adds
            RECONNECT_S_MAX if is_alone else RECONNECT_S_MIN,
        )
        self._client = client

    async def __aenter__(self) -> Self:
        """Begin to connect; a broker that is away is tried again until it is there."""
        self._connect(self._client)
        self._client.loop_start()
        return self

    def _connect(self, client: Client) -> None:
        host, port = self._servers[self._turn % len(self._servers)]
        client.connect_async(host, port, self._keepalive_s)

    def _go_to_next(self, client: Client) -> None:
        """Run in paho's thread: name the server that it connects to next, if there is another."""
        if len(self._servers) > 1 and not self._closing:
            self._turn += 1
            self._connect(client)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Send what was acknowledged, then leave; the broker keeps the session."""
        self.pause()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def batches(self, stop: asyncio.Event) -> AsyncIterator[list[Delivery]]:
        """Yield what has arrived, up to the batch limit; an empty list after an idle tick."""
        while not stop.is_set():
            self.ask_again()
            if not self._waiting:
                self._arrived.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._arrived.wait(), self._settings.tick_s)
            yield self.take()

    @property
    def holds_clock(self) -> bool:
        """Whether what only the clock can tell is this process's to do: nobody shares the work."""
        return True

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken."""
        return len(self._waiting)

    def pause(self) -> None:
        """Take in nothing more: what comes from now on is not acknowledged, and is sent again later."""
        self._closing = True
        self._room.close()

    def ask_again(self) -> None:
        """Subscribe again where the broker has refused: what it refused would never come otherwise."""
        if self._ask_again_at is not None and time.monotonic() >= self._ask_again_at:
            self._ask_again_at = None
            self._client.subscribe(self._filters)

    def take(self, sharers: int = 1) -> list[Delivery]:
        """Return what waits, up to the limits of a batch; one message, however large, is a batch.

        With `sharers` that many sessions fill one batch.
        """
        taken: list[Delivery] = []
        left = self._batch_bytes_max // sharers
        messages_max = -(-self._settings.batch_messages_max // sharers)
        while self._waiting and len(taken) < messages_max:
            left -= size_of(self._waiting[0])
            if left < 0 and taken:
                break
            taken.append(self._waiting.popleft())
        return taken

    def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Tell the broker that these are done with, and make room for as many more."""
        with self._same_connection:
            ours = {
                its: _content(delivery.topic, delivery.payload)
                for delivery in deliveries
                if (its := delivery.ticket[1]) != NO_PACKET_ID
                and delivery.ticket[0] == self._connection
            }
            # First: acknowledged, an id is the broker's again.
            self._done.update(ours)
            self._held.difference_update(delivery.ticket for delivery in deliveries)
            self._client.ack_all(list(ours))
        self._room.give_back(len(deliveries), sum(map(size_of, deliveries)))

    def wake(self) -> None:
        """Let `batches` look at its stop event at once."""
        self._arrived.set()

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("broker refused the connection", reason=str(reason))
            return
        log.info("connected to the broker", session_kept=flags.session_present)
        client.subscribe(self._filters)

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        asked = [topic for topic, _ in self._filters]
        refused = [t for t, r in zip(asked, reasons, strict=False) if r.is_failure]
        if refused:
            log.warning(
                "broker refused subscriptions: give ingest's user the right", topics=refused
            )
            self._ask_again_at = time.monotonic() + ASK_AGAIN_S

    def _on_disconnect(
        self,
        client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._same_connection:
            self._connection += 1  # before paho connects again: what is queued by then, it drops
            self._done = {}
        if reason.is_failure:
            log.warning("lost the broker, reconnecting", reason=str(reason))
            self._go_to_next(client)

    def _on_publishes(self, publishes: list[Publish]) -> None:
        """Run in paho's thread: queue what came together, waiting for room if there is none."""
        by, arrived_ms, held = self._connection, real_ms(), self._held
        deliveries, again = [], []
        for published, packet_id, payload in publishes:
            topic, ticket = partitions.plain(published, self._partition), (by, packet_id)
            if ticket in held:
                continue
            if packet_id in self._done and self._done[packet_id] == _content(topic, payload):
                again.append(packet_id)
                continue
            deliveries.append(Delivery(topic, payload, arrived_ms, ticket))
            if packet_id != NO_PACKET_ID:
                held.add(ticket)  # at once: copies of it may stand in the same piece
        self._client.ack_all(again)
        self._room.take(len(deliveries), sum(map(size_of, deliveries)))
        if self._closing:
            return
        self._waiting.extend(deliveries)
        if not self._arrived.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)


class Room:
    """Room in a queue for so many messages and bytes; what is larger than all of it fits alone."""

    def __init__(self, messages_max: int, bytes_max: int) -> None:
        self._messages_left, self._bytes_left = messages_max, bytes_max
        self._messages_max = messages_max
        self._changed = threading.Condition()
        self._closed = False

    def take(self, messages: int, size: int) -> None:
        """Wait until there is room for so many messages of `size` bytes in all, and take it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._fits(messages, size))
            self._messages_left -= messages
            self._bytes_left -= size

    def _fits(self, messages: int, size: int) -> bool:
        is_empty = self._messages_left == self._messages_max
        return is_empty or (self._messages_left >= messages and self._bytes_left >= size)

    def give_back(self, messages: int, size: int) -> None:
        """Make room again."""
        with self._changed:
            self._messages_left += messages
            self._bytes_left += size
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _content(topic: str, payload: bytes) -> int:
    """Return what tells a message from another with the same packet id: 64 bits, keyed by the process."""
    return hash((topic, payload))


def size_of(delivery: Delivery) -> int:
    """Return about how many bytes a delivery takes in memory."""
    return len(delivery.payload) + len(delivery.topic) + OVERHEAD_BYTES
