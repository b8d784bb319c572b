"""Claims on a real PostgreSQL; workers that share a fleet behind a real, mapped NATS Server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiomqtt
import psycopg
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ingest import partitions, service
from ingest.claims import CLOCK, KEEPALIVE, PARTITION, Claims
from ingest.subscriber import open_session
from ops import embedded
from ops.devices import nats, passwords
from ops.devices.rights import rights
from storage import backlog
from storage.settings import Settings, real_ms
from tests.integration.conftest import CLOCK_MS

PARTITIONS = 4
PASSWORD = "p" * 24
VANS = [f"van-{n:03d}" for n in range(1, 21)]

END_CLAIMS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s
"""

MORE_VANS = """
INSERT INTO van (organisation_id, code, name, template_id, warehouse_id)
SELECT 1, 'van-' || lpad(n::text, 3, '0'), 'Van', 1, 1 FROM generate_series(3, 20) AS n;
INSERT INTO location (organisation_id, kind, van_id)
SELECT 1, 'van', van_id FROM van WHERE van_id > 2;
UPDATE reference_version SET version = version + 1;
"""


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A NATS Server that maps the fleet into partitions, and soon sends again what nobody acknowledges."""
    hasty = embedded.NATS_CONFIG.replace('ack_wait: "30s"', 'ack_wait: "2s"')
    assert hasty != embedded.NATS_CONFIG
    folder = tmp_path_factory.mktemp("mapped")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "NATS_CONFIG", hasty)
        child, port = embedded.start_nats(folder, more=partitions.nats_mappings(PARTITIONS))
    yield port, embedded.monitor_url(folder)
    child.stop()


@pytest.fixture
def mapped_port(mapped: tuple[int, str]) -> int:
    return mapped[0]


@pytest.fixture
def mapped_monitor(mapped: tuple[int, str]) -> str:
    return mapped[1]


@pytest.fixture
async def shared(
    company_url: str, mapped_port: int, mapped_monitor: str, request: pytest.FixtureRequest
) -> AsyncIterator[Settings]:
    """Settings of a worker; afterwards the broker forgets the sessions."""
    with psycopg.connect(company_url) as conn:
        conn.execute(MORE_VANS)
    settings = Settings(
        database_url=company_url,
        broker_port=mapped_port,
        broker_monitor_url=mapped_monitor,
        partitions=PARTITIONS,
        ingest_client_id=f"ingest-{abs(hash(request.node.name))}",
        tick_s=0.05,
        clock_origin_ms=CLOCK_MS,
        clock_start_ms=real_ms(),
    )
    yield settings
    for partition in partitions.every(PARTITIONS):
        name = partitions.client_id(settings.ingest_client_id, partition)
        async with aiomqtt.Client("127.0.0.1", mapped_port, identifier=name):
            pass


async def all_acknowledged(settings: Settings) -> None:
    """Wait until the broker holds nothing any more: every message was acknowledged."""
    deadline = asyncio.get_running_loop().time() + 20
    while (held := await backlog.look(settings.broker_monitor_url)).messages:
        assert asyncio.get_running_loop().time() < deadline, held.messages
        await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.sessions.LOOK_S", 0.05)


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """Run an ingest until the block ends."""
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(is_so: Callable[[], object], within_s: float = 20.0) -> None:
    deadline = asyncio.get_running_loop().time() + within_s
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


def events(logs: list[EventDict]) -> list[str]:
    return [str(log["event"]) for log in logs]


def count_of(settings: Settings, query: str) -> int:
    with psycopg.connect(settings.database_url) as conn:
        (count,) = conn.execute(query).fetchone() or (0,)
        return int(count)


def holdings(settings: Settings) -> list[int]:
    """Return how many partitions each holder has, the fewest first."""
    with psycopg.connect(settings.database_url) as conn:
        rows = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " GROUP BY pid ORDER BY 1",
            (PARTITION,),
        ).fetchall()
    return [count for (count,) in rows]


async def publish(settings: Settings, first: int, count: int) -> None:
    """Let every van send so many positions."""
    async with aiomqtt.Client("127.0.0.1", settings.broker_port) as mqtt:
        for number in range(first, first + count):
            for van in VANS:
                payload = b'{"t":%d,"lat":48.0,"lon":11.0}' % (CLOCK_MS - 600_000 + number * 1_000)
                await mqtt.publish(f"fleet/v1/{van}/position", payload, qos=1)


async def test_a_worker_alone_claims_everything_and_the_clock(shared: Settings) -> None:
    claims = Claims(shared.database_url, PARTITIONS)
    await claims.look()
    assert (claims.held, claims.holds_clock, claims.to_let_go) == ({0, 1, 2, 3}, True, None)
    await claims.close()
    assert (claims.held, claims.holds_clock) == (set(), False)


async def test_a_second_worker_gets_its_share_and_never_what_another_holds(
    shared: Settings,
) -> None:
    one, other = Claims(shared.database_url, 4), Claims(shared.database_url, 4)
    await one.look()
    await other.look()
    assert (other.held, other.holds_clock) == (set(), False)
    for left in (3, 2):
        await one.look()
        assert one.to_let_go == left
        await one.let_go(left)
        await one.look()
        assert left not in one.held
        await other.look()
    assert (one.held, other.held) == ({0, 1}, {2, 3})
    await one.look()
    assert one.to_let_go is None
    await one.close()
    await other.look()
    assert (other.held, other.holds_clock) == ({0, 1, 2, 3}, True)
    await other.close()


async def test_a_lost_connection_voids_all_claims_and_the_next_look_makes_new_ones(
    shared: Settings,
) -> None:
    claims = Claims(shared.database_url, 4)
    await claims.look()
    with psycopg.connect(shared.database_url) as conn:
        conn.execute(END_CLAIMS, (CLOCK,))
    await claims.look()
    assert (claims.held, claims.holds_clock) == (set(), False)
    await claims.look()
    assert (claims.held, claims.holds_clock) == ({0, 1, 2, 3}, True)
    await claims.close()


async def test_a_worker_that_hangs_loses_its_claims_to_the_others(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = KEEPALIVE.replace("idle_session_timeout=60000", "idle_session_timeout=500")
    assert hasty != KEEPALIVE
    one, other = Claims(shared.database_url, 4), Claims(shared.database_url, 4)
    with monkeypatch.context() as patch:
        patch.setattr("ingest.claims.KEEPALIVE", hasty)
        await one.look()
    deadline = asyncio.get_running_loop().time() + 20
    while other.held != {0, 1, 2, 3} or not other.holds_clock:
        assert asyncio.get_running_loop().time() < deadline
        await other.look()
        await asyncio.sleep(0.05)
    await one.look()
    assert (one.held, one.holds_clock) == (set(), False)
    await other.close()
    await one.close()


async def test_what_a_mapped_broker_delivers_is_stored_under_its_plain_topic(
    shared: Settings,
) -> None:
    await open_session(shared)
    async with worker(shared), aiomqtt.Client("127.0.0.1", shared.broker_port) as mqtt:
        await publish(shared, 0, 1)
        await mqtt.publish(
            "fleet/v1/van-001/status", b'{"state":"online","t":%d}' % CLOCK_MS, 1, retain=True
        )
        await mqtt.publish("owntracks/van-002/phone", b"nonsense", 1)
        await mqtt.publish("warehouse/v1/reports/WH", b"nonsense", 1)
        await until(lambda: count_of(shared, "SELECT count(*) FROM fix") == len(VANS))
        await until(lambda: count_of(shared, "SELECT count(*) FROM van_status") == 1)
        await until(lambda: count_of(shared, "SELECT count(*) FROM rejected") == 2)
        with psycopg.connect(shared.database_url) as conn:
            topics = conn.execute("SELECT topic FROM rejected ORDER BY 1").fetchall()
    assert topics == [("owntracks/van-002/phone",), ("warehouse/v1/reports/WH",)]


async def test_a_van_is_of_the_partition_that_the_broker_says(mapped_port: int) -> None:
    vans = [*VANS, "van.with.dots", "camión-7", "x"]
    async with (
        aiomqtt.Client("127.0.0.1", mapped_port) as reader,
        aiomqtt.Client("127.0.0.1", mapped_port) as sender,
    ):
        await reader.subscribe(partitions.ALL, 1)
        for van in vans:
            await sender.publish(f"fleet/v1/{van}/scan", b"x", qos=1)
            await sender.publish(f"owntracks/{van}/phone", b"x", qos=1)
        seen: set[tuple[str, int]] = set()
        async with asyncio.timeout(20):
            while len(seen) < 2 * len(vans):
                topic = str((await anext(aiter(reader.messages))).topic)
                _, partition, plain = topic.split("/", 2)
                if not plain.endswith("/status"):  # another test's, retained
                    seen.add((plain, int(partition)))
    expected = {(van, partitions.of(van, PARTITIONS)) for van in vans}
    assert {(plain.split("/")[2], n) for plain, n in seen if plain.startswith("fleet")} == expected
    assert {(plain.split("/")[1], n) for plain, n in seen if plain.startswith("own")} == expected


@pytest.fixture
def guarded_port(tmp_path: Path) -> Iterator[int]:
    """A mapped NATS Server that knows its users: two vans and ingest."""
    secret = passwords.hashes(PASSWORD).bcrypt
    users = [(van, secret, rights("van", van)) for van in ("van-001", "van-002")]
    users.append(("ingest", secret, rights("ingest")))
    (tmp_path / "users.conf").write_text(nats.users_text(users, partitions.MAPPED))
    mappings = partitions.nats_mappings(PARTITIONS)
    child, port = embedded.start_nats(tmp_path, more=mappings + embedded.NATS_USERS)
    yield port
    child.stop()


async def test_behind_a_mapping_a_van_still_writes_only_what_is_its_own(guarded_port: int) -> None:
    def client(user: str) -> aiomqtt.Client:
        return aiomqtt.Client(
            "127.0.0.1", guarded_port, username=user, password=PASSWORD, identifier=user
        )

    async with client("ingest") as ingest, client("van-001") as one, client("van-002") as two:
        for van in ("van-001", "van-002"):
            (filter_,) = partitions.filters(partitions.of(van, PARTITIONS))
            (granted,) = await ingest.subscribe(filter_, 1)
            assert granted.value == 1
        await two.publish("fleet/v1/van-001/position", b"forged", qos=1)
        await two.publish("owntracks/van-001/phone", b"forged", qos=1)
        await two.publish(f"part/{partitions.of('van-001', 4)}/fleet/v1/van-001/scan", b"forged", 1)
        await one.publish("fleet/v1/van-001/position", b"own", qos=1)
        await two.publish("fleet/v1/van-002/position", b"own", qos=1)
        heard = []
        async with asyncio.timeout(10):
            while heard.count(b"own") < 2:
                heard.append((await anext(aiter(ingest.messages))).payload)
        assert b"forged" not in heard
        (refused,) = await one.subscribe(partitions.ALL, 1)
        assert refused.value == 0x80


async def test_what_the_base_sends_to_a_van_is_not_mapped(mapped_port: int) -> None:
    async with (
        aiomqtt.Client("127.0.0.1", mapped_port) as tablet,
        aiomqtt.Client("127.0.0.1", mapped_port) as base,
    ):
        await tablet.subscribe([("fleet/v1/van-001/inbox", 1), ("fleet/v1/van-001/receipt", 1)])
        for kind in ("inbox", "receipt"):
            await base.publish(f"fleet/v1/van-001/{kind}", b"{}", qos=1)
            async with asyncio.timeout(10):
                assert str((await anext(aiter(tablet.messages))).topic).endswith(kind)


async def test_what_came_before_the_first_worker_waits_in_every_partition(shared: Settings) -> None:
    await open_session(shared)
    await publish(shared, 0, 2)
    async with worker(shared):
        await until(lambda: count_of(shared, "SELECT count(*) FROM fix") == 2 * len(VANS))
        await all_acknowledged(shared)


async def test_workers_come_and_go_under_load_and_nothing_is_lost(shared: Settings) -> None:
    await open_session(shared)
    async with AsyncExitStack() as others:
        async with worker(shared):
            await until(lambda: holdings(shared) == [4])
            load = asyncio.create_task(publish(shared, 0, 100))
            await others.enter_async_context(worker(shared))
            await until(lambda: holdings(shared) == [2, 2])
            await others.enter_async_context(worker(shared))
            await until(lambda: holdings(shared) == [1, 1, 2])
        await until(lambda: holdings(shared) == [2, 2])
        await load
        # What was on the way when a partition moved comes again after the broker's `ack_wait`.
        await until(lambda: count_of(shared, "SELECT count(*) FROM fix") == 100 * len(VANS))
        assert count_of(shared, "SELECT count(*) FROM rejected") == 0
        await all_acknowledged(shared)


async def test_a_worker_whose_claims_are_gone_leaves_its_sessions_and_comes_back(
    shared: Settings,
) -> None:
    await open_session(shared)
    with capture_logs() as logs:
        async with worker(shared):
            await until(lambda: events(logs).count("took over a partition") == 4)
            with psycopg.connect(shared.database_url) as conn:
                conn.execute(END_CLAIMS, (CLOCK,))
            await until(lambda: events(logs).count("took over a partition") == 8)
            await publish(shared, 0, 1)
            await until(lambda: count_of(shared, "SELECT count(*) FROM fix") == len(VANS))
    seen = events(logs)
    lost = seen.index("lost all claims, trying again")
    assert seen[lost + 1 :].index("took over a partition") >= 4
    assert seen[lost + 1 :][:4] == ["left a partition"] * 4


async def test_one_worker_alone_does_what_only_the_clock_demands(
    shared: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticking: set[asyncio.Task[None] | None] = set()
    ticks = 0

    async def tick(*args: object) -> object:
        nonlocal ticks
        ticks += 1
        ticking.add(asyncio.current_task())
        return await known(*args)  # type: ignore[arg-type]

    known = service.tick
    monkeypatch.setattr(service, "tick", tick)
    await open_session(shared)
    async with worker(shared) as one:
        await until(lambda: ticking == {one})
        async with worker(shared):
            await until(lambda: holdings(shared) == [2, 2])
            before = ticks
            await until(lambda: ticks >= before + 5)
            assert ticking == {one}
