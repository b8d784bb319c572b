"""Roads that never were: a line with bends between two points, and a van that drives it.

A road is a straight line bent by midpoint displacement: each segment's middle is pushed sideways by
a share of its length, again and again. A van drives it at town speed near both ends and at
main-road and motorway speed between, brakes and accelerates at 1.2 m/s2, and stands still where it
is told to. Everything is planar: x east and y north, metres, around one van's home.

This module must not know of fences, tours or messages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Mean radius of the Earth (IUGG), metres.
EARTH_RADIUS_M: Final = 6_371_008.8
METRES_PER_DEGREE: Final = EARTH_RADIUS_M * np.pi / 180

#: (distance from the nearer end of the road, m; speed there, m/s): town, main road, motorway.
SPEEDS: Final = ((2_000.0, 9.0), (5_000.0, 15.0), (np.inf, 27.0))
ACCELERATION_MPS2: Final = 1.2
CREEP_MPS: Final = 1.5
STEP_M: Final = 5.0
#: What the bends add to the straight line, on average: calibrated by the tests.
BEND_FACTOR: Final = 1.12
#: Red lights: one, and one more every so many metres; each 10 to 70 s.
LIGHT_EVERY_M: Final = 4_000.0
LIGHT_S: Final = (10, 70)


@dataclass(frozen=True, slots=True)
class Frame:
    """A local plane: x east and y north of one point, metres; good to 1 % within 60 km."""

    latitude_deg: float
    longitude_deg: float

    def plane(self, latitude_deg: Floats, longitude_deg: Floats) -> tuple[Floats, Floats]:
        """Return x and y, metres, of WGS 84 degrees."""
        east = METRES_PER_DEGREE * np.cos(np.radians(self.latitude_deg))
        return (
            (longitude_deg - self.longitude_deg) * east,
            (latitude_deg - self.latitude_deg) * METRES_PER_DEGREE,
        )

    def degrees(self, x_m: Floats, y_m: Floats) -> tuple[Floats, Floats]:
        """Return latitude and longitude, WGS 84 degrees, of x and y."""
        east = METRES_PER_DEGREE * np.cos(np.radians(self.latitude_deg))
        return self.latitude_deg + y_m / METRES_PER_DEGREE, self.longitude_deg + x_m / east


def distance_m(
    latitude_deg: Floats, longitude_deg: Floats, to_latitude_deg: float, to_longitude_deg: float
) -> Floats:
    """Return metres from each point to one point: equirectangular, exact to 0.1 % within 60 km."""
    north = (latitude_deg - to_latitude_deg) * METRES_PER_DEGREE
    middle = np.radians((latitude_deg + to_latitude_deg) / 2)
    east = (longitude_deg - to_longitude_deg) * METRES_PER_DEGREE * np.cos(middle)
    return np.hypot(north, east)


@dataclass(frozen=True, slots=True, eq=False)
class Road:
    """A polyline: x, y and the distance driven at each vertex, metres, shape (vertices,)."""

    x_m: Floats
    y_m: Floats
    driven_m: Floats

    @property
    def length_m(self) -> float:
        """Return the length of the road."""
        return float(self.driven_m[-1])


def bend(start: tuple[float, float], end: tuple[float, float], rng: np.random.Generator) -> Road:
    """Return a road from `start` to `end` (x, y in metres), with bends down to about 150 m."""
    points = np.array([start, end], dtype=np.float64)
    straight_m = float(np.hypot(*(points[1] - points[0])))
    for _ in range(max(1, round(np.log2(max(straight_m, 300.0) / 150.0)))):
        along = np.diff(points, axis=0)
        sideways = np.stack([-along[:, 1], along[:, 0]], axis=1)
        push = rng.normal(0.0, 0.13, (len(along), 1)).clip(-0.3, 0.3)
        middles = points[:-1] + along / 2 + sideways * push
        points = np.insert(points, np.arange(1, len(points)), middles, axis=0)
    driven_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    return Road(points[:, 0], points[:, 1], driven_m)


@dataclass(frozen=True, slots=True)
class Hold:
    """Standing still on a road: after `at_m` metres, for `wait_s` seconds."""

    at_m: float
    wait_s: int
    engine_on: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One drive at a 1 s resolution, from standing still to standing still, shape (seconds,)."""

    x_m: Floats
    y_m: Floats
    driven_m: Floats
    ignition: Bools


