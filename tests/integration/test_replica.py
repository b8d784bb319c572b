"""The API reads from a streaming replica, and from the database itself when that is away."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from ops import embedded
from tests.integration.api_client import answer, client_of, settings_at

LAG = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"


@dataclass
class Replica:
    """A replica of the server that tests share."""

    child: embedded.Child
    port: int

    def url(self, database_url: str) -> str:
        there = urlsplit(database_url)
        return there._replace(netloc=f"cordee@127.0.0.1:{self.port}").geturl()


@pytest.fixture
def replica(postgres_url: str, tmp_path: Path) -> Iterator[Replica]:
    programs, data, user = embedded.postgres_home(tmp_path)
    copied = embedded.start(
        "pg_basebackup",
        [programs / "pg_basebackup", "-d", postgres_url, "-D", data, "-R", "-X", "stream",
         "-c", "fast", "--no-sync"],
        tmp_path / "copy.log",
        user=user,
    )  # fmt: skip
    assert copied.process.wait() == 0, copied.last_words()
    child, url = embedded.start_postgres(tmp_path, ("fsync=off", "max_connections=200"))
    yield Replica(child, urlsplit(url).port or 0)
    child.stop()
    embedded.remove_data(tmp_path)


async def until(is_so: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def caught_up(conn: psycopg.Connection[Any], url: str) -> None:
    """Wait until a replica has replayed all that is committed now."""
    (lsn,) = conn.execute("SELECT pg_current_wal_lsn()").fetchone() or ("",)

    def is_there() -> bool:
        with psycopg.connect(url) as reading:
            return reading.execute(LAG, (lsn,)).fetchone() == (True,)

    await until(is_there)


async def test_what_is_read_is_the_replicas_and_what_is_written_the_databases(
    conn: psycopg.Connection[Any], database_url: str, replica: Replica
) -> None:
    url = replica.url(database_url)
    settings = settings_at(database_url).model_copy(update={"database_replica_url": url})
    async with client_of(settings) as api:
        await caught_up(conn, url)
        names = [van["name"] for van in (await answer(api, "/v1/vans"))["vans"]]
        assert "Kangoo 1" in names
        with psycopg.connect(url, autocommit=True) as there:
            there.execute("SELECT pg_wal_replay_pause()")
            conn.execute("UPDATE van SET name = 'Trafic' WHERE code = 'V1'")
            assert names == [van["name"] for van in (await answer(api, "/v1/vans"))["vans"]]
            there.execute("SELECT pg_wal_replay_resume()")
        await caught_up(conn, url)
        assert "Trafic" in [van["name"] for van in (await answer(api, "/v1/vans"))["vans"]]


async def test_a_replica_that_is_away_is_not_missed(
    conn: psycopg.Connection[Any], database_url: str, replica: Replica
) -> None:
    url = replica.url(database_url)
    settings = settings_at(database_url).model_copy(update={"database_replica_url": url})
    async with client_of(settings) as api:
        await caught_up(conn, url)
        assert (await answer(api, "/v1/vans"))["vans"]
        replica.child.stop()
        conn.execute("UPDATE van SET name = 'Trafic' WHERE code = 'V1'")
        assert "Trafic" in [van["name"] for van in (await answer(api, "/v1/vans"))["vans"]]


async def test_the_api_begins_without_its_replica(
    conn: psycopg.Connection[Any], database_url: str
) -> None:
    nowhere = f"postgresql://cordee@127.0.0.1:{embedded.free_port()}/cordee"
    settings = settings_at(database_url).model_copy(update={"database_replica_url": nowhere})
    async with client_of(settings) as api:
        assert (await answer(api, "/v1/vans"))["vans"]
        assert (await api.get("/readyz")).status_code == 200
