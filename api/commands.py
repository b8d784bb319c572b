"""What the API writes: tours and sites, as imports would; what people decide and do; what is sent again.

Whatever an import would refuse is refused here, in the same words, and then nothing is kept: a file
keeps its good rows, an edit is whole or not at all. As an import does, an edit makes the version of
the reference data grow, so that ingest matches and reads again at its next tick.

Functions take a connection and leave with their transaction done.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import msgspec
import psycopg
from psycopg.rows import scalar_row
from psycopg.types.json import Jsonb

from api.answers import AlertHandling
from api.auth import OrganisationId, Who
from api.batches import Message
from api.handling import UNTOUCHED
from api.queries import plans
from api.queries.alerts import HANDLING
from api.queries.rejected import RejectedRow
from api.queries.sites import StoredSite
from api.queries.sites import find as find_site
from api.replans import (
    Plan,
    Wanted,
    days_of,
    edited,
    is_complete,
    is_reached,
    replanned,
    tag,
)
from geofence.imports import sites, tours
from stock_tracker.levels import lock_ledger
from stock_tracker.papers.sscc import sscc
from stock_tracker.reference import put_barcodes
from stock_tracker.resupply import policies
from stock_tracker.resupply.positions import refresh_proposals
from storage.imports import ImportResult
from storage.pool import Connection
from storage.settings import as_datetime
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
NOTE_ACTION: Final = """
INSERT INTO operator_action (organisation_id, done_time, done_by, action, subject, detail)
VALUES (%s, to_timestamp(%s / 1000.0), %s, %s, %s, %s)
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
FIND_ALERT: Final = f"""
SELECT {HANDLING} FROM alert JOIN van USING (van_id) LEFT JOIN alert_handling AS handling USING (handling_id)
WHERE organisation_id = %s AND alert_id = %s
FOR UPDATE OF alert
"""
BEGIN_HANDLING: Final = """
WITH begun AS (
  INSERT INTO alert_handling (version, changed_time) VALUES (0, %s) RETURNING handling_id
)
UPDATE alert SET handling_id = begun.handling_id FROM begun WHERE alert_id = %s
"""
#: Another alert may share the handling: what it was is asked again here.
PUT_HANDLING: Final = """
WITH put AS (
  UPDATE alert_handling SET acknowledged_by = %(acknowledged_by)s,
    acknowledged_at = to_timestamp(%(acknowledged_at_ms)s / 1000.0),
    snoozed_until = to_timestamp(%(snoozed_until_ms)s / 1000.0),
    owner = %(owner)s, cause = %(cause)s, note = %(note)s, version = %(version)s,
    changed_time = %(now)s
  FROM alert
  WHERE alert.handling_id = alert_handling.handling_id AND alert_id = %(alert)s
    AND version = %(was)s
  RETURNING alert_handling.handling_id
)
INSERT INTO alert_action (handling_id, version, acted_time, acted_by, changes)
SELECT handling_id, %(version)s, %(now)s, %(by)s, %(changes)s FROM put
"""
#: Edits come one after the other; what is read under this lock and those of its vans stays as it is.
LOCK_EDITS: Final = "SELECT FROM reference_version FOR UPDATE"
LOCK_VANS: Final = """
SELECT FROM van WHERE organisation_id = %s AND code = ANY(%s) ORDER BY van_id FOR NO KEY UPDATE
"""
#: Its stops go with it; what has no stops is no tour.
DROP_TOURS: Final = """
DELETE FROM tour USING van
WHERE van.van_id = tour.van_id AND organisation_id = %s AND tour.code = ANY(%s)
"""
PUT_REPLAN: Final = """
INSERT INTO replan (organisation_id, service_date, kind, site_id, giver_van_id, taker_van_id, position,
                    before, after, applied_by, applied_time)
SELECT giver.organisation_id, %(day)s, %(kind)s, site_id, giver.van_id, taker.van_id, %(position)s,
       %(before)s, %(after)s, %(by)s, %(now)s
FROM van AS giver
JOIN van AS taker USING (organisation_id)
JOIN site USING (organisation_id)
WHERE organisation_id = %(organisation)s
  AND (giver.code, taker.code, site.code) = (%(giver)s, %(taker)s, %(site)s)
RETURNING replan_id
"""
FIND_REPLAN: Final = """
SELECT service_date, position, before::text, after::text, undone_time IS NOT NULL FROM replan
WHERE organisation_id = %s AND replan_id = %s FOR UPDATE
"""
UNDO_REPLAN: Final = "UPDATE replan SET undone_by = %s, undone_time = %s WHERE replan_id = %s"
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


