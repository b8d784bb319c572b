"""Stock from the command line: what is kept beside the ledger must be what the ledger says."""

import stock_tracker.levels
from storage.pool import connect
from storage.settings import Settings


async def rebuild(settings: Settings, *, check: bool) -> dict[str, int]:
    """Compute levels and proposals anew; return by table how many rows differed.

    Args:
        settings: Which database.
        check: Write nothing.
    """
    async with connect(settings.database_url, "cordee-stock") as pool, pool.connection() as conn:
        drift = await stock_tracker.levels.rebuild(conn)
        if check:
            await conn.rollback()
    return drift
