"""`cordee replay` of a recorded drive, and `cordee replay-rules` of past days."""

import json
import sys
from datetime import datetime
from pathlib import Path

import click

from ops import embedded, replay_workers, replays, rule_replay
from storage.settings import Settings

DAY = click.DateTime(["%Y-%m-%d"])


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--van", default="van-001", show_default=True)
@click.option("--sites", type=click.Path(path_type=Path, exists=True), help="GeoJSON of sites.")
@click.option("--speed", type=float, default=1.0, show_default=True)
@click.option("--report", type=click.Path(path_type=Path), help="Write what was made of it.")
def replay(file: Path, van: str, sites: Path | None, speed: float, report: Path | None) -> None:
    """Publish a recorded drive (CSV or GPX FILE) as VAN would, through servers of its own."""
    try:
        outcome = replays.run(file, van, sites, speed)
    except (ValueError, embedded.ServerError) as error:
        raise click.ClickException(str(error)) from error
    text = json.dumps(outcome, indent=2)
    if report:
        report.write_text(text + "\n")
    click.echo(text)
    sys.exit(0 if outcome["as_expected"] else 1)


@click.command("replay-rules")
@click.option("--from", "first", type=DAY, required=True, help="First working day, 2026-06-02.")
@click.option("--to", "last", type=DAY, required=True, help="Last working day.")
@click.option("--set", "rules", multiple=True, metavar="RULE=NUMBER", help="Like dwell_s=240.")
@click.option("--processes", type=click.IntRange(min=1), help="At once; else one for each core.")
@click.option("--dask", metavar="ADDRESS", help="A Dask scheduler whose workers read instead.")
@click.option("--json", "as_json", is_flag=True, help="All figures and differences.")
def replay_rules(
    first: datetime,
    last: datetime,
    rules: tuple[str, ...],
    processes: int | None,
    dask: str | None,
    *,
    as_json: bool,
) -> None:
    """Say what past days would have said with other rules. Writes nothing.

    Vans are read at once on all cores, or by a Dask cluster (tcp://HOST:8786), which needs
    pip install 'cordee[dask]'.
    """
    try:
        said = rule_replay.replay(
            Settings(),
            first.date(),
            last.date(),
            rule_replay.rules_of(rules),
            processes=processes or replay_workers.cores(),
            dask=dask,
        )
    except (rule_replay.UnknownRuleError, replay_workers.ReplayError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(said, indent=2))
        return
    for line in rule_replay.in_words(said):
        click.echo(line)
