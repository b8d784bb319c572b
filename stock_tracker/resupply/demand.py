"""How many of an item a skill group will use: intermittent demand, weekly, as columns. Pure numpy.

A pair of van and item sees about one issue a year: no series of its own tells anything. Demand is pooled
over the vans of a skill group and forecast there, one row an item and group, one column a week:

- **SBA** (Syntetos and Boylan, Int. J. Forecasting 21, 2005), moved in weeks with demand only:
  `z += alpha(y - z)`, `q += alpha(n - q)`, forecast `(1 - alpha/2) z/q`; z is the size of a demand, q the weeks
  between two, n the weeks since the last.
- **TSB** (Teunter, Syntetos and Babai, EJOR 214, 2011), moved every week: `p += beta(1[y>0] - p)`, and
  with demand `z += alpha(y - z)`; forecast `p z`. It decays, so that what is phased out is forgotten.

SBA is used, and TSB where the last demand is longer ago than four times the usual gap: SBA would hold
such an item in every van for ever. Weeks in which a part was lacking are demand too, since technicians
say what they lacked; weeks that are marked as unseen are skipped, not taken for zeros.

A group's demand is split over its vans by their share w of the work, and drawn towards what each van
did use: with f the group's weekly rate, n what the van used in T weeks, and a gamma prior worth kappa weeks,

    lambda = (kappa f w + n) / (kappa + T)
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

ALPHA: Final = 0.1
BETA: Final = 0.1
#: A demand that is this many usual gaps ago may have been the last.
PHASED_OUT_GAPS: Final = 4.0
#: Two years of the group's history weigh as much as what the van itself has used in two years.
PRIOR_WEEKS: Final = 104.0

#: Classes of Syntetos, Boylan and Croston, J. Oper. Res. Soc. 56 (2005).
GAP_INTERMITTENT: Final = 1.32
CV2_LUMPY: Final = 0.49
CLASSES: Final = np.array(["smooth", "erratic", "intermittent", "lumpy"])


@dataclass(frozen=True, slots=True)
class Forecast:
    """Columns of shape (n,), one row an item and group.

    Attributes:
        rate: Base units a week.
        size: Mean base units of a week with demand.
        size_var: Their variance.
        gap: Weeks from one demand to the next; infinity without any.
        is_tsb: Whether TSB was used, because the item may be phased out.
    """

    rate: Reals
    size: Reals
    size_var: Reals
    gap: Reals
    is_tsb: Flags


def sba(y: Reals, seen: Flags | None = None, alpha: float = ALPHA) -> Reals:
    """Return the SBA forecast a week after the last, shape (n,); 0 for a row without demand.

    Args:
        y: Demand, shape (n, weeks), base units.
        seen: False for weeks whose demand nobody saw, same shape.
        alpha: Weight of the newest demand.
    """
    z, q, _ = _croston(y, _all(y) if seen is None else seen, alpha)
    return np.where(q > 0, (1 - alpha / 2) * z / np.maximum(q, 1e-9), 0.0)


def tsb(y: Reals, seen: Flags | None = None, alpha: float = ALPHA, beta: float = BETA) -> Reals:
    """Return the TSB forecast a week after the last, shape (n,); arguments as of `sba`.

    It begins with the share of weeks with demand in the first half, and their mean size.
    """
    seen = _all(y) if seen is None else seen
    half = max(1, y.shape[1] // 2)
    hits = (y > 0) & seen
    p = hits[:, :half].sum(axis=1) / np.maximum(1, seen[:, :half].sum(axis=1))
    z = _mean_size(y[:, :half], hits[:, :half])
    for week in range(y.shape[1]):
        hit, is_seen = hits[:, week], seen[:, week]
        p = np.where(is_seen, p + beta * (hit - p), p)
        z = np.where(hit, np.where(z > 0, z + alpha * (y[:, week] - z), y[:, week]), z)
    return np.asarray(p * z)


def forecast(y: Reals, seen: Flags | None = None) -> Forecast:
    """Return the forecast of each row of weekly demand; arguments as of `sba`."""
    seen = _all(y) if seen is None else seen
    hits = (y > 0) & seen
    _, gap, since = _croston(y, seen, ALPHA)
    is_tsb = (gap > 0) & (since > PHASED_OUT_GAPS * np.maximum(gap, 1.0))
    size = _mean_size(y, hits)
    counted = np.maximum(1, hits.sum(axis=1))
    size_var = np.where(hits, (y - size[:, None]) ** 2, 0.0).sum(axis=1) / counted
    rate = np.where(is_tsb, tsb(y, seen), sba(y, seen))
    return Forecast(rate, size, size_var, np.where(gap > 0, gap, np.inf), is_tsb)


def classify(made: Forecast) -> npt.NDArray[np.str_]:
    """Return smooth, erratic, intermittent or lumpy for each row, by gap and variation of size."""
    varied = made.size_var > CV2_LUMPY * np.maximum(made.size, 1e-9) ** 2
    return np.asarray(CLASSES[2 * (made.gap >= GAP_INTERMITTENT) + varied])


def split(rate: Reals, shares: Reals, used: Reals, weeks: float) -> Reals:
    """Return each van's weekly rate, shape (n, vans).

    Args:
        rate: Of the group, shape (n,).
        shares: Of the work, shape (vans,), together 1.
        used: What each van used, shape (n, vans).
        weeks: In how many weeks.
    """
    return (PRIOR_WEEKS * rate[:, None] * shares + used) / (PRIOR_WEEKS + weeks)


def over(rate: Reals, size: Reals, size_var: Reals, weeks: float) -> tuple[Reals, Reals]:
    """Return mean and variance of the demand in a number of weeks, as compound Poisson.

    Args:
        rate: Base units a week, any shape.
        size: Mean units of a demand, a shape that broadcasts.
        size_var: Their variance.
        weeks: Lead time and review time together.
    """
    mean = rate * weeks
    # Var = number of demands x E[size^2]; a demand takes at least one unit.
    each = np.maximum(size, 1.0)
    return mean, mean / each * (each**2 + size_var)


def _croston(y: Reals, seen: Flags, alpha: float) -> tuple[Reals, Reals, Reals]:
    """Return size, gap and weeks since the last demand; size and gap begin with the first demand."""
    z, q, n = (np.zeros(len(y)) for _ in range(3))
    for week in range(y.shape[1]):
        is_seen = seen[:, week]
        n = n + is_seen
        hit = (y[:, week] > 0) & is_seen
        first = hit & (q == 0)
        z = np.where(hit, np.where(first, y[:, week], z + alpha * (y[:, week] - z)), z)
        q = np.where(hit, np.where(first, n, q + alpha * (n - q)), q)
        n = np.where(hit, 0.0, n)
    return z, q, n


def _mean_size(y: Reals, hits: Flags) -> Reals:
    total = np.where(hits, y, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(1, hits.sum(axis=1)))


def _all(y: Reals) -> Flags:
    return np.ones(y.shape, dtype=np.bool_)
