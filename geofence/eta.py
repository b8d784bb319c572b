"""When a van will be at each of its remaining stops: a range, learnt from the fleet's own visits.

*Travel.* All that a visit tells of a road is where and when a van left and when it arrived. Of the
crow-fly distance d a built-in prior makes seconds: two minutes for yards, parking and the first
lights, then town, main road and motorway, each with the bends taken off its speed (about 1.3 m of
road to 1 m as the crow flies):

    prior(d) = 120 s + 3 km at 20 km/h + the next 12 km at 40 km/h + the rest at 65 km/h

`calibrate` looks at the ratio travel / prior by cells: band of distance x part of the day. A ratio
beyond 3 was lunch or an errand, and is left out. What a cell lacks it borrows: to its observations
are added `PSEUDO` made-up ones that lie as the band's do; the band borrows from the whole fleet, the
fleet from the prior (shrinkage by pseudo-counts; Gelman et al., Bayesian Data Analysis, 3rd ed.,
5.3). Median, 10 % and 90 % are quantiles of that mixture: no single observation moves them far, and
slower observations never make them faster. They become seconds at the middle of each band, are made
to rise with the distance, and are joined by straight lines over the prior. A quarter of an hour to
either side of where one part of the day meets the next the two are blended, so that nobody gains
much by leaving later. "Expected" is always the median.

*On the way.* A leg is D long as the crow flies, of which R is left and C = D - R covered. Roads are
slow at both ends, so the time of the whole is shared out by g(x) = travel(x) - travel(0):

    rest = travel(D) g(R) / (g(R) + g(C))         spent = travel(D) - rest

It has really taken e seconds, and its pace against what was expected is

    f = (e + 15 min) / (max(spent, min(e, 2 min)) + 15 min),   kept within 0.6 and 2

which is near 1 while there is little evidence, rises while the van stands in a jam, and forgives
the first two minutes. A jam or a free road is believed to go on for half an hour, and no longer:
the rest takes f min(rest, 30 min) + max(rest - 30 min, 0). Half of what was learnt so may be wrong:
it widens the range towards the rest before learning.

*Work.* The ratio actual / planned duration has a distribution too (25 quantiles, the same shrinkage).
Of a visit under way it is known to be more than elapsed / planned, so its end is a quantile of what
is left of the distribution; beyond the last quantile a Pareto tail says that who has overrun far may
overrun more. Where nothing is planned, what visits usually take stands for it.

*The chain.* Arrival = departure + travel, departure = arrival + work. The halves of independent
ranges add in squares, early and late each for itself. A technician leaves when the work is done;
only where a stop carries a planned arrival does he wait there until he was to leave: departure =
max(arrival + work, planned arrival + planned duration). He starts to work when he arrives, whether
or not the window has begun. Nobody arrives before now. What was seen last is what counts: a van that
is silent is believed to have gone on as expected.

It knows nothing of the present, of messages, of roads on a map, or of who must be told: a router's
seconds may come in with a stop, and the ranges go out.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import asin, cos, erfc, hypot, radians, sin, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Row = tuple[float, ...]

EARTH_RADIUS_M: Final = 6_371_008.8

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

#: A distribution is its quantiles at 2 %, 6 %, ..., 98 %; among them 10, 50 and 90 %.
QUANTILES: Final = 25
SHARES: Final = tuple((i + 0.5) / QUANTILES for i in range(QUANTILES))
LOW: Final = 2
MEDIAN: Final = 12
HIGH: Final = 22
#: Of a normal distribution, 90 % lie below so many standard deviations.
Z_90: Final = 1.281_551_565_544_6

PSEUDO: Final = 15
TRAVEL_SIGMA: Final = 0.30
OUTLIER_RATIO: Final = 3.0
#: Faster than this as the crow flies is a fault of positions.
SPEED_MPS_MAX: Final = 40.0

LEARN_S: Final = 15 * 60.0
FORGIVEN_S: Final = 2 * 60.0
BELIEVED_S: Final = 30 * 60.0
FACTOR_MIN: Final = 0.6
FACTOR_MAX: Final = 2.0

WORK_SIGMA: Final = 0.35
WORK_TYPICAL_S: Final = 30 * 60.0
WORK_RATIO_MAX: Final = 6.0
WORK_S_MIN: Final = 60.0
REMAINING_S_MIN: Final = 120.0
TAIL: Final = 1 / 5
TAIL_SHARE: Final = 1 - SHARES[-1]


class Model(msgspec.Struct, frozen=True):
    """Travel times of a fleet, seconds at each of `KNOTS_M` (columns) by `PARTS` (rows).

    Attributes:
        expected_s: Medians, rising along each row.
        low_s: 10 % of legs take less; never more than `expected_s`.
        high_s: 10 % of legs take more; never less than `expected_s`.
        observations: Legs that it rests on, outliers not among them.
        period_ms: First and last moment of the time they are from, ms since 1970 UTC, if known.
    """

    expected_s: tuple[Row, ...]
    low_s: tuple[Row, ...]
    high_s: tuple[Row, ...]
    observations: int = 0
    period_ms: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for rows in (self.expected_s, self.low_s, self.high_s):
            if [len(row) for row in rows] != [len(KNOTS_M)] * len(PARTS):
                raise ValueError("a model of other bands or parts of the day: calibrate again")


class Work(msgspec.Struct, frozen=True):
    """How long visits last.

    Attributes:
        ratio: Actual / planned duration at each of `SHARES`, rising.
        typical_s: What stands for a planned duration where there is none: the median visit.
        observations: Visits that it rests on.
        period_ms: As for `Model`.
    """

    ratio: Row
    typical_s: float
    observations: int = 0
    period_ms: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self.ratio) != QUANTILES:
            raise ValueError("a distribution of other quantiles: calibrate again")


@dataclass(frozen=True, slots=True)
class AtStop:
    """The van is at a place since `arrived_at`, ms since 1970 UTC, and is to stay as planned.

    `stop_id` is None and the duration 0 where nothing was planned. For `planned_arrival_ms` see
    `StopAhead`.
    """

    stop_id: int | None
    arrived_at: int
    planned_duration_s: int = 0
    planned_arrival_ms: int | None = None


@dataclass(frozen=True, slots=True)
class OnTheWay:
    """The van drives to its next stop since `departed_at`, ms since 1970 UTC, from there."""

    departed_at: int
    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """The van has not set off; it will at `until_ms`, ms since 1970 UTC, or now if that is past."""

    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class StopAhead:
    """A stop that is not reached yet. Degrees are WGS 84, times ms since 1970 UTC.

    Attributes:
        window_start: Start of the time window; no forecast depends on it.
        window_end: For `chance_late`; no forecast depends on it.
        planned_duration_s: 0 where it is not known.
        planned_arrival_ms: Who is done before this and the planned duration waits until then; None
            for who leaves when he is done.
        router_s: What a router says of the leg to it: from the stop before, for the first stop from
            where the van was at `Itinerary.t_ms`. None where the model is to say it.
    """

    stop_id: int
    latitude_deg: float
    longitude_deg: float
    window_start: int
    window_end: int
    planned_duration_s: int = 0
    planned_arrival_ms: int | None = None
    router_s: float | None = None


@dataclass(frozen=True, slots=True)
class Itinerary:
    """Where a van is and what it still has to do.

    Attributes:
        latitude_deg: Of its newest usable fix, WGS 84.
        longitude_deg: Of its newest usable fix, WGS 84.
        t_ms: Time of that fix, ms since 1970 UTC.
        doing: What it was doing at `t_ms`.
        stops: The remaining ones in the planned order. That where it is, is passed over.
    """

    latitude_deg: float
    longitude_deg: float
    t_ms: int
    doing: AtStop | OnTheWay | Waiting
    stops: Sequence[StopAhead]


@dataclass(frozen=True, slots=True)
class Eta:
    """When a van will be at a stop, ms since 1970 UTC: in one of ten cases before, or after, that."""

    stop_id: int
    early_ms: int
    expected_ms: int
    late_ms: int


class Span(NamedTuple):
    """A duration or a moment, s, with its distances to the 10 % and the 90 % bound."""

    expected_s: float
    lower_s: float
    upper_s: float


# --- Travel ------------------------------------------------------------------------------------


def prior_s(distance_m: float) -> float:
    """Return the seconds that a leg takes by plain road sense, by its crow-fly distance."""
    if distance_m <= TOWN_M:
        return START_S + distance_m / TOWN_MPS
    if distance_m <= MAIN_M:
        return TOWN_S + (distance_m - TOWN_M) / MAIN_MPS
    return MAIN_S + (distance_m - MAIN_M) / MOTORWAY_MPS


def _priors_s(distance_m: Floats) -> Floats:
    """Return `prior_s` of each, shape (n,)."""
    return (
        START_S
        + np.minimum(distance_m, TOWN_M) / TOWN_MPS
        + np.clip(distance_m - TOWN_M, 0, MAIN_M - TOWN_M) / MAIN_MPS
        + np.maximum(distance_m - MAIN_M, 0) / MOTORWAY_MPS
    )


KNOTS_S: Final = tuple(prior_s(knot_m) for knot_m in KNOTS_M)


def _parts_by_quarter() -> tuple[tuple[int, int, float, float], ...]:
    """Return for each quarter of an hour two parts, and the weight of the second.

    The weight is given where the quarter begins, and as what it gains until the quarter ends.
    """
    table = [
        (part, part, 0.0, 0.0)
        for hour in (quarter / 4 for quarter in range(QUARTERS))
        for part in [PART_BETWEEN[bisect_right(EDGES_H, hour)]]
    ]
    for i, edge_h in enumerate(EDGES_H):
        meet = round(edge_h * 4)
        table[meet - 1] = (PART_BETWEEN[i], PART_BETWEEN[i + 1], 0.0, 0.5)
        table[meet] = (PART_BETWEEN[i], PART_BETWEEN[i + 1], 0.5, 0.5)
    return tuple(table)


BY_QUARTER: Final = _parts_by_quarter()


def crow_m(
    latitude_deg: float, longitude_deg: float, to_latitude_deg: float, to_longitude_deg: float
) -> float:
    """Return the crow-fly distance of two points, m (haversine; WGS 84 degrees on a sphere)."""
    south, north = radians(latitude_deg), radians(to_latitude_deg)
    up = sin((north - south) / 2)
    along = sin(radians(to_longitude_deg - longitude_deg) / 2)
    chord = sqrt(up * up + cos(south) * cos(north) * along * along)
    return 2 * EARTH_RADIUS_M * asin(min(1.0, chord))


def calibrate(
    distance_m: Floats,
    hour: Floats,
    travel_s: Floats,
    period_ms: tuple[int, int] | None = None,
) -> Model:
    """Return the travel times of a fleet. The order of the observations plays no part.

    Args:
        distance_m: Crow-fly distance of each leg between two visits, shape (n,).
        hour: Local hour of its departure, 0 up to 24, shape (n,).
        travel_s: From the departure to the arrival, shape (n,).
        period_ms: First and last moment of the time they are from, to be kept with the model.
    """
    ratio = travel_s / _priors_s(distance_m)
    # Whatever is NaN fails every comparison.
    is_sound = (distance_m >= 0) & (hour >= 0) & (hour < 24) & (travel_s > 0)
    is_sound &= (ratio <= OUTLIER_RATIO) & (distance_m <= travel_s * SPEED_MPS_MAX)
    ratio = ratio[is_sound]
    band = np.searchsorted(EDGES_M, distance_m[is_sound], side="right")
    part = np.array(PART_BETWEEN)[np.searchsorted(EDGES_H, hour[is_sound], side="right")]
    fleet = _mixed(ratio, _spread(TRAVEL_SIGMA))
    bands = [_mixed(ratio[band == b], fleet) for b in range(BANDS)]
    cells = np.array(
        [
            [_mixed(ratio[(band == b) & (part == p)], bands[b]) for b in range(BANDS)]
            for p in range(len(PARTS))
        ]
    )  # (parts, bands, quantiles)
    seconds = np.array(KNOTS_S)[:, None] * cells[:, BAND_OF_KNOT, :]
    seconds = np.maximum.accumulate(seconds, axis=1)
    return Model(
        expected_s=_rows(seconds[:, :, MEDIAN]),
        low_s=_rows(seconds[:, :, LOW]),
        high_s=_rows(seconds[:, :, HIGH]),
        observations=len(ratio),
        period_ms=period_ms,
    )


def _spread(sigma: float) -> Floats:
    """Return the quantiles of a log-normal distribution with median 1, shape (QUANTILES,)."""
    return np.exp(sigma * np.array([NormalDist().inv_cdf(share) for share in SHARES]))


def _mixed(observed: Floats, parent: Floats) -> Floats:
    """Return the quantiles of observations and of `PSEUDO` made-up ones that lie as the parent's do.

    Weights are whole numbers, and a quantile is one of the values: so the result depends on nothing
    but the set, and a greater value never makes it smaller.

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


