"""The warehouse's papers: what to pick, and the labels of boxes and bins, in the reader's language.

A page is set in a thread of its own, so that nothing else waits for it.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Path
from fastapi.responses import Response

from api import commands, limits
from api.answers import NewBox
from api.auth import Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.once import OnceOnly
from api.problems import Problem
from api.queries import papers
from api.resources import Conn
from api.routes.orders import OrderCode
from api.routes.parameters import Reader
from stock_tracker.barcodes import is_sscc
from stock_tracker.papers import labels, pick_list
from stock_tracker.papers.labels import ShippingLabel
from storage.pool import Connection
from storage.words import ENGLISH, Words, words

It = TypeVar("It")
Responses = dict[int | str, dict[str, Any]]

PDF: Final = "application/pdf"
AS_PDF: Final[Responses] = {
    200: {
        "content": {PDF: {"schema": {"type": "string", "format": "binary"}}},
        "headers": {"Content-Language": {"schema": {"type": "string"}}},
    }
}
AS_CSV: Final[Responses] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}

router = APIRouter(prefix="/v1", tags=["papers"], dependencies=JUDGED)


@router.get("/orders/{code}/pick-list.pdf", response_class=Response, responses=AS_PDF)
async def pick_list_pdf(
    conn: Conn, organisation: Organisation, reader: Reader, code: OrderCode
) -> Response:
    """Return what is still to be picked of an order, as pages to print."""
    it = await papers.pick_list(conn, await _found(conn, organisation, code), reader)
    return await printed(pick_list.pick_list_pdf, it, reader)


@router.get("/orders/{code}/pick-list.csv", response_class=Response, responses=AS_CSV)
async def pick_list_csv(conn: Conn, organisation: Organisation, code: OrderCode) -> Response:
    """Return what is still to be picked of an order, as a table; in English, for programs."""
    it = await papers.pick_list(conn, await _found(conn, organisation, code), words(ENGLISH))
    return Response(pick_list.pick_list_csv(it), media_type="text/csv; charset=utf-8")


@router.post("/orders/{code}/boxes", status_code=201)
async def new_box(
    conn: Conn, organisation: Organisation, once: OnceOnly, code: OrderCode
) -> NewBox:
    """Return a number for a box of an order. None is given twice."""

    async def numbered() -> NewBox:
        number = await commands.number_box(conn, organisation, code)
        if number is None:
            raise Problem(404, "order_not_found", f"There is no order {code!r}.")
        return NewBox(number)

    return await once(NewBox, numbered)


@router.get("/orders/{code}/boxes/{sscc}.pdf", response_class=Response, responses=AS_PDF)
async def box_label(
    conn: Conn,
    organisation: Organisation,
    reader: Reader,
    code: OrderCode,
    sscc: Annotated[
        limits.Sscc, Path(description="The box's number.", examples=["004000000000000176"])
    ],
) -> Response:
    """Return the label of a box of an order."""
    if not is_sscc(sscc):
        detail = f"No box has the number {sscc}: its last digit is not its check digit."
        raise Problem(404, "box_not_found", detail)
    found = await _found(conn, organisation, code)
    label = ShippingLabel(
        sscc=sscc,
        order_code=found.order,
        destination=found.destination,
        ship_from=(found.warehouse,),
        ship_to=found.ship_to(reader),
        is_emergency=found.is_urgent,
    )
    return await printed(labels.sscc_label_pdf, label, reader)


@router.get("/warehouses/{code}/bin-labels.pdf", response_class=Response, responses=AS_PDF)
async def bin_labels(
    conn: Conn,
    organisation: Organisation,
    reader: Reader,
    code: Annotated[limits.Code, Path(description="The warehouse's code.", examples=["LYON"])],
) -> Response:
    """Return the labels of a warehouse's bins, 24 on a page."""
    found = await papers.bins(conn, organisation, code)
    if found is None:
        raise Problem(404, "warehouse_not_found", f"There is no warehouse {code!r}.")
    return await printed(labels.bin_labels_pdf, found, reader)


async def printed(pdf: Callable[[It, Words], bytes], it: It, reader: Words) -> Response:
    """Return a paper in the reader's words."""
    headers = {"Content-Language": reader.language, "Vary": "Accept-Language"}
    return Response(await asyncio.to_thread(pdf, it, reader), media_type=PDF, headers=headers)


async def _found(conn: Connection, organisation: OrganisationId, code: str) -> papers.Found:
    found = await papers.find(conn, organisation, code)
    if found is None:
        raise Problem(404, "order_not_found", f"There is no order {code!r}.")
    return found
