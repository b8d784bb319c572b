"""Tours: what was planned for a day, and what became of it."""

from fastapi import APIRouter

from api.answers import Tour, Tours
from api.auth import Organisation
from api.problems import Problem
from api.queries import plans, vans
from api.resources import Conn, Now
from api.routes.parameters import Day, VanCode, today, van_key

router = APIRouter(prefix="/v1", tags=["tours"])


@router.get("/tours")
async def list_tours(conn: Conn, organisation: Organisation, now_ms: Now, day: Day = None) -> Tours:
    """Return every tour of a day, by van, each with its stops in order; today's without `date`."""
    present = today(now_ms)
    wanted = day or present
    states = await vans.states(conn, organisation, now_ms) if wanted == present else {}
    return Tours(wanted.isoformat(), await plans.tours(conn, organisation, wanted, present, states))


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
