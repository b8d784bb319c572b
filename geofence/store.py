"""The SQL of visits, legs, alerts and tours. Functions take a connection and never commit."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from psycopg.rows import class_row

from geofence.alerts import AlertChange, LiveAlert
from geofence.changes import Known, Said, VanChanges, Visit
from geofence.fences import Site
from geofence.tours import Stop
from geofence.trips import Leg
from geofence.usable import Refusal
from storage.pool import Connection
from storage.settings import as_datetime

#: The working day of a moment lies within this of it, in any time zone; it turns at 3 in the
#: morning, and one day a year has 25 hours.
DAY_AROUND = timedelta(hours=28)

#: When a tour's working day is over at a site: what `tours.day_begins` says of the next day.
DAY_ENDS = "(service_date + 1 + TIME '03:00') AT TIME ZONE site.time_zone"

# What may change, and the visits of the days around it that stand.
VISITS = """
SELECT van_id, site_id,
       (extract(epoch FROM arrived_at) * 1000)::bigint AS arrived_at,
       (extract(epoch FROM last_inside_at) * 1000)::bigint AS last_inside_at,
       (extract(epoch FROM left_at) * 1000)::bigint AS left_at,
       (extract(epoch FROM closed_by) * 1000)::bigint AS closed_by,
       ignition_off, fixes, centre_mm_sum, verdict, uncertain, shadowed_by, service_date, stop_id,
       punctuality, wrong_order, overstayed
FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[], %s::timestamptz[])
  AS wanted (van_id, since, until, touched_since)
JOIN visit USING (van_id)
WHERE arrived_at BETWEEN since AND until
  AND (arrived_at >= touched_since OR (verdict = 'visit' AND shadowed_by IS NULL))
"""

STOP_COLUMNS = f"""
SELECT stop_id, van_id, service_date, position, site_id,
       (extract(epoch FROM window_start) * 1000)::bigint AS window_start,
       (extract(epoch FROM window_end) * 1000)::bigint AS window_end,
       planned_duration_s,
       (extract(epoch FROM {DAY_ENDS}) * 1000)::bigint AS day_end,
       tour.code AS tour_code, site.code AS site_code
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
"""

STOPS = f"""{STOP_COLUMNS}
JOIN unnest(%s::int[], %s::date[], %s::date[]) AS wanted (van_id, since, until) USING (van_id)
WHERE service_date BETWEEN since AND until
"""

#: Whether the clock has something to say of a stop that it has not said yet: its window has ended,
#: and the van was seen since, or is silent.
NEW_TO_CLOCK = f"""
window_end < %(now)s AND window_end < greatest(
  %(now)s - INTERVAL '15 minutes',
  (SELECT through FROM van_progress WHERE van_progress.van_id = tour.van_id))
AND judged IS DISTINCT FROM 'day'
AND (judged IS NULL OR {DAY_ENDS} < %(now)s)
"""

NOT_VISITED = "NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id)"

DUE = f"{STOP_COLUMNS} WHERE {NEW_TO_CLOCK} AND {NOT_VISITED}"

UNVISITED = f"{STOP_COLUMNS} WHERE stop_id = ANY(%s) AND {NOT_VISITED}"

JUDGED = f"""
UPDATE stop SET judged = CASE
  WHEN {DAY_ENDS} < %(now)s THEN 'day'
  ELSE 'window' END
FROM tour, site
WHERE tour.tour_id = stop.tour_id AND site.site_id = stop.site_id AND {NEW_TO_CLOCK}
  AND (stop_id = ANY(%(due)s) OR NOT {NOT_VISITED})
"""

#: Two processes' clocks differ a little; more than a minute back is a clock that was wrong.
CLOCK = """
UPDATE clock_seen SET latest = CASE
  WHEN latest > %(now)s + INTERVAL '1 minute' THEN %(now)s
  ELSE greatest(latest, %(now)s) END
FROM (SELECT latest AS before FROM clock_seen FOR UPDATE) AS seen
RETURNING before > %(now)s + INTERVAL '1 minute'
"""

TAKE_BACK = f"""
UPDATE stop SET judged = CASE WHEN window_end < %(now)s THEN 'window' END
FROM tour, site
WHERE tour.tour_id = stop.tour_id AND site.site_id = stop.site_id AND judged IS NOT NULL
  AND (window_end >= %(now)s OR (judged = 'day' AND {DAY_ENDS} >= %(now)s))
RETURNING stop_id
"""

ALERTS = """
SELECT van_id, stop_id, kind, state, (extract(epoch FROM due_at) * 1000)::bigint AS due_at,
       (extract(epoch FROM ended_at) * 1000)::bigint AS ended_at, told
