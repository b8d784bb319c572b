"""The ways out of the outbox: to the broker here, to webhooks in `webhooks/sender.py`, side by side.

To the broker: at least once, in order, QoS 1. A message was written to the outbox in the transaction
that caused it. The relay publishes what is unsent, oldest first, waits for the broker's
acknowledgements, and marks it sent; a crash between the two sends it again, under the same id. Rows
are taken with SKIP LOCKED, so a second relay helps and does not repeat. What vans and warehouses said
by HTTP only passes through: once the broker has it, it is deleted.
"""

import asyncio
import contextlib
from collections.abc import Callable

import aiomqtt
import structlog

from ingest import fault_points, outbox
from ingest.messages import QOS
from ingest.webhooks import sender
from storage import broker
from storage.pool import Pool, connect
from storage.settings import Clock, Settings, as_datetime, clock

BATCH_MAX = 500
LOOK_S = outbox.LOOK_S
RECONNECT_S = outbox.RECONNECT_S

TAKE = """
SELECT outbox_id, topic, payload, retain FROM outbox
WHERE sent_time IS NULL ORDER BY outbox_id LIMIT %s FOR UPDATE SKIP LOCKED
"""
FORGET_PASSING = "DELETE FROM outbox WHERE is_passing AND outbox_id = ANY(%s)"
MARK = "UPDATE outbox SET sent_time = %s WHERE outbox_id = ANY(%s)"

#: What passes by itself, or by somebody starting a server again.
PASSING = (aiomqtt.MqttError, *outbox.DATABASE_PASSING)

log = structlog.get_logger()


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Relay both ways until `stop` is set; neither waits for the other."""
    async with asyncio.TaskGroup() as group:
        group.create_task(to_broker(settings, stop), name="outbox to broker")
        group.create_task(sender.run(settings, stop), name="outbox to webhooks")


async def to_broker(settings: Settings, stop: asyncio.Event) -> None:
    """Publish until `stop` is set; a broker or database that is away is tried again."""
    now, turn = clock(settings), 0
    async with connect(settings.database_url, "cordee-relay") as pool:
        while not stop.is_set():
            try:
                await _relay(settings, pool, now, stop, turn)
            except PASSING as error:
                log.warning("lost the broker or the database, reconnecting", error=str(error))
                turn += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT_S)


async def _relay(
    settings: Settings, pool: Pool, now: Clock, stop: asyncio.Event, turn: int
) -> None:
    die = fault_points.at("publish-mark", settings.fault_point)
    async with broker.client(settings, turn) as client, pool.connection() as listening:
        await outbox.listen(listening)
        log.info("connected to the broker")
        while not stop.is_set():
            while await send_waiting(pool, client, now, die):
                pass
            await outbox.heard(listening, LOOK_S, stop)
        await listening.set_autocommit(False)


async def send_waiting(
    pool: Pool, client: aiomqtt.Client, now: Clock, die: Callable[[], None] = fault_points.unset
) -> int:
    """Publish up to 500 waiting messages and mark them sent; return how many.

    Raises:
        aiomqtt.MqttError: The broker did not take them all; none is marked.
    """
    async with pool.connection() as conn, conn.transaction():
        rows = await (await conn.execute(TAKE, (BATCH_MAX,))).fetchall()
        await asyncio.gather(
            *(client.publish(topic, body, QOS, retain) for _, topic, body, retain in rows)
        )
        if rows:
            die()
        sent = [row[0] for row in rows]
        await conn.execute(FORGET_PASSING, (sent,))
        await conn.execute(MARK, (as_datetime(now()), sent))
    if rows:
        log.info("sent", messages=len(rows))
    return len(rows)
