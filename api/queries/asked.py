"""A question before it is asked, so that its rows can be had at once, or one after another.

Lists are asked for a page; whoever wants all of it, as a CSV, gets it from a cursor of the server, so that no
list has to fit into memory.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from psycopg.rows import class_row

from storage.pool import Connection

Row = TypeVar("Row")

ROWS_AT_A_TIME: Final = 1_000


@dataclass(frozen=True, slots=True)
class Asked(Generic[Row]):
    """SQL, its values, and the dataclass that its rows are."""

    shape: type[Row]
    query: str
    values: Mapping[str, object]


async def fetched(conn: Connection, asked: Asked[Row]) -> list[Row]:
    """Return the rows."""
    async with conn.cursor(row_factory=class_row(asked.shape)) as cursor:
        await cursor.execute(asked.query.encode(), asked.values)
        return await cursor.fetchall()


async def streamed(conn: Connection, asked: Asked[Row]) -> AsyncIterator[Row]:
    """Yield the rows, a thousand of them at a time in memory."""
    async with conn.cursor("streamed", row_factory=class_row(asked.shape)) as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        await cursor.execute(asked.query.encode(), asked.values)
        async for row in cursor:
            yield row
