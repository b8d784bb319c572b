"""Weeks of a fleet's stock through the real engine, twice, judged by what was really scanned.

Each seed is a world: jobs, parts, shelves, tablets that forget, repeat and are late. The engine runs as in
production, without a broker: `ingest.service` commits and ticks on a real PostgreSQL. Templates are what
it proposes from a year of usage. Its orders are read from the outbox as the warehouse would read them;
what the warehouse ships is reported by message and is in the vans on the next working morning.

- *as sent*: day by day, each cut-off ticked by two at once. From it come the figures.
- *shuffled*: the same messages in no order, over the same orders (decisions are made when they are
  made). Both must leave the same rows: their digest is compared.

A plain min/max policy meets the same jobs for comparison. Urgent orders arrive on the next morning
too, which is later than they would.
"""

import asyncio
import hashlib
import json
import logging
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
import structlog

from geofence import tracks
from ingest import service
from ingest.apply import Reference
from ingest.batch import Delivery
from ingest.messages import InboxMessage, OrderEvent, OrderReport, ReportLine, encode
from ops import embedded, imports
from ops import stock as stocks
from ops.report import stock_figures
from simulators import stock_truth, stock_world
from simulators.stock_days import Box, Fleet, Sent
from simulators.stock_world import CUTOFF, DELIVERY, WAREHOUSE, StockWorld, local_ms
from stock_tracker.resupply import policies
from storage.pool import Pool, connect, migrate
from storage.settings import Settings, as_datetime

FIRST_DAY: Final = date(2026, 6, 1)
HISTORY_WEEKS: Final = 52
PLANNED_AHEAD: Final = 3
BATCH: Final = 2_000

LEVELS: Final = """
SELECT van.code, item.ref, sum(qty)::bigint FROM level
JOIN location USING (location_id) JOIN van USING (van_id) JOIN item USING (item_id)
GROUP BY 1, 2
"""

#: What must not depend on the order in which messages came.
FACTS: Final = {
    "level": "SELECT * FROM level ORDER BY location_id, item_id, lot",
    "movement": "SELECT device, epoch, seq, line, t, kind, item_id, lot, qty, from_location_id,"
    " to_location_id, work_order, box FROM movement ORDER BY 1, 2, 3, 4",
    "count_variance": "SELECT device, epoch, seq, item_id, lot, expected, variance FROM count_variance"
    " ORDER BY 1, 2, 3, 4, 5",
    "missing_part": "SELECT * FROM missing_part ORDER BY 1, 2, 3",
    "resupply_line": "SELECT order_id, item_id, requested, picked, shipped, received, cancelled"
    " FROM resupply_line ORDER BY 1, 2",
    "resupply_order": "SELECT order_id, state FROM resupply_order ORDER BY 1",
    "need": "SELECT * FROM need ORDER BY location_id, item_id",
    "proposal": "SELECT location_id, item_id, qty, inputs, short FROM proposal"
    " ORDER BY location_id, item_id",
}

#: Decisions, which the second run is given as they were made.
DECISIONS: Final = ("resupply_order", "resupply_line")

OVERVIEW: Final = """
SELECT (SELECT count(*) FROM scan), (SELECT count(*) FROM scan WHERE status <> 'applied'),
       (SELECT count(*) FROM resupply_order), (SELECT count(*) FROM resupply_line),
       (SELECT count(*) FROM resupply_order WHERE is_urgent)
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asks for."""

    vans: int
    items: int
    days: int
    seed: int


