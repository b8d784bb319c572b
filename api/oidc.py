"""Signing in with an identity provider: OpenID Connect, authorization code with PKCE.

Two steps. *Begin*: the browser is sent to the provider with a state, a nonce and the hash of a code
verifier; the three are kept in a signed cookie of that browser for ten minutes, nowhere else. *Finish*:
the browser comes back with the state and a code; the code and the verifier are exchanged for an ID
token, of which everything is checked (OpenID Connect Core 3.1.3.7): the signature by a key that the
provider publishes now, the algorithm (never `none`, never a shared secret), issuer, audience, authorised
party, expiry, issue time and the nonce.

What comes of it is one claim, by which an existing user is found; nobody is made here. The provider is
asked anew each time: a sign-in is rare, and its keys change.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import httpx
import jwt as own_jwt
import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from storage.settings import Settings

WITHIN_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 1_000_000
ATTEMPT_LASTS: Final = timedelta(minutes=10)
ATTEMPT_AUDIENCE: Final = "cordee-oidc"
#: Signatures with a public key; the provider's own list may only shorten this.
ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
)
#: Clocks of two companies.
LEEWAY_S: Final = 60

Told = TypeVar("Told")


class RefusedError(Exception):
    """The provider's answer, or what the browser brought, cannot be used; the message says why."""


class Provider(msgspec.Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0), as far as it is needed."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(
        default_factory=lambda: ["client_secret_basic"]
    )


class Answer(msgspec.Struct, frozen=True):
    """What the token endpoint answers, as far as it is needed."""

    id_token: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in under way, as the browser's cookie keeps it."""

    state: str
    nonce: str
    verifier: str
    back: str


def client() -> httpx.AsyncClient:
    """Return the client that asks the provider; it follows nobody elsewhere."""
    return httpx.AsyncClient(timeout=WITHIN_S, follow_redirects=False)


def new_attempt(back: str) -> Attempt:
    """Return a sign-in that begins."""
    return Attempt(
        secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), back
    )


def sealed(attempt: Attempt, key: bytes, now: datetime) -> str:
    """Return the attempt as the cookie keeps it."""
    claims = {
        "aud": ATTEMPT_AUDIENCE,
        "exp": now + ATTEMPT_LASTS,
        "state": attempt.state,
        "nonce": attempt.nonce,
        "verifier": attempt.verifier,
        "back": attempt.back,
    }
    return own_jwt.encode(claims, key, "HS256")


def unsealed(cookie: str, key: bytes) -> Attempt:
    """Return the attempt that a cookie keeps.

    Raises:
        RefusedError: It is none of ours, or older than ten minutes.
    """
    try:
        said = own_jwt.decode(
            cookie, key, algorithms=["HS256"], audience=ATTEMPT_AUDIENCE,
            options={"require": ["exp", "aud"]},
        )  # fmt: skip
        return Attempt(said["state"], said["nonce"], said["verifier"], said["back"])
    except (own_jwt.InvalidTokenError, KeyError) as error:
        raise RefusedError(f"no sign-in is under way in this browser: {error}") from None


async def discovered(asking: httpx.AsyncClient, settings: Settings) -> Provider:
    """Return what the configured provider says of itself.

    Raises:
        RefusedError: It does not answer, or says that it is another.
    """
    issuer = settings.oidc_issuer
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    provider = await _json(asking, "GET", url, Provider)
    if provider.issuer != issuer:
        raise RefusedError(f"{issuer} says that it is {provider.issuer}")
    return provider


def address(provider: Provider, settings: Settings, attempt: Attempt, redirect_url: str) -> str:
    """Return where the browser is sent."""
    uri: str = prepare_grant_uri(
        provider.authorization_endpoint,
        settings.oidc_client_id,
        "code",
        redirect_uri=redirect_url,
        scope="openid email profile",
        state=attempt.state,
        nonce=attempt.nonce,
        code_challenge=create_s256_code_challenge(attempt.verifier),
        code_challenge_method="S256",
    )
    return uri


