"""`cordee health` and `cordee doctor`."""

import asyncio
import sys

import click

from ops import doctor as doctors
from ops import health as healths
from storage.settings import Settings


@click.command()
@click.argument("service", type=click.Choice(list(healths.LOOPS)))
def health(service: str) -> None:
    """Exit with 0 if SERVICE is at work on this machine: the health check of compose."""
    if words := healths.complaint(Settings(), service):
        raise click.ClickException(words)


@click.command()
def doctor() -> None:
    """Say what works, what is missing, and what to do about it."""
    findings = asyncio.run(doctors.examine(Settings()))
    for finding in findings:
        click.echo(f"{finding.mark}  {finding.text}")
    sys.exit(1 if any(finding.is_bad for finding in findings) else 0)
