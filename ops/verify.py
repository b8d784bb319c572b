"""A simulated day through the real engine, three times, judged by what really happened.

Each seed is a world, and a working day of it, with the faults that fleets show (`faults.HARSH`:
noise, tunnels, frozen receivers, dead zones, 5 % sent twice, 5 % sent up to 4 hours late). Its
messages are committed to real tables, without a broker, by the functions that ingest runs:

- *live*: as they were sent, in batches of half a minute, with a clock that runs with the day and
  ticks after each. From it come the figures about visits and announcements.
- *in order*: by their own time. *Shuffled*: in no order at all. Both at the end of the day, and
  without the messages that only a clock can refuse (`future`, `ancient`). All three must leave the
  same rows: their digest is compared.

Arrival times are foreseen from models that a company has from its past: the days before are read
first, in a database of their own, and their visits and legs stand in the tables when the day begins.
"""

import asyncio
import hashlib
import logging
import random
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg
import structlog

from geofence import tracks
from ingest import service
from ingest.apply import Reference
from ingest.batch import Delivery
from ingest.messages import AlertEvent
from ops import embedded, imports
from simulators import foresight
from simulators.faults import HARSH, NONE, Outgoing
from simulators.fleet import FleetDay, first_hours, fleet_days, outgoing_of_day
from simulators.geofence_truth import Announced, FoundVisit, judge, truth_of_day
from simulators.vans import Tracker
from simulators.world import World, create_world, local_ms
from simulators.world_files import write_tours, write_world
from storage.pool import connect, migrate
from storage.settings import Settings

#: The first day of every world: a Tuesday in June.
FIRST_DAY: Final = date(2026, 6, 2)
ITEMS: Final = 400
STEP_MS: Final = 30_000
BATCH: Final = 5_000
SHUFFLED_BATCH: Final = 25_000
REFERENCE: Final = ("warehouses", "technicians", "items", "templates", "vans", "sites")

VISITS = """
SELECT van.code, site.code, (extract(epoch FROM arrived_at) * 1000)::bigint,
       (extract(epoch FROM last_inside_at) * 1000)::bigint, verdict, shadowed_by IS NOT NULL
FROM visit JOIN van USING (van_id) JOIN site USING (site_id)
WHERE service_date = %s ORDER BY 1, 3, 2
"""

#: What must not depend on the order in which messages came. `%s` is the first moment of the day.
FACTS: Final = {
    "fix": "SELECT van_id, fix_time, latitude_deg, longitude_deg, horizontal_accuracy_m, speed_mps,"
    " bearing_deg, ignition, odometer_m, payload_hash FROM fix WHERE fix_time >= %s ORDER BY 1, 2",
    "unusable_fix": "SELECT * FROM unusable_fix WHERE fix_time >= %s ORDER BY 1, 2",
    "visit": "SELECT * FROM visit WHERE arrived_at >= %s ORDER BY van_id, arrived_at, site_id",
    "leg": "SELECT * FROM leg WHERE started_at >= %s ORDER BY van_id, started_at",
    "alert": "SELECT van_id, stop_id, kind, due_at, ended_at, state, minutes FROM alert"
    " WHERE kind IN ('late', 'missed', 'overstayed') AND state <> 'withdrawn' AND due_at >= %s"
    " ORDER BY van_id, stop_id, kind",
}

#: What arrival times are foreseen from.
PAST: Final = ("visit", "leg")

#: A generated column can be read, but not written.
COLUMNS = """
SELECT string_agg(column_name, ', ' ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_name = %s AND is_generated = 'NEVER'
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    vans: int
    hours: float
    interval: int
    seed: int
    days_before: int
    sites: int


def day_of(plan: Plan) -> tuple[World, list[FleetDay], FleetDay]:
    """Return the world, the days before, and the day that is judged."""
    world = create_world(plan.seed, vans=plan.vans, sites=plan.sites, items=ITEMS)
    days = fleet_days(world, FIRST_DAY, Tracker(plan.interval, plan.interval))
    past = list(islice(days, plan.days_before))
    return world, past, first_hours(next(days), plan.hours)


def knowable(plan: Plan) -> dict[str, Any]:
    """Return how well late arrivals of that day could be announced by who knows the dice."""
    world, _, today = day_of(plan)
    best = foresight.best(foresight.foresee(world, today))
    return {**asdict(plan), "late_true": best.late} | {
        "knowable_announced_share": best.announced_share,
        "knowable_false_share": best.false_share,
    }


def run(plan: Plan) -> dict[str, Any]:
    """Return the report: every figure of the judge, the digests, and how long each part took.

    Raises:
        embedded.ServerError: PostgreSQL did not start.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    began = time.monotonic()
    world, past, today = day_of(plan)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        bench = Bench(url, folder, world, today)
        known = bench.history(past)
        took: dict[str, float] = {"prepared": time.monotonic() - began}
        digests: dict[str, dict[str, str]] = {}
        report: dict[str, Any] = {}
        for name, deliver in (
            ("live", bench.live),
            ("in_order", bench.in_order),
            ("shuffled", bench.shuffled),
        ):
            begun = time.monotonic()
            database_url = bench.database(name, known)
            asyncio.run(deliver(database_url))
            took[name] = time.monotonic() - begun
            digests[name] = bench.digest(database_url)
            if name == "live":
                report = bench.judge(database_url)
    return {
        **asdict(plan),
        **report,
        "digests": digests,
        "tables_equal": len({str(sorted(digest.items())) for digest in digests.values()}) == 1,
        "seconds": {name: round(seconds, 1) for name, seconds in took.items()},
    }


