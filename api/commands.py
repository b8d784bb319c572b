"""What the API writes: tours and sites, as imports would; decisions; what shall be sent again.

Whatever an import would refuse is refused here, in the same words, and then nothing is kept: a file
keeps its good rows, an edit is whole or not at all. As an import does, an edit makes the version of
the reference data grow, so that ingest matches and reads again at its next tick.

Functions take a connection and leave with their transaction done.
"""

from collections.abc import Collection, Sequence
from typing import Final

import msgspec
import psycopg
from psycopg.rows import scalar_row

from api.auth import OrganisationId, Who
from api.batches import Message
from geofence.imports import sites, tours
from stock_tracker.levels import lock_ledger
from stock_tracker.papers.sscc import sscc
from stock_tracker.resupply import policies
from stock_tracker.resupply.positions import refresh_proposals
from storage.imports import ImportResult
from storage.pool import Connection
from storage.sheets import BadRow, Cells

#: Imports and edits run one after the other; an edit does not wait for a long file.
LOCK_WITHIN: Final = "SET LOCAL lock_timeout = '5s'"
#: Pages look again: the plan may change what they show before ingest has matched anything.
TELL_PAGES: Final = "NOTIFY cordee"
TELL_RELAY: Final = "NOTIFY cordee_outbox"
#: The last column of the table of states in ingest/webhooks/rules.py.
RESEND: Final = """
UPDATE webhook_delivery AS it SET state = 'pending', attempts = 0, changed_time = clock_timestamp()
FROM webhook
WHERE webhook.webhook_id = it.webhook_id AND active AND state = 'dead'
  AND (%(organisation)s::integer IS NULL OR organisation_id = %(organisation)s)
  AND (%(delivery)s::bigint IS NULL OR delivery_id = %(delivery)s)
  AND (%(webhook)s::integer IS NULL OR webhook.webhook_id = %(webhook)s)
"""
APPROVE_ORDER: Final = """
UPDATE resupply_order SET state = 'approved', approved_by = %s
WHERE organisation_id = %s AND code = %s AND state = 'proposed'
"""
APPROVE_PROPOSAL: Final = """
UPDATE proposal SET approved_by = %s FROM location, van, item
WHERE location.location_id = proposal.location_id AND van.van_id = location.van_id
  AND item.item_id = proposal.item_id
  AND van.organisation_id = %s AND van.code = %s AND item.ref = %s
"""
#: A refusal is taken back from what is on its way, so that it is ordered instead.
DECIDE_TRANSFER: Final = """
UPDATE transfer SET state = %s, decided_by = %s FROM location
WHERE location.location_id = to_location_id AND organisation_id = %s AND transfer_id = %s
  AND state IN ('proposed', 'accepted') AND state <> %s
RETURNING from_location_id, to_location_id, item_id
"""
#: Numbers are never given twice, and none is given back.
NUMBER_BOX: Final = """
UPDATE warehouse SET sscc_last = sscc_last + 1 FROM resupply_order
WHERE resupply_order.warehouse_id = warehouse.warehouse_id
  AND resupply_order.organisation_id = %s AND resupply_order.code = %s
RETURNING sscc_prefix, sscc_last
"""
POST_REPORT: Final = """
INSERT INTO posted_report
SELECT warehouse_id, %s, %s, %s, to_timestamp(%s / 1000.0)
FROM warehouse WHERE organisation_id = %s AND code = %s
ON CONFLICT (warehouse_id, report) DO NOTHING
"""
POSTED: Final = """
SELECT payload FROM posted_report JOIN warehouse USING (warehouse_id)
WHERE organisation_id = %s AND code = %s AND report = %s
"""
#: What vans and warehouses say by HTTP takes the way of all they say: relay, broker, ingest. It does not
#: stay in the outbox: it may be a position of a time off duty.
PUBLISH: Final = """
INSERT INTO outbox (topic, payload, is_passing, created_time)
VALUES (%s, %s, true, to_timestamp(%s / 1000.0))
"""
#: A repeat is on its way already; if that takes a minute, the broker may have lost it.
AWAIT: Final = """
INSERT INTO awaited AS known (message_id, asked_time)
SELECT DISTINCT asked.id, clock_timestamp() FROM unnest(%b::bytea[]) AS asked (id) ORDER BY asked.id
ON CONFLICT (message_id) DO UPDATE SET asked_time = excluded.asked_time
WHERE known.committed_time IS NULL AND known.asked_time < excluded.asked_time - INTERVAL '1 minute'
RETURNING message_id
"""
#: An edit says all of a stop: what stood at its position before may have been another one.
_ALL: Final = frozenset(tours.MAY_LACK)


class RefusedError(Exception):
    """What the checks of the import refused; nothing was kept."""

    def __init__(self, bad: Sequence[BadRow]) -> None:
        super().__init__("; ".join(row.reason for row in bad))
        self.bad = bad


class BusyError(Exception):
    """Another edit, or an import, has the reference data to itself."""


async def put_tour(
    conn: Connection, organisation: OrganisationId, stops: Sequence[Cells]
) -> ImportResult:
    """Put one tour: `stops` are all its rows, in the columns of tours.csv.

    Raises:
        RefusedError: Rows that the import refuses, numbered from 1.
        BusyError: Somebody else was editing for five seconds.
    """
    rows = list(enumerate(stops, start=1))
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            name = await _name(conn, organisation)
            done = await tours.put_tours(conn, rows, organisation=name, says=_ALL)
            return await _told(conn, done)
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error


