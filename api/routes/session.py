"""Signing in and out: people by a cookie, programs by a token. See `api/sessions.py`."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import parse_qs, unquote_plus

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field, with_config

from api import accounts, limits, tokens
from api.answers import SessionOpened, SignInWays, Token
from api.auth import Asker, Who
from api.doorkeeper import JUDGED, check_origin, cookie_name, session_token
from api.problems import Problem
from api.resources import CONNECTION_WITHIN_S, Held, Resources
from api.roles import ROLES
from api.sessions import COUNTED_OVER, PASSWORD_CHARACTERS_MAX, address_group, csrf_token, hashed
from api.times import TIME_ZONE
from storage.pool import Connection
from storage.settings import Settings

router = APIRouter(prefix="/v1", tags=["session"], dependencies=JUDGED)

FORM_BYTES_MAX: Final = 4_096
FORM: Final = "application/x-www-form-urlencoded"
UNKNOWN_SECRET: Final = bytes(32)


@with_config(limits.exact({"login": "c.petit", "password": "your password"}))
@dataclass(frozen=True, slots=True)
class SignInBody:
    """Who one says one is."""

    login: limits.Name
    password: Annotated[str, Field(min_length=1, max_length=PASSWORD_CHARACTERS_MAX)]

    def __repr__(self) -> str:
        """Leave the password out of whatever prints this."""
        return f"SignInBody(login={self.login!r})"


@router.post("/session", status_code=201)
async def sign_in(
    held: Held, request: Request, response: Response, body: Annotated[SignInBody, Body()]
) -> SessionOpened:
    """Sign in: the answer sets a cookie, and tells what changing requests must carry beside it.

    A wrong password, an unknown login and a disabled one are told the same. After a few failures
    the answer is 429 for up to a quarter of an hour, also with the right password.
    """
    check_origin(request)
    now = datetime.now(UTC)
    account = await checked_password(held, request, body.login, body.password, now)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        return await opened(conn, held, request, response, account.user_id, now)


async def checked_password(
    held: Resources, request: Request, login: str, password: str, now: datetime
) -> accounts.Account:
    """Return the account that login and password belong to; holds no connection meanwhile.

    Raises:
        Problem: They belong to none, or too much has failed.
    """
    address = await begun(held, request, login, now)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        account = await accounts.account(conn, login)
    right = await held.desk.verified(password, account.password_hash if account else None)
    if account is None or not right:
        detail = "Login and password do not belong together, or the account is disabled."
        raise Problem(401, "sign_in_failed", detail)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await accounts.forgive(conn, login, address)
    return account


async def begun(held: Resources, request: Request, who: str, now: datetime) -> str:
    """Count an attempt to sign in before it is looked at; return the address that it counts for.

    Raises:
        Problem: Too much has failed.
    """
    address = address_group(request.client.host if request.client else None)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        attempt = await accounts.begin_attempt(conn, who, address, now)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        failed = await accounts.failures(conn, who, address, now)
        if failed.are_too_many():
            await accounts.forget_attempt(conn, attempt)
    if failed.are_too_many():
        wait = {"Retry-After": str(int(COUNTED_OVER.total_seconds()))}
        raise Problem(429, "too_many_attempts", "Wait a quarter of an hour.", headers=wait)
    return address


async def opened(
    conn: Connection,
    held: Resources,
    request: Request,
    response: Response,
    user_id: int,
    now: datetime,
) -> SessionOpened:
    """Open a session, end the one that the browser came with, and set the cookie."""
    before = session_token(request)
    if before is not None:
        await accounts.end_session(conn, before)
    token = await accounts.open_session(conn, user_id, now)
    who = await accounts.with_session(conn, token, now, held.lifetime)
    if who is None:  # disabled a moment ago
        raise Problem(401, "sign_in_failed", "The account is disabled.")
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=int(held.lifetime.absolute.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    response.headers["cache-control"] = "no-store"
    return told(held, who)


def forget_cookie(request: Request, response: Response) -> None:
    """Let the browser forget its session."""
    response.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def told(held: Resources, who: Who) -> SessionOpened:
    """Return what somebody is told of himself."""
    return SessionOpened(
        login=who.login,
        name=who.name,
        role=who.role,
        vans=list(who.vans),
        time_zone=TIME_ZONE,
        csrf_token=csrf_token(who.token) if who.token is not None else None,
        now_ms=held.clock(),
        clock_factor=held.settings.clock_factor,
    )


@router.get("/session")
async def who_am_i(held: Held, who: Asker, response: Response) -> SessionOpened:
    """Return who is signed in, and as what; 401 if nobody is."""
    response.headers["cache-control"] = "no-store"
    return told(held, who)


@router.get("/session/ways")
async def ways_in(held: Held) -> SignInWays:
    """Return how one can sign in here, for whoever wants to."""
    return SignInWays(password=True, provider=provider_name(held.settings))


def provider_name(settings: Settings) -> str | None:
    """Return what the identity provider is called here; None if there is none."""
    return (settings.oidc_name or settings.oidc_issuer) if settings.oidc_issuer else None


@router.delete("/session", status_code=204)
async def sign_out(held: Held, who: Asker, request: Request, response: Response) -> None:
    """End this session, and what is streamed to it. A program's token just runs out."""
    if who.token is None:
        return
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        await accounts.end_session(conn, who.token)
    forget_cookie(request, response)


