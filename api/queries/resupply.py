"""The questions about what will be ordered, handed over and counted again.

Scoped by organisation; reads, never commits. How a proposal is made is not known here: its inputs say.
"""

from typing import Any

from psycopg.rows import class_row, kwargs_row

from api.answers import Proposal, Recount, Transfer, TransferState, UnclaimedBox, Variance
from api.auth import OrganisationId
from api.queries.charges import Which
from api.times import ms
from stock_tracker.resupply import why
from storage.pool import Connection


async def proposals(
    conn: Connection, organisation: OrganisationId, limit: int, *, van: str | None = None
) -> list[Proposal]:
    """Return up to `limit` open proposals: what jobs lack first, then by van and item."""
    query = """
        SELECT van.code AS van, item.ref AS item, item.name, item.base_unit, proposal.qty, short,
               task.reason IS NOT DISTINCT FROM 'unconfirmed' AND approved_by IS NULL
                 AND NOT item.critical AND NOT (inputs ->> 'needed')::integer > 0 AS waits,
               approved_by, inputs ->> 'why' AS why, inputs
        FROM proposal
        JOIN location USING (location_id)
        JOIN van USING (van_id)
        JOIN item USING (item_id)
        LEFT JOIN count_task AS task USING (location_id, item_id)
        WHERE van.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
        ORDER BY short > 0 DESC, van.code, item.ref
        LIMIT %(limit)s
    """

    def made(**row: Any) -> Proposal:
        return Proposal(**row, because=why.of_order(row["inputs"]))

    async with conn.cursor(row_factory=kwargs_row(made)) as cursor:
        await cursor.execute(query, {"organisation": organisation, "van": van, "limit": limit})
        return await cursor.fetchall()


async def transfers(
    conn: Connection,
    organisation: OrganisationId,
    limit: int,
    *,
    van: str | None = None,
    state: TransferState | None = None,
    transfer_id: int | None = None,
) -> list[Transfer]:
    """Return the newest `limit` transfers, from or to a van if one is named."""
    query = f"""
        SELECT transfer_id, giver.code AS from_van, receiver.code AS to_van, item.ref AS item,
               item.name, qty, state, {ms("created_time")} AS created_ms, {ms("until")} AS until_ms,
               stop.work_order, decided_by, inputs ->> 'why' AS why, inputs
        FROM transfer
        JOIN location AS f ON f.location_id = from_location_id
        JOIN van AS giver ON giver.van_id = f.van_id
        JOIN location AS t ON t.location_id = to_location_id
        JOIN van AS receiver ON receiver.van_id = t.van_id
        JOIN item USING (item_id)
        LEFT JOIN stop USING (stop_id)
        WHERE giver.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR %(van)s IN (giver.code, receiver.code))
          AND (%(state)s::text IS NULL OR state = %(state)s)
          AND (%(transfer)s::bigint IS NULL OR transfer_id = %(transfer)s)
        ORDER BY transfer_id DESC
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "van": van,
        "state": state,
        "transfer": transfer_id,
        "limit": limit,
    }

    def made(inputs: dict[str, object], **row: Any) -> Transfer:
        return Transfer(**row, because=why.of_transfer(inputs, row["from_van"]))

    async with conn.cursor(row_factory=kwargs_row(made)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def unclaimed(
    conn: Connection, organisation: OrganisationId, limit: int, *, van: str | None = None
) -> list[UnclaimedBox]:
    """Return up to `limit` boxes that were delivered and not received, those that wait longest first."""
    query = f"""
        SELECT box.sscc, o.code AS "order", van.code AS van, o.mode, technician.name AS technician,
               site.code AS site, {ms("box.t")} AS delivered_ms, content.lines, content.units
        FROM box_place AS box
        JOIN resupply_order AS o USING (order_id)
        JOIN location AS own ON own.location_id = o.location_id
        JOIN van ON van.van_id = own.van_id
        LEFT JOIN technician ON technician.technician_id = van.technician_id
        LEFT JOIN site ON site.site_id = o.site_id
        CROSS JOIN LATERAL (
          SELECT count(*)::integer AS lines, coalesce(sum(qty), 0)::integer AS units
          FROM shipped_line WHERE shipped_line.sscc = box.sscc
        ) AS content
        WHERE o.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
          AND NOT EXISTS (SELECT FROM standing_movement AS m
                          WHERE m.box = box.sscc AND m.kind = 'receive')
        ORDER BY box.t, box.sscc
        LIMIT %(limit)s
    """
    async with conn.cursor(row_factory=class_row(UnclaimedBox)) as cursor:
        await cursor.execute(query, {"organisation": organisation, "van": van, "limit": limit})
        return await cursor.fetchall()


async def variances(
    conn: Connection, organisation: OrganisationId, which: Which, limit: int
) -> list[Variance]:
    """Return the newest `limit` counts that found something else than was booked."""
    query = f"""
        SELECT {ms("found.t")} AS t_ms, van.code AS van, warehouse.code AS warehouse,
               item.ref AS item, item.name, found.lot, found.qty AS counted, found.expected,
               found.variance
        FROM count_variance AS found
        JOIN location USING (location_id)
        LEFT JOIN van ON van.van_id = location.van_id
        LEFT JOIN warehouse ON warehouse.warehouse_id = location.warehouse_id
        JOIN item USING (item_id)
        WHERE location.organisation_id = %(organisation)s
          AND found.t >= %(since)s AND found.t < %(until)s
          AND found.before_t IS NOT NULL AND found.variance <> 0
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
        ORDER BY found.t DESC, van.code, item.ref, found.lot
        LIMIT %(limit)s
    """
    values = {
        "organisation": organisation,
        "since": which.since,
        "until": which.until,
        "van": which.van,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(Variance)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def recounts(
    conn: Connection, organisation: OrganisationId, limit: int, *, van: str | None = None
) -> list[Recount]:
    """Return up to `limit` things that vans were asked to count again."""
    query = f"""
        SELECT van.code AS van, item.ref AS item, item.name, task.reason,
               (SELECT coalesce(sum(qty), 0)::bigint FROM level
                WHERE (level.location_id, level.item_id) = (task.location_id, task.item_id)) AS qty,
               {ms("task.asked_time")} AS asked_ms
        FROM count_task AS task
        JOIN location USING (location_id)
        JOIN van USING (van_id)
        JOIN item USING (item_id)
        WHERE van.organisation_id = %(organisation)s
          AND (%(van)s::text IS NULL OR van.code = %(van)s)
        ORDER BY van.code, item.ref
        LIMIT %(limit)s
    """
    async with conn.cursor(row_factory=class_row(Recount)) as cursor:
        await cursor.execute(query, {"organisation": organisation, "van": van, "limit": limit})
        return await cursor.fetchall()
