"""Accounts in the database: users, their sessions, machines, and what failed.

Functions take a connection and never commit, and `now` is the machine's time: whoever is signed in
lives by it, also where the installation's clock is simulated. What a session is, and how many
failures are too many, says `api/sessions.py`.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from psycopg.rows import class_row, scalar_row

from api.auth import OrganisationId, Who
from api.roles import Role
from api.sessions import (
    COUNTED_OVER,
    FAILURES_KEPT,
    TOUCH_EVERY,
    Failures,
    hashed,
    login_hash,
    new_token,
    plain_login,
)
from storage.pool import Connection


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session is good without use, and in any case."""

    idle: timedelta
    absolute: timedelta


@dataclass(frozen=True, slots=True)
class Account:
    """What a sign-in needs to know of a user."""

    user_id: int
    password_hash: str | None


@dataclass(frozen=True, slots=True)
class _WhoRow:
    organisation_id: int
    role: Role
    login: str
    name: str
    user_id: int | None
    technician_id: int | None
    vans: list[str]
    client_id: int | None


_VANS: Final = """
ARRAY(SELECT van.code FROM van
      WHERE van.organisation_id = u.organisation_id AND van.technician_id = u.technician_id
      ORDER BY van.code) AS vans
"""
_ALIVE: Final = """
u.state = 'active' AND session.created_time > %(now)s - %(absolute)s
AND session.used_time > %(now)s - %(idle)s
"""


async def with_session(
    conn: Connection, token: str, now: datetime, lifetime: Lifetime
) -> Who | None:
    """Return whose session a token is, and note that it is used; None if it is nobody's, or over."""
    query = f"""
        WITH touched AS (
          UPDATE user_session SET used_time = %(now)s
          WHERE token_hash = %(hash)s AND used_time < %(now)s - %(every)s
            AND used_time > %(now)s - %(idle)s
        )
        SELECT u.organisation_id, u.role, u.login, u.name, u.user_id, u.technician_id,
               u.client_id, {_VANS}
        FROM user_session AS session JOIN app_user AS u USING (user_id)
        WHERE session.token_hash = %(hash)s AND {_ALIVE}
    """
    values = {
        "hash": hashed(token),
        "now": now,
        "idle": lifetime.idle,
        "absolute": lifetime.absolute,
        "every": TOUCH_EVERY,
    }
    async with conn.cursor(row_factory=class_row(_WhoRow)) as cursor:
        await cursor.execute(query, values)
        row = await cursor.fetchone()
    return _who(row, token) if row else None


def _who(row: _WhoRow, token: str | None) -> Who:
    return Who(
        OrganisationId(row.organisation_id), row.role, row.login, row.name, row.user_id, token,
        row.technician_id, tuple(row.vans), row.client_id,
    )  # fmt: skip


async def machine(conn: Connection, client_key: str) -> Who | None:
    """Return the program with this client id, if it may ask."""
    query = """
        SELECT organisation_id, role, client_key AS login, name, NULL::integer AS user_id,
               NULL::integer AS technician_id, '{}'::text[] AS vans, client_id
        FROM machine WHERE client_key = %s AND state = 'active'
    """
    async with conn.cursor(row_factory=class_row(_WhoRow)) as cursor:
        await cursor.execute(query, (client_key,))
        row = await cursor.fetchone()
    return _who(row, None) if row else None


async def machine_secret(conn: Connection, client_key: str) -> bytes | None:
    """Return the hash of an active program's secret."""
    query = "SELECT secret_hash FROM machine WHERE client_key = %s AND state = 'active'"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (client_key,))
        found: bytes | None = await cursor.fetchone()
        return found


async def still_signed_in(
    conn: Connection, tokens: Sequence[str], now: datetime, lifetime: Lifetime
) -> dict[str, tuple[str, ...]]:
    """Return which tokens are sessions still, each with the vans that its technician drives now.

    They are noted as used: their pages are open.
    """
    query = f"""
        WITH alive AS (
          SELECT token_hash, {_VANS}
          FROM user_session AS session JOIN app_user AS u USING (user_id)
          WHERE token_hash = ANY(%(hashes)s) AND {_ALIVE}
        ), touched AS (
          UPDATE user_session SET used_time = %(now)s
          WHERE token_hash IN (SELECT token_hash FROM alive) AND used_time < %(now)s - %(every)s
        )
        SELECT token_hash, vans FROM alive
    """
    by_hash = {hashed(token): token for token in tokens}
    values = {
        "hashes": list(by_hash),
        "now": now,
        "idle": lifetime.idle,
        "absolute": lifetime.absolute,
        "every": TOUCH_EVERY,
    }
    rows = await (await conn.execute(query, values)).fetchall()
    return {by_hash[bytes(token_hash)]: tuple(vans) for token_hash, vans in rows}


