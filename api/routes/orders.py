"""Resupply orders, and why each line is on them."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from api.answers import Orders, OrderState, OrderWithLines
from api.auth import Organisation
from api.problems import Problem
from api.queries import orders
from api.resources import Conn
from api.routes.parameters import Code, checked_codes

router = APIRouter(prefix="/v1/orders", tags=["orders"])


@router.get("")
async def list_orders(
    conn: Conn,
    organisation: Organisation,
    van: Code = None,
    state: OrderState | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> Orders:
    """Return orders, latest cut-off first. A van that does not exist is a 404."""
    await checked_codes(conn, organisation, van=van)
    return Orders(await orders.of_organisation(conn, organisation, limit, van=van, state=state))


@router.get("/{code}")
async def one_order(
    conn: Conn, organisation: Organisation, code: Annotated[str, Path(max_length=200)]
) -> OrderWithLines:
    """Return an order with its lines and the frozen inputs of each."""
    match await orders.of_organisation(conn, organisation, 1, code=code):
        case [order]:
            lines = await orders.lines(conn, organisation, code)
            return OrderWithLines(order, lines)
    raise Problem(404, "order_not_found", f"There is no order {code!r}.")