def _profile(road: Road, holds: Sequence[Hold], pace: float) -> tuple[Floats, Floats]:
    """Return places along the road, metres, and when a van is there without its holds, seconds."""
    steps = max(2, round(road.length_m / STEP_M))
    edges_m = np.linspace(0.0, road.length_m, steps + 1)
    middles_m = (edges_m[:-1] + edges_m[1:]) / 2
    from_end_m = np.minimum(middles_m, road.length_m - middles_m)
    speed_mps = pace * np.select(
        [from_end_m < limit_m for limit_m, _ in SPEEDS], [mps for _, mps in SPEEDS]
    )
    for stop_m in (0.0, road.length_m, *(hold.at_m for hold in holds)):
        braking = np.sqrt(2 * ACCELERATION_MPS2 * np.abs(middles_m - stop_m))
        speed_mps = np.minimum(speed_mps, np.maximum(braking, CREEP_MPS))
    return edges_m, np.concatenate([[0.0], np.cumsum(np.diff(edges_m) / speed_mps)])


def duration_s(road: Road, holds: Sequence[Hold], pace: float) -> int:
    """Return how many seconds `drive` has for the same."""
    _, driving_s = _profile(road, holds, pace)
    return int(np.ceil(float(driving_s[-1]) + sum(hold.wait_s for hold in holds))) + 1


def drive(road: Road, holds: Sequence[Hold], pace: float) -> Drive:
    """Return the van's place at every second of driving `road`.

    `pace` scales the speeds: 1 is a normal day. Holds are served in the order of their place.
    """
    holds = sorted(holds, key=lambda hold: hold.at_m)
    edges_m, driving_s = _profile(road, holds, pace)

    # Two clocks: one runs while the van stands, the other does not.
    clock_knots, driving_knots, stood_s = [0.0], [0.0], 0.0
    ignition_off: list[tuple[float, float]] = []
    for hold in holds:
        at_s = float(np.interp(hold.at_m, edges_m, driving_s))
        clock_knots += [at_s + stood_s, at_s + stood_s + hold.wait_s]
        driving_knots += [at_s, at_s]
        if not hold.engine_on:
            ignition_off.append((at_s + stood_s + 5, at_s + stood_s + hold.wait_s - 5))
        stood_s += hold.wait_s
    total_s = float(driving_s[-1]) + stood_s
    clock_knots.append(total_s)
    driving_knots.append(float(driving_s[-1]))

    seconds = np.arange(np.ceil(total_s) + 1)
    driven_m = np.interp(np.interp(seconds, clock_knots, driving_knots), driving_s, edges_m)
    ignition = np.ones(len(seconds), dtype=np.bool_)
    for off_s, on_s in ignition_off:
        ignition &= (seconds < off_s) | (seconds >= on_s)
    return Drive(
        np.interp(driven_m, road.driven_m, road.x_m),
        np.interp(driven_m, road.driven_m, road.y_m),
        driven_m,
        ignition,
    )


def planned_travel_s(straight_m: float) -> int:
    """Return how long a planner allows for a drive of `straight_m` metres as the crow flies."""
    length_m = straight_m * BEND_FACTOR
    half_m, done_m, seconds = length_m / 2, 0.0, 0.0
    for limit_m, speed_mps in SPEEDS:
        part_m = max(0.0, min(half_m, limit_m) - done_m)
        seconds += 2 * part_m / speed_mps
        done_m += part_m
    lights = 1 + length_m / LIGHT_EVERY_M
    # Braking for a light and starting again costs about the time to reach the speed once.
    return round(seconds + lights * (sum(LIGHT_S) / 2 + 10) + 10)
