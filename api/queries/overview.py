"""The figures on top of the page: one statement for today, and the rate of the last minute.

Scoped by organisation, but for ingest's rate and lag, which are the installation's; reads, never
commits. The vans are not read again: they come in as an argument.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from api.answers import Overview, Van
from api.auth import DEFAULT_ORGANISATION, OrganisationId
from api.figures import lag_under_ms, summed
from api.queries.installation import activity
from api.queries.rejected import DAY_MS, REJECTED_OF
from api.states import ON_THE_ROAD
from api.times import TIME_ZONE, ms
from storage.pool import Connection
from storage.settings import as_datetime

#: A missed stop never ends; after this it is history.
MISSED_NEWS: Final = timedelta(hours=12)
RATE_WINDOW_S: Final = 60


async def todays_figures(
    conn: Connection,
    organisation: OrganisationId,
    fleet: Sequence[Van],
    now_ms: int,
    real_ms: int,
) -> Overview:
    """Return the figures on top of the page; `fleet` is its vans as read for this moment.

    `real_ms` is the machine's time: ingest counts its work in real seconds, even where the
    installation's clock is simulated.
    """
    query = f"""
        WITH today AS (
          SELECT date_trunc('day', %(now)s::timestamptz, %(zone)s) AS start
        ), fleet AS (
          SELECT van_id FROM van WHERE organisation_id = %(organisation)s
        ), alerts AS (
          SELECT count(*) AS open,
                 count(*) FILTER (WHERE kind = 'late') AS stops_late,
                 count(DISTINCT van_id) FILTER (WHERE kind = 'late') AS vans_late,
                 count(*) FILTER (WHERE kind = 'at_risk') AS stops_at_risk,
                 count(DISTINCT van_id) FILTER (WHERE kind = 'at_risk') AS vans_at_risk
          FROM alert
          WHERE state = 'open' AND van_id IN (SELECT van_id FROM fleet)
            AND (kind <> 'missed' OR changed_time >= %(missed_since)s)
        )
        SELECT {ms("today.start")} AS start_ms,
          (SELECT count(*) FROM visit
           WHERE arrived_at >= today.start AND verdict = 'visit' AND shadowed_by IS NULL
             AND van_id IN (SELECT van_id FROM fleet)),
          (SELECT count(*) FROM alert
           WHERE kind = 'late' AND state <> 'withdrawn' AND due_at >= today.start
             AND van_id IN (SELECT van_id FROM fleet)),
          alerts.stops_late, alerts.vans_late, alerts.stops_at_risk, alerts.vans_at_risk,
          alerts.open,
          (SELECT count(*) FROM scan
           WHERE t >= today.start AND van_id IN (SELECT van_id FROM fleet)),
          (SELECT count(*) FROM resupply_order
           WHERE organisation_id = %(organisation)s AND state NOT IN ('received', 'cancelled')),
          (SELECT count(*) FROM rejected WHERE {REJECTED_OF})
        FROM today, alerts
    """
    values = {
        "now": as_datetime(now_ms),
        "zone": TIME_ZONE,
        "organisation": organisation,
        "since": as_datetime(now_ms - DAY_MS),
        "missed_since": as_datetime(now_ms) - MISSED_NEWS,
        "default": DEFAULT_ORGANISATION,
    }
    counts = await (await conn.execute(query, values)).fetchone()
    assert counts is not None  # noqa: S101  a SELECT without FROM rows of ours has one row
    start_ms, visits_today, late_today, late, vans_late, at_risk, vans_at_risk, *others = counts
    alerts_open, scans_today, orders_open, rejected_24h = others
    minute = await activity(
        conn, as_datetime(real_ms - RATE_WINDOW_S * 1_000), as_datetime(real_ms)
    )
    lags = summed(second.lag_counts for second in minute)
    return Overview(
        vans_total=len(fleet),
        vans_seen_today=sum(v.last_fix is not None and v.last_fix.t_ms >= start_ms for v in fleet),
        vans_on_the_road=sum(v.state in ON_THE_ROAD for v in fleet),
        vans_silent=sum(v.state == "silent" for v in fleet),
        visits_today=visits_today,
        late_stops_today=late_today,
        stops_late=late,
        vans_late=vans_late,
        stops_at_risk=at_risk,
        vans_at_risk=vans_at_risk,
        alerts_open=alerts_open,
        scans_today=scans_today,
        orders_open=orders_open,
        rejected_24h=rejected_24h,
        messages_per_s=round(sum(second.messages for second in minute) / RATE_WINDOW_S, 1),
        lag_p50_ms=lag_under_ms(lags, 0.5),
        lag_p99_ms=lag_under_ms(lags, 0.99),
    )
