"""Lines of calendars.csv: what they mean, and why some are refused."""

from datetime import date

import pytest

from geofence.imports.calendars import CalendarRow, staged_hours, weekdays_of
from storage.sheets import UnusableRowError, as_row, csv_rows

VANS = {"van-001": 7}


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", (1,)),
        ("mon-fri", (1, 2, 3, 4, 5)),
        ("Sat;SUN", (6, 7)),
        ("fri-mon", (1, 5, 6, 7)),
        ("mon-wed sun", (1, 2, 3, 7)),
        ("mon;mon", (1,)),
    ],
)
def test_weekdays_are_read_as_people_write_them(text: str, days: tuple[int, ...]) -> None:
    assert weekdays_of(text) == days


def staged(line: str, zones: dict[str | None, str] | None = None) -> tuple[object, ...]:
    header = "van,weekdays,begins,ends,time_zone,holidays"
    ((_, cells),) = csv_rows(f"{header}\n{line}".encode(), CalendarRow)
    assert isinstance(cells, dict)
    return staged_hours(VANS, {} if zones is None else zones, as_row(cells, CalendarRow))


def test_a_line_without_a_van_is_of_all() -> None:
    assert staged(",mon-tue,08:00,24:00,,2026-12-25;2026-12-24") == (
        None, "{1,2}", 480, 1_440, None, [date(2026, 12, 24), date(2026, 12, 25)],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("van-009,mon,08:00,12:00", "van van-009 is not known"),
        (",montag,08:00,12:00", "weekdays 'montag' are none"),
        (",mon,12:00,08:00", "a night is two lines"),
        (",mon,08:00,08:00", "not after it begins"),
        (",mon,8 Uhr,12:00", "no time of day"),
        (",mon,08:00:30,12:00", "whole minutes"),
        (",mon,08:00,12:00,Mars/Olympus", "is not known: give an IANA name"),
        (",mon,08:00,12:00,,25.12.2026", "are no days"),
    ],
)
def test_a_line_that_cannot_be_used_says_what_to_do(line: str, why: str) -> None:
    with pytest.raises(UnusableRowError, match=why):
        staged(line)


def test_a_calendar_has_one_time_zone() -> None:
    zones: dict[str | None, str] = {}
    staged(",mon,08:00,12:00,Europe/Paris", zones)
    staged("van-001,mon,08:00,12:00,Europe/Lisbon", zones)
    with pytest.raises(UnusableRowError, match="in the time zone Europe/Paris"):
        staged(",tue,08:00,12:00,Europe/Lisbon", zones)
