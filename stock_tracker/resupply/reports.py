"""The SQL of what warehouses report. Functions take a connection and never commit."""

from collections.abc import Collection, Sequence
from typing import Final

from psycopg.rows import class_row

from stock_tracker.levels import lock_ledger, refresh
from stock_tracker.resupply import received
from stock_tracker.resupply.orders import KnownOrder, Report, Shipped
from storage.pool import Connection
from storage.settings import as_datetime

PUT_REPORT: Final = """
INSERT INTO order_report VALUES (%s, %s, %s, %s, to_timestamp(%s / 1000.0), %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING RETURNING true
"""
PUT_LINE: Final = "INSERT INTO order_report_line VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"

# Boxes and orders of every payload under these ids: a second one sets the first aside.
CONCERNED: Final = """
SELECT order_id, sscc FROM order_report
JOIN unnest(%s::int[], %s::text[]) AS said (warehouse_id, report) USING (warehouse_id, report)
"""
# Homes and sites hold stock from the first time that something is left there.
MAKE_PLACES: Final = """
INSERT INTO location (organisation_id, kind, technician_id, site_id)
SELECT DISTINCT o.organisation_id, o.mode, CASE o.mode WHEN 'home' THEN van.technician_id END,
       CASE o.mode WHEN 'site' THEN o.site_id END
FROM order_report AS said
JOIN unnest(%s::int[], %s::text[]) AS new (warehouse_id, report) USING (warehouse_id, report)
JOIN resupply_order AS o USING (order_id)
JOIN location AS own ON own.location_id = o.location_id
JOIN van ON van.van_id = own.van_id
WHERE said.kind = 'delivered'
  AND ((o.mode = 'home' AND van.technician_id IS NOT NULL) OR (o.mode = 'site' AND o.site_id IS NOT NULL))
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""
ORDERED: Final = """
SELECT location_id, item_id FROM resupply_line WHERE order_id = ANY(%s)
"""

FIND_ORDERS: Final = """
SELECT o.code, o.order_id, o.warehouse_id, warehouse.code, o.organisation_id
FROM resupply_order AS o JOIN warehouse USING (warehouse_id) WHERE o.code = ANY(%s)
"""

SHIPPED_NEWS: Final = """
SELECT DISTINCT van.code AS van, o.code AS "order", said.report, o.mode,
       (SELECT count(*) FROM order_report_line AS l
        WHERE (l.warehouse_id, l.report, l.payload_hash)
            = (said.warehouse_id, said.report, said.payload_hash))::integer AS lines
FROM sound_report AS said
JOIN unnest(%s::int[], %s::text[]) AS new (warehouse_id, report) USING (warehouse_id, report)
JOIN resupply_order AS o USING (order_id)
JOIN location USING (location_id) JOIN van USING (van_id)
WHERE said.kind = 'shipped' ORDER BY 1, 2, 3
"""


async def find_orders(conn: Connection, codes: Collection[str]) -> dict[str, KnownOrder]:
    """Return the orders of these codes."""
    rows = await (await conn.execute(FIND_ORDERS, (sorted(codes),))).fetchall()
    return {code: KnownOrder(*rest) for code, *rest in rows}


async def find_items(conn: Connection, refs: Collection[str]) -> dict[str, int]:
    """Return the items of these references."""
    rows = await conn.execute("SELECT ref, item_id FROM item WHERE ref = ANY(%s)", (sorted(refs),))
    return dict(await rows.fetchall())


async def take(conn: Connection, said: Sequence[Report], now: int) -> list[Shipped]:
    """Store reports and bring up to date what they change; return which boxes are newly on their way.

    A repeat changes nothing; another payload under an id that is known sets both aside.
    """
    await lock_ledger(conn)
    new = [report for report in said if await _put(conn, report, now)]
    if not new:
        return []
    ids = sorted({(report.warehouse_id, report.report) for report in new})
    asked = [i[0] for i in ids], [i[1] for i in ids]
    await conn.execute(MAKE_PLACES, asked)
    concerned = await (await conn.execute(CONCERNED, asked)).fetchall()
    order_ids = {row[0] for row in concerned}
    touched = await received.settle_shipped(conn, ids)
    touched |= await received.settle_scanned(conn, {row[1] for row in concerned if row[1]})
    await received.settle_reported(conn, order_ids)
    ordered = await (await conn.execute(ORDERED, (sorted(order_ids),))).fetchall()
    await refresh(conn, touched, now, order_ids, {(place, item) for place, item in ordered})
    async with conn.cursor(row_factory=class_row(Shipped)) as cursor:
        await cursor.execute(SHIPPED_NEWS, asked)
        return await cursor.fetchall()


async def _put(conn: Connection, said: Report, now: int) -> bool:
    key = said.warehouse_id, said.report, said.payload_hash
    put = await conn.execute(
        PUT_REPORT,
        (
            *key,
            said.order_id,
            said.t,
            said.kind,
            said.sscc,
            said.author,
            said.raw,
            as_datetime(now),
        ),
    )
    if await put.fetchone() is None:
        return False
    async with conn.cursor() as cursor:
        await cursor.executemany(
            PUT_LINE,
            [
                (*key, number, line.item_id, line.lot, line.qty, line.reason, line.is_backorder)
                for number, line in enumerate(said.lines, start=1)
            ],
        )
    return True
