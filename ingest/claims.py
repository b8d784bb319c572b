"""Which partitions a worker may read: advisory locks of PostgreSQL, all held on one connection.

| lock                | held by                                                                   |
| ------------------- | ------------------------------------------------------------------------- |
| (PARTITION, k)      | who reads partition k                                                     |
| (WORKER, 0), shared | every live worker                                                         |
| (CLOCK, 0)          | who does what only the clock demands: late stops, cut-offs, retention     |

A lock ends with its connection, so a worker that is killed has let go at once; one whose machine is gone,
after a few seconds of keepalive; one that hangs, or has one batch in hand, when it has not looked for a
minute. Whoever loses the connection has lost all claims, and must not read on. That two read one
partition for a moment is harmless: the broker lets the older session go, van rows are locked by each
batch, and every row is keyed.

The connection must be the server's own: a pool in between (PgBouncer) would give the locks to others.
"""

import asyncio
from typing import Final

import psycopg
import structlog
from psycopg import sql

from ingest import partitions
from storage.pool import Connection

PARTITION: Final = 1_668_246_116
WORKER: Final = 1_668_246_117
CLOCK: Final = 1_668_246_118

#: The server ends a session within about four seconds whose machine is gone, and one in which nobody has
#: looked for a minute: a worker looks after each batch.
KEEPALIVE: Final = (
    "-c application_name=cordee-ingest -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1"
    " -c tcp_keepalives_count=2 -c tcp_user_timeout=4000 -c idle_session_timeout=60000"
)
ANSWERS_WITHIN_S: Final = 4.0

LIVE: Final = """
SELECT pid = pg_backend_pid(), count(*) FILTER (WHERE classid = {partition})
FROM pg_locks
WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid IN ({partition}, {worker})
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY pid HAVING bool_or(classid = {worker})
"""
QUERY: Final = sql.SQL(LIVE).format(partition=sql.Literal(PARTITION), worker=sql.Literal(WORKER))

log = structlog.get_logger()


class Claims:
    """What one worker holds; nothing before the first look.

    Attributes:
        held: Partitions that it may read.
        holds_clock: Whether the clock's work is its own.
        to_let_go: A partition that another worker should have; the caller finishes with it first.
    """

    def __init__(self, database_url: str, count: int) -> None:
        self._database_url, self._count = database_url, count
        self._conn: Connection | None = None
        self.held: set[int] = set()
        self.holds_clock = False
        self.to_let_go: int | None = None

    async def look(self) -> None:
        """Take what is free and due; see what should go. All is lost if the database does not answer."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await self._look()
        except (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError) as error:
            log.warning(
                "lost all claims, trying again", partitions=len(self.held), error=str(error)
            )
            await self.close()

    async def _look(self) -> None:
        conn = self._conn = self._conn or await self._connect()
        live = await (await conn.execute(QUERY)).fetchall()
        others = [int(theirs) for is_me, theirs in live if not is_me]
        for partition in partitions.to_try(self.held, others, self._count):
            if len(self.held) == partitions.share(self._count, len(others) + 1):
                break
            if await self._try(conn, PARTITION, partition):
                self.held.add(partition)
        self.holds_clock = self.holds_clock or await self._try(conn, CLOCK, 0)
        self.to_let_go = partitions.to_let_go(self.held, others, self._count)

    async def _connect(self) -> Connection:
        conn = await Connection.connect(
            self._database_url, autocommit=True, options=KEEPALIVE, tcp_user_timeout=4_000
        )
        await conn.execute("SELECT pg_advisory_lock_shared(%s, 0)", (WORKER,))
        return conn

    async def _try(self, conn: Connection, of: int, number: int) -> bool:
        asked = await conn.execute("SELECT pg_try_advisory_lock(%s, %s)", (of, number))
        return await asked.fetchone() == (True,)

    async def let_go(self, partition: int) -> None:
        """Let another worker have a partition, which must be read no more."""
        self.held.discard(partition)
        if self._conn is not None:
            try:
                await self._conn.execute(
                    "SELECT pg_advisory_unlock(%s, %s)", (PARTITION, partition)
                )
            except (psycopg.OperationalError, psycopg.InterfaceError):
                await self.close()

    async def close(self) -> None:
        """Let go of everything."""
        conn, self._conn = self._conn, None
        self.held.clear()
        self.holds_clock, self.to_let_go = False, None
        if conn is not None:
            await conn.close()
