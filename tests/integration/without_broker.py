"""An ingest without a broker: deliveries go through `ingest.service` into a real database."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from math import cos, radians
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg.rows import TupleRow

from geofence import tracks
from geofence.alerts import FACTS
from geofence.imports.reference import KINDS
from ingest import service
from ingest.apply import Reference
from ingest.batch import Delivery
from ingest.messages import Position, encode
from storage.pool import Pool, connect
from tests.unit import reference_visits
from tests.unit.reference_visits import Place, RefFix
from tests.unit.test_geofence_visits import at

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 9, 21)
MINUTE = 60_000
HOUR = 60 * MINUTE

Result = TypeVar("Result")

#: Deletes what ingest has written, without triggers and foreign keys being asked: much cheaper than TRUNCATE.
CLEAR = "UPDATE stop SET judged = NULL; SET LOCAL session_replication_role = replica; " + "; ".join(
    f"DELETE FROM {table}"
    for table in (
        "fix", "visit", "leg", "unusable_fix", "van_position", "van_progress", "van_checkpoint",
        "van_status", "alert", "outbox", "webhook_delivery", "rejected", "ingest_activity",
    )
)  # fmt: skip

TABLES = {
    "fix": "SELECT van_id, fix_time, latitude_deg, longitude_deg, horizontal_accuracy_m, speed_mps,"
    " bearing_deg, ignition, odometer_m, battery_pct, payload_hash FROM fix ORDER BY 1, 2",
    "visit": "SELECT * FROM visit ORDER BY van_id, arrived_at, site_id",
    "van_position": "SELECT van_id, fix_time, latitude_deg, longitude_deg, speed_mps, bearing_deg,"
    " ignition FROM van_position ORDER BY 1",
    "leg": "SELECT * FROM leg ORDER BY van_id, started_at",
    "unusable_fix": "SELECT * FROM unusable_fix ORDER BY 1, 2",
    "alert": "SELECT stop_id, kind, due_at, ended_at, state FROM alert"
    " WHERE state <> 'withdrawn' AND kind IN ('late', 'missed', 'overstayed') ORDER BY 1, 2",
    "rejected": "SELECT topic, payload, reason FROM rejected ORDER BY 1, 2",
}

Tables = dict[str, list[tuple[Any, ...]]]
Batches = Iterable[Sequence[Delivery]]


def local_ms(day: date, hour: int, minute: int = 0, zone: ZoneInfo = PARIS) -> int:
    moment = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
    return round(moment.timestamp() * 1_000)


@dataclass
class Base:
    """A database with sites and tours, and the ingest that writes to it."""

    url: str
    conn: psycopg.Connection[TupleRow]
    runner: asyncio.Runner
    pool: Pool
    other_pool: Pool

    def run(self, work: Callable[[], Awaitable[Result]]) -> Result:
        async def main() -> Result:
            return await work()

        return self.runner.run(main())

    def commit(
        self, deliveries: Sequence[Delivery], now: int, reference: Reference | None = None
    ) -> Reference:
        """Commit a batch as an ingest that knows `reference`; one that has just started knows none."""
        return self.run(lambda: service.commit(self.pool, list(deliveries), reference, lambda: now))

    def tick(self, now: int, reference: Reference | None = None) -> Reference:
        return self.run(lambda: service.tick(self.pool, reference, lambda: now))

    def import_rows(self, kind: str, *rows: str) -> None:
        """Import rows as `cordee import` would, the first of them the header."""

        async def work() -> None:
            async with self.pool.connection() as conn, conn.transaction():
                data = "\n".join(rows).encode()
                result = await KINDS[kind](conn, data, organisation="default")
                assert result.bad == []

        self.run(work)

    def deliver(self, batches: Batches, now: int) -> Tables:
        """Return what the tables say after these batches, from empty ones, and a tick."""
        self.execute(CLEAR)
        for batch in batches:
            self.commit(batch, now)
        self.tick(now)
        return self.tables()

    def tables(self) -> Tables:
        return {name: self.rows(query) for name, query in TABLES.items()}

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(query).fetchall()

    def execute(self, query: str, *parameters: object) -> None:
        with self.conn.transaction():
            self.conn.execute(query, parameters or None)

    def put_site(self, place: Place, time_zone: str = "Europe/Paris") -> None:
        area = None if place.half_m is None else json.dumps(rectangle(place))
        self.execute(
            "INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg,"
            " radius_m, area, time_zone) VALUES (%s, 1, %s, 'a site', %s, %s, %s, %s, %s)",
            place.site_id, f"S{place.site_id}", place.latitude_deg, place.longitude_deg,
            place.circle_m, area, time_zone,
        )  # fmt: skip

    def put_tour(self, van_id: int, day: date, stops: Sequence[tuple[int, int, int]]) -> list[int]:
        """Plan stops as (site, start, end of the window in ms) and return their ids."""
        with self.conn.transaction():
            found = self.conn.execute(
                "INSERT INTO tour (code, van_id, service_date) VALUES (%s, %s, %s)"
                " RETURNING tour_id",
                (f"T-{van_id}-{day}", van_id, day),
            ).fetchone()
            assert found is not None
            ids = []
            for position, (site_id, start, end) in enumerate(stops, 1):
                made = self.conn.execute(
                    "INSERT INTO stop (tour_id, position, site_id, window_start, window_end,"
                    " planned_duration_s) VALUES (%s, %s, %s, to_timestamp(%s / 1000.0),"
                    " to_timestamp(%s / 1000.0), 1800) RETURNING stop_id",
                    (found[0], position, site_id, start, end),
                ).fetchone()
                assert made is not None
                ids.append(int(made[0]))
        return ids

    def news(self) -> list[tuple[str, str]]:
        """Return (state, reason) of what planners were told of facts, oldest first."""
        query = "SELECT payload FROM outbox WHERE topic LIKE 'planner/%' ORDER BY outbox_id"
        told = [msgspec.json.decode(payload)["data"] for (payload,) in self.rows(query)]
        return [(data["state"], data["reason"]) for data in told if data["kind"] in FACTS]


def rectangle(place: Place) -> dict[str, object]:
    assert place.half_m is not None
    degree_m = radians(reference_visits.EARTH_M)
    east = place.half_m[0] / (degree_m * cos(radians(place.latitude_deg)))
    north = place.half_m[1] / degree_m
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]
    ring = [[place.longitude_deg + i * east, place.latitude_deg + j * north] for i, j in corners]
    return {"type": "Polygon", "coordinates": [ring]}


@contextmanager
def opened_base(url: str) -> Iterator[Base]:
    """Open a connection to a database to look with, and the pools of two ingests."""

    async def open_pools(stack: AsyncExitStack) -> tuple[Pool, Pool]:
        pools = [
            await stack.enter_async_context(connect(url, name, prepare=tracks.prepare))
            for name in ("one", "other")
        ]
        return pools[0], pools[1]

    options = "-c TimeZone=UTC"
    with (
        psycopg.connect(url, autocommit=True, options=options) as conn,
        asyncio.Runner() as runner,
    ):
        stack = AsyncExitStack()
        pool, other_pool = runner.run(open_pools(stack))
        try:
            yield Base(url, conn, runner, pool, other_pool)
        finally:
            runner.run(stack.aclose())


def message(van_id: int, *fixes: RefFix) -> Delivery:
    """Return one fix as a message, or several as a backlog."""
    positions = [
        Position(
            f.t_ms,
            f.latitude_deg,
            f.longitude_deg,
            f.accuracy_m,
            ignition=f.ignition,
            odometer_m=f.odometer_m,
        )
        for f in fixes
    ]
    payload = encode(positions[0]) if len(positions) == 1 else msgspec.json.encode(positions)
    return Delivery(f"fleet/v1/van-00{van_id}/position", payload)


def stay(start: int, minutes: int, east_m: float = 0.0) -> list[RefFix]:
    """Return a stay at a site of 80 m, the way there and the way on."""
    inside = [RefFix(start + i * MINUTE, *at(east_m + 10), 5.0) for i in range(minutes + 1)]
    there = RefFix(start - MINUTE, *at(east_m + 900), 5.0)
    left = [RefFix(inside[-1].t_ms + i * MINUTE, *at(east_m + 900 * i), 5.0) for i in (1, 2)]
    return [there, *inside, *left]
