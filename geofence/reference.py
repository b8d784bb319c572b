"""Import of who travels where: warehouses, technicians, vans, sites and tours.

Each function takes a file's bytes and merges its good rows in the caller's transaction; how rows
are read and refused stands in `storage/imports.py`. Positions are WGS 84 degrees, lon-lat in
GeoJSON. Nothing here knows fixes, visits or stock.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import numpy as np
import shapely
from msgspec import Meta
from shapely.geometry import mapping

from storage.imports import (
    BadRow,
    Cells,
    Code,
    Importer,
    ImportResult,
    LatitudeDeg,
    LongitudeDeg,
    Name,
    NumberedRow,
    StagedRow,
    UnusableFileError,
    UnusableRowError,
    begin,
    csv_rows,
    ids_by_code,
    known,
    merge,
    moment,
    result,
    sift,
    stage,
)
from storage.pool import Connection

#: Mean radius of the Earth (IUGG), for the local projection.
EARTH_RADIUS_M: Final = 6_371_008.8
RADIUS_M_MIN: Final = 10
RADIUS_M_MAX: Final = 20_000
HALF_WIDTH_M_MIN: Final = 5
DEFAULT_TIME_ZONE: Final = "Europe/Paris"

VanCode = Annotated[
    str,
    Meta(
        max_length=64,
        # One level of an MQTT topic, and one token of a NATS subject.
        pattern=r"^[^\s/+#.>*\x00-\x1f\x7f\ud800-\udfff]+\Z",
        description="1 to 64 characters, none of them / + # . > * or a space",
    ),
]
RadiusM = Annotated[
    float,
    Meta(
        ge=HALF_WIDTH_M_MIN,  # a circle's limit is held where it is known to be one
        le=RADIUS_M_MAX,
        description=f"a number of metres from {RADIUS_M_MIN} to {RADIUS_M_MAX}, or from "
        f"{HALF_WIDTH_M_MIN} as half the width of a line",
    ),
]

# --- Warehouses --------------------------------------------------------------------------------


class WarehouseRow(msgspec.Struct, frozen=True):
    """A line of warehouses.csv."""

    warehouse: Code
    name: Name
    latitude_deg: LatitudeDeg
    longitude_deg: LongitudeDeg
    time_zone: Code = DEFAULT_TIME_ZONE
    cutoff_times: Name = "16:00"


STAGED_WAREHOUSE = """
  code text, name text, latitude_deg float8, longitude_deg float8, time_zone text,
  cutoff_times time[]
"""
MERGE_WAREHOUSES = """
INSERT INTO warehouse AS kept
  (organisation_id, code, name, latitude_deg, longitude_deg, time_zone, cutoff_times)
SELECT %s, code, name, latitude_deg, longitude_deg, time_zone, cutoff_times FROM staged
ON CONFLICT ON CONSTRAINT warehouse_code_once DO UPDATE SET
  name = excluded.name, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg, time_zone = excluded.time_zone,
  cutoff_times = excluded.cutoff_times
WHERE (kept.name, kept.latitude_deg, kept.longitude_deg, kept.time_zone, kept.cutoff_times)
  IS DISTINCT FROM (excluded.name, excluded.latitude_deg, excluded.longitude_deg,
                    excluded.time_zone, excluded.cutoff_times)
"""
LOCATE_WAREHOUSES = """
INSERT INTO location (organisation_id, kind, warehouse_id)
SELECT organisation_id, 'warehouse', warehouse_id FROM warehouse WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""


