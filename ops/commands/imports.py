"""`cordee import`."""

import asyncio
import sys
from pathlib import Path

import click

from ops import imports
from storage.settings import Settings


@click.command("import")
@click.argument("kind", type=click.Choice(imports.KIND_NAMES))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--organisation", default="default", show_default=True)
def import_(kind: str, file: Path, organisation: str) -> None:
    """Import reference data of one KIND from a CSV or GeoJSON FILE.

    Bad rows are listed with their line and reason, and stop nothing else.
    """
    try:
        result = asyncio.run(imports.import_file(Settings(), kind, file, organisation))
    except imports.UnusableFileError as error:
        raise click.ClickException(str(error)) from error
    for line in imports.in_words(result):
        click.echo(line)
    sys.exit(1 if result.bad else 0)
