"""Past days read again with other rules: what they would have said. Nothing is written.

The fixes and tours of the days come from the database; the engine is the one that ingest runs. Each
van is read twice, with the rules that hold and with the rules asked for, and the visits that stand
are compared: those that only one of the two finds, those whose arrival moved by more than a minute,
and what it means for punctuality and late alerts. Both readings begin with the first fix of the
period, so a van that was inside a fence then seems to arrive.

A van's days are read one after the other, with the state that the day before left, so that no more
than one day's fixes is held, and the months are as if they were read at once. Vans are read by
several processes, or machines (`ops/replay_workers.py`); each reads what it needs from the database by
a connection of its own. Who reads what, and in which order, does not show in what is said.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from time import time_ns
from typing import Any, Final

import msgspec
import psycopg

from geofence import store, tracks
from geofence.changes import Known, Said, Visit, revise
from geofence.fences import Fences
from geofence.fixes import Fixes
from geofence.reread import NONE, Course, read
from geofence.rules import USUAL, Rules
from geofence.tours import Stop
from geofence.visits import State
from ops import replay_workers
from ops.replay_workers import HERE, Place, ReplayError, Van
from storage.pool import SESSION, Connection
from storage.settings import Settings, as_datetime, as_ms

MOVED_MS: Final = 60_000
#: Differences listed in a terminal.
SHOWN: Final = 20


class UnknownRuleError(ValueError):
    """A rule that does not exist, or a value that it cannot have; the message says what can be."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A visit that only one of the two finds, or whose arrival moved by more than a minute."""

    van: str
    site: str
    what: str
    arrived: str
    minutes: float


def rules_of(settings: Sequence[str]) -> Rules:
    """Return the usual rules but for `name=value` settings.

    Raises:
        UnknownRuleError: There is no such rule, or it cannot have that value.
    """
    asked: dict[str, str | float] = {}
    names = ", ".join(Rules.__struct_fields__)
    for text in settings:
        name, _, value = text.partition("=")
        if name not in Rules.__struct_fields__:
            raise UnknownRuleError(f"There is no rule {name!r}: choose one of {names}.")
        asked[name] = value
    try:
        return msgspec.convert(msgspec.to_builtins(USUAL) | asked, Rules, strict=False)
    except msgspec.ValidationError as error:
        raise UnknownRuleError(f"{error}: give numbers, like dwell_s=240.") from None


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked of whoever reads vans.

    The address of the database may hold a password, so it is never printed. `asked_ns` makes a replay
    another one than the last: fences may have changed since.
    """

    database_url: str = field(repr=False)
    first: date
    last: date
    rules: Rules
    asked_ns: int


@dataclass(frozen=True, slots=True)
class VanSaid:
    """What one van's days say: figures by the rules that hold and by those asked for."""

    as_it_was: Counter[str]
    as_it_would_be: Counter[str]
    differences: list[Difference]
    van_days: int


def replay(
    settings: Settings,
    first: date,
    last: date,
    rules: Rules,
    *,
    processes: int = 1,
    dask: str | None = None,
) -> dict[str, Any]:
    """Return what the working days from `first` to `last` would have said, and what they did say.

    Args:
        settings: Where the database is.
        first: The first working day.
        last: The last working day.
        rules: What is asked for.
        processes: How many read at once, on this machine.
        dask: The address of a Dask scheduler whose workers read instead.

    Raises:
        ReplayError: A van-day cannot be read, or who read it died.
    """
    job = Job(settings.database_url, first, last, rules, time_ns())
    vans = _vans(job)
    found: dict[Van, VanSaid] = {}
    with _place(min(processes, len(vans)), dask) as place:
        found.update(replay_workers.spread(place, partial(read_van, job), vans))
    sums = {"as_it_was": Counter[str](), "as_it_would_be": Counter[str]()}
    differences: list[Difference] = []
    for van in vans:
        for name, figures in sums.items():
            figures.update(getattr(found[van], name))
        differences += found[van].differences
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "rules": msgspec.to_builtins(rules),
        "van_days": sum(said.van_days for said in found.values()),
        **{name: dict(sorted(figures.items())) for name, figures in sums.items()},
        "differences": [asdict(difference) for difference in differences],
    }


def _place(processes: int, dask: str | None) -> AbstractContextManager[Place]:
    if dask is not None:
        return replay_workers.dask(dask)
    return replay_workers.processes(processes) if processes > 1 else nullcontext(HERE)


def _vans(job: Job) -> list[Van]:
    with psycopg.connect(job.database_url) as conn:
        rows = conn.execute("SELECT van_id, organisation_id, code FROM van ORDER BY van_id")
        return [Van(*row) for row in rows.fetchall()]


def read_van(job: Job, van: Van) -> VanSaid:
    """Return what one van's days say. Runs in whichever process is given it.

    Raises:
        ReplayError: A day cannot be read; it says which, and why.
    """
    return asyncio.run(_read_van(job, van))


