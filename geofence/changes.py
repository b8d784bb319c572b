"""From what the fold says to the rows that have to change: visits, legs, refused fixes.

Pure, and indifferent to how the runs came about: it is given what the tables say of a van now and
what the fold says of it, and returns the difference. What has not changed is not written.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec
from msgspec.structs import replace

from geofence import tours
from geofence.alerts import LiveAlert
from geofence.fences import Fences
from geofence.reread import Span
from geofence.tours import Arrival, Punctuality, Stop
from geofence.trips import Leg
from geofence.usable import Reason, Refusal
from geofence.visits import Cluster, Judged, Run, Verdict, clusters_of, judge


class Visit(msgspec.Struct, frozen=True):
    """A row of the table `visit`. Times are ms since 1970 UTC."""

    van_id: int
    site_id: int
    arrived_at: int
    last_inside_at: int
    left_at: int | None
    closed_by: int | None
    ignition_off: bool
    fixes: int
    centre_mm_sum: int
    verdict: Verdict
    uncertain: bool
    shadowed_by: int | None
    service_date: date
    stop_id: int | None = None
    punctuality: Punctuality | None = None
    wrong_order: bool = False
    overstayed: bool = False

    @property
    def key(self) -> tuple[int, int]:
        """The row's key within its van."""
        return self.site_id, self.arrived_at

    @property
    def stands(self) -> bool:
        """Whether it is an arrival for the tour."""
        return self.verdict == "visit" and self.shadowed_by is None

    @property
    def run(self) -> Run:
        """What was judged."""
        return Run(
            self.site_id, self.arrived_at, self.last_inside_at, self.left_at, self.closed_by,
            self.ignition_off, self.fixes, self.centre_mm_sum,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What the fold says of one van.

    Attributes:
        clusters: Every run that it touched, by cluster.
        legs: Every leg that it touched.
        refused: Fixes that are not used.
        spans: What was read again: rows in there that are not said again are gone.
        replanned: Days whose plan has changed: all their runs are judged anew.
        through: The newest fix that was read, ms since 1970 UTC.
        was_through: The newest that had been read before; later than `through` if fixes were deleted.
    """

    clusters: Sequence[Cluster] = ()
    legs: Sequence[Leg] = ()
    refused: Sequence[Refusal] = ()
    spans: Sequence[Span] = ()
    replanned: frozenset[date] = frozenset()
    through: int = 0
    was_through: int = 0

    @property
    def end(self) -> int:
        """Up to where the tables may have rows of what was read."""
        return max(self.through, self.was_through)


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables say of one van around the days in question.

    Attributes:
        visits: The rows that may change, and the visits that stand on those days.
        stops: All stops of its tours of those days.
        alerts: The live alerts of those stops.
        legs: The rows of the spans that were read again.
        refused: The same of the fixes that are not used.
    """

    visits: Sequence[Visit] = ()
    stops: Sequence[Stop] = ()
    alerts: Sequence[LiveAlert] = ()
    legs: Sequence[Leg] = ()
    refused: Sequence[Refusal] = ()


@dataclass(frozen=True, slots=True)
class VanChanges:
    """What to write for one van.

    `days` are those whose visits were matched anew, with the stops of their tours in `known` and
    with `matched`, all visits on them that stand.
    """

    visits: list[Visit] = field(default_factory=list)
    gone: list[Visit] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)
    legs_gone: list[int] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    refused_gone: list[int] = field(default_factory=list)
    days: frozenset[date] = frozenset()
    matched: list[Visit] = field(default_factory=list)


def revise(van_id: int, said: Said, known: Known, fences: Fences) -> VanChanges:
    """Return the difference between what the tables say of a van and what the fold says of it."""
    legs, legs_gone = _legs(said, known)
    refused, refused_gone = _refused(said, known)
    if not (said.clusters or said.spans or said.replanned):  # a van on the road
        return VanChanges(legs=legs, refused=refused)
    planned_at = {(stop.service_date, stop.site_id) for stop in known.stops}

    def day_of(run: Run) -> date:
        zone = fences.sites[fences.index_of[run.site_id]].time_zone
        return tours.service_date(run.arrived_at, zone, fences.rules)

    def planned(run: Run) -> bool:
        return (day_of(run), run.site_id) in planned_at

    before = {visit.key: visit for visit in known.visits}
    touched = {run.key: run for cluster in said.clusters for run in cluster}
    gone = [
        visit
        for key, visit in before.items()
        if key not in touched and any(span.holds_run(key) for span in said.spans)
    ]
    kept = before.keys() - {visit.key for visit in gone}
    clusters = said.clusters
    if said.replanned:
        others = [before[key].run for key in kept - touched.keys()]
        clusters = [
            cluster
            for cluster in clusters_of([*others, *touched.values()])
            if any(run.key in touched or day_of(run) in said.replanned for run in cluster)
        ]
    read = {
        judged.run.key: _row(van_id, judged, day_of(judged.run))
        for cluster in clusters
        for judged in judge(cluster, planned, fences.rules)
    }
    # What is read again may have been matched by another day, plan or version.
    again = gone or said.replanned or said.spans
    went_on = None if again else _went_on(read, before, known.stops)
    if went_on is not None:
        days, matched = frozenset[date](), went_on
    else:
        after = {key: before[key] for key in kept} | read
        days = said.replanned | {visit.service_date for visit in (*read.values(), *gone)}
        matched = _match(after.values(), known.stops, days)
    return VanChanges(
        visits=[visit for visit in matched if visit != before.get(visit.key)],
        gone=gone,
        legs=legs,
        legs_gone=legs_gone,
        refused=refused,
        refused_gone=refused_gone,
        days=days,
        matched=[visit for visit in matched if visit.stands],
    )


