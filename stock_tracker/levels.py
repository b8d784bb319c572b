"""The SQL of levels, and of what rests on them: receipts, transfers, proposals, count tasks.

`refresh` is called with the pairs that a transaction has touched, whatever touched them; what it writes
follows from the ledger, orders and reports alone. Functions take a connection and never commit.
"""

from collections.abc import Collection, Iterable
from typing import Final

from psycopg.rows import class_row

from stock_tracker.ledger import CountTask
from stock_tracker.resupply import handovers, positions, received
from stock_tracker.resupply.positions import LocationItem
from storage.pool import Connection
from storage.settings import as_datetime

Pair = tuple[int, int, str]
"""A location, an item and a lot."""

# Level = the latest count's quantity + all postings after it, by (t, device, epoch, seq); a full count
# that does not list the pair counts as 0. A pair of which nothing is known, because what was said of it
# is contested, has no level.
REFRESH_LEVELS = """
WITH pair AS (
  SELECT * FROM unnest(%s::int[], %s::int[], %s::text[]) AS pair (location_id, item_id, lot)
), computed AS (
  SELECT pair.*, coalesce(counted.qty, 0) + coalesce(moved.delta, 0) AS qty, counted.t,
         EXISTS (SELECT FROM posting AS p
                 WHERE (p.location_id, p.item_id, p.lot) = (pair.location_id, pair.item_id, pair.lot))
         OR EXISTS (SELECT FROM count_line AS c
                    WHERE (c.location_id, c.item_id, c.lot)
                        = (pair.location_id, pair.item_id, pair.lot)) AS is_known
  FROM pair
  LEFT JOIN LATERAL anchor_before(
    pair.location_id, pair.item_id, pair.lot, 'infinity', '', '', 0
  ) AS counted ON true
  LEFT JOIN LATERAL (
    SELECT sum(delta) AS delta FROM posting AS p
    WHERE (p.location_id, p.item_id, p.lot) = (pair.location_id, pair.item_id, pair.lot)
      AND (counted.t IS NULL OR (p.t, p.device, p.epoch, p.seq)
                              > (counted.t, counted.device COLLATE "C",
                                 counted.epoch COLLATE "C", counted.seq))
  ) AS moved ON true
), gone AS (
  DELETE FROM level USING computed
  WHERE (level.location_id, level.item_id, level.lot)
      = (computed.location_id, computed.item_id, computed.lot) AND NOT is_known
)
INSERT INTO level (location_id, item_id, lot, qty, counted_at)
SELECT location_id, item_id, lot, qty, t FROM computed WHERE is_known
ORDER BY location_id, item_id, lot
ON CONFLICT (location_id, item_id, lot) DO UPDATE
SET qty = excluded.qty, counted_at = excluded.counted_at
WHERE (level.qty, level.counted_at) IS DISTINCT FROM (excluded.qty, excluded.counted_at)
"""

SETTLE_TASKS = """
WITH asked AS MATERIALIZED (
  SELECT location_id, item_id
  FROM count_task JOIN unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
    USING (location_id, item_id)
)
DELETE FROM count_task USING asked
WHERE (count_task.location_id, count_task.item_id) = (asked.location_id, asked.item_id)
  AND NOT EXISTS (SELECT FROM recounts_of(asked.location_id, asked.item_id))
"""

ASK_TASKS = """
WITH asked AS (
  INSERT INTO count_task
  SELECT location_id, item_id, min(reason), %s
  FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
  JOIN location USING (location_id),
       LATERAL recounts_of(location_id, item_id)
  WHERE location.kind = 'van'
  GROUP BY location_id, item_id
  ON CONFLICT (location_id, item_id) DO NOTHING
  RETURNING location_id, item_id, reason
)
SELECT van.code AS van, item.ref, reason
FROM asked JOIN location USING (location_id) JOIN van USING (van_id) JOIN item USING (item_id)
ORDER BY van.code, item.ref
"""


async def lock_ledger(conn: Connection) -> None:
    """Wait until no other transaction writes the ledger, and keep others off until this one ends.

    Two that add to one pair at a time would each compute a level without the other's postings.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('cordee ledger'))")


async def refresh(
    conn: Connection,
    pairs: Collection[Pair],
    now: int | None = None,
    orders: Collection[int] = (),
    ordered: Collection[LocationItem] = (),
) -> None:
    """Bring up to date the levels of pairs and all that rests on them.

    Args:
        conn: The caller's, with the ledger locked.
        pairs: Touched by postings or counts.
        now: When that became known, ms since 1970 UTC.
        orders: Orders that reports have touched.
        ordered: What is on their lines.
    """
    if pairs or orders:
        await refresh_levels(conn, pairs)
        of_items = {pair[:2] for pair in pairs} | set(ordered)
        await received.settle_received(conn, of_items, orders, now)
        of_items |= await handovers.finish(conn, of_items)
        await positions.refresh_proposals(conn, of_items)


async def refresh_levels(conn: Connection, pairs: Iterable[Pair]) -> None:
    """Compute the level of each pair from its latest count and the postings after it."""
    ordered = sorted(pairs)
    await conn.execute(
        REFRESH_LEVELS,
        ([p[0] for p in ordered], [p[1] for p in ordered], [p[2] for p in ordered]),
    )


async def refresh_tasks(conn: Connection, pairs: Iterable[Pair], now: int) -> list[CountTask]:
    """Bring up to date what of these pairs is to be counted again; return what is asked for anew."""
    asked = sorted({pair[:2] for pair in pairs})
    columns = [p[0] for p in asked], [p[1] for p in asked]
    await conn.execute(SETTLE_TASKS, columns)
    async with conn.cursor(row_factory=class_row(CountTask)) as cursor:
        await cursor.execute(ASK_TASKS, (as_datetime(now), *columns))
        return await cursor.fetchall()


# Every pair of which anything is known, or something is kept.
PAIRS = """
SELECT location_id, item_id, lot FROM posting
UNION SELECT location_id, item_id, lot FROM count_line
UNION SELECT location_id, item_id, lot FROM level
"""
FOLLOWED = "SELECT location_id, item_id FROM need UNION SELECT location_id, item_id FROM proposal"

#: What is kept beside scans and orders, and can be computed again from them.
CACHES: Final = {
    "level": "SELECT * FROM level",
    "proposal": "SELECT location_id, item_id, qty, inputs, short FROM proposal",
    "need": "SELECT * FROM need",
}

DRIFT = """
SELECT count(*) FROM (({1} EXCEPT TABLE {0}_kept) UNION ALL (TABLE {0}_kept EXCEPT {1})) AS differing
"""


async def rebuild(conn: Connection) -> dict[str, int]:
    """Compute every cache anew; return how many rows of each were not as they are now."""
    await lock_ledger(conn)
    for table, kept in CACHES.items():
        await conn.execute(f"CREATE TEMP TABLE {table}_kept ON COMMIT DROP AS {kept}")
    pairs: list[Pair] = await (await conn.execute(PAIRS)).fetchall()
    await refresh_levels(conn, pairs)
    await positions.refresh_needs(conn)
    followed = await (await conn.execute(FOLLOWED)).fetchall()
    await positions.refresh_proposals(conn, {pair[:2] for pair in pairs} | set(followed))
    drift = {}
    for table, kept in CACHES.items():
        [drift[table]] = await (await conn.execute(DRIFT.format(table, kept))).fetchone() or (0,)
    return drift
