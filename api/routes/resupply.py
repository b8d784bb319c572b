"""What will be ordered, handed over and counted again, and the decisions that wait for a person."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from api import commands
from api.answers import (
    LineOfOrder,
    LinesOfOrders,
    OrderState,
    Proposals,
    Recounts,
    Transfer,
    Transfers,
    TransferState,
    UnclaimedBoxes,
    Variances,
)
from api.auth import Asker, Organisation
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import orders, resupply
from api.queries.charges import Which
from api.resources import Conn, Now
from api.routes.parameters import (
    ID_MAX,
    DecisionBody,
    FromMs,
    ItemRef,
    Limit,
    NoBody,
    OwnVan,
    ToMs,
    VanCode,
    at_most,
    checked_codes,
    checked_span,
    today,
    working_day,
)
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of

router = APIRouter(prefix="/v1", tags=["resupply"], dependencies=JUDGED)


@router.get("/order-lines", response_model=LinesOfOrders, responses={200: {"content": AS_CSV}})
async def list_order_lines(
    conn: Conn,
    organisation: Organisation,
    *,
    van: OwnVan,
    state: Annotated[OrderState | None, Query(examples=["sent"])] = None,
    limit: Limit = 500,
    sheet: AsSpreadsheet,
) -> LinesOfOrders | Response:
    """Return what was ordered, shipped and received, a line an item: of the latest cut-off first."""
    await checked_codes(conn, organisation, van=van)
    most = rows_of(sheet, limit + 1)
    found = await orders.lines_of_organisation(conn, organisation, most, van=van, state=state)
    if sheet is not None:
        return await sheet.of("order-lines", LineOfOrder, found)
    return LinesOfOrders(found[:limit], truncated=len(found) > limit)


@router.get("/proposals")
async def list_proposals(
    conn: Conn, organisation: Organisation, van: OwnVan, limit: Limit = 500
) -> Proposals:
    """Return what the next cut-off will order, and why; what jobs lack comes first."""
    await checked_codes(conn, organisation, van=van)
    found = await resupply.proposals(conn, organisation, limit + 1, van=van)
    return Proposals(found[:limit], truncated=len(found) > limit)


@router.post("/proposals/{van}/{item}/approval", status_code=204)
async def approve_proposal(
    conn: Conn, who: Asker, van: VanCode, item: ItemRef, _: NoBody = None
) -> None:
    """Let a proposal be ordered although its level is unconfirmed, as long as it does not grow."""
    await checked_codes(conn, who.organisation, van=van)
    if not await commands.approve_proposal(conn, who, van, item):
        raise Problem(404, "proposal_not_found", f"Nothing is proposed of {item!r} for {van!r}.")


@router.get("/transfers")
async def list_transfers(
    conn: Conn,
    organisation: Organisation,
    van: OwnVan,
    state: Annotated[TransferState | None, Query(examples=["proposed"])] = None,
    limit: Annotated[int, at_most(500)] = 100,
) -> Transfers:
    """Return transfers from van to van, newest first."""
    await checked_codes(conn, organisation, van=van)
    found = await resupply.transfers(conn, organisation, limit, van=van, state=state)
    return Transfers(found)


@router.post("/transfers/{transfer_id}/decision")
async def decide_transfer(
    conn: Conn,
    who: Asker,
    transfer_id: Annotated[int, Path(ge=1, le=ID_MAX, examples=[1])],
    body: DecisionBody,
) -> Transfer:
    """Accept a transfer, and both technicians are told; or refuse it, and it is ordered instead."""
    changed = await commands.decide_transfer(conn, who, transfer_id, accept=body.accept)
    found = await resupply.transfers(conn, who.organisation, 1, transfer_id=transfer_id)
    if not found:
        raise Problem(404, "transfer_not_found", f"There is no transfer {transfer_id}.")
    if not changed and found[0].state != ("accepted" if body.accept else "refused"):
        raise Problem(409, "transfer_over", f"It is {found[0].state}: nothing is left to decide.")
    return found[0]


@router.get("/boxes/unclaimed")
async def list_unclaimed(
    conn: Conn, organisation: Organisation, van: OwnVan, limit: Limit = 500
) -> UnclaimedBoxes:
    """Return boxes that lie at homes and sites, since when, and for which van."""
    await checked_codes(conn, organisation, van=van)
    found = await resupply.unclaimed(conn, organisation, limit + 1, van=van)
    return UnclaimedBoxes(found[:limit], truncated=len(found) > limit)


@router.get("/counts/variances")
async def list_variances(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Limit = 500,
) -> Variances:
    """Return what counts found beyond what was booked; today's by default."""
    await checked_codes(conn, organisation, van=van)
    since, until = checked_span(from_ms, to_ms, working_day(today(now_ms)))
    which = Which(since, until, van)
    found = await resupply.variances(conn, organisation, which, limit + 1)
    return Variances(found[:limit], truncated=len(found) > limit)


@router.get("/counts/recounts")
async def list_recounts(
    conn: Conn, organisation: Organisation, van: OwnVan, limit: Limit = 500
) -> Recounts:
    """Return what vans were asked to count again, and why."""
    await checked_codes(conn, organisation, van=van)
    found = await resupply.recounts(conn, organisation, limit + 1, van=van)
    return Recounts(found[:limit], truncated=len(found) > limit)