def run(plan: Plan) -> dict[str, Any]:
    """Return the report.

    Raises:
        embedded.ServerError: PostgreSQL did not start.
        imports.UnusableFileError: A file of the world was refused.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    took: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        begun = time.monotonic()
        judged = Judged(plan, url, folder)
        asyncio.run(judged.prepare())
        took["prepared"] = time.monotonic() - begun
        begun = time.monotonic()
        report = asyncio.run(judged.as_sent())
        took["as_sent"] = time.monotonic() - begun
        begun = time.monotonic()
        asyncio.run(judged.shuffled())
        took["shuffled"] = time.monotonic() - begun
        digests = {name: judged.digest(name) for name in ("as_sent", "shuffled")}
    begun = time.monotonic()
    plain = stock_truth.plain_at(judged.world, judged.days, HISTORY_WEEKS, report["job_fill_rate"])
    took["plain"] = time.monotonic() - begun
    return {
        **asdict(plan),
        **report,
        "plain_min_max": asdict(plain) if plain else None,
        "digests": digests,
        "tables_equal": digests["as_sent"] == digests["shuffled"],
        "seconds": {name: round(seconds, 1) for name, seconds in took.items()},
    }


class Judged:
    """A world, the databases it is delivered to, and the warehouse that answers."""

    def __init__(self, plan: Plan, url: str, folder: Path) -> None:
        self.plan, self.url, self.folder = plan, url, folder
        self.world: StockWorld = stock_world.create(plan.seed, plan.vans, plan.items, FIRST_DAY)
        self.days = self.world.days(plan.days)
        self.fleet: Fleet | None = None
        self.warehouse = Warehouse(self.world)
        self.messages: list[Delivery] = []
        self.decided: dict[str, bytes] = {}
        self.opening = np.zeros((plan.vans, plan.items), dtype=np.int64)
        self.end_ms = local_ms(self.days[-1] + timedelta(days=3), DELIVERY)

    async def prepare(self) -> None:
        """Import the world, and let the engine say what vans should hold."""
        url = embedded.ensure_database(self.url, "prepared")
        migrate(url)
        settings = Settings(
            database_url=url, clock_origin_ms=local_ms(FIRST_DAY, DELIVERY), clock_start_ms=0,
            clock_factor=1e-15,
        )  # fmt: skip
        for kind, text in stock_world.files(self.world, HISTORY_WEEKS):
            await self._import(settings, kind, text)
        for template in await stocks.propose(settings, policies.JOB_TARGET):
            await stocks.accept(settings, template, ())
        vans = {van: index for index, van in enumerate(self.world.vans)}
        with psycopg.connect(url) as conn:
            held = conn.execute(
                "SELECT van.code, ref, order_up_to FROM van JOIN template_line USING (template_id)"
                " JOIN item USING (item_id)"
            )
            for van, ref, qty in held.fetchall():
                self.opening[vans[van], self.world.index[ref]] = qty
        await self._import(settings, "stock", stock_world.opening(self.world, self.opening))
        self.fleet = Fleet(self.world, self.opening)

    async def _import(self, settings: Settings, kind: str, text: str) -> None:
        file = self.folder / f"{kind}.csv"
        file.write_text(text)
        done = await imports.import_file(settings, kind, file)
        if done.bad:
            raise imports.UnusableFileError("\n".join(islice(imports.in_words(done), 10)))

    def _database(self, name: str) -> str:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE prepared")
        return self._url(name)

    def _url(self, name: str) -> str:
        return self.url.rsplit("/", 1)[0] + f"/{name}"

    async def as_sent(self) -> dict[str, Any]:
        """Deliver day by day, and return what the truth says of it."""
        url, fleet = self._database("as_sent"), self.fleet
        assert fleet is not None  # noqa: S101  prepared
        settings = Settings(database_url=url)
        waiting: list[Sent] = []
        asked: dict[int, list[int]] = {}
        for day in self.days[:PLANNED_AHEAD]:
            await self._import(settings, "tours", stock_world.tours(self.world, day))
        async with engine(url) as base:
            await base.tick(local_ms(self.days[0], DELIVERY))
            for number, day in enumerate(self.days):
                for ahead in self.days[number + PLANNED_AHEAD : number + PLANNED_AHEAD + 1]:
                    await self._import(settings, "tours", stock_world.tours(self.world, ahead))
                self._analyse(url)
                boxes = self.warehouse.arrived()
                waiting = sorted(
                    [*waiting, *fleet.play(day, boxes, asked)], key=lambda m: m.send_ms
                )
                for until in (local_ms(day, CUTOFF), local_ms(day, CUTOFF, 420)):
                    due = [m for m in waiting if m.send_ms <= until]
                    waiting = waiting[len(due) :]
                    await self._deliver(base, due, until)
                    await asyncio.gather(base.tick(until), base.tick(until))
                    told, asked = self._outbox(url, asked)
                    self.warehouse.check(url, told)
                    await self._deliver(base, self.warehouse.ship(told, until), until)
            await self._deliver(base, waiting, self.end_ms)
            await base.tick(self.end_ms)
        began, ended = local_ms(self.days[0], DELIVERY), self.end_ms
        stock = await stock_figures(url, as_datetime(began), as_datetime(ended))
        return self._judge(url, fleet) | {"stock": stock}

    @staticmethod
    def _analyse(url: str) -> None:
        """Do what autovacuum does once a minute: these days take seconds."""
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("ANALYZE")

    async def _deliver(self, base: "Base", sent: Iterable[Sent], now: int) -> None:
        rest = iter(sent)
        while part := list(islice(rest, BATCH)):
            deliveries = [Delivery(m.topic, m.payload) for m in part]
            self.messages += deliveries
            self.warehouse.heard(part)
            await base.commit(deliveries, now)

    def _outbox(
        self, url: str, asked: Mapping[int, Sequence[int]]
    ) -> tuple[list[OrderEvent], dict[int, list[int]]]:
        """Take what is told to the warehouse and to tablets, as the relay would."""
        orders: list[OrderEvent] = []
        counts: dict[int, list[int]] = defaultdict(list)
        vans = {van: index for index, van in enumerate(self.world.vans)}
        with psycopg.connect(url) as conn:
            rows = conn.execute(
                "UPDATE outbox SET sent_time = created_time WHERE sent_time IS NULL"
                " RETURNING outbox_id, topic, payload"
            ).fetchall()
        for _, topic, payload in sorted(rows):
            if topic.startswith("warehouse/v1/orders/"):
                orders.append(msgspec.json.decode(payload, type=OrderEvent))
            elif topic.endswith("/inbox"):
                message = msgspec.json.decode(payload, type=InboxMessage)
                items = [self.world.index[ref] for ref in message.items]
                counts[vans[topic.split("/")[2]]] += items
        for van, earlier in asked.items():
            counts[van] = [*earlier, *counts[van]][-20:]
        return orders, dict(counts)

    def _judge(self, url: str, fleet: Fleet) -> dict[str, Any]:
        truth = stock_truth.book(self.world, self.opening, fleet.scans, self.warehouse.boxes)
        vans = {van: index for index, van in enumerate(self.world.vans)}
        with psycopg.connect(url) as conn:
            found = {
                (vans[van], self.world.index[ref]): qty for van, ref, qty in conn.execute(LEVELS)
            }
            figures = conn.execute(OVERVIEW).fetchone() or ()
            for table in DECISIONS:
                with conn.cursor().copy(f"COPY {table} TO STDOUT (FORMAT BINARY)") as copy:
                    self.decided[table] = b"".join(copy)
        names = ("scans", "scans_without_effect", "orders", "order_lines", "urgent_orders")
        tally = fleet.tally
        return {
            **dict(zip(names, figures, strict=True)),
            "levels_wrong": stock_truth.wrong(found, truth),
            "pairs": int(truth.size),
            "off_shelf": int((truth != fleet.shelf).sum()),
            "duplicate_orders": self.warehouse.duplicates,
            "job_fill_rate": round(tally.job_fill_rate, 4),
            "unit_fill_rate": round(tally.units_served / max(1, tally.units_asked), 4),
            "jobs_with_parts": tally.jobs_with_parts,
            "planned_failed": tally.planned_failed,
            "mean_on_board": round(tally.mean_on_board, 1),
            "forgotten": tally.forgotten,
        }

    async def shuffled(self) -> None:
        """Deliver the same messages in no order, over the same decisions."""
        url = self._database("shuffled")
        settings = Settings(database_url=url)
        for day in self.days:
            await self._import(settings, "tours", stock_world.tours(self.world, day))
        with psycopg.connect(url) as conn, psycopg.connect(self._url("as_sent")) as other:
            mark = other.execute("SELECT cutoff_done_at FROM warehouse").fetchone()
            conn.execute("UPDATE warehouse SET cutoff_done_at = %s", mark)
            for table, rows in self.decided.items():
                with conn.cursor().copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(rows)
            conn.execute("UPDATE resupply_line SET picked = 0, shipped = 0, received = 0")
        random.Random(self.plan.seed).shuffle(self.messages)  # noqa: S311 - repeatable, not secret
        rest = iter(self.messages)
        async with engine(url) as base:
            await base.tick(self.end_ms)
            while part := list(islice(rest, BATCH)):
                self._analyse(url)
                await base.commit(part, self.end_ms)
            await base.tick(self.end_ms)

    def digest(self, name: str) -> dict[str, str]:
        """Return a digest of each table of facts."""
        digests = {}
        with psycopg.connect(self._url(name)) as conn:
            for table, query in FACTS.items():
                made = hashlib.sha256()
                with conn.cursor().copy(f"COPY ({query}) TO STDOUT (FORMAT BINARY)") as copy:
                    for part in copy:
                        made.update(part)
                digests[table] = made.hexdigest()[:16]
        return digests


class Base:
    """The engine on one database, at times that it is given."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.reference: Reference | None = None

    async def commit(self, deliveries: list[Delivery], now: int) -> None:
        """Commit one batch."""
        self.reference = await service.commit(self.pool, deliveries, self.reference, lambda: now)

    async def tick(self, now: int) -> None:
        """Do what the clock demands."""
        self.reference = await service.tick(self.pool, self.reference, lambda: now)


