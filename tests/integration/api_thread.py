"""The API as it serves, in a thread of a test; when it is stopped, none of its connections is left."""

import asyncio
import threading
import time

from api.serve import Server, make_server
from ops.embedded import free_port
from storage.settings import Settings
from tests.integration.listening import TURNS

PATIENCE_S = 20.0


class Api:
    """The server, which a test may stop and start again at the same address."""

    def __init__(self, database_url: str, now_ms: int) -> None:
        """Prepare it for a database, at a moment from which its clock goes on."""
        self.settings = Settings(
            database_url=database_url,
            api_port=free_port(),
            clock_origin_ms=now_ms,
            clock_start_ms=int(time.time() * 1_000),
        )
        self.url = f"http://127.0.0.1:{self.settings.api_port}/"
        self._running: tuple[Server, threading.Thread] | None = None

    def start(self) -> None:
        server = make_server(self.settings)
        thread = threading.Thread(target=asyncio.run, args=(_served(server),), daemon=True)
        thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)
        self._running = server, thread

    @property
    def server(self) -> Server:
        assert self._running is not None, "the server does not run"
        return self._running[0]

    def stop(self) -> None:
        if self._running is None:
            return
        server, thread = self._running
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive(), "the server did not stop"
        self._running = None


async def _served(server: Server) -> None:
    """Serve until told to stop, then cut off who was let in while the server was going down."""
    await server.serve()
    for _ in range(TURNS):
        await asyncio.sleep(0)
    for connection in tuple(server.server_state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # what was aborted is closed in the next turn
