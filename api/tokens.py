"""Tokens of machines: short-lived JWTs (RFC 7519) that this API signs for itself. Pure.

HS256 with a key that only this installation has; one issuer, one audience, one algorithm, and no
other is ever looked at, whatever the token's own header says. A token says who (`sub`) and as what
(`scope`, a role); whether that program may still ask is looked up with each request.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, cast, get_args

import jwt

from api.roles import Role

ALGORITHM: Final = "HS256"
ISSUER: Final = "cordee"
AUDIENCE: Final = "cordee-api"
LIFETIME: Final = timedelta(minutes=10)
KEY_BYTES_MIN: Final = 32


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token says."""

    client_key: str
    role: Role
    expires_s: int


def issued(client_key: str, role: Role, key: bytes, now: datetime) -> str:
    """Return a token for a program."""
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": client_key,
        "scope": role,
        "iat": now,
        "exp": now + LIFETIME,
    }
    return jwt.encode(claims, key, ALGORITHM)


def read(token: str, key: bytes) -> Claims | None:
    """Return what a token says; None if it is not ours, not for us, over, or not whole."""
    try:
        said = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            options={"require": ["exp", "iat", "sub", "aud", "iss"]},
        )
    except jwt.InvalidTokenError:
        return None
    if said.get("scope") not in get_args(Role):
        return None
    return Claims(said["sub"], cast("Role", said["scope"]), int(said["exp"]))
