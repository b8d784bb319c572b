"""The questions about sites: whether there is one, where, and what is planned there.

One function a question, scoped by organisation; reads, never commits. Who came there says
`api/queries/visits.py`.
"""

from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from typing import Final

import msgspec
from psycopg.rows import class_row, scalar_row

from api.answers import SiteWindow
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection

WINDOWS_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class StoredSite:
    """A site as an edit can change it; `area` is GeoJSON where its fence is no circle."""

    site: str
    name: str
    latitude_deg: float
    longitude_deg: float
    radius_m: float
    area: dict[str, object] | None
    time_zone: str
    client: str | None
    town: str | None

    @property
    def version(self) -> str:
        """What changes with every edit."""
        text = msgspec.json.encode(self, order="deterministic")
        return blake2b(text, digest_size=12).hexdigest()


SITES: Final = """
SELECT site.code AS site, site.name, latitude_deg, longitude_deg, radius_m, area,
       time_zone, client.code AS client, town
FROM site LEFT JOIN client USING (client_id)
WHERE site.organisation_id = %s
"""


async def find(conn: Connection, organisation: OrganisationId, code: str) -> StoredSite | None:
    """Return a site, or None if the organisation has none with this code."""
    async with conn.cursor(row_factory=class_row(StoredSite)) as cursor:
        await cursor.execute(f"{SITES} AND site.code = %s", (organisation, code))
        return await cursor.fetchone()


async def everything(conn: Connection, organisation: OrganisationId) -> list[StoredSite]:
    """Return all sites by code."""
    async with conn.cursor(row_factory=class_row(StoredSite)) as cursor:
        await cursor.execute(f"{SITES} ORDER BY site.code", (organisation,))
        return await cursor.fetchall()


async def windows(
    conn: Connection, organisation: OrganisationId, code: str, today: date
) -> list[SiteWindow]:
    """Return the next visits that are planned at a site, from a day on."""
    query = f"""
        SELECT tour.service_date::text AS date, tour.code AS tour, van.code AS van, stop.stop_id,
               stop.position AS stop, {ms("stop.window_start")} AS window_start_ms,
               {ms("stop.window_end")} AS window_end_ms, stop.work_order
        FROM site JOIN stop USING (site_id) JOIN tour USING (tour_id) JOIN van USING (van_id)
        WHERE site.organisation_id = %s AND site.code = %s AND tour.service_date >= %s
        ORDER BY stop.window_start, stop.stop_id
        LIMIT {WINDOWS_MAX}
    """
    async with conn.cursor(row_factory=class_row(SiteWindow)) as cursor:
        await cursor.execute(query, (organisation, code, today))
        return await cursor.fetchall()


async def is_known(conn: Connection, organisation: OrganisationId, code: str) -> bool:
    """Return whether the organisation has this site."""
    query = "SELECT FROM site WHERE organisation_id = %s AND code = %s"
    return await (await conn.execute(query, (organisation, code))).fetchone() is not None


async def edits(conn: Connection) -> int:
    """Return the version of the reference data, which grows with every import and edit."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT version FROM reference_version")
        found: int | None = await cursor.fetchone()
    assert found is not None  # noqa: S101  the first migration put it there
    return found


async def fences(
    conn: Connection, organisation: OrganisationId
) -> tuple[list[tuple[str, float, float, float]], list[tuple[str, dict[str, object]]]]:
    """Return code, longitude, latitude and radius of all sites by code; and the areas among them."""
    circles = """
        SELECT code, round(longitude_deg::numeric, 6)::float8, round(latitude_deg::numeric, 6)::float8,
               radius_m
        FROM site WHERE organisation_id = %s ORDER BY code
    """
    areas = """
        SELECT code, area FROM site WHERE organisation_id = %s AND area IS NOT NULL ORDER BY code
    """
    found = await (await conn.execute(circles, (organisation,))).fetchall()
    shaped = await (await conn.execute(areas, (organisation,))).fetchall()
    return found, shaped
