"""By what a van's device is known over HTTP: the credential that the broker knows it by. Pure.

Either by HTTP Basic, with the user name and password that `cordee provision` has shown. The password has
120 random bits, and is compared with the hash that Mosquitto checks it by: `$7$rounds$salt$key`,
base64, PBKDF2 with SHA-512.

Or by a token, for apps that know no password and send a device identifier (Traccar Client, OsmAnd). It
travels in addresses, which proxies write into logs: so it is another secret, and opens nothing but the
way in for positions.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Final

#: What nobody's password is compared with, so that the time of an answer tells nothing.
NOBODYS: Final = "$7$101$AAAAAAAAAAAAAAAA$" + base64.b64encode(bytes(64)).decode()


def mosquitto_hash(password: str, salt: bytes, rounds: int) -> str:
    """Return what Mosquitto keeps of a password."""
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    return f"$7${rounds}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def is_password(password: str, known: str) -> bool:
    """Return whether a hash is of this password."""
    _, _, rounds, salt, _ = known.split("$")
    again = mosquitto_hash(password, base64.b64decode(salt), int(rounds))
    return hmac.compare_digest(again, known)


def token_hash(token: str) -> bytes:
    """Return what the database keeps of a token."""
    return hashlib.sha256(token.strip().lower().encode(errors="surrogatepass")).digest()


def fingerprint(*said: str) -> bytes:
    """Return by what a credential is known again without being kept."""
    return hashlib.sha256("\0".join(said).encode(errors="surrogatepass")).digest()


def basic(authorization: str | None) -> tuple[str, str] | None:
    """Return user name and password of HTTP Basic (RFC 7617); None if they are not given so."""
    kind, _, coded = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = (
            base64.b64decode(coded.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon else None
