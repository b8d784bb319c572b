"""The question about stock: what a van holds, what it should hold, and what is on its way.

Scoped by a van that was found in the organisation; reads, never commits. Levels are told as they
stand in the table: how scans make them is not known here.
"""

from api.answers import StockLevel
from api.queries.asked import Asked
from api.times import ms


def asked(van: int, limit: int, *, search: str = "", below_only: bool = False) -> Asked[StockLevel]:
    """Ask for up to `limit` levels of a van: below the reorder point first, then by item.

    `search` is found anywhere in the item's ref or name, whatever the case.
    """
    query = f"""
        WITH home AS (
          SELECT location_id FROM location WHERE kind = 'van' AND van_id = %(van)s
        ), held AS (
          SELECT item_id, sum(qty)::bigint AS qty, max(counted_at) AS counted_at
          FROM level WHERE location_id IN (SELECT location_id FROM home) GROUP BY item_id
        ), coming AS (
          SELECT item_id, on_order(location_id, item_id) AS qty
          FROM (
            SELECT DISTINCT location_id, item_id FROM resupply_line JOIN home USING (location_id)
          ) AS asked
        ), wanted AS (
          SELECT line.item_id, line.reorder_point, line.order_up_to
          FROM van JOIN template_line line ON line.template_id = van.template_id
          WHERE van.van_id = %(van)s
        ), stock AS (
          SELECT item.ref AS item, item.name, item.base_unit, coalesce(held.qty, 0) AS qty,
                 coalesce(coming.qty, 0) AS on_order,
                 {ms("held.counted_at")} AS counted_at_ms,
                 wanted.reorder_point, wanted.order_up_to,
                 coalesce(coalesce(held.qty, 0) <= wanted.reorder_point, false) AS below
          FROM held FULL JOIN wanted USING (item_id)
          JOIN item USING (item_id)
          LEFT JOIN coming USING (item_id)
        )
        SELECT * FROM stock
        WHERE (strpos(lower(item), lower(%(search)s)) > 0
               OR strpos(lower(name), lower(%(search)s)) > 0)
          AND (below OR NOT %(below_only)s)
        ORDER BY below DESC, item
        LIMIT %(limit)s
    """
    values = {"van": van, "search": search, "below_only": below_only, "limit": limit}
    return Asked(StockLevel, query, values)
