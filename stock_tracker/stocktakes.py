"""The SQL of counts that files bring: what was found in vans and warehouses before Cordée knew.

A count's key is device 'import', as epoch a hash of the file, as seq its line. An import says one thing
of a pair at a time: where an earlier one had a count of the same pair and time, it is the same if the
quantity is, and is replaced otherwise. So a corrected file corrects, which the order of two hashes would
not. Counts and scans of a later time still go before it. Never commits.
"""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final

from stock_tracker.levels import Pair, lock_ledger, refresh_levels
from storage.copy import POSTGRES_ORIGIN_MS
from storage.imports import stage_numbers
from storage.pool import Connection
from storage.settings import as_datetime
from storage.sheets import StagedRow, moment

POSTGRES_ORIGIN: Final = as_datetime(POSTGRES_ORIGIN_MS)

STAGED: Final = "location_id int, item_id int, t timestamptz, seq bigint, qty int"
TYPES: Final = ("i4", "i4", "i8", "i8", "i4")
SORT_IN_MEMORY = "SET LOCAL work_mem = '64MB'"

# Once these are gone, what is staged is news.
DROP_KNOWN = """
DELETE FROM staged USING count_line AS kept
WHERE kept.device = 'import' AND kept.lot = '' AND kept.qty = staged.qty
  AND (kept.location_id, kept.item_id, kept.t) = (staged.location_id, staged.item_id, staged.t)
"""
CORRECT = """
UPDATE count_line AS kept SET epoch = %s, seq = staged.seq, qty = staged.qty FROM staged
WHERE kept.device = 'import' AND kept.lot = ''
  AND (kept.location_id, kept.item_id, kept.t) = (staged.location_id, staged.item_id, staged.t)
"""
ADD = """
INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t)
SELECT 'import', %s, seq, location_id, item_id, qty, t FROM staged
WHERE NOT EXISTS (
  SELECT FROM count_line AS kept
  WHERE kept.device = 'import' AND kept.lot = ''
    AND (kept.location_id, kept.item_id, kept.t) = (staged.location_id, staged.item_id, staged.t))
ORDER BY seq  -- appends to the primary key's index; the order of a hash join takes twice as long
"""

# Of most pairs a file tells the first thing that is ever known: their level is its newest count.
SET_FIRST_LEVELS = """
INSERT INTO level (location_id, item_id, qty, counted_at)
SELECT DISTINCT ON (location_id, item_id) location_id, item_id, qty, t FROM staged
WHERE NOT EXISTS (
    SELECT FROM level
    WHERE (level.location_id, level.item_id, lot) = (staged.location_id, staged.item_id, ''))
  AND NOT EXISTS (SELECT FROM full_count WHERE full_count.location_id = staged.location_id)
ORDER BY location_id, item_id, t DESC, seq DESC
"""
KNOWN_BEFORE = """
SELECT DISTINCT location_id, item_id, '' FROM staged
WHERE EXISTS (SELECT FROM level
              WHERE (level.location_id, level.item_id, lot) = (staged.location_id, staged.item_id, ''))
   OR EXISTS (SELECT FROM full_count WHERE full_count.location_id = staged.location_id)
"""

# A count may settle what was to be counted again, and the next tick looks. It asks for no other count:
# whoever takes stock by a file has looked.
MARK_DIRTY = """
INSERT INTO stock_dirty SELECT location_id, item_id
FROM count_task JOIN (SELECT DISTINCT location_id, item_id FROM staged) AS news
  USING (location_id, item_id)
ON CONFLICT DO NOTHING
"""

# A file may hold more than there was. Plans made for empty tables would take minutes next time.
ANALYZE = "ANALYZE count_line, level"


async def put(conn: Connection, data: bytes, staged: Sequence[StagedRow]) -> tuple[int, int]:
    """Merge a file's counts and set the levels they tell something new about; return (new, corrected).

    What is news stays in the temporary table `staged`. The ledger is locked until the transaction ends.

    Args:
        conn: The caller's.
        data: The file.
        staged: Location, item, time by `postgres_us`, line, quantity; no pair twice at one time.
    """
    epoch = hashlib.sha256(data).hexdigest()[:32]
    await stage_numbers(conn, STAGED, TYPES, staged)
    await lock_ledger(conn)
    await conn.execute(SORT_IN_MEMORY)
    await conn.execute(DROP_KNOWN)
    corrected = (await conn.execute(CORRECT, [epoch])).rowcount
    added = (await conn.execute(ADD, [epoch])).rowcount
    known: list[Pair] = await (await conn.execute(KNOWN_BEFORE)).fetchall()
    await conn.execute(SET_FIRST_LEVELS)
    if corrected or added:
        await conn.execute(ANALYZE)
    await refresh_levels(conn, known)
    await conn.execute(MARK_DIRTY)
    return added, corrected


@lru_cache(maxsize=4_096)
def postgres_us(text: str) -> int:
    """Return a time of the file as timestamptz holds it: microseconds since 2000-01-01 UTC."""
    return (moment(text) - POSTGRES_ORIGIN) // timedelta(microseconds=1)
