"""For data protection: what is kept, what for, for how long, and that the rest is gone."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from api import answers
from api.queries import retention
from api.resources import Conn, Now
from storage.settings import Settings

router = APIRouter(tags=["privacy"])


def configured(request: Request) -> Settings:
    """Return the settings that the process started with."""
    settings = request.app.state.settings
    assert isinstance(settings, Settings)  # noqa: S101  create_app put it there
    return settings


@router.get("/v1/retention")
async def kept(
    conn: Conn, now_ms: Now, settings: Annotated[Settings, Depends(configured)]
) -> answers.Retention:
    """Return each purpose with its period in days, and what was deleted of its tables last."""
    return await retention.of_installation(conn, settings, now_ms)
