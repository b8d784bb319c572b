"""The SQL of messages between base and vans. What tablets say is kept as it came, like visit reports.

What the base says to a van by itself (orders on their way, counts to be made) is kept beside the
outbox, for tablets that ask by HTTP. Numbers are given under a lock, so that whoever has seen a number
has seen all below it.

Functions take a connection and never commit.
"""

from collections.abc import Sequence
from typing import Final

from ingest.batch import VanMessageEvent
from ingest.messages import InboxMessage
from storage.pool import Connection
from storage.settings import as_datetime

IN_ORDER: Final = "SELECT pg_advisory_xact_lock(hashtext('cordee messages'))"
PUT: Final = """
INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, in_reply_to, delivered,
                         read, author, received_time)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (device, epoch, seq, payload_hash) DO NOTHING
"""
PUT_INBOX: Final = """
INSERT INTO message (van_id, message_id, kind, text, order_code, items, sent_at)
SELECT van_id, %s, %s, %s, %s, %s, %s FROM van WHERE code = %s
ON CONFLICT (van_id, message_id) DO NOTHING
"""


async def put(conn: Connection, events: Sequence[VanMessageEvent], now: int) -> None:
    """Store what tablets wrote, and what they say of the base's messages."""
    if not events:
        return
    await conn.execute(IN_ORDER)
    async with conn.cursor() as cursor:
        await cursor.executemany(PUT, [_row(event, now) for event in events])


def _row(event: VanMessageEvent, now: int) -> tuple[object, ...]:
    said, key = event.said, event.key
    return (
        key.device, key.epoch, key.seq, event.payload_hash, event.van_id, as_datetime(said.t),
        said.text, said.in_reply_to, said.delivered, said.read, said.user, as_datetime(now),
    )  # fmt: skip


async def put_inbox(conn: Connection, messages: Sequence[tuple[str, InboxMessage]]) -> None:
    """Keep what is sent to inboxes, given with the van's code."""
    if not messages:
        return
    await conn.execute(IN_ORDER)
    async with conn.cursor() as cursor:
        await cursor.executemany(
            PUT_INBOX,
            [
                (it.id, it.kind, it.text, it.order, it.items, as_datetime(it.t), van)
                for van, it in messages
            ],
        )
