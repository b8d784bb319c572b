"""What operators do with credentials: make, replace, revoke, and tell the broker.

A password is shown when it is made and never again. The broker reads files, not tables: what is done
here takes effect when `broker` has written them anew and sent the broker SIGHUP, at which it reads
them without dropping anybody but those who may no longer be there. Both brokers check their open
connections then: a revoked device is out at once, not at its next connection.

When a device's credential is replaced, the old one stays good for a while, so that a tablet that is
in a dead zone, or whose owner is ill, is not locked out. Each has its own user name; two live ones
of one device are two sessions. Times are the machine's.
"""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import psycopg

from ingest import partitions
from ops.devices import mosquitto, nats, passwords, store
from ops.devices.rights import Role, refusal, rights
from ops.devices.store import Credential, Owner
from storage.pool import Connection
from storage.settings import Settings, as_datetime

Kind = Literal["nats", "mosquitto"]

#: Services whose passwords may come from settings; there each is its own user name.
FROM_SETTINGS: Final[tuple[Role, ...]] = ("ingest", "relay")


class UnusableError(Exception):
    """What was asked for cannot be done; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Made:
    """A new credential, with the password that nobody will see again; a van's has a token as well."""

    role: Role
    code: str
    device: str
    user_name: str
    password: str
    token: str | None = None


async def van(conn: Connection, code: str) -> Owner:
    """Return a van as the owner of credentials.

    Raises:
        UnusableError: There is no such van, or its code is not safe in a topic.
    """
    if (found := await store.owner_of_van(conn, code)) is None:
        raise UnusableError(
            f"there is no van {code!r}: import it first (`cordee import vans FILE`)"
        )
    return _safe(found)


async def service(conn: Connection, role: Role, warehouse: str | None) -> Owner:
    """Return a service as the owner of credentials.

    Raises:
        UnusableError: A warehouse is missing, unknown, one of two, or not of this role.
    """
    if (role == "warehouse") != (warehouse is not None):
        raise UnusableError("name a warehouse by --warehouse, for the role `warehouse` only")
    if warehouse is None:
        return Owner(role)
    found = await store.owners_of_warehouse(conn, warehouse)
    if not found:
        raise UnusableError(f"there is no warehouse {warehouse!r}: import it first")
    if len(found) > 1:
        raise UnusableError(
            f"two organisations have a warehouse {warehouse!r}, and a topic names only one:"
            " give one of them another code"
        )
    return _safe(found[0])


def _safe(owner: Owner) -> Owner:
    if (why := refusal(owner.code)) is not None:
        raise UnusableError(f"no topic can be {owner.role} {owner.code}'s alone: {why}")
    return owner


async def make(conn: Connection, owner: Owner, device: str, now: int) -> Made:
    """Make the first credential of a device, or one after the last was revoked.

    Raises:
        UnusableError: The device has one that is good.
    """
    await store.lock(conn)
    return await _put(conn, owner, device, now)


async def rotate(conn: Connection, owner: Owner, device: str, hours: float, now: int) -> Made:
    """Make a new credential of a device; the one it has stays good for so many hours.

    One from a rotation before that is still good does not stay longer than it would have.

    Raises:
        UnusableError: The device has none to replace.
    """
    await store.lock(conn)
    until = as_datetime(now) + timedelta(hours=hours)
    if not await store.end(conn, owner, device, until):
        raise UnusableError(
            f"{owner.role} {owner.code} has no credential for {device!r} that is good:"
            " make one without --rotate"
        )
    return await _put(conn, owner, device, now)


async def revoke(conn: Connection, owner: Owner, device: str | None, now: int) -> int:
    """End all credentials of a device, or of all devices, now; return how many that were.

    Raises:
        UnusableError: None is good.
    """
    await store.lock(conn)
    if not (ended := await store.end(conn, owner, device, as_datetime(now))):
        raise UnusableError(f"{owner.role} {owner.code} has no credential that is good")
    return ended


