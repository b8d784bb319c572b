"""Tours: what was planned for a day, and what became of it."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Final

from fastapi import APIRouter, Response

from api.answers import Tour, TourLine, Tours, TourSummary
from api.auth import Organisation
from api.formats import AS_CSV, Bom, Form, csv_answer
from api.problems import Problem
from api.queries import plans, vans
from api.resources import Conn, Now
from api.routes.parameters import Day, today, van_key
from api.routes.vans import VanCode

ETA: Final = {
    "early_at_ms": 1_795_166_400_000,
    "expected_at_ms": 1_795_167_000_000,
    "late_at_ms": 1_795_167_900_000,
    "chance_late": 0.31,
    "made_ms": 1_795_165_200_000,
}
NEXT_STOP: Final = {
    "tour": "T-2026-11-20-017",
    "stop_id": 4_711,
    "stop": 3,
    "site": "BAKERY",
    "site_name": "Bakery Dupont",
    "window_start_ms": 1_795_164_000_000,
    "window_end_ms": 1_795_167_600_000,
    "eta": ETA,
    "alert": "at_risk",
}
TOUR_EXAMPLE: Final = {
    "tour": "T-2026-11-20-017",
    "van": "van-017",
    "technician": "Ana Diaz",
    "date": "2026-11-20",
    "stops": [
        {
            "stop_id": 4_711,
            "stop": 3,
            "site": "BAKERY",
            "site_name": "Bakery Dupont",
            "window_start_ms": 1_795_164_000_000,
            "window_end_ms": 1_795_167_600_000,
            "planned_duration_s": 3_600,
            "planned_arrival_ms": 1_795_165_800_000,
            "work_order": "W-4711",
            "skill": "lift",
            "parts": {"FIL-20": 2},
            "outcome": "planned",
            "arrived_at_ms": None,
            "left_at_ms": None,
            "punctuality": None,
            "wrong_order": False,
            "overstayed": False,
            "eta": ETA,
        }
    ],
}
TOURS_EXAMPLE: Final = {
    "date": "2026-11-20",
    "tours": [
        {
            "tour": "T-2026-11-20-017",
            "van": "van-017",
            "technician": "Ana Diaz",
            "stops": 6,
            "planned": 4,
            "on_site": 0,
            "done": 2,
            "skipped": 0,
            "late": 1,
            "next_stop": NEXT_STOP,
            "timeline": [
                {
                    "stop_id": 4_711,
                    "stop": 3,
                    "site": "BAKERY",
                    "site_name": "Bakery Dupont",
                    "work_order": "W-4711",
                    "window_start_ms": 1_795_164_000_000,
                    "window_end_ms": 1_795_167_600_000,
                    "planned_arrival_ms": 1_795_165_800_000,
                    "planned_duration_s": 3_600,
                    "state": "en_route",
                    "eta": ETA,
                    "arrived_at_ms": None,
                    "left_at_ms": None,
                    "punctuality": None,
                    "alert": "at_risk",
                }
            ],
        }
    ],
}

router = APIRouter(prefix="/v1", tags=["tours"])


@router.get(
    "/tours",
    response_model=Tours,
    responses={200: {"content": {"application/json": {"example": TOURS_EXAMPLE}, **AS_CSV}}},
)
async def list_tours(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    day: Day = None,
    form: Form = "json",
    bom: Bom = False,
) -> Tours | Response:
    """Return every tour of a day, by van, each with its stops in order; today's without `date`.

    A CSV has a row for each stop.
    """
    present = today(now_ms)
    wanted = day or present
    states = await vans.states(conn, organisation, now_ms) if wanted == present else {}
    found = await plans.tours(conn, organisation, wanted, present, states)
    if form == "csv":
        return await csv_answer("tours", wanted, TourLine, _lines(wanted, found), bom=bom)
    return Tours(wanted.isoformat(), found)


async def _lines(day: date, found: list[TourSummary]) -> AsyncIterator[TourLine]:
    for tour in found:
        for at in tour.timeline:
            yield TourLine(
                day.isoformat(),
                tour.van,
                tour.technician,
                tour.tour,
                at.stop,
                at.site,
                at.site_name,
                at.work_order,
                at.window_start_ms,
                at.window_end_ms,
                at.planned_arrival_ms,
                at.planned_duration_s,
                at.state,
                at.eta,
                at.arrived_at_ms,
                at.left_at_ms,
                at.punctuality,
                at.alert,
            )


@router.get(
    "/vans/{van}/tour",
    responses={200: {"content": {"application/json": {"example": TOUR_EXAMPLE}}}},
)
async def van_tour(
    conn: Conn, organisation: Organisation, now_ms: Now, van: VanCode, day: Day = None
) -> Tour:
    """Return a van's tour of a day with its stops in the planned order; today's without `date`.

    A stop is *planned*, *on_site* while its visit lasts, *done*, or *skipped* once its van has been
    at a later one. Stops ahead have an ETA, as far as one could be made. A van without a tour that
    day is a 404.
    """
    await van_key(conn, organisation, van)
    present = today(now_ms)
    wanted = day or present
    found = await plans.tour(conn, organisation, van, wanted, present)
    if found is None:
        raise Problem(404, "tour_not_found", f"Van {van!r} has no tour on {wanted}.")
    return found
