"""The SQL of deliveries: which are due, taking them, and what came of them.

Functions take a connection and never commit. `now` is the machine's time. The states are those of
`rules.py`; whether something changes is asked of its table.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from ingest.webhooks.rules import (
    ATTEMPTS_MAX,
    LEASE_S,
    Answer,
    Outcome,
    state_after,
    states_before,
)
from storage.pool import Connection
from storage.settings import as_datetime

DUE: Final = """
    state = ANY(%(waiting)s) AND (next_try_at IS NULL OR next_try_at <= %(now)s)
"""

WEBHOOKS_DUE: Final = f"""
SELECT webhook_id FROM webhook
WHERE active AND (paused_until IS NULL OR paused_until <= %(now)s)
  AND EXISTS (SELECT FROM webhook_delivery AS one WHERE one.webhook_id = webhook.webhook_id
              AND {DUE})
ORDER BY webhook_id
"""

TAKE: Final = f"""
WITH due AS (
  SELECT delivery_id FROM webhook_delivery JOIN webhook USING (webhook_id)
  WHERE webhook_id = %(webhook)s AND {DUE}
    AND active AND (paused_until IS NULL OR paused_until <= %(now)s)
  ORDER BY delivery_id LIMIT %(limit)s
  FOR UPDATE OF webhook_delivery SKIP LOCKED
), taken AS (
  UPDATE webhook_delivery AS it SET
    state = 'retrying', attempts = attempts + 1, changed_time = %(now)s,
    next_try_at = %(now)s + make_interval(secs => %(lease_s)s)
  FROM due WHERE it.delivery_id = due.delivery_id
  RETURNING it.*
)
SELECT delivery_id, webhook_id, message_id, attempts, url, payload, secret,
       CASE WHEN old_secret_until > %(now)s THEN old_secret END AS old_secret
FROM taken JOIN webhook USING (webhook_id) JOIN outbox USING (outbox_id)
ORDER BY delivery_id
"""

#: What counts only if nobody has taken the delivery again meanwhile; that it arrived always counts.
PUT_OUTCOME: Final = """
UPDATE webhook_delivery SET
  state = %(state)s, next_try_at = %(next_try)s, last_status = %(status)s, last_error = %(error)s,
  changed_time = %(now)s, delivered_time = CASE WHEN %(state)s = 'delivered' THEN %(now)s END
WHERE delivery_id = %(delivery)s AND state = ANY(%(before)s)
  AND (attempts = %(attempts)s OR %(state)s = 'delivered')
"""

#: A last attempt of which nothing was heard within its time: its process is gone.
GIVE_UP: Final = f"""
UPDATE webhook_delivery SET state = 'dead', next_try_at = NULL, changed_time = %(now)s,
  last_status = NULL, last_error = 'the process ended before an answer came'
WHERE attempts >= {ATTEMPTS_MAX} AND {DUE}
"""

SWITCH_OFF: Final = """
UPDATE webhook_delivery AS it SET state = 'dead', next_try_at = NULL, changed_time = %(now)s,
  last_error = 'the webhook was switched off'
FROM webhook WHERE webhook.webhook_id = it.webhook_id AND NOT active AND state = ANY(%(before)s)
"""

PAUSE: Final = """
UPDATE webhook SET paused_until = %s
WHERE webhook_id = %s AND (paused_until IS NULL OR paused_until < %s)
"""

FORGET: Final = """
DELETE FROM webhook_delivery
WHERE state = 'delivered' AND changed_time < %(now)s - INTERVAL '7 days'
   OR state = 'dead' AND changed_time < %(now)s - INTERVAL '30 days'
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery that is about to be posted; `attempts` counts this one."""

    delivery_id: int
    webhook_id: int
    message_id: UUID
    attempts: int
    url: str
    payload: bytes
    secret: str
    old_secret: str | None

    @property
    def secrets(self) -> list[str]:
        """What to sign with, the newest first."""
        return [self.secret] if self.old_secret is None else [self.secret, self.old_secret]


async def tidy(conn: Connection, now: int) -> int:
    """Let die what nobody will post any more, and forget the old; return how many died."""
    values = {"now": as_datetime(now), "waiting": states_before("give up")}
    given_up = await conn.execute(GIVE_UP, values)
    off = await conn.execute(
        SWITCH_OFF, {"now": as_datetime(now), "before": states_before("switch off")}
    )
    await conn.execute(FORGET, values)
    return given_up.rowcount + off.rowcount


async def webhooks_due(conn: Connection, now: int) -> list[int]:
    """Return the webhooks for which something is due."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            WEBHOOKS_DUE, {"now": as_datetime(now), "waiting": states_before("take")}
        )
        return await cursor.fetchall()


async def take(conn: Connection, webhook_id: int, now: int, limit: int) -> list[Delivery]:
    """Return what is due for a webhook, the oldest first, theirs who asks for a minute.

    What another sender is just taking is left to it.
    """
    async with conn.cursor(row_factory=class_row(Delivery)) as cursor:
        await cursor.execute(
            TAKE,
            {
                "webhook": webhook_id,
                "now": as_datetime(now),
                "waiting": states_before("take"),
                "lease_s": LEASE_S,
                "limit": limit,
            },
        )
        return await cursor.fetchall()


async def settle(
    conn: Connection, delivery: Delivery, answer: Answer, outcome: Outcome, now: int
) -> None:
    """Write what came of an attempt: of the delivery, and of the webhook if that follows."""
    await conn.execute(
        PUT_OUTCOME,
        {
            "state": state_after(outcome.event),
            "before": states_before(outcome.event),
            "delivery": delivery.delivery_id,
            "attempts": delivery.attempts,
            "status": answer.status,
            "error": outcome.error,
            "next_try": _moment(outcome.next_try),
            "now": as_datetime(now),
        },
    )
    if outcome.is_gone:
        await switch_off(conn, delivery.webhook_id, outcome.error or "")
    if outcome.paused_until is not None:
        until = as_datetime(outcome.paused_until)
        await conn.execute(PAUSE, (until, delivery.webhook_id, until))


async def switch_off(conn: Connection, webhook_id: int, reason: str) -> None:
    """Make no more deliveries for a webhook; what waits dies when the sender looks next."""
    await conn.execute(
        "UPDATE webhook SET active = false, off_reason = %s WHERE webhook_id = %s AND active",
        (reason, webhook_id),
    )


def _moment(t_ms: int | None) -> datetime | None:
    return None if t_ms is None else as_datetime(t_ms)
