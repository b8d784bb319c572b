"""Messages that have come are read by the buffer, and acknowledged in one piece, on a real broker."""

import asyncio
import socket
from collections import Counter
from typing import Any

import aiomqtt
import pytest

from ingest import frugal
from ingest.frugal import BufferedSocket, FrugalClient
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
        batches, got = subscriber.batches(asyncio.Event()), []
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
