"""What a replan makes of one tour or two, and whether they are still what it was based on. Pure.

A *plan* is what is planned for a van on a day: its tour's stops with all that a file could say of them, but
not what became of them. A *day* is a plan as it stands, with the ids of its stops and those that a van has
reached.

A stop that is given away leaves a gap in the positions, so that the other stops keep theirs, and with them
their ids, arrival times and alerts (a stop is known by its position). The taker's stops that nobody has
reached come in the proposed order, after those that were reached, at the positions that they had between them
and as many new ones as it takes.

The *tag* of days says plan and progress in few letters: whoever applies a proposal says on which tag it rests. A
replan can be undone while the plans are what it has left; progress alone does not matter then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import blake2b

import msgspec

from storage.sheets import Cells


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """A stop as tours.csv could say it."""

    position: int
    site: str
    window_start_ms: int
    window_end_ms: int
    planned_duration_s: int
    planned_arrival_ms: int | None
    work_order: str | None
    skill: str | None
    parts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned for a van on a day; without a tour there are no stops."""

    van: str
    date: date
    tour: str | None
    stops: tuple[PlannedStop, ...]

    def cells(self) -> Iterator[Cells]:
        """Yield its stops in the columns of tours.csv; an empty cell is left out."""
        for stop in self.stops:
            cells: Cells = {
                "tour": self.tour,
                "van": self.van,
                "date": self.date,
                "stop": stop.position,
                "site": stop.site,
                "window_start": str(stop.window_start_ms),
                "window_end": str(stop.window_end_ms),
                "planned_minutes": stop.planned_duration_s / 60,
                "planned_arrival": stop.planned_arrival_ms and str(stop.planned_arrival_ms),
                "work_order": stop.work_order,
                "skill": stop.skill,
                "parts": ";".join(f"{item}:{qty}" for item, qty in stop.parts.items()),
            }
            yield {column: value for column, value in cells.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class Day:
    """A plan as it stands: the ids of its stops, in the same order, and those that were reached."""

    plan: Plan
    ids: tuple[int, ...] = ()
    reached: frozenset[int] = frozenset()

    @property
    def by_id(self) -> dict[int, PlannedStop]:
        """The stops by their ids, in the planned order."""
        return dict(zip(self.ids, self.plan.stops, strict=True))

    @property
    def ahead(self) -> frozenset[int]:
        """The stops that nobody has reached."""
        return frozenset(self.ids) - self.reached


@dataclass(frozen=True, slots=True)
class Wanted:
    """A proposal that somebody wants carried out.

    Attributes:
        day: Of both tours.
        giver: The van that has the stop.
        taker: The van that shall have it; the same for another order.
        stop_id: The stop.
        order: All that the taker has ahead then, by their ids.
        based_on: The tag of the days that it rests on.
    """

    day: date
    giver: str
    taker: str
    stop_id: int
    order: tuple[int, ...]
    based_on: str


def tag(days: Sequence[Day]) -> str:
    """Return what changes whenever the plan of one of these days does, or a stop is reached."""
    said = [(day.plan, sorted(day.reached)) for day in days]
    text = msgspec.json.encode(said, order="deterministic")
    return blake2b(text, digest_size=12).hexdigest()


def days_of(giver: Day, taker: Day) -> list[Day]:
    """Return the days that a replan touches: of one van once."""
    return [giver] if giver.plan.van == taker.plan.van else [giver, taker]


def is_complete(wanted: Wanted, taker: Day) -> bool:
    """Return whether an order names each stop that the taker has ahead once, with the stop."""
    named = set(wanted.order)
    return len(named) == len(wanted.order) and named == taker.ahead | {wanted.stop_id}


def replanned(wanted: Wanted, giver: Day, taker: Day, new_tour: str) -> tuple[list[Plan], int]:
    """Return the plans after a replan, in the order of `days_of`, and where the stop is then.

    Args:
        wanted: What is to be done.
        giver: The day of the van that has the stop.
        taker: The day of the van that shall have it.
        new_tour: The code of a tour for a taker that has none that day.
    """
    stops = {**taker.by_id, wanted.stop_id: giver.by_id[wanted.stop_id]}
    reached = [stop for key, stop in taker.by_id.items() if key in taker.reached]
    last = max((stop.position for stop in reached), default=0)
    ahead = [stop.position for key, stop in taker.by_id.items() if key in taker.ahead]
    free = [position for position in ahead if position > last]
    while len(free) < len(wanted.order):
        free.append(max([last, *free]) + 1)
    placed = [replace(stops[key], position=at) for key, at in zip(wanted.order, free, strict=False)]
    tour = taker.plan.tour or new_tour
    after = [replace(taker.plan, tour=tour, stops=(*reached, *placed))]
    if giver.plan.van != taker.plan.van:
        left = tuple(stop for key, stop in giver.by_id.items() if key != wanted.stop_id)
        after.insert(0, replace(giver.plan, stops=left))
    return after, placed[wanted.order.index(wanted.stop_id)].position


def edited(after: Sequence[Plan], now: Sequence[Plan]) -> list[str]:
    """Return the tours of days that are not what a replan has left, by their codes."""
    pairs = zip(after, now, strict=True)
    return [left.tour or "" for left, plan in pairs if left != _as_left(plan, left)]


def is_reached(taker: Day, position: int) -> bool:
    """Return whether a van was at the stop that a replan has put at this position."""
    return any(taker.by_id[key].position == position for key in taker.reached)


def _as_left(plan: Plan, left: Plan) -> Plan:
    """Return a plan as it is compared: a tour whose last stop was given away is gone."""
    return replace(plan, tour=left.tour) if not plan.stops and not left.stops else plan