async def _put(conn: Connection, owner: Owner, device: str, now: int) -> Made:
    password = passwords.new_password()
    token = passwords.new_password() if owner.role == "van" else None
    user_name = passwords.new_user_name(owner.code or owner.role)
    try:
        hashes = passwords.hashes(password, token)
        await store.put(conn, owner, device, user_name, hashes, as_datetime(now))
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != "broker_credential_current_once":
            raise
        raise UnusableError(
            f"{owner.role} {owner.code} has a credential for {device!r} already: --rotate replaces"
            " it, --revoke ends it, --device NAME makes one for another device"
        ) from error
    return Made(owner.role, owner.code, device, user_name, password, token)


async def adopt(conn: Connection, settings: Settings, now: int) -> None:
    """Let services in by the passwords that settings give them, under their roles' names.

    A password that has changed takes the place of the old one at once.

    Raises:
        UnusableError: A password is too short or too long.
    """
    given = {"ingest": settings.ingest_password, "relay": settings.relay_password}
    await store.lock(conn)
    known = {it.user_name: it for it in await store.everything(conn)}
    for role in FROM_SETTINGS:
        if not (password := given[role]):
            continue
        if (why := passwords.unusable(password)) is not None:
            raise UnusableError(f"CORDEE_{role.upper()}_PASSWORD cannot be used: {why}")
        before = known.get(role)
        if before and passwords.matches(
            password, passwords.Hashes(before.bcrypt_hash, before.pbkdf2_hash)
        ):
            continue
        await conn.execute("DELETE FROM broker_credential WHERE user_name = %s", (role,))
        hashes = passwords.hashes(password)
        await store.put(conn, Owner(role), "settings", role, hashes, as_datetime(now))


def files(kind: Kind, credentials: Sequence[Credential], mapped: str = "") -> dict[str, str]:
    """Return the broker's files by name, for the credentials that it is to let in."""
    users = [(it, rights(it.role, it.code)) for it in credentials]
    if kind == "nats":
        of_nats = ((it.user_name, it.bcrypt_hash, may) for it, may in users)
        return {nats.USERS_FILE: nats.users_text(of_nats, mapped)}
    return {
        mosquitto.PASSWORDS_FILE: mosquitto.passwords_text(
            (it.user_name, it.pbkdf2_hash) for it in credentials
        ),
        mosquitto.ACCESS_FILE: mosquitto.access_text((it.user_name, may) for it, may in users),
    }


def write(folder: Path, texts: dict[str, str]) -> None:
    """Write the files that differ, each at once, readable by the folder's owner and group only."""
    folder.mkdir(parents=True, exist_ok=True)
    owner = folder.stat()
    for name, text in texts.items():
        path = folder / name
        if path.exists() and path.read_text() == text:
            continue
        fresh = folder / f".{name}.new"
        fresh.touch(mode=0o640)
        fresh.write_text(text)
        if os.geteuid() == 0:  # a broker that has left root behind must read it
            os.chown(fresh, owner.st_uid, owner.st_gid)
        fresh.replace(path)


def versions(folder: Path, kind: Kind) -> list[tuple[int, int]]:
    """Return what differs whenever one of the broker's files has been written anew."""
    found = (folder / name for name in files(kind, ()))
    return [(it.stat().st_ino, it.stat().st_mtime_ns) for it in found]


async def broker(conn: Connection, settings: Settings, kind: Kind, folder: Path, now: int) -> int:
    """Write a broker's files from the database, and return how many users they let in.

    Raises:
        UnusableError: A service's password cannot be used.
    """
    await adopt(conn, settings, now)
    credentials = await store.live(conn, as_datetime(now))
    mapped = settings.broker_mapped or (partitions.MAPPED if settings.partitions else "")
    write(folder, files(kind, credentials, mapped))
    return len(credentials)


def process_of(pid_file: Path) -> int:
    """Return the process that a file names.

    Raises:
        UnusableError: The file is not there, or names none.
    """
    try:
        return int(pid_file.read_text())
    except (FileNotFoundError, ValueError) as error:
        raise UnusableError(f"{pid_file} names no process: does the broker run?") from error


def reload(pid: int) -> None:
    """Make the broker read its files again.

    Raises:
        UnusableError: There is no such process, or it is somebody else's.
    """
    try:
        os.kill(pid, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise UnusableError(
            f"process {pid} cannot be told to read its files again: {error}"
        ) from error
