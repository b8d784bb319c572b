"""Numbers, days and times as the language of a paper writes them; a time is that of a place. Pure."""

from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from babel.dates import format_skeleton, get_timezone_location
from babel.numbers import format_decimal

from storage.words import Words

#: What an item is counted in if its list says nothing else (`stock_tracker/reference.py`).
PIECE: Final = "piece"


def number(words: Words, n: float) -> str:
    """Return a number, its thousands apart."""
    return format_decimal(n, locale=words.locale)


def quantity(words: Words, n: int, base_unit: str) -> str:
    """Return how much of something: its unit as the company calls it, but for pieces."""
    if base_unit == PIECE:
        return words.tn("{n} piece", "{n} pieces", n, n=number(words, n))
    return f"{number(words, n)} {base_unit}"


def day(words: Words, on: date) -> str:
    """Return a day with its year."""
    return format_skeleton("yMMMd", on, locale=words.locale)


def moment(words: Words, at: datetime, time_zone: str) -> str:
    """Return day of the week, day and time of day where `time_zone` is.

    Raises:
        ValueError: A time that is not aware.
    """
    if at.utcoffset() is None:
        raise ValueError(f"The time {at} has no time zone: give an aware time")
    zone = ZoneInfo(time_zone)
    on, clock = (
        format_skeleton(shape, at, tzinfo=zone, locale=words.locale) for shape in ("yMMMEd", "Hm")
    )
    return f"{on}, {clock}"


def place(words: Words, time_zone: str) -> str:
    """Return the city that a time zone is called after."""
    return get_timezone_location(time_zone, locale=words.locale, return_city=True)
