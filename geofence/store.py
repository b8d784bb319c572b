"""The SQL of fixes, visits and alerts. Functions take a connection and never commit."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
from psycopg.rows import class_row

from geofence.alerts import AlertChange, LateAlert
from geofence.changes import Known, Visit
from geofence.fences import Site
from geofence.fixes import IGNITION_UNKNOWN, Fix, FixColumns, Fixes
from geofence.tours import Stop
from geofence.visits import Reading, State
from storage.copy import binary_rows, timestamps
from storage.pool import Connection
from storage.settings import as_datetime

#: The local day of a moment lies within this of it, in any time zone; one day a year has 25 hours.
DAY_AROUND = timedelta(hours=25)

STAGING = """
CREATE TEMP TABLE fix_in (
  van_id integer, fix_time timestamptz, latitude_deg float8, longitude_deg float8,
  horizontal_accuracy_m real, speed_mps real, bearing_deg real, ignition smallint,
  odometer_m float8, battery_pct real, payload_hash bigint, received_time timestamptz
) ON COMMIT DELETE ROWS
"""

# Of two fixes with one key the better accuracy wins, then the greater hash. What comes back is, for
# each van, the earliest fix that is new or changed and not newer than what the engine has read.
MERGE = """
WITH put AS (
  INSERT INTO fix
  SELECT van_id, fix_time, latitude_deg, longitude_deg,
         NULLIF(horizontal_accuracy_m, 'NaN'), NULLIF(speed_mps, 'NaN'),
         NULLIF(bearing_deg, 'NaN'), CASE ignition WHEN 0 THEN false WHEN 1 THEN true END,
         NULLIF(odometer_m, 'NaN'), NULLIF(battery_pct, 'NaN'), payload_hash, received_time
  FROM fix_in
  ON CONFLICT (van_id, fix_time) DO UPDATE SET
    latitude_deg = excluded.latitude_deg, longitude_deg = excluded.longitude_deg,
    horizontal_accuracy_m = excluded.horizontal_accuracy_m, speed_mps = excluded.speed_mps,
    bearing_deg = excluded.bearing_deg, ignition = excluded.ignition,
    odometer_m = excluded.odometer_m, battery_pct = excluded.battery_pct,
    payload_hash = excluded.payload_hash, received_time = excluded.received_time
  WHERE (coalesce(excluded.horizontal_accuracy_m, 'Infinity'), fix.payload_hash)
      < (coalesce(fix.horizontal_accuracy_m, 'Infinity'), excluded.payload_hash)
  RETURNING van_id, fix_time
)
SELECT van_id, (extract(epoch FROM min(fix_time)) * 1000)::bigint
FROM put JOIN van_progress USING (van_id)
WHERE fix_time <= through
GROUP BY van_id
"""

# Read back from the table, so that it is the newest whatever won a key; a van whose only fixes are
# at null island has no position.
NEWEST = """
WITH newest AS (
  SELECT vans.van_id AS van, fix.*
  FROM (SELECT DISTINCT van_id FROM fix_in) AS vans
  LEFT JOIN LATERAL (
    SELECT * FROM fix
    WHERE fix.van_id = vans.van_id AND (latitude_deg, longitude_deg) <> (0, 0)
    ORDER BY fix_time DESC LIMIT 1
  ) AS fix ON true
), gone AS (
  DELETE FROM van_position USING newest
  WHERE van_position.van_id = newest.van AND newest.fix_time IS NULL
)
INSERT INTO van_position
SELECT van_id, fix_time, latitude_deg, longitude_deg, speed_mps, bearing_deg, ignition,
       received_time
FROM newest WHERE fix_time IS NOT NULL
ON CONFLICT (van_id) DO UPDATE SET
  fix_time = excluded.fix_time, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg, speed_mps = excluded.speed_mps,
  bearing_deg = excluded.bearing_deg, ignition = excluded.ignition,
  received_time = excluded.received_time
