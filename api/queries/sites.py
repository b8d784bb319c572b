"""The questions about sites: whether there is one, and where.

One function a question, scoped by organisation; reads, never commits. Who came there says
`api/queries/visits.py`.
"""

from dataclasses import dataclass

from psycopg.rows import class_row

from api.auth import OrganisationId
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class SiteShape:
    """Where a site is; `area`: its fence is no circle."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float
    area: bool


async def shape_of(conn: Connection, organisation: OrganisationId, code: str) -> SiteShape:
    """Return where a site is that the organisation has."""
    query = """
        SELECT latitude_deg, longitude_deg, radius_m, area IS NOT NULL AS area
        FROM site WHERE organisation_id = %s AND code = %s
    """
    async with conn.cursor(row_factory=class_row(SiteShape)) as cursor:
        await cursor.execute(query, (organisation, code))
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101  sites are never deleted
    return found


async def is_known(conn: Connection, organisation: OrganisationId, code: str) -> bool:
    """Return whether the organisation has this site."""
    query = "SELECT FROM site WHERE organisation_id = %s AND code = %s"
    return await (await conn.execute(query, (organisation, code))).fetchone() is not None
