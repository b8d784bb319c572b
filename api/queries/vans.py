"""The questions about vans: where each stands, what it does, and the track that brought it there.

One function a question, scoped by organisation, or by a van that was found in it; reads, never
commits. What a van is doing says `api/states.py`, what it does next `api/queries/plans.py`; what it
holds and how it drove are not known here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt
from psycopg.rows import class_row, scalar_row

from api.answers import LastFix, NextStop, Place, Van, VanState
from api.auth import OrganisationId
from api.queries.plans import next_stops
from api.states import age_s, van_state
from api.times import TIME_ZONE, ms
from geofence import duty_store
from geofence.tours import service_date
from storage.copy import array_of
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class _VanRow:
    van_id: int
    code: str
    name: str
    technician: str | None
    duty: str | None
    fix_time_ms: int | None
    latitude_deg: float
    longitude_deg: float
    speed_mps: float | None
    bearing_deg: float | None
    ignition: bool | None
    site: str | None
    site_name: str | None


def _state(row: _VanRow, now_ms: int, *, is_off: bool) -> VanState:
    return van_state(
        fix_time_ms=row.fix_time_ms,
        speed_mps=row.speed_mps,
        ignition=row.ignition,
        duty="off" if is_off else row.duty,
        at_site=row.site is not None,
        now_ms=now_ms,
    )


def _van(row: _VanRow, next_stop: NextStop | None, now_ms: int, *, is_off: bool) -> Van:
    state = _state(row, now_ms, is_off=is_off)
    last_fix = None
    if row.fix_time_ms is not None:
        last_fix = LastFix(
            row.fix_time_ms,
            row.latitude_deg,
            row.longitude_deg,
            row.speed_mps,
            row.bearing_deg,
            row.ignition,
            age_s(row.fix_time_ms, now_ms),
        )
    site = None
    if state == "at_site" and row.site is not None and row.site_name is not None:
        site = Place(row.site, row.site_name)
    return Van(row.code, row.name, row.technician, state, site, last_fix, next_stop)


async def of_organisation(
    conn: Connection, organisation: OrganisationId, now_ms: int, code: str | None = None
) -> list[Van]:
    """Return the organisation's vans by code, or only the one with this code."""
    rows, off = await _standing(conn, organisation, now_ms, code)
    following = await next_stops(conn, organisation, service_date(now_ms, TIME_ZONE), code)
    return [_van(row, following.get(row.code), now_ms, is_off=row.van_id in off) for row in rows]


async def states(
    conn: Connection, organisation: OrganisationId, now_ms: int
) -> dict[str, VanState]:
    """Return what each van of the organisation does now, by its code."""
    rows, off = await _standing(conn, organisation, now_ms)
    return {row.code: _state(row, now_ms, is_off=row.van_id in off) for row in rows}


async def _standing(
    conn: Connection, organisation: OrganisationId, now_ms: int, code: str | None = None
) -> tuple[list[_VanRow], Collection[int]]:
    """Return how vans stand, and the keys of those that are off duty."""
    # A visit stays open for as long as the van stands there; seven days bound the search for it.
    query = f"""
        SELECT van.van_id, van.code, van.name, technician.name AS technician, status.duty,
               {ms("p.fix_time")} AS fix_time_ms, p.latitude_deg, p.longitude_deg,
               p.speed_mps, p.bearing_deg, p.ignition, here.code AS site, here.name AS site_name
        FROM van
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        LEFT JOIN van_position p ON p.van_id = van.van_id
        LEFT JOIN van_status status ON status.van_id = van.van_id
        LEFT JOIN LATERAL (
          SELECT site.code, site.name
          FROM visit JOIN site ON site.site_id = visit.site_id
          WHERE visit.van_id = van.van_id
            AND visit.arrived_at > p.fix_time - INTERVAL '7 days'
            AND visit.verdict = 'visit' AND visit.shadowed_by IS NULL
            AND visit.left_at IS NULL AND visit.closed_by IS NULL
          ORDER BY visit.arrived_at DESC
          LIMIT 1
        ) here ON true
        WHERE van.organisation_id = %(organisation)s
          AND (%(code)s::text IS NULL OR van.code = %(code)s)
        ORDER BY van.code
    """
    async with conn.cursor(row_factory=class_row(_VanRow)) as cursor:
        await cursor.execute(query, {"organisation": organisation, "code": code})
        rows = await cursor.fetchall()
    windows = {row.van_id: (now_ms, now_ms + 1) for row in rows}
    off = await duty_store.load_off_spans(conn, windows, await duty_store.load_calendars(conn))
    return rows, off.keys()


