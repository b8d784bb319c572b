"""For operators: devices, the outbox, the servers, and what operators did."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.answers import (
    ApiServer,
    Audit,
    BrokerServer,
    Devices,
    IngestServer,
    OperatorAction,
    OperatorActionKind,
    Outbox,
    RelayServer,
    Servers,
)
from api.auth import Organisation
from api.cursors import IdKey, encode
from api.figures import lag_under_ms, summed
from api.formats import AS_CSV, CSV_ROWS_MAX, Bom, Form, csv_answer
from api.queries import audit, installation, servers
from api.queries.asked import fetched, streamed
from api.queries.audit import AuditFilter
from api.resources import Conn, Held, Now, Resources
from api.routes.parameters import Cursor, TimeMs, as_moment, checked_range, read_cursor, today
from storage import backlog
from storage.pool import Connection
from storage.settings import as_datetime, as_ms, real_ms

RATE_WINDOW_S: Final = 60

router = APIRouter(prefix="/v1", tags=["operations"])

DEVICES_EXAMPLE: Final = {
    "now_ms": 1_795_165_200_000,
    "devices": [
        {
            "van": "van-017",
            "name": "Kangoo 17",
            "last_seen_ms": 1_795_165_190_000,
            "online": True,
            "said_ms": 1_795_150_000_000,
            "clock_ahead_ms": -210,
            "rejected_24h": 0,
            "credential": "rotating",
            "credentials": [
                {
                    "device": "tablet",
                    "created_ms": 1_790_000_000_000,
                    "revoked_ms": 1_795_200_000_000,
                },
                {"device": "tablet", "created_ms": 1_795_100_000_000, "revoked_ms": None},
            ],
        }
    ],
}
OUTBOX_EXAMPLE: Final = {
    "now_ms": 1_795_165_200_000,
    "waiting": 3,
    "oldest_ms": 1_795_165_199_000,
    "last_sent_ms": 1_795_165_198_000,
    "topics": [
        {"topic": "fleet/v1/+/receipt", "waiting": 2, "oldest_ms": 1_795_165_199_500},
        {"topic": "planner/v1/alerts/+", "waiting": 1, "oldest_ms": 1_795_165_199_000},
    ],
}
SERVERS_EXAMPLE: Final = {
    "now_ms": 1_795_165_200_000,
    "database": {
        "version": "18.1",
        "timescaledb": "2.29.2",
        "size_bytes": 4_812_345_344,
        "connections": 14,
        "connections_max": 100,
        "started_ms": 1_794_000_000_000,
        "missing_migrations": [],
    },
    "broker": {
        "is_up": True,
        "messages": 0,
        "held_bytes": 0,
        "share": 0.0,
        "is_safe": True,
    },
    "ingest": {
        "is_connected": True,
        "last_batch_ms": 1_795_165_199_000,
        "messages_per_s": 41.2,
        "lag_p50_ms": 16,
        "lag_p99_ms": 128,
    },
    "relay": {
        "is_connected": True,
        "waiting": 0,
        "oldest_ms": None,
        "last_sent_ms": 1_795_165_198_000,
    },
    "api": {
        "version": "0.1.0",
        "started_ms": 1_795_000_000_000,
        "uptime_s": 165_200,
        "live_streams": 6,
    },
}
AUDIT_EXAMPLE: Final = {
    "actions": [
        {
            "action_id": 12,
            "at_ms": 1_795_165_200_000,
            "who": "user:ops",
            "name": "Oda Pham",
            "role": "ops",
            "action": "rejected_replayed",
            "subject": "6fd8e5f5c1f0a1d2b3c4d5e6f7a8b9c0",
            "detail": {"topic": "fleet/v1/van-017/position", "reason": "unknown_van"},
        }
    ],
    "next_cursor": None,
}


@router.get(
    "/devices", responses={200: {"content": {"application/json": {"example": DEVICES_EXAMPLE}}}}
)
async def list_devices(conn: Conn, organisation: Organisation, now_ms: Now) -> Devices:
    """Return how each van's devices keep in touch, those that were heard of longest ago first."""
    return Devices(now_ms, await servers.devices(conn, organisation, now_ms, real_ms()))


