"""Which fixes of a van can be used, and why not the others. Nothing is deleted.

| reason          | what is not used                                                              |
| --------------- | ----------------------------------------------------------------------------- |
| `null_island`   | (0, 0): what a receiver without a position says                               |
| `poor_accuracy` | it says itself that it may be more than 100 m off                             |
| `frozen`        | the position of the fix before, to the last digit, while the odometer has run |
|                 | more than 100 m since that position was first told                            |
| `jump`          | more than 70 m/s both from the usable fix before and to the fix after         |

They are applied in this order; a fix that one of them takes out is no neighbour for the next. Two
more kinds never come this far: fixes ahead of the clock and fixes from years ago are rejected when
they arrive (`future`, `ancient`).

A jump needs a fix after it. A fix that is too far from the one before is therefore *held*: it is
neither used nor refused until its successor comes and shows which of the two it is.

Like everything here it is a fold: what is said of a set of fixes does not depend on how the set
was cut into calls. Most vans have nothing that is too fast, and are never looked at one by one.

This module knows no site, no tour, no database and no present.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from geofence.fences import METRES_PER_LATITUDE_DEG, distance_m
from geofence.fixes import Bools, Fix, Fixes, Fleet, Indices, of_columns
from geofence.rules import Rules

Reason = Literal["null_island", "poor_accuracy", "frozen", "jump"]


class FilterState(msgspec.Struct, array_like=True):
    """What must be remembered of a van between two calls.

    Attributes:
        previous: The newest usable fix.
        held: A fix too far from `previous`, until its successor comes.
        repeated: The position of the newest fix that is neither poor nor at null island, and the
            odometer when it was first told (None: not known yet).
    """

    previous: Fix | None = None
    held: Fix | None = None
    repeated: tuple[float, float, float | None] | None = None


Refusal = tuple[int, Reason]
"""A fix that is not used, by its t_ms, and why."""


def sift(
    states: Sequence[FilterState], fleet: Fleet, rules: Rules
) -> tuple[Fleet, list[list[Refusal]]]:
    """Return the fixes that can be used now, and for each van those that cannot.

    Args:
        states: One a van, changed in place.
        fleet: Their next fixes.
        rules: Which numbers hold.
    """
    fixes = fleet.fixes
    zero = (fixes.latitude_deg == 0) & (fixes.longitude_deg == 0)
    poor = fixes.accuracy_m > rules.accuracy_m_max  # False where unknown: NaN compares so
    refused: list[list[Refusal]] = [[] for _ in states]
    _note(refused, fleet, zero, "null_island")
    _note(refused, fleet, poor & ~zero, "poor_accuracy")
    sound = fleet.where(~(zero | poor)) if zero.any() or poor.any() else fleet
    frozen = _frozen(states, sound, rules)
    if frozen.any():
        _note(refused, sound, frozen, "frozen")
        sound = sound.where(~frozen)
    candidates = _with_held(states, sound)
    jumps, held = _jumps(states, candidates, rules)
    if jumps.any():
        _note(refused, candidates, jumps, "jump")
    unused = jumps | held
    usable = candidates.where(~unused) if unused.any() else candidates
    _remember(states, usable, candidates, held)
    return usable, refused


def _note(refused: list[list[Refusal]], fleet: Fleet, which: Bools, reason: Reason) -> None:
    if not which.any():
        return
    at = np.flatnonzero(which)
    vans = np.searchsorted(fleet.starts, at, side="right") - 1
    for van, t_ms in zip(vans.tolist(), fleet.fixes.t_ms[at].tolist(), strict=True):
        refused[van].append((t_ms, reason))


def _frozen(states: Sequence[FilterState], fleet: Fleet, rules: Rules) -> Bools:
    """Return which fixes repeat a position while the odometer runs, and remember the last."""
    fixes, starts = fleet.fixes, fleet.starts
    frozen = np.zeros(len(fixes), dtype=np.bool_)
    some = np.flatnonzero(np.diff(starts))
    if not len(some):
        return frozen
    heads = starts[some]
    repeats = np.zeros(len(fixes), dtype=np.bool_)
    repeats[1:] = (fixes.latitude_deg[1:] == fixes.latitude_deg[:-1]) & (
        fixes.longitude_deg[1:] == fixes.longitude_deg[:-1]
    )
    repeats[heads] = False
    goes_on = [
        (van, head)
        for van, head in zip(some.tolist(), heads.tolist(), strict=True)
        if (known := states[van].repeated) is not None
        and known[0] == fixes.latitude_deg[head]
        and known[1] == fixes.longitude_deg[head]
    ]
    repeats[[head for _, head in goes_on]] = True
    spell = np.flatnonzero(~repeats | np.isin(np.arange(len(fixes)), heads))
    # The odometer at the first fix of each spell of one position that tells it.
    told = np.where(np.isnan(fixes.odometer_m), len(fixes), np.arange(len(fixes)))
    first_told = np.minimum.reduceat(told, spell)
    odometer_m = np.append(fixes.odometer_m, np.nan)[first_told]
    spell_of = np.searchsorted(spell, np.arange(len(fixes)), side="right") - 1
    for van, head in goes_on:
        known = states[van].repeated
        if known is not None and known[2] is not None:
            odometer_m[spell_of[head]] = known[2]
    frozen |= repeats & (fixes.odometer_m - odometer_m[spell_of] > rules.frozen_m)
    for van, last in zip(some.tolist(), (starts[some + 1] - 1).tolist(), strict=True):
        first_m = float(odometer_m[spell_of[last]])
        states[van].repeated = (
            float(fixes.latitude_deg[last]),
            float(fixes.longitude_deg[last]),
            None if np.isnan(first_m) else first_m,
        )
    return frozen


def _with_held(states: Sequence[FilterState], fleet: Fleet) -> Fleet:
    """Return the fixes with those that earlier calls held back at the head of their vans'."""
    waiting = [
        (van, fix)
        for van, state in enumerate(states)
        if (fix := state.held) is not None and fleet.starts[van] < fleet.starts[van + 1]
    ]
    if not waiting:
        return fleet
    vans = np.array([van for van, _ in waiting])
    at = fleet.starts[vans]
    held = Fixes(
        np.array([fix.t_ms for _, fix in waiting], dtype=np.int64),
        np.array([fix.latitude_deg for _, fix in waiting]),
        np.array([fix.longitude_deg for _, fix in waiting]),
        np.full(len(waiting), np.nan),
        np.array([fix.ignition for _, fix in waiting], dtype=np.int8),
        np.array([np.nan if (m := fix.odometer_m) is None else m for _, fix in waiting]),
    )
    columns = zip(fleet.fixes.columns(), held.columns(), strict=True)
    more = np.zeros(len(fleet.starts), dtype=np.intp)
    more[vans + 1] = 1
    return Fleet(
        of_columns([np.insert(column, at, ahead) for column, ahead in columns]),
        fleet.starts + np.cumsum(more),
    )


