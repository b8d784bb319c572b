"""How fast the geofence engine is, and what a late fix costs: whole runs, medians, one core.

*Engine.* A simulated day of the fleet (perfect fixes with 5 m of noise) goes through everything that
is between a decoded batch and the rows to write: filters, membership, runs, trips, verdicts, tours.
Twice: as backlog (each van's day at once) and as batches of 25 fixes of every van, which is what
5,000 live messages of 200 vans are. With 2,000, 20,000 and 200,000 fences.

*Late fixes.* After a day in real tables, single fixes that come late go through `ingest`'s own commit;
beside each, in the same minute, one that does not.
"""

import asyncio
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from geofence import tracks
from geofence.changes import Known, Said, Visit, revise
from geofence.fences import Fences, Site
from geofence.fixes import Fixes
from geofence.reread import NONE, Course, read
from geofence.tours import Stop
from geofence.visits import State
from ingest import service
from ingest.batch import Delivery
from ingest.messages import Position, encode
from ops import embedded
from ops.verify import Bench
from simulators.faults import NONE as NO_FAULTS
from simulators.fleet import first_hours, fleet_days, outgoing_of_day
from simulators.tours import Tour, tours
from simulators.vans import Tracker, live
from simulators.world import World, create_world, local_ms
from storage.pool import connect

DAY: Final = date(2026, 6, 2)
FENCES: Final = (2_000, 20_000, 200_000)
LIVE_FIXES: Final = 25
NOISE_M: Final = 5.0
HOURS_LATE: Final = (0.25, 1.0, 4.0, 9.0)


def geofence(
    runs: int = 5, vans: int = 200, sites: int = 20_000, numbers: Sequence[int] = FENCES
) -> dict[str, Any]:
    """Return fixes per second through the whole engine, medians of `runs`, by number of fences."""
    world = create_world(1, vans=vans, sites=sites, items=10)
    planned = tours(world, DAY)
    days = [_track(world, tour) for tour in planned]
    plans = [_stops(tour) for tour in planned]
    count = sum(len(track) for track in days)
    found: dict[str, Any] = {"fixes": count, "vans": len(days), "runs": runs}
    for number in numbers:
        fences = Fences(_sites(world, planned, number))
        backlog = _median(runs, partial(_backlog, days, plans, fences))
        batches = _median(runs, partial(_batches, days, plans, fences))
        found[f"fences_{number}"] = {
            "fixes_per_s_backlog": round(count / backlog),
            "fixes_per_s_batches": round(count / batches),
            "us_per_fix_backlog": round(1e6 * backlog / count, 2),
            "us_per_fix_batches": round(1e6 * batches / count, 2),
        }
    return found


def _median(runs: int, work: Callable[[], None]) -> float:
    seconds = []
    for _ in range(runs):
        begun = time.process_time()
        work()
        seconds.append(time.process_time() - begun)
    return statistics.median(seconds)


def _track(world: World, tour: Tour) -> Fixes:
    fixes = live(world, tour, Tracker(10, 10)).fixes
    noise = np.random.default_rng(tour.van).normal(0, NOISE_M / 111_000, (2, len(fixes.t_ms)))
    return Fixes(
        fixes.t_ms,
        fixes.latitude_deg + noise[0],
        fixes.longitude_deg + noise[1],
        np.full(len(fixes.t_ms), NOISE_M),
        fixes.ignition.astype(np.int8),
        fixes.odometer_m,
    )


def _stops(tour: Tour) -> list[Stop]:
    return [
        Stop(
            stop.site, tour.van, DAY, stop.position, stop.site + 1,
            local_ms(DAY, stop.window_start_s), local_ms(DAY, stop.window_end_s),
            stop.planned_minutes * 60,
        )
        for stop in tour.stops
    ]  # fmt: skip


