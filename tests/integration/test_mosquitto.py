"""The same ingest on Mosquitto: what is published while it is down is stored once it is back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import psycopg
import pytest

from ingest import service
from ingest.subscriber import open_session
from ops import embedded
from storage.settings import Settings, real_ms
from tests.integration.conftest import CLOCK_MS, Running, running
from tests.integration.test_ingest import NOON, fix, scan

POSITION = "fleet/v1/van-001/position"
SCAN = "fleet/v1/van-001/scan"
TIMES = "SELECT (extract(epoch FROM fix_time) * 1000)::bigint FROM fix ORDER BY 1"


@pytest.fixture
def mosquitto_port(tmp_path: Path) -> Iterator[int]:
    child, port, _ = embedded.start_mosquitto(tmp_path)
    yield port
    child.stop()


@pytest.fixture
def on_mosquitto(company_url: str, mosquitto_port: int) -> Settings:
    return Settings(
        database_url=company_url,
        broker_port=mosquitto_port,
        ingest_client_id="ingest",
        batch_messages_max=100,
        tick_s=0.05,
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )


@asynccontextmanager
async def ingesting(settings: Settings) -> AsyncIterator[Running]:
    """As `running`, but the broker keeps the session when the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(settings, stop))
    try:
        async with aiomqtt.Client("127.0.0.1", settings.broker_port) as client:
            yield Running(settings, client, task, stop)
    finally:
        stop.set()
        await task


async def publish(settings: Settings, messages: list[tuple[str, bytes]]) -> None:
    """Publish and wait until the broker has acknowledged all."""
    async with aiomqtt.Client("127.0.0.1", settings.broker_port) as client:
        await asyncio.gather(*(client.publish(*message, qos=1) for message in messages))


def fixes(numbers: range) -> list[tuple[str, bytes]]:
    return [(POSITION, fix(NOON + n)) for n in numbers]


async def test_fixes_scans_and_what_is_bad_are_stored_on_mosquitto_too(
    on_mosquitto: Settings,
) -> None:
    async with running(on_mosquitto) as ingest:
        await ingest.publish(POSITION, fix(NOON))
        await ingest.publish(SCAN, scan(1, "count", "FUSE-BOX"))
        await ingest.publish(SCAN, b"\xff")
        await ingest.until(TIMES, [(NOON,)])
        await ingest.until("SELECT qty FROM level", [(10,)])
        await ingest.until("SELECT payload FROM rejected", [(b"\xff",)])


async def test_what_is_published_while_ingest_is_down_is_stored_exactly_once(
    on_mosquitto: Settings,
) -> None:
    await open_session(on_mosquitto)
    scans = [(SCAN, scan(seq, "load", "FUSE", 2)) for seq in range(1, 51)]
    await publish(on_mosquitto, [*fixes(range(500)), *scans])
    async with ingesting(on_mosquitto) as ingest:
        await ingest.until("SELECT count(*) FROM fix", [(500,)])
        await ingest.until("SELECT through FROM scan_through", [(50,)])
    # Down again, after a day's work; and some of it is told a second time.
    await publish(on_mosquitto, [*fixes(range(400, 900)), *scans[:10]])
    await publish(on_mosquitto, [(SCAN, scan(51, "issue", "FUSE", 1))])
    async with ingesting(on_mosquitto) as ingest:
        await ingest.until("SELECT through FROM scan_through", [(51,)])
        await ingest.until(TIMES, [(NOON + n,) for n in range(900)])
        assert ingest.rows("SELECT count(*), sum(delta) FROM posting") == [(102, 0)]
        assert ingest.rows(
            "SELECT qty FROM level JOIN location USING (location_id) WHERE van_id = 1"
        ) == [(99,)]
        assert ingest.rows("SELECT count(*) FROM rejected") == [(0,)]
    # All is acknowledged: a third ingest is given only what is new.
    await publish(on_mosquitto, fixes(range(900, 901)))
    told = "SELECT sum(messages)::int FROM ingest_activity"
    with psycopg.connect(on_mosquitto.database_url) as conn:
        conn.execute("TRUNCATE ingest_activity")
    async with ingesting(on_mosquitto) as ingest:
        await ingest.until("SELECT count(*) FROM fix", [(901,)])
        await ingest.until(told, [(1,)])


async def test_a_message_is_not_acknowledged_before_it_is_committed(
    on_mosquitto: Settings,
) -> None:
    await open_session(on_mosquitto)
    await publish(on_mosquitto, fixes(range(50)))
    with psycopg.connect(on_mosquitto.database_url) as conn:
        conn.execute("ALTER TABLE fix RENAME TO away")
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with ingesting(on_mosquitto) as ingest, asyncio.timeout(20):
            await asyncio.shield(ingest.task)
    with psycopg.connect(on_mosquitto.database_url) as conn:
        conn.execute("ALTER TABLE away RENAME TO fix")
    async with ingesting(on_mosquitto) as ingest:
        await ingest.until(TIMES, [(NOON + n,) for n in range(50)])