@asynccontextmanager
async def engine(url: str) -> AsyncIterator[Base]:
    """Open the engine on a database."""
    async with connect(url, "verify", prepare=tracks.prepare) as pool:
        yield Base(pool)


class Warehouse:
    """Ships what it is asked for, and keeps a book of its own of what is under way."""

    def __init__(self, world: StockWorld) -> None:
        self.world = world
        self.boxes: list[Box] = []
        self.duplicates = 0
        self._vans = {van: index for index, van in enumerate(world.vans)}
        self._codes = {part.code: index for index, part in enumerate(world.parts)}
        self._under_way: dict[tuple[int, int], int] = defaultdict(int)
        self._arriving: list[Box] = []
        self._unheard: dict[str, Box] = {}
        self._heard: set[tuple[str, bytes]] = set()

    def arrived(self) -> list[Box]:
        """Return, once, the boxes that this morning has brought."""
        boxes, self._arriving = self._arriving, []
        return boxes

    def check(self, url: str, told: Sequence[OrderEvent]) -> None:
        """Count lines that were ordered without what is under way being known to the order."""
        codes = [event.data.order for event in told]
        with psycopg.connect(url) as conn:
            rows = conn.execute(
                "SELECT van.code, ref, requested, (inputs ->> 'on_order')::int"
                " FROM resupply_order JOIN resupply_line USING (order_id) JOIN item USING (item_id)"
                " JOIN location ON location.location_id = resupply_line.location_id"
                " JOIN van USING (van_id) WHERE resupply_order.code = ANY(%s) ORDER BY resupply_order.order_id",
                [codes],
            ).fetchall()
        for row in rows:
            self.note(*row)

    def note(self, van: str, ref: str, requested: int, on_order: int) -> None:
        """Take note of a line, and of what its order believed to be under way."""
        pair = self._vans[van], self.world.index[ref]
        self.duplicates += on_order < self._under_way[pair]
        self._under_way[pair] += requested

    def ship(self, told: Sequence[OrderEvent], now: int) -> list[Sent]:
        """Pack each order into a box of its own, and report that it was shipped."""
        sent = []
        for event in told:
            number = len(self.boxes) + 1
            sscc = stock_world.with_check_digit(f"00400000{number:09d}")
            van = self._vans[event.data.van]
            lines = tuple((self.world.index[line.item], line.qty) for line in event.data.lines)
            box = Box(sscc, van, lines)
            self.boxes.append(box)
            self._arriving.append(box)
            self._unheard[sscc] = box
            said = OrderReport(
                id=f"S-{number}", t=now + number, order=event.data.order, kind="shipped", sscc=sscc,
                lines=[ReportLine(line.item, line.qty) for line in event.data.lines],
            )  # fmt: skip
            topic = f"warehouse/v1/reports/{WAREHOUSE}"
            sent.append(Sent(now, now + number, topic, encode(said)))
        return sent

    def heard(self, sent: Iterable[Sent]) -> None:
        """Take note of receipts that are delivered now: what they tell is no longer under way."""
        for message in sent:
            said = json.loads(message.payload)
            key = message.topic, message.payload
            if said.get("intent") != "receive" or key in self._heard:
                continue
            self._heard.add(key)
            box = self._unheard.pop(said["code"][2:], None)
            if box is not None:
                for item, units in box.lines:
                    self._under_way[box.van, item] -= units
            elif said["code"] in self._codes:
                van = self._vans[message.topic.split("/")[2]]
                self._under_way[van, self._codes[said["code"]]] -= said["qty"]
