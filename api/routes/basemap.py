"""What the pages' maps are drawn on, where it is not what is built in."""

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

from api.answers import Basemap
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.resources import Held

router = APIRouter(prefix="/v1", tags=["map"], dependencies=JUDGED)

TILES: Final = "/v1/map/tiles.pmtiles"
PMTILES: Final = "application/vnd.pmtiles"
_BYTES: Final[dict[str, Any]] = {
    "content": {PMTILES: {"schema": {"type": "string", "format": "binary"}}}
}
AS_TILES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The whole file.", **_BYTES},
    206: {"description": "The ranges asked for by `Range`.", **_BYTES},
}


@router.get("/map")
async def chosen(held: Held) -> Basemap:
    """Return what maps are drawn on: `CORDEE_MAP_STYLE_URL`, else `CORDEE_MAP_PMTILES_PATH`."""
    style_url = held.settings.map_style_url or None
    has_tiles = style_url is None and held.settings.map_pmtiles_path
    return Basemap(style_url, TILES if has_tiles else None)


@router.get("/map/tiles.pmtiles", response_class=FileResponse, responses=AS_TILES)
def tiles(held: Held) -> FileResponse:
    """Return the file of tiles; a map asks for the ranges it needs."""
    path = Path(held.settings.map_pmtiles_path)
    if not path.is_file():
        detail = "CORDEE_MAP_PMTILES_PATH names no file that the API can read."
        raise Problem(404, "no_map_tiles", detail)
    return FileResponse(path, media_type=PMTILES)
