"""One van's day as it really happens, second by second, and the visits that are true.

A van leaves home, drives bent roads with red lights, now and then a jam, parks inside the fence of
each stop, stays, and comes home. Nothing here is measured or sent: noise and faults come later.

Truth is kept clear of doubt. A van stands still only where it is at least `CLEAR_M` outside every
fence, with two exceptions: parked at a stop, which is the visit; and at some red lights beside a
client who is *not* on the day's tour, which is a drive-by and no visit. A visit lasts from the
first second inside the radius, of the approach that ends in parking, to the first second outside.

This module must not know how a visit is recognised from fixes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.roads import (
    LIGHT_EVERY_M,
    LIGHT_S,
    Bools,
    Drive,
    Floats,
    Frame,
    Hold,
    Road,
    bend,
    distance_m,
    drive,
)
from simulators.tours import LUNCH_S, MINUTE_S, Stop, Tour
from simulators.world import Ints, World, dice, local_ms

CLEAR_M: Final = 60.0
#: A stop of today within this of a red light forbids it: its fence may be judged more widely.
TODAY_CLEAR_M: Final = 400.0
ENGINE_LEFT_ON_SHARE: Final = 0.03
JAM_SHARE: Final = 0.05
JAM_PIECES: Final = (6, 16)
JAM_PIECE_S: Final = (60, 360)
DRIVE_BY_SHARE: Final = 0.3
STANDING_MPS: Final = 0.3
#: Looked at before and after a stay, to find where the fence was crossed.
AROUND_S: Final = 600


@dataclass(frozen=True, slots=True)
class Tracker:
    """How often a van's tracker reports, moving and standing still."""

    moving_s: int = 10
    standing_s: int = 30


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Where a van really is at every second from `start_ms`; columns of shape (seconds,)."""

    van: str
    start_ms: int
    latitude_deg: Floats
    longitude_deg: Floats
    speed_mps: Floats
    bearing_deg: Floats
    odometer_m: Floats
    ignition: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    """A drive from one place to the next: where a van may stand on it, does, and in a `jam` does."""

    road: Road
    clear_m: Floats
    beside_m: Floats
    holds: tuple[Hold, ...]
    jam: tuple[Hold, ...]
    pace: float

    def drive(self) -> Drive:
        """Return where the van is at every second of it."""
        return drive(self.road, [*self.holds, *self.jam], self.pace)


@dataclass(frozen=True, slots=True)
class Stay:
    """Parked at a stop, from second `parked` to second `leaves` of the track."""

    stop: Stop
    parked: int
    leaves: int


@dataclass(frozen=True, slots=True)
class Visit:
    """What really happened: `arrived_ms` first inside the fence, `left_ms` first outside again."""

    van: str
    site: str
    arrived_ms: int
    left_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """What a perfect tracker would report; columns of shape (fixes,), `t_ms` int64 UTC."""

    t_ms: Ints
    latitude_deg: Floats
    longitude_deg: Floats
    speed_mps: Floats
    bearing_deg: Floats
    odometer_m: Floats
    ignition: Bools

    def only(self, kept: Bools) -> "Fixes":
        """Return the fixes that are `kept`, shape (fixes,)."""
        return Fixes(
            t_ms=self.t_ms[kept],
            latitude_deg=self.latitude_deg[kept],
            longitude_deg=self.longitude_deg[kept],
            speed_mps=self.speed_mps[kept],
            bearing_deg=self.bearing_deg[kept],
            odometer_m=self.odometer_m[kept],
            ignition=self.ignition[kept],
        )


@dataclass(frozen=True, slots=True, eq=False)
class VanDay:
    """One van's true day; on duty from `on_duty_ms` to `off_duty_ms`, with fixes only between."""

    van: str
    tour: Tour
    on_duty_ms: int
    off_duty_ms: int
    departs_ms: int
    fixes: Fixes
    visits: tuple[Visit, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Fences:
    """The fences a van may meet, in its plane: x, y and radius in metres, and who is today's."""

    x_m: Floats
    y_m: Floats
    radius_m: Floats
    today: Bools


def live(world: World, tour: Tour, tracker: Tracker) -> VanDay:
    """Return the day of one tour, as it is and as a perfect `tracker` sees it."""
    track, stays, _ = travel(world, tour)
    off_duty_ms = track.start_ms + len(track.speed_mps) * 1000 + 30_000
    rng = dice(world.seed, "duty", tour.day.toordinal(), tour.van)
    return VanDay(
        van=track.van,
        tour=tour,
        on_duty_ms=track.start_ms - int(rng.integers(300, 600)) * 1000,
        off_duty_ms=off_duty_ms,
        departs_ms=track.start_ms,
        fixes=report(track, tracker),
        visits=visits(world, track, stays),
    )


class Travelled(NamedTuple):
    """Where a van was at every second, where it parked, and the legs to there."""

    track: Track
    stays: tuple[Stay, ...]
    legs: tuple[Leg, ...]


def travel(world: World, tour: Tour) -> Travelled:
    """Return where the van of `tour` is at every second, and where it parks."""
    rng = dice(world.seed, "travel", tour.day.toordinal(), tour.van)
    van = world.vans[tour.van]
    home = world.technicians[van.technician]
    frame = Frame(home.home_latitude_deg, home.home_longitude_deg)
    fences = _fences_around(world, tour, frame)
    start_s = tour.depart_s + int(rng.integers(-60, 60))
    here, parts, stays, legs, now_s = (0.0, 0.0), [], [], [], start_s
    for stop in tour.stops:
        there = _parking_place(world, frame, stop, rng)
        leg = _leg(here, there, fences, rng, lunch=stop.position == tour.lunch_before)
        legs.append(leg)
        way = leg.drive()
        now_s += len(way.x_m)
        stay_s = draw_stay_s(tour, stop, now_s, rng)
        stays.append(Stay(stop, now_s - start_s, now_s - start_s + stay_s))
        parts += [way, _parked(way, stay_s, rng)]
        now_s += stay_s
        here = there
    parts.append(_leg(here, (0.0, 0.0), fences, rng, lunch=False).drive())
    return Travelled(_track(van.code, tour, frame, parts, start_s), tuple(stays), tuple(legs))


def _fences_around(world: World, tour: Tour, frame: Frame) -> _Fences:
    x_m, y_m = frame.plane(world.site_latitude_deg, world.site_longitude_deg)
    near = np.flatnonzero(np.hypot(x_m, y_m) < 80_000)
    return _Fences(
        x_m[near],
        y_m[near],
        world.site_radius_m[near],
        np.isin(near, [stop.site for stop in tour.stops]),
    )


def _parking_place(
    world: World, frame: Frame, stop: Stop, rng: np.random.Generator
) -> tuple[float, float]:
    """Return x and y a few metres to 30 m from the middle of the fence."""
    x_m, y_m = frame.plane(
        world.site_latitude_deg[[stop.site]], world.site_longitude_deg[[stop.site]]
    )
    off_m, bearing = rng.uniform(3, 30), rng.uniform(0, 2 * np.pi)
    return float(x_m[0] + off_m * np.sin(bearing)), float(y_m[0] + off_m * np.cos(bearing))


def draw_stay_s(tour: Tour, stop: Stop, now_s: int, rng: np.random.Generator) -> int:
    """Work as long as planned, more or less; who is early for the next client waits a while."""
    work_s = round(stop.planned_minutes * MINUTE_S * min(1.6, max(0.7, rng.normal(1.0, 0.12))))
    following = tour.stops[stop.position : stop.position + 1]
    planned_leave_s = stop.arrive_s + stop.planned_minutes * MINUTE_S
    early_s = max(0, planned_leave_s - now_s - work_s) if following else 0
    return max(5 * MINUTE_S, work_s + early_s + int(rng.integers(0, 4 * MINUTE_S)))


def _leg(
    start: tuple[float, float],
    end: tuple[float, float],
    fences: _Fences,
    rng: np.random.Generator,
    *,
    lunch: bool,
) -> Leg:
    road = bend(start, end, rng)
    clear_m, beside_m = _places_to_stand(road, fences)
    holds: list[Hold] = []
    jam: tuple[Hold, ...] = ()
    if len(clear_m):
        lights = int(rng.poisson(lights_expected(road)))
        holds += [red_light(at_m, rng) for at_m in rng.choice(clear_m, lights)]
        if rng.random() < JAM_SHARE:
            pieces = int(rng.integers(*JAM_PIECES))
            jam = tuple(slow_piece(at_m, rng) for at_m in rng.choice(clear_m, pieces))
        if lunch:
            holds.append(Hold(float(rng.choice(clear_m)), LUNCH_S, engine_on=False))
    if len(beside_m) and rng.random() < DRIVE_BY_SHARE:
        holds.append(red_light(rng.choice(beside_m), rng))
    return Leg(road, clear_m, beside_m, tuple(holds), jam, draw_pace(rng))


def lights_expected(road: Road) -> float:
    """Return how many red lights a road has, on average."""
    return 1 + road.length_m / LIGHT_EVERY_M


def red_light(at_m: float, rng: np.random.Generator) -> Hold:
    """Return a red light there."""
    return Hold(float(at_m), int(rng.integers(*LIGHT_S)))


def slow_piece(at_m: float, rng: np.random.Generator) -> Hold:
    """Return a piece of a jam, which is stop and go: half an hour, more or less, in all."""
    return Hold(float(at_m), int(rng.integers(*JAM_PIECE_S)))


def draw_pace(rng: np.random.Generator) -> float:
    """Return how fast the traffic is: 1 on a normal day."""
    return float(min(1.15, max(0.85, rng.normal(1.0, 0.05))))


def _places_to_stand(road: Road, fences: _Fences) -> tuple[Floats, Floats]:
    """Return where a van may stand: clear of every fence, and beside a client of another day.

    Both as metres along the road, a candidate every 40 m.
    """
    at_m = np.arange(300.0, max(300.0, road.length_m - 300.0), 40.0)
    x_m = np.interp(at_m, road.driven_m, road.x_m)
    y_m = np.interp(at_m, road.driven_m, road.y_m)
    margin_m = 600.0
    near = np.flatnonzero(
        (fences.x_m > road.x_m.min() - margin_m)
        & (fences.x_m < road.x_m.max() + margin_m)
        & (fences.y_m > road.y_m.min() - margin_m)
        & (fences.y_m < road.y_m.max() + margin_m)
    )
    apart_m = np.hypot(x_m[:, None] - fences.x_m[near], y_m[:, None] - fences.y_m[near])
    outside_m = apart_m - fences.radius_m[near]
    today = fences.today[near]
    clear = (outside_m > CLEAR_M).all(axis=1)
    beside = (outside_m < -10).any(axis=1) & (outside_m[:, today] > TODAY_CLEAR_M).all(axis=1)
    return at_m[clear], at_m[beside]


def _parked(leg: Drive, stay_s: int, rng: np.random.Generator) -> Drive:
    """Stand where the leg ended; the engine stops soon after and starts again before leaving."""
    ignition = np.ones(stay_s, dtype=np.bool_)
    if rng.random() >= ENGINE_LEFT_ON_SHARE:
        ignition[int(rng.integers(5, 40)) : stay_s - int(rng.integers(5, 30))] = False
    place = np.ones(stay_s)
    return Drive(leg.x_m[-1] * place, leg.y_m[-1] * place, np.zeros(stay_s), ignition)


def _track(van: str, tour: Tour, frame: Frame, parts: Sequence[Drive], start_s: int) -> Track:
    x_m = np.concatenate([part.x_m for part in parts])
    y_m = np.concatenate([part.y_m for part in parts])
    moved_m = np.concatenate([np.diff(part.driven_m, prepend=0.0) for part in parts])
    east_m, north_m = np.diff(x_m, prepend=x_m[0]), np.diff(y_m, prepend=y_m[0])
    heading = np.where(moved_m > STANDING_MPS, np.arange(len(x_m)), 0)
    bearing_deg = np.degrees(np.arctan2(east_m, north_m)) % 360
    latitude_deg, longitude_deg = frame.degrees(x_m, y_m)
    return Track(
        van=van,
        start_ms=local_ms(tour.day, start_s),
        latitude_deg=latitude_deg,
        longitude_deg=longitude_deg,
        speed_mps=moved_m,
        # A standing van keeps the bearing it came with.
        bearing_deg=bearing_deg[np.maximum.accumulate(heading)],
        # Grows from day to day, as if no day were longer than 400 km.
        odometer_m=np.cumsum(moved_m) + (tour.day.toordinal() % 1_000) * 400_000.0,
        ignition=np.concatenate([part.ignition for part in parts]),
    )


def visits(world: World, track: Track, stays: Sequence[Stay]) -> tuple[Visit, ...]:
    """Return the true visits: around each stay, the seconds inside the fence without a break."""
    found = []
    for stay in stays:
        site = world.sites[stay.stop.site]
        first = max(0, stay.parked - AROUND_S)
        around = slice(first, stay.leaves + AROUND_S)
        apart_m = distance_m(
            track.latitude_deg[around],
            track.longitude_deg[around],
            site.latitude_deg,
            site.longitude_deg,
        )
        outside = first + np.flatnonzero(apart_m > site.radius_m)
        before, after = outside[outside < stay.parked], outside[outside >= stay.parked]
        found.append(
            Visit(
                van=track.van,
                site=site.code,
                arrived_ms=track.start_ms + 1000 * (int(before[-1]) + 1),
                left_ms=track.start_ms + 1000 * int(after[0]),
            )
        )
    return tuple(found)


def report(track: Track, tracker: Tracker) -> Fixes:
    """Return what the tracker reports: at every change between moving, standing, on and off.

    Between the changes, at the tracker's pace.
    """
    moving = track.speed_mps > STANDING_MPS
    state = moving * 2 + track.ignition
    starts = np.concatenate([[0], np.flatnonzero(np.diff(state)) + 1])
    ends = np.append(starts[1:], len(state))
    at: NDArray[np.int64] = np.unique(
        np.concatenate(
            [
                np.arange(start, end, tracker.moving_s if moving[start] else tracker.standing_s)
                for start, end in zip(starts, ends, strict=True)
            ]
        )
    )
    return Fixes(
        t_ms=track.start_ms + 1000 * at.astype(np.int64),
        latitude_deg=track.latitude_deg[at],
        longitude_deg=track.longitude_deg[at],
        speed_mps=track.speed_mps[at],
        bearing_deg=track.bearing_deg[at],
        odometer_m=track.odometer_m[at],
        ignition=track.ignition[at],
    )
