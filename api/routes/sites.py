"""Sites: one with all that is known of it, and all fences for a map."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Query, Request, Response

from api.answers import Fences, Site
from api.auth import Organisation, OrganisationId
from api.etags import etag
from api.formats import AS_GEOJSON, GeoJSONResponse, collection, feature, point
from api.problems import Problem
from api.queries import sites
from api.queries.sites import StoredSite
from api.resources import Conn, Held, Now
from api.routes.edits import EditedCode
from api.routes.parameters import today
from storage.pool import Connection

JSON: Final = "application/json"
ETAG: Final[dict[str, Any]] = {"ETag": {"schema": {"type": "string"}}}

router = APIRouter(prefix="/v1", tags=["sites"])
Format = Annotated[
    Literal["json", "geojson"], Query(description="geojson is what `cordee import sites` reads.")
]

SITE_EXAMPLE: Final = {
    "site": "YARD",
    "name": "Goods yard",
    "latitude_deg": 45.751,
    "longitude_deg": 4.8515,
    "radius_m": 160.0,
    "geometry": {
        "type": "Polygon",
        "coordinates": [
            [[4.85, 45.75], [4.853, 45.75], [4.853, 45.752], [4.85, 45.752], [4.85, 45.75]]
        ],
    },
    "time_zone": "Europe/Paris",
    "client": "DUPONT",
    "town": "Lyon",
    "windows": [
        {
            "date": "2026-11-20",
            "tour": "T-2026-11-20-017",
            "van": "van-017",
            "stop_id": 4_711,
            "stop": 3,
            "window_start_ms": 1_795_164_000_000,
            "window_end_ms": 1_795_167_600_000,
            "work_order": "W-4711",
        }
    ],
}
FENCES_EXAMPLE: Final = {
    "columns": ["site", "longitude_deg", "latitude_deg", "radius_m"],
    "sites": [["BAKERY", 4.85, 45.75, 80.0], ["YARD", 4.8515, 45.751, 160.0]],
    "areas": [{"site": "YARD", "geometry": SITE_EXAMPLE["geometry"]}],
}


@router.get(
    "/sites/{code}",
    response_model=Site,
    responses={200: {"content": {JSON: {"example": SITE_EXAMPLE}, **AS_GEOJSON}, "headers": ETAG}},
)
async def one_site(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    response: Response,
    code: EditedCode,
    form: Annotated[Format, Query(alias="format")] = "json",
) -> Site | Response:
    """Return a site with its fence and the visits that are planned there.

    Its ETag is that of the site alone, for `If-Match` of `PUT /v1/sites/{code}`.
    """
    site = await sites.find(conn, organisation, code)
    if site is None:
        raise Problem(404, "site_not_found", f"There is no site {code!r}.")
    tag = etag(site.version)
    if form == "geojson":
        return GeoJSONResponse(_feature(site), headers={"etag": tag})
    response.headers["etag"] = tag
    return Site(
        site.site,
        site.name,
        site.latitude_deg,
        site.longitude_deg,
        site.radius_m,
        site.area,
        site.time_zone,
        site.client,
        site.town,
        await sites.windows(conn, organisation, code, today(now_ms)),
    )


@router.get(
    "/fences",
    response_model=Fences,
    responses={
        200: {"content": {JSON: {"example": FENCES_EXAMPLE}, **AS_GEOJSON}, "headers": ETAG},
        304: {"description": "The fences are those of `If-None-Match`.", "headers": ETAG},
    },
)
async def all_fences(
    conn: Conn,
    held: Held,
    organisation: Organisation,
    request: Request,
    form: Annotated[Format, Query(alias="format")] = "json",
    if_none_match: Annotated[str | None, Header(max_length=1_000)] = None,
) -> Response:
    """Return every fence in few bytes: a row a site, and apart the areas of those that are no circles.

    Ask again with the ETag as `If-None-Match`: 304 says that nothing was edited. Gzip is there for whoever
    accepts it.
    """
    if form == "geojson":
        return await _as_geojson(conn, organisation)
    body = await held.fences.of_organisation(conn, organisation)
    is_zipped = "gzip" in request.headers.get("accept-encoding", "")
    headers = {"etag": body.zipped_tag if is_zipped else body.tag, "vary": "accept-encoding"}
    if body.is_known(if_none_match):
        return Response(status_code=304, headers=headers)
    if is_zipped:
        headers["content-encoding"] = "gzip"
    return Response(body.zipped if is_zipped else body.plain, media_type=JSON, headers=headers)


async def _as_geojson(conn: Connection, organisation: OrganisationId) -> Response:
    found = await sites.everything(conn, organisation)
    return GeoJSONResponse(collection([_feature(site) for site in found]))


def _feature(site: StoredSite) -> dict[str, object]:
    """Return a site as the import of sites reads it."""
    geometry = site.area or point(site.longitude_deg, site.latitude_deg)
    properties = {
        "site": site.site,
        "name": site.name,
        "radius_m": site.radius_m,
        "time_zone": site.time_zone,
        "client": site.client,
        "town": site.town,
    }
    return feature(geometry, properties)
