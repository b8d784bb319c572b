"""Who could take a stop at risk: proposals in words and figures. A person applies one, or none.

How one is applied says `replans.py`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query

from api.answers import LackingPart, OneSide, ProposedStop, StopProposal, StopProposals
from api.auth import Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import plans
from api.replans import Day, days_of, tag
from api.resources import Conn, Now
from api.routes.parameters import TimeMs
from geofence import replan, replan_store
from geofence.tours import service_date
from storage.pool import Connection

STOP_ID_MAX: Final = 2**31 - 1
HomeByMs = Annotated[
    TimeMs | None,
    Query(description="When all should be at home.", examples=[1_795_194_000_000]),
]

router = APIRouter(prefix="/v1/stops", tags=["stops"], dependencies=JUDGED)


@router.get("/{stop_id}/proposals")
async def stop_proposals(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    stop_id: Annotated[int, Path(ge=1, le=STOP_ID_MAX, examples=[11])],
    home_by_ms: HomeByMs = None,
) -> StopProposals:
    """Return who could do a stop that is not visited yet, best first; nothing is changed.

    Compared are the plan, a better order of its own van, and up to 30 vans with the skill, nearest
    and with most slack first. Fewer minutes late come first (an hour after `home_by_ms` at home
    weighs half an hour), then fewer parts missing on board, then less driving; of equals the plan.
    """
    # What is proposed and what it is based on are of one moment.
    await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    asked = await asked_stop(conn, organisation, now_ms, stop_id)
    days = await plans.days(conn, organisation, asked.service_date)
    question = await replan_store.load(conn, organisation, stop_id, asked, now_ms, home_by_ms)
    travel = await replan_store.travel(conn, now_ms, asked.time_zone)
    # The solver would hold up every other answer of this process.
    found = await asyncio.to_thread(
        replan.propose,
        question.giver,
        question.takers,
        question.job,
        travel,
        now_ms,
    )
    zone = ZoneInfo(asked.time_zone)
    return StopProposals(
        now_ms,
        stop_id,
        asked.tour,
        asked.position,
        asked.site,
        asked.site_name,
        asked.van,
        question.job.skill,
        [_told(question, proposal, zone, days) for proposal in found],
    )


async def asked_stop(
    conn: Connection, organisation: OrganisationId, now_ms: int, stop_id: int
) -> replan_store.AskedStop:
    """Return a stop that something can be done about still.

    Raises:
        Problem: There is none, or it was visited, or its day is over.
    """
    asked = await replan_store.find_stop(conn, organisation, stop_id)
    if asked is None:
        raise Problem(404, "stop_not_found", f"There is no stop {stop_id}.")
    if asked.is_visited:
        raise Problem(409, "stop_visited", "A van is there, or has been: nothing is left to give.")
    if asked.service_date < service_date(now_ms, asked.time_zone):
        raise Problem(409, "stop_over", f"Its day was {asked.service_date}: plan it anew.")
    return asked


def _told(
    question: replan_store.Question,
    one: replan.Proposal,
    zone: ZoneInfo,
    days: Mapping[str, Day],
) -> StopProposal:
    van, giver = question.vans[one.van_id], question.vans[question.giver.van_id]
    missing = [
        LackingPart(question.items[item].ref, question.items[item].name, qty)
        for item, qty in one.missing.items()
    ]
    missing.sort(key=lambda part: part.item)
    order = [question.stops[stop_id] for stop_id in one.order]
    return StopProposal(
        kind=one.kind,
        words=" ".join(_words(question, one, missing, zone)),
        van=van.code,
        technician=van.technician,
        expected_before_ms=one.expected_before_at,
        expected_ms=one.expected_at,
        late_before_min=_minutes(one.late_before_s),
        late_min=_minutes(one.late_s),
        weighted_min=_minutes(one.weighted_s),
        slack_min=_minutes(one.slack_s),
        giver=_one_side(one.giver),
        taker=_one_side(one.taker) if one.kind == "move" else None,
        missing=missing,
        reordered=one.reordered,
        order=[ProposedStop(s.stop_id, s.position, s.site, s.site_name) for s in order],
        based_on=tag(days_of(days[giver.code], days[van.code])),
    )


def _one_side(side: replan.Side) -> OneSide:
    return OneSide(
        _minutes(side.gained_s),
        _minutes(side.lost_s),
        _minutes(side.overtime_before_s),
        _minutes(side.overtime_s),
        _minutes(side.drive_s),
        round(side.road_m / 1_000, 1),
    )


def _words(
    question: replan_store.Question,
    one: replan.Proposal,
    missing: list[LackingPart],
    zone: ZoneInfo,
) -> Iterator[str]:
    """Yield the sentences that tell a proposal; what does not change is not told."""
    van, giver = question.vans[one.van_id], question.vans[question.giver.van_id].code
    who = f"{van.code} ({van.technician})" if van.technician else van.code
    then = _there(one.expected_at, one.late_s, zone)
    before = _there(one.expected_before_at, one.late_before_s, zone)
    match one.kind:
        case "keep":
            yield f"Keep it with {who}: {then}."
        case "reorder":
            yield f"Keep it with {who}, in another order: {then}; as planned {before}."
        case "move":
            yield f"Give it to {who}: {then}; {giver} would be {before}."
    sides = [(giver, one.giver)] + ([(van.code, one.taker)] if one.kind == "move" else [])
    changes = [
        f"the other stops of {code} {' and '.join(said)}"
        for code, side in sides
        if (said := list(_gains(side)))
    ]
    if changes:
        told = "; ".join(changes)
        yield f"{told[0].upper()}{told[1:]}."
    own = one.taker if one.kind == "move" else one.giver
    if _minutes(own.drive_s):
        more = "more" if own.drive_s > 0 else "less"
        km = abs(own.road_m) / 1_000
        yield f"{van.code} drives {abs(_minutes(own.drive_s))} min ({km:.1f} km) {more}."
    for code, side in sides:
        if _minutes(side.overtime_s):
            yield f"{code} is at home {_minutes(side.overtime_s)} min late."
    if one.reordered and one.kind == "move":
        yield f"The other stops of {van.code} change places."
    if missing:
        listed = ", ".join(f"{part.qty} x {part.item}" for part in missing)
        yield f"Not free on board: {listed}."


def _gains(side: replan.Side) -> Iterator[str]:
    if _minutes(side.gained_s):
        yield f"gain {_minutes(side.gained_s)} min"
    if _minutes(side.lost_s):
        yield f"lose {_minutes(side.lost_s)} min"


def _there(at_ms: int, late_s: int, zone: ZoneInfo) -> str:
    local = datetime.fromtimestamp(at_ms / 1_000, UTC).astimezone(zone)
    late = f"{_minutes(late_s)} min late" if _minutes(late_s) else "in time"
    return f"there at {local:%H:%M}, {late}"


def _minutes(seconds: float) -> int:
    return round(seconds / 60)
