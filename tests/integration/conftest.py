"""An ingest on real servers, and what it needs to know: a small company."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import aiomqtt
import httpx
import psycopg
import pytest
from psycopg.rows import TupleRow

from ingest import service
from ingest.subscriber import open_session
from ops import embedded
from storage.settings import Settings, real_ms
from tests.integration.api_client import client_of, fleet, settings_at
from tests.integration.without_broker import Base, opened_base

_clients = count()

#: What the clock shows when an ingest of these tests starts: an afternoon, whatever today is.
#: Positions that are two months old are refused.
CLOCK_MS = 1_790_003_600_000  # 2026-09-21 16:13 in Paris

COMPANY = """
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg, cutoff_times)
VALUES (1, 'WH', 'Depot', 48.0, 11.0, '{12:00}');
INSERT INTO van_template (code) VALUES ('T');
INSERT INTO van (organisation_id, code, name, template_id, warehouse_id)
VALUES (1, 'van-001', 'One', 1, 1), (1, 'van-002', 'Two', 1, 1);
INSERT INTO location (organisation_id, kind, van_id) SELECT 1, 'van', van_id FROM van;
INSERT INTO location (organisation_id, kind, warehouse_id) VALUES (1, 'warehouse', 1);
INSERT INTO item (ref, name) VALUES ('P-1', 'Fuse 10 A'), ('P-2', 'Contactor');
INSERT INTO barcode VALUES ('FUSE', 1, 1), ('FUSE-BOX', 1, 10), ('04006381333931', 2, 1);
INSERT INTO template_line VALUES (1, 1, 4, 10, 20, 1), (1, 2, 1, 2, 3, 1);
UPDATE reference_version SET version = version + 1;
"""


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection to a small fleet; tests of the API begin with it, and some add to it."""
    with fleet(database_url) as connection:
        yield connection


@pytest.fixture
async def api(
    conn: psycopg.Connection[TupleRow], database_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API over that fleet."""
    async with client_of(settings_at(database_url)) as client:
        yield client


@pytest.fixture
def company_url(database_url: str) -> str:
    """A database with two vans, a depot, a template and two items."""
    with psycopg.connect(database_url) as conn:
        conn.execute(COMPANY)
    return database_url


@dataclass
class Running:
    """A running ingest, a client to publish with, and a way to look at the tables."""

    settings: Settings
    mqtt: aiomqtt.Client
    task: asyncio.Task[None]
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, topic: str, payload: bytes) -> None:
        await self.mqtt.publish(topic, payload, qos=1)

    def rows(self, query: str) -> list[TupleRow]:
        with psycopg.connect(self.settings.database_url) as conn:
            return conn.execute(query).fetchall()

    def change(self, statement: str) -> None:
        with psycopg.connect(self.settings.database_url) as conn:
            conn.execute(statement)

    async def until(self, query: str, expected: object, within_s: float = 20.0) -> None:
        """Wait until a query gives `expected`, or fail with what it gave."""
        deadline = asyncio.get_running_loop().time() + within_s
        while (seen := self.rows(query)) != expected:
            if self.task.done():
                self.task.result()
            assert asyncio.get_running_loop().time() < deadline, f"{seen} != {expected}"
            await asyncio.sleep(0.02)


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A broker that keeps nothing for anybody else: its MQTT port, and where it says what it holds."""
    child, port = embedded.start_nats(tmp_path)
    yield port, embedded.monitor_url(tmp_path)
    child.stop()


@pytest.fixture
def settings(company_url: str, nats_port: int) -> Settings:
    return Settings(
        database_url=company_url,
        broker_port=nats_port,
        ingest_client_id=f"ingest-{next(_clients)}",
        tick_s=0.05,
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )


@pytest.fixture
def base(company_url: str) -> Iterator[Base]:
    """A company's database, and an ingest on it that needs no broker."""
    with opened_base(company_url) as it:
        yield it


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Run ingest on `settings` until the block ends; then its session is forgotten."""
    await open_session(settings)
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(settings, stop))
    client = aiomqtt.Client("127.0.0.1", settings.broker_port)
    try:
        async with client:
            yield Running(settings, client, task, stop)
    finally:
        stop.set()
        await task
        forget = aiomqtt.Client(
            "127.0.0.1", settings.broker_port, identifier=settings.ingest_client_id
        )
        async with forget:
            pass


@pytest.fixture
async def ingest(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings) as it:
        yield it
