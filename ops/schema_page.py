"""docs/SCHEMA.md, read back from a migrated database, so that it shows what the tables really are.

    python -m ops.schema_page > docs/SCHEMA.md

It reads the catalogue of the `public` schema alone. What TimescaleDB adds there or elsewhere (its
own schemas, chunks, an index and a trigger on a hypertable) and the tables of yoyo, which runs the
migrations, are left out: the page is the same with and without them.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg.rows import class_row

from ops import embedded
from storage.pool import migrate

NOTICE: Final = "<!-- Written by `python -m ops.schema_page`. Change storage/schema instead. -->"

Conn = psycopg.Connection[tuple[object, ...]]

#: Ours: no extension's member, no table of yoyo's.
TABLES: Final = r"""
SELECT relname AS name, obj_description(oid, 'pg_class') AS comment FROM pg_class AS c
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
  AND relname NOT LIKE '\_yoyo\_%' AND relname <> 'yoyo_lock'
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY relname COLLATE "C"
"""

COLUMNS: Final = """
SELECT attname AS name,
  format_type(atttypid, atttypmod) || CASE WHEN attcollation <> typcollation
    THEN ' COLLATE "' || (SELECT collname FROM pg_collation WHERE oid = attcollation) || '"'
    ELSE '' END AS type,
  attnotnull AS is_needed,
  CASE attidentity
    WHEN 'a' THEN 'identity, always'
    WHEN 'd' THEN 'identity'
    ELSE pg_get_expr(adbin, adrelid) END AS initial,
  col_description(attrelid, attnum) AS comment
FROM pg_attribute
JOIN pg_type ON pg_type.oid = atttypid
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""

#: PostgreSQL 18 lists NOT NULL as constraints too; the columns say that already.
CONSTRAINTS: Final = """
SELECT conname AS name, pg_get_constraintdef(oid) AS definition FROM pg_constraint
WHERE conrelid = %s::regclass AND contype IN ('p', 'u', 'f', 'c', 'x')
ORDER BY array_position('{p,u,x,f,c}'::"char"[], contype), conname COLLATE "C"
"""

#: Without those that a constraint stands on, and without TimescaleDB's default one on the time.
INDEXES: Final = """
SELECT relname AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index AS i
JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = %s::regclass AND relname <> 'fix_fix_time_idx'
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = indrelid)
ORDER BY relname COLLATE "C"
"""


class Table(NamedTuple):
    """A table and what it is for."""

    name: str
    comment: str | None


class Column(NamedTuple):
    """A column; `initial` is what it holds when an insert does not say."""

    name: str
    type: str
    is_needed: bool
    initial: str | None
    comment: str | None


class Rule(NamedTuple):
    """A constraint or an index, as PostgreSQL would write it."""

    name: str
    definition: str


def page(conn: Conn) -> str:
    """Return docs/SCHEMA.md for a migrated database."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Table)) as cursor:
        # Without `public` in it, PostgreSQL would write the schema before every name.
        cursor.execute("SET LOCAL search_path = public")
        tables = cursor.execute(TABLES).fetchall()
        lines = [
            "# Schema",
            "",
            NOTICE,
            "",
            "The tables of a migrated database. With TimescaleDB, `fix` is a hypertable of the same",
            "columns and keys. Times are `timestamptz`, kept in UTC; positions are WGS 84.",
            "",
            ", ".join(f"[{table.name}](#{table.name})" for table in tables),
        ]
        for table in tables:
            lines += ["", *_table(conn, table)]
    return "\n".join(lines) + "\n"


def _table(conn: Conn, table: Table) -> Iterator[str]:
    quoted = (f'public."{table.name}"',)
    with conn.cursor(row_factory=class_row(Column)) as cursor:
        columns = cursor.execute(COLUMNS, quoted).fetchall()
    with conn.cursor(row_factory=class_row(Rule)) as cursor:
        constraints = cursor.execute(CONSTRAINTS, quoted).fetchall()
        indexes = cursor.execute(INDEXES, quoted).fetchall()
    yield f"## {table.name}"
    yield ""
    if table.comment:
        yield table.comment
        yield ""
    yield "| column | type | null | default | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for column in columns:
        null = "no" if column.is_needed else "yes"
        initial = _code(column.initial) if column.initial else ""
        meaning = (column.comment or "").replace("|", r"\|")
        yield f"| `{column.name}` | {_code(column.type)} | {null} | {initial} | {meaning} |"
    yield ""
    for constraint in constraints:
        yield f"- `{constraint.name}`: {_code(constraint.definition)}"
    for index in indexes:
        yield f"- index `{index.name}`: {_code(_short(index.definition))}"


def _short(definition: str) -> str:
    """Return an index's definition without what its line says already: its name and its table."""
    kind, rest = definition.split(" INDEX ", 1)
    unique = "UNIQUE " if "UNIQUE" in kind else ""
    return unique + rest.split(" USING ", 1)[1]


def _code(text: str) -> str:
    """Return text as inline code that no table cell breaks."""
    return "`" + text.replace("|", r"\|") + "`"


def main() -> None:
    """Migrate a database of a server of its own, and print the page."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        postgres, url = embedded.start_postgres(folder, ("fsync=off",))
        try:
            database_url = embedded.ensure_database(url, "cordee")
            migrate(database_url)
            with psycopg.connect(database_url) as conn:
                sys.stdout.write(page(conn))
        finally:
            postgres.stop()
            embedded.remove_data(folder)


if __name__ == "__main__":
    main()
