"""The SQL of transfers: which van could hand a part over, and what became of it. Never commits."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from stock_tracker.resupply.positions import LocationItem, columns
from stock_tracker.resupply.urgent import Giver, Handover, Reals, apart_m
from storage.pool import Connection
from storage.settings import as_datetime

# What other vans of the organisation hold above their reorder point, when their jobs are served and
# what they have promised is gone. A level that is to be counted again promises nothing.
SPARE: Final = """
SELECT location_id, van.van_id, van.code, (held.qty + least(0, on_transfer(location_id, %(item)s))
       - coalesce(need.qty, 0) - coalesce(own.reorder_point, line.reorder_point, 0))::integer
FROM (
  SELECT location_id, sum(greatest(0, qty)) AS qty FROM level WHERE item_id = %(item)s
  GROUP BY location_id
) AS held
JOIN location USING (location_id)
JOIN van USING (van_id)
LEFT JOIN template_line AS line ON (line.template_id, line.item_id) = (van.template_id, %(item)s)
LEFT JOIN exception_in_force AS own USING (location_id, item_id)
LEFT JOIN need USING (location_id, item_id)
WHERE location.kind = 'van' AND location_id <> %(to)s
  AND van.organisation_id = (SELECT organisation_id FROM location WHERE location_id = %(to)s)
  AND NOT EXISTS (SELECT FROM count_task
                  WHERE (count_task.location_id, count_task.item_id) = (location_id, %(item)s))
  AND held.qty - coalesce(need.qty, 0) - coalesce(own.reorder_point, line.reorder_point, 0)
      >= %(qty)s
ORDER BY van.code
"""

# Where vans are and will be, today and on the next day: what is done already is not on their way.
WAYS = """
SELECT tour.van_id, site.latitude_deg, site.longitude_deg
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
WHERE tour.van_id = ANY(%(vans)s)
  AND tour.service_date BETWEEN %(now)s::date AND %(now)s::date + 1
  AND stop.window_end > %(now)s
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id AND left_at IS NOT NULL)
UNION ALL
SELECT van_id, latitude_deg, longitude_deg FROM van_position
WHERE van_id = ANY(%(vans)s) AND fix_time > %(now)s - INTERVAL '1 hour'
"""

PROPOSE = """
INSERT INTO transfer (from_location_id, to_location_id, item_id, qty, stop_id, inputs,
                      created_time, until)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""

FINISH = """
UPDATE transfer SET state = 'done'
FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
WHERE (transfer.to_location_id, transfer.item_id) = (pair.location_id, pair.item_id)
  AND state IN ('proposed', 'accepted')
  AND qty <= (
    SELECT sum(movement.qty) FROM movement
    WHERE movement.kind = 'transfer' AND movement.item_id = transfer.item_id
      AND (movement.from_location_id, movement.to_location_id)
        = (transfer.from_location_id, transfer.to_location_id)
      AND movement.t >= transfer.created_time)
RETURNING from_location_id, to_location_id, transfer.item_id
"""

LAPSE = """
UPDATE transfer SET state = 'refused', decided_by = 'time'
WHERE state IN ('proposed', 'accepted') AND until < %s
RETURNING from_location_id, to_location_id, item_id
"""

TELL = """
UPDATE transfer SET told_time = %s FROM (
  SELECT transfer_id, giver.code AS giver, receiver.code AS receiver, ref, item.name
  FROM transfer
  JOIN location AS f ON f.location_id = from_location_id JOIN van AS giver ON giver.van_id = f.van_id
  JOIN location AS t ON t.location_id = to_location_id
  JOIN van AS receiver ON receiver.van_id = t.van_id
  JOIN item USING (item_id)
  WHERE state = 'accepted' AND told_time IS NULL
) AS accepted
WHERE transfer.transfer_id = accepted.transfer_id
RETURNING transfer.transfer_id, giver, receiver, ref, name, qty
"""


async def find_givers(
    conn: Connection, to_location_id: int, item_id: int, qty: int, moment: datetime
) -> list[Giver]:
    """Return the vans that can spare `qty` of an item, with how near their way comes."""
    rows = await conn.execute(SPARE, {"to": to_location_id, "item": item_id, "qty": qty})
    spare = [row for row in await rows.fetchall() if row[3] >= qty]
    if not spare:
        return []
    found = await conn.execute(
        "SELECT van_id FROM location WHERE location_id = %s", [to_location_id]
    )
    (receiver,) = await found.fetchone() or (None,)
    ways = await _ways(conn, [receiver, *(van_id for _, van_id, _, _ in spare)], moment)
    nowhere = np.empty((0, 2))
    return [
        Giver(location_id, van, units,
              apart_m(ways.get(van_id, nowhere), ways.get(receiver, nowhere)))
        for location_id, van_id, van, units in spare
    ]  # fmt: skip


async def _ways(
    conn: Connection, vans: Sequence[int | None], moment: datetime
) -> dict[int | None, Reals]:
    points: dict[int | None, list[tuple[float, float]]] = defaultdict(list)
    rows = await conn.execute(WAYS, {"vans": list(vans), "now": moment})
    for van_id, latitude_deg, longitude_deg in await rows.fetchall():
        points[van_id].append((latitude_deg, longitude_deg))
    return {van_id: np.array(places) for van_id, places in points.items()}


async def propose(
    conn: Connection,
    giver: Giver,
    to_location_id: int,
    item_id: int,
    qty: int,
    stop_id: int | None,
    moment: datetime,
    until: datetime,
) -> None:
    """Propose that a van hands parts over; one open proposal for each receiver and item."""
    inputs = {
        "spare": giver.spare,
        "apart_m": round(giver.apart_m),
        "why": f"{giver.van} has {giver.spare} to spare, and its way comes within "
        f"{giver.apart_m / 1_000:.1f} km",
    }
    await conn.execute(
        PROPOSE,
        (giver.location_id, to_location_id, item_id, qty, stop_id, Jsonb(inputs), moment, until),
    )


async def finish(conn: Connection, pairs: Collection[LocationItem]) -> set[LocationItem]:
    """Mark transfers done whose parts have been handed over; return the pairs that changes."""
    return _both(await (await conn.execute(FINISH, columns(pairs))).fetchall())


async def lapse(conn: Connection, moment: datetime) -> set[LocationItem]:
    """Give up transfers whose time has passed; return the pairs that changes."""
    return _both(await (await conn.execute(LAPSE, (moment,))).fetchall())


async def tell(conn: Connection, now: int) -> list[Handover]:
    """Return the transfers that somebody has accepted and nobody has been told of yet."""
    async with conn.cursor(row_factory=class_row(Handover)) as cursor:
        await cursor.execute(TELL, (as_datetime(now),))
        return await cursor.fetchall()


def _both(rows: Sequence[tuple[int, ...]]) -> set[LocationItem]:
    return {(place, item) for giver, receiver, item in rows for place in (giver, receiver)}
