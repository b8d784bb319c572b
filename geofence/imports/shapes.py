"""The shape of a site, and why some are none. Pure.

A shape comes as the coordinates of a GeoJSON geometry (RFC 7946): WGS 84 degrees, longitude first.
It is taken as it is drawn, or refused with the place of the defect in words, so that whoever drew
it finds it on the map; nothing is mended. Which features hold shapes is not known here, and neither
are fixes: whether one is inside a shape says `geofence/fences.py`.
"""

import re
from typing import Annotated, Final

import msgspec
import numpy as np
import shapely
from msgspec import Meta

from storage.sheets import UnusableRowError

#: Mean radius of the Earth (IUGG), for the local projection.
EARTH_RADIUS_M: Final = 6_371_008.8
#: How far a site reaches from its middle; half the width of a corridor.
RADIUS_M_MIN: Final = 10
RADIUS_M_MAX: Final = 20_000
HALF_WIDTH_M_MIN: Final = 5

RadiusM = Annotated[
    float,
    Meta(
        ge=HALF_WIDTH_M_MIN,  # a circle's limit is held where it is known to be one
        le=RADIUS_M_MAX,
        description=f"a number of metres from {RADIUS_M_MIN} to {RADIUS_M_MAX}, or from "
        f"{HALF_WIDTH_M_MIN} as half the width of a line",
    ),
]

Position = tuple[float, float]
"""Longitude and latitude in degrees; an altitude is dropped."""


def place(latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Return a position, or refuse (0, 0), which is what an empty one looks like."""
    if latitude_deg == 0 and longitude_deg == 0:
        raise UnusableRowError("the position is (0, 0), which means none")
    return latitude_deg, longitude_deg


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
                f"{what} has one position only, {at(positions[0])}: it needs 2 or more"
            )
        if len(set(positions)) < 2:
            raise UnusableRowError(
                f"{what} has no length: all its positions are {at(positions[0])}"
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
        read_position(position, f"position {nth} of {what}")
        for nth, position in enumerate(coordinates, start=1)
    ]


def _ring(coordinates: object, what: str) -> list[Position]:
    positions = _positions(coordinates, what)
    if len(positions) < 4:
        raise UnusableRowError(
            f"{what} has {len(positions)} positions only, from {at(positions[0])}: it needs 4 or "
            "more, the last equal to the first"
        )
    if positions[0] != positions[-1]:
        raise UnusableRowError(
            f"{what} is not closed: it starts at {at(positions[0])} and ends at "
            f"{at(positions[-1])}; repeat the first position as the last"
        )
    return positions


def read_position(value: object, what: str) -> Position:
    """Return the coordinates of one position, or refuse the row; `what` names them there."""
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


def at(position: Position) -> str:
    """Return a position in words, to 1 m: longitude first, as in the file."""
    return f"{position[0]:.5f}, {position[1]:.5f}"


def _refuse_date_line(area: shapely.Geometry, what: str) -> None:
    """Refuse what spans more than half the Earth: it means the short way, over the date line."""
    west, south, east, north = shapely.bounds(area).tolist()
    if east - west > 180:
        raise UnusableRowError(
            f"its {what} spans {east - west:.5g} degrees of longitude, from {at((west, south))} to "
            f"{at((east, north))}: a site cannot cross the date line"
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
    raise UnusableRowError(f"{what} {words} at {at((float(longitude_deg), float(latitude_deg)))}")


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
