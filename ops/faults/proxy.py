"""A small TCP proxy that breaks and delays what passes through it, in the middle of packets.

Both ends are honest; what is between them is not. `cut` arms every open connection: of the next piece
that passes, only a part is handed on, then both sides are reset. While `delay_s` is set, each piece
comes in two parts with that pause between them.

The proxy knows no protocol: a piece is what the kernel handed over, so a part of it ends anywhere, in a
fixed header as well as in a payload.
"""

import asyncio
import contextlib
import random
import socket
import struct
from typing import Final, Self

PIECE_BYTES: Final = 65_536
#: Close with a reset, as a lost machine's peer sees it.
NO_LINGER: Final = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on a loopback port of its own, and passes on to another."""

    def __init__(self, target_port: int, seed: int) -> None:
        """Begin with nothing broken."""
        self.target_port = target_port
        self.port = 0
        self.delay_s = 0.0
        self.cuts = 0
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening, and reset what is open."""
        if self._server is not None:
            self._server.close()
        for link in list(self._links):
            link.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Let every open connection break at its next piece."""
        for link in self._links:
            link.is_doomed = True

    @property
    def open_links(self) -> int:
        """How many connections are open."""
        return len(self._links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a server's callback is a task
        self._tasks.add(task)
        link = _Link([writer])
        self._links.add(link)
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
            link.writers.append(back)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(link, reader, back))
                group.create_task(self._pass_on(link, there, writer))
        except (OSError, ExceptionGroup):
            pass  # one side is gone: so is the other
        finally:
            link.reset()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _pass_on(
        self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(PIECE_BYTES):
            middle = self._rng.randrange(len(piece))
            if link.is_doomed:
                writer.write(piece[:middle])
                await writer.drain()
                self.cuts += 1
                raise ConnectionResetError
            if self.delay_s:
                writer.write(piece[:middle])
                await writer.drain()
                await asyncio.sleep(self.delay_s)
                piece = piece[middle:]
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError  # the end of one direction ends the other


class _Link:
    """One connection from end to end."""

    def __init__(self, writers: list[asyncio.StreamWriter]) -> None:
        self.writers = writers
        self.is_doomed = False

    def reset(self) -> None:
        for writer in self.writers:
            with contextlib.suppress(OSError, AttributeError):
                taken = writer.get_extra_info("socket")
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            writer.transport.abort()
