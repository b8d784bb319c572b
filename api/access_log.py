"""Who looked at where a van is or was, so that those who drive can see who did.

One row a reader, van, hour and kind (`position`: where it is; `track`: where it was) is all that is
kept: enough to ask somebody about it, and no second record of what planners do all day. A read waits for
nothing: it leaves a note in memory, and a task of its own writes the notes within a second. While the
database does not answer they wait, 100,000 at most; of a process that is killed, the last second is
lost. A technician who looks at the own van is not noted.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from api.auth import Who
from storage.pool import Pool

What = Literal["track", "position"]

EVERY_S: Final = 1.0
WAITING_MAX: Final = 100_000
WRITE: Final = """
INSERT INTO access_log
  (organisation_id, van_id, hour, what, reader, technician_id, reader_name, reader_role)
SELECT van.organisation_id, van.van_id, note.hour, note.what, note.reader, van.technician_id,
       note.name, note.role
FROM unnest(%s::integer[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::text[],
            %s::text[]) AS note (organisation_id, van, hour, what, reader, name, role)
JOIN van ON (van.organisation_id, van.code) = (note.organisation_id, note.van)
ON CONFLICT DO NOTHING
"""

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Note:
    """Somebody looked at a van, in the columns of `WRITE`."""

    organisation: int
    van: str
    hour: datetime
    what: What
    reader: str
    name: str
    role: str


class AccessLog:
    """Takes notes at once, and writes them a moment later."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._hour: datetime | None = None
        self._seen: set[tuple[str, str, What]] = set()
        self._waiting: list[Note] = []

    def note(self, who: Who, what: What, vans: Iterable[str], now: datetime) -> None:
        """Note that somebody saw these vans; `now` is the machine's time."""
        if who.role == "technician":
            return
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self._hour:
            self._hour, self._seen = hour, set()
        for van in vans:
            key = (who.account, van, what)
            if key in self._seen:
                continue
            if len(self._waiting) >= WAITING_MAX:
                logger.warning("the access log is full: PostgreSQL has not answered for long")
                return
            self._seen.add(key)
            self._waiting.append(
                Note(who.organisation, van, hour, what, who.account, who.name, who.role)
            )

    async def write(self) -> None:
        """Write what waits; what cannot be written waits on."""
        notes, self._waiting = self._waiting, []
        if not notes:
            return
        columns = [
            [getattr(note, name) for note in notes]
            for name in ("organisation", "van", "hour", "what", "reader", "name", "role")
        ]
        try:
            async with self._pool.connection(timeout=EVERY_S) as conn:
                await conn.execute(WRITE, columns)
        except (psycopg.OperationalError, PoolTimeout):
            self._waiting = notes + self._waiting
            logger.warning("the access log waits: PostgreSQL does not answer", notes=len(notes))

    async def run(self) -> None:
        """Write every second, for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.write()
