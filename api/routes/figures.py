"""How well vans are stocked, what lies dead in them, and which levels to believe."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.answers import DeadStock, MissingPart, MissingParts, StockFigures, TrustedPairs
from api.auth import Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.queries import figures
from api.queries.figures import Period
from api.resources import Conn, Now
from api.routes.parameters import (
    FromMs,
    Limit,
    OwnVan,
    ToMs,
    as_moment,
    checked_span,
    van_key,
)
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from storage.pool import Connection
from storage.settings import as_datetime, as_ms

PERIOD: Final = timedelta(days=30)

Days = Annotated[
    int, Query(ge=1, le=3_650, description="For how long nothing was issued.", examples=[365])
]

router = APIRouter(prefix="/v1/stock", tags=["stock"], dependencies=JUDGED)


@router.get("/figures")
async def stock_figures(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
) -> StockFigures:
    """Return fill rates, hours out of stock and the accuracy of counts; of 30 days by default.

    Everything follows from scans by their own times: late ones change past figures. Hours that are
    still to come are not counted. A van that does not exist is a 404.
    """
    period = await _period(conn, organisation, now_ms, van, from_ms, to_ms)
    return await figures.of_period(conn, organisation, period, as_datetime(now_ms))


@router.get("/missing", response_model=MissingParts, responses={200: {"content": AS_CSV}})
async def missing_parts(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 500,
    sheet: AsSpreadsheet,
) -> MissingParts | Response:
    """Return the parts whose lack cost jobs their first-time fix; of 30 days by default.

    A missing part is one that a technician scanned as such; it is charged to the job by its work
    order, else by the visit of its time.
    """
    period = await _period(conn, organisation, now_ms, van, from_ms, to_ms)
    found = await figures.missing_parts(conn, organisation, period, rows_of(sheet, limit + 1))
    if sheet is not None:
        return await sheet.of("missing", MissingPart, found)
    return MissingParts(
        as_ms(period.since), as_ms(period.until), found[:limit], truncated=len(found) > limit
    )


@router.get("/dead")
async def dead_stock(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    days: Days = 365,
    limit: Limit = 500,
) -> DeadStock:
    """Return what is on board and that van has not issued for `days`, most valuable first."""
    key = await _van(conn, organisation, van)
    return await figures.dead_stock(conn, organisation, key, as_datetime(now_ms), days, limit)


@router.get("/trust")
async def least_trusted(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    limit: Limit = 500,
) -> TrustedPairs:
    """Return the levels that can be believed least, and why.

    Trust is the chance that what we think is on board is there. It is 0 where nobody has counted
    yet, or where a lot is below nothing. Else it is 1 at the last count, and is multiplied by 1/2
    for every 180 days since then, by 0.98 for every movement since then, by 1/2 while the count is
    unconfirmed, by 1/2 for every planned visit since then whose job was to need the item and that
    ended without a scan, and by 0.998 for every other planned visit that ended without one. The
    numbers are estimates: what they are for is the order of what to count next.
    """
    key = await _van(conn, organisation, van)
    found = await figures.least_trusted(conn, organisation, key, as_datetime(now_ms), limit + 1)
    return TrustedPairs(found[:limit], truncated=len(found) > limit)


async def _van(conn: Connection, organisation: OrganisationId, code: str | None) -> int | None:
    return None if code is None else await van_key(conn, organisation, code)


async def _period(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    van: str | None,
    from_ms: int | None,
    to_ms: int | None,
) -> Period:
    until: datetime = as_moment(to_ms) or as_datetime(now_ms)
    since, until = checked_span(from_ms, to_ms, (until - PERIOD, until))
    return Period(since, until, await _van(conn, organisation, van))
