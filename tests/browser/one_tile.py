"""A file of tiles with a single one in it: the whole world, as land in Protomaps' scheme.

PMTiles 3: a header of 127 bytes, a directory, metadata, tiles; here nothing is compressed. The tile
is a Mapbox Vector Tile: protobuf, a square in the 4,096 steps of its extent.
"""

import struct
from typing import Final

HEADER_BYTES: Final = 127
NOT_COMPRESSED, VECTOR = 1, 1
POLYGON: Final = 3


def archive() -> bytes:
    """Return the file."""
    tile, metadata = _field(3, _land()), b"{}"
    # One entry: its id, how many ids it stands for, its length, and its offset plus one.
    directory = b"".join(_varint(number) for number in (1, 0, 1, len(tile), 1))
    parts = (directory, metadata, b"", tile)
    at, places = HEADER_BYTES, list[int]()
    for part in parts:
        places += [at, len(part)]
        at += len(part)
    header = (
        b"PMTiles\x03"
        + struct.pack("<8Q", *places)
        + struct.pack("<3Q", 1, 1, 1)
        + bytes((1, NOT_COMPRESSED, NOT_COMPRESSED, VECTOR, 0, 0))
        + struct.pack("<4i", -1_800_000_000, -850_000_000, 1_800_000_000, 850_000_000)
        + struct.pack("<B2i", 0, 0, 0)
    )
    assert len(header) == HEADER_BYTES
    return header + b"".join(parts)


def _land() -> bytes:
    """Return the layer `earth` with one square."""
    move, line, close = 9, 26, 15
    corners = (0, 0, line, 8192, 0, 0, 8192, 8191, 0)
    square = b"".join(_varint(number) for number in (move, *corners, close))
    feature = _number(3, POLYGON) + _field(4, square)
    return _field(1, b"earth") + _field(2, feature) + _number(5, 4096) + _number(15, 2)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))
