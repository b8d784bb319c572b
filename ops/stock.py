"""Stock from the command line: what is kept beside the ledger must be what the ledger says."""

import stock_tracker.levels
from stock_tracker.resupply import policies
from storage.pool import connect
from storage.settings import Settings, clock


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


async def propose(settings: Settings, job_target: float) -> dict[str, tuple[int, float]]:
    """Look at demand anew, and return by template how many lines should change, and what they serve."""
    async with connect(settings.database_url, "cordee-stock") as pool, pool.connection() as conn:
        return await policies.propose(conn, clock(settings)(), job_target)


async def accept(settings: Settings, template: str, items: tuple[str, ...]) -> int:
    """Accept what is proposed for a template, or for some of its items; return how many lines changed."""
    async with connect(settings.database_url, "cordee-stock") as pool, pool.connection() as conn:
        return await policies.accept(conn, template, items or None)
