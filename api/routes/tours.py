"""Tours: what was planned for a day, and what became of it."""

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import Any

from fastapi import APIRouter, Response

from api.answers import TimelineStop, Tour, Tours, TourSummary
from api.auth import Organisation
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import plans, vans
from api.resources import Conn, Now
from api.routes.parameters import Day, VanCode, today, van_key
from api.spreadsheets import AS_CSV, AsSpreadsheet

router = APIRouter(prefix="/v1", tags=["tours"], dependencies=JUDGED)


@dataclass(frozen=True)
class _OfTour:
    """Whose a stop is."""

    date: str
    van: str
    technician: str | None
    tour: str


@dataclass(frozen=True)
class TourLine(TimelineStop, _OfTour):
    """A stop on a line of a CSV."""


def _line(day: date, tour: TourSummary, stop: TimelineStop) -> TourLine:
    told: dict[str, Any] = {it.name: getattr(stop, it.name) for it in fields(stop)}
    return TourLine(day.isoformat(), tour.van, tour.technician, tour.tour, **told)


@router.get("/tours", response_model=Tours, responses={200: {"content": AS_CSV}})
async def list_tours(
    conn: Conn, organisation: Organisation, now_ms: Now, *, day: Day = None, sheet: AsSpreadsheet
) -> Tours | Response:
    """Return every tour of a day, by van, each with its stops in order; today's without `date`.

    A CSV has a row for each stop.
    """
    present = today(now_ms)
    wanted = day or present
    states = await vans.states(conn, organisation, now_ms) if wanted == present else {}
    found = await plans.tours(conn, organisation, wanted, present, states)
    if sheet is not None:
        lines = [_line(wanted, tour, stop) for tour in found for stop in tour.timeline]
        return await replace(sheet, day=wanted).of("tours", TourLine, lines)
    return Tours(wanted.isoformat(), found)


@router.get("/vans/{van}/tour")
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