async def import_warehouses(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import warehouses; each gets its stock location."""
    owner = await begin(conn, organisation)
    sheet = sift(csv_rows(data, WarehouseRow), WarehouseRow, staged_warehouse, ["warehouse"])
    await stage(conn, STAGED_WAREHOUSE, sheet.staged)
    merged = await merge(conn, MERGE_WAREHOUSES, [owner])
    await conn.execute(LOCATE_WAREHOUSES, [owner])
    return result("warehouses", sheet, merged)


def staged_warehouse(_line: int, row: WarehouseRow) -> StagedRow:
    """Return a warehouse as staged; cut-off times are separated by `;` or spaces."""
    zone(row.time_zone)
    cutoffs = sorted({clock_time(text) for text in re.split(r"[;\s]+", row.cutoff_times) if text})
    if not cutoffs:
        raise UnusableRowError("cutoff_times names no time: give one, like 16:00")
    return (row.warehouse, row.name, *place(row.latitude_deg, row.longitude_deg),
            row.time_zone, cutoffs)  # fmt: skip


# --- Technicians -------------------------------------------------------------------------------


class TechnicianRow(msgspec.Struct, frozen=True):
    """A line of technicians.csv; the home is optional, and whole where it is given.

    Skills are separated by `;` or spaces. A file without that column leaves what is known; where
    it is there, an empty cell means none.
    """

    technician: Code
    name: Name
    home_latitude_deg: LatitudeDeg | None = None
    home_longitude_deg: LongitudeDeg | None = None
    skills: Name | None = None


STAGED_TECHNICIAN = """
  code text, name text, home_latitude_deg float8, home_longitude_deg float8, skills text[]
"""
MERGE_TECHNICIANS = """
INSERT INTO technician AS kept
  (organisation_id, code, name, home_latitude_deg, home_longitude_deg, skills)
SELECT %s, code, name, home_latitude_deg, home_longitude_deg, skills FROM staged
ON CONFLICT ON CONSTRAINT technician_code_once DO UPDATE SET
  name = excluded.name, home_latitude_deg = excluded.home_latitude_deg,
  home_longitude_deg = excluded.home_longitude_deg,
  skills = CASE WHEN %s THEN excluded.skills ELSE kept.skills END
WHERE (kept.name, kept.home_latitude_deg, kept.home_longitude_deg)
    IS DISTINCT FROM (excluded.name, excluded.home_latitude_deg, excluded.home_longitude_deg)
  OR (%s AND kept.skills <> excluded.skills)
"""
LOCATE_TECHNICIANS = """
INSERT INTO location (organisation_id, kind, technician_id)
SELECT organisation_id, 'home', technician_id FROM technician WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""


async def import_technicians(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import technicians; each gets a home as stock location, whether or not its place is known."""
    owner = await begin(conn, organisation)
    rows = csv_rows(data, TechnicianRow)
    sheet = sift(rows, TechnicianRow, staged_technician, ["technician"])
    await stage(conn, STAGED_TECHNICIAN, sheet.staged)
    says_skills = has_column(data, "skills")
    merged = await merge(conn, MERGE_TECHNICIANS, [owner, says_skills, says_skills])
    await conn.execute(LOCATE_TECHNICIANS, [owner])
    return result("technicians", sheet, merged)


def staged_technician(_line: int, row: TechnicianRow) -> StagedRow:
    """Return a technician as staged; skills are kept in lower case, each once."""
    skills = sorted({skill(word) for word in re.split(r"[;\s]+", row.skills or "") if word})
    latitude_deg, longitude_deg = row.home_latitude_deg, row.home_longitude_deg
    if latitude_deg is None and longitude_deg is None:
        return (row.technician, row.name, None, None, skills)
    if latitude_deg is None or longitude_deg is None:
        raise UnusableRowError("a home needs both home_latitude_deg and home_longitude_deg")
    return (row.technician, row.name, *place(latitude_deg, longitude_deg), skills)


# --- Vans --------------------------------------------------------------------------------------


class VanRow(msgspec.Struct, frozen=True):
    """A line of vans.csv."""

    van: VanCode
    name: Name
    technician: str | None = None
    template: str | None = None
    warehouse: str | None = None


STAGED_VAN = "code text, name text, technician_id int, template_id int, warehouse_id int"
# Ingest locks the vans of a batch, in this order: in another, each could wait for the other.
LOCK_STAGED_VANS = """
SELECT FROM van WHERE code IN (SELECT code FROM staged) ORDER BY van_id FOR NO KEY UPDATE
"""
MERGE_VANS = """
INSERT INTO van AS kept (organisation_id, code, name, technician_id, template_id, warehouse_id)
SELECT %s, code, name, technician_id, template_id, warehouse_id FROM staged
ON CONFLICT ON CONSTRAINT van_code_once DO UPDATE SET
  name = excluded.name, technician_id = excluded.technician_id,
  template_id = excluded.template_id, warehouse_id = excluded.warehouse_id
WHERE (kept.name, kept.technician_id, kept.template_id, kept.warehouse_id)
  IS DISTINCT FROM (excluded.name, excluded.technician_id, excluded.template_id,
                    excluded.warehouse_id)
"""
LOCATE_VANS = """
INSERT INTO location (organisation_id, kind, van_id)
SELECT organisation_id, 'van', van_id FROM van WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""
TECHNICIANS = "SELECT code, technician_id FROM technician WHERE organisation_id = %s"
WAREHOUSES = "SELECT code, warehouse_id FROM warehouse WHERE organisation_id = %s"
TEMPLATES = "SELECT code, template_id FROM van_template"
VANS = "SELECT code, van_id FROM van WHERE organisation_id = %s"
VANS_OF_OTHERS = "SELECT code, van_id FROM van WHERE organisation_id <> %s"
SITES = "SELECT code, site_id FROM site WHERE organisation_id = %s"


async def import_vans(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import vans; each gets its stock location. Codes are one namespace, as the broker's is."""
    owner = await begin(conn, organisation)
    technicians = await ids_by_code(conn, TECHNICIANS, [owner])
    templates = await ids_by_code(conn, TEMPLATES)
    warehouses = await ids_by_code(conn, WAREHOUSES, [owner])
    taken = await ids_by_code(conn, VANS_OF_OTHERS, [owner])

    def staged_van(_line: int, row: VanRow) -> StagedRow:
        if row.van in taken:
            raise UnusableRowError(f"van {row.van} is another organisation's: choose another code")
        return (
            row.van,
            row.name,
            row.technician and known(technicians, "technician", row.technician),
            row.template and known(templates, "template", row.template),
            row.warehouse and known(warehouses, "warehouse", row.warehouse),
        )

    sheet = sift(csv_rows(data, VanRow), VanRow, staged_van, ["van"])
    await stage(conn, STAGED_VAN, sheet.staged)
    await conn.execute(LOCK_STAGED_VANS)
    merged = await merge(conn, MERGE_VANS, [owner])
    await conn.execute(LOCATE_VANS, [owner])
    return result("vans", sheet, merged)


# --- Sites -------------------------------------------------------------------------------------


class SiteRow(msgspec.Struct, frozen=True):
    """A line of sites.csv, or what a GeoJSON feature says."""

    site: Code
    name: Name
    latitude_deg: LatitudeDeg
    longitude_deg: LongitudeDeg
    radius_m: RadiusM
    time_zone: Code = DEFAULT_TIME_ZONE


STAGED_SITE = """
  code text, name text, latitude_deg float8, longitude_deg float8, radius_m real, area jsonb,
  time_zone text
"""
MERGE_SITES = """
INSERT INTO site AS kept
  (organisation_id, code, name, latitude_deg, longitude_deg, radius_m, area, time_zone)
SELECT %s, code, name, latitude_deg, longitude_deg, radius_m, area, time_zone FROM staged
ON CONFLICT ON CONSTRAINT site_code_once DO UPDATE SET
  name = excluded.name, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg, radius_m = excluded.radius_m, area = excluded.area,
  time_zone = excluded.time_zone
WHERE (kept.name, kept.latitude_deg, kept.longitude_deg, kept.radius_m, kept.area, kept.time_zone)
  IS DISTINCT FROM (excluded.name, excluded.latitude_deg, excluded.longitude_deg,
                    excluded.radius_m, excluded.area, excluded.time_zone)
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
    return result("sites", sheet, await merge(conn, MERGE_SITES, [owner]))


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
            area, row.time_zone)  # fmt: skip


class Geometry(msgspec.Struct, frozen=True):
    """A GeoJSON geometry (RFC 7946, 3.1), of whatever type."""

    type: str
    coordinates: msgspec.Raw = msgspec.Raw(b"null")


class Feature(msgspec.Struct, frozen=True):
    """A GeoJSON feature (RFC 7946, 3.2), as far as a site needs it."""

    geometry: Geometry | None = None
    properties: dict[str, object] | None = None
    id: str | int | None = None


class FeatureCollection(msgspec.Struct, frozen=True, tag="FeatureCollection"):
    """A GeoJSON feature collection (RFC 7946, 3.3); each feature is read on its own."""

    features: list[msgspec.Raw]


Position = tuple[float, float]
"""Longitude and latitude in degrees; an altitude is dropped."""


def geojson_rows(data: bytes, areas: dict[int, str]) -> Iterator[NumberedRow]:
    """Yield the features of a collection, numbered from 1, as the cells of a `SiteRow`.

    The code is the property `site`, else `name`, else the feature's id; the name is the property
    `name`, else the code. All but a Point is put into `areas` by its number, as GeoJSON text:

    | geometry                    | fence                   | point              | radius_m           |
    | --------------------------- | ----------------------- | ------------------ | ------------------ |
    | Point                       | a circle                | itself             | a property         |
    | Polygon, MultiPolygon       | the outline, less holes | the centroid       | reaches all of it  |
    | LineString, MultiLineString | a corridor              | half way along it  | a property: half   |
    |                             |                         |                    | the width          |

    Raises:
        UnusableFileError: not a GeoJSON FeatureCollection.
    """
    for number, raw in enumerate(_features(data.removeprefix(b"\xef\xbb\xbf")), start=1):
        try:
            feature = msgspec.json.decode(raw, type=Feature)
            cells = _named(feature)
            cells |= _shape(feature.geometry, cells, number, areas)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield number, f"it is no GeoJSON feature: {error}"
        except UnusableRowError as unusable:
            yield number, str(unusable)
        else:
            yield number, cells


def _features(data: bytes) -> list[msgspec.Raw]:
    """Return the features of a collection, unread.

    Some programs write NaN, which JSON does not have. It is read as null, so that it costs its own
    feature and not the whole file.

    Raises:
        UnusableFileError: not a GeoJSON FeatureCollection.
    """
    try:
        return msgspec.json.decode(data, type=FeatureCollection).features
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            without_nan = msgspec.json.encode(json.loads(data, parse_constant=lambda _: None))
            return msgspec.json.decode(without_nan, type=FeatureCollection).features
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
            raise UnusableFileError(f"This is no GeoJSON FeatureCollection: {error}.") from None


def _named(feature: Feature) -> Cells:
    """Return the cells that a feature's properties and id give."""
    cells = {
        column: value
        for column in ("site", "name", "radius_m", "time_zone")
        if (value := (feature.properties or {}).get(column)) not in (None, "")
    }
    code = cells.get("site", cells.get("name", feature.id))
    if code is None:
        return cells
    cells["site"] = str(code)
    cells["name"] = str(cells.get("name", code))
    return cells


def _shape(geometry: Geometry | None, named: Cells, number: int, areas: dict[int, str]) -> Cells:
    """Return the cells that a feature's geometry gives, and keep the area of all but a point."""
    if geometry is None:
        raise UnusableRowError("it has no geometry")
    kind, coordinates = geometry.type, msgspec.json.decode(geometry.coordinates)
    if kind not in {"Point", "LineString", "MultiLineString", "Polygon", "MultiPolygon"}:
        raise UnusableRowError(
            f"its geometry is a {kind}: a site is a Point or a LineString with radius_m, or a "
            "Polygon, or several lines or polygons in one"
        )
    if not isinstance(coordinates, list) or not coordinates:
        raise UnusableRowError(f"its {kind} is empty: it has no coordinates")
    if kind == "Point":
        (longitude_deg, latitude_deg) = _position(coordinates, "its point")
        return {"latitude_deg": latitude_deg, "longitude_deg": longitude_deg}
    if kind in {"LineString", "MultiLineString"}:
        if "radius_m" not in named:
            raise UnusableRowError(
                f"its {kind} needs the property radius_m: half its width, {HALF_WIDTH_M_MIN} m or "
                "more"
            )
        area: shapely.Geometry = line(coordinates, several=kind != "LineString")
        centre, what = middle_along(area), "line"
    else:
        area = polygon(coordinates, several=kind != "Polygon")
        centre, what = (area.centroid.x, area.centroid.y), "polygon"
    away_m, outermost = farthest(area, centre)
    if away_m > RADIUS_M_MAX:
        raise UnusableRowError(
            f"its {what} reaches {away_m / 1_000:.1f} km from its middle, to {_at(outermost)}: a "
            f"site reaches {RADIUS_M_MAX / 1_000:g} km at most"
        )
    areas[number] = msgspec.json.encode(mapping(area)).decode()
    cells: Cells = {"longitude_deg": centre[0], "latitude_deg": centre[1]}
    if what == "polygon":
        if away_m < RADIUS_M_MIN:
            raise UnusableRowError(
                f"its polygon at {_at(centre)} reaches only {away_m:.1f} m from its middle: a site "
                f"reaches {RADIUS_M_MIN} m or more"
            )
        cells["radius_m"] = away_m
    return cells


def line(coordinates: list[object], *, several: bool) -> shapely.Geometry:
    """Return the coordinates of a LineString, or MultiLineString, as a geometry in degrees.

    Raises:
        UnusableRowError: a line that is too short, off the Earth, or crosses the date line; says
            where.
    """
    parts = []
    for nth, part in enumerate(coordinates if several else [coordinates], start=1):
        what = f"line {nth} of its MultiLineString" if several else "its line"
        positions = _positions(part, what)
        if len(positions) < 2:
            raise UnusableRowError(
                f"{what} has one position only, {_at(positions[0])}: it needs 2 or more"
            )
        if len(set(positions)) < 2:
            raise UnusableRowError(
                f"{what} has no length: all its positions are {_at(positions[0])}"
            )
        parts.append(shapely.LineString(positions))
    whole = shapely.MultiLineString(parts) if several else parts[0]
    _refuse_date_line(whole, "line")
    return whole


def polygon(coordinates: list[object], *, several: bool) -> shapely.Geometry:
    """Return the coordinates of a Polygon, or MultiPolygon, as a valid geometry in degrees.

    Raises:
        UnusableRowError: rings that are short, open, off the Earth, across the date line, or
            cross; says where.
    """
    parts = []
    for nth, rings in enumerate(coordinates if several else [coordinates], start=1):
        what = f"polygon {nth} of its MultiPolygon" if several else "its polygon"
        if not isinstance(rings, list) or not rings:
            raise UnusableRowError(f"{what} has no outline")
        outline, *holes = (
            _ring(ring, f"hole {hole} of {what}" if hole else f"the outline of {what}")
            for hole, ring in enumerate(rings)
        )
        parts.append(shapely.Polygon(outline, holes))
        _refuse_date_line(parts[-1], what.removeprefix("its "))
        _refuse_invalid(parts[-1], what)
    if not several:
        return parts[0]
    whole = shapely.MultiPolygon(parts)
    _refuse_date_line(whole, "MultiPolygon")
    _refuse_invalid(whole, "its MultiPolygon")
    return whole


def _positions(coordinates: object, what: str) -> list[Position]:
    if not isinstance(coordinates, list) or not coordinates:
        raise UnusableRowError(f"{what} is empty: it has no positions")
    return [
        _position(position, f"position {nth} of {what}")
        for nth, position in enumerate(coordinates, start=1)
    ]


def _ring(coordinates: object, what: str) -> list[Position]:
    positions = _positions(coordinates, what)
    if len(positions) < 4:
        raise UnusableRowError(
            f"{what} has {len(positions)} positions only, from {_at(positions[0])}: it needs 4 or "
            "more, the last equal to the first"
        )
    if positions[0] != positions[-1]:
        raise UnusableRowError(
            f"{what} is not closed: it starts at {_at(positions[0])} and ends at "
            f"{_at(positions[-1])}; repeat the first position as the last"
        )
    return positions


def _position(value: object, what: str) -> Position:
    numbers = value[:2] if isinstance(value, list) else []
    if len(numbers) < 2 or not all(type(number) in {int, float} for number in numbers):
        shown = msgspec.json.encode(value).decode()
        raise UnusableRowError(f"{what} is {shown[:60]}, which is no pair of numbers")
    longitude_deg, latitude_deg = numbers
    if not (-180 <= longitude_deg <= 180 and -90 <= latitude_deg <= 90):
        raise UnusableRowError(
            f"{what} is {longitude_deg:.10g}, {latitude_deg:.10g}, which is no place in degrees, "
            "longitude first"
        )
    return float(longitude_deg), float(latitude_deg)


def _at(position: Position) -> str:
    """Return a position in words, to 1 m: longitude first, as in the file."""
    return f"{position[0]:.5f}, {position[1]:.5f}"


def _refuse_date_line(area: shapely.Geometry, what: str) -> None:
    """Refuse what spans more than half the Earth: it means the short way, over the date line."""
    west, south, east, north = shapely.bounds(area).tolist()
    if east - west > 180:
        raise UnusableRowError(
            f"its {what} spans {east - west:.5g} degrees of longitude, from {_at((west, south))} to "
            f"{_at((east, north))}: a site cannot cross the date line"
        )


#: What GEOS calls a defect, and how a sentence goes on from "its polygon".
DEFECTS: Final = {
    "Self-intersection": "crosses itself",
    "Ring Self-intersection": "touches itself",
    "Hole lies outside shell": "has a hole outside its outline",
    "Holes are nested": "has a hole inside a hole",
    "Interior is disconnected": "is cut in two by a hole",
    "Nested shells": "has a polygon inside another",
    "Too few points in geometry component": "has a ring without three different corners",
}
SEVERAL_CROSS: Final = "has polygons that overlap or share an edge"


def _refuse_invalid(area: shapely.Geometry, what: str) -> None:
    """Refuse what is no valid polygon (OGC 06-103r4, 6.1.11), with the place of the defect."""
    if area.is_valid:
        return
    said = shapely.is_valid_reason(area)
    found = re.fullmatch(r"(.+?)\[(\S+) (\S+)\]", said)
    if not found:
        raise UnusableRowError(f"{what} is not valid: {said}")
    defect, longitude_deg, latitude_deg = found.groups()
    words = DEFECTS.get(defect, f"is not valid ({defect})")
    if defect == "Self-intersection" and area.geom_type == "MultiPolygon":
        words = SEVERAL_CROSS  # each is valid by itself
    raise UnusableRowError(f"{what} {words} at {_at((float(longitude_deg), float(latitude_deg)))}")


def middle_along(line: shapely.Geometry) -> Position:
    """Return the position half way along a line; along all its lines one after the other."""
    _, south, _, north = shapely.bounds(line).tolist()
    shrink = np.array(
        [np.cos(np.radians((south + north) / 2)), 1.0]
    )  # a degree east over one north
    metric = shapely.transform(line, lambda lon_lat: lon_lat * shrink)
    x, y = shapely.get_coordinates(
        shapely.line_interpolate_point(metric, 0.5, normalized=True)
    )[0] / shrink  # fmt: skip
    return float(x), float(y)


def farthest(area: shapely.Geometry, centre: Position) -> tuple[float, Position]:
    """Return the greatest distance in metres of an area from a position, and the corner there.

    Degrees become metres by the local projection at the position (equirectangular).
    """
    corners = shapely.get_coordinates(area)
    away = np.radians(corners - np.array(centre)) * EARTH_RADIUS_M
    away[:, 0] *= np.cos(np.radians(centre[1]))
    away_m = np.hypot(away[:, 0], away[:, 1])
    outermost = int(away_m.argmax())
    return float(away_m[outermost]), (float(corners[outermost, 0]), float(corners[outermost, 1]))


# --- Tours -------------------------------------------------------------------------------------


class TourRow(msgspec.Struct, frozen=True):
    """A line of tours.csv: one stop. Windows are HH:MM at the site, or ISO 8601 with an offset.

    `planned_arrival`, of the same form, is when the plan has the van there: who is early waits so that
    it leaves as planned. The skill is one word; parts are items with quantities, like `P-0001:2;P-0002` (1 where none is
    given). A file without one of these columns leaves what is known; where it is there, an empty
    cell means none.
    """

    tour: Code
    van: str
    date: Annotated[date, Meta(description="a day like 2026-01-31")]
    stop: Annotated[int, Meta(ge=1, le=1_000, description="a whole number from 1 to 1000")]
    site: str
    window_start: str
    window_end: str
    planned_minutes: Annotated[
        float, Meta(ge=0, le=10_080, description="a number of minutes from 0 to 10080")
    ]
    work_order: Name | None = None
    skill: Code | None = None
    parts: str | None = None
    planned_arrival: str | None = None


STAGED_STOP = """
  tour text, position int, line int, van_id int, service_date date, site_id int,
  window_start timestamptz, window_end timestamptz, planned_duration_s int, work_order text,
  moved boolean, skill text, item_ids int[], quantities int[], repacked boolean,
  planned_arrival timestamptz
"""
# A code of another organisation, or a van's day that another tour has and keeps.
REFUSE_TOURS = """
WITH refused AS (
  SELECT DISTINCT staged.tour, CASE WHEN van.organisation_id <> %s
    THEN 'tour ' || staged.tour || ' is another organisation''s: choose another code'
    ELSE 'the van has tour ' || other.code || ' on that day already' END AS reason
  FROM staged
  JOIN tour AS other ON other.code = staged.tour
    OR (other.van_id, other.service_date) = (staged.van_id, staged.service_date)
  JOIN van ON van.van_id = other.van_id
  WHERE CASE WHEN other.code = staged.tour THEN van.organisation_id <> %s
    ELSE NOT EXISTS (SELECT FROM staged AS moving WHERE moving.tour = other.code) END
)
DELETE FROM staged USING refused WHERE staged.tour = refused.tour
RETURNING staged.line, refused.reason, staged.tour
"""
# A removed stop takes alerts with it and leaves visits, which ingest may be writing.
LOCK_TOURING_VANS = """
SELECT FROM van WHERE van_id IN (
  SELECT van_id FROM staged UNION SELECT van_id FROM tour WHERE code IN (SELECT tour FROM staged)
) ORDER BY van_id FOR NO KEY UPDATE
"""
MARK_MOVED_TOURS = """
UPDATE staged SET moved = true FROM tour
WHERE tour.code = staged.tour
  AND (tour.van_id, tour.service_date) <> (staged.van_id, staged.service_date)
"""
# Two tours that swap vans or days would trip tour_one_a_day midway: all step aside first.
PARK_MOVED_TOURS = """
UPDATE tour SET service_date = DATE '0001-01-01' + tour_id
WHERE code IN (SELECT tour FROM staged WHERE moved)
"""
MERGE_TOURS = """
INSERT INTO tour AS kept (code, van_id, service_date)
SELECT DISTINCT tour, van_id, service_date FROM staged
ON CONFLICT ON CONSTRAINT tour_code_once DO UPDATE SET
  van_id = excluded.van_id, service_date = excluded.service_date
WHERE (kept.van_id, kept.service_date) <> (excluded.van_id, excluded.service_date)
"""
# A stop whose parts have changed counts as changed, though they stand in a table of their own.
MARK_REPACKED_STOPS = """
WITH known AS (
  SELECT tour.code, stop.position,
         array_agg(item_id ORDER BY item_id) AS item_ids, array_agg(qty ORDER BY item_id) AS quantities
  FROM stop_part JOIN stop USING (stop_id) JOIN tour USING (tour_id)
  WHERE tour.code IN (SELECT tour FROM staged)
  GROUP BY tour.code, stop.position
), compared AS (
  SELECT staged.tour, staged.position
  FROM staged LEFT JOIN known ON (known.code, known.position) = (staged.tour, staged.position)
  WHERE (staged.item_ids, staged.quantities) IS DISTINCT FROM
    (coalesce(known.item_ids, '{}'), coalesce(known.quantities, '{}'))
)
UPDATE staged SET repacked = true FROM compared
WHERE (staged.tour, staged.position) = (compared.tour, compared.position)
"""
# What the clock has judged stays judged unless the plan is another.
MERGE_STOPS = """
INSERT INTO stop AS kept
  (tour_id, position, site_id, window_start, window_end, planned_duration_s, work_order, skill,
   planned_arrival)
SELECT tour_id, position, site_id, window_start, window_end, planned_duration_s, work_order, skill,
       planned_arrival
FROM staged JOIN tour ON tour.code = staged.tour
ON CONFLICT ON CONSTRAINT stop_position_once DO UPDATE SET
  site_id = excluded.site_id, window_start = excluded.window_start,
  window_end = excluded.window_end, planned_duration_s = excluded.planned_duration_s,
  work_order = excluded.work_order,
  skill = CASE WHEN %s THEN excluded.skill ELSE kept.skill END,
  planned_arrival = CASE WHEN %s THEN excluded.planned_arrival ELSE kept.planned_arrival END,
  judged = CASE
    WHEN (kept.site_id, kept.window_start, kept.window_end, kept.planned_duration_s)
      = (excluded.site_id, excluded.window_start, excluded.window_end, excluded.planned_duration_s)
      AND kept.tour_id NOT IN
        (SELECT tour_id FROM tour JOIN staged ON staged.tour = tour.code WHERE staged.moved)
    THEN kept.judged END
WHERE (kept.site_id, kept.window_start, kept.window_end, kept.planned_duration_s, kept.work_order)
  IS DISTINCT FROM (excluded.site_id, excluded.window_start, excluded.window_end,
                    excluded.planned_duration_s, excluded.work_order)
  OR (%s AND kept.skill IS DISTINCT FROM excluded.skill)
  OR (%s AND kept.planned_arrival IS DISTINCT FROM excluded.planned_arrival)
  OR (kept.tour_id, kept.position) IN
    (SELECT tour_id, staged.position FROM tour JOIN staged ON staged.tour = tour.code
     WHERE staged.repacked)
  OR kept.tour_id IN
    (SELECT tour_id FROM tour JOIN staged ON staged.tour = tour.code WHERE staged.moved)
"""
REMOVE_PARTS = """
DELETE FROM stop_part USING stop, tour, staged
WHERE stop.stop_id = stop_part.stop_id AND tour.tour_id = stop.tour_id
  AND (staged.tour, staged.position) = (tour.code, stop.position) AND staged.repacked
"""
INSERT_PARTS = """
INSERT INTO stop_part (stop_id, item_id, qty)
SELECT stop_id, item_id, qty
FROM staged JOIN tour ON tour.code = staged.tour
JOIN stop ON (stop.tour_id, stop.position) = (tour.tour_id, staged.position)
CROSS JOIN unnest(item_ids, quantities) AS part (item_id, qty)
WHERE staged.repacked
"""
REMOVE_STOPS = """
DELETE FROM stop USING tour
WHERE tour.tour_id = stop.tour_id
  AND tour.code IN (SELECT tour FROM staged) AND tour.code <> ALL (%s)
  AND NOT EXISTS (SELECT FROM staged
                  WHERE staged.tour = tour.code AND staged.position = stop.position)
"""
SITE_ZONES = "SELECT code, time_zone FROM site WHERE organisation_id = %s"
ITEMS = "SELECT ref, item_id FROM item"
#: Columns without which what is known stays; an empty cell means none.
MAY_LACK: Final = ("skill", "parts", "planned_arrival")


async def import_tours(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import tours, one row a stop; each tour of the file is what the file lists.

    A stop is known by its position: it keeps its id while other things change, and is removed once
    the file lists its tour without it. From a tour with a refused row nothing is removed, since
    that row may be the missing stop.
    """
    says = frozenset(column for column in MAY_LACK if has_column(data, column))
    return await put_tours(conn, csv_rows(data, TourRow), organisation=organisation, says=says)


async def put_tours(
    conn: Connection,
    rows: Iterable[NumberedRow],
    *,
    organisation: str,
    says: frozenset[str] = frozenset(),
) -> ImportResult:
    """Do as `import_tours` for rows that were read already.

    Args:
        conn: A connection in a transaction.
        rows: The cells of `TourRow`s, numbered.
        organisation: Whose they are.
        says: Which of the columns in `MAY_LACK` the rows tell; the others stay as they are known.
    """
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VANS, [owner])
    sites = await ids_by_code(conn, SITES, [owner])
    zones: dict[str, str] = dict(await (await conn.execute(SITE_ZONES, [owner])).fetchall())
    says_skill, says_parts = "skill" in says, "parts" in says
    says_arrival = "planned_arrival" in says
    items = await ids_by_code(conn, ITEMS) if says_parts else {}
    plans: dict[str, tuple[str, date]] = {}
    tours: dict[tuple[str, date], str] = {}

    def staged_stop(line: int, row: TourRow) -> StagedRow:
        van_id = known(vans, "van", row.van)
        site_id = known(sites, "site", row.site)
        start, end = window(row.window_start, row.window_end, row.date, zone(zones[row.site]))
        plan = plans.setdefault(row.tour, (row.van, row.date))
        if plan != (row.van, row.date):
            raise UnusableRowError(f"tour {row.tour} is for van {plan[0]} on {plan[1]} further up")
        if (other := tours.setdefault(plan, row.tour)) != row.tour:
            raise UnusableRowError(f"van {row.van} has tour {other} on {row.date} further up")
        needed = parts(items, row.parts or "")
        return (row.tour, row.stop, line, van_id, row.date, site_id, start, end,
                round(row.planned_minutes * 60), row.work_order, False,
                row.skill and skill(row.skill), list(needed), list(needed.values()), False,
                row.planned_arrival and arrival(row.planned_arrival, start, row.date,
                                                zone(zones[row.site])))  # fmt: skip

    sheet = sift(rows, TourRow, staged_stop, ["tour", "stop"])
    await stage(conn, STAGED_STOP, sheet.staged)
    refused = await _refuse_tours(conn, owner)
    lines = {bad.line for bad in refused}
    sheet = replace(
        sheet,
        staged=[row for row in sheet.staged if row[2] not in lines],
        bad=sorted([*sheet.bad, *refused], key=lambda bad: bad.line),
    )
    for statement in (LOCK_TOURING_VANS, MARK_MOVED_TOURS, PARK_MOVED_TOURS, MERGE_TOURS):
        await conn.execute(statement)
    if says_parts:
        await conn.execute(MARK_REPACKED_STOPS)
    merged = await merge(conn, MERGE_STOPS, [says_skill, says_arrival, says_skill, says_arrival])
    for statement in (REMOVE_PARTS, INSERT_PARTS) if says_parts else ():
        await conn.execute(statement)
    return result("tours", sheet, merged, await _remove_stops(conn, sheet.bad))


async def _refuse_tours(conn: Connection, owner: int) -> list[BadRow]:
    """Drop staged tours that cannot be, until the rest can: a refused one keeps its old day."""
    refused: list[BadRow] = []
    while found := await (await conn.execute(REFUSE_TOURS, [owner, owner])).fetchall():
        refused += [BadRow(line, reason, {"tour": tour}) for line, reason, tour in found]
    return refused


async def _remove_stops(conn: Connection, bad: list[BadRow]) -> int:
    """Remove stops no longer listed, and return how many."""
    if any("tour" not in row.cells for row in bad):
        return 0  # A line that names no tour may be a stop of any.
    doubtful = [str(row.cells["tour"]) for row in bad]
    return (await conn.execute(REMOVE_STOPS, [doubtful])).rowcount


# --- Skills and parts --------------------------------------------------------------------------


def has_column(data: bytes, name: str) -> bool:
    """Return whether the header of a CSV file names a column; an empty cell cannot tell that."""
    header = next(iter(data.removeprefix(b"\xef\xbb\xbf").splitlines()), b"")
    cells = re.split("[,;]", header.decode(errors="replace"))
    return name in [cell.strip(' \t"').casefold() for cell in cells]


def skill(text: str) -> str:
    """Return a skill in lower case, so that two spellings are one, or refuse the row."""
    if len(text) > 64 or re.search(r"[;\s]", text):
        raise UnusableRowError(f"skill {text!r} is no single word of up to 64 characters")
    return text.lower()


def parts(items: Mapping[str, int], text: str) -> dict[int, int]:
    """Return quantities by item id, rising, from `P-0001:2;P-0002`, or refuse the row.

    A quantity is what follows the last colon, unless the whole is an item's own ref.
    """
    needed: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        is_ref = part in items or ":" not in part
        ref, _, quantity = (part, "", "1") if is_ref else part.rpartition(":")
        item_id = known(items, "item", ref.strip())
        if not re.fullmatch(r"\s*0*[1-9][0-9]{0,5}", quantity, re.ASCII):
            raise UnusableRowError(
                f"{part!r} needs a whole number from 1 to 999999 after its colon"
            )
        if item_id in needed:
            raise UnusableRowError(f"item {ref.strip()} is twice among its parts: add them up")
        needed[item_id] = int(quantity)
    return dict(sorted(needed.items()))


# --- Places and times --------------------------------------------------------------------------


def place(latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Return a position, or refuse (0, 0), which is what an empty one looks like."""
    if latitude_deg == 0 and longitude_deg == 0:
        raise UnusableRowError("the position is (0, 0), which means none")
    return latitude_deg, longitude_deg


@lru_cache(maxsize=1_024)
def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name, or refuse the row."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Europe" is a folder
        raise UnusableRowError(
            f"time zone {name} is not known: give an IANA name like Europe/Paris"
        ) from None


def clock_time(text: str) -> time:
    """Return a time of day from HH:MM, or refuse the row."""
    found = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?", text)
    try:
        if found:
            return time(int(found[1]), int(found[2]), int(found[3] or 0))
    except ValueError:
        pass
    raise UnusableRowError(f"{text!r} is no time of day like 08:30")


def window(
    start_text: str, end_text: str, day: date, time_zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """Return the start and end of a stop's time window, in UTC.

    Either is local HH:MM on the tour's day or ISO 8601 with an offset. A local end before a local
    start is of the next day. Where the clocks change, `zoneinfo` reads an HH:MM with the offset in
    force before the change: one that is skipped comes as much later as the clocks jump (02:30 is
    03:30 summer time), and of one that comes twice the first is meant.
    """
    start = _instant(start_text, day, time_zone)
    end = _instant(end_text, day, time_zone)
    both_local = len(start_text) <= 8 and len(end_text) <= 8
    if both_local and clock_time(end_text) < clock_time(start_text):
        end = _instant(end_text, day + timedelta(days=1), time_zone)
    if not start < end:
        raise UnusableRowError(f"its window ends at {end_text}, not after its start {start_text}")
    return start, end


def arrival(text: str, window_start: datetime, day: date, time_zone: ZoneInfo) -> datetime:
    """Return a planned arrival in UTC; of a night tour, HH:MM may be of the day after."""
    planned = _instant(text, day, time_zone)
    if len(text) <= 8 and window_start - planned > timedelta(hours=12):
        planned = _instant(text, day + timedelta(days=1), time_zone)
    return planned


def _instant(text: str, day: date, time_zone: ZoneInfo) -> datetime:
    """Return HH:MM on a local day, or a time with an offset, as UTC."""
    if len(text) <= 8:  # HH:MM:SS at most; no ISO 8601 time with a date is as short
        return datetime.combine(day, clock_time(text), time_zone).astimezone(UTC)
    return moment(text).astimezone(UTC)


KINDS: Final[dict[str, Importer]] = {
    "warehouses": import_warehouses,
    "technicians": import_technicians,
    "vans": import_vans,
    "sites": import_sites,
    "tours": import_tours,
}
