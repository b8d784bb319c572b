"""The publisher against a broker that fails: nothing lost, order kept, nothing claimed too soon."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiomqtt
import pytest

from simulators import publisher
from simulators.faults import Outgoing
from simulators.publisher import Login, publish


class Broker:
    """Stands in for all clients: accepts, and fails when `fails` says so of the nth publish."""

    def __init__(self, fails: Callable[[int], bool] = lambda _: False) -> None:
        self.fails = fails
        self.calls = 0
        self.accepted: list[tuple[str, bytes]] = []
        self.first = asyncio.Event()
        self.in_flight = 0
        self.in_flight_max = 0
        self.users: list[str | None] = []

    def client(self) -> "Broker":
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def publish(self, topic: str, payload: bytes, *rest: object) -> None:
        assert rest == (1, False)
        self.calls += 1
        call = self.calls
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        if self.fails(call):
            raise aiomqtt.MqttError("gone")
        self.accepted.append((topic, payload))
        self.first.set()


def messages(count: int, vans: int = 3) -> list[Outgoing]:
    return [
        Outgoing(index, f"fleet/v1/van-{index % vans}/position", b"%d" % index, made_ms=index)
        for index in range(count)
    ]


async def run(
    monkeypatch: pytest.MonkeyPatch,
    broker: Broker,
    outgoing: list[Outgoing],
    *,
    now_ms: int = 10**9,
    stop: asyncio.Event | None = None,
    logins: dict[str, Login] | None = None,
) -> list[Outgoing]:
    def client_of(_host: str, _port: int, user: str | None, *_rest: object) -> Broker:
        broker.users.append(user)
        return broker

    monkeypatch.setattr(publisher, "_Broker", client_of)
    monkeypatch.setattr(publisher, "BACKOFF_S_MAX", 0)
    recorded: list[Outgoing] = []
    async with asyncio.timeout(20):
        await publish(
            iter(outgoing),
            host="",
            port=0,
            user=None,
            password=None,
            logins=logins,
            clock=lambda: now_ms,
            speed=1000,
            record=lambda message, _: recorded.append(message),
            stop=stop or asyncio.Event(),
            connections=2,
        )
    return recorded


async def test_all_is_published_and_recorded_in_the_order_of_each_van(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker()
    sent = messages(5_000)
    recorded = await run(monkeypatch, broker, sent)
    assert sorted(recorded, key=lambda message: message.send_ms) == sent
    for van in range(3):
        topic = f"fleet/v1/van-{van}/position"
        payloads = [int(payload) for where, payload in broker.accepted if where == topic]
        assert payloads == sorted(payloads)
    assert 10 < broker.in_flight_max <= 2 * publisher.GROUP_MAX


async def test_each_van_uses_its_own_login_and_one_without_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker()
    logins = {f"van-{van}": (f"user {van}", "secret") for van in (0, 2)}
    recorded = await run(monkeypatch, broker, messages(3_000), logins=logins)
    assert broker.users == ["user 0", "user 2"]
    assert {topic for topic, _ in broker.accepted} == {
        "fleet/v1/van-0/position",
        "fleet/v1/van-2/position",
    }
    assert len(broker.accepted) == len(recorded) == 2_000


async def test_what_was_not_acknowledged_is_sent_again_and_recorded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = Broker(fails=lambda call: call % 7 == 3)
    sent = messages(2_000)
    recorded = await run(monkeypatch, broker, sent)
    assert sorted(recorded, key=lambda message: message.send_ms) == sent
    assert broker.calls > len(sent)


async def test_a_broker_that_stays_away_is_given_up_and_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await run(monkeypatch, Broker(fails=lambda _: True), messages(10))
    assert raised.group_contains(aiomqtt.MqttError)


async def test_nothing_is_sent_before_it_is_due_and_a_stop_flushes_what_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = asyncio.Event()
    held = [
        Outgoing(50, "fleet/v1/van-1/position", b"due", made_ms=50),
        Outgoing(5_000_000, "fleet/v1/van-1/position", b"held", made_ms=80),
        Outgoing(5_000_001, "fleet/v1/van-1/position", b"later", made_ms=4_000_000),
    ]
    broker = Broker()
    task = asyncio.create_task(run(monkeypatch, broker, held, now_ms=100, stop=stop))
    await broker.first.wait()
    assert [payload for _, payload in broker.accepted] == [b"due"]
    stop.set()
    recorded = await task
    assert [message.payload for message in recorded] == [b"due", b"held"]


def test_the_client_is_told_to_keep_quiet_about_many_calls_in_flight() -> None:
    assert publisher.QUIET.level == logging.ERROR
