"""Edits: put a tour or a site, checked and merged as the imports do it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Header, Path, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from api import commands
from api.answers import SiteEdited, TourEdited
from api.auth import Organisation
from api.commands import BusyError, RefusedError
from api.etags import etag
from api.problems import Problem
from api.queries import sites
from api.queries.sites import StoredSite
from api.resources import Conn
from api.routes.parameters import IfMatch, check_seen
from storage.sheets import BadRow, Cells

STOPS_MAX: Final = 1_000


router = APIRouter(prefix="/v1", tags=["edits"])
EditedCode = Annotated[str, Path(max_length=64, description="As in the files that are imported.")]


@dataclass(frozen=True, slots=True)
class StopBody:
    """A stop as tours.csv has it; its position is its place in the list."""

    site: str
    window_start: Annotated[str, Field(description="Local HH:MM, or ISO 8601 with an offset.")]
    window_end: Annotated[str, Field(description="As the start; may be on the next day.")]
    planned_minutes: float
    work_order: str | None = None
    planned_arrival: Annotated[str | None, Field(description="As the window's start.")] = None
    skill: str | None = None
    parts: Annotated[dict[str, int] | None, Field(description="Base units by item.")] = None


@dataclass(frozen=True, slots=True)
class TourBody:
    """A whole tour; stops that it does not list are removed."""

    van: str
    date: date
    stops: Annotated[list[StopBody], Field(min_length=1, max_length=STOPS_MAX)]


@dataclass(frozen=True, slots=True)
class SiteBody:
    """A site: either a point with a radius, or a GeoJSON geometry.

    Of a LineString, `radius_m` is half the width of the corridor; of a Polygon it is not needed.
    """

    name: str
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    radius_m: float | None = None
    geometry: Annotated[dict[str, object] | None, Field(description="RFC 7946, 3.1.")] = None
    time_zone: str | None = None
    client: Annotated[str | None, Field(description="The company whose people see it.")] = None
    town: Annotated[str | None, Field(description="To find it by.")] = None


TOUR_BODY: Final = {
    "van": "van-017",
    "date": "2026-11-20",
    "stops": [
        {"site": "SCHOOL", "window_start": "08:00", "window_end": "09:30", "planned_minutes": 45},
        {
            "site": "BAKERY",
            "window_start": "2026-11-20T10:00+01:00",
            "window_end": "2026-11-20T11:00+01:00",
            "planned_minutes": 60,
            "work_order": "W-4711",
            "planned_arrival": "10:15",
            "skill": "lift",
            "parts": {"FIL-20": 2},
        },
    ],
}
TOUR_EXAMPLE: Final = {
    "tour": "T-2026-11-20-017",
    "van": "van-017",
    "date": "2026-11-20",
    "added": 1,
    "changed": 1,
    "unchanged": 0,
    "removed": 0,
}
SITE_BODIES: Final = {
    "circle": {
        "value": {
            "name": "Bakery Dupont",
            "latitude_deg": 45.75,
            "longitude_deg": 4.85,
            "radius_m": 80,
        }
    },
    "polygon": {
        "value": {
            "name": "Goods yard",
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[4.85, 45.75], [4.853, 45.75], [4.853, 45.752], [4.85, 45.752], [4.85, 45.75]]
                ],
            },
        }
    },
    "corridor": {
        "value": {
            "name": "Canal bank",
            "geometry": {"type": "LineString", "coordinates": [[4.85, 45.75], [4.87, 45.75]]},
            "radius_m": 40,
        }
    },
}
SITE_EXAMPLE: Final = {
    "site": "BAKERY",
    "outcome": "changed",
    "latitude_deg": 45.75,
    "longitude_deg": 4.85,
    "radius_m": 80.0,
    "area": False,
}


@router.put(
    "/tours/{code}", responses={200: {"content": {"application/json": {"example": TOUR_EXAMPLE}}}}
)
async def put_tour(
    conn: Conn,
    organisation: Organisation,
    code: EditedCode,
    tour: Annotated[TourBody, Body(openapi_examples={"two stops": {"value": TOUR_BODY}})],
) -> TourEdited:
    """Make a tour what the body says: all its stops, in this order; a new one if there is none.

    A stop is known by its position; what the body does not say of it, it does not have. Ingest
    matches the van's visits of that day anew within a second or so. If any stop cannot be used, none
    is: `errors` says of each why, as the import of tours.csv would.
    """
    rows = [_cells(code, tour, stop, nth) for nth, stop in enumerate(tour.stops, start=1)]
    try:
        done = await commands.put_tour(conn, organisation, rows)
    except RefusedError as refused:
        raise refusal("unusable_tour", f"tour {code}", refused.bad, "body.stops.{}") from None
    except BusyError:
        raise busy() from None
    return TourEdited(
        tour=code,
        van=tour.van,
        date=tour.date.isoformat(),
        added=done.inserted,
        changed=done.updated,
        unchanged=done.unchanged,
        removed=done.removed,
    )


def _cells(code: str, tour: TourBody, stop: StopBody, position: int) -> Cells:
    """Return a stop in the columns of tours.csv; an empty one counts as left out there."""
    cells: Cells = {
        "tour": code,
        "van": tour.van,
        "date": tour.date,
        "stop": position,
        "site": stop.site,
        "window_start": stop.window_start,
        "window_end": stop.window_end,
        "planned_minutes": stop.planned_minutes,
        "work_order": stop.work_order,
        "planned_arrival": stop.planned_arrival,
        "skill": stop.skill,
        "parts": ";".join(f"{item}:{qty}" for item, qty in (stop.parts or {}).items()),
    }
    return {column: value for column, value in cells.items() if value not in (None, "")}


SITE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {"application/json": {"example": SITE_EXAMPLE}},
        "headers": {"ETag": {"schema": {"type": "string"}}},
    }
}


@router.put("/sites/{code}", responses=SITE_ANSWERS)
async def put_site(
    conn: Conn,
    organisation: Organisation,
    response: Response,
    code: EditedCode,
    site: Annotated[SiteBody, Body(openapi_examples=SITE_BODIES)],
    if_match: IfMatch = None,
    if_none_match: Annotated[
        Literal["*"] | None, Header(description="`*`: only if there is no such site yet.")
    ] = None,
) -> SiteEdited:
    """Make a site what the body says: a circle, an area, or a corridor along a line.

    Ingest reads again what the old fence or the new one touches, within a second or so for a day of
    fixes. The checks are those of the import of sites.geojson, and so are their words. With `If-Match`
    it is changed only if it still is what `GET /v1/sites/{code}` has shown.
    """
    properties = {
        "site": code,
        "name": site.name,
        "radius_m": site.radius_m,
        "time_zone": site.time_zone,
        "client": site.client,
        "town": site.town,
    }
    feature: dict[str, object] = {
        "type": "Feature",
        "properties": properties,
        "geometry": _geometry(site),
    }

    def check(before: StoredSite | None) -> None:
        if before is None and if_match is not None:
            raise Problem(412, "changed_meanwhile", f"There is no site {code!r} (any more).")
        if before is not None and if_none_match is not None:
            raise Problem(412, "changed_meanwhile", f"There is a site {code!r} already.")
        if before is not None:
            check_seen(if_match, etag(before.version), required=False)

    try:
        is_conditional = if_match is not None or if_none_match is not None
        done = await commands.put_site(
            conn, organisation, code, feature, check if is_conditional else None
        )
    except RefusedError as refused:
        raise refusal("unusable_site", f"site {code}", refused.bad, "body") from None
    except BusyError:
        raise busy() from None
    after = await sites.find(conn, organisation, code)
    assert after is not None  # noqa: S101  it was put just now
    response.headers["etag"] = etag(after.version)
    return SiteEdited(
        site=code,
        outcome="added" if done.inserted else "changed" if done.updated else "unchanged",
        latitude_deg=after.latitude_deg,
        longitude_deg=after.longitude_deg,
        radius_m=after.radius_m,
        area=after.area is not None,
    )


def _geometry(site: SiteBody) -> dict[str, object]:
    """Return the geometry of a site; of a circle its centre.

    Raises:
        RequestValidationError: It has both, or neither.
    """
    point = (site.longitude_deg, site.latitude_deg)
    if site.geometry is not None and point == (None, None):
        return site.geometry
    if site.geometry is None and None not in point:
        return {"type": "Point", "coordinates": list(point)}
    words = "give either geometry, or both latitude_deg and longitude_deg"
    raise RequestValidationError([{"loc": ("body",), "msg": words, "type": "one_of"}])


def refusal(code: str, what: str, bad: Sequence[BadRow], where: str) -> Problem:
    """Return what to say of parts that the checks of an import refuse; `where` names one by its number."""
    errors = [{"where": where.format(row.line - 1), "message": row.reason} for row in bad]
    detail = f"Nothing of {what} was changed; {len(errors)} of its parts cannot be used."
    return Problem(422, code, detail, errors)


def busy() -> Problem:
    """Return what to say while somebody else has the reference data."""
    return Problem(
        503, "edits_under_way", "An import or another edit is under way; ask again in a minute."
    )
