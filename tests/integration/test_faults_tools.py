"""The tools of the faults campaign do what they say: a proxy that breaks, tables that are compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from ops.faults import compare
from ops.faults.proxy import Proxy
from tests.conftest import Databases
from tests.integration.listening import listening


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                writer.write(piece)
                await writer.drain()
        writer.close()

    async with listening(serve) as port:
        yield port


async def ask(port: int, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await reader.readexactly(len(said)) == said
    return reader, writer


async def test_what_passes_is_unchanged(echo: int) -> None:
    async with Proxy(echo, 1) as proxy:
        _, writer = await ask(proxy.port, bytes(range(256)) * 1_000)
        writer.close()


async def test_what_is_delayed_comes_whole_and_later(echo: int) -> None:
    async with Proxy(echo, 1) as proxy:
        proxy.delay_s = 0.05
        begun = asyncio.get_running_loop().time()
        _, writer = await ask(proxy.port, b"a packet")
        assert asyncio.get_running_loop().time() - begun >= 0.1  # there and back
        writer.close()


async def test_a_cut_lets_a_part_of_the_next_piece_through_and_resets_both_sides(
    echo: int,
) -> None:
    async with Proxy(echo, 1) as proxy:
        reader, writer = await ask(proxy.port, b"hello")
        proxy.cut()
        writer.write(b"x" * 1_000)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1_000)
        assert proxy.cuts == 1
        again, writer = await ask(proxy.port, b"again")
        assert again is not reader
        writer.close()


async def test_a_target_that_is_away_resets_who_asks(unused_tcp_port: int) -> None:
    async with Proxy(unused_tcp_port, 1) as proxy:
        reader, _ = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            assert await reader.read(1) == b"x"


def test_a_fresh_copy_of_a_database_differs_in_nothing(databases: Databases) -> None:
    url, other = databases.take(), databases.take()
    counts, differences = compare.compare(url, other)
    assert differences == {}
    assert counts["organisation"] == 1
    databases.give_back(url)
    databases.give_back(other)


def test_one_column_of_one_row_is_a_difference_and_an_exempt_one_is_none(
    databases: Databases,
) -> None:
    url, other = databases.take(), databases.take()
    for database, name in ((url, "Fuse"), (other, "Fuze")):
        with psycopg.connect(database) as conn:
            conn.execute("INSERT INTO item (ref, name) VALUES ('P-1', %s)", (name,))
            conn.execute(
                "INSERT INTO rejected VALUES ('a', 't', 'b', 'future', 'words', NULL,"
                " clock_timestamp())"
            )
    _, differences = compare.compare(url, other)
    assert differences.keys() == {"item"}
    assert differences["item"].surplus == differences["item"].missing == 1
    assert "Fuse" in differences["item"].surplus_rows[0]
    databases.give_back(url)
    databases.give_back(other)
