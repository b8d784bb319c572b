"""How long visits last, learnt from the fleet's own: as a ratio, actual / planned duration.

Short jobs overrun by more than long ones, so the ratio has a distribution for each of three classes
of planned duration (`quantiles`), which takes after that of all visits. Of a visit under way it is
known to be more than elapsed / planned. So its end lies where the chance to last that long,

    beyond(ratio) = 1 - share below it,     beyond the last quantile: a Pareto tail,

has fallen to some share of what it is now: who has overrun far may overrun more. Where nothing is
planned, what visits usually take stands for it.

Who is done before the plan has him leave waits, and then leaves a little later than planned: that
*lag* is learnt too.

It knows nothing of the present, of roads, or of plans but their durations.
"""

from typing import Final

import msgspec
import numpy as np

from geofence.forecast.quantiles import MEDIAN, QUANTILES, SHARES, Floats, log_normal, mixed

#: Classes of planned duration: up to this, up to this, and more, s.
CLASSES_S: Final = (15 * 60.0, 30 * 60.0)
SIGMA: Final = 0.35
TYPICAL_S: Final = 30 * 60.0
RATIO_MAX: Final = 6.0
ACTUAL_S_MIN: Final = 60.0
LAG_S_MAX: Final = 30 * 60.0
TAIL: Final = 1 / 5
TAIL_SHARE: Final = 1 - SHARES[-1]


class Work(msgspec.Struct, frozen=True):
    """How long visits last.

    Attributes:
        ratio: Actual / planned duration at each of `SHARES`, rising, for each class.
        lag_s: How long after the planned departure those leave who have waited for it, at each of
            `SHARES`, rising.
        typical_s: What stands for a planned duration where there is none: the median visit.
        observations: Visits that it rests on.
        period_ms: First and last moment of the time they are from, ms since 1970 UTC, if known.
    """

    ratio: tuple[tuple[float, ...], ...]
    lag_s: tuple[float, ...]
    typical_s: float
    observations: int = 0
    period_ms: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        rows = (*self.ratio, self.lag_s)
        if [len(row) for row in rows] != [QUANTILES] * (len(CLASSES_S) + 2):
            raise ValueError("a distribution of other quantiles: calibrate again")


def calibrate_work(
    planned_s: Floats,
    actual_s: Floats,
    lag_s: Floats,
    period_ms: tuple[int, int] | None = None,
) -> Work:
    """Return how long the fleet's visits last. The order of the observations plays no part.

    Args:
        planned_s: Planned durations of visits, shape (n,); 0 or NaN where nothing was planned.
        actual_s: How long each lasted, shape (n,). Less than a minute is no work; more than 6 times
            the planned, or the usual, duration was a van left there.
        lag_s: Of those who waited, how long after the planned departure they left, shape (m,). More
            than half an hour has another reason.
        period_ms: First and last moment of the time they are from.
    """
    is_planned = planned_s > 0
    ratio = actual_s / np.where(is_planned, planned_s, TYPICAL_S)
    is_sound = (actual_s >= ACTUAL_S_MIN) & (ratio <= RATIO_MAX)
    prior = log_normal(SIGMA)
    typical = mixed(actual_s[is_sound] / TYPICAL_S, prior)
    planned = is_sound & is_planned
    fleet = mixed(ratio[planned], prior)
    class_of = np.searchsorted(CLASSES_S, planned_s)
    waited_s = np.maximum(0.0, lag_s[lag_s <= LAG_S_MAX])
    return Work(
        ratio=tuple(
            tuple(mixed(ratio[planned & (class_of == c)], fleet).tolist())
            for c in range(len(CLASSES_S) + 1)
        ),
        lag_s=tuple(mixed(waited_s, np.zeros(QUANTILES)).tolist()),
        typical_s=float(typical[MEDIAN]) * TYPICAL_S,
        observations=int(is_sound.sum()),
        period_ms=period_ms,
    )


def work_left(work: Work, planned_s: Floats, elapsed_s: Floats, draw: Floats) -> Floats:
    """Return how long visits still last, s, shape (n, draws).

    Args:
        work: Of the fleet.
        planned_s: Planned durations, shape (n,); 0 where nothing was planned.
        elapsed_s: How long each has lasted; 0 of one that has not begun. Shape (n,).
        draw: Numbers between 0 and 1: which share of all such visits ends sooner, shape (draws,).
    """
    base_s = np.where(planned_s > 0, planned_s, work.typical_s)
    elapsed = np.maximum(0.0, elapsed_s / base_s)
    class_of = np.searchsorted(CLASSES_S, base_s)
    left = np.empty((len(base_s), len(draw)))
    for c, quantiles in enumerate(work.ratio):
        of_class = class_of == c
        still = _beyond(quantiles, elapsed[of_class])[:, None] * (1 - draw)
        left[of_class] = _ratio_beyond(quantiles, still) - elapsed[of_class, None]
    lasts_s: Floats = np.maximum(0.0, left) * base_s[:, None]
    return lasts_s


def lags_s(work: Work, draw: Floats) -> Floats:
    """Return how long after the planned departure those leave who have waited, s, shape of `draw`."""
    return np.interp(draw, SHARES, work.lag_s)


def _beyond(quantiles: tuple[float, ...], ratio: Floats) -> Floats:
    """Return the share of visits that last longer than this."""
    last = quantiles[-1]
    body = 1 - np.interp(ratio, (0.0, *quantiles), (0.0, *SHARES))
    return np.where(ratio < last, body, TAIL_SHARE * (last / np.maximum(ratio, last)) ** (1 / TAIL))


def _ratio_beyond(quantiles: tuple[float, ...], share: Floats) -> Floats:
    """Return the ratio beyond which this share of visits lasts: the inverse of `_beyond`."""
    body = np.interp(1 - share, (0.0, *SHARES), (0.0, *quantiles))
    tail = quantiles[-1] * (TAIL_SHARE / np.maximum(share, 1e-9)) ** TAIL
    return np.where(share >= TAIL_SHARE, body, tail)


#: What holds before a fleet has worked.
UNCALIBRATED_WORK: Final = calibrate_work(np.empty(0), np.empty(0), np.empty(0))
