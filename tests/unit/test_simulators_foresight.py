"""The oracle must be just: its chances come true as often as it says, and its best is the best."""

from datetime import date
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.fleet import FleetDay, fleet_days
from simulators.foresight import NOTICE_S, Foresight, Judged, _parked, _under_way, best, foresee
from simulators.roads import Hold, bend, drive, duration_s
from simulators.vans import travel
from simulators.world import World, create_world, local_ms

MONDAY = date(2026, 11, 23)

judged = st.lists(
    st.builds(Judged, st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), st.booleans()), max_size=30
)


def by_hand(stops: list[Judged], share: float) -> Foresight:
    """Try every threshold, and none."""
    late = sum(stop.is_late for stop in stops)
    if not late:
        return Foresight(0, None, None)
    announced, least_false = [0.0], [1.0]
    for threshold in {stop.chance for stop in stops} | {2.0}:
        told = [stop for stop in stops if stop.chance >= threshold]
        right = sum(stop.is_late for stop in told)
        wrong = len(told) - right
        false_share = wrong / (late + wrong)
        if false_share <= share:
            announced.append(right / late)
        if right >= (1 - share) * late:
            least_false.append(false_share)
    return Foresight(late, max(announced), min(least_false))


@given(judged, st.sampled_from([0.0, 0.05, 0.2, 0.5]))
def test_the_best_is_the_best_of_all_thresholds(stops: list[Judged], share: float) -> None:
    assert best(stops, share) == by_hand(stops, share)


def test_who_is_late_counts_among_the_announcements_in_time_or_not() -> None:
    stops = [Judged(0.9, is_late=True), Judged(0.8, is_late=False), Judged(0.1, is_late=True)]
    assert best(stops, 0.4) == Foresight(2, 1.0, 1 / 3)
    assert best(stops, 0.3) == Foresight(2, 0.5, 1 / 3)


# ---- what it foresees


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(11, vans=25, sites=1_500, items=30)


@pytest.fixture(scope="module")
def days(world: World) -> list[FleetDay]:
    return list(islice(fleet_days(world, MONDAY), 2))


@pytest.fixture(scope="module")
def stops(world: World, days: list[FleetDay]) -> list[Judged]:
    return [stop for day in days for stop in foresee(world, day)]


def test_every_visit_is_foreseen_and_known_to_be_late_or_not(
    world: World, days: list[FleetDay], stops: list[Judged]
) -> None:
    late = [
        visit.arrived_ms > local_ms(day.day, stop.window_end_s)
        for day in days
        for van_day in day.van_days
        for visit, stop in zip(van_day.visits, van_day.tour.stops, strict=True)
    ]
    assert [stop.is_late for stop in stops] == late
    assert sum(late) >= 10


@pytest.fixture(scope="module")
def ranks(world: World, days: list[FleetDay]) -> list[tuple[float, bool]]:
    """By stop: the share of what was drawn a quarter of an hour ahead that parks before the van did.

    And whether there was a jam on its leg.
    """
    found = []
    for van_day in days[0].van_days:
        day = travel(world, van_day.tour)
        rng = np.random.default_rng(van_day.tour.van)
        for i, stay in enumerate(day.stays):
            moment = stay.parked - NOTICE_S
            if moment >= 0:
                under_way = _under_way(day, moment)
                drawn = np.array([_parked(van_day.tour, day, under_way, i, rng) for _ in range(40)])
                rank = float((drawn < stay.parked).mean() + (drawn == stay.parked).mean() / 2)
                found.append((rank, bool(day.legs[i].jam)))
    return found


def test_what_it_draws_lies_around_what_happens(ranks: list[tuple[float, bool]]) -> None:
    """Ranks of a good forecast are as even as dice; those of one that forgets something lean."""
    for which in ([rank for rank, _ in ranks], [rank for rank, is_jammed in ranks if is_jammed]):
        assert len(which) > 10
        mean, spread = np.mean(which), np.sqrt(1 / 12 / len(which))
        assert abs(mean - 0.5) < 3.5 * spread
        assert 0.5 < np.std(which) / np.sqrt(1 / 12) < 1.15


def test_it_knows_most_of_what_will_be_late(stops: list[Judged]) -> None:
    """Far more than who only knows how many are late."""
    chance = np.array([stop.chance for stop in stops])
    is_late = np.array([stop.is_late for stop in stops])
    assert np.mean((chance - is_late) ** 2) < 0.4 * is_late.mean() * (1 - is_late.mean())


def test_it_throws_the_same_dice_again(world: World, days: list[FleetDay]) -> None:
    one_van = [FleetDay(days[0].day, days[0].van_days[:2], days[0].stock)] * 2
    first, second = ([*foresee(world, day)] for day in one_van)
    assert first == second


@given(
    st.integers(0, 2**32),
    st.floats(300, 30_000),
    st.floats(0.7, 1.3),
    st.lists(st.tuples(st.floats(0.01, 0.99), st.integers(1, 900)), max_size=6),
)
def test_how_long_a_drive_takes_is_known_without_driving_it(
    seed: int, straight_m: float, pace: float, holds: list[tuple[float, int]]
) -> None:
    road = bend((0.0, 0.0), (straight_m, 0.0), np.random.default_rng(seed))
    stands = [Hold(share * road.length_m, wait_s) for share, wait_s in holds]
    assert duration_s(road, stands, pace) == len(drive(road, stands, pace).driven_m)
