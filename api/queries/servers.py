"""The questions about devices and servers: who keeps in touch, what waits, how the parts are.

Devices are scoped by organisation; the rest is the installation's. Reads, never commits. Nothing here tells where
a van is, or whether somebody is on duty.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from api.answers import (
    Credential,
    CredentialState,
    DatabaseServer,
    Device,
    OutboxKind,
)
from api.auth import OrganisationId
from api.queries.rejected import DAY_MS
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

#: Of a broken clock the last positions say what it shows now.
SKEW_OVER: Final = "INTERVAL '15 minutes'"


@dataclass(frozen=True, slots=True)
class _DeviceRow:
    van: str
    name: str
    last_seen_ms: int | None
    state: str | None
    said_ms: int | None
    clock_ahead_ms: int | None
    rejected_24h: int
    credentials: list[dict[str, Any]]


async def devices(
    conn: Connection, organisation: OrganisationId, now_ms: int, real_ms: int
) -> list[Device]:
    """Return every van's devices, those that were heard of longest ago first.

    `real_ms` is the machine's time, by which credentials begin and end.
    """
    query = f"""
        SELECT van.code AS van, van.name,
               {ms("greatest(here.received_time, status.status_time, scanned.received_time)")}
                 AS last_seen_ms,
               status.state, {ms("status.status_time")} AS said_ms,
               (SELECT {ms("max(fix_time - received_time)")} FROM fix
                WHERE fix.van_id = van.van_id AND here.fix_time > %(since)s
                  AND fix.fix_time BETWEEN here.fix_time - {SKEW_OVER} AND here.fix_time)
                 AS clock_ahead_ms,
               (SELECT count(*) FROM rejected
                WHERE rejected.van_code = van.code AND rejected.received_time > %(since)s
                  AND rejected.state = 'waiting')::integer AS rejected_24h,
               coalesce((
                 SELECT jsonb_agg(jsonb_build_object(
                   'device', device, 'created_ms', {ms("created_time")},
                   'revoked_ms', {ms("revoked_time")}) ORDER BY device, created_time)
                 FROM broker_credential AS own WHERE own.van_id = van.van_id), '[]') AS credentials
        FROM van
        LEFT JOIN van_position AS here USING (van_id)
        LEFT JOIN van_status AS status USING (van_id)
        LEFT JOIN LATERAL (
          SELECT received_time FROM scan WHERE scan.van_id = van.van_id ORDER BY t DESC LIMIT 1
        ) AS scanned ON true
        WHERE van.organisation_id = %(organisation)s
        ORDER BY last_seen_ms NULLS FIRST, van.code
    """
    values = {"organisation": organisation, "since": as_datetime(now_ms - DAY_MS)}
    async with conn.cursor(row_factory=class_row(_DeviceRow)) as cursor:
        await cursor.execute(query, values)
        rows = await cursor.fetchall()
    return [_device(row, real_ms) for row in rows]


def _device(row: _DeviceRow, real_ms: int) -> Device:
    held = [Credential(**one) for one in row.credentials]
    return Device(
        row.van,
        row.name,
        row.last_seen_ms,
        None if row.state is None else row.state == "online",
        row.said_ms,
        row.clock_ahead_ms,
        row.rejected_24h,
        credential_state(held, real_ms),
        held,
    )


def credential_state(held: list[Credential], real_ms: int) -> CredentialState:
    """Return what a van's credentials are good for, all devices together. Pure."""
    ends = [one.revoked_ms for one in held]
    is_current = None in ends
    is_ending = any(end is not None and end > real_ms for end in ends)
    if is_current:
        return "rotating" if is_ending else "current"
    if is_ending:
        return "ending"
    return "revoked" if held else "none"


#: Kinds of topics as filters: what names a van, a device or an order is left out.
KIND: Final = """
CASE WHEN topic LIKE 'fleet/%%' THEN 'fleet/v1/+/' || split_part(topic, '/', 4)
     WHEN topic LIKE 'owntracks/%%' THEN 'owntracks/+/+'
     ELSE split_part(topic, '/', 1) || '/' || split_part(topic, '/', 2) || '/'
          || split_part(topic, '/', 3) || '/+' END
"""


async def outbox(conn: Connection) -> list[OutboxKind]:
    """Return what waits to be published, by kind of topic, the most first."""
    query = f"""
        SELECT {KIND} AS topic, count(*)::integer AS waiting, {ms("min(created_time)")} AS oldest_ms
        FROM outbox WHERE sent_time IS NULL GROUP BY 1 ORDER BY waiting DESC, topic
    """
    async with conn.cursor(row_factory=class_row(OutboxKind)) as cursor:
        await cursor.execute(query, {})
        return await cursor.fetchall()


async def last_sent_ms(conn: Connection) -> int | None:
    """Return when something was last published, of what is kept still."""
    row = await (await conn.execute(f"SELECT {ms('max(sent_time)')} FROM outbox")).fetchone()
    return row[0] if row else None


async def database(conn: Connection, missing_migrations: list[str]) -> DatabaseServer:
    """Return how PostgreSQL is."""
    query = f"""
        SELECT current_setting('server_version'),
               (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
               pg_database_size(current_database()),
               (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')::integer,
               current_setting('max_connections')::integer, {ms("pg_postmaster_start_time()")}
    """
    row = await (await conn.execute(query)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    version, timescaledb, size_bytes, connections, connections_max, started_ms = row
    return DatabaseServer(
        version,
        timescaledb,
        size_bytes,
        connections,
        connections_max,
        started_ms,
        missing_migrations,
    )


async def connected(conn: Connection) -> set[str]:
    """Return the names of our processes that hold a connection to this database."""
    query = """
        SELECT DISTINCT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND starts_with(application_name, 'cordee-')
    """
    return {name for (name,) in await (await conn.execute(query)).fetchall()}


async def last_batch(conn: Connection) -> datetime | None:
    """Return the last second in which ingest committed something, of the last hour."""
    row = await (await conn.execute("SELECT max(second) FROM ingest_activity")).fetchone()
    return row[0] if row else None
