"""`cordee verify`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from ops import embedded, imports, stock_verify
from ops import verify as verifies
from ops.access import parts as access
from ops.faults import campaign, failover, poison, pressure

#: Counts in a report that must be 0.
WRONG = ("levels_wrong", "duplicate_orders", *access.WRONG)


@click.command()
@click.option(
    "--what",
    type=click.Choice(
        ["geofence", "knowable", "stock", "access", "faults", "poison", "pressure", "cluster"]
    ),
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
    those of a calm run. Or send them rubbish (poison), or messages while the database is away (pressure). Or kill servers and workers of a cluster.
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
            case "cluster":
                figures = failover.run(failover.Plan(plan.seed))
            case _:
                figures = stock_verify.run(stock_plan)
    except (embedded.ServerError, imports.UnusableFileError) as error:
        raise click.ClickException(str(error)) from error
    text = json.dumps(figures, indent=2)
    if report:
        report.write_text(text + "\n")
    click.echo(text)
    wrong = sum(figures.get(name, 0) for name in WRONG)
    judges = {
        "faults": campaign.failed,
        "poison": poison.failed,
        "pressure": pressure.failed,
        "cluster": failover.failed,
    }
    wrong += what in judges and judges[what](figures)
    sys.exit(0 if figures.get("tables_equal", True) and not wrong else 1)
