"""Accounts as operators make them: people with a password, programs with a secret.

Functions take a connection and never commit. What is secret is returned once and kept as a hash;
whoever loses it gets a new one. Changing a password, a role or the state of a user signs it out
everywhere (a trigger of the table does), within a second also where a live page is open.
"""

import secrets
from dataclasses import dataclass

import psycopg
from psycopg.rows import class_row

from api.passwords import hashed as password_hash
from api.passwords import random_password
from api.roles import Role
from api.sessions import hashed, new_token, plain_login
from storage.pool import Connection


class UnusableError(ValueError):
    """What was asked for cannot be; the message says why."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user to be made, as the command line says it; a technician is named by the van or itself."""

    login: str
    role: Role
    name: str | None = None
    email: str | None = None
    van: str | None = None
    technician: str | None = None
    client: str | None = None
    organisation: str = "default"


@dataclass(frozen=True, slots=True)
class Listed:
    """An account as it is listed; never with what is secret."""

    login: str
    name: str
    organisation: str
    role: Role
    of: str | None
    state: str
    sessions: int

    def in_words(self) -> str:
        """Return it on one line."""
        of = f" of {self.of}" if self.of else ""
        signed_in = f", signed in {self.sessions} times" if self.sessions else ""
        return f"{self.login}: {self.role}{of} ({self.name}, {self.organisation}), {self.state}{signed_in}"


async def _organisation(conn: Connection, name: str) -> int:
    found = await _one(conn, "SELECT organisation_id FROM organisation WHERE name = %s", name)
    if found is None:
        raise UnusableError(f"There is no organisation named {name!r}.")
    return found


async def _one(conn: Connection, query: str, *values: object) -> int | None:
    row = await (await conn.execute(query.encode(), values)).fetchone()
    return None if row is None else row[0]


async def _technician(conn: Connection, organisation: int, person: Person) -> int | None:
    """Return who drives, for a technician; None for other roles."""
    if person.role != "technician":
        if person.van or person.technician:
            raise UnusableError("Only a technician has a van: leave out --van and --technician.")
        return None
    if person.technician:
        query = "SELECT technician_id FROM technician WHERE organisation_id = %s AND code = %s"
        found = await _one(conn, query, organisation, person.technician)
        if found is None:
            raise UnusableError(f"There is no technician {person.technician!r}.")
        return found
    if person.van is None:
        raise UnusableError("Say who it is: --technician CODE, or --van CODE of the van driven.")
    query = "SELECT coalesce(technician_id, 0) FROM van WHERE organisation_id = %s AND code = %s"
    found = await _one(conn, query, organisation, person.van)
    if found is None:
        raise UnusableError(f"There is no van {person.van!r}.")
    if found == 0:
        raise UnusableError(f"Nobody drives {person.van}: import vans with a technician first.")
    return found


async def _client(conn: Connection, organisation: int, role: Role, code: str | None) -> int | None:
    """Return whose sites, for a client; None for other roles."""
    if role != "client":
        if code:
            raise UnusableError("Only a client is of a company: leave out --client.")
        return None
    if code is None:
        raise UnusableError("Say of which company: --client CODE, as in the column of sites.csv.")
    query = "SELECT client_id FROM client WHERE organisation_id = %s AND code = %s"
    found = await _one(conn, query, organisation, code)
    if found is None:
        raise UnusableError(
            f"There is no client {code!r}: name it in the column client of sites.csv."
        )
    return found


async def is_known(conn: Connection, person: Person) -> bool:
    """Return whether somebody of the organisation has this login already, active or not."""
    organisation = await _organisation(conn, person.organisation)
    query = "SELECT 1 FROM app_user WHERE organisation_id = %s AND login = %s"
    return await _one(conn, query, organisation, plain_login(person.login)) is not None


