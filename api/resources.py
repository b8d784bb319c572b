"""What one running API process holds, and how a route gets at it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from api.live import LiveHub
from api.totals import IngestTotals
from storage.pool import Connection, Pool
from storage.settings import Clock

CONNECTION_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Resources:
    """Opened when the process starts, closed when it ends."""

    pool: Pool
    hub: LiveHub
    clock: Clock
    totals: IngestTotals
    broker_monitor_url: str = ""


def resources(request: Request) -> Resources:
    """Return what the lifespan opened."""
    held = request.app.state.resources
    assert isinstance(held, Resources)  # noqa: S101  the lifespan put it there
    return held


Held = Annotated[Resources, Depends(resources)]


async def connection(held: Held) -> AsyncIterator[Connection]:
    """Lend a connection until the answer is made.

    Raises:
        psycopg_pool.PoolTimeout: None became free in time; the answer is then 503.
    """
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        yield conn


def now_ms(held: Held) -> int:
    """Return the present on the installation's clock, which may be simulated."""
    return held.clock()


Conn = Annotated[Connection, Depends(connection, scope="function")]
Now = Annotated[int, Depends(now_ms)]
