"""paho's client with fewer system calls and less work a message: what has come is read by the buffer.

paho reads a packet in three or four `recv` calls, asks `select` before each, makes a dozen objects of it,
and sends each acknowledgement alone. At thousands of messages a second that is most of what receiving
costs (docs/PERFORMANCE.md). Here the PUBLISH packets that stand whole in the buffer are read at once and
handed on together; whatever is not so plain (QoS 2, a packet cut in two, all other packets) is paho's, as
is all of connecting. Acknowledgements leave by the batch.

What is used beyond paho's public methods are the places where it makes its socket, reads, and queues a
packet; `tests/integration/test_frugal.py` holds paho to them.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import MQTTErrorCode

BUFFER_BYTES: Final = 262_144
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
_QOS_1: Final = 0x02
_QOS_2: Final = 0x04
_PUBACK: Final = struct.Struct("!BBH")
#: What a message has that needs no acknowledgement.
NO_PACKET_ID: Final = 0

Publish = tuple[str, int, bytes]
"""A message: topic, packet id, payload."""


def whole_publishes(buffer: bytes, at: int = 0) -> tuple[list[Publish], int]:
    """Return the plain PUBLISH packets that stand whole in a buffer, and where they end.

    Plain are those of QoS 0 and 1 (MQTT 3.1.1, 3.3) whose topic is UTF-8. Whatever else comes first is
    where it stops.
    """
    found: list[Publish] = []
    length = len(buffer)
    while at + 2 <= length:
        first = buffer[at]
        if first & 0xF0 != PUBLISH or first & _QOS_2:
            break
        size, body = buffer[at + 1], at + 2
        if size & 0x80:  # seven bits a byte, the lowest first (2.2.3)
            size &= 0x7F
            shift = 7
            while body < length and shift <= 21:
                more = buffer[body]
                body += 1
                size |= (more & 0x7F) << shift
                shift += 7
                if not more & 0x80:
                    break
            else:
                break
        end = body + size
        if end > length:
            break
        topic_end = body + 2 + int.from_bytes(buffer[body : body + 2])
        payload_at = topic_end + 2 if first & _QOS_1 else topic_end
        if payload_at > end:
            break
        try:
            topic = buffer[body + 2 : topic_end].decode()
        except UnicodeDecodeError:
            break
        found.append((topic, int.from_bytes(buffer[topic_end:payload_at]), buffer[payload_at:end]))
        at = end
    return found, at


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

    def publishes(self) -> list[Publish]:
        """Return the plain messages that stand first in what has been read, and are whole."""
        found, self._used = whole_publishes(self._buffer, self._used)
        return found

    def pending(self) -> int:
        """Return how many bytes can be read without asking the network."""
        of_tls = getattr(self._inner, "pending", None)
        return len(self._buffer) - self._used + (of_tls() if of_tls else 0)

    def __getattr__(self, name: str) -> Any:
        """Leave all else to the socket."""
        return getattr(self._inner, name)


class FrugalClient(Client):
    """A client whose network thread reads all that has come at once.

    `on_publishes` is called in that thread with the messages that came together, in their order.
    """

    def __init__(self, on_publishes: Callable[[list[Publish]], None], **kwargs: Any) -> None:
        """Make a client; all but the first is paho's."""
        super().__init__(**kwargs)
        self._on_publishes = on_publishes
        self.on_message = self._on_one

    def _create_socket(self) -> Any:
        return BufferedSocket(super()._create_socket())

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Handle every packet of the buffer, then let paho look at the network and what is to be sent.

        While more keeps coming there is always some of it: what is to be sent does not wait for its end.
        """
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and not self.want_write() and self._has_more():
            code = super().loop_read(max_packets)
        return code

    def _has_more(self) -> bool:
        """Hand on what is plain, unless paho is in the middle of a packet; is there anything else?"""
        sock = self._sock
        if not isinstance(sock, BufferedSocket):
            return False
        if not self._in_packet["command"] and (found := sock.publishes()):
            self._on_publishes(found)
        return sock.pending() > 0

    def _on_one(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._on_publishes([(_topic(message), message.mid, bytes(message.payload))])

    def ack_all(self, packet_ids: Sequence[int]) -> None:
        """Acknowledge messages of QoS 1 in one piece."""
        if packet_ids:
            packets = b"".join([_PUBACK.pack(PUBACK, 2, packet_id) for packet_id in packet_ids])
            self._packet_queue(PUBACK, packets, 0, 1)


def _topic(message: MQTTMessage) -> str:
    try:
        return message.topic
    except UnicodeDecodeError:
        return "(a topic that is no UTF-8)"
