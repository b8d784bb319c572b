"""`cordee backup` and `cordee restore`."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import click

from ops import backup as backups
from storage.settings import Settings

FOLDER = click.Path(path_type=Path, file_okay=False, resolve_path=True)


@click.command()
@click.option("--to", "folder", type=FOLDER, required=True, help="Gets a folder a backup.")
@click.option(
    "--as", "way", type=click.Choice(["files", "dump"]), help="Else what the server lets."
)
@click.option("--keep", type=click.IntRange(1), help="Delete all but the newest so many.")
@click.option("--log", is_flag=True, help="Stream the server's log there instead, until stopped.")
@click.option("--synchronous", is_flag=True, help="With --log: confirm every write at once.")
@click.option("--check", is_flag=True, help="Only verify the newest, and fail if it is too old.")
@click.option("--hours", type=float, default=26.0, show_default=True, help="Too old for --check.")
def backup(
    folder: Path,
    way: backups.Way | None,
    keep: int | None,
    hours: float,
    *,
    log: bool,
    synchronous: bool,
    check: bool,
) -> None:
    """Back up the database while everything runs."""
    try:
        if check:
            _check(folder, hours)
        elif log:
            command = backups.receive_log(Settings(), folder, synchronous=synchronous)
            sys.exit(subprocess.run(command, check=False).returncode)
        else:
            made = backups.backup(Settings(), folder, way)
            size = sum(file.size for file in backups.read(made).files)
            click.echo(f"{made}: {backups.read(made).way}, {size / 1e6:.1f} MB")
            for old in backups.prune(folder, keep) if keep else ():
                click.echo(f"{old} deleted")
    except backups.BackupError as error:
        raise click.ClickException(str(error)) from error


def _check(folder: Path, hours: float) -> None:
    if words := backups.complaint(folder, timedelta(hours=hours)):
        raise click.ClickException(words)
    made = backups.latest(folder)
    age = backups.read(made).age / timedelta(hours=1)
    click.echo(f"{made.name} is whole, and {age:.1f} hours old")


@click.command()
@click.option("--from", "folder", type=FOLDER, required=True, help="A backup, or where they are.")
@click.option("--into", type=FOLDER, help="The data folder of a server that does not run.")
@click.option("--yes-replace", is_flag=True, help="Lose what is there.")
def restore(folder: Path, into: Path | None, *, yes_replace: bool) -> None:
    """Restore the newest backup: a dump into the database, files into a server's data folder."""
    try:
        made = backups.latest(folder)
        if into:
            manifest = backups.restore_files(made, into, replace=yes_replace)
        else:
            manifest = backups.restore(Settings(), made, replace=yes_replace)
    except backups.BackupError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"restored {made.name}, made by Cordée {manifest.cordee} on PostgreSQL {manifest.postgres}."
        " Now `cordee migrate`, then `cordee doctor`"
    )
