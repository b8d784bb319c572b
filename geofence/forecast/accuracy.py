"""How far arrival times were from arrivals: what is measured, and how it is counted.

What is said a minute before a van arrives is always right, and worth nothing. So of each stop that
arrival time is kept that was said last while it was well ahead by its own reckoning: two hours, when a
planner can still change the day, and half an hour, when a client is called. Once the stop is reached,
its *error* is counted: the arrival less what was said, in seconds, above zero if the van came later.

Errors keep their sign, so that a habit of promising too early is told apart from mere spread, and are
counted in buckets that end at `BOUNDS_S`, coarser the larger they are.

Not counted is a stop that nobody reached (what became of it is an alert's to tell), one that was never
that far ahead, such as the first of a morning, and what was said before the tour was changed. What the
clock said while a van was in a dead zone counts like the rest: planners had nothing better to go by.

Pure. It must not know vans or sites: this is a figure of the forecasts, and of nobody who drives.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Final, Literal, get_args

Ahead = Literal["30m", "2h"]
AHEADS: Final[tuple[Ahead, ...]] = get_args(Ahead)
#: How far ahead an arrival was, at least, when it was said; milliseconds.
AHEAD_MS: Final[Mapping[Ahead, int]] = {"30m": 1_800_000, "2h": 7_200_000}

#: Where buckets end, in seconds; a last one holds what is beyond.
BOUNDS_S: Final = (
    -3_600, -1_800, -900, -600, -300, -120, 0, 120, 300, 600, 900, 1_800, 3_600,
)  # fmt: skip


def tally(ahead: Ahead, error_s: float) -> str:
    """Return the name under which an error is counted among ingest's tallies."""
    return f"eta_{ahead}:{bisect_left(BOUNDS_S, error_s)}"


def counts(tallies: Mapping[str, int], ahead: Ahead) -> list[int]:
    """Return how many errors each bucket holds, from the earliest to the one beyond all bounds."""
    return [tallies.get(f"eta_{ahead}:{bucket}", 0) for bucket in range(len(BOUNDS_S) + 1)]
