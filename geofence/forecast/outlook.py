"""What is foreseen of a van's day: when it comes to each remaining stop, what may be late, and why.

The van is *at* a stop while a visit that stands is open; else it is *on the way* from where it was
last (a visit's site, or the last place where it stood); a van that has not moved yet today is
*waiting*, and will leave in time to be at its first stop as planned: where the plan has no time for
that, in the middle of the window.

Remaining are the stops without a visit, in the planned order; those that the van has passed over
come last. A stop is at risk if the range of its ETA crosses the window's end.

*The break.* Where a fleet is used to have one, it is believed to come on the first way between two
stops, around noon, for which the plan leaves that much more time than the way takes. It is over when
the van goes on after halts of at least half its usual length. Halts of 10 minutes or more at another
time, or on another way, say nothing of the road: as if the van had left later.

*Causes.* Each is measured in seconds, and the largest that is more than two minutes is told:

| cause        | measured as                                                                      |
| ------------ | -------------------------------------------------------------------------------- |
| `silence`    | no fix for 15 minutes: nothing else can be said                                  |
| `long_visit` | visits of today, that under way included, beyond their planned durations         |
| `detour`     | halts of 10 minutes or more on the leg under way; the way driven beyond 1.6 times |
|              | the crow's, at the pace of the leg                                               |
| `slow_road`  | what the leg under way takes longer than this fleet usually takes                |
| `left_late`  | the first departure of the day after what its first window asked for             |

Pure: it is given rows, the models and the present.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from geofence.alerts import CHANCE_SAFE, SILENT_MS, Cause, Outlook
from geofence.fences import distance_m
from geofence.forecast.eta import AtStop, Eta, Itinerary, OnTheWay, StopAhead, Waiting, forecast
from geofence.forecast.travel import BREAK_HOURS, Model, usual_s
from geofence.forecast.work import Work
from geofence.tours import Stop, zone

CAUSE_S_MIN: Final = 120.0
DETOUR_SHARE: Final = 1.6
#: A halt that is no visit and no slow traffic either.
UNPLANNED_S: Final = 600
#: A plan has room for a break if it has this share of what one usually takes.
BREAK_SHARE: Final = 0.75
#: Who has halted for this share of it, and gone on, has had it.
BREAK_HAD_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Place:
    """A position, WGS 84 degrees, and the radius of the fence around it, if there is one."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A visit of today that stands. Times are ms since 1970 UTC; `left_at` is None while it is open.

    `stop_id` is None, and the duration 0, where it kept no stop; `planned_arrival` is None where the
    plan does not say.
    """

    stop_id: int | None
    place: Place
    arrived_at: int
    last_inside_at: int
    left_at: int | None
    planned_duration_s: int
    planned_arrival: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """What the van has done since it was last somewhere.

    Attributes:
        departed_at: When it set off, ms since 1970 UTC; None if it has not moved today.
        origin: From where.
        driven_m: How far it has driven since.
        stood_s: Short stops, slow traffic and halts of less than 10 minutes since.
        halted_s: Longer halts since.
        halting_s: The halt under way, which is in neither.
    """

    departed_at: int | None
    origin: Place
    driven_m: int = 0
    stood_s: int = 0
    halted_s: int = 0
    halting_s: int = 0

    @property
    def unplanned_s(self) -> int:
        """Halts of 10 minutes or more, with that under way."""
        return self.halted_s + (self.halting_s if self.halting_s >= UNPLANNED_S else 0)


@dataclass(frozen=True)
class VanDay:
    """What the tables say of a van's day.

    Attributes:
        van_id: The van.
        here: Its newest usable fix, ...
        t_ms: ... and when that was, ms since 1970 UTC.
        stops: All stops of today's tour, in the planned order.
        place_of: Where each is, by stop_id.
        planned_arrival_of: When the plan has the van there, by stop_id, where it says so.
        seen: Today's visits that stand, in the order of their arrivals.
        way: Since the last of them.
        time_zone: Of its first stop: whose clock the parts of the day go by.
    """

    van_id: int
    here: Place
    t_ms: int
    stops: Sequence[Stop]
    place_of: Mapping[int, Place]
    seen: Sequence[Seen]
    way: Way
    time_zone: str = "Europe/Paris"
    planned_arrival_of: Mapping[int, int] = field(default_factory=dict)

    @cached_property
    def remaining(self) -> list[Stop]:
        """The stops that are not visited, in the order in which the van is believed to come."""
        visited = {seen.stop_id for seen in self.seen}
        reached = max((stop.position for stop in self.stops if stop.stop_id in visited), default=0)
        left = [stop for stop in self.stops if stop.stop_id not in visited]
        return sorted(left, key=lambda stop: (stop.position < reached, stop.position))

    @property
    def present_at(self) -> Seen | None:
        """The visit under way, if there is one."""
        return self.seen[-1] if self.seen and self.seen[-1].left_at is None else None


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What is foreseen of one stop."""

    stop: Stop
    eta: Eta
    outlook: Outlook