class ChangedError(Exception):
    """What was to be changed has changed since it was looked at; nothing was kept."""


class IncompleteError(Exception):
    """An order of stops lacks some, or has others; nothing was kept."""


class GoneOnError(Exception):
    """A replan cannot be undone any more; `tours` were edited since, if that is why."""

    def __init__(self, why: str, tours: Sequence[str] = ()) -> None:
        super().__init__(why)
        self.tours = tours


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


async def apply_replan(
    conn: Connection, organisation: OrganisationId, wanted: Wanted, by: str, now: int
) -> int:
    """Carry out a proposal as one edit of both tours, and return the replan's key.

    Raises:
        ChangedError: The plans, or how far the vans have come, are not what it is based on.
        IncompleteError: It does not say when each stop that is ahead comes.
        RefusedError: The import would refuse a tour.
        BusyError: Somebody else was editing for five seconds.
    """
    vans = [wanted.giver, wanted.taker]
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            await conn.execute(LOCK_EDITS)
            await conn.execute(LOCK_VANS, (organisation, vans))
            days = await plans.days(conn, organisation, wanted.day, vans)
            giver, taker = (days[van] for van in vans)
            if tag(days_of(giver, taker)) != wanted.based_on:
                raise ChangedError
            if not is_complete(wanted, taker):
                raise IncompleteError
            before = [day.plan for day in days_of(giver, taker)]
            new_tour = f"R-{wanted.day}-{wanted.taker}"
            after, position = replanned(wanted, giver, taker, new_tour)
            await _put_plans(conn, organisation, before, after)
            values = {
                "organisation": organisation,
                "day": wanted.day,
                "kind": "reorder" if giver is taker else "move",
                "giver": wanted.giver,
                "taker": wanted.taker,
                "site": giver.by_id[wanted.stop_id].site,
                "position": position,
                "before": msgspec.json.encode(before).decode(),
                "after": msgspec.json.encode(after).decode(),
                "by": by,
                "now": as_datetime(now),
            }
            async with conn.cursor(row_factory=scalar_row) as cursor:
                await cursor.execute(PUT_REPLAN, values)
                replan_id: int | None = await cursor.fetchone()
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error
    assert replan_id is not None  # noqa: S101  vans and site stand in the plans
    return replan_id


async def undo_replan(
    conn: Connection, organisation: OrganisationId, replan_id: int, by: str, now: int
) -> None:
    """Make the tours of a replan what they were before it; one that does not exist is left alone.

    Raises:
        GoneOnError: A tour was edited since, a van was there, or it is undone already.
        RefusedError: The import would refuse a tour.
        BusyError: Somebody else was editing for five seconds.
    """
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            await conn.execute(LOCK_EDITS)
            found = await conn.execute(FIND_REPLAN, (organisation, replan_id))
            row = await found.fetchone()
            if row is None:
                return
            day, position, *kept, is_undone = row
            before, after = (msgspec.json.decode(text, type=list[Plan]) for text in kept)
            vans = [plan.van for plan in after]
            await conn.execute(LOCK_VANS, (organisation, vans))
            days = await plans.days(conn, organisation, day, vans)
            left = [days[van] for van in vans]
            if is_undone:
                raise GoneOnError("It is undone already.")
            if tours := edited(after, [one.plan for one in left]):
                raise GoneOnError(f"{' and '.join(tours)} was edited since.", tours)
            if is_reached(left[-1], position):
                raise GoneOnError("A van is there, or has been.")
            await _put_plans(conn, organisation, after, before)
            await conn.execute(UNDO_REPLAN, (by, as_datetime(now), replan_id))
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error


async def _put_plans(
    conn: Connection, organisation: OrganisationId, before: Sequence[Plan], after: Sequence[Plan]
) -> None:
    """Put plans as `put_tour` puts a tour; tours that have no stops any more go."""
    kept = {plan.tour for plan in after if plan.stops}
    gone = [plan.tour for plan in before if plan.tour is not None and plan.tour not in kept]
    await conn.execute(DROP_TOURS, (organisation, gone))
    cells = enumerate((row for plan in after for row in plan.cells()), start=1)
    name = await _name(conn, organisation)
    await _told(conn, await tours.put_tours(conn, cells, organisation=name, says=_ALL))


