"""What the planners ask of each van on one day: a pure function of the world and the date.

Every van gets 5 to 8 stops on a working day, the first 4 to 12 km from home so that it is reached
within half an hour, each next a few kilometres to 25 km on, back home by 17:00. The planner allows
the usual driving time (`roads.planned_travel_s`) and some slack, and promises the client a window
around the planned arrival.

This module must not know what will happen on the road.
"""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from simulators.roads import distance_m, planned_travel_s
from simulators.world import Ints, World, dice

MINUTE_S: Final = 60
HOUR_S: Final = 3_600
HOME_BY_S: Final = 17 * HOUR_S
LUNCH_FROM_S: Final = 11 * HOUR_S + 45 * MINUTE_S
LUNCH_S: Final = 40 * MINUTE_S
FROM_HOME_M: Final = (4_500.0, 12_500.0)
BETWEEN_STOPS_M: Final = (2_500.0, 25_000.0)
#: No two stops of a day nearer than this: which of them was visited must never be in doubt.
STOPS_APART_M: Final = 1_500.0
RANGE_M: Final = 40_000.0
DURATIONS_MIN: Final = (10, 15, 20, 25, 30, 45)
STOPS_MIN: Final = 5
STOPS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Stop:
    """A planned visit. `_s` are seconds after local midnight; `site` indexes the world's sites."""

    position: int
    site: int
    arrive_s: int
    window_start_s: int
    window_end_s: int
    planned_minutes: int
    work_order: str


@dataclass(frozen=True, slots=True)
class Tour:
    """One van's day; `van` indexes the world's vans. Lunch is taken on the way to a stop."""

    code: str
    van: int
    day: date
    depart_s: int
    stops: tuple[Stop, ...]
    lunch_before: int
    home_s: int


def tours(world: World, day: date) -> tuple[Tour, ...]:
    """Return the tours of every van on `day`, in the order of the vans; none on a weekend."""
    if day.weekday() >= 5:
        return ()
    return tuple(_plan(world, day, van) for van in range(len(world.vans)))


def _plan(world: World, day: date, van: int) -> Tour:
    rng = dice(world.seed, "tour", day.toordinal(), van)
    depart_s = 7 * HOUR_S + int(rng.integers(-10, 11)) * MINUTE_S
    wanted = int(rng.integers(STOPS_MIN, STOPS_MAX + 1))
    route, legs_m, back_m = _route(world, van, wanted, rng)
    stops: list[Stop] = []
    now_s, lunch_before = depart_s, 0
    for index, (site, leg_m) in enumerate(zip(route, legs_m, strict=True)):
        if lunch_before == 0 and now_s > LUNCH_FROM_S:
            lunch_before = index + 1
            now_s += LUNCH_S
        arrive_s = now_s + planned_travel_s(leg_m)
        minutes = int(rng.choice(DURATIONS_MIN))
        slack_s = int(rng.integers(5, 13) + 4 * (STOPS_MAX - wanted)) * MINUTE_S
        leave_s = arrive_s + minutes * MINUTE_S + slack_s
        if index >= STOPS_MIN and leave_s + planned_travel_s(back_m[index]) > HOME_BY_S:
            break
        stops.append(
            Stop(
                position=index + 1,
                site=site,
                arrive_s=arrive_s,
                window_start_s=_quarter(arrive_s - int(rng.integers(20, 46)) * MINUTE_S),
                window_end_s=_quarter(arrive_s + int(rng.integers(15, 41)) * MINUTE_S),
                planned_minutes=minutes,
                work_order=f"WO-{day:%y%m%d}-{van + 1:03d}-{index + 1}",
            )
        )
        now_s = leave_s
    return Tour(
        code=f"{world.vans[van].code}-{day:%Y%m%d}",
        van=van,
        day=day,
        depart_s=depart_s,
        stops=tuple(stops),
        lunch_before=lunch_before,
        home_s=now_s + planned_travel_s(back_m[len(stops) - 1]),
    )


def _quarter(seconds: int) -> int:
    """Round to five minutes: windows are said to people."""
    return round(seconds / (5 * MINUTE_S)) * 5 * MINUTE_S


def _route(
    world: World, van: int, count: int, rng: np.random.Generator
) -> tuple[list[int], list[float], list[float]]:
    """Return the sites, the legs to them and the way home from each, metres as the crow flies."""
    home = world.technicians[world.vans[van].technician]
    home_m = distance_m(
        world.site_latitude_deg,
        world.site_longitude_deg,
        home.home_latitude_deg,
        home.home_longitude_deg,
    )
    near: Ints = np.flatnonzero(home_m < RANGE_M)
    latitude_deg, longitude_deg = world.site_latitude_deg[near], world.site_longitude_deg[near]
    from_here_m = home_m[near]
    reach_m = FROM_HOME_M
    taken = np.zeros(len(near), dtype=np.bool_)
    route: list[int] = []
    legs_m: list[float] = []
    for _ in range(count):
        allowed = ~taken & (from_here_m >= reach_m[0]) & (from_here_m <= reach_m[1])
        if not allowed.any():
            allowed = ~taken & (from_here_m >= reach_m[0])
        # Near ones are likelier, above all on a day of many stops.
        usual_m = 9_000 + 4_000 * (STOPS_MAX - count)
        weights = np.where(allowed, np.exp(-from_here_m / usual_m), 0.0)
        chosen = int(rng.choice(len(near), p=weights / weights.sum()))
        route.append(int(near[chosen]))
        legs_m.append(float(from_here_m[chosen]))
        from_here_m = distance_m(
            latitude_deg, longitude_deg, float(latitude_deg[chosen]), float(longitude_deg[chosen])
        )
        taken |= from_here_m < STOPS_APART_M
        reach_m = BETWEEN_STOPS_M
    return route, legs_m, [float(home_m[site]) for site in route]
