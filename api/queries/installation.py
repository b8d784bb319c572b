"""The questions about the installation as a whole: what its operators need.

One function a question, whatever the organisation; reads, never commits.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from psycopg.rows import class_row, scalar_row

from api.answers import DeliveryState
from api.auth import OrganisationId
from storage.pool import SCHEMA, Connection


@dataclass(frozen=True, slots=True)
class Activity:
    """What ingest committed in one second of real time."""

    second: datetime
    batches: int
    messages: int
    fixes: int
    scans: int
    rejected: int
    lag_counts: list[int]
    age_counts: list[int]
    tallies: dict[str, int]


async def activity(conn: Connection, after: datetime, until: datetime) -> list[Activity]:
    """Return the seconds that begin later than `after`, through `until`."""
    query = """
        SELECT second, batches, messages, fixes, scans, rejected, lag_counts, age_counts, tallies
        FROM ingest_activity WHERE second > %s AND second <= %s ORDER BY second
    """
    async with conn.cursor(row_factory=class_row(Activity)) as cursor:
        await cursor.execute(query, (after, until))
        return await cursor.fetchall()


async def organisations(conn: Connection) -> list[OrganisationId]:
    """Return every organisation's key."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT organisation_id FROM organisation ORDER BY organisation_id")
        return await cursor.fetchall()


async def rejected_not_kept(conn: Connection) -> int:
    """Return how many unusable messages were beyond their senders' quotas, and only counted."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT coalesce(sum(not_kept), 0)::bigint FROM rejected_quota")
        return await cursor.fetchone() or 0


async def rejected_by_reason(conn: Connection) -> dict[str, int]:
    """Return how many rejected messages wait for somebody, by reason."""
    query = """
        SELECT reason, count(*) FROM rejected WHERE state = 'waiting' GROUP BY reason ORDER BY reason
    """
    return dict(await (await conn.execute(query)).fetchall())


async def alerts_by_state(conn: Connection) -> dict[str, int]:
    """Return how many alerts there are in each state."""
    query = "SELECT state, count(*) FROM alert GROUP BY state ORDER BY state"
    return dict(await (await conn.execute(query)).fetchall())


async def outbox_pending(conn: Connection) -> tuple[int, float]:
    """Return how many messages wait to be published, and since when, s since 1970; 0 if none."""
    query = """
        SELECT count(*), coalesce(extract(epoch FROM min(created_time)), 0)::float8
        FROM outbox WHERE sent_time IS NULL
    """
    row = await (await conn.execute(query)).fetchone()
    return row or (0, 0.0)


async def deletion_time(conn: Connection) -> float:
    """Return when deletion was last done with a table, s since 1970; 0 if it never was."""
    query = "SELECT extract(epoch FROM max(changed_time))::float8 FROM deletion WHERE done"
    row = await (await conn.execute(query)).fetchone()
    return float(row[0]) if row and row[0] is not None else 0.0


async def webhooks_by_state(conn: Connection) -> dict[str, int]:
    """Return how many webhooks are on and off."""
    query = "SELECT count(*) FILTER (WHERE active), count(*) FILTER (WHERE NOT active) FROM webhook"
    on, off = await (await conn.execute(query)).fetchone() or (0, 0)
    return {"on": on, "off": off}


async def deliveries_by_state(conn: Connection) -> dict[str, int]:
    """Return how many webhook deliveries are kept in each state, 0 where there is none."""
    query = "SELECT state, count(*) FROM webhook_delivery GROUP BY state"
    found: dict[str, int] = dict(await (await conn.execute(query)).fetchall())
    return {state: found.get(state, 0) for state in get_args(DeliveryState)}


async def missing_migrations(conn: Connection) -> list[str]:
    """Return the migrations of this version that the database lacks, oldest first."""
    wanted = sorted(path.stem for path in SCHEMA.glob("*.sql") if ".rollback" not in path.name)
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT to_regclass('_yoyo_migration') IS NOT NULL")
        if not await cursor.fetchone():
            return wanted
        await cursor.execute("SELECT migration_id FROM _yoyo_migration")
        applied = set(await cursor.fetchall())
    return [name for name in wanted if name not in applied]
