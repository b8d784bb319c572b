"""Times and days as people write them: HH:MM on a local day, or ISO 8601. Pure.

A window or an arrival becomes UTC; a cut-off stays a time of day, since it comes every day. The day
and the zone are arguments: nothing here knows tours, or which day is today.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.sheets import UnknownCodeError, UnusableRowError, moment

DEFAULT_TIME_ZONE: Final = "Europe/Paris"


@lru_cache(maxsize=1_024)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, or refuse the row."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder
        raise UnknownCodeError(
            f"time zone {name} is not known: give an IANA name like Europe/Paris"
        ) from None


def clock_time(text: str) -> time:
    """Return a time of day from HH:MM, or refuse the row."""
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", text)
    try:
        if found:
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
    except ValueError:
        pass
    raise UnusableRowError(f"{text!r} is no time of day like 08:30")


def days(column: str, text: str) -> list[date]:
    """Return days from ISO dates between `;` or spaces, each once, or refuse the row."""
    try:
        return sorted({date.fromisoformat(day) for day in re.split(r"[;\s]+", text) if day})
    except ValueError as error:
        raise UnusableRowError(
            f"{column} {text!r} are no days: give them like 2026-12-25;2027-01-01"
        ) from error


def window(
    start_text: str, end_text: str, day: date, time_zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """Return the start and end of a stop's time window, in UTC.

    Either is local HH:MM on the tour's day or ISO 8601 with an offset. A local end before a local
    start is of the next day. Where the clocks change, `zoneinfo` reads an HH:MM with the offset in
    force before the change: one that is skipped comes as much later as the clocks jump (02:30 is
    03:30 summer time), and of one that comes twice the first is meant.
    """
    start = _instant(start_text, day, time_zone)
    end = _instant(end_text, day, time_zone)
    both_local = len(start_text) <= 8 and len(end_text) <= 8
    if both_local and clock_time(end_text) < clock_time(start_text):
        end = _instant(end_text, day + timedelta(days=1), time_zone)
    if not start < end:
        raise UnusableRowError(f"its window ends at {end_text}, not after its start {start_text}")
    return start, end


def arrival(text: str, window_start: datetime, day: date, time_zone: ZoneInfo) -> datetime:
    """Return a planned arrival in UTC; of a night tour, HH:MM may be of the day after."""
    planned = _instant(text, day, time_zone)
    if len(text) <= 8 and window_start - planned > timedelta(hours=12):
        planned = _instant(text, day + timedelta(days=1), time_zone)
    return planned


def _instant(text: str, day: date, time_zone: ZoneInfo) -> datetime:
    """Return HH:MM on a local day, or a time with an offset, as UTC."""
    if len(text) <= 8:  # HH:MM:SS at most; no ISO 8601 time with a date is as short
        return datetime.combine(day, clock_time(text), time_zone).astimezone(UTC)
    return moment(text).astimezone(UTC)
