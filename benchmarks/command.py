"""`cordee bench`: whole runs with real servers, medians, as JSON."""

import json
from typing import Any

import click

from benchmarks import engine, ingest, stock


@click.command()
@click.argument("what", type=click.Choice(["geofence", "ingest", "late", "pages", "stock"]))
@click.option("--vans", type=int, default=200, show_default=True, help="Of ingest and stock.")
@click.option("--runs", type=int, default=5, show_default=True, help="Of which the median is told.")
@click.option("--messages", type=int, help="How many ingest is sent; else all of a working day.")
@click.option("--json", "as_json", is_flag=True, help="On one line.")
def bench(what: str, vans: int, runs: int, messages: int | None, *, as_json: bool) -> None:
    """Measure ingest, the geofence engine, what late fixes cost, stock, or what pages wait for."""
    figures: dict[str, Any]
    match what:
        case "geofence":
            figures = engine.geofence(runs)
        case "ingest":
            figures = ingest.run(vans, runs, messages=messages)
        case "late":
            figures = engine.late()
        case "pages":
            from benchmarks import pages  # noqa: PLC0415  needs a browser, which no user of Cordée has to have

            figures = pages.run(vans)
        case _:
            figures = stock.stock(runs, vans)
    click.echo(json.dumps(figures, indent=None if as_json else 2))
