"""The question of a tablet that may be offline: which code stands for what. Reads, never commits."""

from typing import Final

from psycopg.rows import scalar_row

from api.answers import Catalogue
from storage.pool import Connection

VERSION: Final = "SELECT version FROM reference_version"
ITEMS: Final = "SELECT item_id, ref, name, base_unit FROM item ORDER BY ref"
CODES: Final = "SELECT code, item_id, pack_qty FROM barcode ORDER BY code"


async def version(conn: Connection) -> int:
    """Return a number that grows with every import and edit."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(VERSION)
        found: int | None = await cursor.fetchone()
    return found or 0


async def everything(conn: Connection) -> Catalogue:
    """Return all items and codes; a code names its item by its place."""
    rows = await (await conn.execute(ITEMS)).fetchall()
    places = {item_id: place for place, (item_id, *_) in enumerate(rows)}
    codes = await (await conn.execute(CODES)).fetchall()
    return Catalogue(
        item_columns=["ref", "name", "base_unit"],
        items=[(ref, name, unit) for _, ref, name, unit in rows],
        code_columns=["code", "item", "pack_qty"],
        codes=[(code, places[item], pack) for code, item, pack in codes],
    )
