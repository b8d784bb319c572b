"""The questions about people: who looked at where I am, and who of us may plan.

Scoped by organisation; reads, never commits.
"""

from collections.abc import Collection

from psycopg.rows import class_row

from api.answers import AccessEntry, Colleague
from api.auth import OrganisationId
from api.roles import Role
from api.times import ms
from storage.pool import Connection


async def looked_at(
    conn: Connection, organisation: OrganisationId, technician_id: int | None, limit: int
) -> list[AccessEntry]:
    """Return who looked at the van that this technician drove then, newest first."""
    query = f"""
        SELECT {ms("hour")} AS hour_ms, van.code AS van, what, reader_name AS who,
               reader_role AS role
        FROM access_log JOIN van USING (van_id)
        WHERE access_log.organisation_id = %s AND access_log.technician_id = %s
        ORDER BY hour DESC, reader_name, what, van.code
        LIMIT %s
    """
    async with conn.cursor(row_factory=class_row(AccessEntry)) as cursor:
        await cursor.execute(query, (organisation, technician_id, limit))
        return await cursor.fetchall()


async def with_roles(
    conn: Connection, organisation: OrganisationId, roles: Collection[Role]
) -> list[Colleague]:
    """Return those who can sign in with one of these roles, by name."""
    query = """
        SELECT login, name FROM app_user
        WHERE organisation_id = %s AND role = ANY(%s) AND state = 'active'
        ORDER BY name, login
    """
    async with conn.cursor(row_factory=class_row(Colleague)) as cursor:
        await cursor.execute(query, (organisation, sorted(roles)))
        return await cursor.fetchall()
