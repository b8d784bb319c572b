"""What it takes to get from one place to another, learnt from the fleet's own legs.

A *leg* is the way from one visit to the next. Its time has three parts, which behave differently:

*Moving.* Of the crow-fly distance d a built-in prior makes seconds: two minutes for yards, parking
and the first lights, then town, main road and motorway, each with the bends taken off its speed
(about 1.3 m of road to 1 m as the crow flies):

    prior(d) = 120 s + 3 km at 20 km/h + the next 12 km at 40 km/h + the rest at 65 km/h

`calibrate` looks at the ratio moving / prior by cells: band of distance x part of the day. A ratio
beyond 3 was an errand, and is left out. What a cell lacks it borrows (`quantiles.mixed`) from its
band, the band from the whole fleet, the fleet from the prior. Median, 10 % and 90 % become seconds at
the middle of each band, are made to rise with the distance, and are joined by straight lines over the
prior. A quarter of an hour to either side of where one part of the day meets the next the two are
blended, so that nobody gains much by leaving later.

*Standing.* Short stops and slow traffic, up to halts of 10 minutes: mostly nothing, seldom half an
hour. So it is kept as a histogram (`STANDING_EDGES_S`) for each part of the day, which borrows from
the fleet's, and that from a guess. Of a leg under way it is known how long the van has stood, s, on
the share x of the way that is behind it. Standing comes in pieces of about three minutes, anywhere on
the way. Of a leg that will have stood S = n pieces in all, k = s pieces then lie behind with the
chance

    binomial(n, k) x^k (1 - x)^(n - k)

by which what may be left, S - s, is weighed (Bayes; the gamma function stands for factorials, because
pieces are no whole numbers). So a van that has stood for nothing halfway will probably not
stand at all, and one that has stood for a quarter of an hour will probably stand for another.

*Breaks.* Halts of 10 minutes or more that are no visits. Where most van-days have one between
`BREAK_HOURS`, that is what the fleet's lunch is like; whether it is still to come is not asked here.

It knows nothing of the present, of plans, of messages, or of roads on a map.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.forecast.quantiles import HIGH, LOW, MEDIAN, PSEUDO, Floats, log_normal, mixed

Row = tuple[float, ...]
Indices = npt.NDArray[np.intp]

#: Prior: seconds at each of these crow-fly distances, and the speed from there on.
START_S: Final = 120.0
TOWN_M: Final = 3_000.0
TOWN_MPS: Final = 20 / 3.6
MAIN_M: Final = 15_000.0
MAIN_MPS: Final = 40 / 3.6
MOTORWAY_MPS: Final = 65 / 3.6
TOWN_S: Final = START_S + TOWN_M / TOWN_MPS
MAIN_S: Final = TOWN_S + (MAIN_M - TOWN_M) / MAIN_MPS

#: Bands of distance, m; the middle of each is a knot, and so are the two ends of the scale. The last
#: is half round the Earth: nothing is extrapolated.
EDGES_M: Final = (1e3, 2e3, 4e3, 7e3, 12e3, 20e3, 35e3, 60e3)
KNOTS_M: Final = (0.0, 500.0, 1.5e3, 3e3, 5.5e3, 9.5e3, 16e3, 27e3, 46e3, 80e3, 20.1e6)
BAND_OF_KNOT: Final = (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 8)
BANDS: Final = len(EDGES_M) + 1

#: Parts of the day, and the local hours at which they meet; from midnight to midnight.
PARTS: Final = ("night", "day", "morning peak", "midday", "evening peak")
EDGES_H: Final = (6.0, 7.0, 9.0, 11.5, 13.5, 16.0, 19.0, 20.0)
PART_BETWEEN: Final = (0, 1, 2, 1, 3, 1, 4, 1, 0)
QUARTERS: Final = 96

MOVING_SIGMA: Final = 0.30
OUTLIER_RATIO: Final = 3.0
#: Faster than this as the crow flies is a fault of positions.
SPEED_MPS_MAX: Final = 40.0

#: Bins of standing; who stood for less than the first has not stood, and the last has no end.
STANDING_EDGES_S: Final = 60.0 * np.array(
    [1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180]
)
PIECE_S: Final = 180.0
#: What is left of it is looked at more closely, for at the end of a way it is little.
LEFT_EDGES_S: Final = 60.0 * np.array(
    [0, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 40, 50, 60, 90, 120, 180]
)
#: Per second: nobody stands so long that it must be over.
TINY: Final = 1e-12
#: A guess, before a fleet has driven: one leg in five stands, for 8 minutes on average.
STANDS_SHARE: Final = 0.2
STANDS_S: Final = 8 * 60.0

BREAK_S: Final = (10 * 60.0, 120 * 60.0)
BREAK_HOURS: Final = (10.5, 14.5)
BREAKS_SHARE_MIN: Final = 0.5


class Model(msgspec.Struct, frozen=True):
    """Travel times of a fleet, seconds at each of `KNOTS_M` (columns) by `PARTS` (rows).

    Attributes:
        expected_s: Medians of moving, rising along each row.
        low_s: 10 % of legs take less; never more than `expected_s`.
        high_s: 10 % of legs take more; never less than `expected_s`.
        standing: Shares of legs by how long they stood, by `PARTS`: none, then between
            `STANDING_EDGES_S`. Each row sums to 1.
        break_s: 10 %, median and 90 % of the fleet's break; None where it is not used to have one.
        observations: Legs that it rests on, outliers not among them.
        period_ms: First and last moment of the time they are from, ms since 1970 UTC, if known.
    """

    expected_s: tuple[Row, ...]
    low_s: tuple[Row, ...]
    high_s: tuple[Row, ...]
    standing: tuple[Row, ...]
    break_s: tuple[float, float, float] | None = None
    observations: int = 0
    period_ms: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for rows, columns in (
            (self.expected_s, len(KNOTS_M)),
            (self.low_s, len(KNOTS_M)),
            (self.high_s, len(KNOTS_M)),
            (self.standing, len(STANDING_EDGES_S)),
        ):
            if [len(row) for row in rows] != [columns] * len(PARTS):
                raise ValueError("a model of other bands or parts of the day: calibrate again")


class Legs(NamedTuple):
    """What a fleet has driven; columns of shape (n,).

    Attributes:
        distance_m: As the crow flies, from one visit to the next.
        hour: Local hour of the departure, 0 up to 24.
        travel_s: From the departure to the arrival.
        standing_s: Of it, short stops and halts of less than 10 minutes.
        break_s: Of it, halts of 10 minutes or more.
    """

    distance_m: Floats
    hour: Floats
    travel_s: Floats
    standing_s: Floats
    break_s: Floats


class Spans(NamedTuple):
    """Durations, s, with their distances to the 10 % and the 90 % bound; columns of shape (n,)."""

    expected_s: Floats
    lower_s: Floats
    upper_s: Floats

    def told(self, expected_s: Floats) -> "Spans":
        """Return the same with another word for what is expected, and as wide for its length."""
        scale = expected_s / self.expected_s
        return Spans(expected_s, self.lower_s * scale, self.upper_s * scale)


# --- Calibration -------------------------------------------------------------------------------


def prior_s(distance_m: Floats) -> Floats:
    """Return the seconds that legs take by plain road sense, by their crow-fly distance."""
    return (
        START_S
        + np.minimum(distance_m, TOWN_M) / TOWN_MPS
        + np.clip(distance_m - TOWN_M, 0, MAIN_M - TOWN_M) / MAIN_MPS
        + np.maximum(distance_m - MAIN_M, 0) / MOTORWAY_MPS
    )


KNOTS_S: Final = prior_s(np.array(KNOTS_M))


def calibrate(legs: Legs, van_days: int = 0, period_ms: tuple[int, int] | None = None) -> Model:
    """Return the travel times of a fleet. The order of the observations plays no part.

    Args:
        legs: Between two visits.
        van_days: The days, of each van, that they are from: who has no break on most has none.
        period_ms: First and last moment of the time they are from, to be kept with the model.
    """
    moving_s = legs.travel_s - legs.standing_s - legs.break_s
    ratio = moving_s / prior_s(legs.distance_m)
    # Whatever is NaN fails every comparison.
    is_sound = (legs.distance_m >= 0) & (legs.hour >= 0) & (legs.hour < 24) & (moving_s > 0)
    is_sound &= (ratio <= OUTLIER_RATIO) & (legs.distance_m <= moving_s * SPEED_MPS_MAX)
    ratio = ratio[is_sound]
    band = np.searchsorted(EDGES_M, legs.distance_m[is_sound], side="right")
    part = np.array(PART_BETWEEN)[np.searchsorted(EDGES_H, legs.hour[is_sound], side="right")]
    fleet = mixed(ratio, log_normal(MOVING_SIGMA))
    bands = [mixed(ratio[band == b], fleet) for b in range(BANDS)]
    cells = np.array(
        [
            [mixed(ratio[(band == b) & (part == p)], bands[b]) for b in range(BANDS)]
            for p in range(len(PARTS))
        ]
    )  # (parts, bands, quantiles)
    seconds = KNOTS_S[:, None] * cells[:, BAND_OF_KNOT, :]
    seconds = np.maximum.accumulate(seconds, axis=1)
    return Model(
        expected_s=_rows(seconds[:, :, MEDIAN]),
        low_s=_rows(seconds[:, :, LOW]),
        high_s=_rows(seconds[:, :, HIGH]),
        standing=_rows(_standing(legs.standing_s[is_sound], part)),
        break_s=_break_s(legs, van_days),
        observations=len(ratio),
        period_ms=period_ms,
    )


def _standing(standing_s: Floats, part: Indices) -> Floats:
    """Return the histogram of standing of each part of the day, shape (parts, bins)."""
    bins = len(STANDING_EDGES_S)
    bin_of = np.clip(np.searchsorted(STANDING_EDGES_S, standing_s, side="right"), 0, bins - 1)
    beyond = np.exp(-STANDING_EDGES_S[:-1] / STANDS_S)
    guess = STANDS_SHARE * -np.diff(beyond, append=0.0) / beyond[0]
    fleet = _shares(bin_of, np.concatenate([[1 - STANDS_SHARE], guess]))
    return np.array([_shares(bin_of[part == p], fleet) for p in range(len(PARTS))])


def _shares(bin_of: Indices, parent: Floats) -> Floats:
    counts = np.bincount(bin_of, minlength=len(parent)) + PSEUDO * parent
    shares: Floats = counts / counts.sum()
    return shares


def _break_s(legs: Legs, van_days: int) -> tuple[float, float, float] | None:
    is_break = (legs.break_s >= BREAK_S[0]) & (legs.break_s <= BREAK_S[1])
    is_break &= (legs.hour >= BREAK_HOURS[0]) & (legs.hour < BREAK_HOURS[1])
    taken_s = legs.break_s[is_break]
    if not len(taken_s) or len(taken_s) < BREAKS_SHARE_MIN * van_days:
        return None
    low, median, high = np.quantile(taken_s, [0.1, 0.5, 0.9]).tolist()
    return low, median, high


def _rows(table: Floats) -> tuple[Row, ...]:
    return tuple(tuple(row) for row in table.tolist())


# --- Use ---------------------------------------------------------------------------------------


def _parts_by_quarter() -> Floats:
    """Return for each quarter of an hour two parts, and the weight of the second, shape (96, 4).

    The weight is given where the quarter begins, and as what it gains until the quarter ends.
    """
    parts = [PART_BETWEEN[bisect_right(EDGES_H, quarter / 4)] for quarter in range(QUARTERS)]
    table = np.array([(part, part, 0.0, 0.0) for part in parts])
    for i, edge_h in enumerate(EDGES_H):
        meet = round(edge_h * 4)
        table[meet - 1] = (PART_BETWEEN[i], PART_BETWEEN[i + 1], 0.0, 0.5)
        table[meet] = (PART_BETWEEN[i], PART_BETWEEN[i + 1], 0.5, 0.5)
    return table


BY_QUARTER: Final = _parts_by_quarter()


def _parts(hour: Floats) -> tuple[Indices, Indices, Floats]:
    """Return two parts of the day, and the weight of the second, shape (n,) each."""
    quarter = np.floor(hour * 4)
    table = BY_QUARTER[quarter.astype(np.intp) % QUARTERS]
    weight = table[:, 2] + table[:, 3] * (hour * 4 - quarter)
    return table[:, 0].astype(np.intp), table[:, 1].astype(np.intp), weight


def moving(model: Model, distance_m: Floats, hour: Floats) -> Spans:
    """Return what legs take without standing and breaks.

    Args:
        model: Of the fleet.
        distance_m: Crow-fly distances, shape (n,).
        hour: Local hours of departure, 0 up to 24, shape (n,).
    """
    prior = prior_s(distance_m)
    knot = np.clip(np.searchsorted(KNOTS_S, prior, side="right") - 1, 0, len(KNOTS_S) - 2)
    along = (prior - KNOTS_S[knot]) / (KNOTS_S[knot + 1] - KNOTS_S[knot])
    before, after, weight = _parts(hour)

    def seconds(rows: tuple[Row, ...]) -> Floats:
        table = np.array(rows)
        one = table[before, knot] + along * (table[before, knot + 1] - table[before, knot])
        other = table[after, knot] + along * (table[after, knot + 1] - table[after, knot])
        mean: Floats = one + weight * (other - one)
        return mean

    expected_s = seconds(model.expected_s)
    return Spans(
        expected_s,
        np.maximum(0.0, expected_s - seconds(model.low_s)),
        np.maximum(0.0, seconds(model.high_s) - expected_s),
    )


def usual_s(model: Model, distance_m: Floats, hour: Floats) -> Floats:
    """Return what half of all legs take at most: moving, and standing as half of them do."""
    before, after, weight = _parts(hour)
    up_to = np.cumsum(np.array(model.standing), axis=1)
    bin_of = (up_to[before] * (1 - weight[:, None]) + up_to[after] * weight[:, None] < 0.5).sum(1)
    middle_s = np.concatenate([[0.0], (STANDING_EDGES_S[:-1] + STANDING_EDGES_S[1:]) / 2])
    usual: Floats = moving(model, distance_m, hour).expected_s + middle_s[bin_of]
    return usual


def standing(model: Model, hour: Floats, stood_s: Floats, covered: Floats, draw: Floats) -> Floats:
    """Return how long vans will still stand on their legs, shape (n, draws).

    Args:
        model: Of the fleet.
        hour: Local hours of departure, 0 up to 24, shape (n,).
        stood_s: How long each has stood on its leg, shape (n,).
        covered: The share of the way that is behind it, 0 up to 1, shape (n,).
        draw: Numbers between 0 and 1: which share of all such vans stands less, shape (draws,).
    """
    stood_s = np.where(stood_s < STANDING_EDGES_S[0], 0.0, stood_s)[:, None]
    none, up_to_s = _up_to(model, hour, stood_s + LEFT_EDGES_S)
    prior = np.diff(up_to_s, axis=1) + TINY * np.diff(LEFT_EDGES_S)
    prior = np.concatenate([np.where(stood_s == 0.0, none, 0.0), prior], axis=1)
    seen = stood_s / PIECE_S
    left = np.concatenate([[0.0], (LEFT_EDGES_S[:-1] + LEFT_EDGES_S[1:]) / 2]) / PIECE_S
    chance = _log_gamma(seen + left + 1) - _log_gamma(left + 1)
    chance += left * np.log1p(-np.minimum(covered, 0.999))[:, None]
    weights = prior * np.exp(chance - chance.max(axis=1, keepdims=True))
    share = np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True)
    bin_of = (share[:, None, :-1] < draw[:, None]).sum(axis=2)  # (n, draws)
    n = np.arange(len(share))[:, None]
    below = np.where(bin_of > 0, share[n, bin_of - 1], 0.0)
    inside = (draw - below) / np.maximum(share[n, bin_of] - below, 1e-12)
    least_s = np.concatenate([[0.0], LEFT_EDGES_S[:-1]])[bin_of]
    most_s = np.concatenate([[0.0], LEFT_EDGES_S[1:]])[bin_of]
    left_s: Floats = least_s + inside * (most_s - least_s)
    return left_s


def _up_to(model: Model, hour: Floats, standing_s: Floats) -> tuple[Floats, Floats]:
    """Return the shares of legs that stand not at all, (n, 1), and up to so long, shape (n, k)."""
    before, after, weight = _parts(hour)
    before, after, weight = before[:, None], after[:, None], weight[:, None]
    table = np.cumsum(np.array(model.standing), axis=1)
    knot = np.searchsorted(STANDING_EDGES_S, standing_s, side="right") - 1
    knot = np.clip(knot, 0, len(STANDING_EDGES_S) - 2)
    width_s = STANDING_EDGES_S[knot + 1] - STANDING_EDGES_S[knot]
    along = np.clip((standing_s - STANDING_EDGES_S[knot]) / width_s, 0.0, 1.0)

    def share(part: Indices) -> Floats:
        shares: Floats = table[part, knot] + along * (table[part, knot + 1] - table[part, knot])
        return shares

    none = table[before, 0] * (1 - weight) + table[after, 0] * weight
    return none, share(before) + weight * (share(after) - share(before))


def _log_gamma(z: Floats) -> Floats:
    """Return ln of the gamma function for z >= 1: Stirling's series, good to 0.001."""
    return (z - 0.5) * np.log(z) - z + 0.918_938_533 + 1 / (12 * z)


#: What holds before a fleet has driven.
UNCALIBRATED: Final = calibrate(Legs(*np.empty((5, 0))))
