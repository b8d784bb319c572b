"""The credentials in the database. Nothing here commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row, scalar_row

from ops.devices.passwords import Hashes
from ops.devices.rights import Role
from storage.pool import Connection

ONE: Final = """
SELECT broker_credential_id AS credential_id, role, device, user_name, created_time, revoked_time,
       coalesce(van.code, warehouse.code, '') AS code, bcrypt_hash, pbkdf2_hash
FROM broker_credential LEFT JOIN van USING (van_id)
LEFT JOIN warehouse ON warehouse.warehouse_id = broker_credential.warehouse_id
"""
ORDER: Final = " ORDER BY role, code, device, created_time, credential_id"

#: What a session may find: the newest of a device, and until its time is over the one before.
LIVE: Final = ONE + " WHERE revoked_time IS NULL OR revoked_time > %s" + ORDER
ALL: Final = ONE + ORDER

INSERT: Final = """
INSERT INTO broker_credential
  (role, van_id, warehouse_id, device, user_name, bcrypt_hash, pbkdf2_hash, token_hash, created_time)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

END: Final = """
UPDATE broker_credential SET revoked_time = %(until)s
WHERE role = %(role)s AND van_id IS NOT DISTINCT FROM %(van_id)s
  AND warehouse_id IS NOT DISTINCT FROM %(warehouse_id)s
  AND (device = %(device)s OR %(device)s IS NULL)
  AND (revoked_time IS NULL OR revoked_time > %(until)s)
"""

#: No two commands make credentials at the same time.
ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('cordee provision'))"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose credentials: a role, and of a van or a warehouse which."""

    role: Role
    code: str = ""
    van_id: int | None = None
    warehouse_id: int | None = None


@dataclass(frozen=True, slots=True)
class Credential:
    """A user of the broker; `code` is the van's or the warehouse's."""

    credential_id: int
    role: Role
    device: str
    user_name: str
    created_time: datetime
    revoked_time: datetime | None
    code: str
    bcrypt_hash: str
    pbkdf2_hash: str

    def is_live(self, now: datetime) -> bool:
        """Whether the broker lets it in."""
        return self.revoked_time is None or self.revoked_time > now


async def lock(conn: Connection) -> None:
    """Be the only one who makes and ends credentials until this transaction ends."""
    await conn.execute(ALONE)


async def owner_of_van(conn: Connection, code: str) -> Owner | None:
    """Return a van as an owner, or None if there is none of that code."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT van_id FROM van WHERE code = %s", (code,))
        van_id = await cursor.fetchone()
    return None if van_id is None else Owner("van", code, van_id=van_id)


async def codes_of_vans(conn: Connection) -> list[str]:
    """Return the codes of all vans."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT code FROM van ORDER BY van_id")
        return await cursor.fetchall()


async def owners_of_warehouse(conn: Connection, code: str) -> list[Owner]:
    """Return the warehouses of that code: more than one if two organisations have it."""
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT warehouse_id FROM warehouse WHERE code = %s", (code,))
        return [Owner("warehouse", code, warehouse_id=found) for found in await cursor.fetchall()]


async def put(
    conn: Connection, owner: Owner, device: str, user_name: str, hashes: Hashes, now: datetime
) -> None:
    """Store a new credential.

    Raises:
        psycopg.errors.UniqueViolation: The device has a current one.
    """
    await conn.execute(
        INSERT,
        (owner.role, owner.van_id, owner.warehouse_id, device, user_name,
         hashes.bcrypt, hashes.pbkdf2, hashes.token, now),
    )  # fmt: skip


async def end(conn: Connection, owner: Owner, device: str | None, until: datetime) -> int:
    """Let what is good longer than `until` be good until then; return how many that were.

    `device` None means all of the owner's.
    """
    changed = await conn.execute(
        END,
        {
            "role": owner.role,
            "van_id": owner.van_id,
            "warehouse_id": owner.warehouse_id,
            "device": device,
            "until": until,
        },
    )
    return changed.rowcount


async def live(conn: Connection, now: datetime) -> list[Credential]:
    """Return what the broker is to let in."""
    async with conn.cursor(row_factory=class_row(Credential)) as cursor:
        await cursor.execute(LIVE, (now,))
        return await cursor.fetchall()


async def everything(conn: Connection) -> list[Credential]:
    """Return all credentials, also those that are over."""
    async with conn.cursor(row_factory=class_row(Credential)) as cursor:
        await cursor.execute(ALL)
        return await cursor.fetchall()