FROM alert WHERE stop_id = ANY(%s) AND state <> 'withdrawn'
"""

SEEN = """
SELECT van_id, (extract(epoch FROM through) * 1000)::bigint FROM van_progress
WHERE van_id = ANY(%s) AND through IS NOT NULL
"""

PUT_VISIT = """
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, ignition_off,
                   fixes, centre_mm_sum, verdict, uncertain, shadowed_by, service_date, stop_id,
                   punctuality, wrong_order, overstayed)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (van_id, site_id, arrived_at) DO UPDATE SET
  last_inside_at = excluded.last_inside_at, left_at = excluded.left_at,
  closed_by = excluded.closed_by, ignition_off = excluded.ignition_off, fixes = excluded.fixes,
  centre_mm_sum = excluded.centre_mm_sum, verdict = excluded.verdict,
  uncertain = excluded.uncertain, shadowed_by = excluded.shadowed_by,
  service_date = excluded.service_date, stop_id = excluded.stop_id,
  punctuality = excluded.punctuality, wrong_order = excluded.wrong_order,
  overstayed = excluded.overstayed
"""

LEGS = """
SELECT van_id, kind, (extract(epoch FROM started_at) * 1000)::bigint,
       (extract(epoch FROM ended_at) * 1000)::bigint, closed, distance_m, standing_s, unknown_s,
       latitude_deg, longitude_deg
FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS span (van_id, since, until)
JOIN leg USING (van_id)
WHERE started_at >= since AND started_at <= until
"""

PUT_LEG = """
INSERT INTO leg (van_id, kind, started_at, ended_at, closed, distance_m, standing_s, unknown_s,
                 latitude_deg, longitude_deg)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (van_id, started_at) DO UPDATE SET
  kind = excluded.kind, ended_at = excluded.ended_at, closed = excluded.closed,
  distance_m = excluded.distance_m, standing_s = excluded.standing_s,
  unknown_s = excluded.unknown_s, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg
"""

REFUSED = """
SELECT van_id, (extract(epoch FROM fix_time) * 1000)::bigint, reason
FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS span (van_id, since, until)
JOIN unusable_fix USING (van_id)
WHERE fix_time > since AND fix_time <= until
"""

PUT_REFUSED = """
INSERT INTO unusable_fix (van_id, fix_time, reason) VALUES (%s, %s, %s)
ON CONFLICT (van_id, fix_time) DO UPDATE SET reason = excluded.reason
"""

# What people did about an alert goes with it when it is withdrawn and raised again (`alert.handling_id`).
# A silence that a backlog has moved is told again once its new last fix is 15 minutes old; after more
# than that another one begins.
RAISE_ALERT = """
INSERT INTO alert (van_id, stop_id, kind, due_at, ended_at, state, reason, minutes, cause, pushes,
                   told, raised_time, changed_time, handling_id)
SELECT raised.*, (
  SELECT handling_id FROM alert AS before
  WHERE before.handling_id IS NOT NULL AND before.state = 'withdrawn'
    AND (before.van_id, before.kind) = (raised.van_id, raised.kind)
    AND before.stop_id IS NOT DISTINCT FROM raised.stop_id
    AND (before.stop_id IS NOT NULL
         OR before.changed_time > raised.raised_time - INTERVAL '20 minutes')
  ORDER BY before.alert_id DESC LIMIT 1)
FROM (VALUES (%s::int, %s::int, %s::text, %s::timestamptz, %s::timestamptz, %s::text, %s::text,
              %s::int, %s::text, %s::int[], %s::boolean, %s::timestamptz, %s::timestamptz))
  AS raised (van_id, stop_id, kind, due_at, ended_at, state, reason, minutes, cause, pushes, told,
             raised_time, changed_time)
ON CONFLICT DO NOTHING
"""

CHANGE_ALERT = """
UPDATE alert SET due_at = %s, ended_at = %s, state = %s, reason = %s, minutes = %s,
  cause = coalesce(%s, cause), pushes = %s, told = told OR %s, changed_time = %s
WHERE van_id = %s AND stop_id IS NOT DISTINCT FROM %s AND kind = %s AND state <> 'withdrawn'
  AND (kind <> 'silent' OR due_at = %s)
