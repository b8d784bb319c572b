"""`cordee demo`, and `cordee clean` after it."""

import sys
from pathlib import Path

import click

from ops import demo as demos
from ops import embedded

#: Below wherever one is, made absolute: the services run inside it.
FOLDER = ".cordee"
FOLDER_PATH = click.Path(path_type=Path, resolve_path=True)


@click.command()
@click.option("--exit-after", type=float, help="Stop after this many seconds of running.")
@click.option("--speed", type=float, default=20.0, show_default=True, help="Simulated s per s.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the comparison with truth.")
@click.option("--vans", type=int, default=200, show_default=True)
@click.option("--sites", type=int, default=20_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--port", type=int, default=8000, show_default=True, help="The page's; 0 for any.")
@click.option("--credentials", is_flag=True, help="Let each van in by its own password only.")
@click.option("--folder", type=FOLDER_PATH, default=FOLDER, show_default=True)
def demo(**options: object) -> None:
    """Run everything here, with a simulated fleet; Ctrl-C stops it, the next run goes on."""
    try:
        sys.exit(demos.run(demos.Plan(**options)))  # type: ignore[arg-type]
    except (embedded.ServerError, demos.DemoError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--folder", type=FOLDER_PATH, default=FOLDER, show_default=True)
def clean(folder: Path) -> None:
    """Delete what `cordee demo` keeps."""
    embedded.remove_data(folder)