async def put_site(
    conn: Connection, organisation: OrganisationId, feature: dict[str, object]
) -> ImportResult:
    """Put one site, given as a GeoJSON feature with the properties that the import reads.

    Raises:
        RefusedError: The import refuses it.
        BusyError: Somebody else was editing for five seconds.
    """
    data = msgspec.json.encode({"type": "FeatureCollection", "features": [feature]})
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            name = await _name(conn, organisation)
            done = await sites.import_sites(conn, data, organisation=name)
            return await _told(conn, done)
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error


async def resend(
    conn: Connection,
    *,
    organisation: OrganisationId | None = None,
    delivery_id: int | None = None,
    webhook_id: int | None = None,
) -> int:
    """Let dead deliveries of webhooks that are on be sent again; return how many.

    Args:
        conn: A connection.
        organisation: Whose; None for anybody's.
        delivery_id: Which one; None for all.
        webhook_id: Of which webhook; None for all.
    """
    async with conn.transaction():
        again = await conn.execute(
            RESEND,
            {"organisation": organisation, "delivery": delivery_id, "webhook": webhook_id},
        )
        await conn.execute(TELL_RELAY)
    return again.rowcount


async def approve_order(conn: Connection, who: Who, code: str) -> bool:
    """Approve an order that waits for it, to be sent by the next tick; return whether one did."""
    async with conn.transaction():
        done = await conn.execute(APPROVE_ORDER, (who.account, who.organisation, code))
        await conn.execute(TELL_PAGES)
    return done.rowcount > 0


async def approve_proposal(conn: Connection, who: Who, van: str, item: str) -> bool:
    """Let an unconfirmed proposal be ordered as it is; return whether there is one."""
    async with conn.transaction():
        done = await conn.execute(APPROVE_PROPOSAL, (who.account, who.organisation, van, item))
    return done.rowcount > 0


async def decide_transfer(conn: Connection, who: Who, transfer_id: int, *, accept: bool) -> bool:
    """Accept or refuse a transfer that is open; return whether that changed anything."""
    state = "accepted" if accept else "refused"
    async with conn.transaction():
        rows = await conn.execute(
            DECIDE_TRANSFER, (state, who.account, who.organisation, transfer_id, state)
        )
        decided = await rows.fetchall()
        await lock_ledger(conn)
        await refresh_proposals(
            conn, {(place, item) for giver, taker, item in decided for place in (giver, taker)}
        )
    return bool(decided)


async def accept_policy(conn: Connection, template: str, items: Collection[str] | None) -> int:
    """Make what is proposed for a template its policy, all or these items; return how many lines."""
    async with conn.transaction():
        changed = await policies.accept(conn, template, items)
        await conn.execute(TELL_PAGES)
    return changed


async def number_box(conn: Connection, organisation: OrganisationId, code: str) -> str | None:
    """Return a new number (SSCC) for a box of an order; None if there is no such order."""
    async with conn.transaction():
        found = await (await conn.execute(NUMBER_BOX, (organisation, code))).fetchone()
    return sscc(*found) if found else None


async def publish_report(
    conn: Connection, who: Who, warehouse: str, report_id: str, said: dict[str, object], now: int
) -> bool:
    """Send a warehouse's report on its way, as if the warehouse had published it itself.

    A repeat, whenever it comes, goes nowhere: its time would make it another payload, and two payloads
    under one id set each other aside. Returns False if something else was posted under the id.
    """
    payload = msgspec.json.encode(said)
    async with conn.transaction():
        place = who.organisation, warehouse
        new = await conn.execute(POST_REPORT, (report_id, payload, who.account, now, *place))
        if new.rowcount:
            await conn.execute(PUBLISH, (f"warehouse/v1/reports/{warehouse}", payload, now))
            await conn.execute(TELL_RELAY)
            return True
        posted = await (await conn.execute(POSTED, (*place, report_id))).fetchone()
    assert posted is not None  # noqa: S101  it was there a statement ago, and none is ever deleted
    before = msgspec.json.decode(posted[0])
    return bool(before == said | {"t": before["t"]})


async def publish(conn: Connection, messages: Sequence[Message], now: int) -> None:
    """Send messages of a van on their way, as if its devices had published them; see `Commits`.

    What is on its way already, or was committed within a day, is not sent again.
    """
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.execute(AWAIT, ([message.id for message in messages],))
        fresh = {bytes(each) for (each,) in await cursor.fetchall()}
        await cursor.executemany(
            PUBLISH, [(it.topic, it.payload, now) for it in messages if it.id in fresh]
        )
        await cursor.execute(TELL_RELAY)


async def _told(conn: Connection, done: ImportResult) -> ImportResult:
    """Return what was done if all of it was; else undo it."""
    if done.bad:
        raise RefusedError(done.bad)
    await conn.execute(TELL_PAGES)
    return done


async def _name(conn: Connection, organisation: OrganisationId) -> str:
    """Return the name by which imports know an organisation."""
    query = "SELECT name FROM organisation WHERE organisation_id = %s"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (organisation,))
        found: str | None = await cursor.fetchone()
    assert found is not None  # noqa: S101  whoever asks belongs to one that exists
    return found
