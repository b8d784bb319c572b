"""When a warehouse closes orders, and when it delivers them.

A warehouse names local times of its working days (Monday to Friday, without the days on which it is
closed). At each, what is proposed then becomes orders; they are there some working days later at its
time of delivery, before the day's work. With c the cut-off that was done last, the next two and
their deliveries follow: what jobs need before the delivery of the second must be on the order of
the first, since a later order comes too late for them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

SATURDAY: Final = 5
#: How far a calendar is looked through, days: longer than any holiday.
HORIZON_DAYS: Final = 60


@dataclass(frozen=True, slots=True)
class Calendar:
    """A warehouse's working days and times.

    Attributes:
        cutoff_times: Local times of a working day.
        time_zone: IANA name.
        closed_days: Working days on which it does not work.
        delivery_days: Working days from a cut-off's day to its delivery.
        delivery_time: Local time of delivery.
    """

    cutoff_times: Collection[time]
    time_zone: str
    closed_days: Collection[date] = ()
    delivery_days: int = 1
    delivery_time: time = time(6, 30)


def latest_cutoff(calendar: Calendar, now: datetime) -> datetime | None:
    """Return the newest cut-off that is not after `now`, in UTC; None within two months of none."""
    today = now.astimezone(ZoneInfo(calendar.time_zone)).date()
    for days_ago in range(HORIZON_DAYS):
        past = [c for c in _cutoffs_on(today - timedelta(days_ago), calendar) if c <= now]
        if past:
            return past[-1]
    return None


def next_cutoff(calendar: Calendar, after: datetime) -> datetime | None:
    """Return the first cut-off after a time, in UTC; None within two months of none."""
    today = after.astimezone(ZoneInfo(calendar.time_zone)).date()
    for days in range(HORIZON_DAYS):
        coming = [c for c in _cutoffs_on(today + timedelta(days), calendar) if c > after]
        if coming:
            return coming[0]
    return None


def delivery_of(calendar: Calendar, cutoff: datetime) -> datetime:
    """Return when what is ordered at a cut-off should be there, in UTC."""
    zone = ZoneInfo(calendar.time_zone)
    day, left = cutoff.astimezone(zone).date(), calendar.delivery_days
    for _ in range(HORIZON_DAYS):
        if left == 0:
            break
        day += timedelta(days=1)
        left -= _is_open(day, calendar)
    return datetime.combine(day, calendar.delivery_time, zone).astimezone(UTC)


def horizon(calendar: Calendar, done: datetime) -> tuple[datetime, datetime] | None:
    """Return when the next order is there and when the one after it is; None without cut-offs.

    Args:
        calendar: Of the warehouse.
        done: The cut-off that was done last.
    """
    first = next_cutoff(calendar, done)
    second = first and next_cutoff(calendar, first)
    if first is None or second is None:
        return None
    return delivery_of(calendar, first), delivery_of(calendar, second)


def _cutoffs_on(day: date, calendar: Calendar) -> list[datetime]:
    if not _is_open(day, calendar):
        return []
    zone = ZoneInfo(calendar.time_zone)
    return sorted(datetime.combine(day, t, zone).astimezone(UTC) for t in calendar.cutoff_times)


def _is_open(day: date, calendar: Calendar) -> bool:
    return day.weekday() < SATURDAY and day not in calendar.closed_days
