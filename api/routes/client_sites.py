"""What is planned at sites, and what was done there: for the clients whose sites they are."""

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path
from fastapi.responses import Response

from api.answers import Planning, VisitReport, VisitReports
from api.auth import Asker, Who
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import client_sites
from api.queries import visit_reports as done
from api.queries.client_sites import WhichSites
from api.resources import Conn, Now
from api.routes.papers import AS_PDF, printed
from api.routes.parameters import (
    AskedSite,
    FromMs,
    Reader,
    ToMs,
    at_most,
    checked_span,
    today,
    working_day,
)
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from stock_tracker.papers import visit_report
from storage.pool import Connection
from storage.settings import as_datetime

ROWS_MAX: Final = 1_000
#: What a client plans by, and what a statement of work is made of.
AHEAD: Final = timedelta(days=14)
BACK: Final = timedelta(days=31)

Limit = Annotated[int, at_most(ROWS_MAX)]

ReportId = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{32}$",
        description="As a visit tells it.",
        examples=["9dc9fa9dbb6e8520ce460b10adc1371d"],
    ),
]

router = APIRouter(prefix="/v1", tags=["sites"], dependencies=JUDGED)


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
    return Planning(now_ms, found[:limit], truncated=len(found) > limit)


@router.get("/visit-reports", response_model=VisitReports, responses={200: {"content": AS_CSV}})
async def visit_reports(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    *,
    site: AskedSite = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 200,
    sheet: AsSpreadsheet,
) -> VisitReports | Response:
    """Return the visits with `from_ms` ≤ arrival < `to_ms`; of the last 31 days by default.

    Each with what was written of it and signed. A report of a site where the van was not seen stands
    among them at its own time. A client sees those of the own sites; a site of another is a 404.
    """
    now = as_datetime(now_ms)
    since, until = checked_span(from_ms, to_ms, (now - BACK, now))
    await _reached(conn, who, site)
    which = WhichSites(since, until, who.client_id, site)
    found = await done.reports(conn, who.organisation, which, rows_of(sheet, limit + 1))
    if sheet is not None:
        return await sheet.of("visit-reports", VisitReport, found)
    return VisitReports(found[:limit], truncated=len(found) > limit)


@router.get("/visit-reports/{report}.pdf", response_class=Response, responses=AS_PDF)
async def visit_report_pdf(conn: Conn, who: Asker, reader: Reader, report: ReportId) -> Response:
    """Return a report that was written of a visit, with its times, parts and signature, to print.

    One that its tablet contradicts (two payloads under one key) is a 404 until a person decides.
    """
    it = await done.paper(conn, who.organisation, who.client_id, report)
    if it is None:
        raise Problem(404, "visit_report_not_found", f"There is no visit report {report!r}.")
    return await printed(visit_report.visit_report_pdf, it, reader)


async def _reached(conn: Connection, who: Who, site: str | None) -> None:
    if site is not None and not await client_sites.is_reached(
        conn, who.organisation, who.client_id, site
    ):
        raise Problem(404, "site_not_found", f"There is no site {site!r}.")
