"""The write side, whole: subscriber, batch, apply, write, acknowledge.

A batch is what has arrived since the last one: group commit, without a timer. Its effects, its
rejections and what others must be told are one transaction, and only after that transaction has
committed are its messages acknowledged. A crash at any moment therefore means redelivery, and
redelivery changes nothing: every row is keyed by what the message itself says.

Several of these may share the work by partitions (`sessions.py`); one of them, who holds the clock, does
what only the clock demands.
"""

import asyncio
import time
from functools import partial

from geofence import tracks
from geofence.forecast.router import Router, asking
from ingest import duty, fault_points, recovery, retention, sessions, store
from ingest.apply import Reference, apply
from ingest.batch import Batch, Delivery, decode
from ingest.quota import USUAL, Quota
from ingest.recovery import log
from storage.pool import Pool, connect
from storage.settings import Clock, Settings, as_datetime, clock, real_ms


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Ingest until `stop` is set; the batch in hand is finished first."""
    now, reference, ticked, deleted_on = clock(settings), None, 0.0, None
    die = fault_points.at("commit-ack", settings.fault_point)
    async with (
        connect(settings.database_url, "cordee-ingest", prepare=tracks.prepare) as pool,
        sessions.subscribed(settings) as subscriber,
        asking(settings.router_url) as router,
    ):
        quota = Quota(settings.rejected_per_van_max, settings.rejected_mb_per_van_max * 1_000_000)
        foresighted = partial(commit, router=router, quota=quota)
        async for deliveries in subscriber.batches(stop):
            if deliveries:
                reference = await recovery.persist(
                    foresighted, pool, deliveries, reference, now, quota
                )
                die()
                subscriber.ack(deliveries)
            if subscriber.holds_clock and time.monotonic() - ticked >= settings.tick_s:
                reference = await recovery.insist(tick, pool, reference, now, router)
                ticked = time.monotonic()
                today = as_datetime(now()).date()
                step = retention.step
                if deleted_on != today and await recovery.insist(
                    step, pool, settings, reference, now
                ):
                    deleted_on = today
                    log.info("deleted what is over")


async def commit(
    pool: Pool,
    deliveries: list[Delivery],
    reference: Reference | None,
    now: Clock,
    router: Router | None = None,
    quota: Quota = USUAL,
) -> Reference:
    """Apply a batch in one transaction, then note how long its messages waited for it."""
    began = time.perf_counter()
    async with pool.connection() as conn, conn.transaction():
        reference = await store.load_reference(conn, reference, now())
        batch = decode(deliveries, reference.vans, now(), reference.kept_since)
        await store.lock(conn, batch)
        gone = await duty.keep_on_duty(conn, batch, reference, now())
        state = await store.load_state(conn, batch, reference, now(), gone)
        changes = apply(batch, state, reference, now())
        await store.write(conn, batch, state, changes, reference, now(), router, quota)
        await store.tell_awaited(conn, deliveries)
    await _note(pool, batch, deliveries, time.perf_counter() - began, now())
    return reference


async def tick(
    pool: Pool, reference: Reference | None, now: Clock, router: Router | None = None
) -> Reference:
    """Do what no message can tell: late stops, silent vans, and orders at cut-off."""
    async with pool.connection() as conn, conn.transaction():
        reference = await store.load_reference(conn, reference, now())
        await store.tick(conn, reference, now(), router)
    return reference


async def _note(
    pool: Pool, batch: Batch, deliveries: list[Delivery], took_s: float, now: int
) -> None:
    committed_ms = real_ms()
    lag_ms = [committed_ms - delivery.arrived_ms for delivery in deliveries]
    async with pool.connection() as conn, conn.transaction():
        await store.put_activity(conn, batch, lag_ms, now)
    log.info(
        "batch",
        messages=batch.messages,
        fixes=len(batch.fixes),
        scans=len(batch.scans),
        rejected=len(batch.rejections),
        ms=round(took_s * 1_000, 1),
        lag_ms_max=max(lag_ms),
    )
