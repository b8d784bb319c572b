"""The questions of those who keep it running: who is heard of, what waits, how servers do.

One function a question; what belongs to an organisation is scoped by it. Of a van it is told when it was
heard of and how its clock goes, never where it was. Reads, never commits.
"""

from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from api.answers import Action, Database, Device, Waiting
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

DAY_MS: Final = 86_400_000


async def devices(conn: Connection, organisation: OrganisationId, now_ms: int) -> list[Device]:
    """Return every van by when it was last heard of, those never heard of first."""
    query = f"""
        SELECT van.code AS van, technician.name AS technician,
               {ms("greatest(position.received_time, status.status_time)")} AS heard_ms,
               {ms("position.received_time")} AS position_ms,
               extract(epoch FROM position.received_time - position.fix_time)::float8 AS behind_s,
               status.state,
               (SELECT count(*)::integer FROM broker_credential AS it
                WHERE it.van_id = van.van_id
                  AND (it.revoked_time IS NULL OR it.revoked_time > now())) AS credentials,
               (SELECT count(*)::integer FROM rejected
                WHERE van_code = van.code AND received_time > %(since)s) AS rejected_24h,
               (SELECT coalesce(sum(not_kept), 0)::integer FROM rejected_quota
                WHERE sender = van.code AND day >= %(since)s::date) AS not_kept
        FROM van
        LEFT JOIN technician USING (technician_id)
        LEFT JOIN van_position AS position USING (van_id)
        LEFT JOIN van_status AS status USING (van_id)
        WHERE van.organisation_id = %(organisation)s
        ORDER BY heard_ms NULLS FIRST, van.code
    """
    values = {"organisation": organisation, "since": as_datetime(now_ms - DAY_MS)}
    async with conn.cursor(row_factory=class_row(Device)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def waiting(conn: Connection) -> list[Waiting]:
    """Return what the relay has not published yet, by kind of topic, the longest waiting first."""
    query = f"""
        SELECT CASE split_part(topic, '/', 1)
                 WHEN 'fleet' THEN 'fleet/v1/…/' || split_part(topic, '/', 4)
                 ELSE regexp_replace(topic, '[^/]+$', '…') END AS kind,
               count(*)::integer AS messages, {ms("min(created_time)")} AS oldest_ms
        FROM outbox WHERE sent_time IS NULL GROUP BY 1 ORDER BY 3, 1
    """
    async with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


async def database(conn: Connection) -> Database:
    """Return how the database does."""
    query = """
        SELECT current_setting('server_version') AS version,
               (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb') AS timescaledb,
               pg_database_size(current_database()) AS size_bytes,
               (SELECT count(*)::integer FROM pg_stat_activity
                WHERE datname = current_database() AND backend_type = 'client backend') AS connections,
               current_setting('max_connections')::integer AS connections_max
    """
    async with conn.cursor(row_factory=class_row(Database)) as cursor:
        await cursor.execute(query)
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101  a SELECT without FROM has one row
    return found


async def actions(
    conn: Connection, organisation: OrganisationId, since: datetime, until: datetime, limit: int
) -> list[Action]:
    """Return what operators did, the newest first."""
    query = f"""
        SELECT {ms("done_time")} AS done_ms, done_by, action, subject, detail
        FROM operator_action
        WHERE organisation_id = %s AND done_time >= %s AND done_time < %s
        ORDER BY done_time DESC, operator_action_id DESC LIMIT %s
    """
    async with conn.cursor(row_factory=class_row(Action)) as cursor:
        await cursor.execute(query, (organisation, since, until, limit))
        return await cursor.fetchall()
