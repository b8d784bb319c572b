"""People of the own organisation: who can be given something to do."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.answers import People
from api.auth import Organisation
from api.doorkeeper import JUDGED
from api.queries import people
from api.resources import Conn
from api.roles import PLAN

router = APIRouter(prefix="/v1/people", tags=["people"], dependencies=JUDGED)


@router.get("")
async def list_people(
    conn: Conn,
    organisation: Organisation,
    can: Annotated[
        Literal["plan"], Query(description="plan: may own an alert.", examples=["plan"])
    ],
) -> People:
    """Return the people who can do something, by name."""
    return People(await people.with_roles(conn, organisation, {"plan": PLAN}[can]))
