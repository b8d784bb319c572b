"""The SQL of replanning: a stop at risk, the van that has it, and the vans that could take it.

A van starts from its newest position now; where a visit of that day is under way, from that site when
the work is expected to be over: as its arrival times have it. Only who stands where nothing is
planned, and has nothing left to do, is free now. For a day to come a van starts from home. It is
asked if it has something left to do that day, or is on duty. Functions take a connection, read, and
never commit.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from psycopg.rows import class_row

from geofence.forecast.eta import AtStop
from geofence.forecast.outlook import local_hour
from geofence.forecast.store import load_model
from geofence.forecast.travel import usual_s
from geofence.forecast.work import Work
from geofence.replan import Floats, Job, Travel, Van, crow_m, free_at, planned_leave, work_s
from geofence.tours import service_date
from storage.pool import Connection
from storage.settings import as_datetime

STOP: Final = """
SELECT van_id, van.code AS van, tour.code AS tour, service_date, position, site.time_zone, site.code AS site,
       site.name AS site_name,
       EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id) AS is_visited
FROM stop JOIN tour USING (tour_id) JOIN van USING (van_id) JOIN site USING (site_id)
WHERE stop_id = %s AND van.organisation_id = %s
"""

VANS: Final = """
SELECT van.van_id, van.code, van.name, technician.name AS technician,
       coalesce(technician.skills, '{}') AS skills,
       technician.home_latitude_deg, technician.home_longitude_deg,
       coalesce(here.latitude_deg, van_position.latitude_deg) AS latitude_deg,
       coalesce(here.longitude_deg, van_position.longitude_deg) AS longitude_deg,
       here.stop_id AS here_stop_id, here.arrived_at AS here_arrived_at,
       here.last_inside_at AS here_last_inside_at,
       coalesce(here.planned_duration_s, 0) AS here_planned_duration_s,
       here.planned_arrival AS here_planned_arrival,
       CASE WHEN duty = 'on' THEN true WHEN duty = 'off' THEN false
         ELSE EXISTS (SELECT FROM tour WHERE (tour.van_id, service_date) = (van.van_id, %(day)s))
         END AS on_duty
FROM van
LEFT JOIN technician USING (technician_id)
LEFT JOIN van_position USING (van_id)
LEFT JOIN van_status USING (van_id)
LEFT JOIN LATERAL (
  SELECT site.latitude_deg, site.longitude_deg, stop_id, planned_duration_s,
         (extract(epoch FROM arrived_at) * 1000)::bigint AS arrived_at,
         (extract(epoch FROM last_inside_at) * 1000)::bigint AS last_inside_at,
         (extract(epoch FROM planned_arrival) * 1000)::bigint AS planned_arrival
  FROM visit JOIN site USING (site_id) LEFT JOIN stop USING (stop_id)
  WHERE (visit.van_id, service_date) = (van.van_id, %(day)s)
    AND verdict = 'visit' AND shadowed_by IS NULL AND left_at IS NULL AND closed_by IS NULL
    AND arrived_at <= %(now)s
  ORDER BY arrived_at DESC LIMIT 1
) AS here ON true
WHERE van.organisation_id = %(organisation)s
ORDER BY van.van_id
"""

# In the order in which a van is believed to come: what it has passed over is last (`outlook.py`).
STOPS: Final = """
SELECT van_id, stop_id, position, site.code AS site, site.name AS site_name,
       site.latitude_deg, site.longitude_deg,
       (extract(epoch FROM window_start) * 1000)::bigint AS window_start,
       (extract(epoch FROM window_end) * 1000)::bigint AS window_end,
       planned_duration_s,
       (extract(epoch FROM planned_arrival) * 1000)::bigint AS planned_arrival, skill
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id) JOIN van USING (van_id)
WHERE van.organisation_id = %s AND service_date = %s
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id)
ORDER BY van_id, position < coalesce((
  SELECT max(reached.position) FROM stop AS reached JOIN visit USING (stop_id)
  WHERE reached.tour_id = stop.tour_id), 0), position
