"""What the warehouse's papers say: an order to be picked, a box, the bins of a warehouse.

Scoped by organisation; reads, never commits. How a page is set is not known here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.rows import class_row

from api.auth import OrganisationId
from stock_tracker.papers.labels import BinLabel
from stock_tracker.papers.pick_list import Destination, PickLine, PickList
from stock_tracker.papers.values import number
from stock_tracker.resupply import why
from storage.pool import Connection
from storage.words import ENGLISH, Words

ORDER = """
SELECT o.order_id, o.code AS order, warehouse.name AS warehouse, van.code AS van,
       coalesce(technician.name, '') AS technician, o.mode, coalesce(o.due_at, o.cutoff_at) AS due_at, warehouse.time_zone,
       o.is_urgent, site.name AS site, site.code AS site_code,
       CASE o.mode WHEN 'site' THEN site.latitude_deg WHEN 'home' THEN home_latitude_deg END
         AS latitude_deg,
       CASE o.mode WHEN 'site' THEN site.longitude_deg WHEN 'home' THEN home_longitude_deg END
         AS longitude_deg
FROM resupply_order AS o
JOIN warehouse USING (warehouse_id)
JOIN location USING (location_id)
JOIN van ON van.van_id = location.van_id
LEFT JOIN technician ON technician.technician_id = van.technician_id
LEFT JOIN site ON site.site_id = o.site_id
WHERE o.organisation_id = %s AND o.code = %s
"""

# What is still to be picked: what the warehouse has for it, less what has left.
LINES = """
SELECT coalesce(bin, '') AS bin, item.ref, item.name,
       least(line.requested - line.cancelled, coalesce(line.allocated, line.requested))
         - line.shipped AS qty,
       coalesce((line.inputs ->> 'pack_qty')::integer, 1) AS pack_qty,
       CASE WHEN line.allocated < line.requested - line.cancelled
            THEN line.requested - line.cancelled END AS wanted,
       line.inputs, lacking.ref AS substitute_for
FROM resupply_line AS line
JOIN resupply_order AS o USING (order_id)
JOIN item USING (item_id)
LEFT JOIN item AS lacking ON lacking.item_id = line.instead_of
LEFT JOIN warehouse_bin ON (warehouse_bin.warehouse_id, warehouse_bin.item_id)
  = (o.warehouse_id, line.item_id)
WHERE line.order_id = %s
  AND least(line.requested - line.cancelled, coalesce(line.allocated, line.requested))
    > line.shipped
"""

WAREHOUSE = "SELECT FROM warehouse WHERE organisation_id = %s AND code = %s"

BINS = """
SELECT bin, ref, item.name,
       coalesce((SELECT min(barcode.code) FROM barcode
                 WHERE barcode.item_id = item.item_id AND pack_qty = 1), '') AS code
FROM warehouse_bin JOIN warehouse USING (warehouse_id) JOIN item USING (item_id)
WHERE warehouse.organisation_id = %s AND warehouse.code = %s ORDER BY bin, ref
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An order as far as papers go."""

    order_id: int
    order: str
    warehouse: str
    van: str
    technician: str
    mode: Literal["van", "home", "site"]
    due_at: datetime
    time_zone: str
    is_urgent: bool
    site: str | None
    site_code: str | None
    latitude_deg: float | None
    longitude_deg: float | None

    @property
    def destination(self) -> Destination:
        """Whom it is for."""
        return Destination(self.van, self.technician)

    def ship_to(self, words: Words) -> tuple[str, ...]:
        """Return where it goes, line by line."""
        lines = [self.site or self.technician or self.van]
        if self.site_code:
            lines.append(words.t("Site {site}", site=self.site_code))
        if self.latitude_deg is not None and self.longitude_deg is not None:
            lines.append(f"{self.latitude_deg:.5f}, {self.longitude_deg:.5f}")
        return tuple(lines)


async def find(conn: Connection, organisation: OrganisationId, code: str) -> Found | None:
    """Return an order, or None if the organisation has none of this code."""
    async with conn.cursor(row_factory=class_row(Found)) as cursor:
        await cursor.execute(ORDER, (organisation, code))
        return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class _Line:
    """A line to be picked; `wanted` is how many were asked for, if the warehouse has fewer."""

    bin: str
    ref: str
    name: str
    qty: int
    pack_qty: int
    wanted: int | None
    inputs: dict[str, Any]
    substitute_for: str | None

    def told(self, words: Words) -> PickLine:
        reason = str(self.inputs.get("why") or "")
        if words.language != ENGLISH:
            reason = why.in_words(why.of_order(self.inputs), words) or reason
        if self.wanted is not None:
            rest = words.t("of {n}, the rest is a backorder", n=number(words, self.wanted))
            reason = "; ".join(filter(None, (rest, reason)))
        return PickLine(
            self.bin, self.ref, self.name, self.qty, self.pack_qty, reason,
            substitute_for=self.substitute_for,
        )  # fmt: skip


async def pick_list(conn: Connection, found: Found, words: Words) -> PickList:
    """Return what is to be picked of an order, in these words."""
    async with conn.cursor(row_factory=class_row(_Line)) as cursor:
        await cursor.execute(LINES, (found.order_id,))
        lines = [line.told(words) for line in await cursor.fetchall()]
    return PickList(
        order_code=found.order,
        warehouse=found.warehouse,
        destination=found.destination,
        mode=found.mode,
        ship_to=found.ship_to(words),
        due_at=found.due_at,
        time_zone=found.time_zone,
        lines=tuple(lines),
        is_emergency=found.is_urgent,
    )


async def bins(
    conn: Connection, organisation: OrganisationId, warehouse: str
) -> Sequence[BinLabel] | None:
    """Return the labels of a warehouse's bins, or None if the organisation has no such warehouse."""
    if not (await conn.execute(WAREHOUSE, (organisation, warehouse))).rowcount:
        return None
    async with conn.cursor(row_factory=class_row(BinLabel)) as cursor:
        await cursor.execute(BINS, (organisation, warehouse))
        return await cursor.fetchall()
