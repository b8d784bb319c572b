"""`cordee user` and `cordee machine`: the words of `ops/people.py` on the command line."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from api.roles import ROLES, Role
from ops import people, transaction
from storage.pool import Connection

Result = TypeVar("Result")
ROLE = click.Choice(ROLES)
MACHINE_ROLE = click.Choice([role for role in ROLES if role != "technician"])


def _do(work: Callable[[Connection], Awaitable[Result]]) -> Result:
    return transaction.within("cordee-people", people.UnusableError, work)


@click.group("user")
def user() -> None:
    """Say who may sign in, and as what."""


@user.command()
@click.argument("login")
@click.option("--role", type=ROLE, required=True)
@click.option("--name", help="As the page shows it; default: the login.")
@click.option("--email", help="To be found by, when an identity provider confirms it.")
@click.option("--van", help="The van that this technician drives.")
@click.option("--technician", help="The technician that this is, by code.")
@click.option("--client", help="The company that this client is of, as in sites.csv.")
@click.option("--organisation", default="default", show_default=True)
def add(role: Role, **told: str) -> None:
    """Let LOGIN sign in. The password is shown this once."""
    password = _do(lambda conn: people.add_user(conn, people.Person(role=role, **told)))
    click.echo(f"user {told['login']}\npassword {password}")


@user.command("list")
def list_users() -> None:
    """List all users with their roles."""
    for one in _do(people.users):
        click.echo(one.in_words())


@user.command()
@click.argument("login")
def password(login: str) -> None:
    """Give LOGIN a new password, shown this once; all its sessions end."""
    click.echo(f"password {_do(lambda conn: people.new_password(conn, login))}")


@user.command()
@click.argument("login")
def disable(login: str) -> None:
    """Let LOGIN no longer sign in; its sessions end at once."""
    _do(lambda conn: people.switch_user(conn, login, on=False))


@user.command()
@click.argument("login")
def enable(login: str) -> None:
    """Let LOGIN sign in again."""
    _do(lambda conn: people.switch_user(conn, login, on=True))


@user.command("sign-out")
@click.argument("login")
def sign_out(login: str) -> None:
    """End all sessions of LOGIN."""
    click.echo(f"{_do(lambda conn: people.sign_out(conn, login))} sessions ended")


@click.group("machine")
def machine() -> None:
    """Say which programs may ask the API, and as what."""


@machine.command("add")
@click.argument("name")
@click.option("--role", type=MACHINE_ROLE, required=True)
@click.option("--client", help="The company whose sites it may ask about, for the role client.")
@click.option("--organisation", default="default", show_default=True)
def add_machine(name: str, role: Role, client: str | None, organisation: str) -> None:
    """Let the program NAME ask. Its secret is shown this once; POST /v1/token takes both."""
    key, secret = _do(lambda conn: people.add_machine(conn, name, role, organisation, client))
    click.echo(f"client_id {key}\nclient_secret {secret}")


@machine.command("list")
def list_machines() -> None:
    """List all programs with their roles."""
    for one in _do(people.machines):
        click.echo(one.in_words())


@machine.command("switch")
@click.argument("client_id")
@click.argument("state", type=click.Choice(["on", "off"]))
def switch_machine(client_id: str, state: str) -> None:
    """Let a program ask again, or no longer; tokens that it has are refused at once."""
    _do(lambda conn: people.switch_machine(conn, client_id, on=state == "on"))