def _rows(table: Floats) -> tuple[Row, ...]:
    return tuple(tuple(row) for row in table.tolist())


def travel(model: Model, distance_m: Floats, hour: Floats) -> tuple[Floats, Floats, Floats]:
    """Return what legs take: expected, low and high seconds, each of shape (n,).

    Args:
        model: Of the fleet.
        distance_m: Crow-fly distances, shape (n,).
        hour: Local hours of departure, 0 up to 24, shape (n,).
    """
    prior = _priors_s(distance_m)
    knot = np.clip(np.searchsorted(KNOTS_S, prior, side="right") - 1, 0, len(KNOTS_S) - 2)
    knots_s = np.array(KNOTS_S)
    along = (prior - knots_s[knot]) / (knots_s[knot + 1] - knots_s[knot])
    quarter = np.floor(hour * 4).astype(np.intp)
    table = np.array(BY_QUARTER)[quarter % QUARTERS]  # (n, 4)
    before, after = table[:, 0].astype(np.intp), table[:, 1].astype(np.intp)
    weight = table[:, 2] + table[:, 3] * (hour * 4 - quarter)

    def seconds(rows: tuple[Row, ...]) -> Floats:
        values = np.array(rows)
        values = values[:, knot] + along * (values[:, knot + 1] - values[:, knot])  # (parts, n)
        leg = np.arange(len(knot))
        mean: Floats = values[before, leg] + weight * (values[after, leg] - values[before, leg])
        return mean

    return seconds(model.expected_s), seconds(model.low_s), seconds(model.high_s)


