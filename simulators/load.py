"""A publisher that costs hardly anything: packets made beforehand, many in flight, one socket.

What is measured is the broker and what is behind it, so the sender must not be what is slow: every
PUBLISH (MQTT 3.1.1, QoS 1) is a few bytes of a file that is sent as it stands, and of the answers only
the length is looked at, for a PUBACK has four bytes and nothing else is ever sent here. At most `window`
messages are not acknowledged; their packet ids, given in turn, are all different.

With `per_second` it sends that many a second instead, each alone, and says when each was sent.

Run as a program, it is a process of its own: `python -m simulators.load PORT FOLDER`. Nothing here knows
what a message says.
"""

import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

#: Ids are 16 bits; the broker holds those of its own deliveries apart.
IDS: Final = 60_000
WINDOW: Final = 4_000
CHUNK: Final = 500
PUBACK_BYTES: Final = 4
KEEPALIVE_S: Final = 0  # none
PUBLISH_QOS_1: Final = 0x32
PACKETS: Final = "packets.bin"
ENDS: Final = "ends.npy"
SENT: Final = "sent.npy"


@dataclass(frozen=True, slots=True)
class Load:
    """Packets one after the other, and where each ends in bytes; shape (messages,)."""

    packets: bytes
    ends: npt.NDArray[np.int64]

    def write(self, folder: Path) -> None:
        """Put it where the program finds it."""
        (folder / PACKETS).write_bytes(self.packets)
        np.save(folder / ENDS, self.ends)


def load_of(messages: Iterable[tuple[str, bytes]]) -> Load:
    """Return the packets of messages, given as topic and payload."""
    made = list(_packets(messages))
    return Load(b"".join(made), np.cumsum([len(packet) for packet in made], dtype=np.int64))


def _packets(messages: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    for nth, (topic, payload) in enumerate(messages):
        name = topic.encode()
        head = len(name).to_bytes(2) + name + (nth % IDS + 1).to_bytes(2)
        yield bytes([PUBLISH_QOS_1]) + _length(len(head) + len(payload)) + head + payload


def _length(size: int) -> bytes:
    """Return a remaining length as MQTT writes it: seven bits a byte, the lowest first (2.2.3)."""
    coded = bytearray()
    while True:
        size, low = divmod(size, 128)
        coded.append(low | (0x80 if size else 0))
        if not size:
            return bytes(coded)


def connected(port: int, client_id: str) -> socket.socket:
    """Return a socket on which a session is open.

    Raises:
        ConnectionError: The broker refuses.
    """
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02" + KEEPALIVE_S.to_bytes(2) + len(name).to_bytes(2) + name
    sock.sendall(b"\x10" + _length(len(body)) + body)
    answer = sock.recv(4, socket.MSG_WAITALL)
    if answer[:1] != b"\x20" or answer[3:] != b"\x00":
        raise ConnectionError(f"the broker refuses: {answer.hex()}")
    return sock


def flood(sock: socket.socket, load: Load, window: int = WINDOW) -> float:
    """Send all as fast as it is acknowledged; return the seconds from first byte to last PUBACK."""
    packets, ends = memoryview(load.packets), load.ends
    began, sent, acked_bytes, position = time.monotonic(), 0, 0, 0
    while acked_bytes < len(ends) * PUBACK_BYTES:
        allowed = min(len(ends), acked_bytes // PUBACK_BYTES + window)
        while sent < allowed:
            sent = min(sent + CHUNK, allowed)
            end = int(ends[sent - 1])
            sock.sendall(packets[position:end])
            position = end
        acked_bytes += _heard(sock)
    return time.monotonic() - began


def _heard(sock: socket.socket) -> int:
    """Return how many bytes have come; waits for the first.

    Raises:
        ConnectionError: The broker has hung up.
    """
    heard = len(sock.recv(65_536))
    if not heard:
        raise ConnectionError("the broker has hung up")
    return heard


def paced(sock: socket.socket, load: Load, per_second: float) -> npt.NDArray[np.float64]:
    """Send so many a second, whatever is acknowledged; return when each was sent, s since 1970 UTC."""
    packets, position = memoryview(load.packets), 0
    sent_at = np.zeros(len(load.ends))
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        for nth, end in enumerate(load.ends.tolist()):
            while (ahead := began + nth / per_second - time.monotonic()) > 0:
                if selector.select(ahead):
                    _heard(sock)
            sent_at[nth] = time.time()
            sock.sendall(packets[position:end])
            position = end
    return sent_at


def main(port: str, folder: str, window: str = str(WINDOW), per_second: str = "0") -> None:
    """Send what is in the folder, and print how long it took, as JSON."""
    load = Load((Path(folder) / PACKETS).read_bytes(), np.load(Path(folder) / ENDS))
    with connected(int(port), f"load-{os.getpid()}") as sock:
        if float(per_second):
            np.save(Path(folder) / SENT, paced(sock, load, float(per_second)))
            seconds = len(load.ends) / float(per_second)
        else:
            seconds = flood(sock, load, int(window))
    print(json.dumps({"messages": len(load.ends), "seconds": seconds}))  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
