"""The write side, whole: subscriber, batch, apply, write, acknowledge.

A batch is what has arrived since the last one: group commit, without a timer. Its effects, its
rejections and what others must be told are one transaction, and only after that transaction has
committed are its messages acknowledged. A crash at any moment therefore means redelivery, and
redelivery changes nothing: every row is keyed by what the message itself says.
"""

import asyncio
import time

import geofence.store
from ingest import recovery, store
from ingest.apply import Reference, apply
from ingest.batch import Batch, Delivery, decode
from ingest.recovery import log
from ingest.subscriber import Subscriber
from storage.pool import Pool, connect
from storage.settings import Clock, Settings, clock, real_ms


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Ingest until `stop` is set; the batch in hand is finished first."""
    now, reference, ticked = clock(settings), None, 0.0
    async with (
        connect(settings.database_url, "cordee-ingest", prepare=geofence.store.prepare) as pool,
        Subscriber(settings) as subscriber,
    ):
        async for deliveries in subscriber.batches(stop):
            if deliveries:
                reference = await recovery.persist(commit, pool, deliveries, reference, now)
                subscriber.ack(deliveries)
            if time.monotonic() - ticked >= settings.tick_s:
                reference = await recovery.insist(tick, pool, reference, now)
                ticked = time.monotonic()


async def commit(
    pool: Pool, deliveries: list[Delivery], reference: Reference | None, now: Clock
) -> Reference:
    """Apply a batch in one transaction, then note how long its messages waited for it."""
    began = time.perf_counter()
    async with pool.connection() as conn, conn.transaction():
        reference = await store.load_reference(conn, reference)
        batch = decode(deliveries, reference.vans, now())
        await store.lock(conn, batch)
        state = await store.load_state(conn, batch, reference, now())
        changes = apply(batch, state, reference, now())
        await store.write(conn, batch, state, changes, reference, now())
    await _note(pool, batch, deliveries, time.perf_counter() - began)
    return reference


async def tick(pool: Pool, reference: Reference | None, now: Clock) -> Reference:
    """Do what no message can tell: late stops, and orders at cut-off."""
    async with pool.connection() as conn, conn.transaction():
        reference = await store.load_reference(conn, reference)
        await store.tick(conn, reference, now())
    return reference


async def _note(pool: Pool, batch: Batch, deliveries: list[Delivery], took_s: float) -> None:
    committed_ms = real_ms()
    lag_ms = [committed_ms - delivery.arrived_ms for delivery in deliveries]
    async with pool.connection() as conn, conn.transaction():
        await store.put_activity(conn, batch, lag_ms)
    log.info(
        "batch",
        messages=batch.messages,
        fixes=len(batch.fixes),
        scans=len(batch.scans),
        rejected=len(batch.rejections),
        ms=round(took_s * 1_000, 1),
        lag_ms_max=max(lag_ms),
    )
