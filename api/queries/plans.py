"""The questions about plans: what was planned, what became of it, and what is foreseen.

One function a question, scoped by organisation; reads, never commits. What is foreseen is told of
stops ahead only, and only of today's and later tours: of a day gone by, what was last foreseen may
still stand in the table.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

from psycopg.rows import class_row

from api.answers import (
    AlertKind,
    Eta,
    NextStop,
    Outcome,
    Punctuality,
    TimelineStop,
    Tour,
    TourStop,
    TourSummary,
    VanState,
)
from api.auth import OrganisationId
from api.replans import Day, Plan, PlannedStop
from api.states import is_under_way, stop_state
from api.times import ms
from storage.pool import Connection

#: The stops of tours with their outcomes, the worst that is open of each, and what was foreseen of them,
#: from `today` on.
_STOPS: Final = f"""
    SELECT van.code AS van, technician.name AS technician, tour.code AS tour,
           tour.service_date, stop.stop_id, stop.position AS stop, site.code AS site,
           site.name AS site_name, {ms("stop.window_start")} AS window_start_ms,
           {ms("stop.window_end")} AS window_end_ms, stop.planned_duration_s,
           {ms("stop.planned_arrival")} AS planned_arrival_ms, stop.work_order, stop.skill,
           coalesce((SELECT jsonb_object_agg(item.ref, part.qty)
                     FROM stop_part AS part JOIN item ON item.item_id = part.item_id
                     WHERE part.stop_id = stop.stop_id), '{{}}'::jsonb) AS parts,
           became.outcome, {ms("became.arrived_at")} AS arrived_at_ms,
           {ms("became.left_at")} AS left_at_ms, became.punctuality,
           coalesce(became.wrong_order, false) AS wrong_order,
           coalesce(became.overstayed, false) AS overstayed,
           {ms("eta.early_at")} AS early_at_ms, {ms("eta.expected_at")} AS expected_at_ms,
           {ms("eta.late_at")} AS late_at_ms, eta.chance_late, {ms("eta.made_time")} AS made_ms,
           worst.kind AS alert
    FROM van
    JOIN tour ON tour.van_id = van.van_id
    JOIN stop ON stop.tour_id = tour.tour_id
    JOIN site ON site.site_id = stop.site_id
    JOIN stop_outcome AS became ON became.stop_id = stop.stop_id
    LEFT JOIN technician ON technician.technician_id = van.technician_id
    LEFT JOIN eta ON eta.stop_id = stop.stop_id AND tour.service_date >= %(today)s
    LEFT JOIN LATERAL (
      SELECT kind FROM alert WHERE alert.stop_id = stop.stop_id AND alert.state = 'open'
      ORDER BY array_position('{{missed,late,at_risk,overstayed}}'::text[], kind) LIMIT 1
    ) AS worst ON true
    WHERE van.organisation_id = %(organisation)s AND tour.service_date = %(day)s
      AND (%(van)s::text IS NULL OR van.code = %(van)s)
"""

#: Outcomes of stops that a van may still come to.
AHEAD: Final = frozenset[Outcome]({"planned", "skipped"})

#: Of each tour the stop that its van is believed to come to next: those passed over come last.
_NEXT: Final = f"""
    SELECT DISTINCT ON (ahead.van) ahead.van, ahead.tour, ahead.stop_id, ahead.stop, ahead.site,
           ahead.site_name, ahead.window_start_ms, ahead.window_end_ms, ahead.early_at_ms,
           ahead.expected_at_ms, ahead.late_at_ms, ahead.chance_late, ahead.made_ms, ahead.outcome,
           ahead.alert
    FROM ({_STOPS}) AS ahead
    WHERE ahead.outcome IN ('planned', 'skipped')
    ORDER BY ahead.van, ahead.outcome = 'skipped', ahead.stop