def _sites(world: World, planned: Sequence[Tour], number: int) -> list[Site]:
    """Return so many fences, the day's stops among them: the world's, and more strewn over it."""
    known = [
        Site(i + 1, 1, site.latitude_deg, site.longitude_deg, site.radius_m)
        for i, site in enumerate(world.sites)
    ]
    needed = {stop.site for tour in planned for stop in tour.stops}
    known.sort(key=lambda site: site.site_id - 1 not in needed)
    rng = np.random.default_rng(2)
    more = max(0, number - len(known))
    latitude, longitude = rng.uniform(43.0, 50.5, more), rng.uniform(-4.0, 8.0, more)
    return known[:number] + [
        Site(100_000 + i, 1, float(latitude[i]), float(longitude[i]), float(rng.integers(50, 151)))
        for i in range(more)
    ]


def _backlog(days: Sequence[Fixes], plans: Sequence[Sequence[Stop]], fences: Fences) -> None:
    courses = [Course(van, 1, State(), None, None, track) for van, track in enumerate(days)]
    read(courses, fences)
    for course, stops in zip(courses, plans, strict=True):
        said = Said(course.clusters, list(course.legs.values()), course.refused)
        revise(course.van_id, said, Known(stops=stops), fences)


def _batches(days: Sequence[Fixes], plans: Sequence[Sequence[Stop]], fences: Fences) -> None:
    courses = [Course(van, 1, State(), None, None, NONE) for van in range(len(days))]
    rows: list[dict[tuple[int, int], Visit]] = [{} for _ in days]
    for first in range(0, max(len(track) for track in days), LIVE_FIXES):
        courses = [
            Course(
                course.van_id, 1, course.state, course.through, course.checkpointed,
                days[course.van_id].rows(slice(first, first + LIVE_FIXES)), box=course.box,
            )
            for course in courses
        ]  # fmt: skip
        read(courses, fences)
        for course, stops, visits in zip(courses, plans, rows, strict=True):
            said = Said(course.clusters, list(course.legs.values()), course.refused)
            known = Known(visits=list(visits.values()), stops=stops)
            changed = revise(course.van_id, said, known, fences)
            visits.update((visit.key, visit) for visit in changed.visits)


def late(samples: int = 40, vans: int = 50, sites: int = 20_000) -> dict[str, Any]:
    """Return what one late fix costs beside one in time: ms to commit, and fixes read again."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    world = create_world(1, vans=vans, sites=sites, items=400)
    today = first_hours(next(fleet_days(world, DAY, Tracker(10, 10))), 10.0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        bench = Bench(url, folder, world, today)
        return asyncio.run(_late(bench, samples))


async def _late(bench: Bench, samples: int) -> dict[str, Any]:
    url, now = bench.database("late"), bench.evening_ms
    sent = outgoing_of_day(bench.world, bench.today, NO_FAULTS)
    positions = [m for m in sent if m.topic.endswith("/position")]
    ends = {van_day.van: van_day.off_duty_ms for van_day in bench.today.van_days}
    found: dict[str, Any] = {"vans": len(ends), "samples": samples}
    async with connect(url, "bench", prepare=tracks.prepare) as pool:
        reference = None
        rest = iter(positions)
        while part := list(islice(rest, 5_000)):
            batch = [Delivery(m.topic, m.payload) for m in part]
            reference = await service.commit(pool, batch, reference, lambda: now)

        async def commit(van: str, t_ms: int) -> float:
            nonlocal reference
            position = Position(t=t_ms, lat=48.85, lon=2.35, acc_m=5.0)
            begun = time.perf_counter()
            batch = [Delivery(f"fleet/v1/{van}/position", encode(position))]
            reference = await service.commit(pool, batch, reference, lambda: now)
            return 1_000 * (time.perf_counter() - begun)

        vans = sorted(ends)
        for hours in HOURS_LATE:
            in_time, too_late = [], []
            for i in range(samples):
                van = vans[i % len(vans)]
                ends[van] += 10_000
                in_time.append(await commit(van, ends[van]))
                too_late.append(await commit(van, ends[van] - round(hours * 3_600_000) + 1 + i))
            found[f"late_{hours:g}_h"] = {
                "in_time_ms": round(statistics.median(in_time), 2),
                "late_ms": round(statistics.median(too_late), 2),
                "ratio": round(statistics.median(too_late) / statistics.median(in_time), 2),
                "late_ms_max": round(max(too_late), 2),
            }
    return found
