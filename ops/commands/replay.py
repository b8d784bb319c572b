"""`cordee replay` of a recorded drive, and `cordee replay-rules` of past days."""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path

import click

from ops import embedded, replays, rule_replay
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
@click.option("--json", "as_json", is_flag=True, help="All figures and differences.")
def replay_rules(first: datetime, last: datetime, rules: tuple[str, ...], *, as_json: bool) -> None:
    """Say what past days would have said with other rules. Writes nothing."""
    try:
        asked = rule_replay.rules_of(rules)
    except rule_replay.UnknownRuleError as error:
        raise click.ClickException(str(error)) from error
    said = asyncio.run(rule_replay.replay(Settings(), first.date(), last.date(), asked))
    if as_json:
        click.echo(json.dumps(said, indent=2))
        return
    for line in rule_replay.in_words(said):
        click.echo(line)
