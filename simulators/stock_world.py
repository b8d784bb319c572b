"""A fleet that uses parts: who needs what, when, whatever any warehouse or policy does about it.

Technicians have one skill each, and each skill has its own items, a few of them used every week and most
of them hardly ever (Zipf). A working day brings each van a number of jobs; a little less than half of them
take parts. Of some the parts are known days before, since they were ordered or seen on a first visit;
of the others they show on site. What is demanded depends on the seed alone: two policies that are
compared meet the same jobs.

This module must not know how stock is kept or ordered.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from simulators.world import Ints, dice

PARIS: Final = ZoneInfo("Europe/Paris")
SKILLS: Final = ("electricity", "plumbing", "heating", "locks", "doors", "kitchens")
JOBS_A_DAY: Final = (3.5, 7.0)
#: Share of jobs that take 0, 1, 2 and 3 items.
PARTS_SHARES: Final = (0.55, 0.30, 0.10, 0.05)
PLANNED_SHARE: Final = 0.4
MANY_SHARE: Final = 0.15
CRITICAL_SHARE: Final = 0.03
PACKED_SHARE: Final = 0.3
PACKS: Final = (5, 10, 25)
SITES: Final = 300
CUTOFF: Final = time(16)
DELIVERY: Final = time(6, 30)
WAREHOUSE: Final = "WH-CENTRE"


@dataclass(frozen=True, slots=True)
class Part:
    """An item with its codes; `pack_code` stands for `pack_qty` of it, where it has one."""

    ref: str
    is_critical: bool
    code: str
    pack_code: str | None
    pack_qty: int


@dataclass(frozen=True, slots=True)
class Job:
    """Work at a site that takes `needs`: item index and units. `is_planned`: known days before."""

    van: int
    number: int
    begins_ms: int
    ends_ms: int
    work_order: str
    needs: tuple[tuple[int, int], ...]
    is_planned: bool


@dataclass(frozen=True)
class StockWorld:
    """Who there is and what they use; everything else follows from the seed."""

    seed: int
    vans: tuple[str, ...]
    skill_of: Ints
    jobs_a_day: np.ndarray[tuple[int], np.dtype[np.float64]]
    parts: tuple[Part, ...]
    items_of: tuple[Ints, ...]
    first_day: date

    @cached_property
    def index(self) -> dict[str, int]:
        """Item index by reference."""
        return {part.ref: i for i, part in enumerate(self.parts)}

    def sizes(self, item: int) -> float:
        """Return the mean of the units that a use of an item takes above one."""
        return 1.5 if item % 20 < 20 * MANY_SHARE else 0.0

    def days(self, count: int) -> list[date]:
        """Return the first working days."""
        found: list[date] = []
        day = self.first_day
        while len(found) < count:
            if day.weekday() < 5:
                found.append(day)
            day += timedelta(days=1)
        return found


def create(seed: int, vans: int, items: int, first_day: date) -> StockWorld:
    """Return a world; the same for the same arguments."""
    rng = dice(seed, "stock world")
    owners: list[list[int]] = [[] for _ in SKILLS]
    parts = []
    for i in range(items):
        for skill in rng.choice(len(SKILLS), 1 + int(rng.random() < 0.2), replace=False):
            owners[int(skill)].append(i)
        pack = int(rng.choice(PACKS)) if rng.random() < PACKED_SHARE else 1
        body = f"40{10_000_000 + i:010d}"
        parts.append(
            Part(
                ref=f"P-{i + 1:04d}",
                is_critical=bool(rng.random() < CRITICAL_SHARE),
                code=with_check_digit(body),
                pack_code=with_check_digit(f"1{body}") if pack > 1 else None,
                pack_qty=pack,
            )
        )
    return StockWorld(
        seed=seed,
        vans=tuple(f"van-{number + 1:03d}" for number in range(vans)),
        skill_of=np.arange(vans) % len(SKILLS),
        jobs_a_day=rng.uniform(*JOBS_A_DAY, vans),
        parts=tuple(parts),
        items_of=tuple(rng.permutation(np.array(owned, dtype=np.int64)) for owned in owners),
        first_day=first_day,
    )


def with_check_digit(digits: str) -> str:
    """Return digits with the GS1 check digit (General Specifications 7.9) behind them."""
    weighed = sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(reversed(digits)))
    return f"{digits}{-weighed % 10}"


def local_ms(day: date, at: time, minutes: float = 0) -> int:
    """Return a local time of a day, ms since 1970 UTC."""
    moment = datetime.combine(day, at, PARIS) + timedelta(minutes=minutes)
    return round(moment.timestamp() * 1_000)


def jobs_of(world: StockWorld, day: date) -> list[Job]:
    """Return the jobs of a day, by van and time."""
    rng = dice(world.seed, "jobs", day.toordinal())
    made = []
    for van, mean in enumerate(world.jobs_a_day):
        count = max(1, int(rng.poisson(mean)))
        step = 540 / count
        for number in range(count):
            begins = local_ms(day, time(8), step * number)
            made.append(
                Job(
                    van, number, begins, begins + round(step * 50_000),
                    f"W-{day:%y%m%d}-{van + 1:03d}-{number + 1}",
                    _needs(world, van, rng), bool(rng.random() < PLANNED_SHARE),
                )
            )  # fmt: skip
    return made


def _needs(world: StockWorld, van: int, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    count = int(rng.choice(len(PARTS_SHARES), p=PARTS_SHARES))
    owned = world.items_of[world.skill_of[van]]
    weights = 1 / np.arange(1, len(owned) + 1)
    chosen = rng.choice(owned, min(count, len(owned)), replace=False, p=weights / weights.sum())
    return tuple((int(item), _units(world, int(item), rng)) for item in chosen)


def _units(world: StockWorld, item: int, rng: np.random.Generator) -> int:
    more = world.sizes(item)
    return 1 + (min(5, int(rng.geometric(1 / (1 + more))) - 1) if more else 0)


def usage(world: StockWorld, weeks: int) -> Iterator[tuple[int, int, date, int]]:
    """Yield what vans used in each week before the first day: van, item, Monday, units."""
    rng = dice(world.seed, "usage")
    a_job = sum(count * share for count, share in enumerate(PARTS_SHARES))
    for back in range(weeks, 0, -1):
        monday = world.first_day - timedelta(days=world.first_day.weekday(), weeks=back)
        for van, jobs in enumerate(world.jobs_a_day):
            owned = world.items_of[world.skill_of[van]]
            weights = 1 / np.arange(1, len(owned) + 1)
            counts = rng.poisson(5 * jobs * a_job * weights / weights.sum())
            for rank in np.flatnonzero(counts):
                item = int(owned[rank])
                units = sum(_units(world, item, rng) for _ in range(int(counts[rank])))
                yield van, item, monday, units


# --- Files that the system imports --------------------------------------------------------------


def files(world: StockWorld, weeks: int) -> Iterator[tuple[str, str]]:
    """Yield (kind, CSV text) of all reference data, in an order in which it can be imported."""
    place = dice(world.seed, "places")
    yield (
        "warehouses",
        _csv(
            "warehouse,name,latitude_deg,longitude_deg,time_zone,cutoff_times",
            [f"{WAREHOUSE},Centre,46.5,2.5,Europe/Paris,{CUTOFF:%H:%M}"],
        ),
    )
    homes = place.uniform((45.0, 1.0), (48.0, 4.0), (len(world.vans), 2))
    yield (
        "technicians",
        _csv(
            "technician,name,home_latitude_deg,home_longitude_deg,skills",
            (
                f"T-{i + 1:03d},Technician {i + 1},{lat:.5f},{lon:.5f},{SKILLS[world.skill_of[i]]}"
                for i, (lat, lon) in enumerate(homes)
            ),
        ),
    )
    yield (
        "items",
        _csv(
            "item,name,base_unit,tracked,critical",
            (f"{p.ref},Part {p.ref},piece,true,{str(p.is_critical).lower()}" for p in world.parts),
        ),
    )
    packs = (f"{p.pack_code},{p.ref},{p.pack_qty}" for p in world.parts if p.pack_code)
    yield (
        "barcodes",
        _csv("code,item,pack_qty", [*(f"{p.code},{p.ref},1" for p in world.parts), *packs]),
    )
    rows = (
        f"T-{SKILLS[skill]},{world.parts[owned[0]].ref},0,1,1,1"
        for skill, owned in enumerate(world.items_of)
    )
    yield "templates", _csv("template,item,reorder_point,order_up_to,cap,pack_qty", rows)
    yield (
        "vans",
        _csv(
            "van,name,technician,template,warehouse",
            (
                f"{van},{van},T-{i + 1:03d},T-{SKILLS[world.skill_of[i]]},{WAREHOUSE}"
                for i, van in enumerate(world.vans)
            ),
        ),
    )
    sites = place.uniform((45.0, 1.0), (48.0, 4.0), (SITES, 2))
    yield (
        "sites",
        _csv(
            "site,name,latitude_deg,longitude_deg,radius_m,time_zone",
            (
                f"S-{i + 1:03d},Site {i + 1},{lat:.5f},{lon:.5f},100,Europe/Paris"
                for i, (lat, lon) in enumerate(sites)
            ),
        ),
    )
    yield (
        "usage",
        _csv(
            "van,item,week,qty",
            (
                f"{world.vans[van]},{world.parts[item].ref},{monday},{units}"
                for van, item, monday, units in usage(world, weeks)
            ),
        ),
    )


def tours(world: StockWorld, day: date) -> str:
    """Return tours.csv of a day: the parts of planned jobs only."""
    rows = []
    for job in jobs_of(world, day):
        van = world.vans[job.van]
        needs = job.needs if job.is_planned else ()
        parts = ";".join(f"{world.parts[item].ref}:{units}" for item, units in needs)
        begins, ends = (
            datetime.fromtimestamp(t / 1_000, PARIS).isoformat(timespec="seconds")
            for t in (job.begins_ms, job.ends_ms)
        )
        site = 1 + (job.van * 31 + job.number * 7) % SITES
        rows.append(
            f"{van}-{day},{van},{day},{job.number + 1},S-{site:03d},{begins},{ends},40,"
            f"{job.work_order},{parts}"
        )
    head = "tour,van,date,stop,site,window_start,window_end,planned_minutes,work_order,parts"
    return _csv(head, rows)


def opening(world: StockWorld, shelf: Ints) -> str:
    """Return stock.csv: what is counted in each van on the evening before the first day."""
    counted = datetime.combine(world.first_day - timedelta(days=1), time(18), PARIS).isoformat()
    rows = (
        f"{world.vans[van]},{world.parts[item].ref},{shelf[van, item]},{counted}"
        for van, item in np.argwhere(shelf > 0)
    )
    return _csv("van,item,qty,counted_at", rows)


def _csv(head: str, rows: Iterable[str]) -> str:
    return "\n".join([head, *rows]) + "\n"
