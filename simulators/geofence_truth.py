"""How well visits, drive-bys and late announcements of one simulated day agree with what happened.

The truth of a day is made once (`truth_of_day`): true visits, planned stops with the end of their
windows and their true arrival, and drive-bys seen on the van's own per-second track. `judge` then
compares plain rows with it, any number of times. All times are ms UTC. A van's day ends at
`until_ms`: its way home, or where the day was cut (`fleet.first_hours`).

A *visit found* is a row with verdict "visit" that is not shadowed; other rows only tell of passes.
Every wrong visit found is of one kind: it flaps, it is a drive-by, or its arrival is badly off.

This module must not know how visits are recognised or delays predicted.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import shapely

from simulators.fleet import FleetDay
from simulators.roads import Frame, distance_m
from simulators.truth import YOUNG_MS, Pair, is_excused, match_visits, percentile
from simulators.vans import STANDING_MPS, Track, VanDay, Visit, travel, visits
from simulators.world import Ints, Site, World, local_ms

MINUTE_MS: Final = 60_000
#: What a planner needs to do something about a delay.
NOTICE_MS: Final = 15 * MINUTE_MS
#: Two crossings of one fence nearer than this in time are one drive-by.
CROSSINGS_APART_S: Final = 60
#: A crossing nearer than this to a visit of the same site belongs to coming or going.
AROUND_VISIT_MS: Final = 5 * MINUTE_MS
#: A pass found is the true one if it overlaps it, give or take a fix.
PASS_ERROR_MS_MAX: Final = 10_000
#: From here on a drive-by could be taken for a stay: a red light beside a client.
STOOD_S_MIN: Final = 10

StopKey = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class TrueStop:
    """A planned stop; `arrived_ms` is the first true visit there, None if there was none.

    Without an arrival it is known only that there was none before `until_ms`.
    """

    van: str
    tour: str
    position: int
    site: str
    window_end_ms: int
    arrived_ms: int | None
    until_ms: int


@dataclass(frozen=True, slots=True)
class DriveBy:
    """The van was inside a fence without a stay, from the first to the last second inside.

    `stood_s` of those seconds it stood still.
    """

    van: str
    site: str
    from_ms: int
    to_ms: int
    stood_s: int


@dataclass(frozen=True, slots=True)
class DayTruth:
    """What really happened on one day; `until_ms` is the end of each van's day."""

    until_ms: Mapping[str, int]
    visits: tuple[Visit, ...]
    stops: tuple[TrueStop, ...]
    drive_bys: tuple[DriveBy, ...]


@dataclass(frozen=True, slots=True)
class FoundVisit:
    """A row of the visit table, by the van's and the site's code."""

    van: str
    site: str
    arrived_ms: int
    last_inside_ms: int
    verdict: Literal["visit", "pass", "undecided"]
    shadowed: bool


@dataclass(frozen=True, slots=True)
class Announced:
    """One announcement that a stop will be, or is, late; withdrawn or not."""

    van: str
    tour: str
    position: int
    announced_ms: int
    withdrawn_ms: int | None


@dataclass(frozen=True, slots=True)
class GeofenceReport:
    """How far the tables tell the truth; None where there was nothing to measure. See `judge`."""

    visits_true: int
    visits_matched: int
    visit_precision: float | None
    visit_recall: float | None
    visits_mistimed: int
    arrival_error_s_p50: float | None
    arrival_error_s_p99: float | None
    flaps: int
    driveby_as_visit: int
    passes_true: int
    passes_true_stood: int
    passes_found: int
    stops_judged: int
    late_true: int
    late_announced_15min: int
    late_announced_share: float | None
    late_announced_before_window_end_15min: int
    late_announced_before_window_end_share: float | None
    announcements: int
    announcements_false: int
    announcements_false_share: float | None


def truth_of_day(world: World, fleet_day: FleetDay) -> DayTruth:
    """Return what really happened; vans are driven again, which takes a few seconds for 200."""
    return DayTruth(
        until_ms={van_day.van: van_day.off_duty_ms for van_day in fleet_day.van_days},
        visits=tuple(visit for van_day in fleet_day.van_days for visit in van_day.visits),
        stops=tuple(
            stop for van_day in fleet_day.van_days for stop in _stops_of_day(world, van_day)
        ),
        drive_bys=tuple(
            drive_by for van_day in fleet_day.van_days for drive_by in drive_bys(world, van_day)
        ),
    )


def _stops_of_day(world: World, van_day: VanDay) -> Iterable[TrueStop]:
    arrivals: dict[str, int] = {}
    for visit in van_day.visits:
        arrivals[visit.site] = min(visit.arrived_ms, arrivals.get(visit.site, visit.arrived_ms))
    for stop in van_day.tour.stops:
        site = world.sites[stop.site].code
        yield TrueStop(
            van=van_day.van,
            tour=van_day.tour.code,
            position=stop.position,
            site=site,
            window_end_ms=local_ms(van_day.tour.day, stop.window_end_s),
            arrived_ms=arrivals.get(site),
            until_ms=van_day.off_duty_ms,
        )


