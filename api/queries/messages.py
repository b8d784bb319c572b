"""The questions about what base and vans write to one another.

Scoped by organisation; reads, never commits. Which of it counts, and when it was read, says the view
`conversation`.
"""

from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from api.answers import Message, UnreadMessages
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection

FIELDS: Final = f"""
  SELECT it.message_id AS id, it.number, van.code AS van, it.is_from_base AS from_base, it.kind,
         it.author_name AS author, it.text, it.order_code AS order, it.items, it.in_reply_to,
         {ms("it.sent_at")} AS sent_ms, {ms("it.delivered_at")} AS delivered_ms,
         {ms("it.read_at")} AS read_ms
  FROM conversation AS it JOIN van USING (van_id)
  WHERE van.organisation_id = %(organisation)s AND (%(van)s::text IS NULL OR van.code = %(van)s)
"""
AFTER: Final = f"{FIELDS} AND it.number > %(after)s ORDER BY it.number LIMIT %(limit)s"
NEWEST: Final = f"{FIELDS} ORDER BY it.number DESC LIMIT %(limit)s"
ONE: Final = f"{FIELDS} AND it.message_id = %(id)s"
#: What of the base a technician has not read yet; else the same up to a message.
OPEN: Final = f"""
  {FIELDS} AND it.is_from_base AND it.read_at IS NULL AND it.number <= %(through)s
  ORDER BY it.number DESC LIMIT %(limit)s
"""

UNREAD: Final = f"""
  SELECT van.code AS van, count(*)::integer AS unread, {ms("max(said.t)")} AS newest_ms
  FROM sound_van_message AS said JOIN van USING (van_id)
  WHERE van.organisation_id = %s AND said.text IS NOT NULL AND said.read_at IS NULL
  GROUP BY van.code
"""
#: No message has a number beyond it.
ALL: Final = 2**62


@dataclass(frozen=True, slots=True)
class WhichMessages:
    """Of which van; None for all of the organisation."""

    organisation: OrganisationId
    van: str | None

    def values(self, **more: object) -> dict[str, object]:
        """Return what `FIELDS` asks for, and more."""
        return {"organisation": self.organisation, "van": self.van, **more}


async def newest(conn: Connection, which: WhichMessages, limit: int) -> list[Message]:
    """Return the newest messages, in the order of their numbers."""
    return (await _messages(conn, NEWEST, which.values(limit=limit)))[::-1]


async def after(conn: Connection, which: WhichMessages, number: int, limit: int) -> list[Message]:
    """Return the first messages beyond a number."""
    return await _messages(conn, AFTER, which.values(after=number, limit=limit))


async def unread_of_base(
    conn: Connection, which: WhichMessages, limit: int, through: int = ALL
) -> list[Message]:
    """Return what of the base is not read yet, up to a number: the newest, in order."""
    values = which.values(through=through, limit=limit)
    return (await _messages(conn, OPEN, values))[::-1]


async def one(conn: Connection, which: WhichMessages, message_id: str) -> Message | None:
    """Return a message, or None if there is none."""
    found = await _messages(conn, ONE, which.values(id=message_id))
    return found[0] if found else None


async def _messages(conn: Connection, query: str, values: dict[str, object]) -> list[Message]:
    async with conn.cursor(row_factory=class_row(Message)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


async def unread_by_van(conn: Connection, organisation: OrganisationId) -> list[UnreadMessages]:
    """Return how many messages of each van nobody of the base has read; vans without are left out."""
    async with conn.cursor(row_factory=class_row(UnreadMessages)) as cursor:
        await cursor.execute(UNREAD, (organisation,))
        return await cursor.fetchall()
