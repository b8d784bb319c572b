"""The question about replans: what somebody has carried out on a day, and whether it can be undone.

Scoped by organisation; reads, never commits. What a replan does, and when it can be undone, says
`api/replans.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import msgspec
from psycopg.rows import class_row

from api.answers import Replan
from api.auth import OrganisationId
from api.queries import plans
from api.replans import Day, Plan, edited, is_reached
from api.times import ms
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class _ReplanRow:
    replan_id: int
    service_date: date
    kind: Literal["reorder", "move"]
    site: str
    site_name: str
    from_van: str
    to_van: str
    position: int
    after: str
    applied_by: str
    applied_at_ms: int
    undone_by: str | None
    undone_at_ms: int | None


async def of_day(conn: Connection, organisation: OrganisationId, day: date) -> list[Replan]:
    """Return the replans of a day, newest first."""
    return await _found(conn, organisation, "service_date = %(day)s", {"day": day})


async def one(conn: Connection, organisation: OrganisationId, replan_id: int) -> Replan | None:
    """Return a replan, or None if the organisation has none with this key."""
    found = await _found(conn, organisation, "replan_id = %(id)s", {"id": replan_id})
    return found[0] if found else None


async def _found(
    conn: Connection, organisation: OrganisationId, which: str, values: dict[str, object]
) -> list[Replan]:
    query = f"""
        SELECT replan_id, service_date, kind, site.code AS site, site.name AS site_name,
               giver.code AS from_van, taker.code AS to_van, position, after::text AS after,
               applied_by, {ms("applied_time")} AS applied_at_ms, undone_by,
               {ms("undone_time")} AS undone_at_ms
        FROM replan
        JOIN site USING (site_id)
        JOIN van AS giver ON giver.van_id = giver_van_id
        JOIN van AS taker ON taker.van_id = taker_van_id
        WHERE replan.organisation_id = %(organisation)s AND {which}
        ORDER BY replan_id DESC
    """
    async with conn.cursor(row_factory=class_row(_ReplanRow)) as cursor:
        await cursor.execute(query, {**values, "organisation": organisation})
        rows = await cursor.fetchall()
    if not rows:
        return []
    vans = {van for row in rows for van in (row.from_van, row.to_van)}
    days = await plans.days(conn, organisation, rows[0].service_date, vans)
    return [_told(row, days) for row in rows]


def _told(row: _ReplanRow, days: Mapping[str, Day]) -> Replan:
    after = msgspec.json.decode(row.after, type=list[Plan])
    now = [days[plan.van] for plan in after]
    is_undone = row.undone_by is not None
    since = [] if is_undone else edited(after, [day.plan for day in now])
    return Replan(
        row.replan_id,
        row.service_date.isoformat(),
        row.kind,
        row.site,
        row.site_name,
        row.from_van,
        row.to_van,
        [plan.tour for plan in after if plan.tour is not None and plan.stops],
        row.applied_by,
        row.applied_at_ms,
        row.undone_by,
        row.undone_at_ms,
        since,
        undoable=not (is_undone or since or is_reached(now[-1], row.position)),
    )
