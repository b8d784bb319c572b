"""Edits: put a tour or a site, checked and merged as the imports do it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Header, Path, Response
from pydantic import ConfigDict, Discriminator, Field, Tag, with_config

from api import commands, limits
from api.answers import SiteEdited, TourEdited
from api.auth import Organisation
from api.commands import BusyError, RefusedError
from api.doorkeeper import JUDGED
from api.etags import etag
from api.geojson import LineString, MultiLineString, MultiPolygon, Polygon
from api.limits import EXACT
from api.problems import Problem
from api.queries import sites
from api.queries.sites import StoredSite
from api.resources import Conn
from api.routes.parameters import IfMatch, SiteCode, check_seen
from geofence.imports.local_times import DEFAULT_TIME_ZONE
from geofence.imports.tours import STOPS_MAX
from storage.sheets import BadRow, Cells

router = APIRouter(prefix="/v1", tags=["edits"], dependencies=JUDGED)


@with_config(EXACT)
@dataclass(frozen=True, slots=True)
class StopBody:
    """A stop as tours.csv has it; its position is its place in the list."""

    site: limits.Code
    window_start: limits.LocalTime
    window_end: Annotated[
        limits.LocalTime,
        Field(description="As the start, and after it; HH:MM may be of the next day."),
    ]
    planned_minutes: limits.Minutes
    work_order: limits.Name | None = None
    planned_arrival: limits.LocalTime | None = None
    skill: limits.Skill | None = None
    parts: Annotated[
        dict[limits.Ref, limits.PartQuantity] | None, Field(description="Base units by item.")
    ] = None


@with_config(EXACT)
@dataclass(frozen=True, slots=True)
class TourBody:
    """A whole tour; stops that it does not list are removed."""

    van: limits.Code
    date: limits.Day
    stops: Annotated[list[StopBody], Field(min_length=1, max_length=STOPS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SiteBody:
    """What every site has; the client is the company whose people see it."""

    name: limits.Name
    time_zone: Annotated[
        limits.Code | None, Field(description=f"An IANA name; {DEFAULT_TIME_ZONE} without it.")
    ] = None
    client: limits.Code | None = None
    town: Annotated[limits.Name | None, Field(description="To find it by.")] = None


#: (0, 0) is what an empty position looks like.
NOT_NOWHERE: Final = ConfigDict(
    extra="forbid",
    json_schema_extra={
        "not": {"properties": {"latitude_deg": {"const": 0}, "longitude_deg": {"const": 0}}}
    },
)


@with_config(NOT_NOWHERE)
@dataclass(frozen=True, slots=True, kw_only=True)
class CircleBody(_SiteBody):
    """A site that is a circle; its middle is not (0, 0)."""

    latitude_deg: limits.LatitudeDeg
    longitude_deg: limits.LongitudeDeg
    radius_m: limits.RadiusM


@with_config(EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class AreaBody(_SiteBody):
    """A site that is one polygon or several, and reaches from 10 m to 20 km from its middle."""

    geometry: Annotated[Polygon | MultiPolygon, Field(discriminator="type")]


@with_config(EXACT)
@dataclass(frozen=True, slots=True, kw_only=True)
class CorridorBody(_SiteBody):
    """A site along a line, which reaches 20 km at most from its middle; its radius is half its width."""

    geometry: Annotated[LineString | MultiLineString, Field(discriminator="type")]
    radius_m: limits.HalfWidthM


def _form(body: object) -> str:
    """Return which of the three a body is to be; what is wrong with it is then said of that one."""
    geometry = body.get("geometry") if isinstance(body, dict) else None
    if geometry is None:
        return "circle"
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    return "corridor" if kind in ("LineString", "MultiLineString") else "area"  # of any JSON


SiteBody = Annotated[
    Annotated[CircleBody, Tag("circle")]
    | Annotated[AreaBody, Tag("area")]
    | Annotated[CorridorBody, Tag("corridor")],
    Discriminator(_form),
]


TOUR_BODY: Final = {
    "van": "V1",
    "date": "2026-11-23",
    "stops": [
        {"site": "SCHOOL", "window_start": "08:00", "window_end": "09:30", "planned_minutes": 45},
        {
            "site": "BAKERY",
            "window_start": "2026-11-23T10:00+01:00",
            "window_end": "2026-11-23T11:00+01:00",
            "planned_minutes": 60,
            "work_order": "W-4711",
            "planned_arrival": "10:15",
            "skill": "lift",
            "parts": {"FIL-20": 2},
        },
    ],
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


@router.put("/tours/{code}")
async def put_tour(
    conn: Conn,
    organisation: Organisation,
    code: Annotated[limits.Code, Path(description="The tour's code.", examples=["T-1123-V1"])],
    tour: Annotated[TourBody, Body(openapi_examples={"two stops": {"value": TOUR_BODY}})],
) -> TourEdited:
    """Make a tour what the body says: all its stops, in this order; a new one if there is none.

    A stop is known by its position; what the body does not say of it, it does not have. Ingest
    matches the van's visits of that day anew within a second or so. If any stop cannot be used, none
    is: `errors` says of each why, as the import of tours.csv would. A van, site or item that is not
    there is a 404, a day on which the van has another tour a 409.
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
    """Return a stop in the columns of tours.csv; what it does not say is left out there."""
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
        "parts": stop.parts,
    }
    return {column: value for column, value in cells.items() if value is not None}


SITE_ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"ETag": {"schema": {"type": "string"}}}}
}


@router.put("/sites/{code}", responses=SITE_ANSWERS)
async def put_site(
    conn: Conn,
    organisation: Organisation,
    response: Response,
    code: SiteCode,
    site: Annotated[SiteBody, Body(openapi_examples=SITE_BODIES)],
    if_match: IfMatch = None,
    if_none_match: Annotated[
        Literal["*"] | None,
        Header(description="`*`: only if there is no such site yet.", examples=["*"]),
    ] = None,
) -> SiteEdited:
    """Make a site what the body says: a circle, an area, or a corridor along a line.

    Ingest reads again what the old fence or the new one touches, within a second or so for a day of
    fixes. The checks are those of the import of sites.geojson, and so are their words. A time zone that
    nobody knows is a 404. With `If-Match` it is changed only if it still is what `GET /v1/sites/{code}`
    has shown.
    """
    said = asdict(site)
    geometry = said.get("geometry") or {
        "type": "Point",
        "coordinates": (said.pop("longitude_deg"), said.pop("latitude_deg")),
    }
    feature = {"type": "Feature", "geometry": geometry, "properties": {"site": code, **said}}

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


def refusal(code: str, what: str, bad: Sequence[BadRow], where: str) -> Problem:
    """Return what to say: 422 of a part that cannot be, 409 of a place taken, 404 of what is not there."""
    errors = [{"where": where.format(row.line - 1), "message": row.reason} for row in bad]
    detail = f"Nothing of {what} was changed; {len(errors)} of its parts cannot be used."
    faults = {row.fault for row in bad}
    status = 422 if "unusable" in faults else 409 if "taken" in faults else 404
    return Problem(status, code, detail, errors)


def busy() -> Problem:
    """Return what to say while somebody else has the reference data."""
    return Problem(
        503, "edits_under_way", "An import or another edit is under way; ask again in a minute."
    )
