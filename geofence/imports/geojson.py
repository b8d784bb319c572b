"""Sites in a GeoJSON file: its features as rows, each with the area that its geometry gives. Pure.

A feature is read on its own, so that a bad one costs itself and not the file. What makes a shape
good says `geofence/imports/shapes.py`; what a site must have besides, and the database, are not known here:
see `geofence/imports/sites.py`.
"""

import json
from collections.abc import Iterator

import msgspec
import shapely
from shapely.geometry import mapping

from geofence.imports.shapes import (
    HALF_WIDTH_M_MIN,
    RADIUS_M_MAX,
    RADIUS_M_MIN,
    at,
    farthest,
    line,
    middle_along,
    polygon,
    read_position,
)
from storage.sheets import Cells, NumberedRow, UnusableFileError, UnusableRowError


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
        for column in ("site", "name", "radius_m", "time_zone", "client", "town")
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
        (longitude_deg, latitude_deg) = read_position(coordinates, "its point")
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
            f"its {what} reaches {away_m / 1_000:.1f} km from its middle, to {at(outermost)}: a "
            f"site reaches {RADIUS_M_MAX / 1_000:g} km at most"
        )
    areas[number] = msgspec.json.encode(mapping(area)).decode()
    cells: Cells = {"longitude_deg": centre[0], "latitude_deg": centre[1]}
    if what == "polygon":
        if away_m < RADIUS_M_MIN:
            raise UnusableRowError(
                f"its polygon at {at(centre)} reaches only {away_m:.1f} m from its middle: a site "
                f"reaches {RADIUS_M_MIN} m or more"
            )
        cells["radius_m"] = away_m
    return cells