# ---- programs ----

TOKEN_SCHEMA: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                        "scope": {"type": "string", "enum": list(ROLES)},
                    },
                },
                "example": {
                    "grant_type": "client_credentials",
                    "client_id": "prometheus",
                    "client_secret": "your secret",
                },
            }
        },
    }
}


@router.post("/token", openapi_extra=TOKEN_SCHEMA)
async def token(held: Held, request: Request, response: Response) -> Token:
    """Give a program a token for ten minutes (OAuth 2.0, RFC 6749, 4.4: client credentials).

    Client id and secret come in the form, or as HTTP Basic. The scope is the program's role.
    """
    form = await _form(request)
    client_key, secret = _credentials(request, form)
    if form.get("grant_type") != "client_credentials":
        raise Problem(400, "bad_request", "Only grant_type=client_credentials is possible.")
    now = datetime.now(UTC)
    address = await begun(held, request, client_key, now)
    async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
        machine = await accounts.machine(conn, client_key)
        kept = await accounts.machine_secret(conn, client_key)
        right = hmac.compare_digest(hashed(secret), bytes(kept or UNKNOWN_SECRET))
        if right and machine is not None:
            await accounts.forgive(conn, client_key, address)
    if machine is None or not right:
        detail = "Client id and secret do not belong together, or the program is disabled."
        ask = {"WWW-Authenticate": 'Basic realm="cordee"'}
        raise Problem(401, "invalid_client", detail, headers=ask)
    if form.get("scope") not in (None, "", machine.role):
        raise Problem(400, "bad_request", f"The only scope of this program is {machine.role}.")
    response.headers["cache-control"] = "no-store"
    return Token(
        access_token=tokens.issued(machine.login, machine.role, await held.token_key(), now),
        token_type=BEARER,
        expires_in=int(tokens.LIFETIME.total_seconds()),
        scope=machine.role,
    )


BEARER: Final = "Bearer"


async def _form(request: Request) -> dict[str, str]:
    """Return the form of a request, the first value of each name.

    Raises:
        Problem: It is no form, or a long one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise Problem(400, "bad_request", f"Send the parameters as {FORM}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise Problem(413, "bad_request", "The form is too long.")
    try:
        values = parse_qs(body.decode(), max_num_fields=20, errors="strict")
    except ValueError:
        raise Problem(400, "bad_request", "The form cannot be read.") from None
    return {name: value[0] for name, value in values.items()}


def _credentials(request: Request, form: Mapping[str, str]) -> tuple[str, str]:
    """Return client id and secret: of the form, or of HTTP Basic, form-encoded as 2.3.1 has it."""
    kind, _, coded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_key, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise Problem(400, "bad_request", "This is no HTTP Basic.") from None
    return unquote_plus(client_key), unquote_plus(secret)
