"""The questions about resupply orders: what was asked of which warehouse for whom, and why.

One function a question, scoped by organisation; reads, never commits. The inputs of a line are told
as they were frozen with it: how they made the quantity is not known here.
"""

from typing import Any

from psycopg.rows import class_row, kwargs_row, scalar_row

from api.answers import LineOfOrder, Order, OrderLine, OrderState, Report
from api.auth import OrganisationId
from api.times import ms
from stock_tracker.resupply import why
from storage.pool import Connection

# An order to a technician's home belongs to the van that the technician drives.
OF_VAN = """
  LEFT JOIN LATERAL (
    SELECT van.code FROM van
    WHERE van.van_id = location.van_id
       OR (location.van_id IS NULL AND van.technician_id = location.technician_id)
    ORDER BY van.code LIMIT 1
  ) van ON true
"""
# The places of a van are looked up before the van of each order is: without that all orders of all vans
# would be asked for theirs.
WHICH = """
  o.organisation_id = %(organisation)s
  AND (%(van)s::text IS NULL OR o.location_id IN (
    SELECT own.location_id FROM location AS own
    JOIN van AS its ON its.van_id = own.van_id OR its.technician_id = own.technician_id
    WHERE its.code = %(van)s))
  AND (%(van)s::text IS NULL OR van.code = %(van)s)
  AND (%(state)s::text IS NULL OR o.state = %(state)s)
"""


async def of_organisation(
    conn: Connection,
    organisation: OrganisationId,
    limit: int,
    *,
    code: str | None = None,
    van: str | None = None,
    state: OrderState | None = None,
) -> list[Order]:
    """Return the newest `limit` orders, latest cut-off first."""
    query = f"""
        SELECT o.code, van.code AS van, warehouse.code AS warehouse, o.mode, o.state,
               {ms("o.cutoff_at")} AS cutoff_at_ms, {ms("o.created_time")} AS created_ms,
               total.lines, total.units, total.picked, total.shipped, total.received, total.cancelled,
               EXISTS (SELECT FROM order_report AS said
                       WHERE said.order_id = o.order_id AND said.kind = 'accepted') AS accepted,
               {ms("o.due_at")} AS due_at_ms, o.is_urgent AS urgent,
               site.code AS site, o.approved_by
        FROM resupply_order o
        JOIN warehouse ON warehouse.warehouse_id = o.warehouse_id
        JOIN location ON location.location_id = o.location_id
        LEFT JOIN site ON site.site_id = o.site_id
        {OF_VAN}
        CROSS JOIN LATERAL (
          SELECT count(*)::integer AS lines, coalesce(sum(requested), 0)::integer AS units,
                 coalesce(sum(picked), 0)::integer AS picked,
                 coalesce(sum(shipped), 0)::integer AS shipped,
                 coalesce(sum(received), 0)::integer AS received,
                 coalesce(sum(cancelled), 0)::integer AS cancelled
          FROM resupply_line line WHERE line.order_id = o.order_id
        ) total
        WHERE {WHICH} AND (%(code)s::text IS NULL OR o.code = %(code)s)
        ORDER BY o.cutoff_at DESC, o.order_id DESC
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "code": code,
        "van": van,
        "state": state,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Order)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def count_of(
    conn: Connection,
    organisation: OrganisationId,
    *,
    van: str | None = None,
    state: OrderState | None = None,
) -> int:
    """Return how many orders there are."""
    query = f"""
        SELECT count(*) FROM resupply_order o JOIN location USING (location_id) {OF_VAN}
        WHERE {WHICH}
    """
    values = {"organisation": organisation, "van": van, "state": state}
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchone() or 0


async def lines_of_organisation(
    conn: Connection,
    organisation: OrganisationId,
    limit: int,
    *,
    van: str | None = None,
    state: OrderState | None = None,
) -> list[LineOfOrder]:
    """Return the lines of the newest orders, by order, latest cut-off first, and item."""
    query = f"""
        SELECT o.code AS order, van.code AS van, site.code AS site, warehouse.code AS warehouse,
               o.state, {ms("o.cutoff_at")} AS cutoff_at_ms, {ms("o.due_at")} AS due_at_ms,
               item.ref AS item, item.name, item.base_unit, line.requested, line.allocated,
               line.picked, line.shipped, line.received, line.cancelled,
               lacking.ref AS instead_of, line.inputs ->> 'why' AS why
        FROM resupply_order o
        JOIN warehouse ON warehouse.warehouse_id = o.warehouse_id
        JOIN location ON location.location_id = o.location_id
        {OF_VAN}
        LEFT JOIN site ON site.site_id = o.site_id
        JOIN resupply_line line ON line.order_id = o.order_id
        JOIN item ON item.item_id = line.item_id
        LEFT JOIN item AS lacking ON lacking.item_id = line.instead_of
        WHERE {WHICH}
        ORDER BY o.cutoff_at DESC, o.order_id DESC, item.ref
        LIMIT %(limit)s
    """
    values = {"organisation": organisation, "van": van, "state": state, "limit": limit}
    async with conn.cursor(row_factory=class_row(LineOfOrder)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def lines(conn: Connection, organisation: OrganisationId, code: str) -> list[OrderLine]:
    """Return the lines of an order by item; `why` is the inputs' own sentence, if they have one."""

    def made(**row: Any) -> OrderLine:
        return OrderLine(**row, because=why.of_order(row["inputs"]))

    query = """
        SELECT item.ref AS item, item.name, item.base_unit,
               coalesce((SELECT jsonb_object_agg(code, pack_qty) FROM barcode
                         WHERE barcode.item_id = item.item_id), '{}') AS codes,
               bin, line.requested, line.allocated,
               line.picked, line.shipped, line.received, line.cancelled, lacking.ref AS instead_of,
               line.inputs ->> 'why' AS why, line.inputs
        FROM resupply_line line
        JOIN resupply_order o ON o.order_id = line.order_id
        JOIN item ON item.item_id = line.item_id
        LEFT JOIN item AS lacking ON lacking.item_id = line.instead_of
        LEFT JOIN warehouse_bin ON (warehouse_bin.warehouse_id, warehouse_bin.item_id)
          = (o.warehouse_id, line.item_id)
        WHERE o.organisation_id = %s AND o.code = %s
        ORDER BY item.ref
    """
    async with conn.cursor(row_factory=kwargs_row(made)) as cursor:
        await cursor.execute(query, (organisation, code))
        return await cursor.fetchall()


async def reports(conn: Connection, organisation: OrganisationId, code: str) -> list[Report]:
    """Return what the warehouse said of an order, in the order of its times."""
    query = f"""
        SELECT said.report AS id, said.kind, {ms("said.t")} AS t_ms, said.sscc, said.author,
               posted_by,
               NOT EXISTS (SELECT FROM order_report AS other
                           WHERE (other.warehouse_id, other.report)
                               = (said.warehouse_id, said.report)
                             AND other.payload_hash <> said.payload_hash) AS counts
        FROM order_report AS said JOIN resupply_order AS o USING (order_id)
        LEFT JOIN posted_report AS posted
          ON (posted.warehouse_id, posted.report, posted.payload)
           = (said.warehouse_id, said.report, said.raw)
        WHERE o.organisation_id = %s AND o.code = %s
        ORDER BY said.t, said.report
    """
    async with conn.cursor(row_factory=class_row(Report)) as cursor:
        await cursor.execute(query, (organisation, code))
        return await cursor.fetchall()
