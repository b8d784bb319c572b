"""Binary COPY from numpy columns, without a Python object per row.

A row of PostgreSQL's binary COPY format is a 16-bit field count, then per field a 32-bit length and
the value in network byte order (PostgreSQL manual, COPY, "Binary Format"). When every column has a
fixed width, a table of rows is therefore one numpy structured array, and its bytes are the stream.
A fixed width leaves no room for NULL: a missing real stands as NaN, a missing ignition as -1, and
the statement that moves the rows on turns these into NULL.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

HEADER: Final = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER: Final = b"\xff\xff"

#: From 1970-01-01 to PostgreSQL's own origin, 2000-01-01, in milliseconds.
POSTGRES_ORIGIN_MS: Final = 946_684_800_000


def timestamps(t_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return times in ms since 1970 as timestamptz values, µs since 2000. Shape (n,) both."""
    return (t_ms - POSTGRES_ORIGIN_MS) * 1_000


def binary_rows(columns: dict[str, npt.NDArray[np.generic]]) -> bytes:
    """Return a whole binary COPY stream for columns of one length.

    Args:
        columns: Arrays of shape (n,) in the order of the table's columns, each of a type whose
            bytes PostgreSQL stores alike: int2, int4, int8, float4, float8.

    Returns:
        Header, n rows, trailer.
    """
    fields: list[tuple[str, str]] = [("fields", ">i2")]
    for name, values in columns.items():
        fields += [(f"{name} length", ">i4"), (name, values.dtype.newbyteorder(">").str)]
    rows = np.empty(len(next(iter(columns.values()))), dtype=fields)
    rows["fields"] = len(columns)
    for name, values in columns.items():
        rows[f"{name} length"] = values.dtype.itemsize
        rows[name] = values
    return HEADER + rows.tobytes() + TRAILER
