"""A van's true day: the fixes and the visits must say the same, before any noise."""

from datetime import date
from itertools import pairwise
from statistics import median

import numpy as np
import pytest

from simulators.fleet import FleetDay, fleet_days
from simulators.roads import distance_m
from simulators.tours import tours
from simulators.vans import (
    CLEAR_M,
    STANDING_MPS,
    Track,
    Tracker,
    live,
    report,
    travel,
)
from simulators.world import World, create_world, local_ms

MONDAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def world() -> World:
    return create_world(3, vans=8, sites=900, items=60)


@pytest.fixture(scope="module")
def monday(world: World) -> FleetDay:
    return next(fleet_days(world, MONDAY))


def outside_m(world: World, track: Track, second: int) -> np.ndarray:
    apart_m = distance_m(
        world.site_latitude_deg,
        world.site_longitude_deg,
        float(track.latitude_deg[second]),
        float(track.longitude_deg[second]),
    )
    return apart_m - world.site_radius_m


def test_every_planned_stop_is_visited_once_in_order(world: World, monday: FleetDay) -> None:
    for van_day in monday.van_days:
        planned = [world.sites[stop.site].code for stop in van_day.tour.stops]
        assert [visit.site for visit in van_day.visits] == planned


def test_visits_of_a_van_never_overlap_and_last(monday: FleetDay) -> None:
    for van_day in monday.van_days:
        for visit, following in pairwise(van_day.visits):
            assert visit.left_ms < following.arrived_ms
        for visit in van_day.visits:
            assert visit.left_ms - visit.arrived_ms >= 5 * 60_000


def test_the_fixes_of_a_parked_van_lie_inside_the_fence(world: World, monday: FleetDay) -> None:
    for van_day in monday.van_days:
        fixes = van_day.fixes
        for visit, stop in zip(van_day.visits, van_day.tour.stops, strict=True):
            site = world.sites[stop.site]
            inside = (fixes.t_ms >= visit.arrived_ms) & (fixes.t_ms < visit.left_ms)
            apart_m = distance_m(
                fixes.latitude_deg, fixes.longitude_deg, site.latitude_deg, site.longitude_deg
            )
            assert inside.sum() > 8
            assert (apart_m[inside] <= site.radius_m).all()
            parked = inside & (fixes.speed_mps < STANDING_MPS)
            assert apart_m[parked].max() < 35
            just_before = np.flatnonzero(fixes.t_ms < visit.arrived_ms)[-1]
            just_after = np.flatnonzero(fixes.t_ms >= visit.left_ms)[0]
            assert apart_m[just_before] > site.radius_m
            assert apart_m[just_after] > site.radius_m


def test_who_stands_elsewhere_stands_clear_of_every_fence_or_only_briefly_beside_another_client(
    world: World,
) -> None:
    drive_bys = 0
    for tour in (tour for day in (23, 24, 25, 26) for tour in tours(world, date(2026, 11, day))):
        track, stays, _ = travel(world, tour)
        today = [stop.site for stop in tour.stops]
        standing = track.speed_mps < STANDING_MPS
        standing[:30] = standing[-30:] = False  # at home
        for stay in stays:
            standing[stay.parked - 5 : stay.leaves + 5] = False
        edges = np.flatnonzero(np.diff(np.concatenate([[0], standing, [0]])))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            away_m = outside_m(world, track, int(start))
            if away_m.min() < CLEAR_M - 6:
                drive_bys += 1
                assert away_m[today].min() > 300
                assert end - start <= 75
                assert track.ignition[start:end].all()
    assert drive_bys > 0


def test_the_engine_stops_at_most_stops_and_runs_on_the_road(world: World) -> None:
    stopped = stays_in_all = 0
    for day in (23, 24, 25):
        for tour in tours(world, date(2026, 11, day)):
            track, stays, _ = travel(world, tour)
            assert track.ignition[track.speed_mps > 1].all()
            stays_in_all += len(stays)
            stopped += sum(not track.ignition[stay.parked : stay.leaves].all() for stay in stays)
    assert 0.85 < stopped / stays_in_all < 1


def test_clients_are_mostly_met_on_time_and_the_first_within_half_an_hour() -> None:
    world = create_world(11, vans=40, sites=6_000, items=20)
    late, stops, ways_min = 0, 0, []
    for tour in tours(world, MONDAY):
        van_day = live(world, tour, Tracker())
        ways_min.append((van_day.visits[0].arrived_ms - van_day.departs_ms) / 60_000)
        for stop, visit in zip(tour.stops, van_day.visits, strict=True):
            stops += 1
            late += visit.arrived_ms > local_ms(MONDAY, stop.window_end_s)
        assert van_day.off_duty_ms < local_ms(MONDAY, 20 * 3600)
    assert 0.02 < late / stops < 0.15
    assert 10 < median(ways_min) < 25


def test_the_tracker_reports_on_time_and_at_every_change_of_the_ignition(world: World) -> None:
    track, _, _ = travel(world, tours(world, MONDAY)[0])
    fixes = report(track, Tracker(moving_s=10, standing_s=30))
    gaps_s = np.diff(fixes.t_ms) / 1000
    assert (gaps_s > 0).all()
    assert gaps_s.max() <= 30
    assert gaps_s[fixes.speed_mps[:-1] > STANDING_MPS].max() <= 10
    changes = np.flatnonzero(np.diff(track.ignition.astype(int))) + 1
    assert len(changes) >= 8
    assert set((track.start_ms + 1000 * changes).tolist()) <= set(fixes.t_ms.tolist())


def test_all_fixes_lie_within_duty_and_begin_and_end_at_home(
    world: World, monday: FleetDay
) -> None:
    for van_day in monday.van_days:
        home = world.technicians[world.vans[van_day.tour.van].technician]
        fixes = van_day.fixes
        assert van_day.on_duty_ms < fixes.t_ms[0]
        assert fixes.t_ms[-1] < van_day.off_duty_ms
        apart_m = distance_m(
            fixes.latitude_deg,
            fixes.longitude_deg,
            home.home_latitude_deg,
            home.home_longitude_deg,
        )
        assert apart_m[[0, -1]].max() < 300
