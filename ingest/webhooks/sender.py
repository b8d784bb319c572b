"""From the outbox to webhooks: takes what is due, posts it, and writes down what came of it.

Each webhook with something due has a task of its own, with up to four requests under way, so that a
receiver that is slow or away holds up nobody else. No transaction is open while something is posted:
what is taken is this sender's for a minute (`rules.LEASE_S`), and after that anybody's again. If
nothing can be written of an attempt, its delivery is therefore sent once more, under the same id.

A request is a new connection each time, to an address that was just judged (`addresses.py`), with
the name of the URL for TLS and as Host. Redirections are not followed, the environment's proxies not
used, and of the answer only the status line and headers are read.
"""

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import SystemRandom
from typing import Final

import httpx
import structlog

from ingest import outbox
from ingest.webhooks import addresses, signing, store
from ingest.webhooks.rules import TIMEOUT_S, Answer, Event, judge
from ingest.webhooks.store import Delivery
from storage.pool import Pool, connect
from storage.settings import Clock, Settings, real_ms

#: Requests of one webhook that are under way at once.
AT_ONCE_MAX: Final = 4
#: For connecting to one of a name's addresses, so that there is time for the next.
CONNECT_S: Final = 5.0

LOOK_S = outbox.LOOK_S
RECONNECT_S = outbox.RECONNECT_S

log = structlog.get_logger()
# httpx logs every URL, and that of a webhook may be a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses that a name stands for. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(frozen=True, slots=True)
class Outside:
    """The world that a sender meets.

    Attributes:
        client: From `opened_client`.
        allow_private: Whether private and loopback addresses may be posted to.
        resolve: Looks names up.
        now: The machine's time.
        chance: From 0 to 1, another one each time.
    """

    client: httpx.AsyncClient
    allow_private: bool
    resolve: Resolve = resolve
    now: Clock = real_ms
    chance: Callable[[], float] = SystemRandom().random


@contextlib.asynccontextmanager
async def opened_client() -> AsyncIterator[httpx.AsyncClient]:
    """Lend an HTTP client that keeps no connection.

    A kept one would be used again for another webhook at the same address, whatever name its
    certificate was checked for.
    """
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    timeout = httpx.Timeout(None, connect=CONNECT_S)  # `post` limits the whole
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=timeout) as client:
        yield client


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Send until `stop` is set, and finish what is under way; a database that is away is tried again."""
    async with connect(settings.database_url, "cordee-webhooks") as pool:
        while not stop.is_set():
            try:
                async with opened_client() as client:
                    outside = Outside(client, settings.webhook_allow_private)
                    await _send_on(pool, outside, stop)
            except* outbox.DATABASE_PASSING as errors:
                log.warning(
                    "webhooks lost the database, reconnecting", error=str(errors.exceptions)
                )
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), RECONNECT_S)


async def _send_on(pool: Pool, outside: Outside, stop: asyncio.Event) -> None:
    busy: set[int] = set()
    one_done = asyncio.Event()

    def forget(webhook_id: int, _: asyncio.Task[None]) -> None:
        busy.remove(webhook_id)
        one_done.set()

    async with pool.connection() as listening, asyncio.TaskGroup() as group:
        await outbox.listen(listening)
        while not stop.is_set():
            one_done.clear()
            for webhook_id in set(await look(pool, outside.now())) - busy:
                busy.add(webhook_id)
                sending = group.create_task(send_due(pool, outside, webhook_id, stop))
                sending.add_done_callback(partial(forget, webhook_id))
            await outbox.heard(listening, LOOK_S, stop, one_done)
        await listening.set_autocommit(False)


async def look(pool: Pool, now: int) -> list[int]:
    """Return the webhooks for which something is due, having put aside what nobody will post."""
    async with pool.connection() as conn, conn.transaction():
        died = await store.tidy(conn, now)
        due = await store.webhooks_due(conn, now)
    if died:
        log.warning("webhook deliveries given up, see `cordee doctor`", deliveries=died)
    return due


async def send_due(pool: Pool, outside: Outside, webhook_id: int, stop: asyncio.Event) -> None:
    """Send what is due for one webhook, a few at a time, until nothing is or `stop` is set."""
    while not stop.is_set():
        async with pool.connection() as conn, conn.transaction():
            taken = await store.take(conn, webhook_id, outside.now(), AT_ONCE_MAX)
        if not taken:
            return
        async with asyncio.TaskGroup() as group:
            sending = [group.create_task(_send(pool, outside, one)) for one in taken]
        _tell(webhook_id, Counter(task.result() for task in sending))


async def _send(pool: Pool, outside: Outside, delivery: Delivery) -> Event:
    answer = await post(outside, delivery)
    now = outside.now()
    outcome = judge(answer, delivery.attempts, now, outside.chance())
    async with pool.connection() as conn, conn.transaction():
        await store.settle(conn, delivery, answer, outcome, now)
    return outcome.event


def _tell(webhook_id: int, events: Counter[Event]) -> None:
    log.info("posted", webhook=webhook_id, delivered=events["accept"], failed=events["fail"])
    if events["give up"]:
        log.warning(
            "webhook deliveries given up, see `cordee doctor`",
            webhook=webhook_id,
            deliveries=events["give up"],
        )
    if events["switch off"]:
        log.warning("webhook switched off: its receiver answered 410", webhook=webhook_id)


async def post(outside: Outside, delivery: Delivery) -> Answer:
    """Post a delivery once and return what came of it; nothing that a receiver does raises."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _post(outside, delivery)
    except TimeoutError:
        return Answer(error=f"no answer within {TIMEOUT_S:g} s")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(error=type(error).__name__)
    except (OSError, UnicodeError) as error:
        return Answer(error=f"the name cannot be looked up: {type(error).__name__}")


async def _post(outside: Outside, delivery: Delivery) -> Answer:
    """Post to the first of the allowed addresses that takes a connection.

    Raises:
        OSError: Nobody knows the name.
        httpx.HTTPError: No connection, or no HTTP on it.
    """
    refusal = addresses.refusal(delivery.url, allow_private=outside.allow_private)
    if refusal is not None:
        return Answer(error=refusal)
    url = httpx.URL(delivery.url)
    name = url.raw_host.decode()
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    found = await outside.resolve(name, port)
    usable = addresses.allowed(found, allow_private=outside.allow_private)
    if not usable:
        return Answer(
            error="the name stands for no public address; CORDEE_WEBHOOK_ALLOW_PRIVATE=true allows"
            " others"
        )
    headers = signing.headers(
        delivery.secrets, delivery.message_id, delivery.payload, outside.now()
    ) | {"host": url.netloc.decode(), "user-agent": "cordee"}
    for address in usable[:-1]:
        with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await _post_to(outside.client, url, address, headers, delivery.payload)
    return await _post_to(outside.client, url, usable[-1], headers, delivery.payload)


async def _post_to(
    client: httpx.AsyncClient, url: httpx.URL, address: str, headers: dict[str, str], body: bytes
) -> Answer:
    async with client.stream(
        "POST",
        url.copy_with(host=address),
        headers=headers,
        content=body,
        extensions={"sni_hostname": url.raw_host.decode()},
        follow_redirects=False,
    ) as response:
        return Answer(response.status_code, retry_after=response.headers.get("retry-after"))