def drive_bys(world: World, van_day: VanDay) -> tuple[DriveBy, ...]:
    """Return when the van was inside a fence without a stay, from its per-second track.

    Left out is what cannot be told from a visit's own coming and going: a crossing within 5 min of
    a true visit of that site, and one that touches a true visit of any site (a van parked, or
    arriving, where two fences overlap). Crossings of a fence less than a minute apart are one.
    """
    track, stays, _ = travel(world, van_day.tour)
    # Also those that begin after a cut: their coming may lie before it.
    true_visits = visits(world, track, stays)
    t_ms = track.start_ms + 1000 * np.arange(len(track.speed_mps), dtype=np.int64)
    driving = t_ms < van_day.off_duty_ms
    for visit in true_visits:
        driving &= (t_ms < visit.arrived_ms) | (t_ms >= visit.left_ms)
    seconds = np.flatnonzero(driving)
    if not len(seconds):
        return ()
    frame = Frame(float(track.latitude_deg[0]), float(track.longitude_deg[0]))
    sites = shapely.STRtree(
        shapely.points(*frame.plane(world.site_latitude_deg, world.site_longitude_deg))
    )
    places = shapely.points(*frame.plane(track.latitude_deg[seconds], track.longitude_deg[seconds]))
    # The plane is good to 1 %: seek a little wider, then measure as the visits are measured.
    near, site = sites.query(
        places, predicate="dwithin", distance=1.05 * float(world.site_radius_m.max())
    )
    found = (
        drive_by
        for index in np.unique(site).tolist()
        for drive_by in _crossings(track, world.sites[index], np.sort(seconds[near[site == index]]))
    )
    return tuple(row for row in found if not _of_a_visit(row, true_visits))


def _crossings(track: Track, site: Site, seconds: Ints) -> Iterable[DriveBy]:
    """Yield when the van was inside the fence, of these rising seconds of its track."""
    apart_m = distance_m(
        track.latitude_deg[seconds],
        track.longitude_deg[seconds],
        site.latitude_deg,
        site.longitude_deg,
    )
    inside = seconds[apart_m <= site.radius_m]
    breaks = np.flatnonzero(np.diff(inside) > CROSSINGS_APART_S) + 1
    for part in np.split(inside, breaks) if len(inside) else ():
        yield DriveBy(
            van=track.van,
            site=site.code,
            from_ms=track.start_ms + 1000 * int(part[0]),
            to_ms=track.start_ms + 1000 * int(part[-1]),
            stood_s=int((track.speed_mps[part] < STANDING_MPS).sum()),
        )


def _of_a_visit(row: DriveBy, visits: Sequence[Visit]) -> bool:
    return any(
        visit.arrived_ms - around_ms <= row.to_ms and row.from_ms <= visit.left_ms + around_ms
        for visit in visits
        for around_ms in (AROUND_VISIT_MS if visit.site == row.site else 1_000,)
    )


def judge(
    truth: DayTruth, found: Collection[FoundVisit], announced: Collection[Announced]
) -> GeofenceReport:
    """Return how far the rows tell the truth.

    Visits:

    - `visit_precision`, `visit_recall`, `arrival_error_s_*`: the rules of `truth.compare`. A visit
      found matches a true one of its van and site whose arrival is at most 3 min off, each once,
      the nearest first; a true visit that began less than 4 min before its van's day ended is asked
      for by neither. The errors are absolute, of the matched.
    - `visits_mistimed`: true visits asked for that no visit found matches, though one of that van
      and site overlaps them in time: seen, but not when they began.
    - `flaps`: visits found beyond the first that overlap one true visit of their van and site.
    - `driveby_as_visit`: visits found that overlap no true visit of their van and site: the van
      drove through or past the fence, had left, or was never there.
    - `passes_true`: drive-bys of the truth (`drive_bys`); `passes_true_stood`, those that stood for
      10 s inside; `passes_found`, those that an unshadowed row with verdict "pass" overlaps, give
      or take 10 s. Many are shorter than a tracker's interval: nobody can find all.

    Late stops, by the true arrival at the stop's site:

    - `late_true`: arrived after the window's end; or never, where the window ended before the van's
      day did. A stop whose window was still open then, without an arrival, is left out of
      everything; `stops_judged` are the others.
    - `late_announced_15min`: those of which some announcement came at least 15 min before the true
      arrival and was not withdrawn before it. Who never arrived did not before the end of his day:
      that end stands for the arrival.
    - `late_announced_before_window_end_15min`: the same, at least 15 min before the window's end:
      harder, for many delays arise later than that.
    - `announcements`: stops that were announced, however often. `announcements_false`: those whose
      true arrival was before or in the window, withdrawn or not, for planners were told; and those
      first announced after the arrival.

    Raises:
        ValueError: An announcement is of a stop that no tour has.
    """
    called = [row for row in found if row.verdict == "visit" and not row.shadowed]
    visits_of: dict[Pair, list[Visit]] = {}
    for visit in truth.visits:
        visits_of.setdefault((visit.van, visit.site), []).append(visit)
    found_of: dict[Pair, list[FoundVisit]] = {}
    for row in called:
        found_of.setdefault((row.van, row.site), []).append(row)

    asked = [visit for visit in truth.visits if _is_asked(visit, truth)]
    young = [visit for visit in truth.visits if not _is_asked(visit, truth)]
    rows = [(row.van, row.site, row.arrived_ms, row.last_inside_ms) for row in called]
    errors_ms, unmatched = match_visits(asked, rows)
    wrong = [row for row in unmatched if not is_excused(row, young)]
    judged = len(errors_ms) + len(wrong)
    overlapping = {
        visit: sum(_overlap(row, visit) for row in found_of.get((visit.van, visit.site), ()))
        for visit in truth.visits
    }
    late = _judge_announcements(truth.stops, announced)
    return GeofenceReport(
        visits_true=len(asked),
        visits_matched=len(errors_ms),
        visit_precision=_share(len(errors_ms), judged),
        visit_recall=_share(len(errors_ms), len(asked)),
        visits_mistimed=_mistimed(asked, found_of),
        arrival_error_s_p50=percentile([error_ms / 1000 for error_ms in errors_ms], 50),
        arrival_error_s_p99=percentile([error_ms / 1000 for error_ms in errors_ms], 99),
        flaps=sum(max(0, count - 1) for count in overlapping.values()),
        driveby_as_visit=sum(
            not any(_overlap(row, visit) for visit in visits_of.get((row.van, row.site), ()))
            for row in called
        ),
        passes_true=len(truth.drive_bys),
        passes_true_stood=sum(row.stood_s >= STOOD_S_MIN for row in truth.drive_bys),
        passes_found=_passes_found(truth.drive_bys, found),
        stops_judged=late.judged,
        late_true=late.late,
        late_announced_15min=late.announced,
        late_announced_share=_share(late.announced, late.late),
        late_announced_before_window_end_15min=late.announced_before_window_end,
        late_announced_before_window_end_share=_share(late.announced_before_window_end, late.late),
        announcements=late.announcements,
        announcements_false=late.false,
        announcements_false_share=_share(late.false, late.announcements),
    )


