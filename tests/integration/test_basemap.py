"""What the pages' maps are drawn on: the answer, the file of tiles, and what the policy then allows."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from api.app import content_policy
from api.routes.basemap import PMTILES, TILES
from storage.settings import Settings
from tests.integration.api_client import answer, client_of, problem, settings_at

STYLE = "https://tiles.example.com:8443/planner/style.json?key=1"
Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asked(database_url: str) -> Asked:
    """A client of an API with these settings."""

    @asynccontextmanager
    async def client(**changed: Any) -> AsyncIterator[httpx.AsyncClient]:
        settings = settings_at(database_url).model_copy(update=changed)
        async with client_of(settings) as api:
            yield api

    return client


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "france.pmtiles"
    path.write_bytes(b"PMTiles-0123456789")
    return path


async def test_without_a_setting_maps_are_drawn_on_what_is_built_in(asked: Asked) -> None:
    async with asked() as api:
        assert await answer(api, "/v1/map") == {"style_url": None, "tiles_url": None}
        assert await problem(api, TILES) == (404, "no_map_tiles")


async def test_the_built_in_map_is_not_sent_again_while_it_is_unchanged(asked: Asked) -> None:
    async with asked() as api:
        first = await api.get("/basemap/land.json")
        assert first.headers["content-type"] == "application/json"
        assert first.headers["cache-control"] == "no-cache"
        again = await api.get(
            "/basemap/land.json", headers={"if-none-match": first.headers["etag"]}
        )
    assert (again.status_code, again.content) == (304, b"")


async def test_a_style_goes_before_a_file_of_tiles(asked: Asked, file: Path) -> None:
    async with asked(map_style_url=STYLE, map_pmtiles_path=str(file)) as api:
        assert await answer(api, "/v1/map") == {"style_url": STYLE, "tiles_url": None}


async def test_tiles_are_read_in_ranges(asked: Asked, file: Path) -> None:
    async with asked(map_pmtiles_path=str(file)) as api:
        assert await answer(api, "/v1/map") == {"style_url": None, "tiles_url": TILES}
        part = await api.get(TILES, headers={"range": "bytes=8-11"})
        assert (part.status_code, part.content) == (206, b"0123")
        assert part.headers["content-range"] == "bytes 8-11/18"
        assert part.headers["content-type"] == PMTILES
        assert part.headers["etag"]


async def test_a_file_of_tiles_that_is_not_there_is_said_so(asked: Asked, tmp_path: Path) -> None:
    async with asked(map_pmtiles_path=str(tmp_path / "typo.pmtiles")) as api:
        assert await problem(api, TILES) == (404, "no_map_tiles")


async def test_the_policy_is_wider_by_the_styles_origin_and_by_nothing_else(asked: Asked) -> None:
    async with asked() as api:
        narrow = (await api.get("/")).headers["content-security-policy"]
    async with asked(map_style_url=STYLE) as api:
        wide = (await api.get("/")).headers["content-security-policy"]
    assert "connect-src 'self';" in narrow
    assert wide == narrow.replace(
        "connect-src 'self'", "connect-src 'self' https://tiles.example.com:8443"
    )


def test_only_the_vans_page_may_run_webassembly() -> None:
    planner, van = content_policy("/planner/", ""), content_policy("/van/page.js", "")
    assert b"wasm" not in planner
    assert van == planner.replace(b"script-src 'self'", b"script-src 'self' 'wasm-unsafe-eval'")


@pytest.mark.parametrize("url", ["tiles.json", "ftp://x/y", "https://a b/", "https://x;img-src *"])
def test_what_is_no_address_of_a_style_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match="map_style_url"):
        Settings(map_style_url=url)
