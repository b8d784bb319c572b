"""Resupply orders: why each line is on them, who approves them, what the warehouse reports."""

import uuid
from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field

from api import commands
from api.answers import Order, Orders, OrderState, OrderWithLines, ReportKind, ReportTaken
from api.auth import Asker, Organisation, OrganisationId
from api.formats import AS_CSV, CSV_ROWS_MAX, Bom, Form, csv_answer
from api.once import OnceOnly
from api.problems import Problem
from api.queries import orders
from api.queries.asked import streamed
from api.resources import Conn, Now
from api.routes.parameters import OwnVan, Person, checked_codes, today
from stock_tracker.barcodes import is_sscc
from storage.pool import Connection

router = APIRouter(prefix="/v1/orders", tags=["orders"])

OrderCode = Annotated[str, Path(max_length=200)]


@dataclass(frozen=True, slots=True)
class ApprovalBody:
    """Who approves."""

    by: Person


@dataclass(frozen=True, slots=True)
class ReportLineBody:
    """Base units of one item that were picked, shipped, found short or cancelled."""

    item: Annotated[str, Field(max_length=200)]
    qty: Annotated[int, Field(ge=1, le=1_000_000)]
    lot: Annotated[str | None, Field(max_length=200)] = None
    reason: Annotated[str | None, Field(max_length=200)] = None
    backorder: Annotated[bool, Field(description="Whether what is short will still come.")] = True


@dataclass(frozen=True, slots=True)
class ReportBody:
    """What became of an order; see `OrderReport` in docs/WIRE.md.

    Give an `id` of your own, and a repeat changes nothing.
    """

    kind: ReportKind
    by: Person
    lines: Annotated[list[ReportLineBody], Field(max_length=5_000)] = field(default_factory=list)
    sscc: Annotated[str | None, Field(pattern="^[0-9]{18}$")] = None
    id: Annotated[str | None, Field(min_length=1, max_length=64)] = None


REPORT_BODY: Final = {
    "kind": "shipped",
    "by": "c.petit",
    "sscc": "004000000000000176",
    "lines": [{"item": "P-0042", "qty": 8}],
}


@router.get("", response_model=Orders, responses={200: {"content": AS_CSV}})
async def list_orders(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    state: OrderState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    form: Form = "json",
    bom: Bom = False,
) -> Orders | Response:
    """Return orders, latest cut-off first. A van that does not exist is a 404."""
    await checked_codes(conn, organisation, van=van)
    if form == "csv":
        every = orders.asked(organisation, CSV_ROWS_MAX + 1, van=van, state=state)
        rows = streamed(conn, every)
        return await csv_answer("orders", today(now_ms), Order, rows, bom=bom)
    return Orders(await orders.of_organisation(conn, organisation, limit, van=van, state=state))


@router.get("/{code}")
async def one_order(
    conn: Conn, who: Asker, organisation: Organisation, code: OrderCode
) -> OrderWithLines:
    """Return an order with its lines, the frozen inputs of each, and what was reported of it."""
    order = await order_of(conn, organisation, code)
    if not who.reaches(order.van):
        raise Problem(404, "order_not_found", f"There is no order {code!r}.")
    return OrderWithLines(
        order,
        await orders.lines(conn, organisation, code),
        await orders.reports(conn, organisation, code),
    )


@router.post("/{code}/approval")
async def approve(
    conn: Conn, organisation: Organisation, code: OrderCode, body: ApprovalBody
) -> Order:
    """Approve an order that waits for it; it is sent within a second or two."""
    await order_of(conn, organisation, code)
    if not await commands.approve_order(conn, organisation, code, body.by):
        order = await order_of(conn, organisation, code)
        raise Problem(409, "order_not_waiting", f"It is {order.state}; nobody has to approve it.")
    return await order_of(conn, organisation, code)


@router.post("/{code}/reports", status_code=202)
async def report(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    once: OnceOnly,
    code: OrderCode,
    body: Annotated[ReportBody, Body(openapi_examples={"shipped": {"value": REPORT_BODY}})],
) -> ReportTaken:
    """Say what became of an order, as the warehouse would by MQTT.

    It goes the way of all reports, and the order shows it within a second or two. What is plainly
    wrong is refused here; the rest, such as a check digit, is found among the rejected messages.
    """
    order = await order_of(conn, organisation, code)
    if body.kind in {"picked", "short", "shipped"} and not body.lines:
        raise Problem(422, "unusable_report", f"A report of what is {body.kind} needs lines.")
    boxed = body.kind in {"shipped", "delivered"}
    if body.sscc is not None and not (boxed and is_sscc(body.sscc)):
        detail = "Only what is shipped or delivered has an SSCC; its last digit is a check digit."
        raise Problem(422, "unusable_report", detail)
    if body.sscc is None and body.kind == "delivered":
        raise Problem(422, "unusable_report", "Name the box that was delivered, by its SSCC.")
    known = {line.item for line in await orders.lines(conn, organisation, code)}
    if unknown := sorted({line.item for line in body.lines} - known):
        raise Problem(422, "unusable_report", f"{', '.join(unknown)} is not on this order.")
    said_id = body.id or uuid.uuid4().hex
    said: dict[str, object] = {
        "id": said_id,
        "t": now_ms,
        "order": code,
        "kind": body.kind,
        "lines": [
            {
                "item": x.item,
                "qty": x.qty,
                "lot": x.lot,
                "reason": x.reason,
                "backorder": x.backorder,
            }
            for x in body.lines
        ],
        "sscc": body.sscc,
        "user": body.by,
    }

    async def publish() -> ReportTaken:
        await commands.publish_report(conn, order.warehouse, said, now_ms)
        return ReportTaken(said_id)

    return await once(ReportTaken, publish)


async def order_of(conn: Connection, organisation: OrganisationId, code: str) -> Order:
    """Return an order.

    Raises:
        Problem: The organisation has no such order.
    """
    match await orders.of_organisation(conn, organisation, 1, code=code):
        case [order]:
            return order
    raise Problem(404, "order_not_found", f"There is no order {code!r}.")
