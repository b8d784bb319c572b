"""Counters for Prometheus from `ingest_activity`, which is kept only an hour.

A counter must never fall, and the sum of a table whose old rows are deleted does. So this process
adds up each second once, when it is settled, from the hour before its start on. A restart begins
anew, which Prometheus understands. If nobody asks for an hour, what was deleted is missed.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime

from api.figures import summed
from api.queries import installation
from storage.pool import Connection
from storage.settings import as_datetime

#: A second is still being added to while its batches commit; five later it is settled.
SETTLED_AFTER_MS = 5_000


class IngestTotals:
    """What ingest has committed, as far as this process has added it up."""

    def __init__(self) -> None:
        self.batches = self.messages = self.fixes = self.scans = self.rejected = 0
        self.lag_counts: list[int] = []
        self.age_counts: list[int] = []
        self.tallies: Counter[str] = Counter()
        self._through = datetime.fromtimestamp(0, UTC)
        self._turn = asyncio.Lock()

    async def catch_up(self, conn: Connection, real_ms: int) -> None:
        """Add the seconds that have settled since the last call."""
        async with self._turn:
            until = as_datetime(real_ms - SETTLED_AFTER_MS)
            for second in await installation.activity(conn, self._through, until):
                self.batches += second.batches
                self.messages += second.messages
                self.fixes += second.fixes
                self.scans += second.scans
                self.rejected += second.rejected
                self.lag_counts = summed([self.lag_counts, second.lag_counts])
                self.age_counts = summed([self.age_counts, second.age_counts])
                self.tallies.update(second.tallies)
                self._through = max(self._through, second.second)
