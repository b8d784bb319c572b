"""Alerts: stops at risk, late, missed or overstayed, and silent vans; open ones first."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.answers import AlertKind, Alerts, AlertState
from api.auth import Organisation
from api.queries import alerts
from api.resources import Conn, Now
from api.routes.parameters import OwnVan, checked_codes

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("")
async def list_alerts(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    van: OwnVan,
    kind: AlertKind | None = None,
    state: AlertState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> Alerts:
    """Return alerts: open ones first, then the latest changed.

    Of the open ones late stops come first (the longest overdue on top), then missed ones, stops at
    risk (those that planners were told of first), silent vans and overstayed visits. A silent van's alert has no stop, site or tour.
    """
    await checked_codes(conn, organisation, van=van)
    return Alerts(
        await alerts.of_organisation(
            conn, organisation, now_ms, limit, kind=kind, state=state, van=van
        )
    )
