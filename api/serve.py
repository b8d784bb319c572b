"""Run the API with uvicorn."""

import ipaddress
import socket
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from api.app import create_app
from storage.settings import Settings

logger = structlog.get_logger()

#: Streams are ended at once; this bounds what else is under way when the server stops.
STOP_WITHIN_S: Final = 5
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`; an unknown name counts as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Server(uvicorn.Server):
    """Ends live streams before it waits for open requests, which would otherwise never end."""

    def __init__(self, api: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, streams first."""
        self._api.state.resources.hub.close()
        await super().shutdown(sockets)


def make_server(settings: Settings) -> Server:
    """Return a server that is ready to run at `settings.api_host` and `settings.api_port`.

    On a loopback address it answers only requests that name one, elsewhere those that name one of
    `settings.api_names`, so that a web page elsewhere cannot reach it through a name that resolves
    to this machine (DNS rebinding).
    """
    api = create_app(settings)
    guarded: ASGIApp = api
    names = settings.api_names.split(",") if settings.api_names else []
    if names or is_loopback(settings.api_host):
        guarded = TrustedHostMiddleware(api, names or LOOPBACK_NAMES, www_redirect=False)
    config = uvicorn.Config(
        guarded,
        host=settings.api_host,
        port=settings.api_port,
        ws="none",
        access_log=False,
        server_header=False,
        forwarded_allow_ips=settings.api_proxies,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    return Server(api, config)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    server = make_server(settings)
    logger.info("the API listens", address=f"http://{settings.api_host}:{settings.api_port}/")
    server.run()
