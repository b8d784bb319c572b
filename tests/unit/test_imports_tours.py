"""What makes a stop's skill, parts or time window good, without a database."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.imports.local_times import window
from geofence.imports.needs import parts, skill
from storage.sheets import UnusableRowError

PARIS = ZoneInfo("Europe/Paris")


def test_a_skill_that_is_no_word_is_refused() -> None:
    for text in ("gas fitter", "a;b", "x" * 65):
        with pytest.raises(UnusableRowError, match="no single word"):
            skill(text)


def test_parts_are_quantities_by_item() -> None:
    items = {"P-1": 7, "P-2": 3, "P:9": 5, "A B": 8}
    assert parts(items, "P-1:2; P-2 ;") == {3: 1, 7: 2}
    assert list(parts(items, "P-1:2;P-2:3")) == [3, 7]
    assert parts(items, "P:9;A B:04") == {5: 1, 8: 4}
    assert parts(items, "P:9:2") == {5: 2}
    assert parts(items, "") == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("P-3", "item P-3 is not known: import items first"),
        ("P-1:2;P-1", "item P-1 is twice"),
        ("P-1:0", "whole number from 1 to 999999"),
        ("P-1:-2", "whole number"),
        ("P-1:1.5", "whole number"),
        ("P-1:", "whole number"),
        ("P-1:1000000", "whole number"),
        ("P-1,P-2", "item P-1,P-2 is not known"),
        (":3", "item  is not known"),
    ],
)
def test_parts_that_cannot_be_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UnusableRowError, match=reason):
        parts({"P-1": 7, "P-2": 3}, text)


def utc(day: int, hour: int, minute: int = 0, month: int = 1) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start", "end", "expected"),
    [
        (date(2026, 1, 5), "08:00", "10:00", (utc(5, 7), utc(5, 9))),
        (date(2026, 7, 5), "08:00", "10:00", (utc(5, 6, month=7), utc(5, 8, month=7))),
        (date(2026, 1, 5), "23:00", "01:00", (utc(5, 22), utc(6, 0))),
        (date(2026, 1, 5), "2026-01-05T08:00Z", "2026-01-05T10:00+01:00", (utc(5, 8), utc(5, 9))),
        # 2026-03-29: 02:00 to 03:00 does not exist; 02:30 is 03:30 summer time.
        (date(2026, 3, 29), "02:30", "04:00", (utc(29, 1, 30, 3), utc(29, 2, 0, 3))),
        # The window of the night before keeps both ends, and is an hour shorter.
        (date(2026, 3, 28), "23:00", "04:00", (utc(28, 22, 0, 3), utc(29, 2, 0, 3))),
        # 2026-10-25: 02:30 comes twice; the first is meant.
        (date(2026, 10, 25), "02:30", "04:00", (utc(25, 0, 30, 10), utc(25, 3, 0, 10))),
    ],
)
def test_a_window_is_read_at_the_site(
    day: date, start: str, end: str, expected: tuple[datetime, datetime]
) -> None:
    assert window(start, end, day, PARIS) == expected


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (date(2026, 1, 5), "08:00", "08:00"),
        (date(2026, 1, 5), "2026-01-05T08:00Z", "2026-01-05T08:00+01:00"),
        (date(2026, 1, 5), "2026-01-05T08:00", "09:00"),
        (date(2026, 3, 29), "02:30", "03:15"),
        (date(2026, 1, 5), "8", "9"),
    ],
)
def test_a_window_that_does_not_open_is_refused(day: date, start: str, end: str) -> None:
    with pytest.raises(UnusableRowError):
        window(start, end, day, PARIS)


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.times(),
    st.times(),
    st.sampled_from(["Europe/Paris", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
)
def test_a_local_window_is_refused_or_opens_for_less_than_26_hours(
    day: date, start: object, end: object, name: str
) -> None:
    try:
        opens, closes = window(f"{start:%H:%M}", f"{end:%H:%M}", day, ZoneInfo(name))
    except UnusableRowError:
        return
    assert 0 < (closes - opens).total_seconds() < 26 * 3600
