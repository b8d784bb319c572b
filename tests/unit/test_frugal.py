"""Plain messages are read out of a buffer as MQTT 3.1.1 writes them, and all else is left where it stands."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.frugal import Publish, whole_publishes

PINGRESP = b"\xd0\x00"


def packet(first: int, body: bytes) -> bytes:
    """Return a packet: its first byte, the length of the rest as chapter 2.2.3 says, the rest."""
    size, coded = len(body), b""
    while not coded or size:
        low = size % 128
        size //= 128
        coded += bytes([low + 128 if size else low])
    return bytes([first]) + coded + body


def publish(message: Publish, flags: int = 0) -> bytes:
    topic, packet_id, payload = message
    qos = 1 if packet_id else 0
    name = topic.encode()
    ids = packet_id.to_bytes(2) if qos else b""
    return packet(0x30 | qos << 1 | flags, len(name).to_bytes(2) + name + ids + payload)


TOPICS = st.text(min_size=1, max_size=40)
SIZES = st.one_of(st.integers(0, 200), st.sampled_from((16_300, 16_400)))
MESSAGES = st.tuples(TOPICS, st.integers(0, 65_535), SIZES.map(bytes))
FLAGS = st.sampled_from((0, 0x01, 0x08))  # retained, sent again


@given(st.lists(st.tuples(MESSAGES, FLAGS), max_size=6), st.integers(0, 100))
def test_what_was_written_is_read_up_to_where_the_buffer_is_cut(
    sent: Sequence[tuple[Publish, int]], cut: int
) -> None:
    packets = [publish(message, flags) for message, flags in sent]
    missing = cut * len(packets[-1]) // 100 if packets else 0
    buffer = b"".join(packets)
    found, end = whole_publishes(buffer[: len(buffer) - missing])
    whole = len(sent) - (missing > 0)
    assert found == [message for message, _ in sent[:whole]]
    assert end == len(b"".join(packets[:whole]))


def test_a_length_of_four_bytes_is_read() -> None:
    large = ("t", 1, bytes(2**21))
    assert whole_publishes(publish(large))[0] == [large]


@pytest.mark.parametrize(
    "other",
    [
        PINGRESP,
        packet(0x34, b"\x00\x01t\x00\x07exactly once"),
        packet(0x32, b"\x00\x02\xff\xfe\x00\x07no UTF-8"),
        packet(0x32, b"\x00\x09short"),  # its topic would end behind it
        packet(0x32, b"\x00\x01t\x00"),  # its packet id too
        b"\x32\xff\xff\xff\xff\x01",  # a length of five bytes
        b"\x32",
        b"\x32\x80",
    ],
)
def test_anything_else_is_left_where_it_stands(other: bytes) -> None:
    one, two = publish(("a", 1, b"x")), publish(("b", 0, b"y"))
    assert whole_publishes(one + other + two) == ([("a", 1, b"x")], len(one))


def test_reading_goes_on_where_it_was_left() -> None:
    one, two = publish(("a", 1, b"x")), publish(("b", 0, b""))
    buffer = one + PINGRESP + two
    assert whole_publishes(buffer, len(one) + 2) == ([("b", 0, b"")], len(buffer))
