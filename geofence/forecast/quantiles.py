"""A distribution is 25 quantiles, and where observations are few it takes after a parent's.

To the n observations are added `PSEUDO` made-up ones that lie as the parent's quantiles do, and the
quantiles of that mixture are taken (shrinkage by pseudo-counts; Gelman et al., Bayesian Data
Analysis, 3rd ed., 5.3). No single observation moves them far, greater ones never make them smaller,
and the order of the observations plays no part.

It knows nothing of roads, of work, or of time.
"""

from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: At 2 %, 6 %, ..., 98 %; among them 10, 50 and 90 %.
QUANTILES: Final = 25
SHARES: Final = tuple((i + 0.5) / QUANTILES for i in range(QUANTILES))
LOW: Final = 2
MEDIAN: Final = 12
HIGH: Final = 22
PSEUDO: Final = 15


def log_normal(sigma: float) -> Floats:
    """Return the quantiles of a log-normal distribution with median 1, shape (QUANTILES,)."""
    return np.exp(sigma * np.array([NormalDist().inv_cdf(share) for share in SHARES]))


def mixed(observed: Floats, parent: Floats) -> Floats:
    """Return the quantiles of observations and of `PSEUDO` made-up ones that lie as the parent's do.

    Weights are whole numbers, and a quantile is one of the values: so the result depends on nothing
    but the set.

    Args:
        observed: Shape (n,).
        parent: Quantiles at `SHARES`.
    """
    values = np.concatenate([observed, parent])
    weights = np.full(len(values), QUANTILES, dtype=np.int64)
    weights[len(observed) :] = PSEUDO
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order])
    wanted = (2 * np.arange(QUANTILES) + 1) * up_to[-1]
    at = np.searchsorted(up_to * (2 * QUANTILES), wanted, side="left")
    quantiles: Floats = values[order][at]
    return quantiles