"""


@dataclass(frozen=True, slots=True)
class _NextRow:
    van: str
    tour: str
    stop_id: int
    stop: int
    site: str
    site_name: str
    window_start_ms: int
    window_end_ms: int
    early_at_ms: int | None
    expected_at_ms: int | None
    late_at_ms: int | None
    chance_late: float | None
    made_ms: int | None
    outcome: Outcome
    alert: AlertKind | None


@dataclass(frozen=True, slots=True)
class _StopRow:
    van: str
    technician: str | None
    tour: str
    service_date: date
    stop_id: int
    stop: int
    site: str
    site_name: str
    window_start_ms: int
    window_end_ms: int
    planned_duration_s: int
    planned_arrival_ms: int | None
    work_order: str | None
    skill: str | None
    parts: dict[str, int]
    outcome: Outcome
    arrived_at_ms: int | None
    left_at_ms: int | None
    punctuality: Punctuality | None
    wrong_order: bool
    overstayed: bool
    early_at_ms: int | None
    expected_at_ms: int | None
    late_at_ms: int | None
    chance_late: float | None
    made_ms: int | None
    alert: AlertKind | None


@dataclass(frozen=True, slots=True)
class _LineRow:
    van: str
    technician: str | None
    tour: str
    stop_id: int
    stop: int
    site: str
    site_name: str
    work_order: str | None
    window_start_ms: int
    window_end_ms: int
    planned_arrival_ms: int | None
    planned_duration_s: int
    outcome: Outcome
    arrived_at_ms: int | None
    left_at_ms: int | None
    punctuality: Punctuality | None
    early_at_ms: int | None
    expected_at_ms: int | None
    late_at_ms: int | None
    chance_late: float | None
    made_ms: int | None
    alert: AlertKind | None


def _eta(row: _NextRow | _StopRow | _LineRow) -> Eta | None:
    """Return what is foreseen of a stop that is ahead."""
    if row.outcome not in AHEAD:
        return None
    early, expected, late = row.early_at_ms, row.expected_at_ms, row.late_at_ms
    if early is None or expected is None or late is None:
        return None
    if row.chance_late is None or row.made_ms is None:
        return None
    return Eta(early, expected, late, round(row.chance_late, 4), row.made_ms)


async def next_stops(
    conn: Connection, organisation: OrganisationId, today: date, van: str | None = None
) -> dict[str, NextStop]:
    """Return, by van, the next stop of today's tour; a van that has none left is not in it."""
    values = {"organisation": organisation, "today": today, "day": today, "van": van}
    async with conn.cursor(row_factory=class_row(_NextRow)) as cursor:
        await cursor.execute(_NEXT, values)
        return {row.van: _next_stop(row) for row in await cursor.fetchall()}


def _next_stop(row: _NextRow | _LineRow) -> NextStop:
    return NextStop(
        row.tour,
        row.stop_id,
        row.stop,
        row.site,
        row.site_name,
        row.window_start_ms,
        row.window_end_ms,
        _eta(row),
        row.alert,
    )


async def tour(
    conn: Connection, organisation: OrganisationId, van: str, day: date, today: date
) -> Tour | None:
    """Return a van's tour of a day with its stops in order; None if it has none."""
    values = {"organisation": organisation, "today": today, "day": day, "van": van}
    async with conn.cursor(row_factory=class_row(_StopRow)) as cursor:
        await cursor.execute(f"{_STOPS} ORDER BY stop.position", values)
        rows = await cursor.fetchall()
    if not rows:
        return None
    stops = [
        TourStop(
            row.stop_id,
            row.stop,
            row.site,
            row.site_name,
            row.window_start_ms,
            row.window_end_ms,
            row.planned_duration_s,
            row.planned_arrival_ms,
            row.work_order,
            row.skill,
            row.parts,
            row.outcome,
            row.arrived_at_ms,
            row.left_at_ms,
            row.punctuality,
            row.wrong_order,
            row.overstayed,
            _eta(row),
        )
        for row in rows
    ]
    return Tour(rows[0].tour, van, rows[0].technician, day.isoformat(), stops)


async def tours(
    conn: Connection,
    organisation: OrganisationId,
    day: date,
    today: date,
    states: Mapping[str, VanState],
) -> list[TourSummary]:
    """Return every tour of a day with its stops, by van; `states` are what vans do now."""
    query = f"""
        SELECT van, technician, tour, stop_id, stop, site, site_name, work_order, window_start_ms,
               window_end_ms, planned_arrival_ms, planned_duration_s, outcome, arrived_at_ms,
               left_at_ms, punctuality, early_at_ms, expected_at_ms, late_at_ms, chance_late, made_ms,
               alert
        FROM ({_STOPS}) AS planned
        ORDER BY van, stop
    """
    values = {"organisation": organisation, "today": today, "day": day, "van": None}
    async with conn.cursor(row_factory=class_row(_LineRow)) as cursor:
        await cursor.execute(query, values)
        rows = await cursor.fetchall()
    return [
        _summary(list(of_van), states.get(van) if day == today else None, is_past=day < today)
        for van, of_van in groupby(rows, key=lambda row: row.van)
    ]


