"""Real servers, once a session; an empty, migrated database for every test.

A server that cannot start fails the run: a missing PostgreSQL or broker never becomes a skip. The
database of a test is emptied for the next one, which is twenty times cheaper than a new copy; a test
that has changed the schema, or filled a database, leaves it behind.
"""

import itertools
import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings
from psycopg.rows import TupleRow
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from api import passwords
from ops import embedded
from storage.pool import SCHEMA, migrate

# How long an example takes is the machine's business.
settings.register_profile("cordee", deadline=None)
settings.load_profile("cordee")

# A hash takes 0.2 s of CPU on purpose. Here it need not; test_people.py looks at what production keeps.
passwords.HASHER = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),))

#: The rows that the migrations themselves insert.
SEEDS = "\n".join(
    statement
    for file in sorted(SCHEMA.glob("*.sql"))
    for statement in re.findall(r"^INSERT INTO .*?;$", file.read_text(), re.DOTALL | re.MULTILINE)
)

#: What empties a database. Most tests write few rows, and these are deleted far faster than each table and
#: index gets a new file, which is what TRUNCATE does.
EMPTYING = """
SELECT string_agg(format('DELETE FROM %I', relname), '; ') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ 'yoyo'
"""

#: Numbers begin at 1 again, also those that a test let begin elsewhere and never took.
RESTART = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"

#: Whatever a test may have changed of the schema shows in the names of its parts.
SHAPE = """
SELECT md5(string_agg(part, ',' ORDER BY part)) FROM (
  SELECT format('%s %s', relname, relkind) FROM pg_class
  WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT format('%s.%s %s', attrelid::regclass, attname, pg_get_expr(adbin, adrelid))
  FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
  LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
  WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT conname::text FROM pg_constraint
  UNION ALL SELECT tgname::text FROM pg_trigger
  UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname !~ '^pg_'
  UNION ALL SELECT migration_id::text FROM public._yoyo_migration
) AS parts (part)
"""

OTHERS_OUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


#: A database that deleted rows have made so many times larger would slow the next tests down.
GROWS_MAX = 2


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Commands that a test runs in this process set up logging for themselves; the next test has its own."""
    known = logging.Logger.manager.loggerDict.values()
    levels = {it: it.level for it in known if isinstance(it, logging.Logger)}
    yield
    structlog.reset_defaults()
    for logger, level in levels.items():
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("servers")
    yield folder
    embedded.remove_data(folder)


@pytest.fixture(scope="session")
def postgres_url(server_folder: Path) -> Iterator[str]:
    """A running PostgreSQL, without its database."""
    child, url = embedded.start_postgres(server_folder, ("fsync=off", "max_connections=200"))
    yield url
    child.stop()


@pytest.fixture(scope="session")
def template(postgres_url: str) -> str:
    migrate(embedded.ensure_database(postgres_url, "template_cordee"))
    keep_as_template(postgres_url, "template_cordee")
    return "template_cordee"


def keep_as_template(server_url: str, name: str) -> None:
    """Let nobody into a database any more: a template must have no session, and TimescaleDB's workers come."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        conn.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (name,),
        )


class Databases:
    """Hands out an empty database, the last one again if it can be emptied."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._names = (f"test_{n}" for n in itertools.count())
        self._clean: str | None = None
        self._shape: TupleRow | None = None
        self._size = 0

    def take(self) -> str:
        """Return the URL of an empty database."""
        if self._clean is not None:
            url, self._clean = self._clean, None
            return url
        name = next(self._names)
        with psycopg.connect(self._server_url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}")
        url = self._server_url.rsplit("/", 1)[0] + f"/{name}"
        with psycopg.connect(url) as conn:
            self._shape = conn.execute(SHAPE).fetchone()
            self._size = size_of(conn)
        return url

    def give_back(self, url: str) -> None:
        """Empty a database for the next test, unless it is no longer like the migrations left it."""
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(OTHERS_OUT)
            with suppress(psycopg.errors.UndefinedTable):
                if conn.execute(SHAPE).fetchone() != self._shape:
                    return
                if size_of(conn) < GROWS_MAX * self._size:
                    empty(conn)
                    self._clean = url


def size_of(conn: psycopg.Connection) -> int:
    (size,) = conn.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
    return int(size)


def empty(conn: psycopg.Connection) -> None:
    (deletes,) = conn.execute(EMPTYING).fetchone() or ("",)
    with conn.transaction():
        conn.execute("SET LOCAL session_replication_role = replica")  # no trigger, no foreign key
        conn.execute(deletes)
    conn.execute(RESTART)
    conn.execute(SEEDS)


@pytest.fixture(scope="session")
def databases(postgres_url: str, template: str) -> Databases:
    return Databases(postgres_url, template)


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A database of this test's own, migrated and empty."""
    url = databases.take()
    yield url
    databases.give_back(url)


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A running NATS Server: its MQTT port, and where it says how it is."""
    folder = tmp_path_factory.mktemp("nats")
    child, port = embedded.start_nats(folder)
    yield port, embedded.monitor_url(folder)
    child.stop()


@pytest.fixture(scope="session")
def nats_port(nats: tuple[int, str]) -> int:
    """Its MQTT port alone; client ids keep tests apart."""
    return nats[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: somebody always waits for a fault, a stream or a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_report_header() -> str:
    return f"psycopg {psycopg.__version__}, libpq {psycopg.pq.version()}"
