"""`cordee retention`: what is kept for how long, and the proof that the rest is gone."""

import asyncio

import click

from ops import retention as retentions
from storage.settings import Settings


@click.group()
def retention() -> None:
    """See what is kept for how long, and delete what is over."""


@retention.command()
def run() -> None:
    """Delete what is over now, in small steps; ingest does the same once a day by itself."""
    settings = Settings()
    asyncio.run(retentions.run(settings))
    for line in retentions.show(settings):
        click.echo(line)


@retention.command()
def show() -> None:
    """Say what is kept, what for, for how long, and what the last runs have deleted."""
    for line in retentions.show(Settings()):
        click.echo(line)
