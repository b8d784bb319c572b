"""How vans moved: trips and halts, and the fixes that could not be used."""

from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter

from api.answers import Legs, Unusable
from api.auth import Asker, Organisation
from api.queries import ways
from api.resources import Conn, Held, Now
from api.routes.parameters import TimeMs, checked_span, today, van_key, working_day
from api.routes.vans import VanCode
from storage.settings import as_datetime, as_ms

LEGS_EXAMPLE: Final = {
    "van": "van-017",
    "from_ms": 1_795_140_000_000,
    "to_ms": 1_795_226_400_000,
    "legs": [
        {
            "kind": "trip",
            "started_at_ms": 1_795_157_400_000,
            "ended_at_ms": 1_795_158_900_000,
            "closed": True,
            "distance_m": 18_420,
            "driving_s": 1_380,
            "standing_s": 120,
            "unknown_s": 0,
            "latitude_deg": 45.75,
            "longitude_deg": 4.85,
            "unplanned": False,
        },
        {
            "kind": "halt",
            "started_at_ms": 1_795_158_900_000,
            "ended_at_ms": 1_795_159_800_000,
            "closed": True,
            "distance_m": 0,
            "driving_s": 0,
            "standing_s": 900,
            "unknown_s": 0,
            "latitude_deg": 45.75,
            "longitude_deg": 4.85,
            "unplanned": True,
        },
    ],
    "days": [
        {
            "date": "2026-11-20",
            "trips": 1,
            "halts": 1,
            "unplanned_halts": 1,
            "distance_m": 18_420,
            "driving_s": 1_380,
            "standing_s": 120,
            "unknown_s": 0,
            "halted_s": 900,
            "unplanned_s": 900,
        }
    ],
}
UNUSABLE_EXAMPLE: Final = {
    "from_ms": 1_795_078_800_000,
    "to_ms": 1_795_165_200_000,
    "reasons": [{"reason": "poor_accuracy", "count": 41, "vans": 2}],
    "vans": [
        {"van": "van-017", "reason": "poor_accuracy", "count": 40, "last_ms": 1_795_165_100_000},
        {"van": "van-003", "reason": "poor_accuracy", "count": 1, "last_ms": 1_795_131_000_000},
    ],
}
UNUSABLE_SPAN: Final = timedelta(days=1)

router = APIRouter(prefix="/v1", tags=["ways"])


@router.get(
    "/vans/{van}/legs",
    responses={200: {"content": {"application/json": {"example": LEGS_EXAMPLE}}}},
)
async def van_legs(
    conn: Conn,
    held: Held,
    who: Asker,
    organisation: Organisation,
    now_ms: Now,
    van: VanCode,
    *,
    from_ms: TimeMs = None,
    to_ms: TimeMs = None,
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


@router.get(
    "/fixes/unusable",
    responses={200: {"content": {"application/json": {"example": UNUSABLE_EXAMPLE}}}},
)
async def unusable(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    from_ms: TimeMs = None,
    to_ms: TimeMs = None,
) -> Unusable:
    """Return how many fixes were kept but not used, or refused as `future` or `ancient`, and why.

    Of `from_ms` ≤ time < `to_ms`; without bounds of the last 24 hours. `api/queries/ways.py` says
    which time counts, `geofence/usable.py` what the reasons mean.
    """
    until = as_datetime(now_ms)
    since, until = checked_span(from_ms, to_ms, (until - UNUSABLE_SPAN, until))
    found = await ways.unusable_fixes(conn, organisation, since, until)
    return Unusable(as_ms(since), as_ms(until), ways.by_reason(found), found)
