"""Messages that have come are read by the buffer, and acknowledged in one piece, on a real broker."""

import asyncio
import select
import socket
import time
from collections import Counter
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from ingest import frugal
from ingest.batch import Delivery
from ingest.frugal import BufferedSocket, FrugalClient, Publish
from ingest.subscriber import Subscriber, open_session
from storage import backlog
from storage.settings import Settings

MESSAGES = 400


class Counting:
    """A socket that counts what is asked of it."""

    def __init__(self, inner: Any, calls: Counter[str]) -> None:
        self._inner, self._calls = inner, calls

    def recv(self, size: int) -> bytes:
        self._calls["recv"] += 1
        return bytes(self._inner.recv(size))

    def send(self, data: bytes) -> int:
        self._calls["send"] += 1
        return int(self._inner.send(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What paho's client asks of the network."""
    counted: Counter[str] = Counter()
    create = FrugalClient._create_socket

    def counting(self: FrugalClient) -> Any:
        sock = create(self)
        sock._inner = Counting(sock._inner, counted)
        return sock

    monkeypatch.setattr(FrugalClient, "_create_socket", counting)
    return counted


async def test_what_has_come_is_read_at_once_and_acknowledged_in_one_piece(
    own_nats: tuple[int, str], calls: Counter[str]
) -> None:
    port, monitor_url = own_nats
    settings = Settings(broker_port=port, ingest_client_id="frugal", tick_s=0.05)
    await open_session(settings)
    async with aiomqtt.Client("127.0.0.1", port, max_concurrent_outgoing_calls=MESSAGES) as van:
        sent = [f"{n}".encode() * (1 + n % 60) for n in range(MESSAGES)]
        await asyncio.gather(*(van.publish("fleet/v1/van-001/scan", p, qos=1) for p in sent))
    async with Subscriber(settings) as subscriber:
        batches, got = subscriber.batches(asyncio.Event()), list[Delivery]()
        async with asyncio.timeout(20):
            while len(got) < MESSAGES:
                got += await anext(batches)
        asked = calls.copy()
        subscriber.ack(got)
        async with asyncio.timeout(20):
            while True:
                await asyncio.sleep(0.05)
                if (await backlog.look(monitor_url)).messages == 0:
                    break
    assert sorted(delivery.payload for delivery in got) == sorted(sent)
    assert asked["recv"] < MESSAGES / 2  # three and more a message, without the buffer
    assert calls["send"] - asked["send"] < 10


def test_acknowledgements_leave_while_more_keeps_coming() -> None:
    # Each packet ends in another buffer than it begins in, and reading is slower than sending.
    packet = _publish(b"x" * (frugal.BUFFER_BYTES // 3))

    def read_slowly(found: list[Publish]) -> None:
        time.sleep(0.005)
        client.ack_all([packet_id for _, packet_id, _ in found])

    client = FrugalClient(
        read_slowly, callback_api_version=CallbackAPIVersion.VERSION2, manual_ack=True
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        client.connect_async("127.0.0.1", server.getsockname()[1])
        client.loop_start()
        broker, _ = server.accept()
        with broker:
            broker.recv(1_000)  # CONNECT
            broker.sendall(b"\x20\x02\x00\x00")  # CONNACK
            sent = 0
            while sent < MESSAGES and not select.select([broker], [], [], 0)[0]:
                broker.sendall(packet)
                sent += 1
            assert broker.recv(4).startswith(b"\x40\x02")  # PUBACK
            assert sent < MESSAGES / 2
        client.disconnect()
        client.loop_stop()


def _publish(payload: bytes, packet_id: int = 1) -> bytes:
    """Return a PUBLISH at QoS 1 on topic t."""
    body = b"\x00\x01t" + packet_id.to_bytes(2) + payload
    size, length = len(body), bytearray()
    while size >= 0x80:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return b"\x32" + bytes([*length, size]) + body


def test_a_packet_that_comes_in_pieces_is_handed_out_as_it_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        buffered = BufferedSocket(ours)
        with pytest.raises(BlockingIOError):
            buffered.recv(1)
        theirs.sendall(b"abcdef")
        assert (buffered.recv(1), buffered.pending()) == (b"a", 5)
        assert (buffered.recv(3), buffered.pending()) == (b"bcd", 2)
        theirs.sendall(b"gh")
        assert buffered.recv(10) == b"ef"  # what is there first, and the network after
        assert buffered.recv(10) == b"gh"
        theirs.close()
        assert buffered.recv(10) == b""
        assert buffered.fileno() == ours.fileno()


def test_more_than_a_buffer_is_read_in_buffers() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        size = 3 * frugal.BUFFER_BYTES // 2
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
        theirs.sendall(bytes(size))
        buffered, left = BufferedSocket(ours), size
        while left:
            left -= len(buffered.recv(left))
        assert buffered.pending() == 0
