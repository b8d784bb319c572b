"""The `cordee` command: one subcommand a process, and what operators do by hand."""

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import structlog

import ingest.relay
import ingest.service
from api.serve import serve
from ops import bench as benches
from ops import demo as demos
from ops import doctor as doctors
from ops import (
    embedded,
    fleet,
    imports,
    papers,
    replays,
    rule_replay,
    seeds,
    stock_bench,
    stock_verify,
)
from ops import health as healths
from ops import stock as stocks
from ops import verify as verifies
from ops.access import parts as access
from ops.backup_commands import backup, restore
from ops.devices.commands import provision
from ops.faults import campaign, poison, pressure
from ops.people_commands import machine, user
from ops.person_commands import person
from ops.retention_commands import retention
from ops.webhook_commands import webhook
from storage.settings import Settings

FOLDER = ".cordee"
#: Counts in a report of `cordee verify` that must be 0.
WRONG = ("levels_wrong", "duplicate_orders", *access.WRONG)
#: Of wherever one is: the services run inside it.
FOLDER_PATH = click.Path(path_type=Path, resolve_path=True)
DAY = click.DateTime(["%Y-%m-%d"])


def _log_json() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


def _until_stopped(run: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    """Run a service until SIGINT or SIGTERM, then let it finish what it has in hand."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(Settings(), stop)

    _log_json()
    asyncio.run(main())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cordee")
def main() -> None:
    """Keep a maintenance company and its travelling technicians in step."""


@main.command()
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
    except (embedded.ServerError, demos.DemoError, imports.UnusableFileError) as error:
        raise click.ClickException(str(error)) from error


@main.command("ingest")
def ingest_() -> None:
    """Consume the fleet's messages and keep the tables true."""
    _until_stopped(ingest.service.run)


@main.command()
def relay() -> None:
    """Send what the outbox holds, to the broker and to webhooks."""
    _until_stopped(ingest.relay.run)


@main.command()
def api() -> None:
    """Serve the API and the page."""
    settings = Settings()
    _log_json()
    serve(settings)


@main.command()
@click.option("--world", "world_file", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--truth", type=click.Path(path_type=Path), required=True)
@click.option("--logins", type=click.Path(path_type=Path, exists=True), help="Each van's own.")
def simulate(world_file: Path, truth: Path, logins: Path | None) -> None:
    """Publish as a fleet would, and write down what really happened."""
    _until_stopped(lambda settings, stop: fleet.simulate(settings, stop, world_file, truth, logins))


@main.command()
def migrate() -> None:
    """Bring the database up to date, and make the broker keep messages for ingest."""
    for name in asyncio.run(fleet.prepare(Settings())):
        click.echo(f"applied {name}")


@main.command()
@click.option("--world", "world_file", type=click.Path(path_type=Path), required=True)
@click.option("--vans", type=int, default=200, show_default=True)
@click.option("--sites", type=int, default=20_000, show_default=True)
@click.option("--seed", "number", type=int, default=1, show_default=True)
@click.option("--logins", type=click.Path(path_type=Path), help="Write each van's own there.")
def seed(world_file: Path, vans: int, sites: int, number: int, logins: Path | None) -> None:
    """Import a simulated world once, today's tours each time, and write the world's file."""
    asked, settings = seeds.new_world(number, vans, sites), Settings()
    world = seeds.read_world(world_file) or asked
    seeds.seed(settings, world_file, world, click.echo)
    seeds.import_tours(settings, world_file.parent, world, asked.first_day)
    if logins is not None:
        seeds.provision_fleet(settings, logins)


@main.command("import")
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


@main.command()
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


@main.command()
@click.option(
    "--what",
    type=click.Choice(["geofence", "knowable", "stock", "access", "faults", "poison", "pressure"]),
    default="geofence",
    show_default=True,
)
@click.option("--vans", type=int, default=200, show_default=True)
@click.option("--hours", type=float, default=10.0, show_default=True, help="Of each van's day.")
@click.option("--interval", type=int, default=10, show_default=True, help="Seconds between fixes.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--days-before", type=int, default=2, show_default=True, help="To calibrate ETAs on.")
@click.option("--sites", type=int, default=20_000, show_default=True)
@click.option("--items", type=int, default=1_800, show_default=True, help="Of stock.")
@click.option("--days", type=int, default=20, show_default=True, help="Of stock.")
@click.option("--faults", type=int, default=100, show_default=True, help="Of a campaign.")
@click.option("--messages", type=int, help="Of rubbish (a million) or under pressure (60,000).")
@click.option("--report", type=click.Path(path_type=Path), help="Write the figures there too.")
def verify(
    what: str,
    report: Path | None,
    items: int,
    days: int,
    faults: int,
    messages: int | None,
    **options: Any,
) -> None:
    """Judge the engine by a simulated day's truth, delivered live, in order and shuffled.

    Or say how much of its late arrivals is knowable a quarter of an hour ahead, to whom the dice
    are known: no engine can announce more. Or judge weeks of stock: levels, orders, jobs served. Or try
    who can write and read what. Or let faults strike the running processes, and compare the tables with
    those of a calm run. Or send them rubbish (poison), or messages while the database is away (pressure).
    """
    plan = verifies.Plan(**options)
    stock_plan = stock_verify.Plan(plan.vans, items, days, plan.seed)
    try:
        match what:
            case "geofence":
                figures = verifies.run(plan)
            case "knowable":
                figures = verifies.knowable(plan)
            case "access":
                figures = access.run()
            case "faults":
                figures = campaign.run(campaign.Plan(plan.seed, faults))
            case "poison":
                figures = poison.run(poison.Plan(plan.seed, messages or 1_000_000))
            case "pressure":
                figures = pressure.run(pressure.Plan(plan.seed, messages or 60_000))
            case _:
                figures = stock_verify.run(stock_plan)
    except (embedded.ServerError, imports.UnusableFileError) as error:
        raise click.ClickException(str(error)) from error
    text = json.dumps(figures, indent=2)
    if report:
        report.write_text(text + "\n")
    click.echo(text)
    wrong = sum(figures.get(name, 0) for name in WRONG)
    judges = {"faults": campaign.failed, "poison": poison.failed, "pressure": pressure.failed}
    wrong += what in judges and judges[what](figures)
    sys.exit(0 if figures.get("tables_equal", True) and not wrong else 1)


@main.command()
@click.argument("what", type=click.Choice(["geofence", "late", "stock"]))
@click.option("--json", "as_json", is_flag=True, help="On one line.")
def bench(what: str, *, as_json: bool) -> None:
    """Measure the geofence engine, what late fixes cost, or stock, in whole runs on one core."""
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "geofence": benches.geofence,
        "late": benches.late,
        "stock": stock_bench.stock,
    }
    figures = measures[what]()
    click.echo(json.dumps(figures, indent=None if as_json else 2))


@main.command("replay-rules")
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


@main.command()
@click.argument("service", type=click.Choice(list(healths.LOOPS)))
def health(service: str) -> None:
    """Exit with 0 if SERVICE is at work on this machine: the health check of compose."""
    if words := healths.complaint(Settings(), service):
        raise click.ClickException(words)


@main.group()
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


main.add_command(webhook)
main.add_command(user)
main.add_command(machine)
main.add_command(provision)
main.add_command(retention)
main.add_command(person)
main.add_command(backup)
main.add_command(restore)


@main.command()
def doctor() -> None:
    """Say what works, what is missing, and what to do about it."""
    findings = asyncio.run(doctors.examine(Settings()))
    for finding in findings:
        click.echo(f"{finding.mark}  {finding.text}")
    sys.exit(1 if any(finding.is_bad for finding in findings) else 0)


@main.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if a page is stale.")
def docs(*, check: bool) -> None:
    """Write docs/WIRE.md, its JSON Schemas and docs/SETTINGS.md from the code."""
    stale = papers.write(Path("docs"), check=check)
    for path in stale:
        click.echo(f"{path} is {'stale: run `make docs`' if check else 'written'}")
    sys.exit(1 if check and stale else 0)


@main.command()
@click.option("--folder", type=FOLDER_PATH, default=FOLDER, show_default=True)
def clean(folder: Path) -> None:
    """Delete what `cordee demo` keeps."""
    embedded.remove_data(folder)


if __name__ == "__main__":
    main()