"""

TOUR_EDITS = "DELETE FROM tour_edit RETURNING van_id, service_date"


async def load_sites(conn: Connection) -> list[Site]:
    """Return every site, for the fences."""
    async with conn.cursor(row_factory=class_row(Site)) as cursor:
        await cursor.execute(
            "SELECT site_id, organisation_id, latitude_deg, longitude_deg, radius_m, time_zone,"
            " area::text AS area FROM site ORDER BY site_id"
        )
        return await cursor.fetchall()


async def load_known(conn: Connection, said: Mapping[int, Said]) -> dict[int, Known]:
    """Return what the tables say of each van on the days of which the fold says something."""
    spans = {van: moments for van, words in said.items() if (moments := _moments(words))}
    if not spans:
        return {}
    vans = list(spans)
    since = [first - DAY_AROUND for first, _, _ in spans.values()]
    until = [last + DAY_AROUND for _, last, _ in spans.values()]
    touched = [touched for _, _, touched in spans.values()]
    visits: dict[int, list[Visit]] = defaultdict(list)
    stops: dict[int, list[Stop]] = defaultdict(list)
    async with conn.cursor(row_factory=class_row(Visit)) as cursor:
        await cursor.execute(VISITS, (vans, since, until, touched))
        for visit in await cursor.fetchall():
            visits[visit.van_id].append(visit)
    for stop in await load_stops(
        conn, vans, [moment.date() for moment in since], [moment.date() for moment in until]
    ):
        stops[stop.van_id].append(stop)
    live: dict[int, list[LiveAlert]] = defaultdict(list)
    for alert in await load_alerts(
        conn, [stop.stop_id for of_van in stops.values() for stop in of_van]
    ):
        live[alert.van_id].append(alert)
    legs, refused = await _load_spans(conn, said)
    return {van: Known(visits[van], stops[van], live[van], legs[van], refused[van]) for van in vans}


def _moments(said: Said) -> tuple[datetime, datetime, datetime] | None:
    """Return the first and last moment whose day may change, and when what was touched began."""
    begins = [run.arrived_at for cluster in said.clusters for run in cluster]
    for span in said.spans:
        begins += [span.since, said.end if span.until is None else span.until]
    noons = [datetime(day.year, day.month, day.day, 12, tzinfo=UTC) for day in said.replanned]
    moments = [*(as_datetime(t_ms) for t_ms in begins), *noons]
    if not moments:
        return None
    touched = min(moments) - (DAY_AROUND if noons else timedelta())
    return min(moments), max(moments), touched


async def _load_spans(
    conn: Connection, said: Mapping[int, Said]
) -> tuple[dict[int, list[Leg]], dict[int, list[Refusal]]]:
    """Return by van the rows of what was read again: its legs, and its fixes that are not used."""
    legs: dict[int, list[Leg]] = defaultdict(list)
    refused: dict[int, list[Refusal]] = defaultdict(list)
    spans = [(van, span, words.end) for van, words in said.items() for span in words.spans]
    if not spans:
        return legs, refused
    vans = [van for van, _, _ in spans]
    since = [as_datetime(span.since) for _, span, _ in spans]
    until = [as_datetime(t if span.until is None else span.until) for _, span, t in spans]
    legs_since = [
        as_datetime(span.since if span.legs_since is None else span.legs_since)
        for _, span, _ in spans
    ]
    for van, *row in await (await conn.execute(LEGS, (vans, legs_since, until))).fetchall():
        legs[van].append(Leg(*row))
    for van, t_ms, reason in await (await conn.execute(REFUSED, (vans, since, until))).fetchall():
        refused[van].append((t_ms, reason))
    return legs, refused


async def load_stops(
    conn: Connection, vans: Sequence[int], since: Sequence[date], until: Sequence[date]
) -> list[Stop]:
    """Return the stops of each van's tours from one working day to another."""
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(STOPS, (list(vans), list(since), list(until)))
        return await cursor.fetchall()


async def load_alerts(conn: Connection, stop_ids: Sequence[int]) -> list[LiveAlert]:
    """Return the live alerts of stops."""
    async with conn.cursor(row_factory=class_row(LiveAlert)) as cursor:
        await cursor.execute(ALERTS, (list(stop_ids),))
        return await cursor.fetchall()


async def load_due_stops(conn: Connection, now: int) -> list[Stop]:
    """Return the unvisited stops whose window or day has ended, as far as that is new."""
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(DUE, {"now": as_datetime(now)})
        return await cursor.fetchall()


async def take_back(conn: Connection, now: int) -> list[Stop]:
    """Return the unvisited stops that a clock which was ahead has judged, to be judged anew."""
    at = {"now": as_datetime(now)}
    went_back = await (await conn.execute(CLOCK, at)).fetchone()
    if went_back is None or not went_back[0]:
        return []
    taken = [stop_id for (stop_id,) in await (await conn.execute(TAKE_BACK, at)).fetchall()]
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(UNVISITED, (taken,))
        return await cursor.fetchall()


