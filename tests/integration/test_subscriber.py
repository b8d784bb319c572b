"""What comes in over MQTT waits in bounded memory, once, and is acknowledged only if it has an id."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.client import DisconnectFlags
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode
from structlog.testing import capture_logs

from ingest.batch import Delivery
from ingest.messages import SUBSCRIPTIONS
from ingest.subscriber import OVERHEAD_BYTES, Subscriber, open_session
from ops import embedded
from storage.settings import Settings, real_ms
from tests.integration.conftest import CLOCK_MS, running

TOPIC = "fleet/v1/van-001/position"


@pytest.fixture
def hasty_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A NATS Server that sends again after a second what is not acknowledged."""
    again = embedded.NATS_CONFIG.replace('ack_wait: "30s"', 'ack_wait: "1s"')
    assert again != embedded.NATS_CONFIG
    monkeypatch.setattr(embedded, "NATS_CONFIG", again)
    child, port = embedded.start_nats(tmp_path)
    yield port
    child.stop()


@pytest.fixture
async def van(hasty_port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", hasty_port) as client:
        yield client


async def next_batch(
    batches: AsyncIterator[list[Delivery]], within_s: float = 10.0
) -> list[Delivery]:
    """Return the next batch that is not empty."""
    async with asyncio.timeout(within_s):
        while True:
            if batch := await anext(batches):
                return batch


async def test_what_is_sent_again_while_it_is_in_hand_is_one_message(
    hasty_port: int, van: aiomqtt.Client
) -> None:
    settings = Settings(broker_port=hasty_port, tick_s=0.05)
    await open_session(settings)
    async with Subscriber(settings) as subscriber:
        batches = subscriber.batches(asyncio.Event())
        await van.publish(TOPIC, b"1", qos=1)
        await van.publish(TOPIC, b"2", qos=1)
        first = await next_batch(batches)
        while len(first) < 2:
            first += await next_batch(batches)
        deadline = asyncio.get_running_loop().time() + 3.5  # it comes again three times meanwhile
        while asyncio.get_running_loop().time() < deadline:
            assert await anext(batches) == []
        subscriber.ack(first)
        await van.publish(TOPIC, b"3", qos=1)
        (last,) = await next_batch(batches)
        assert last.payload == b"3"
        subscriber.ack([last])


async def test_copies_that_were_on_their_way_when_it_was_acknowledged_are_no_messages(
    hasty_port: int, van: aiomqtt.Client
) -> None:
    # The connection waits for room meanwhile, so that the copies lie in the network.
    settings = Settings(broker_port=hasty_port, tick_s=0.05, queue_messages_max=1)
    await open_session(settings)
    async with Subscriber(settings) as subscriber:
        batches = subscriber.batches(asyncio.Event())
        payloads = [b"%d" % number for number in range(1, 7)]
        for payload in payloads:
            await van.publish(TOPIC, payload, qos=1)
        got: list[bytes] = []
        while b"last" not in got:
            for delivery in await next_batch(batches):
                await asyncio.sleep(1.5)  # each unacknowledged one is sent again meanwhile
                subscriber.ack([delivery])
                got.append(delivery.payload)
            if got == payloads:
                await van.publish(TOPIC, b"last", qos=1)
        assert got == [*payloads, b"last"]


async def test_a_repeat_under_a_packet_id_is_acknowledged_and_another_message_under_it_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subscriber = Subscriber(Settings())
    acknowledged: list[int] = []
    monkeypatch.setattr(subscriber._client, "ack_all", acknowledged.extend)
    subscriber._on_publishes([(TOPIC, 7, b"1")])
    subscriber.ack(subscriber.take())
    subscriber._on_publishes([(TOPIC, 7, b"1"), (TOPIC, 8, b"1")])
    assert [it.ticket[1] for it in subscriber.take()] == [8]
    assert acknowledged == [7, 7]
    for another in ((TOPIC, 7, b"2"), ("fleet/v1/van-002/position", 7, b"2")):
        subscriber._on_publishes([another])
        (taken,) = subscriber.take()
        assert (taken.topic, taken.payload) == (another[0], another[2])
        subscriber.ack([taken])


async def test_nothing_of_another_connection_counts_as_acknowledged() -> None:
    subscriber = Subscriber(Settings())
    subscriber._on_publishes([(TOPIC, 7, b"1")])
    subscriber.ack(subscriber.take())
    subscriber._on_disconnect(
        subscriber._client,
        None,
        DisconnectFlags(is_disconnect_packet_from_server=False),
        ReasonCode(PacketTypes.DISCONNECT),
        None,
    )
    subscriber._on_publishes([(TOPIC, 7, b"1")])
    assert [it.payload for it in subscriber.take()] == [b"1"]


async def test_a_batch_is_bounded_in_bytes_and_a_message_larger_than_it_comes_alone(
    hasty_port: int, van: aiomqtt.Client
) -> None:
    settings = Settings(broker_port=hasty_port, tick_s=0.05, batch_mb_max=1, queue_mb_max=8)
    await open_session(settings)
    async with Subscriber(settings) as subscriber:
        batches = subscriber.batches(asyncio.Event())
        for size in (1, 600_000, 600_000, 2_000_000, 1):
            await van.publish(TOPIC, b"x" * size, qos=1)
        got: list[int] = []
        while len(got) < 5:
            batch = await next_batch(batches)
            sizes = [len(it.payload) for it in batch]
            assert len(sizes) == 1 or sum(sizes) + len(sizes) * OVERHEAD_BYTES <= 1_000_000
            got += sizes
            subscriber.ack(batch)
        assert got == [1, 600_000, 600_000, 2_000_000, 1]


async def test_a_message_at_qos_0_is_stored_and_does_not_break_the_connection(
    company_url: str, hasty_port: int, van: aiomqtt.Client
) -> None:
    settings = Settings(
        database_url=company_url, broker_port=hasty_port, tick_s=0.05,
        clock_origin_ms=CLOCK_MS, clock_start_ms=real_ms(),
    )  # fmt: skip
    with capture_logs() as logs:
        async with running(settings) as ingest:
            await ingest.publish(TOPIC, fix(0))
            await ingest.until("SELECT count(*) FROM fix", [(1,)])
            for number in range(1, 6):
                await van.publish(TOPIC, fix(number), qos=0)
            await ingest.until("SELECT count(*) FROM fix", [(6,)])
            await ingest.publish(TOPIC, fix(9))
            await ingest.until("SELECT count(*) FROM fix", [(7,)])
    assert [log["event"] for log in logs].count("connected to the broker") == 1


def fix(number: int) -> bytes:
    return b'{"t":%d,"lat":48.0,"lon":11.0}' % (CLOCK_MS - 60_000 + number)


async def test_every_topic_that_the_contract_lets_others_send_arrives(nats_port: int) -> None:
    settings = Settings(broker_port=nats_port, ingest_client_id="every-topic", tick_s=0.05)
    await open_session(settings)
    topics = {topic.replace("+", "x") for topic in SUBSCRIPTIONS}
    with capture_logs() as logs:
        async with (
            Subscriber(settings) as subscriber,
            aiomqtt.Client("127.0.0.1", nats_port) as sender,
        ):
            for topic in topics:
                await sender.publish(topic, b"{}", qos=1)
            batches, came = subscriber.batches(asyncio.Event()), set[str]()
            while came < topics:
                batch = await next_batch(batches)
                came |= {delivery.topic for delivery in batch}
                subscriber.ack(batch)
    assert came == topics
    assert not [log for log in logs if log["log_level"] == "warning"]


async def test_what_the_broker_has_refused_is_asked_for_again(
    nats_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(broker_port=nats_port, tick_s=0.01, ingest_client_id="refused")
    subscriber = Subscriber(settings)
    asked: list[object] = []
    monkeypatch.setattr(subscriber._client, "subscribe", asked.append)
    monkeypatch.setattr("ingest.subscriber.ASK_AGAIN_S", 0.0)
    refusal = ReasonCode(PacketTypes.SUBACK, identifier=0x80)
    batches = subscriber.batches(asyncio.Event())
    await anext(batches)
    assert asked == []
    subscriber._on_subscribe(subscriber._client, None, 1, [refusal], None)
    await anext(batches)
    await anext(batches)
    assert asked == [[(topic, 1) for topic in SUBSCRIPTIONS]]