class Bench:
    """The day, and the databases that it is delivered to."""

    def __init__(self, url: str, folder: Path, world: World, today: FleetDay) -> None:
        self.url, self.folder, self.world, self.today = url, folder, world, today
        self.day_ms = local_ms(today.day, 0)
        self.evening_ms = local_ms(today.day + timedelta(days=1), 4 * 3_600)
        write_world(world, folder / "world", FIRST_DAY)
        self._template = self._prepared()

    def _prepared(self) -> str:
        """Return a database with the world in it and its tours up to today."""
        url = embedded.ensure_database(self.url, "prepared")
        migrate(url)
        settings = Settings(database_url=url)
        for kind in REFERENCE:
            self._import(settings, kind)
        day = FIRST_DAY
        while day <= self.today.day:
            write_tours(self.world, self.folder / "world", day)
            self._import(settings, "tours")
            day += timedelta(days=1)
        return url

    def _import(self, settings: Settings, kind: str) -> None:
        file = self.folder / "world" / f"{kind}.csv"
        result = asyncio.run(imports.import_file(settings, kind, file))
        if result.bad:
            raise imports.UnusableFileError("\n".join(imports.in_words(result)))

    def database(self, name: str, known: Mapping[str, bytes] | None = None) -> str:
        """Return a copy of the prepared database, with what is `known` of days before."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE prepared")
        url = self.url.rsplit("/", 1)[0] + f"/{name}"
        with psycopg.connect(url) as conn:
            for table, rows in (known or {}).items():
                statement = f"COPY {table} ({_columns(conn, table)}) FROM STDIN (FORMAT BINARY)"
                with conn.cursor().copy(statement) as copy:
                    copy.write(rows)
        return url

    def history(self, past: Sequence[FleetDay]) -> dict[str, bytes]:
        """Return what was found of days before, as a binary COPY of each of the tables `PAST`."""
        if not past:
            return {}
        url = self.database("history")
        sent = (m for day in past for m in outgoing_of_day(self.world, day, NONE))
        asyncio.run(_commit_all(url, batches(_positions(sent), BATCH), self.day_ms))
        known = {}
        with psycopg.connect(url) as conn:
            for table in PAST:
                query = f"SELECT {_columns(conn, table)} FROM {table}"
                with conn.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
                    known[table] = b"".join(copy)
        return known

    def _sent(self) -> Iterator[Outgoing]:
        return _positions(outgoing_of_day(self.world, self.today, HARSH))

    async def live(self, url: str) -> None:
        """Deliver as sent, on a clock that runs with the day."""
        async with connect(url, "verify", prepare=tracks.prepare) as pool:
            reference: Reference | None = None
            for end_ms, batch in by_step(self._sent()):
                if batch:
                    reference = await service.commit(pool, batch, reference, lambda now=end_ms: now)
                reference = await service.tick(pool, reference, lambda now=end_ms: now)
            await service.tick(pool, reference, lambda: self.evening_ms)

    async def in_order(self, url: str) -> None:
        """Deliver by the messages' own time, at the end of the day."""
        sent = sorted((m for m in self._sent() if not m.spoiled), key=lambda m: m.made_ms)
        await _commit_all(url, batches(sent, BATCH), self.evening_ms)

    async def shuffled(self, url: str) -> None:
        """Deliver in no order, at the end of the day."""
        sent = [m for m in self._sent() if not m.spoiled]
        random.Random(0).shuffle(sent)  # noqa: S311 - repeatable, not secret
        await _commit_all(url, batches(sent, SHUFFLED_BATCH), self.evening_ms)

    def digest(self, url: str) -> dict[str, str]:
        """Return a digest of the day's rows, table by table."""
        digests = {}
        with psycopg.connect(url) as conn:
            for name, query in FACTS.items():
                made = hashlib.sha256()
                since = psycopg.sql.Literal(self.day_ms / 1_000)
                text = query.replace("%s", f"to_timestamp({since.as_string()})")
                with conn.cursor().copy(f"COPY ({text}) TO STDOUT (FORMAT BINARY)") as copy:
                    for part in copy:
                        made.update(part)
                digests[name] = made.hexdigest()[:16]
        return digests

    def judge(self, url: str) -> dict[str, Any]:
        """Return what the truth says of the live tables."""
        with psycopg.connect(url) as conn:
            found = [FoundVisit(*row) for row in conn.execute(VISITS, [self.today.day])]
            events = [
                msgspec.json.decode(payload, type=AlertEvent)
                for (payload,) in conn.execute(
                    "SELECT payload FROM outbox WHERE topic LIKE 'planner/%' ORDER BY outbox_id"
                )
            ]
            fixes = conn.execute("SELECT count(*) FROM fix").fetchone()
            unusable = conn.execute(
                "SELECT reason, count(*) FROM unusable_fix GROUP BY 1 UNION ALL"
                " SELECT reason, count(*) FROM rejected GROUP BY 1 UNION ALL"
                " SELECT 'off_duty', coalesce(sum(dropped + deleted), 0)::bigint FROM off_duty"
            ).fetchall()
        truth = truth_of_day(self.world, self.today)
        report = asdict(judge(truth, found, announcements(events)))
        return {**report, "fixes": fixes and fixes[0], "not_used": dict(unusable)}


