"""The question of a device at the door: whose it is. Reads, never commits; `now` is the machine's time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from api.devices import NOBODYS, is_password, token_hash
from storage.pool import Connection

FOUND: Final = """
SELECT van.code AS van, device, user_name AS user, pbkdf2_hash
FROM broker_credential JOIN van USING (van_id)
WHERE role = 'van' AND (revoked_time IS NULL OR revoked_time > %s)
"""
BY_NAME: Final = f"{FOUND} AND user_name = %s"
BY_TOKEN: Final = f"{FOUND} AND token_hash = %s"


@dataclass(frozen=True, slots=True)
class Device:
    """A device that has proved whose it is."""

    van: str
    device: str
    user: str
    pbkdf2_hash: str


async def with_password(conn: Connection, user: str, password: str, now: datetime) -> Device | None:
    """Return the van's device whose user name and password these are."""
    found = await _one(conn, BY_NAME, now, user) if "\0" not in user else None
    right = is_password(password, found.pbkdf2_hash if found else NOBODYS)
    return found if right else None


async def with_token(conn: Connection, token: str, now: datetime) -> Device | None:
    """Return the van's device whose token this is."""
    return await _one(conn, BY_TOKEN, now, token_hash(token))


async def _one(conn: Connection, query: str, now: datetime, key: object) -> Device | None:
    async with conn.cursor(row_factory=class_row(Device)) as cursor:
        await cursor.execute(query, (now, key))
        return await cursor.fetchone()
