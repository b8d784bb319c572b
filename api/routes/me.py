"""Oneself: the own password, the own sessions, and who looked at the own van."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, with_config

from api import accounts, limits
from api.answers import AccessEntries, SessionOpened
from api.auth import Asker, Who
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.queries import people
from api.resources import CONNECTION_WITHIN_S, Conn, Held
from api.routes.parameters import Limit
from api.routes.session import checked_password, forget_cookie, opened
from api.sessions import PASSWORD_CHARACTERS_MAX, PASSWORD_CHARACTERS_MIN, weakness

router = APIRouter(prefix="/v1/me", tags=["me"], dependencies=JUDGED)


@with_config(limits.exact({"old": "your password", "new": "several words of your own"}))
@dataclass(frozen=True, slots=True)
class PasswordBody:
    """The password so far, and the one from now on: neither a few characters, nor about the login."""

    old: Annotated[str, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]
    new: Annotated[
        str, Field(min_length=PASSWORD_CHARACTERS_MIN, max_length=PASSWORD_CHARACTERS_MAX)
    ]

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
async def access_log(conn: Conn, who: Asker, limit: Limit = 500) -> AccessEntries:
    """Return who looked at where one's van is or was, and in which hour, newest first.

    One entry a person, van, hour and kind is kept. Whoever opens the page sees all vans.
    """
    found = await people.looked_at(conn, who.organisation, who.technician_id, limit + 1)
    return AccessEntries(found[:limit], truncated=len(found) > limit)