async def van_id(conn: Connection, organisation: OrganisationId, code: str) -> int | None:
    """Return the van's key, or None if the organisation has no such van."""
    query = "SELECT van_id FROM van WHERE organisation_id = %s AND code = %s"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (organisation, code))
        found: int | None = await cursor.fetchone()
        return found


@dataclass(frozen=True, slots=True)
class TrackColumns:
    """The fixes of a track in the order of time, a list for each column.

    Speeds and accuracies are told in whole mm, which is more than is stored of them.
    """

    t_ms: Sequence[int] = ()
    latitude_deg: Sequence[float] = ()
    longitude_deg: Sequence[float] = ()
    speed_mps: Sequence[float | None] = ()
    horizontal_accuracy_m: Sequence[float | None] = ()

    def __len__(self) -> int:
        return len(self.t_ms)

    def newest(self, limit: int) -> "TrackColumns":
        """Return the last `limit` fixes."""
        return TrackColumns(*(getattr(self, name)[-limit:] for name in self.__slots__))


#: What a track's columns are in PostgreSQL: bigint, double precision, real.
_KINDS: Final = (">i8", ">f8", ">f8", ">f4", ">f4")


async def newest_fix_time(conn: Connection, van: int) -> datetime | None:
    """Return the time of the van's newest fix, or None if it never reported."""
    query = "SELECT fix_time FROM van_position WHERE van_id = %s"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (van,))
        found: datetime | None = await cursor.fetchone()
        return found


async def track(
    conn: Connection, van: int, since: datetime, until: datetime, limit: int
) -> TrackColumns:
    """Return the newest `limit` fixes from `since` through `until`, oldest first.

    A day is 8,640 fixes, and what each costs on its way is what is waited for: so each column comes as
    one array in binary form, with NaN for NULL.
    """
    query = f"""
        SELECT array_send(array_agg({ms("fix_time")})), array_send(array_agg(latitude_deg)),
               array_send(array_agg(longitude_deg)), array_send(array_agg(coalesce(speed_mps, 'NaN'))),
               array_send(array_agg(coalesce(horizontal_accuracy_m, 'NaN')))
        FROM (
          SELECT * FROM fix
          WHERE van_id = %s AND fix_time BETWEEN %s AND %s
          ORDER BY fix_time DESC
          LIMIT %s
        ) AS newest
    """
    found = await conn.execute(query, (van, since, until, limit), binary=True)
    row = await found.fetchone()
    if row is None or row[0] is None:
        return TrackColumns()
    t_ms, latitude_deg, longitude_deg, speed_mps, accuracy_m = (
        array_of(sent, kind)[::-1] for sent, kind in zip(row, _KINDS, strict=True)
    )
    return TrackColumns(
        t_ms.tolist(),
        latitude_deg.tolist(),
        longitude_deg.tolist(),
        _in_mm(speed_mps),
        _in_mm(accuracy_m),
    )


def _in_mm(metres: npt.NDArray[np.generic]) -> list[float | None]:
    """Return reals of seven digits as they would be written: 12.3, not 12.300000190734863."""
    rounded = np.round(metres.astype(np.float64), 3)
    told: list[float | None] = rounded.tolist()
    for nth in np.flatnonzero(np.isnan(rounded)).tolist():
        told[nth] = None
    return told
