"""The daily deletion of what is over, in steps small enough to stand between two batches.

`storage/retention.py` says what is kept for how long. A day's run goes through its tables, one bounded
step a transaction, and writes in `deletion` what it has deleted of each and how old the oldest row left
is: killed anywhere, it goes on there. Fixes go last-proof-first: their vans are settled before
(`geofence/forgetting.py`), then whole chunks are dropped where the server has TimescaleDB.

Functions take a connection and never commit.
"""

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Final, LiteralString

from psycopg import sql

from geofence import forgetting
from ingest.apply import Reference
from storage.pool import Connection, Pool
from storage.retention import TABLES, Kept, Purpose, limit
from storage.settings import Clock, Settings, as_datetime, as_ms

ROWS_MAX: Final = 20_000
VANS_MAX: Final = 5

ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtext('cordee retention'))"
DONE: Final = "SELECT table_name FROM deletion WHERE began_on = %s AND done"

NOTE: Final = """
INSERT INTO deletion AS known
  (began_on, category, table_name, limit_at, rows_deleted, oldest_left, done, changed_time)
VALUES (%(day)s, %(category)s, %(table)s, %(limit)s, %(rows)s, %(oldest)s, %(done)s, %(now)s)
ON CONFLICT (table_name, began_on) DO UPDATE SET
  limit_at = greatest(known.limit_at, excluded.limit_at),
  rows_deleted = known.rows_deleted + excluded.rows_deleted,
  oldest_left = excluded.oldest_left, done = excluded.done, changed_time = excluded.changed_time
"""

#: Of few vans at a time: without them their index would be of no use.
DELETE_FIXES: Final = """
DELETE FROM fix WHERE ctid = ANY(ARRAY(
  SELECT fix.ctid FROM fix JOIN (
    SELECT van_id FROM van WHERE EXISTS (
      SELECT FROM fix WHERE fix.van_id = van.van_id AND fix_time < %(limit)s)
    ORDER BY van_id LIMIT %(vans)s
  ) AS few USING (van_id)
  WHERE fix_time < %(limit)s LIMIT %(rows)s))
"""
IS_HYPERTABLE: Final = """
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
"""
COUNT_OLD_FIXES: Final = "SELECT count(*) FROM fix WHERE fix_time < %(limit)s"
DROP_CHUNKS: Final = "SELECT count(*) FROM drop_chunks('fix', older_than => %(limit)s::timestamptz)"
#: What is left of a chunk that the limit cuts: none where chunks are days.
DELETE_REST: Final = "DELETE FROM fix WHERE fix_time < %(limit)s"
OLDEST_FIX: Final = """
SELECT min(oldest) FROM van
CROSS JOIN LATERAL (SELECT min(fix_time) AS oldest FROM fix WHERE fix.van_id = van.van_id) AS of_van
"""

#: Days whose tours are gone are not matched anew.
FORGET_TOUR_EDITS: Final = "DELETE FROM tour_edit WHERE service_date < %s"


async def run(pool: Pool, settings: Settings, reference: Reference, now: Clock) -> None:
    """Do a whole run now, also if today's is done."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("UPDATE deletion SET done = false WHERE began_on = %s", (_day(now()),))
    while not await step(pool, settings, reference, now):
        pass


async def step(pool: Pool, settings: Settings, reference: Reference, now: Clock) -> bool:
    """Do the next bounded step of today's run; return whether the run is complete."""
    moment = now()
    async with pool.connection() as conn, conn.transaction():
        if not await _is(conn, ALONE, ()):
            return True  # another process does it
        done = {name for (name,) in await (await conn.execute(DONE, (_day(moment),))).fetchall()}
        for purpose, kept in TABLES:
            if kept.table not in done:
                await _delete_some(conn, purpose, kept, settings, reference, moment)
                return False
    return True


async def _delete_some(
    conn: Connection,
    purpose: Purpose,
    kept: Kept,
    settings: Settings,
    reference: Reference,
    now: int,
) -> None:
    moment = as_datetime(now)
    before = limit(purpose, settings, moment)
    delete = STEPS.get(kept.table, _delete_rows)
    rows, done = await delete(conn, kept, before, reference)
    values = {
        "day": _day(now),
        "category": purpose.name,
        "table": kept.table,
        "limit": before,
        "rows": rows,
        "oldest": await _oldest(conn, kept) if done else None,
        "done": done,
        "now": moment,
    }
    await conn.execute(NOTE, values)


Step = Callable[[Connection, Kept, datetime, Reference], Awaitable[tuple[int, bool]]]
"""Deletes some rows before a limit; returns how many, and whether none are left."""


async def _delete_rows(
    conn: Connection, kept: Kept, before: datetime, _reference: Reference
) -> tuple[int, bool]:
    statement = sql.SQL(
        "DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table}"
        " WHERE {since} < %(limit)s AND {when} LIMIT {rows}))"
    ).format(
        table=sql.Identifier(kept.table),
        since=sql.Identifier(kept.since),
        when=sql.SQL(kept.when),
        rows=ROWS_MAX,
    )
    deleted = (await conn.execute(statement, {"limit": before})).rowcount
    return deleted, deleted < ROWS_MAX


async def _delete_fixes(
    conn: Connection, _kept: Kept, before: datetime, reference: Reference
) -> tuple[int, bool]:
    """Settle vans first; delete fixes only when all of them are."""
    unsettled = await forgetting.settle(
        conn, as_ms(before), VANS_MAX, reference.fences, reference.organisation_of
    )
    if unsettled:
        return 0, False
    values = {"limit": before, "vans": VANS_MAX, "rows": ROWS_MAX}
    if not await _is(conn, IS_HYPERTABLE, ()):
        deleted = (await conn.execute(DELETE_FIXES, values)).rowcount
        return deleted, not deleted
    row = await (await conn.execute(COUNT_OLD_FIXES, values)).fetchone()
    await conn.execute(DROP_CHUNKS, values)
    await conn.execute(DELETE_REST, values)
    return int(row[0]) if row else 0, True


async def _delete_tours(
    conn: Connection, kept: Kept, before: datetime, reference: Reference
) -> tuple[int, bool]:
    """Delete tours with their stops, under the locks that whoever changes a stop must hold."""
    await conn.execute(
        "SELECT FROM van WHERE van_id IN (SELECT van_id FROM tour WHERE service_date < %s)"
        " ORDER BY van_id FOR NO KEY UPDATE",
        (before,),
    )
    deleted, done = await _delete_rows(conn, kept, before, reference)
    await conn.execute(FORGET_TOUR_EDITS, (before,))
    return deleted, done


STEPS: Final[dict[str, Step]] = {"fix": _delete_fixes, "tour": _delete_tours}


async def _oldest(conn: Connection, kept: Kept) -> object:
    statement = sql.SQL("SELECT min({}) FROM {}").format(
        sql.Identifier(kept.since), sql.Identifier(kept.table)
    )
    if kept.table == "fix":
        statement = sql.Composed([sql.SQL(OLDEST_FIX)])
    row = await (await conn.execute(statement)).fetchone()
    return row[0] if row else None


async def _is(conn: Connection, question: LiteralString, values: tuple[object, ...]) -> bool:
    row = await (await conn.execute(question, values)).fetchone()
    return bool(row and row[0])


def _day(now: int) -> date:
    return as_datetime(now).date()
