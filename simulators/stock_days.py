"""What technicians do with parts on a day, and what their tablets say of it: two different things.

The *shelf* is what lies in a van. Boxes that have arrived are received in the morning, as a whole or line
by line. A job whose parts are all there is done and its parts are used; a job that lacks one fails,
and uses nothing. What is scanned may be forgotten, sent twice or late, but never invented. Each week
a van counts some items, those the base asked for first; once in a while all of them.

This module must not know what becomes of a scan.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any, Final

import numpy as np

from ingest.messages import Intent, Scan, encode
from simulators.stock_world import Job, StockWorld, jobs_of, local_ms
from simulators.world import Ints, dice

FORGOTTEN_SHARE: Final = 0.02
DOUBLED_SHARE: Final = 0.05
LATE_SHARE: Final = 0.05
LATE_MS_MAX: Final = 30 * 3_600_000
AS_A_WHOLE_SHARE: Final = 0.8
COUNTED_A_WEEK: Final = 20
FULL_COUNT_EVERY: Final = 20
#: A van a day: a return to the warehouse, a scrapped part, one handed to a colleague, a load.
RARE: Final[tuple[tuple[Intent, float], ...]] = (
    ("return", 0.03), ("scrap", 0.03), ("transfer", 0.03), ("load", 0.02),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Box:
    """What a warehouse has sent to a van: units by item index."""

    sscc: str
    van: int
    lines: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A scan as a message: made at `made_ms`, sent at `send_ms`."""

    made_ms: int
    send_ms: int
    topic: str
    payload: bytes


@dataclass(slots=True)
class Tally:
    """What really happened, added up over the days."""

    jobs_with_parts: int = 0
    jobs_served: int = 0
    units_asked: int = 0
    units_served: int = 0
    lacked: Counter[int] = field(default_factory=Counter)
    planned_failed: int = 0
    forgotten: int = 0
    scans: int = 0
    on_board: list[float] = field(default_factory=list)

    @property
    def job_fill_rate(self) -> float:
        """The share of jobs with parts that found them all on board."""
        return self.jobs_served / max(1, self.jobs_with_parts)

    @property
    def mean_on_board(self) -> float:
        """Units in a van, mean over vans and days."""
        return float(np.mean(self.on_board)) if self.on_board else 0.0


