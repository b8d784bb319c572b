"""What a tablet takes along for a day without the network. It asks often; unchanged, it is told only that."""

from datetime import timedelta
from hashlib import blake2b
from typing import Any, Final

import msgspec
from fastapi import APIRouter, Response

from api.answers import Catalogue, MyDay
from api.auth import Asker
from api.doorkeeper import JUDGED
from api.etags import etag, is_known
from api.queries import plans, tablet
from api.resources import Conn, Now
from api.routes.parameters import IfNoneMatch, today

#: Today and the next two: what is not loaded is not there in a cellar.
DAYS: Final = 3

ANSWERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {"headers": {"ETag": {"description": "Of this answer.", "schema": {"type": "string"}}}},
    304: {"description": "What you have is what there is."},
}

router = APIRouter(prefix="/v1", tags=["tablet"], dependencies=JUDGED)


@router.get("/me/day", response_model=MyDay, responses=ANSWERS)
async def my_day(conn: Conn, who: Asker, now_ms: Now, known: IfNoneMatch = None) -> Response:
    """Return the tours of one's van of today and the next two days, and whether it is on duty."""
    first = today(now_ms)
    tours = [
        tour
        for van in who.vans
        for ahead in range(DAYS)
        if (
            tour := await plans.tour(
                conn, who.organisation, van, first + timedelta(days=ahead), first
            )
        )
    ]
    duty = await tablet.duty(conn, who.organisation, who.vans)
    return _answer(MyDay(first.isoformat(), duty, tours), known)


@router.get("/catalogue", response_model=Catalogue, responses=ANSWERS)
async def catalogue(conn: Conn, known: IfNoneMatch = None) -> Response:
    """Return every part and every bar code: what a scan means, without the network."""
    return _answer(await tablet.catalogue(conn), known)


def _answer(body: MyDay | Catalogue, known: str | None) -> Response:
    content = msgspec.json.encode(body)
    tag = etag(blake2b(content, digest_size=16).hexdigest())
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if is_known(known, tag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
