"""Run the API with uvicorn, and keep it to this machine until there is a sign-in."""

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


class NotLoopbackError(RuntimeError):
    """The address would let other machines in, and nobody has allowed that."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`; an unknown name counts as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(host: str, *, allow_remote: bool) -> None:
    """Refuse an address that other machines can reach, unless that is allowed.

    Raises:
        NotLoopbackError: The address is no loopback one; the message says what to do.
    """
    if not allow_remote and not is_loopback(host):
        raise NotLoopbackError(
            f"The API has no sign-in yet, so it does not listen on {host!r}, where others could "
            "read where technicians are. Use CORDEE_API_HOST=127.0.0.1, or allow remote access "
            "knowingly and put a proxy with a sign-in before it."
        )


class Server(uvicorn.Server):
    """Ends live streams before it waits for open requests, which would otherwise never end."""

    def __init__(self, api: FastAPI, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._api = api

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop as uvicorn does, streams first."""
        self._api.state.resources.hub.close()
        await super().shutdown(sockets)


def make_server(settings: Settings, *, allow_remote: bool = False) -> Server:
    """Return a server that is ready to run at `settings.api_host` and `settings.api_port`.

    On a loopback address it answers only requests that name one, elsewhere those that name one of
    `settings.api_names`, so that a web page elsewhere cannot reach it through a name that resolves
    to this machine (DNS rebinding).

    Raises:
        NotLoopbackError: See `check_address`.
    """
    check_address(settings.api_host, allow_remote=allow_remote)
    api = create_app(settings, allow_remote=allow_remote)
    guarded: ASGIApp = api
    names = settings.api_names.split(",") if settings.api_names else []
    if names or not allow_remote:
        guarded = TrustedHostMiddleware(api, names or LOOPBACK_NAMES, www_redirect=False)
    config = uvicorn.Config(
        guarded,
        host=settings.api_host,
        port=settings.api_port,
        ws="none",
        access_log=False,
        timeout_graceful_shutdown=STOP_WITHIN_S,
    )
    return Server(api, config)


def serve(settings: Settings, *, allow_remote: bool = False) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        NotLoopbackError: See `check_address`.
    """
    server = make_server(settings, allow_remote=allow_remote)
    logger.warning(
        "no sign-in yet: whoever reaches this address sees everything",
        address=f"http://{settings.api_host}:{settings.api_port}/",
    )
    server.run()
