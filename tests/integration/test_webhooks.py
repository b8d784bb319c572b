"""Webhooks reach real receivers: signed, at least once, under one id, and nobody waits for others."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, get_args
from uuid import UUID

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from api.commands import resend
from ingest import relay, service
from ingest.batch import Delivery as Delivered
from ingest.webhooks import rules, sender, signing, store
from ingest.webhooks.rules import (
    ATTEMPTS_MAX,
    DELAYS_S,
    LEASE_S,
    NEXT,
    Answer,
    Event,
    Outcome,
    State,
)
from ingest.webhooks.sender import Outside
from ingest.webhooks.store import Delivery
from ops import embedded
from storage.pool import Pool, connect
from storage.settings import Settings, as_datetime
from tests.integration.listening import listening
from tests.integration.test_orders import FRIDAY_EVENING, MONDAY_MORNING, MONDAY_NOON
from tests.integration.test_stock_ledger import commit, opened, rows, scan

DATA = Path(__file__).parents[1] / "data"
NOW: Final = 1_790_000_000_000
SECOND: Final = 1_000
DAY: Final = 86_400 * SECOND
NEVER: Final = asyncio.Event()
SECRET: Final = signing.secret_of(bytes(range(32)))
OLD_SECRET: Final = signing.secret_of(bytes(range(1, 33)))

STATES = """
SELECT state, attempts, last_status, last_error FROM webhook_delivery ORDER BY delivery_id
"""
DELIVERED = "SELECT count(*) FROM webhook_delivery WHERE state = 'delivered'"


@dataclass(frozen=True)
class Request:
    """What a receiver was sent; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def t(self) -> int:
        return int(self.headers["webhook-timestamp"])

    def is_signed_with(self, secret: str) -> bool:
        """Verify it as a receiver would that knows the standard, and none of our code."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        wanted = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
        return f"v1,{wanted}" in self.headers["webhook-signature"].split(" ")


def status(code: int, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {code} So", "content-length: 0", *headers, "", "")).encode()


@dataclass
class Receiver:
    """A receiver on loopback: keeps what it gets, and answers 200 unless told otherwise."""

    port: int = 0
    got: list[Request] = field(default_factory=list)
    answer: bytes = status(200)
    under_way: int = 0
    most_under_way: int = 0
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?key=1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readline()).decode().strip()
            headers = {}
            while (header := (await reader.readline()).decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            body = await reader.readexactly(int(headers["content-length"]))
            self.got.append(Request(line, headers, body))
            self.arrived.set()
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
            await self.is_open.wait()
            writer.write(self.answer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.under_way -= 1
            writer.close()

    async def until_got(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    receiver.is_open.set()
    async with listening(receiver.serve, tls) as receiver.port:
        yield receiver
        receiver.is_open.set()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as it:
        yield it


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with receiving() as it:
        yield it


@dataclass
class Time:
    """A clock that stands until it is set."""

    now: int = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with connect(database_url, "cordee-webhooks") as it:
        yield it


@pytest.fixture
async def outside(time: Time) -> AsyncIterator[Outside]:
    async with sender.opened_client() as client:
        yield Outside(client, allow_private=True, now=time, chance=lambda: 0.5)


def add(url: str, to: str, *topics: str, organisation: int = 1) -> int:
    """Add a webhook with `SECRET`; return its id."""
    wanted = list(topics) or list(rules.TOPICS.values())
    with psycopg.connect(url) as conn:
        found = conn.execute(
            "INSERT INTO webhook (organisation_id, url, topics, secret) VALUES (%s, %s, %s, %s)"
            " RETURNING webhook_id",
            (organisation, to, wanted, SECRET),
        ).fetchone()
    assert found
    return int(found[0])


def leave(url: str, *numbers: int) -> list[bytes]:
    """Leave orders in the outbox in one transaction, as ingest does; return their payloads."""
    payloads = [f'{{"id":"O-{n}","said":"à é"}}'.encode() for n in numbers]
    with psycopg.connect(url) as conn:
        for n, payload in zip(numbers, payloads, strict=True):
            conn.execute(
                "INSERT INTO outbox (topic, payload, organisation_id, created_time)"
                " VALUES (%s, %s, 1, now())",
                (f"warehouse/v1/orders/O-{n}", payload),
            )
        conn.execute("NOTIFY cordee_outbox")
    return payloads


def execute(url: str, query: str, *parameters: object) -> None:
    with psycopg.connect(url) as conn:
        conn.execute(query, parameters or None)


async def send_all(pool: Pool, outside: Outside) -> None:
    """Send what is due now, webhook by webhook."""
    for webhook_id in await sender.look(pool, outside.now()):
        await sender.send_due(pool, outside, webhook_id, NEVER)
    await sender.look(pool, outside.now())


@asynccontextmanager
async def running(url: str) -> AsyncIterator[asyncio.Task[None]]:
    """Run the sender as the relay does."""
    settings, stop = Settings(database_url=url, webhook_allow_private=True), asyncio.Event()
    task = asyncio.create_task(sender.run(settings, stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def until(url: str, query: str, expected: object) -> None:
    """Wait until a query gives `expected`, or fail with what it gave."""
    deadline = asyncio.get_running_loop().time() + 30
    while (seen := rows(url, query)) != expected:
        assert asyncio.get_running_loop().time() < deadline, f"{seen} != {expected}"
        await asyncio.sleep(0.02)


# --- What arrives ------------------------------------------------------------------------------


async def test_a_message_is_delivered_once_signed_so_that_its_receiver_can_tell(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver
) -> None:
    add(database_url, receiver.url)
    [payload] = leave(database_url, 1)
    for _ in range(3):
        await send_all(pool, outside)
    [request] = receiver.got
    assert request.line == "POST /hook?key=1 HTTP/1.1"
    assert request.body == payload
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.t == NOW // SECOND
    assert request.is_signed_with(SECRET)
    assert not request.is_signed_with(OLD_SECRET)
    assert not replace(request, body=payload + b" ").is_signed_with(SECRET)
    [(message_id,)] = rows(database_url, "SELECT message_id FROM webhook_delivery")
    assert request.id == f"msg_{message_id.hex}"
    assert rows(database_url, STATES) == [("delivered", 1, 200, None)]
    assert rows(database_url, "SELECT delivered_time FROM webhook_delivery") == [
        (as_datetime(NOW),)
    ]


async def test_messages_come_in_order_with_an_id_of_their_own_each(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "AT_ONCE_MAX", 1)
    add(database_url, receiver.url)
    payloads = leave(database_url, *range(12))
    await send_all(pool, outside)
    assert [request.body for request in receiver.got] == payloads
    assert len({request.id for request in receiver.got}) == 12


async def test_an_order_made_at_cut_off_reaches_the_webhooks_of_its_organisation(
    company_url: str, outside: Outside, receiver: Receiver, other: Receiver
) -> None:
    execute(company_url, "INSERT INTO organisation (name) VALUES ('other')")
    add(company_url, receiver.url)
    add(company_url, other.url, organisation=2)
    async with opened(company_url) as pool:
        await service.tick(pool, None, lambda: FRIDAY_EVENING)
        await commit(pool, scan("van-001", 1, "count", qty=1, t=MONDAY_MORNING), now=MONDAY_MORNING)
        await service.tick(pool, None, lambda: MONDAY_NOON)
        await send_all(pool, outside)
    [order] = receiver.got
    assert order.is_signed_with(SECRET)
    event = json.loads(order.body)
    assert (event["specversion"], event["type"]) == ("1.0", "cordee.order.sent.v1")
    assert event["data"]["order"] == "R-20260921-1000-van-001"
    query = "SELECT payload FROM outbox WHERE topic LIKE 'warehouse/%'"
    assert rows(company_url, query) == [(order.body,)]
    assert other.got == []


PLAN = """
INSERT INTO site (organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 'S-1', 'Site', 48, 2, 100);
INSERT INTO tour (code, van_id, service_date) VALUES ('TOUR', 1, '2026-09-21');
INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, '2026-09-21 08:00Z', '2026-09-21 09:00Z', 600);
UPDATE reference_version SET version = version + 1;
"""


async def test_an_alert_reaches_the_webhook_that_wants_alerts_and_not_the_one_that_does_not(
    company_url: str, outside: Outside, receiver: Receiver, other: Receiver
) -> None:
    execute(company_url, PLAN)
    add(company_url, receiver.url, rules.TOPICS["alerts"])
    add(company_url, other.url, rules.TOPICS["orders"])
    async with opened(company_url) as pool:
        late = MONDAY_NOON - 3_000 * SECOND  # ten minutes after the window
        elsewhere = json.dumps({"t": late, "lat": 48.5, "lon": 2.0}).encode()
        await commit(pool, Delivered("fleet/v1/van-001/position", elsewhere), now=late)
        await service.tick(pool, None, lambda: late + SECOND)
        await send_all(pool, outside)
    told = [json.loads(request.body) for request in receiver.got]
    assert [(it["type"], it["data"]["van"]) for it in told] == [
        ("cordee.alert.raised.v1", "van-001")
    ]
    assert other.got == []


async def test_while_a_secret_is_replaced_both_are_good_and_then_only_the_new_one(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    add(database_url, receiver.url)
    execute(
        database_url,
        "UPDATE webhook SET old_secret = %s, old_secret_until = %s",
        OLD_SECRET,
        as_datetime(NOW + DAY),
    )
    for moment, n in ((NOW, 1), (NOW + DAY - 1, 2), (NOW + DAY, 3)):
        time.now = moment
        leave(database_url, n)
        await send_all(pool, outside)
    assert [r.is_signed_with(SECRET) for r in receiver.got] == [True, True, True]
    assert [r.is_signed_with(OLD_SECRET) for r in receiver.got] == [True, True, False]


# --- What goes wrong ---------------------------------------------------------------------------


async def test_what_failed_comes_again_under_the_same_id_signed_anew(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.answer = status(500)
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("retrying", 1, 500, "HTTP 500")]
    receiver.answer = status(204)
    time.now += 10 * SECOND
    await send_all(pool, outside)
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    assert second.t == first.t + 10
    assert first.is_signed_with(SECRET)
    assert second.is_signed_with(SECRET)
    assert rows(database_url, STATES) == [("delivered", 2, 204, None)]


class KilledError(Exception):
    """Here the process would have ended."""


async def test_a_sender_killed_between_post_and_mark_sends_the_same_again_a_minute_later(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)

    def killed() -> int:
        """The clock is read between the two."""
        if receiver.got:
            raise KilledError
        return NOW

    with pytest.RaisesGroup(KilledError):
        await send_all(pool, replace(outside, now=killed))
    assert rows(database_url, STATES) == [("retrying", 1, None, None)]
    time.now = NOW + LEASE_S * SECOND - 1
    await send_all(pool, outside)
    assert len(receiver.got) == 1
    time.now += 1
    await send_all(pool, outside)
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    assert rows(database_url, STATES) == [("delivered", 2, 200, None)]


async def test_a_sender_that_is_killed_at_the_last_attempt_leaves_a_dead_delivery(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    webhook = add(database_url, receiver.url)
    leave(database_url, 1)
    for _ in range(ATTEMPTS_MAX):
        async with pool.connection() as conn:
            assert len(await store.take(conn, webhook, time.now, 1)) == 1
        time.now += LEASE_S * SECOND
    await send_all(pool, outside)
    assert receiver.got == []
    assert rows(database_url, STATES) == [
        ("dead", ATTEMPTS_MAX, None, "the process ended before an answer came")
    ]


async def test_a_receiver_that_fails_is_asked_after_growing_pauses_then_the_delivery_is_dead(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.answer = status(500)
    with capture_logs() as logged:
        for n, pause_s in enumerate((*DELAYS_S, 0), start=1):
            await send_all(pool, outside)
            assert len(receiver.got) == n
            time.now += pause_s * SECOND - 1
            await send_all(pool, outside)
            assert len(receiver.got) == n
            time.now += 1
    assert rows(database_url, STATES) == [("dead", ATTEMPTS_MAX, 500, "HTTP 500")]
    assert len({request.id for request in receiver.got}) == 1
    warnings = [entry["event"] for entry in logged if entry["log_level"] == "warning"]
    assert warnings == ["webhook deliveries given up, see `cordee doctor`"]
    time.now += 10 * DAY
    await send_all(pool, outside)
    assert len(receiver.got) == ATTEMPTS_MAX


async def test_a_dead_delivery_that_is_sent_again_arrives_under_its_old_id(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    execute(database_url, "UPDATE webhook_delivery SET attempts = %s", ATTEMPTS_MAX - 1)
    receiver.answer = status(500)
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("dead", ATTEMPTS_MAX, 500, "HTTP 500")]
    async with pool.connection() as conn:
        assert await resend(conn, delivery_id=1) == 1
    await send_all(pool, outside)
    assert [row[:2] for row in rows(database_url, STATES)] == [("retrying", 1)]
    execute(database_url, "UPDATE webhook_delivery SET next_try_at = %s", as_datetime(NOW))
    receiver.answer = status(200)
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("delivered", 2, 200, None)]
    assert len(receiver.got) == 3
    assert len({(request.id, request.body) for request in receiver.got}) == 1


async def test_a_receiver_that_is_not_there_is_asked_again_and_the_reason_is_kept(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, time: Time
) -> None:
    add(database_url, f"http://127.0.0.1:{embedded.free_port()}/")
    leave(database_url, 1)
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("retrying", 1, None, "ConnectError")]


async def test_a_receiver_that_never_answers_is_given_up_after_the_timeout(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "TIMEOUT_S", 0.05)
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.is_open.clear()
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("retrying", 1, None, "no answer within 0.05 s")]


@pytest.mark.parametrize(
    "nonsense",
    [
        b"",
        b"HELLO\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
    ],
)
async def test_what_is_no_http_is_a_failure_like_any_other(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, nonsense: bytes
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.answer = nonsense
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("retrying", 1, None, "RemoteProtocolError")]


async def test_an_accepting_receiver_may_say_what_it_likes_for_as_long_as_it_likes(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nand so on"
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("delivered", 1, 200, None)]


async def test_a_redirection_is_not_followed(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, other: Receiver
) -> None:
    add(database_url, receiver.url)
    leave(database_url, 1)
    receiver.answer = status(307, f"location: {other.url}")
    await send_all(pool, outside)
    assert rows(database_url, STATES) == [("retrying", 1, 307, "HTTP 307")]
    assert other.got == []


async def test_the_environments_proxies_are_not_used(
    database_url: str, pool: Pool, time: Time, receiver: Receiver, monkeypatch: Any
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{embedded.free_port()}")
    add(database_url, receiver.url)
    leave(database_url, 1)
    async with sender.opened_client() as client:
        await send_all(pool, Outside(client, allow_private=True, now=time))
    assert len(receiver.got) == 1


async def test_410_switches_the_webhook_off_for_what_waits_and_what_comes_and_says_so(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, other: Receiver
) -> None:
    add(database_url, receiver.url)
    leave(database_url, *range(6))
    receiver.answer = status(410)
    with capture_logs() as logged:
        await send_all(pool, outside)
    assert len(receiver.got) == sender.AT_ONCE_MAX
    gone = "HTTP 410: the receiver wants no more"
    assert rows(database_url, "SELECT active, off_reason FROM webhook") == [(False, gone)]
    assert sorted(rows(database_url, STATES)) == sorted(
        [("dead", 1, 410, gone)] * 4 + [("dead", 0, None, "the webhook was switched off")] * 2,
        key=str,
    )
    assert "webhook switched off: its receiver answered 410" in [it["event"] for it in logged]
    leave(database_url, 7)
    await send_all(pool, outside)
    assert len(receiver.got) == sender.AT_ONCE_MAX
    assert len(rows(database_url, STATES)) == 6


async def test_a_retry_after_makes_the_whole_webhook_wait_and_no_other(
    database_url: str,
    pool: Pool,
    outside: Outside,
    receiver: Receiver,
    other: Receiver,
    time: Time,
) -> None:
    add(database_url, receiver.url)
    add(database_url, other.url)
    leave(database_url, 1)
    receiver.answer = status(429, "retry-after: 600")
    await send_all(pool, outside)
    receiver.answer = status(200)
    leave(database_url, 2)
    time.now += 599 * SECOND
    await send_all(pool, outside)
    assert (len(receiver.got), len(other.got)) == (1, 2)
    time.now += 1 * SECOND
    await send_all(pool, outside)
    assert len(receiver.got) == 3
    assert {state for state, *_ in rows(database_url, STATES)} == {"delivered"}


# --- Nobody waits for others -------------------------------------------------------------------


async def test_a_slow_receiver_does_not_hold_up_another(
    database_url: str, receiver: Receiver, other: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "TIMEOUT_S", 3_600.0)
    add(database_url, receiver.url)
    add(database_url, other.url)
    receiver.is_open.clear()
    async with running(database_url):
        for n in range(3):
            leave(database_url, *range(n * 10, n * 10 + 10))
            await until(database_url, DELIVERED, [(n * 10 + 10,)])
        assert len(receiver.got) == sender.AT_ONCE_MAX
        assert len(other.got) == 30
        receiver.is_open.set()
        await until(database_url, DELIVERED, [(60,)])
    for it in (receiver, other):
        assert len({request.body for request in it.got}) == len(it.got) == 30
        assert it.most_under_way <= sender.AT_ONCE_MAX


async def test_news_is_posted_when_it_is_committed_not_at_the_next_look(
    database_url: str, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "LOOK_S", 3_600.0)
    add(database_url, receiver.url)
    async with running(database_url):
        for n in range(1, 4):
            leave(database_url, n)
            await receiver.until_got(n)


async def test_what_comes_while_a_webhook_is_just_done_does_not_wait_for_the_next_look(
    database_url: str, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "LOOK_S", 3_600.0)
    looks, looked = asyncio.Queue[list[int]](), sender.look
    takes, taken = asyncio.Queue[int](), store.take

    async def look(*arguments: Any) -> list[int]:
        due = await looked(*arguments)
        looks.put_nowait(due)
        return due

    async def take(*arguments: Any) -> list[Delivery]:
        found = await taken(*arguments)
        takes.put_nowait(len(found))
        if takes.qsize() == 2:  # nothing more was due: now something comes
            while not looks.empty():
                looks.get_nowait()
            leave(database_url, 2)
            assert await looks.get() == [webhook]
        return found

    monkeypatch.setattr(sender, "look", look)
    monkeypatch.setattr(store, "take", take)
    webhook = add(database_url, receiver.url)
    leave(database_url, 1)
    async with running(database_url):
        await receiver.until_got(2)


async def test_webhooks_do_not_wait_for_a_broker_that_is_away(
    database_url: str, receiver: Receiver
) -> None:
    settings = Settings(
        database_url=database_url,
        broker_port=embedded.free_port(),
        webhook_allow_private=True,
    )
    add(database_url, receiver.url)
    leave(database_url, 1)
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(settings, stop))
    try:
        await receiver.until_got(1)
        await until(database_url, "SELECT state FROM webhook_delivery", [("delivered",)])
        assert rows(database_url, "SELECT count(*) FROM outbox WHERE sent_time IS NULL") == [(1,)]
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def test_a_sender_whose_database_goes_away_sends_again_once_it_is_back(
    database_url: str, receiver: Receiver, monkeypatch: Any
) -> None:
    monkeypatch.setattr(sender, "RECONNECT_S", 0.05)
    add(database_url, receiver.url)
    with capture_logs() as logged:
        async with running(database_url):
            leave(database_url, 1)
            await until(database_url, "SELECT state FROM webhook_delivery", [("delivered",)])
            execute(
                database_url,
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'cordee-webhooks'",
            )
            leave(database_url, 2)
            await until(database_url, "SELECT state FROM webhook_delivery", [("delivered",)] * 2)
    assert "webhooks lost the database, reconnecting" in [entry["event"] for entry in logged]
    assert len(receiver.got) == 2


async def test_a_sender_that_is_stopped_finishes_what_is_under_way(
    database_url: str, receiver: Receiver
) -> None:
    add(database_url, receiver.url)
    leave(database_url, *range(sender.AT_ONCE_MAX + 2))
    receiver.is_open.clear()
    stop = asyncio.Event()
    settings = Settings(database_url=database_url, webhook_allow_private=True)
    task = asyncio.create_task(sender.run(settings, stop))
    await receiver.until_got(sender.AT_ONCE_MAX)
    stop.set()
    receiver.is_open.set()
    await asyncio.wait_for(task, 30)
    states = [state for state, *_ in rows(database_url, STATES)]
    assert states == ["delivered"] * sender.AT_ONCE_MAX + ["pending"] * 2


async def test_two_senders_take_nothing_twice(
    database_url: str, pool: Pool, time: Time, receiver: Receiver
) -> None:
    webhook = add(database_url, receiver.url)
    leave(database_url, *range(5))
    async with asyncio.timeout(30), pool.connection() as one, pool.connection() as two:
        async with one.transaction():
            first = await store.take(one, webhook, NOW, 3)
            async with two.transaction():
                second = await store.take(two, webhook, NOW, 3)
        third = await store.take(one, webhook, NOW, 3)
    ids = [it.delivery_id for it in (*first, *second)]
    assert (ids, third) == ([1, 2, 3, 4, 5], [])


# --- Where one may go --------------------------------------------------------------------------


def standing_for(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    async def resolve(_: str, __: int) -> list[str]:
        return list(addresses)

    return resolve


@pytest.mark.parametrize("name", ["127.0.0.1", "hooks.example", "127.1", "2130706433"])
async def test_nothing_goes_to_this_network_unless_that_is_allowed_whatever_the_name(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver, name: str
) -> None:
    add(database_url, f"http://{name}:{receiver.port}/")
    leave(database_url, 1)
    strict = replace(outside, allow_private=False)
    if name == "hooks.example":
        strict = replace(strict, resolve=standing_for("127.0.0.1", "::ffff:127.0.0.1"))
    await send_all(pool, strict)
    assert receiver.got == []
    [(state, _, _, error)] = rows(database_url, STATES)
    assert state == "retrying"
    assert "CORDEE_WEBHOOK_ALLOW_PRIVATE" in error


async def test_a_name_is_looked_up_once_and_told_to_the_receiver(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver
) -> None:
    add(database_url, f"http://hooks.example:{receiver.port}/x")
    leave(database_url, 1)
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"]

    await send_all(pool, replace(outside, resolve=resolve))
    [request] = receiver.got
    assert request.headers["host"] == f"hooks.example:{receiver.port}"
    assert asked == [("hooks.example", receiver.port)]


async def test_if_one_address_of_a_name_takes_no_connection_the_next_one_is_tried(
    database_url: str, pool: Pool, outside: Outside, receiver: Receiver
) -> None:
    add(database_url, f"http://hooks.example:{receiver.port}/")
    leave(database_url, 1)
    resolve = standing_for("::1", "127.0.0.9", "127.0.0.1")
    await send_all(pool, replace(outside, resolve=resolve))
    assert len(receiver.got) == 1


async def test_a_name_that_nobody_knows_is_tried_again(
    database_url: str, pool: Pool, outside: Outside
) -> None:
    async def resolve(_: str, __: int) -> list[str]:
        raise OSError

    add(database_url, "http://hooks.example/")
    leave(database_url, 1)
    await send_all(pool, replace(outside, resolve=resolve))
    [(state, _, _, error)] = rows(database_url, STATES)
    assert (state, error) == ("retrying", "the name cannot be looked up: OSError")


# --- The table of states, cell by cell ---------------------------------------------------------

PUT = {
    "pending": "UPDATE webhook_delivery SET state = 'pending'",
    "retrying": "UPDATE webhook_delivery SET state = 'retrying', next_try_at = to_timestamp(0)",
    "delivered": "UPDATE webhook_delivery SET state = 'delivered', delivered_time = '2026-09-20Z'",
    "dead": "UPDATE webhook_delivery SET state = 'dead'",
}
#: All but the last column, which is a person's doing: test_webhook_commands.py.
CELLS = [(s, e) for s in get_args(State) for e in get_args(Event) if e != "send again"]


async def do(conn: Any, event: Event, webhook: int) -> None:
    """Let an event happen to the one delivery there is, whatever its state."""
    outcomes: dict[Event, tuple[Answer, Outcome]] = {
        "accept": (Answer(200), Outcome("accept")),
        "fail": (Answer(500), Outcome("fail", "HTTP 500", NOW + 1)),
        "give up": (Answer(500), Outcome("give up", "HTTP 500")),
    }
    if event in outcomes:
        one = Delivery(1, webhook, UUID(int=1), 0, "", b"", SECRET, None)
        await store.settle(conn, one, *outcomes[event], NOW)
    elif event == "take":
        await store.take(conn, webhook, NOW, 9)
    else:
        assert event == "switch off"
        await store.switch_off(conn, webhook, "by hand")
        await store.tidy(conn, NOW)


@pytest.mark.parametrize(("state", "event"), CELLS)
async def test_a_delivery_changes_as_the_table_of_states_says(
    database_url: str, pool: Pool, state: State, event: Event
) -> None:
    webhook = add(database_url, "http://hooks.example/")
    leave(database_url, 1)
    execute(database_url, PUT[state] + ", changed_time = '2026-09-20Z'")
    async with pool.connection() as conn:
        await do(conn, event, webhook)
    after = NEXT.get((state, event), state)
    assert [row[0] for row in rows(database_url, STATES)] == [after]
    is_changed = (state, event) in NEXT
    changed = rows(database_url, "SELECT changed_time > '2026-09-20Z' FROM webhook_delivery")
    assert changed == [(is_changed,)]


@pytest.mark.parametrize(("event", "state"), [("fail", "retrying"), ("accept", "delivered")])
async def test_of_an_attempt_that_another_has_overtaken_only_its_success_counts(
    database_url: str, pool: Pool, event: Event, state: str
) -> None:
    webhook = add(database_url, "http://hooks.example/")
    leave(database_url, 1)
    async with pool.connection() as conn:
        [first] = await store.take(conn, webhook, NOW, 1)
        [_] = await store.take(conn, webhook, NOW + LEASE_S * SECOND, 1)
        outcome = Outcome(event, None, NOW + 1 if event == "fail" else None)
        await store.settle(conn, first, Answer(200), outcome, NOW + LEASE_S * SECOND + 1)
    assert [row[0] for row in rows(database_url, STATES)] == [state]
    due = [(as_datetime(NOW + 2 * LEASE_S * SECOND),)] if state == "retrying" else [(None,)]
    assert rows(database_url, "SELECT next_try_at FROM webhook_delivery") == due


# --- What is forgotten -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "days", "kept"),
    [
        ("delivered", 7, 1), ("delivered", 8, 0),
        ("dead", 30, 1), ("dead", 31, 0),
        ("pending", 99, 1),
    ],
)  # fmt: skip
async def test_what_is_over_is_kept_for_a_while_and_its_message_as_long(
    company_url: str, state: str, days: int, kept: int
) -> None:
    add(company_url, "http://hooks.example/")
    leave(company_url, 1)
    execute(company_url, PUT[state] + ", changed_time = %s", as_datetime(NOW))
    execute(company_url, "UPDATE outbox SET sent_time = %s", as_datetime(NOW))
    async with opened(company_url) as pool:
        await sender.look(pool, NOW + days * DAY)
        await service.tick(pool, None, lambda: NOW + 100 * DAY)
    assert rows(company_url, "SELECT count(*) FROM webhook_delivery") == [(kept,)]
    assert rows(company_url, "SELECT count(*) FROM outbox") == [(kept,)]


# --- TLS ---------------------------------------------------------------------------------------


@pytest.fixture
def tls() -> Iterator[ssl.SSLContext]:
    """The receiver's side: a certificate for hooks.example, from an authority of the tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "hooks.example.pem")
    return context