@router.get(
    "/outbox", responses={200: {"content": {"application/json": {"example": OUTBOX_EXAMPLE}}}}
)
async def outbox(conn: Conn, now_ms: Now) -> Outbox:
    """Return what waits to be published, by kind of topic."""
    topics = await servers.outbox(conn)
    return Outbox(
        now_ms,
        sum(kind.waiting for kind in topics),
        min((kind.oldest_ms for kind in topics), default=None),
        await servers.last_sent_ms(conn),
        topics,
    )


@router.get(
    "/servers", responses={200: {"content": {"application/json": {"example": SERVERS_EXAMPLE}}}}
)
async def all_servers(conn: Conn, held: Held, now_ms: Now) -> Servers:
    """Return how database, broker, ingest, relay and this process are."""
    running = await servers.connected(conn)
    waiting = await outbox(conn, now_ms)
    return Servers(
        now_ms=real_ms(),
        database=await servers.database(conn, await installation.missing_migrations(conn)),
        broker=await _broker(held),
        ingest=await _ingest(conn, is_connected="cordee-ingest" in running),
        relay=RelayServer(
            "cordee-relay" in running, waiting.waiting, waiting.oldest_ms, waiting.last_sent_ms
        ),
        api=ApiServer(
            held.version,
            held.started_ms,
            (real_ms() - held.started_ms) // 1_000,
            held.hub.client_count(),
        ),
    )


async def _broker(held: Resources) -> BrokerServer | None:
    if not held.settings.broker_monitor_url:
        return None
    try:
        it = await backlog.look(held.settings.broker_monitor_url)
    except backlog.BrokerError:
        return BrokerServer(is_up=False, messages=None, held_bytes=None, share=None, is_safe=None)
    return BrokerServer(it.is_well, it.messages, it.held_bytes, round(it.share, 4), it.is_safe)


async def _ingest(conn: Connection, *, is_connected: bool) -> IngestServer:
    until = real_ms()
    minute = await installation.activity(
        conn, as_datetime(until - RATE_WINDOW_S * 1_000), as_datetime(until)
    )
    lags = summed(second.lag_counts for second in minute)
    last = await servers.last_batch(conn)
    return IngestServer(
        is_connected=is_connected,
        last_batch_ms=None if last is None else as_ms(last),
        messages_per_s=round(sum(second.messages for second in minute) / RATE_WINDOW_S, 1),
        lag_p50_ms=lag_under_ms(lags, 0.5),
        lag_p99_ms=lag_under_ms(lags, 0.99),
    )


@router.get(
    "/audit",
    response_model=Audit,
    responses={200: {"content": {"application/json": {"example": AUDIT_EXAMPLE}, **AS_CSV}}},
)
async def list_actions(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    action: OperatorActionKind | None = None,
    from_ms: TimeMs = None,
    to_ms: TimeMs = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    form: Form = "json",
    bom: Bom = False,
) -> Audit | Response:
    """Return what operators did, newest first."""
    checked_range(from_ms, to_ms)
    before = None if cursor is None else read_cursor(cursor, IdKey).before
    which = AuditFilter(action, as_moment(from_ms), as_moment(to_ms), before)
    if form == "csv":
        every = streamed(conn, audit.asked(organisation, which, CSV_ROWS_MAX + 1))
        return await csv_answer("audit", today(now_ms), OperatorAction, every, bom=bom)
    found = await fetched(conn, audit.asked(organisation, which, limit + 1))
    page = found[:limit]
    more = len(found) > limit
    return Audit(page, encode(IdKey(page[-1].action_id)) if more else None)
