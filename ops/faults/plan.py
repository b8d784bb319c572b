"""When which fault strikes: a function of the seed.

Every kind comes equally often (what does not divide is drawn), in an order that is drawn too, so that
each kind meets the others' aftermath. Between two faults lies a pause, often none. `hold_s` is how long
a fault lasts that has a duration; `dice` is what else an act may draw from.

This module must not know how a fault is brought about.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Every kind, and what it is in words.
KINDS: Final[dict[str, str]] = {
    "kill_ingest": "ingest is killed with -9",
    "kill_relay": "the relay is killed with -9",
    "kill_api": "the API is killed with -9",
    "kill_broker": "the broker is killed with -9",
    "kill_database": "PostgreSQL is killed with -9, or one of ingest's sessions in it",
    "commit_ack": "ingest dies between commit and acknowledgement",
    "publish_mark": "the relay dies between publishing and marking as sent",
    "cut_vans": "connections of vans are cut in the middle of a packet",
    "cut_ingest": "ingest's connection to the broker is cut in the middle of a packet",
    "cut_database": "ingest's connections to the database are cut in the middle of a packet",
    "delay_vans": "packets of vans come in two parts, late",
    "delay_ingest": "packets between broker and ingest come in two parts, late",
    "slow_database": "packets between ingest and database come in two parts, late",
    "lock_held": "somebody holds a lock that ingest needs",
    "disk_full_database": "PostgreSQL's disk is full, then has room again",
    "disk_full_broker": "the broker's disk is full, then has room again",
    "clock_forward": "the services' clock is set hours ahead, then right again",
    "clock_back": "the services' clock is set hours back, then right again",
    "two_ingests": "a second ingest runs, under the same name or its own",
    "consumer_stops": "ingest stands still for an hour of the vans' time",
}  # fmt: skip

#: In a campaign of 100, and in proportion.
TIMES_IN_100: Final = 5
PAUSE_S_MAX: Final = 1.5
NO_PAUSE_SHARE: Final = 0.4
HOLD_S: Final = (1.5, 4.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a campaign."""

    number: int
    kind: str
    pause_s: float
    hold_s: float
    dice: float


def schedule(seed: int, faults: int, kinds: Sequence[str] = tuple(KINDS)) -> list[Fault]:
    """Return `faults` faults, the same for the same seed."""
    rng = random.Random(f"faults {seed}")  # noqa: S311 - repeatable, not secret
    order = [kind for kind in kinds for _ in range(faults // len(kinds))]
    order += rng.sample(list(kinds), faults % len(kinds))
    rng.shuffle(order)
    return [
        Fault(
            number,
            kind,
            0.0 if rng.random() < NO_PAUSE_SHARE else rng.uniform(0, PAUSE_S_MAX),
            rng.uniform(*HOLD_S),
            rng.random(),
        )
        for number, kind in enumerate(order, start=1)
    ]


def too_few(counts: dict[str, int], faults: int, kinds: Sequence[str] = tuple(KINDS)) -> list[str]:
    """Return the kinds that came less often than so many faults promise: five times in 100."""
    wanted = min(faults // len(kinds), faults * TIMES_IN_100 // 100)
    return [kind for kind in kinds if counts.get(kind, 0) < wanted]
