"""Alerts: late stops, open ones first."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import queries
from api.answers import Alerts, AlertState
from api.auth import Organisation
from api.resources import Conn, Now

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("")
async def list_alerts(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    state: AlertState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Alerts:
    """Return alerts: open ones first, the longest overdue on top, then the latest changed."""
    return Alerts(await queries.alerts(conn, organisation, now_ms, limit, state=state))
