"""Before any route runs: who asks, and may they. Refuses by itself, whatever the route would do.

Plain ASGI, so that a request that is refused costs no reading of its body. What is asked is found
among the application's routes as the router will find it; `judged`, a dependency of every route,
holds the two together: a route that was not judged is not run.

| asked                                | answer                                        |
| ------------------------------------ | --------------------------------------------- |
| no route of ours: the page's files   | let through: they hold nothing of anybody     |
| a route of ours, by another method   | 405, with the methods that there are          |
| a route without a rule               | 403, nobody                                   |
| a public one                         | let through                                   |
| without session or token, or bad     | 401                                           |
| changing, by session, without its    | 403: another site may have made it            |
| `X-CSRF-Token`                       |                                               |
| by a role that the rule lacks        | 403                                           |
| by a technician, of another's `{van}`| 404, as of one that does not exist            |

A token in `Authorization` goes before a cookie. If the database does not answer, nobody is let in
(503), but for `/metrics`: a token that is good says enough there, and what it then gets is that the
database is down.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts
from psycopg_pool import PoolTimeout
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from api import accounts, problems, resources, tokens
from api.auth import DEFAULT_ORGANISATION, Who
from api.problems import Problem
from api.resources import Resources
from api.roles import Rule, rule_of
from api.sessions import (
    CSRF_HEADER,
    PLAIN_COOKIE,
    SECURE_COOKIE,
    is_csrf_token,
    is_from_elsewhere,
)
from storage.pool import Connection

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
METRICS: Final = "/metrics"


@dataclass(frozen=True, slots=True)
class Door:
    """One path template and the methods it answers to."""

    template: str
    methods: frozenset[str]
    pattern: re.Pattern[str]


def doors_of(app: FastAPI) -> list[Door]:
    """Return every route of an application but the page's files, in the router's order."""
    return [
        Door(context.path, frozenset(context.methods), compile_path(context.path)[0])
        for context in iter_route_contexts(app.routes)
        if context.path is not None and context.methods
    ]


class Doorkeeper:
    """Lets requests in, or answers them itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._doors: list[Door] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request; what is no request (the lifespan) passes."""
        if scope["type"] == "http":
            if self._doors is None:
                self._doors = doors_of(scope["app"])
            try:
                await self._judge(scope)
            except Problem as problem:
                await problems.answer(Request(scope), problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _judge(self, scope: Scope) -> None:
        """Put who asks, and which route was judged, into the request's state.

        Raises:
            Problem: The request is refused.
        """
        asked = self._door(scope["method"], scope["path"])
        if asked is None:
            return
        door, named = asked
        rule = rule_of(scope["method"], door.template)
        if rule is None:
            detail = f"{door.template} has no rule in api/roles.py, so nobody may use it."
            raise Problem(403, "no_rule", detail)
        state = scope.setdefault("state", {})
        state["judged"] = door.template
        if rule.public:
            return
        request = Request(scope)
        who = await _who(request, rule)
        if who.token is not None and scope["method"] not in SAFE_METHODS:
            check_origin(request)
            given = request.headers.get(CSRF_HEADER, "")
            if not is_csrf_token(given, who.token):
                detail = "Send the csrf_token of GET /v1/session as X-CSRF-Token."
                raise Problem(403, "csrf_failed", detail)
        if who.role not in rule.roles:
            roles = ", ".join(sorted(rule.roles))
            detail = f"{who.login!r} is {who.role}; this is for {roles}."
            raise Problem(403, "not_for_this_role", detail)
        van = named.get("van")
        if van is not None and not who.reaches(van):
            raise Problem(404, "van_not_found", f"There is no van {van!r}.")
        state["who"] = who

    def _door(self, method: str, path: str) -> tuple[Door, dict[str, str]] | None:
        """Return what is asked, with the names in its path; None for what is no route of ours.

        Raises:
            Problem: The path has routes, by other methods: `Allow` names those of all, the router
                only those of the first (RFC 9110, 15.5.6).
        """
        others: set[str] = set()
        for door in self._doors or ():
            if found := door.pattern.match(path):
                if method in door.methods:
                    return door, found.groupdict()
                others |= door.methods
        if others:
            allow = {"Allow": ", ".join(sorted(others))}
            detail = f"{method} is not possible at {path}."
            raise Problem(405, "method_not_allowed", detail, headers=allow)
        return None


def check_origin(request: Request) -> None:
    """Refuse what a browser says another site made it ask.

    Raises:
        Problem: Another site is behind the request.
    """
    headers = request.headers
    if is_from_elsewhere(
        headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host", "")
    ):
        raise Problem(403, "csrf_failed", "Another site made your browser ask this.")


def judged(request: Request) -> None:
    """Refuse to run a route that the doorkeeper has not judged, whatever the reason.

    Raises:
        Problem: It judged another route, or none.
    """
    seen = getattr(request.state, "judged", None)
    if seen is None or seen != request.scope["route"].path:
        raise Problem(403, "no_rule", "This route was not judged, so nobody may use it.")


#: Every router has it, rather than that all are included with it: an included route is worked out a second
#: time, with the first request, and that is as long as the first page takes to be answered.
JUDGED: Final = [Depends(judged)]


def session_token(request: Request) -> str | None:
    """Return the token that the browser keeps; by HTTPS only from the cookie of HTTPS."""
    return request.cookies.get(cookie_name(request))


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie, which by HTTPS no other host can have set."""
    return SECURE_COOKIE if request.url.scheme == "https" else PLAIN_COOKIE


async def _who(request: Request, rule: Rule) -> Who:
    held = resources.resources(request)
    claims: tokens.Claims | None = None
    try:
        claims = await _claims(request, held)
        async with held.pool.connection(timeout=resources.CONNECTION_WITHIN_S) as conn:
            found = await _looked_up(conn, request, held, claims)
    except (psycopg.OperationalError, PoolTimeout) as error:
        if claims is not None and rule.template == METRICS and claims.role in rule.roles:
            return Who(DEFAULT_ORGANISATION, claims.role, claims.client_key, claims.client_key)
        raise problems.unavailable(error) from None
    if found is None:
        raise nobody(is_token="authorization" in request.headers)
    return found


async def _claims(request: Request, held: Resources) -> tokens.Claims | None:
    """Return what the token says that came with the request; None if none came.

    Raises:
        Problem: It is not good.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    key = await held.token_key()
    claims = tokens.read(token.strip(), key) if kind.lower() == "bearer" else None
    if claims is None:
        raise nobody(is_token=True)
    return claims


async def _looked_up(
    conn: Connection, request: Request, held: Resources, claims: tokens.Claims | None
) -> Who | None:
    if claims is not None:
        machine = await accounts.machine(conn, claims.client_key)
        if machine is None or machine.role != claims.role:
            return None
        return replace(machine, until_s=claims.expires_s)
    token = session_token(request)
    if token is None:
        return None
    return await accounts.with_session(conn, token, datetime.now(UTC), held.lifetime)


def nobody(*, is_token: bool) -> Problem:
    """Return the refusal of whom nobody knows."""
    error = ', error="invalid_token"' if is_token else ""
    return Problem(
        401,
        "not_signed_in",
        "Sign in by POST /v1/session, or get a token by POST /v1/token; the last one may be over.",
        headers={"WWW-Authenticate": f'Bearer realm="cordee"{error}'},
    )
