"""The question of those who are visited: what is planned at their sites.

Scoped by organisation, and by client company where one asks; reads, never commits. No position, no van
and no other site is told: of a technician the name, as a visitor's badge would.
"""

from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from api.answers import PlannedVisit
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class WhichSites:
    """Whose sites are asked for, `since` ≤ time < `until`; None leaves a question open."""

    since: datetime
    until: datetime
    client_id: int | None = None
    site: str | None = None


WHICH = """
  site.organisation_id = %(organisation)s
  AND (%(client)s::integer IS NULL OR site.client_id = %(client)s)
  AND (%(site)s::text IS NULL OR site.code = %(site)s)
"""


def values(organisation: OrganisationId, which: WhichSites, limit: int) -> dict[str, object]:
    """Return what `WHICH` and a range ask for."""
    return {
        "organisation": organisation,
        "client": which.client_id,
        "site": which.site,
        "since": which.since,
        "until": which.until,
        "limit": limit,
    }


async def is_reached(
    conn: Connection, organisation: OrganisationId, client_id: int | None, site: str
) -> bool:
    """Return whether there is such a site, for this client company."""
    query = f"SELECT EXISTS (SELECT FROM site WHERE {WHICH})"
    values = {"organisation": organisation, "client": client_id, "site": site}
    row = await (await conn.execute(query, values)).fetchone()
    return row == (True,)


async def planned(
    conn: Connection, organisation: OrganisationId, which: WhichSites, today: date, limit: int
) -> list[PlannedVisit]:
    """Return up to `limit` stops by the beginning of their windows; what is foreseen from `today` on."""
    query = f"""
        SELECT site.code AS site, site.name AS site_name, client.code AS client,
               tour.service_date::text AS date, {ms("stop.window_start")} AS window_start_ms,
               {ms("stop.window_end")} AS window_end_ms, stop.planned_duration_s, stop.work_order,
               technician.name AS technician, became.outcome,
               {ms("became.arrived_at")} AS arrived_at_ms, {ms("became.left_at")} AS left_at_ms,
               {ms("eta.early_at")} AS early_at_ms, {ms("eta.late_at")} AS late_at_ms,
               {ms("eta.made_time")} AS made_ms
        FROM stop
        JOIN tour ON tour.tour_id = stop.tour_id
        JOIN site ON site.site_id = stop.site_id
        JOIN van ON van.van_id = tour.van_id AND van.organisation_id = site.organisation_id
        JOIN stop_outcome AS became ON became.stop_id = stop.stop_id
        LEFT JOIN client ON client.client_id = site.client_id
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        LEFT JOIN eta ON eta.stop_id = stop.stop_id AND became.outcome IN ('planned', 'skipped')
          AND tour.service_date >= %(today)s
        WHERE {WHICH} AND stop.window_start >= %(since)s AND stop.window_start < %(until)s
        ORDER BY stop.window_start, site.code, stop.stop_id
        LIMIT %(limit)s
    """
    async with conn.cursor(row_factory=class_row(PlannedVisit)) as cursor:
        await cursor.execute(query, {**values(organisation, which, limit), "today": today})
        return await cursor.fetchall()
