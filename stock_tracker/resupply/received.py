"""The SQL of what became of orders: boxes, receipts, reports, states. Functions never commit.

Whatever is written here follows from scans, reports and orders alone, whichever came first: each
function computes its rows anew for the boxes, pairs or orders that it is given.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Final

from stock_tracker.ledger import ScanKey
from stock_tracker.resupply import orders
from stock_tracker.resupply.orders import LineFacts
from stock_tracker.resupply.positions import LocationItem, columns
from storage.pool import Connection

Pair = tuple[int, int, str]
"""A location, an item and a lot."""

# What was left at a home or a site lies there from then on.
PUT_DELIVERED: Final = """
WITH put AS (
  INSERT INTO movement (device, epoch, seq, line, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id, box)
  SELECT 'warehouse/' || box.warehouse_id, box.report, 1,
         row_number() OVER (PARTITION BY box.sscc ORDER BY s.warehouse_id, s.report, s.line),
         box.t, 'deliver', s.item_id, s.lot, s.qty, box.from_location_id, box.location_id, box.sscc
  FROM box_place AS box JOIN shipped_line AS s USING (sscc)
  WHERE box.sscc = ANY(%s)
  RETURNING *
), posted AS (
  INSERT INTO posting
  SELECT device, epoch, seq, line, side.location_id, item_id, lot, delta, t
  FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty))
    AS side (location_id, delta)
)
SELECT from_location_id, to_location_id, item_id, lot FROM put
"""

# Lines that were scanned by themselves come from where their box lies.
PLACE_LINES: Final = """
WITH line AS (
  SELECT m.device, m.epoch, m.seq, m.line, m.item_id, m.lot, m.from_location_id AS was,
         coalesce(box.location_id, way.location_id) AS location_id
  FROM movement AS m
  JOIN location AS own ON own.location_id = m.to_location_id
  JOIN location AS way ON (way.organisation_id, way.kind) = (own.organisation_id, 'in_transit')
  LEFT JOIN box_place AS box ON box.sscc = m.box
  WHERE m.box = ANY(%s) AND m.line = 0 AND m.kind = 'receive'
), moved AS (
  UPDATE movement AS m SET from_location_id = line.location_id FROM line
  WHERE (m.device, m.epoch, m.seq, m.line) = (line.device, line.epoch, line.seq, line.line)
    AND was <> line.location_id
), posted AS (
  UPDATE posting AS p SET location_id = line.location_id FROM line
  WHERE (p.device, p.epoch, p.seq, p.line) = (line.device, line.epoch, line.seq, line.line)
    AND p.location_id = was AND was <> line.location_id
)
SELECT was, location_id, item_id, lot FROM line WHERE was <> location_id
"""

FORGET_BOXED: Final = """
DELETE FROM movement WHERE box = ANY(%s) AND line > 0
RETURNING from_location_id, to_location_id, item_id, lot
"""

# The earliest scan of a box receives what was shipped in it, but for the items whose lines were scanned.
PUT_BOXED: Final = """
WITH earliest AS (
  SELECT DISTINCT ON (sscc) box_scan.* FROM box_scan
  WHERE sscc = ANY(%s) AND NOT EXISTS (
    SELECT FROM movement AS m
    WHERE (m.device, m.epoch, m.seq) = (box_scan.device, box_scan.epoch, box_scan.seq))
  ORDER BY sscc, t, device, epoch, seq
), put AS (
  INSERT INTO movement (device, epoch, seq, line, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id, box)
  SELECT device, epoch, seq,
         row_number() OVER (
           PARTITION BY earliest.sscc
           ORDER BY shipped.warehouse_id, shipped.report, shipped.line),
         earliest.t, 'receive', item_id, lot, qty,
         coalesce(place.location_id, earliest.from_location_id), earliest.location_id, earliest.sscc
  FROM earliest
  JOIN shipped_line AS shipped USING (sscc)
  LEFT JOIN box_place AS place ON place.sscc = earliest.sscc
  WHERE NOT EXISTS (
    SELECT FROM movement AS m
    WHERE (m.box, m.item_id, m.line) = (earliest.sscc, shipped.item_id, 0) AND m.kind = 'receive')
  RETURNING *
), posted AS (
  INSERT INTO posting
  SELECT device, epoch, seq, line, side.location_id, item_id, lot, delta, t
  FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty))
    AS side (location_id, delta)
)
SELECT from_location_id, to_location_id, item_id, lot FROM put
"""

# A box may reach another van than the one that ordered what is in it.
ORDERED_IN_BOXES: Final = """
SELECT location_id, item_id, '' FROM shipped_line JOIN resupply_order USING (order_id)
WHERE sscc = ANY(%s)
"""

MARK_BOX_SCANS: Final = """
UPDATE scan SET status = CASE WHEN EXISTS (
  SELECT FROM shipped_line WHERE shipped_line.sscc = box_scan.sscc) THEN 'applied' ELSE 'unknown_code' END
