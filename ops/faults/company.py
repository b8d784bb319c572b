"""A hundred vans without a world: what poison and pressure are sent to."""

import asyncio
from typing import Final

import psycopg
from psycopg.rows import TupleRow

from ingest.batch import Van
from ingest.subscriber import limit_backlog, open_session
from ops import embedded
from ops.faults.stack import Stack
from storage.pool import migrate
from storage.settings import Settings

VANS: Final = 100
LOOK_S: Final = 0.5

COMPANY: Final = f"""
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 'WH', 'Depot', 48.0, 11.0);
INSERT INTO location (organisation_id, kind, warehouse_id) VALUES (1, 'warehouse', 1);
INSERT INTO van (organisation_id, code, name, warehouse_id)
SELECT 1, 'van-' || lpad(n::text, 3, '0'), 'Van', 1 FROM generate_series(1, {VANS}) AS n;
INSERT INTO location (organisation_id, kind, van_id) SELECT 1, 'van', van_id FROM van;
UPDATE reference_version SET version = version + 1;
"""


def codes() -> list[str]:
    """Return the vans."""
    return [f"van-{n:03d}" for n in range(1, VANS + 1)]


def vans_of(conn: psycopg.Connection[TupleRow]) -> dict[str, Van]:
    """Return every van by its code, as a batch's decoder wants them."""
    rows = conn.execute("SELECT van_id, code FROM van").fetchall()
    return {code: Van(van_id, 1, code, {}) for van_id, code in rows}


async def start(stack: Stack) -> None:
    """Start both servers and ingest, with the company in the tables. Raises ServerError."""
    await asyncio.to_thread(stack.start_servers)
    url = embedded.ensure_database(stack.server_url, "cordee")
    await asyncio.to_thread(migrate, url)
    with psycopg.connect(url) as conn:
        conn.execute(COMPANY)
    stack.settings = Settings(
        database_url=url,
        broker_port=stack.broker_port,
        broker_monitor_url=embedded.monitor_url(stack.folder),
    )
    await open_session(stack.settings)
    await limit_backlog(stack.settings)
    await stack.up("ingest")


class Watch:
    """Ingest's memory, looked at now and then."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.most_mb = 0.0

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.most_mb = max(self.most_mb, self.stack.rss_mb("ingest"))
            await asyncio.sleep(LOOK_S)