class Fleet:
    """The shelves and tablets of all vans, day after day."""

    def __init__(self, world: StockWorld, shelf: Ints) -> None:
        self.world = world
        self.shelf = shelf.astype(np.int64).copy()
        self.tally = Tally()
        self.scans: list[tuple[str, Scan]] = []
        self._seq = [0] * len(world.vans)
        self._last_ms = [0] * len(world.vans)
        self._used: list[Counter[int]] = [Counter() for _ in world.vans]

    def play(
        self, day: date, boxes: Iterable[Box], asked: Mapping[int, Sequence[int]]
    ) -> list[Sent]:
        """Play a day and return its messages, by the time they are sent.

        Args:
            day: A working day.
            boxes: What has arrived since the day before.
            asked: Item indices that the base wants counted, by van.
        """
        rng = dice(self.world.seed, "handling", day.toordinal())
        begin = len(self.scans)
        for box in boxes:
            self._receive(box, local_ms(day, time(7)), rng)
        for job in jobs_of(self.world, day):
            self._work(job, rng)
        for van in range(len(self.world.vans)):
            self._rare(van, local_ms(day, time(17, 10)), rng)
            if (day.toordinal() + van) % 7 == 0 or day.weekday() == van % 5:
                self._count(van, local_ms(day, time(17, 20)), asked.get(van, ()))
            if day.toordinal() % FULL_COUNT_EVERY == van % FULL_COUNT_EVERY:
                self._count_all(van, local_ms(day, time(17, 30)))
        self.tally.on_board.append(float(self.shelf.sum(axis=1).mean()))
        return self._sent(self.scans[begin:], rng)

    def _receive(self, box: Box, t_ms: int, rng: np.random.Generator) -> None:
        for item, units in box.lines:
            self.shelf[box.van, item] += units
        if rng.random() < AS_A_WHOLE_SHARE:
            self._scan(box.van, t_ms, "receive", f"00{box.sscc}", aim_id="]C1")
            return
        for item, units in box.lines:
            code = self.world.parts[item].code
            self._scan(box.van, t_ms, "receive", code, qty=units, shipment=box.sscc)

    def _work(self, job: Job, rng: np.random.Generator) -> None:
        if not job.needs:
            return
        tally, t_ms = self.tally, job.begins_ms + 600_000
        lacking = [
            (i, n - self.shelf[job.van, i]) for i, n in job.needs if self.shelf[job.van, i] < n
        ]
        tally.jobs_with_parts += 1
        tally.units_asked += sum(n for _, n in job.needs)
        intent: Intent = "missing" if lacking else "issue"
        for item, units in lacking or job.needs:
            if lacking:
                tally.lacked[item] += 1
            else:
                self.shelf[job.van, item] -= units
                self._used[job.van][item] += 1
            if rng.random() < FORGOTTEN_SHARE:
                tally.forgotten += 1
                continue
            code = self.world.parts[item].code
            order = job.work_order
            self._scan(job.van, t_ms, intent, code, qty=int(units), work_order=order)
        if lacking:
            tally.planned_failed += job.is_planned
        else:
            tally.jobs_served += 1
            tally.units_served += sum(n for _, n in job.needs)

    def _rare(self, van: int, t_ms: int, rng: np.random.Generator) -> None:
        on_board = np.flatnonzero(self.shelf[van])
        for intent, share in RARE:
            if rng.random() >= share or not len(on_board):
                continue
            part = self.world.parts[item := int(rng.choice(on_board))]
            if self.shelf[van, item] == 0:
                continue
            other = int((van + 1 + rng.integers(len(self.world.vans) - 1)) % len(self.world.vans))
            is_load = intent == "load"
            code = part.pack_code if is_load and part.pack_code else part.code
            units = part.pack_qty if is_load and part.pack_code else 1
            self.shelf[van, item] += units if is_load else -units
            if intent == "transfer":
                self.shelf[other, item] += units
            counterpart = self.world.vans[other] if intent == "transfer" else None
            self._scan(van, t_ms, intent, code, counterpart=counterpart)

    def _count(self, van: int, t_ms: int, asked: Sequence[int]) -> None:
        most = [item for item, _ in self._used[van].most_common(COUNTED_A_WEEK)]
        on_board = np.flatnonzero(self.shelf[van])
        some = np.roll(on_board, -(t_ms // 86_400_000 * COUNTED_A_WEEK))[:COUNTED_A_WEEK]
        chosen = list(dict.fromkeys([*asked, *most[: COUNTED_A_WEEK // 2], *map(int, some)]))
        for item in chosen[:COUNTED_A_WEEK]:
            self._scan_count(van, t_ms, item)

    def _count_all(self, van: int, t_ms: int) -> None:
        since = max(t_ms, self._last_ms[van] + 1)
        for item in np.flatnonzero(self.shelf[van]):
            self._scan_count(van, t_ms, int(item))
        self._scan(van, t_ms, "count_all", None, since=since)

    def _scan_count(self, van: int, t_ms: int, item: int) -> None:
        code = self.world.parts[item].code
        self._scan(van, t_ms, "count", code, qty=int(self.shelf[van, item]))

    def _scan(self, van: int, t_ms: int, intent: Intent, code: str | None, **more: Any) -> None:
        """Say it once; a tablet's times never stand still."""
        self._last_ms[van] = t_ms = max(t_ms, self._last_ms[van] + 1)
        self._seq[van] += 1
        self.tally.scans += 1
        said = Scan(epoch="simulated", seq=self._seq[van], t=t_ms, intent=intent, code=code, **more)
        self.scans.append((self.world.vans[van], said))

    def _sent(self, scans: Sequence[tuple[str, Scan]], rng: np.random.Generator) -> list[Sent]:
        sent = []
        for van, scan in scans:
            late = rng.random() < LATE_SHARE
            send = scan.t + int(rng.integers(60_000, LATE_MS_MAX) if late else 1_000)
            message = Sent(scan.t, send, f"fleet/v1/{van}/scan", encode(scan))
            sent.append(message)
            if rng.random() < DOUBLED_SHARE:
                again = send + int(rng.integers(1_000, 3_600_000))
                sent.append(Sent(scan.t, again, message.topic, message.payload))
        return sorted(sent, key=lambda message: (message.send_ms, message.topic))