Seconds = Mapping[tuple[Place, Place], float]
"""What a router says of legs, by where they begin and end."""


def foresee(
    days: Sequence[VanDay],
    model: Model,
    work: Work,
    now: int,
    router_s: Mapping[int, Seconds] | None = None,
) -> list[Foreseen]:
    """Return what is foreseen of each remaining stop, van by van, in the order they will come.

    Args:
        days: What is known of each van.
        model: The fleet's travel times.
        work: How long its visits last.
        now: The present, ms since 1970 UTC.
        router_s: Seconds of legs that a router has told, by van.
    """
    days = [day for day in days if day.remaining]
    breaks = _breaks(days, model)
    itineraries = [
        _itinerary(day, model, now, (router_s or {}).get(day.van_id, {}), breaks.get(day.van_id))
        for day in days
    ]
    return [
        found
        for day, etas in zip(days, forecast(itineraries, model, work, now), strict=True)
        for found in _foreseen(day, etas, model, now)
    ]


def _foreseen(day: VanDay, etas: Sequence[Eta], model: Model, now: int) -> list[Foreseen]:
    remaining, chances = day.remaining, [eta.chance_late for eta in etas]
    is_safe = max(chances) < CHANCE_SAFE
    cause = None if is_safe else why(day, remaining[0], etas[0], model, now)
    found = []
    for i, (stop, eta, chance) in enumerate(zip(remaining, etas, chances, strict=True)):
        pushes = tuple(
            later.position
            for later, likely in zip(remaining[i + 1 :], chances[i + 1 :], strict=True)
            if likely >= 0.5
        )
        outlook = Outlook(eta.expected_ms, chance, day.t_ms, cause, pushes)
        found.append(Foreseen(stop, eta, outlook))
    return found


def legs_of(day: VanDay) -> list[tuple[Place, Place]]:
    """Return the legs that are ahead of a van, as a router would be asked: from here, then on."""
    places = [day.place_of[stop.stop_id] for stop in day.remaining]
    at = day.present_at
    return list(zip([day.here if at is None else at.place, *places], places, strict=False))


def _itinerary(
    day: VanDay, model: Model, now: int, router_s: Seconds, break_before: int | None
) -> Itinerary:
    at, remaining = day.present_at, day.remaining
    here = day.here if at is None else at.place
    local = datetime.fromtimestamp(now / 1_000, zone(day.time_zone))
    return Itinerary(
        here.latitude_deg,
        here.longitude_deg,
        day.t_ms,
        _doing(day, remaining[0], model, is_break_ahead=break_before == remaining[0].stop_id),
        _ahead(day, remaining, router_s, break_before),
        (local.utcoffset() or timedelta()).total_seconds(),
    )


def _doing(
    day: VanDay, first: Stop, model: Model, *, is_break_ahead: bool
) -> AtStop | OnTheWay | Waiting:
    at, way = day.present_at, day.way
    if at is not None:
        return AtStop(at.stop_id, at.arrived_at, at.planned_duration_s, at.planned_arrival)
    if way.departed_at is None:
        expected_s = _usual_s(day, day.here, day.place_of[first.stop_id], model, first.window_start)
        middle = (first.window_start + first.window_end) // 2
        planned = day.planned_arrival_of.get(first.stop_id, middle)
        return Waiting(planned - round(expected_s * 1_000))
    is_halted = is_break_ahead or way.halting_s >= UNPLANNED_S
    return OnTheWay(
        way.departed_at,
        way.origin.latitude_deg,
        way.origin.longitude_deg,
        stood_s=way.stood_s + (0 if is_halted else way.halting_s),
        halted_s=way.halted_s + (way.halting_s if is_halted else 0),
        break_s=way.halting_s if is_break_ahead else 0,
    )


