"""The question about visits: which van was at which site, and whether that was planned.

Scoped by organisation; reads, never commits. Pages follow one another by the sort key of their last
row (`api/cursors.py`), so that what arrives meanwhile moves nothing. What makes a visit is decided
where messages are read, and only told here.
"""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from api.answers import Verdict, Visit
from api.auth import OrganisationId
from api.cursors import VisitKey
from api.times import ms
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class VisitFilter:
    """Which visits are asked for; None leaves a question open. `since` ≤ arrival < `until`."""

    van: str | None = None
    site: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    verdict: Verdict | None = "visit"
    shadowed: bool = False
    after: VisitKey | None = None


async def of_organisation(
    conn: Connection, organisation: OrganisationId, which: VisitFilter, limit: int
) -> list[Visit]:
    """Return the newest `limit` visits that the filter lets through, newest arrival first."""
    query = f"""
        SELECT van.code AS van, site.code AS site, site.name AS site_name, site.latitude_deg,
               site.longitude_deg,
               {ms("visit.arrived_at")} AS arrived_at_ms,
               {ms("visit.last_inside_at")} AS last_inside_at_ms,
               {ms("visit.left_at")} AS left_at_ms,
               extract(epoch FROM visit.last_inside_at - visit.arrived_at)::integer AS dwell_s,
               visit.verdict, visit.punctuality, visit.uncertain, shadow.code AS shadowed_by,
               visit.service_date::text AS service_date, tour.code AS tour, stop.position AS stop,
               {ms("stop.window_start")} AS window_start_ms,
               {ms("stop.window_end")} AS window_end_ms, visit.wrong_order, visit.overstayed
        FROM visit
        JOIN van ON van.van_id = visit.van_id
        JOIN site ON site.site_id = visit.site_id
        LEFT JOIN site shadow ON shadow.site_id = visit.shadowed_by
        LEFT JOIN stop ON stop.stop_id = visit.stop_id
        LEFT JOIN tour ON tour.tour_id = stop.tour_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND (%(site)s::text IS NULL OR site.code = %(site)s)
          AND (%(since)s::timestamptz IS NULL OR visit.arrived_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR visit.arrived_at < %(until)s)
          AND (%(verdict)s::text IS NULL OR visit.verdict = %(verdict)s)
          AND (%(shadowed)s OR visit.shadowed_by IS NULL)
          AND (%(after_time)s::timestamptz IS NULL
               OR (visit.arrived_at, van.code, site.code)
                  < (%(after_time)s, %(after_van)s::text, %(after_site)s::text))
        ORDER BY visit.arrived_at DESC, van.code DESC, site.code DESC
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "van": which.van,
        "site": which.site,
        "since": which.since,
        "until": which.until,
        "verdict": which.verdict,
        "shadowed": which.shadowed,
        "after_time": which.after.arrived_at if which.after else None,
        "after_van": which.after.van if which.after else None,
        "after_site": which.after.site if which.after else None,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Visit)) as cursor:
        # Planned each time: one plan for conditions that may be left open goes through all visits.
        await cursor.execute(query, values, prepare=False)
        return await cursor.fetchall()
