"""How errors of arrival times are counted, without a database."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.forecast.accuracy import AHEAD_MS, AHEADS, BOUNDS_S, counts, tally

ERRORS = st.lists(st.floats(-90_000, 90_000, allow_nan=False), max_size=50)


@given(ERRORS)
def test_each_bucket_holds_the_errors_up_to_its_bound_and_beyond_the_one_before(
    errors_s: list[float],
) -> None:
    found = counts(Counter(tally("30m", error_s) for error_s in errors_s), "30m")
    bounds = [float("-inf"), *BOUNDS_S, float("inf")]
    assert found == [
        sum(below < error_s <= bound for error_s in errors_s) for below, bound in pairwise(bounds)
    ]


@pytest.mark.parametrize(("error_s", "bound_s"), [(0.0, 0), (0.1, 120), (-0.1, 0), (-120.0, -120)])
def test_an_error_on_a_bound_is_within_it_as_prometheus_has_it(
    error_s: float, bound_s: int
) -> None:
    assert counts({tally("2h", error_s): 1}, "2h").index(1) == BOUNDS_S.index(bound_s)


def test_what_was_said_at_one_distance_is_not_counted_at_another() -> None:
    assert sum(counts({tally("30m", 5.0): 3, "event:visit": 9}, "2h")) == 0


def test_every_distance_has_its_length_and_bounds_are_in_order() -> None:
    assert set(AHEAD_MS) == set(AHEADS)
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