async def _read_van(job: Job, van: Van) -> VanSaid:
    options = SESSION.format(name="cordee-replay-rules")
    with naming(van.code):
        conn = await Connection.connect(job.database_url, options=options, autocommit=True)
    async with conn:
        await conn.set_read_only(True)
        with naming("The fences"):
            known = await _reference(conn, job)
        with naming(van.code):
            stops = await store.load_stops(conn, [van.van_id], [job.first], [job.last])
        courses = [Course(van.van_id, van.organisation_id, State(), None, None, NONE) for _ in "ab"]
        van_days = 0
        for day, after, up_to in days(job.first, job.last):
            with naming(f"{van.code} on {day}"):
                (track,) = await tracks.load_tracks(conn, [(van.van_id, after, up_to)])
                van_days += len(track) > 0
                for course, fences in zip(courses, known.fences, strict=True):
                    read_day(course, track, fences)
    with naming(van.code):
        both = [
            revise(van.van_id, Said(course.clusters), Known(stops=stops), fences).visits
            for course, fences in zip(courses, known.fences, strict=True)
        ]
        was, would_be = (count(visits, stops) if van_days else Counter[str]() for visits in both)
        return VanSaid(was, would_be, compare(van.code, known.names, *both), van_days)


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Say of any error what it was about, in words that any process can hand on."""
    try:
        yield
    except Exception as error:
        raise ReplayError(f"{what}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Reference:
    """The fences by both rules, and the sites' codes."""

    fences: tuple[Fences, Fences]
    names: Mapping[int, str]


async def _reference(conn: Connection, job: Job) -> Reference:
    """Load what is the same for all vans, once in each process."""
    kept = _kept(job)
    if not kept:
        sites = await store.load_sites(conn)
        names: dict[int, str] = dict(
            await (await conn.execute("SELECT site_id, code FROM site")).fetchall()
        )
        kept.append(Reference((Fences(sites, USUAL), Fences(sites, job.rules)), names))
    return kept[0]


@lru_cache(maxsize=1)
def _kept(job: Job) -> list[Reference]:  # noqa: ARG001  it is the key
    """Return where this process keeps a job's reference; that of the job before is forgotten."""
    return []


def days(first: date, last: date) -> list[tuple[date, int, int]]:
    """Return each day with its stretch, (after, up to), ms since 1970 UTC; together without a gap.

    A working day lies between, in any of Europe's zones: the last reaches into the next morning.
    """
    dates = [first + timedelta(days=nth) for nth in range((last - first).days + 1)]
    begins = [as_ms(datetime.combine(day, time(), UTC)) - 1 for day in dates]
    end = as_ms(datetime.combine(last, time(), UTC) + timedelta(hours=30))
    return list(zip(dates, begins, [*begins[1:], end], strict=True))


def read_day(course: Course, track: Fixes, fences: Fences) -> None:
    """Go on with a van's next fixes. What only the live system needs is not kept."""
    course.fixes = track
    read([course], fences)
    course.made.clear()
    course.legs.clear()
    course.refused.clear()


def count(visits: Iterable[Visit], stops: Sequence[Stop]) -> Counter[str]:
    """Return how often each thing happened."""
    figures = Counter[str]()
    met = set()
    for visit in visits:
        figures["shadowed" if visit.shadowed_by is not None else visit.verdict] += 1
        if not visit.stands:
            continue
        met.add(visit.stop_id)
        figures[str(visit.punctuality)] += 1
        figures["wrong_order"] += visit.wrong_order
        figures["overstayed"] += visit.overstayed
        figures["late_alerts"] += visit.punctuality == "late"
    unmet = sum(stop.stop_id not in met for stop in stops)
    figures["unmet"] += unmet
    figures["late_alerts"] += unmet
    return figures


def compare(
    van: str, names: Mapping[int, str], were: Iterable[Visit], would_be: Iterable[Visit]
) -> list[Difference]:
    """Return in what the visits that stand differ, in the order of their arrivals."""
    before, after = ([visit for visit in visits if visit.stands] for visits in (were, would_be))
    found = []
    for visit in before:
        same = next((other for other in after if _overlap(visit, other)), None)
        if same is None:
            found.append((visit, "no visit any more", 0))
        elif abs(same.arrived_at - visit.arrived_at) > MOVED_MS:
            found.append((visit, "arrives at another time", same.arrived_at - visit.arrived_at))
    found += [
        (visit, "a visit now", 0)
        for visit in after
        if not any(_overlap(visit, other) for other in before)
    ]
    return [
        Difference(
            van,
            names[visit.site_id],
            what,
            as_datetime(visit.arrived_at).isoformat(timespec="seconds"),
            round(moved_ms / 60_000, 1),
        )
        for visit, what, moved_ms in sorted(found, key=lambda row: row[0].arrived_at)
    ]


def _overlap(a: Visit, b: Visit) -> bool:
    return (
        a.site_id == b.site_id
        and a.arrived_at <= b.last_inside_at
        and b.arrived_at <= a.last_inside_at
    )


def in_words(said: Mapping[str, Any]) -> list[str]:
    """Return a replay as lines for a terminal: figures side by side, then what differs."""
    were, would_be = said["as_it_was"], said["as_it_would_be"]
    lines = [f"{'':16}{'as it was':>12}{'would be':>12}"]
    lines += [
        f"{name:16}{were.get(name, 0):>12,}{would_be.get(name, 0):>12,}"
        for name in sorted({*were, *would_be})
    ]
    differences = said["differences"]
    lines.append(f"{len(differences)} visits differ")
    lines += [
        f"  {one['arrived']}  {one['van']}  {one['site']}  {one['what']}"
        + (f" ({one['minutes']:+.1f} min)" if one["minutes"] else "")
        for one in differences[:SHOWN]
    ]
    if len(differences) > SHOWN:
        lines.append(f"  and {len(differences) - SHOWN} more: use --json")
    return lines
