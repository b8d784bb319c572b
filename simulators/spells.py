"""When a van's GPS receiver is blind (a tunnel), and when it repeats itself (frozen).

Both hide where a van was; neither may make it doubtful what it did. A spell lies in a drive: the
van moves at the first fix of the spell and at the first after it (a red light between is part of
driving; lunch lasts longer than any spell). With the minute that follows, it keeps 5 minutes clear
of every true arrival and departure, so no visit's arrival, first minutes or end are hidden. Spells
of a van lie at least 3 minutes apart.

A frozen position may lie in the fence of a client whom the van drives past: for minutes it then
seems parked there, while odometer and speed say that it drives. That is meant.

This module must not know what the receiver of messages makes of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from simulators.roads import Bools
from simulators.vans import STANDING_MPS, VanDay
from simulators.world import Ints

MINUTE_MS: Final = 60_000
CLEAR_OF_VISITS_MS: Final = 5 * MINUTE_MS
#: After a spell the receiver may still be poor; that, too, keeps clear of visits.
WAKE_MS: Final = MINUTE_MS
APART_MS: Final = 3 * MINUTE_MS
TUNNEL_S: Final = (20.0, 360.0)
FROZEN_S: Final = (60.0, 480.0)
#: A long spell may fit into no drive of the day; then a new length is drawn, so often.
TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Spell:
    """From the first fix concerned, `from_ms`, until `to_ms`, exclusive."""

    from_ms: int
    to_ms: int


def within(t_ms: Ints, spells: Sequence[Spell]) -> Bools:
    """Return which of the times lie in a spell, shape of `t_ms`."""
    inside = np.zeros(len(t_ms), dtype=np.bool_)
    for spell in spells:
        inside |= (t_ms >= spell.from_ms) & (t_ms < spell.to_ms)
    return inside


def draw_spells(
    van_day: VanDay, tunnels_a_day: float, frozen_a_day: float, rng: np.random.Generator
) -> tuple[tuple[Spell, ...], tuple[Spell, ...]]:
    """Return a van's tunnels (20 s to 6 min, short ones likelier) and frozen spells (1 to 8 min).

    Each by rising time; the expected numbers are reached as far as the day's drives have room.
    """
    t_ms = van_day.fixes.t_ms
    free = _clear_of_visits(van_day)
    drawn: tuple[list[Spell], list[Spell]] = ([], [])
    for kind, (expected, (least_s, most_s)) in enumerate(
        ((tunnels_a_day, TUNNEL_S), (frozen_a_day, FROZEN_S))
    ):
        for _ in range(int(rng.poisson(expected))):
            for _ in range(TRIES):
                share = rng.random()
                lasts_s = (
                    least_s + share * (most_s - least_s)
                    if kind
                    else least_s * (most_s / least_s) ** share
                )
                spell = _place(van_day, free, round(lasts_s * 1000), rng)
                if spell is not None:
                    drawn[kind].append(spell)
                    free &= (t_ms < spell.from_ms - APART_MS) | (t_ms > spell.to_ms + APART_MS)
                    break
    tunnels, frozen = (tuple(sorted(part, key=lambda spell: spell.from_ms)) for part in drawn)
    return tunnels, frozen


def _clear_of_visits(van_day: VanDay) -> Bools:
    """Return at which fixes the van is clear of every visit."""
    t_ms = van_day.fixes.t_ms
    clear = np.ones(len(t_ms), dtype=np.bool_)
    for visit in van_day.visits:
        clear &= (t_ms < visit.arrived_ms - CLEAR_OF_VISITS_MS) | (
            t_ms > visit.left_ms + CLEAR_OF_VISITS_MS
        )
    return clear


def _place(van_day: VanDay, free: Bools, lasts_ms: int, rng: np.random.Generator) -> Spell | None:
    """Return a spell of that length that begins at a fix, or None where there is no room.

    Room is seen at the fixes: they are at most half a minute apart, a visit's surroundings longer.
    """
    t_ms = van_day.fixes.t_ms
    # One more, for what would end past the last fix: nothing is known of it.
    moving = np.append(van_day.fixes.speed_mps > STANDING_MPS, False)
    ends = np.searchsorted(t_ms, t_ms + lasts_ms)
    wake_ends = np.searchsorted(t_ms, t_ms + lasts_ms + WAKE_MS)
    taken = np.concatenate([[0], np.cumsum(~free)])
    room = (wake_ends < len(t_ms)) & (taken[np.minimum(wake_ends + 1, len(t_ms))] == taken[:-1])
    starts = np.flatnonzero(room & moving[:-1] & moving[ends])
    if not len(starts):
        return None
    from_ms = int(t_ms[rng.choice(starts)])
    return Spell(from_ms, from_ms + lasts_ms)
