"""Alerts: stops at risk, late, missed or overstayed, and silent vans; open ones first."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.answers import AlertKind, Alerts, AlertState
from api.auth import Organisation
from api.queries import alerts
from api.resources import Conn, Now
from api.routes.parameters import OwnVan, at_most, checked_codes

router = APIRouter(prefix="/v1/alerts", tags=["alerts"])


@router.get("")
async def list_alerts(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    van: OwnVan,
    kind: Annotated[AlertKind | None, Query(examples=["late"])] = None,
    state: Annotated[AlertState | None, Query(examples=["open"])] = None,
    limit: Annotated[int, at_most(500)] = 200,
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
