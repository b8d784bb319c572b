"""How long every page's question takes over months of a fleet, and whether its plan reads too much.

A database is filled with a company's past (`benchmarks/history.py`). Each question is then asked as the
API asks it: the function of `api/queries`, on a connection of a pool, again and again with other
vans, sites and days; what psycopg prepares after five times is prepared here too. Once more on a
connection that notes what is sent, and PostgreSQL tells the plan of each statement.

| figure                      | what                                                                    |
| --------------------------- | ----------------------------------------------------------------------- |
| `p50_ms`, `p99_ms`          | from taking the connection to the last row as a Python object            |
| `samples`                   | how often it was asked: 100 times, or for ten seconds, three times at least |
| `plan`                      | the kinds of nodes, and what each reads                                  |
| `bytes_per_fix`             | table and indexes of fixes by the number of fixes, before and after compression |
| `tsbs`                      | the questions of `benchmarks/tsbs.py`, the same way                      |

With TimescaleDB all days but the newest are compressed before anything is asked, as they would be in
time. A question that reads fixes, or a chunk of them, from end to end fails the run (TSBS asks two that
have to).
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
from psycopg import AsyncCursor, sql

from api.auth import OrganisationId
from api.live import TOPICS, Audience, read_view
from api.queries import (
    alerts,
    charges,
    client_sites,
    figures,
    installation,
    messages,
    operations,
    orders,
    plans,
    rejected,
    replans,
    resupply,
    search,
    sites,
    stock,
    tablet,
    vans,
    visit_reports,
    visits,
    ways,
)
from benchmarks import tsbs
from benchmarks.history import LAST_DAY, Size, fill
from ops import embedded
from storage.pool import Connection, Pool, connect, migrate
from storage.settings import as_datetime, as_ms

SAMPLES: Final = 100
SAMPLES_MIN: Final = 3
BUDGET_S: Final = 10.0
ORGANISATION: Final = OrganisationId(1)
ROWS: Final = 100
LAST_MS: Final = as_ms(datetime.combine(LAST_DAY, time_of_day(23, 59, 50), UTC))


class SequentialScanError(RuntimeError):
    """A page's question reads fixes from end to end; the message says which, and its plan."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a question is asked about: a van, one of its sites, an order, and a day of the past."""

    van: str
    van_id: int
    fleet: int
    site: str
    order: str
    day: date
    typed: str

    @property
    def since(self) -> datetime:
        """When the day begins."""
        return datetime.combine(self.day, time_of_day(), UTC)

    @property
    def until(self) -> datetime:
        """When the day ends."""
        return self.since + timedelta(days=1)


Ask = Callable[[Connection, Sample], Awaitable[object]]
MONTH: Final = timedelta(days=30)
NOW: Final = as_datetime(LAST_MS)
#: Of a month, as pages that tell of a period ask at first.
PARTS: Final = charges.Which(NOW - MONTH, NOW)
CLIENTS: Final = client_sites.WhichSites(NOW - MONTH, NOW)
PERIOD: Final = figures.Period(NOW - MONTH, NOW)
MESSAGES: Final = messages.WhichMessages(ORGANISATION, None)
ALIVE: Final = alerts.AlertFilter(alive_since=NOW - timedelta(hours=12))


async def _found(conn: Connection, sample: Sample) -> object:
    """Look for what somebody types into the box on top of every page."""
    words = await search.words(conn, sample.typed)
    assert words is not None  # noqa: S101  it is no empty text
    return [
        await search.vans(conn, ORGANISATION, words),
        await search.technicians(conn, ORGANISATION, words),
        await search.sites(conn, ORGANISATION, words),
        await search.items(conn, words),
        await search.orders(conn, ORGANISATION, words),
    ]


async def _live(conn: Connection, _: Sample, role: str) -> object:
    audience = Audience(ORGANISATION, TOPICS[role])  # type: ignore[index]  # every role has its topics
    return await read_view(conn, audience, LAST_MS, LAST_MS)


async def _own_live(conn: Connection, its: Sample) -> object:
    return await read_view(
        conn, Audience(ORGANISATION, TOPICS["technician"], its.van), LAST_MS, LAST_MS
    )