def _columns(conn: psycopg.Connection[Any], table: str) -> str:
    found = conn.execute(COLUMNS, [table]).fetchone()
    return str(found[0]) if found else ""


def announcements(events: Iterable[AlertEvent]) -> list[Announced]:
    """Return the announcements of late stops: when planners were told, and when it was taken back.

    A stop is announced by its first `raised`, of a risk or of a delay. What is told of a risk that
    has become a delay is the same announcement.
    """
    told: dict[tuple[str, str, int], list[tuple[int, int | None]]] = {}
    for event in events:
        alert = event.data
        if alert.kind not in {"at_risk", "late"} or alert.tour is None or alert.stop is None:
            continue
        t_ms = round(time_of(event) * 1_000)
        of_stop = told.setdefault((alert.van, alert.tour, alert.stop), [])
        is_open = bool(of_stop) and of_stop[-1][1] is None
        if alert.state == "raised" and not is_open:
            of_stop.append((t_ms, None))
        elif alert.state == "withdrawn" and is_open:
            of_stop[-1] = (of_stop[-1][0], t_ms)
    return [
        Announced(van, tour, stop, announced_ms, withdrawn_ms)
        for (van, tour, stop), times in told.items()
        for announced_ms, withdrawn_ms in times
    ]


def time_of(event: AlertEvent) -> float:
    """Return when an event was made, seconds since 1970 UTC."""
    return datetime.fromisoformat(event.time).timestamp()


def _positions(sent: Iterable[Outgoing]) -> Iterator[Outgoing]:
    return (message for message in sent if not message.topic.endswith("/scan"))


def by_step(sent: Iterable[Outgoing]) -> Iterator[tuple[int, list[Delivery]]]:
    """Yield messages by the half minute in which they were sent, with its end; none is left out."""
    end_ms, batch = 0, list[Delivery]()
    for message in sent:
        end_ms = end_ms or message.send_ms // STEP_MS * STEP_MS + STEP_MS
        while message.send_ms >= end_ms:
            yield end_ms, batch
            end_ms, batch = end_ms + STEP_MS, []
        batch.append(Delivery(message.topic, message.payload))
    yield end_ms, batch


def batches(sent: Iterable[Outgoing], size: int) -> Iterator[list[Delivery]]:
    """Yield messages in batches."""
    rest = iter(sent)
    while part := list(islice(rest, size)):
        yield [Delivery(message.topic, message.payload) for message in part]


async def _commit_all(url: str, parts: Iterable[list[Delivery]], now: int) -> None:
    reference: Reference | None = None
    async with connect(url, "verify", prepare=tracks.prepare) as pool:
        for part in parts:
            reference = await service.commit(pool, part, reference, lambda: now)
        await service.tick(pool, reference, lambda: now)
