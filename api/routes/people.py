"""People of the own organisation: who can be given something to do."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query

from api.answers import People
from api.auth import Organisation
from api.queries import people
from api.resources import Conn
from api.roles import PLAN

PEOPLE_EXAMPLE: Final = {"people": [{"login": "ana", "name": "Ana Diaz"}]}

router = APIRouter(prefix="/v1/people", tags=["people"])


@router.get("", responses={200: {"content": {"application/json": {"example": PEOPLE_EXAMPLE}}}})
async def list_people(
    conn: Conn,
    organisation: Organisation,
    can: Annotated[Literal["plan"], Query(description="plan: may own an alert.")],
) -> People:
    """Return the people who can do something, by name."""
    return People(await people.with_roles(conn, organisation, {"plan": PLAN}[can]))
