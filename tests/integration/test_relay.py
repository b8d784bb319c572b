"""The outbox reaches the broker: in order, once when nothing goes wrong, again when something does."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import psycopg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ingest import relay
from ops import embedded
from storage.pool import Pool, connect
from storage.settings import Settings, real_ms
from tests.integration.test_stock_ledger import rows

_topics = (f"relay-{n}" for n in itertools.count())

Message = tuple[str, bytes]


@pytest.fixture
def root() -> str:
    """A topic of this test's own, on a broker that all tests share."""
    return next(_topics)


@pytest.fixture
def relay_settings(database_url: str, nats_port: int) -> Settings:
    return Settings(database_url=database_url, broker_port=nats_port)


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "RECONNECT_S", 0.05)


def leave(settings: Settings, root: str, numbers: range, *, retain: bool = False) -> list[Message]:
    """Put messages into the outbox in one transaction; return them."""
    messages = [(f"{root}/{n % 3}", b"message %d" % n) for n in numbers]
    with psycopg.connect(settings.database_url) as conn:
        for topic, payload in messages:
            conn.execute(
                "INSERT INTO outbox (topic, payload, retain, created_time)"
                " VALUES (%s, %s, %s, now())",
                (topic, payload, retain),
            )
        conn.execute("NOTIFY cordee_outbox")
    return messages


@asynccontextmanager
async def listening(
    port: int, root: str, identifier: str | None = None
) -> AsyncIterator[list[Message]]:
    """Collect what is published below `root`; with an identifier, as a session that lasts."""
    heard: list[Message] = []
    client = aiomqtt.Client(
        "127.0.0.1", port, identifier=identifier, clean_session=identifier is None
    )
    async with client:
        await client.subscribe(f"{root}/#", qos=1)

        async def collect() -> None:
            async for message in client.messages:
                payload = message.payload
                assert isinstance(payload, bytes)
                heard.append((message.topic.value, payload))

        task = asyncio.create_task(collect())
        try:
            yield heard
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def relaying(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def until_heard(
    heard: list[Message], count: int, task: asyncio.Task[None] | None = None
) -> None:
    async with asyncio.timeout(30):
        while len(heard) < count:
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.01)


async def until_sent(settings: Settings, task: asyncio.Task[None] | None = None) -> None:
    async with asyncio.timeout(30):
        while rows(settings.database_url, "SELECT FROM outbox WHERE sent_time IS NULL LIMIT 1"):
            if task is not None and task.done():
                task.result()
            await asyncio.sleep(0.02)


async def test_what_waited_and_what_comes_is_published_in_order_and_once(
    relay_settings: Settings, root: str
) -> None:
    waited = leave(relay_settings, root, range(relay.BATCH_MAX + 50))
    async with listening(relay_settings.broker_port, root) as heard:
        async with relaying(relay_settings) as task:
            await until_sent(relay_settings, task)
            more = leave(relay_settings, root, range(1_000, 1_020))
            await until_sent(relay_settings, task)
        # A second run has nothing to do but the last message, behind which nothing else can hide.
        last = leave(relay_settings, root, range(2_000, 2_001))
        async with relaying(relay_settings) as task:
            await until_sent(relay_settings, task)
        await until_heard(heard, len(waited) + len(more) + 1)
        assert heard == waited + more + last


async def test_news_is_sent_when_it_is_committed_not_at_the_next_look(
    relay_settings: Settings, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "LOOK_S", 3_600.0)
    async with (
        listening(relay_settings.broker_port, root) as heard,
        relaying(relay_settings) as task,
    ):
        leave(relay_settings, root, range(1))
        await until_heard(heard, 1, task)
        leave(relay_settings, root, range(1, 2))
        await until_heard(heard, 2, task)


async def test_a_retained_message_is_kept_by_the_broker(
    relay_settings: Settings, root: str
) -> None:
    sent = leave(relay_settings, root, range(1), retain=True)
    async with relaying(relay_settings) as task:
        await until_sent(relay_settings, task)
    async with listening(relay_settings.broker_port, root) as heard:
        await until_heard(heard, 1)
        assert heard == sent


@asynccontextmanager
async def by_hand(settings: Settings) -> AsyncIterator[tuple[Pool, aiomqtt.Client]]:
    client = aiomqtt.Client("127.0.0.1", settings.broker_port)
    async with connect(settings.database_url, "cordee-relay") as pool, client:
        yield pool, client


