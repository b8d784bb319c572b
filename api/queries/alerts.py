"""The question about alerts: what a planner should look at, in the order of looking.

Scoped by organisation; reads, never commits. When an alert is raised, told or withdrawn says
`geofence/alerts.py`.
"""

from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from api.answers import Alert, AlertKind, AlertState
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

#: What a planner should look at first: what is late, what may be, what is not known.
ALERT_ORDER: Final = "{late,missed,at_risk,silent,overstayed}"


async def of_organisation(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    limit: int,
    *,
    kind: AlertKind | None = None,
    state: AlertState | None = None,
    since: datetime | None = None,
    van: str | None = None,
) -> list[Alert]:
    """Return alerts, open ones first, then the latest changed.

    Of the open ones those of late stops come first (the longest overdue on top), then missed stops
    (the newest first), stops at risk (first those that planners were told of, which are likely or
    sure to be late; then the first to be late), silent vans, overstayed visits.

    `since` keeps what is open, and what changed at that time or later; a missed stop stays open for
    ever, and is kept only if it changed since.
    """
    query = f"""
        SELECT alert.alert_id, alert.kind, alert.state, van.code AS van,
               technician.name AS technician, site.code AS site, site.name AS site_name,
               tour.code AS tour, alert.stop_id, stop.position AS stop,
               {ms("alert.due_at")} AS due_at_ms,
               {ms("alert.ended_at")} AS ended_at_ms, alert.minutes,
               greatest(0, extract(epoch FROM
                 coalesce(alert.ended_at, %(now)s) - alert.due_at))::integer AS lasting_s,
               alert.cause, alert.pushes, alert.reason, alert.told,
               {ms("alert.raised_time")} AS raised_ms, {ms("alert.changed_time")} AS changed_ms
        FROM alert
        JOIN van ON van.van_id = alert.van_id
        LEFT JOIN stop ON stop.stop_id = alert.stop_id
        LEFT JOIN tour ON tour.tour_id = stop.tour_id
        LEFT JOIN site ON site.site_id = stop.site_id
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(kind)s::text IS NULL OR alert.kind = %(kind)s)
          AND (%(state)s::text IS NULL OR alert.state = %(state)s)
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND (%(since)s::timestamptz IS NULL
               OR (alert.state = 'open' AND alert.kind <> 'missed')
               OR alert.changed_time >= %(since)s)
        ORDER BY alert.state = 'open' DESC,
                 CASE WHEN alert.state = 'open' THEN
                   array_position('{ALERT_ORDER}'::text[], alert.kind) END,
                 alert.state = 'open' AND alert.kind = 'at_risk' AND NOT alert.told,
                 CASE WHEN alert.state = 'open' AND alert.kind <> 'missed' THEN alert.due_at END,
                 alert.changed_time DESC, alert.alert_id
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "now": as_datetime(now_ms),
        "kind": kind,
        "state": state,
        "since": since,
        "van": van,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Alert)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()