@asynccontextmanager
async def trusting(time: Time, resolve: Any) -> AsyncIterator[Outside]:
    """A world in which the tests' authority is trusted."""
    context = ssl.create_default_context(cafile=DATA / "hooks.example.pem")
    async with httpx.AsyncClient(verify=context, trust_env=False) as client:
        yield Outside(client, allow_private=True, resolve=resolve, now=time, chance=lambda: 0.5)


async def test_a_certificate_is_checked_for_the_name_of_the_url_not_for_the_address(
    database_url: str, pool: Pool, time: Time, tls: ssl.SSLContext
) -> None:
    async with receiving(tls) as receiver:
        add(database_url, f"https://hooks.example:{receiver.port}/")
        add(database_url, f"https://other.example:{receiver.port}/")
        leave(database_url, 1)
        async with trusting(time, standing_for("127.0.0.1")) as outside:
            await send_all(pool, outside)
        assert [r.headers["host"] for r in receiver.got] == [f"hooks.example:{receiver.port}"]
    assert rows(database_url, STATES) == [
        ("delivered", 1, 200, None),
        ("retrying", 1, None, "ConnectError"),
    ]


async def test_a_certificate_of_an_unknown_authority_gets_nothing(
    database_url: str, pool: Pool, outside: Outside, tls: ssl.SSLContext
) -> None:
    async with receiving(tls) as receiver:
        add(database_url, f"https://hooks.example:{receiver.port}/")
        leave(database_url, 1)
        await send_all(pool, replace(outside, resolve=standing_for("127.0.0.1")))
        assert receiver.got == []
    assert rows(database_url, STATES) == [("retrying", 1, None, "ConnectError")]
