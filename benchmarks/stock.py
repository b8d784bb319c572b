"""How fast scans are applied, and that the cost of a batch does not grow with what is kept.

On one core, PostgreSQL and ingest together: `ingest.service` commits batches of scans of all vans, from
bytes to committed rows, levels, proposals and count tasks. Batches of 1, 100 and 1,000 scans; then the
same batches, in turn, on a tenth of the pairs and on all, for their ratio. At last every pair's proposal
is worked out anew at once, as after a change of every template.
"""

import asyncio
import random
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks import cpu
from ingest.batch import Delivery
from ingest.messages import Intent, Scan, encode
from ops import embedded, imports
from ops.stock_verify import Base, engine
from simulators import stock_world
from simulators.stock_world import StockWorld, local_ms
from stock_tracker.levels import lock_ledger
from stock_tracker.resupply import positions
from storage.pool import migrate
from storage.settings import Settings

FIRST_DAY: Final = date(2026, 6, 1)
SIZES: Final = (1, 100, 1_000)
INTENTS: Final[tuple[Intent, ...]] = ("issue", "issue", "issue", "load", "count", "transfer")
IMPORTED: Final = ("warehouses", "technicians", "items", "barcodes", "vans", "sites")
EVERY_PAIR: Final = """
SELECT location_id, item_id FROM level JOIN location USING (location_id) WHERE kind = 'van'
"""
#: Every van may hold every item: a policy and a level for each pair.
FILL: Final = """
INSERT INTO template_line
SELECT template_id, item_id, 1 + item_id %% 3, 3 + item_id %% 3, 20, 1
FROM van_template, item WHERE item_id <= %(items)s ON CONFLICT DO NOTHING;
INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t)
SELECT 'import', 'bench', row_number() OVER (), location_id, item_id, 2 + item_id %% 5,
       '2026-05-31 18:00Z'
FROM location, item WHERE kind = 'van' AND item_id <= %(items)s;
INSERT INTO level (location_id, item_id, qty, counted_at)
SELECT location_id, item_id, qty, t FROM count_line;
"""


def stock(runs: int = 5, vans: int = 200, items: int = 1_800) -> dict[str, Any]:
    """Return scans per second, milliseconds of a batch by the number of pairs, seconds of all pairs."""
    world = stock_world.create(1, vans, items, FIRST_DAY)
    with ExitStack() as stack:
        stack.enter_context(cpu.cores(1))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        few, many = (
            asyncio.run(_filled(url, folder, world, name, kept))
            for name, kept in (("few", max(1, items // 10)), ("many", items))
        )
        figures = asyncio.run(_measure(world, few, many, runs))
    return {"vans": vans, "pairs": vans * items, "runs": runs, **figures}


async def _filled(url: str, folder: Path, world: StockWorld, name: str, items: int) -> str:
    """Return a database in which each van holds the first `items` items."""
    database = embedded.ensure_database(url, name)
    migrate(database)
    for kind, text in stock_world.files(world, 1):
        if kind in (*IMPORTED, "templates"):
            file = folder / f"{kind}.csv"
            file.write_text(text)
            await imports.import_file(Settings(database_url=database), kind, file)
    with psycopg.connect(database, autocommit=True) as conn:
        for statement in FILL.split(";\n"):
            if statement.strip():
                conn.execute(statement, {"items": items})
        conn.execute("ANALYZE")
    return database


async def _measure(world: StockWorld, few: str, many: str, runs: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shared = max(1, len(world.parts) // 10)
    async with engine(few) as small, engine(many) as large:
        for base in (small, large):
            await base.tick(local_ms(FIRST_DAY, stock_world.DELIVERY))
        writers = _Writer(world, shared), _Writer(world, shared)
        for size in SIZES:
            took: dict[int, list[float]] = {0: [], 1: []}
            for _ in range(runs + 1):  # the first of each is not counted
                for which, base in enumerate((small, large)):
                    took[which].append(await _commit(base, writers[which].batch(size)))
            of_few, of_many = (statistics.median(took[which][1:]) for which in (0, 1))
            found[f"batch_of_{size}"] = {
                "ms": round(1_000 * of_many, 2),
                "ms_at_a_tenth_of_the_pairs": round(1_000 * of_few, 2),
                "ratio": round(of_many / of_few, 2),
                "scans_per_s": round(size / of_many),
            }
        found["every_pair"] = await _every_pair(large, runs)
    return found


async def _commit(base: Base, batch: list[Delivery]) -> float:
    begun = time.perf_counter()
    await base.commit(batch, local_ms(FIRST_DAY, stock_world.CUTOFF))
    return time.perf_counter() - begun


async def _every_pair(base: Base, runs: int) -> dict[str, Any]:
    """Work out the proposal of every pair, and take it back."""
    took, pairs = [], 0
    for _ in range(runs):
        async with base.pool.connection() as conn:
            every = await (await conn.execute(EVERY_PAIR)).fetchall()
            begun = time.perf_counter()
            await lock_ledger(conn)
            await positions.refresh_proposals(conn, every)
            took.append(time.perf_counter() - begun)
            pairs = len(every)
            await conn.rollback()
    seconds = statistics.median(took)
    return {"pairs": pairs, "s": round(seconds, 2), "pairs_per_s": round(pairs / seconds)}


class _Writer:
    """Writes scans as tablets would, of items that both databases hold."""

    def __init__(self, world: StockWorld, items: int) -> None:
        self.world, self.items = world, items
        self.rng = random.Random(1)  # noqa: S311 - repeatable, not secret
        self.seq = 0

    def batch(self, size: int) -> list[Delivery]:
        """Return messages of one scan each, of vans at random."""
        return [self._one() for _ in range(size)]

    def _one(self) -> Delivery:
        self.seq += 1
        van, other = self.rng.sample(self.world.vans, 2)
        intent = self.rng.choice(INTENTS)
        scan = Scan(
            epoch="bench",
            seq=self.seq,
            t=local_ms(FIRST_DAY, stock_world.DELIVERY) + self.seq,
            intent=intent,
            code=self.world.parts[self.rng.randrange(self.items)].code,
            qty=self.rng.randint(0, 9) if intent == "count" else None,
            counterpart=other if intent == "transfer" else None,
            work_order=f"W-{self.seq}",
        )
        return Delivery(f"fleet/v1/{van}/scan", encode(scan))
