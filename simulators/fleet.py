"""The whole fleet's days, one after the other, merged into one stream by time of sending.

A day is a pure function of the world, its date and the shelves in the morning; the shelves are the
fold of all days before. To go on where a stopped simulator was, the stream is made again and what
was sent before `since_ms` is skipped: days gone by cost their making (a few seconds each), not
their sending.

This module must not know the clock: `send_ms` says when a message is due, somebody else waits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from heapq import merge
from typing import Final

from simulators.faults import HOUR_MS, SENT, USUAL, Outgoing, Rates, outgoing_of_van
from simulators.scans import StockDay, work
from simulators.tours import tours
from simulators.vans import Tracker, VanDay, live
from simulators.world import World


@dataclass(frozen=True, slots=True, eq=False)
class FleetDay:
    """What really happens on one working day."""

    day: date
    van_days: tuple[VanDay, ...]
    stock: StockDay


USUAL_TRACKER: Final = Tracker()


def fleet_days(
    world: World, first_day: date, tracker: Tracker = USUAL_TRACKER
) -> Iterator[FleetDay]:
    """Yield the working days from `first_day` on, without end; each takes about 4 s for 200 vans."""
    shelf, day = world.opening_qty, first_day
    while True:
        planned = tours(world, day)
        if planned:
            van_days = tuple(live(world, tour, tracker) for tour in planned)
            stock = work(world, day, van_days, shelf)
            shelf = stock.shelf
            yield FleetDay(day, van_days, stock)
        day += timedelta(days=1)


def first_hours(fleet_day: FleetDay, hours: float) -> FleetDay:
    """Return the day as if it ended `hours` after each van's own departure.

    The van goes off duty then, wherever it is, if it is not home already. Fixes, scans and handlings
    from then on are gone, and visits that had not begun; a visit under way keeps its true end. Vans
    end minutes apart, so a last count may know of a part that a colleague gave after his own end.
    """
    ends_ms = {
        van_day.tour.van: min(van_day.off_duty_ms, van_day.departs_ms + round(hours * HOUR_MS))
        for van_day in fleet_day.van_days
    }
    stock, shelf = fleet_day.stock, fleet_day.stock.shelf.copy()
    undone = [handling for handling in stock.handlings if handling.t_ms >= ends_ms[handling.by]]
    for handling in undone:
        shelf[handling.van, handling.item] -= handling.delta
    return FleetDay(
        fleet_day.day,
        tuple(_ended(van_day, ends_ms[van_day.tour.van]) for van_day in fleet_day.van_days),
        StockDay(
            handlings=tuple(row for row in stock.handlings if row.t_ms < ends_ms[row.by]),
            scans={
                van_day.van: tuple(
                    scan for scan in stock.scans[van_day.van] if scan.t < ends_ms[van_day.tour.van]
                )
                for van_day in fleet_day.van_days
            },
            shelf=shelf,
        ),
    )


def _ended(van_day: VanDay, ends_ms: int) -> VanDay:
    return replace(
        van_day,
        off_duty_ms=ends_ms,
        fixes=van_day.fixes.only(van_day.fixes.t_ms < ends_ms),
        visits=tuple(visit for visit in van_day.visits if visit.arrived_ms < ends_ms),
    )


def outgoing_of_day(
    world: World, fleet_day: FleetDay, rates: Rates = USUAL, since_ms: int = 0
) -> Iterator[Outgoing]:
    """Yield one day's messages of all vans by `send_ms`, from `since_ms` on, encoded lazily."""
    return merge(
        *(
            outgoing_of_van(world, van_day, fleet_day.stock.scans[van_day.van], rates, since_ms)
            for van_day in fleet_day.van_days
        ),
        key=SENT,
    )


def outgoing(
    world: World,
    first_day: date,
    *,
    since_ms: int = 0,
    rates: Rates = USUAL,
    tracker: Tracker = USUAL_TRACKER,
    tell: Callable[[FleetDay], None] | None = None,
) -> Iterator[Outgoing]:
    """Yield the fleet's messages from `since_ms` on, without end.

    `tell` is called with each day before its first message, also with days gone by: the truth needs
    their handlings.
    """
    for fleet_day in fleet_days(world, first_day, tracker):
        if tell is not None:
            tell(fleet_day)
        home_ms = max(van_day.off_duty_ms for van_day in fleet_day.van_days)
        # All is sent before the next morning, at any rates that hold nothing longer than 10 hours.
        if home_ms + rates.held_ms_max > since_ms:
            yield from outgoing_of_day(world, fleet_day, rates, since_ms)
