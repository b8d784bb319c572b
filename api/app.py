"""The API process: routes, live stream and the page, over one database, for those who may.

It reads; what little it writes is in `api/commands.py`. It must not know how messages
come in: only the tables and the channel `cordee` connect it with ingest.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access_log import AccessLog
from api.accounts import Lifetime
from api.awaited import Commits
from api.description import ABOUT, completed
from api.doorkeeper import JUDGED, Doorkeeper
from api.live import LiveHub
from api.resources import Resources
from api.routes import (
    alerts,
    basemap,
    charges,
    client_sites,
    devices,
    edits,
    figures,
    ingress,
    keeping,
    me,
    messages,
    oidc,
    operations,
    orders,
    overview,
    papers,
    people,
    policies,
    precache,
    rejected,
    replan,
    replans,
    resupply,
    retention,
    search,
    session,
    sites,
    tablet,
    tours,
    vans,
    visits,
    ways,
    webhooks,
)
from api.totals import IngestTotals
from storage import pool, settings

WEB: Final = Path(__file__).with_name("web")
CONNECTIONS_MAX: Final = 8
#: The longest body, a tour of 1,000 stops with their parts, has about half of it.
BODY_BYTES_MAX: Final = 2_000_000

#: A third of the bytes at a quarter of the time that the highest level takes.
GZIP_LEVEL: Final = 5

#: No other site may frame a page, guess at types, or learn where somebody came from.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
#: The page whose camera reads barcodes.
VAN_PAGE: Final = "/van/"


def content_policy(path: str, map_style_url: str) -> bytes:
    """Return what a page may load: its own files, and run no inline code and no inline style.

    MapLibre needs no more: its worker is a file of ours, its letters are drawn in local fonts, and
    its signs in base/map.css instead of `data:` images. Two things are added where they are needed:

    - an installation's own map, `map_style_url`, is fetched from its origin. `connect-src` covers
      tiles, letters and signs too: MapLibre fetches all of them, its worker under this policy as well;
    - the barcode reader is WebAssembly, which counts as code made at run time; only the van's page
      may run it, and `wasm-unsafe-eval` allows nothing else.
    """
    style = urlsplit(map_style_url)
    map_origin = f" {style.scheme}://{style.netloc}" if map_style_url else ""
    webassembly = " 'wasm-unsafe-eval'" if path.startswith(VAN_PAGE) else ""
    return (
        f"default-src 'self'; connect-src 'self'{map_origin}; script-src 'self'{webassembly};"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ).encode()


#: Every route but the page's files, none of them before the doorkeeper has judged (`JUDGED`). Applications
#: share them: to work out what each takes and gives is most of what building an application costs.
ROUTES: Final = APIRouter()
for _part in (
    operations, vans, tours, visits, ways, alerts, orders, charges, rejected, overview, replan,
    edits, webhooks, resupply, policies, papers, figures, session, oidc, me, client_sites, retention,
    keeping, basemap, people, replans, precache, devices, tablet, messages,
    sites, search, ingress,
):  # fmt: skip
    assert JUDGED[0] in _part.router.dependencies, _part.__name__  # noqa: S101  a defect, found at once
    ROUTES.routes.extend(_part.router.routes)


class SecurityHeaders:
    """Adds the headers above to every answer, the stream's too; plain ASGI, so nothing buffers."""

    def __init__(self, app: ASGIApp, map_style_url: str) -> None:
        self._app = app
        self._map_style_url = map_style_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = content_policy(scope["path"], self._map_style_url)
                headers = [
                    *message.get("headers", ()),
                    *SECURITY_HEADERS,
                    (b"content-security-policy", policy),
                ]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-cache"))
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_app(configured: settings.Settings) -> FastAPI:
    """Return the application; its pool and live hub open when it starts."""
    lifetime = Lifetime(
        timedelta(minutes=configured.session_idle_min),
        timedelta(hours=configured.session_hours_max),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        clock = settings.clock(configured)
        async with contextlib.AsyncExitStack() as opened:
            connections = await opened.enter_async_context(
                pool.connect(configured.database_url, "cordee-api", size_max=CONNECTIONS_MAX)
            )
            replica = None
            if configured.database_replica_url:
                replica = await opened.enter_async_context(
                    pool.connect(
                        configured.database_replica_url,
                        "cordee-api",
                        size_max=CONNECTIONS_MAX,
                        must_answer=False,
                    )
                )
            factor = configured.clock_factor if configured.clock_origin_ms else 1.0
            log = AccessLog(connections)
            hub = LiveHub(
                connections,
                configured.database_url,
                clock,
                lifetime=lifetime,
                log=log,
                clock_factor=factor,
            )
            commits = Commits(connections, configured.database_url)
            app.state.resources = Resources(
                configured, connections, hub, clock, IngestTotals(), lifetime, log, commits, replica
            )
            running = [
                asyncio.create_task(hub.run(), name="live hub"),
                asyncio.create_task(log.run(), name="access log"),
                asyncio.create_task(commits.run(), name="commits"),
            ]
            try:
                yield
            finally:
                hub.close()
                for task in running:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                await log.write()

    # The built-in documentation pages load scripts from elsewhere; the schema itself is served.
    app = FastAPI(
        title="Cordée",
        version=metadata.version("cordee"),
        description=ABOUT,
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        max_body_size=BODY_BYTES_MAX,
        routes=ROUTES.routes,
    )
    describe = app.openapi
    described = functools.cache(lambda: completed(describe(), problems.TITLES))
    # FastAPI's own way to add to it.
    app.openapi = described  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(Doorkeeper)
    # Neither the stream nor ranges of a file of tiles; both would have to be whole first.
    app.add_middleware(
        GZipMiddleware,
        compresslevel=GZIP_LEVEL,
        exclude_content_types=(*DEFAULT_EXCLUDED_CONTENT_TYPES, basemap.PMTILES),
    )
    app.add_middleware(SecurityHeaders, map_style_url=configured.map_style_url)
    app.frontend("/", directory=WEB, fallback=None)
    return app
