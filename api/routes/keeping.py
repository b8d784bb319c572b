"""For operators: what was rejected and what becomes of it, who is heard of, what waits, who did what.

What is sent again takes the way of all messages: outbox, relay, broker, ingest.
"""

import base64
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field, with_config

from api import commands, limits
from api.answers import Action, Actions, Devices, Outbox, RejectedMessage, Servers, WhatBroker
from api.auth import Asker, Organisation, Who
from api.commands import BusyError, RefusedError
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import operations, rejected
from api.queries.rejected import RejectedRow
from api.resources import Conn, Held, Now
from api.routes.edits import busy, refusal
from api.routes.parameters import FromMs, ToMs, at_most, checked_span
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from storage import backlog
from storage.pool import Connection
from storage.settings import as_datetime

BACK: Final = timedelta(days=31)
CODE_MAX: Final = 200
BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def _named(example: str) -> Any:
    return Path(
        pattern="^[0-9a-f]{32}$", description="As a rejected message says it.", examples=[example]
    )


RejectedId = Annotated[str, _named("01" * 16)]

router = APIRouter(prefix="/v1", tags=["operations"], dependencies=JUDGED)


@router.get("/rejected/{rejected_id}")
async def one_rejected(conn: Conn, who: Asker, rejected_id: RejectedId) -> RejectedMessage:
    """Return a rejected message with all its bytes."""
    return rejected.shown(await _found(conn, who, rejected_id))


@router.post("/rejected/{rejected_id}/replay", status_code=202, response_class=Response)
async def replay(conn: Conn, who: Asker, now_ms: Now, rejected_id: RejectedId) -> None:
    """Send a rejected message again, as it came: for one that can be used now.

    It leaves the rejected ones, and is back among them in a moment if it cannot be used after all.
    """
    it = await _found(conn, who, rejected_id)
    if not await commands.replay(conn, who, it, now_ms):
        raise _gone()


@router.post("/rejected/{rejected_id}/discard", status_code=204)
async def discard(
    conn: Conn, who: Asker, now_ms: Now, rejected_id: Annotated[str, _named("02" * 16)]
) -> None:
    """Throw a rejected message away for good. Who did it, and what it was about, is kept."""
    it = await _found(conn, who, rejected_id)
    if not await commands.discard(conn, who, it, now_ms):
        raise _gone()


@with_config(limits.exact({"code_base64": "NDAwNjM4MTMzMzkzMQ==", "item": "FIL-20"}))
@dataclass(frozen=True, slots=True)
class MeaningBody:
    """What a bar code means: an item, and how many base units one scan of it is.

    `code_base64` is as GET /v1/parts/unknown-codes tells it: a symbol may hold control characters.
    """

    code_base64: Annotated[str, Field(min_length=4, max_length=4 * CODE_MAX, pattern=BASE64)]
    item: limits.Code
    pack_qty: limits.PackQuantity = 1


@router.post("/parts/unknown-codes/mapping", status_code=204)
async def map_code(
    conn: Conn, who: Asker, now_ms: Now, body: Annotated[MeaningBody, Body()]
) -> None:
    """Say what a code means. Scans that were waiting for it take effect, each at its own time."""
    try:
        code = base64.b64decode(body.code_base64, validate=True).decode()
    except ValueError:
        detail = "These are not the bytes of a text in base64: no bar code file could hold it."
        raise Problem(422, "unusable_code", detail) from None
    try:
        await commands.map_code(conn, who, code, body.item, body.pack_qty, now_ms)
    except RefusedError as refused:
        raise refusal("unusable_code", "this code", refused.bad, "body") from None
    except BusyError:
        raise busy() from None


@router.get("/audit", response_model=Actions, responses={200: {"content": AS_CSV}})
async def audit(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Annotated[int, at_most(1_000)] = 200,
    sheet: AsSpreadsheet,
) -> Actions | Response:
    """Return what operators did and to what, the newest first; of the last 31 days by default."""
    now = as_datetime(now_ms) + timedelta(seconds=1)
    since, until = checked_span(from_ms, to_ms, (now - BACK, now))
    most = rows_of(sheet, limit + 1)
    found = await operations.actions(conn, organisation, since, until, most)
    if sheet is not None:
        return await sheet.of("audit", Action, found)
    return Actions(found[:limit], truncated=len(found) > limit)


@router.get("/devices")
async def devices(conn: Conn, organisation: Organisation, now_ms: Now) -> Devices:
    """Return when each van was last heard of and how its clock goes; not where it was."""
    return Devices(now_ms, await operations.devices(conn, organisation, now_ms))


@router.get("/outbox")
async def outbox(conn: Conn) -> Outbox:
    """Return what waits for the relay to publish it."""
    return Outbox(await operations.waiting(conn))


@router.get("/servers")
async def servers(conn: Conn, held: Held) -> Servers:
    """Return how database and broker do; how ingest does is told by GET /v1/overview."""
    return Servers(
        await operations.database(conn),
        await _broker(held.settings.broker_monitor_url),
        held.hub.client_count(),
    )


async def _broker(monitor_url: str) -> WhatBroker | None:
    if not monitor_url:
        return None
    try:
        it = await backlog.look(monitor_url)
    except backlog.BrokerError as error:
        return WhatBroker(False, str(error), None, None, None)  # noqa: FBT003
    said = "" if it.is_well else "it calls itself ill: is its disk full?"
    return WhatBroker(it.is_well, said, it.messages, it.held_bytes, it.share)


async def _found(conn: Connection, who: Who, rejected_id: str) -> RejectedRow:
    found = await rejected.one(conn, who.organisation, rejected_id)
    if found is None:
        raise _gone()
    return found


def _gone() -> Problem:
    return Problem(404, "rejected_over", "There is no such rejected message, or no longer.")
