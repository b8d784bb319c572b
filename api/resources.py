"""What one running API process holds, and how a route gets at it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated

import psycopg_pool
from fastapi import Depends, Request

from api import accounts
from api.access_log import AccessLog
from api.accounts import Lifetime
from api.awaited import Commits
from api.buckets import Limit, Recent
from api.fences import FenceBodies
from api.live import LiveHub
from api.passwords import Desk
from api.totals import IngestTotals
from storage.pool import Connection, Pool
from storage.settings import Clock, Settings

CONNECTION_WITHIN_S = 5.0
#: A replica that is away or busy holds nobody up for longer.
REPLICA_WITHIN_S = 0.5
READING = frozenset({"GET", "HEAD"})


@dataclass(slots=True)
class Resources:
    """Opened when the process starts, closed when it ends."""

    settings: Settings
    pool: Pool
    hub: LiveHub
    clock: Clock
    totals: IngestTotals
    lifetime: Lifetime
    access_log: AccessLog
    commits: Commits
    #: A pool of the replica, if there is one.
    replica: Pool | None = None
    fences: FenceBodies = field(default_factory=FenceBodies)
    desk: Desk = field(default_factory=Desk)
    #: Devices that send positions by HTTP: the backlog of an hour at once, and then what one drives.
    devices: Limit = field(default_factory=lambda: Limit(rate_per_s=5.0, burst=600.0))
    #: Addresses from which nobody's credentials come.
    strangers: Limit = field(default_factory=lambda: Limit(rate_per_s=1 / 30, burst=30.0))
    #: Wrong credentials by address. A revoked phone that goes on trying takes one token a minute from its address,
    #: which gets two, and costs no look-up meanwhile; what is entered after it was tried works a minute later.
    refused: Recent = field(default_factory=lambda: Recent(keep_s=60.0))
    _token_key: bytes = b""

    async def token_key(self) -> bytes:
        """Return the key that signs tokens: the setting, else the database's, read once.

        Raises:
            psycopg_pool.PoolTimeout: It is needed for the first time and nobody answers.
        """
        if not self._token_key:
            if self.settings.token_key:
                self._token_key = self.settings.token_key.encode()
            else:
                async with self.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
                    self._token_key = await accounts.token_key(conn)
        return self._token_key


def resources(request: Request) -> Resources:
    """Return what the lifespan opened."""
    held = request.app.state.resources
    assert isinstance(held, Resources)  # noqa: S101  the lifespan put it there
    return held


Held = Annotated[Resources, Depends(resources)]


async def connection(held: Held, request: Request) -> AsyncIterator[Connection]:
    """Lend a connection until the answer is made: for reading the replica's, if there is one.

    Who may ask is judged before, and by the database itself: a session that has ended has ended.

    Raises:
        psycopg_pool.PoolTimeout: None became free in time; the answer is then 503.
    """
    async with contextlib.AsyncExitStack() as lent:
        conn: Connection | None = None
        if held.replica is not None and request.method in READING:
            with contextlib.suppress(psycopg_pool.PoolTimeout):
                conn = await lent.enter_async_context(held.replica.connection(REPLICA_WITHIN_S))
        if conn is None:
            conn = await lent.enter_async_context(held.pool.connection(CONNECTION_WITHIN_S))
        yield conn


def now_ms(held: Held) -> int:
    """Return the present on the installation's clock, which may be simulated."""
    return held.clock()


Conn = Annotated[Connection, Depends(connection, scope="function")]
Now = Annotated[int, Depends(now_ms)]
