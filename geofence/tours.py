"""What was planned, and which visit kept which stop.

The k-th visit of a van to a site on the tour's day keeps the k-th stop of that tour at that site.
Against the stop's time window the arrival is *early*, *on time* or *late*. A visit to a site that
is no stop of the tour is *unplanned*; one more visit than there are stops is *repeated*.

The day of a visit is the local day of its arrival, in the site's own time zone. Pure: a function of
all stops and all visits of one van and day, so that it does not matter which was known first.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Punctuality = Literal["early", "on_time", "late", "unplanned", "repeated"]


@dataclass(frozen=True, slots=True)
class Stop:
    """A planned visit. Times are ms since 1970 UTC."""

    stop_id: int
    van_id: int
    service_date: date
    position: int
    site_id: int
    window_start: int
    window_end: int
    tour_code: str = ""
    site_code: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A visit as far as a tour cares: where and when it began, ms since 1970 UTC."""

    site_id: int
    arrived_at: int


@dataclass(frozen=True, slots=True)
class Match:
    """What a visit was to the tour; `stop_id` is None where it kept no stop."""

    stop_id: int | None
    punctuality: Punctuality


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


def service_date(t_ms: int, time_zone: str) -> date:
    """Return the local day of a moment."""
    return datetime.fromtimestamp(t_ms / 1_000, UTC).astimezone(zone(time_zone)).date()


def match(stops: Iterable[Stop], arrivals: Iterable[Arrival]) -> dict[Arrival, Match]:
    """Return what each arrival of one van and day was to that day's tour.

    Args:
        stops: All stops of the day, in any order.
        arrivals: All visits of the day that stand, in any order.
    """
    stops_at: dict[int, list[Stop]] = defaultdict(list)
    for stop in sorted(stops, key=lambda stop: stop.position):
        stops_at[stop.site_id].append(stop)
    seen: dict[int, int] = defaultdict(int)
    matches: dict[Arrival, Match] = {}
    for arrival in sorted(arrivals, key=lambda arrival: arrival.arrived_at):
        at_site = stops_at.get(arrival.site_id, [])
        nth = seen[arrival.site_id]
        seen[arrival.site_id] += 1
        if nth < len(at_site):
            stop = at_site[nth]
            matches[arrival] = Match(stop.stop_id, punctuality(stop, arrival.arrived_at))
        else:
            matches[arrival] = Match(None, "repeated" if at_site else "unplanned")
    return matches


def punctuality(stop: Stop, arrived_at: int) -> Punctuality:
    """Return how an arrival stands to its window, both ends of which count as in time."""
    if arrived_at < stop.window_start:
        return "early"
    return "late" if arrived_at > stop.window_end else "on_time"
