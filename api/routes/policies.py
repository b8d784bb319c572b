"""What van templates should hold by demand, and the decision to let them."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from api import commands
from api.answers import AcceptedPolicy, PolicyProposals
from api.problems import Problem
from api.queries import policies
from api.resources import Conn
from api.routes.parameters import STRICT, Code

ROWS_MAX: Final = 5_000

Reference = Annotated[str, Field(min_length=1, max_length=64)]


@dataclass(frozen=True, slots=True)
class AcceptanceBody:
    """The items whose proposals are accepted; null for all."""

    __pydantic_config__ = STRICT
    items: Annotated[list[Reference] | None, Field(max_length=5_000)] = None


router = APIRouter(prefix="/v1/templates", tags=["resupply"])


@router.get("/proposals")
async def list_policy_proposals(
    conn: Conn,
    template: Code = None,
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 500,
) -> PolicyProposals:
    """Return template lines that demand wants otherwise, and why; `cordee stock propose` makes them."""
    found = await policies.proposed(conn, limit + 1, template=template)
    return PolicyProposals(found[:limit], truncated=len(found) > limit)


@router.post("/{template}/acceptance")
async def accept_policy(
    conn: Conn, template: Annotated[str, Path(max_length=200)], body: AcceptanceBody
) -> AcceptedPolicy:
    """Make what is proposed the policy of a template, all of it or some items; its vans follow at once."""
    items = None if body.items is None else tuple(body.items)
    changed = await commands.accept_policy(conn, template, items)
    if not changed:
        raise Problem(404, "proposal_not_found", f"Nothing of that is proposed for {template!r}.")
    return AcceptedPolicy(changed)