FROM box_scan
WHERE box_scan.sscc = ANY(%s) AND status IN ('applied', 'unknown_code')
  AND (scan.device, scan.epoch, scan.seq) = (box_scan.device, box_scan.epoch, box_scan.seq)
"""

# Scans that have received a box: what takes one back follows the movements of the other.
BOX_SCANS: Final = "SELECT device, epoch, seq FROM box_scan WHERE sscc = ANY(%s)"

# Reversals that these scans are, or that take these scans back.
CONCERNED: Final = """
WITH said AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS said (device, epoch, seq)
), undone AS (
  SELECT device, epoch AS of_epoch, seq AS of_seq FROM said
  UNION
  SELECT device, of_epoch, of_seq FROM said JOIN reversal USING (device, epoch, seq)
)"""

FORGET_REVERSED: Final = f"""{CONCERNED}
DELETE FROM movement USING undone
WHERE kind = 'reverse' AND (movement.device, reverses_epoch, reverses_seq)
  = (undone.device, undone.of_epoch, undone.of_seq)
RETURNING from_location_id, to_location_id, item_id, lot
"""

# The earliest reversal of a scan moves back what that one moved, at that one's own time.
PUT_REVERSED: Final = f"""{CONCERNED}, earliest AS (
  SELECT DISTINCT ON (device, of_epoch, of_seq) reversal.*
  FROM undone JOIN reversal USING (device, of_epoch, of_seq)
  ORDER BY device, of_epoch, of_seq, t, epoch, seq
), put AS (
  INSERT INTO movement (device, epoch, seq, line, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id, work_order, reverses_epoch, reverses_seq)
  SELECT earliest.device, earliest.epoch, earliest.seq, was.line, was.t, 'reverse', was.item_id,
         was.lot, was.qty, was.to_location_id, was.from_location_id, was.work_order, of_epoch, of_seq
  FROM earliest JOIN movement AS was
    ON (was.device, was.epoch, was.seq) = (earliest.device, of_epoch, of_seq)
  WHERE was.kind <> 'reverse'
  RETURNING *
), posted AS (
  INSERT INTO posting
  SELECT device, epoch, seq, line, side.location_id, item_id, lot, delta, t
  FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty))
    AS side (location_id, delta)
)
SELECT from_location_id, to_location_id, item_id, lot FROM put
"""

# A count, or a part said to be missing, that was taken back has never been.
FORGET_SAID: Final = f"""{CONCERNED}, back AS (
  SELECT DISTINCT device, of_epoch AS epoch, of_seq AS seq
  FROM undone JOIN reversal USING (device, of_epoch, of_seq)
), counted AS (
  DELETE FROM count_line USING back
  WHERE (count_line.device, count_line.epoch, count_line.seq) = (back.device, back.epoch, back.seq)
  RETURNING location_id, item_id, lot
), counted_all AS (
  DELETE FROM full_count USING back
  WHERE (full_count.device, full_count.epoch, full_count.seq) = (back.device, back.epoch, back.seq)
  RETURNING location_id
), missed AS (
  DELETE FROM missing_part USING back
  WHERE (missing_part.device, missing_part.epoch, missing_part.seq)
      = (back.device, back.epoch, back.seq)
)
SELECT location_id, item_id, lot FROM counted
UNION SELECT location_id, item_id, lot FROM level JOIN counted_all USING (location_id)
"""

# What was shipped leaves the warehouse for where it is on its way.
FORGET_SHIPPED: Final = """
DELETE FROM movement USING unnest(%s::int[], %s::text[]) AS said (warehouse_id, report)
WHERE (device, epoch) = ('warehouse/' || said.warehouse_id, said.report) AND kind = 'ship'
RETURNING from_location_id, to_location_id, item_id, lot
"""
PUT_SHIPPED: Final = """
WITH put AS (
  INSERT INTO movement (device, epoch, seq, line, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id)
  SELECT 'warehouse/' || shipped.warehouse_id, report, 1, line, shipped.t, 'ship', item_id, lot, qty,
         depot.location_id, way.location_id
  FROM shipped_line AS shipped
  JOIN unnest(%s::int[], %s::text[]) AS said (warehouse_id, report) USING (warehouse_id, report)
  JOIN location AS depot ON (depot.kind, depot.warehouse_id) = ('warehouse', shipped.warehouse_id)
  JOIN location AS way ON (way.kind, way.organisation_id) = ('in_transit', depot.organisation_id)
  RETURNING *
), posted AS (
  INSERT INTO posting
  SELECT device, epoch, seq, line, side.location_id, item_id, lot, delta, t
  FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty))
    AS side (location_id, delta)
)
SELECT from_location_id, to_location_id, item_id, lot FROM put
"""

# What reports say of the lines of orders. A report of what was picked says all of it; a cancellation
# without lines is of all that was not shipped.
SETTLE_REPORTED: Final = """
WITH said AS (
  SELECT line.order_id, line.item_id, requested,
         least(requested, coalesce(shipped.qty, 0))::integer AS shipped,
         least(requested, coalesce(picked.qty, 0))::integer AS picked,
         CASE WHEN gone.everything THEN requested - least(requested, coalesce(shipped.qty, 0))
              ELSE least(requested, coalesce(gone.qty, 0)) END::integer AS cancelled
  FROM resupply_line AS line
  LEFT JOIN LATERAL (
    SELECT sum(qty) AS qty FROM shipped_line
    WHERE (shipped_line.order_id, shipped_line.item_id) = (line.order_id, line.item_id)
  ) AS shipped ON true
  LEFT JOIN LATERAL (
    SELECT (SELECT sum(qty) FROM order_report_line AS l
            WHERE (l.warehouse_id, l.report, l.payload_hash)
                = (last.warehouse_id, last.report, last.payload_hash) AND l.item_id = line.item_id) AS qty
    FROM sound_report AS last
    WHERE last.order_id = line.order_id AND last.kind = 'picked'
    ORDER BY last.t DESC, last.report DESC LIMIT 1
  ) AS picked ON true
  LEFT JOIN LATERAL (
    SELECT sum(l.qty) FILTER (WHERE l.item_id = line.item_id
                              AND (said.kind = 'cancelled' OR NOT l.is_backorder)) AS qty,
           bool_or(said.kind = 'cancelled' AND l.item_id IS NULL) AS everything
    FROM sound_report AS said
    LEFT JOIN order_report_line AS l USING (warehouse_id, report, payload_hash)
    WHERE said.order_id = line.order_id AND said.kind IN ('short', 'cancelled')
  ) AS gone ON true
  WHERE line.order_id = ANY(%s)
)
UPDATE resupply_line AS line
SET shipped = said.shipped, picked = said.picked, cancelled = said.cancelled,
    received = least(line.received, line.requested - said.cancelled)
