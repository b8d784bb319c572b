"""How vans moved: trips and halts, and the fixes that could not be used."""

from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter

from api.answers import Legs, Unusable
from api.auth import Asker, Organisation
from api.doorkeeper import JUDGED
from api.queries import ways
from api.resources import Conn, Held, Now
from api.routes.parameters import (
    FromMs,
    ToMs,
    VanCode,
    checked_span,
    today,
    van_key,
    working_day,
)
from storage.settings import as_datetime, as_ms

UNUSABLE_SPAN: Final = timedelta(days=1)

router = APIRouter(prefix="/v1", tags=["ways"], dependencies=JUDGED)


@router.get("/vans/{van}/legs")
async def van_legs(
    conn: Conn,
    held: Held,
    who: Asker,
    organisation: Organisation,
    now_ms: Now,
    van: VanCode,
    *,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
) -> Legs:
    """Return a van's legs with `from_ms` ≤ start < `to_ms`, and their sums by working day.

    Without bounds, those of today's working day; a range may be 31 days long. A leg counts whole on
    the day on which it began: the halt of a night on the evening before.
    """
    since, until = checked_span(from_ms, to_ms, working_day(today(now_ms)))
    key = await van_key(conn, organisation, van)
    held.access_log.note(who, "track", [van], datetime.now(UTC))
    found = await ways.legs(conn, key, since, until)
    return Legs(van, as_ms(since), as_ms(until), found, ways.by_day(found))


@router.get("/fixes/unusable")
async def unusable(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
) -> Unusable:
    """Return how many fixes were kept but not used, or refused as `future` or `ancient`, and why.

    Of `from_ms` ≤ time < `to_ms`; without bounds of the last 24 hours. `api/queries/ways.py` says
    which time counts, `geofence/usable.py` what the reasons mean.
    """
    until = as_datetime(now_ms)
    since, until = checked_span(from_ms, to_ms, (until - UNUSABLE_SPAN, until))
    found = await ways.unusable_fixes(conn, organisation, since, until)
    return Unusable(as_ms(since), as_ms(until), ways.by_reason(found), found)
