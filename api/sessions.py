"""What a session is: a random number that only the browser and nobody else knows. Pure.

*The token* has 256 random bits. The browser keeps it in a cookie that scripts cannot read and that
is never sent from another site; the database keeps its SHA-256 only, so that whoever reads a backup
is not signed in.

*A session ends* when it is not used for a while (`idle`), in any case some hours after the sign-in
(`absolute`), when its user signs out, is disabled, gets another role or another password. A sign-in
always makes a new token and ends the one that the browser came with: a token that somebody else
planted in a browser (fixation) is never the one that is signed in.

*Changing requests* need, besides the cookie, the header `X-CSRF-Token`: an HMAC of the token, which
`GET /v1/session` tells. Another site can make a browser send a request, but cannot read that answer.
It follows from the token, so nothing has to be kept.

*Guessing* is slowed down by counting what failed in the last quarter of an hour: of one login from
one address, of one login from anywhere, and from one address whatever the login. The counts know
nothing of which logins exist, so neither does the answer. An IPv6 address counts by its /64, which is
what one customer has.
"""

import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

CSRF_HEADER: Final = "x-csrf-token"
#: With this prefix a browser takes the cookie only by HTTPS, from this host, for all paths.
SECURE_COOKIE: Final = "__Host-cordee"
PLAIN_COOKIE: Final = "cordee"

#: How often `used_time` is written, at most.
TOUCH_EVERY: Final = timedelta(minutes=1)

COUNTED_OVER: Final = timedelta(minutes=15)
FAILURES_KEPT: Final = timedelta(hours=1)
#: The failure after this many is refused without looking at the password.
OF_PAIR_MAX: Final = 5
OF_LOGIN_MAX: Final = 30
OF_ADDRESS_MAX: Final = 60

PASSWORD_CHARACTERS_MIN: Final = 12
PASSWORD_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Failures:
    """What failed in the last quarter of an hour, this attempt among it."""

    of_pair: int
    of_login: int
    of_address: int

    def are_too_many(self) -> bool:
        """Whether the password is not even looked at."""
        return (
            self.of_pair > OF_PAIR_MAX
            or self.of_login > OF_LOGIN_MAX
            or self.of_address > OF_ADDRESS_MAX
        )


def new_token() -> str:
    """Return 256 random bits as text that a cookie can hold."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> bytes:
    """Return what the database keeps of a token or of a machine's secret."""
    return hashlib.sha256(secret.encode()).digest()


def login_hash(login: str) -> bytes:
    """Return what is kept of a login that failed."""
    return hashed(plain_login(login))


def plain_login(login: str) -> str:
    """Return a login as it is compared: people and telephones capitalise."""
    return login.strip().lower()


def csrf_token(token: str) -> str:
    """Return what a changing request must carry beside this token."""
    return hmac.new(token.encode(), b"cordee csrf", hashlib.sha256).hexdigest()


def is_csrf_token(given: str, token: str) -> bool:
    """Return whether the header belongs to the token."""
    return hmac.compare_digest(given.encode(), csrf_token(token).encode())


def is_from_elsewhere(fetch_site: str | None, origin: str | None, host: str) -> bool:
    """Return whether a browser says that another site made it ask.

    Args:
        fetch_site: `Sec-Fetch-Site`; browsers send it by HTTPS and to this machine.
        origin: `Origin`; browsers send it with every changing request.
        host: The host that was asked, as in `Host`.
    """
    if fetch_site is not None:
        return fetch_site not in {"same-origin", "none"}
    return origin is not None and origin.partition("://")[2] != host


def address_group(host: str | None) -> str:
    """Return whose attempts count together: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def weakness(password: str, login: str) -> str | None:
    """Return what is wrong with a new password, or None. Length is what counts (NIST SP 800-63B)."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        return f"A password has at least {PASSWORD_CHARACTERS_MIN} characters: several words do."
    if len(password) > PASSWORD_CHARACTERS_MAX:
        return f"A password has at most {PASSWORD_CHARACTERS_MAX} characters."
    if len(set(password)) < 5 or plain_login(login) in password.lower():
        return "It is too easy to guess: it repeats a few characters, or holds the login."
    return None
