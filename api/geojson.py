"""GeoJSON shapes (RFC 7946) as requests give them and answers show them: WGS 84, longitude first. Pure.

That a ring is closed, and no outline crosses itself, no JSON Schema can say: what makes a shape good is
`geofence/imports/shapes.py`'s business.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Discriminator, Field, FiniteFloat, Tag

from api.limits import NUMBER, LatitudeDeg, LongitudeDeg


def _dimensions(position: object) -> str:
    return "with altitude" if isinstance(position, (list, tuple)) and len(position) > 2 else "plane"


#: Longitude, latitude and maybe an altitude, which is read by nobody.
Position = Annotated[
    Annotated[tuple[LongitudeDeg, LatitudeDeg], Tag("plane")]
    | Annotated[
        tuple[LongitudeDeg, LatitudeDeg, Annotated[FiniteFloat, NUMBER]], Tag("with altitude")
    ],
    Discriminator(_dimensions),
]
Line = Annotated[list[Position], Field(min_length=2)]
Ring = Annotated[
    list[Position], Field(min_length=4, description="Closed: the last position is the first.")
]
Rings = Annotated[list[Ring], Field(min_length=1, description="The outline, then its holes.")]


@dataclass(frozen=True, slots=True)
class Point:
    """One position."""

    type: Literal["Point"]
    coordinates: Position


@dataclass(frozen=True, slots=True)
class LineString:
    """A line."""

    type: Literal["LineString"]
    coordinates: Line


@dataclass(frozen=True, slots=True)
class MultiLineString:
    """Several lines."""

    type: Literal["MultiLineString"]
    coordinates: Annotated[list[Line], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Polygon:
    """An area."""

    type: Literal["Polygon"]
    coordinates: Rings


@dataclass(frozen=True, slots=True)
class MultiPolygon:
    """Several areas."""

    type: Literal["MultiPolygon"]
    coordinates: Annotated[list[Rings], Field(min_length=1)]
