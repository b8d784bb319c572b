"""When the cut-offs of a warehouse fall: working days, several a day, clocks that change."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stock_tracker.resupply.calendars import Calendar, delivery_of, horizon, latest_cutoff

PARIS = "Europe/Paris"
NOON = [time(12)]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-09-21T11:59:59.999+02:00", "2026-09-18T12:00+02:00"),  # Monday before noon: Friday
        ("2026-09-21T12:00+02:00", "2026-09-21T12:00+02:00"),  # the moment itself
        ("2026-09-21T23:59+02:00", "2026-09-21T12:00+02:00"),
        ("2026-09-22T00:01+02:00", "2026-09-21T12:00+02:00"),
        ("2026-09-19T13:00+02:00", "2026-09-18T12:00+02:00"),  # Saturday
        ("2026-09-20T13:00+02:00", "2026-09-18T12:00+02:00"),  # Sunday
    ],
)
def test_the_latest_cutoff_is_of_a_working_day_and_not_in_the_future(now: str, cutoff: str) -> None:
    assert latest_cutoff(Calendar(NOON, PARIS), utc(now)) == utc(cutoff)


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        # Sunday 2026-03-29 the clock goes forward, Sunday 2026-10-25 it goes back.
        ("2026-03-29T12:00+02:00", "2026-03-27T12:00+01:00"),
        ("2026-03-30T12:00+02:00", "2026-03-30T12:00+02:00"),
        ("2026-03-30T11:59+02:00", "2026-03-27T12:00+01:00"),
        ("2026-10-26T12:00+01:00", "2026-10-26T12:00+01:00"),
        ("2026-10-26T11:59+01:00", "2026-10-23T12:00+02:00"),
    ],
)
def test_noon_stays_noon_when_the_clock_changes(now: str, cutoff: str) -> None:
    assert latest_cutoff(Calendar(NOON, PARIS), utc(now)) == utc(cutoff)


def test_a_cutoff_in_the_hour_that_a_working_day_skips_still_falls_once() -> None:
    # In Cairo 2026-04-24, a Friday, begins at 01:00.
    half_past = [time(0, 30)]
    before = datetime(2026, 4, 23, 22, 29, tzinfo=UTC)
    assert latest_cutoff(Calendar(half_past, "Africa/Cairo"), before) == utc(
        "2026-04-23T00:30+02:00"
    )
    fallen = latest_cutoff(Calendar(half_past, "Africa/Cairo"), before + timedelta(hours=2))
    assert fallen is not None
    assert before.date() == fallen.date()
    assert fallen.astimezone(ZoneInfo("Africa/Cairo")).date() == date(2026, 4, 24)
    assert (
        latest_cutoff(Calendar(half_past, "Africa/Cairo"), before + timedelta(hours=20)) == fallen
    )


def test_a_cutoff_in_the_hour_that_a_working_day_repeats_falls_once() -> None:
    # In Cairo 2026-10-29, a Thursday, has the hour from 23:00 twice.
    late = [time(23, 30)]
    first = utc("2026-10-29T23:30+03:00")
    for minutes in (0, 30, 60, 89):
        now = first + timedelta(minutes=minutes)
        assert latest_cutoff(Calendar(late, "Africa/Cairo"), now) == first
    assert latest_cutoff(Calendar(late, "Africa/Cairo"), first - timedelta(minutes=1)) != first


@pytest.mark.parametrize(
    ("now", "cutoff"),
    [
        ("2026-09-21T07:59+02:00", "2026-09-18T16:30+02:00"),
        ("2026-09-21T08:00+02:00", "2026-09-21T08:00+02:00"),
        ("2026-09-21T11:59+02:00", "2026-09-21T08:00+02:00"),
        ("2026-09-21T16:29+02:00", "2026-09-21T12:00+02:00"),
        ("2026-09-21T16:30+02:00", "2026-09-21T16:30+02:00"),
    ],
)
def test_of_several_a_day_in_any_order_the_latest_counts(now: str, cutoff: str) -> None:
    times = [time(12), time(16, 30), time(8)]
    assert latest_cutoff(Calendar(times, PARIS), utc(now)) == utc(cutoff)
    assert latest_cutoff(Calendar(sorted(times), PARIS), utc(now)) == utc(cutoff)


def test_a_warehouse_without_cutoffs_has_none() -> None:
    assert latest_cutoff(Calendar([], PARIS), utc("2026-09-21T12:00+02:00")) is None


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Niue", "Asia/Kathmandu"])
def test_the_working_day_is_that_of_the_warehouse(zone: str) -> None:
    for hour in range(24 * 7):
        now = datetime(2026, 9, 21, tzinfo=UTC) + timedelta(hours=hour)
        cutoff = latest_cutoff(Calendar([time(0), time(23, 59)], zone), now)
        assert cutoff is not None
        local = cutoff.astimezone(ZoneInfo(zone))
        assert local.weekday() < 5
        assert (local.hour, local.minute) in {(0, 0), (23, 59)}


minutes = st.integers(0, 3 * 365 * 24 * 60).map(
    lambda minute: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
)
times = st.lists(st.times().map(lambda t: t.replace(second=0, microsecond=0)), min_size=1)
zones = st.sampled_from([PARIS, "UTC", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])


@given(minutes, st.timedeltas(timedelta(0), timedelta(days=9)), times, zones)
def test_cutoffs_never_run_backwards_nor_lie_ahead(
    now: datetime, later: timedelta, cutoff_times: list[time], zone: str
) -> None:
    cutoff = latest_cutoff(Calendar(cutoff_times, zone), now)
    after = latest_cutoff(Calendar(cutoff_times, zone), now + later)
    assert cutoff is not None
    assert after is not None
    assert now - timedelta(days=4) < cutoff <= now
    assert cutoff <= after <= now + later
    assert latest_cutoff(Calendar(cutoff_times, zone), cutoff) == cutoff


PARIS_DAYS = Calendar(NOON, PARIS, frozenset({date(2026, 12, 25)}))


@pytest.mark.parametrize(
    ("cutoff", "delivery"),
    [
        ("2026-09-21T12:00+02:00", "2026-09-22T06:30+02:00"),  # Monday: Tuesday morning
        ("2026-09-25T12:00+02:00", "2026-09-28T06:30+02:00"),  # Friday: Monday
        ("2026-12-24T12:00+01:00", "2026-12-28T06:30+01:00"),  # the 25th is closed, then a weekend
        ("2026-10-23T12:00+02:00", "2026-10-26T06:30+01:00"),  # the clock goes back in between
    ],
)
def test_what_a_cutoff_orders_is_there_on_the_next_working_morning(
    cutoff: str, delivery: str
) -> None:
    assert delivery_of(PARIS_DAYS, utc(cutoff)) == utc(delivery)


def test_a_closed_day_has_no_cutoff() -> None:
    assert latest_cutoff(PARIS_DAYS, utc("2026-12-25T18:00+01:00")) == utc("2026-12-24T12:00+01:00")


def test_the_horizon_is_the_delivery_of_the_next_cutoff_and_of_the_one_after_it() -> None:
    done = utc("2026-09-24T12:00+02:00")  # a Thursday
    assert horizon(PARIS_DAYS, done) == (
        utc("2026-09-28T06:30+02:00"),
        utc("2026-09-29T06:30+02:00"),
    )
    assert horizon(Calendar([], PARIS), done) is None


@given(minutes, times, zones, st.integers(0, 5))
def test_a_delivery_is_after_its_cutoff_and_on_an_open_day(
    now: datetime, cutoff_times: list[time], zone: str, days: int
) -> None:
    calendar = Calendar(cutoff_times, zone, frozenset({now.date()}), days + 1, time(6))
    cutoff = latest_cutoff(calendar, now)
    assert cutoff is not None
    delivery = delivery_of(calendar, cutoff)
    local = delivery.astimezone(ZoneInfo(zone)).date()
    assert delivery > cutoff
    assert local.weekday() < 5
    assert local not in calendar.closed_days