#: Every question that a page asks by itself, by page, and one that only programs ask.
PAGES: Final[Mapping[str, Ask]] = {
    "planner: live": partial(_live, role="planner"),
    "planner: vans": lambda c, _: vans.of_organisation(c, ORGANISATION, LAST_MS),
    "planner: a van's day": lambda c, its: vans.track(c, its.van_id, its.since, its.until, 20_001),
    "planner: a van's last 12 h": lambda c, its: vans.track(
        c, its.van_id, its.until - timedelta(hours=12), its.until, 5_001
    ),
    "planner: a van's legs of a week": lambda c, its: ways.legs(
        c, its.van_id, its.since - timedelta(days=6), its.until
    ),
    "planner: a van's visits": lambda c, its: visits.of_organisation(
        c, ORGANISATION, visits.VisitFilter(van=its.van), ROWS
    ),
    "planner: visits of a day": lambda c, its: visits.of_organisation(
        c, ORGANISATION, visits.VisitFilter(since=its.since, until=its.until), ROWS
    ),
    "planner: visits at a site": lambda c, its: visits.of_organisation(
        c, ORGANISATION, visits.VisitFilter(site=its.site), ROWS
    ),
    "planner: tours of a day": lambda c, its: plans.tours(c, ORGANISATION, its.day, LAST_DAY, {}),
    "planner: a tour": lambda c, its: plans.tour(c, ORGANISATION, its.van, its.day, LAST_DAY),
    "planner: alerts": lambda c, _: alerts.of_organisation(c, ORGANISATION, LAST_MS, ALIVE, ROWS),
    "planner: a van's alerts": lambda c, its: alerts.of_organisation(
        c, ORGANISATION, LAST_MS, alerts.AlertFilter(van=its.van), ROWS
    ),
    "planner: a site": lambda c, its: sites.find(c, ORGANISATION, its.site),
    "planner: a site's next visits": lambda c, its: sites.windows(
        c, ORGANISATION, its.site, its.day
    ),
    "planner: fences": lambda c, _: sites.fences(c, ORGANISATION),
    "planner: plans to change": lambda c, its: plans.days(c, ORGANISATION, its.day),
    "planner: replans": lambda c, its: replans.of_day(c, ORGANISATION, its.day),
    "planner: messages": lambda c, _: messages.newest(c, MESSAGES, ROWS),
    "every page: search": _found,
    "warehouse: live": partial(_live, role="warehouse"),
    "warehouse: orders": lambda c, _: orders.of_organisation(c, ORGANISATION, ROWS),
    "warehouse: an order's lines": lambda c, its: orders.lines(c, ORGANISATION, its.order),
    "warehouse: proposals": lambda c, _: resupply.proposals(c, ORGANISATION, 500),
    "warehouse: transfers": lambda c, _: resupply.transfers(c, ORGANISATION, ROWS),
    "warehouse: unclaimed boxes": lambda c, _: resupply.unclaimed(c, ORGANISATION, ROWS),
    "warehouse: variances": lambda c, _: resupply.variances(c, ORGANISATION, PARTS, ROWS),
    "warehouse: counts to do": lambda c, _: resupply.recounts(c, ORGANISATION, ROWS),
    "warehouse: a van's stock": lambda c, its: stock.of_van(c, its.van_id, 2_000),
    "warehouse: figures of a month": lambda c, _: figures.of_period(c, ORGANISATION, PERIOD, NOW),
    "warehouse: missing parts": lambda c, _: figures.missing_parts(c, ORGANISATION, PERIOD, ROWS),
    "warehouse: dead stock": lambda c, _: figures.dead_stock(c, ORGANISATION, None, NOW, 180, ROWS),
    "no page: least trusted of all vans": lambda c, _: figures.least_trusted(
        c, ORGANISATION, None, NOW, ROWS
    ),
    "warehouse: a van's least trusted": lambda c, its: figures.least_trusted(
        c, ORGANISATION, its.van_id, NOW, ROWS
    ),
    "warehouse: parts of a month": lambda c, _: charges.of_organisation(
        c, ORGANISATION, PARTS, ROWS
    ),
    "warehouse: questions of a month": lambda c, _: charges.questions(c, ORGANISATION, PARTS, ROWS),
    "warehouse: scans that wait": lambda c, _: charges.waiting(c, ORGANISATION, ROWS),
    "warehouse: unknown codes": lambda c, _: charges.unknown_codes(c, ORGANISATION, ROWS),
    "van: live": _own_live,
    "van: its stock": lambda c, its: stock.of_van(c, its.van_id, 500),
    "van: the catalogue": lambda c, _: tablet.catalogue(c),
    "client: planned visits": lambda c, its: client_sites.planned(
        c, ORGANISATION, CLIENTS, its.day, ROWS
    ),
    "client: reports": lambda c, _: visit_reports.reports(c, ORGANISATION, CLIENTS, ROWS),
    "operations: live": partial(_live, role="ops"),
    "operations: devices": lambda c, _: operations.devices(c, ORGANISATION, LAST_MS),
    "operations: unusable fixes of a day": lambda c, its: ways.unusable_fixes(
        c, ORGANISATION, its.since, its.until
    ),
    "operations: rejected": lambda c, _: rejected.messages(c, ORGANISATION, LAST_MS, ROWS),
    "operations: the database": lambda c, _: operations.database(c),
    "operations: what waits": lambda c, _: operations.waiting(c),
    "operations: actions": lambda c, its: operations.actions(
        c, ORGANISATION, its.since, its.until, ROWS
    ),
    "operations: the outbox": lambda c, _: installation.outbox_pending(c),
}