async def put_site(
    conn: Connection,
    organisation: OrganisationId,
    code: str,
    feature: dict[str, object],
    check: Callable[[StoredSite | None], None] | None = None,
) -> ImportResult:
    """Put one site, given as a GeoJSON feature with the properties that the import reads.

    Args:
        conn: A connection.
        organisation: Whose site.
        code: Of the site.
        feature: What it shall be.
        check: Is shown the site as it stands, and raises what forbids to change it; None allows all.

    Raises:
        RefusedError: The import refuses it.
        BusyError: Somebody else was editing for five seconds.
    """
    data = msgspec.json.encode({"type": "FeatureCollection", "features": [feature]})
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            await conn.execute(LOCK_EDITS)
            if check is not None:
                check(await find_site(conn, organisation, code))
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


async def replay(conn: Connection, who: Who, it: RejectedRow, now: int) -> bool:
    """Send a rejected message on its way again; return False if it is gone meanwhile.

    It is rejected anew, under the same id, if it cannot be used after all.
    """
    async with conn.transaction():
        if not await _take_rejected(conn, who, "replay", it, now):
            return False
        await conn.execute(PUBLISH, (it.topic, it.payload, now))
        await conn.execute(TELL_RELAY)
    return True


async def discard(conn: Connection, who: Who, it: RejectedRow, now: int) -> bool:
    """Delete a rejected message for good; return False if it is gone already."""
    async with conn.transaction():
        return await _take_rejected(conn, who, "discard", it, now)


async def _take_rejected(
    conn: Connection, who: Who, action: str, it: RejectedRow, now: int
) -> bool:
    key = bytes.fromhex(it.rejected_id)
    taken = await conn.execute("DELETE FROM rejected WHERE rejected_id = %s", (key,))
    if taken.rowcount:
        await note_action(conn, who, action, it.rejected_id, f"{it.topic}: {it.reason}", now)
        await conn.execute(TELL_PAGES)
    return taken.rowcount > 0


async def map_code(
    conn: Connection, who: Who, code: str, item: str, pack_qty: int, now: int
) -> None:
    """Give a bar code its meaning, as the import of bar codes does; waiting scans take effect.

    Raises:
        RefusedError: The import refuses it.
        BusyError: Somebody else was editing for five seconds.
    """
    row = (1, {"code": code, "item": item, "pack_qty": pack_qty})
    try:
        async with conn.transaction():
            await conn.execute(LOCK_WITHIN)
            name = await _name(conn, who.organisation)
            done = await put_barcodes(conn, [row], organisation=name)
            await _told(conn, done)
            await note_action(conn, who, "map_code", code, f"{item} x {pack_qty}", now)
    except psycopg.errors.LockNotAvailable as error:
        raise BusyError from error


async def note_action(
    conn: Connection, who: Who, action: str, subject: str, detail: str, now: int
) -> None:
    """Write down what an operator did, and to what."""
    values = who.organisation, now, who.account, action, subject, detail
    await conn.execute(NOTE_ACTION, values)


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


async def handle_alert(
    conn: Connection,
    organisation: OrganisationId,
    alert_id: int,
    handle: Callable[[AlertHandling], tuple[AlertHandling, dict[str, Any]]],
    by: str,
    now: int,
) -> None:
    """Change what people did about an alert; one that is gone meanwhile is left alone.

    Args:
        conn: A connection.
        organisation: Whose alert.
        alert_id: Its key.
        handle: Returns what the handling shall be, and what of it that changes.
        by: Who does it.
        now: The present, ms since 1970 UTC.

    Raises:
        ChangedError: Somebody else changed it at the same moment.
    """
    async with conn.transaction():
        found = await (await conn.execute(FIND_ALERT, (organisation, alert_id))).fetchone()
        if found is None:
            return
        before = AlertHandling(**found[0]) if found[0] else UNTOUCHED
        after, changes = handle(before)
        if not changes:
            return
        if before is UNTOUCHED:
            await conn.execute(BEGIN_HANDLING, (as_datetime(now), alert_id))
        values = {
            **asdict(after),
            "alert": alert_id,
            "was": before.version,
            "now": as_datetime(now),
            "by": by,
            "changes": Jsonb(changes),
        }
        done = await conn.execute(PUT_HANDLING, values)
        if not done.rowcount:
            raise ChangedError
        await conn.execute(TELL_PAGES)


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
