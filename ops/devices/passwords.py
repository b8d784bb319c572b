"""Names and passwords that a machine makes, and the two hashes that brokers check them by.

A password has 24 letters and digits of 32 kinds: 120 random bits. Nobody can guess that from a hash,
so a hash need not be slow: bcrypt at cost 4 and PBKDF2 with the 101 rounds of `mosquitto_passwd` are
the fastest that the brokers take. Slow ones would harm: a broker hashes when a client connects, and
NATS again for every open connection at every reload. At bcrypt's usual cost of 11 that took 150 ms
each here, half a minute of a core for 200 vans that come back after an outage; at cost 4 it took
1.2 ms, a quarter of a second for all.

A user name ends in 60 random bits and is the client id as well. Mosquitto enforces that; NATS
hands a session to whoever names its client id, so there it must be one that nobody else knows.

No broker reads the other's hash, hence two. Mosquitto's is that of `mosquitto_passwd`, version 2; positions
that come by HTTP are let in by it too (`api/devices.py`).
"""

import re
import secrets
from dataclasses import dataclass
from typing import Final

import bcrypt

from api.devices import is_password, mosquitto_hash, token_hash
from api.passwords import random_password, random_text

GROUPS: Final = 6
NAME_CHARACTERS: Final = 12
NAME_STEM_MAX: Final = 24

#: What somebody else chose must be as long as `openssl rand -hex 12` writes it.
GIVEN_MIN: Final = 24
#: bcrypt reads no more bytes than these.
GIVEN_MAX: Final = 72

BCRYPT_COST: Final = 4
PBKDF2_ROUNDS: Final = 101
PBKDF2_SALT_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Hashes:
    """Of one password: what NATS checks it by, and what Mosquitto does; of a token, if there is one."""

    bcrypt: str
    pbkdf2: str
    token: bytes | None = None


def new_password() -> str:
    """Return a new password, in groups that can be typed."""
    return random_password(GROUPS)


def new_user_name(stem: str) -> str:
    """Return a new user name that begins like `stem` and that nobody can guess."""
    plain = re.sub("[^A-Za-z0-9_]+", "-", stem).strip("-")[:NAME_STEM_MAX]
    return f"{plain or 'x'}-{random_text(NAME_CHARACTERS)}"


def unusable(password: str) -> str | None:
    """Return why a password that somebody else made is not taken, or None."""
    if not GIVEN_MIN <= len(password.encode()) <= GIVEN_MAX:
        return f"it has not {GIVEN_MIN} to {GIVEN_MAX} bytes: let openssl rand -hex 24 make one"
    return None


def hashes(password: str, token: str | None = None) -> Hashes:
    """Return both hashes of a password, each with a salt of its own, and that of a token."""
    salt = secrets.token_bytes(PBKDF2_SALT_BYTES)
    return Hashes(
        bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode(),
        mosquitto_hash(password, salt, PBKDF2_ROUNDS),
        None if token is None else token_hash(token),
    )


def matches(password: str, known: Hashes) -> bool:
    """Return whether both hashes are of this password."""
    again = bcrypt.checkpw(password.encode(), known.bcrypt.encode())
    return again and is_password(password, known.pbkdf2)
