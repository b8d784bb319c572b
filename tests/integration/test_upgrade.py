"""An upgrade loses no row, and devices that know only the first contract are still understood."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yoyo
from psycopg import sql
from psycopg.rows import TupleRow

from ingest.batch import Delivery
from ops import embedded
from storage.pool import SCHEMA, migrate
from tests.integration.conftest import CLOCK_MS
from tests.integration.without_broker import Base, opened_base

MIGRATIONS = sorted(file.stem for file in SCHEMA.glob("*.sql"))
#: Rows are put in before each of these: the newest, and those of the version before it.
NEWEST = [name for name in MIGRATIONS if name > "0011"]
CORPUS = Path(__file__).parents[1] / "data/wire_v1_first.jsonl"

#: A company at work, in statements that the schema understands since 0011.
OLD_ROWS = """
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 'WH', 'Depot', 48, 11);
INSERT INTO technician (organisation_id, code, name) VALUES (1, 'T-1', 'Ada');
INSERT INTO van_template (code) VALUES ('T');
INSERT INTO item (ref, name) VALUES ('P-1', 'Fuse'), ('P-2', 'Relay');
INSERT INTO barcode VALUES ('FUSE', 1, 1);
INSERT INTO template_line VALUES (1, 1, 4, 10, 20, 1);
INSERT INTO van (organisation_id, code, name, technician_id, template_id, warehouse_id)
VALUES (1, 'van-001', 'One', 1, 1, 1), (1, 'van-002', 'Two', NULL, NULL, 1);
INSERT INTO location (organisation_id, kind, van_id) SELECT 1, 'van', van_id FROM van;
INSERT INTO location (organisation_id, kind, warehouse_id) VALUES (1, 'warehouse', 1);
INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 'S-1', 'Site', 48, 11, 100);
INSERT INTO tour (code, van_id, service_date) VALUES ('TOUR', 1, '2026-09-21');
INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, '2026-09-21 08:00Z', '2026-09-21 09:00Z', 600);
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
SELECT 1, '2026-09-21 08:00Z'::timestamptz + n * interval '1 min', 48, 11, n, '2026-09-21 08:00Z'
FROM generate_series(1, 60) AS n;
INSERT INTO van_status VALUES (1, '2026-09-21 07:00Z', 'online', 'on'),
                              (2, '2026-09-21 07:00Z', 'offline', NULL);
INSERT INTO van_position VALUES (1, '2026-09-21 09:00Z', 48, 11, NULL, NULL, NULL, '2026-09-21Z');
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain, ignition_off,
                   service_date, stop_id)
VALUES (1, 1, '2026-09-21 08:01Z', '2026-09-21 09:00Z', 'visit', false, false, '2026-09-21', 1);
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time, changed_time)
VALUES (1, 1, 'late', '2026-09-21 09:00Z', 'open', 'r', '2026-09-21Z', '2026-09-21Z');
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,
                  received_time)
VALUES ('van-001', 'e', 1, 7, 1, '2026-09-21Z', 'issue', 'FUSE', 'applied', '{}', '2026-09-21Z');
INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id, to_location_id)
VALUES ('van-001', 'e', 1, '2026-09-21Z', 'issue', 1, 2, 6, 2);
INSERT INTO posting VALUES ('van-001', 'e', 1, 0, 6, 1, '', -2, '2026-09-21Z'),
                           ('van-001', 'e', 1, 0, 2, 1, '', 2, '2026-09-21Z');
INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t)
VALUES ('van-001', 'e', 2, 6, 1, 5, '2026-09-20Z');
INSERT INTO level VALUES (6, 1, '', 3, '2026-09-20Z');
INSERT INTO resupply_order
  (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state, created_time)
VALUES ('O-1', 1, 1, 6, 'van', '2026-09-21Z', 'sent', '2026-09-21Z');
INSERT INTO resupply_line (order_id, item_id, requested, inputs) VALUES (1, 1, 7, '{"why": "r"}');
INSERT INTO rejected VALUES ('x', 't', 'p', 'bad_payload', 'd', 'van-001', '2026-09-21Z');
INSERT INTO outbox (topic, payload, created_time) VALUES ('t', 'p', '2026-09-21Z');
INSERT INTO ingest_activity VALUES (now(), 1, 2, 1, 1, 0, '{1,1}');
"""

TABLES = """
SELECT relname, array_agg(attname::text ORDER BY attnum)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ 'yoyo'
  AND attnum > 0 AND NOT attisdropped
