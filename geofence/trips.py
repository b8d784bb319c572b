"""The track of one van is cut into legs: *halts*, in which it stood, and *trips* between them.

A fold: `advance` takes the state of a van and the usable fixes that follow, and gives every leg that
they touched. What it says of a set of fixes does not depend on how the set was cut into calls, to
the last bit: whatever is summed is a whole number, everything else is copied from a fix.

*Samples.* Of each minute of UTC time only the first fix is looked at. The minutes are the clock's,
not counted from the fix before, so that a fix that comes late changes its own minute and no other.

The *anchor* is the sample from which the van has stayed within 60 m; that stay is a halt once it has
lasted 3 minutes. Distance is measured from the anchor and not from sample to sample, so that who
creeps through a queue does not halt. The first sample of a van is an anchor; a trip may begin there.

| van     | near the anchor, < 3 min | near the anchor, >= 3 min | beyond 60 m                       |
| ------- | ------------------------ | ------------------------- | --------------------------------- |
| moving  | go on                    | close the trip at the     | go on; the sample is the anchor   |
|         |                          | anchor, open the halt     |                                   |
| halting | -                        | go on                     | close the halt at the sample      |
|         |                          |                           | before, open a trip there; the    |
|         |                          |                           | sample is the anchor              |

Legs are keyed by `started_at`, and each begins where the one before ended. A leg that is closed never
changes again. An open trip ends at the newest sample for the time being; when a stay at its end turns
out to be a halt, the row is given once more, shorter. No row ever vanishes: a trip that has begun
after a halt keeps the time until its next anchor, and the one that has not (a van's track begins with
a halt) hands its `started_at` to that halt. A trip without a length is not told.

*Distance.* By odometer, where both ends of a trip tell one and it did not go back; otherwise the sum
from sample to sample along the sphere, each rounded to whole metres. Short stops and slow traffic:
the time between two samples less than 60 m apart is *standing*. The time between two samples more
than 15 minutes apart is *unknown*: nobody can say what the van did. The rest is driving.

Python looks at samples only, one by one: the sines of numpy may differ in the last bit with the
length of the array, and then so would the legs with the cut into calls.

It knows no sites, no tours, no database and no present. Whether a halt was a visit is asked of
`unplanned_halts`, which is told the visits.
"""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Final, Literal

import msgspec
import numpy as np

from geofence.fences import distance_m as sphere_distance_m
from geofence.fixes import IGNITION_UNKNOWN, Fix, Floats, Longs

MINUTE_MS: Final = 60_000
HALT_M: Final = 60.0
HALT_MS: Final = 3 * 60_000
SILENCE_MS: Final = 15 * 60_000
UNPLANNED_MS: Final = 10 * 60_000

Kind = Literal["trip", "halt"]


class Leg(msgspec.Struct, array_like=True, frozen=True):
    """A part of a van's way. Times are ms since 1970 UTC, positions WGS 84.

    Attributes:
        kind: Whether it moved or stood.
        started_at: The end of the leg before, or the first sample; the key among a van's legs.
        ended_at: The start of the leg after; the newest sample while it is open.
        closed: Nothing that is newer can change it.
        distance_m: Zero for a halt.
        standing_s: Short stops and slow traffic; all the time of a halt.
        unknown_s: Silences of more than 15 minutes; none for a halt.
        latitude_deg: Where it ended; of a halt, where its anchor is.
        longitude_deg: As above.
    """

    kind: Kind
    started_at: int
    ended_at: int
    closed: bool
    distance_m: int
    standing_s: int
    unknown_s: int
    latitude_deg: float
    longitude_deg: float

    @property
    def duration_ms(self) -> int:
        """Time from its start to its end."""
        return self.ended_at - self.started_at

    @property
    def driving_s(self) -> int:
        """Whole seconds in which it moved: what is neither standing nor unknown."""
        return self.duration_ms // 1_000 - self.standing_s - self.unknown_s