def run(size: Size, url: str | None = None, data: Path | None = None) -> dict[str, Any]:
    """Fill a database (of a server of its own, if none is named) and return the figures.

    Args:
        size: How large the past is.
        url: An empty database of somebody's server.
        data: Where an own server keeps what it was filled with: the next run of the same size asks at once.

    Raises:
        SequentialScanError: A page's question reads fixes from end to end.
        benchmarks.history.NotEmptyError: The database that was named is in use.
        ops.embedded.ServerError: PostgreSQL did not start.
    """
    with ExitStack() as stack:
        begun = time.monotonic()
        if url is None:
            folder = data
            if folder is None:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                stack.callback(embedded.remove_data, folder)
            server, own = embedded.start_postgres(folder)
            stack.callback(server.stop)
            url, fixes = _kept(own, size)
        else:
            fixes = fill(url, size)
        filled_s = time.monotonic() - begun
        found: dict[str, Any] = {**asdict(size), "fixes": fixes, "fill_s": round(filled_s)}
        found |= _compressed(url, fixes)
        return found | asyncio.run(_ask_all(url, size))


def _kept(server_url: str, size: Size) -> tuple[str, int]:
    """Return the database of this size and its number of fixes, filled if it is not there yet.

    It gets its name when it is full; what an interrupted run has left is filled anew.
    """
    name = f"queries_{size.vans}_{size.days}"
    with psycopg.connect(server_url, autocommit=True) as conn:
        known = conn.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone()
        if known is None:
            conn.execute("DROP DATABASE IF EXISTS filling")
            fill(embedded.ensure_database(server_url, "filling"), size)
            conn.execute(
                sql.SQL("ALTER DATABASE filling RENAME TO {}").format(sql.Identifier(name))
            )
    url = embedded.ensure_database(server_url, name)
    migrate(url)
    return url, size.fixes


def _compressed(url: str, fixes: int) -> dict[str, Any]:
    """Compress what would be in time, if it can be; return bytes per fix before and after."""
    with psycopg.connect(url, autocommit=True) as conn:
        loaded = conn.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
        if loaded is None:
            (size,) = conn.execute("SELECT pg_total_relation_size('fix')").fetchone() or (0,)
            return {"timescaledb": False, "bytes_per_fix": round(size / fixes, 1)}
        (before,) = conn.execute("SELECT hypertable_size('fix')").fetchone() or (0,)
        conn.execute(
            "SELECT compress_chunk(chunk) FROM show_chunks('fix', older_than => %s::timestamptz) AS chunk",
            (datetime.combine(LAST_DAY, time_of_day(), UTC),),
        )
        chunks = conn.execute(
            "SELECT before_compression_total_bytes, after_compression_total_bytes"
            " FROM chunk_compression_stats('fix') WHERE compression_status = 'Compressed'"
        ).fetchall()
        conn.execute("VACUUM ANALYZE fix")
    whole, packed = (sum(column) for column in zip(*chunks, strict=True)) if chunks else (1, 1)
    return {
        "timescaledb": True,
        "bytes_per_fix": round(before / fixes, 1),
        "bytes_per_fix_compressed": round(before / fixes * packed / whole, 1),
        "chunks_compressed": len(chunks),
    }


async def _ask_all(url: str, size: Size) -> dict[str, Any]:
    async with connect(url, "bench", size_max=1) as pool:
        async with pool.connection() as conn:
            samples = await _samples(conn, size)
            scanned = await _relations_of_fixes(conn)
        pages = {}
        for name, ask in PAGES.items():
            plan = await _plan(pool, ask, samples[0])
            _check(name, plan, scanned)
            pages[name] = await _timed(pool, ask, samples) | {"plan": _kinds(plan)}
        of_tsbs = {}
        for question in tsbs.ASKED:
            ask = partial(_tsbs, question)
            plan = await _plan(pool, ask, samples[0])
            if not question.reads_all:
                _check(question.name, plan, scanned)
            of_tsbs[f"{question.number} {question.name}"] = await _timed(pool, ask, samples) | {
                "plan": _kinds(plan)
            }
    return {"pages": pages, "tsbs": of_tsbs}