async def add_user(conn: Connection, person: Person) -> str:
    """Make a user and return the password, which is kept nowhere."""
    organisation = await _organisation(conn, person.organisation)
    password = random_password()
    values = (
        organisation,
        plain_login(person.login),
        person.name or person.login,
        password_hash(password),
        person.role,
        await _technician(conn, organisation, person),
        await _client(conn, organisation, person.role, person.client),
        person.email.strip().lower() if person.email else None,
    )
    try:
        await conn.execute(
            "INSERT INTO app_user (organisation_id, login, name, password_hash, role,"
            " technician_id, client_id, email) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            values,
        )
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name == "app_user_email_once":
            raise UnusableError(f"{person.email} is another user's.") from None
        raise UnusableError(
            f"There is a user {person.login} already: `cordee user password {person.login}` gives"
            " a new password."
        ) from None
    return password


async def users(conn: Connection) -> list[Listed]:
    """Return all users."""
    query = """
        SELECT login, u.name, organisation.name AS organisation, role,
               coalesce(technician.code, client.code) AS of, state,
               (SELECT count(*) FROM user_session WHERE user_session.user_id = u.user_id) AS sessions
        FROM app_user AS u JOIN organisation USING (organisation_id)
        LEFT JOIN technician USING (technician_id)
        LEFT JOIN client ON client.client_id = u.client_id
        ORDER BY login
    """
    async with conn.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


async def new_password(conn: Connection, login: str) -> str:
    """Give a user a new password and return it; sessions end, and so does a lock-out."""
    password = random_password()
    await _changed(conn, login, "password_hash = %s", password_hash(password))
    await conn.execute(
        "DELETE FROM failed_sign_in WHERE login_hash = %s", (hashed(plain_login(login)),)
    )
    return password


async def switch_user(conn: Connection, login: str, *, on: bool) -> None:
    """Let a user sign in again, or no longer; then all sessions end."""
    await _changed(conn, login, "state = %s", "active" if on else "disabled")


async def sign_out(conn: Connection, login: str) -> int:
    """End all sessions of a user; return how many there were."""
    ended = await conn.execute(
        "DELETE FROM user_session USING app_user"
        " WHERE user_session.user_id = app_user.user_id AND login = %s",
        (plain_login(login),),
    )
    await conn.execute("NOTIFY cordee_sessions")
    return ended.rowcount


async def _changed(conn: Connection, login: str, change: str, value: str) -> None:
    query = f"UPDATE app_user SET {change} WHERE login = %s"
    done = await conn.execute(query.encode(), (value, plain_login(login)))
    if not done.rowcount:
        raise UnusableError(f"There is no user {login!r}: `cordee user list` names all.")


# ---- programs ----


async def add_machine(
    conn: Connection, name: str, role: Role, organisation_name: str, client: str | None
) -> tuple[str, str]:
    """Make a program and return its client id and its secret, which is kept nowhere."""
    organisation = await _organisation(conn, organisation_name)
    if role == "technician":
        raise UnusableError("A technician is a person: `cordee user add`.")
    key, secret = f"{_slug(name)}-{secrets.token_hex(4)}", new_token()
    await conn.execute(
        "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role, client_id)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (organisation, key, name, hashed(secret), role,
         await _client(conn, organisation, role, client)),
    )  # fmt: skip
    return key, secret


def _slug(name: str) -> str:
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return "-".join(part for part in kept.split("-") if part)[:40] or "machine"


async def machines(conn: Connection) -> list[Listed]:
    """Return all programs."""
    query = """
        SELECT client_key AS login, machine.name, organisation.name AS organisation, role,
               client.code AS of, state, 0 AS sessions
        FROM machine JOIN organisation USING (organisation_id)
        LEFT JOIN client ON client.client_id = machine.client_id
        ORDER BY client_key
    """
    async with conn.cursor(row_factory=class_row(Listed)) as cursor:
        await cursor.execute(query)
        return await cursor.fetchall()


async def switch_machine(conn: Connection, client_key: str, *, on: bool) -> None:
    """Let a program ask again, or no longer; tokens it has are refused at once."""
    done = await conn.execute(
        "UPDATE machine SET state = %s WHERE client_key = %s",
        ("active" if on else "disabled", client_key),
    )
    if not done.rowcount:
        raise UnusableError(f"There is no program {client_key!r}: `cordee machine list` names all.")
    await conn.execute("NOTIFY cordee_sessions")
