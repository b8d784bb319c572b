"""Distributions that take after a parent's: what moves them, how far, and what plays no part."""

from fractions import Fraction
from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.forecast.quantiles import (
    HIGH,
    LOW,
    MEDIAN,
    QUANTILES,
    SHARES,
    Floats,
    log_normal,
    mixed,
)

values = st.floats(0, 10)
#: Few different ones, so that many are equal.
coarse = st.integers(0, 4).map(float)
observations = st.lists(values | coarse, max_size=60).map(lambda row: np.array(row, dtype=float))
parents = st.lists(values | coarse, min_size=QUANTILES, max_size=QUANTILES).map(
    lambda row: np.sort(np.array(row))
)


def by_counting(observed: Floats, parent: Floats) -> list[float]:
    """Return the quantiles of 25 copies of each observation and 15 of each of the parent's 25."""
    pool = sorted([value for value in observed for _ in range(25)] + [*parent] * 15)
    found = []
    for i in range(25):
        rank = Fraction(2 * i + 1, 50) * len(pool)
        found.append(next(value for n, value in enumerate(pool, start=1) if n >= rank))
    return found


def test_the_quantiles_have_10_50_and_90_percent_among_them() -> None:
    assert [SHARES[i] for i in (LOW, MEDIAN, HIGH)] == pytest.approx([0.1, 0.5, 0.9])
    assert len(SHARES) == QUANTILES
    assert np.diff(SHARES) == pytest.approx(1 / QUANTILES)


def test_a_log_normal_distribution_has_its_textbook_quantiles() -> None:
    quantiles = log_normal(0.3)
    assert quantiles[[LOW, MEDIAN, HIGH]] == pytest.approx(
        [exp(-0.3 * 1.28155), 1.0, exp(0.3 * 1.28155)], rel=1e-5
    )
    assert quantiles * quantiles[::-1] == pytest.approx(1)
    assert (np.diff(quantiles) > 0).all()


@given(parents)
def test_without_observations_it_is_the_parent(parent: Floats) -> None:
    assert mixed(np.empty(0), parent).tolist() == parent.tolist()


@given(observations, parents)
def test_it_is_what_counting_observations_and_15_made_up_ones_gives(
    observed: Floats, parent: Floats
) -> None:
    assert mixed(observed, parent).tolist() == by_counting(observed, parent)


@given(observations, parents, st.randoms(use_true_random=False))
def test_the_order_of_the_observations_plays_no_part(
    observed: Floats, parent: Floats, random: object
) -> None:
    shuffled = observed.tolist()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert mixed(np.array(shuffled), parent).tolist() == mixed(observed, parent).tolist()


@given(st.lists(st.tuples(values | coarse, st.floats(0, 5)), max_size=60), parents)
def test_greater_observations_never_make_a_quantile_smaller(
    pairs: list[tuple[float, float]], parent: Floats
) -> None:
    smaller = np.array([value for value, _ in pairs])
    greater = np.array([value + more for value, more in pairs])
    assert (mixed(greater, parent) >= mixed(smaller, parent)).all()


@given(observations, parents, st.floats(0, 5))
def test_a_greater_parent_never_makes_a_quantile_smaller(
    observed: Floats, parent: Floats, more: float
) -> None:
    assert (mixed(observed, parent + more) >= mixed(observed, parent)).all()


@given(observations, parents)
def test_quantiles_rise_and_are_among_what_was_observed_or_made_up(
    observed: Floats, parent: Floats
) -> None:
    quantiles = mixed(observed, parent)
    assert (np.diff(quantiles) >= 0).all()
    assert set(quantiles.tolist()) <= {*observed.tolist(), *parent.tolist()}


@given(st.floats(-1e9, 1e9), parents)
def test_a_single_observation_moves_no_bound_farther_than_two_places(
    observed: float, parent: Floats
) -> None:
    quantiles = mixed(np.array([observed]), parent)
    for i in range(LOW, HIGH + 1):
        assert parent[i - 2] <= quantiles[i] <= parent[i + 2]


def test_15_observations_weigh_as_much_as_the_parent() -> None:
    parent = log_normal(0.1)
    above = [int((mixed(np.full(n, 9.0), parent) == 9.0).sum()) for n in (0, 5, 15, 45)]
    assert above == pytest.approx([0, 25 / 4, 25 / 2, 25 * 3 / 4], abs=1)


def test_many_observations_are_believed() -> None:
    observed = np.random.default_rng(1).uniform(2, 4, 5_000)
    assert mixed(observed, log_normal(0.3)) == pytest.approx(
        np.quantile(observed, SHARES), rel=0.01
    )
