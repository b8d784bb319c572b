"""Imports of reference data, from the command line or the demo."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import geofence.imports.reference
import stock_tracker.reference
from storage.imports import Importer, ImportResult
from storage.pool import connect
from storage.settings import Settings
from storage.sheets import UnusableFileError

__all__ = ["KIND_NAMES", "UnusableFileError", "import_file", "in_words"]

KINDS: Final[dict[str, Importer]] = {
    **geofence.imports.reference.KINDS,
    **stock_tracker.reference.KINDS,
}
KIND_NAMES: Final = tuple(KINDS)

#: Bad rows listed one by one; the rest is counted.
LISTED_MAX: Final = 50


async def import_file(
    settings: Settings, kind: str, file: Path, organisation: str = "default"
) -> ImportResult:
    """Import one file in one transaction.

    Raises:
        UnusableFileError: The file as a whole cannot be used; the message says why.
    """
    data = await asyncio.to_thread(file.read_bytes)
    async with (
        connect(settings.database_url, "cordee-import", size_max=1) as pool,
        pool.connection() as conn,
        conn.transaction(),
    ):
        return await KINDS[kind](conn, data, organisation=organisation)


def in_words(result: ImportResult) -> Iterator[str]:
    """Yield what to tell of an import, line by line."""
    for bad in result.bad[:LISTED_MAX]:
        yield f"{result.counted_in} {bad.line}: {bad.reason}"
    if len(result.bad) > LISTED_MAX:
        yield f"... and {len(result.bad) - LISTED_MAX} more"
    yield (
        f"{result.kind}: {result.rows_read} rows read, {result.inserted} new, {result.updated}"
        f" changed, {result.unchanged} as before, {result.removed} removed, {len(result.bad)} bad"
    )
