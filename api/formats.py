"""Answers in other forms than JSON: GeoJSON (RFC 7946), lon-lat."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from fastapi.responses import JSONResponse

GEOJSON: Final = "application/geo+json"
#: How a route describes an answer that is GeoJSON where it is asked for.
AS_GEOJSON: Final[dict[str, Any]] = {
    GEOJSON: {
        "schema": {"type": "object"},
        "example": {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [4.85, 45.75]},
            "properties": {"site": "BAKERY", "name": "Bakery", "radius_m": 80.0},
        },
    }
}


class GeoJSONResponse(JSONResponse):
    """GeoJSON as its media type; all sites are megabytes, hence the faster encoder."""

    media_type = GEOJSON

    def render(self, content: object) -> bytes:
        """Return the content as JSON."""
        return msgspec.json.encode(content)


def point(longitude_deg: float, latitude_deg: float) -> dict[str, object]:
    """Return a Point."""
    return {"type": "Point", "coordinates": [longitude_deg, latitude_deg]}


def feature(
    geometry: Mapping[str, object] | None, properties: Mapping[str, object]
) -> dict[str, object]:
    """Return a Feature."""
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def collection(features: Sequence[Mapping[str, object]], **more: object) -> dict[str, object]:
    """Return a FeatureCollection; `more` are foreign members (6.1)."""
    return {"type": "FeatureCollection", "features": features, **more}
