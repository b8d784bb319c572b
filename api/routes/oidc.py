"""Signing in with an identity provider: out to it, and back. See `api/oidc.py`."""

from datetime import UTC, datetime
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse

from api import accounts, oidc
from api.doorkeeper import JUDGED
from api.problems import Problem
from api.resources import CONNECTION_WITHIN_S, Held
from api.routes.session import opened
from storage.pool import Connection
from storage.settings import Settings

logger = structlog.get_logger()

router = APIRouter(prefix="/v1/session/oidc", tags=["session"], dependencies=JUDGED)

FAILED: Final = "/?sign-in=failed"
#: A place on the page, such as #van=V1; never another address.
Back = Annotated[
    str,
    Query(
        max_length=300,
        pattern="^(#[A-Za-z0-9=%&._~-]*)?$",
        description="Where on the page to come back to.",
        examples=["#van=V1"],
    ),
]


@router.get("", status_code=303, response_class=RedirectResponse)
async def begin(held: Held, request: Request, back: Back = "") -> RedirectResponse:
    """Send the browser to the identity provider; `back` is where on the page it shall return."""
    settings = held.settings
    if not settings.oidc_issuer:
        detail = "No identity provider is configured: set CORDEE_OIDC_ISSUER."
        raise Problem(404, "oidc_failed", detail)
    attempt = oidc.new_attempt(back)
    try:
        async with oidc.client() as asking:
            provider = await oidc.discovered(asking, settings)
    except oidc.RefusedError as error:
        logger.warning("sign-in elsewhere failed", reason=str(error))
        return RedirectResponse(FAILED + back, 303)
    url = oidc.address(provider, settings, attempt, _redirect_url(settings, request))
    response = RedirectResponse(url, 303, headers={"cache-control": "no-store"})
    is_secure = request.url.scheme == "https"
    response.set_cookie(
        _cookie_name(is_secure=is_secure),
        oidc.sealed(attempt, await held.token_key(), datetime.now(UTC)),
        max_age=int(oidc.ATTEMPT_LASTS.total_seconds()),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",  # the way back begins at the provider's site
    )
    return response


@router.get("/callback", status_code=303, response_class=RedirectResponse)
async def finish(held: Held, request: Request) -> RedirectResponse:
    """Take the browser back from the provider, and sign in who it says it is."""
    settings, now = held.settings, datetime.now(UTC)
    if not settings.oidc_issuer:
        raise Problem(404, "oidc_failed", "No identity provider is configured.")
    name = _cookie_name(is_secure=request.url.scheme == "https")
    back = ""
    try:
        attempt = oidc.unsealed(request.cookies.get(name, ""), await held.token_key())
        back = attempt.back
        async with oidc.client() as asking:
            claims = await oidc.claims_of(
                asking,
                settings,
                attempt,
                request.query_params,
                _redirect_url(settings, request),
                now,
            )
        value, is_email = oidc.found_by(claims, settings)
        response = RedirectResponse(f"/{back}", 303)
        async with held.pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
            user_id = await _user(conn, value, is_email=is_email)
            await opened(conn, held, request, response, user_id, now)
    except oidc.RefusedError as error:
        logger.warning("sign-in elsewhere failed", reason=str(error))
        response = RedirectResponse(FAILED + back, 303)
    response.delete_cookie(name, path="/", httponly=True, samesite="lax")
    return response


async def _user(conn: Connection, value: str, *, is_email: bool) -> int:
    """Return the key of an existing user; nobody is made.

    Raises:
        oidc.RefusedError: There is none, or a disabled one.
    """
    find = accounts.account_by_email if is_email else accounts.account
    account = await find(conn, value)
    if account is None:
        raise oidc.RefusedError("no active user here is the one that the provider names")
    return account.user_id


def _redirect_url(settings: Settings, request: Request) -> str:
    here = f"{request.url.scheme}://{request.url.netloc}"
    return settings.oidc_redirect_url or f"{here}/v1/session/oidc/callback"


def _cookie_name(*, is_secure: bool) -> str:
    return "__Host-cordee-oidc" if is_secure else "cordee-oidc"
