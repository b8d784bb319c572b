"""What operators do with webhooks: add, list, remove, replace the secret, switch, send again.

Only here, on the server: the API never tells a URL or a secret, and cannot change where things go.
A secret is shown when it is made and never again. Times are those of the machine.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import httpx
import psycopg
from psycopg.rows import class_row, scalar_row

from ingest.webhooks import addresses, rules, signing, store
from storage.pool import Connection
from storage.settings import as_datetime

#: Each may have a few requests under way at once; there must be an end to it.
WEBHOOKS_MAX: Final = 100
HOUR_MS: Final = 3_600_000
BY_HAND: Final = "switched off by hand"

LIST: Final = """
SELECT webhook_id, name AS organisation, url, topics, off_reason,
       (SELECT count(*) FROM webhook_delivery AS it WHERE it.webhook_id = webhook.webhook_id
        AND state IN ('pending', 'retrying')) AS waiting,
       (SELECT count(*) FROM webhook_delivery AS it WHERE it.webhook_id = webhook.webhook_id
        AND state = 'dead') AS dead
FROM webhook JOIN organisation USING (organisation_id) ORDER BY webhook_id
"""


class UnusableError(Exception):
    """What was asked for cannot be done; the message says why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A webhook as operators see it."""

    webhook_id: int
    organisation: str
    url: str
    topics: list[str]
    off_reason: str | None
    waiting: int
    dead: int

    def in_words(self) -> str:
        """Return it as one line."""
        kinds = [kind for kind, topic in rules.TOPICS.items() if topic in self.topics]
        state = "on" if self.off_reason is None else f"off ({self.off_reason})"
        return (
            f"{self.webhook_id}  {self.url}  {','.join(kinds)} of {self.organisation}  {state},"
            f" {self.waiting} waiting, {self.dead} dead"
        )


async def add(
    conn: Connection, url: str, kinds: Sequence[str], organisation: str, *, allow_private: bool
) -> tuple[int, str]:
    """Add a webhook and return its id and secret.

    Raises:
        UnusableError: The URL may not be posted to or is one already, or there are too many.
    """
    if (refusal := addresses.refusal(url, allow_private=allow_private)) is not None:
        raise UnusableError(refusal)
    secret = signing.secret_of(secrets.token_bytes(signing.SECRET_BYTES))
    topics = [rules.TOPICS[kind] for kind in kinds or rules.TOPICS]
    if await _one(conn, "SELECT count(*) FROM webhook") >= WEBHOOKS_MAX:
        raise UnusableError(f"there are {WEBHOOKS_MAX} webhooks already; remove one first")
    try:
        made = await conn.execute(
            "INSERT INTO webhook (organisation_id, url, topics, secret)"
            " SELECT organisation_id, %s, %s, %s FROM organisation WHERE name = %s"
            " RETURNING webhook_id",
            (str(httpx.URL(url)), topics, secret, organisation),
        )
    except psycopg.errors.UniqueViolation as error:
        raise UnusableError("there is a webhook with this URL already") from error
    found = await made.fetchone()
    if found is None:
        raise UnusableError(f"there is no organisation {organisation!r}")
    return int(found[0]), secret


async def listed(conn: Connection) -> list[Listed]:
    """Return all webhooks."""
    async with conn.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(LIST)
        return await cursor.fetchall()


async def remove(conn: Connection, webhook_id: int) -> int:
    """Remove a webhook; return how many deliveries it will now never get.

    Raises:
        UnusableError: There is none of that id.
    """
    undelivered = await _one(
        conn,
        "SELECT count(*) FROM webhook_delivery WHERE webhook_id = %s AND state <> 'delivered'",
        webhook_id,
    )
    await _changed(conn, webhook_id, "DELETE FROM webhook WHERE webhook_id = %s", webhook_id)
    return undelivered


async def rotate(conn: Connection, webhook_id: int, hours: float, now: int) -> str:
    """Give a webhook a new secret and return it; the old one signs too for so many hours.

    One that was still good beside it is so no longer.

    Raises:
        UnusableError: There is none of that id.
    """
    secret = signing.secret_of(secrets.token_bytes(signing.SECRET_BYTES))
    await _changed(
        conn,
        webhook_id,
        "UPDATE webhook SET old_secret = secret, old_secret_until = %s, secret = %s"
        " WHERE webhook_id = %s",
        as_datetime(now + round(hours * HOUR_MS)),
        secret,
        webhook_id,
    )
    return secret


async def switch(conn: Connection, webhook_id: int, *, on: bool, now: int) -> None:
    """Switch a webhook on or off; off, what waits for it dies, and nothing more is kept for it.

    Raises:
        UnusableError: There is none of that id.
    """
    if on:
        query = (
            "UPDATE webhook SET active = true, off_reason = NULL, paused_until = NULL"
            " WHERE webhook_id = %s"
        )
        await _changed(conn, webhook_id, query, webhook_id)
        return
    await _changed(conn, webhook_id, "SELECT FROM webhook WHERE webhook_id = %s", webhook_id)
    await store.switch_off(conn, webhook_id, BY_HAND)
    await store.tidy(conn, now)


async def _changed(conn: Connection, webhook_id: int, query: str, *values: object) -> None:
    if (await conn.execute(query, values)).rowcount == 0:
        raise UnusableError(f"there is no webhook {webhook_id}: `cordee webhook list`")


async def _one(conn: Connection, query: str, *values: object) -> int:
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, values)
        return int(await cursor.fetchone() or 0)