GROUP BY relname
"""
#: Migrations may derive these anew.
CACHES = {"reference_version", "van_progress", "travel_model", "proposal"}


@pytest.fixture
def bare_url(postgres_url: str) -> Iterator[str]:
    url = embedded.ensure_database(postgres_url, "upgraded")
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("DROP DATABASE upgraded WITH (FORCE)")


def migrate_before(url: str, name: str) -> None:
    """Apply the migrations that are older than one."""
    with yoyo.get_backend(url.replace("postgresql://", "postgresql+psycopg://", 1)) as database:
        older = yoyo.read_migrations(str(SCHEMA)).filter(lambda migration: migration.id < name)
        database.apply_migrations(older)


def rows(conn: psycopg.Connection[TupleRow], columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the rows of tables as text, in those columns."""
    found = {}
    for table, names in columns.items():
        listed = sql.SQL(", ").join(map(sql.Identifier, names))
        query = sql.SQL("SELECT row({})::text FROM {} ORDER BY 1").format(
            listed, sql.Identifier(table)
        )
        found[table] = [text for (text,) in conn.execute(query).fetchall()]
    return found


@pytest.mark.parametrize("name", NEWEST)
def test_a_filled_database_is_migrated_and_every_row_is_there(bare_url: str, name: str) -> None:
    migrate_before(bare_url, name)
    with psycopg.connect(bare_url, options="-c TimeZone=UTC") as conn:
        conn.execute(OLD_ROWS)
        old = dict(conn.execute(TABLES).fetchall())
        before = rows(conn, old)
    assert name in migrate(bare_url)
    with psycopg.connect(bare_url, options="-c TimeZone=UTC") as conn:
        new = dict(conn.execute(TABLES).fetchall())
        kept = {t: [c for c in columns if c in new.get(t, ())] for t, columns in old.items()}
        assert kept == old, "a table or column is gone: say here what became of its rows"
        after = rows(conn, kept)
        assert {t: r for t, r in after.items() if t not in CACHES} == {
            t: r for t, r in before.items() if t not in CACHES
        }
        # What was known of duty is taken over once, by the migration that made its table.
        known = [(1, "on")] if name <= "0019.privacy" else []
        assert conn.execute("SELECT van_id, duty FROM duty_switch").fetchall() == known
    with opened_base(bare_url) as base:
        base.commit([line[0] for line in corpus()], CLOCK_MS)
        base.tick(CLOCK_MS)
        assert base.rows("SELECT count(*) FROM fix") == [(66,)]


def test_a_name_that_was_typed_stays_as_what_was_said_and_rules_and_time_as_they_are(
    bare_url: str,
) -> None:
    migrate_before(bare_url, "0021.accountable")
    with psycopg.connect(bare_url) as conn:
        conn.execute(OLD_ROWS)
        conn.execute(
            "UPDATE resupply_order SET approved_by = 'c.petit';"
            "UPDATE scan SET decided_by = 'p.planner';"
            "INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode,"
            " cutoff_at, state, created_time, approved_by)"
            " VALUES ('O-2', 1, 1, 6, 'van', '2026-09-22Z', 'sent', '2026-09-22Z', 'rule');"
            "INSERT INTO transfer (from_location_id, to_location_id, item_id, qty, state, inputs,"
            " created_time, until, decided_by)"
            " VALUES (6, 7, 1, 2, 'refused', '{}', '2026-09-21Z', '2026-09-21Z', 'time'),"
            " (6, 7, 2, 2, 'refused', '{}', '2026-09-21Z', '2026-09-21Z', 'time keeper')"
        )
    migrate(bare_url)
    with psycopg.connect(bare_url) as conn:
        kept = conn.execute(
            "SELECT approved_by FROM resupply_order UNION ALL SELECT decided_by FROM transfer"
            " UNION ALL SELECT decided_by FROM scan"
        ).fetchall()
    assert sorted(name for (name,) in kept) == [
        "rule", "said:c.petit", "said:p.planner", "said:time keeper", "time",
    ]  # fmt: skip


def corpus() -> list[tuple[Delivery, str, int]]:
    """Return the first contract's messages, with the kind and number of rows that each makes."""
    lines = map(json.loads, CORPUS.read_text().splitlines())
    return [
        (
            Delivery(line["topic"], json.dumps(line["payload"]).encode()),
            line["made"],
            line.get("rows", 1),
        )
        for line in lines
    ]


COUNTS = {
    "fix": "SELECT count(*) FROM fix",
    "scan": "SELECT count(*) FROM scan WHERE status <> 'conflict'",
    "status": "SELECT count(*) FROM van_status",
    "rejected": "SELECT count(*) FROM rejected",
}


def test_messages_of_the_first_contract_are_understood_one_by_one(base: Base) -> None:
    for delivery, made, expected in corpus():
        before = {kind: base.rows(query)[0][0] for kind, query in COUNTS.items()}
        base.commit([delivery], CLOCK_MS)
        after = {kind: base.rows(query)[0][0] for kind, query in COUNTS.items()}
        grown = {kind: after[kind] - before[kind] for kind in COUNTS if after[kind] != before[kind]}
        assert grown == ({made: expected} if expected else {}), delivery
    assert base.rows("SELECT DISTINCT status FROM scan") == [("applied",)]
    assert base.rows("SELECT seq, qty FROM movement WHERE seq = 8") == [(8, 10)]
