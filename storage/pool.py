"""Connections to PostgreSQL, and the schema they expect.

Only a shell opens connections; rules never do. Every connection speaks UTC.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

SCHEMA = Path(__file__).with_name("schema")
#: How long who asks for a connection waits, and how long the pool tries before it waits to be asked again.
#: By itself it would double its pauses for five minutes, and come back a minute after the server.
WAITS_S = 5.0
#: A page that is not read in order costs hardly more: databases are in memory or on flash, not on the
#: turning disks that PostgreSQL assumes, for which it reads whole tables instead of a day's rows of them.
#: And 360,000 pairs of van and item are summed up in 16 MB, not by way of files. Whoever hangs in the middle
#: of a transaction loses it after a minute, or everybody would wait for the rows that it holds.
SESSION = (
    "-c TimeZone=UTC -c application_name={name} -c random_page_cost=1.1 -c work_mem=16MB"
    " -c idle_in_transaction_session_timeout=60000"
)

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]


@asynccontextmanager
async def connect(
    database_url: str,
    name: str,
    *,
    size_max: int = 4,
    prepare: Callable[[Connection], Awaitable[None]] | None = None,
    must_answer: bool = True,
) -> AsyncIterator[Pool]:
    """Open a pool of up to `size_max` connections and close it on the way out.

    Args:
        database_url: A libpq URL.
        name: The process, as the server's `pg_stat_activity` will show it.
        size_max: The most connections held at once.
        prepare: What every new connection needs before its first use.
        must_answer: Wait until the server does; else it may come later.

    Raises:
        psycopg_pool.PoolTimeout: no connection within 30 s.
    """
    pool = Pool(
        database_url,
        kwargs={"options": SESSION.format(name=name)},
        min_size=1,
        max_size=size_max,
        configure=prepare,
        open=False,
        timeout=WAITS_S,
        reconnect_timeout=WAITS_S,
        check=AsyncConnectionPool.check_connection,
    )
    await pool.open(wait=must_answer)
    try:
        yield pool
    finally:
        await pool.close()


def migrate(database_url: str) -> list[str]:
    """Apply the migrations that this database lacks and return their names, oldest first.

    One at a time, whoever calls. yoyo's own lock is a row that outlives a killed process; ours ends
    with the connection, and whoever holds it may clear that row.
    """
    import yoyo  # noqa: PLC0415  a tenth of what the relay would import, and only this needs it

    url = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    with psycopg.connect(database_url, autocommit=True) as guard:
        guard.execute("SELECT pg_advisory_lock(hashtext('cordee migrate'))")
        with yoyo.get_backend(url) as database:
            database.break_lock()
            with database.lock():
                missing = database.to_apply(yoyo.read_migrations(str(SCHEMA)))
                database.apply_migrations(missing)
                return [migration.id for migration in missing]
