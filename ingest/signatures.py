"""Whether a PNG that came as a signature is one that every program can draw. Pure.

A picture of 20 kB may claim a billion pixels, or end in the middle; whoever prints it later would pay
for that. So it is read here, wholly: its chunks with their sums, its size, and as many bytes of
pixels as the size says. Taken are pictures as a canvas writes them: 8 bits a channel, not interlaced.

The format is that of https://www.w3.org/TR/png-3/.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
SIDE_MAX: Final = 2_000
#: Samples a pixel, by colour type; palettes are not among what a canvas writes.
CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}
FILTERS: Final = frozenset(range(5))


def objection(png: bytes) -> str | None:
    """Return why bytes are no picture that can be drawn; None if they are one."""
    try:
        chunks = list(_chunks(png))
    except ValueError as error:
        return str(error)
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or chunks[-1][0] != b"IEND":
        return "the PNG does not begin with IHDR and end with IEND"
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    if not (1 <= width <= SIDE_MAX and 1 <= height <= SIDE_MAX):
        return f"the PNG is {width} by {height} pixels; it may have {SIDE_MAX} a side"
    if depth != 8 or colour not in CHANNELS or rest != [0, 0, 0]:
        return "the PNG must have 8 bits a channel, no palette, and not be interlaced"
    row = 1 + width * CHANNELS[colour]
    return _object_to_pixels(
        b"".join(data for name, data in chunks if name == b"IDAT"), row, height
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield names and contents of chunks, up to IEND.

    Raises:
        ValueError: The bytes are no PNG, or damaged.
    """
    if not png.startswith(SIGNATURE):
        raise ValueError("it is no PNG")
    at = len(SIGNATURE)
    while at + 12 <= len(png):
        size, name = struct.unpack_from(">I4s", png, at)
        end = at + 8 + size
        if end + 4 > len(png):
            break
        data = png[at + 8 : end]
        if zlib.crc32(name + data) != struct.unpack_from(">I", png, end)[0]:
            raise ValueError(f"the PNG is damaged: the sum of a chunk {name!r} is wrong")
        yield name, data
        if name == b"IEND":
            return
        at = end + 4
    raise ValueError("the PNG ends in the middle")


def _object_to_pixels(packed: bytes, row: int, height: int) -> str | None:
    unpacking = zlib.decompressobj()
    try:
        pixels = unpacking.decompress(packed, row * height + 1)
    except zlib.error as error:
        return f"the pixels of the PNG cannot be unpacked: {error}"
    if len(pixels) != row * height or not unpacking.eof:
        return "the PNG has more or fewer pixels than it says"
    if not FILTERS.issuperset(pixels[::row]):
        return "a row of the PNG has a filter that does not exist"
    return None
