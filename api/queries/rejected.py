"""The questions about rejected messages: why they could not be used, and what they were.

One function a question, scoped by organisation; lists are of the last 24 hours. Reads, never commits. What
makes a message unusable is not known here.
"""

import base64
from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from api.answers import RejectedMessage, RejectedReason
from api.auth import DEFAULT_ORGANISATION, OrganisationId
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

DAY_MS: Final = 86_400_000
PAYLOAD_BYTES_SHOWN: Final = 2_048
#: A rejected message belongs to the organisation of the van it names; if it names none that
#: exists, to the organisation that runs the installation.
OF_ORGANISATION: Final = """
    (van_code IN (SELECT code FROM van WHERE organisation_id = %(organisation)s)
      OR (%(organisation)s = %(default)s AND (van_code IN (SELECT code FROM van)) IS NOT TRUE))
"""
REJECTED_OF: Final = f"received_time > %(since)s AND {OF_ORGANISATION}"


async def reasons(
    conn: Connection, organisation: OrganisationId, now_ms: int
) -> list[RejectedReason]:
    """Return the reasons of the last 24 hours, the most frequent first."""
    query = f"""
        SELECT reason, count(*)::integer AS count,
               {ms("max(received_time)")} AS last_received_ms
        FROM rejected WHERE {REJECTED_OF}
        GROUP BY reason ORDER BY count DESC, reason
    """
    values = {
        "since": as_datetime(now_ms - DAY_MS),
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
    }
    async with conn.cursor(row_factory=class_row(RejectedReason)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected message; `payload` may be the beginning of its bytes."""

    rejected_id: str
    topic: str
    van: str | None
    reason: str
    detail: str
    received_ms: int
    payload_bytes: int
    payload: bytes


_ROW: Final = f"""
    encode(rejected_id, 'hex') AS rejected_id, topic, van_code AS van, reason, detail,
    {ms("received_time")} AS received_ms, octet_length(payload) AS payload_bytes
"""


def shown(row: RejectedRow) -> RejectedMessage:
    """Return a row as it is told: its bytes as text and as base64."""
    return RejectedMessage(
        rejected_id=row.rejected_id,
        topic=row.topic,
        van=row.van,
        reason=row.reason,
        detail=row.detail,
        received_ms=row.received_ms,
        payload_bytes=row.payload_bytes,
        payload_text=row.payload.decode(errors="replace"),
        payload_base64=base64.b64encode(row.payload).decode(),
    )


async def messages(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    limit: int,
    reason: str | None = None,
) -> list[RejectedMessage]:
    """Return the newest `limit` rejected messages of the last 24 hours."""
    query = f"""
        SELECT {_ROW}, substring(payload FROM 1 FOR {PAYLOAD_BYTES_SHOWN}) AS payload
        FROM rejected
        WHERE {REJECTED_OF} AND (%(reason)s::text IS NULL OR reason = %(reason)s)
        ORDER BY received_time DESC, rejected_id
        LIMIT %(limit)s
    """
    values = {
        "since": as_datetime(now_ms - DAY_MS),
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
        "reason": reason,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(RejectedRow)) as cursor:
        await cursor.execute(query, values)
        return [shown(row) for row in await cursor.fetchall()]


async def one(
    conn: Connection, organisation: OrganisationId, rejected_id: str
) -> RejectedRow | None:
    """Return a rejected message with all its bytes; None if there is none, or another organisation's."""
    query = f"""
        SELECT {_ROW}, payload FROM rejected
        WHERE rejected_id = decode(%(rejected)s, 'hex') AND {OF_ORGANISATION}
    """
    values = {
        "rejected": rejected_id,
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
    }
    async with conn.cursor(row_factory=class_row(RejectedRow)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchone()
