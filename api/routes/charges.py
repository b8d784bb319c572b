"""Where scans meet visits: parts used, and what to ask somebody about."""

import base64
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from api import commands
from api.answers import (
    Charge,
    Charges,
    MappedCode,
    QuestionKind,
    StockQuestions,
    UnknownCodes,
    WaitingScans,
)
from api.auth import Asker, Organisation, OrganisationId, Who
from api.commands import BoxNumberError, BusyError, RefusedError
from api.formats import AS_CSV, CSV_ROWS_MAX, Bom, Form, csv_answer
from api.once import OnceOnly
from api.problems import Problem
from api.queries import charges
from api.queries.asked import fetched, streamed
from api.resources import Conn, Now
from api.routes.edits import busy, refusal
from api.routes.parameters import (
    Code,
    DecisionBody,
    OwnVan,
    TimeMs,
    checked_codes,
    checked_span,
    today,
    working_day,
)
from stock_tracker import store
from stock_tracker.ledger import ScanKey
from storage.pool import Connection

ROWS_MAX: Final = 5_000

Limit = Annotated[int, Query(ge=1, le=ROWS_MAX)]
WorkOrder = Annotated[
    str | None, Query(max_length=200, description="Of the scan, else of the stop.")
]

router = APIRouter(prefix="/v1/parts", tags=["stock"])


@router.get("", response_model=Charges, responses={200: {"content": AS_CSV}})
async def list_charges(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    site: Code = None,
    work_order: WorkOrder = None,
    from_ms: TimeMs = None,
    to_ms: TimeMs = None,
    limit: Limit = 500,
    form: Form = "json",
    bom: Bom = False,
) -> Charges | Response:
    """Return what was done with parts, and at which visit and for which job; today's by default.

    A van or site that does not exist is a 404.
    """
    which = await _which(conn, organisation, now_ms, van, site, from_ms, to_ms)
    if form == "csv":
        every = charges.asked(organisation, which, CSV_ROWS_MAX + 1, work_order=work_order)
        return await csv_answer("parts", today(now_ms), Charge, streamed(conn, every), bom=bom)
    asked = charges.asked(organisation, which, limit + 1, work_order=work_order)
    found = await fetched(conn, asked)
    return Charges(found[:limit], truncated=len(found) > limit)


@router.get("/questions")
async def list_questions(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    site: Code = None,
    kind: QuestionKind | None = None,
    from_ms: TimeMs = None,
    to_ms: TimeMs = None,
    limit: Limit = 500,
) -> StockQuestions:
    """Return what does not fit together and a person should ask about; today's by default.

    A planned visit that is over and used nothing, a part used where no visit is, a load far from
    every depot. Nobody is accused: scans are forgotten, and late ones still come.
    """
    which = await _which(conn, organisation, now_ms, van, site, from_ms, to_ms)
    found = await charges.questions(conn, organisation, which, limit + 1, kind=kind)
    return StockQuestions(found[:limit], truncated=len(found) > limit)


@router.get("/unknown-codes")
async def list_unknown_codes(
    conn: Conn, organisation: Organisation, limit: Limit = 500
) -> UnknownCodes:
    """Return the codes that vans have scanned and nobody has entered, most frequent first."""
    found = await charges.unknown_codes(conn, organisation, limit + 1)
    return UnknownCodes(found[:limit], truncated=len(found) > limit)


@dataclass(frozen=True, slots=True)
class MappingBody:
    """What a code stands for; `code_base64` as the list of unknown codes has it."""

    code_base64: Annotated[str, Field(max_length=4_000)]
    item: Annotated[str, Field(min_length=1, max_length=64)]
    pack_qty: Annotated[int, Field(ge=1, le=1_000_000, description="Base units in a pack.")] = 1


MAPPING_BODY: Final = {"code_base64": "NDAwNjM4MTMzMzkzMQ==", "item": "FIL-20", "pack_qty": 1}
MAPPED_EXAMPLE: Final = {"code": "04006381333931", "item": "FIL-20", "pack_qty": 1, "scans": 3}


@router.post(
    "/unknown-codes/mapping",
    responses={200: {"content": {"application/json": {"example": MAPPED_EXAMPLE}}}},
)
async def map_unknown_code(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    once: OnceOnly,
    body: Annotated[MappingBody, Body(openapi_examples={"a GTIN": {"value": MAPPING_BODY}})],
) -> MappedCode:
    """Say which item an unknown code stands for: its scans take effect at once, at their own times.

    Of a code that says a GTIN, and perhaps a lot, the GTIN is entered, so that other lots are known too.
    """
    try:
        code = base64.b64decode(body.code_base64, validate=True)
    except ValueError:
        raise Problem(422, "unusable_mapping", "code_base64 is no base64.") from None

    async def mapped() -> MappedCode:
        return await _mapped(conn, who, code, body, now_ms)

    return await once(MappedCode, mapped)


async def _mapped(
    conn: Connection, who: Who, code: bytes, body: MappingBody, now_ms: int
) -> MappedCode:
    try:
        done = await commands.map_code(conn, who, code, body.item, body.pack_qty, now_ms)
    except BoxNumberError:
        raise Problem(422, "unusable_mapping", "It is the number of a box: no item.") from None
    except RefusedError as refused:
        raise refusal("unusable_mapping", "the barcodes", refused.bad, "body") from None
    except BusyError:
        raise busy() from None
    if done is None:
        raise Problem(
            404, "code_not_waiting", "No scan waits for this code: it may be known by now."
        )
    return done


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
    organisation: Organisation,
    van: Annotated[str, Path(max_length=200)],
    epoch: Annotated[str, Path(max_length=64)],
    seq: Annotated[int, Path(ge=1, le=2**62)],
    body: DecisionBody,
) -> None:
    """Let a scan that is more than 30 days old take effect at its own time, or refuse it."""
    await checked_codes(conn, organisation, van=van)
    key = ScanKey(van, epoch, seq)
    async with conn.transaction():
        decided = await store.decide(conn, key, body.by, accept=body.accept)
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
