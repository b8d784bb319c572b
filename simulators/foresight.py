"""How well late arrivals could be announced by somebody who knows the dice, and the rest of the road.

A goal for announcements ("95 % of the late told 15 minutes ahead, 5 % told for nothing") may ask for
more than can be known: jams and red lights come as they come. Here an oracle says how much. It knows
when a van will arrive, and decides only then: a quarter of an hour before. It knows all that has
happened so far, the bends of every road, the pace of the leg under way and whether there is a jam on
it, and all distributions by which a day is made (`vans`). What lies ahead is drawn again, `DRAWS`
times:

- red lights ahead: as many as their Poisson process has on that part of the road;
- a jam on the leg under way: the number of its pieces given those so far (Bayes, over every number it
  may have), those ahead anywhere on the rest; a hold under way lasts as it really will;
- the rest of a stay under way; stays and legs that have not begun, from their beginning.

The share of draws in which the van is late is the oracle's chance. Announced are the stops above some
chance, and the best of all such thresholds is reported: no announcer that decides by what it has seen
can do better on average, and none knows as much. What was late by more than a quarter of an hour
before it arrived is a fact by then, announced by everybody.

This module must not know what the receiver of messages makes of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import comb
from typing import Final

import numpy as np

from simulators.fleet import FleetDay
from simulators.roads import duration_s
from simulators.tours import Tour
from simulators.vans import (
    DRIVE_BY_SHARE,
    JAM_PIECES,
    JAM_SHARE,
    Leg,
    Travelled,
    draw_pace,
    draw_stay_s,
    lights_expected,
    red_light,
    slow_piece,
    travel,
    visits,
)
from simulators.world import World, dice, local_ms

NOTICE_S: Final = 15 * 60
DRAWS: Final = 200
#: Who comes this long before the window's end has no chance to be late, a quarter of an hour before.
SAFE_S: Final = 45 * 60


@dataclass(frozen=True, slots=True)
class Judged:
    """One stop: the oracle's chance that it will be late, and whether it was."""

    chance: float
    is_late: bool


@dataclass(frozen=True, slots=True)
class Foresight:
    """The best that thresholds can do.

    Attributes:
        late: Stops that were late.
        announced_share: Of those, announced, where at most 5 % of announcements are false.
        false_share: Of the announcements, false, where at least 95 % of the late are announced.
    """

    late: int
    announced_share: float | None
    false_share: float | None


def foresee(world: World, fleet_day: FleetDay) -> Iterator[Judged]:
    """Yield every stop of a day as the oracle sees it; some minutes for 200 vans."""
    for van_day in fleet_day.van_days:
        yield from _foresee_van(world, van_day.tour)


def best(stops: Iterable[Judged], share: float = 0.05) -> Foresight:
    """Return the best that thresholds can do, for `share` false, or for 1 - `share` announced."""
    ranked = sorted(stops, key=lambda stop: -stop.chance)
    late = sum(stop.is_late for stop in ranked)
    announced = false = 0
    best_announced, least_false = 0.0, 1.0
    for i, stop in enumerate(ranked):
        announced += stop.is_late
        false += not stop.is_late
        if i + 1 < len(ranked) and ranked[i + 1].chance == stop.chance:
            continue  # no threshold lies between equals
        # Whoever is late is announced when the window ends, in time or not.
        false_share = false / (late + false)
        if false_share <= share:
            best_announced = max(best_announced, announced / late)
        if announced >= (1 - share) * late:
            least_false = min(least_false, false_share)
    if not late:
        return Foresight(0, None, None)
    return Foresight(late, best_announced, least_false)


def _foresee_van(world: World, tour: Tour) -> Iterator[Judged]:
    day = travel(world, tour)
    rng = dice(world.seed, "foresight", tour.day.toordinal(), tour.van)
    for i, visit in enumerate(visits(world, day.track, day.stays)):
        start_ms = day.track.start_ms
        arrived = (visit.arrived_ms - start_ms) // 1_000
        window_end_ms = local_ms(tour.day, tour.stops[i].window_end_s)
        window_end = (window_end_ms - start_ms) // 1_000
        is_late = visit.arrived_ms > window_end_ms
        moment = arrived - NOTICE_S
        if moment >= window_end:
            yield Judged(1.0, is_late)
        elif arrived < window_end - SAFE_S or moment < 0:
            yield Judged(0.0, is_late)
        else:
            # From the fence to the parking place as it really was.
            parks_s = day.stays[i].parked - arrived
            under_way = _under_way(day, moment)
            parked = [_parked(tour, day, under_way, i, rng) for _ in range(DRAWS)]
            yield Judged(float(np.mean(np.array(parked) - parks_s > window_end)), is_late)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """What a van does at a moment, a second of its track: a leg, of which it has covered so much.

    Or the stay at the end of that leg, if it `is_there`.
    """

    moment: int
    leg: int
    covered_m: float
    is_there: bool


