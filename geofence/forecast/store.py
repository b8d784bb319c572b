"""The SQL of what is foreseen: arrival times, risks, silences, and the models they rest on.

Functions take a connection and never commit. Forecasts are made for the vans of every batch, and by
the clock for those of which no message came for a minute. They depend on when they were made.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import numpy as np

from geofence import alerts, duty_store, trips
from geofence.alerts import AlertChange, LiveAlert, Subject
from geofence.duty import WorkingCalendar
from geofence.fences import distance_m
from geofence.forecast.accuracy import AHEAD_MS, Ahead
from geofence.forecast.outlook import (
    UNPLANNED_S,
    Foreseen,
    Place,
    Seconds,
    Seen,
    VanDay,
    Way,
    foresee,
    legs_of,
    local_hour,
)
from geofence.forecast.router import Leg, Router
from geofence.forecast.travel import UNCALIBRATED, Legs, Model, calibrate
from geofence.forecast.work import UNCALIBRATED_WORK, Work, calibrate_work
from geofence.store import load_alerts
from geofence.tours import Stop
from storage.pool import Connection
from storage.settings import as_datetime

CALIBRATED_EVERY: Final = timedelta(hours=1)
#: How much history the models rest on.
CALIBRATED_ON: Final = timedelta(days=60)

# A tour is of today from 3 in the morning at its sites to 3 in the next. What a van is seen doing
# now is its newest usable fix, which is the first thing that the visit engine remembers.
TODAY = """
SELECT stop.stop_id, tour.van_id, tour.service_date, stop.position, stop.site_id,
       (extract(epoch FROM stop.window_start) * 1000)::bigint,
       (extract(epoch FROM stop.window_end) * 1000)::bigint,
       stop.planned_duration_s,
       (extract(epoch FROM (service_date + 1 + TIME '03:00') AT TIME ZONE site.time_zone) * 1000
        )::bigint,
       tour.code, site.code, site.latitude_deg, site.longitude_deg, site.time_zone,
       (progress.state #>> '{0,0,0}')::bigint, (progress.state #>> '{0,0,1}')::float8,
       (progress.state #>> '{0,0,2}')::float8,
       (extract(epoch FROM stop.planned_arrival) * 1000)::bigint, site.radius_m
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
JOIN van_progress AS progress USING (van_id)
WHERE tour.van_id = ANY(%(vans)s)
  AND service_date BETWEEN (%(now)s - INTERVAL '2 days')::date AND (%(now)s + INTERVAL '1 day')::date
  AND %(now)s >= (service_date + TIME '03:00') AT TIME ZONE site.time_zone
  AND %(now)s < (service_date + 1 + TIME '03:00') AT TIME ZONE site.time_zone
  AND progress.state #>> '{0,0,0}' IS NOT NULL
ORDER BY tour.van_id, stop.position
"""

SEEN = """
SELECT visit.van_id, visit.stop_id, site.latitude_deg, site.longitude_deg,
       (extract(epoch FROM arrived_at) * 1000)::bigint,
       (extract(epoch FROM last_inside_at) * 1000)::bigint,
       (extract(epoch FROM left_at) * 1000)::bigint,
       coalesce(stop.planned_duration_s, 0),
       (extract(epoch FROM stop.planned_arrival) * 1000)::bigint
FROM unnest(%s::int[], %s::date[]) AS wanted (van_id, service_date)
JOIN visit USING (van_id, service_date)
JOIN site ON site.site_id = visit.site_id
LEFT JOIN stop ON stop.stop_id = visit.stop_id
WHERE verdict = 'visit' AND shadowed_by IS NULL
ORDER BY visit.van_id, arrived_at
"""

# The legs since a moment: the last departure, or the morning.
WAYS = """
SELECT van_id, kind, (extract(epoch FROM started_at) * 1000)::bigint,
       (extract(epoch FROM ended_at) * 1000)::bigint, closed, distance_m, standing_s, unknown_s,
       latitude_deg, longitude_deg
FROM unnest(%s::int[], %s::timestamptz[]) AS wanted (van_id, since)
JOIN leg USING (van_id)
WHERE ended_at > since
ORDER BY van_id, started_at
"""

# Where trips began: each at the time of a fix.
ORIGINS = """
SELECT van_id, latitude_deg, longitude_deg
FROM unnest(%s::int[], %s::timestamptz[]) AS trip (van_id, fix_time)
JOIN fix USING (van_id, fix_time)
"""

# Times in ms since 1970 UTC: lists of whole numbers are sent in a fifth of the time.
PUT_ETA = """
INSERT INTO eta (stop_id, made_time, early_at, expected_at, late_at, chance_late, likely_since,
                 said_30m_at, said_2h_at)
SELECT stop_id, %(now)s, to_timestamp(early_ms::float8 / 1000),
       to_timestamp(expected_ms::float8 / 1000), to_timestamp(late_ms::float8 / 1000), chance_late,
       CASE WHEN chance_late >= %(likely)s::real THEN %(now)s END,
       CASE WHEN expected_ms >= %(in_30m)s THEN to_timestamp(expected_ms::float8 / 1000) END,
       CASE WHEN expected_ms >= %(in_2h)s THEN to_timestamp(expected_ms::float8 / 1000) END
FROM unnest(%(stop_id)s::int[], %(early_ms)s::bigint[], %(expected_ms)s::bigint[],
            %(late_ms)s::bigint[], %(chance_late)s::real[])
  AS made (stop_id, early_ms, expected_ms, late_ms, chance_late)
ON CONFLICT (stop_id) DO UPDATE SET
  made_time = excluded.made_time, early_at = excluded.early_at,
  expected_at = excluded.expected_at, late_at = excluded.late_at,
  chance_late = excluded.chance_late,
  likely_since = CASE WHEN excluded.likely_since IS NOT NULL
                      THEN coalesce(eta.likely_since, excluded.likely_since) END,
  said_30m_at = coalesce(excluded.said_30m_at, eta.said_30m_at),
  said_2h_at = coalesce(excluded.said_2h_at, eta.said_2h_at)
RETURNING stop_id, (extract(epoch FROM likely_since) * 1000)::bigint
"""

# What is no longer foreseen goes; of the stops that were reached, how far what was said was from it.
DROP_ETAS = """
WITH gone AS (
  DELETE FROM eta USING stop JOIN tour USING (tour_id)
  WHERE eta.stop_id = stop.stop_id AND tour.van_id = ANY(%s) AND NOT eta.stop_id = ANY(%s)
  RETURNING eta.stop_id, said_30m_at, said_2h_at
)
SELECT ahead, extract(epoch FROM arrived_at - said_at)::float8
FROM gone JOIN visit USING (stop_id),
     LATERAL (VALUES ('30m', said_30m_at), ('2h', said_2h_at)) AS said (ahead, said_at)
WHERE verdict = 'visit' AND shadowed_by IS NULL AND said_at IS NOT NULL
"""

UNSAY = """
UPDATE eta SET said_30m_at = NULL, said_2h_at = NULL
FROM unnest(%s::int[], %s::date[]) AS day (van_id, service_date)
JOIN tour USING (van_id, service_date) JOIN stop USING (tour_id)
WHERE eta.stop_id = stop.stop_id
"""

# Vans with stops ahead of which nothing was foreseen for a minute.
NOT_FORESEEN = """
SELECT DISTINCT tour.van_id
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
LEFT JOIN eta USING (stop_id)
WHERE service_date BETWEEN (%(now)s - INTERVAL '2 days')::date AND (%(now)s + INTERVAL '1 day')::date
  AND %(now)s >= (service_date + TIME '03:00') AT TIME ZONE site.time_zone
  AND %(now)s < (service_date + 1 + TIME '03:00') AT TIME ZONE site.time_zone
  AND (eta.made_time IS NULL OR eta.made_time < %(now)s - INTERVAL '1 minute')
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id)
"""

# On duty by the tablet's switch; where that is not known, between the first window of the van's
# tour and the last.
SILENCES = """
WITH duty AS (
  SELECT van.van_id, van_status.status_time,
         greatest(van_position.fix_time,
                  CASE WHEN van_status.duty = 'on' THEN van_status.status_time END) AS heard,
         coalesce(van_status.duty = 'on', EXISTS (
           SELECT FROM tour JOIN stop USING (tour_id)
           WHERE tour.van_id = van.van_id
             AND service_date BETWEEN (%(now)s - INTERVAL '2 days')::date
                                  AND (%(now)s + INTERVAL '1 day')::date
           GROUP BY tour_id HAVING %(now)s BETWEEN min(window_start) AND max(window_end)
         )) AS is_on
  FROM van LEFT JOIN van_status USING (van_id) LEFT JOIN van_position USING (van_id)
)
SELECT duty.van_id, (extract(epoch FROM heard) * 1000)::bigint, is_on, alert.state,
       (extract(epoch FROM alert.due_at) * 1000)::bigint, alert.told
FROM duty
LEFT JOIN alert ON alert.van_id = duty.van_id AND kind = 'silent' AND state = 'open'
WHERE heard < %(silent)s AND (is_on OR alert.alert_id IS NOT NULL)
"""

# Silences into which a van's new fixes fall, or which they end; and the first fix after each began.
HEARD = """
SELECT alert.van_id, alert.state, (extract(epoch FROM alert.due_at) * 1000)::bigint,
       (extract(epoch FROM alert.ended_at) * 1000)::bigint, alert.told,
       (extract(epoch FROM (SELECT min(fix_time) FROM fix
                            WHERE fix.van_id = alert.van_id AND fix_time > alert.due_at)) * 1000
        )::bigint
FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS new (van_id, since, until)
JOIN alert USING (van_id)
WHERE kind = 'silent' AND state <> 'withdrawn'
  AND due_at < until AND (ended_at IS NULL OR ended_at > since)
"""

MODEL_AGE = "SELECT made_time FROM travel_model"
LOAD_MODEL = "SELECT model::text, work::text FROM travel_model"
PUT_MODEL = """
INSERT INTO travel_model (made_time, model, work) VALUES (%s, %s, %s)
ON CONFLICT (single) DO UPDATE SET
  made_time = excluded.made_time, model = excluded.model, work = excluded.work
"""

# Of each visit how long it was to last and did, and when the plan had the van there. And the way
# from it to the next of that van and day: how long it took, stood (the legs between, give or take
# their samples of a minute), and halted for 10 minutes or more.
HISTORY = """
WITH pair AS (
  SELECT visit.van_id, service_date, site.time_zone, arrived_at, last_inside_at,
         stop.planned_duration_s, stop.planned_arrival,
         site.latitude_deg, site.longitude_deg,
         lead(site.latitude_deg) OVER day AS next_latitude_deg,
         lead(site.longitude_deg) OVER day AS next_longitude_deg,
         lead(arrived_at) OVER day AS next_arrived_at
  FROM visit JOIN site USING (site_id) LEFT JOIN stop USING (stop_id)
  WHERE verdict = 'visit' AND shadowed_by IS NULL AND closed_by IS NOT NULL AND NOT uncertain
    AND arrived_at BETWEEN %s AND %s
  WINDOW day AS (PARTITION BY visit.van_id, service_date ORDER BY arrived_at)
)
SELECT van_id, service_date, time_zone, (extract(epoch FROM last_inside_at) * 1000)::bigint,
       coalesce(planned_duration_s, 0),
       extract(epoch FROM last_inside_at - arrived_at)::float8,
       extract(epoch FROM arrived_at - planned_arrival)::float8,
       latitude_deg, longitude_deg, next_latitude_deg, next_longitude_deg,
       extract(epoch FROM next_arrived_at - last_inside_at)::float8,
       coalesce(standing_s, 0)::float8, coalesce(break_s, 0)::float8
FROM pair LEFT JOIN LATERAL (
  SELECT sum(standing_s) FILTER (WHERE kind = 'trip' OR standing_s < %s) AS standing_s,
         sum(standing_s) FILTER (WHERE kind = 'halt' AND standing_s >= %s) AS break_s
  FROM leg
  WHERE leg.van_id = pair.van_id AND started_at >= last_inside_at - INTERVAL '2 minutes'
    AND started_at < next_arrived_at AND ended_at <= next_arrived_at + INTERVAL '5 minutes'
) AS way ON true
"""


@dataclass(frozen=True, slots=True)
class News:
    """What a forecast has changed.

    Attributes:
        risks: What becomes of the risks.
        errors: Of the stops that were reached since the last: how far ahead an arrival time was said,
            and how many seconds later than that the van came.
    """

    risks: list[AlertChange] = field(default_factory=list)
    errors: list[tuple[Ahead, float]] = field(default_factory=list)


async def foresee_vans(
    conn: Connection, vans: Sequence[int], router: Router | None, now: int
) -> News:
    """Write when vans will come to their remaining stops, and return what that changes."""
    if not vans:
        return News()
    days = await _load_days(conn, vans, now)
    model, work = await load_model(conn)
    told = {} if router is None else {day.van_id: _router_seconds(day, router) for day in days}
    foreseen = foresee(days, model, work, now, told)
    gone = await conn.execute(DROP_ETAS, (list(vans), [found.stop.stop_id for found in foreseen]))
    errors = await gone.fetchall()
    put = await conn.execute(PUT_ETA, _eta_columns(foreseen, now))
    likely_since: dict[int, int | None] = dict(await put.fetchall())
    live = await load_alerts(conn, [found.stop.stop_id for found in foreseen])
    return News(_risks(foreseen, likely_since, {alert.key: alert for alert in live}, now), errors)


async def unsay(conn: Connection, days: Mapping[int, Iterable[date]]) -> None:
    """Forget what was said of the stops of these days, by van: their tours are others now."""
    changed = [(van, day) for van, of_van in days.items() for day in of_van]
    await conn.execute(UNSAY, ([van for van, _ in changed], [day for _, day in changed]))


def _risks(
    foreseen: Iterable[Foreseen],
    likely_since: Mapping[int, int | None],
    live: Mapping[object, LiveAlert],
    now: int,
) -> list[AlertChange]:
    changes = []
    for found in foreseen:
        subject = Subject(found.stop.van_id, found.stop, "at_risk")
        alert = live.get(subject.key)
        since = likely_since[found.stop.stop_id]
        fact = alerts.at_risk(found.stop, found.outlook, since, alert, now)
        changes.append(alerts.settle(subject, fact, alert))
    return [change for change in changes if change is not None]


def _eta_columns(foreseen: Sequence[Foreseen], now: int) -> dict[str, object]:
    return {
        "now": as_datetime(now),
        "likely": alerts.CHANCE_LIKELY,
        **{f"in_{ahead}": now + ahead_ms for ahead, ahead_ms in AHEAD_MS.items()},
        "stop_id": [found.stop.stop_id for found in foreseen],
        "early_ms": [found.eta.early_ms for found in foreseen],
        "expected_ms": [found.eta.expected_ms for found in foreseen],
        "late_ms": [found.eta.late_ms for found in foreseen],
        "chance_late": [round(found.outlook.chance_late, 4) for found in foreseen],
    }


def _router_seconds(day: VanDay, router: Router) -> Seconds:
    """Return what the router has told of a van's legs, and ask it for what it has not."""
    at = day.present_at
    legs: dict[Leg, tuple[Place, Place]] = {}
    for i, (origin, goal) in enumerate(legs_of(day)):
        van = day.van_id if i == 0 and at is None else None
        leg = Leg(
            van, origin.latitude_deg, origin.longitude_deg, goal.latitude_deg, goal.longitude_deg
        )
        legs[leg] = (origin, goal)
    router.ask(legs)
    return {
        legs[leg]: answer.rest_s(leg.from_latitude_deg, leg.from_longitude_deg)
        for leg, answer in router.known(legs).items()
    }


async def _load_days(conn: Connection, vans: Sequence[int], now: int) -> list[VanDay]:
    rows = await (
        await conn.execute(TODAY, {"vans": list(vans), "now": as_datetime(now)})
    ).fetchall()
    stops: dict[int, list[Stop]] = defaultdict(list)
    place_of: dict[int, dict[int, Place]] = defaultdict(dict)
    planned_of: dict[int, dict[int, int]] = defaultdict(dict)
    here: dict[int, tuple[str, int, Place]] = {}
    for row in rows:
        stop = Stop(*row[:11])
        stops[stop.van_id].append(stop)
        place_of[stop.van_id][stop.stop_id] = Place(row[11], row[12], row[18])
        if row[17] is not None:
            planned_of[stop.van_id][stop.stop_id] = row[17]
        here.setdefault(stop.van_id, (row[13], row[14], Place(row[15], row[16])))
    seen = await _load_seen(conn, stops)
    ways = await _load_ways(conn, stops, seen, {van: place for van, (_, _, place) in here.items()})
    return [
        VanDay(
            van,
            place,
            t_ms,
            stops[van],
            place_of[van],
            seen[van],
            ways[van],
            time_zone,
            planned_of[van],
        )
        for van, (time_zone, t_ms, place) in here.items()
    ]


async def _load_seen(
    conn: Connection, stops: Mapping[int, Sequence[Stop]]
) -> dict[int, list[Seen]]:
    seen: dict[int, list[Seen]] = defaultdict(list)
    days = [of_van[0].service_date for of_van in stops.values()]
    for van, stop, lat, lon, *times in await (
        await conn.execute(SEEN, (list(stops), days))
    ).fetchall():
        seen[van].append(Seen(stop, Place(lat, lon), *times))
    return seen


async def _load_ways(
    conn: Connection,
    stops: Mapping[int, Sequence[Stop]],
    seen: Mapping[int, Sequence[Seen]],
    here: Mapping[int, Place],
) -> dict[int, Way]:
    """Return what each van has done since its last visit, or since the morning."""
    since = {
        van: seen[van][-1].last_inside_at if seen.get(van) else of_van[0].day_end - DAY_MS
        for van, of_van in stops.items()
    }
    legs: dict[int, list[trips.Leg]] = defaultdict(list)
    for van, *leg in await (
        await conn.execute(WAYS, (list(since), [as_datetime(t) for t in since.values()]))
    ).fetchall():
        legs[van].append(trips.Leg(*leg))
    firsts = [
        (van, next((leg.started_at for leg in legs[van] if leg.kind == "trip"), None))
        for van in stops
        if not seen.get(van)
    ]
    origin_of = {van: seen[van][-1].place for van in stops if seen.get(van)}
    if trips_of := [(van, as_datetime(t)) for van, t in firsts if t is not None]:
        found = await conn.execute(ORIGINS, tuple(map(list, zip(*trips_of, strict=True))))
        origin_of |= {van: Place(*place) for van, *place in await found.fetchall()}
    return {
        van: way_of(legs[van], seen.get(van, ()), origin_of.get(van, here[van])) for van in stops
    }


DAY_MS: Final = 86_400_000


def way_of(legs: Sequence[trips.Leg], seen: Sequence[Seen], origin: Place) -> Way:
    """Return what a van has done since its last visit, from the legs since: from there, if anywhere.

    Args:
        legs: Oldest first.
        seen: Today's visits that stand.
        origin: Where it was last; where it is if it has not moved today.
    """
    driven = [leg for leg in legs if leg.kind == "trip"]
    if not driven:
        return Way(seen[-1].last_inside_at if seen else None, origin)
    set_off = driven[0].started_at
    halts = [leg for leg in legs if leg.kind == "halt" and leg.started_at > set_off]
    ended_s = [leg.standing_s for leg in halts if leg.closed]
    return Way(
        seen[-1].last_inside_at if seen else set_off,
        origin,
        driven_m=sum(leg.distance_m for leg in driven),
        stood_s=sum(leg.standing_s for leg in driven) + sum(s for s in ended_s if s < UNPLANNED_S),
        halted_s=sum(s for s in ended_s if s >= UNPLANNED_S),
        halting_s=sum(leg.standing_s for leg in halts if not leg.closed),
    )


async def not_foreseen(conn: Connection, now: int) -> list[int]:
    """Return the vans of which nothing was foreseen for a minute."""
    rows = await (await conn.execute(NOT_FORESEEN, {"now": as_datetime(now)})).fetchall()
    return [van for (van,) in rows]


async def silences(
    conn: Connection, now: int, calendars: Mapping[int, WorkingCalendar]
) -> list[AlertChange]:
    """Return what the clock changes for silences: vans that have fallen silent, or off duty."""
    found = await conn.execute(
        SILENCES, {"now": as_datetime(now), "silent": as_datetime(now - alerts.SILENT_MS)}
    )
    rows = await found.fetchall()
    # Who has just come on duty has not been silent since yesterday.
    windows = {van: (now - alerts.SILENT_MS, now + 1) for van, *_ in rows}
    off = await duty_store.load_off_spans(conn, windows, calendars)
    changes = []
    for van, heard, is_on, state, due_at, told in rows:
        live = LiveAlert(van, None, "silent", state, due_at, None, told) if state else None
        on_duty = is_on and van not in off
        fact = alerts.silent(heard if live is None else due_at, now, on_duty=on_duty)
        changes.append(alerts.settle(Subject(van, None, "silent"), fact, live))
    return [change for change in changes if change is not None]


async def heard(conn: Connection, spans: Mapping[int, tuple[int, int]]) -> list[AlertChange]:
    """Return what new fixes change for silences.

    Args:
        conn: In the transaction that put the fixes.
        spans: By van, the times of the first and last of them, ms since 1970 UTC.
    """
    since = [as_datetime(first) for first, _ in spans.values()]
    until = [as_datetime(last) for _, last in spans.values()]
    changes = []
    for van, state, due_at, ended_at, told, next_fix in await (
        await conn.execute(HEARD, (list(spans), since, until))
    ).fetchall():
        live = LiveAlert(van, None, "silent", state, due_at, ended_at, told)
        changes.append(
            alerts.settle(Subject(van, None, "silent"), alerts.heard(live, next_fix), live)
        )
    return [change for change in changes if change is not None]


async def load_model(conn: Connection) -> tuple[Model, Work]:
    """Return the fleet's travel and work times; what holds for any fleet before it has driven."""
    row = await (await conn.execute(LOAD_MODEL)).fetchone()
    if row is None:
        return UNCALIBRATED, UNCALIBRATED_WORK
    return msgspec.json.decode(row[0], type=Model), msgspec.json.decode(row[1], type=Work)


async def calibrate_models(conn: Connection, now: int) -> None:
    """Calibrate travel and work times on the fleet's own visits, once an hour."""
    moment = as_datetime(now)
    row = await (await conn.execute(MODEL_AGE)).fetchone()
    if row is not None and timedelta() <= moment - row[0] < CALIBRATED_EVERY:
        return
    period = (now - round(CALIBRATED_ON.total_seconds() * 1_000), now)
    found = await conn.execute(HISTORY, (as_datetime(period[0]), moment, UNPLANNED_S, UNPLANNED_S))
    model, work = models_of(await found.fetchall(), period)
    await conn.execute(
        PUT_MODEL,
        (moment, msgspec.json.encode(model).decode(), msgspec.json.encode(work).decode()),
    )


def models_of(rows: Sequence[tuple[Any, ...]], period: tuple[int, int]) -> tuple[Model, Work]:
    """Return what the rows of `HISTORY` teach."""
    legs = [
        (distance_m(*row[7:11]), local_hour(row[3], row[2]), row[11], row[12], row[13])
        for row in rows
        if row[11] is not None
    ]
    # Who comes before the planned time leaves when the plan says: that is no work, but a wait.
    waits_s = [row[5] + row[6] - row[4] for row in rows if row[6] is not None and row[6] < 0]
    works = [(row[4], row[5]) for row in rows if row[6] is None or row[6] >= 0]
    van_days = len({row[:2] for row in rows})
    planned_s, actual_s = np.array(works, dtype=np.float64).reshape(-1, 2).T
    return (
        calibrate(Legs(*np.array(legs, dtype=np.float64).reshape(-1, 5).T), van_days, period),
        calibrate_work(planned_s, actual_s, np.array(waits_s, dtype=np.float64), period),
    )