async def active_machines(conn: Connection, client_keys: Sequence[str]) -> set[str]:
    """Return which of these programs may ask still."""
    query = "SELECT client_key FROM machine WHERE client_key = ANY(%s) AND state = 'active'"
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(query, (list(client_keys),))
        return set(await cursor.fetchall())


# ---- signing in and out ----


async def account(conn: Connection, login: str) -> Account | None:
    """Return the active account of a login."""
    query = "SELECT user_id, password_hash FROM app_user WHERE login = %s AND state = 'active'"
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(query, (plain_login(login),))
        return await cursor.fetchone()


async def account_by_email(conn: Connection, email: str) -> Account | None:
    """Return the active account whose e-mail address this is."""
    query = "SELECT user_id, password_hash FROM app_user WHERE email = %s AND state = 'active'"
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(query, (email.strip().lower(),))
        return await cursor.fetchone()


async def open_session(conn: Connection, user_id: int, now: datetime) -> str:
    """Open a session and return its token, which is kept nowhere; drop sessions long over."""
    token = new_token()
    await conn.execute(
        "DELETE FROM user_session WHERE created_time < %s", (now - timedelta(days=31),)
    )
    await conn.execute(
        "INSERT INTO user_session (token_hash, user_id, created_time, used_time)"
        " VALUES (%s, %s, %s, %s)",
        (hashed(token), user_id, now, now),
    )
    return token


async def end_session(conn: Connection, token: str) -> None:
    """End one session."""
    await conn.execute("DELETE FROM user_session WHERE token_hash = %s", (hashed(token),))
    await conn.execute("NOTIFY cordee_sessions")


async def end_sessions(conn: Connection, user_id: int) -> int:
    """End all sessions of a user; return how many there were."""
    ended = await conn.execute("DELETE FROM user_session WHERE user_id = %s", (user_id,))
    await conn.execute("NOTIFY cordee_sessions")
    return ended.rowcount


async def set_password(conn: Connection, user_id: int, password_hash: str) -> None:
    """Give a user another password; a trigger ends all sessions."""
    await conn.execute(
        "UPDATE app_user SET password_hash = %s WHERE user_id = %s", (password_hash, user_id)
    )


# ---- what failed ----


async def begin_attempt(conn: Connection, login: str, address: str, now: datetime) -> int:
    """Count an attempt as failed before it is looked at, so that many at once all count."""
    await conn.execute("DELETE FROM failed_sign_in WHERE failed_time < %s", (now - FAILURES_KEPT,))
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute(
            "INSERT INTO failed_sign_in (login_hash, address, failed_time) VALUES (%s, %s, %s)"
            " RETURNING failed_id",
            (login_hash(login), address, now),
        )
        attempt: int | None = await cursor.fetchone()
    assert attempt is not None  # noqa: S101  an INSERT returns its row
    return attempt


async def failures(conn: Connection, login: str, address: str, now: datetime) -> Failures:
    """Return what failed lately, of this login and from this address."""
    query = """
        SELECT count(*) FILTER (WHERE login_hash = %(login)s AND address = %(address)s) AS of_pair,
               count(*) FILTER (WHERE login_hash = %(login)s) AS of_login,
               count(*) FILTER (WHERE address = %(address)s) AS of_address
        FROM failed_sign_in WHERE failed_time > %(since)s
    """
    values = {"login": login_hash(login), "address": address, "since": now - COUNTED_OVER}
    async with conn.cursor(row_factory=class_row(Failures)) as cursor:
        await cursor.execute(query, values)
        found = await cursor.fetchone()
    assert found is not None  # noqa: S101  aggregates have one row
    return found


async def forget_attempt(conn: Connection, attempt: int) -> None:
    """Take back an attempt that was refused unseen: a lock does not grow by being tried."""
    await conn.execute("DELETE FROM failed_sign_in WHERE failed_id = %s", (attempt,))


async def forgive(conn: Connection, login: str, address: str) -> None:
    """Forget what failed of a login that has now signed in from there."""
    await conn.execute(
        "DELETE FROM failed_sign_in WHERE login_hash = %s AND address = %s",
        (login_hash(login), address),
    )


# ---- the key of tokens ----


async def token_key(conn: Connection) -> bytes:
    """Return the key that signs tokens; made once, whoever asks first."""
    await conn.execute(
        "INSERT INTO token_key (secret) VALUES (%s) ON CONFLICT DO NOTHING",
        (secrets.token_bytes(32),),
    )
    async with conn.cursor(row_factory=scalar_row) as cursor:
        await cursor.execute("SELECT secret FROM token_key")
        found: bytes | None = await cursor.fetchone()
    assert found is not None  # noqa: S101  it was just made sure of
    return bytes(found)
