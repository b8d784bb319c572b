"""Oneself: the own password and sessions, who looked at the own van, and what its next days bring."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import Field

from api import accounts
from api.answers import AccessEntries, MyDay, SessionOpened
from api.auth import Asker, Who, own_van
from api.bodies import ETAG, JSON, UNCHANGED, body, told
from api.problems import Problem
from api.queries import days, messages, people, stock
from api.queries.messages import WhichMessages
from api.resources import CONNECTION_WITHIN_S, Conn, Held, Now
from api.routes.messages import MESSAGE_EXAMPLE
from api.routes.parameters import IfNoneMatch, OwnVan, today, van_key
from api.routes.session import checked_password, forget_cookie, opened
from api.sessions import PASSWORD_CHARACTERS_MAX, weakness

router = APIRouter(prefix="/v1/me", tags=["me"])


@dataclass(frozen=True, slots=True)
class PasswordBody:
    """The password so far, and the one from now on."""

    old: Annotated[str, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
    new: Annotated[str, Field(min_length=1, max_length=1_000)]

    def __repr__(self) -> str:
        """Leave both out of whatever prints this."""
        return "PasswordBody()"


@router.put("/password")
async def change_password(
    held: Held,
    who: Asker,
    request: Request,
    response: Response,
    body: Annotated[PasswordBody, Body()],
) -> SessionOpened:
    """Change the own password; all other sessions end, and this one gets a new cookie."""
    user_id = person(who)
    if (wrong := weakness(body.new, who.login)) is not None:
        raise Problem(422, "unusable_password", wrong)
    now = datetime.now(UTC)
    await checked_password(held, request, who.login, body.old, now)
    password_hash = await held.desk.hashed(body.new)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await accounts.set_password(conn, user_id, password_hash)
        return await opened(conn, held, request, response, user_id, now)


@router.delete("/sessions", status_code=204)
async def end_sessions(held: Held, who: Asker, request: Request, response: Response) -> None:
    """Sign out everywhere: end every session of the own, this one too."""
    user_id = person(who)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await accounts.end_sessions(conn, user_id)
    forget_cookie(request, response)


def person(who: Who) -> int:
    """Return the key of a person.

    Raises:
        Problem: A program asks.
    """
    if who.user_id is None:
        raise Problem(403, "not_for_machines", "A program has neither password nor sessions.")
    return who.user_id


@router.get("/access-log")
async def access_log(
    conn: Conn, who: Asker, limit: Annotated[int, Query(ge=1, le=5_000)] = 500
) -> AccessEntries:
    """Return who looked at where one's van is or was, and in which hour, newest first.

    One entry a person, van, hour and kind is kept. Whoever opens the page sees all vans.
    """
    found = await people.looked_at(conn, who.organisation, who.technician_id, limit + 1)
    return AccessEntries(found[:limit], truncated=len(found) > limit)


ABOUT_ME: Final = {"access_log": "/v1/me/access-log", "retention": "/v1/retention"}
#: More than any van carries, and more than anybody leaves unread.
STOCK_MAX: Final = 5_000
MESSAGES_MAX: Final = 200
DAY_EXAMPLE: Final = {
    "van": "van-017",
    "duty": {"state": "on", "switch": "on", "switched_ms": 1_795_158_000_000},
    "tours": [
        {
            "tour": "T-2026-11-20-017",
            "date": "2026-11-20",
            "stops": [
                {
                    "stop_id": 4_711,
                    "stop": 3,
                    "site": "BAKERY",
                    "site_name": "Bakery Dupont",
                    "latitude_deg": 45.75,
                    "longitude_deg": 4.85,
                    "window_start_ms": 1_795_164_000_000,
                    "window_end_ms": 1_795_167_600_000,
                    "planned_arrival_ms": 1_795_165_800_000,
                    "planned_duration_s": 3_600,
                    "work_order": "W-4711",
                    "skill": "lift",
                    "outcome": "planned",
                    "needs": {"FIL-20": 2},
                }
            ],
        }
    ],
    "stock": [
        {
            "item": "FIL-20",
            "name": "Filter 20",
            "base_unit": "piece",
            "qty": 4,
            "on_order": 6,
            "counted_at_ms": 1_795_000_000_000,
            "reorder_point": 4,
            "order_up_to": 10,
            "below": True,
        }
    ],
    "messages": [MESSAGE_EXAMPLE],
    "about_me": ABOUT_ME,
}


@router.get(
    "/day",
    response_model=MyDay,
    responses={
        200: {"content": {JSON: {"example": DAY_EXAMPLE}}, "headers": ETAG},
        304: UNCHANGED,
    },
)
async def my_day(
    conn: Conn, who: Asker, now_ms: Now, request: Request, van: OwnVan, _known: IfNoneMatch = None
) -> Response:
    """Return what the own van has before it and on board; of several vans the first, unless one is named.

    For a tablet that may be without a network for a day: ask in the morning, and now and then with the
    ETag as `If-None-Match`. What is foreseen is not in it: see `/v1/live`.
    """
    code = own_van(who, van) or ""
    key = await van_key(conn, who.organisation, code)
    day = MyDay(
        van=code,
        duty=await days.duty(conn, key, now_ms),
        tours=await days.tours(conn, key, today(now_ms)),
        stock=await stock.of_van(conn, key, STOCK_MAX),
        messages=await messages.unread_of_base(
            conn, WhichMessages(who.organisation, code), MESSAGES_MAX
        ),
        about_me=ABOUT_ME,
    )
    return told(await asyncio.to_thread(lambda: body(msgspec.json.encode(day))), request)
