"""Connections to PostgreSQL, and the schema they expect.

Only a shell opens connections; rules never do. Every connection speaks UTC.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import yoyo
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

SCHEMA = Path(__file__).with_name("schema")
SESSION = "-c TimeZone=UTC -c application_name={name}"

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]


@asynccontextmanager
async def connect(
    database_url: str,
    name: str,
    *,
    size_max: int = 4,
    prepare: Callable[[Connection], Awaitable[None]] | None = None,
) -> AsyncIterator[Pool]:
    """Open a pool of up to `size_max` connections and close it on the way out.

    Args:
        database_url: A libpq URL.
        name: The process, as the server's `pg_stat_activity` will show it.
        size_max: The most connections held at once.
        prepare: What every new connection needs before its first use.

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
        check=AsyncConnectionPool.check_connection,
    )
    await pool.open(wait=True)
    try:
        yield pool
    finally:
        await pool.close()


def migrate(database_url: str) -> list[str]:
    """Apply the migrations that this database lacks and return their names, oldest first."""
    with yoyo.get_backend(database_url.replace("postgresql://", "postgresql+psycopg://", 1)) as to:
        migrations = yoyo.read_migrations(str(SCHEMA))
        with to.lock():
            missing = to.to_apply(migrations)
            to.apply_migrations(missing)
            return [migration.id for migration in missing]