def _travel(model: Model, distance_m: float, hour: float) -> Span:
    """Return `travel` of one leg: some microseconds, where numpy takes some dozens."""
    prior = prior_s(distance_m)
    knot = min(bisect_right(KNOTS_S, prior), len(KNOTS_S) - 1) - 1
    along = (prior - KNOTS_S[knot]) / (KNOTS_S[knot + 1] - KNOTS_S[knot])
    quarter = int(hour * 4)
    before, after, weight, gain = BY_QUARTER[quarter % QUARTERS]
    row, low, high = model.expected_s[before], model.low_s[before], model.high_s[before]
    expected_s = row[knot] + along * (row[knot + 1] - row[knot])
    low_s = low[knot] + along * (low[knot + 1] - low[knot])
    high_s = high[knot] + along * (high[knot + 1] - high[knot])
    if before != after:
        weight += gain * (hour * 4 - quarter)
        row, low, high = model.expected_s[after], model.low_s[after], model.high_s[after]
        expected_s += weight * (row[knot] + along * (row[knot + 1] - row[knot]) - expected_s)
        low_s += weight * (low[knot] + along * (low[knot + 1] - low[knot]) - low_s)
        high_s += weight * (high[knot] + along * (high[knot + 1] - high[knot]) - high_s)
    return Span(expected_s, max(0.0, expected_s - low_s), max(0.0, high_s - expected_s))