FROM said WHERE (line.order_id, line.item_id) = (said.order_id, said.item_id)
RETURNING line.order_id, line.item_id
"""

# What came in a box is its order's; what came without is the oldest order's that still waits.
SETTLE_RECEIVED: Final = """
WITH waiting AS (
  SELECT l.order_id, l.item_id, l.requested - l.cancelled AS due,
         greatest(0, l.requested - l.cancelled - received_in_boxes(l.order_id, l.item_id)) AS open,
         l.location_id, o.cutoff_at
  FROM (SELECT DISTINCT * FROM unnest(%s::int[], %s::int[]) AS p (location_id, item_id)) AS pair
  JOIN resupply_line AS l USING (location_id, item_id)
  JOIN resupply_order AS o USING (order_id)
), outstanding AS MATERIALIZED (
  SELECT location_id, item_id, on_order(location_id, item_id) AS qty
  FROM (SELECT DISTINCT location_id, item_id FROM waiting) AS asked
), ranked AS (
  SELECT waiting.*, outstanding.qty
    - coalesce(sum(open) OVER (PARTITION BY location_id, item_id
                               ORDER BY cutoff_at DESC, order_id DESC
                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS outstanding
  FROM waiting JOIN outstanding USING (location_id, item_id)
)
UPDATE resupply_line AS l SET received = due - greatest(0, least(open, outstanding))
FROM ranked
WHERE (l.order_id, l.item_id) = (ranked.order_id, ranked.item_id)
  AND received <> due - greatest(0, least(open, outstanding))
RETURNING l.order_id
"""

FACTS: Final = """
SELECT order_id, sent_time IS NOT NULL, approved_by IS NOT NULL,
       requested, cancelled, picked, shipped, received
FROM resupply_order JOIN resupply_line USING (order_id)
WHERE order_id = ANY(%s)
"""

SET_STATE: Final = """
UPDATE resupply_order
SET state = %(state)s, changed_time = coalesce(to_timestamp(%(now)s / 1000.0), changed_time)
WHERE order_id = %(order)s AND state <> %(state)s
"""


async def settle_scanned(
    conn: Connection, boxes: Collection[str], scans: Collection[ScanKey] = ()
) -> set[Pair]:
    """Let boxes move what was shipped in them, and reversals take back what scans have done.

    Args:
        conn: The caller's.
        boxes: Numbers of boxes of which a scan or a report is new.
        scans: New scans, and those that they contest.

    Returns:
        The pairs that this touches, and those of the orders whose parts are in the boxes.
    """
    touched: set[Pair] = set()
    keys = set(scans)
    if boxes:
        asked = (sorted(boxes),)
        touched = sides(await (await conn.execute(FORGET_BOXED, asked)).fetchall())
        for statement in (PUT_DELIVERED, PLACE_LINES, PUT_BOXED):
            touched |= sides(await (await conn.execute(statement, asked)).fetchall())
        await conn.execute(MARK_BOX_SCANS, asked)
        touched.update(await (await conn.execute(ORDERED_IN_BOXES, asked)).fetchall())
        keys |= {ScanKey(*r) for r in await (await conn.execute(BOX_SCANS, asked)).fetchall()}
    columns_of = [k.device for k in keys], [k.epoch for k in keys], [k.seq for k in keys]
    touched.update(await (await conn.execute(FORGET_SAID, columns_of)).fetchall())
    touched |= sides(await (await conn.execute(FORGET_REVERSED, columns_of)).fetchall())
    return touched | sides(await (await conn.execute(PUT_REVERSED, columns_of)).fetchall())


async def settle_shipped(conn: Connection, reports: Collection[tuple[int, str]]) -> set[Pair]:
    """Let these reports move what they say was shipped; return the pairs touched."""
    asked = [r[0] for r in reports], [r[1] for r in reports]
    gone = await (await conn.execute(FORGET_SHIPPED, asked)).fetchall()
    put = await (await conn.execute(PUT_SHIPPED, asked)).fetchall()
    return sides(gone) | sides(put)


async def settle_reported(conn: Connection, order_ids: Collection[int]) -> None:
    """Bring what reports say of these orders' lines up to date."""
    await conn.execute(SETTLE_REPORTED, (sorted(order_ids),))


async def settle_received(
    conn: Connection, pairs: Iterable[LocationItem], also: Collection[int], now: int | None
) -> None:
    """Bring what was received of these pairs up to date, and the states of their orders.

    Args:
        conn: The caller's.
        pairs: Touched.
        also: Orders whose state may have changed anyway.
        now: When it became known, ms since 1970 UTC; None leaves the time of the last change.
    """
    rows = await (await conn.execute(SETTLE_RECEIVED, columns(pairs))).fetchall()
    order_ids = sorted({row[0] for row in rows} | set(also))
    if not order_ids:
        return
    facts: dict[tuple[int, bool, bool], list[LineFacts]] = defaultdict(list)
    for order_id, was_sent, is_approved, *line in await (
        await conn.execute(FACTS, (order_ids,))
    ).fetchall():
        facts[order_id, was_sent, is_approved].append(LineFacts(*line))
    for (order_id, was_sent, is_approved), lines in facts.items():
        state = orders.state_of(lines, was_sent=was_sent, is_approved=is_approved)
        await conn.execute(SET_STATE, {"state": state, "now": now, "order": order_id})


def sides(rows: Iterable[tuple[int, int, int, str]]) -> set[Pair]:
    """Return both pairs of each movement given as (from, to, item, lot)."""
    return {(place, item, lot) for origin, to, item, lot in rows for place in (origin, to)}