"""

PARTS: Final = "SELECT stop_id, item_id, qty FROM stop_part WHERE stop_id = ANY(%s)"
ITEMS: Final = "SELECT item_id, ref, name FROM item WHERE item_id = ANY(%s)"
ON_BOARD: Final = """
SELECT van_id, item_id, sum(qty)::bigint
FROM location JOIN level USING (location_id)
WHERE kind = 'van' AND organisation_id = %s AND item_id = ANY(%s)
GROUP BY van_id, item_id
"""


@dataclass(frozen=True, slots=True)
class AskedStop:
    """The stop in question; its van is the giver."""

    van_id: int
    van: str
    tour: str
    service_date: date
    position: int
    time_zone: str
    site: str
    site_name: str
    is_visited: bool


@dataclass(frozen=True, slots=True)
class NamedVan:
    """A van as people call it, and what its day starts from; `here` is a visit under way, if any."""

    van_id: int
    code: str
    name: str
    technician: str | None
    skills: list[str]
    home_latitude_deg: float | None
    home_longitude_deg: float | None
    latitude_deg: float | None
    longitude_deg: float | None
    here_stop_id: int | None
    here_arrived_at: int | None
    here_last_inside_at: int | None
    here_planned_duration_s: int
    here_planned_arrival: int | None
    on_duty: bool


@dataclass(frozen=True, slots=True)
class NamedStop:
    """A remaining stop as people call it, and its plan."""

    van_id: int
    stop_id: int
    position: int
    site: str
    site_name: str
    latitude_deg: float
    longitude_deg: float
    window_start: int
    window_end: int
    planned_duration_s: int
    planned_arrival: int | None
    skill: str | None


@dataclass(frozen=True, slots=True)
class NamedItem:
    """A part as people call it."""

    item_id: int
    ref: str
    name: str


@dataclass(frozen=True, slots=True)
class Question:
    """What `geofence.replan.propose` is to answer, and the names to tell its answer in."""

    job: Job
    giver: Van
    takers: list[Van]
    vans: Mapping[int, NamedVan]
    stops: Mapping[int, NamedStop]
    items: Mapping[int, NamedItem]


async def travel(conn: Connection, now: int, time_zone: str) -> Travel:
    """Return how long drives that begin about now take this fleet: s from each place to each."""
    model, _ = await load_model(conn)
    hour = local_hour(now, time_zone)

    def matrix(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
        distance_m = crow_m(latitude_deg, longitude_deg)
        hours = np.full(distance_m.size, hour, dtype=np.float64)
        expected_s = usual_s(model, distance_m.ravel(), hours).reshape(distance_m.shape)
        seconds: Floats = np.where(distance_m > 1.0, expected_s, 0.0)
        return seconds

    return matrix


async def find_stop(conn: Connection, organisation_id: int, stop_id: int) -> AskedStop | None:
    """Return the stop with this id, or None if the organisation has none."""
    async with conn.cursor(row_factory=class_row(AskedStop)) as cursor:
        await cursor.execute(STOP, (stop_id, organisation_id))
        return await cursor.fetchone()


async def load(
    conn: Connection,
    organisation_id: int,
    stop_id: int,
    asked: AskedStop,
    now: int,
    home_by: int | None = None,
) -> Question:
    """Return who could do a stop that is not visited, and what each of them still has to do.

    Args:
        conn: A connection.
        organisation_id: Whose vans.
        stop_id: The stop's key.
        asked: The same stop, as found.
        now: The present, ms since 1970 UTC.
        home_by: When everybody should be at home, ms since 1970 UTC; None if nobody minds.
    """
    async with conn.cursor(row_factory=class_row(NamedStop)) as cursor:
        await cursor.execute(STOPS, (organisation_id, asked.service_date))
        stops = await cursor.fetchall()
    async with conn.cursor(row_factory=class_row(NamedVan)) as named:
        values = {
            "organisation": organisation_id,
            "day": asked.service_date,
            "now": as_datetime(now),
        }
        await named.execute(VANS, values)
        vans = await named.fetchall()
    parts: dict[int, dict[int, int]] = defaultdict(dict)
    found = await conn.execute(PARTS, ([stop.stop_id for stop in stops],))
    for of_stop, item_id, qty in await found.fetchall():
        parts[of_stop][item_id] = qty
    wanted = list(parts.get(stop_id, {}))
    on_board: dict[int, dict[int, int]] = defaultdict(dict)
    for van_id, item_id, qty in await (
        await conn.execute(ON_BOARD, (organisation_id, wanted))
    ).fetchall():
        on_board[van_id][item_id] = qty
    async with conn.cursor(row_factory=class_row(NamedItem)) as items:
        await items.execute(ITEMS, (wanted,))
        names = {item.item_id: item for item in await items.fetchall()}

    _, work = await load_model(conn)
    jobs: dict[int, list[Job]] = defaultdict(list)
    for stop in stops:
        jobs[stop.van_id].append(_job(stop, parts.get(stop.stop_id, {}), work))
    [job] = [one for one in jobs[asked.van_id] if one.stop_id == stop_id]
    is_ahead = asked.service_date > service_date(now, asked.time_zone)
    takers = []
    for van in vans:
        own = tuple(jobs.get(van.van_id, ()))
        place = _start(van, is_ahead=is_ahead)
        free_from = now if is_ahead else max(now, _free_at(van, own, work))
        if van.van_id == asked.van_id:
            # It keeps the stop whatever is known of it.
            place = place or (own[0].latitude_deg, own[0].longitude_deg)
            giver = _van(van, own, place, free_from, home_by, on_board)
        elif place is not None and (own or van.on_duty):
            takers.append(_van(van, own, place, free_from, home_by, on_board))
    return Question(
        job,
        giver,
        takers,
        {van.van_id: van for van in vans},
        {stop.stop_id: stop for stop in stops},
        names,
    )


def _job(stop: NamedStop, parts: Mapping[int, int], work: Work) -> Job:
    return Job(
        stop.stop_id,
        stop.latitude_deg,
        stop.longitude_deg,
        stop.window_start,
        stop.window_end,
        work_s(work, stop.planned_duration_s),
        stop.skill,
        parts,
        planned_leave(stop.planned_arrival, stop.planned_duration_s),
    )


def _home(van: NamedVan) -> tuple[float, float] | None:
    if van.home_latitude_deg is None or van.home_longitude_deg is None:
        return None
    return van.home_latitude_deg, van.home_longitude_deg


def _start(van: NamedVan, *, is_ahead: bool) -> tuple[float, float] | None:
    """Return where a van begins: on a day to come at home, else where it is."""
    here = None
    if van.latitude_deg is not None and van.longitude_deg is not None:
        here = van.latitude_deg, van.longitude_deg
    return (_home(van) or here) if is_ahead else (here or _home(van))


def _free_at(van: NamedVan, jobs: tuple[Job, ...], work: Work) -> int:
    """Return when what a van is doing is expected to be over, ms since 1970 UTC; 0 for nothing."""
    is_idle = van.here_stop_id is None and not jobs
    if van.here_arrived_at is None or van.here_last_inside_at is None or is_idle:
        return 0
    at = AtStop(
        van.here_stop_id,
        van.here_arrived_at,
        van.here_planned_duration_s,
        van.here_planned_arrival,
    )
    return free_at(at, van.here_last_inside_at, work)


def _van(
    van: NamedVan,
    jobs: tuple[Job, ...],
    place: tuple[float, float],
    free_from: int,
    home_by: int | None,
    on_board: Mapping[int, Mapping[int, int]],
) -> Van:
    return Van(
        van_id=van.van_id,
        latitude_deg=place[0],
        longitude_deg=place[1],
        free_at=free_from,
        jobs=jobs,
        skills=frozenset(van.skills),
        home=_home(van),
        home_by=home_by,
        on_board=on_board.get(van.van_id, {}),
    )
