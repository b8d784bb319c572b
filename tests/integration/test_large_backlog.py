"""Vans that come back after a day offline send large messages, more than the broker likes to have on its way."""

import asyncio
import json

from structlog.testing import capture_logs

from ingest import service
from ingest.subscriber import open_session
from simulators import load
from storage import backlog
from storage.settings import Settings, real_ms
from tests.integration.conftest import CLOCK_MS
from tests.integration.without_broker import Base

MESSAGES = 2_500
#: As many bytes as an array of 500 positions.
PADDING = b" " * 70_000
FIXES = "SELECT count(*) FROM fix"


def position(number: int) -> tuple[str, bytes]:
    said = {"t": CLOCK_MS - 3_600_000 + 1_000 * number, "lat": 48.0, "lon": 11.0}
    return "fleet/v1/van-001/position", json.dumps(said).encode() + PADDING


async def test_a_backlog_of_large_messages_is_taken_over_one_connection(
    own_nats: tuple[int, str], base: Base, company_url: str
) -> None:
    port, monitor_url = own_nats
    settings = Settings(
        database_url=company_url,
        broker_port=port,
        ingest_client_id="large",
        tick_s=0.05,
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )
    await open_session(settings)
    with load.connected(port, "van") as van:
        load.flood(van, load.load_of(position(number) for number in range(MESSAGES)), window=100)
    stop = asyncio.Event()
    with capture_logs() as logs:
        running = asyncio.create_task(service.run(settings, stop))
        async with asyncio.timeout(60):
            while True:
                await asyncio.sleep(0.1)
                if (await backlog.look(monitor_url)).messages == 0:
                    break
        stop.set()
        await running
    assert [entry for entry in logs if "lost the broker" in entry["event"]] == []
    assert base.rows(FIXES) == [(MESSAGES,)]
