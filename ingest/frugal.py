"""paho's client with fewer system calls: bytes come by the buffer, acknowledgements leave by the batch.

paho reads a packet in three or four `recv` calls and asks `select` before each packet; each
acknowledgement is a `send` of its own, and wakes the network's thread. At thousands of messages a second
that is most of what receiving costs (docs/PERFORMANCE.md). What is used here beyond paho's public
methods are the places where it makes its socket and queues a packet; `tests/integration/test_frugal.py`
holds paho to them.
"""

import struct
from collections.abc import Sequence
from typing import Any, Final

from paho.mqtt.client import Client
from paho.mqtt.enums import MQTTErrorCode

BUFFER_BYTES: Final = 65_536
PUBACK: Final = 0x40
_PUBACK: Final = struct.Struct("!BBH")


class BufferedSocket:
    """A socket, plain or TLS, that reads as much as there is and hands it out in pieces."""

    def __init__(self, inner: Any) -> None:
        """Read from `inner`; all but reading is its own."""
        self._inner = inner
        self._buffer = b""
        self._used = 0

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes; empty only at the end. Raises what the socket raises."""
        if self._used == len(self._buffer):
            self._buffer, self._used = self._inner.recv(BUFFER_BYTES), 0
        first, self._used = self._used, min(self._used + size, len(self._buffer))
        return self._buffer[first : self._used]

    def pending(self) -> int:
        """Return how many bytes can be read without asking the network."""
        of_tls = getattr(self._inner, "pending", None)
        return len(self._buffer) - self._used + (of_tls() if of_tls else 0)

    def __getattr__(self, name: str) -> Any:
        """Leave all else to the socket."""
        return getattr(self._inner, name)


class FrugalClient(Client):
    """A client whose network thread reads all that has come at once."""

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle every packet of the buffer, then let paho look at the network and what is to be sent."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and self._has_more():
            code = super().loop_read(max_packets)
        return code

    def _has_more(self) -> bool:
        sock = self._sock
        return isinstance(sock, BufferedSocket) and sock.pending() > 0

    def ack_all(self, packet_ids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1 in one piece."""
        if packet_ids:
            packets = b"".join([_PUBACK.pack(PUBACK, 2, packet_id) for packet_id in packet_ids])
            self._packet_queue(PUBACK, packets, 0, 1)
