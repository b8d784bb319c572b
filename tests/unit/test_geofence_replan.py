"""Who could take a stop at risk: a case for each criterion, and every order tried by hand."""

import time
from dataclasses import replace
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofence.forecast import eta
from geofence.forecast.eta import AtStop, Itinerary, StopAhead
from geofence.forecast.travel import usual_s
from geofence.replan import (
    CANDIDATES_MAX,
    EXACT_STOPS,
    WORTH_REORDERING,
    Job,
    Proposal,
    Van,
    crow_m,
    free_at,
    nearest,
    planned_leave,
    propose,
    work_s,
)
from tests.unit.steady_fleet import STEADY, WORK

NOW = 1_795_165_200_000
MIN_MS = 60_000
#: One kilometre north, in degrees.
KM = 1 / 111.195
Floats = npt.NDArray[np.float64]


def minute_a_km(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    """A world where a kilometre takes a minute, along the meridian or the equator."""
    north = np.abs(latitude_deg[:, None] - latitude_deg)
    east = np.abs(longitude_deg[:, None] - longitude_deg)
    seconds: Floats = (north + east) / KM * 60
    return seconds


def job(stop_id: int, km: float, window: tuple[float, float], work: int = 0, **more: object) -> Job:
    """A stop so many km up the road, with a window in minutes from now."""
    start, end = (NOW + round(minute * MIN_MS) for minute in window)
    return Job(stop_id, km * KM, 0.0, start, end, work * 60, **more)  # type: ignore[arg-type]


def van(van_id: int, km: float, *jobs: Job, free: float = 0, **more: object) -> Van:
    free_at = NOW + round(free * MIN_MS)
    return Van(van_id, km * KM, 0.0, free_at, jobs, **more)  # type: ignore[arg-type]


def asked(giver: Van, takers: list[Van], which: Job) -> list[Proposal]:
    return propose(giver, takers, which, minute_a_km, NOW)


def of(proposals: list[Proposal], van_id: int) -> Proposal:
    [found] = [one for one in proposals if one.van_id == van_id and one.kind != "reorder"]
    return found


#: Reached after 60 minutes, 30 late.
LATE = job(1, 60, (0, 30))
GIVER = van(1, 0, LATE)


def test_a_van_that_is_in_time_takes_a_late_stop() -> None:
    best, plan = asked(GIVER, [van(2, 40)], LATE)
    assert (best.kind, best.van_id, best.order, best.reordered) == ("move", 2, (1,), False)
    assert (best.expected_before_at, best.expected_at) == (NOW + 60 * MIN_MS, NOW + 20 * MIN_MS)
    assert (best.late_before_s, best.late_s) == (30 * 60, 0)
    assert best.weighted_s == -30 * 60
    assert best.slack_s == 10 * 60
    assert (plan.kind, plan.van_id, plan.weighted_s, plan.late_s) == ("keep", 1, 0, 30 * 60)


def test_a_stop_in_time_stays_where_it_is_though_others_are_nearer() -> None:
    calm = job(1, 60, (0, 90))
    best, other = asked(van(1, 0, calm), [van(2, 59)], calm)
    assert (best.kind, other.kind) == ("keep", "move")
    assert best.weighted_s == other.weighted_s == 0
    # Not even for one that passes there on its way home.
    passing = van(2, 59, home=(61 * KM, 0.0))
    best, other = asked(van(5, 0, calm), [passing], calm)
    assert (best.kind, other.taker.drive_s) == ("keep", 0)


def test_where_everybody_would_be_later_keeping_it_is_best() -> None:
    proposals = asked(GIVER, [van(2, 200), van(3, 60, free=61)], LATE)
    assert [one.van_id for one in proposals] == [1, 3, 2]
    assert proposals[0].kind == "keep"


def test_nobody_without_the_skill_is_proposed() -> None:
    needs = replace(LATE, skill="lift")
    giver = van(1, 0, needs, skills=frozenset({"lift"}))
    takers = [
        van(2, 59, skills=frozenset({"hvac"})),
        van(3, 59),
        van(4, 50, skills=frozenset({"hvac", "lift"})),
    ]
    assert [one.van_id for one in asked(giver, takers, needs)] == [4, 1]
    assert [one.van_id for one in asked(GIVER, takers, LATE)] == [2, 3, 4, 1]


def test_of_vans_in_time_the_one_that_drives_less_is_first() -> None:
    home = (60 * KM, 0.0)
    takers = [van(2, 30, home=home), van(3, 70, home=home), van(4, 85, home=home)]
    proposals = asked(GIVER, takers, LATE)
    # Van 2 passes there on its way home.
    assert [one.van_id for one in proposals] == [2, 3, 4, 1]
    assert [one.taker.drive_s for one in proposals] == [0, 0, 0, 0]
    away = [van(2, 50, home=(50 * KM, 0.0)), van(3, 55, home=(55 * KM, 0.0))]
    nearer, farther, _ = asked(GIVER, away, LATE)
    assert (nearer.van_id, farther.van_id) == (3, 2)
    assert (nearer.taker.drive_s, farther.taker.drive_s) == (10 * 60, 20 * 60)
    assert nearer.taker.road_m == pytest.approx(13_000, rel=1e-3)
    assert nearer.giver.drive_s == -60 * 60
    assert nearer.giver.road_m == pytest.approx(-78_000, rel=1e-3)


def test_a_van_whose_tour_has_slack_is_before_one_that_becomes_late_itself() -> None:
    # All stand beside the job, which takes 20 minutes; one has work of 40 beginning within 15.
    late = replace(LATE, duration_s=20 * 60)
    tight = van(2, 60, job(20, 60, (0, 15), work=40))
    roomy = van(3, 60, job(30, 60, (0, 120), work=40))
    first, second, _ = asked(van(1, 0, late), [tight, roomy], late)
    assert (first.van_id, first.order, first.taker.lost_s) == (3, (1, 30), 0)
    assert (second.van_id, second.order) == (2, (1, 20))
    assert (second.taker.lost_s, second.taker.gained_s, second.weighted_s) == (300, 0, -25 * 60)
    assert (first.slack_s, second.slack_s) == (30 * 60, -5 * 60)


def test_of_vans_equally_late_the_one_with_the_parts_is_first() -> None:
    late = replace(LATE, parts={7: 2, 8: 1})
    near = van(2, 59, on_board={7: 1, 8: 1})
    far = van(3, 50, on_board={7: 2, 8: 5})
    proposals = asked(van(1, 0, late), [near, far], late)
    assert [(one.van_id, one.missing) for one in proposals] == [
        (3, {}),
        (2, {7: 1}),
        (1, {7: 2, 8: 1}),
    ]


def test_parts_that_its_own_stops_need_are_not_free() -> None:
    late = replace(LATE, parts={7: 2})
    own = job(20, 60, (0, 300), parts={7: 3})
    assert of(asked(van(1, 0, late), [van(2, 59, own, on_board={7: 4})], late), 2).missing == {7: 1}


def test_half_of_overtime_counts() -> None:
    home = (40 * KM, 0.0)
    by = NOW + 40 * MIN_MS
    hurried = van(2, 40, home=home, home_by=by)  # at home after 40 minutes with it: just in time
    over = van(3, 40, home=home, home_by=by - 10 * MIN_MS)
    first, second, _ = asked(GIVER, [over, hurried], LATE)
    assert [(one.van_id, one.taker.overtime_s) for one in (first, second)] == [(2, 0), (3, 600)]
    assert second.weighted_s - first.weighted_s == 300


def test_overtime_that_the_giver_is_spared_counts_too() -> None:
    giver = van(1, 0, LATE, home=(0.0, 0.0), home_by=NOW + 60 * MIN_MS)
    move = of(asked(giver, [van(2, 40)], LATE), 2)
    assert (move.giver.overtime_before_s, move.giver.overtime_s) == (3_600, 0)
    assert move.weighted_s == -30 * 60 - 1_800


def test_what_the_givers_later_stops_gain_is_told() -> None:
    after = job(2, 0, (0, 90))  # back at the start: 30 late behind the job, at once without it
    move = of(asked(van(1, 0, LATE, after), [van(2, 40)], LATE), 2)
    assert (move.giver.gained_s, move.giver.lost_s) == (30 * 60, 0)
    assert move.weighted_s == -60 * 60


def test_gained_and_lost_are_the_same_words_on_either_side() -> None:
    """Giving a stop away and getting it back change the same minutes, with the names exchanged."""
    late = replace(LATE, duration_s=40 * 60)
    after = job(2, 60, (0, 70), work=60)
    there = of(asked(van(1, 0, late, after), [van(2, 60, free=60)], late), 2)
    back = of(asked(van(2, 60, late, free=60), [van(1, 0, after)], late), 1)
    assert (there.giver.gained_s, there.giver.lost_s) == (30 * 60, 0)
    assert (back.taker.lost_s, back.taker.gained_s) == (30 * 60, 0)
    assert there.weighted_s == -back.weighted_s == -30 * 60


def test_a_better_order_of_its_own_van_is_proposed() -> None:
    first = job(2, 50, (0, 500))
    urgent = job(1, 0, (0, 30))
    best, plan = asked(van(1, 0, first, urgent), [], urgent)
    assert (best.kind, best.order, best.late_s, best.taker.drive_s) == ("reorder", (1, 2), 0, 0)
    assert (plan.kind, plan.order) == ("keep", (2, 1))


def test_seconds_are_not_worth_another_order() -> None:
    gone = job(3, 0, (-20, -10))
    second = job(2, 50, (0, 500))
    for late_s, kinds in ((29, {"keep"}), (30, {"keep", "reorder"})):
        urgent = job(1, 0, (0, 100 - late_s / 60))
        assert {one.kind for one in asked(van(1, 0, gone, second, urgent), [], urgent)} == kinds


def test_the_takers_order_changes_only_if_that_helps() -> None:
    spread = (job(20, 50, (0, 900)), job(21, 70, (0, 900)), job(22, 40, (0, 900)))
    calm = of(asked(GIVER, [van(2, 40, *spread)], LATE), 2)
    assert (calm.order, calm.reordered, calm.weighted_s) == ((20, 1, 21, 22), False, -1800)
    # Two own stops in the wrong order: the second, here, is late behind the first, far away.
    own = (job(20, 90, (0, 900)), job(21, 40, (0, 5)))
    helped = of(asked(GIVER, [van(2, 40, *own)], LATE), 2)
    assert (helped.order, helped.reordered) == ((21, 1, 20), True)
    assert (helped.taker.gained_s, helped.taker.lost_s) == (95 * 60, 0)


def test_a_van_begins_where_and_when_it_is_free() -> None:
    move = of(asked(GIVER, [van(2, 40, free=7), van(3, 40, free=-99)], LATE), 2)
    assert move.expected_at == NOW + 27 * MIN_MS
    again = of(asked(GIVER, [van(3, 40, free=-99)], LATE), 3)
    assert again.expected_at == NOW + 20 * MIN_MS


def test_a_van_waits_for_a_window_to_begin() -> None:
    second = job(1, 60, (0, 55))
    plan = of(asked(van(1, 60, job(20, 60, (50, 500), work=10), second), [], second), 1)
    assert (plan.expected_at, plan.late_s) == (NOW + 60 * MIN_MS, 5 * 60)
    calm = job(1, 60, (90, 100))
    assert {one.expected_at for one in asked(van(1, 0, calm), [van(2, 50)], calm)} == {
        NOW + 90 * MIN_MS
    }


def test_who_is_done_early_waits_until_the_plan_has_him_leave() -> None:
    first = job(20, 10, (0, 500), work=10, leave_at=NOW + 50 * MIN_MS)
    plan = of(asked(van(1, 0, first, LATE), [], LATE), 1)
    assert plan.expected_at == NOW + (50 + 50) * MIN_MS
    behind = replace(first, leave_at=NOW + 15 * MIN_MS)  # he is not done by then
    plan = of(asked(van(1, 0, behind, LATE), [], LATE), 1)
    assert plan.expected_at == NOW + (20 + 50) * MIN_MS


def test_a_stop_that_is_given_away_gains_nothing_for_who_waits_anyway() -> None:
    after = job(3, 20, (0, 30))
    first = job(2, 10, (0, 500), leave_at=NOW + 70 * MIN_MS)
    move = of(asked(van(1, 0, LATE, first, after), [van(2, 40)], LATE), 2)
    # 60 there and 50 back without the wait: reached after 120 instead of 80, 90 late and then 50.
    assert (move.giver.gained_s, move.weighted_s) == (40 * 60, -70 * 60)
    first = replace(first, leave_at=NOW + 200 * MIN_MS)
    move = of(asked(van(1, 0, LATE, first, after), [van(2, 40)], LATE), 2)
    assert (move.giver.gained_s, move.weighted_s) == (0, -30 * 60)


def test_who_takes_the_job_does_not_wait_for_a_plan_that_was_not_his() -> None:
    late = replace(LATE, leave_at=NOW + 300 * MIN_MS)
    own = job(20, 60, (0, 40))
    move = of(asked(van(1, 0, late), [van(2, 40, own)], late), 2)
    assert (move.order, move.taker.lost_s) == ((1, 20), 0)


def test_who_does_the_job_in_another_order_does_not_wait_for_the_old_one() -> None:
    first = job(2, 50, (0, 120))
    urgent = job(1, 0, (0, 30), work=10, leave_at=NOW + 110 * MIN_MS)
    best, plan = asked(van(1, 0, first, urgent), [], urgent)
    assert (best.kind, best.order, best.giver.lost_s) == ("reorder", (1, 2), 0)
    assert (plan.kind, plan.late_s) == ("keep", 70 * 60)


def test_the_same_order_is_no_other_one_though_waiting_is_what_makes_it_late() -> None:
    waits = job(1, 10, (0, 60), leave_at=NOW + 200 * MIN_MS)
    assert [one.kind for one in asked(van(1, 0, waits, job(2, 20, (0, 60))), [], waits)] == ["keep"]


# ---- the same moments as arrival times ----

SECONDS = 5


def as_the_fleet_drives(latitude_deg: Floats, longitude_deg: Floats) -> Floats:
    distance_m = crow_m(latitude_deg, longitude_deg)
    seconds = usual_s(STEADY, distance_m.ravel(), np.full(distance_m.size, 10.0))
    return seconds.reshape(distance_m.shape)


def as_job(stop: StopAhead) -> Job:
    leave_at = planned_leave(stop.planned_arrival_ms, stop.planned_duration_s)
    return Job(
        stop.stop_id,
        stop.latitude_deg,
        stop.longitude_deg,
        stop.window_start,
        stop.window_end,
        work_s(WORK, stop.planned_duration_s),
        leave_at=leave_at,
    )


@st.composite
def days(draw: st.DrawFn) -> tuple[AtStop, list[StopAhead]]:
    """A van at a stop and its next ones, whose windows have begun."""
    planned_ms = st.none() | st.integers(-60, 300).map(lambda minute: NOW + minute * MIN_MS)
    since_min, duration_s = draw(st.sampled_from([(20, 0), (35, 1_800), (110, 5_400)]))
    arrived_at = NOW - draw(st.integers(0, since_min)) * MIN_MS
    at = AtStop(9, arrived_at, duration_s, draw(planned_ms))
    stops = [
        StopAhead(
            i,
            draw(st.integers(1, 40)) * KM,
            i / 50,
            NOW,
            NOW + draw(st.integers(0, 300)) * MIN_MS,
            draw(st.sampled_from([0, 600, 3_600])),
            draw(planned_ms),
        )
        for i in range(1, 1 + draw(st.integers(1, 4)))
    ]
    return at, stops


def late_s(etas: list[eta.Eta], stops: list[StopAhead]) -> dict[int, float]:
    end = {stop.stop_id: stop.window_end for stop in stops}
    return {one.stop_id: max(0, one.expected_ms - end[one.stop_id]) / 1_000 for one in etas}


@settings(max_examples=200)
@given(day=days(), seen_s=st.integers(0, 60))
def test_what_is_expected_as_planned_is_what_arrival_times_say(
    day: tuple[AtStop, list[StopAhead]], seen_s: int
) -> None:
    at, stops = day
    seen_at = NOW - 1_000 * seen_s
    at = replace(at, arrived_at=min(at.arrived_at, seen_at))

    def arrivals(ahead: list[StopAhead]) -> list[eta.Eta]:
        [etas] = eta.forecast([Itinerary(0.0, 0.0, seen_at, at, ahead)], STEADY, WORK, NOW)
        return etas

    jobs = tuple(as_job(stop) for stop in stops)
    giver = Van(1, 0.0, 0.0, free_at(at, seen_at, WORK), jobs)
    taker = Van(2, 1.0, 1.0, NOW)
    before = late_s(arrivals(stops), stops)
    for which, expected in zip(jobs, arrivals(stops), strict=True):
        proposals = propose(giver, [taker], which, as_the_fleet_drives, NOW)
        plan, move = of(proposals, 1), of(proposals, 2)
        assert plan.expected_at == pytest.approx(expected.expected_ms, abs=1_000 * SECONDS)
        assert plan.late_s == pytest.approx(before[which.stop_id], abs=SECONDS)
        left = [stop for stop in stops if stop.stop_id != which.stop_id]
        after = late_s(arrivals(left), left)
        gained = [before[stop_id] - after[stop_id] for stop_id in after]
        assert move.giver.gained_s == pytest.approx(
            sum(one for one in gained if one > 0), abs=SECONDS * len(stops)
        )
        assert move.giver.lost_s == pytest.approx(
            -sum(one for one in gained if one < 0), abs=SECONDS * len(stops)
        )


def test_who_has_overrun_far_is_not_done_now() -> None:
    for minutes in (10, 60, 600):
        at = AtStop(9, NOW - minutes * MIN_MS, 1_800)
        assert free_at(at, NOW, WORK) >= NOW + 2 * MIN_MS


def test_windows_that_have_ended_long_ago_are_late_from_then() -> None:
    gone = job(1, 60, (-200, -100))
    proposals = asked(van(1, 0, gone, job(2, 0, (-300, -290))), [van(2, 40)], gone)
    assert of(proposals, 1).late_s == 160 * 60
    assert of(proposals, 2).late_s == 120 * 60


def test_of_many_vans_those_near_and_with_slack_are_compared() -> None:
    far = [van(100 + i, 300 + i) for i in range(CANDIDATES_MAX)]
    near = van(2, 55)
    full = van(3, 55, job(20, 54, (0, 2)), job(21, 54, (0, 3), work=400))
    chosen = nearest([*far, full, near], LATE, minute_a_km, NOW)
    assert len(chosen) == CANDIDATES_MAX
    assert near in chosen
    assert nearest([*far, full, near], LATE, minute_a_km, NOW, 2) == [near, full]
    tight = [van(10 + i, 55, job(20, 55, (0, 1))) for i in range(CANDIDATES_MAX)]
    near = van(99, 55)
    assert near in nearest([*tight, near], replace(LATE, duration_s=3_600), minute_a_km, NOW)


# ---- the optimum, by trying every order ----


def harm_and_drive(one: Van, order: tuple[Job, ...]) -> tuple[float, float]:
    """Seconds late and half of overtime, and driving, in plain arithmetic of its own."""
    at, clock, drive, harm = (one.latitude_deg, one.longitude_deg), 0.0, 0.0, 0.0
    clock = max(0.0, (one.free_at - NOW) / 1_000)
    for each in order:
        leg = leg_s(at, (each.latitude_deg, each.longitude_deg))
        clock, drive = clock + leg, drive + leg
        harm += max(0.0, clock - (each.window_end - NOW) / 1_000)
        clock = max(clock, (each.window_start - NOW) / 1_000) + each.duration_s
        clock = max(clock, ((each.leave_at or 0) - NOW) / 1_000)
        at = (each.latitude_deg, each.longitude_deg)
    if one.home is not None:
        leg = leg_s(at, one.home)
        clock, drive = clock + leg, drive + leg
    if one.home_by is not None:
        harm += max(0.0, clock - (one.home_by - NOW) / 1_000) / 2
    return harm, drive


def leg_s(a: tuple[float, float], b: tuple[float, float]) -> int:
    return round((abs(a[0] - b[0]) + abs(a[1] - b[1])) / KM * 60)


def placed(one: Van, extra: Job) -> list[tuple[Job, ...]]:
    return [(*one.jobs[:k], extra, *one.jobs[k:]) for k in range(len(one.jobs) + 1)]


places = st.integers(-40, 40).map(lambda km: km * KM)
windows = st.tuples(st.integers(-60, 200), st.integers(10, 120))


@st.composite
def jobs(draw: st.DrawFn, stop_id: int) -> Job:
    start, length = draw(windows)
    work = draw(st.integers(0, 90))
    planned = draw(st.none() | st.integers(start - 30, start + length))
    return Job(
        stop_id,
        draw(places),
        draw(places),
        NOW + start * MIN_MS,
        NOW + (start + length) * MIN_MS,
        work * 60,
        leave_at=None if planned is None else NOW + (planned + work) * MIN_MS,
    )


@st.composite
def vans(draw: st.DrawFn, van_id: int, stops_max: int) -> Van:
    count = draw(st.integers(0, stops_max))
    home_by = draw(st.none() | st.integers(0, 400))
    return Van(
        van_id,
        draw(places),
        draw(places),
        NOW + draw(st.integers(-30, 60)) * MIN_MS,
        tuple(draw(jobs(van_id * 100 + i)) for i in range(count)),
        home=draw(st.none() | st.tuples(places, places)),
        home_by=None if home_by is None else NOW + home_by * MIN_MS,
    )


@settings(max_examples=300)
@given(giver=vans(1, 3), taker=vans(2, 5), at=st.integers(0, 3), extra=jobs(1))
def test_a_proposal_costs_what_the_best_of_all_orders_costs(
    giver: Van, taker: Van, at: int, extra: Job
) -> None:
    left = giver
    giver = replace(giver, jobs=(*giver.jobs[:at], extra, *giver.jobs[at:]))
    proposals = propose(giver, [taker], extra, minute_a_km, NOW)
    assert len(taker.jobs) < EXACT_STOPS

    free = replace(extra, leave_at=None)
    inserted = min(harm_and_drive(taker, order) for order in placed(taker, free))
    best = min(harm_and_drive(taker, order) for order in permutations((*taker.jobs, free)))
    worth = inserted[0] - best[0] >= WORTH_REORDERING / 2
    taker_harm, taker_drive = best if worth else inserted
    before = harm_and_drive(taker, taker.jobs)
    kept, without = (harm_and_drive(one, one.jobs) for one in (giver, left))

    move = of(proposals, 2)
    assert move.weighted_s == taker_harm - before[0] + without[0] - kept[0]
    assert move.taker.drive_s == taker_drive - before[1]
    assert move.giver.drive_s == without[1] - kept[1]
    by_id = {each.stop_id: each for each in (*taker.jobs, free)}
    order = tuple(by_id[stop_id] for stop_id in move.order)
    assert harm_and_drive(taker, order) == (taker_harm, taker_drive)
    own = [stop_id for stop_id in move.order if stop_id != 1]
    assert move.reordered == (own != [each.stop_id for each in taker.jobs])

    reordered = [one for one in proposals if one.kind == "reorder"]
    unbound = tuple(free if each is extra else each for each in giver.jobs)
    least = min(harm_and_drive(giver, order)[0] for order in permutations(unbound))
    is_worth = kept[0] - least >= WORTH_REORDERING / 2
    # Where the planned order would be as good without the wait, that is not another order.
    assert bool(reordered) == is_worth or (is_worth and harm_and_drive(giver, unbound)[0] == least)
    for one in reordered:
        assert one.weighted_s == least - kept[0]
        assert one.order != tuple(each.stop_id for each in giver.jobs)
    # Late minutes add up: the sides, the job and half of overtime are the whole change.
    for one in proposals:
        sides = [one.giver] if one.kind != "move" else [one.giver, one.taker]
        assert one.weighted_s == one.late_s - one.late_before_s + sum(
            side.lost_s - side.gained_s + (side.overtime_s - side.overtime_before_s) / 2
            for side in sides
        )
    assert proposals == sorted(proposals, key=lambda one: one.rank)


def day(rng: np.random.Generator, van_id: int, stops: int) -> Van:
    """A full day in a region of 60 km, late nearly everywhere."""
    spots = rng.integers(-30, 30, (stops + 1, 2)) * KM
    starts = np.sort(rng.integers(-60, 200, stops)).tolist()
    planned = tuple(
        Job(van_id * 100 + i, spots[i, 0], spots[i, 1], NOW + start * MIN_MS,
            NOW + (start + 60) * MIN_MS, 45 * 60)
        for i, start in enumerate(starts)
    )  # fmt: skip
    return Van(van_id, spots[-1, 0], spots[-1, 1], NOW, planned, home=(0.0, 0.0))


def test_thirty_full_vans_are_compared_within_two_seconds_and_always_alike() -> None:
    rng = np.random.default_rng(4)
    giver, *takers = (day(rng, i, 8) for i in range(1, 2 + CANDIDATES_MAX))
    which = giver.jobs[3]
    started = time.process_time()
    proposals = propose(giver, takers, which, minute_a_km, NOW)
    took_s = time.process_time() - started
    assert len(proposals) >= 1 + CANDIDATES_MAX
    assert propose(giver, takers[::-1], which, minute_a_km, NOW) == proposals
    assert took_s < 2
    # No worse than any single insertion, and better than all of them somewhere.
    for taker in takers:
        move = of(proposals, taker.van_id)
        change = move.weighted_s - sum(
            sign * harm_and_drive(one, one.jobs)[0]
            for sign, one in [(-1, taker), (-1, giver), (1, replace(giver, jobs=tuple(
                each for each in giver.jobs if each != which)))]
        )  # fmt: skip
        assert change <= min(harm_and_drive(taker, order)[0] for order in placed(taker, which))
    assert any(one.reordered for one in proposals)
