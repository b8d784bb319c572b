"""What is foreseen of a van's day: which stops remain, when it comes, and what has cost it time."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Final

import pytest
from msgspec import structs
from msgspec.structs import replace as replaced

from geofence.alerts import SILENT_MS
from geofence.fences import distance_m
from geofence.forecast.outlook import (
    Foreseen,
    Place,
    Seen,
    VanDay,
    Way,
    foresee,
    legs_of,
    local_hour,
)
from geofence.forecast.travel import KNOTS_M, UNCALIBRATED, Model
from geofence.forecast.work import UNCALIBRATED_WORK
from geofence.tours import Stop
from tests.unit.test_geofence_travel import alike, histogram
from tests.unit.test_geofence_visits import at
from tests.unit.test_geofence_work import sure

NINE: Final = 1_780_470_000_000  # 2026-06-03 09:00 in Paris
MINUTE: Final = 60_000
HOME = Place(*at(-10_000))
PLACES = {i: Place(*at(8_000.0 * i)) for i in range(5)}


def stop(position: int, end_minutes: int = 600) -> Stop:
    return Stop(
        position, 7, date(2026, 6, 3), position, position, NINE, NINE + end_minutes * MINUTE, 1_200
    )


def seen(stop_id: int | None, arrived: int, left: int | None, planned_s: int = 1_200) -> Seen:
    """Return a visit by minutes since nine; its last fix inside is when it left, or now."""
    place = PLACES[stop_id or 0]
    last = 0 if left is None else left
    return Seen(
        stop_id,
        place,
        NINE + arrived * MINUTE,
        NINE + last * MINUTE,
        None if left is None else NINE + left * MINUTE,
        planned_s,
    )


DRIVING = VanDay(
    7, Place(*at(2_000)), NINE, [stop(1), stop(2), stop(3)], PLACES, [],
    Way(NINE - 20 * MINUTE, HOME, 12_000),
)  # fmt: skip


def of(day: VanDay, model: Model = UNCALIBRATED, now: int = NINE) -> list[Foreseen]:
    return foresee([day], model, UNCALIBRATED_WORK, now)


def positions(day: VanDay) -> list[int]:
    return [found.stop.position for found in of(day)]


def test_stops_that_are_visited_are_not_foreseen() -> None:
    assert positions(replace(DRIVING, seen=[seen(1, -60, -30)])) == [2, 3]


def test_a_stop_that_was_passed_over_comes_last() -> None:
    assert positions(replace(DRIVING, seen=[seen(2, -60, -30)])) == [3, 1]


def test_nothing_is_foreseen_of_a_tour_that_is_done() -> None:
    done = [seen(1, -60, -50), seen(2, -40, -35), seen(3, -30, -20)]
    assert positions(replace(DRIVING, seen=done)) == []
    assert foresee([], UNCALIBRATED, UNCALIBRATED_WORK, NINE) == []


def test_etas_come_one_after_the_other_and_not_before_now() -> None:
    found = of(DRIVING)
    times = [f.eta.expected_ms for f in found]
    assert times == sorted(times)
    assert all(NINE <= f.eta.early_ms <= f.eta.expected_ms <= f.eta.late_ms for f in found)


def test_a_van_at_a_stop_works_there_before_it_drives_on() -> None:
    just_there = replace(DRIVING, here=PLACES[1], seen=[seen(1, 0, None)])
    long_there = replace(DRIVING, here=PLACES[1], seen=[seen(1, -18, None)])
    first, second = (of(day)[0].eta.expected_ms for day in (just_there, long_there))
    assert first > second


@pytest.mark.parametrize(
    ("plan", "expected"), [({}, 300), ({1: NINE + 90 * MINUTE}, 90), ({2: NINE}, 300)]
)
def test_a_van_that_has_not_moved_is_expected_as_planned_or_in_the_middle_of_the_window(
    plan: Mapping[int, int], expected: int
) -> None:
    waiting = replace(DRIVING, here=HOME, way=Way(None, HOME), planned_arrival_of=plan)
    sure_of_it, not_sure = of(waiting, with_break(None))[0], of(waiting)[0]
    assert sure_of_it.eta.expected_ms == NINE + expected * MINUTE
    assert not_sure.eta.expected_ms == pytest.approx(NINE + expected * MINUTE, abs=4 * MINUTE)


def test_a_stop_far_beyond_its_window_is_late_for_sure_and_pushes_the_next() -> None:
    day = replace(DRIVING, stops=[stop(1, 1), stop(2, 30), stop(3, 600)])
    first = of(day)[0]
    assert first.outlook.chance_late > 0.95
    assert first.outlook.pushes == (2,)


def test_an_outlook_says_what_the_eta_says() -> None:
    day = replace(DRIVING, stops=[stop(1, 13), stop(2, 30), stop(3, 600)])
    for found in of(day):
        assert found.outlook.expected_at == found.eta.expected_ms
        assert found.outlook.chance_late == found.eta.chance_late
    assert 0 < of(day)[0].outlook.chance_late < 1


def test_what_a_router_says_of_a_leg_is_what_is_expected() -> None:
    legs = legs_of(DRIVING)
    usual = of(DRIVING)[0].eta.expected_ms
    told = foresee([DRIVING], UNCALIBRATED, UNCALIBRATED_WORK, NINE, {7: {legs[0]: 7_200.0}})[0]
    assert told.eta.expected_ms > usual + 60 * MINUTE


def test_the_legs_ahead_begin_where_the_van_is() -> None:
    assert legs_of(DRIVING)[0] == (DRIVING.here, PLACES[1])
    assert legs_of(DRIVING)[1] == (PLACES[1], PLACES[2])
    there = replace(DRIVING, seen=[seen(1, -10, None)])
    assert legs_of(there) == [(PLACES[1], PLACES[2]), (PLACES[2], PLACES[3])]


def test_who_is_early_waits_so_that_it_leaves_as_planned() -> None:
    early = replace(DRIVING, here=PLACES[1], seen=[seen(1, -19, None)])
    planned = replace(early.seen[0], planned_arrival=NINE + 30 * MINUTE)
    waits = replace(early, seen=[planned])
    first, second = (of(day)[0].eta.expected_ms for day in (early, waits))
    assert second - first > 40 * MINUTE


def test_the_fence_of_a_site_brings_it_nearer() -> None:
    fenced = {i: replace(place, radius_m=4_000.0) for i, place in PLACES.items()}
    before, after = (
        of(replace(DRIVING, place_of=places))[0].eta.expected_ms for places in (PLACES, fenced)
    )
    # 6 km are left of 18; 4 km of town and main road are 7 minutes.
    assert before - after > 4 * MINUTE


def test_the_hour_is_that_of_the_clock_on_the_wall() -> None:
    assert local_hour(NINE, "Europe/Paris") == 9.0
    assert local_hour(NINE, "Europe/Lisbon") == 8.0


def test_the_parts_of_the_day_go_by_the_clock_of_the_first_stop() -> None:
    rows = tuple((600.0 * (part + 1),) * len(KNOTS_M) for part in range(5))
    model = Model(rows, rows, rows, alike().standing)
    waiting = replace(
        DRIVING, here=HOME, way=Way(None, HOME), planned_arrival_of={1: NINE - 60 * MINUTE}
    )
    # At nine it is the end of the morning peak in Paris, the middle of it in Lisbon, noon in Kolkata.
    paris, lisbon, kolkata = (
        of(replace(waiting, time_zone=zone), model)[0].eta.expected_ms - NINE
        for zone in ("Europe/Paris", "Europe/Lisbon", "Asia/Kolkata")
    )
    assert (paris, lisbon, kolkata) == (1_500_000, 1_800_000, 2_400_000)


# ---- several vans


def test_several_vans_are_foreseen_one_after_the_other_as_each_would_be_alone() -> None:
    plan = {i: NINE + minutes * MINUTE for i, minutes in {1: 150, 2: 240, 3: 300}.items()}
    days = [
        replace(DRIVING, stops=[stop(1, 1), stop(2, 30), stop(3, 600)]),
        replace(DRIVING, van_id=8, seen=[seen(i, -60 + i, -59 + i) for i in (1, 2, 3)]),
        replace(DRIVING, van_id=9, planned_arrival_of=plan),
        replace(DRIVING, van_id=10, seen=[seen(1, -30, None)], here=PLACES[1]),
        replace(DRIVING, van_id=11, way=Way(None, HOME), time_zone="Europe/Lisbon"),
    ]
    model = with_break(2_700)
    assert foresee(days, model, UNCALIBRATED_WORK, NINE) == [
        found for day in days for found in of(day, model)
    ]


def test_what_a_router_says_of_one_van_is_not_said_of_another() -> None:
    other = replace(DRIVING, van_id=8)
    told = {7: {legs_of(DRIVING)[0]: 7_200.0}}
    found = foresee([DRIVING, other], UNCALIBRATED, UNCALIBRATED_WORK, NINE, told)
    assert found[3:] == of(other)
    assert found[0].eta.expected_ms > found[3].eta.expected_ms + 60 * MINUTE


# ---- the break: every leg takes 10 minutes, every visit lasts as planned, a break is 45 minutes


def with_break(break_s: float | None) -> Model:
    return alike([600.0] * len(KNOTS_M), break_s=break_s)


def planned(leaves: float, gap_s: float, of_next_s: float = 600) -> Mapping[int, int]:
    """Return a plan: 20 minutes at stop 1 until so many minutes after nine, then gaps to 2 and 3."""
    leaves_ms = NINE + round(leaves * MINUTE)
    second = leaves_ms + round(1_000 * gap_s)
    third = second + 1_200_000 + round(1_000 * of_next_s)
    return {1: leaves_ms - 1_200_000, 2: second, 3: third}


def waiting(plan: Mapping[int, int]) -> VanDay:
    return replace(DRIVING, here=HOME, way=Way(None, HOME), planned_arrival_of=plan)


def after_first(plan: Mapping[int, int], **way: int) -> VanDay:
    """Return a van on its way from stop 1 to stop 2 since it was to leave there."""
    leaves = plan[1] + 1_200_000
    visit = Seen(1, PLACES[1], plan[1], leaves, leaves, 1_200, plan[1])
    now = leaves + 1_000 * sum(way.values()) + 5 * MINUTE
    return replace(
        DRIVING,
        here=Place(*at(12_000)),
        t_ms=now,
        seen=[visit],
        way=Way(leaves, PLACES[1], 4_000, **way),
        planned_arrival_of=plan,
    )


def arrivals_s(day: VanDay, model: Model, now: int | None = None) -> dict[int, float]:
    """Return when it is expected, s from when it was last seen, by stop."""
    found = foresee([day], model, sure(), day.t_ms if now is None else now)
    return {each.stop.stop_id: (each.eta.expected_ms - day.t_ms) / 1_000 for each in found}


def breaks_s(day: VanDay, break_s: float = 2_700) -> dict[int, float]:
    """Return what the first stop that a break makes later, is later by; nothing without one."""
    usual, later = arrivals_s(day, with_break(None)), arrivals_s(day, with_break(break_s))
    added = {stop_id: round(later[stop_id] - usual[stop_id], 3) for stop_id in usual}
    return dict([each for each in added.items() if each[1] != 0][:1])


ROOM_S: Final = 600 + 0.75 * 2_700
NOON_PLAN: Final = planned(180, 3_300)


def test_the_break_comes_on_the_way_for_which_the_plan_leaves_that_much_more() -> None:
    assert breaks_s(waiting(planned(180, 3_300))) == {2: 2_700}
    assert breaks_s(waiting(planned(180, 600, 3_300))) == {3: 2_700}
    assert breaks_s(waiting(planned(180, 600, 600))) == {}


@pytest.mark.parametrize(("gap_s", "before"), [(ROOM_S, {2: 2_700}), (ROOM_S - 1, {})])
def test_a_plan_has_room_for_a_break_if_it_leaves_three_quarters_of_one(
    gap_s: float, before: dict[int, float]
) -> None:
    assert breaks_s(waiting(planned(180, gap_s))) == before


@pytest.mark.parametrize(
    ("leaves", "before"),
    [
        (90, {2: 2_700}),
        (90 - 1 / 60, {}),
        (330 - 1 / 60, {2: 2_700}),
        (330, {}),
        (60, {}),
        (480, {}),
    ],
)
def test_a_break_is_begun_from_half_past_ten_to_half_past_two(
    leaves: float, before: dict[int, float]
) -> None:
    assert breaks_s(waiting(planned(leaves, 3_300))) == before


def test_the_hours_of_breaks_go_by_the_clock_of_the_first_stop() -> None:
    early = waiting(planned(60, 3_300))
    assert breaks_s(early) == {}
    assert breaks_s(replace(early, time_zone="Europe/Lisbon")) == {}
    assert breaks_s(replace(early, time_zone="Europe/Athens")) == {2: 2_700}


def test_of_several_ways_with_room_it_is_the_first() -> None:
    day = waiting(planned(180, 3_300, 3_300))
    # Late by the break but for the slack that the plan leaves him at the second stop, and once.
    assert breaks_s(day) == {2: 2_700}
    usual, later = (arrivals_s(day, with_break(break_s)) for break_s in (None, 2_700))
    assert later[3] - usual[3] == pytest.approx(0)
    early = planned(60, 3_300, 3_300)
    assert breaks_s(waiting(early)) == {3: 2_700}


def test_the_way_to_the_first_stop_has_no_break() -> None:
    far = {i: time + 120 * MINUTE for i, time in planned(180, 600, 600).items()}
    assert breaks_s(waiting(far)) == {}


@pytest.mark.parametrize("unplanned", [(1,), (2,), (1, 2, 3)])
def test_where_the_plan_does_not_say_when_it_has_no_room(unplanned: tuple[int, ...]) -> None:
    plan = {i: time for i, time in NOON_PLAN.items() if i not in unplanned}
    assert breaks_s(waiting(plan)) == {}


def test_a_fleet_without_breaks_has_none() -> None:
    assert arrivals_s(waiting(NOON_PLAN), with_break(None)) == arrivals_s(
        waiting(NOON_PLAN), with_break(0)
    )


def test_a_long_way_leaves_no_room() -> None:
    slow = alike([2_700.0] * len(KNOTS_M), break_s=2_700)
    none = alike([2_700.0] * len(KNOTS_M))
    assert arrivals_s(waiting(NOON_PLAN), slow) == arrivals_s(waiting(NOON_PLAN), none)


def test_a_way_on_which_vans_mostly_stand_takes_as_long_as_it_mostly_does() -> None:
    stands = histogram(from_15=0.6)  # 15 up to 20 minutes
    models = [alike([600.0] * len(KNOTS_M), stands, break_s) for break_s in (None, 2_700)]
    for gap_s, is_break in [(ROOM_S + 1_051, True), (ROOM_S + 1_049, False)]:
        none, later = (arrivals_s(waiting(planned(180, gap_s)), model)[2] for model in models)
        assert (later > none + 1_800) is is_break


def test_the_break_waits_while_the_van_is_at_the_stop_before() -> None:
    visit = Seen(1, PLACES[1], NOON_PLAN[1], NOON_PLAN[1] + MINUTE, None, 1_200, NOON_PLAN[1])
    day = replace(after_first(NOON_PLAN), here=PLACES[1], t_ms=visit.last_inside_at, seen=[visit])
    assert breaks_s(day) == {2: 2_700}
    # Whatever it had halted on the way to it.
    assert breaks_s(replace(day, way=Way(NOON_PLAN[1], HOME, halted_s=2_700))) == {2: 2_700}


@pytest.mark.parametrize(
    ("halted_s", "before"),
    [(0, {2: 2_700}), (1_349, {2: 2_700}), (1_350, {}), (2_700, {}), (9_000, {})],
)
def test_a_break_is_over_when_it_goes_on_after_halts_of_half_its_length(
    halted_s: int, before: dict[int, float]
) -> None:
    assert breaks_s(after_first(NOON_PLAN, halted_s=halted_s)) == before


@pytest.mark.parametrize(
    ("halting_s", "before"),
    [(600, {2: 2_100}), (1_350, {2: 1_350}), (2_699, {2: 1}), (2_700, {}), (9_000, {})],
)
def test_a_halt_under_way_counts_against_the_break(
    halting_s: int, before: dict[int, float]
) -> None:
    assert breaks_s(after_first(NOON_PLAN, halting_s=halting_s)) == before


def test_a_short_halt_is_the_beginning_of_the_break_where_one_is_to_come() -> None:
    model = with_break(2_700)
    at_once = arrivals_s(after_first(NOON_PLAN), model)
    for halting_s in (30, 300, 599):
        halting = arrivals_s(after_first(NOON_PLAN, halting_s=halting_s), model)
        assert halting[2] == pytest.approx(at_once[2] - halting_s, abs=0.01)


def test_a_halt_under_way_after_a_break_is_no_other_break() -> None:
    assert breaks_s(after_first(NOON_PLAN, halted_s=1_350, halting_s=900)) == {}
    assert breaks_s(after_first(NOON_PLAN, halted_s=900, halting_s=900)) == {2: 1_800}


def test_halts_on_another_way_are_not_the_break() -> None:
    plan = planned(180, 600, 3_300)
    for way in ({"halted_s": 2_700}, {"halting_s": 2_700}):
        late = after_first(plan, **way)
        assert breaks_s(late) == {3: 2_700}


def test_a_short_halt_on_another_way_is_standing() -> None:
    plan = planned(180, 600, 3_300)
    model = replaced(UNCALIBRATED, break_s=(2_700.0,) * 3)
    halting, stood = (after_first(plan, **way) for way in ({"halting_s": 300}, {"stood_s": 300}))
    assert of(halting, model, halting.t_ms) == of(stood, model, stood.t_ms)


def test_once_the_stop_after_it_is_reached_the_break_is_over() -> None:
    day = after_first(planned(180, 3_300, 3_300))
    second = Seen(2, PLACES[2], day.t_ms, day.t_ms, None, 1_200)
    assert breaks_s(replace(day, here=PLACES[2], seen=[*day.seen, second])) == {}


# ---- halts and slow traffic on a way without a break


def test_long_halts_say_nothing_of_the_road_as_if_the_van_had_left_later() -> None:
    left = DRIVING.way.departed_at
    assert left is not None
    usual = of(DRIVING)[0].eta
    for way in (
        Way(left - 20 * MINUTE, HOME, 12_000, halted_s=1_200),
        Way(left - 10 * MINUTE, HOME, 12_000, halting_s=600),
        Way(left - 30 * MINUTE, HOME, 12_000, halted_s=1_200, halting_s=600),
    ):
        assert of(replace(DRIVING, way=way))[0].eta == usual


def test_a_halt_of_less_than_ten_minutes_is_standing_and_so_is_what_was_stood() -> None:
    left = DRIVING.way.departed_at
    assert left is not None
    halting = Way(left - 599_000, HOME, 12_000, halting_s=599)
    stood = Way(left - 599_000, HOME, 12_000, stood_s=599)
    both = Way(left - 599_000, HOME, 12_000, stood_s=299, halting_s=300)
    etas = [of(replace(DRIVING, way=way))[0].eta for way in (halting, stood, both)]
    assert etas[0] == etas[1] == etas[2]
    assert etas[0].expected_ms > of(DRIVING)[0].eta.expected_ms + 2 * MINUTE


# ---- causes


def cause(day: VanDay, now: int = NINE) -> str | None:
    """Return why the day is as it is, told because its last stop will be late."""
    last = structs.replace(day.stops[-1], window_end=min(day.stops[-1].window_end, NINE + 1))
    day = replace(day, stops=[*day.stops[:-1], last])
    return of(day, now=now)[0].outlook.cause


def test_a_van_as_usual_has_no_cause() -> None:
    driven = replace(DRIVING, way=Way(NINE - 13 * MINUTE, HOME, 12_000))
    assert cause(driven) is None


def test_a_silent_van_has_no_other_cause() -> None:
    assert cause(DRIVING, NINE + SILENT_MS) == "silence"


def test_a_visit_beyond_its_plan_is_the_cause() -> None:
    long_visit = seen(1, -90, -10)
    way = Way(NINE - 10 * MINUTE, PLACES[1], 6_000)
    day = replace(DRIVING, here=Place(*at(13_000)), seen=[long_visit], way=way)
    assert cause(day) == "long_visit"


def test_a_slow_road_is_the_cause() -> None:
    assert cause(replace(DRIVING, way=Way(NINE - 70 * MINUTE, HOME, 12_000))) == "slow_road"


def test_slow_traffic_is_a_slow_road_too() -> None:
    stood = Way(NINE - 70 * MINUTE, HOME, 12_000, stood_s=50 * 60)
    assert cause(replace(DRIVING, way=stood)) == "slow_road"


@pytest.mark.parametrize("way", [{"halted_s": 45 * 60}, {"halting_s": 45 * 60}])
def test_a_halt_on_the_way_is_a_detour(way: Mapping[str, int]) -> None:
    halted = Way(NINE - 80 * MINUTE, HOME, 12_000, **way)
    assert cause(replace(DRIVING, way=halted)) == "detour"


@pytest.mark.parametrize(("halting_s", "unplanned_s"), [(599, 1_200), (600, 1_800)])
def test_a_halt_under_way_is_unplanned_from_ten_minutes_on(
    halting_s: int, unplanned_s: int
) -> None:
    assert Way(NINE, HOME, halted_s=1_200, halting_s=halting_s).unplanned_s == unplanned_s


def test_a_way_much_longer_than_the_crows_is_a_detour() -> None:
    way = Way(NINE - 45 * MINUTE, HOME, 60_000)
    assert distance_m(HOME.latitude_deg, HOME.longitude_deg, *at(8_000)) < 20_000
    assert cause(replace(DRIVING, way=way)) == "detour"


def test_a_first_departure_after_what_the_window_asked_for_is_the_cause() -> None:
    day = replace(
        DRIVING,
        stops=[stop(1, -30)],
        way=Way(NINE - 5 * MINUTE, HOME, 3_000),
        here=Place(*at(-8_000)),
    )
    assert cause(day) == "left_late"


def test_a_cause_is_asked_for_only_where_something_is_at_risk() -> None:
    slow = replace(DRIVING, way=Way(NINE - 70 * MINUTE, HOME, 12_000))
    assert of(slow)[0].outlook.cause is None
