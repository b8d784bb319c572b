"""Messages that could not be used: why, what they were, and what shall become of them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query

from api import commands
from api.answers import Rejected, RejectedMessage, RejectedState
from api.auth import Asker, Organisation, OrganisationId, Who
from api.commands import NotReplayableError
from api.once import OnceOnly
from api.problems import Problem
from api.queries import rejected
from api.resources import Conn, Now
from storage.pool import Connection

router = APIRouter(prefix="/v1/rejected", tags=["rejected"])
RejectedId = Annotated[
    str, Path(pattern="^([0-9a-f]{2}){1,32}$", description="As the list has it.")
]

REJECTED_EXAMPLE: Final = {
    "rejected_id": "6fd8e5f5c1f0a1d2b3c4d5e6f7a8b9c0",
    "topic": "fleet/v1/van-017/scan",
    "van": "van-017",
    "reason": "malformed",
    "detail": "not JSON",
    "received_ms": 1_795_165_200_000,
    "state": "waiting",
    "payload_bytes": 5,
    "payload_text": "hello",
    "payload_base64": "aGVsbG8=",
}


@router.get("")
async def list_rejected(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    reason: Annotated[str | None, Query(max_length=200)] = None,
    state: RejectedState = "waiting",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Rejected:
    """Return the reasons of what waits, of the last 24 hours, with their counts, and the newest messages.

    Each message shows its first 2,048 bytes, as text with what is no UTF-8 replaced, and as base64.
    """
    return Rejected(
        await rejected.reasons(conn, organisation, now_ms),
        await rejected.messages(conn, organisation, now_ms, limit, reason=reason, state=state),
    )


@router.get(
    "/{rejected_id}",
    responses={200: {"content": {"application/json": {"example": REJECTED_EXAMPLE}}}},
)
async def one_rejected(
    conn: Conn, organisation: Organisation, rejected_id: RejectedId
) -> RejectedMessage:
    """Return a message with its whole payload, or the first 256 KiB of it."""
    return await _found(conn, organisation, rejected_id)


@router.post(
    "/{rejected_id}/replay",
    status_code=202,
    responses={
        202: {
            "content": {"application/json": {"example": {**REJECTED_EXAMPLE, "state": "replayed"}}}
        }
    },
)
async def replay(
    conn: Conn, who: Asker, now_ms: Now, once: OnceOnly, rejected_id: RejectedId
) -> RejectedMessage:
    """Send a message again, as its sender had: to the broker, and so to ingest, within a second or two.

    If it can be used now, it is; if not, it waits anew, with the reason of this time.
    """
    return await once(
        RejectedMessage, lambda: _settled(conn, who, rejected_id, now_ms, replay=True)
    )


@router.post(
    "/{rejected_id}/discard",
    responses={
        200: {
            "content": {"application/json": {"example": {**REJECTED_EXAMPLE, "state": "discarded"}}}
        }
    },
)
async def discard(
    conn: Conn, who: Asker, now_ms: Now, once: OnceOnly, rejected_id: RejectedId
) -> RejectedMessage:
    """Say that nobody has to look at a message; it is kept until its time is over, like the others."""
    return await once(
        RejectedMessage, lambda: _settled(conn, who, rejected_id, now_ms, replay=False)
    )


async def _settled(
    conn: Connection, who: Who, rejected_id: str, now_ms: int, *, replay: bool
) -> RejectedMessage:
    try:
        await commands.settle_rejected(conn, who, rejected_id, now_ms, replay=replay)
    except NotReplayableError as error:
        detail = f"Nobody reads {error}: it would not come to ingest. Discard it."
        raise Problem(409, "not_replayable", detail) from None
    return await _found(conn, who.organisation, rejected_id)


async def _found(
    conn: Connection, organisation: OrganisationId, rejected_id: str
) -> RejectedMessage:
    found = await rejected.find(conn, organisation, rejected_id)
    if found is None:
        raise Problem(404, "rejected_not_found", f"There is no rejected message {rejected_id}.")
    return found
