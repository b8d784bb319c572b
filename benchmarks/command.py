"""`cordee bench`: whole runs with real servers, medians, as JSON."""

import json
from pathlib import Path
from typing import Any

import click

from benchmarks import backlog, engine, ingest, start, stock


@click.command()
@click.argument(
    "what",
    type=click.Choice(
        ["backlog", "geofence", "ingest", "late", "pages", "queries", "start", "stock"]
    ),
)
@click.option(
    "--vans", type=int, default=200, show_default=True, help="Of all but geofence and late."
)
@click.option("--hours", type=float, default=8.0, show_default=True, help="Offline: of backlog.")
@click.option("--runs", type=int, default=5, show_default=True, help="Of which the median is told.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes of ingest.")
@click.option("--every", type=int, default=10, show_default=True, help="Seconds: of ingest's vans.")
@click.option("--messages", type=int, help="How many ingest is sent; else all of a working day.")
@click.option("--days", type=int, default=60, show_default=True, help="Of queries.")
@click.option("--database", help="An empty database for queries to fill; else one of its own.")
@click.option("--minutes", type=float, default=0.0, show_default=True, help="Of start, for memory.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder that keeps what queries were asked of: the next run of this size does not fill it.",
)
@click.option("--json", "as_json", is_flag=True, help="On one line.")
def bench(
    what: str,
    vans: int,
    hours: float,
    runs: int,
    workers: int,
    every: int,
    messages: int | None,
    days: int,
    database: str | None,
    minutes: float,
    data: Path | None,
    *,
    as_json: bool,
) -> None:
    """Measure ingest, a fleet's return, the geofence engine, late fixes, stock, starts, or what pages wait for.

    `start` takes three cold starts and five warm ones of a demo, memory and install size too.
    `queries` fills a database with months of fixes: 100 million take about 20 GB and half an hour.
    """
    figures: dict[str, Any]
    match what:
        case "backlog":
            figures = backlog.run(vans, hours)
        case "geofence":
            figures = engine.geofence(runs)
        case "ingest":
            figures = ingest.run(vans, runs, messages=messages, workers=workers, every_s=every)
        case "late":
            figures = engine.late()
        case "pages":
            from benchmarks import pages  # noqa: PLC0415  needs a browser, which no user of Cordée has to have

            figures = pages.run(vans)
        case "queries":
            from benchmarks import history, queries  # noqa: PLC0415  all of the API's questions

            figures = queries.run(history.Size(vans, days), database, data)
        case "start":
            figures = start.run(runs, vans, minutes)
        case _:
            figures = stock.stock(runs, vans)
    click.echo(json.dumps(figures, indent=None if as_json else 2))
