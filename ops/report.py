"""What the tables say: gathered for the comparison with the truth, and as figures of a report."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import TupleRow

from api.auth import DEFAULT_ORGANISATION
from api.queries import figures
from simulators.truth import Tables
from storage.pool import connect

#: What was not issued for longer than this lies dead, days.
DEAD_AFTER_DAYS: Final = 90

VISITS = """
SELECT van.code, site.code, (extract(epoch FROM arrived_at) * 1000)::bigint,
       (extract(epoch FROM left_at) * 1000)::bigint
FROM visit JOIN van USING (van_id) JOIN site USING (site_id)
WHERE verdict = 'visit' AND shadowed_by IS NULL
"""

LEVELS = """
SELECT van.code, ref, sum(qty)::bigint
FROM level JOIN location USING (location_id) JOIN van USING (van_id) JOIN item USING (item_id)
WHERE kind = 'van'
GROUP BY 1, 2
"""

# The true time of commit, where the server keeps it (track_commit_timestamp).
FIXES = """
SELECT van.code, (extract(epoch FROM fix_time) * 1000)::bigint,
       (extract(epoch FROM pg_xact_commit_timestamp(fix.xmin)) * 1000)::bigint
FROM fix JOIN van USING (van_id)
"""

SCANS = "SELECT device, epoch, seq FROM scan UNION SELECT device, epoch, seq FROM scan_unusable"


def read_tables(database_url: str) -> Tables:
    """Return all that the simulator's truth can be compared with."""
    with psycopg.connect(database_url) as conn:

        def ask(query: str) -> Iterable[TupleRow]:
            return conn.execute(query).fetchall()

        fixes = list(ask(FIXES))
        return Tables(
            visits=[tuple(row) for row in ask(VISITS)],
            levels={(van, ref): qty for van, ref, qty in ask(LEVELS)},
            fix_keys={(van, t) for van, t, _ in fixes},
            scan_keys={(device, epoch, seq) for device, epoch, seq in ask(SCANS)},
            rejected=next(iter(ask("SELECT count(*) FROM rejected")))[0],
            orders=next(iter(ask("SELECT count(*) FROM resupply_order")))[0],
            commit_ms={(van, t): ms for van, t, ms in fixes if ms is not None},
        )


async def stock_figures(database_url: str, since: datetime, until: datetime) -> dict[str, Any]:
    """Return how well the vans of the first organisation were stocked from `since` to `until`.

    Those of `/v1/stock/figures`, with the parts that most jobs lacked and what lies dead in vans.
    """
    period = figures.Period(since, until)
    async with connect(database_url, "cordee-report") as pool, pool.connection() as conn:
        stocked = await figures.of_period(conn, DEFAULT_ORGANISATION, period, until)
        lacked = await figures.missing_parts(conn, DEFAULT_ORGANISATION, period, 5)
        dead = await figures.dead_stock(conn, DEFAULT_ORGANISATION, None, until, DEAD_AFTER_DAYS, 1)
    told = {name: _rounded(value) for name, value in asdict(stocked).items()}
    return told | {
        "most_missing": [asdict(part) for part in lacked],
        "dead_after_days": DEAD_AFTER_DAYS,
        "dead_pairs": dead.pairs,
        "dead_units": dead.units,
        "days": round((until - since) / timedelta(days=1), 2),
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value
