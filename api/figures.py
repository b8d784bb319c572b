"""Figures from `ingest_activity`: rates and lag. Pure.

`lag_counts` entry i counts the messages that took under 2^i milliseconds from arrival to commit,
and that no smaller entry holds: each message stands in one entry.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate, zip_longest


def summed(rows: Iterable[Sequence[int]]) -> list[int]:
    """Add histograms of any lengths, entry by entry."""
    return [sum(entries) for entries in zip_longest(*rows, fillvalue=0)]


def lag_under_ms(counts: Sequence[int], share: float) -> int | None:
    """Return the smallest power of two that `share` (0 to 1) of the messages stayed under, in ms.

    None if there were no messages.
    """
    total = sum(counts)
    if total == 0:
        return None
    entry = next(i for i, seen in enumerate(accumulate(counts)) if seen >= share * total)
    return int(2**entry)
