"""What is planned at sites, and what was done there: for the clients whose sites they are."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter

from api.answers import Planning, VisitReports
from api.auth import Asker, Who
from api.problems import Problem
from api.queries import client_sites
from api.queries.client_sites import WhichSites
from api.resources import Conn, Now
from api.routes.parameters import (
    AskedSite,
    FromMs,
    ToMs,
    at_most,
    checked_span,
    today,
    working_day,
)
from storage.pool import Connection
from storage.settings import as_datetime

ROWS_MAX: Final = 1_000
#: What a client plans by, and what a statement of work is made of.
AHEAD: Final = timedelta(days=14)
BACK: Final = timedelta(days=31)

Limit = Annotated[int, at_most(ROWS_MAX)]

router = APIRouter(prefix="/v1", tags=["sites"])


@router.get("/planning")
async def planning(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    *,
    site: AskedSite = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 200,
) -> Planning:
    """Return the visits planned with `from_ms` ≤ window start < `to_ms`; of 14 days by default.

    A client sees those of the own sites; a site of another is a 404.
    """
    begin, _ = working_day(today(now_ms))
    since, until = checked_span(from_ms, to_ms, (begin, begin + AHEAD))
    await _reached(conn, who, site)
    which = WhichSites(since, until, who.client_id, site)
    found = await client_sites.planned(conn, who.organisation, which, today(now_ms), limit + 1)
    return Planning(found[:limit], truncated=len(found) > limit)


@router.get("/visit-reports")
async def visit_reports(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    *,
    site: AskedSite = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 200,
) -> VisitReports:
    """Return the visits with `from_ms` ≤ arrival < `to_ms`; of the last 31 days by default.

    A client sees those of the own sites; a site of another is a 404.
    """
    now = as_datetime(now_ms)
    since, until = checked_span(from_ms, to_ms, (now - BACK, now))
    await _reached(conn, who, site)
    which = WhichSites(since, until, who.client_id, site)
    found = await client_sites.reports(conn, who.organisation, which, limit + 1)
    return VisitReports(found[:limit], truncated=len(found) > limit)


async def _reached(conn: Connection, who: Who, site: str | None) -> None:
    if site is not None and not await client_sites.is_reached(
        conn, who.organisation, who.client_id, site
    ):
        raise Problem(404, "site_not_found", f"There is no site {site!r}.")
