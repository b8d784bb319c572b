"""`cordee person`: what is stored about somebody."""

from pathlib import Path

import click

from ops import person as persons
from storage.settings import Settings


@click.group()
def person() -> None:
    """Answer a person who asks what is stored about them."""


@person.command()
@click.argument("technician")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--organisation", default="default", show_default=True)
def export(technician: str, out: Path, organisation: str) -> None:
    """Write all that is stored about TECHNICIAN to a folder, with purposes and periods."""
    try:
        rows = persons.export(Settings(), technician, organisation, out)
    except persons.UnknownPersonError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{sum(rows.values())} rows of {len(rows)} tables are in {out}; begin with README.md"
    )
