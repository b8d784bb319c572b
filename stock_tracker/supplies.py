"""Import of what resupply goes by: usage, substitutes, exceptions, and what warehouses hold.

As in `reference.py`, each function merges a file's good rows in the caller's transaction. What vans
propose follows at once where a policy changes; what vans should hold is worked out when somebody asks.
"""

from datetime import date, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stock_tracker import stocktakes
from stock_tracker.levels import lock_ledger
from stock_tracker.resupply.positions import refresh_proposals
from storage.imports import Importer, ImportResult, begin, ids_by_code, merge, result, stage
from storage.pool import Connection
from storage.sheets import (
    Name,
    Quantity,
    StagedRow,
    UnusableRowError,
    csv_rows,
    has_column,
    known,
    sift,
)

ITEMS = "SELECT ref, item_id FROM item"

# --- Usage before Cordée -----------------------------------------------------------------------


class UsageRow(msgspec.Struct, frozen=True):
    """A line of usage.csv: what a van used of an item in the week that began on a Monday."""

    van: str
    item: str
    week: Annotated[date, Meta(description="a Monday like 2026-01-26")]
    qty: Quantity


VAN_IDS = "SELECT code, van_id FROM van WHERE organisation_id = %s"
STAGED_USAGE = "van_id int, item_id int, week date, qty int"
MERGE_USAGE = """
INSERT INTO usage_history AS kept (van_id, item_id, week, qty)
SELECT van_id, item_id, week, qty FROM staged
ON CONFLICT (van_id, item_id, week) DO UPDATE SET qty = excluded.qty
WHERE kept.qty <> excluded.qty
"""


