"""`cordee docs`."""

import json
import sys
from pathlib import Path

import click

from ops import contract, papers

CHANGELOG = Path("CHANGELOG.md")
RELEASED = Path("docs/openapi.released.json")


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a page is stale.")
@click.option("--release", is_flag=True, help="Promise what the API is now to whoever uses it.")
def docs(*, check: bool, release: bool) -> None:
    """Write docs/WIRE.md and its JSON Schemas, docs/SETTINGS.md and docs/openapi.json from the code.

    What the API promised with the last release and does no longer must stand in CHANGELOG.md.
    """
    stale = papers.write(Path("docs"), check=check)
    for path in stale:
        click.echo(f"{path} is {'stale: run `make docs`' if check else 'written'}")
    described = papers.openapi()
    if release and not check:
        RELEASED.write_text(described)
    broken = contract.unannounced(
        contract.breaks(json.loads(RELEASED.read_text()), json.loads(described)),
        CHANGELOG.read_text(),
    )
    for line in broken:
        click.echo(f"broken promise: {line}")
    if broken:
        click.echo(f"Keep what {RELEASED} promises, or say so, word for word, in {CHANGELOG}.")
    sys.exit(1 if broken or (check and stale) else 0)