def _is_asked(visit: Visit, truth: DayTruth) -> bool:
    return visit.arrived_ms <= truth.until_ms[visit.van] - YOUNG_MS


def _overlap(row: FoundVisit, visit: Visit) -> bool:
    return row.arrived_ms <= visit.left_ms and visit.arrived_ms <= row.last_inside_ms


def _mistimed(asked: Sequence[Visit], found_of: Mapping[Pair, Sequence[FoundVisit]]) -> int:
    count = 0
    for visit in asked:
        rows = [row for row in found_of.get((visit.van, visit.site), ()) if _overlap(row, visit)]
        alone = [(row.van, row.site, row.arrived_ms, row.last_inside_ms) for row in rows]
        count += bool(rows) and not match_visits([visit], alone)[0]
    return count


def _passes_found(drive_bys: Sequence[DriveBy], found: Collection[FoundVisit]) -> int:
    passes: dict[Pair, list[FoundVisit]] = {}
    for row in found:
        if row.verdict == "pass" and not row.shadowed:
            passes.setdefault((row.van, row.site), []).append(row)
    return sum(
        any(
            row.arrived_ms <= true.to_ms + PASS_ERROR_MS_MAX
            and true.from_ms - PASS_ERROR_MS_MAX <= row.last_inside_ms
            for row in passes.get((true.van, true.site), ())
        )
        for true in drive_bys
    )


@dataclass(slots=True)
class _LateFigures:
    judged: int = 0
    late: int = 0
    announced: int = 0
    announced_before_window_end: int = 0
    announcements: int = 0
    false: int = 0


def _judge_announcements(
    stops: Sequence[TrueStop], announced: Collection[Announced]
) -> _LateFigures:
    told: dict[StopKey, list[Announced]] = {
        (stop.van, stop.tour, stop.position): [] for stop in stops
    }
    for row in announced:
        key = (row.van, row.tour, row.position)
        if key not in told:
            raise ValueError(f"announced late is a stop that no tour has: {key}")
        told[key].append(row)
    figures = _LateFigures()
    for stop in stops:
        if stop.arrived_ms is None and stop.window_end_ms >= stop.until_ms:
            continue
        arrived_ms = stop.until_ms if stop.arrived_ms is None else stop.arrived_ms
        rows = told[stop.van, stop.tour, stop.position]
        standing_ms = [
            row.announced_ms
            for row in rows
            if row.withdrawn_ms is None or row.withdrawn_ms >= arrived_ms
        ]
        is_late = arrived_ms > stop.window_end_ms
        first_ms = min((row.announced_ms for row in rows), default=None)
        figures.judged += 1
        figures.announcements += first_ms is not None
        figures.false += first_ms is not None and (not is_late or first_ms > arrived_ms)
        if is_late:
            figures.late += 1
            earliest_ms = min(standing_ms, default=arrived_ms)
            figures.announced += earliest_ms <= arrived_ms - NOTICE_MS
            figures.announced_before_window_end += earliest_ms <= stop.window_end_ms - NOTICE_MS
    return figures


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
