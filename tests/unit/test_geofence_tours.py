"""Days, windows, and which visit keeps which stop."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.tours import Arrival, Match, Punctuality, Stop, match, punctuality, service_date

DAY = date(2026, 9, 21)
NOON = 1_790_000_000_000
HOUR = 3_600_000


def ms(text: str) -> int:
    """Return an ISO time with its offset as ms since 1970 UTC."""
    return round(datetime.fromisoformat(text).timestamp() * 1_000)


def stop(position: int, site_id: int, start: int = NOON, end: int = NOON + HOUR) -> Stop:
    return Stop(100 + position, 1, DAY, position, site_id, start, end)


# ---- windows


@pytest.mark.parametrize(
    ("arrived_at", "expected"),
    [
        (NOON - 1, "early"),
        (NOON, "on_time"),
        (NOON + 1, "on_time"),
        (NOON + HOUR - 1, "on_time"),
        (NOON + HOUR, "on_time"),
        (NOON + HOUR + 1, "late"),
    ],
)
def test_both_ends_of_a_window_are_in_time(arrived_at: int, expected: Punctuality) -> None:
    assert punctuality(stop(1, 5), arrived_at) == expected
    arrival = Arrival(5, arrived_at)
    assert match([stop(1, 5)], [arrival]) == {arrival: Match(101, expected)}


# ---- which visit keeps which stop


def test_a_visit_to_a_site_that_is_no_stop_is_unplanned() -> None:
    arrival = Arrival(6, NOON)
    assert match([stop(1, 5)], [arrival]) == {arrival: Match(None, "unplanned")}
    assert match([], [arrival]) == {arrival: Match(None, "unplanned")}


def test_one_more_visit_than_stops_is_repeated() -> None:
    first, second, third = (Arrival(5, NOON + i * 60_000) for i in range(3))
    assert match([stop(1, 5)], [first, second, third]) == {
        first: Match(101, "on_time"),
        second: Match(None, "repeated"),
        third: Match(None, "repeated"),
    }


def test_the_kth_visit_keeps_the_kth_stop_at_its_site() -> None:
    stops = [stop(1, 5), stop(2, 6), stop(3, 5, NOON + 2 * HOUR, NOON + 3 * HOUR)]
    first, second, between = Arrival(5, NOON), Arrival(5, NOON + HOUR), Arrival(6, NOON + 60_000)
    assert match(stops, [first, between, second]) == {
        first: Match(101, "on_time"),
        between: Match(102, "on_time"),
        second: Match(103, "early"),
    }


def test_the_order_of_stops_is_their_position_not_their_window() -> None:
    later_window_first = [stop(1, 5, NOON + HOUR, NOON + 2 * HOUR), stop(2, 5)]
    arrival = Arrival(5, NOON)
    assert match(later_window_first, [arrival]) == {arrival: Match(101, "early")}


def test_a_stop_without_a_visit_is_kept_by_nobody() -> None:
    assert match([stop(1, 5), stop(2, 6)], []) == {}


arrivals_of_a_day = st.lists(
    st.builds(Arrival, st.integers(1, 3), st.integers(NOON - HOUR, NOON + 3 * HOUR)), unique=True
)
stops_of_a_day = st.lists(st.integers(1, 3), max_size=6).map(
    lambda sites: [stop(i, site_id, NOON + i * HOUR // 2) for i, site_id in enumerate(sites)]
)


@given(stops_of_a_day, arrivals_of_a_day, st.randoms(use_true_random=False))
def test_the_order_in_which_stops_and_visits_are_told_never_matters(
    stops: list[Stop], arrivals: list[Arrival], random: object
) -> None:
    expected = match(stops, arrivals)
    shuffle = random.shuffle  # type: ignore[attr-defined]
    shuffle(stops)
    shuffle(arrivals)
    assert match(stops, arrivals) == expected


@given(stops_of_a_day, arrivals_of_a_day)
def test_every_visit_is_matched_and_no_stop_is_kept_twice(
    stops: list[Stop], arrivals: list[Arrival]
) -> None:
    matches = match(stops, arrivals)
    assert set(matches) == set(arrivals)
    kept = [found.stop_id for found in matches.values() if found.stop_id is not None]
    assert len(kept) == len(set(kept))
    for site_id in (1, 2, 3):
        here = [a for a in sorted(arrivals, key=lambda a: a.arrived_at) if a.site_id == site_id]
        ids = [s.stop_id for s in stops if s.site_id == site_id]
        k = min(len(here), len(ids))
        assert [matches[a].stop_id for a in here[:k]] == ids[:k]
        beyond = "repeated" if ids else "unplanned"
        assert [matches[a] for a in here[k:]] == [Match(None, beyond)] * (len(here) - k)


# ---- the day of a visit


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        ("2026-09-20T21:59:59.999+00:00", "Europe/Paris", date(2026, 9, 20)),
        ("2026-09-20T22:00:00+00:00", "Europe/Paris", date(2026, 9, 21)),
        ("2026-01-20T22:59:59.999+00:00", "Europe/Paris", date(2026, 1, 20)),
        ("2026-01-20T23:00:00+00:00", "Europe/Paris", date(2026, 1, 21)),
        # the day of 23 hours: 28 to 29 March begins at +1, ends at +2
        ("2026-03-28T22:59:59.999+00:00", "Europe/Paris", date(2026, 3, 28)),
        ("2026-03-28T23:00:00+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-29T00:59:59.999+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-29T01:00:00+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-29T21:59:59.999+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-29T22:00:00+00:00", "Europe/Paris", date(2026, 3, 30)),
        # the day of 25 hours: 25 October begins at +2, ends at +1
        ("2026-10-24T21:59:59.999+00:00", "Europe/Paris", date(2026, 10, 24)),
        ("2026-10-24T22:00:00+00:00", "Europe/Paris", date(2026, 10, 25)),
        ("2026-10-25T22:59:59.999+00:00", "Europe/Paris", date(2026, 10, 25)),
        ("2026-10-25T23:00:00+00:00", "Europe/Paris", date(2026, 10, 26)),
        # the same moment in the site's own zone
        ("2026-09-20T21:30:00+00:00", "Europe/Helsinki", date(2026, 9, 21)),
        ("2026-09-20T22:30:00+00:00", "Europe/Lisbon", date(2026, 9, 20)),
    ],
)
def test_the_day_of_a_visit_is_the_local_one_of_its_site(
    moment: str, zone: str, expected: date
) -> None:
    assert service_date(ms(moment), zone) == expected


@given(
    st.integers(946_684_800_000, 4_000_000_000_000),
    st.sampled_from(["Europe/Paris", "Europe/Lisbon", "Europe/Helsinki", "UTC"]),
)
def test_a_moment_lies_between_the_midnights_of_its_day(t_ms: int, zone: str) -> None:
    day = service_date(t_ms, zone)
    moment = datetime.fromtimestamp(t_ms / 1_000, UTC)
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    assert midnight.astimezone(UTC) <= moment
    assert (moment - midnight.astimezone(UTC)).total_seconds() < 25 * 3_600


def test_an_unknown_time_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        service_date(NOON, "Europe/Nowhere")
