"""Sites: one with all that is known of it, and all fences for a map."""

from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response

from api.answers import Fences, Site
from api.auth import Organisation, OrganisationId
from api.doorkeeper import JUDGED
from api.etags import etag
from api.formats import AS_GEOJSON, GeoJSONResponse, collection, feature, point
from api.problems import Problem
from api.queries import sites
from api.queries.sites import StoredSite
from api.resources import Conn, Held, Now
from api.routes.parameters import IfNoneMatch, SiteCode, today
from storage.pool import Connection

JSON: Final = "application/json"
ETAG: Final[dict[str, Any]] = {"ETag": {"schema": {"type": "string"}}}

router = APIRouter(prefix="/v1", tags=["sites"], dependencies=JUDGED)
Format = Annotated[
    Literal["json", "geojson"],
    Query(description="geojson is what `cordee import sites` reads.", examples=["json"]),
]


@router.get(
    "/sites/{code}",
    response_model=Site,
    responses={200: {"content": AS_GEOJSON, "headers": ETAG}},
)
async def one_site(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    response: Response,
    code: SiteCode,
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
        200: {"content": AS_GEOJSON, "headers": ETAG},
        304: {"description": "The fences are those of `If-None-Match`.", "headers": ETAG},
    },
)
async def all_fences(
    conn: Conn,
    held: Held,
    organisation: Organisation,
    request: Request,
    form: Annotated[Format, Query(alias="format")] = "json",
    if_none_match: IfNoneMatch = None,
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
