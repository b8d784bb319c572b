"""Imports of reference data into the database: one merge of a file's good rows.

How a file becomes rows, and which it refuses, says `storage/sheets.py`. The good rows go into a
temporary table by COPY, and the statements of the kind merge that table at once, so that a file
goes in whole, in the caller's transaction. What the kinds are, and their SQL, is not known here:
see `geofence/imports/reference.py` and `stock_tracker/reference.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from storage.copy import binary_rows
from storage.pool import Connection
from storage.sheets import BadRow, Sheet, StagedRow, UnusableFileError

# Nobody else will: autovacuum does not see temporary tables.
ANALYZE_STAGED: Final = "ANALYZE staged"


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did: every row read was inserted, updated, unchanged or bad.

    Attributes:
        removed: Rows of the database that the file no longer lists.
        counted_in: What `BadRow.line` counts: "line", or "feature" for GeoJSON.
    """

    kind: str
    rows_read: int
    inserted: int
    updated: int
    unchanged: int
    removed: int
    bad: list[BadRow]
    counted_in: str = "line"


class Importer(Protocol):
    """The import of one kind, in the caller's transaction."""

    async def __call__(self, conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
        """Import a file's bytes for an organisation and return what was done.

        Raises:
            UnusableFileError: the file or the organisation as a whole cannot be used.
        """
        ...


async def begin(conn: Connection, organisation: str) -> int:
    """Start an import and return the organisation's id.

    The version of the reference data grows here, first: its row lock keeps imports one after the
    other, and readers see the new version only with the new rows, on commit.

    Raises:
        UnusableFileError: there is no such organisation.
    """
    found = await conn.execute(
        "SELECT organisation_id FROM organisation WHERE name = %s", [organisation]
    )
    row = await found.fetchone()
    if row is None:
        raise UnusableFileError(f"There is no organisation named {organisation!r}.")
    await conn.execute("UPDATE reference_version SET version = version + 1")
    return int(row[0])


async def ids_by_code(
    conn: Connection, statement: str, params: Sequence[object] = ()
) -> dict[str, int]:
    """Return the codes and ids that a statement selects."""
    return dict(await (await conn.execute(statement.encode(), params)).fetchall())


async def stage(conn: Connection, columns: str, rows: Iterable[StagedRow]) -> None:
    """Put rows into the temporary table `staged` of these columns, replacing an earlier one."""
    await _create_staged(conn, columns)
    async with conn.cursor() as cursor, cursor.copy("COPY staged FROM STDIN") as copy:
        for row in rows:
            await copy.write_row(row)
    await conn.execute(ANALYZE_STAGED)


async def stage_numbers(
    conn: Connection, columns: str, types: Sequence[str], rows: Sequence[StagedRow]
) -> None:
    """Do as `stage` for rows of integers only, many times as fast.

    Args:
        conn: A connection in a transaction.
        columns: The columns in SQL; a time is an integer as `storage.copy.timestamps` has it.
        types: The numpy type of each column: "i2", "i4" or "i8".
        rows: One integer a column.
    """
    await _create_staged(conn, columns)
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(types))
    by_column = {str(at): table[:, at].astype(kind) for at, kind in enumerate(types)}
    copy_in = "COPY staged FROM STDIN (FORMAT binary)"
    async with conn.cursor() as cursor, cursor.copy(copy_in) as copy:
        await copy.write(binary_rows(by_column))
    await conn.execute(ANALYZE_STAGED)


async def _create_staged(conn: Connection, columns: str) -> None:
    await conn.execute("DROP TABLE IF EXISTS pg_temp.staged")
    await conn.execute(f"CREATE TEMP TABLE staged ({columns}) ON COMMIT DROP".encode())


async def merge(conn: Connection, statement: str, params: Sequence[object] = ()) -> tuple[int, int]:
    """Run an INSERT … ON CONFLICT … that ends in RETURNING; return rows (inserted, updated).

    A row that the INSERT made has no xmax; one that the UPDATE made has this transaction's.
    """
    counted = f"""
        WITH merged AS ({statement} RETURNING xmax = 0 AS inserted)
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged
    """
    ((inserted, updated),) = await (await conn.execute(counted.encode(), params)).fetchall()
    return inserted, updated


def result(kind: str, sheet: Sheet, merged: tuple[int, int], removed: int = 0) -> ImportResult:
    """Return the account of an import whose staged rows were merged."""
    inserted, updated = merged
    return ImportResult(
        kind=kind,
        rows_read=len(sheet.staged) + len(sheet.bad),
        inserted=inserted,
        updated=updated,
        unchanged=len(sheet.staged) - inserted - updated,
        removed=removed,
        bad=sheet.bad,
        counted_in=sheet.counted_in,
    )
