"""Proposals that a person carries out, and takes back. Who could take a stop says `replan.py`."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Body, Path
from pydantic import Field, with_config

from api import commands, limits
from api.answers import Replan, Replans
from api.auth import Asker, Organisation, OrganisationId
from api.commands import BusyError, ChangedError, GoneOnError, IncompleteError, RefusedError
from api.doorkeeper import JUDGED
from api.once import OnceOnly
from api.problems import Problem
from api.queries import replans
from api.replans import Wanted
from api.resources import Conn, Now
from api.routes.edits import busy, refusal
from api.routes.parameters import ID_MAX, Day, checked_codes, today
from api.routes.replan import STOP_ID_MAX, asked_stop
from geofence.imports.tours import STOPS_MAX
from storage.pool import Connection

router = APIRouter(prefix="/v1/replans", tags=["stops"], dependencies=JUDGED)
ReplanId = Annotated[int, Path(ge=1, le=ID_MAX, examples=[1])]
StopId = Annotated[int, Field(ge=1, le=STOP_ID_MAX), limits.NUMBER]


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True)
class ReplanBody:
    """A proposal, as `GET /v1/stops/{stop_id}/proposals` told it; `order` are the ids of its stops."""

    stop_id: StopId
    kind: Literal["reorder", "move"]
    van: Annotated[limits.Code, Field(description="Whose order it is from then on.")]
    order: Annotated[list[StopId], Field(min_length=1, max_length=STOPS_MAX)]
    based_on: Annotated[limits.Text, Field(max_length=64)]


REPLAN_BODY: Final = {
    "stop_id": 11,
    "kind": "move",
    "van": "V2",
    "order": [11],
    "based_on": "6fd8e5f5c1f0a1d2b3c4d5e6",
}


@router.get("")
async def list_replans(
    conn: Conn, organisation: Organisation, now_ms: Now, day: Day = None
) -> Replans:
    """Return what was replanned of a day's tours, newest first; today's without `date`."""
    wanted = day or today(now_ms)
    return Replans(wanted.isoformat(), await replans.of_day(conn, organisation, wanted))


@router.post("", status_code=201)
async def apply_replan(
    conn: Conn,
    who: Asker,
    now_ms: Now,
    once: OnceOnly,
    body: Annotated[ReplanBody, Body(openapi_examples={"move": {"value": REPLAN_BODY}})],
) -> Replan:
    """Carry out a proposal: one edit of both tours, as `PUT /v1/tours` would make it.

    If a plan has changed since the proposal was made, or a van has reached a stop, the answer is 412
    `plan_moved`: ask for proposals again. The stops of the giver keep their places; with its last stop
    its tour goes, and a taker without a tour gets one.
    """
    return await once(Replan, lambda: _applied(conn, who.organisation, now_ms, who.account, body))


async def _applied(
    conn: Connection, organisation: OrganisationId, now_ms: int, by: str, body: ReplanBody
) -> Replan:
    asked = await asked_stop(conn, organisation, now_ms, body.stop_id)
    await checked_codes(conn, organisation, van=body.van)
    if (body.kind == "reorder") != (body.van == asked.van):
        detail = f"{asked.van!r} has the stop: reorder is for that van, move for another."
        raise Problem(409, "unusable_replan", detail)
    wanted = Wanted(
        asked.service_date, asked.van, body.van, body.stop_id, tuple(body.order), body.based_on
    )
    try:
        replan_id = await commands.apply_replan(conn, organisation, wanted, by, now_ms)
    except ChangedError:
        detail = "A plan was edited, or a stop reached, since this was proposed: ask again."
        raise Problem(412, "plan_moved", detail) from None
    except IncompleteError:
        detail = f"order must name each stop that {body.van!r} has ahead once, and {body.stop_id}."
        raise Problem(409, "unusable_replan", detail) from None
    except RefusedError as refused:
        raise refusal("unusable_tour", "the tours", refused.bad, "body.order.{}") from None
    except BusyError:
        raise busy() from None
    return await _replan(conn, organisation, replan_id)


@router.post("/{replan_id}/undo")
async def undo_replan(
    conn: Conn, who: Asker, now_ms: Now, once: OnceOnly, replan_id: ReplanId
) -> Replan:
    """Make the tours what they were before a replan, if nobody has edited them since.

    Else the answer is 409 `replan_gone_on`, whose `errors` name the tours. A stop that its new van has
    reached cannot be taken back either.
    """
    return await once(
        Replan, lambda: _undone(conn, who.organisation, now_ms, who.account, replan_id)
    )


async def _undone(
    conn: Connection, organisation: OrganisationId, now_ms: int, by: str, replan_id: int
) -> Replan:
    try:
        await commands.undo_replan(conn, organisation, replan_id, by, now_ms)
    except GoneOnError as gone:
        errors = [{"where": tour, "message": "edited since"} for tour in gone.tours]
        raise Problem(409, "replan_gone_on", str(gone), errors) from None
    except RefusedError as refused:
        raise refusal("unusable_tour", "the tours", refused.bad, "stop {}") from None
    except BusyError:
        raise busy() from None
    return await _replan(conn, organisation, replan_id)


async def _replan(conn: Connection, organisation: OrganisationId, replan_id: int) -> Replan:
    found = await replans.one(conn, organisation, replan_id)
    if found is None:
        raise Problem(404, "replan_not_found", f"There is no replan {replan_id}.")
    return found