def _under_way(day: Travelled, moment: int) -> _UnderWay:
    leg = next(i for i, stay in enumerate(day.stays) if stay.leaves > moment)
    if day.stays[leg].parked <= moment:
        return _UnderWay(moment, leg, day.legs[leg].road.length_m, is_there=True)
    departed = day.stays[leg - 1].leaves if leg else 0
    driven_m = day.legs[leg].drive().driven_m
    # A metre more, so that who stands at a hold has come to it.
    covered_m = 1.0 + float(driven_m[min(moment - departed, len(driven_m) - 1)])
    return _UnderWay(moment, leg, covered_m, is_there=False)


def _parked(
    tour: Tour, day: Travelled, under_way: _UnderWay, stop: int, rng: np.random.Generator
) -> int:
    """Return one second at which the van may park at a stop, given all up to a moment."""
    # Stays count seconds from local midnight; the track counts its own.
    began_s = (day.track.start_ms - local_ms(tour.day, 0)) // 1_000
    first = under_way.leg
    if under_way.is_there:
        leaves = _leaves(tour, day, under_way, began_s, rng)
    else:
        departed = day.stays[first - 1].leaves if first else 0
        now = departed + _rest_of(day.legs[first], under_way.covered_m, rng)
        now = max(under_way.moment + 1, now)
        if first == stop:
            return now
        leaves = now + draw_stay_s(tour, day.stays[first].stop, began_s + now, rng)
    for i in range(first + 1, stop + 1):
        now = leaves + _whole(day.legs[i], rng)
        leaves = now + draw_stay_s(tour, day.stays[i].stop, began_s + now, rng)
    return now


def _leaves(
    tour: Tour, day: Travelled, under_way: _UnderWay, began_s: int, rng: np.random.Generator
) -> int:
    """Return one second at which the van may leave the stop where it is."""
    stay = day.stays[under_way.leg]
    for _ in range(DRAWS):
        leaves = stay.parked + draw_stay_s(tour, stay.stop, began_s + stay.parked, rng)
        if leaves > under_way.moment:
            return leaves
    return stay.leaves  # so long a stay is hardly ever drawn: the oracle is told


def _whole(leg: Leg, rng: np.random.Generator) -> int:
    """Return how long a leg may take that has not begun; its road is known, and its lunch."""
    is_jammed = rng.random() < JAM_SHARE and len(leg.clear_m) > 0
    pieces = int(rng.integers(*JAM_PIECES)) if is_jammed else 0
    return _takes_s(replace(leg, pace=draw_pace(rng)), 0.0, pieces, rng)


def _rest_of(leg: Leg, covered_m: float, rng: np.random.Generator) -> int:
    """Return how long a leg may take in all whose first `covered_m` are as they were."""
    pieces = _pieces_ahead(leg, covered_m, rng) if leg.jam else 0
    return _takes_s(leg, covered_m, pieces, rng)


def _pieces_ahead(leg: Leg, covered_m: float, rng: np.random.Generator) -> int:
    """Return how many pieces of a jam may still come, given those that have."""
    seen = sum(hold.at_m <= covered_m for hold in leg.jam)
    behind = float((leg.clear_m <= covered_m).mean())
    pieces = np.arange(*JAM_PIECES)
    weights = np.array(
        [comb(n, seen) * behind**seen * (1 - behind) ** max(0, n - seen) for n in pieces.tolist()]
    )
    return int(rng.choice(pieces, p=weights / weights.sum())) - seen


def _takes_s(leg: Leg, covered_m: float, pieces: int, rng: np.random.Generator) -> int:
    """Return how long a leg may take whose first `covered_m` are as they were."""
    ahead_m = leg.clear_m[leg.clear_m > covered_m]
    holds = [hold for hold in (*leg.holds, *leg.jam) if hold.at_m <= covered_m]
    if len(ahead_m):
        lights = rng.poisson(lights_expected(leg.road) * len(ahead_m) / len(leg.clear_m))
        holds += [red_light(at_m, rng) for at_m in rng.choice(ahead_m, lights)]
        holds += [slow_piece(at_m, rng) for at_m in rng.choice(ahead_m, pieces)]
        holds += [
            replace(hold, at_m=float(rng.choice(ahead_m)))
            for hold in leg.holds
            if not hold.engine_on and hold.at_m > covered_m
        ]
    beside_m = leg.beside_m[leg.beside_m > covered_m]
    if len(beside_m) and rng.random() < DRIVE_BY_SHARE * len(beside_m) / len(leg.beside_m):
        holds.append(red_light(rng.choice(beside_m), rng))
    return duration_s(leg.road, holds, leg.pace)
