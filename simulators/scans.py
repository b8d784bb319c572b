"""What technicians do with parts, and what their tablets say of it.

Two things are kept apart. A `Handling` is what really happens to a part, scanned or not; the shelf is
the opening stock plus all handlings, and never below zero: nobody uses a part that is not there. A
`Scan` is what the tablet says, with the faults of people: a scan forgotten, a part scanned twice.
What the published scans add up to is the book; where people erred, book and shelf differ until
somebody counts.

One pass over the whole fleet in time order, because a part handed from van to van changes both
shelves. The tablet's `epoch` is one per van and day: on the wire an epoch is "random at install",
so to the receiver every day looks like a freshly installed tablet, and `seq` can start at 1 without
state kept overnight.

This module must not know how levels are computed from scans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from ingest.messages import Intent, Scan
from simulators.vans import VanDay
from simulators.world import Barcode, Ints, World, dice

FORGOTTEN_SHARE: Final = 0.02
DOUBLED_SHARE: Final = 0.015
UNKNOWN_CODE_SHARE: Final = 0.01
FAST_MOVER_SHARE: Final = 0.8
#: How often an occasion holds each kind of handling.
LOADS_A_MORNING: Final = 0.5
COUNTS_A_DAY: Final = 0.7
RETURNS_A_VISIT: Final = 0.06
SCRAPS_A_VISIT: Final = 0.04
TRANSFERS_A_VISIT: Final = 0.03
ISSUES_A_VISIT_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Handling:
    """What really happened to `item` in `van`, by their indices, at `t_ms`.

    `by` is the van of who did it: of a transfer, the giver's also where the receiver gains.
    """

    t_ms: int
    van: int
    item: int
    delta: int
    by: int


@dataclass(frozen=True, slots=True)
class StockDay:
    """One day of the whole fleet: what was done, what was scanned (by van code), what is left.

    `scans` hold the true time in `t`; a tablet whose clock is off is a fault for later.
    """

    handlings: tuple[Handling, ...]
    scans: Mapping[str, tuple[Scan, ...]]
    shelf: Ints


@dataclass(frozen=True, slots=True)
class _Task:
    """Something a technician means to do; `parts` counts packs for a load, items for a count."""

    t_ms: int
    van: int
    intent: Intent
    parts: int
    work_order: str | None


def work(world: World, day: date, van_days: Sequence[VanDay], shelf: Ints) -> StockDay:
    """Return what the fleet does with parts on `day`, starting from `shelf` (vans, tracked)."""
    shelf = shelf.copy()
    dices = {
        van_day.tour.van: dice(world.seed, "scans", day.toordinal(), van_day.tour.van)
        for van_day in van_days
    }
    tasks = sorted(
        (task for van_day in van_days for task in _tasks(van_day, dices[van_day.tour.van])),
        key=lambda task: (task.t_ms, task.van),
    )
    handlings: list[Handling] = []
    tablets = {
        van_day.tour.van: _Tablet(van_day.van, f"{van_day.van}-{day:%Y%m%d}")
        for van_day in van_days
    }
    for task in tasks:
        rng = dices[task.van]
        if task.intent == "count":
            _count(world, task, shelf, tablets[task.van], rng)
        else:
            handlings += _handle(world, task, shelf, tablets[task.van], rng)
    scans = {tablet.van: tuple(tablet.scans) for tablet in tablets.values()}
    return StockDay(tuple(handlings), scans, shelf)


def _tasks(van_day: VanDay, rng: np.random.Generator) -> list[_Task]:
    van, tasks = van_day.tour.van, []
    if rng.random() < LOADS_A_MORNING:
        times = _times(van_day.on_duty_ms + 20_000, van_day.departs_ms - 20_000, 3, rng)
        tasks += [_Task(t_ms, van, "load", int(rng.integers(1, 3)), None) for t_ms in times]
    counting = int(rng.integers(len(van_day.visits))) if rng.random() < COUNTS_A_DAY else -1
    for index, (visit, stop) in enumerate(zip(van_day.visits, van_day.tour.stops, strict=True)):
        wanted: list[Intent] = ["issue"] * int(rng.integers(0, ISSUES_A_VISIT_MAX + 1))
        for share, intent in _RARER:
            if rng.random() < share:
                wanted.append(intent)
        if index == counting:
            wanted += ["count"] * int(rng.integers(1, 4))
        times = _times(visit.arrived_ms + 120_000, visit.left_ms - 60_000, len(wanted), rng)
        tasks += [
            _Task(t_ms, van, intent, 1, stop.work_order)
            for t_ms, intent in zip(times, wanted, strict=True)
        ]
    return tasks


_RARER: Final[tuple[tuple[float, Intent], ...]] = (
    (RETURNS_A_VISIT, "return"),
    (SCRAPS_A_VISIT, "scrap"),
    (TRANSFERS_A_VISIT, "transfer"),
)


def _times(from_ms: int, to_ms: int, count: int, rng: np.random.Generator) -> list[int]:
    """Return `count` rising times, at least 12 s apart: doubled scans fit between them."""
    slots = max(count, (to_ms - from_ms) // 12_000)
    chosen = np.sort(rng.choice(slots, count, replace=False))
    return [from_ms + 12_000 * int(slot) + int(rng.integers(0, 2_000)) for slot in chosen]


class _Tablet:
    """Numbers the scans of one van and day, in the order they are made."""

    def __init__(self, van: str, epoch: str) -> None:
        self.van = van
        self.epoch = epoch
        self.scans: list[Scan] = []

    def scan(
        self,
        t_ms: int,
        intent: Intent,
        barcode: Barcode,
        *,
        qty: int | None,
        work_order: str | None = None,
        counterpart: str | None = None,
    ) -> None:
        """Say it once."""
        self.scans.append(
            Scan(
                epoch=self.epoch,
                seq=len(self.scans) + 1,
                t=t_ms,
                intent=intent,
                code=barcode.scanned,
                # Every other tablet tells what kind of symbol it read.
                aim_id=barcode.aim_id if int(self.van[-1]) % 2 else None,
                qty=qty,
                work_order=work_order,
                counterpart=counterpart,
            )
        )


def _count(
    world: World, task: _Task, shelf: Ints, tablet: _Tablet, rng: np.random.Generator
) -> None:
    """Count one item: what lies on the shelf, by a code that stands for single pieces."""
    item = _some_item(world, rng)
    singles = [barcode for barcode in world.item_codes[item] if barcode.pack_qty == 1]
    tablet.scan(
        task.t_ms,
        "count",
        singles[int(rng.integers(len(singles)))],
        qty=int(shelf[task.van, item]),
    )


def _handle(
    world: World,
    task: _Task,
    shelf: Ints,
    tablet: _Tablet,
    rng: np.random.Generator,
) -> list[Handling]:
    """Do the task, scan it or forget to, and return what happened; the shelf is brought up to it."""
    item = _some_item(world, rng)
    codes = world.item_codes[item]
    barcode = codes[int(rng.integers(len(codes)))]
    if task.intent != "load" and barcode.pack_qty > 1:
        barcode = codes[0]
    pieces = task.parts * barcode.pack_qty
    gains = task.intent == "load"
    receiver = _colleague(task.van, len(world.vans), rng) if task.intent == "transfer" else None
    forgotten, doubled, unknown = (
        rng.random() < share for share in (FORGOTTEN_SHARE, DOUBLED_SHARE, UNKNOWN_CODE_SHARE)
    )
    if task.intent == "transfer" and receiver is None:
        return []
    if not gains and shelf[task.van, item] < pieces:
        return []

    handlings = [Handling(task.t_ms, task.van, item, pieces if gains else -pieces, task.van)]
    if receiver is not None:
        handlings.append(Handling(task.t_ms, receiver, item, pieces, task.van))
    for handling in handlings:
        shelf[handling.van, handling.item] += handling.delta
    if unknown:
        # A label nobody entered into the table; the part itself is booked by its next count.
        strange = f"ZZ-{tablet.van[-3:]}-{item}"
        barcode = Barcode(strange, item, barcode.pack_qty, strange, "]C0")
    if not forgotten:
        for late_ms in (0, 4_000) if doubled else (0,):
            tablet.scan(
                task.t_ms + late_ms,
                task.intent,
                barcode,
                qty=task.parts if gains or rng.random() < 0.3 else None,
                work_order=task.work_order,
                counterpart=world.vans[receiver].code if receiver is not None else None,
            )
    return handlings


def _some_item(world: World, rng: np.random.Generator) -> int:
    if rng.random() < FAST_MOVER_SHARE:
        return int(rng.choice(world.fast_movers))
    return int(rng.integers(world.tracked))


def _colleague(van: int, vans: int, rng: np.random.Generator) -> int | None:
    """Return any other van, or None where there is no other."""
    return (van + int(rng.integers(1, vans))) % vans if vans > 1 else None
