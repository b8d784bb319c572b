"""One field to find anything by: vans, technicians, sites, items, orders."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from api import limits
from api.answers import Found
from api.auth import Asker
from api.doorkeeper import JUDGED
from api.queries import search
from api.resources import Conn
from api.roles import Role

Kind = Literal["vans", "technicians", "sites", "items", "orders"]
ALL: Final = frozenset[Kind]({"vans", "technicians", "sites", "items", "orders"})

#: What each role is shown; the rest stays empty. A technician's vans and orders are the own.
KINDS: Final[dict[Role, frozenset[Kind]]] = {
    "planner": ALL,
    "admin": ALL,
    "warehouse": frozenset({"vans", "items", "orders"}),
    "technician": frozenset({"vans", "items", "orders"}),
    "ops": frozenset({"vans"}),
    "client": frozenset(),
}

router = APIRouter(prefix="/v1/search", tags=["search"], dependencies=JUDGED)


@router.get("")
async def find(
    conn: Conn,
    who: Asker,
    q: Annotated[
        str,
        Query(
            min_length=1,
            max_length=100,
            pattern=limits.NO_NUL,
            description="Words, or parts of words.",
            examples=["dup"],
        ),
    ],
) -> Found:
    """Return what has all these words in its code or name, the best first, 8 of a kind at most.

    Accents, case and punctuation do not matter. Of an item also a barcode counts, of a site its town. Which kinds
    there are depends on the role.
    """
    kinds = KINDS[who.role]
    only = who.vans if who.role == "technician" else None
    sought = await search.words(conn, q)
    if sought is None:
        return Found(q, [], [], [], [], [])
    mine = who.organisation
    return Found(
        q,
        await search.vans(conn, mine, sought, only) if "vans" in kinds else [],
        await search.technicians(conn, mine, sought) if "technicians" in kinds else [],
        await search.sites(conn, mine, sought) if "sites" in kinds else [],
        await search.items(conn, sought) if "items" in kinds else [],
        await search.orders(conn, mine, sought, only) if "orders" in kinds else [],
    )
