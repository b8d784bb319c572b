"""What is foreseen of a van's day: when it comes to each remaining stop, what may be late, and why.

The van is *at* a stop while a visit that stands is open; else it is *on the way* from where it was
last (a visit's site, or the last place where it stood); a van that has not moved yet today is
*waiting*, and will leave in time to be at its first stop as planned: where the plan has no time for
that, in the middle of the window.

Remaining are the stops without a visit, in the planned order; those that the van has passed over
come last. A stop is at risk if the range of its ETA crosses the window's end.

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
from datetime import datetime
from typing import Final

import numpy as np

from geofence.alerts import CHANCE_SAFE, SILENT_MS, Cause, Outlook
from geofence.eta import (
    AtStop,
    Eta,
    Itinerary,
    Model,
    OnTheWay,
    StopAhead,
    Waiting,
    Work,
    chance_late,
    crow_m,
    forecast,
    travel,
)
from geofence.tours import Stop, zone

CAUSE_S_MIN: Final = 120.0
DETOUR_SHARE: Final = 1.6
UNPLANNED_S: Final = 600


@dataclass(frozen=True, slots=True)
class Place:
    """A position, WGS 84 degrees."""

    latitude_deg: float
    longitude_deg: float


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
        halted_s: Halts of 10 minutes or more since.
    """

    departed_at: int | None
    origin: Place
    driven_m: int = 0
    halted_s: int = 0


@dataclass(frozen=True, slots=True)
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

    @property
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
    day: VanDay, model: Model, work: Work, now: int, router_s: Seconds | None = None
) -> list[Foreseen]:
    """Return what is foreseen of each remaining stop, in the order in which the van will come.

    Args:
        day: What is known of the van.
        model: The fleet's travel times.
        work: How long its visits last.
        now: The present, ms since 1970 UTC.
        router_s: Seconds of legs that a router has told.
    """
    remaining = day.remaining
    if not remaining:
        return []
    etas = forecast(
        Itinerary(
            day.here.latitude_deg,
            day.here.longitude_deg,
            day.t_ms,
            _doing(day, remaining[0], model),
            _ahead(day, remaining, router_s or {}),
        ),
        model,
        work,
        now,
        zone(day.time_zone),
    )
    chances = [chance_late(eta, stop.window_end) for eta, stop in zip(etas, remaining, strict=True)]
    is_safe = max(chances) < CHANCE_SAFE
    cause = None if is_safe else why(day, remaining[0], etas[0], model, now)
    found = []
    for i, (stop, eta, chance) in enumerate(zip(remaining, etas, chances, strict=True)):
        pushes = tuple(
            later.position
            for later, likely in zip(remaining[i + 1 :], chances[i + 1 :], strict=True)
            if likely >= 0.5
        )
        found.append(Foreseen(stop, eta, Outlook(eta.expected_ms, chance, cause, pushes)))
    return found


def legs_of(day: VanDay) -> list[tuple[Place, Place]]:
    """Return the legs that are ahead of a van, as a router would be asked: from here, then on."""
    places = [day.place_of[stop.stop_id] for stop in day.remaining]
    at = day.present_at
    return list(zip([day.here if at is None else at.place, *places], places, strict=False))


def _doing(day: VanDay, first: Stop, model: Model) -> AtStop | OnTheWay | Waiting:
    at = day.present_at
    if at is not None:
        return AtStop(at.stop_id, at.arrived_at, at.planned_duration_s, at.planned_arrival)
    if day.way.departed_at is None:
        expected_s = _usual_s(day, day.here, day.place_of[first.stop_id], model, first.window_start)
        middle = (first.window_start + first.window_end) // 2
        planned = day.planned_arrival_of.get(first.stop_id, middle)
        return Waiting(planned - round(expected_s * 1_000))
    origin = day.way.origin
    # A halt of ten minutes or more says nothing of the road: as if the van had left later.
    departed_at = min(day.way.departed_at + day.way.halted_s * 1_000, day.t_ms)
    return OnTheWay(departed_at, origin.latitude_deg, origin.longitude_deg)


def _ahead(day: VanDay, remaining: Sequence[Stop], router_s: Seconds) -> list[StopAhead]:
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
        )
        for stop, leg in zip(remaining, legs, strict=True)
    ]


def _usual_s(day: VanDay, origin: Place, goal: Place, model: Model, t_ms: int) -> float:
    """Return what this fleet usually takes from one place to another."""
    way_m = crow_m(origin.latitude_deg, origin.longitude_deg, goal.latitude_deg, goal.longitude_deg)
    hour = local_hour(t_ms, day.time_zone)
    expected_s, _, _ = travel(model, np.array([way_m]), np.array([hour]))
    return float(expected_s[0])


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
        usual_s = _usual_s(day, way.origin, goal, model, way.departed_at)
        takes_s = (eta.expected_ms - way.departed_at) / 1_000
        lost_s["slow_road"] = takes_s - usual_s - way.halted_s
        lost_s["detour"] = way.halted_s + _detour_s(day, goal, takes_s)
        if not day.seen:
            lost_s["left_late"] = (way.departed_at - following.window_end) / 1_000 + usual_s
    cause = max(lost_s, key=lambda name: lost_s[name])
    return cause if lost_s[cause] > CAUSE_S_MIN else None


def _detour_s(day: VanDay, goal: Place, takes_s: float) -> float:
    """Return the time that the way driven beyond 1.6 times the crow's has cost."""
    way = day.way
    crow = crow_m(
        way.origin.latitude_deg, way.origin.longitude_deg, goal.latitude_deg, goal.longitude_deg
    )
    left_m = crow_m(
        day.here.latitude_deg, day.here.longitude_deg, goal.latitude_deg, goal.longitude_deg
    )
    whole_m = way.driven_m + left_m
    beyond_m = whole_m - DETOUR_SHARE * crow
    return takes_s * beyond_m / whole_m if whole_m > 0 and beyond_m > 3_000 else 0.0
