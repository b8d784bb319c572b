"""What is foreseen of a van's day: which stops remain, when it comes, and what has cost it time."""

from dataclasses import replace
from datetime import date

import pytest

from geofence.alerts import SILENT_MS
from geofence.eta import UNCALIBRATED, UNCALIBRATED_WORK, crow_m
from geofence.outlook import Place, Seen, VanDay, Way, foresee, legs_of, local_hour
from geofence.tours import Stop
from tests.unit.test_geofence_visits import at

NINE = 1_780_470_000_000  # 2026-06-03 09:00 in Paris
MINUTE = 60_000
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


def positions(day: VanDay) -> list[int]:
    return [found.stop.position for found in foresee(day, UNCALIBRATED, UNCALIBRATED_WORK, NINE)]


def test_stops_that_are_visited_are_not_foreseen() -> None:
    assert positions(replace(DRIVING, seen=[seen(1, -60, -30)])) == [2, 3]


def test_a_stop_that_was_passed_over_comes_last() -> None:
    assert positions(replace(DRIVING, seen=[seen(2, -60, -30)])) == [3, 1]


def test_nothing_is_foreseen_of_a_tour_that_is_done() -> None:
    done = [seen(1, -60, -50), seen(2, -40, -35), seen(3, -30, -20)]
    assert positions(replace(DRIVING, seen=done)) == []


def test_etas_come_one_after_the_other_and_not_before_now() -> None:
    found = foresee(DRIVING, UNCALIBRATED, UNCALIBRATED_WORK, NINE)
    times = [f.eta.expected_ms for f in found]
    assert times == sorted(times)
    assert all(NINE <= f.eta.early_ms <= f.eta.expected_ms <= f.eta.late_ms for f in found)


def test_a_van_at_a_stop_works_there_before_it_drives_on() -> None:
    just_there = replace(DRIVING, here=PLACES[1], seen=[seen(1, 0, None)])
    long_there = replace(DRIVING, here=PLACES[1], seen=[seen(1, -18, None)])
    first, second = (
        foresee(day, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0].eta.expected_ms
        for day in (just_there, long_there)
    )
    assert first > second


def test_a_van_that_has_not_moved_is_expected_in_the_middle_of_its_first_window() -> None:
    waiting = replace(DRIVING, here=HOME, way=Way(None, HOME))
    found = foresee(waiting, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0]
    assert found.eta.expected_ms == pytest.approx(NINE + 300 * MINUTE, abs=2 * MINUTE)


def test_a_stop_far_beyond_its_window_is_late_for_sure_and_pushes_the_next() -> None:
    day = replace(DRIVING, stops=[stop(1, 1), stop(2, 30), stop(3, 600)])
    first = foresee(day, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0]
    assert first.outlook.chance_late > 0.95
    assert first.outlook.pushes == (2,)


def test_what_a_router_says_of_a_leg_is_what_is_expected() -> None:
    legs = legs_of(DRIVING)
    usual = foresee(DRIVING, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0].eta.expected_ms
    told = foresee(DRIVING, UNCALIBRATED, UNCALIBRATED_WORK, NINE, {legs[0]: 7_200.0})[0]
    assert told.eta.expected_ms > usual + 60 * MINUTE


def test_the_legs_ahead_begin_where_the_van_is() -> None:
    assert legs_of(DRIVING)[0] == (DRIVING.here, PLACES[1])
    assert legs_of(DRIVING)[1] == (PLACES[1], PLACES[2])


# ---- causes


def cause(day: VanDay, now: int = NINE) -> str | None:
    """Return why the day is as it is, told because its last stop will be late."""
    last = replace(day.stops[-1], window_end=min(day.stops[-1].window_end, NINE + 1))
    day = replace(day, stops=[*day.stops[:-1], last])
    return foresee(day, UNCALIBRATED, UNCALIBRATED_WORK, now)[0].outlook.cause


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


def test_a_halt_on_the_way_is_a_detour() -> None:
    way = Way(NINE - 60 * MINUTE, HOME, 12_000, halted_s=45 * 60)
    assert cause(replace(DRIVING, way=way)) == "detour"


def test_a_way_much_longer_than_the_crows_is_a_detour() -> None:
    way = Way(NINE - 45 * MINUTE, HOME, 60_000)
    assert crow_m(HOME.latitude_deg, HOME.longitude_deg, *at(8_000)) < 20_000
    assert cause(replace(DRIVING, way=way)) == "detour"


def test_a_first_departure_after_what_the_window_asked_for_is_the_cause() -> None:
    day = replace(
        DRIVING,
        stops=[stop(1, -30)],
        way=Way(NINE - 5 * MINUTE, HOME, 3_000),
        here=Place(*at(-8_000)),
    )
    assert cause(day) == "left_late"


def test_the_hour_is_that_of_the_clock_on_the_wall() -> None:
    assert local_hour(NINE, "Europe/Paris") == 9.0
    assert local_hour(NINE, "Europe/Lisbon") == 8.0


def test_a_cause_is_asked_for_only_where_something_is_at_risk() -> None:
    slow = replace(DRIVING, way=Way(NINE - 70 * MINUTE, HOME, 12_000))
    assert foresee(slow, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0].outlook.cause is None


def test_who_is_early_waits_so_that_it_leaves_as_planned() -> None:
    early = replace(DRIVING, here=PLACES[1], seen=[seen(1, -19, None)])
    planned = replace(early.seen[0], planned_arrival=NINE + 30 * MINUTE)
    waits = replace(early, seen=[planned])
    first, second = (
        foresee(day, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0].eta.expected_ms
        for day in (early, waits)
    )
    assert second - first > 40 * MINUTE


def test_a_van_that_has_not_moved_is_expected_when_the_plan_has_it_there() -> None:
    planned = {1: NINE + 90 * MINUTE}
    waiting = replace(DRIVING, here=HOME, way=Way(None, HOME), planned_arrival_of=planned)
    found = foresee(waiting, UNCALIBRATED, UNCALIBRATED_WORK, NINE)[0]
    assert found.eta.expected_ms == pytest.approx(planned[1], abs=2 * MINUTE)
