"""`cordee relay`."""

import click

from ingest import relay as relays
from ops.commands.running import until_stopped


@click.command()
def relay() -> None:
    """Send what the outbox holds, to the broker and to webhooks."""
    until_stopped(relays.run)
