"""The truth on disk: JSON lines, appended while the simulator runs, read back to judge or go on.

One file may hold several runs: a simulator that goes on after a stop appends. Lines are buffered
half a second; a run killed in between has sent a little more than it wrote, so the truth may know
less than the tables, never more. A torn last line, and the start of the next run after it, are
read as what they are.
"""

import os
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from simulators.faults import Outgoing
from simulators.fleet import FleetDay
from simulators.truth import Handled, Published, Truth, truth_of
from simulators.vans import Visit
from simulators.world import World, create_world

BUFFERED_MS: Final = 500


class RunLine(msgspec.Struct, frozen=True, tag="run", tag_field="kind"):
    """The start of a run: the world's seed and sizes, the first day, and where the stream began."""

    seed: int
    vans: int
    sites: int
    items: int
    first_day: date
    since_ms: int


class VisitLine(msgspec.Struct, frozen=True, tag="visit", tag_field="kind"):
    """A true visit."""

    visit: Visit


class HandledLine(msgspec.Struct, frozen=True, tag="handled", tag_field="kind"):
    """What really happened to a part."""

    handled: Handled


class PublishedLine(msgspec.Struct, frozen=True, tag="published", tag_field="kind"):
    """A message the broker acknowledged; `real_ms` is the wall clock when it was first sent."""

    real_ms: int
    send_ms: int
    topic: str
    payload: str
    spoiled: bool = False


Line = RunLine | VisitLine | HandledLine | PublishedLine


class TruthFile:
    """Appends to a truth file. Use it as a context manager."""

    def __init__(self, path: Path, world: World, first_day: date, since_ms: int) -> None:
        self._world = world
        path.parent.mkdir(parents=True, exist_ok=True)
        torn = _is_torn(path)
        self._file: IO[bytes] = path.open("ab")
        if torn:
            self._file.write(b"\n")
        self._encoder = msgspec.json.Encoder()
        self._flushed_ms = 0
        sizes = len(world.vans), len(world.sites), len(world.items)
        self._write(RunLine(world.seed, *sizes, first_day, since_ms))

    def tell(self, fleet_day: FleetDay) -> None:
        """Write what really happens on one day; a day told twice is read once."""
        for van_day in fleet_day.van_days:
            for visit in van_day.visits:
                self._write(VisitLine(visit))
        for handling in fleet_day.stock.handlings:
            self._write(
                HandledLine(
                    Handled(
                        t_ms=handling.t_ms,
                        van=self._world.vans[handling.van].code,
                        item=self._world.items[handling.item].ref,
                        delta=handling.delta,
                    )
                )
            )
        self._file.flush()

    def record(self, message: Outgoing, real_ms: int) -> None:
        """Write a message the broker has acknowledged."""
        self._write(
            PublishedLine(
                real_ms, message.send_ms, message.topic, message.payload.decode(), message.spoiled
            )
        )
        if real_ms - self._flushed_ms > BUFFERED_MS:
            self._file.flush()
            self._flushed_ms = real_ms

    def _write(self, line: Line) -> None:
        self._file.write(self._encoder.encode(line) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _is_torn(path: Path) -> bool:
    """Whether the file ends in the middle of a line."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_truth(path: Path, until_ms: int) -> Truth:
    """Return the truth at simulated time `until_ms`; the world is made again from its seed.

    Raises:
        ValueError: The file holds no run.
    """
    decoder = msgspec.json.Decoder(Line)
    published = Published()
    runs: list[RunLine] = []
    # A day told by several runs is one day: keyed by what happened, in order.
    visits: dict[Visit, None] = {}
    handled: dict[Handled, None] = {}
    with path.open("rb") as file:
        for text in file:
            try:
                line = decoder.decode(text)
            except msgspec.DecodeError:
                # Torn by a kill: whatever it was, it is not known to have been acknowledged.
                continue
            match line:
                case RunLine():
                    runs.append(line)
                case VisitLine(visit):
                    visits[visit] = None
                case HandledLine(row):
                    handled[row] = None
                case PublishedLine():
                    message = Outgoing(
                        line.send_ms, line.topic, line.payload.encode(), spoiled=line.spoiled
                    )
                    published.add(message, line.real_ms)
    if not runs:
        raise ValueError(f"{path} holds no run of the simulator")
    world = create_world(runs[0].seed, vans=runs[0].vans, sites=runs[0].sites, items=runs[0].items)
    return truth_of(
        world,
        visits,
        handled,
        published,
        since_ms=min(run.since_ms for run in runs),
        until_ms=until_ms,
    )
