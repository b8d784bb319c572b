"""What vans hold: probabilities that are some, fill rates that come true, steps that are the best."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stock_tracker.resupply.assortment import (
    CRITICAL_FILL,
    assort,
    averaged,
    envelope,
    fill_rates,
    job_fill_rate,
    probabilities,
    requests_target,
)
from stock_tracker.resupply.demand import Reals

NONE_CRITICAL = np.zeros(3, bool)
#: All requests are for one unit.
ONE = np.array([1.0])


@given(st.floats(0, 60), st.floats(1, 5))
def test_probabilities_sum_to_one_and_have_their_mean_and_variance(
    mean: float, wider: float
) -> None:
    variance = mean * wider
    p = probabilities(np.array(mean), np.array(variance), 1_500)
    k = np.arange(1_501)
    assert p.sum() == pytest.approx(1, abs=1e-6)
    assert (p * k).sum() == pytest.approx(mean, abs=1e-4, rel=1e-4)
    assert (p * (k - mean) ** 2).sum() == pytest.approx(variance, abs=1e-3, rel=1e-3)


def test_probabilities_of_poisson_and_of_negative_binomial_by_hand() -> None:
    poisson, wider = probabilities(np.array([1.0, 1.0]), np.array([1.0, 2.0]), 2)
    assert poisson == pytest.approx(np.exp(-1) * np.array([1, 1, 0.5]))
    assert wider == pytest.approx([0.5, 0.25, 0.125])  # r = 1, p = 1/2: geometric


def test_a_van_that_holds_one_serves_who_comes_when_nothing_was_used() -> None:
    fill = fill_rates(np.array([0.1]), np.array([0.1]), ONE, 3)
    assert fill[0, 0] == 0
    assert fill[0, 1] == pytest.approx(np.exp(-0.1))
    assert fill[0, 2] == pytest.approx(np.exp(-0.1) * 1.1)


def test_who_asks_for_three_at_once_is_not_served_by_two() -> None:
    fill = fill_rates(np.array([0.1]), np.array([0.3]), np.array([0.0, 0.0, 1.0]), 5)
    assert fill[0, :3].tolist() == [0, 0, 0]
    assert fill[0, 3] == pytest.approx(probabilities(np.array(0.1), np.array(0.3), 0)[0])


def test_requests_of_several_sizes_are_served_by_their_shares() -> None:
    mean = np.array([0.4])
    one, two = (fill_rates(mean, mean, np.eye(2)[k], 4) for k in (0, 1))
    mixed = fill_rates(mean, mean, np.array([0.75, 0.25]), 4)
    assert mixed == pytest.approx(0.75 * one + 0.25 * two)


@given(st.floats(0, 20), st.floats(1, 4), st.integers(1, 5))
def test_more_on_board_never_serves_less(mean: float, wider: float, size: int) -> None:
    fill = fill_rates(np.array([mean]), np.array([mean * wider]), np.eye(5)[size - 1], 60)[0]
    assert (np.diff(fill) >= -1e-12).all()
    assert (fill >= 0).all()
    assert (fill <= 1).all()


@pytest.mark.parametrize(("upto", "weekly"), [(1, 0.3), (2, 1.0), (3, 1.5)])
def test_the_fill_rate_comes_true_in_a_simulated_van(upto: int, weekly: float) -> None:
    """One-for-one replenishment, each unit back after a fixed time: half a week."""
    rng = np.random.default_rng(upto)
    asked_at = np.cumsum(rng.exponential(1 / weekly, 40_000))
    back: list[float] = []
    served = 0
    for t in asked_at:
        back = [moment for moment in back if moment > t]
        if len(back) < upto:
            served += 1
            back.append(t + 0.5)
    mean = np.array([weekly * 0.5])
    # Who is not served takes nothing, so that the van is fuller than if all were: conservative.
    told = float(fill_rates(mean, mean, ONE, upto)[0, upto])
    assert told - 0.005 <= served / len(asked_at) <= told + 0.05


@given(st.lists(st.floats(0, 1), min_size=2, max_size=12))
def test_an_envelope_rises_ever_less_and_lies_above(values: list[float]) -> None:
    fill = np.maximum.accumulate(np.array([0.0, *values]))
    steps = envelope(fill)
    slopes = [slope for slope, _ in steps]
    assert slopes == sorted(slopes, reverse=True)
    at, reached = 0, {0: 0.0}
    for slope, upto in steps:
        reached |= {s: float(fill[at]) + slope * (s - at) for s in range(at, upto + 1)}
        at = upto
    assert all(reached[s] >= fill[s] - 1e-9 for s in reached)


def brute_force(requests: Reals, fill: Reals, cost: Reals, target: float) -> float:
    """The least cost of all that serve the target."""
    n, width = fill.shape
    costs = [
        float((np.array(held) * cost).sum())
        for held in itertools.product(range(width), repeat=n)
        if (requests * fill[np.arange(n), held]).sum() >= target * requests.sum() - 1e-12
    ]
    return min(costs)


@settings(max_examples=40)
@given(
    st.lists(st.floats(0.05, 2), min_size=3, max_size=3),
    st.lists(st.floats(0.5, 3), min_size=3, max_size=3),
    st.floats(0.3, 0.95),
)
def test_the_best_step_each_time_is_within_its_last_step_of_the_best_over_all(
    rates: list[float], cost: list[float], target: float
) -> None:
    mean = np.array(rates)
    fill = fill_rates(mean, mean, ONE, 6)
    requests, costs = mean, np.array(cost)
    made = assort(requests, fill, costs, NONE_CRITICAL, target)
    best = brute_force(requests, fill, costs, target * 0.999)
    spent = float((made.order_up_to * costs).sum())
    assert (
        made.total_fill
        >= min(target, float((requests * fill[:, -1]).sum() / requests.sum())) - 1e-9
    )
    steps = [(upto, i) for i in range(3) for _, upto in envelope(fill[i])]
    assert spent <= best + max(upto * costs[i] for upto, i in steps)


def corners(fill: Reals) -> list[int]:
    return [0, *(upto for _, upto in envelope(fill))]


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.floats(0.6, 0.97))
def test_it_never_costs_more_than_one_fill_rate_for_all(seed: int, target: float) -> None:
    rng = np.random.default_rng(seed)
    mean = rng.gamma(0.5, 1.0, 30) + 0.01
    fill = fill_rates(mean, mean, ONE, 25)
    cost = rng.uniform(0.5, 4, 30)
    alike = np.argmax(fill >= target, axis=1)
    reached = float((mean * fill[np.arange(30), alike]).sum() / mean.sum())
    made = assort(mean, fill, cost, np.zeros(30, bool), reached)
    assert made.total_fill >= reached - 1e-12
    last = max(upto - at for row in fill for at, upto in itertools.pairwise(corners(row)))
    assert (made.order_up_to * cost).sum() <= (alike * cost).sum() + last * cost.max()


def test_what_is_critical_is_held_whatever_it_costs() -> None:
    mean = np.array([0.5, 0.5, 0.001])
    fill = fill_rates(mean, mean, ONE, 10)
    made = assort(mean, fill, np.array([1.0, 1.0, 1_000.0]), np.array([False, False, True]), 0.9)
    assert made.fill[2] >= CRITICAL_FILL
    assert assort(mean, fill, np.array([1.0, 1.0, 1e3]), NONE_CRITICAL, 0.9).order_up_to[2] == 0


def test_what_nobody_asks_for_is_not_carried() -> None:
    mean = np.array([0.5, 0.0, 0.5])
    fill = fill_rates(mean, mean, ONE, 10)
    made = assort(mean, fill, np.ones(3), NONE_CRITICAL, 0.999)
    assert made.order_up_to[1] == 0
    assert (made.order_up_to[[0, 2]] > 0).all()


def test_vans_are_averaged_by_what_is_asked_of_them() -> None:
    fill = np.array([[[0.0, 1.0], [0.0, 0.5]]])
    assert averaged(fill, np.array([[3.0, 1.0]])) == pytest.approx(np.array([[0.0, 0.875]]))


def test_a_job_is_served_if_all_its_parts_are() -> None:
    fill = np.array([0.9, 0.5, 1.0])
    assert job_fill_rate([(0,), (0, 1), (2,)], [1, 1, 2], fill) == pytest.approx(
        (0.9 + 0.45 + 2) / 4
    )
    assert requests_target(0.98, 2) == pytest.approx(0.98**0.5)
    assert requests_target(0.98, 0.5) == pytest.approx(0.98)
