"""Columns become the rows of a binary COPY, byte by byte as PostgreSQL's manual lays them out."""

import struct

import numpy as np
import pytest

from storage.copy import HEADER, TRAILER, array_of, binary_rows, timestamps

Field = bytes | None


def written(rows: list[list[Field]]) -> bytes:
    """Return a stream of rows as the manual says, chapter COPY, Binary Format."""
    stream = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
    for fields in rows:
        stream += struct.pack("!h", len(fields))
        for field in fields:
            stream += (
                struct.pack("!i", -1) if field is None else struct.pack("!i", len(field)) + field
            )
    return stream + struct.pack("!h", -1)


def masked(values: list[float], missing: list[bool]) -> np.ma.MaskedArray:
    return np.ma.masked_array(np.array(values, dtype=np.float32), missing)


def test_numbers_stand_in_network_order_with_their_lengths() -> None:
    found = binary_rows(
        {
            "a": np.array([1, -2], dtype=np.int32),
            "b": np.array([0.5, 1e300]),
            "c": np.array([True, False]),
            "d": np.array([7, 8], dtype=np.int16),
        }
    )
    assert bytes(found) == written(
        [
            [struct.pack("!i", a), struct.pack("!d", b), struct.pack("!?", c), struct.pack("!h", d)]
            for a, b, c, d in ((1, 0.5, True, 7), (-2, 1e300, False, 8))
        ]
    )


@pytest.mark.parametrize(
    "missing", [[False, False, False], [True, False, True], [False, True, False], [True] * 3]
)
def test_what_is_masked_is_null(missing: list[bool]) -> None:
    others = [struct.pack("!q", n) for n in range(3)]
    reals = [None if gone else struct.pack("!f", n) for n, gone in enumerate(missing)]
    found = binary_rows({"n": np.arange(3), "x": masked([0, 1, 2], missing), "m": np.arange(3)})
    rows = [[other, real, other] for other, real in zip(others, reals, strict=True)]
    assert bytes(found) == written(rows)


def test_no_rows_are_header_and_trailer() -> None:
    assert bytes(binary_rows({"a": np.zeros(0, dtype=np.int32)})) == HEADER + TRAILER


def test_times_are_microseconds_since_2000() -> None:
    assert timestamps(np.array([946_684_800_001])).tolist() == [1_000]


def test_an_array_is_read_as_postgresql_sends_it() -> None:
    values = [0.5, -1.25, 1e300]
    sent = struct.pack("!iiIii", 1, 0, 701, len(values), 1) + b"".join(
        struct.pack("!id", 8, value) for value in values
    )
    assert array_of(sent, ">f8").tolist() == values
