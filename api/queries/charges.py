"""The questions of scans: what was used where, what does not fit together, what nobody can read.

Scoped by organisation; reads, never commits. Which visit a scan belongs to is decided by the views
`charge` and `stock_question`, from the times of both, and only told here.
"""

import base64
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.rows import class_row

from api.answers import Charge, QuestionKind, StockQuestion, UnknownCode, WaitingScan
from api.auth import OrganisationId
from api.queries.asked import Asked
from api.times import ms
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows are asked for; None leaves a question open. `since` ≤ time < `until`."""

    since: datetime
    until: datetime
    van: str | None = None
    site: str | None = None


WITHIN = """
  van.organisation_id = %(organisation)s AND found.t >= %(since)s AND found.t < %(until)s
  AND (%(van)s::text IS NULL OR van.code = %(van)s)
  AND (%(site)s::text IS NULL OR site.code = %(site)s)
"""


def asked(
    organisation: OrganisationId, which: Which, limit: int, *, work_order: str | None = None
) -> Asked[Charge]:
    """Ask for the newest `limit` movements of parts with what they are charged to."""
    query = f"""
        SELECT {ms("found.t")} AS t_ms, van.code AS van, found.kind, item.ref AS item, item.name,
               item.base_unit, found.lot, found.qty, site.code AS site, site.name AS site_name,
               {ms("found.arrived_at")} AS arrived_at_ms, tour.code AS tour, stop.position AS stop,
               found.work_order
        FROM charge AS found
        JOIN van USING (van_id)
        JOIN item USING (item_id)
        LEFT JOIN site USING (site_id)
        LEFT JOIN stop USING (stop_id)
        LEFT JOIN tour USING (tour_id)
        WHERE {WITHIN} AND (%(work_order)s::text IS NULL OR found.work_order = %(work_order)s)
        ORDER BY found.t DESC, van.code, found.device, found.epoch, found.seq
        LIMIT %(limit)s
    """
    values = {
        **asdict(which),
        "organisation": organisation,
        "limit": limit,
        "work_order": work_order,
    }
    return Asked(Charge, query, values)


async def questions(
    conn: Connection,
    organisation: OrganisationId,
    which: Which,
    limit: int,
    *,
    kind: QuestionKind | None = None,
) -> list[StockQuestion]:
    """Return the newest `limit` things about parts to ask somebody."""
    query = f"""
        SELECT found.kind, {ms("found.t")} AS t_ms, van.code AS van,
               technician.name AS technician, site.code AS site, site.name AS site_name,
               {ms("found.arrived_at")} AS arrived_at_ms, tour.code AS tour, stop.position AS stop,
               item.ref AS item, item.name, found.qty::integer AS qty
        FROM stock_question AS found
        JOIN van USING (van_id)
        LEFT JOIN technician USING (technician_id)
        LEFT JOIN item USING (item_id)
        LEFT JOIN site USING (site_id)
        LEFT JOIN stop USING (stop_id)
        LEFT JOIN tour USING (tour_id)
        WHERE {WITHIN} AND (%(kind)s::text IS NULL OR found.kind = %(kind)s)
        ORDER BY found.t DESC, van.code, found.kind, item.ref
        LIMIT %(limit)s
    """
    values = {**asdict(which), "organisation": organisation, "limit": limit, "kind": kind}
    async with conn.cursor(row_factory=class_row(StockQuestion)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def waiting(conn: Connection, organisation: OrganisationId, limit: int) -> list[WaitingScan]:
    """Return up to `limit` scans that have no effect yet because of their time, oldest first."""
    query = f"""
        SELECT van.code AS van, scan.epoch, scan.seq, {ms("scan.t")} AS t_ms,
               {ms("scan.received_time")} AS received_ms, scan.intent,
               encode(scan.code, 'escape') AS code, scan.qty, scan.status
        FROM scan JOIN van USING (van_id)
        WHERE status IN ('held', 'review') AND van.organisation_id = %s
        ORDER BY scan.t, van.code, scan.epoch, scan.seq
        LIMIT %s
    """
    async with conn.cursor(row_factory=class_row(WaitingScan)) as cursor:
        await cursor.execute(query, (organisation, limit))
        return await cursor.fetchall()


async def unknown_codes(
    conn: Connection, organisation: OrganisationId, limit: int
) -> list[UnknownCode]:
    """Return up to `limit` codes that nobody has entered, those scanned most often first."""
    query = f"""
        SELECT scan.code, count(*), count(DISTINCT van_id), {ms("min(t)")}, {ms("max(t)")}
        FROM scan JOIN van USING (van_id)
        WHERE status = 'unknown_code' AND van.organisation_id = %s
        GROUP BY scan.code
        ORDER BY count(*) DESC, scan.code
        LIMIT %s
    """
    rows = await (await conn.execute(query, (organisation, limit))).fetchall()
    return [
        UnknownCode(code.decode(errors="replace"), base64.b64encode(code).decode(), *figures)
        for code, *figures in rows
    ]
