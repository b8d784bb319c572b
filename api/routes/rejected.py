"""Messages that could not be used: why, and what they were."""

from typing import Annotated

from fastapi import APIRouter, Query

from api import limits
from api.answers import Rejected
from api.auth import Organisation
from api.doorkeeper import JUDGED
from api.queries import rejected
from api.resources import Conn, Now
from api.routes.parameters import at_most

router = APIRouter(prefix="/v1/rejected", tags=["rejected"], dependencies=JUDGED)


@router.get("")
async def list_rejected(
    conn: Conn,
    organisation: Organisation,
    now_ms: Now,
    reason: Annotated[limits.Text | None, Query(examples=["malformed"])] = None,
    limit: Annotated[int, at_most(500)] = 50,
) -> Rejected:
    """Return the reasons of the last 24 hours with their counts, and the newest messages.

    Each message shows its first 2,048 bytes, as text with what is no UTF-8 replaced, and as base64.
    """
    return Rejected(
        await rejected.reasons(conn, organisation, now_ms),
        await rejected.messages(conn, organisation, now_ms, limit, reason),
    )