def _summary(rows: Sequence[_LineRow], state: VanState | None, *, is_past: bool) -> TourSummary:
    """Return a tour from its stops in order; `state` is what its van does now, if that is of this day."""
    outcomes = Counter(row.outcome for row in rows)
    ahead = [row for row in rows if row.outcome in AHEAD]
    following = None if is_past else _following(ahead)
    has_begun = outcomes["done"] > 0
    on_the_way = following if is_under_way(state, has_begun=has_begun) else None
    return TourSummary(
        tour=rows[0].tour,
        van=rows[0].van,
        technician=rows[0].technician,
        stops=len(rows),
        planned=outcomes["planned"],
        on_site=outcomes["on_site"],
        done=outcomes["done"],
        skipped=outcomes["skipped"],
        late=sum(row.punctuality == "late" for row in rows),
        next_stop=None if following is None else _next_stop(following),
        timeline=[
            TimelineStop(
                row.stop_id,
                row.stop,
                row.site,
                row.site_name,
                row.work_order,
                row.window_start_ms,
                row.window_end_ms,
                row.planned_arrival_ms,
                row.planned_duration_s,
                stop_state(row.outcome, row.alert, is_past=is_past, is_next=row is on_the_way),
                _eta(row),
                row.arrived_at_ms,
                row.left_at_ms,
                row.punctuality,
                row.alert,
            )
            for row in rows
        ],
    )


def _following(ahead: Sequence[_LineRow]) -> _LineRow | None:
    """Return the stop that a van is believed to come to next: those passed over come last."""
    return min(ahead, key=lambda row: (row.outcome == "skipped", row.stop), default=None)


@dataclass(frozen=True, slots=True)
class _PlannedRow:
    van: str
    tour: str | None
    stop_id: int | None
    reached: bool
    position: int
    site: str
    window_start_ms: int
    window_end_ms: int
    planned_duration_s: int
    planned_arrival_ms: int | None
    work_order: str | None
    skill: str | None
    parts: dict[str, int]


async def days(
    conn: Connection, organisation: OrganisationId, day: date, vans: Collection[str] | None = None
) -> dict[str, Day]:
    """Return, by van, what is planned for a day and how far it has come; of these vans, or of all."""
    query = f"""
        SELECT van.code AS van, tour.code AS tour, stop.stop_id, stop.position, site.code AS site,
               {ms("stop.window_start")} AS window_start_ms,
               {ms("stop.window_end")} AS window_end_ms, stop.planned_duration_s,
               {ms("stop.planned_arrival")} AS planned_arrival_ms, stop.work_order, stop.skill,
               coalesce((SELECT jsonb_object_agg(item.ref, part.qty)
                         FROM stop_part AS part JOIN item ON item.item_id = part.item_id
                         WHERE part.stop_id = stop.stop_id), '{{}}'::jsonb) AS parts,
               EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id) AS reached
        FROM van
        LEFT JOIN tour ON (tour.van_id, tour.service_date) = (van.van_id, %(day)s)
        LEFT JOIN stop ON stop.tour_id = tour.tour_id
        LEFT JOIN site ON site.site_id = stop.site_id
        WHERE van.organisation_id = %(organisation)s
          AND (%(vans)s::text[] IS NULL OR van.code = ANY(%(vans)s))
        ORDER BY van.code, stop.position
    """
    wanted = None if vans is None else list(vans)
    values = {"organisation": organisation, "day": day, "vans": wanted}
    async with conn.cursor(row_factory=class_row(_PlannedRow)) as cursor:
        await cursor.execute(query, values)
        rows = await cursor.fetchall()
    return {
        van: _day(van, day, list(of_van)) for van, of_van in groupby(rows, key=lambda row: row.van)
    }


def _day(van: str, day: date, rows: Sequence[_PlannedRow]) -> Day:
    planned = [(row.stop_id, row) for row in rows if row.stop_id is not None]
    stops = tuple(
        PlannedStop(
            row.position,
            row.site,
            row.window_start_ms,
            row.window_end_ms,
            row.planned_duration_s,
            row.planned_arrival_ms,
            row.work_order,
            row.skill,
            row.parts,
        )
        for _, row in planned
    )
    return Day(
        Plan(van, day, rows[0].tour, stops),
        tuple(stop_id for stop_id, _ in planned),
        frozenset(stop_id for stop_id, row in planned if row.reached),
    )
