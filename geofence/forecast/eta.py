"""When vans will be at each of their remaining stops, as a range and the chance to be late.

A forecast is `SCENARIOS` possible rests of the day. Each draws, of every leg, how long the van moves
and stands and breaks (`travel`), of every visit how long it lasts (`work`), and adds them up:

    arrival = departure + moving + standing + break,     departure = arrival + work

A technician leaves when the work is done; only where a stop carries a planned arrival does he wait
there until he was to leave: departure = max(arrival + work, planned arrival + planned duration). He
starts to work when he arrives, whether or not the window has begun. Expected, early and late are the
median, the 10 % and the 90 % quantile of the arrivals; the chance to be late is the share of them
beyond the window's end. The draws are the same in every forecast (a Latin hypercube: each draw takes
every share of its distribution once; McKay, Beckman, Conover, 1979), so that a forecast moves only
because something has happened, and what is slower in a model never makes anybody earlier.

*On the way.* A leg is D long as the crow flies, of which R is left and C = D - R covered; the radius
of the fence is taken off both, for who has reached it has arrived. Roads are slow at both ends, and
the last R have one slow end, as half of a leg of 2 R has. So with g(x) = moving(x) - moving(0)

    rest = g(2 R) / 2  where R <= C,     else g(D) - g(2 C) / 2,     spent = moving(D) - rest

of what setting off takes, moving(0), half is over with the first metres; the rest is shared out by
the way.

Without standing and breaks it has really taken e seconds, and its pace against what was expected is

    f = (e + 15 min) / (max(spent, min(e, 2 min)) + 15 min),   kept within 0.6 and 2

which is near 1 while there is little evidence, and forgives the first two minutes. Slow traffic or a
free road is believed to go on for half an hour, and no longer: the rest takes f min(rest, 30 min) +
max(rest - 30 min, 0). Half of what was learnt so may be wrong: it widens the range towards the rest
before learning. What a leg still stands depends on what it has stood (`travel.standing`); of a break
that is under way, what it has lasted is over.

What was seen last is what counts: a van that is silent is believed to have gone on as expected. It may
have arrived unseen, which is no reason to call it late; only what is shown is never past.

It knows nothing of the present, of messages, of roads on a map, or of who must be told: a router's
seconds may come in with a stop, and the ranges go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from geofence.fences import distance_m
from geofence.forecast.quantiles import Floats
from geofence.forecast.travel import Model, Spans, moving, standing
from geofence.forecast.work import Work, lags_s, work_left

#: Odd, and one more than a multiple of ten: so that 10, 50 and 90 % are each one of them.
SCENARIOS: Final = 201
#: Stops ahead with draws of their own; the day of a van has fewer.
STEPS: Final = 16
#: Of a normal distribution, 90 % lie below so many standard deviations.
Z_90: Final = 1.281_551_565_544_6
LEARN_S: Final = 15 * 60.0
FORGIVEN_S: Final = 2 * 60.0
BELIEVED_S: Final = 30 * 60.0
FACTOR: Final = (0.6, 2.0)


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
    """The van drives to its next stop since `departed_at`, ms since 1970 UTC, from there.

    Of that time it has stood in short stops for `stood_s`, and in halts of 10 minutes or more for
    `halted_s`; `break_s` of these belong to the break that is to come on this leg.
    """

    departed_at: int
    latitude_deg: float
    longitude_deg: float
    stood_s: float = 0.0
    halted_s: float = 0.0
    break_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """The van has not set off; it will at `until_ms`, ms since 1970 UTC, or now if that is past."""

    until_ms: int = 0


@dataclass(frozen=True, slots=True)
class StopAhead:
    """A stop that is not reached yet. Degrees are WGS 84, times ms since 1970 UTC.

    Attributes:
        stop_id: Its key.
        latitude_deg: Of the site.
        longitude_deg: Of the site.
        window_start: Start of the time window; no forecast depends on it.
        window_end: Who arrives later is late.
        planned_duration_s: 0 where it is not known.
        planned_arrival_ms: Who is done before this and the planned duration waits until then; None
            for who leaves when he is done.
        router_s: What a router says of moving to it: from the stop before, for the first stop from
            where the van was at `Itinerary.t_ms`. None where the model is to say it.
        after_break: Whether the day's break is still to come, on the way to it.
        radius_m: Of its fence.
    """

    stop_id: int
    latitude_deg: float
    longitude_deg: float
    window_start: int
    window_end: int
    planned_duration_s: int = 0
    planned_arrival_ms: int | None = None
    router_s: float | None = None
    after_break: bool = False
    radius_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Itinerary:
    """Where a van is and what it still has to do.

    Attributes:
        latitude_deg: Of its newest usable fix, WGS 84; of a visit under way, of the site.
        longitude_deg: As above.
        t_ms: Time of that fix, ms since 1970 UTC.
        doing: What it was doing at `t_ms`.
        stops: The remaining ones in the planned order. That where it is, is passed over.
        utc_offset_s: Of the clock by which the parts of the day go; it holds for the whole chain.
    """

    latitude_deg: float
    longitude_deg: float
    t_ms: int
    doing: AtStop | OnTheWay | Waiting
    stops: Sequence[StopAhead]
    utc_offset_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Eta:
    """When a van will be at a stop, ms since 1970 UTC: in one of ten cases before, or after, that.

    `chance_late` is the chance that it arrives after the window's end, which itself is in time.
    """

    stop_id: int
    early_ms: int
    expected_ms: int
    late_ms: int
    chance_late: float


def forecast(vans: Sequence[Itinerary], model: Model, work: Work, now: int) -> list[list[Eta]]:
    """Return when each van will be at each of its remaining stops, in their order.

    Args:
        vans: Where they are and what they have to do. What is said of one depends on no other.
        model: The fleet's travel times.
        work: How long its visits last.
        now: The present, ms since 1970 UTC.
    """
    if not vans:
        return []
    ahead = [_ahead(van) for van in vans]
    etas: list[list[Eta]] = [[] for _ in vans]
    ready_s = _ready_s(vans, work, now)
    local_s = now / 1_000 + np.array([van.utc_offset_s for van in vans])
    for step in range(max(map(len, ahead), default=0)):
        of = [i for i, stops in enumerate(ahead) if len(stops) > step]
        stops = [ahead[i][step] for i in of]
        legs = _Legs(
            *np.array(
                [
                    _leg(vans[i], ahead[i][step - 1] if step else None, stop)
                    for i, stop in zip(of, stops, strict=True)
                ]
            ).T
        )
        hour = (local_s[of] + ready_s[of].mean(axis=1)) / 3_600 % 24
        arrival_s = ready_s[of] + _rest_s(legs, model, hour, DRAWS[step % STEPS])
        for i, eta in zip(of, _etas(stops, arrival_s, now), strict=True):
            etas[i].append(eta)
        planned_s = np.array([stop.planned_duration_s for stop in stops], dtype=np.float64)
        work_s = work_left(work, planned_s, np.zeros(len(of)), DRAWS[step % STEPS].work)
        ready_s[of] = _waited(arrival_s + work_s, stops, work, now, DRAWS[step % STEPS])
    return etas


class _Draws(NamedTuple):
    """Numbers between 0 and 1, shape (SCENARIOS,); of what is normal, standard deviations."""

    moving_z: Floats
    standing: Floats
    break_z: Floats
    work: Floats
    lag: Floats


def _draws() -> list[_Draws]:
    """Return the draws of the visit under way, and of each step of the chain after it."""
    rng = np.random.default_rng(0)
    shares = (np.arange(SCENARIOS) + 0.5) / SCENARIOS
    normal = np.array([NormalDist().inv_cdf(share) for share in shares])
    return [
        _Draws(*(rng.permutation(column) for column in (normal, shares, normal, shares, shares)))
        for _ in range(STEPS + 1)
    ]


DRAWS: Final = _draws()


class _Legs(NamedTuple):
    """Legs, begun or not; columns of shape (n,). Of one that has not begun everything is left."""

    rest_m: Floats
    whole_m: Floats
    moved_s: Floats
    stood_s: Floats
    break_ahead: Floats
    break_s: Floats
    router_s: Floats


def _ahead(van: Itinerary) -> list[StopAhead]:
    here = van.doing.stop_id if isinstance(van.doing, AtStop) else None
    return [stop for stop in van.stops if stop.stop_id != here]


def _leg(van: Itinerary, before: StopAhead | None, stop: StopAhead) -> tuple[float, ...]:
    """Return a row of `_Legs`: from the stop before, or from where the van is."""
    origin = van if before is None else before
    there = stop.latitude_deg, stop.longitude_deg
    rest_m = distance_m(origin.latitude_deg, origin.longitude_deg, *there)
    rest_m = max(0.0, rest_m - stop.radius_m)
    router_s = np.nan if stop.router_s is None else stop.router_s
    way = van.doing
    if before is not None or not isinstance(way, OnTheWay):
        return rest_m, rest_m, 0.0, 0.0, stop.after_break, 0.0, router_s
    whole_m = distance_m(way.latitude_deg, way.longitude_deg, *there) - stop.radius_m
    moved_s = (van.t_ms - way.departed_at) / 1_000 - way.stood_s - way.halted_s
    return (
        rest_m, max(whole_m, rest_m), max(0.0, moved_s), way.stood_s,
        stop.after_break, way.break_s, router_s,
    )  # fmt: skip


def _ready_s(vans: Sequence[Itinerary], work: Work, now: int) -> Floats:
    """Return when each van's next leg begins, or goes on, s from now, shape (vans, scenarios)."""
    ready_s = np.repeat([[_begins_s(van, now)] for van in vans], SCENARIOS, axis=1)
    at = [(i, van.t_ms, van.doing) for i, van in enumerate(vans) if isinstance(van.doing, AtStop)]
    if at:
        of = [i for i, _, _ in at]
        planned_s = np.array([doing.planned_duration_s for _, _, doing in at], dtype=np.float64)
        elapsed_s = np.array([(t_ms - doing.arrived_at) / 1_000 for _, t_ms, doing in at])
        left_s = work_left(work, planned_s, elapsed_s, DRAWS[STEPS].work)
        ready_s[of] = _waited(
            ready_s[of] + left_s, [doing for _, _, doing in at], work, now, DRAWS[STEPS]
        )
    return ready_s


