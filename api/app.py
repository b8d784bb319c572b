"""The API process: routes, live stream and the page, over one database, for those who may.

It reads; what little it writes is in `api/commands.py`. It must not know how messages
come in: only the tables and the channel `cordee` connect it with ingest.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from fastapi import Depends, FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access_log import AccessLog
from api.accounts import Lifetime
from api.description import completed
from api.doorkeeper import Doorkeeper, judged
from api.live import LiveHub
from api.resources import Resources
from api.routes import (
    alerts,
    charges,
    client_sites,
    edits,
    figures,
    me,
    oidc,
    operations,
    orders,
    overview,
    papers,
    people,
    policies,
    rejected,
    replan,
    replans,
    resupply,
    retention,
    search,
    servers,
    session,
    sites,
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

#: The page loads nothing from elsewhere and runs no inline code; no other site may frame it.
SECURITY_HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class SecurityHeaders:
    """Adds the headers above to every answer, the stream's too; plain ASGI, so nothing buffers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *SECURITY_HEADERS]
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
        async with pool.connect(
            configured.database_url, "cordee-api", size_max=CONNECTIONS_MAX
        ) as connections:
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
            app.state.resources = Resources(
                configured, connections, hub, clock, IngestTotals(), lifetime, log
            )
            running = [
                asyncio.create_task(hub.run(), name="live hub"),
                asyncio.create_task(log.run(), name="access log"),
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
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        max_body_size=BODY_BYTES_MAX,
    )
    describe = app.openapi
    described = functools.cache(lambda: completed(describe()))
    # FastAPI's own way to add to it.
    app.openapi = described  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(Doorkeeper)
    app.add_middleware(SecurityHeaders)
    for routes in (
        operations, vans, tours, visits, ways, alerts, orders, charges, rejected, overview, replan,
        edits, webhooks, resupply, policies, papers, figures, session, oidc, me, client_sites,
        retention, people, replans, sites, search, servers,
    ):  # fmt: skip
        app.include_router(routes.router, dependencies=[Depends(judged)])
    app.frontend("/", directory=WEB, fallback=None)
    return app