"""

# A departure is a place to read again from if the fix that proved it was settled before the late
# one came, and no other run was open at it.
ANCHOR = """
SELECT fix.fix_time, fix.latitude_deg, fix.longitude_deg
FROM visit AS settled JOIN fix ON fix.van_id = settled.van_id AND fix.fix_time = settled.closed_by
WHERE settled.van_id = %(van)s
  AND settled.closed_by < (
    SELECT max(fix_time) FROM fix
    WHERE van_id = %(van)s AND fix_time < %(late)s
      AND coalesce(horizontal_accuracy_m, 0) <= 100 AND (latitude_deg, longitude_deg) <> (0, 0))
  AND NOT EXISTS (
    SELECT FROM visit AS open
    WHERE open.van_id = %(van)s AND open.arrived_at <= settled.closed_by
      AND (open.closed_by IS NULL OR open.closed_by > settled.closed_by))
ORDER BY settled.closed_by DESC
LIMIT 1
"""

TRACK = """
SELECT (extract(epoch FROM fix_time) * 1000)::bigint, latitude_deg, longitude_deg,
       coalesce(horizontal_accuracy_m, 'NaN'), coalesce(ignition::int, -1)
FROM fix WHERE van_id = %s AND fix_time > %s ORDER BY fix_time
"""

VISITS = """
SELECT van_id, site_id,
       (extract(epoch FROM arrived_at) * 1000)::bigint AS arrived_at,
       (extract(epoch FROM last_inside_at) * 1000)::bigint AS last_inside_at,
       (extract(epoch FROM left_at) * 1000)::bigint AS left_at,
       (extract(epoch FROM closed_by) * 1000)::bigint AS closed_by,
       verdict, uncertain, ignition_off, distance_m_mean, shadowed_by, service_date, stop_id,
       punctuality
FROM unnest(%s::int[], %s::timestamptz[]) AS wanted (van_id, since) JOIN visit USING (van_id)
WHERE arrived_at >= since
"""

STOP_COLUMNS = """
SELECT stop_id, van_id, service_date, position, site_id,
       (extract(epoch FROM window_start) * 1000)::bigint AS window_start,
       (extract(epoch FROM window_end) * 1000)::bigint AS window_end,
       tour.code AS tour_code, site.code AS site_code
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
"""

STOPS = f"""{STOP_COLUMNS}
JOIN unnest(%s::int[], %s::date[], %s::date[]) AS wanted (van_id, since, until) USING (van_id)
WHERE service_date BETWEEN since AND until
"""

#: Stops whose window has ended unmet, and of which neither the clock nor an alert has told yet.
DUE = f"""{STOP_COLUMNS}
WHERE window_end < %s AND NOT judged
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id)
  AND NOT EXISTS (SELECT FROM alert WHERE alert.stop_id = stop.stop_id AND state <> 'withdrawn')
"""

ALERTS = """
SELECT stop_id, state, (extract(epoch FROM arrived_at) * 1000)::bigint AS arrived_at, told
FROM alert WHERE stop_id = ANY(%s) AND kind = 'late' AND state <> 'withdrawn'
"""

PUT_VISIT = """
INSERT INTO visit VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (van_id, site_id, arrived_at) DO UPDATE SET
  last_inside_at = excluded.last_inside_at, left_at = excluded.left_at,
  closed_by = excluded.closed_by, verdict = excluded.verdict, uncertain = excluded.uncertain,
  ignition_off = excluded.ignition_off, distance_m_mean = excluded.distance_m_mean,
  shadowed_by = excluded.shadowed_by, service_date = excluded.service_date,
  stop_id = excluded.stop_id, punctuality = excluded.punctuality
"""

PUT_PROGRESS = """
INSERT INTO van_progress VALUES (%s, %s, %s)
ON CONFLICT (van_id) DO UPDATE SET through = excluded.through, state = excluded.state
"""

RAISE_ALERT = """
INSERT INTO alert (van_id, stop_id, kind, due_at, arrived_at, state, reason, told, raised_time,
                   changed_time)