def _begins_s(van: Itinerary, now: int) -> float:
    if isinstance(van.doing, Waiting):
        return max(0.0, (van.doing.until_ms - now) / 1_000)
    return (van.t_ms - now) / 1_000


def _rest_s(legs: _Legs, model: Model, hour: Floats, draws: _Draws) -> Floats:
    """Return what the rest of each leg takes, s, shape (legs, scenarios)."""
    rest, covered = _moving_rest(legs, model, hour)
    side_s = np.where(draws.moving_z > 0, rest.upper_s[:, None], rest.lower_s[:, None])
    moving_s = np.maximum(0.0, rest.expected_s[:, None] + draws.moving_z / Z_90 * side_s)
    standing_s = standing(model, hour, legs.stood_s, covered, draws.standing)
    if model.break_s is None or not legs.break_ahead.any():
        return moving_s + standing_s
    low_s, median_s, high_s = model.break_s
    side_s = np.where(draws.break_z > 0, high_s - median_s, median_s - low_s)
    break_s = median_s + draws.break_z / Z_90 * side_s - legs.break_s[:, None]
    return moving_s + standing_s + legs.break_ahead[:, None] * np.maximum(0.0, break_s)


def _moving_rest(legs: _Legs, model: Model, hour: Floats) -> tuple[Spans, Floats]:
    """Return what moving the rest takes, and the share of the way covered; formulas at the top."""
    covered_m = legs.whole_m - legs.rest_m
    rest, whole_s = moving(model, legs.rest_m, hour), moving(model, legs.whole_m, hour).expected_s
    start_s = moving(model, np.zeros(len(hour)), hour).expected_s
    # Half of a leg has one slow end, as the rest has; beyond the middle, as what is covered has.
    is_beyond = legs.rest_m <= covered_m
    shorter_m = np.where(is_beyond, legs.rest_m, covered_m)
    shorter_s = (moving(model, 2 * shorter_m, hour).expected_s - start_s) / 2
    rest_s = np.where(is_beyond, shorter_s, whole_s - start_s - shorter_s)
    share = legs.rest_m / np.maximum(legs.whole_m, 1.0)
    rest_s += start_s * np.where(covered_m > 0, share / 2, 1.0)
    spent_s = whole_s - rest_s
    before_s = np.where(np.isnan(legs.router_s), rest_s, legs.router_s)
    evidence_s = np.maximum(spent_s, np.minimum(legs.moved_s, FORGIVEN_S)) + LEARN_S
    factor = np.clip((legs.moved_s + LEARN_S) / evidence_s, *FACTOR)
    learnt_s = (factor - 1) * np.minimum(before_s, BELIEVED_S)
    after = rest.told(before_s + learnt_s)
    return Spans(
        after.expected_s,
        np.hypot(after.lower_s, np.maximum(0.0, learnt_s) / 2),
        np.hypot(after.upper_s, np.maximum(0.0, -learnt_s) / 2),
    ), 1 - share


