"""Import of what is carried: items, barcodes, van templates and opening stock.

Each function takes a file's bytes and merges its good rows in the caller's transaction; how rows
are read and refused stands in `storage/sheets.py`, how they are merged in `storage/imports.py`.
Items, barcodes and templates are shared by the installation, stock belongs to an organisation's
vans. Nothing here knows scans or orders.
"""

from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stock_tracker import barcodes, stocktakes, supplies
from stock_tracker.levels import lock_ledger
from stock_tracker.resupply.positions import refresh_many
from stock_tracker.store import read_again, revive
from storage.imports import (
    Importer,
    ImportResult,
    begin,
    ids_by_code,
    merge,
    result,
    stage,
)
from storage.pool import Connection
from storage.sheets import (
    Code,
    Name,
    NumberedRow,
    PackQuantity,
    Quantity,
    StagedRow,
    UnusableRowError,
    YesNo,
    csv_rows,
    is_yes,
    known,
    sift,
)

# --- Items -------------------------------------------------------------------------------------


Cost = Annotated[
    float, Meta(ge=1e-6, le=1_000_000, description="a number from 0.000001 to 1000000")
]


class ItemRow(msgspec.Struct, frozen=True):
    """A line of items.csv. `cost` is that of holding one for long, against other items."""

    item: Code
    name: Name
    base_unit: Code = "piece"
    tracked: YesNo = "true"
    critical: YesNo = "false"
    cost: Cost = 1.0


STAGED_ITEM = "ref text, name text, base_unit text, tracked boolean, critical boolean, cost float4"
MERGE_ITEMS = """
INSERT INTO item AS kept (ref, name, base_unit, tracked, critical, cost)
SELECT ref, name, base_unit, tracked, critical, cost FROM staged
ON CONFLICT ON CONSTRAINT item_ref_once DO UPDATE SET
  name = excluded.name, base_unit = excluded.base_unit, tracked = excluded.tracked,
  critical = excluded.critical, cost = excluded.cost
WHERE (kept.name, kept.base_unit, kept.tracked, kept.critical, kept.cost)
  IS DISTINCT FROM (excluded.name, excluded.base_unit, excluded.tracked, excluded.critical,
                    excluded.cost)
"""
ITEMS = "SELECT ref, item_id FROM item"


