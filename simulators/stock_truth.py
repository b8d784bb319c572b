"""What the scans of a stock world add up to, and what a plain min/max policy would have done.

The *book* is computed as naively as can be: all scans in the order of (t, van, epoch, seq), one by one.
A count sets; a count of all sets what was not counted since its beginning to nothing; a box receives
what was sent in it, but for the lines that were scanned one by one, before or after; a second scan of a
box does nothing. This must not know how the system computes levels.

The *plain policy* is what people set by hand: an item that a van of its skill uses at least `often` units
a year is carried, its min is twice what is used until a delivery and a `margin` of units that is the same
for all, its max a week's use more. It sees its own book, with the same scans forgotten, orders at the
cut-off and receives on the next working morning. It does not know of planned jobs. `plain_at` finds the
margin and the assortment with which it serves as many jobs and holds least.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.messages import Scan
from simulators.stock_days import COUNTED_A_WEEK, FORGOTTEN_SHARE, Box
from simulators.stock_world import Job, StockWorld, jobs_of, usage
from simulators.world import Ints, dice

Pair = tuple[int, int]
Reals = npt.NDArray[np.float64]

#: What a scan does to the van that says it; a count begins at nothing.
SIGN: Final[Mapping[str, int]] = {
    "issue": -1, "return": -1, "scrap": -1, "transfer": -1, "load": 1, "receive": 1, "count": 1,
    "missing": 0,
}  # fmt: skip
MARGINS: Final = 7
#: From one cut-off to the delivery of the next: two working days.
UNTIL_DELIVERY_WEEKS: Final = 0.4


def book(
    world: StockWorld, opening: Ints, scans: Iterable[tuple[str, Scan]], boxes: Iterable[Box]
) -> Ints:
    """Return what was said to be in each van of each item, shape (vans, items)."""
    vans = {van: index for index, van in enumerate(world.vans)}
    meaning = {part.code: (i, 1) for i, part in enumerate(world.parts)}
    meaning |= {p.pack_code: (i, p.pack_qty) for i, p in enumerate(world.parts) if p.pack_code}
    sent = {f"00{box.sscc}": box for box in boxes}
    once = {(van, scan.epoch, scan.seq): (van, scan) for van, scan in scans}
    ordered = sorted(once.values(), key=lambda s: (s[1].t, s[0], s[1].epoch, s[1].seq))
    by_line = {(s.shipment, meaning[s.code or ""][0]) for _, s in ordered if s.shipment}
    level = opening.astype(np.int64).copy()
    counted = np.zeros_like(level)
    for van_code, scan in ordered:
        van, code = vans[van_code], scan.code or ""
        if scan.intent == "count_all":
            level[van, counted[van] < (scan.since or 0)] = 0
        elif code in sent:
            box = sent.pop(code)
            for item, units in box.lines:
                level[van, item] += 0 if (box.sscc, item) in by_line else units
        elif code in meaning:
            item, pack = meaning[code]
            units = (1 if scan.qty is None else scan.qty) * pack
            level[van, item] *= scan.intent != "count"
            level[van, item] += units * SIGN[scan.intent]
            if scan.intent == "count":
                counted[van, item] = scan.t
            if scan.intent == "transfer":
                level[vans[scan.counterpart or ""], item] += units
    return level


@dataclass(frozen=True, slots=True)
class Plain:
    """What a plain policy comes to."""

    often: float
    margin: int
    job_fill_rate: float
    mean_on_board: float


def plain_at(world: StockWorld, days: Sequence[date], weeks: int, fill: float) -> Plain | None:
    """Return the plain policy that serves at least `fill` of the jobs and holds least; None if none does."""
    rates = weekly_rates(world, weeks)
    jobs = [jobs_of(world, day) for day in days]
    found: list[Plain] = []
    for margin in range(MARGINS):
        low, high = 0.001, 50.0
        for _ in range(10):
            middle = (low * high) ** 0.5
            tried = plain(world, days, jobs, rates, middle, margin)
            if tried.job_fill_rate >= fill:
                low = middle
                found.append(tried)
            else:
                high = middle
    return min(found, key=lambda tried: tried.mean_on_board, default=None)


def weekly_rates(world: StockWorld, weeks: int) -> Reals:
    """Return units a week that a van of each skill uses of each item, shape (skills, items)."""
    total = np.zeros((len(world.items_of), len(world.parts)))
    for van, item, _, units in usage(world, weeks):
        total[world.skill_of[van], item] += units
    vans = np.bincount(world.skill_of, minlength=len(world.items_of))
    return total / np.maximum(1, vans)[:, None] / weeks


def plain(
    world: StockWorld,
    days: Sequence[date],
    jobs: Sequence[Sequence[Job]],
    rates: Reals,
    often: float,
    margin: int,
) -> Plain:
    """Return what carrying what is used at least `often` units a year comes to."""
    low = margin + np.round(2 * rates * UNTIL_DELIVERY_WEEKS).astype(np.int64)
    high = low + np.maximum(1, np.round(rates)).astype(np.int64)
    high[(rates * 52 < often) | (rates == 0)] = 0
    low, high = low[world.skill_of], high[world.skill_of]
    shelf, booked, coming = high.copy(), high.copy(), np.zeros_like(high)
    used = np.zeros_like(high)
    served, asked, on_board = 0, 0, []
    for day, of_day in zip(days, jobs, strict=True):
        rng = dice(world.seed, "plain", day.toordinal())
        shelf += coming
        booked += coming
        for job in of_day:
            if not job.needs:
                continue
            asked += 1
            if any(shelf[job.van, item] < units for item, units in job.needs):
                continue
            served += 1
            for item, units in job.needs:
                shelf[job.van, item] -= units
                used[job.van, item] += 1
                booked[job.van, item] -= units if rng.random() >= FORGOTTEN_SHARE else 0
        counting = np.flatnonzero(np.arange(len(world.vans)) % 5 == day.weekday())
        most = np.argsort(-used[counting], axis=1, kind="stable")[:, :COUNTED_A_WEEK]
        booked[counting[:, None], most] = shelf[counting[:, None], most]
        coming = np.where((booked <= low) & (high > 0), high - np.maximum(0, booked), 0)
        on_board.append(float(shelf.sum(axis=1).mean()))
    return Plain(round(often, 3), margin, served / max(1, asked), float(np.mean(on_board)))


def wrong(found: Mapping[Pair, int], truth: Ints) -> int:
    """Return how many pairs of the table are not what the scans add up to, or are not there."""
    told = np.zeros_like(truth)
    for (van, item), qty in found.items():
        told[van, item] = qty
    return int((told != truth).sum())
