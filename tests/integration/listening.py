"""A server of a test, whose connections are over when it is: none is left for a later test to trip over."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
#: A connection that is being accepted needs a few turns of the loop until somebody serves it.
TURNS = 10


@contextlib.asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on loopback, at the port that is yielded; in the end whoever is still served is cut off."""
    served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def remembered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        await serve(reader, writer)

    server = await asyncio.start_server(remembered, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
        for writer in served.values():
            writer.transport.abort()
        await asyncio.sleep(0)  # what was aborted is closed in the next turn
