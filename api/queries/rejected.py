"""The questions about rejected messages: why they could not be used, what they were, what became of them.

One function a question, scoped by organisation; lists are of the last 24 hours. Reads, never commits.
What makes a message unusable is not known here.
"""

import base64
from dataclasses import dataclass
from typing import Final

from psycopg.rows import class_row

from api.answers import RejectedMessage, RejectedReason, RejectedState
from api.auth import DEFAULT_ORGANISATION, OrganisationId
from api.times import ms
from storage.pool import Connection
from storage.settings import as_datetime

DAY_MS: Final = 86_400_000
PAYLOAD_BYTES_SHOWN: Final = 2_048
#: Of one that somebody looks at: what a person can read, and more than any device sends.
PAYLOAD_BYTES_MAX: Final = 262_144
#: A rejected message belongs to the organisation of the van it names; if it names none that
#: exists, to the organisation that runs the installation.
OWNED: Final = """
    (van_code IN (SELECT code FROM van WHERE organisation_id = %(organisation)s)
     OR (%(organisation)s = %(default)s AND (van_code IN (SELECT code FROM van)) IS NOT TRUE))
"""
#: What waits for somebody, of the last 24 hours.
REJECTED_OF: Final = f"received_time > %(since)s AND rejected.state = 'waiting' AND {OWNED}"


async def reasons(
    conn: Connection, organisation: OrganisationId, now_ms: int
) -> list[RejectedReason]:
    """Return the reasons of what waits, of the last 24 hours, the most frequent first."""
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
class _RejectedRow:
    rejected_id: str
    topic: str
    van: str | None
    reason: str
    detail: str
    received_ms: int
    state: RejectedState
    payload_bytes: int
    payload: bytes


def _rejected(row: _RejectedRow) -> RejectedMessage:
    return RejectedMessage(
        rejected_id=row.rejected_id,
        topic=row.topic,
        van=row.van,
        reason=row.reason,
        detail=row.detail,
        received_ms=row.received_ms,
        state=row.state,
        payload_bytes=row.payload_bytes,
        payload_text=row.payload.decode(errors="replace"),
        payload_base64=base64.b64encode(row.payload).decode(),
    )


async def messages(
    conn: Connection,
    organisation: OrganisationId,
    now_ms: int,
    limit: int,
    *,
    reason: str | None = None,
    state: RejectedState = "waiting",
) -> list[RejectedMessage]:
    """Return the newest `limit` rejected messages of the last 24 hours that stand like that."""
    query = f"""
        {_message(PAYLOAD_BYTES_SHOWN)}
        WHERE received_time > %(since)s AND state = %(state)s AND {OWNED}
          AND (%(reason)s::text IS NULL OR reason = %(reason)s)
        ORDER BY received_time DESC, rejected_id
        LIMIT %(limit)s
    """
    values = {
        "since": as_datetime(now_ms - DAY_MS),
        "organisation": organisation,
        "default": DEFAULT_ORGANISATION,
        "reason": reason,
        "state": state,
        "limit": limit,
    }
    async with conn.cursor(row_factory=class_row(_RejectedRow)) as cursor:
        await cursor.execute(query, values)
        return [_rejected(row) for row in await cursor.fetchall()]


async def find(
    conn: Connection, organisation: OrganisationId, rejected_id: str
) -> RejectedMessage | None:
    """Return a message with its payload, whenever it came, or None if there is none."""
    query = f"{_message(PAYLOAD_BYTES_MAX)} WHERE rejected_id = decode(%(id)s, 'hex') AND {OWNED}"
    values = {"id": rejected_id, "organisation": organisation, "default": DEFAULT_ORGANISATION}
    async with conn.cursor(row_factory=class_row(_RejectedRow)) as cursor:
        await cursor.execute(query, values)
        row = await cursor.fetchone()
    return None if row is None else _rejected(row)


def _message(payload_bytes: int) -> str:
    """Return SQL for messages with so many bytes of their payloads."""
    return f"""
        SELECT encode(rejected_id, 'hex') AS rejected_id, topic, van_code AS van, reason, detail,
               {ms("received_time")} AS received_ms, state, octet_length(payload) AS payload_bytes,
               substring(payload FROM 1 FOR {payload_bytes}) AS payload
        FROM rejected
    """
