"""Forecasts of parts that are hardly ever used: by hand, by property, and that the dead are forgotten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stock_tracker.resupply.demand import (
    PRIOR_WEEKS,
    Reals,
    classify,
    forecast,
    over,
    sba,
    split,
    tsb,
)

series = arrays(float, st.tuples(st.integers(1, 5), st.integers(2, 60)), elements=st.integers(0, 9))


def rows(*weeks: list[float]) -> Reals:
    return np.array(weeks, dtype=float)


def test_sba_moves_size_and_gap_in_weeks_with_demand_only() -> None:
    # First demand 2 after 2 weeks; then 4 after 3: z = 2 + 0.1 * 2, q = 2 + 0.1 * 1.
    made = sba(rows([0, 2, 0, 0, 4, 0]))
    assert made == pytest.approx([0.95 * 2.2 / 2.1])


def test_tsb_moves_the_chance_of_demand_every_week() -> None:
    p, z = 0.5, 2.0
    for y in (0, 2, 2, 0):
        p += 0.1 * ((y > 0) - p)
    assert tsb(rows([0, 2, 2, 0])) == pytest.approx([p * z])


@given(st.integers(1, 9), st.integers(2, 80))
def test_what_is_used_every_week_alike_is_forecast_so(units: int, weeks: int) -> None:
    y = np.full((1, weeks), float(units))
    assert sba(y) == pytest.approx([0.95 * units])
    assert tsb(y) == pytest.approx([units])


@given(series)
def test_forecasts_are_not_negative_and_grow_with_the_unit(y: Reals) -> None:
    once, thrice = forecast(y), forecast(3 * y)
    assert (once.rate >= 0).all()
    assert thrice.rate == pytest.approx(3 * once.rate)
    assert thrice.size == pytest.approx(3 * once.size)
    assert (thrice.is_tsb == once.is_tsb).all()


@given(series, st.randoms())
def test_each_row_is_forecast_by_itself(y: Reals, rng: object) -> None:
    order = np.argsort([hash((i, str(rng))) for i in range(len(y))])
    assert forecast(y[order]).rate == pytest.approx(forecast(y).rate[order])


@given(series)
def test_weeks_that_nobody_saw_are_skipped_not_taken_for_zeros(y: Reals) -> None:
    unseen = np.zeros((len(y), 3))
    padded = np.hstack([y, unseen])
    seen = np.hstack([np.ones(y.shape, bool), np.zeros(unseen.shape, bool)])
    assert sba(padded, seen) == pytest.approx(sba(y))
    assert (sba(padded) <= sba(y) + 1e-12).all()


def test_what_was_never_used_is_forecast_as_nothing() -> None:
    made = forecast(np.zeros((2, 30)))
    assert made.rate.tolist() == [0, 0]
    assert made.gap.tolist() == [np.inf, np.inf]


def test_what_is_phased_out_is_forgotten() -> None:
    used = ([1.0, 0, 0] * 20)[:60]
    alive, gone = [*used, 0, 0, 0], used[:21] + [0.0] * 42
    made = forecast(rows(alive, gone))
    assert made.is_tsb.tolist() == [False, True]
    assert made.rate[0] == pytest.approx(1 / 3, rel=0.15)
    assert made.rate[1] < 0.02
    assert sba(rows(gone))[0] > 0.3  # which would hold it for ever


def test_classes_are_told_by_gap_and_by_variation_of_size() -> None:
    smooth, erratic = [2.0, 3, 2, 3] * 5, [1.0, 9, 1, 1] * 5
    intermittent, lumpy = [0.0, 0, 2, 0] * 5, [0.0, 0, 1, 0, 0, 9] * 4
    names = [classify(forecast(rows(y)))[0] for y in (smooth, erratic, intermittent, lumpy)]
    assert names == ["smooth", "erratic", "intermittent", "lumpy"]


def test_a_van_without_history_of_its_own_has_its_share_of_the_groups() -> None:
    rate, shares = np.array([2.0]), np.array([0.75, 0.25])
    split_up = split(rate, shares, np.zeros((1, 2)), 0)
    assert split_up == pytest.approx(np.array([[1.5, 0.5]]))


@given(st.floats(0, 5), st.integers(1, 8), st.integers(1, 200), st.integers(0, 50))
def test_vans_that_used_what_was_forecast_together_have_the_groups_rate(
    rate: float, vans: int, weeks: int, extra: int
) -> None:
    shares = np.arange(1, vans + 1) / sum(range(1, vans + 1))
    used = (rate * weeks * shares)[None]
    assert split(np.array([rate]), shares, used, weeks).sum() == pytest.approx(rate)
    more = used.copy()
    more[0, 0] += extra
    drawn = split(np.array([rate]), shares, more, weeks)
    assert drawn[0, 0] - rate * shares[0] == pytest.approx(extra / (PRIOR_WEEKS + weeks))


def test_demand_of_single_units_is_poisson_and_of_many_at_once_is_wider() -> None:
    mean, variance = over(np.array([2.0, 2.0]), np.array([1.0, 4.0]), np.array([0.0, 3.0]), 0.5)
    assert mean.tolist() == [1.0, 1.0]
    assert variance.tolist() == [1.0, (16 + 3) / 4]


def test_compound_demand_has_the_mean_and_variance_that_are_told() -> None:
    rng = np.random.default_rng(5)
    sizes = 1 + rng.integers(0, 4, (200_000, 12))
    count = rng.poisson(1.5, 200_000)
    drawn = np.where(np.arange(12) < count[:, None], sizes, 0).sum(axis=1)
    mean, variance = over(np.array(1.5 * 2.5), np.array(2.5), np.array(1.25), 1.0)
    assert drawn.mean() == pytest.approx(float(mean), rel=0.02)
    assert drawn.var() == pytest.approx(float(variance), rel=0.02)
