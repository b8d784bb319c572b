"""The SQL of proposals: what touched pairs have, will get and must have, and what they propose.

Functions take a connection and never commit. No clock: what jobs need is as of the last look at them,
and changes pairs only when a job, a visit, an issue or a cut-off changes it.
"""

from collections.abc import Iterable
from typing import Final

from psycopg.types.json import Jsonb

from stock_tracker.resupply import replenish
from stock_tracker.resupply.replenish import Policy, Position
from storage.pool import Connection
from storage.rows import put_rows

LocationItem = tuple[int, int]
"""A location and an item, all lots together."""

# Of touched pairs, those that a template or an exception follows and of which something is known, and
# those that jobs need. A lot that expires before the jobs of the next order cannot serve them.
POSITIONS: Final = """
SELECT location_id, item_id, coalesce(on_hand, 0),
       CASE WHEN EXISTS (SELECT FROM resupply_line AS l
                         WHERE (l.location_id, l.item_id) = (pair.location_id, pair.item_id))
            THEN on_order(location_id, item_id) ELSE 0 END,
       CASE WHEN EXISTS (SELECT FROM transfer AS t
                         WHERE t.item_id = pair.item_id AND t.state IN ('proposed', 'accepted')
                           AND pair.location_id IN (t.from_location_id, t.to_location_id))
            THEN on_transfer(location_id, item_id) ELSE 0 END,
       coalesce(need.qty, 0), coalesce(need.soon, 0), need.jobs,
       coalesce(own.reorder_point, line.reorder_point),
       coalesce(own.order_up_to, line.order_up_to), coalesce(own.cap, line.cap),
       coalesce(line.pack_qty, 1)
FROM (SELECT DISTINCT * FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)) AS pair
JOIN location USING (location_id)
JOIN van USING (van_id)
LEFT JOIN warehouse ON warehouse.warehouse_id = van.warehouse_id
LEFT JOIN template_line AS line USING (template_id, item_id)
LEFT JOIN exception_in_force AS own USING (location_id, item_id)
LEFT JOIN need USING (location_id, item_id)
CROSS JOIN LATERAL (
  SELECT sum(greatest(0, qty)) FILTER (WHERE lot = '' OR NOT EXISTS (
    SELECT FROM movement AS m WHERE (m.item_id, m.lot) = (level.item_id, level.lot)
      AND m.expiry < warehouse.needs_until::date
    UNION ALL
    SELECT FROM count_line AS c WHERE (c.item_id, c.lot) = (level.item_id, level.lot)
      AND c.expiry < warehouse.needs_until::date
  ))::bigint AS on_hand, count(*) > 0 AS is_known
  FROM level WHERE (level.location_id, level.item_id) = (pair.location_id, pair.item_id)
) AS held
WHERE need.qty > 0
   OR (is_known AND (line.item_id IS NOT NULL OR own.item_id IS NOT NULL))
"""

# Of many pairs, those that may propose something, or do: whose one lot at least is low, as all are where
# their sum is, or of which more is asked than a template.
MAY_PROPOSE = """
SELECT DISTINCT location_id, item_id
FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
JOIN location USING (location_id)
JOIN van USING (van_id)
LEFT JOIN template_line AS line USING (template_id, item_id)
LEFT JOIN level USING (location_id, item_id)
LEFT JOIN proposal USING (location_id, item_id)
LEFT JOIN need USING (location_id, item_id)
LEFT JOIN policy_exception AS own USING (location_id, item_id)
WHERE level.qty <= line.reorder_point OR level.lot <> ''
   OR proposal.qty IS NOT NULL OR need.qty IS NOT NULL OR own.until IS NOT NULL
   OR EXISTS (SELECT FROM transfer
              WHERE transfer.item_id = pair.item_id AND state IN ('proposed', 'accepted')
                AND pair.location_id IN (from_location_id, to_location_id))
"""

DROP_PROPOSALS = """
DELETE FROM proposal USING unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
WHERE (proposal.location_id, proposal.item_id) = (pair.location_id, pair.item_id)
"""

