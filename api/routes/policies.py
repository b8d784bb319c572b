"""What van templates should hold by demand, and the decision to let them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field, with_config

from api import commands, limits
from api.answers import AcceptedPolicy, PolicyProposals
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import policies
from api.resources import Conn
from api.routes.parameters import Limit

Template = Annotated[limits.Code, Path(description="The template's code.", examples=["HVAC"])]


@with_config(limits.exact({"items": ["FIL-20"]}))
@dataclass(frozen=True, slots=True)
class AcceptanceBody:
    """The items whose proposals are accepted; null for all."""

    items: Annotated[list[limits.Code] | None, Field(max_length=5_000)] = None


router = APIRouter(prefix="/v1/templates", tags=["resupply"], dependencies=JUDGED)


@router.get("/proposals")
async def list_policy_proposals(
    conn: Conn,
    template: Annotated[limits.Code | None, Query(examples=["HVAC"])] = None,
    limit: Limit = 500,
) -> PolicyProposals:
    """Return template lines that demand wants otherwise, and why; `cordee stock propose` makes them."""
    found = await policies.proposed(conn, limit + 1, template=template)
    return PolicyProposals(found[:limit], truncated=len(found) > limit)


@router.post("/{template}/acceptance")
async def accept_policy(conn: Conn, template: Template, body: AcceptanceBody) -> AcceptedPolicy:
    """Make what is proposed the policy of a template, all of it or some items; its vans follow at once."""
    items = None if body.items is None else tuple(body.items)
    changed = await commands.accept_policy(conn, template, items)
    if not changed:
        raise Problem(404, "proposal_not_found", f"Nothing of that is proposed for {template!r}.")
    return AcceptedPolicy(changed)