def _told(span: Span, router_s: float | None) -> Span:
    """Return the same with the router's word for what is expected, and as wide for its length."""
    if router_s is None:
        return span
    scale = router_s / span.expected_s
    return Span(router_s, span.lower_s * scale, span.upper_s * scale)


def _rest(model: Model, van: Itinerary, way: OnTheWay, stop: StopAhead, hour: float) -> Span:
    """Return what the rest of the leg takes from the newest fix on; the formula is at the top."""
    rest_m = crow_m(van.latitude_deg, van.longitude_deg, stop.latitude_deg, stop.longitude_deg)
    whole_m = crow_m(way.latitude_deg, way.longitude_deg, stop.latitude_deg, stop.longitude_deg)
    rest = _travel(model, rest_m, hour)
    covered_m = max(0.0, whole_m - rest_m)
    whole_s = _travel(model, rest_m + covered_m, hour).expected_s
    start_s = _travel(model, 0.0, hour).expected_s
    ahead_s = rest.expected_s - start_s
    behind_s = _travel(model, covered_m, hour).expected_s - start_s
    share = ahead_s / (ahead_s + behind_s) if ahead_s + behind_s > 0 else 0.0
    if covered_m == 0.0:
        share = 1.0
    spent_s = whole_s * (1 - share)
    before = _told(rest, whole_s * share if stop.router_s is None else stop.router_s)
    elapsed_s = max(0.0, (van.t_ms - way.departed_at) / 1_000)
    evidence_s = max(spent_s, min(elapsed_s, FORGIVEN_S)) + LEARN_S
    factor = min(max((elapsed_s + LEARN_S) / evidence_s, FACTOR_MIN), FACTOR_MAX)
    learnt_s = (factor - 1) * min(before.expected_s, BELIEVED_S)
    after = _told(before, before.expected_s + learnt_s) if before.expected_s > 0 else before
    return Span(
        after.expected_s,
        hypot(after.lower_s, max(0.0, learnt_s) / 2),
        hypot(after.upper_s, max(0.0, -learnt_s) / 2),
    )


