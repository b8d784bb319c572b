"""Who could take a stop at risk: proposals in words and figures. A person applies one, or none.

How one is applied says `replans.py`.
"""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path

from api.auth import Organisation, OrganisationId
from api.problems import Problem
from api.queries import plans
from api.replans import Day, days_of, tag
from api.resources import Conn, Now
from api.routes.parameters import TimeMs
from geofence import replan, replan_store
from geofence.tours import service_date
from storage.pool import Connection

STOP_ID_MAX: Final = 2**31 - 1

router = APIRouter(prefix="/v1/stops", tags=["stops"])


@dataclass(frozen=True, slots=True)
class ProposedStop:
    """A stop of the proposed order; `stop` is its place in the tour as planned."""

    stop_id: int
    stop: int
    site: str
    site_name: str


@dataclass(frozen=True, slots=True)
class LackingPart:
    """What is not on board, or needed there by other stops, in base units."""

    item: str
    name: str
    qty: int


@dataclass(frozen=True, slots=True)
class OneSide:
    """What happens to one van: minutes late of its other stops, overtime, driving (less if < 0)."""

    gained_min: int
    lost_min: int
    overtime_before_min: int
    overtime_min: int
    extra_drive_min: int
    extra_km: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """One way to do the stop; `giver` is the van that has it, `taker` the one that would.

    `keep` is the plan, `reorder` the same van at another time, `move` another van. `weighted_min`
    is what all minutes late and half of overtime change by: below zero is better than the plan.
    `POST /v1/replans` carries it out, as long as the plans are those that it is `based_on`.
    """

    kind: replan.Kind
    words: str
    van: str
    technician: str | None
    expected_before_ms: int
    expected_ms: int
    late_before_min: int
    late_min: int
    weighted_min: int
    slack_min: int
    giver: OneSide
    taker: OneSide | None
    missing: list[LackingPart]
    reordered: bool
    order: list[ProposedStop]
    based_on: str


@dataclass(frozen=True, slots=True)
class Proposals:
    """What could be done about a stop, best first; `van` has it now. The plan is always among it."""

    now_ms: int
    stop_id: int
    tour: str
    stop: int
    site: str
    site_name: str
    van: str
    skill: str | None
    proposals: list[Proposal]


def _example_side(gained: int, lost: int, drive: int, km: float) -> dict[str, Any]:
    return {
        "gained_min": gained,
        "lost_min": lost,
        "overtime_before_min": 0,
        "overtime_min": 0,
        "extra_drive_min": drive,
        "extra_km": km,
    }


EXAMPLE: Final = {
    "now_ms": 1_795_165_200_000,
    "stop_id": 4711,
    "tour": "T-2026-11-20-V1",
    "stop": 3,
    "site": "BAKERY",
    "site_name": "Bakery",
    "van": "V1",
    "skill": "lift",
    "proposals": [
        {
            "kind": "move",
            "words": "Give it to V2 (Bo): there at 10:25, in time; V1 would be there at 11:05, 35 min"
            " late. The other stops of V1 gain 20 min; those of V2 lose 5 min. V2 drives 12 min"
            " (9.4 km) more. Not free on board: 1 x FIL-20.",
            "van": "V2",
            "technician": "Bo",
            "expected_before_ms": 1_795_169_100_000,
            "expected_ms": 1_795_166_700_000,
            "late_before_min": 35,
            "late_min": 0,
            "weighted_min": -50,
            "slack_min": -5,
            "giver": _example_side(20, 0, -18, -14.2),
            "taker": _example_side(0, 5, 12, 9.4),
            "missing": [{"item": "FIL-20", "name": "Filter 20", "qty": 1}],
            "reordered": False,
            "order": [{"stop_id": 4711, "stop": 3, "site": "BAKERY", "site_name": "Bakery"}],
            "based_on": "6fd8e5f5c1f0a1d2b3c4d5e6",
        },
        {
            "kind": "keep",
            "words": "Keep it with V1 (Ana): there at 11:05, 35 min late.",
            "van": "V1",
            "technician": "Ana",
            "expected_before_ms": 1_795_169_100_000,
            "expected_ms": 1_795_169_100_000,
            "late_before_min": 35,
            "late_min": 35,
            "weighted_min": 0,
            "slack_min": -55,
            "giver": _example_side(0, 0, 0, 0.0),
            "taker": None,
            "missing": [],
            "reordered": False,
            "order": [{"stop_id": 4711, "stop": 3, "site": "BAKERY", "site_name": "Bakery"}],
            "based_on": "0a1b2c3d4e5f60718293a4b5",
        },
    ],
}


@router.get(
    "/{stop_id}/proposals",
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def stop_proposals(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    stop_id: Annotated[int, Path(ge=1, le=STOP_ID_MAX)],
    home_by_ms: TimeMs = None,
) -> Proposals:
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
    return Proposals(
        now_ms,
        stop_id,
        asked.tour,
        asked.position,
        asked.site,
        asked.site_name,
        asked.van,
        question.job.skill,
        [_told(question, proposal, ZoneInfo(asked.time_zone), days) for proposal in found],
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
) -> Proposal:
    van, giver = question.vans[one.van_id], question.vans[question.giver.van_id]
    missing = [
        LackingPart(question.items[item].ref, question.items[item].name, qty)
        for item, qty in one.missing.items()
    ]
    missing.sort(key=lambda part: part.item)
    order = [question.stops[stop_id] for stop_id in one.order]
    return Proposal(
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