async def _tsbs(question: tsbs.Question, conn: Connection, its: Sample) -> object:
    since = its.since + timedelta(hours=0 if question.span == timedelta(days=1) else 9)
    values = {
        "van": its.van, "fleet": its.fleet, "since": since,
        "until": since + (question.span or timedelta()),
    }  # fmt: skip
    return await (await conn.execute(question.sql.encode(), values)).fetchall()


SAMPLED: Final = """
SELECT van.code, van_id, template_id, site.code, 'O-' || tour_id, service_date, site.name
FROM tour JOIN van USING (van_id) JOIN stop USING (tour_id) JOIN site USING (site_id)
WHERE position = 1 ORDER BY service_date, van_id
"""


async def _samples(conn: Connection, size: Size) -> list[Sample]:
    rows = await (await conn.execute(SAMPLED)).fetchall()
    random.Random(size.days).shuffle(rows)  # noqa: S311  repeatable, not secret
    return [
        Sample(van, van_id, fleet, site, order, day, name[:5])
        for van, van_id, fleet, site, order, day, name in rows[:SAMPLES]
    ]


async def _timed(pool: Pool, ask: Ask, samples: Sequence[Sample]) -> dict[str, Any]:
    """Ask about one sample after the other; return the quantiles. What came first is not counted."""
    took: list[float] = []
    ends = time.monotonic() + BUDGET_S
    for nth in range(SAMPLES + 1):
        if time.monotonic() > ends and nth > SAMPLES_MIN:
            break
        begun = time.perf_counter()
        async with pool.connection() as conn:
            await ask(conn, samples[nth % len(samples)])
        took.append(1_000 * (time.perf_counter() - begun))
    counted = took[1:]
    return {
        "p50_ms": round(float(np.quantile(counted, 0.5)), 2),
        "p99_ms": round(float(np.quantile(counted, 0.99)), 2),
        "samples": len(counted),
    }


Node = dict[str, Any]


async def _plan(pool: Pool, ask: Ask, sample: Sample) -> list[Node]:
    """Return the nodes of the plans of all statements that a question sends."""
    asked: list[tuple[Any, Any]] = []

    class Noting(AsyncCursor[Any]):
        async def execute(self, query: Any, params: Any = None, **how: Any) -> Any:
            asked.append((query, params))
            return await super().execute(query, params, **how)

    nodes: list[Node] = []
    async with pool.connection() as conn:
        usual, conn.cursor_factory = conn.cursor_factory, Noting
        try:
            await ask(conn, sample)
        finally:
            conn.cursor_factory = usual
        for query, params in asked:
            text = query if isinstance(query, bytes) else query.encode()
            explained = await conn.execute(b"EXPLAIN (FORMAT JSON) " + text, params)
            for (plan,) in await explained.fetchall():
                nodes += _nodes(plan[0]["Plan"])
    return nodes


def _nodes(plan: Node) -> Iterator[Node]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


def _kinds(nodes: Sequence[Node]) -> list[str]:
    """Return each kind of node once, with what it reads."""
    return sorted({_kind(node) for node in nodes})


def _kind(node: Node) -> str:
    what = node.get("Index Name") or node.get("Relation Name") or node.get("Function Name")
    kind = node.get("Custom Plan Provider") or node["Node Type"]
    return f"{kind} {what}" if what else str(kind)


async def _relations_of_fixes(conn: Connection) -> frozenset[str]:
    """Return the names of all that holds fixes: the table, and with TimescaleDB its chunks.

    Nothing else is a hypertable, so all that TimescaleDB keeps for itself is of fixes.
    """
    query = """
        SELECT relname FROM pg_class
        WHERE oid = 'fix'::regclass OR relnamespace = to_regnamespace('_timescaledb_internal')
    """
    return frozenset(row[0] for row in await (await conn.execute(query)).fetchall())


def _check(name: str, nodes: Sequence[Node], of_fixes: frozenset[str]) -> None:
    scans = [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in of_fixes
    ]
    if scans:
        raise SequentialScanError(
            f"{name} reads {', '.join(scans)} from end to end: {', '.join(_kinds(nodes))}"
        )
