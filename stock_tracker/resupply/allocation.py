"""Who gets what a warehouse has, when it has less than all ask for. One item at a time.

In three rounds, so that no van is filled up while another one cannot work:

1. What jobs need, the earliest job first.
2. What lifts a van above its reorder point: critical items' vans alike, those with nothing first,
   then those that have the smallest part of what they should have.
3. The rest, in the order of round 2, in whole packs.

What is not given stays on order as a backorder, and is the first to be given at the next cut-off.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Want:
    """What one van asks of one item, in base units.

    Attributes:
        requested: By its order.
        needed: By jobs, of it.
        due_at: When the first of these jobs begins.
        to_reorder_point: What lifts it above its reorder point, jobs served.
        on_hand: In the van now.
        order_up_to: What it should hold.
        pack_qty: In which it is packed.
        cutoff_at: When it was ordered; older orders first.
    """

    van: str
    requested: int
    needed: int
    due_at: datetime | None
    to_reorder_point: int
    on_hand: int
    order_up_to: int
    pack_qty: int
    cutoff_at: datetime


def allocate(wants: Sequence[Want], stock: int) -> list[int]:
    """Return what each gets, between 0 and what it requests, together no more than `stock`."""
    given, left = [0] * len(wants), max(0, stock)

    def give(index: int, upto: int, pack: int = 1) -> None:
        nonlocal left
        want = min(upto, wants[index].requested) - given[index]
        part = min(want, left // pack * pack)
        if part > 0:
            given[index] += part
            left -= part

    by_job = [i for i, want in enumerate(wants) if want.needed]
    for i in sorted(by_job, key=lambda i: (wants[i].due_at or wants[i].cutoff_at, wants[i].van)):
        give(i, wants[i].needed)
    by_need = sorted(range(len(wants)), key=lambda i: _urgency(wants[i]))
    for i in by_need:
        give(i, wants[i].needed + wants[i].to_reorder_point)
    for i in by_need:
        give(i, wants[i].requested, wants[i].pack_qty)
    return given


def _urgency(want: Want) -> tuple[bool, float, datetime, str]:
    has = want.on_hand / max(1, want.order_up_to)
    return want.on_hand > 0, has, want.cutoff_at, want.van