# Whoever approved a quantity has not approved a greater one.
SET_PROPOSAL = """
INSERT INTO proposal (location_id, item_id, qty, inputs, short)
SELECT * FROM unnest(%s::int[], %s::int[], %s::int[], %s::jsonb[], %s::int[])
ON CONFLICT (location_id, item_id) DO UPDATE SET
  qty = excluded.qty, inputs = excluded.inputs, short = excluded.short,
  looked_at = CASE WHEN excluded.short = proposal.short THEN proposal.looked_at END,
  approved_by = CASE WHEN excluded.qty <= proposal.qty THEN proposal.approved_by END
WHERE (proposal.qty, proposal.inputs, proposal.short)
  IS DISTINCT FROM (excluded.qty, excluded.inputs, excluded.short)
"""

# What jobs need now against what was known of it: changed rows are written and returned.
REFRESH_NEEDS = """
WITH fresh AS (
  SELECT location_id, item_id, sum(qty)::integer AS qty,
         coalesce(sum(qty) FILTER (WHERE window_start < next_delivery_at), 0)::integer AS soon,
         coalesce(array_agg(work_order ORDER BY window_start, stop_id)
                  FILTER (WHERE work_order IS NOT NULL), '{}') AS jobs
  FROM job_need GROUP BY location_id, item_id
), gone AS (
  DELETE FROM need WHERE NOT EXISTS (
    SELECT FROM fresh WHERE (fresh.location_id, fresh.item_id) = (need.location_id, need.item_id))
  RETURNING location_id, item_id
), changed AS (
  INSERT INTO need SELECT * FROM fresh
  ON CONFLICT (location_id, item_id) DO UPDATE
    SET qty = excluded.qty, soon = excluded.soon, jobs = excluded.jobs
  WHERE (need.qty, need.soon, need.jobs)
    IS DISTINCT FROM (excluded.qty, excluded.soon, excluded.jobs)
  RETURNING location_id, item_id
)
SELECT * FROM gone UNION SELECT * FROM changed
"""

TAKE_DIRTY = "DELETE FROM stock_dirty RETURNING location_id, item_id"


async def refresh_proposals(conn: Connection, pairs: Iterable[LocationItem]) -> None:
    """Set, change or remove the open proposal of each pair."""
    asked = sorted(set(pairs))
    positions = await load_positions(conn, asked)
    wanted = [(p, qty) for p in positions if (qty := replenish.quantity(p)) > 0]
    kept = {(p.location_id, p.item_id) for p, _ in wanted}
    await conn.execute(DROP_PROPOSALS, columns(pair for pair in asked if pair not in kept))
    rows = [
        (p.location_id, p.item_id, qty, Jsonb(replenish.inputs(p)), replenish.short(p))
        for p, qty in wanted
    ]
    await put_rows(conn, SET_PROPOSAL, rows)


async def refresh_many(conn: Connection, pairs: Iterable[LocationItem]) -> None:
    """Do as `refresh_proposals` for pairs of which few propose anything, many times as fast."""
    found = await conn.execute(MAY_PROPOSE, columns(pairs))
    await refresh_proposals(conn, await found.fetchall())


async def load_positions(conn: Connection, pairs: Iterable[LocationItem]) -> list[Position]:
    """Return the positions of those of these pairs that anything follows."""
    rows = await conn.execute(POSITIONS, columns(pairs))
    return [
        Position(
            location_id, item_id, on_hand, on_order,
            replenish.NOT_HELD if policy[0] is None else Policy(*policy),
            on_transfer, needed, soon, tuple(jobs or ()),
        )
        for location_id, item_id, on_hand, on_order, on_transfer, needed, soon, jobs, *policy
        in await rows.fetchall()
    ]  # fmt: skip


async def refresh_needs(conn: Connection) -> set[LocationItem]:
    """Look at what jobs need, and return the pairs for which that has changed."""
    return set(await (await conn.execute(REFRESH_NEEDS)).fetchall())


async def take_dirty(conn: Connection) -> set[LocationItem]:
    """Return, and forget, the pairs whose policy has changed."""
    return set(await (await conn.execute(TAKE_DIRTY)).fetchall())


def columns(pairs: Iterable[LocationItem]) -> tuple[list[int], list[int]]:
    """Return pairs as the two arrays that statements take."""
    listed = list(pairs)
    return [pair[0] for pair in listed], [pair[1] for pair in listed]
