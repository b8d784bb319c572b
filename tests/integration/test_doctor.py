"""What an operator reads when something is missing; and the health checks of the image."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from ops import doctor, embedded
from ops.cli import main
from ops.services import environment
from storage.pool import SCHEMA, connect
from storage.settings import Settings
from tests.integration.api_client import new_admin
from tests.integration.conftest import Running

ROOT = Path(__file__).parents[2]
MIGRATIONS = sorted(file.stem for file in SCHEMA.glob("*.sql"))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a company in which somebody can sign in."""
    new_admin(settings.database_url)
    return settings


@pytest.fixture
def bare_url(postgres_url: str) -> Iterator[str]:
    """A database that nobody has migrated."""
    url = embedded.ensure_database(postgres_url, "doctor_bare")
    yield url
    with psycopg.connect(postgres_url, autocommit=True) as conn:
        conn.execute("DROP DATABASE doctor_bare WITH (FORCE)")


def examine(settings: Settings) -> list[str]:
    """Return the findings as `cordee doctor` prints them."""
    return [f"{it.mark}  {it.text}" for it in asyncio.run(doctor.examine(settings))]


def bad(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("BAD")]


def run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Result:
    """Run `cordee doctor` as an operator would."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(main, ["doctor"])


def test_on_a_healthy_stack_nothing_is_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(settings, monkeypatch)
    lines = result.output.splitlines()
    assert (result.exit_code, bad(lines)) == (0, [])
    assert any(line.startswith("ok   Python 3.") for line in lines)
    assert "ok   PostgreSQL 18 answers" in lines
    assert f"ok   the schema is current ({MIGRATIONS[-1]})" in lines
    assert f"ok   the broker at 127.0.0.1:{settings.broker_port} answers" in lines
    assert sum("TimescaleDB" in line for line in lines) == 1
    assert any("/var/lib/cordee" in line for line in lines) == (os.geteuid() == 0)


def test_without_migrations_it_names_them_and_the_command(
    bare_url: str, nats_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(Settings(database_url=bare_url, broker_port=nats_port), monkeypatch)
    assert result.exit_code == 1
    assert bad(result.output.splitlines()) == [
        f"BAD  the schema lacks {', '.join(MIGRATIONS)}: run `cordee migrate`"
    ]


def test_behind_by_one_migration_it_names_that_one(settings: Settings) -> None:
    with psycopg.connect(settings.database_url) as conn:
        conn.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", (MIGRATIONS[-1],))
    assert bad(examine(settings)) == [
        f"BAD  the schema lacks {MIGRATIONS[-1]}: run `cordee migrate`"
    ]


def test_without_vans_it_says_why_all_would_be_rejected(database_url: str, nats_port: int) -> None:
    new_admin(database_url)
    (line,) = bad(examine(Settings(database_url=database_url, broker_port=nats_port)))
    assert "no van is known: `cordee import vans FILE`" in line


def test_without_a_broker_it_names_the_address_and_the_settings(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = embedded.free_port()
    result = run(settings.model_copy(update={"broker_port": port}), monkeypatch)
    assert result.exit_code == 1
    (line,) = bad(result.output.splitlines())
    assert line.startswith(f"BAD  no broker at 127.0.0.1:{port}: ")
    assert "CORDEE_BROKER_HOST" in line


def test_without_a_database_it_still_looks_at_the_broker(
    nats_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://cordee@127.0.0.1:{embedded.free_port()}/cordee"
    result = run(Settings(database_url=url, broker_port=nats_port), monkeypatch)
    lines = result.output.splitlines()
    assert result.exit_code == 1
    (line,) = bad(lines)
    assert line.startswith("BAD  no database: ")
    assert line.endswith("Start it, or set CORDEE_DATABASE_URL.")
    assert f"ok   the broker at 127.0.0.1:{nats_port} answers" in lines


def test_a_database_that_does_not_exist_is_named(postgres_url: str, nats_port: int) -> None:
    url = postgres_url.rsplit("/", 1)[0] + "/nowhere"
    (line,) = bad(examine(Settings(database_url=url, broker_port=nats_port)))
    assert 'database "nowhere" does not exist' in line


def test_a_password_is_never_told(settings: Settings) -> None:
    port = embedded.free_port()
    secret = Settings(
        database_url=f"postgresql://cordee:tell-nobody@127.0.0.1:{port}/cordee",
        broker_port=port,
        broker_user="cordee",
        broker_password="tell-nobody",
    )
    assert "tell-nobody" not in "\n".join(examine(secret))


async def health(name: str, settings: Settings) -> tuple[int, str]:
    """Run the image's health check; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ops.cli", "health", name),
        cwd=ROOT,
        env={**os.environ, **environment(settings)},
        stderr=subprocess.PIPE,
    )
    _, words = await process.communicate()
    return process.returncode or 0, words.decode().strip()


async def test_a_working_ingest_is_healthy(ingest: Running) -> None:
    await ingest.until(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'cordee-ingest'",
        [(True,)],
    )
    assert await health("ingest", ingest.settings) == (0, "")


async def test_an_ingest_that_is_not_there_is_unhealthy(settings: Settings) -> None:
    code, words = await health("ingest", settings)
    assert (code, words) == (1, "Error: ingest has not used the database for 30 s")


async def test_an_ingest_without_its_broker_is_unhealthy(settings: Settings) -> None:
    alone = settings.model_copy(update={"broker_port": embedded.free_port()})
    async with connect(settings.database_url, "cordee-ingest") as pool:
        await pool.check()
        code, words = await health("ingest", alone)
    assert (code, words) == (1, "Error: ingest has no connection to the broker")


async def test_a_relay_is_healthy_only_if_both_its_ways_out_are_at_work(settings: Settings) -> None:
    idle = (1, "Error: relay has not used the database for 30 s")
    alone = settings.model_copy(update={"broker_port": embedded.free_port()})
    async with connect(settings.database_url, "cordee-relay") as to_broker:
        await to_broker.check()
        assert await health("relay", alone) == idle
        async with connect(settings.database_url, "cordee-webhooks") as to_webhooks:
            await to_broker.check()  # the health checks before may have taken their time
            await to_webhooks.check()
            assert await health("relay", alone) == (
                1,
                "Error: relay has no connection to the broker",
            )


async def test_without_a_database_the_health_check_says_so(settings: Settings) -> None:
    url = f"postgresql://cordee@127.0.0.1:{embedded.free_port()}/cordee"
    code, words = await health("relay", settings.model_copy(update={"database_url": url}))
    assert code == 1
    assert "does not reach the database" in words