def _waited(
    done_s: Floats, stops: Sequence[AtStop | StopAhead], work: Work, now: int, draws: _Draws
) -> Floats:
    """Return when vans leave stops where the work is done then, s from now."""
    leave_s = [
        -np.inf
        if stop.planned_arrival_ms is None
        else (stop.planned_arrival_ms - now) / 1_000 + stop.planned_duration_s
        for stop in stops
    ]
    return np.maximum(done_s, np.array(leave_s)[:, None] + lags_s(work, draws.lag))


def _etas(stops: Sequence[StopAhead], arrival_s: Floats, now: int) -> list[Eta]:
    """Return what scenarios of arrivals, s from now, shape (stops, scenarios), come to."""
    window_s = (np.array([stop.window_end for stop in stops]) - now) / 1_000
    chance = (arrival_s > window_s[:, None]).mean(axis=1).tolist()
    at = [SCENARIOS // 10, SCENARIOS // 2, SCENARIOS - 1 - SCENARIOS // 10]
    shown_s = np.maximum(0.0, np.sort(arrival_s, axis=1)[:, at])
    ranges = np.rint(shown_s * 1_000).astype(np.int64) + now
    return [
        Eta(stop.stop_id, early, expected, late, share)
        for stop, (early, expected, late), share in zip(stops, ranges.tolist(), chance, strict=True)
    ]