async def import_usage(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import what was used before scans were kept here: what vans should hold follows from it."""
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VAN_IDS, [owner])
    items = await ids_by_code(conn, ITEMS)

    def staged_usage(_line: int, row: UsageRow) -> StagedRow:
        if row.week.weekday() != 0:
            monday = row.week - timedelta(days=row.week.weekday())
            raise UnusableRowError(f"week {row.week} is no Monday: did you mean {monday}?")
        return (known(vans, "van", row.van), known(items, "item", row.item), row.week, row.qty)

    sheet = sift(csv_rows(data, UsageRow), UsageRow, staged_usage, ["van", "item", "week"])
    await stage(conn, STAGED_USAGE, sheet.staged)
    return result("usage", sheet, await merge(conn, MERGE_USAGE))


# --- Substitutes -------------------------------------------------------------------------------


class SubstituteRow(msgspec.Struct, frozen=True):
    """A line of substitutes.csv: what may be sent where an item is lacking, best rank first."""

    item: str
    substitute: str
    rank: Annotated[int, Meta(ge=1, le=1_000, description="a whole number from 1 to 1000")] = 1


STAGED_SUBSTITUTE = "item_id int, other_item_id int, rank int"
MERGE_SUBSTITUTES = """
INSERT INTO item_substitute AS kept SELECT item_id, other_item_id, rank FROM staged
ON CONFLICT (item_id, other_item_id) DO UPDATE SET rank = excluded.rank
WHERE kept.rank <> excluded.rank
"""


async def import_substitutes(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import substitutes; pairs that the file does not list stay."""
    await begin(conn, organisation)
    items = await ids_by_code(conn, ITEMS)

    def staged_substitute(_line: int, row: SubstituteRow) -> StagedRow:
        if row.item == row.substitute:
            raise UnusableRowError(f"item {row.item} cannot stand in for itself")
        return (known(items, "item", row.item), known(items, "item", row.substitute), row.rank)

    rows = csv_rows(data, SubstituteRow)
    sheet = sift(rows, SubstituteRow, staged_substitute, ["item", "substitute"])
    await stage(conn, STAGED_SUBSTITUTE, sheet.staged)
    return result("substitutes", sheet, await merge(conn, MERGE_SUBSTITUTES))


# --- Exceptions --------------------------------------------------------------------------------


class ExceptionRow(msgspec.Struct, frozen=True):
    """A line of exceptions.csv: what one van should hold instead, up to and on a day, and why."""

    van: str
    item: str
    reorder_point: Quantity
    order_up_to: Quantity
    cap: Quantity
    until: Annotated[date, Meta(description="a day like 2026-12-31")]
    reason: Name


VAN_LOCATIONS = """
SELECT van.code, location_id FROM van JOIN location USING (van_id)
WHERE van.organisation_id = %s AND location.kind = 'van'
"""
STAGED_EXCEPTION = """
  location_id int, item_id int, reorder_point int, order_up_to int, cap int, until date, reason text
"""
MERGE_EXCEPTIONS = """
INSERT INTO policy_exception AS kept SELECT * FROM staged
ON CONFLICT (location_id, item_id) DO UPDATE SET
  reorder_point = excluded.reorder_point, order_up_to = excluded.order_up_to, cap = excluded.cap,
  until = excluded.until, reason = excluded.reason
WHERE (kept.reorder_point, kept.order_up_to, kept.cap, kept.until, kept.reason)
  IS DISTINCT FROM (excluded.reorder_point, excluded.order_up_to, excluded.cap, excluded.until,
                    excluded.reason)
"""


async def import_exceptions(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import what single vans should hold for a while; open proposals follow."""
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VAN_LOCATIONS, [owner])
    items = await ids_by_code(conn, ITEMS)

    def staged_exception(_line: int, row: ExceptionRow) -> StagedRow:
        if not row.reorder_point < row.order_up_to <= row.cap:
            raise UnusableRowError(
                f"reorder_point {row.reorder_point} must be less than order_up_to "
                f"{row.order_up_to}, and that no more than cap {row.cap}"
            )
        return (known(vans, "van", row.van), known(items, "item", row.item), row.reorder_point,
                row.order_up_to, row.cap, row.until, row.reason)  # fmt: skip

    rows = csv_rows(data, ExceptionRow)
    sheet = sift(rows, ExceptionRow, staged_exception, ["van", "item"])
    await stage(conn, STAGED_EXCEPTION, sheet.staged)
    done = result("exceptions", sheet, await merge(conn, MERGE_EXCEPTIONS))
    await lock_ledger(conn)
    pairs = await conn.execute("SELECT location_id, item_id FROM staged")
    await refresh_proposals(conn, await pairs.fetchall())
    return done


# --- What warehouses hold ----------------------------------------------------------------------


class WarehouseStockRow(msgspec.Struct, frozen=True):
    """A line of warehouse_stock.csv: what was counted of an item in a warehouse, when, and where."""

    warehouse: str
    item: str
    qty: Quantity
    counted_at: str
    bin: Annotated[
        str, Meta(max_length=40, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]*\Z",
                  description="up to 40 characters on one line")
    ] = ""  # fmt: skip


WAREHOUSE_LOCATIONS = """
SELECT warehouse.code, location_id FROM warehouse JOIN location USING (warehouse_id)
WHERE warehouse.organisation_id = %s AND location.kind = 'warehouse'
"""
STAGED_BIN = "location_id int, item_id int, bin text"
PUT_BINS = """
INSERT INTO warehouse_bin AS kept
SELECT warehouse_id, item_id, bin FROM staged JOIN location USING (location_id) WHERE bin <> ''
ON CONFLICT (warehouse_id, item_id) DO UPDATE SET bin = excluded.bin WHERE kept.bin <> excluded.bin
"""
CLEAR_BINS = """
DELETE FROM warehouse_bin AS kept USING staged JOIN location USING (location_id)
WHERE (kept.warehouse_id, kept.item_id) = (location.warehouse_id, staged.item_id) AND staged.bin = ''
"""


async def import_warehouse_stock(
    conn: Connection, data: bytes, *, organisation: str
) -> ImportResult:
    """Import what warehouses hold, as counts, and where it lies.

    From then on orders are allocated by what is there; what a file does not list stays as it is known.
    A file without bins leaves them; where it has that column, an empty cell means none.
    """
    owner = await begin(conn, organisation)
    warehouses = await ids_by_code(conn, WAREHOUSE_LOCATIONS, [owner])
    items = await ids_by_code(conn, ITEMS)
    bins: dict[tuple[int, int], tuple[int, str]] = {}

    def staged_stock(line: int, row: WarehouseStockRow) -> StagedRow:
        place, item = known(warehouses, "warehouse", row.warehouse), known(items, "item", row.item)
        t = stocktakes.postgres_us(row.counted_at)
        bins[place, item] = max(bins.get((place, item), (t, row.bin)), (t, row.bin))
        return (place, item, t, line, row.qty)

    rows = csv_rows(data, WarehouseStockRow)
    sheet = sift(rows, WarehouseStockRow, staged_stock, ["warehouse", "item", "counted_at"])
    written = await stocktakes.put(conn, data, sheet.staged)
    if has_column(data, "bin"):
        await stage(conn, STAGED_BIN, ((*pair, bin_) for pair, (_, bin_) in bins.items()))
        await conn.execute(PUT_BINS)
        await conn.execute(CLEAR_BINS)
    return result("warehouse_stock", sheet, written)


KINDS: Final[dict[str, Importer]] = {
    "usage": import_usage,
    "substitutes": import_substitutes,
    "exceptions": import_exceptions,
    "warehouse_stock": import_warehouse_stock,
}