async def import_items(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import the item catalogue."""
    await begin(conn, organisation)
    sheet = sift(csv_rows(data, ItemRow), ItemRow, staged_item, ["item"])
    await stage(conn, STAGED_ITEM, sheet.staged)
    return result("items", sheet, await merge(conn, MERGE_ITEMS))


def staged_item(_line: int, row: ItemRow) -> StagedRow:
    """Return an item as staged."""
    return (row.item, row.name, row.base_unit, is_yes(row.tracked), is_yes(row.critical), row.cost)


# --- Barcodes ----------------------------------------------------------------------------------


class BarcodeRow(msgspec.Struct, frozen=True):
    """A line of barcodes.csv. The code may hold the control characters that symbols carry."""

    code: Annotated[
        str,
        Meta(
            max_length=200,
            pattern=r"^[^\x00\ud800-\udfff]+\Z",
            description="1 to 200 characters, without NUL",
        ),
    ]
    item: Code
    pack_qty: PackQuantity = 1


STAGED_BARCODE = 'code text COLLATE "C", item_id int, pack_qty int'
MERGE_BARCODES = """
INSERT INTO barcode AS kept (code, item_id, pack_qty)
SELECT code, item_id, pack_qty FROM staged
ON CONFLICT (code) DO UPDATE SET item_id = excluded.item_id, pack_qty = excluded.pack_qty
WHERE (kept.item_id, kept.pack_qty) <> (excluded.item_id, excluded.pack_qty)
"""


CHANGED_BARCODES = """
SELECT kept.item_id FROM staged JOIN barcode AS kept USING (code)
WHERE (kept.item_id, kept.pack_qty) <> (staged.item_id, staged.pack_qty)
"""


async def import_barcodes(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import barcodes; a GTIN is stored, and found to be repeated, as its 14 digits.

    Scans that were waiting for their code take effect, and those of a code that means something else
    from now on are read again.
    """
    return await put_barcodes(conn, csv_rows(data, BarcodeRow), organisation=organisation)


async def put_barcodes(
    conn: Connection, rows: Iterable[NumberedRow], *, organisation: str
) -> ImportResult:
    """Do as `import_barcodes` for the cells of `BarcodeRow`s, numbered, that were read already."""
    await begin(conn, organisation)
    items = await ids_by_code(conn, ITEMS)

    def staged_barcode(_line: int, row: BarcodeRow) -> StagedRow:
        return (barcodes.stored(row.code), known(items, "item", row.item), row.pack_qty)

    sheet = sift(rows, BarcodeRow, staged_barcode, ["code"])
    await stage(conn, STAGED_BARCODE, sheet.staged)
    changed = await (await conn.execute(CHANGED_BARCODES)).fetchall()
    done = result("barcodes", sheet, await merge(conn, MERGE_BARCODES))
    await revive(conn)
    await read_again(conn, {row[0] for row in changed})
    return done


# --- Van templates -----------------------------------------------------------------------------


class TemplateRow(msgspec.Struct, frozen=True):
    """A line of templates.csv: what a van of this template should hold of one item."""

    template: Code
    item: Code
    reorder_point: Quantity
    order_up_to: Quantity
    cap: Quantity
    pack_qty: PackQuantity = 1


STAGED_TEMPLATE_LINE = """
  template text, item_id int, reorder_point int, order_up_to int, cap int, pack_qty int
"""
ADD_TEMPLATES = """
INSERT INTO van_template (code) SELECT DISTINCT template FROM staged
ON CONFLICT ON CONSTRAINT van_template_code_once DO NOTHING
"""
MERGE_TEMPLATE_LINES = """
INSERT INTO template_line AS kept
  (template_id, item_id, reorder_point, order_up_to, cap, pack_qty)
SELECT template_id, item_id, reorder_point, order_up_to, cap, pack_qty
FROM staged JOIN van_template ON van_template.code = staged.template
ON CONFLICT (template_id, item_id) DO UPDATE SET
  reorder_point = excluded.reorder_point, order_up_to = excluded.order_up_to,
  cap = excluded.cap, pack_qty = excluded.pack_qty
WHERE (kept.reorder_point, kept.order_up_to, kept.cap, kept.pack_qty)
  <> (excluded.reorder_point, excluded.order_up_to, excluded.cap, excluded.pack_qty)
"""


PAIRS_FOLLOWING = """
SELECT location_id, item_id
FROM staged
JOIN van_template ON van_template.code = staged.template
JOIN van USING (template_id)
JOIN location USING (van_id)
WHERE location.kind = 'van'
"""


async def import_templates(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import van templates, one row an item; items that the file does not list stay.

    What the vans of these templates propose follows at once.
    """
    await begin(conn, organisation)
    items = await ids_by_code(conn, ITEMS)

    def staged_line(_line: int, row: TemplateRow) -> StagedRow:
        if not row.reorder_point < row.order_up_to <= row.cap:
            raise UnusableRowError(
                f"reorder_point {row.reorder_point} must be less than order_up_to "
                f"{row.order_up_to}, and that no more than cap {row.cap}"
            )
        return (row.template, known(items, "item", row.item), row.reorder_point,
                row.order_up_to, row.cap, row.pack_qty)  # fmt: skip

    sheet = sift(csv_rows(data, TemplateRow), TemplateRow, staged_line, ["template", "item"])
    await stage(conn, STAGED_TEMPLATE_LINE, sheet.staged)
    await conn.execute(ADD_TEMPLATES)
    done = result("templates", sheet, await merge(conn, MERGE_TEMPLATE_LINES))
    if done.inserted or done.updated:
        await lock_ledger(conn)
        pairs = await conn.execute(PAIRS_FOLLOWING)
        await refresh_many(conn, await pairs.fetchall())
    return done


# --- Opening stock -----------------------------------------------------------------------------


class StockRow(msgspec.Struct, frozen=True):
    """A line of stock.csv: what was counted of an item in a van, and when."""

    van: str
    item: str
    qty: Quantity
    counted_at: str


VAN_LOCATIONS = """
SELECT van.code, location_id FROM van JOIN location USING (van_id)
WHERE van.organisation_id = %s AND location.kind = 'van'
"""


async def import_stock(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import opening stock as counts, and set the levels of the pairs it tells something new about."""
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VAN_LOCATIONS, [owner])
    items = await ids_by_code(conn, ITEMS)

    def staged_count(line: int, row: StockRow) -> StagedRow:
        location_id, item_id = known(vans, "van", row.van), known(items, "item", row.item)
        return (location_id, item_id, stocktakes.postgres_us(row.counted_at), line, row.qty)

    sheet = sift(csv_rows(data, StockRow), StockRow, staged_count, ["van", "item", "counted_at"])
    written = await stocktakes.put(conn, data, sheet.staged)
    news = await conn.execute("SELECT DISTINCT location_id, item_id FROM staged")
    await refresh_many(conn, await news.fetchall())
    return result("stock", sheet, written)


KINDS: Final[dict[str, Importer]] = {
    "items": import_items,
    "barcodes": import_barcodes,
    "templates": import_templates,
    "stock": import_stock,
    **supplies.KINDS,
}