VALUES (%s, %s, 'late', %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (stop_id, kind) WHERE state <> 'withdrawn' DO NOTHING
"""

CHANGE_ALERT = """
UPDATE alert SET arrived_at = %s, state = %s, reason = %s, told = told OR %s, changed_time = %s
WHERE stop_id = %s AND kind = 'late' AND state <> 'withdrawn'
"""


async def prepare(conn: Connection) -> None:
    """Make the staging table of a new connection."""
    await conn.execute(STAGING)
    await conn.commit()


async def load_sites(conn: Connection) -> list[Site]:
    """Return every site, for the fences."""
    async with conn.cursor(row_factory=class_row(Site)) as cursor:
        await cursor.execute(
            "SELECT site_id, organisation_id, latitude_deg, longitude_deg, radius_m, time_zone,"
            " area::text AS area FROM site ORDER BY site_id"
        )
        return await cursor.fetchall()


async def put_fixes(conn: Connection, fixes: FixColumns, now: int) -> dict[int, int]:
    """Store fixes and return, by van, the time of the earliest late one, ms since 1970 UTC."""
    rows = binary_rows(
        {
            "van_id": fixes.van_id,
            "fix_time": timestamps(fixes.t_ms),
            "latitude_deg": fixes.latitude_deg,
            "longitude_deg": fixes.longitude_deg,
            "horizontal_accuracy_m": fixes.horizontal_accuracy_m,
            "speed_mps": fixes.speed_mps,
            "bearing_deg": fixes.bearing_deg,
            "ignition": fixes.ignition,
            "odometer_m": fixes.odometer_m,
            "battery_pct": fixes.battery_pct,
            "payload_hash": fixes.payload_hash,
            "received_time": timestamps(np.full(len(fixes), now, dtype=np.int64)),
        }
    )
    async with conn.cursor() as cursor:
        async with cursor.copy("COPY fix_in FROM STDIN (FORMAT BINARY)") as copy:
            await copy.write(rows)
        await cursor.execute(MERGE)
        late: dict[int, int] = dict(await cursor.fetchall())
        await cursor.execute(NEWEST)
        return late


async def load_readings(
    conn: Connection, fixes: FixColumns, late: dict[int, int]
) -> dict[int, Reading]:
    """Return for each van with something new what the engine has to read.

    Args:
        conn: In the transaction that put the fixes.
        fixes: The fixes just put.
        late: What `put_fixes` returned.
    """
    vans, starts = np.unique(fixes.van_id, return_index=True)
    progress = {
        van_id: (through, state)
        for van_id, through, state in await (
            await conn.execute(
                "SELECT van_id, (extract(epoch FROM through) * 1000)::bigint, state::text"
                " FROM van_progress WHERE van_id = ANY(%s)",
                (vans.tolist(),),
            )
        ).fetchall()
    }
    readings: dict[int, Reading] = {}
    for van, start, end in zip(vans.tolist(), starts, [*starts[1:], len(fixes)], strict=True):
        if van in late:
            readings[van] = await _read_again(conn, van, late[van])
            continue
        through, state = progress.get(van, (-1, None))
        first = start + int(np.searchsorted(fixes.t_ms[start:end], through, side="right"))
        if first < end:
            known = msgspec.json.decode(state, type=State) if state else State()
            readings[van] = Reading(known, _slice(fixes, first, end), None)
    return readings


def _slice(fixes: FixColumns, first: int, end: int) -> Fixes:
    return Fixes(
        fixes.t_ms[first:end],
        fixes.latitude_deg[first:end],
        fixes.longitude_deg[first:end],
        fixes.horizontal_accuracy_m[first:end].astype(np.float64),
        fixes.ignition[first:end].astype(np.int8),
    )


async def _read_again(conn: Connection, van_id: int, late: int) -> Reading:
    """Return the van's fixes since the last departure that the late fix cannot touch."""
    found = await conn.execute(ANCHOR, {"van": van_id, "late": as_datetime(late)})
    anchor = await found.fetchone()
    since = anchor[0] if anchor else datetime(1999, 1, 1, tzinfo=UTC)
    since_ms = round(since.timestamp() * 1_000)
    state = State(Fix(since_ms, anchor[1], anchor[2], IGNITION_UNKNOWN)) if anchor else State()
    rows = await (await conn.execute(TRACK, (van_id, since))).fetchall()
    t_ms, latitude, longitude, accuracy, ignition = zip(*rows, strict=True)
    fixes = Fixes(
        np.array(t_ms, dtype=np.int64),
        np.array(latitude),
        np.array(longitude),
        np.array(accuracy, dtype=np.float64),
        np.array(ignition, dtype=np.int8),
    )
    return Reading(state, fixes, since_ms)


async def load_known(conn: Connection, spans: Mapping[int, tuple[int, int]]) -> dict[int, Known]:
    """Return what the tables say of each van on the days around a span of time.

    Args:
        conn: In the batch's transaction.
        spans: First and last moment by van, ms since 1970 UTC.
    """
    vans = list(spans)
    since = [as_datetime(first) - DAY_AROUND for first, _ in spans.values()]
    until = [as_datetime(last) + DAY_AROUND for _, last in spans.values()]
    visits: dict[int, list[Visit]] = defaultdict(list)
    stops: dict[int, list[Stop]] = defaultdict(list)
    async with conn.cursor(row_factory=class_row(Visit)) as cursor:
        await cursor.execute(VISITS, (vans, since))
        for visit in await cursor.fetchall():
            visits[visit.van_id].append(visit)
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(
            STOPS, (vans, [moment.date() for moment in since], [moment.date() for moment in until])
        )
        for stop in await cursor.fetchall():
            stops[stop.van_id].append(stop)
    live = await load_alerts(conn, [stop.stop_id for of_van in stops.values() for stop in of_van])
    return {van: Known(visits[van], stops[van], live) for van in vans}


async def load_alerts(conn: Connection, stop_ids: Sequence[int]) -> dict[int, LateAlert]:
    """Return the live alert of each stop that has one."""
    async with conn.cursor(row_factory=class_row(LateAlert)) as cursor:
        await cursor.execute(ALERTS, (list(stop_ids),))
        return {alert.stop_id: alert for alert in await cursor.fetchall()}


async def load_due_stops(conn: Connection, now: int) -> list[Stop]:
    """Return the stops whose window has ended unmet and of which no alert tells yet."""
    async with conn.cursor(row_factory=class_row(Stop)) as cursor:
        await cursor.execute(DUE, (as_datetime(now),))
        return await cursor.fetchall()


async def mark_judged(conn: Connection, now: int) -> None:
    """Remember that the clock has judged every stop whose window has ended.

    From then on only messages can change what is true of it, and they judge its day again.
    """
    await conn.execute(
        "UPDATE stop SET judged = true WHERE window_end < %s AND NOT judged", (as_datetime(now),)
    )


async def write_visits(conn: Connection, visits: Iterable[Visit], gone: Iterable[Visit]) -> None:
    """Write the rows that changed and delete those that are gone."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "DELETE FROM visit WHERE van_id = %s AND site_id = %s AND arrived_at = %s",
            [(v.van_id, v.site_id, as_datetime(v.arrived_at)) for v in gone],
        )
        await cursor.executemany(PUT_VISIT, [_visit_row(v) for v in visits])


def _visit_row(visit: Visit) -> tuple[object, ...]:
    return (
        visit.van_id, visit.site_id, as_datetime(visit.arrived_at),
        as_datetime(visit.last_inside_at), _moment(visit.left_at), _moment(visit.closed_by),
        visit.verdict, visit.uncertain, visit.ignition_off, visit.distance_m_mean,
        visit.shadowed_by, visit.service_date, visit.stop_id, visit.punctuality,
    )  # fmt: skip


def _moment(t_ms: int | None) -> datetime | None:
    return None if t_ms is None else as_datetime(t_ms)


async def write_progress(conn: Connection, readings: dict[int, Reading]) -> None:
    """Write where the engine stands for each van that it has read."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            PUT_PROGRESS,
            [
                (
                    van,
                    as_datetime(int(reading.fixes.t_ms[-1])),
                    msgspec.json.encode(reading.state).decode(),
                )
                for van, reading in readings.items()
            ],
        )


async def write_alerts(conn: Connection, changes: Sequence[AlertChange], now: int) -> None:
    """Write what became of the alerts."""
    moment = as_datetime(now)
    async with conn.cursor() as cursor:
        await cursor.executemany(
            RAISE_ALERT,
            [
                (c.stop.van_id, c.stop.stop_id, as_datetime(c.stop.window_end),
                 _moment(c.arrived_at), c.state, c.reason, c.news is not None, moment, moment)
                for c in changes if c.is_new
            ],
        )  # fmt: skip
        await cursor.executemany(
            CHANGE_ALERT,
            [
                (_moment(c.arrived_at), c.state, c.reason, c.news is not None, moment, c.stop.stop_id)
                for c in changes if not c.is_new
            ],
        )  # fmt: skip
