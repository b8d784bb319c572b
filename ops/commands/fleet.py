"""`cordee simulate`, `cordee migrate` and `cordee seed`: a fleet and what it needs first."""

import asyncio
from datetime import datetime
from pathlib import Path

import click

from ops import fleet
from ops.commands.running import until_stopped
from ops.world import new_world, read_world
from storage.settings import Settings


@click.command()
@click.option("--world", "world_file", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--truth", type=click.Path(path_type=Path), required=True)
@click.option("--logins", type=click.Path(path_type=Path, exists=True), help="Each van's own.")
def simulate(world_file: Path, truth: Path, logins: Path | None) -> None:
    """Publish as a fleet would, and write down what really happened."""
    until_stopped(lambda settings, stop: fleet.simulate(settings, stop, world_file, truth, logins))


@click.command()
def migrate() -> None:
    """Bring the database up to date, and make the broker keep messages for ingest."""
    from ops import ready  # noqa: PLC0415  ingest's own, which a fleet does not know

    for name in asyncio.run(ready.prepare(Settings())):
        click.echo(f"applied {name}")


@click.command()
@click.option("--world", "world_file", type=click.Path(path_type=Path), required=True)
@click.option("--vans", type=int, default=200, show_default=True)
@click.option("--sites", type=int, default=20_000, show_default=True)
@click.option("--seed", "number", type=int, default=1, show_default=True)
@click.option("--logins", type=click.Path(path_type=Path), help="Write each van's own there.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Of the tours; else today.")
def seed(
    world_file: Path, vans: int, sites: int, number: int, logins: Path | None, day: datetime | None
) -> None:
    """Import a simulated world once, today's tours each time, and write the world's file."""
    from ops import seeds  # noqa: PLC0415  all that imports, which `simulate` does without

    asked, settings = new_world(number, vans, sites), Settings()
    known = read_world(world_file) or asked
    seeds.seed(settings, world_file, known, click.echo)
    click.echo("Importing tours")
    wanted = day.date() if day else asked.first_day
    seeds.import_tours(settings, world_file.parent, known, wanted)
    if logins is not None:
        seeds.provision_fleet(settings, logins)
