"""When a van is off duty: nothing is stored of it then.

Two things say it: the switch on the tablet, and the working calendar.

- The *switch* at a moment is what the newest status at or before that moment said (`duty` on or off). Of
  two with one time, off counts. What says on again after on is no new press: the *press* is the first
  of an unbroken row of the same.
- The *calendar* gives local working hours by weekday, without holidays: the van's own, else its
  organisation's, else there is none. What lies between two stretches of hours is a *rest*.

| the switch says | within working hours | in a rest                          | without a calendar |
| --------------- | -------------------- | ---------------------------------- | ------------------ |
| off             | off duty             | off duty                           | off duty           |
| on              | on duty              | on duty if pressed in that rest    | on duty            |
| nothing yet     | on duty              | off duty                           | on duty            |

So who forgets the switch in the evening is not followed home, and who is called out at night switches on
and is served like by day, until the working hours that follow are over.

Off duty is told as *spans*: half-open [since, until), ms since 1970 UTC, in order, apart from each
other. Pure: it knows no database, and no present.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]
"""Since, and until but not including, ms since 1970 UTC."""

Switch = tuple[int, bool]
"""When a status was told, ms since 1970 UTC, and whether it said on."""

#: Before everything and after everything that the wire contract can say.
EVER: Final = (0, 4_200_000_000_000)

#: A press longer ago than any rest is in none that goes on.
REST_DAYS_MAX: Final = 62
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class WorkingCalendar:
    """Local working hours.

    Attributes:
        time_zone: IANA name.
        hours: ISO weekday (Monday is 1), and minutes of the day from and to; up to 1,440.
        holidays: Local days without hours.
    """

    time_zone: str
    hours: tuple[tuple[int, int, int], ...]
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True)
class _Row:
    """An unbroken row of statuses that say the same; `is_on` is None before the first one."""

    since: int
    until: int
    is_on: bool | None


def off_spans(
    switches: Sequence[Switch], calendar: WorkingCalendar | None, since: int, until: int
) -> list[Span]:
    """Return when a van is off duty, as far as that is between two moments.

    Args:
        switches: In the order of time, one a time; all since the press that counts at `since`.
        calendar: Of the van, if it has one.
        since: ms since 1970 UTC.
        until: Not included.
    """
    spans: list[Span] = []
    for row in _rows(switches):
        first, end = max(row.since, since), min(row.until, until)
        if first >= end:
            continue
        if row.is_on is False:
            spans.append((first, end))
        elif calendar is not None:
            spans += _off_hours(row, calendar, first, end)
    return _joined(spans)


def _rows(switches: Sequence[Switch]) -> list[_Row]:
    rows: list[tuple[int, bool | None]] = [(EVER[0], None), *switches]
    kept = [row for at, row in enumerate(rows) if at == 0 or row[1] != rows[at - 1][1]]
    ends = [t for t, _ in kept[1:]] + [EVER[1]]
    return [_Row(t, end, is_on) for (t, is_on), end in zip(kept, ends, strict=True)]


def _off_hours(row: _Row, calendar: WorkingCalendar, first: int, end: int) -> list[Span]:
    """Return the rests in a row that says on or nothing, but for the one it was pressed in."""
    look_since = max(row.since, first - REST_DAYS_MAX * DAY_MS) if row.is_on else first
    hours = working_hours(calendar, look_since, end)
    rests = zip(
        [EVER[0], *(stop for _, stop in hours)],
        [*(start for start, _ in hours), EVER[1]],
        strict=True,
    )
    return [
        (max(rest_since, first), min(rest_until, end))
        for rest_since, rest_until in rests
        if rest_since < end
        and rest_until > first
        and not (row.is_on and max(rest_since, look_since) <= row.since < rest_until)
    ]


def working_hours(calendar: WorkingCalendar, since: int, until: int) -> list[Span]:
    """Return the stretches of working hours that may meet a span, and all of a day around it."""
    zone = ZoneInfo(calendar.time_zone)
    day = datetime.fromtimestamp(since / 1_000, zone).date() - timedelta(days=1)
    last = datetime.fromtimestamp(until / 1_000, zone).date() + timedelta(days=1)
    spans: list[Span] = []
    while day <= last:
        spans += _hours_of(calendar, day)
        day += timedelta(days=1)
    return _joined(spans)


@lru_cache(maxsize=20_000)
def _hours_of(calendar: WorkingCalendar, day: date) -> tuple[Span, ...]:
    if day in calendar.holidays:
        return ()
    zone = ZoneInfo(calendar.time_zone)
    spans = [
        (_at(day, begins_min, zone), _at(day, ends_min, zone))
        for weekday, begins_min, ends_min in calendar.hours
        if weekday == day.isoweekday()
    ]
    return tuple(span for span in spans if span[0] < span[1])


def _at(day: date, minute: int, zone: ZoneInfo) -> int:
    """Return a local time of day; one that comes twice is the first, one that is skipped is later."""
    days, rest = divmod(minute, 1_440)
    local = datetime(day.year, day.month, day.day, rest // 60, rest % 60, tzinfo=zone)
    moment = (local + timedelta(days=days)).astimezone(UTC)
    return round(moment.timestamp() * 1_000)


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Return spans in order, those that touch as one."""
    joined: list[Span] = []
    for since, until in sorted(spans):
        if joined and since <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], until))
        else:
            joined.append((since, until))
    return joined


def is_within(spans: Sequence[Span], t_ms: int) -> bool:
    """Whether a moment lies in one of some spans."""
    at = bisect_right(spans, t_ms, key=lambda span: span[0]) - 1
    return at >= 0 and t_ms < spans[at][1]


def within(spans: Sequence[Span], t_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which moments lie in one of some spans. Shape (n,) both."""
    bounds = np.array(spans, dtype=np.int64).reshape(-1)
    return (np.searchsorted(bounds, t_ms, side="right") % 2).astype(np.bool_)


def days_of(times: Iterable[int]) -> Mapping[date, int]:
    """Return how many moments fall on each day, in UTC."""
    days: dict[date, int] = {}
    for t_ms in times:
        day = datetime.fromtimestamp(t_ms / 1_000, UTC).date()
        days[day] = days.get(day, 0) + 1
    return days
