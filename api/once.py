"""Requests that are carried out once, however often they are sent: `Idempotency-Key`.

As the draft standard has it (draft-ietf-httpapi-idempotency-key-header-07): who is not sure whether a changing request
has come through sends it again with the same key, and gets the first one's answer.

| a request with a key that was used by the same person or program | answer                            |
| ----------------------------------------------------------------- | --------------------------------- |
| within a day, the same route and body                             | what was answered then            |
| with another body, or at another route                            | 422 `idempotency_key_reused`      |
| while the first one is still under way, and for 5 seconds         | 409 `request_under_way`           |
| whose first one was refused, or cut short                         | as if it had never been sent      |

The key is written in the transaction that does what is asked, so that both are kept, or neither is. Without a key a
request is carried out as ever. A route offers it by one parameter:

    async def new_box(conn: Conn, once: OnceOnly, ...) -> NewBox:
        return await once(NewBox, lambda: ...)
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Final, TypeVar

import msgspec
import psycopg
from fastapi import Depends, Header, Request

from api.auth import Asker
from api.problems import Problem
from api.resources import Conn
from storage.pool import Connection

Answer = TypeVar("Answer")

KEPT: Final = timedelta(days=1)
WAIT: Final = "SET LOCAL lock_timeout = '5s'"
FORGET: Final = "DELETE FROM idempotency_key WHERE created_time < %s"
#: Waits for another request with this key, until it is done or refused.
CLAIM: Final = """
INSERT INTO idempotency_key (principal, key, request_hash, created_time) VALUES (%s, %s, %s, %s)
ON CONFLICT (principal, key) DO NOTHING
"""
KNOWN: Final = """
SELECT request_hash, answer::text FROM idempotency_key WHERE (principal, key) = (%s, %s)
"""
REMEMBER: Final = "UPDATE idempotency_key SET answer = %s WHERE (principal, key) = (%s, %s)"


@dataclass(frozen=True, slots=True)
class Once:
    """A request, and the key by which it may come again; without a key it is always the first."""

    conn: Connection
    principal: str
    key: str | None
    request_hash: bytes

    async def __call__(self, shape: type[Answer], make: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what `make` returns, or what it returned for the first request with this key.

        Args:
            shape: The type of the answer.
            make: Does what is asked, on the same connection.

        Raises:
            Problem: The key was used for something else, or its first request is still under way.
        """
        if self.key is None:
            return await make()
        now = datetime.now(UTC)
        mine = (self.principal, self.key)
        await self.conn.execute(WAIT)
        try:
            await self.conn.execute(FORGET, (now - KEPT,))
            claimed = await self.conn.execute(CLAIM, (*mine, self.request_hash, now))
        except psycopg.errors.LockNotAvailable:
            detail = "The first request with this key is under way: ask again in a moment."
            raise Problem(409, "request_under_way", detail) from None
        if not claimed.rowcount:
            known = await (await self.conn.execute(KNOWN, mine)).fetchone()
            if known is None or bytes(known[0]) != self.request_hash:
                detail = "This key belongs to another request: take a new one for each."
                raise Problem(422, "idempotency_key_reused", detail)
            return msgspec.json.decode(known[1], type=shape)
        answer = await make()
        await self.conn.execute(REMEMBER, (msgspec.json.encode(answer).decode(), *mine))
        return answer


async def once(
    request: Request,
    conn: Conn,
    who: Asker,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r'^("[\x21\x23-\x5b\x5d-\x7e]{1,200}"|[\x21\x23-\x5b\x5d-\x7e]{1,200})$',
            examples=["2c1d6a52-0b1e-4c5e-8a37-6f1a0f3f9d10"],
            description="Of your own, a new one for each thing that you want done; a UUID is good.",
        ),
    ] = None,
) -> Once:
    """Return how often a request may be carried out."""
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    asked += await request.body()
    key = None if key is None else key.strip('"')
    return Once(conn, who.account, key, blake2b(asked, digest_size=16).digest())


OnceOnly = Annotated[Once, Depends(once, scope="function")]
