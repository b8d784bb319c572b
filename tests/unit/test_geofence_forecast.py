"""What a van has done since it was last somewhere, as its legs say."""

from typing import Any

from geofence.forecast.outlook import UNPLANNED_S, Place, Seen, Way
from geofence.forecast.store import way_of
from geofence.trips import Leg

MINUTE = 60_000
HOME = Place(45.0, 4.8)
SITE = Place(45.1, 4.8)
VISIT = Seen(1, SITE, 100 * MINUTE, 130 * MINUTE, 131 * MINUTE, 1_800)


def trip(since: int, until: int, distance_m: int = 1_000, standing_s: int = 0) -> Leg:
    times = (since * MINUTE, until * MINUTE)
    closed = True
    return Leg("trip", *times, closed, distance_m, standing_s, 0, 45.0, 4.8)


def halt(since: int, standing_s: int, **more: Any) -> Leg:
    times = (since * MINUTE, since * MINUTE + 1_000 * standing_s)
    return Leg("halt", *times, more.get("closed", True), 0, standing_s, 0, 45.0, 4.8)


def test_who_has_not_moved_has_not_set_off() -> None:
    assert way_of([], [], HOME) == Way(None, HOME)
    assert way_of([halt(10, 3_600, closed=False)], [], HOME) == Way(None, HOME)


def test_who_has_not_moved_since_a_visit_sets_off_from_there() -> None:
    assert way_of([], [VISIT], SITE) == Way(130 * MINUTE, SITE)


def test_a_way_begins_with_the_first_trip_or_with_the_end_of_the_visit() -> None:
    legs = [trip(132, 140, 5_000, 60), trip(145, 150, 2_000, 30)]
    assert way_of(legs, [], HOME) == Way(132 * MINUTE, HOME, 7_000, 90)
    assert way_of(legs, [VISIT], SITE) == Way(130 * MINUTE, SITE, 7_000, 90)


def test_short_halts_are_standing_long_ones_are_halts_and_that_under_way_is_neither() -> None:
    legs = [
        trip(132, 140, 5_000, 60),
        halt(140, UNPLANNED_S - 1),
        halt(160, UNPLANNED_S),
        halt(180, 2_700),
        halt(230, 120, closed=False),
    ]
    way = way_of(legs, [], HOME)
    assert (way.stood_s, way.halted_s, way.halting_s) == (60 + 599, 600 + 2_700, 120)


def test_what_stood_before_the_first_trip_is_no_halt_on_the_way() -> None:
    legs = [halt(100, 2_700), trip(150, 160), halt(160, 300, closed=False)]
    assert way_of(legs, [], HOME) == Way(150 * MINUTE, HOME, 1_000, 0, 0, 300)
