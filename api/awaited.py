"""Waiting until ingest has committed what came by HTTP.

Whoever publishes through the outbox leaves the identity of the message in `awaited`; ingest marks it
in the transaction that holds the message's effects, and notifies the channel `cordee_awaited`. One
task listens for all who wait, and asks the table for all of them at once. A notification that is lost
costs a second.
"""

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from storage.pool import Pool

CHANNEL: Final = "cordee_awaited"
LOOK_S: Final = 1.0
RECONNECT_S: Final = 1.0
COMMITTED: Final = """
SELECT message_id FROM awaited WHERE message_id = ANY(%b::bytea[]) AND committed_time IS NOT NULL
"""

logger = structlog.get_logger()


@dataclass(eq=False, slots=True)
class _Waiter:
    left: set[bytes]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Commits:
    """Tells whoever waits for messages when they are committed."""

    def __init__(self, pool: Pool, database_url: str) -> None:
        self._pool = pool
        self._database_url = database_url
        self._waiters: set[_Waiter] = set()

    async def pending(self, ids: Collection[bytes], within_s: float) -> set[bytes]:
        """Wait until these messages are committed, or the time is over; return those that are not.

        Raises:
            psycopg.OperationalError, psycopg_pool.PoolTimeout: The database does not answer.
        """
        waiter = _Waiter(set(ids))
        self._waiters.add(waiter)
        try:
            await self._look()
            if waiter.left:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waiter.done.wait(), within_s)
        finally:
            self._waiters.discard(waiter)
        return waiter.left

    async def run(self) -> None:
        """Listen for ever; a database that is away is tried again."""
        while True:
            try:
                await self._listen()
            except (psycopg.OperationalError, PoolTimeout):
                logger.warning("nobody hears of commits: PostgreSQL does not answer")
            except psycopg.errors.UndefinedTable:
                logger.warning("nobody hears of commits before `cordee migrate`")
            await asyncio.sleep(RECONNECT_S)

    async def _listen(self) -> None:
        url = psycopg.conninfo.make_conninfo(
            self._database_url, application_name="cordee-awaited", connect_timeout=5
        )
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as listening:
            await listening.execute(f"LISTEN {CHANNEL}")
            while True:
                async for _ in listening.notifies(timeout=LOOK_S, stop_after=1):
                    pass
                await self._look()

    async def _look(self) -> None:
        """Ask the table for everybody who waits."""
        ids = list({each for waiter in self._waiters for each in waiter.left})
        if not ids:
            return
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(COMMITTED, (ids,))).fetchall()
        found = {bytes(each) for (each,) in rows}
        for waiter in self._waiters:
            waiter.left -= found
            if not waiter.left:
                waiter.done.set()