# --- Work --------------------------------------------------------------------------------------


def calibrate_work(
    planned_s: Floats, actual_s: Floats, period_ms: tuple[int, int] | None = None
) -> Work:
    """Return how long the fleet's visits last. The order of the observations plays no part.

    Args:
        planned_s: Planned durations of visits, shape (n,); 0 or NaN where nothing was planned.
        actual_s: How long each lasted, shape (n,). Less than a minute is no work; more than 6 times
            the planned, or the usual, duration was a van left there.
        period_ms: First and last moment of the time they are from.
    """
    is_planned = planned_s > 0
    ratio = actual_s / np.where(is_planned, planned_s, WORK_TYPICAL_S)
    is_sound = (actual_s >= WORK_S_MIN) & (ratio <= WORK_RATIO_MAX)
    prior = _spread(WORK_SIGMA)
    typical = _mixed(actual_s[is_sound] / WORK_TYPICAL_S, prior)
    ratios = _mixed(ratio[is_sound & is_planned], prior)
    return Work(
        ratio=tuple(ratios.tolist()),
        typical_s=float(typical[MEDIAN]) * WORK_TYPICAL_S,
        observations=int(is_sound.sum()),
        period_ms=period_ms,
    )


def _work(work: Work, planned_duration_s: float) -> Span:
    """Return how long a visit lasts that has not begun."""
    base_s = planned_duration_s if planned_duration_s > 0 else work.typical_s
    median = work.ratio[MEDIAN]
    lower, upper = median - work.ratio[LOW], work.ratio[HIGH] - median
    return Span(median * base_s, lower * base_s, upper * base_s)


def remaining_work(work: Work, planned_duration_s: float, elapsed_s: float) -> Span:
    """Return how long a visit still lasts that was not over after `elapsed_s`."""
    base_s = planned_duration_s if planned_duration_s > 0 else work.typical_s
    elapsed = max(0.0, elapsed_s / base_s)
    gone = _share_below(work, elapsed)
    low, median, high = (
        (_ratio_at(work, elapsed, gone, share) - elapsed) * base_s for share in (0.1, 0.5, 0.9)
    )
    expected_s = max(REMAINING_S_MIN, median)
    return Span(expected_s, expected_s - max(0.0, low), max(high, expected_s) - expected_s)


def _share_below(work: Work, ratio: float) -> float:
    """Return the share of visits that last at most `ratio` of the planned duration."""
    if ratio >= work.ratio[-1]:
        return 1.0
    i = bisect_right(work.ratio, ratio)
    if i == 0:
        return SHARES[0] * ratio / work.ratio[0]
    along = (ratio - work.ratio[i - 1]) / (work.ratio[i] - work.ratio[i - 1])
    return SHARES[i - 1] + along / QUANTILES


def _ratio_at(work: Work, elapsed: float, gone: float, share: float) -> float:
    """Return the ratio below which `share` of those visits end that lasted beyond `elapsed`."""
    if gone >= 1.0:  # so far out that only the tail is left; it looks the same from everywhere
        return elapsed * float((1 - share) ** -TAIL)
    wanted = gone + (1 - gone) * share
    if wanted >= SHARES[-1]:
        return work.ratio[-1] * float((TAIL_SHARE / (1 - wanted)) ** TAIL)
    place = wanted * QUANTILES - 0.5
    if place < 0:
        return work.ratio[0] * wanted / SHARES[0]
    i = min(int(place), QUANTILES - 2)
    return work.ratio[i] + (place - i) * (work.ratio[i + 1] - work.ratio[i])


# --- The chain ---------------------------------------------------------------------------------


