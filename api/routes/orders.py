"""Resupply orders: why each line is on them, who approves them, what the warehouse reports."""

import uuid
from dataclasses import asdict, dataclass, field
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field, with_config

from api import commands, limits
from api.answers import Order, Orders, OrderState, OrderWithLines, ReportTaken
from api.auth import Asker, Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.once import OnceOnly
from api.problems import Problem
from api.queries import orders
from api.resources import Conn, Now
from api.routes.parameters import NoBody, OwnVan, at_most, checked_codes
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from stock_tracker.barcodes import is_sscc
from storage.pool import Connection

router = APIRouter(prefix="/v1/orders", tags=["orders"], dependencies=JUDGED)

OrderCode = Annotated[limits.Name, Path(description="The order's code.", examples=["O-1"])]


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True)
class ReportLineBody:
    """Base units of one item that were picked, shipped, found short or cancelled."""

    item: limits.Name
    qty: Annotated[int, Field(ge=1, le=1_000_000), limits.NUMBER]
    lot: limits.Name | None = None
    reason: limits.Name | None = None
    backorder: Annotated[
        limits.Yes, Field(description="Whether what is short will still come.")
    ] = True


Lines = Annotated[list[ReportLineBody], Field(max_length=5_000)]
SomeLines = Annotated[list[ReportLineBody], Field(min_length=1, max_length=5_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReportBody:
    """What became of an order; see `OrderReport` in docs/WIRE.md. Who says so is who is signed in.

    Give an `id` of your own, and a repeat changes nothing.
    """

    id: Annotated[limits.Name | None, Field(max_length=64)] = None


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredBody(_ReportBody):
    """The warehouse takes the order, or does not: all of it, or what its lines say."""

    kind: Literal["accepted", "cancelled"]
    lines: Lines = field(default_factory=list)


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class PickedBody(_ReportBody):
    """What has been picked by now, or is not there."""

    kind: Literal["picked", "short"]
    lines: SomeLines


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedBody(_ReportBody):
    """What is in one box, and its number if it has one."""

    kind: Literal["shipped"]
    lines: SomeLines
    sscc: limits.Sscc | None = None


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredBody(_ReportBody):
    """A box was left at a home or a site."""

    kind: Literal["delivered"]
    lines: Lines = field(default_factory=list)
    sscc: limits.Sscc


ReportBody = Annotated[
    AnsweredBody | PickedBody | ShippedBody | DeliveredBody, Field(discriminator="kind")
]

REPORT_BODIES: Final = {
    "accepted": {"value": {"kind": "accepted"}},
    "short": {
        "value": {
            "kind": "short",
            "id": "WH-5512",
            "lines": [{"item": "FIL-20", "qty": 2, "reason": "damaged", "backorder": False}],
        }
    },
    "shipped": {
        "value": {
            "kind": "shipped",
            "sscc": "004000000000000176",
            "lines": [{"item": "FIL-20", "qty": 4, "lot": "L7"}],
        }
    },
    "delivered": {"value": {"kind": "delivered", "sscc": "004000000000000176"}},
}


@router.get("", response_model=Orders, responses={200: {"content": AS_CSV}})
async def list_orders(
    conn: Conn,
    organisation: Organisation,
    *,
    van: OwnVan,
    state: Annotated[OrderState | None, Query(examples=["sent"])] = None,
    limit: Annotated[int, at_most(500)] = 100,
    sheet: AsSpreadsheet,
) -> Orders | Response:
    """Return orders, latest cut-off first. A van that does not exist is a 404."""
    await checked_codes(conn, organisation, van=van)
    most = rows_of(sheet, limit)
    found = await orders.of_organisation(conn, organisation, most, van=van, state=state)
    if sheet is not None:
        return await sheet.of("orders", Order, found)
    total = len(found)
    if total == limit:
        total = max(total, await orders.count_of(conn, organisation, van=van, state=state))
    return Orders(found, total)


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
async def approve(conn: Conn, who: Asker, code: OrderCode, _: NoBody = None) -> Order:
    """Approve an order that waits for it; it is sent within a second or two."""
    await order_of(conn, who.organisation, code)
    if not await commands.approve_order(conn, who, code):
        order = await order_of(conn, who.organisation, code)
        raise Problem(409, "order_not_waiting", f"It is {order.state}; nobody has to approve it.")
    return await order_of(conn, who.organisation, code)


@router.post("/{code}/reports", status_code=202)
async def report(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    once: OnceOnly,
    code: OrderCode,
    body: Annotated[ReportBody, Body(openapi_examples=REPORT_BODIES)],
) -> ReportTaken:
    """Say what became of an order, as the warehouse would by MQTT.

    It goes the way of all reports, and the order shows it within a second or two. An item that is not on
    the order is a 404.
    """
    order = await order_of(conn, who.organisation, code)
    box = body.sscc if isinstance(body, ShippedBody | DeliveredBody) else None
    if box is not None and not is_sscc(box):
        raise Problem(422, "unusable_report", "The last digit of sscc is not its check digit.")
    known = {line.item for line in await orders.lines(conn, who.organisation, code)}
    if unknown := sorted({line.item for line in body.lines} - known):
        raise Problem(404, "unusable_report", f"{', '.join(unknown)} is not on this order.")
    said_id = body.id or uuid.uuid4().hex
    said: dict[str, object] = {
        "id": said_id,
        "t": now_ms,
        "order": code,
        "kind": body.kind,
        "lines": [asdict(line) for line in body.lines],
        "sscc": box,
    }

    async def publish() -> ReportTaken:
        if not await commands.publish_report(conn, who, order.warehouse, said_id, said, now_ms):
            detail = f"Another report was posted as {said_id!r}: give this one an id of its own."
            raise Problem(409, "report_id_taken", detail)
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
