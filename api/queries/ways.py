"""The questions about a van's way: its legs, and the fixes that could not be used.

One function a question, scoped by organisation, or by a van that was found in it; reads, never
commits. What a halt is to the plan says `geofence/trips.py`; here it is only told the visits.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg.rows import class_row

from api.answers import Leg, LegsOfDay, UnusableByReason, UnusableByVan
from api.auth import DEFAULT_ORGANISATION, OrganisationId
from api.times import TIME_ZONE, ms
from geofence import trips
from geofence.tours import service_date
from storage.pool import Connection

#: A visit that covers half of a halt may have begun long before it.
VISIT_BEFORE = timedelta(days=7)


async def legs(conn: Connection, van: int, since: datetime, until: datetime) -> list[Leg]:
    """Return the legs of a van that began from `since` on and before `until`, oldest first."""
    found = await _stored_legs(conn, van, since, until)
    visits = await _visits(conn, van, since, until)
    unplanned = {leg.started_at for leg in trips.unplanned_halts(found, visits)}
    return [
        Leg(
            kind=leg.kind,
            started_at_ms=leg.started_at,
            ended_at_ms=leg.ended_at,
            closed=leg.closed,
            distance_m=leg.distance_m,
            driving_s=leg.driving_s,
            standing_s=leg.standing_s,
            unknown_s=leg.unknown_s,
            latitude_deg=leg.latitude_deg,
            longitude_deg=leg.longitude_deg,
            unplanned=leg.started_at in unplanned,
        )
        for leg in found
    ]


async def _stored_legs(
    conn: Connection, van: int, since: datetime, until: datetime
) -> list[trips.Leg]:
    query = f"""
        SELECT kind, {ms("started_at")}, {ms("ended_at")}, closed, distance_m, standing_s,
               unknown_s, latitude_deg, longitude_deg
        FROM leg WHERE van_id = %s AND started_at >= %s AND started_at < %s
        ORDER BY started_at
    """
    rows = await (await conn.execute(query, (van, since, until))).fetchall()
    return [trips.Leg(*row) for row in rows]


async def _visits(
    conn: Connection, van: int, since: datetime, until: datetime
) -> list[tuple[int, int]]:
    """Return when a van arrived at, and was last inside, what it visited around a range."""
    # A halt that began before `until` may last beyond it, and so may what covers it begin there.
    query = f"""
        SELECT {ms("arrived_at")}, {ms("last_inside_at")} FROM visit
        WHERE van_id = %s AND arrived_at BETWEEN %s AND %s AND last_inside_at >= %s
          AND verdict = 'visit' AND shadowed_by IS NULL
    """
    values = (van, since - VISIT_BEFORE, until + VISIT_BEFORE, since)
    return list(await (await conn.execute(query, values)).fetchall())


def by_day(found: Sequence[Leg]) -> list[LegsOfDay]:
    """Return the sums of legs by the working day on which they began, oldest first. Pure."""
    days: dict[str, list[Leg]] = defaultdict(list)
    for leg in found:
        days[service_date(leg.started_at_ms, TIME_ZONE).isoformat()].append(leg)
    return [_sums(day, of_day) for day, of_day in sorted(days.items())]


def _sums(day: str, of_day: Sequence[Leg]) -> LegsOfDay:
    moving = [leg for leg in of_day if leg.kind == "trip"]
    halts = [leg for leg in of_day if leg.kind == "halt"]
    unplanned = [leg for leg in halts if leg.unplanned]
    return LegsOfDay(
        date=day,
        trips=len(moving),
        halts=len(halts),
        unplanned_halts=len(unplanned),
        distance_m=sum(leg.distance_m for leg in moving),
        driving_s=sum(leg.driving_s for leg in moving),
        standing_s=sum(leg.standing_s for leg in moving),
        unknown_s=sum(leg.unknown_s for leg in moving),
        halted_s=sum(leg.standing_s for leg in halts),
        unplanned_s=sum(leg.standing_s for leg in unplanned),
    )


async def unusable_fixes(
    conn: Connection, organisation: OrganisationId, since: datetime, until: datetime
) -> list[UnusableByVan]:
    """Return how many fixes from `since` on and before `until` were not used, by van and reason.

    Fixes ahead of the clock, or years old, are never stored: those are counted in the rejected
    positions, by when they came. One that names no known van belongs, as all such, to the
    organisation that runs the installation.
    """
    query = f"""
        SELECT van.code AS van, unusable.reason, count(*)::integer AS count,
               {ms("max(unusable.fix_time)")} AS last_ms
        FROM unusable_fix AS unusable JOIN van ON van.van_id = unusable.van_id
        WHERE van.organisation_id = %(organisation)s
          AND fix_time >= %(since)s AND fix_time < %(until)s
        GROUP BY van.code, unusable.reason
        UNION ALL
        SELECT van.code, rejected.reason, count(*)::integer, {ms("max(received_time)")}
        FROM rejected LEFT JOIN van ON van.code = rejected.van_code
        WHERE rejected.reason IN ('future', 'ancient')
          AND (topic LIKE 'fleet/v1/%%/position' OR topic LIKE 'owntracks/%%')
          AND received_time >= %(since)s AND received_time < %(until)s
          AND coalesce(van.organisation_id, %(default)s) = %(organisation)s
        GROUP BY van.code, rejected.reason
        ORDER BY count DESC, van, reason
    """
    values = {
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
        "since": since,
        "until": until,
    }
    async with conn.cursor(row_factory=class_row(UnusableByVan)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


def by_reason(found: Sequence[UnusableByVan]) -> list[UnusableByReason]:
    """Return the same over all vans, the most frequent reason first. Pure."""
    counts: dict[str, list[UnusableByVan]] = defaultdict(list)
    for row in found:
        counts[row.reason].append(row)
    sums = [
        UnusableByReason(rows[0].reason, sum(row.count for row in rows), len(rows))
        for rows in counts.values()
    ]
    return sorted(sums, key=lambda row: (-row.count, row.reason))
