"""Messages between base and vans: written by people, and by Cordée itself.

The base writes to a van's inbox, as Cordée does. What a technician writes or reads here goes the way of
all that vans say, and is answered when it is committed; a tablet that may be offline sends events of
the kind `message` instead (`/v1/devices/{van}/events:batch`), whose keys let it repeat them.
"""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import md5
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Body, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field, with_config

from api import commands, limits
from api.answers import Message, Messages
from api.auth import Asker, Who, own_van
from api.batches import Message as Published
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import messages
from api.queries.messages import WhichMessages
from api.resources import CONNECTION_WITHIN_S, Conn, Held, Now, Resources
from api.routes.devices import COMMITTED_WITHIN_S
from api.routes.parameters import OwnVan, at_most, checked_codes, van_key

#: The epoch of what technicians say here; its numbers are drawn, so that it has no gaps to wait for.
EPOCH: Final = "http"
TEXT_MAX: Final = 2_000
READ_MAX: Final = 500

router = APIRouter(prefix="/v1/messages", tags=["messages"], dependencies=JUDGED)


@with_config(limits.EXACT)
@dataclass(frozen=True, slots=True)
class MessageBody:
    """What to write; a technician need not say to which van."""

    text: Annotated[str, Field(min_length=1, max_length=TEXT_MAX, pattern=limits.NO_NUL)]
    van: limits.Code | None = None
    in_reply_to: Annotated[limits.Text | None, Field(min_length=1)] = None


MESSAGE_BODY: Final = {"van": "V1", "text": "The bakery asks you to ring at the back door."}
ON_ITS_WAY: Final = {"model": Message, "description": "It is on its way, and not committed yet."}


@router.get("")
async def list_messages(
    conn: Conn,
    who: Asker,
    *,
    van: OwnVan,
    after: Annotated[
        int | None, Query(ge=0, le=2**62, description="An `after` given before.", examples=[0])
    ] = None,
    limit: Annotated[int, at_most(500)] = 100,
) -> Messages:
    """Return messages in the order in which they came: the newest, or the first beyond `after`.

    What comes meanwhile has a higher number, however old it says it is: ask with the `after` of the last
    answer, and nothing is missed. When something was read is told by the live stream.
    """
    await checked_codes(conn, who.organisation, van=van)
    which = WhichMessages(who.organisation, van)
    if after is None:
        found = await messages.newest(conn, which, limit + 1)
        page = found[-limit:]
    else:
        found = await messages.after(conn, which, after, limit + 1)
        page = found[:limit]
    last = page[-1].number if page else after
    return Messages(page, last or 0, truncated=len(found) > limit)


@router.post("", status_code=201, responses={202: ON_ITS_WAY})
async def write(
    held: Held,
    who: Asker,
    now_ms: Now,
    response: Response,
    body: Annotated[MessageBody, Body(openapi_examples={"to a van": {"value": MESSAGE_BODY}})],
) -> Message:
    """Write to a van, or as its technician to the base.

    To a van it goes at once: into its inbox by MQTT, into its tablet's next look by HTTP.
    """
    van = own_van(who, body.van)
    if van is None:
        raise RequestValidationError(
            [{"loc": ("body", "van"), "msg": "to which van?", "type": "missing"}]
        )
    if who.role != "technician":
        return await _from_base(held, who, van, body, now_ms)
    said = {"text": body.text, "in_reply_to": body.in_reply_to, "user": who.name}
    message_id, is_pending = await _from_van(held, van, said, now_ms)
    if is_pending:
        response.status_code = 202
        return Message(
            id=message_id,
            number=None,
            van=van,
            from_base=False,
            kind="message",
            author=who.name,
            text=body.text,
            order=None,
            items=[],
            in_reply_to=body.in_reply_to,
            sent_ms=now_ms,
            delivered_ms=None,
            read_ms=None,
        )
    return await _found(held, WhichMessages(who.organisation, van), message_id)


async def _from_base(
    held: Resources, who: Who, van: str, body: MessageBody, now_ms: int
) -> Message:
    message_id = uuid.uuid4().hex
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        key = await van_key(conn, who.organisation, van)
        await commands.write_to_van(
            conn,
            commands.Written(
                key, van, message_id, who.account, who.name, body.text, body.in_reply_to, now_ms
            ),
        )
    return await _found(held, WhichMessages(who.organisation, van), message_id)


async def _from_van(
    held: Resources, van: str, said: Mapping[str, object], now_ms: int
) -> tuple[str, bool]:
    """Publish what a technician says; return its name and whether it is still on its way."""
    seq = secrets.randbelow(2**62 - 1) + 2
    payload = {"epoch": EPOCH, "seq": seq, "t": now_ms, **said}
    message = Published(f"fleet/v1/{van}/message", msgspec.json.encode(payload))
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await commands.publish(conn, [message], now_ms)
    pending = await held.commits.pending([message.id], COMMITTED_WITHIN_S)
    name = md5(f"{van}/{EPOCH}/{seq}".encode(), usedforsecurity=False).hexdigest()
    return name, bool(pending)


async def _found(held: Resources, which: WhichMessages, message_id: str) -> Message:
    """Return a message.

    Raises:
        Problem: There is none.
    """
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        found = await messages.one(conn, which, message_id)
    if found is None:
        raise Problem(404, "message_not_found", f"There is no message {message_id!r}.")
    return found


@router.post("/{id}/read", responses={202: ON_ITS_WAY})
async def mark_read(
    held: Held,
    who: Asker,
    now_ms: Now,
    response: Response,
    message_id: Annotated[
        limits.Text, Path(alias="id", examples=["f431d6323657236049f4826339867d14"])
    ],
) -> Message:
    """Say that a message was read, and all before it in the same conversation.

    What a van wrote is read for everybody of the base when one has read it. Who wrote it cannot say so.
    """
    which = WhichMessages(who.organisation, own_van(who, None))
    found = await _found(held, which, message_id)
    if found.from_base != (who.role == "technician"):
        raise Problem(409, "not_the_receiver", "Only who was written to can say that it was read.")
    if found.read_ms is not None or found.number is None:
        return found
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        if not found.from_base:
            await commands.mark_read(
                conn, which.organisation, found.van, found.number, who.account, now_ms
            )
            ids: list[str] = []
        else:
            unread = await messages.unread_of_base(conn, which, READ_MAX, found.number)
            ids = [it.id for it in unread]
    if ids:
        _, pending = await _from_van(held, found.van, {"read": ids}, now_ms)
        if pending:
            response.status_code = 202
    return await _found(held, which, message_id)
