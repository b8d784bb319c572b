"""Binary COPY from numpy columns, without a Python object per row.

A row of PostgreSQL's binary COPY format is a 16-bit field count, then per field a 32-bit length and
the value in network byte order (PostgreSQL manual, COPY, "Binary Format"). When every column has a
fixed width, a table of rows is therefore one numpy structured array, and its bytes are the stream.
A NULL has the length -1 and no value: where a column is masked, the bytes of the value are left out of
the stream.

An array as `array_send` gives it is alike: a header, then of each element its length and its value.
"""

from collections.abc import Container, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER: Final = b"\xff\xff"
NULL_LENGTH: Final = -1

#: From 1970-01-01 to PostgreSQL's own origin, 2000-01-01, in milliseconds.
POSTGRES_ORIGIN_MS: Final = 946_684_800_000


#: Dimensions, whether there are NULLs, type; length and lower bound of the one dimension: 32 bits each.
ARRAY_HEADER_BYTES: Final = 20


def array_of(sent: bytes, kind: str) -> npt.NDArray[np.generic]:
    """Return the elements of an array as `array_send` gives it. Shape (n,), read-only.

    Args:
        sent: An array of one dimension, not empty, without NULLs.
        kind: What numpy calls its elements in network byte order: `>i8` of bigint, `>f4` of real.
    """
    element = np.dtype([("length", ">i4"), ("value", kind)])
    return np.frombuffer(sent, element, offset=ARRAY_HEADER_BYTES)["value"]


def timestamps(t_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return times in ms since 1970 as timestamptz values, µs since 2000. Shape (n,) both."""
    return (t_ms - POSTGRES_ORIGIN_MS) * 1_000


def binary_rows(columns: Mapping[str, npt.NDArray[np.generic]]) -> memoryview:
    """Return a whole binary COPY stream for columns of one length.

    Args:
        columns: Arrays of shape (n,) in the order of the table's columns, each of a type whose
            bytes PostgreSQL stores alike: bool, int2, int4, int8, float4, float8. Masked values of a
            numpy.ma.MaskedArray are NULL.

    Returns:
        The bytes of header, n rows, trailer.
    """
    masks = {k: np.ma.getmaskarray(its) for k, its in columns.items() if np.ma.is_masked(its)}
    given = {
        name: its for name, its in columns.items() if name not in masks or not masks[name].all()
    }
    row = _row(columns, given)
    count = len(next(iter(columns.values())))
    stream = np.empty(len(HEADER) + count * row.itemsize + len(TRAILER), dtype=np.uint8)
    stream[: len(HEADER)] = np.frombuffer(HEADER, dtype=np.uint8)
    stream[-len(TRAILER) :] = np.frombuffer(TRAILER, dtype=np.uint8)
    body = stream[len(HEADER) : -len(TRAILER)]
    body.reshape(count, row.itemsize)[:] = np.frombuffer(row.tobytes(), dtype=np.uint8)
    rows = body.view(row.dtype)
    for name, values in given.items():
        rows[name] = np.ma.getdata(values)
    some = {name: mask for name, mask in masks.items() if name in given}
    return (_without_nulls(stream, rows, some) if some else stream).data


def _row(
    columns: Mapping[str, npt.NDArray[np.generic]], given: Container[str]
) -> npt.NDArray[np.void]:
    """Return a row without values, shape (): what is not given in any row has no room in it."""
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, values in columns.items():
        fields.append((f"{name} length", ">i4"))
        if name in given:
            fields.append((name, values.dtype.newbyteorder(">").str))
    row = np.zeros((), dtype=fields)
    row["fields"] = len(columns)
    for name, values in columns.items():
        row[f"{name} length"] = values.dtype.itemsize if name in given else NULL_LENGTH
    return row


def _without_nulls(
    stream: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.void],
    masks: Mapping[str, npt.NDArray[np.bool_]],
) -> npt.NDArray[np.uint8]:
    """Return a stream but for the values that are masked, whose lengths become -1."""
    kept = np.ones(len(stream), dtype=np.bool_)
    in_rows = kept[len(HEADER) : -len(TRAILER)].reshape(len(rows), rows.itemsize)
    for name, mask in masks.items():
        rows[f"{name} length"][mask] = NULL_LENGTH
        assert rows.dtype.fields is not None  # noqa: S101  it is structured
        kind, at = rows.dtype.fields[name][:2]
        in_rows[mask, at : at + kind.itemsize] = False
    return stream[kept]
