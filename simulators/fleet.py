"""The whole fleet's days, one after the other, merged into one stream by time of sending.

A day is a pure function of the world, its date and the shelves in the morning; the shelves are the
fold of all days before. To go on where a stopped simulator was, the stream is made again and what
was sent before `since_ms` is skipped: days gone by cost their making (a few seconds each), not
their sending.

This module must not know the clock: `send_ms` says when a message is due, somebody else waits.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import merge
from typing import Final

from simulators.faults import SENT, USUAL, Outgoing, Rates, outgoing_of_van
from simulators.scans import StockDay, work
from simulators.tours import tours
from simulators.vans import Tracker, VanDay, live
from simulators.world import World, local_ms


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
        # Nothing is sent after the next midnight: vans are home by evening.
        if local_ms(fleet_day.day + timedelta(days=1), 0) > since_ms:
            yield from outgoing_of_day(world, fleet_day, rates, since_ms)