async def load_seen(conn: Connection, vans: Sequence[int]) -> dict[int, int]:
    """Return the times of vans' newest fixes, ms since 1970 UTC, of those that have any."""
    found = await conn.execute(SEEN, (list(vans),))
    return dict(await found.fetchall())


async def mark_judged(conn: Connection, due: Iterable[Stop], now: int) -> None:
    """Remember that the clock has judged these stops, and need not judge those that are visited.

    From then on only messages can change what is true of them, and they judge their day again.
    """
    judged = [stop.stop_id for stop in due]
    await conn.execute(JUDGED, {"now": as_datetime(now), "due": judged})


async def replanned_vans(conn: Connection) -> list[int]:
    """Return the vans of which some day's plan has changed."""
    rows = await (await conn.execute("SELECT DISTINCT van_id FROM tour_edit")).fetchall()
    return [van for (van,) in rows]


async def take_tour_edits(conn: Connection) -> dict[int, frozenset[date]]:
    """Return the days by van whose plan has changed, and take them off the list.

    Under the vans' locks: an import that holds them may be adding to the list.
    """
    days: dict[int, set[date]] = defaultdict(set)
    for van, day in await (await conn.execute(TOUR_EDITS)).fetchall():
        days[van].add(day)
    return {van: frozenset(of_van) for van, of_van in days.items()}


async def write(conn: Connection, changes: Mapping[int, VanChanges]) -> None:
    """Write the rows that changed, by van, and delete those that are gone."""
    rows = list(changes.items())
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "DELETE FROM visit WHERE van_id = %s AND site_id = %s AND arrived_at = %s",
            [
                (van, visit.site_id, as_datetime(visit.arrived_at))
                for van, changed in rows
                for visit in changed.gone
            ],
        )
        await cursor.executemany(
            PUT_VISIT, [_visit_row(visit) for _, changed in rows for visit in changed.visits]
        )
        await cursor.executemany(
            "DELETE FROM leg WHERE van_id = %s AND started_at = %s",
            [(van, as_datetime(t_ms)) for van, changed in rows for t_ms in changed.legs_gone],
        )
        await cursor.executemany(
            PUT_LEG, [_leg_row(van, leg) for van, changed in rows for leg in changed.legs]
        )
        await cursor.executemany(
            "DELETE FROM unusable_fix WHERE van_id = %s AND fix_time = %s",
            [(van, as_datetime(t_ms)) for van, changed in rows for t_ms in changed.refused_gone],
        )
        await cursor.executemany(
            PUT_REFUSED,
            [
                (van, as_datetime(t_ms), reason)
                for van, changed in rows
                for t_ms, reason in changed.refused
            ],
        )


def _visit_row(visit: Visit) -> tuple[object, ...]:
    return (
        visit.van_id, visit.site_id, as_datetime(visit.arrived_at),
        as_datetime(visit.last_inside_at), _moment(visit.left_at), _moment(visit.closed_by),
        visit.ignition_off, visit.fixes, visit.centre_mm_sum, visit.verdict, visit.uncertain,
        visit.shadowed_by, visit.service_date, visit.stop_id, visit.punctuality,
        visit.wrong_order, visit.overstayed,
    )  # fmt: skip


def _leg_row(van: int, leg: Leg) -> tuple[object, ...]:
    return (
        van, leg.kind, as_datetime(leg.started_at), as_datetime(leg.ended_at), leg.closed,
        leg.distance_m, leg.standing_s, leg.unknown_s, leg.latitude_deg, leg.longitude_deg,
    )  # fmt: skip


def _moment(t_ms: int | None) -> datetime | None:
    return None if t_ms is None else as_datetime(t_ms)


async def write_alerts(conn: Connection, changes: Iterable[AlertChange], now: int) -> None:
    """Write what became of the alerts."""
    moment = as_datetime(now)
    made: list[tuple[object, ...]] = []
    changed: list[tuple[object, ...]] = []
    for change in changes:
        van_id, stop_id, kind = change.subject.key
        fact, told = change.fact, change.news is not None
        due_at, ended_at = as_datetime(fact.due_at), _moment(fact.ended_at)
        what = (change.state, fact.reason, fact.minutes, fact.cause, list(fact.pushes), told)
        if change.is_new:
            made.append((van_id, stop_id, kind, due_at, ended_at, *what, moment, moment))
        else:
            changed.append((due_at, ended_at, *what, moment, van_id, stop_id, kind, due_at))
    async with conn.cursor() as cursor:
        await cursor.executemany(RAISE_ALERT, made)
        await cursor.executemany(CHANGE_ALERT, changed)
