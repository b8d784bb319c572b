"""Many rows by one statement: each column travels as one array, which `unnest` makes rows of again."""

from collections.abc import Sequence
from typing import LiteralString

from storage.pool import Connection


async def put_rows(
    conn: Connection, statement: LiteralString, rows: Sequence[Sequence[object]]
) -> None:
    """Run a statement once for all rows; not at all for none.

    Args:
        conn: The caller's.
        statement: With one parameter a column, each an array: `SELECT * FROM unnest(%s::int[], ...)`.
        rows: Of one length.
    """
    if rows:
        await conn.execute(statement, [list(column) for column in zip(*rows, strict=True)])
