"""What was planned, and which visit kept which stop.

The k-th visit of a van to a site on the tour's day keeps the k-th stop of that tour at that site.
Against the stop's time window the arrival is *early*, *on time* or *late*. A visit to a site that
is no stop of the tour is *unplanned*; one more visit than there are stops is *repeated*.

The visits that keep stops in the planned order are in order, as many of them as can be: those
outside the longest such series are in *wrong order* (of two series of one length, the one whose
stops were planned first). So a van that does its fourth stop first has one visit in wrong order, not
three. A visit is *overstayed* if it dwells longer than planned by more than half of that and by more
than 15 minutes. A stop is *skipped* while its van has been at a later one and not there: a question
to the table (`stop_outcome`).

The day of a visit is the local day of its arrival, in the site's own time zone; it turns at 3 in
the morning, so that a night tour is one day. In a night that has that hour twice (Helsinki in
October) it turns at the second, in one that leaves it out (Helsinki in March) when the clock leaps
over it: where PostgreSQL puts `(day + TIME '03:00') AT TIME ZONE`, by which the clock tells what is
missed. Pure: a function of all stops and all visits of one van and day, so that it does not matter
which was known first.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from geofence.rules import USUAL, Rules

Punctuality = Literal["early", "on_time", "late", "unplanned", "repeated"]

OVERSTAY_S_MIN: Final = 15 * 60
OVERSTAY_SHARE: Final = 0.5


class Stop(msgspec.Struct, frozen=True):
    """A planned visit. Times are ms since 1970 UTC; `day_end` is when its working day is over."""

    stop_id: int
    van_id: int
    service_date: date
    position: int
    site_id: int
    window_start: int
    window_end: int
    planned_duration_s: int = 0
    day_end: int = 1 << 62
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
    wrong_order: bool = False


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises ZoneInfoNotFoundError."""
    return ZoneInfo(name)


def day_begins(day: date, time_zone: str, rules: Rules = USUAL) -> int:
    """Return when a local working day begins, and the one before it ends, ms since 1970 UTC."""
    turns = datetime.combine(day, time(rules.day_turns_h), zone(time_zone))
    # PEP 495: where the clock reads that twice, fold 1 is the second time; where it never does, fold
    # 0 is when it leaps.
    return 1_000 * max(round(turns.replace(fold=fold).timestamp()) for fold in (0, 1))


def service_date(t_ms: int, time_zone: str, rules: Rules = USUAL) -> date:
    """Return the local working day of a moment: the last that has begun."""
    day = datetime.fromtimestamp(t_ms / 1_000, UTC).astimezone(zone(time_zone)).date()
    return day - timedelta(days=t_ms < day_begins(day, time_zone, rules))


def match(stops: Iterable[Stop], arrivals: Iterable[Arrival]) -> dict[Arrival, Match]:
    """Return what each arrival of one van and day was to that day's tour.

    Args:
        stops: All stops of the day, in any order.
        arrivals: All visits of the day that stand, in any order. Of those that began at one moment, for
            sites may overlap, the order is that of the plan.
    """
    stops_at: dict[int, list[Stop]] = defaultdict(list)
    for stop in sorted(stops, key=lambda stop: stop.position):
        stops_at[stop.site_id].append(stop)
    seen: dict[int, int] = defaultdict(int)
    matches: dict[Arrival, Match] = {}
    kept: list[tuple[int, int, Arrival]] = []
    for arrival in sorted(arrivals, key=lambda arrival: arrival.arrived_at):
        at_site = stops_at.get(arrival.site_id, [])
        nth = seen[arrival.site_id]
        seen[arrival.site_id] += 1
        if nth < len(at_site):
            stop = at_site[nth]
            matches[arrival] = Match(stop.stop_id, punctuality(stop, arrival.arrived_at))
            kept.append((arrival.arrived_at, stop.position, arrival))
        else:
            matches[arrival] = Match(None, "repeated" if at_site else "unplanned")
    kept.sort(key=lambda one: one[:2])
    for i in out_of_order([position for _, position, _ in kept]):
        arrival = kept[i][2]
        matches[arrival] = replace(matches[arrival], wrong_order=True)
    return matches


def out_of_order(positions: Sequence[int]) -> list[int]:
    """Return which of some stops, given in the order in which they were visited, are out of order.

    They are those outside the longest increasing series; of several the one that is the smallest
    number by number.
    """
    count = len(positions)
    length = [1] * count
    for i in reversed(range(count)):
        after = [length[j] for j in range(i + 1, count) if positions[j] > positions[i]]
        length[i] += max(after, default=0)
    wrong = set(range(count))
    last, wanted = -1, max(length, default=0)
    first = 0
    while wanted:
        i = min(
            (j for j in range(first, count) if length[j] == wanted and positions[j] > last),
            key=lambda j: positions[j],
        )
        wrong.remove(i)
        last, first, wanted = positions[i], i + 1, wanted - 1
    return sorted(wrong)


def overstay_limit_s(planned_duration_s: int) -> int:
    """Return how long a visit may last before it is overstayed."""
    return planned_duration_s + max(OVERSTAY_S_MIN, round(OVERSTAY_SHARE * planned_duration_s))


def punctuality(stop: Stop, arrived_at: int) -> Punctuality:
    """Return how an arrival stands to its window, both ends of which count as in time."""
    if arrived_at < stop.window_start:
        return "early"
    return "late" if arrived_at > stop.window_end else "on_time"