def forecast(
    itinerary: Itinerary, model: Model, work: Work, now: int, zone: tzinfo = UTC
) -> list[Eta]:
    """Return when a van will be at each of its remaining stops, in their order.

    Args:
        itinerary: Where the van is and what it has to do.
        model: The fleet's travel times.
        work: How long its visits last.
        now: The present, ms since 1970 UTC.
        zone: Whose clock the parts of the day go by; the offset at `now` holds for the whole chain.
    """
    doing, stops = itinerary.doing, itinerary.stops
    offset = datetime.fromtimestamp(now / 1_000, zone).utcoffset() or timedelta()
    now_h = (now / 1_000 + offset.total_seconds()) / 3_600
    at_stop = doing.stop_id if isinstance(doing, AtStop) else None
    here = itinerary.latitude_deg, itinerary.longitude_deg
    ready = _ready(itinerary, work, now)
    etas: list[Eta] = []
    for stop in stops:
        if stop.stop_id == at_stop:
            continue
        there = stop.latitude_deg, stop.longitude_deg
        hour = (now_h + ready.expected_s / 3_600) % 24
        if not etas and isinstance(doing, OnTheWay):
            leg = _rest(model, itinerary, doing, stop, hour)
        else:
            leg = _told(_travel(model, crow_m(*here, *there), hour), stop.router_s)
        arrival = _from_now(_sum(ready, leg))
        etas.append(
            Eta(
                stop.stop_id,
                now + round((arrival.expected_s - arrival.lower_s) * 1_000),
                now + round(arrival.expected_s * 1_000),
                now + round((arrival.expected_s + arrival.upper_s) * 1_000),
            )
        )
        done = _sum(arrival, _work(work, stop.planned_duration_s))
        ready = _waited(done, stop, now)
        here = there
    return etas


def _ready(itinerary: Itinerary, work: Work, now: int) -> Span:
    """Return when the next leg begins, or goes on, s from now."""
    doing = itinerary.doing
    seen_s = (itinerary.t_ms - now) / 1_000
    if isinstance(doing, Waiting):
        return Span(max(0.0, (doing.until_ms - now) / 1_000), 0.0, 0.0)
    if isinstance(doing, OnTheWay):
        return Span(seen_s, 0.0, 0.0)
    elapsed_s = (itinerary.t_ms - doing.arrived_at) / 1_000
    left = remaining_work(work, doing.planned_duration_s, elapsed_s)
    return _waited(Span(seen_s + left.expected_s, left.lower_s, left.upper_s), doing, now)


def _sum(one: Span, other: Span) -> Span:
    """Return the sum of two that know nothing of each other."""
    return Span(
        one.expected_s + other.expected_s,
        hypot(one.lower_s, other.lower_s),
        hypot(one.upper_s, other.upper_s),
    )


def _waited(done: Span, stop: AtStop | StopAhead, now: int) -> Span:
    """Return when the van leaves a stop where the work is done then, bound by bound."""
    if stop.planned_arrival_ms is None:
        return done
    leave_s = (stop.planned_arrival_ms - now) / 1_000 + stop.planned_duration_s
    expected_s = max(done.expected_s, leave_s)
    early_s = max(done.expected_s - done.lower_s, leave_s)
    late_s = max(done.expected_s + done.upper_s, leave_s)
    return Span(expected_s, expected_s - early_s, late_s - expected_s)


def _from_now(moment: Span) -> Span:
    """Return a moment that is not past. One that should be past is as uncertain as it was before."""
    expected_s = max(moment.expected_s, 0.0)
    return Span(expected_s, min(moment.lower_s, expected_s), moment.upper_s)


def chance_late(eta: Eta, window_end_ms: int) -> float:
    """Return the chance that the van arrives after its window's end, which itself is in time.

    Two halves of normal distributions meet at what is expected, each as wide as its side of the
    range: beyond `late_ms` lies exactly a tenth.
    """
    past_ms = window_end_ms - eta.expected_ms
    half_ms = eta.late_ms - eta.expected_ms if past_ms >= 0 else eta.expected_ms - eta.early_ms
    if half_ms == 0:
        return 0.0 if past_ms >= 0 else 1.0
    return erfc(past_ms / half_ms * Z_90 / sqrt(2)) / 2


#: What holds before a fleet has driven.
UNCALIBRATED: Final = calibrate(np.empty(0), np.empty(0), np.empty(0))
UNCALIBRATED_WORK: Final = calibrate_work(np.empty(0), np.empty(0))