def _jumps(states: Sequence[FilterState], fleet: Fleet, rules: Rules) -> tuple[Bools, Bools]:
    """Return which fixes are jumps, and which, the last of their vans, must be held."""
    fixes = fleet.fixes
    jumps = np.zeros(len(fixes), dtype=np.bool_)
    held = np.zeros(len(fixes), dtype=np.bool_)
    done = 0
    for i in _perhaps_too_fast(states, fleet, rules).tolist():
        if i < done:
            continue
        van = int(np.searchsorted(fleet.starts, i, side="right")) - 1
        end = int(fleet.starts[van + 1])
        previous = states[van].previous if i == fleet.starts[van] else fix_at(fixes, i - 1)
        waiting: int | None = None
        done = i
        while done < end:
            fix = fix_at(fixes, done)
            if waiting is not None:
                if _too_fast(fix_at(fixes, waiting), fix, rules):
                    jumps[waiting] = True
                else:
                    previous = fix_at(fixes, waiting)
                waiting = None
            done += 1
            if previous is None or not _too_fast(previous, fix, rules):
                break
            waiting = done - 1
        if waiting is not None:
            held[waiting] = True
    return jumps, held


def _perhaps_too_fast(states: Sequence[FilterState], fleet: Fleet, rules: Rules) -> Indices:
    """Return the fixes that may be too far from the one before: an estimate, 3 % wide."""
    fixes, starts = fleet.fixes, fleet.starts
    cosine = np.cos(np.radians(fixes.latitude_deg))
    way_m = np.zeros(len(fixes))
    way_m[1:] = METRES_PER_LATITUDE_DEG * np.hypot(
        np.diff(fixes.latitude_deg),
        np.diff(fixes.longitude_deg) * np.maximum(cosine[1:], cosine[:-1]),
    )
    seconds = np.ones(len(fixes))
    seconds[1:] = np.diff(fixes.t_ms) / 1_000
    some = np.flatnonzero(np.diff(starts))
    fast = way_m > 0.97 * rules.speed_mps_max * seconds
    for van, head in zip(some.tolist(), starts[some].tolist(), strict=True):
        previous = states[van].previous
        fast[head] = previous is not None and _too_fast(previous, fix_at(fixes, head), rules)
    return np.flatnonzero(fast)


def _too_fast(a: Fix, b: Fix, rules: Rules) -> bool:
    way_m = distance_m(a.latitude_deg, a.longitude_deg, b.latitude_deg, b.longitude_deg)
    return way_m * 1_000 > rules.speed_mps_max * (b.t_ms - a.t_ms)


def fix_at(fixes: Fixes, i: int) -> Fix:
    """Return one fix, to be remembered."""
    odometer_m = float(fixes.odometer_m[i])
    return Fix(
        int(fixes.t_ms[i]),
        float(fixes.latitude_deg[i]),
        float(fixes.longitude_deg[i]),
        int(fixes.ignition[i]),
        None if np.isnan(odometer_m) else odometer_m,
    )


def _remember(states: Sequence[FilterState], usable: Fleet, candidates: Fleet, held: Bools) -> None:
    for van, state in enumerate(states):
        if candidates.starts[van] == candidates.starts[van + 1]:
            continue
        last = int(candidates.starts[van + 1]) - 1
        state.held = fix_at(candidates.fixes, last) if held[last] else None
        if usable.starts[van] < usable.starts[van + 1]:
            state.previous = fix_at(usable.fixes, int(usable.starts[van + 1]) - 1)
