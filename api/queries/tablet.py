"""The questions of tablets: what parts and codes there are, whether a van is on duty. Reads, never commits."""

from collections.abc import Sequence
from typing import Literal

from psycopg.rows import class_row, scalar_row

from api.answers import Catalogue, CatalogueCode, CatalogueItem
from api.auth import OrganisationId
from storage.pool import Connection


async def duty(
    conn: Connection, organisation: OrganisationId, vans: Sequence[str]
) -> Literal["on", "off"] | None:
    """Return what the newest status of these vans said of duty; None if none ever did."""
    query = """
        SELECT duty FROM van_status JOIN van USING (van_id)
        WHERE organisation_id = %s AND code = ANY(%s) AND duty IS NOT NULL
        ORDER BY status_time DESC LIMIT 1
    """
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (organisation, list(vans)))
        return await cursor.fetchone()


async def catalogue(conn: Connection) -> Catalogue:
    """Return all items and bar codes, which are the installation's, each in the order of its key."""
    async with conn.cursor(row_factory=class_row(CatalogueItem)) as cursor:
        await cursor.execute("SELECT ref AS item, name, base_unit FROM item ORDER BY ref")
        items = await cursor.fetchall()
    async with conn.cursor(row_factory=class_row(CatalogueCode)) as cursor:
        await cursor.execute(
            "SELECT code, ref AS item, pack_qty FROM barcode JOIN item USING (item_id) ORDER BY code"
        )
        return Catalogue(items, await cursor.fetchall())