def _ahead(
    day: VanDay, remaining: Sequence[Stop], router_s: Seconds, break_before: int | None
) -> list[StopAhead]:
    legs = legs_of(day)
    return [
        StopAhead(
            stop.stop_id,
            leg[1].latitude_deg,
            leg[1].longitude_deg,
            stop.window_start,
            stop.window_end,
            stop.planned_duration_s,
            day.planned_arrival_of.get(stop.stop_id),
            router_s=router_s.get(leg),
            after_break=stop.stop_id == break_before,
            radius_m=leg[1].radius_m,
        )
        for stop, leg in zip(remaining, legs, strict=True)
    ]


def _breaks(days: Sequence[VanDay], model: Model) -> dict[int, int]:
    """Return before which stop each van still has its break, where it has one."""
    if model.break_s is None:
        return {}
    first, last = BREAK_HOURS
    gaps: list[tuple[VanDay, Stop, Stop, float, float]] = []
    for day in days:
        for before, after in pairwise(day.stops):
            planned = day.planned_arrival_of.get(before.stop_id)
            then = day.planned_arrival_of.get(after.stop_id)
            if planned is None or then is None:
                continue
            leaves = planned + before.planned_duration_s * 1_000
            hour = local_hour(leaves, day.time_zone)
            if first <= hour < last:
                gaps.append((day, before, after, hour, (then - leaves) / 1_000))
    way_m = [_apart_m(day.place_of[a.stop_id], day.place_of[b.stop_id]) for day, a, b, _, _ in gaps]
    takes_s = usual_s(model, np.array(way_m), np.array([gap[3] for gap in gaps]))
    found: dict[int, int] = {}
    for (day, _, after, _, gap_s), way_s in zip(gaps, takes_s.tolist(), strict=True):
        if gap_s - way_s >= BREAK_SHARE * model.break_s[1]:
            found.setdefault(day.van_id, after.stop_id)
    return {
        day.van_id: found[day.van_id]
        for day in days
        if day.van_id in found and not _had_break(day, found[day.van_id], model.break_s[1])
    }


def _had_break(day: VanDay, before: int, break_s: float) -> bool:
    remaining = [stop.stop_id for stop in day.remaining]
    if before not in remaining:
        return True
    is_on_it = day.present_at is None and remaining[0] == before
    return is_on_it and day.way.halted_s >= BREAK_HAD_SHARE * break_s


def _apart_m(one: Place, other: Place) -> float:
    return distance_m(one.latitude_deg, one.longitude_deg, other.latitude_deg, other.longitude_deg)


def _usual_s(day: VanDay, origin: Place, goal: Place, model: Model, t_ms: int) -> float:
    """Return what this fleet usually takes from one place to another."""
    hour = local_hour(t_ms, day.time_zone)
    return float(usual_s(model, np.array([_apart_m(origin, goal)]), np.array([hour]))[0])


def local_hour(t_ms: int, time_zone: str) -> float:
    """Return the local hour of a moment, 0 up to 24."""
    local = datetime.fromtimestamp(t_ms / 1_000, zone(time_zone))
    return local.hour + local.minute / 60 + local.second / 3_600


def why(day: VanDay, following: Stop, eta: Eta, model: Model, now: int) -> Cause | None:
    """Return what has cost the van most time today, by the table above; None if nothing has."""
    if now - day.t_ms >= SILENT_MS:
        return "silence"
    lost_s: dict[Cause, float] = {
        "long_visit": sum(
            max(0.0, (seen.last_inside_at - seen.arrived_at) / 1_000 - seen.planned_duration_s)
            for seen in day.seen
            if seen.planned_duration_s > 0
        )
    }
    way = day.way
    if day.present_at is None and way.departed_at is not None:
        goal = day.place_of[following.stop_id]
        expected_s = _usual_s(day, way.origin, goal, model, way.departed_at)
        takes_s = (eta.expected_ms - way.departed_at) / 1_000
        lost_s["slow_road"] = takes_s - expected_s - way.unplanned_s
        lost_s["detour"] = way.unplanned_s + _detour_s(day, goal, takes_s)
        if not day.seen:
            lost_s["left_late"] = (way.departed_at - following.window_end) / 1_000 + expected_s
    cause = max(lost_s, key=lambda name: lost_s[name])
    return cause if lost_s[cause] > CAUSE_S_MIN else None


def _detour_s(day: VanDay, goal: Place, takes_s: float) -> float:
    """Return the time that the way driven beyond 1.6 times the crow's has cost."""
    way = day.way
    crow = _apart_m(way.origin, goal)
    left_m = _apart_m(day.here, goal)
    whole_m = way.driven_m + left_m
    beyond_m = whole_m - DETOUR_SHARE * crow
    return takes_s * beyond_m / whole_m if whole_m > 0 and beyond_m > 3_000 else 0.0
