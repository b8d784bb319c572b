"""`cordee ingest`."""

import click

from ingest import service
from ops.commands.running import until_stopped


@click.command()
def ingest() -> None:
    """Consume the fleet's messages and keep the tables true."""
    until_stopped(service.run)
