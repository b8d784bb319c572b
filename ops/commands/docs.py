"""`cordee docs`."""

import sys
from pathlib import Path

import click

from ops import papers


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a page is stale.")
def docs(*, check: bool) -> None:
    """Write docs/WIRE.md, its JSON Schemas and docs/SETTINGS.md from the code."""
    stale = papers.write(Path("docs"), check=check)
    for path in stale:
        click.echo(f"{path} is {'stale: run `make docs`' if check else 'written'}")
    sys.exit(1 if check and stale else 0)
