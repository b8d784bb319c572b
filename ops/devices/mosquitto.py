"""The users of Mosquitto: a password file and an access list, both read again at SIGHUP.

A user that is not in the access list may do nothing: the list has no rights for everybody. `$SYS`
is nobody's. The deployed mosquitto.conf makes the user name the client id on the listener for vans,
so that nobody takes over another's session.

Mosquitto checks what may be read when it delivers, not when a client subscribes.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from ops.devices.rights import Rights

PASSWORDS_FILE: Final = "passwords"
ACCESS_FILE: Final = "access"
NOTICE: Final = "# Written by `cordee provision broker`, which writes it anew.\n"


def passwords_text(users: Iterable[tuple[str, str]]) -> str:
    """Return the password file: of each user its name and PBKDF2 hash."""
    return NOTICE + "".join(f"{name}:{pbkdf2_hash}\n" for name, pbkdf2_hash in users)


def access_text(users: Iterable[tuple[str, Rights]]) -> str:
    """Return the access list: of each user its name and rights."""
    return NOTICE + "".join(line for user in users for line in _lines(*user))


def _lines(name: str, rights: Rights) -> Iterator[str]:
    yield f"\nuser {name}\n"
    for topic in rights.publish:
        yield f"topic write {topic}\n"
    for topic in rights.subscribe:
        yield f"topic read {topic}\n"