class TripState(msgspec.Struct, array_like=True):
    """What must be remembered of a van between two calls.

    In a halt nothing is kept of the trip before, so that two readings of a track that differed
    earlier have equal states again from there on.

    Attributes:
        anchor: The sample near which the van has stayed since; None before the first.
        newest: The newest sample.
        started_at: When the trip began, ms since 1970 UTC; None in a halt.
        start_odometer_m: What the odometer said then; None if it said nothing.
        distance_m: Sum over the trip's samples up to the anchor.
        standing_ms: As above.
        unknown_ms: As above.
        stay_distance_m: Sum since the anchor: the trip's only if the stay is no halt.
        stay_standing_ms: As above. A stay with a silence is a halt, so nothing in it is unknown.
    """

    anchor: Fix | None = None
    newest: Fix | None = None
    started_at: int | None = None
    start_odometer_m: float | None = None
    distance_m: int = 0
    standing_ms: int = 0
    unknown_ms: int = 0
    stay_distance_m: int = 0
    stay_standing_ms: int = 0

    @property
    def open_since(self) -> int | None:
        """When the open leg began, or will have begun; legs from before are closed."""
        if self.started_at is not None or self.anchor is None:
            return self.started_at
        return self.anchor.t_ms

    def begin(self, at: Fix) -> None:
        """Begin a trip."""
        self.started_at, self.start_odometer_m = at.t_ms, at.odometer_m

    def reset(self) -> None:
        """Forget the trip: it is closed."""
        self.started_at = self.start_odometer_m = None
        self.distance_m = self.standing_ms = self.unknown_ms = 0
        self.stay_distance_m = self.stay_standing_ms = 0


def advance(
    state: TripState,
    t_ms: Longs,
    latitude_deg: Floats,
    longitude_deg: Floats,
    odometer_m: Floats,
) -> list[Leg]:
    """Fold fixes into the state of a van, which changes in place, and return what they say.

    Args:
        state: What all fixes before say.
        t_ms: int64, shape (n,), strictly increasing and newer than any before.
        latitude_deg: WGS 84, shape (n,).
        longitude_deg: WGS 84, shape (n,).
        odometer_m: NaN where unknown, shape (n,).

    Returns:
        The legs closed now and then the one open at the end, even if it is as it was: what is not
        told again by a second reading would count as gone.
    """
    legs: list[Leg] = []
    for sample in _samples(state.newest, t_ms, latitude_deg, longitude_deg, odometer_m):
        closed = _take(state, sample)
        if closed is not None:
            legs.append(closed)
    still_open = open_leg(state)
    if still_open is not None:
        legs.append(still_open)
    return legs


def unplanned_halts(legs: Iterable[Leg], visits: Sequence[tuple[int, int]]) -> list[Leg]:
    """Return the halts of 10 minutes or more that no visit covers for half of their time or more.

    Args:
        legs: Of one van, in any order.
        visits: When it arrived and when it was last inside, ms since 1970 UTC, in any order.
    """
    return [
        leg
        for leg in legs
        if leg.kind == "halt"
        and leg.duration_ms >= UNPLANNED_MS
        and not any(
            2 * (min(leg.ended_at, last_inside_at) - max(leg.started_at, arrived_at))
            >= leg.duration_ms
            for arrived_at, last_inside_at in visits
        )
    ]


def _samples(
    newest: Fix | None, t_ms: Longs, latitude_deg: Floats, longitude_deg: Floats, odometer_m: Floats
) -> list[Fix]:
    """Return the first fix of each minute after the newest sample's."""
    if not len(t_ms):
        return []
    minute = t_ms // MINUTE_MS
    is_first = np.empty(len(t_ms), dtype=np.bool_)
    is_first[0] = newest is None or minute[0] != newest.t_ms // MINUTE_MS
    np.not_equal(minute[1:], minute[:-1], out=is_first[1:])
    return [
        # None where unknown, for JSON has no NaN.
        Fix(t, latitude, longitude, IGNITION_UNKNOWN, None if isnan(odometer) else odometer)
        for t, latitude, longitude, odometer in zip(
            t_ms[is_first].tolist(),
            latitude_deg[is_first].tolist(),
            longitude_deg[is_first].tolist(),
            odometer_m[is_first].tolist(),
            strict=True,
        )
    ]


