"""From judged runs to the rows that have to change: visits, their match to the tour, alerts.

Pure, and indifferent to how the runs came about: it is given what the tables say of a van now and
what the fold says of it, and returns the difference. What has not changed is not written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from geofence import alerts, tours
from geofence.alerts import AlertChange, LateAlert
from geofence.fences import Fences
from geofence.tours import Arrival, Punctuality, Stop
from geofence.visits import Judged, Run, Verdict, judge


@dataclass(frozen=True, slots=True)
class Visit:
    """A row of the table `visit`. Times are ms since 1970 UTC."""

    van_id: int
    site_id: int
    arrived_at: int
    last_inside_at: int
    left_at: int | None
    closed_by: int | None
    verdict: Verdict
    uncertain: bool
    ignition_off: bool
    distance_m_mean: float
    shadowed_by: int | None
    service_date: date
    stop_id: int | None = None
    punctuality: Punctuality | None = None

    @property
    def key(self) -> tuple[int, int]:
        """The row's key within its van."""
        return self.site_id, self.arrived_at

    @property
    def stands(self) -> bool:
        """Whether it is an arrival for the tour."""
        return self.verdict == "visit" and self.shadowed_by is None


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables say of one van around the days in question.

    Attributes:
        visits: All its rows of those days.
        stops: All stops of its tours of those days.
        alerts: The live alert of each of those stops that has one.
    """

    visits: Sequence[Visit] = ()
    stops: Sequence[Stop] = ()
    alerts: Mapping[int, LateAlert] | None = None


@dataclass(frozen=True, slots=True)
class VanChanges:
    """What to write for one van."""

    visits: list[Visit]
    gone: list[Visit]
    alerts: list[AlertChange]


def revise(
    van_id: int,
    clusters: Iterable[list[Run]],
    rewritten_since: int | None,
    known: Known,
    fences: Fences,
    now: int,
) -> VanChanges:
    """Return the difference between what the tables say of a van and what its runs say.

    Args:
        van_id: The van.
        clusters: Every run that the fold touched, from `visits.advance`.
        rewritten_since: The fold read again everything after this time, so a row that began later
            and is not among its runs is gone; None if the fold only went on.
        known: What the tables say.
        fences: All sites, for their time zones.
        now: The present, ms since 1970 UTC.
    """
    planned_at = {(stop.service_date, stop.site_id) for stop in known.stops}

    def day_of(run: Run) -> date:
        return tours.service_date(
            run.arrived_at, fences.sites[fences.index_of[run.site_id]].time_zone
        )

    def planned(run: Run) -> bool:
        return (day_of(run), run.site_id) in planned_at

    judged = (judged for cluster in clusters for judged in judge(cluster, planned))
    before = {visit.key: visit for visit in known.visits}
    read = {row.key: row for row in (_row(van_id, j, day_of(j.run)) for j in judged)}
    after = {
        key: visit
        for key, visit in before.items()
        if rewritten_since is None or visit.arrived_at <= rewritten_since
    } | read
    gone = [visit for key, visit in before.items() if key not in after]
    days = {visit.service_date for visit in (*read.values(), *gone)}
    matched = _match(after.values(), known.stops, days)
    return VanChanges(
        visits=[visit for visit in matched if visit != before.get(visit.key)],
        gone=gone,
        alerts=_judge_alerts(matched, known, days, now),
    )


def _row(van_id: int, judged: Judged, day: date) -> Visit:
    run = judged.run
    return Visit(
        van_id=van_id,
        site_id=run.site_id,
        arrived_at=run.arrived_at,
        last_inside_at=run.last_inside_at,
        left_at=run.left_at if run.closed_by is not None else None,
        closed_by=run.closed_by,
        verdict=judged.verdict,
        uncertain=run.closed_by is not None and judged.uncertain,
        ignition_off=run.ignition_off,
        distance_m_mean=run.centre_m_mean,
        shadowed_by=judged.shadowed_by,
        service_date=day,
    )


def _match(visits: Iterable[Visit], stops: Sequence[Stop], days: set[date]) -> list[Visit]:
    """Return the visits of `days`, each with what it was to the tour."""
    matched: list[Visit] = []
    for day in days:
        of_day = [visit for visit in visits if visit.service_date == day]
        matches = tours.match(
            [stop for stop in stops if stop.service_date == day],
            [Arrival(visit.site_id, visit.arrived_at) for visit in of_day if visit.stands],
        )
        for visit in of_day:
            found = matches.get(Arrival(visit.site_id, visit.arrived_at)) if visit.stands else None
            matched.append(
                replace(
                    visit,
                    stop_id=found.stop_id if found else None,
                    punctuality=found.punctuality if found else None,
                )
            )
    return matched


def _judge_alerts(
    visits: Sequence[Visit], known: Known, days: set[date], now: int
) -> list[AlertChange]:
    arrived = {visit.stop_id: visit.arrived_at for visit in visits if visit.stop_id is not None}
    live = known.alerts or {}
    changes = (
        alerts.judge(stop, arrived.get(stop.stop_id), live.get(stop.stop_id), now)
        for stop in known.stops
        if stop.service_date in days
    )
    return [change for change in changes if change is not None]
