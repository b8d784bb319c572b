"""The terminal panel of a running system: what goes in, and what comes of it."""

from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import class_row
from rich.console import Group
from rich.panel import Panel
from rich.table import Table

FIGURES = """
WITH recent AS (
  SELECT * FROM ingest_activity
  WHERE second > clock_timestamp() - INTERVAL '11 s' AND second < date_trunc('second', now())
)
SELECT
  (SELECT count(*) FROM van_position AS p
   WHERE p.fix_time > %(now)s - INTERVAL '5 min' AND ignition) AS vans_on_the_road,
  (SELECT count(*) FROM van_position) AS vans_seen,
  (SELECT coalesce(sum(messages), 0) / 10.0 FROM recent)::float8 AS messages_per_s,
  (SELECT array_agg(n ORDER BY i) FROM (
     SELECT i, sum(n) AS n FROM recent, unnest(lag_counts) WITH ORDINALITY AS c (n, i) GROUP BY i
   ) AS summed)::bigint[] AS lag_counts,
  (SELECT count(*) FROM visit WHERE verdict = 'visit' AND shadowed_by IS NULL) AS visits,
  (SELECT count(*) FROM alert WHERE state = 'open') AS late_open,
  (SELECT count(*) FROM alert WHERE state <> 'withdrawn') AS late_stops,
  (SELECT count(*) FROM scan) AS scans,
  (SELECT count(*) FROM resupply_order) AS orders,
  (SELECT count(*) FROM rejected) AS rejected
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """What the panel shows, as of one moment."""

    vans_on_the_road: int
    vans_seen: int
    messages_per_s: float
    lag_counts: list[int] | None
    visits: int
    late_open: int
    late_stops: int
    scans: int
    orders: int
    rejected: int

    def lag_ms(self, share: float) -> int | None:
        """Return a bound under which this share of messages was committed, ms, a power of two."""
        counts = self.lag_counts or []
        wanted = share * sum(counts)
        return next((2**i for i, n in enumerate(accumulate(counts)) if n and n >= wanted), None)


def read(conn: psycopg.Connection, now: datetime) -> Figures:
    """Ask the database for the figures at `now`, by the system's clock."""
    with conn.cursor(row_factory=class_row(Figures)) as cursor:
        found = cursor.execute(FIGURES, {"now": now}).fetchone()
    if found is None:
        raise LookupError("a query of aggregates gave no row")
    return found


def draw(
    figures: Figures, now: datetime, address: str, sign_in: str, speed: float, note: str
) -> Panel:
    """Return the panel."""
    table = Table.grid(padding=(0, 3))
    for style in ("dim", "bold cyan", "dim", "bold cyan"):
        table.add_column(style=style, justify="left" if style == "dim" else "right", min_width=12)
    lag = f"{_lag(figures.lag_ms(0.5))} / {_lag(figures.lag_ms(0.99))}"
    rows = (
        ("on the road", f"{figures.vans_on_the_road} of {figures.vans_seen}",
         "visits", f"{figures.visits:,}"),
        ("messages/s", f"{figures.messages_per_s:,.0f}",
         "late stops", f"{figures.late_stops:,} ({figures.late_open:,} open)"),
        ("lag p50 / p99", lag, "resupply orders", f"{figures.orders:,}"),
        ("scans", f"{figures.scans:,}", "rejected", f"{figures.rejected:,}"),
    )  # fmt: skip
    for row in rows:
        table.add_row(*row)
    local = now.astimezone(ZoneInfo("Europe/Paris"))
    title = f"[bold]Cordée[/]  {local:%a %d %b %H:%M:%S}  x{speed:g}"
    return Panel(
        Group(table, f"\n[dim]Sign in:[/] {sign_in}"),
        title=title,
        subtitle=f"[link={address}]{address}[/link]   Ctrl-C stops   {note}",
        padding=(1, 2),
        expand=False,
    )


def _lag(bound_ms: int | None) -> str:
    return "-" if bound_ms is None else f"<{bound_ms} ms"