def _take(state: TripState, sample: Fix) -> Leg | None:
    """Take one sample, by the table at the top; return the leg that it closes."""
    anchor, before = state.anchor, state.newest
    state.newest = sample
    if anchor is None or before is None:
        state.anchor = sample
        state.begin(sample)
        return None
    away_m = _apart_m(anchor, sample)
    if away_m > HALT_M:
        return _take_beyond(state, anchor, before, sample, away_m)
    if state.started_at is None:
        return None
    if sample.t_ms - anchor.t_ms >= HALT_MS:
        trip = _trip(state, anchor, state.distance_m, state.standing_ms, closed=True)
        state.reset()
        return trip
    apart_m = away_m if before.t_ms == anchor.t_ms else _apart_m(before, sample)
    state.stay_distance_m += round(apart_m)
    if apart_m < HALT_M:
        state.stay_standing_ms += sample.t_ms - before.t_ms
    return None


def _take_beyond(
    state: TripState, anchor: Fix, before: Fix, sample: Fix, away_m: float
) -> Leg | None:
    """Take a sample that ends the stay and is the next anchor; return the halt that it closes."""
    halt = None
    if state.started_at is None:
        halt = _halt(anchor, before.t_ms, closed=True)
        state.begin(before)
    # Mostly a van that drives: the sample before is the anchor, and measured already.
    apart_m = away_m if before.t_ms == anchor.t_ms else _apart_m(before, sample)
    lasted_ms = sample.t_ms - before.t_ms
    state.distance_m += state.stay_distance_m + round(apart_m)
    state.standing_ms += state.stay_standing_ms
    if lasted_ms > SILENCE_MS:
        state.unknown_ms += lasted_ms
    elif apart_m < HALT_M:
        state.standing_ms += lasted_ms
    state.stay_distance_m = state.stay_standing_ms = 0
    state.anchor = sample
    return halt


def open_leg(state: TripState) -> Leg | None:
    """Return the leg at the end as far as it has come; None if it has no length yet."""
    if state.anchor is None or state.newest is None:
        return None
    if state.started_at is None:
        return _halt(state.anchor, state.newest.t_ms, closed=False)
    distance_m = state.distance_m + state.stay_distance_m
    standing_ms = state.standing_ms + state.stay_standing_ms
    return _trip(state, state.newest, distance_m, standing_ms, closed=False)


def _halt(anchor: Fix, until: int, *, closed: bool) -> Leg:
    latitude_deg, longitude_deg = anchor.latitude_deg, anchor.longitude_deg
    standing_s = (until - anchor.t_ms) // 1_000
    return Leg("halt", anchor.t_ms, until, closed, 0, standing_s, 0, latitude_deg, longitude_deg)


def _trip(
    state: TripState, end: Fix, distance_m: int, standing_ms: int, *, closed: bool
) -> Leg | None:
    """Return the trip up to its last sample, `distance_m` by its samples; None without a length."""
    if state.started_at is None or state.started_at == end.t_ms:
        return None
    start_m, end_m = state.start_odometer_m, end.odometer_m
    if start_m is not None and end_m is not None and end_m >= start_m:
        distance_m = round(end_m - start_m)
    return Leg(
        "trip", state.started_at, end.t_ms, closed, distance_m, standing_ms // 1_000,
        state.unknown_ms // 1_000, end.latitude_deg, end.longitude_deg,
    )  # fmt: skip


def _apart_m(a: Fix, b: Fix) -> float:
    return sphere_distance_m(a.latitude_deg, a.longitude_deg, b.latitude_deg, b.longitude_deg)
