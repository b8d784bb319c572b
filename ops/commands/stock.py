"""`cordee stock`."""

import asyncio
import sys

import click

from ops import stock as stocks
from storage.settings import Settings


@click.group()
def stock() -> None:
    """Look after the stock that is booked."""


@stock.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if anything differs.")
def rebuild(*, check: bool) -> None:
    """Compute every level and proposal anew from scans, counts and orders."""
    drift = asyncio.run(stocks.rebuild(Settings(), check=check))
    for table, rows in drift.items():
        click.echo(f"{table}: {rows} rows {'differ' if check else 'differed'}")
    sys.exit(1 if check and any(drift.values()) else 0)


@stock.command()
@click.option("--jobs-served", type=click.FloatRange(0.5, 0.999), default=0.98, show_default=True)
def propose(*, jobs_served: float) -> None:
    """Work out from demand what vans should hold, template by template. Changes no template."""
    for template, (lines, served) in asyncio.run(stocks.propose(Settings(), jobs_served)).items():
        click.echo(f"{template}: {lines} lines should change; {served:.1%} of requests served then")


@stock.command()
@click.argument("template")
@click.argument("items", nargs=-1)
def accept(template: str, items: tuple[str, ...]) -> None:
    """Make what is proposed the policy of TEMPLATE: all of it, or that of some ITEMS."""
    changed = asyncio.run(stocks.accept(Settings(), template, items))
    if not changed:
        raise click.ClickException(
            f"nothing is proposed for {template}: run `cordee stock propose`"
        )
    click.echo(f"{template}: {changed} lines changed")
