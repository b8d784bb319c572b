"""The figures on top of the page, and the stream that keeps the page current."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.answers import Overview
from api.auth import Asker, Organisation
from api.doorkeeper import JUDGED
from api.queries import vans
from api.queries.overview import todays_figures
from api.resources import Conn, Held, Now
from storage.settings import real_ms

router = APIRouter(prefix="/v1", tags=["overview"], dependencies=JUDGED)


@router.get("/overview")
async def overview(conn: Conn, organisation: Organisation, now_ms: Now) -> Overview:
    """Return today's figures."""
    fleet = await vans.of_organisation(conn, organisation, now_ms)
    return await todays_figures(conn, organisation, fleet, now_ms, real_ms())


@router.get("/live", response_class=EventSourceResponse)
async def live(
    held: Held,
    who: Asker,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=100, description="The id of the last event that came.", examples=["3f9a-0"]
        ),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """Stream the page's rows: `snapshot` first, then `delta` and `status`; see `api/live.py`.

    An event's data is `{"now_ms": …, "clock_factor": …, "data": …}`: the installation's time, how
    many of its seconds pass in a real one, and what the event says. A snapshot says
    `{topic: {key: row}}`, a delta `{topic: {"set": {key: row}, "gone": [key]}}`, a status
    `{"state": "live" | "database_down"}`. Which topics there are depends on the role; a stream ends
    when its session does.
    """
    async for event in held.hub.stream(who, last_event_id):
        yield event
