"""For operators: is it alive, is it ready, how is it doing."""

from typing import Any, Final

import psycopg
from fastapi import APIRouter, Response
from psycopg_pool import PoolTimeout

from api import metrics
from api.answers import Health
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import installation
from api.resources import CONNECTION_WITHIN_S, Held, Now
from storage.settings import real_ms

AS_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}}
}

router = APIRouter(tags=["operations"], dependencies=JUDGED)


@router.get("/healthz")
async def healthz() -> Health:
    """Answer while the process lives, whatever the database does."""
    return Health("alive")


@router.get("/readyz")
async def readyz(held: Held) -> Health:
    """Answer 200 if the database answers and holds every migration of this version, else 503."""
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        missing = await installation.missing_migrations(conn)
    if missing:
        raise Problem(
            503,
            "migrations_missing",
            f"The database lacks {', '.join(missing)}; apply them with `cordee migrate`.",
        )
    return Health("ready")


@router.get("/metrics", response_class=Response, responses=AS_TEXT)
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
