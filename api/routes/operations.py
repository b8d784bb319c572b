"""For operators: is it alive, is it ready, how is it doing."""

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout

from api import metrics
from api.problems import Problem
from api.queries import installation
from api.resources import CONNECTION_WITHIN_S, Conn, Held, Now
from storage.settings import real_ms

router = APIRouter(tags=["operations"])


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Answer while the process lives, whatever the database does."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(conn: Conn) -> dict[str, str]:
    """Answer 200 if the database answers and holds every migration of this version, else 503."""
    if missing := await installation.missing_migrations(conn):
        raise Problem(
            503,
            "migrations_missing",
            f"The database lacks {', '.join(missing)}; apply them with `cordee migrate`.",
        )
    return {"status": "ready"}


@router.get("/metrics", response_class=Response)
async def prometheus(held: Held, now_ms: Now) -> Response:
    """Return metrics in the Prometheus text format."""
    try:
        async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
            await held.totals.catch_up(conn, real_ms())
            found = await metrics.of_database(conn, now_ms) + metrics.of_ingest(held.totals)
    except (psycopg.OperationalError, PoolTimeout):
        found = []
    process = metrics.of_process(held.hub, database_up=bool(found))
    process += await metrics.of_broker(held.settings.broker_monitor_url)
    return Response(metrics.text(process + found), media_type=metrics.CONTENT_TYPE)
