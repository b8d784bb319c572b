"""What both ways out of the outbox share: hearing that it has grown, and what passes by itself."""

import asyncio
from typing import Final

import psycopg
import psycopg_pool

from storage.pool import Connection

CHANNEL: Final = "cordee_outbox"
#: How often the outbox is looked at without being told.
LOOK_S: Final = 5.0
RECONNECT_S: Final = 2.0

#: The database, away or starting again.
DATABASE_PASSING: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg_pool.PoolTimeout,
)


async def listen(conn: Connection) -> None:
    """Make a connection hear when the outbox grows."""
    await conn.set_autocommit(True)
    await conn.execute(f"LISTEN {CHANNEL}")


async def heard(listening: Connection, within_s: float, *events: asyncio.Event) -> None:
    """Wait until the outbox has grown, an event is set, or the time is over."""

    async def notified() -> None:
        async for _ in listening.notifies(timeout=within_s, stop_after=1):
            pass

    tasks = {
        asyncio.ensure_future(notified()),
        *(asyncio.ensure_future(event.wait()) for event in events),
    }
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()
