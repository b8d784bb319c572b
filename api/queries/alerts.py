"""The questions about alerts: what a planner should look at, in the order of looking, and who saw to it.

Scoped by organisation; reads, never commits. When an alert is raised, told or withdrawn says
`geofence/alerts.py`.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from psycopg.rows import class_row

from api.answers import Alert, AlertAction, AlertHandling, AlertKind, AlertState
from api.auth import OrganisationId
from api.queries.asked import Asked, fetched
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

#: What a planner should look at first: what is late, what may be, what is not known.
ALERT_ORDER: Final = "{late,missed,at_risk,silent,overstayed}"

HANDLING: Final = f"""
CASE WHEN handling.handling_id IS NOT NULL THEN jsonb_build_object(
  'acknowledged_by', handling.acknowledged_by,
  'acknowledged_at_ms', {ms("handling.acknowledged_at")},
  'snoozed_until_ms', {ms("handling.snoozed_until")},
  'owner', handling.owner, 'cause', handling.cause, 'note', handling.note,
  'version', handling.version) END
"""


@dataclass(frozen=True, slots=True)
class AlertFilter:
    """Which alerts are asked for; None leaves a question open. `since` ≤ due < `until`.

    `alive_since` keeps what is open, and what changed at that time or later; a missed stop stays open
    for ever, and is kept only if it changed since.
    """

    kind: AlertKind | None = None
    state: AlertState | None = None
    van: str | None = None
    owner: str | None = None
    acknowledged: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    alive_since: datetime | None = None
    alert_id: int | None = None


async def of_organisation(
    conn: Connection, organisation: OrganisationId, now_ms: int, which: AlertFilter, limit: int
) -> list[Alert]:
    """Return alerts in the order of `asked`."""
    found = await fetched(conn, asked(organisation, now_ms, which, limit))
    return [with_handling(alert) for alert in found]


def asked(
    organisation: OrganisationId, now_ms: int, which: AlertFilter, limit: int
) -> Asked[Alert]:
    """Ask for alerts, open ones first, then the latest changed; their handling is JSON still.

    Of the open ones those of late stops come first (the longest overdue on top), then missed stops
    (the newest first), stops at risk (first those that planners were told of, which are likely or
    sure to be late; then the first to be late), silent vans, overstayed visits.
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
               {ms("alert.raised_time")} AS raised_ms, {ms("alert.changed_time")} AS changed_ms,
               {HANDLING} AS handling
        FROM alert
        JOIN van ON van.van_id = alert.van_id
        LEFT JOIN stop ON stop.stop_id = alert.stop_id
        LEFT JOIN tour ON tour.tour_id = stop.tour_id
        LEFT JOIN site ON site.site_id = stop.site_id
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        LEFT JOIN alert_handling AS handling ON handling.handling_id = alert.handling_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(alert_id)s::bigint IS NULL OR alert.alert_id = %(alert_id)s)
          AND (%(kind)s::text IS NULL OR alert.kind = %(kind)s)
          AND (%(state)s::text IS NULL OR alert.state = %(state)s)
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND (%(owner)s::text IS NULL OR handling.owner = %(owner)s)
          AND (%(acknowledged)s::boolean IS NULL
               OR (handling.acknowledged_by IS NOT NULL) = %(acknowledged)s)
          AND (%(since)s::timestamptz IS NULL OR alert.due_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR alert.due_at < %(until)s)
          AND (%(alive_since)s::timestamptz IS NULL
               OR (alert.state = 'open' AND alert.kind <> 'missed')
               OR alert.changed_time >= %(alive_since)s)
        ORDER BY alert.state = 'open' DESC,
                 CASE WHEN alert.state = 'open' THEN
                   array_position('{ALERT_ORDER}'::text[], alert.kind) END,
                 alert.state = 'open' AND alert.kind = 'at_risk' AND NOT alert.told,
                 CASE WHEN alert.state = 'open' AND alert.kind <> 'missed' THEN alert.due_at END,
                 alert.changed_time DESC, alert.alert_id
        LIMIT %(limit)s
    """
    values = {
        **asdict(which),
        "organisation": organisation,
        "now": as_datetime(now_ms),
        "limit": limit,
    }
    return Asked(Alert, query, values)


def with_handling(alert: Alert) -> Alert:
    """Return an alert whose handling is no JSON any more."""
    told: Any = alert.handling
    return alert if told is None else replace(alert, handling=AlertHandling(**told))


async def history(conn: Connection, alert_id: int) -> list[AlertAction]:
    """Return what people did about an alert, oldest first."""
    query = f"""
        SELECT {ms("acted_time")} AS at_ms, acted_by AS by, changes
        FROM alert_action JOIN alert USING (handling_id)
        WHERE alert_id = %s ORDER BY alert_action.version
    """
    async with conn.cursor(row_factory=class_row(AlertAction)) as cursor:
        await cursor.execute(query, (alert_id,))
        return await cursor.fetchall()
