"""Two databases, row for row: what a campaign has left, and what a calm run of its messages leaves.

Every table is compared with all its columns, but for the ones named here with the reason. A table that
is new is therefore compared until somebody says why it cannot be. Rows are compared as sets: surrogate
ids that nothing refers to are left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

#: Tables that are not compared, and why.
EXEMPT: Final[dict[str, str]] = {
    "eta": "a prediction: depends on when it was made",
    "travel_model": "calibrated on what was known at a tick",
    "resupply_order": "a decision at cut-off: depends on what was known then",
    "resupply_line": "a decision at cut-off",
    "transfer": "a decision at cut-off",
    "need": "what jobs need as of the last tick, bounded by the cut-off done last",
    "proposal": "follows from orders, which are decisions; `drift` compares it with its inputs",
    "count_task": "that somebody was asked depends on when we knew",
    "outbox": "what was said depends on when; its ids too: `lost_sent` and `duplicated` judge it",
    "webhook_delivery": "follows the outbox",
    "rejected_quota": "counts by the day of our clock, and again what comes again",
    "deletion": "what was deleted when: depends on the clock's day",
    "ingest_activity": "counts batches by the second they were committed in",
    "alert_handling": "what people did",
    "alert_action": "what people did",
    "replan": "what people did",
    "operator_action": "what people did",
    "idempotency_key": "what programs asked",
    "van_progress": "a cache of the visit engine: where it stands depends on the batches",
    "van_checkpoint": "a cache of the visit engine: where it was kept depends on the batches",
    "stock_dirty": "a queue of work, empty when done",
    "tour_edit": "a queue of work, empty when done",
    "fence_edit": "a queue of work, empty when done",
}  # fmt: skip

#: Columns that are not compared, and why.
EXEMPT_COLUMNS: Final[dict[tuple[str, str], str]] = {
    ("fix", "received_time"): "when it was received",
    ("van_position", "received_time"): "when it was received",
    ("scan", "received_time"): "when it was received",
    ("rejected", "received_time"): "when it was received",
    ("alert", "alert_id"): "surrogate, referred to by nothing",
    ("alert", "handling_id"): "what people did",
    ("alert", "reason"): "says what was known when it was raised",
    ("alert", "told"): "whether it was news then",
    ("alert", "raised_time"): "when we knew",
    ("alert", "changed_time"): "when we knew",
    ("alert", "cause"): "explained by what was known then",
    ("alert", "pushes"): "a prediction",
    ("stop", "judged"): "when the clock last looked",
    ("warehouse", "cutoff_done_at"): "the last decision",
}  # fmt: skip

#: Columns of which only a part is compared, and why.
PARTS: Final[dict[tuple[str, str], tuple[str, str]]] = {
    ("alert", "minutes"): (
        "CASE WHEN state <> 'open' THEN minutes END",
        "of an open alert it is how long it lasted when it was raised",
    ),
}  # fmt: skip

#: Rows that are not compared, and why.
EXEMPT_ROWS: Final[dict[str, tuple[str, str]]] = {
    "alert": (
        "kind IN ('at_risk', 'silent') OR state = 'withdrawn'",
        "predictions and silences depend on when we knew; so does what was withdrawn",
    ),
}

ROWS_SHOWN: Final = 5

TABLES: Final = """
SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name !~ 'yoyo'
GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Difference:
    """How one table differs: rows too many and too few in the first, and some of them."""

    surplus: int
    missing: int
    surplus_rows: tuple[str, ...]
    missing_rows: tuple[str, ...]


def difference(first: Counter[str], other: Counter[str]) -> Difference | None:
    """Return how two bags of rows differ; None if they do not."""
    surplus, missing = first - other, other - first
    if not surplus and not missing:
        return None
    return Difference(
        surplus.total(),
        missing.total(),
        tuple(sorted(surplus)[:ROWS_SHOWN]),
        tuple(sorted(missing)[:ROWS_SHOWN]),
    )


def compared(conn: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Return every table that is compared, with the columns that are."""
    return {
        table: [column for column in columns if (table, column) not in EXEMPT_COLUMNS]
        for table, columns in conn.execute(TABLES).fetchall()
        if table not in EXEMPT
    }


def rows(conn: psycopg.Connection[Any], table: str, columns: Sequence[str]) -> Counter[str]:
    """Return a table's rows as text, each as often as it stands there."""
    without = EXEMPT_ROWS.get(table, ("false", ""))[0]
    names = ", ".join(
        PARTS.get((table, column), (sql.Identifier(column).as_string(), ""))[0]
        for column in columns
    )
    query = f'SELECT row({names})::text FROM "{table}" WHERE NOT coalesce({without}, false)'
    return Counter(row for (row,) in conn.execute(query))


def compare(url: str, other_url: str) -> tuple[dict[str, int], dict[str, Difference]]:
    """Return how many rows each table has, and the differences, by table."""
    counts: dict[str, int] = {}
    found: dict[str, Difference] = {}
    utc = "-c TimeZone=UTC"
    with (
        psycopg.connect(url, options=utc) as conn,
        psycopg.connect(other_url, options=utc) as other,
    ):
        for table, columns in compared(conn).items():
            mine = rows(conn, table, columns)
            counts[table] = mine.total()
            if (differs := difference(mine, rows(other, table, columns))) is not None:
                found[table] = differs
    return counts, found


def exemptions() -> Mapping[str, str]:
    """Return everything that is not compared, with the reason."""
    return {
        **EXEMPT,
        **{f"{table}.{column}": why for (table, column), why in EXEMPT_COLUMNS.items()},
        **{f"{table}.{column} but {part}": why for (table, column), (part, why) in PARTS.items()},
        **{f"{table} where {which}": why for table, (which, why) in EXEMPT_ROWS.items()},
    }
