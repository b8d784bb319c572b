"""Where scans meet visits: parts used, and what to ask somebody about."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api import limits
from api.answers import (
    Charge,
    Charges,
    QuestionKind,
    StockQuestions,
    UnknownCode,
    UnknownCodes,
    WaitingScans,
)
from api.auth import Asker, Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import charges
from api.resources import Conn, Now
from api.routes.parameters import (
    AskedSite,
    DecisionBody,
    FromMs,
    Limit,
    OwnVan,
    ToMs,
    VanCode,
    checked_codes,
    checked_span,
    today,
    working_day,
)
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from stock_tracker import store
from stock_tracker.ledger import ScanKey
from storage.pool import Connection

WorkOrder = Annotated[
    limits.Name | None,
    Query(description="Of the scan, else of the stop.", examples=["W-4711"]),
]

router = APIRouter(prefix="/v1/parts", tags=["stock"], dependencies=JUDGED)


@router.get("", response_model=Charges, responses={200: {"content": AS_CSV}})
async def list_charges(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    site: AskedSite = None,
    work_order: WorkOrder = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 500,
    sheet: AsSpreadsheet,
) -> Charges | Response:
    """Return what was done with parts, and at which visit and for which job; today's by default.

    A van or site that does not exist is a 404.
    """
    which = await _which(conn, organisation, now_ms, van, site, from_ms, to_ms)
    most = rows_of(sheet, limit + 1)
    found = await charges.of_organisation(conn, organisation, which, most, work_order=work_order)
    if sheet is not None:
        return await sheet.of("parts", Charge, found)
    return Charges(found[:limit], truncated=len(found) > limit)


@router.get("/questions")
async def list_questions(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    site: AskedSite = None,
    kind: Annotated[QuestionKind | None, Query(examples=["visit_without_scan"])] = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 500,
) -> StockQuestions:
    """Return what does not fit together and a person should ask about; today's by default.

    A planned visit that is over and used nothing, a part used where no visit is, a load far from
    every depot. Nobody is accused: scans are forgotten, and late ones still come.
    """
    which = await _which(conn, organisation, now_ms, van, site, from_ms, to_ms)
    found = await charges.questions(conn, organisation, which, limit + 1, kind=kind)
    return StockQuestions(found[:limit], truncated=len(found) > limit)


@router.get("/unknown-codes", response_model=UnknownCodes, responses={200: {"content": AS_CSV}})
async def list_unknown_codes(
    conn: Conn, organisation: Organisation, limit: Limit = 500, *, sheet: AsSpreadsheet
) -> UnknownCodes | Response:
    """Return the codes that vans have scanned and nobody has entered, most frequent first."""
    found = await charges.unknown_codes(conn, organisation, rows_of(sheet, limit + 1))
    if sheet is not None:
        return await sheet.of("unknown-codes", UnknownCode, found)
    return UnknownCodes(found[:limit], truncated=len(found) > limit)


@router.get("/waiting")
async def list_waiting(conn: Conn, organisation: Organisation, limit: Limit = 500) -> WaitingScans:
    """Return scans without effect because of their time: to come, or more than 30 days back."""
    found = await charges.waiting(conn, organisation, limit + 1)
    return WaitingScans(found[:limit], truncated=len(found) > limit)


@router.post(
    "/waiting/{van}/{epoch}/{seq}/decision",
    status_code=204,
)
async def decide(
    conn: Conn,
    who: Asker,
    van: VanCode,
    epoch: Annotated[limits.Text, Path(max_length=64, examples=["e"])],
    seq: Annotated[int, Path(ge=1, le=2**62, examples=[3])],
    body: DecisionBody,
) -> None:
    """Let a scan that is more than 30 days old take effect at its own time, or refuse it."""
    await checked_codes(conn, who.organisation, van=van)
    key = ScanKey(van, epoch, seq)
    async with conn.transaction():
        decided = await store.decide(conn, key, who.account, accept=body.accept)
    if not decided:
        detail = f"Scan {seq} of {van!r} ({epoch!r}) does not wait for a decision."
        raise Problem(404, "scan_not_waiting", detail)


async def _which(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    van: str | None,
    site: str | None,
    from_ms: int | None,
    to_ms: int | None,
) -> charges.Which:
    await checked_codes(conn, organisation, van=van, site=site)
    since, until = checked_span(from_ms, to_ms, working_day(today(now_ms)))
    return charges.Which(since, until, van, site)