def _went_on(
    read: Mapping[tuple[int, int], Visit],
    before: Mapping[tuple[int, int], Visit],
    stops: Sequence[Stop],
) -> list[Visit] | None:
    """Return the rows if all that the fold says is that runs went on: they keep their matches.

    None if a tour has to be matched anew, or an alert settled: a run that is new, that is another
    thing than it was, or that has ended. Most batches are of vans that are parked, or on the road.
    """
    if not read.keys() <= before.keys():
        return None
    stop_of = {stop.stop_id: stop for stop in stops} if any(v.stands for v in read.values()) else {}
    rows = []
    for key, visit in read.items():
        was = before[key]
        row = replace(
            visit,
            stop_id=was.stop_id,
            punctuality=was.punctuality,
            wrong_order=was.wrong_order,
            overstayed=_overstayed(
                visit, None if was.stop_id is None else stop_of.get(was.stop_id)
            ),
        )
        same = (row.stands, row.overstayed, row.closed_by) == (
            was.stands, was.overstayed, was.closed_by
        )  # fmt: skip
        if not same:
            return None
        rows.append(row)
    return rows


def _row(van_id: int, judged: Judged, day: date) -> Visit:
    run = judged.run
    return Visit(
        van_id=van_id,
        site_id=run.site_id,
        arrived_at=run.arrived_at,
        last_inside_at=run.last_inside_at,
        left_at=run.left_at if run.closed_by is not None else None,
        closed_by=run.closed_by,
        ignition_off=run.ignition_off,
        fixes=run.fixes,
        centre_mm_sum=run.centre_mm_sum,
        verdict=judged.verdict,
        uncertain=judged.uncertain,
        shadowed_by=judged.shadowed_by,
        service_date=day,
    )


def _match(visits: Iterable[Visit], stops: Sequence[Stop], days: Iterable[date]) -> list[Visit]:
    """Return the visits of `days`, each with what it was to the tour."""
    stop_of = {stop.stop_id: stop for stop in stops}
    of_day: dict[date, list[Visit]] = {day: [] for day in days}
    for visit in visits:
        if visit.service_date in of_day:
            of_day[visit.service_date].append(visit)
    matched: list[Visit] = []
    for day, present in of_day.items():
        matches = tours.match(
            [stop for stop in stops if stop.service_date == day],
            [Arrival(visit.site_id, visit.arrived_at) for visit in present if visit.stands],
        )
        matched += [
            _with_match(
                visit,
                matches.get(Arrival(visit.site_id, visit.arrived_at)) if visit.stands else None,
                stop_of,
            )
            for visit in present
        ]
    return matched


def _with_match(visit: Visit, found: tours.Match | None, stop_of: Mapping[int, Stop]) -> Visit:
    stop = stop_of.get(found.stop_id) if found and found.stop_id is not None else None
    match = (
        stop.stop_id if stop else None,
        found.punctuality if found else None,
        found.wrong_order if found else False,
        _overstayed(visit, stop),
    )
    if match == (visit.stop_id, visit.punctuality, visit.wrong_order, visit.overstayed):
        return visit
    return replace(
        visit,
        stop_id=match[0],
        punctuality=match[1],
        wrong_order=match[2],
        overstayed=match[3],
    )


def _overstayed(visit: Visit, stop: Stop | None) -> bool:
    if stop is None:
        return False
    dwell_s = (visit.last_inside_at - visit.arrived_at) / 1_000
    return dwell_s > tours.overstay_limit_s(stop.planned_duration_s)


def _legs(said: Said, known: Known) -> tuple[list[Leg], list[int]]:
    before = {leg.started_at: leg for leg in known.legs}
    after = {leg.started_at: leg for leg in said.legs}
    gone = [
        started_at
        for started_at in before.keys() - after.keys()
        if any(span.holds_leg(started_at) for span in said.spans)
    ]
    return [leg for key, leg in after.items() if leg != before.get(key)], gone


def _refused(said: Said, known: Known) -> tuple[list[Refusal], list[int]]:
    before: dict[int, Reason] = dict(known.refused)
    after: dict[int, Reason] = dict(said.refused)
    gone = [
        t_ms
        for t_ms in before.keys() - after.keys()
        if any(span.holds_fix(t_ms) for span in said.spans)
    ]
    return [(t_ms, reason) for t_ms, reason in after.items() if reason != before.get(t_ms)], gone
