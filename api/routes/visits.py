"""Visits of the whole organisation, a page at a time."""

from dataclasses import asdict, replace
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Response

from api import cursors
from api.answers import Visit, Visits
from api.auth import Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.formats import AS_GEOJSON, GeoJSONResponse, collection, feature, point
from api.problems import Problem
from api.queries import visits
from api.resources import Conn, Now
from api.routes.parameters import (
    AskedSite,
    FromMs,
    OwnVan,
    ToMs,
    as_moment,
    at_most,
    checked_codes,
    checked_range,
    today,
)
from api.spreadsheets import AS_CSV, ROWS_MAX, Bom, Spreadsheet
from storage.pool import Connection

VISITS_MAX: Final = 500

VerdictChoice = Annotated[Literal["visit", "pass", "undecided", "any"], Query(examples=["visit"])]
Shadowed = Annotated[
    bool, Query(description="Also what another site's visit overshadows.", examples=[False])
]
Cursor = Annotated[
    str | None,
    Query(
        max_length=1_000,
        description="The `next_cursor` of the page before, as it came.",
        examples=[cursors.encode(cursors.VisitKey(1_795_165_200_000, "V1", "BAKERY"))],
    ),
]
Limit = Annotated[int, at_most(VISITS_MAX)]

router = APIRouter(prefix="/v1/visits", tags=["visits"], dependencies=JUDGED)


async def page_of_visits(
    conn: Connection,
    organisation: OrganisationId,
    which: visits.VisitFilter,
    cursor: str | None,
    limit: int,
) -> Visits:
    """Return one page and the cursor of the next.

    Raises:
        Problem: The cursor is none of ours.
    """
    if cursor is not None:
        try:
            which = replace(which, after=cursors.decode(cursor))
        except ValueError:
            detail = "Pass a next_cursor as it came, or none to begin with the newest."
            raise Problem(400, "bad_cursor", detail) from None
    found = await visits.of_organisation(conn, organisation, which, limit + 1)
    page = found[:limit]
    if len(found) <= limit:
        return Visits(page, None)
    last = page[-1]
    return Visits(page, cursors.encode(cursors.VisitKey(last.arrived_at_ms, last.van, last.site)))


@router.get("", response_model=Visits, responses={200: {"content": {**AS_GEOJSON, **AS_CSV}}})
async def list_visits(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    *,
    van: OwnVan,
    site: AskedSite = None,
    from_ms: FromMs = None,
    to_ms: ToMs = None,
    verdict: VerdictChoice = "visit",
    shadowed: Shadowed = False,
    cursor: Cursor = None,
    limit: Limit = 100,
    form: Annotated[
        Literal["json", "geojson", "csv"],
        Query(alias="format", description="A csv has all rows, not a page.", examples=["json"]),
    ] = "json",
    bom: Bom = False,
) -> Visits | Response:
    """Return visits with `from_ms` ≤ arrival < `to_ms`, newest first.

    A van or site that does not exist is a 404, so that a mistyped code is not read as "no visits". As
    GeoJSON each is a point at its site, and `next_cursor` a member of the collection.
    """
    checked_range(from_ms, to_ms)
    await checked_codes(conn, organisation, van=van, site=site)
    which = visits.VisitFilter(
        van=van,
        site=site,
        since=as_moment(from_ms),
        until=as_moment(to_ms),
        verdict=None if verdict == "any" else verdict,
        shadowed=shadowed,
    )
    if form == "csv":
        every = await visits.of_organisation(conn, organisation, which, ROWS_MAX + 1)
        return await Spreadsheet(today(now_ms), bom).of("visits", Visit, every)
    page = await page_of_visits(conn, organisation, which, cursor, limit)
    if form == "geojson":
        features = [_feature(visit) for visit in page.visits]
        return GeoJSONResponse(collection(features, next_cursor=page.next_cursor))
    return page


def _feature(visit: Visit) -> dict[str, object]:
    told = asdict(visit)
    return feature(point(told.pop("longitude_deg"), told.pop("latitude_deg")), told)
