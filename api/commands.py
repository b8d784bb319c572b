"""What the API writes: tours and sites, as imports would; decisions; what shall be sent again.

Whatever an import would refuse is refused here, in the same words, and then nothing is kept: a file
keeps its good rows, an edit is whole or not at all. As an import does, an edit makes the version of
the reference data grow, so that ingest matches and reads again at its next tick.

Functions take a connection and leave with their transaction done.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import psycopg
from psycopg.rows import scalar_row

from api.auth import OrganisationId
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
#: Numbers are given in the order of commits: ingest takes them under the same lock.
NUMBERS_IN_ORDER: Final = "SELECT pg_advisory_xact_lock(hashtext('cordee messages'))"
WRITE_TO_VAN: Final = """
INSERT INTO message (van_id, message_id, kind, author, author_name, text, in_reply_to, sent_at)
VALUES (%s, %s, 'message', %s, %s, %s, %s, to_timestamp(%s / 1000.0))
"""
TO_INBOX: Final = """
INSERT INTO outbox (topic, payload, created_time) VALUES (%s, %s, to_timestamp(%s / 1000.0))
"""
MARK_READ: Final = """
UPDATE van_message SET read_at = to_timestamp(%s / 1000.0), reader = %s FROM van
WHERE van.van_id = van_message.van_id AND organisation_id = %s AND van.code = %s
  AND text IS NOT NULL AND number <= %s AND read_at IS NULL
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


async def approve_order(conn: Connection, organisation: OrganisationId, code: str, by: str) -> bool:
    """Approve an order that waits for it, to be sent by the next tick; return whether one did."""
    async with conn.transaction():
        done = await conn.execute(APPROVE_ORDER, (by, organisation, code))
        await conn.execute(TELL_PAGES)
    return done.rowcount > 0


async def approve_proposal(
    conn: Connection, organisation: OrganisationId, van: str, item: str, by: str
) -> bool:
    """Let an unconfirmed proposal be ordered as it is; return whether there is one."""
    async with conn.transaction():
        done = await conn.execute(APPROVE_PROPOSAL, (by, organisation, van, item))
    return done.rowcount > 0


async def decide_transfer(
    conn: Connection, organisation: OrganisationId, transfer_id: int, by: str, *, accept: bool
) -> bool:
    """Accept or refuse a transfer that is open; return whether that changed anything."""
    state = "accepted" if accept else "refused"
    async with conn.transaction():
        rows = await conn.execute(DECIDE_TRANSFER, (state, by, organisation, transfer_id, state))
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
    conn: Connection, warehouse: str, report: dict[str, object], now: int
) -> None:
    """Send a warehouse's report on its way, as if the warehouse had published it itself."""
    topic = f"warehouse/v1/reports/{warehouse}"
    async with conn.transaction():
        await conn.execute(PUBLISH, (topic, msgspec.json.encode(report), now))
        await conn.execute(TELL_RELAY)


async def publish(conn: Connection, messages: Sequence[Message], now: int) -> None:
    """Send messages of a van on their way, as if its devices had published them; see `Commits`.

    What is on its way already, or was committed within a day, is not sent again.
    """
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.execute(AWAIT, ([message.id for message in messages],))
        fresh = {bytes(each) for (each,) in await cursor.fetchall()}
        await pass_on(conn, [it for it in messages if it.id in fresh], now)


async def pass_on(conn: Connection, messages: Sequence[Message], now: int) -> None:
    """Send messages of a van on their way; nobody waits for what becomes of them."""
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(PUBLISH, [(it.topic, it.payload, now) for it in messages])
        await cursor.execute(TELL_RELAY)


@dataclass(frozen=True, slots=True)
class Written:
    """A message of a person of the base to a van; `author` as the access log names readers."""

    van_id: int
    van: str
    message_id: str
    author: str
    author_name: str
    text: str
    in_reply_to: str | None
    sent_ms: int

    def inbox(self) -> bytes:
        """Return it as the van's inbox has it: `InboxMessage` in docs/WIRE.md."""
        said = {
            "id": self.message_id,
            "t": self.sent_ms,
            "kind": "message",
            "text": self.text,
            "sender": self.author_name,
        }
        reply = {} if self.in_reply_to is None else {"in_reply_to": self.in_reply_to}
        return msgspec.json.encode(said | reply)


async def write_to_van(conn: Connection, it: Written) -> None:
    """Keep a message to a van, and send it on its way to the van's inbox."""
    async with conn.transaction():
        await conn.execute(NUMBERS_IN_ORDER)
        await conn.execute(
            WRITE_TO_VAN,
            (it.van_id, it.message_id, it.author, it.author_name, it.text, it.in_reply_to, it.sent_ms),
        )  # fmt: skip
        await conn.execute(TO_INBOX, (f"fleet/v1/{it.van}/inbox", it.inbox(), it.sent_ms))
        await conn.execute(TELL_RELAY)
        await conn.execute(TELL_PAGES)


async def mark_read(
    conn: Connection, organisation: OrganisationId, van: str, through: int, reader: str, now: int
) -> None:
    """Note that the base has read what a van wrote, up to a number."""
    async with conn.transaction():
        await conn.execute(MARK_READ, (now, reader, organisation, van, through))
        await conn.execute(TELL_PAGES)


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