async def test_a_relay_stopped_between_publish_and_mark_sends_the_same_again(
    relay_settings: Settings, root: str
) -> None:
    url = relay_settings.database_url
    sent = leave(relay_settings, root, range(5))

    def killed() -> int:
        """The clock is read between the two: there the database loses the relay's session."""
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'cordee-relay'"
            )
        return real_ms()

    async with listening(relay_settings.broker_port, root) as heard:
        async with by_hand(relay_settings) as (pool, client):
            with pytest.raises(psycopg.OperationalError):
                await relay.send_waiting(pool, client, killed)
        await until_heard(heard, 5)
        assert rows(url, "SELECT count(*) FROM outbox WHERE sent_time IS NULL") == [(5,)]
        async with relaying(relay_settings) as task:
            await until_sent(relay_settings, task)
        await until_heard(heard, 10)
        assert heard == sent + sent


async def test_a_second_relay_takes_nothing_that_the_first_has_in_hand(
    relay_settings: Settings, root: str
) -> None:
    sent = leave(relay_settings, root, range(5))
    async with (
        asyncio.timeout(30),
        listening(relay_settings.broker_port, root) as heard,
        by_hand(relay_settings) as (pool, client),
    ):
        async with pool.connection() as conn, conn.transaction():
            taken = await (await conn.execute(relay.TAKE, (3,))).fetchall()
            assert await relay.send_waiting(pool, client, real_ms) == 2
        assert [row[2] for row in taken] == [payload for _, payload in sent[:3]]
        assert await relay.send_waiting(pool, client, real_ms) == 3
        assert await relay.send_waiting(pool, client, real_ms) == 0
        await until_heard(heard, 5)
        assert sorted(heard) == sorted(sent)


async def until_logged(logged: list[EventDict], event: str, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(30):
        while not any(event in entry["event"] for entry in logged):
            if task.done():
                task.result()
            await asyncio.sleep(0.01)


async def test_a_broker_that_goes_and_comes_back_gets_what_it_missed_and_nothing_twice(
    database_url: str, root: str, tmp_path: Path
) -> None:
    broker, port = embedded.start_nats(tmp_path)
    settings = Settings(database_url=database_url, broker_port=port)
    try:
        with capture_logs() as logged:
            async with relaying(settings) as task:
                async with listening(port, root, "lasting") as before:
                    first = leave(settings, root, range(3))
                    await until_heard(before, 3, task)
                    await until_sent(settings, task)
                broker.stop()
                missed = leave(settings, root, range(3, 8))
                await until_logged(logged, "lost the broker", task)
                broker, _ = embedded.start_nats(tmp_path, port)
                await until_sent(settings, task)
                last = leave(settings, root, range(8, 9))
                await until_sent(settings, task)
                async with listening(port, root, "lasting") as after:
                    await until_heard(after, 6, task)
        assert before == first
        assert after == missed + last
    finally:
        broker.stop()


async def test_a_relay_started_before_the_broker_waits_for_it(
    database_url: str, root: str, tmp_path: Path
) -> None:
    broker, port = embedded.start_nats(tmp_path)
    settings = Settings(database_url=database_url, broker_port=port)
    async with listening(port, root, "lasting"):
        pass
    broker.stop()
    sent = leave(settings, root, range(3))
    try:
        with capture_logs() as logged:
            async with relaying(settings) as task:
                await until_logged(logged, "lost the broker", task)
                broker, _ = embedded.start_nats(tmp_path, port)
                await until_sent(settings, task)
        async with listening(port, root, "lasting") as heard:
            await until_heard(heard, 3)
            assert heard == sent
    finally:
        broker.stop()


async def test_a_relay_whose_database_goes_away_relays_again_once_it_is_back(
    relay_settings: Settings, root: str
) -> None:
    url = relay_settings.database_url
    async with listening(relay_settings.broker_port, root) as heard:
        async with relaying(relay_settings) as task:
            first = leave(relay_settings, root, range(3))
            await until_heard(heard, 3, task)
            await until_sent(relay_settings, task)
            with psycopg.connect(url, autocommit=True) as conn:
                gone = conn.execute(
                    "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'cordee-relay'"
                ).fetchone()
            assert gone
            assert gone[0] > 0
            second = leave(relay_settings, root, range(3, 6))
            await until_sent(relay_settings, task)
        await until_heard(heard, 6)
        assert heard == first + second
