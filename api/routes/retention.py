"""For data protection: what is kept, what for, for how long, and that the rest is gone."""

from fastapi import APIRouter

from api import answers
from api.doorkeeper import JUDGED
from api.queries import retention
from api.resources import Conn, Held, Now

router = APIRouter(tags=["privacy"], dependencies=JUDGED)


@router.get("/v1/retention")
async def kept(conn: Conn, now_ms: Now, held: Held) -> answers.Retention:
    """Return each purpose with its period in days, and what was deleted of its tables last."""
    return await retention.of_installation(conn, held.settings, now_ms)
