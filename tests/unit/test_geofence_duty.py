"""Off duty by switch and calendar: every cell of the table, summer time, and a slow second opinion."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.duty import (
    DAY_MS,
    Span,
    Switch,
    WorkingCalendar,
    days_of,
    is_within,
    off_spans,
    within,
    working_hours,
)

PARIS = ZoneInfo("Europe/Paris")
OFFICE = WorkingCalendar(
    "Europe/Paris",
    tuple((day, start, end) for day in range(1, 6) for start, end in ((480, 720), (780, 1_080))),
    frozenset({date(2026, 9, 23)}),
)


def at(text: str, day: int = 21) -> int:
    """Return HH:MM of a day in September 2026 in Paris; the 21st is a Monday, the 23rd a holiday."""
    hour, minute = map(int, text.split(":"))
    return round(datetime(2026, 9, day, hour, minute, tzinfo=PARIS).timestamp() * 1_000)


def is_off(t: int, *switches: Switch, calendar: WorkingCalendar | None = OFFICE) -> bool:
    return bool(off_spans(switches, calendar, t, t + 1))


ON, OFF = True, False


@pytest.mark.parametrize(
    ("switches", "moment", "calendar", "expected"),
    [
        # The switch says off.
        ([(at("08:00"), OFF)], at("10:00"), OFFICE, True),
        ([(at("08:00"), OFF)], at("20:00"), OFFICE, True),
        ([(at("08:00"), OFF)], at("10:00"), None, True),
        # It says on.
        ([(at("08:00"), ON)], at("10:00"), OFFICE, False),
        ([(at("08:00"), ON)], at("12:30"), OFFICE, True),  # pressed before that rest
        ([(at("08:00"), ON)], at("20:00"), OFFICE, True),  # forgotten
        ([(at("19:00"), ON)], at("20:00"), OFFICE, False),  # called out
        ([(at("19:00"), ON)], at("09:00", 22), OFFICE, False),
        ([(at("19:00"), ON)], at("20:00", 22), OFFICE, True),
        ([(at("08:00"), ON)], at("20:00"), None, False),
        # It says nothing yet.
        ([], at("10:00"), OFFICE, False),
        ([], at("20:00"), OFFICE, True),
        ([], at("20:00"), None, False),
        ([(at("11:00"), OFF)], at("10:00"), OFFICE, False),
        # Said again is no new press.
        ([(at("08:00"), ON), (at("19:00"), ON)], at("20:00"), OFFICE, True),
        ([(at("08:00"), ON), (at("18:59"), OFF), (at("19:00"), ON)], at("20:00"), OFFICE, False),
        # Holidays and weekends are rests.
        ([], at("10:00", 23), OFFICE, True),
        ([], at("10:00", 26), OFFICE, True),
        ([(at("09:00", 26), ON)], at("15:00", 27), OFFICE, False),
    ],
)
def test_each_cell_of_the_table(
    switches: list[Switch], moment: int, calendar: WorkingCalendar | None, *, expected: bool
) -> None:
    assert is_off(moment, *switches, calendar=calendar) is expected


def test_a_status_counts_from_its_own_moment_on() -> None:
    switch = (at("10:00"), OFF)
    assert not is_off(at("10:00") - 1, switch)
    assert is_off(at("10:00"), switch)


def test_working_hours_begin_and_end_by_the_local_clock() -> None:
    assert is_off(at("08:00") - 1)
    assert not is_off(at("08:00"))
    assert not is_off(at("18:00") - 1)
    assert is_off(at("18:00"))


def test_a_press_is_forgotten_when_it_is_older_than_any_rest() -> None:
    never = WorkingCalendar("Europe/Paris", ())
    pressed = (at("10:00"), ON)
    assert not is_off(at("10:00") + 60 * DAY_MS, pressed, calendar=never)
    assert is_off(at("10:00") + 70 * DAY_MS, pressed, calendar=never)


def test_a_night_in_two_lines_is_one_stretch() -> None:
    night = WorkingCalendar("Europe/Paris", ((1, 1_320, 1_440), (2, 0, 360)))
    assert working_hours(night, at("12:00"), at("12:00", 22)) == [(at("22:00"), at("06:00", 22))]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 7), (date(2026, 10, 25), 9)])
def test_hours_over_a_change_of_the_clocks_are_an_hour_shorter_or_longer(
    day: date, hours: int
) -> None:
    sundays = WorkingCalendar("Europe/Paris", ((7, 0, 480),))
    noon = round(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1_000)
    (span,) = [s for s in working_hours(sundays, noon, noon) if s[1] > noon - DAY_MS]
    assert (span[1] - span[0]) / 3_600_000 == hours


def slowly(switches: list[Switch], calendar: WorkingCalendar | None, t: int) -> bool:
    """Say it minute by minute, as the table in `geofence/duty.py` reads."""
    before = [switch for switch in switches if switch[0] <= t]
    if before and not before[-1][1]:
        return True
    if calendar is None or works(calendar, t):
        return False
    if not before:
        return True
    press = next(s for at, s in enumerate(before) if all(on for _, on in before[at:]))
    rest = t
    while not works(calendar, rest - 60_000) and rest > press[0]:
        rest -= 60_000
    return not rest <= press[0]


def works(calendar: WorkingCalendar, t: int) -> bool:
    local = datetime.fromtimestamp(t / 1_000, ZoneInfo(calendar.time_zone))
    minute = local.hour * 60 + local.minute
    return local.date() not in calendar.holidays and any(
        day == local.isoweekday() and start <= minute < end for day, start, end in calendar.hours
    )


MINUTES = st.integers(0, 7 * 1_440 - 1).map(lambda n: at("00:00") + n * 60_000)
SWITCHES = st.dictionaries(MINUTES, st.booleans(), max_size=8).map(lambda d: sorted(d.items()))
CALENDARS = st.one_of(
    st.none(),
    st.just(OFFICE),
    st.lists(
        st.tuples(st.integers(1, 7), st.integers(0, 1_439), st.integers(1, 1_440)).filter(
            lambda hours: hours[1] < hours[2]
        ),
        max_size=5,
    ).map(lambda hours: WorkingCalendar("Europe/Paris", tuple(sorted(hours)))),
)


@given(switches=SWITCHES, calendar=CALENDARS, moments=st.lists(MINUTES, min_size=1, max_size=5))
def test_spans_are_what_the_table_says_minute_by_minute(
    switches: list[Switch], calendar: WorkingCalendar | None, moments: list[int]
) -> None:
    week = off_spans(switches, calendar, at("00:00"), at("00:00", 28))
    assert week == sorted(week)
    assert all(a[1] < b[0] for a, b in pairwise(week))
    said = [is_within(week, t) for t in moments]
    assert said == [slowly(switches, calendar, t) for t in moments]
    assert within(week, np.array(moments)).tolist() == said
    for t in moments:
        assert bool(off_spans(switches, calendar, t, t + 1)) == is_within(week, t)


def test_days_are_counted_in_utc() -> None:
    late = at("01:30", 22)
    assert days_of([late, late + 1, at("10:00")]) == {date(2026, 9, 21): 3}
    assert days_of([late + timedelta(hours=1) // timedelta(milliseconds=1)]) == {
        date(2026, 9, 22): 1
    }


def test_no_span_holds_nothing() -> None:
    spans: list[Span] = []
    assert not is_within(spans, 5)
    assert within(spans, np.array([5])).tolist() == [False]
