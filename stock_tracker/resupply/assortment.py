"""From demand to what vans of a template should hold: where one more unit helps most for its cost.

Over the time in which nothing ordered now can arrive (delivery and the gap between two cut-offs) a van
must live on what it has: a request of k units is served if the demand before it leaves that many,
`P(D ≤ S - k)`, averaged over the sizes that were asked for, D being Poisson, or negative binomial where its variance is greater than its mean
(r = mu²/(sigma² - mu)). The vans of a template have different work, so their fill rates are averaged by it.

What a van holds is bought unit by unit. Each goes where it serves most requests for its cost, until
the share of requests served is what is asked for. What one more unit gains falls with each, but for
items used several at a time, of which the first serves nobody: there the units that only together gain
are bought together (the upper concave envelope), so that taking the best step each time costs no more than
the best of all, but for the last step, of which only as much is taken as is needed.
Critical items come first, up to a fill rate of their own. What never gets a unit is not carried at all:
it is ordered when a job that is known beforehand needs it.

A job is served if all its parts are. With m parts a job on average, a share J of jobs asks for a share
J^(1/m) of requests. The reorder point is S - 1: orders go once a day, and a box holds many lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from stock_tracker.resupply.demand import Reals

CRITICAL_FILL: Final = 0.99
UNITS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class Assortment:
    """Columns of shape (n,), one row an item.

    Attributes:
        order_up_to: 0 where the item is not carried.
        fill: Share of requests that are served.
        last_gain: Requests a week that the last unit serves, for its cost.
        total_fill: Over all requests of all items.
    """

    order_up_to: np.ndarray[tuple[int], np.dtype[np.int64]]
    fill: Reals
    last_gain: Reals
    total_fill: float


def probabilities(mean: Reals, variance: Reals, upto: int) -> Reals:
    """Return P(D = 0 .. upto), shape (..., upto + 1), for demand of each mean and variance."""
    mean, variance = np.broadcast_arrays(np.asarray(mean, float), np.asarray(variance, float))
    over = np.maximum(variance - mean, 0.0)
    is_poisson = over <= 1e-9 * np.maximum(mean, 1e-12)
    r = np.where(is_poisson, 1.0, mean**2 / np.where(is_poisson, 1.0, over))
    keep = np.where(is_poisson, 0.0, over / np.where(variance > 0, variance, 1.0))  # 1 - p
    log_p = np.where(is_poisson, -mean, r * np.log1p(-keep))
    log_mean = np.log(np.maximum(mean, 1e-300))
    log_keep = np.log(np.maximum(keep, 1e-300))
    found = [log_p]
    for k in range(1, upto + 1):
        step = np.where(
            is_poisson, log_mean, np.log(np.maximum(r + k - 1, 1e-300)) + log_keep
        ) - np.log(k)
        found.append(found[-1] + step)
    made = np.exp(np.stack(found, axis=-1))
    nothing = mean <= 0
    made[nothing] = 0.0
    made[nothing, 0] = 1.0
    return np.asarray(made)


def fill_rates(mean: Reals, variance: Reals, sizes: Reals, upto: int = UNITS_MAX) -> Reals:
    """Return the share of requests served by S = 0 .. upto, shape (..., upto + 1).

    Args:
        mean: Of the demand until what is ordered arrives.
        variance: Of the same.
        sizes: How often a request is for 1 .. k units, shape (..., k), together 1; broadcasts.
        upto: The greatest S.
    """
    served = np.minimum(np.cumsum(probabilities(mean, variance, upto), axis=-1), 1.0)
    made = np.zeros_like(served)
    for k in range(1, min(sizes.shape[-1], upto) + 1):
        made[..., k:] += sizes[..., k - 1, None] * served[..., : upto + 1 - k]
    return np.asarray(made)


def averaged(fill: Reals, weights: Reals) -> Reals:
    """Return the mean over vans of fill rates (n, vans, S), weighted by requests (n, vans)."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    return np.asarray((fill * (weights / total)[..., None]).sum(axis=1))


def assort(
    requests: Reals,
    fill: Reals,
    cost: Reals,
    is_critical: np.ndarray[tuple[int], np.dtype[np.bool_]],
    target: float,
) -> Assortment:
    """Return how many of each item to hold so that a share of requests is served at least cost.

    Args:
        requests: A week, shape (n,).
        fill: By S, shape (n, S + 1); as of `averaged`.
        cost: Of holding one, shape (n,).
        is_critical: Shape (n,).
        target: Share of all requests to serve.
    """
    n, width = fill.shape
    held = np.zeros(n, dtype=np.int64)
    gain = np.zeros(n)
    needed = np.argmax(fill >= CRITICAL_FILL, axis=1)
    held[is_critical] = np.where((fill >= CRITICAL_FILL).any(axis=1), needed, width - 1)[
        is_critical
    ]
    total = max(float(requests.sum()), 1e-300)
    served = float((requests * fill[np.arange(n), held]).sum())
    steps = [
        (requests[i] * slope / cost[i], i, upto)
        for i in range(n)
        if requests[i] > 0
        for slope, upto in envelope(fill[i], int(held[i]))
    ]
    for ratio, i, upto in sorted(steps, key=lambda step: (-step[0], step[1], step[2])):
        if served >= target * total:
            break
        gains = requests[i] * (fill[i, held[i] + 1 : upto + 1] - fill[i, held[i]])
        units = int(np.argmax(served + gains >= target * total)) + 1
        if served + gains[units - 1] < target * total:
            units = len(gains)
        served += float(gains[units - 1])
        held[i], gain[i] = held[i] + units, ratio
    return Assortment(held, fill[np.arange(n), held], gain, served / total)


def envelope(fill: Reals, start: int = 0) -> list[tuple[float, int]]:
    """Return the steps of the upper concave envelope of fill rates by S, from `start` on.

    Returns:
        (gain of each unit, S after the step), gains falling.
    """
    corners = [start]
    for s in range(start + 1, len(fill)):
        if fill[s] - fill[s - 1] < 1e-12 and fill[s] > 1 - 1e-9:
            break
        while len(corners) > 1 and _slope(fill, corners[-1], s) >= _slope(
            fill, corners[-2], corners[-1]
        ):
            corners.pop()
        corners.append(s)
    pairs = pairwise(corners)
    return [(slope, b) for a, b in pairs if (slope := _slope(fill, a, b)) > 0]


def _slope(fill: Reals, a: int, b: int) -> float:
    return float(fill[b] - fill[a]) / (b - a)


def requests_target(job_target: float, parts_a_job: float) -> float:
    """Return the share of requests to serve so that a share of jobs is, `parts_a_job` on average."""
    return float(job_target ** (1 / max(1.0, parts_a_job)))


def job_fill_rate(jobs: Sequence[Sequence[int]], weights: Sequence[float], fill: Reals) -> float:
    """Return the share of jobs whose parts are all there: the weighted mean of products of fill rates."""
    served = [float(np.prod(fill[list(parts)])) for parts in jobs]
    return float(np.average(served, weights=weights))
