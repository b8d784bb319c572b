"""Which way a part takes that cannot wait, and how near two vans' ways come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod

from stock_tracker.resupply.urgent import FAR_M, Giver, Lack, apart_m, cheapest

NOW = datetime(2026, 9, 21, 8, tzinfo=UTC)
LACK = Lack(2, NOW + timedelta(hours=6), is_later_day=False, has_home=True, express_minutes=240)
LATER = replace(LACK, window_end=NOW + timedelta(days=1), is_later_day=True)
WGS84 = Geod(ellps="WGS84")


def giver(apart: float, spare: int = 2, van: str = "van-002") -> Giver:
    return Giver(7, van, spare, apart)


@pytest.mark.parametrize(
    ("lack", "givers", "way"),
    [
        (LACK, [], "site"),
        (LACK, [giver(5_000)], "transfer"),
        (LACK, [giver(5_000, spare=1)], "site"),
        (LACK, [giver(FAR_M + 1)], "site"),
        (replace(LACK, window_end=NOW + timedelta(hours=2)), [], None),
        (replace(LACK, window_end=NOW + timedelta(hours=2)), [giver(14_000)], "transfer"),
        (replace(LACK, express_minutes=0), [], None),
        (LATER, [], "home"),
        (replace(LATER, has_home=False), [], "site"),
        (LATER, [giver(14_000)], "transfer"),  # 4 + 0.80 x 14 = 15.20 < 25
    ],
)
def test_the_cheapest_way_that_is_in_time_is_taken(
    lack: Lack, givers: list[Giver], way: str | None
) -> None:
    found = cheapest(lack, givers, NOW)
    assert (found.kind if found else None) == way


def test_of_several_vans_the_nearest_gives_and_of_equals_the_first_by_code() -> None:
    found = cheapest(
        LACK, [giver(9_000, van="b"), giver(3_000, van="c"), giver(3_000, van="a")], NOW
    )
    assert found is not None
    assert found.giver is not None
    assert found.giver.van == "a"
    assert found.cost == pytest.approx(4 + 0.8 * 3)


places = st.tuples(st.floats(43, 51), st.floats(-4, 8))


@given(st.lists(places, min_size=1, max_size=4), st.lists(places, min_size=1, max_size=4))
def test_two_ways_are_as_far_apart_as_their_nearest_points(
    one: list[tuple[float, float]], other: list[tuple[float, float]]
) -> None:
    nearest = min(WGS84.inv(a[1], a[0], b[1], b[0])[2] for a in one for b in other)
    assert apart_m(np.array(one), np.array(other)) == pytest.approx(nearest, rel=0.006, abs=1)


def test_a_van_without_a_place_is_nowhere_near() -> None:
    assert apart_m(np.empty((0, 2)), np.array([[48.0, 2.0]])) == float("inf")
