"""Ranges of arrival: what adds up to them, what must not disturb them, and in which order they lie."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as with_fields

from geofence.fences import EARTH_RADIUS_M
from geofence.forecast.eta import AtStop, Eta, Itinerary, OnTheWay, StopAhead, Waiting, forecast
from geofence.forecast.travel import UNCALIBRATED, Model, moving
from geofence.forecast.work import UNCALIBRATED_WORK, Work
from tests.unit.test_geofence_travel import Leg, alike, histogram, legs, model_of
from tests.unit.test_geofence_work import sure, work_of

MINUTE: Final = 60_000
HOUR: Final = 3_600_000
#: 10:00 UTC.
NOW: Final = 1_790_000_000_000 // (24 * HOUR) * 24 * HOUR + 10 * HOUR
LATITUDE: Final = 48.0
LONGITUDE: Final = 2.0
#: Degrees of latitude in 1 km.
KM: Final = 1_000 / np.radians(EARTH_RADIUS_M)
#: What is seen of 201 scenarios as 10, 50 and 90 %, lies at 20.5, 100.5 and 180.5 of 201.
SEEN_10: Final = 1.2703 / 1.2816


def stop_at(stop_id: int, km: float, minutes: int = 30) -> StopAhead:
    """Return a stop so far north of where the van set off."""
    return StopAhead(stop_id, LATITUDE + km * KM, LONGITUDE, NOW, NOW + HOUR, minutes * 60)


def starting(*stops: StopAhead, until_ms: int = 0) -> Itinerary:
    """Return a van that has not set off."""
    return Itinerary(LATITUDE, LONGITUDE, NOW, Waiting(until_ms), stops)


def driving(km: float, seconds: float, *stops: StopAhead, **way: float) -> Itinerary:
    """Return a van that has driven for so long and is so far north of where it set off."""
    doing = OnTheWay(NOW - round(seconds * 1_000), LATITUDE, LONGITUDE, **way)
    return Itinerary(LATITUDE + km * KM, LONGITUDE, NOW, doing, stops)


def expect(
    itinerary: Itinerary,
    model: Model = UNCALIBRATED,
    work: Work = UNCALIBRATED_WORK,
    now: int = NOW,
) -> list[Eta]:
    [etas] = forecast([itinerary], model, work, now)
    return etas


def seconds(
    itinerary: Itinerary, model: Model = UNCALIBRATED, work: Work = UNCALIBRATED_WORK
) -> list[float]:
    """Return when the van is expected at each stop, s from now."""
    return [(eta.expected_ms - NOW) / 1_000 for eta in expect(itinerary, model, work)]


def moving_s(km: float) -> float:
    """Return what moving so far takes before a fleet has driven."""
    return float(moving(UNCALIBRATED, np.array([1_000 * km]), np.array([10.0])).expected_s[0])


#: As before a fleet has driven, but nobody ever stands.
FLOWING: Final = with_fields(UNCALIBRATED, standing=alike().standing)


# ---- the chain, reckoned by hand: every leg, every visit and every lag takes just one time


def test_a_chain_is_moving_work_waiting_and_a_break_in_turn() -> None:
    first = replace(stop_at(1, 9.7), radius_m=200.0)  # 9.5 km up to the fence: 1200 s
    second = replace(  # 5.5 km: 800 s
        stop_at(2, 15.2, minutes=10), planned_arrival_ms=NOW + 5_000_000
    )
    third = replace(stop_at(3, 18.2), after_break=True)  # 3 km: 500 s
    fourth = stop_at(4, 18.7)  # 0.5 km: 200 s
    etas = expect(
        starting(first, second, third, fourth),
        alike(break_s=2_700),
        sure(ratio=1.5, lag_s=60),
    )
    at_first = 1_200
    at_second = at_first + 1.5 * 1_800 + 800
    # Planned until 5600, when the work is done at 4700 + 900: he leaves a minute after the plan.
    at_third = 5_000 + 600 + 60 + 500 + 2_700
    at_fourth = at_third + 1.5 * 1_800 + 200
    for eta, arrival_s in zip(etas, [at_first, at_second, at_third, at_fourth], strict=True):
        assert eta.expected_ms == pytest.approx(NOW + 1_000 * arrival_s, abs=1)
        assert eta.early_ms == eta.expected_ms == eta.late_ms


@pytest.mark.parametrize(
    ("planned_s", "leaves_s"),
    [
        (None, 1_200 + 1_800),
        (1_200 + 600, 1_800 + 1_800 + 60),
        (1_200, 1_200 + 1_800 + 60),
        (1_200 - 60, 1_200 + 1_800),
        (1_200 - 61, 1_200 + 1_800),
        (-9_000, 1_200 + 1_800),
    ],
)
def test_who_is_done_before_the_plan_waits_and_leaves_a_little_later(
    planned_s: int | None, leaves_s: int
) -> None:
    planned_ms = None if planned_s is None else NOW + 1_000 * planned_s
    van = starting(replace(stop_at(1, 9.5), planned_arrival_ms=planned_ms), stop_at(2, 15))
    assert seconds(van, alike(), sure(lag_s=60)) == pytest.approx([1_200, leaves_s + 800])


@pytest.mark.parametrize(
    ("planned_s", "leaves_s"), [(None, 2_400), (300, 2_400), (900, 900 + 1_800 + 60)]
)
def test_who_is_at_a_stop_finishes_there_and_waits_too(
    planned_s: int | None, leaves_s: int
) -> None:
    planned_ms = None if planned_s is None else NOW + 1_000 * planned_s
    at = AtStop(1, NOW - 300_000, 1_800, planned_ms)
    van = Itinerary(LATITUDE, LONGITUDE, NOW, at, [stop_at(1, 0), stop_at(2, 5.5)])
    [arrival] = expect(van, alike(), sure(ratio=1.5, lag_s=60))
    assert arrival.stop_id == 2
    assert arrival.expected_ms == pytest.approx(NOW + 1_000 * (leaves_s + 800), abs=1)


def test_who_is_where_nothing_was_planned_stays_as_long_as_usual() -> None:
    van = Itinerary(LATITUDE, LONGITUDE, NOW, AtStop(None, NOW - 300_000), [stop_at(1, 5.5)])
    assert seconds(van, alike(), sure(typical_s=2_000)) == pytest.approx([1_700 + 800])


def test_a_stop_without_a_planned_duration_takes_as_long_as_usual() -> None:
    van = starting(stop_at(1, 9.5, minutes=0), stop_at(2, 15))
    assert seconds(van, alike(), sure(typical_s=2_000)) == pytest.approx([1_200, 1_200 + 2_800])


@pytest.mark.parametrize(("until_s", "waits_s"), [(-900, 0), (0, 0), (900, 900)])
def test_a_van_that_has_not_set_off_waits_until_then(until_s: int, waits_s: int) -> None:
    van = starting(stop_at(1, 9.5), until_ms=NOW + 1_000 * until_s)
    assert seconds(van, alike(), sure()) == pytest.approx([waits_s + 1_200])
    assert seconds(replace(van, t_ms=NOW - HOUR), alike(), sure()) == pytest.approx(
        [waits_s + 1_200]
    )


def test_nobody_waits_for_a_window_to_begin() -> None:
    van = starting(stop_at(1, 9.5), stop_at(2, 15))
    later = [replace(stop, window_start=NOW + 5 * HOUR) for stop in van.stops]
    assert expect(replace(van, stops=later)) == expect(van)


@pytest.mark.parametrize(
    ("after", "breaks_s"),
    [((), [0, 0, 0]), ((1,), [2_700] * 3), ((2,), [0, 2_700, 2_700]), ((3,), [0, 0, 2_700])],
)
def test_a_break_is_added_once_on_the_leg_on_which_it_is_to_come(
    after: tuple[int, ...], breaks_s: list[int]
) -> None:
    stops = [replace(stop_at(i, 9.5 * i), after_break=i in after) for i in (1, 2, 3)]
    plain = seconds(starting(*stops), alike(), sure())
    found = seconds(starting(*stops), alike(break_s=2_700), sure())
    assert np.subtract(found, plain) == pytest.approx(breaks_s)


@pytest.mark.parametrize(
    ("had_s", "left_s"), [(0, 2_700), (900, 1_800), (2_699, 1), (2_700, 0), (9_000, 0)]
)
def test_of_a_break_under_way_what_it_has_lasted_is_over(had_s: float, left_s: float) -> None:
    stops = [replace(stop_at(1, 9.5), after_break=True), stop_at(2, 15)]
    plain = driving(5, 1_000 + had_s, *stops, halted_s=had_s)
    under_way = driving(5, 1_000 + had_s, *stops, halted_s=had_s, break_s=had_s)
    model = alike(break_s=2_700)
    none = seconds(plain, alike(), sure())
    assert np.subtract(seconds(plain, model, sure()), none) == pytest.approx([2_700, 2_700])
    assert np.subtract(seconds(under_way, model, sure()), none) == pytest.approx([left_s, left_s])


def test_a_break_belongs_to_the_first_leg_alone() -> None:
    stops = [stop_at(1, 9.5), replace(stop_at(2, 15), after_break=True)]
    van = driving(5, 2_000, *stops, halted_s=900, break_s=900)
    added = np.subtract(seconds(van, alike(break_s=2_700), sure()), seconds(van, alike(), sure()))
    assert added == pytest.approx([0, 2_700])


def test_the_range_of_a_break_is_the_fleets() -> None:
    model = with_fields(alike(), break_s=(1_800.0, 2_700.0, 4_500.0))
    [eta] = expect(starting(replace(stop_at(1, 9.5), after_break=True)), model, sure())
    assert eta.expected_ms == pytest.approx(NOW + 3_900_000, abs=1)
    assert eta.expected_ms - eta.early_ms == pytest.approx(900_000 * SEEN_10, rel=0.001)
    assert eta.late_ms - eta.expected_ms == pytest.approx(1_800_000 * SEEN_10, rel=0.001)


@pytest.mark.parametrize(("radius_m", "leg_s"), [(0, 2_000), (6_500, 1_200), (15_500, 200)])
def test_who_has_reached_the_fence_has_arrived(radius_m: float, leg_s: float) -> None:
    fenced = replace(stop_at(1, 16), radius_m=radius_m)
    assert seconds(starting(fenced), alike(), sure()) == pytest.approx([leg_s])
    # From the stop, not from its fence, the next leg begins.
    after = seconds(starting(fenced, stop_at(2, 21.5)), alike(), sure())
    assert after == pytest.approx([leg_s, leg_s + 1_800 + 800])


def test_within_the_fence_only_setting_off_is_left() -> None:
    for radius_m in (500.0, 501.0, 90_000.0):
        van = starting(replace(stop_at(1, 0.5), radius_m=radius_m))
        assert seconds(van, alike(), sure()) == pytest.approx([100])


def test_a_day_may_have_many_stops() -> None:
    van = starting(*(stop_at(i, 9.5 * i) for i in range(1, 41)))
    found = seconds(van, alike(), sure())
    assert found == pytest.approx([1_200 + 3_000 * i for i in range(40)], rel=0.01)


# ---- the chain with its spread


def test_a_leg_is_as_uncertain_as_the_fleets_legs_are() -> None:
    [eta] = expect(starting(stop_at(1, 20)), FLOWING)
    spans = moving(FLOWING, np.array([20_000.0]), np.array([10.0]))
    assert eta.expected_ms == pytest.approx(NOW + 1_000 * spans.expected_s[0], abs=1)
    for found_ms, span_s in [
        (eta.expected_ms - eta.early_ms, spans.lower_s[0]),
        (eta.late_ms - eta.expected_ms, spans.upper_s[0]),
    ]:
        assert found_ms / 1_000 == pytest.approx(span_s * SEEN_10, rel=0.001)


def test_independent_spreads_add_up_to_less_than_their_sum() -> None:
    first, second, third = expect(
        starting(stop_at(1, 20, 60), stop_at(2, 40, 60), stop_at(3, 60)), FLOWING
    )
    one_ms = first.late_ms - first.expected_ms
    work_ms = 3_600_000 * (np.exp(0.35 * 1.2816) - 1)
    squares = np.sqrt(2 * one_ms**2 + work_ms**2), np.sqrt(3 * one_ms**2 + 2 * work_ms**2)
    assert second.late_ms - second.expected_ms == pytest.approx(squares[0], rel=0.15)
    assert third.late_ms - third.expected_ms == pytest.approx(squares[1], rel=0.15)


def test_what_some_legs_stand_makes_a_range_wider_to_its_late_side() -> None:
    model = with_fields(FLOWING, standing=alike(stands=histogram(from_15=0.4)).standing)
    [calm], [standing] = (expect(starting(stop_at(1, 9.5)), each) for each in (FLOWING, model))
    assert standing.expected_ms - calm.expected_ms < 8 * MINUTE
    assert standing.late_ms - calm.late_ms > 12 * MINUTE
    assert standing.early_ms >= calm.early_ms


def test_what_a_leg_stood_already_is_not_stood_again() -> None:
    model = alike(stands=histogram(from_15=1.0))  # 15 up to 20 minutes, of everybody
    [fresh] = seconds(starting(stop_at(1, 9.5)), model, sure())
    assert fresh == pytest.approx(1_200 + 1_050, abs=1)
    stood, halted = (
        seconds(driving(0, 1_000, stop_at(1, 9.5), **way), model, sure())
        for way in ({"stood_s": 1_000.0}, {"halted_s": 1_000.0})
    )
    assert halted == pytest.approx([1_200 + 1_050], abs=1)
    assert stood == pytest.approx([1_200 + 100], abs=60)


def test_a_van_that_has_stood_for_nothing_halfway_is_not_expected_to_stand() -> None:
    model = with_fields(FLOWING, standing=alike(stands=histogram(from_15=0.6)).standing)
    fresh, halfway = starting(stop_at(1, 20)), driving(10, moving_s(20) / 2, stop_at(1, 20))
    for van, stands_s in [(fresh, 12 * 60), (halfway, 10)]:
        [with_standing], [without] = seconds(van, model), seconds(van, FLOWING)
        assert with_standing - without == pytest.approx(stands_s, rel=0.2, abs=10)


# ---- on the way: g(x) = moving(x) - 100 s at the knots of a fleet whose legs are alike


#: From 9.5 to 16 km it goes from 1200 to 2000 s: by the prior, 5.5 km at 40 and 1 km at 65 km/h.
ALIKE_15_5_KM: Final = 1_200 + 800 * (5.5 / 40 + 0.5 / 65) / (5.5 / 40 + 1 / 65)


@pytest.mark.parametrize(
    ("whole_km", "km", "rest_s"),
    [
        # 9.5 km in all, g = 1100; of the 100 s of setting off, half is over with the first metres.
        (9.5, 0.0, 1_200),
        (9.5, 1.5, (1_100 - 400 / 2) + 50 * 8 / 9.5),  # twice what is covered is 3 km: g = 400
        (9.5, 8.0, 400 / 2 + 50 * 1.5 / 9.5),  # twice what is left is 3 km
        (9.5, 4.75, 1_100 / 2 + 50 / 2),
        (9.5, 9.25, 100 / 2 + 50 * 0.25 / 9.5),
        (9.5, 9.5, 0),
        (16, 8.25, (ALIKE_15_5_KM - 100) / 2 + 50 * 7.75 / 16),  # a little beyond the middle
        (16, 7.75, 1_900 - (ALIKE_15_5_KM - 100) / 2 + 50 * 8.25 / 16),  # not yet there
    ],
)
def test_the_rest_of_a_leg_has_one_slow_end(whole_km: float, km: float, rest_s: float) -> None:
    whole_s = {9.5: 1_200, 16: 2_000}[whole_km]
    as_expected = driving(km, whole_s - rest_s, stop_at(1, whole_km))
    assert seconds(as_expected, alike(), sure()) == pytest.approx([rest_s], abs=0.1)


def test_the_fence_shortens_the_whole_and_the_rest_of_a_leg_alike() -> None:
    fenced = replace(stop_at(1, 10.5), radius_m=1_000.0)
    rest_s = 400 / 2 + 50 * 1.5 / 9.5
    assert seconds(driving(8, 1_200 - rest_s, fenced), alike(), sure()) == pytest.approx(
        [rest_s], abs=1e-3
    )
    assert seconds(driving(9.6, 1_200, fenced), alike(), sure()) == pytest.approx([0])


@pytest.mark.parametrize("times", [0.5, 1.0, 1.5])
def test_the_pace_of_a_leg_is_its_time_against_what_was_expected(times: float) -> None:
    rest_s = 400 / 2 + 50 * 1.5 / 9.5
    spent_s = 1_200 - rest_s
    pace = (times * spent_s + 900) / (spent_s + 900)
    [eta] = expect(driving(8, times * spent_s, stop_at(1, 9.5)), alike(), sure())
    assert eta.expected_ms - NOW == pytest.approx(1_000 * pace * rest_s, rel=0.001)
    # Half of what was learnt may be wrong: the range reaches back towards the rest before learning.
    learnt_ms = 1_000 * (pace - 1) * rest_s
    assert eta.expected_ms - eta.early_ms == pytest.approx(
        SEEN_10 * max(0.0, learnt_ms) / 2, abs=10
    )
    assert eta.late_ms - eta.expected_ms == pytest.approx(
        SEEN_10 * max(0.0, -learnt_ms) / 2, abs=10
    )


@pytest.mark.parametrize(("spent", "pace"), [(0.0, 0.6), (90_000.0, 2.0)])
def test_no_pace_is_believed_beyond_its_bounds(spent: float, pace: float) -> None:
    # 80 km, of which 8 are left: twice as far is 2000 s, and the whole is 8000.
    rest_s = 1_900 / 2 + 50 * 8 / 80
    found = seconds(driving(72, spent, stop_at(1, 80)), alike(), sure())
    assert found == pytest.approx([pace * rest_s], rel=0.001)


def test_a_pace_is_believed_to_go_on_for_half_an_hour() -> None:
    # 80 km, of which 64 are left: twice what is covered are 32 km.
    model = alike()
    twice_s = float(moving(model, np.array([32_000.0]), np.array([10.0])).expected_s[0])
    rest_s = 7_900 - (twice_s - 100) / 2 + 50 * 64 / 80
    found = seconds(driving(16, 90_000, stop_at(1, 80)), model, sure())
    assert found == pytest.approx([rest_s + 1_800], rel=0.001)


def test_halts_and_short_stops_say_nothing_of_the_pace() -> None:
    halted = driving(8, 1_000 + 5_000, stop_at(1, 9.5), halted_s=5_000)
    stood = driving(8, 1_000 + 59, stop_at(1, 9.5), stood_s=59)
    plain = driving(8, 1_000, stop_at(1, 9.5))
    assert expect(halted, alike()) == expect(plain, alike()) == expect(stood, alike())
    assert expect(driving(8, 6_000, stop_at(1, 9.5)), alike()) != expect(plain, alike())


def test_more_halts_than_there_was_time_are_no_defect() -> None:
    hasty, standing = (driving(1, 100, stop_at(1, 9.5), halted_s=s) for s in (5_000, 100))
    assert expect(hasty) == expect(standing)


def test_two_minutes_without_progress_are_no_evidence_and_five_are_little() -> None:
    at_once, after_2, after_5 = (
        seconds(driving(0, s, stop_at(1, 20)), FLOWING)[0] for s in (0, 120, 300)
    )
    assert after_2 == at_once == pytest.approx(moving_s(20), abs=0.001)
    assert at_once < after_5 < 1.2 * at_once


def test_who_is_nearly_there_is_nearly_there() -> None:
    [eta] = expect(driving(19.95, moving_s(20), stop_at(1, 20)))
    assert eta.late_ms - NOW < 2 * MINUTE


def test_a_fast_road_makes_the_rest_shorter_and_a_slow_one_longer() -> None:
    usual, fast, slow = (
        expect(driving(10, moving_s(20) / 2 * times, stop_at(1, 20)))[0] for times in (1, 0.5, 2)
    )
    assert fast.expected_ms < usual.expected_ms < slow.expected_ms
    assert slow.early_ms <= usual.expected_ms
    assert fast.late_ms >= usual.expected_ms


@given(st.floats(0, 19), st.floats(0, 36_000), st.floats(0, 36_000))
def test_the_longer_a_van_gets_on_slowly_the_later_it_comes(
    km: float, one_s: float, other_s: float
) -> None:
    short_s, long_s = sorted([one_s, other_s])
    [before], [after] = (expect(driving(km, s, stop_at(1, 20))) for s in (short_s, long_s))
    assert before.expected_ms <= after.expected_ms + 1
    assert before.late_ms <= after.late_ms + 1


@given(st.floats(10, 19), st.floats(0, 1_200), st.floats(0, 1_200))
def test_who_stands_on_is_expected_no_sooner_than_if_he_had_gone_on(
    km: float, one_s: float, other_s: float
) -> None:
    sooner_s, later_s = sorted([one_s, other_s])
    before, after = (
        seconds(driving(km, 900 + s, stop_at(1, 20), stood_s=s))[0] + s for s in (sooner_s, later_s)
    )
    assert after >= before - 20


@given(st.floats(0, 59), st.floats(0, 60_000))
def test_a_jam_is_never_believed_to_last_for_ever(km: float, driven_s: float) -> None:
    [jam] = seconds(driving(km, driven_s, stop_at(1, 60)), FLOWING)
    assert jam <= moving_s(60 - km) + 1_800 + 0.001


@given(st.floats(0.01, 0.99), st.floats(0, 6_000), st.floats(0, 600))
def test_nothing_jumps_along_a_leg(share: float, driven_s: float, stood_s: float) -> None:
    stop = replace(stop_at(1, 20), radius_m=100.0)
    here, there = (
        expect(driving(share * 19.9 + more, driven_s, stop, stood_s=stood_s))[0]
        for more in (0, 0.001)
    )
    assert abs(here.expected_ms - there.expected_ms) < 2_000
    assert abs(here.early_ms - there.early_ms) < 2_000
    assert abs(here.late_ms - there.late_ms) < 5_000


@pytest.mark.parametrize("driven_s", [300, 900, 2_400])
def test_nothing_jumps_at_the_middle_of_a_leg(driven_s: float) -> None:
    found = [
        seconds(driving(km, driven_s, stop_at(1, 20)), FLOWING)[0] for km in (9.999, 10, 10.001)
    ]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[2] < 2


def test_who_drives_away_from_the_stop_is_as_far_from_it_as_he_is() -> None:
    away = driving(-5, 120, stop_at(1, 15))
    assert seconds(away, FLOWING) == pytest.approx([moving_s(20)], abs=0.001)


def test_a_van_at_the_gate_that_set_off_there_has_nothing_left_to_drive() -> None:
    [eta] = expect(driving(0, 1_800, stop_at(1, 0)))
    assert NOW <= eta.expected_ms <= NOW + 5 * MINUTE


# ---- a router's word


def test_a_router_says_what_to_expect_and_the_fleet_how_sure_that_is() -> None:
    told, own = (
        expect(starting(replace(stop_at(1, 20), router_s=router_s)), FLOWING)[0]
        for router_s in (1_000.0, None)
    )
    assert told.expected_ms == NOW + 1_000_000
    assert (told.late_ms - NOW) / 1_000_000 == pytest.approx(
        (own.late_ms - NOW) / (own.expected_ms - NOW), rel=1e-5
    )


def test_a_router_is_asked_of_each_leg_and_knows_no_standing_breaks_or_work() -> None:
    stops = [
        replace(stop_at(1, 20), router_s=1_000.0),
        replace(stop_at(2, 40), router_s=500.0, after_break=True),
    ]
    model = alike(stands=histogram(from_15=1.0), break_s=2_700)
    assert seconds(starting(*stops), model, sure()) == pytest.approx(
        [1_000 + 1_050, 1_000 + 1_050 + 1_800 + 500 + 1_050 + 2_700], abs=60
    )


@pytest.mark.parametrize(("times", "pace"), [(1.0, 1.0), (2.0, 1.52)])
def test_of_a_leg_under_way_a_router_says_the_rest_before_the_pace(
    times: float, pace: float
) -> None:
    rest_s = 400 / 2 + 50 * 1.5 / 9.5
    van = driving(8, times * (1_200 - rest_s), replace(stop_at(1, 9.5), router_s=1_000.0))
    assert seconds(van, alike(), sure()) == pytest.approx([pace * 1_000], rel=0.01)


def test_a_router_may_say_that_nothing_is_left_to_drive() -> None:
    [eta] = expect(driving(10, 600, replace(stop_at(1, 20), router_s=0.0)), FLOWING)
    assert eta.early_ms == eta.expected_ms == eta.late_ms == NOW


# ---- the clock


def test_the_clock_on_the_wall_decides_the_part_of_the_day() -> None:
    model = model_of([(10_000.0, 8.0, 2.0)] * 300 + [(10_000.0, 10.0, 1.0)] * 300)
    model = with_fields(model, standing=alike().standing)
    van = starting(stop_at(1, 9.5))
    [there] = seconds(replace(van, utc_offset_s=-7_200.0), model)
    [here] = seconds(van, model)
    assert there == pytest.approx(2 * here, rel=0.02)


def test_the_part_of_the_day_is_that_in_which_a_leg_begins() -> None:
    model = model_of([(10_000.0, 17.0, 2.0)] * 300 + [(10_000.0, 10.0, 1.0)] * 300)
    model = with_fields(model, standing=alike().standing)
    first, second = seconds(starting(stop_at(1, 9.5, 360), stop_at(2, 19)), model, sure())
    assert second - first - 6 * 3_600 == pytest.approx(2 * first, rel=0.02)
    [later] = seconds(starting(stop_at(1, 9.5), until_ms=NOW + 7 * HOUR), model, sure())
    assert later - 7 * 3_600 == pytest.approx(2 * first, rel=0.02)


# ---- silence


def test_a_silent_van_is_believed_to_have_gone_on() -> None:
    van = driving(5, moving_s(5), stop_at(1, 20), stop_at(2, 30))
    for at_once, later in zip(expect(van), expect(van, now=NOW + 5 * MINUTE), strict=True):
        assert later.early_ms == pytest.approx(at_once.early_ms, abs=1)
        assert later.expected_ms == pytest.approx(at_once.expected_ms, abs=1)
        assert later.late_ms == pytest.approx(at_once.late_ms, abs=1)
        assert later.chance_late == at_once.chance_late


def test_a_silent_van_at_a_stop_is_believed_to_have_worked_on() -> None:
    van = Itinerary(LATITUDE, LONGITUDE, NOW, AtStop(1, NOW, 3_600), [stop_at(2, 5.5)])
    [at_once] = expect(van, alike(), sure())
    [later] = expect(van, alike(), sure(), now=NOW + HOUR + 5 * MINUTE)
    assert at_once.expected_ms == later.expected_ms == NOW + HOUR + 800_000


def test_a_silent_van_that_should_have_arrived_is_shown_now_and_not_called_late() -> None:
    van = driving(15, moving_s(20), stop_at(1, 20), stop_at(2, 25))
    [at_once, before] = expect(van)
    now = before.late_ms + MINUTE
    ends = [at_once.late_ms, before.late_ms]
    stops = [replace(stop, window_end=end) for stop, end in zip(van.stops, ends, strict=True)]
    for eta in expect(replace(van, stops=stops), now=now):
        assert eta.early_ms == eta.expected_ms == eta.late_ms == now
        assert eta.chance_late == pytest.approx(0.1, abs=0.01)


# ---- ranges and chances


def test_the_end_of_the_window_itself_is_in_time() -> None:
    # The leg takes 1200 s in every scenario.
    in_time, late = (
        expect(starting(replace(stop_at(1, 9.5), window_end=NOW + end)), alike())[0].chance_late
        for end in (1_200_001, 1_199_999)
    )
    assert (in_time, late) == (0, 1)
    [at_once] = expect(driving(9.5, 9_000, replace(stop_at(1, 9.5), window_end=NOW)), alike())
    assert at_once.expected_ms == NOW
    assert at_once.chance_late == 0


def test_the_chance_is_the_share_of_scenarios_beyond_the_windows_end() -> None:
    # After 1200 s of moving everybody stands for 20 up to 25 minutes, evenly.
    model = alike(stands=histogram(from_20=1.0))
    ends = {0.0: 1_200 + 1_501, 0.25: 1_200 + 1_425, 0.6: 1_200 + 1_320, 1.0: 1_200 + 1_199}
    for chance, end_s in ends.items():
        stop = replace(stop_at(1, 9.5), window_end=NOW + 1_000 * end_s)
        [eta] = expect(starting(stop), model)
        assert eta.chance_late == pytest.approx(chance, abs=0.005)


places = st.floats(-0.5, 0.5)
stops_ahead = st.lists(
    st.builds(
        StopAhead,
        st.just(0),
        places.map(LATITUDE.__add__),
        places.map(LONGITUDE.__add__),
        st.just(NOW),
        st.integers(NOW - HOUR, NOW + 10 * HOUR),
        st.integers(0, 240).map((60).__mul__),
        st.none() | st.integers(NOW - 5 * HOUR, NOW + 10 * HOUR),
        st.none() | st.floats(0, 10_000),
        st.booleans(),
        st.floats(0, 500),
    ),
    min_size=1,
    max_size=5,
).map(lambda stops: [replace(stop, stop_id=i) for i, stop in enumerate(stops, start=1)])
pasts = st.integers(NOW - 10 * HOUR, NOW)
standing_still = st.floats(0, 3_600)
at_stops = st.builds(
    AtStop,
    st.none(),
    pasts,
    st.integers(0, 20_000),
    st.none() | st.integers(NOW - 5 * HOUR, NOW + 5 * HOUR),
)
on_the_ways = st.builds(
    OnTheWay,
    pasts,
    places.map(LATITUDE.__add__),
    places.map(LONGITUDE.__add__),
    standing_still,
    standing_still,
    standing_still,
)
waitings = st.builds(Waiting, st.integers(NOW - HOUR, NOW + 5 * HOUR))
itineraries = st.builds(
    Itinerary,
    places.map(LATITUDE.__add__),
    places.map(LONGITUDE.__add__),
    pasts,
    at_stops | on_the_ways | waitings,
    stops_ahead,
    st.sampled_from([0.0, 3_600.0, -18_000.0]),
)
fleets = st.tuples(
    st.lists(st.tuples(legs, st.sampled_from([0.0, 90.0, 1_000.0])), max_size=20).map(
        lambda observed: model_of([leg for leg, _ in observed], [s for _, s in observed])
    ),
    st.none() | st.just((1_800.0, 2_700.0, 3_600.0)),
    st.lists(st.floats(0.1, 5), max_size=20).map(work_of),
).map(lambda drawn: (with_fields(drawn[0], break_s=drawn[1]), drawn[2]))


@given(st.lists(itineraries, max_size=4), fleets)
def test_nobody_arrives_before_now_and_every_range_is_in_order(
    vans: list[Itinerary], fleet: tuple[Model, Work]
) -> None:
    found = forecast(vans, *fleet, NOW)
    for van, etas in zip(vans, found, strict=True):
        assert [eta.stop_id for eta in etas] == [stop.stop_id for stop in van.stops]
        before = NOW
        for eta in etas:
            assert NOW <= eta.early_ms <= eta.expected_ms <= eta.late_ms
            assert eta.expected_ms >= before
            before = eta.expected_ms


@given(
    itineraries,
    fleets,
    st.sampled_from([("early_ms", 20), ("expected_ms", 100), ("late_ms", 180)]),
)
def test_the_chance_to_be_late_fits_the_range(
    van: Itinerary, fleet: tuple[Model, Work], bound: tuple[str, int]
) -> None:
    name, rank = bound
    ends = [getattr(eta, name) for eta in expect(van, *fleet)]
    for off_ms in (-1, 1):
        stops = [
            replace(stop, window_end=end + off_ms)
            for stop, end in zip(van.stops, ends, strict=True)
        ]
        for eta, end in zip(expect(replace(van, stops=stops), *fleet), ends, strict=True):
            if end == NOW:  # what is past is shown as now
                continue
            late = eta.chance_late * 201
            assert late == pytest.approx(round(late))
            # The range's bound is itself a scenario, with so many of the 201 before it.
            assert round(late) >= 201 - rank if off_ms < 0 else round(late) <= 200 - rank


@given(itineraries, fleets, st.integers(0, 10 * HOUR))
def test_a_later_end_of_the_window_changes_only_the_chance_and_never_raises_it(
    van: Itinerary, fleet: tuple[Model, Work], more_ms: int
) -> None:
    longer = [replace(stop, window_end=stop.window_end + more_ms) for stop in van.stops]
    before, after = expect(van, *fleet), expect(replace(van, stops=longer), *fleet)
    for tight, loose in zip(before, after, strict=True):
        assert 1 >= tight.chance_late >= loose.chance_late >= 0
        assert replace(loose, chance_late=tight.chance_late) == tight


# ---- what does not matter


@given(st.lists(itineraries, max_size=5), fleets)
def test_several_vans_are_foreseen_as_each_would_be_alone(
    vans: list[Itinerary], fleet: tuple[Model, Work]
) -> None:
    assert forecast(vans, *fleet, NOW) == [expect(van, *fleet) for van in vans]


def test_neither_the_clock_nor_the_break_nor_the_day_of_one_van_is_that_of_another() -> None:
    model = model_of([(10_000.0, 10.0, 1.0)] * 99 + [(10_000.0, 17.0, 2.0)] * 99)
    model = with_fields(model, break_s=(1_800.0, 2_700.0, 3_600.0))
    stops = stop_at(1, 9.5), stop_at(2, 19)
    vans = [
        starting(*stops),
        replace(starting(*stops), utc_offset_s=25_200.0),
        starting(replace(stops[0], after_break=True), *stops[1:]),
        starting(*stops, until_ms=NOW + 7 * HOUR),
        starting(*stops, *(stop_at(i, 9.5 * i) for i in range(3, 20))),
        driving(5, 900, *stops, stood_s=300),
    ]
    found = forecast(vans, model, UNCALIBRATED_WORK, NOW)
    assert found == [expect(van, model) for van in vans]
    assert len({etas[0].expected_ms for etas in found}) == len(vans) - 1


@given(itineraries, fleets, st.randoms(use_true_random=False))
def test_what_comes_after_a_stop_and_in_which_order_does_not_matter_to_it(
    van: Itinerary, fleet: tuple[Model, Work], random: object
) -> None:
    whole = expect(van, *fleet)
    for count in range(1, len(van.stops)):
        first, rest = van.stops[:count], list(van.stops[count:])
        random.shuffle(rest)  # type: ignore[attr-defined]
        assert expect(replace(van, stops=[*first, *rest]), *fleet)[:count] == whole[:count]
        assert expect(replace(van, stops=first), *fleet) == whole[:count]


@given(itineraries, fleets)
def test_the_stop_at_which_it_is_does_not_matter(van: Itinerary, fleet: tuple[Model, Work]) -> None:
    doing = AtStop(99, van.t_ms, 1_800)
    here = replace(stop_at(99, 3), after_break=True)
    one, *more = van.stops
    assert expect(replace(van, doing=doing, stops=[one, here, *more]), *fleet) == expect(
        replace(van, doing=doing), *fleet
    )


def test_a_van_without_stops_has_nothing_ahead() -> None:
    at = Itinerary(LATITUDE, LONGITUDE, NOW, AtStop(1, NOW), [stop_at(1, 0)])
    done, other = driving(0, 0), starting(stop_at(1, 9.5))
    found = forecast([done, other, at, done], UNCALIBRATED, UNCALIBRATED_WORK, NOW)
    assert found == [[], expect(other), [], []]
    assert forecast([], UNCALIBRATED, UNCALIBRATED_WORK, NOW) == []


def test_the_same_question_has_the_same_answer() -> None:
    vans = [driving(5, 900, stop_at(1, 20), stop_at(2, 30)), starting(stop_at(3, 9.5))]
    one, other = (forecast(vans, UNCALIBRATED, UNCALIBRATED_WORK, NOW) for _ in range(2))
    assert one == other


# ---- who is slower is never earlier: where all hours are alike, and before a leg or visit begins


not_begun = st.builds(
    Itinerary,
    places.map(LATITUDE.__add__),
    places.map(LONGITUDE.__add__),
    st.just(NOW),
    waitings | at_stops.map(lambda at: replace(at, arrived_at=NOW)),
    stops_ahead,
)


def assert_never_earlier(before: Sequence[Eta], after: Sequence[Eta]) -> None:
    for usual, slower in zip(before, after, strict=True):
        assert slower.early_ms >= usual.early_ms - 1
        assert slower.expected_ms >= usual.expected_ms - 1
        assert slower.late_ms >= usual.late_ms - 1
        assert slower.chance_late >= usual.chance_late


def scaled(model: Model, times: float) -> Model:
    """Return a fleet whose moving takes longer by a factor."""
    return with_fields(
        model,
        **{
            name: tuple(tuple(times * s for s in row) for row in getattr(model, name))
            for name in ("expected_s", "low_s", "high_s")
        },
    )


@given(not_begun, st.floats(1, 3), st.floats(0, 900))
def test_slower_work_and_longer_lags_never_make_anybody_earlier(
    van: Itinerary, times: float, lag_s: float
) -> None:
    slow = with_fields(
        UNCALIBRATED_WORK,
        ratio=tuple(tuple(times * ratio for ratio in row) for row in UNCALIBRATED_WORK.ratio),
        lag_s=(lag_s,) * len(UNCALIBRATED_WORK.lag_s),
    )
    assert_never_earlier(expect(van), expect(van, work=slow))


@given(not_begun, st.floats(1, 3), st.floats(0, 0.5), st.floats(0, 3_600))
def test_slower_roads_more_standing_and_longer_breaks_never_make_anybody_earlier(
    van: Itinerary, times: float, more: float, break_s: float
) -> None:
    usual = with_fields(UNCALIBRATED, break_s=(600.0, 1_200.0, 1_800.0))
    row = [(1 - more) * share for share in UNCALIBRATED.standing[0]]
    row[-1] += more
    slow = with_fields(
        scaled(UNCALIBRATED, times),
        standing=(tuple(row),) * len(UNCALIBRATED.standing),
        break_s=(600 + break_s, 1_200 + break_s, 1_800 + break_s),
    )
    assert_never_earlier(expect(van, usual), expect(van, slow))


@given(not_begun, st.floats(0, 3_600), st.booleans())
def test_who_sets_off_later_is_never_earlier(
    van: Itinerary,
    later_s: float,
    is_waiting: bool,  # noqa: FBT001
) -> None:
    assume(isinstance(van.doing, Waiting) or not is_waiting)
    later_ms = round(1_000 * later_s)
    doing = van.doing
    if isinstance(doing, Waiting):
        later = replace(van, doing=Waiting(doing.until_ms + later_ms))
    else:
        later = replace(van, t_ms=NOW + later_ms, doing=replace(doing, arrived_at=NOW + later_ms))
    assert_never_earlier(expect(van), expect(later))


@given(st.floats(0.5, 9), st.floats(0, 9_000), st.floats(1, 1.3))
@settings(max_examples=50)
def test_slower_roads_never_make_a_van_under_way_earlier_whose_rest_is_short(
    km: float, driven_s: float, times: float
) -> None:
    van = driving(km, driven_s, stop_at(1, 9.5))
    [usual], [slow] = (seconds(van, scaled(FLOWING, each)) for each in (1, times))
    assert slow >= usual - 0.001


@given(st.lists(legs, max_size=20), st.lists(st.floats(0.1, 5), max_size=20))
@settings(max_examples=30)
def test_a_forecast_rests_on_what_the_fleet_did(observed: list[Leg], ratios: list[float]) -> None:
    van = starting(stop_at(1, 9.5, 60), stop_at(2, 19))
    slow = [(d, h, 2.9) for d, h, _ in observed] + [(9_500.0, 10.0, 2.9)] * 60
    usual = expect(van, model_of(observed), work_of(ratios))
    after = expect(van, model_of(observed + slow), work_of(ratios + [5.5] * 60))
    for before, later in zip(usual, after, strict=True):
        assert later.expected_ms > before.expected_ms
