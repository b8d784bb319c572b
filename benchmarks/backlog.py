"""A fleet that was offline all day and comes back at once, while it goes on sending live positions.

Every van's fixes of eight hours, one a second, are sent in arrays of 500, van after van; meanwhile every
van sends where it is now, 200 positions a second in all. The broker puts all of it into one line.

| figure                | from, to                                                                   |
| --------------------- | -------------------------------------------------------------------------- |
| `drain_s`             | first byte of the backlog; commit of its last fix                          |
| `fixes_per_s`         | fixes of the backlog by that time                                          |
| `live_ms_*_meanwhile` | sent, committed: of live positions sent before the backlog was drained     |
| `live_ms_*_after`     | the same of those sent later                                               |
| `tables_equal`        | row for row, with a run that got the same messages by their times          |
"""

from datetime import timedelta
from typing import Any, Final

import numpy as np
import psycopg

from benchmarks.ingest import PER_SECOND, Running, opened
from benchmarks.messages import Message, Tracks, arrays_by_van, singles
from ops.faults import compare
from simulators.load import SENT
from simulators.vans import Fixes, Tracker

EVERY_SECOND: Final = Tracker(1, 1)
#: How long live positions are sent.
LIVE_S: Final = 180

#: Live positions are the newest of each van.
LAST_COMMIT: Final = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(fix.xmin)))::float8
FROM unnest(%s::text[], %s::bigint[]) AS live (code, since_ms)
JOIN van USING (code)
JOIN fix ON fix.van_id = van.van_id AND fix_time < to_timestamp(since_ms / 1000.0)
"""


def run(vans: int = 200, hours: float = 8.0, sites: int = 20_000) -> dict[str, Any]:
    """Return the figures of the table above.

    Args:
        vans: How many come back.
        hours: How long they were offline.
        sites: How many fences there are.

    Raises:
        ServerError: A server did not start, or ingest stopped working.
    """
    with opened(vans, sites) as bench:
        heap, live = parts(bench.tracks(EVERY_SECOND), hours)
        with bench.running() as one, bench.running() as calm:
            figures = drained(one, heap, live)
            calm.flood(sorted([*heap, *live], key=lambda message: message.t_ms))
            counts, differences = compare.compare(
                one.settings.database_url, calm.settings.database_url
            )
    return {
        "vans": vans,
        "hours": hours,
        "fixes": sum(message.fixes for message in heap),
        **figures,
        "tables_equal": not differences,
        "differences": {table: it.surplus + it.missing for table, it in differences.items()},
        "rows_compared": sum(counts.values()),
    }


def parts(tracks: Tracks, hours: float) -> tuple[list[Message], list[Message]]:
    """Return what was kept while offline, van after van, and what is sent when back, by time."""
    live_each = LIVE_S * PER_SECOND // len(tracks)
    kept: list[tuple[str, Fixes]] = []
    now: list[tuple[str, Fixes]] = []
    for van, fixes in tracks:
        until = min(round(hours * timedelta(hours=1).total_seconds()), len(fixes.t_ms) - live_each)
        nth = np.arange(len(fixes.t_ms))
        kept.append((van, fixes.only(nth < until)))
        now.append((van, fixes.only((nth >= until) & (nth < until + live_each))))
    return [message for of_van in arrays_by_van(kept) for message in of_van], singles(now)


def drained(one: Running, heap: list[Message], live: list[Message]) -> dict[str, float]:
    """Send all of it, and return when what was committed."""
    rest = one.warm(live)
    one.write("heap", heap)
    one.write("live", rest)
    backlog, now = one.publisher("heap"), one.publisher("live", per_second=PER_SECOND)
    for publisher in (backlog, now):
        publisher.wait()
    one.until_committed(len(heap) + len(live))
    waits = one.waits("live", rest)
    sent_at = np.load(one.folder / "live" / SENT)
    since = {message.van: message.t_ms for message in reversed(live)}
    with psycopg.connect(one.settings.database_url) as conn:
        found = conn.execute(LAST_COMMIT, (list(since), list(since.values()))).fetchall()
    [(drained_at,)] = found
    drain_s = drained_at - float(sent_at[0])
    meanwhile = sent_at < drained_at
    return {
        "drain_s": round(drain_s, 1),
        "fixes_per_s": round(sum(message.fixes for message in heap) / drain_s),
        "ingest_peak_mb": one.peak_mb(),
        **_quantiles("live_ms", waits[meanwhile], "meanwhile"),
        **_quantiles("live_ms", waits[~meanwhile], "after"),
    }


def _quantiles(name: str, waits: Any, when: str) -> dict[str, float]:
    if not len(waits):
        return {}
    return {
        f"{name}_p{percent}_{when}": round(float(np.quantile(waits, percent / 100)), 1)
        for percent in (50, 99)
    }