async def claims_of(
    asking: httpx.AsyncClient,
    settings: Settings,
    attempt: Attempt,
    came_back: Mapping[str, str],
    redirect_url: str,
    now: datetime,
) -> dict[str, Any]:
    """Return the checked claims of whoever came back from the provider.

    Args:
        asking: Asks the provider.
        settings: Which provider, and what it knows us by.
        attempt: What the browser's cookie kept.
        came_back: The parameters that the browser came back with.
        redirect_url: The address that it was told to come back to.
        now: The machine's time.

    Raises:
        RefusedError: Anything is not as it must be.
    """
    if not secrets.compare_digest(came_back.get("state", ""), attempt.state):
        raise RefusedError("the state is not the one of this browser")
    if came_back.get("iss", settings.oidc_issuer) != settings.oidc_issuer:
        raise RefusedError("another provider answers")
    if "code" not in came_back:
        raise RefusedError(f"the provider says {came_back.get('error', 'nothing')}")
    provider = await discovered(asking, settings)
    answer = await _exchanged(
        asking, settings, provider, came_back["code"], attempt.verifier, redirect_url
    )
    keys = await _json(asking, "GET", provider.jwks_uri, dict[str, Any])
    return checked(answer.id_token, keys, settings, attempt.nonce, now)


async def _exchanged(
    asking: httpx.AsyncClient,
    settings: Settings,
    provider: Provider,
    code: str,
    verifier: str,
    redirect_url: str,
) -> Answer:
    """Return what a code is worth."""
    secret = {"client_id": settings.oidc_client_id}
    auth: httpx.BasicAuth | None = None
    if "client_secret_basic" in provider.token_endpoint_auth_methods_supported:
        auth = httpx.BasicAuth(settings.oidc_client_id, settings.oidc_client_secret)
    else:
        secret["client_secret"] = settings.oidc_client_secret
    body = prepare_token_request(
        "authorization_code", redirect_uri=redirect_url, code=code, code_verifier=verifier, **secret
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    return await _json(
        asking, "POST", provider.token_endpoint, Answer, content=body, headers=form, auth=auth
    )


def checked(
    id_token: str, keys: Mapping[str, Any], settings: Settings, nonce: str, now: datetime
) -> dict[str, Any]:
    """Return the claims of an ID token, all of it checked; pure.

    Raises:
        RefusedError: It is not signed by the provider, not for us, over, or of another sign-in.
    """
    try:
        token = jwt.decode(
            id_token,
            KeySet.import_key_set(dict(keys)),  # type: ignore[arg-type]
            algorithms=list(ALGORITHMS),
            registry=JWSRegistry(algorithms=list(ALGORITHMS)),
        )
        registry = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": settings.oidc_issuer},
            sub={"essential": True},
            aud={"essential": True, "value": settings.oidc_client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(token.claims)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"the ID token is refused: {error}") from None
    claims = dict(token.claims)
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else settings.oidc_client_id) != settings.oidc_client_id:
        raise RefusedError("the ID token was made for another party")
    return claims


def found_by(claims: Mapping[str, Any], settings: Settings) -> tuple[str, bool]:
    """Return what a user is found by, and whether it is an e-mail address; pure.

    Raises:
        RefusedError: The claim is missing, or an address that the provider has not verified.
    """
    value = claims.get(settings.oidc_claim)
    if not isinstance(value, str) or not value:
        raise RefusedError(f"the provider tells no {settings.oidc_claim}")
    is_email = settings.oidc_claim == "email"
    if is_email and claims.get("email_verified") is not True:
        raise RefusedError("the provider has not verified the e-mail address")
    return value, is_email


async def _json(
    asking: httpx.AsyncClient, method: str, url: str, shape: type[Told], **request: Any
) -> Told:
    """Return a provider's answer.

    Raises:
        RefusedError: It does not answer, or not with that.
    """
    try:
        async with asking.stream(method, url, **request) as response:
            body = b""
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise RefusedError(f"{url} answers without end")
    except httpx.HTTPError as error:
        raise RefusedError(f"{url} does not answer: {type(error).__name__}") from None
    if response.status_code != httpx.codes.OK:
        raise RefusedError(f"{url} answers {response.status_code}")
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.MsgspecError as error:
        raise RefusedError(f"{url} answers something else: {error}") from None
