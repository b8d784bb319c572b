"""From the outbox to the broker: at least once, in order, QoS 1.

A message was written to the outbox in the transaction that caused it. The relay publishes what is
unsent, oldest first, waits for the broker's acknowledgements, and marks it sent; a crash between
the two sends it again, under the same id. Rows are taken with SKIP LOCKED, so a second relay helps
and does not repeat.
"""

import asyncio
import contextlib

import aiomqtt
import psycopg
import psycopg_pool
import structlog

from ingest.messages import QOS
from storage.pool import Connection, Pool, connect
from storage.settings import Clock, Settings, as_datetime, clock

BATCH_MAX = 500
LOOK_S = 5.0
RECONNECT_S = 2.0
CHANNEL = "cordee_outbox"

TAKE = """
SELECT outbox_id, topic, payload, retain FROM outbox
WHERE sent_time IS NULL ORDER BY outbox_id LIMIT %s FOR UPDATE SKIP LOCKED
"""

#: What passes by itself, or by somebody starting a server again.
PASSING = (
    aiomqtt.MqttError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
)

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Relay until `stop` is set; a broker or database that is away is tried again."""
    async with connect(settings.database_url, "cordee-relay") as pool:
        while not stop.is_set():
            try:
                await _relay(settings, pool, stop)
            except PASSING as error:
                log.warning("lost the broker or the database, reconnecting", error=str(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT_S)


async def _relay(settings: Settings, pool: Pool, stop: asyncio.Event) -> None:
    client = aiomqtt.Client(
        settings.broker_host,
        settings.broker_port,
        username=settings.broker_user or None,
        password=settings.broker_password or None,
    )
    async with client, pool.connection() as listening:
        await listening.set_autocommit(True)
        await listening.execute(f"LISTEN {CHANNEL}")
        while not stop.is_set():
            while await send_waiting(pool, client, clock(settings)):
                pass
            await _heard(listening, stop)
        await listening.set_autocommit(False)


async def send_waiting(pool: Pool, client: aiomqtt.Client, now: Clock) -> int:
    """Publish up to 500 waiting messages and mark them sent; return how many.

    Raises:
        aiomqtt.MqttError: The broker did not take them all; none is marked.
    """
    async with pool.connection() as conn, conn.transaction():
        rows = await (await conn.execute(TAKE, (BATCH_MAX,))).fetchall()
        await asyncio.gather(
            *(client.publish(topic, body, QOS, retain) for _, topic, body, retain in rows)
        )
        await conn.execute(
            "UPDATE outbox SET sent_time = %s WHERE outbox_id = ANY(%s)",
            (as_datetime(now()), [row[0] for row in rows]),
        )
    if rows:
        log.info("sent", messages=len(rows))
    return len(rows)


async def _heard(listening: Connection, stop: asyncio.Event) -> None:
    """Wait until the outbox has grown, 5 s have passed, or the process is to stop."""

    async def notified() -> None:
        async for _ in listening.notifies(timeout=LOOK_S, stop_after=1):
            pass

    tasks = {asyncio.ensure_future(notified()), asyncio.ensure_future(stop.wait())}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
