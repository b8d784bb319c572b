"""Vans: where they are, where they were, what they visited, what they hold."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response

from api.answers import Stock, StockLevel, Track, Van, Vans, Visits
from api.auth import Asker, Organisation, own_van
from api.doorkeeper import JUDGED
from api.formats import GeoJSONResponse, feature, point
from api.queries import stock, vans, visits
from api.resources import Conn, Held, Now
from api.routes.parameters import (
    ROWS_MAX,
    FromMs,
    SearchText,
    ToMs,
    VanCode,
    as_moment,
    at_most,
    checked_range,
    van_key,
)
from api.routes.visits import Cursor, Limit, Shadowed, VerdictChoice, page_of_visits
from api.spreadsheets import AS_CSV, AsSpreadsheet, rows_of
from storage.settings import as_ms

TRACK_SPAN: Final = timedelta(hours=12)
TRACK_POINTS_MAX: Final = 20_000

router = APIRouter(prefix="/v1/vans", tags=["vans"], dependencies=JUDGED)


@router.get("")
async def list_vans(
    conn: Conn, held: Held, who: Asker, organisation: Organisation, now_ms: Now
) -> Vans:
    """Return every van as it stands now; to a technician the own one."""
    found = await vans.of_organisation(conn, organisation, now_ms, own_van(who, None))
    held.access_log.note(who, "position", [van.code for van in found], datetime.now(UTC))
    return Vans(now_ms, found)


@router.get("/{van}")
async def one_van(
    conn: Conn, held: Held, who: Asker, organisation: Organisation, now_ms: Now, van: VanCode
) -> Van:
    """Return one van as it stands now."""
    await van_key(conn, organisation, van)
    [found] = await vans.of_organisation(conn, organisation, now_ms, van)
    held.access_log.note(who, "position", [van], datetime.now(UTC))
    return found


@router.get("/{van}/track", response_class=GeoJSONResponse, responses={200: {"model": Track}})
async def van_track(
    conn: Conn,
    held: Held,
    who: Asker,
    organisation: Organisation,
    van: VanCode,
    *,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    limit: Annotated[int, at_most(TRACK_POINTS_MAX)] = 5_000,
    form: Annotated[  # noqa: ARG001
        Literal["geojson"], Query(alias="format", examples=["geojson"])
    ] = "geojson",
) -> GeoJSONResponse:
    """Return a van's fixes as a GeoJSON feature, lon-lat, with one time and speed a point.

    Without `to_ms` it ends at the newest fix; without `from_ms` it begins 12 hours before its end.
    Of more than `limit` fixes the newest are returned and `truncated` is true. Two fixes make a
    LineString, one a Point, none a feature without geometry.
    """
    checked_range(from_ms, to_ms)
    key = await van_key(conn, organisation, van)
    held.access_log.note(who, "track", [van], datetime.now(UTC))
    until = as_moment(to_ms) or await vans.newest_fix_time(conn, key)
    found = vans.TrackColumns()
    if until is not None:
        since = as_moment(from_ms) or until - TRACK_SPAN
        found = await vans.track(conn, key, since, until, limit + 1)
        from_ms, to_ms = as_ms(since), as_ms(until)
    kept = found.newest(limit)
    properties = {
        "van": van,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "truncated": len(found) > len(kept),
        "times_ms": kept.t_ms,
        "speeds_mps": kept.speed_mps,
        "horizontal_accuracies_m": kept.horizontal_accuracy_m,
    }
    return GeoJSONResponse(feature(_geometry(kept), properties))


def _geometry(track: vans.TrackColumns) -> dict[str, object] | None:
    line = list(zip(track.longitude_deg, track.latitude_deg, strict=True))
    match line:
        case []:
            return None
        case [only]:
            return point(*only)
    return {"type": "LineString", "coordinates": line}


@router.get("/{van}/visits")
async def van_visits(
    conn: Conn,
    organisation: Organisation,
    van: VanCode,
    *,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    verdict: VerdictChoice = "visit",
    shadowed: Shadowed = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Visits:
    """Return one van's visits, newest arrival first."""
    checked_range(from_ms, to_ms)
    await van_key(conn, organisation, van)
    return await page_of_visits(
        conn,
        organisation,
        visits.VisitFilter(
            van=van,
            since=as_moment(from_ms),
            until=as_moment(to_ms),
            verdict=None if verdict == "any" else verdict,
            shadowed=shadowed,
        ),
        cursor,
        limit,
    )


@router.get("/{van}/stock", response_model=Stock, responses={200: {"content": AS_CSV}})
async def van_stock(
    conn: Conn,
    organisation: Organisation,
    van: VanCode,
    *,
    q: SearchText = "",
    below: Annotated[
        bool, Query(description="Only at or below the reorder point.", examples=[True])
    ] = False,
    limit: Annotated[int, at_most(ROWS_MAX)] = 500,
    sheet: AsSpreadsheet,
) -> Stock | Response:
    """Return what a van holds: items below their reorder point first."""
    key = await van_key(conn, organisation, van)
    most = rows_of(sheet, limit + 1)
    levels = await stock.of_van(conn, key, most, search=q, below_only=below)
    if sheet is not None:
        return await sheet.of("stock", StockLevel, levels)
    return Stock(van, levels[:limit], truncated=len(levels) > limit)
