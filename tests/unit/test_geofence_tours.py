"""Days, windows, and which visit keeps which stop."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import combinations, pairwise
from zoneinfo import ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.rules import Rules
from geofence.tours import (
    Arrival,
    Match,
    Punctuality,
    Stop,
    day_begins,
    match,
    out_of_order,
    overstay_limit_s,
    punctuality,
    service_date,
)

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


def test_of_arrivals_at_one_moment_the_order_is_that_of_the_plan() -> None:
    both = [Arrival(5, NOON), Arrival(6, NOON)]
    for told in (both, both[::-1]):
        matches = match([stop(1, 6), stop(2, 5)], told)
        assert [matches[arrival].stop_id for arrival in both] == [102, 101]
        assert not any(found.wrong_order for found in matches.values())


arrivals_of_a_day = st.lists(
    st.builds(
        Arrival,
        st.integers(1, 3),
        st.one_of(st.sampled_from((NOON, NOON + HOUR)), st.integers(NOON - HOUR, NOON + 3 * HOUR)),
    ),
    unique=True,
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


@given(stops_of_a_day, arrivals_of_a_day)
def test_the_visits_in_wrong_order_are_those_that_keep_stops_out_of_order(
    stops: list[Stop], arrivals: list[Arrival]
) -> None:
    matches = match(stops, arrivals)
    position_of = {stop.stop_id: stop.position for stop in stops}
    kept = sorted(
        (arrival.arrived_at, position_of[found.stop_id], arrival.site_id)
        for arrival, found in matches.items()
        if found.stop_id is not None
    )
    wrong = out_of_order([position for _, position, _ in kept])
    assert {arrival for arrival, found in matches.items() if found.wrong_order} == {
        Arrival(site_id, at) for at, _, site_id in (kept[i] for i in wrong)
    }


# ---- wrong order


@pytest.mark.parametrize(
    ("visited", "wrong"),
    [
        ([], []),
        ([3], []),
        ([1, 2, 3, 4], []),
        ([2, 5, 9], []),  # stops left out are no disorder
        ([4, 1, 2, 3], [0]),  # the fourth first: one visit, not three
        ([2, 3, 4, 1], [3]),  # the first last
        ([1, 3, 2, 4], [1]),  # of two series the one whose stops were planned first
        ([2, 1], [0]),
        ([4, 3, 2, 1], [0, 1, 2]),
        ([3, 4, 1, 2], [0, 1]),
        ([1, 4, 3, 2, 5], [1, 2]),
    ],
)
def test_as_many_visits_as_can_be_are_in_order(visited: list[int], wrong: list[int]) -> None:
    assert out_of_order(visited) == wrong


def longest_increasing(positions: Sequence[int]) -> list[list[int]]:
    """Return every longest increasing series of a few numbers, by trying all."""
    for length in range(len(positions), 0, -1):
        found = [
            list(chosen)
            for chosen in combinations(range(len(positions)), length)
            if all(positions[a] < positions[b] for a, b in pairwise(chosen))
        ]
        if found:
            return found
    return [[]]


@given(st.lists(st.integers(1, 30), unique=True, max_size=9))
def test_what_is_out_of_order_lies_outside_a_longest_series_that_was_planned_first(
    positions: list[int],
) -> None:
    wrong = out_of_order(positions)
    right = [i for i in range(len(positions)) if i not in wrong]
    best = min(longest_increasing(positions), key=lambda chosen: [positions[i] for i in chosen])
    assert right == best
    assert wrong == sorted(wrong)


def test_a_van_that_does_its_last_stop_first_has_one_visit_in_wrong_order() -> None:
    stops = [stop(1, 5), stop(2, 6), stop(3, 7)]
    last, first, second = (
        Arrival(site_id, NOON + i * 60_000) for i, site_id in enumerate((7, 5, 6))
    )
    assert match(stops, [last, first, second]) == {
        last: Match(103, "on_time", wrong_order=True),
        first: Match(101, "on_time"),
        second: Match(102, "on_time"),
    }


def test_visits_that_keep_no_stop_are_in_no_order() -> None:
    unplanned, first, second = (
        Arrival(site_id, NOON + i * 60_000) for i, site_id in enumerate((9, 5, 6))
    )
    matches = match([stop(1, 5), stop(2, 6)], [unplanned, first, second])
    assert not any(found.wrong_order for found in matches.values())


# ---- overstayed


@pytest.mark.parametrize(
    ("planned_s", "limit_s"),
    [
        (0, 900),
        (600, 1_500),
        (1_799, 2_699),  # half of it is less than 15 minutes: those count
        (1_800, 2_700),
        (1_802, 2_703),
        (7_200, 10_800),
    ],
)
def test_a_visit_may_last_half_as_long_again_and_at_least_15_minutes_more(
    planned_s: int, limit_s: int
) -> None:
    assert overstay_limit_s(planned_s) == limit_s


# ---- the day of a visit


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        ("2026-09-21T00:59:59.999+00:00", "Europe/Paris", date(2026, 9, 20)),  # 02:59
        ("2026-09-21T01:00:00+00:00", "Europe/Paris", date(2026, 9, 21)),  # 03:00
        ("2026-09-20T22:30:00+00:00", "Europe/Paris", date(2026, 9, 20)),  # past midnight
        ("2026-01-21T01:59:59.999+00:00", "Europe/Paris", date(2026, 1, 20)),
        ("2026-01-21T02:00:00+00:00", "Europe/Paris", date(2026, 1, 21)),
        # the night in which 02:00 is 03:00: at 01:59:59.999 it is still Saturday
        ("2026-03-29T00:59:59.999+00:00", "Europe/Paris", date(2026, 3, 28)),
        ("2026-03-29T01:00:00+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-30T00:59:59.999+00:00", "Europe/Paris", date(2026, 3, 29)),
        ("2026-03-30T01:00:00+00:00", "Europe/Paris", date(2026, 3, 30)),
        # the night in which 03:00 is 02:00 once more: 02:30 comes twice, both are Saturday
        ("2026-10-25T00:30:00+00:00", "Europe/Paris", date(2026, 10, 24)),
        ("2026-10-25T01:30:00+00:00", "Europe/Paris", date(2026, 10, 24)),
        ("2026-10-25T01:59:59.999+00:00", "Europe/Paris", date(2026, 10, 24)),
        ("2026-10-25T02:00:00+00:00", "Europe/Paris", date(2026, 10, 25)),
        ("2026-10-26T01:59:59.999+00:00", "Europe/Paris", date(2026, 10, 25)),
        ("2026-10-26T02:00:00+00:00", "Europe/Paris", date(2026, 10, 26)),
        # the same nights in Lisbon: 01:00 is 02:00, and 02:00 is 01:00 once more
        ("2026-03-29T01:59:59.999+00:00", "Europe/Lisbon", date(2026, 3, 28)),
        ("2026-03-29T02:00:00+00:00", "Europe/Lisbon", date(2026, 3, 29)),
        ("2026-10-25T02:59:59.999+00:00", "Europe/Lisbon", date(2026, 10, 24)),
        ("2026-10-25T03:00:00+00:00", "Europe/Lisbon", date(2026, 10, 25)),
        # the same nights in Helsinki: at 03:00 it is 04:00, and 03:00 comes twice
        ("2026-03-29T00:59:59.999+00:00", "Europe/Helsinki", date(2026, 3, 28)),
        ("2026-03-29T01:00:00+00:00", "Europe/Helsinki", date(2026, 3, 29)),
        ("2026-03-29T23:59:59.999+00:00", "Europe/Helsinki", date(2026, 3, 29)),
        ("2026-03-30T00:00:00+00:00", "Europe/Helsinki", date(2026, 3, 30)),
        ("2026-10-24T00:00:00+00:00", "Europe/Helsinki", date(2026, 10, 24)),
        ("2026-10-25T00:00:00+00:00", "Europe/Helsinki", date(2026, 10, 24)),
        ("2026-10-25T00:59:59.999+00:00", "Europe/Helsinki", date(2026, 10, 24)),
        ("2026-10-25T01:00:00+00:00", "Europe/Helsinki", date(2026, 10, 25)),
        ("2026-10-26T00:59:59.999+00:00", "Europe/Helsinki", date(2026, 10, 25)),
        ("2026-10-26T01:00:00+00:00", "Europe/Helsinki", date(2026, 10, 26)),
        # the same moment in the site's own zone
        ("2026-09-21T00:30:00+00:00", "Europe/Helsinki", date(2026, 9, 21)),
        ("2026-09-21T00:30:00+00:00", "Europe/Paris", date(2026, 9, 20)),
        ("2026-09-21T01:30:00+00:00", "Europe/Paris", date(2026, 9, 21)),
        ("2026-09-21T01:30:00+00:00", "Europe/Lisbon", date(2026, 9, 20)),
    ],
)
def test_the_day_of_a_visit_is_the_local_one_of_its_site_and_turns_at_3_in_the_morning(
    moment: str, zone: str, expected: date
) -> None:
    assert service_date(ms(moment), zone) == expected


def test_the_hour_at_which_the_day_turns_is_a_rule() -> None:
    half_past_midnight = ms("2026-09-20T22:30:00+00:00")
    midnight = Rules(day_turns_h=0)
    assert service_date(half_past_midnight, "Europe/Paris") == date(2026, 9, 20)
    assert service_date(half_past_midnight, "Europe/Paris", midnight) == date(2026, 9, 21)


@given(
    st.integers(946_684_800_000, 4_000_000_000_000),
    # The last puts 03:45 back to 02:45, so that the clock on its walls reads 3 before and after.
    st.sampled_from(["Europe/Paris", "Europe/Lisbon", "Europe/Helsinki", "UTC", "Pacific/Chatham"]),
)
def test_a_moment_lies_between_the_two_turns_of_its_day(t_ms: int, zone: str) -> None:
    day = service_date(t_ms, zone)
    begins, ends = (day_begins(day + timedelta(days=i), zone) for i in (0, 1))
    assert begins <= t_ms < ends
    assert ends - begins in {23 * HOUR, 24 * HOUR, 25 * HOUR}


def test_an_unknown_time_zone_is_an_error() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        service_date(NOON, "Europe/Nowhere")
