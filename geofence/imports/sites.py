"""Import of sites, from CSV or GeoJSON.

A site is a circle round its position, or else an area (GeoJSON text): an outline, or a line that is
the middle of a corridor. Features become rows in `geofence/imports/geojson.py`; from there on both forms of
file go the same way. Nothing here knows fixes or visits: a trigger notes the shapes, old and new,
that ingest reads again.
"""

from collections.abc import Mapping
from functools import partial

import msgspec

from geofence.imports.geojson import geojson_rows
from geofence.imports.local_times import DEFAULT_TIME_ZONE, zone
from geofence.imports.shapes import RADIUS_M_MAX, RADIUS_M_MIN, RadiusM, place
from storage.imports import ImportResult, begin, merge, result, stage
from storage.pool import Connection
from storage.sheets import (
    Code,
    LatitudeDeg,
    LongitudeDeg,
    Name,
    StagedRow,
    UnusableRowError,
    csv_rows,
    sift,
)


class SiteRow(msgspec.Struct, frozen=True):
    """A line of sites.csv, or what a GeoJSON feature says."""

    site: Code
    name: Name
    latitude_deg: LatitudeDeg
    longitude_deg: LongitudeDeg
    radius_m: RadiusM
    time_zone: Code = DEFAULT_TIME_ZONE
    client: Code | None = None
    town: Name | None = None


STAGED_SITE = """
  code text, name text, latitude_deg float8, longitude_deg float8, radius_m real, area jsonb,
  time_zone text, client text, town text
"""
#: A company is known from the first site that names it; its name can be changed later.
MERGE_CLIENTS = """
INSERT INTO client (organisation_id, code, name)
SELECT DISTINCT %s::integer, client, client FROM staged WHERE client IS NOT NULL
ON CONFLICT DO NOTHING
"""
MERGE_SITES = """
INSERT INTO site AS kept
  (organisation_id, code, name, latitude_deg, longitude_deg, radius_m, area, time_zone, client_id,
   town)
SELECT %s, staged.code, staged.name, latitude_deg, longitude_deg, radius_m, area, time_zone,
       client.client_id, town
FROM staged
LEFT JOIN client ON (client.organisation_id, client.code) = (%s, staged.client)
ON CONFLICT ON CONSTRAINT site_code_once DO UPDATE SET
  name = excluded.name, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg, radius_m = excluded.radius_m, area = excluded.area,
  time_zone = excluded.time_zone, client_id = excluded.client_id, town = excluded.town
WHERE (kept.name, kept.latitude_deg, kept.longitude_deg, kept.radius_m, kept.area, kept.time_zone,
       kept.client_id, kept.town)
  IS DISTINCT FROM (excluded.name, excluded.latitude_deg, excluded.longitude_deg, excluded.radius_m,
                    excluded.area, excluded.time_zone, excluded.client_id, excluded.town)
"""


async def import_sites(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import sites from CSV, or from a GeoJSON FeatureCollection, told by its first character."""
    owner = await begin(conn, organisation)
    if data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        areas: dict[int, str] = {}
        make = partial(staged_site, areas)
        sheet = sift(geojson_rows(data, areas), SiteRow, make, ["site"], counted_in="feature")
    else:
        sheet = sift(csv_rows(data, SiteRow), SiteRow, partial(staged_site, {}), ["site"])
    await stage(conn, STAGED_SITE, sheet.staged)
    await conn.execute(MERGE_CLIENTS, [owner])
    return result("sites", sheet, await merge(conn, MERGE_SITES, [owner, owner]))


def staged_site(areas: Mapping[int, str], number: int, row: SiteRow) -> StagedRow:
    """Return a site as staged, with the area that its feature number has, if any."""
    zone(row.time_zone)
    area = areas.get(number)
    if area is None and row.radius_m < RADIUS_M_MIN:
        raise UnusableRowError(
            f"radius_m is {row.radius_m:g}, but a circle's must be from {RADIUS_M_MIN} to "
            f"{RADIUS_M_MAX}"
        )
    return (row.site, row.name, *place(row.latitude_deg, row.longitude_deg), row.radius_m,
            area, row.time_zone, row.client, row.town)  # fmt: skip
