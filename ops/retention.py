"""What is kept for how long, what the last runs of deletion did, and a run by hand."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

import ingest.store
from geofence import tracks
from ingest import retention
from storage.pool import connect
from storage.retention import PURPOSES, TABLES, limit
from storage.settings import Settings, as_datetime, clock

OVERDUE_AFTER: Final = timedelta(days=2)

RUNS: Final = """
SELECT DISTINCT ON (table_name) table_name, began_on, rows_deleted, limit_at, oldest_left, done
FROM deletion ORDER BY table_name, began_on DESC
"""
LAST: Final = "SELECT max(changed_time) FROM deletion WHERE done"


async def run(settings: Settings) -> None:
    """Delete what is over, now, table by table, beside a working ingest."""
    now = clock(settings)
    async with connect(
        settings.database_url, "cordee-retention", size_max=1, prepare=tracks.prepare
    ) as pool:
        async with pool.connection() as conn, conn.transaction():
            reference = await ingest.store.load_reference(conn, None, now())
        await retention.run(pool, settings, reference, now)


def show(settings: Settings) -> Iterator[str]:
    """Yield for how long things are kept and what was deleted last, as lines for a terminal."""
    now = as_datetime(clock(settings)())
    with psycopg.connect(settings.database_url, options="-c TimeZone=UTC") as conn:
        runs = {name: rest for name, *rest in conn.execute(RUNS).fetchall()}
    for purpose in PURPOSES:
        before = limit(purpose, settings, now)
        yield f"{purpose.name}: {purpose.days(settings)} days, so since {before:%Y-%m-%d}"
        yield f"  {purpose.words}"
        for kept in purpose.tables:
            yield f"  {kept.table:16}" + _in_words(*runs.get(kept.table, ()))


def _in_words(*run: object) -> str:
    if not run:
        return "never looked at yet"
    day, rows, _before, oldest, done = run
    left = f"oldest left: {oldest:%Y-%m-%d}" if isinstance(oldest, datetime) else (
        f"oldest left: {oldest}" if oldest else "nothing left"
    )  # fmt: skip
    return f"{day}: {rows} rows deleted, {left}" if done else f"{day}: {rows} rows deleted so far"


def overdue(conn: psycopg.Connection[TupleRow], settings: Settings) -> dict[str, str]:
    """Return the tables that hold rows which should be gone for two days, with their oldest."""
    now = as_datetime(clock(settings)())
    found = {}
    for purpose, kept in TABLES:
        before = limit(purpose, settings, now) - OVERDUE_AFTER
        row = conn.execute(
            sql.SQL("SELECT min({since}) FROM {table} WHERE {since} < %(limit)s AND {when}").format(
                since=sql.Identifier(kept.since),
                table=sql.Identifier(kept.table),
                when=sql.SQL(kept.when),
            ),
            {"limit": before},
        ).fetchone()
        if row and row[0] is not None:
            found[kept.table] = f"{row[0]:%Y-%m-%d}"
    return found


def last_run(conn: psycopg.Connection[TupleRow]) -> datetime | None:
    """Return when the newest table was done with; None if none ever was."""
    row = conn.execute(LAST).fetchone()
    return row[0] if row else None
