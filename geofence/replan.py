"""Who else could take a stop at risk: proposals to compare, none of which is carried out here.

*The cost of a tour.* A van arrives, waits for the window to begin, works, goes on, and ends at home.
Windows are soft: a minute late at a customer weighs 1, a minute at home after `home_by` one half.
What counts of a proposal is the change: all the minutes of the giver and of the taker with it, less
those without. So keeping the stop where it is costs 0 by definition, and tours of vans that nothing
happens to play no part.

*Its moments* are those of arrival times (`geofence/forecast/eta.py`): work lasts, and what is under way still
lasts, what it is expected to; and who is done early at a stop with a planned arrival leaves when the
plan has him leave. That holds for the van that has the stop: who takes the job over, or does it in
another order, leaves when it is done. Three things differ. Nobody is proposed to work before a window
begins, where an arrival time believes that he does; the leg under way is a leg like any other, from
now on, where an arrival time goes by its pace; and who drives to a site drives to its middle, where
an arrival time ends at the fence.

*The taker's order.* The job goes where it does least harm between the stops as they are planned. If
somebody is late then, the solver looks for an order with less, and the plan is only changed for one
that saves at least half a minute. What is under way stays: a van begins where and when it is free.
The giver's other stops keep their order; that the giver keeps the job, but at another time, is
proposed where it helps.

*The rank.* Whole minutes first, because nobody can tell seconds of a day to come; then parts that are
not on board; then what the taker drives more. Equal to the plan is not better than it, so the plan
comes first of equals.

*The solver.* The routing library of OR-tools, because windows are soft there (a late stop makes the
next ones later, where PyVRP would turn the clock back at a price), every van has its own start and
end, and a search can be bounded without a clock. Up to `EXACT_STOPS` stops its neighbourhood is the
whole tour, which proves the optimum (PyVRP proves none; no proof where a plan has work begin after
the end of its window); beyond, it descends from several orders to a local one. Either way the same
question has the same answer. Its import takes 0.1 s and 22 MB: the first question pays for it, not
every start of the API.

Pure: no clock, no table, no roads. Times are ms since 1970 UTC, durations s, positions WGS 84.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import numpy.typing as npt

from geofence.forecast.eta import AtStop
from geofence.forecast.work import Work, work_left

if TYPE_CHECKING:
    from ortools.constraint_solver import pywrapcp

Floats = npt.NDArray[np.float64]
#: Latitudes and longitudes, shape (n,) each, to seconds from each to each, shape (n, n).
Travel = Callable[[Floats, Floats], Floats]
Kind = Literal["keep", "reorder", "move"]

EARTH_RADIUS_M: Final = 6_371_008.8
#: Metres of road to one metre as the crow flies, as in `geofence/forecast/travel.py`.
ROAD_RATIO: Final = 1.3
#: As the crow flies, to compare distance with slack before anything is planned.
CROW_MPS: Final = 10.0

#: In halves of a minute's weight, so that costs are whole numbers.
LATE_WEIGHT: Final = 2
OVERTIME_WEIGHT: Final = 1
#: What reordering must save, in weighted halves of a second: half a minute late.
WORTH_REORDERING: Final = LATE_WEIGHT * 30

CANDIDATES_MAX: Final = 30
#: Stops of a tour, the job among them, up to which the best order is proved; 7 take 10 times as long.
EXACT_STOPS: Final = 6
STARTS_MAX: Final = 8
SOLUTIONS_MAX: Final = 10_000
#: A last bound for a search that needs milliseconds: an answer must not depend on the machine.
SEARCH_S_MAX: Final = 5
#: A van that could wait this long waits for nothing.
SLACK_S_MAX: Final = 86_400


@dataclass(frozen=True, slots=True)
class Job:
    """A planned stop that nobody has begun.

    Attributes:
        stop_id: Its key.
        latitude_deg: Of the site.
        longitude_deg: Of the site.
        window_start: Work does not begin before it, ms since 1970 UTC.
        window_end: Who arrives later is late, ms since 1970 UTC.
        duration_s: What the work is expected to take.
        leave_at: Who is done before this waits until then, ms since 1970 UTC; None for who leaves
            when he is done.
        skill: What the technician must know; None for anybody.
        parts: Pieces needed by item.
    """

    stop_id: int
    latitude_deg: float
    longitude_deg: float
    window_start: int
    window_end: int
    duration_s: int
    skill: str | None = None
    parts: Mapping[int, int] = field(default_factory=dict)
    leave_at: int | None = None


@dataclass(frozen=True, slots=True)
class Van:
    """What is left of a van's day.

    Attributes:
        van_id: Its key.
        latitude_deg: Where it is free.
        longitude_deg: Where it is free.
        free_at: When, ms since 1970 UTC; a time that is past means now.
        jobs: Remaining ones in the planned order, without what is under way.
        skills: Of its technician.
        home: Latitude and longitude where the day ends; None ends it at the last stop.
        home_by: When it should be over, ms since 1970 UTC; None if nobody minds.
        on_board: Pieces by item. What its own jobs need is not free.
    """

    van_id: int
    latitude_deg: float
    longitude_deg: float
    free_at: int
    jobs: tuple[Job, ...] = ()
    skills: frozenset[str] = frozenset()
    home: tuple[float, float] | None = None
    home_by: int | None = None
    on_board: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """What a proposal does to the other stops of one van, in seconds late over all of them."""

    gained_s: int
    lost_s: int
    overtime_before_s: int
    overtime_s: int
    drive_s: int
    road_m: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """Who could do the job, when, and what that changes. Nothing is changed yet.

    Attributes:
        kind: "keep" is the plan; "reorder": its van, at another time; "move": another van.
        van_id: Who would do it.
        order: The stops of that van from now on, by id.
        reordered: Whether its other stops change places.
        expected_before_at: When the job begins as planned: the arrival, or the start of its window if
            that is later; ms since 1970 UTC.
        expected_at: The same as proposed.
        late_before_s: How late that is for the job as planned.
        late_s: How late it is as proposed.
        giver: The van that has the job. Its `drive_s` and `road_m` are what it drives more: of a
            "move" they are negative.
        taker: The van that would do it; for "keep" and "reorder" nobody, and all zero.
        slack_s: The smallest margin to the end of a window in the proposed tour of `van_id`.
        missing: Pieces by item that are not free on board of `van_id`.
        weighted_s: The change of all minutes late and half of overtime: below 0 is better.
    """

    kind: Kind
    van_id: int
    order: tuple[int, ...]
    reordered: bool
    expected_before_at: int
    expected_at: int
    late_before_s: int
    late_s: int
    giver: Side
    taker: Side
    slack_s: int
    missing: Mapping[int, int]
    weighted_s: float

    @property
    def rank(self) -> tuple[int, int, int, bool, int]:
        """What proposals are sorted by: weighted minutes, missing pieces, driving, the plan, the id."""
        own = self.taker if self.kind == "move" else self.giver
        return (
            round(self.weighted_s / 60),
            sum(self.missing.values()),
            own.drive_s,
            self.kind != "keep",
            self.van_id,
        )


NOBODY: Final = Side(0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Map:
    """A van's start, its jobs and its home as points, in whole seconds and metres.

    Attributes:
        jobs: The point `i + 1` is the job `i`; 0 is the start, the last one home.
        travel_s: From each to each; to a home that is none, 0.
        road_m: The same in metres of road.
        free_s: When the van is free, s from now.
        home_by_s: When it should be at home, s from now, if anybody minds.
    """

    jobs: tuple[Job, ...]
    travel_s: list[list[int]]
    road_m: list[list[int]]
    free_s: int
    home_by_s: int | None
    now: int


@dataclass(frozen=True, slots=True)
class Course:
    """A tour driven in some order.

    Attributes:
        order: Points of its map, without start and home.
        arrive_s: When it is at each of `order`, s from now.
        late_s: After the end of the window.
        overtime_s: At home after it should be.
        drive_s: All driving.
        road_m: All roads.
    """

    order: tuple[int, ...]
    arrive_s: tuple[int, ...]
    late_s: tuple[int, ...]
    overtime_s: int
    drive_s: int
    road_m: int

    @property
    def harm(self) -> int:
        """Seconds late and half of overtime, doubled to be whole."""
        return LATE_WEIGHT * sum(self.late_s) + OVERTIME_WEIGHT * self.overtime_s

    @property
    def cost(self) -> tuple[int, int]:
        """What the best order has least of."""
        return self.harm, self.drive_s


def propose(
    giver: Van, takers: Iterable[Van], job: Job, matrix: Travel, now: int
) -> list[Proposal]:
    """Return what could be done about a job, best first, and always what is planned among it.

    Args:
        giver: The van whose tour has the job.
        takers: Others that may take it. Those without the skill are passed over; of more than
            `CANDIDATES_MAX` those are compared that pass near and have slack.
        job: One of the giver's.
        matrix: What driving takes.
        now: The present, ms since 1970 UTC.
    """
    at = [own.stop_id for own in giver.jobs].index(job.stop_id)
    planned = _map(giver, giver.jobs, matrix, now)
    before = _course(planned, range(1, len(giver.jobs) + 1))
    without = _course(planned, [point for point in before.order if point != at + 1])
    ours = _Job(replace(job, leave_at=None), before.arrive_s[at], before.late_s[at], at + 1)
    proposals = [_kept(giver, planned, before, before, ours)]
    unbound = (*giver.jobs[:at], ours.job, *giver.jobs[at + 1 :])
    better = _best(replace(planned, jobs=unbound), before)
    if better is not before:
        proposals.append(_kept(giver, planned, before, better, ours))
    proposals += [
        _moved(taker, (before, without), ours, matrix, now)
        for taker in nearest(takers, job, matrix, now)
    ]
    return sorted(proposals, key=lambda proposal: proposal.rank)


def nearest(
    takers: Iterable[Van], job: Job, matrix: Travel, now: int, most: int = CANDIDATES_MAX
) -> list[Van]:
    """Return the vans with the skill that are worth planning for, at most so many.

    Where there are more, a van counts for the detour from the nearest point of its day, as the crow
    flies, and for as much of that and of the work as its slack does not cover.
    """
    skilled = [van for van in takers if job.skill is None or job.skill in van.skills]
    if len(skilled) <= most:
        return skilled
    return sorted(skilled, key=lambda van: (_effort_s(van, job, matrix, now), van.van_id))[:most]


def _effort_s(van: Van, job: Job, matrix: Travel, now: int) -> float:
    planned = _map(van, van.jobs, matrix, now)
    course = _course(planned, range(1, len(van.jobs) + 1))
    on_the_way = [(van.latitude_deg, van.longitude_deg)]
    on_the_way += [(own.latitude_deg, own.longitude_deg) for own in van.jobs]
    points = np.array([(job.latitude_deg, job.longitude_deg), *on_the_way])
    detour_s = 2 * float(crow_m(points[:, 0], points[:, 1])[0, 1:].min()) / CROW_MPS
    return detour_s + max(0.0, detour_s + job.duration_s - _slack_s(planned, course))


@dataclass(frozen=True, slots=True)
class _Job:
    """The job, free of when the plan has its van leave.

    As planned it is reached at `arrive_s`, s from now; it is that point of the giver's map.
    """

    job: Job
    arrive_s: int
    late_s: int
    point: int


def _kept(giver: Van, at: Map, before: Course, after: Course, ours: _Job) -> Proposal:
    """Return what keeping the job in its van comes to, in the planned order or a better one."""
    nth = after.order.index(ours.point)
    return Proposal(
        kind="keep" if after.order == before.order else "reorder",
        van_id=giver.van_id,
        order=tuple(at.jobs[point - 1].stop_id for point in after.order),
        reordered=after.order != before.order,
        expected_before_at=_begins(ours.job, ours.arrive_s, at.now),
        expected_at=_begins(ours.job, after.arrive_s[nth], at.now),
        late_before_s=ours.late_s,
        late_s=after.late_s[nth],
        giver=_side(before, after, ours.point),
        taker=NOBODY,
        slack_s=_slack_s(at, after),
        missing=_missing(giver, ours.job),
        weighted_s=(after.harm - before.harm) / LATE_WEIGHT,
    )


def _moved(
    taker: Van, givers: tuple[Course, Course], ours: _Job, matrix: Travel, now: int
) -> Proposal:
    """Return what giving the job to another van comes to; `givers` is with the job and without."""
    at = _map(taker, (*taker.jobs, ours.job), matrix, now)
    point = len(at.jobs)
    before = _course(at, range(1, point))
    planned = list(before.order)
    placed = [_course(at, [*planned[:k], point, *planned[k:]]) for k in range(point)]
    after = _best(at, min(placed, key=lambda one: one.cost))
    nth = after.order.index(point)
    kept, left = givers
    change = after.harm - before.harm + left.harm - kept.harm
    return Proposal(
        kind="move",
        van_id=taker.van_id,
        order=tuple(at.jobs[p - 1].stop_id for p in after.order),
        reordered=[p for p in after.order if p != point] != planned,
        expected_before_at=_begins(ours.job, ours.arrive_s, now),
        expected_at=_begins(ours.job, after.arrive_s[nth], now),
        late_before_s=ours.late_s,
        late_s=after.late_s[nth],
        giver=_side(kept, left, ours.point),
        taker=_side(before, after, point),
        slack_s=_slack_s(at, after),
        missing=_missing(taker, ours.job),
        weighted_s=change / LATE_WEIGHT,
    )


def _begins(job: Job, arrive_s: int, now: int) -> int:
    return max(job.window_start, now + arrive_s * 1_000)


def _side(before: Course, after: Course, job: int) -> Side:
    """Return what one van gains and loses, its other stops apart from the job."""
    late_before = dict(zip(before.order, before.late_s, strict=True))
    late_after = dict(zip(after.order, after.late_s, strict=True))
    more = [late_after[p] - late_before[p] for p in late_before.keys() & late_after if p != job]
    return Side(
        gained_s=-sum(change for change in more if change < 0),
        lost_s=sum(change for change in more if change > 0),
        overtime_before_s=before.overtime_s,
        overtime_s=after.overtime_s,
        drive_s=after.drive_s - before.drive_s,
        road_m=after.road_m - before.road_m,
    )


def _missing(van: Van, job: Job) -> dict[int, int]:
    """Return what a van lacks for a job once its other jobs have taken theirs."""
    missing = {}
    for item, needed in job.parts.items():
        others = sum(own.parts.get(item, 0) for own in van.jobs if own.stop_id != job.stop_id)
        free = max(0, van.on_board.get(item, 0) - others)
        if needed > free:
            missing[item] = needed - free
    return missing


# --- Work --------------------------------------------------------------------------------------


def work_s(work: Work, planned_duration_s: int) -> int:
    """Return what a visit is expected to last that has not begun, s."""
    return round(_left_s(work, planned_duration_s, 0.0))


def free_at(at: AtStop, seen_at: int, work: Work) -> int:
    """Return when a visit under way is expected to be over, ms since 1970 UTC.

    Args:
        at: The visit.
        seen_at: When the van was last seen there, ms since 1970 UTC.
        work: How long visits last.
    """
    left_s = _left_s(work, at.planned_duration_s, (seen_at - at.arrived_at) / 1_000)
    done_at = seen_at + round(left_s * 1_000)
    leave_at = planned_leave(at.planned_arrival_ms, at.planned_duration_s)
    return done_at if leave_at is None else max(done_at, leave_at)


def _left_s(work: Work, planned_duration_s: int, elapsed_s: float) -> float:
    """Return what half of all such visits still last at most, s."""
    half = np.array([0.5])
    return float(work_left(work, np.array([planned_duration_s]), np.array([elapsed_s]), half)[0, 0])


def planned_leave(planned_arrival: int | None, planned_duration_s: int) -> int | None:
    """Return when the plan has a van leave a stop, ms since 1970 UTC; None if it does not say."""
    return None if planned_arrival is None else planned_arrival + planned_duration_s * 1_000


# --- Tours -------------------------------------------------------------------------------------


def crow_m(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    """Return distances as the crow flies from each to each, m, shape (n, n) (haversine)."""
    lat, lon = np.radians(latitude_deg), np.radians(longitude_deg)
    up = np.sin((lat[:, None] - lat) / 2)
    along = np.sin((lon[:, None] - lon) / 2)
    chord = np.sqrt(up * up + np.cos(lat)[:, None] * np.cos(lat) * along * along)
    distance: Floats = 2 * EARTH_RADIUS_M * np.arcsin(np.minimum(1.0, chord))
    return distance


def _map(van: Van, jobs: tuple[Job, ...], matrix: Travel, now: int) -> Map:
    """Return a van's day with these jobs as whole numbers; every later step is exact in them."""
    places = [(van.latitude_deg, van.longitude_deg)]
    places += [(job.latitude_deg, job.longitude_deg) for job in jobs]
    places.append(van.home or places[0])
    points = np.array(places)
    travel = np.rint(matrix(points[:, 0], points[:, 1])).astype(np.int64)
    road = np.rint(crow_m(points[:, 0], points[:, 1]) * ROAD_RATIO).astype(np.int64)
    if van.home is None:
        travel[:, -1] = road[:, -1] = 0
    home_by_s = None if van.home_by is None else (van.home_by - now) // 1_000
    free_s = max(0, -((now - van.free_at) // 1_000))
    return Map(jobs, travel.tolist(), road.tolist(), free_s, home_by_s, now)


def _course(at: Map, order: Iterable[int]) -> Course:
    """Return a tour driven in this order of points."""
    ready, here, drive_s, road_m = at.free_s, 0, 0, 0
    points, arrived, late = tuple(order), [], []
    for point in points:
        job = at.jobs[point - 1]
        drive_s += at.travel_s[here][point]
        road_m += at.road_m[here][point]
        arrive = ready + at.travel_s[here][point]
        arrived.append(arrive)
        late.append(max(0, arrive - _seconds(job.window_end, at.now)))
        ready = max(arrive, _seconds(job.window_start, at.now)) + job.duration_s
        if job.leave_at is not None:
            ready = max(ready, _seconds(job.leave_at, at.now))
        here = point
    drive_s += at.travel_s[here][-1]
    road_m += at.road_m[here][-1]
    over = 0 if at.home_by_s is None else max(0, ready + at.travel_s[here][-1] - at.home_by_s)
    return Course(points, tuple(arrived), tuple(late), over, drive_s, road_m)


def _slack_s(at: Map, course: Course) -> int:
    """Return the smallest margin to the end of a window, below 0 where one is missed."""
    margins = (
        _seconds(at.jobs[point - 1].window_end, at.now) - arrive
        for point, arrive in zip(course.order, course.arrive_s, strict=True)
    )
    return min(margins, default=SLACK_S_MAX)


def _seconds(t_ms: int, now: int) -> int:
    return (t_ms - now) // 1_000


# --- The solver --------------------------------------------------------------------------------


def _best(at: Map, known: Course) -> Course:
    """Return the order with the least harm, then the least driving, if it is worth a change."""
    if known.harm < WORTH_REORDERING or len(known.order) < 2:
        return known
    found = _course(at, _solve(at, known.order))
    is_other = found.order != known.order
    return found if is_other and known.harm - found.harm >= WORTH_REORDERING else known


def _solve(at: Map, known: Sequence[int]) -> list[int]:
    """Return the best order of all jobs that the solver finds, at least as good as a known one."""
    from ortools.constraint_solver import pywrapcp, routing_enums_pb2  # noqa: PLC0415  see the theory
    from ortools.util import optional_boolean_pb2  # noqa: PLC0415  likewise

    count = len(at.jobs)
    # The routing library counts from 0: from the earliest time that anything is about.
    ends = [_seconds(job.window_end, at.now) for job in at.jobs]
    starts = [_start_s(job, at.now) for job in at.jobs]
    origin = min(0, *ends, *starts, *([] if at.home_by_s is None else [at.home_by_s]))
    work = [at.free_s - origin, *(job.duration_s for job in at.jobs), 0]
    leave = [[work[i] + s for s in row] for i, row in enumerate(at.travel_s)]
    horizon = max(0, *starts) - origin + sum(max(row) for row in leave)
    driving = 1 + sum(max(row) for row in at.travel_s)

    index = pywrapcp.RoutingIndexManager(count + 2, 1, [0], [count + 1])
    model = pywrapcp.RoutingModel(index)
    model.SetArcCostEvaluatorOfAllVehicles(model.RegisterTransitMatrix(at.travel_s))
    model.AddDimension(model.RegisterTransitMatrix(leave), horizon, horizon, True, "time")  # noqa: FBT003  its own signature
    time = model.GetDimensionOrDie("time")
    for point, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        node = index.NodeToIndex(point)
        time.CumulVar(node).SetMin(max(0, start - origin))
        time.SetCumulVarSoftUpperBound(node, end - origin, LATE_WEIGHT * driving)
    if at.home_by_s is not None:
        time.SetCumulVarSoftUpperBound(
            model.End(0), at.home_by_s - origin, OVERTIME_WEIGHT * driving
        )

    how = pywrapcp.DefaultRoutingSearchParameters()
    how.local_search_metaheuristic = routing_enums_pb2.LocalSearchMetaheuristic.GREEDY_DESCENT
    how.solution_limit = SOLUTIONS_MAX
    how.time_limit.FromSeconds(SEARCH_S_MAX)
    if count <= EXACT_STOPS:  # the neighbourhood of one tour is every order of it
        how.local_search_operators.use_full_path_lns = optional_boolean_pb2.BOOL_TRUE
        how.lns_time_limit.FromSeconds(SEARCH_S_MAX)
    model.CloseModelWithParameters(how)

    found = []
    for order in _starts(at, known):
        nodes = [[index.NodeToIndex(point) for point in order]]
        first = model.ReadAssignmentFromRoutes(nodes, True)  # noqa: FBT003  as above
        found.append(_read(index, model, model.SolveFromAssignmentWithParameters(first, how)))
    return min(found, key=lambda order: _course(at, order).cost)


def _start_s(job: Job, now: int) -> int:
    """Return when the solver has a job begin at the earliest, s from now.

    Who waits after his work leaves at the same time if he waits before it: that it can count without
    a search of its own. Not beyond the end of the window: there it would take waiting for lateness.
    """
    start = _seconds(job.window_start, now)
    if job.leave_at is None:
        return start
    last = min(_seconds(job.leave_at, now) - job.duration_s, _seconds(job.window_end, now))
    return max(start, last)


def _starts(at: Map, known: Sequence[int]) -> list[Sequence[int]]:
    """Return the orders to descend from: one where that proves the optimum, several beyond."""
    if len(known) <= EXACT_STOPS:
        return [known]
    by_window = sorted(known, key=lambda point: (at.jobs[point - 1].window_end, point))
    by_work = sorted(
        known, key=lambda point: (at.travel_s[0][point] + at.jobs[point - 1].duration_s, point)
    )
    firsts = [[p, *(q for q in by_window if q != p)] for p in by_work]
    return [known, by_window, by_work, *firsts][:STARTS_MAX]


def _read(
    index: "pywrapcp.RoutingIndexManager",
    model: "pywrapcp.RoutingModel",
    solved: "pywrapcp.Assignment",
) -> list[int]:
    """Return the points of a solved tour in their order."""
    order = []
    node = solved.Value(model.NextVar(model.Start(0)))
    while not model.IsEnd(node):
        order.append(index.IndexToNode(node))
        node = solved.Value(model.NextVar(node))
    return order
