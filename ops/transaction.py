"""One transaction for one command: what the command line asks for is done as a whole, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from storage.pool import Connection, connect
from storage.settings import Settings

Result = TypeVar("Result")


def within(
    name: str, refusal: type[Exception], work: Callable[[Connection], Awaitable[Result]]
) -> Result:
    """Do something in one transaction, and return what comes of it.

    Args:
        name: What the database calls the connection.
        refusal: What is raised of what cannot be; its words are the command's.
        work: Takes the connection.

    Raises:
        click.ClickException: It cannot be; nothing is kept.
    """

    async def main() -> Result:
        async with (
            connect(Settings().database_url, name, size_max=1) as pool,
            pool.connection() as conn,
            conn.transaction(),
        ):
            return await work(conn)

    try:
        return asyncio.run(main())
    except refusal as error:
        raise click.ClickException(str(error)) from error
