"""What to do when a batch cannot be committed.

| error                                   | what is done                                            |
| --------------------------------------- | ------------------------------------------------------- |
| the database is away, busy or restarts  | wait and try again, for as long as it takes             |
| the data is refused                     | try once more, then message by message, a backlog       |
|                                         | element by element; what fails then alone becomes a     |
|                                         | rejection `refused_by_database`                         |
| anything else                           | a defect: crash; redelivery repairs                     |

Waiting loses nothing: unacknowledged messages are the broker's, and the queue in front of the batch
is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

import psycopg
import psycopg_pool
import structlog

from ingest import store
from ingest.apply import Reference
from ingest.batch import Delivery, elements_of, refusal
from ingest.quota import USUAL, Quota
from storage.pool import Pool
from storage.settings import Clock

Rest = ParamSpec("Rest")
Result = TypeVar("Result")

Commit = Callable[[Pool, list[Delivery], Reference | None, Clock], Awaitable[Reference]]

WAIT_S_MIN = 0.1
WAIT_S_MAX = 2.0

#: The server's fault or the moment's; it will pass.
PASSING = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby that is about to be promoted
    psycopg_pool.PoolTimeout,
)
#: This data's fault; it will not pass.
REFUSED = (psycopg.DataError, psycopg.IntegrityError)

log = structlog.get_logger()


async def insist(
    act: Callable[Concatenate[Pool, Rest], Awaitable[Result]],
    pool: Pool,
    *args: Rest.args,
    **kwargs: Rest.kwargs,
) -> Result:
    """Do `act` until the database lets it; waits grow from 0.1 s to 2 s."""
    wait_s = WAIT_S_MIN
    while True:
        try:
            return await act(pool, *args, **kwargs)
        except PASSING as error:
            log.warning("the database is away, trying again", wait_s=wait_s, error=str(error))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, WAIT_S_MAX)


async def persist(
    commit: Commit,
    pool: Pool,
    deliveries: list[Delivery],
    reference: Reference | None,
    now: Clock,
    quota: Quota = USUAL,
) -> Reference:
    """Commit a batch, whatever it takes; afterwards every message of it is stored or rejected."""
    for _ in range(2):
        try:
            return await insist(commit, pool, deliveries, reference, now)
        except REFUSED as error:
            log.warning(
                "the database refused a batch", messages=len(deliveries), **_without_values(error)
            )
    for message in (part for delivery in deliveries for part in elements_of(delivery)):
        try:
            reference = await insist(commit, pool, [message], reference, now)
        except REFUSED as error:
            await insist(_reject, pool, message, str(error), now, quota)
    await insist(_tell_awaited, pool, deliveries)
    if reference is None:
        return await insist(_load_reference, pool, now)
    return reference


def _without_values(error: psycopg.Error) -> dict[str, str | None]:
    """Return what may be logged of a refusal: its words may quote what was refused."""
    return {
        "error": type(error).__name__,
        "sqlstate": error.sqlstate,
        "table": error.diag.table_name,
        "constraint": error.diag.constraint_name,
    }


async def _reject(pool: Pool, message: Delivery, detail: str, now: Clock, quota: Quota) -> None:
    async with pool.connection() as conn, conn.transaction():
        await store.settle(conn, [], [refusal(message, detail)], now(), quota)


async def _tell_awaited(pool: Pool, deliveries: list[Delivery]) -> None:
    """Tell of whole messages, whose elements have been committed one by one."""
    async with pool.connection() as conn, conn.transaction():
        await store.tell_awaited(conn, deliveries)


async def _load_reference(pool: Pool, now: Clock) -> Reference:
    async with pool.connection() as conn, conn.transaction():
        return await store.load_reference(conn, None, now())
