"""Passwords: Argon2id, slow on purpose, never two at a time, and the same work for every login.

An unknown login, and one without a password, is compared with a hash of nobody's password, so that
the time of the answer tells nothing. A hash takes 64 MiB and some 50 ms of a core: more than two at
once would let a few strangers fill the machine.
"""

import asyncio
import secrets
from functools import cache
from typing import Final

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

HASHER: Final = PasswordHash((Argon2Hasher(),))
AT_ONCE_MAX: Final = 2
#: 32 that nobody mistakes for one another on paper or a tablet: no 0 and o, no 1 and l.
ALPHABET: Final = "abcdefghijkmnpqrstuvwxyz23456789"


def hashed(password: str) -> str:
    """Return what the database keeps of a password."""
    return HASHER.hash(password)


@cache
def nobodys() -> str:
    """Return the hash of a password that nobody has."""
    return hashed(secrets.token_urlsafe(32))


def verified(password: str, hashed_password: str | None) -> bool:
    """Return whether the password is the one; with None, never, after the same work."""
    try:
        right = HASHER.verify(password, hashed_password or nobodys())
    except ValueError:  # a text that no hasher takes, such as half of a surrogate pair
        return False
    return right and hashed_password is not None


class Desk:
    """Where passwords are compared, in threads, few at a time."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE_MAX)

    async def verified(self, password: str, hashed_password: str | None) -> bool:
        """Do as `verified` does, without holding up the process."""
        async with self._free:
            return await asyncio.to_thread(verified, password, hashed_password)

    async def hashed(self, password: str) -> str:
        """Do as `hashed` does, without holding up the process."""
        async with self._free:
            return await asyncio.to_thread(hashed, password)


def random_password(groups: int = 4) -> str:
    """Return a password in groups that one can read out and type, of 20 random bits each."""
    return "-".join(random_text(4) for _ in range(groups))


def random_text(characters: int) -> str:
    """Return random letters and digits, of 5 random bits each."""
    return "".join(secrets.choice(ALPHABET) for _ in range(characters))
