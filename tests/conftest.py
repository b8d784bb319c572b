"""Real servers, once a session; an empty, migrated database a test.

A server that cannot start fails the run: a missing PostgreSQL or broker never becomes a skip.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops import embedded
from storage.pool import migrate

_names = (f"test_{n}" for n in itertools.count())


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
    return "template_cordee"


@pytest.fixture
def database_url(postgres_url: str, template: str) -> Iterator[str]:
    """A database of this test's own, migrated and empty."""
    name = next(_names)
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield postgres_url.rsplit("/", 1)[0] + f"/{name}"
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def nats_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A running NATS Server's MQTT port; client ids keep tests apart."""
    child, port = embedded.start_nats(tmp_path_factory.mktemp("nats"))
    yield port
    child.stop()


def pytest_report_header() -> str:
    return f"psycopg {psycopg.__version__}, libpq {psycopg.pq.version()}"
