"""Who can write and read what at the broker: every pair of a role and a topic is really tried.

The table below is written by hand. It must not be computed from ops/devices/rights.py, which it
judges: what is in it may be done, everything else must fail.

A *try* is a pair of somebody and a topic, published to or subscribed to. Whether it was allowed is
what a privileged observer sees: a published message reached it, or a message of its own reached the
subscriber. Nobody waits for nothing to come; each try ends with a barrier:

* published: the broker acknowledges at QoS 1 whether it delivers or drops, and it has done so by
  then; what the observer publishes after that reaches the observer after it.
* subscribed at QoS 0: both brokers hand a message on before they acknowledge it to its publisher, so
  the answer to what the subscriber asks next comes after the message. At QoS 1 that holds for
  Mosquitto; NATS, which delivers those from its store, says at once whether it granted the
  subscription, and what it has granted is waited for.
* a will: the broker publishes it after a cut connection, when it notices. After each forbidden one,
  three allowed ones are made to arrive.

Whoever is refused at the door tries all the same, in the same packet as the CONNECT.
"""

import asyncio
import itertools
import socket
import ssl
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiomqtt

from ops import embedded
from ops.access import raw_mqtt
from ops.devices import passwords, provision
from ops.devices.provision import Kind, Made
from ops.devices.store import Owner
from storage.pool import connect, migrate
from storage.settings import Settings, real_ms

A: Final = "van-001"
#: A code with a dot, which NATS writes otherwise, and which begins like the other van's.
B: Final = "van-001.b"
REVOKED: Final = "van-003"

COMPANY: Final = f"""
INSERT INTO van (organisation_id, code, name)
VALUES (1, '{A}', 'A'), (1, '{B}', 'B'), (1, '{REVOKED}', 'C');
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 'WH-1', 'One', 48, 2), (1, 'WH-2', 'Two', 48, 2);
"""

#: Every kind of topic there is, and some that should not be.
TOPICS: Final = (
    *(f"fleet/v1/{van}/{kind}" for van in (A, B)
      for kind in ("position", "scan", "report", "message", "status", "receipt", "inbox", "position/more")),
    *(f"owntracks/{van}/{rest}" for van in (A, B) for rest in ("phone", "phone/event")),
    "fleet/v1/van-unknown/position",
    f"fleet/v1/{A}",
    f"fleet/v2/{A}/position",
    "warehouse/v1/orders/O-1",
    "warehouse/v1/reports/WH-1",
    "warehouse/v1/reports/WH-2",
    f"planner/v1/alerts/{A}",
    f"planner/v1/alerts/{B}",
    f"planner/v1/visit-reports/{A}",
    "warehouse/v1/orders/O-1/more",
    "warehouse/v1/reports/WH-1/more",
    "warehouse/v1/elsewhere",
    f"planner/v1/alerts/{A}/more",
    "planner/v1/elsewhere",
    "elsewhere",
    f"part/0/fleet/v1/{B}/position",
    f"$MQTT/msgs/fleet/v1/{B}/position",
    "$SYS/broker/uptime",
)  # fmt: skip

#: Filters wider than a topic, and one that each must not let through.
WIDER: Final = (
    ("#", f"fleet/v1/{B}/receipt"),
    ("+/v1/+/inbox", f"fleet/v1/{B}/inbox"),
    ("fleet/#", f"fleet/v1/{B}/inbox"),
    ("fleet/v1/+/position", f"fleet/v1/{B}/position"),
    ("fleet/v1/+/receipt", f"fleet/v1/{B}/receipt"),
    ("owntracks/+/+", f"owntracks/{B}/phone"),
    ("warehouse/v1/+/+", "warehouse/v1/reports/WH-2"),
    ("warehouse/v1/orders/#", "warehouse/v1/orders/O-1"),
    ("planner/v1/alerts/#", f"planner/v1/alerts/{B}"),
    ("planner/v1/visit-reports/#", f"planner/v1/visit-reports/{A}"),
    ("planner/#", f"planner/v1/alerts/{B}"),
    ("$share/all/fleet/v1/+/position", f"fleet/v1/{B}/position"),
    ("part/+/#", f"part/0/fleet/v1/{B}/position"),
    ("$MQTT/#", f"fleet/v1/{B}/receipt"),
)

A_PUBLISHES: Final = {
    "fleet/v1/van-001/position",
    "fleet/v1/van-001/scan",
    "fleet/v1/van-001/report",
    "fleet/v1/van-001/message",
    "fleet/v1/van-001/status",
    "owntracks/van-001/phone",
}
A_READS: Final = {"fleet/v1/van-001/receipt", "fleet/v1/van-001/inbox"}

#: Who may publish to what. Nobody else may, nor to anything else.
MAY_PUBLISH: Final[dict[str, set[str]]] = {
    "van A": A_PUBLISHES,
    "van A, old password in its time": A_PUBLISHES,
    "van A, old password after its time": set(),
    "van B": {
        "fleet/v1/van-001.b/position",
        "fleet/v1/van-001.b/scan",
        "fleet/v1/van-001.b/report",
        "fleet/v1/van-001.b/message",
        "fleet/v1/van-001.b/status",
        "owntracks/van-001.b/phone",
    },
    "revoked van": set(),
    "ingest": set(),
    "relay": {
        "fleet/v1/van-001/position",
        "fleet/v1/van-001/scan",
        "fleet/v1/van-001/report",
        "fleet/v1/van-001/message",
        "fleet/v1/van-001/status",
        "fleet/v1/van-001.b/position",
        "fleet/v1/van-001.b/scan",
        "fleet/v1/van-001.b/report",
        "fleet/v1/van-001.b/message",
        "fleet/v1/van-001.b/status",
        "fleet/v1/van-unknown/position",
        "owntracks/van-001/phone",
        "owntracks/van-001.b/phone",
        "fleet/v1/van-001/receipt",
        "fleet/v1/van-001/inbox",
        "fleet/v1/van-001.b/receipt",
        "fleet/v1/van-001.b/inbox",
        "warehouse/v1/orders/O-1",
        "warehouse/v1/reports/WH-1",
        "warehouse/v1/reports/WH-2",
        "planner/v1/alerts/van-001",
        "planner/v1/alerts/van-001.b",
        "planner/v1/visit-reports/van-001",
    },
    "warehouse WH-1": {"warehouse/v1/reports/WH-1"},
    "planner": set(),
    "no credentials": set(),
    "wrong password": set(),
    "another van's password": set(),
    "unknown user": set(),
}

#: Who may read what, by a filter that is the topic.
MAY_READ: Final[dict[str, set[str]]] = {
    **{who: set() for who in MAY_PUBLISH},
    "van A": A_READS,
    "van A, old password in its time": A_READS,
    "van B": {"fleet/v1/van-001.b/receipt", "fleet/v1/van-001.b/inbox"},
    "ingest": {
        "fleet/v1/van-001/position",
        "fleet/v1/van-001/scan",
        "fleet/v1/van-001/report",
        "fleet/v1/van-001/message",
        "fleet/v1/van-001/status",
        "owntracks/van-001/phone",
        "fleet/v1/van-001.b/position",
        "fleet/v1/van-001.b/scan",
        "fleet/v1/van-001.b/report",
        "fleet/v1/van-001.b/message",
        "fleet/v1/van-001.b/status",
        "owntracks/van-001.b/phone",
        "fleet/v1/van-unknown/position",
        "warehouse/v1/reports/WH-1",
        "warehouse/v1/reports/WH-2",
        "part/0/fleet/v1/van-001.b/position",
    },
    "warehouse WH-1": {"warehouse/v1/orders/O-1", "warehouse/v1/orders/O-1/more"},
    "planner": {
        "planner/v1/alerts/van-001",
        "planner/v1/alerts/van-001/more",
        "planner/v1/alerts/van-001.b",
        "planner/v1/visit-reports/van-001",
    },
}

#: Who may read by which wider filters.
MAY_READ_WIDER: Final[dict[str, set[str]]] = {
    "ingest": {"fleet/v1/+/position", "owntracks/+/+", "part/+/#"},
    "warehouse WH-1": {"warehouse/v1/orders/#"},
    "planner": {"planner/v1/alerts/#", "planner/v1/visit-reports/#"},
}

#: Ways to publish, beside QoS 1.
WAYS: Final = ("QoS 0", "QoS 2", "retained", "as a will")
WAYS_TO: Final = (f"fleet/v1/{A}/status", f"fleet/v1/{B}/status", "warehouse/v1/reports/WH-2")

#: How long something that must come may take.
ARRIVES_WITHIN_S: Final = 10.0
WILLS_AFTER: Final = 3


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody knocks. Services have a door of their own where the broker has two."""

    user: str | None
    password: str | None
    client_id: str
    is_service: bool = False


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker, and the login of the one who may do everything."""

    kind: Kind
    port: int
    inner_port: int
    observer: Login
    tls_context: ssl.SSLContext | None = None


@dataclass(slots=True)
class Findings:
    """What was tried, and where broker and table differ."""

    tried: int = 0
    wrongly_allowed: list[str] = field(default_factory=list)
    wrongly_denied: list[str] = field(default_factory=list)

    def note(self, what: str, *, expected: bool, happened: bool) -> None:
        """Count a try."""
        self.tried += 1
        if happened and not expected:
            self.wrongly_allowed.append(what)
        if expected and not happened:
            self.wrongly_denied.append(what)

    def report(self) -> dict[str, Any]:
        """Return counts, and what they count."""
        return {
            "tried": self.tried,
            "wrongly_allowed": len(self.wrongly_allowed),
            "wrongly_denied": len(self.wrongly_denied),
            "allowed": self.wrongly_allowed,
            "denied": self.wrongly_denied,
        }


def run() -> dict[str, Any]:
    """Try everything on NATS and on Mosquitto; return each one's report.

    Raises:
        embedded.ServerError: A server is missing or did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        reports = {}
        for kind in ("nats", "mosquitto"):
            database_url = embedded.ensure_database(url, f"access_{kind}")
            migrate(database_url)
            findings = asyncio.run(examine(database_url, kind, folder / kind))
            reports[kind] = findings.report()
        return reports


async def examine(database_url: str, kind: Kind, folder: Path) -> Findings:
    """Provision a small company in an empty database, start a broker for it, and try everything."""
    people, observer = await prepare(database_url, kind, folder)
    with ExitStack() as stack:
        if kind == "nats":
            child, port = embedded.start_nats(folder, more=embedded.NATS_USERS)
            inner_port = port
        else:
            child, port, inner_port = embedded.start_mosquitto(folder, embedded.MOSQUITTO_USERS)
        stack.callback(child.stop)
        return await attempt(Broker(kind, port, inner_port, observer), people)


async def prepare(database_url: str, kind: Kind, folder: Path) -> tuple[dict[str, Login], Login]:
    """Make everybody of the table and write the broker's files; return them, and the observer."""
    people = await _provision(database_url)
    async with (
        connect(database_url, "access", size_max=1) as pool,
        pool.connection() as conn,
        conn.transaction(),
    ):
        settings = Settings(database_url=database_url)
        await provision.broker(conn, settings, kind, folder, real_ms())
    return people, _let_observer_in(kind, folder)


async def _provision(database_url: str) -> dict[str, Login]:
    """Make everybody of the table, by the commands that operators use."""
    now = real_ms() - 1  # what is over must be over when the files are written
    async with (
        connect(database_url, "access", size_max=1) as pool,
        pool.connection() as conn,
        conn.transaction(),
    ):
        await conn.execute(COMPANY)
        van_a, van_b = await provision.van(conn, A), await provision.van(conn, B)
        van_c = await provision.van(conn, REVOKED)
        old = await provision.make(conn, van_a, "tablet", now)
        new = await provision.rotate(conn, van_a, "tablet", 1.0, now)
        over = await provision.make(conn, van_a, "phone", now)
        await provision.rotate(conn, van_a, "phone", 0.0, now)
        of_b = await provision.make(conn, van_b, "tablet", now)
        of_c = await provision.make(conn, van_c, "tablet", now)
        await provision.revoke(conn, van_c, None, now)
        warehouse = await provision.service(conn, "warehouse", "WH-1")
        services = {
            "ingest": await provision.make(conn, Owner("ingest"), "main", now),
            "relay": await provision.make(conn, Owner("relay"), "main", now),
            "warehouse WH-1": await provision.make(conn, warehouse, "main", now),
            "planner": await provision.make(conn, Owner("planner"), "main", now),
        }
    stranger = passwords.new_password()
    return {
        "van A": _login(new),
        "van A, old password in its time": _login(old),
        "van A, old password after its time": _login(over),
        "van B": _login(of_b),
        "revoked van": _login(of_c),
        **{name: _login(made, is_service=True) for name, made in services.items()},
        "no credentials": Login(None, None, "anybody"),
        "wrong password": Login(new.user_name, stranger, new.user_name),
        "another van's password": Login(new.user_name, of_b.password, new.user_name),
        "unknown user": Login("van-001", stranger, "van-001"),
    }


def _login(made: Made, *, is_service: bool = False) -> Login:
    return Login(made.user_name, made.password, made.user_name, is_service=is_service)


def _let_observer_in(kind: Kind, folder: Path) -> Login:
    """Add one user who may do everything to files that know no such user."""
    password = passwords.new_password()
    hashes = passwords.hashes(password)
    if kind == "nats":
        path = folder / "users.conf"
        line = f'users: [\n  {{ user: "observer", password: "{hashes.bcrypt}" }}\n'
        path.write_text(path.read_text().replace("users: [\n", line))
    else:
        with (folder / "passwords").open("a") as out:
            out.write(f"observer:{hashes.pbkdf2}\n")
        with (folder / "access").open("a") as out:
            out.write("\nuser observer\ntopic readwrite #\ntopic readwrite $SYS/#\n")
    return Login("observer", password, "observer", is_service=True)


async def attempt(broker: Broker, people: dict[str, Login]) -> Findings:
    """Try every pair of the table at a running broker."""
    findings = Findings()
    async with _observing(broker) as observer:
        for who, login in people.items():
            async with AsyncExitStack() as stack:
                try:
                    client = await stack.enter_async_context(_client(broker, login))
                except aiomqtt.MqttError:
                    await _slip_in(broker, observer, who, login, findings)
                    continue
                await _publish(observer, client, who, findings)
                await _publish_otherwise(broker, observer, client, who, login, findings)
                await _subscribe(broker, observer, client, who, findings)
    return findings


def _client(broker: Broker, login: Login) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1",
        broker.inner_port if login.is_service else broker.port,
        username=login.user,
        password=login.password,
        identifier=login.client_id,
        timeout=ARRIVES_WITHIN_S,
        tls_context=broker.tls_context,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


class Observer:
    """Sees everything, and may write everywhere."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self._client = client
        self.seen: set[bytes] = set()
        self._numbers = itertools.count()
        self._came = asyncio.Condition()

    async def listen(self) -> None:
        """Take in what comes, until cancelled."""
        async for message in self._client.messages:
            async with self._came:
                self.seen.add(bytes(message.payload))
                self._came.notify_all()

    def payload(self) -> bytes:
        """Return a payload that was never used."""
        return f"payload {next(self._numbers)}".encode()

    async def until(self, payload: bytes) -> None:
        """Wait until a payload has come. Raises TimeoutError."""
        async with self._came, asyncio.timeout(ARRIVES_WITHIN_S):
            await self._came.wait_for(lambda: payload in self.seen)

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish, and return when the broker has acknowledged it."""
        await self._client.publish(topic, payload, qos=1)

    async def barrier(self) -> None:
        """Wait until everything has come that was published before and is delivered at all."""
        last = self.payload()
        await self.publish("observer/barrier", last)
        await self.until(last)


@asynccontextmanager
async def _observing(broker: Broker) -> AsyncIterator[Observer]:
    async with _client(broker, broker.observer) as client, asyncio.TaskGroup() as tasks:
        await client.subscribe("#", 1)
        with suppress(aiomqtt.MqttError):
            await client.subscribe("$SYS/#", 1)
        observer = Observer(client)
        listening = tasks.create_task(observer.listen())
        try:
            yield observer
        finally:
            listening.cancel()


async def _publish(
    observer: Observer, client: aiomqtt.Client, who: str, findings: Findings
) -> None:
    sent = {topic: observer.payload() for topic in TOPICS}
    for topic, payload in sent.items():
        await client.publish(topic, payload, qos=1)
    await observer.barrier()
    for topic, payload in sent.items():
        findings.note(
            f"{who} publishes {topic}",
            expected=topic in MAY_PUBLISH[who],
            happened=payload in observer.seen,
        )


async def _publish_otherwise(
    broker: Broker,
    observer: Observer,
    client: aiomqtt.Client,
    who: str,
    login: Login,
    findings: Findings,
) -> None:
    for topic, way in itertools.product(WAYS_TO, WAYS):
        payload = observer.payload()
        match way:
            case "as a will":
                await _leave_will(broker, observer, login, topic, payload)
            case "retained":
                await client.publish(topic, payload, qos=1, retain=True)
            case _:
                await client.publish(topic, payload, qos=int(way[-1]))
                await _roundtrip(client)
        await observer.barrier()
        findings.note(
            f"{who} publishes {topic}, {way}",
            expected=topic in MAY_PUBLISH[who],
            happened=payload in observer.seen,
        )


async def _leave_will(
    broker: Broker, observer: Observer, login: Login, topic: str, payload: bytes
) -> None:
    """Have a will published, then some of the observer's, which arrive."""
    await _die(broker, login, topic, payload)
    for _ in range(WILLS_AFTER):
        allowed = observer.payload()
        await _die(broker, broker.observer, "observer/will", allowed)
        await observer.until(allowed)


async def _die(broker: Broker, login: Login, topic: str, payload: bytes) -> None:
    port = broker.inner_port  # where another client id than the user's is taken
    packet = raw_mqtt.connect(
        f"{login.client_id}-dies", login.user, login.password, (topic, payload)
    )
    await raw_mqtt.cut_off(port, broker.tls_context, packet)


async def _roundtrip(client: aiomqtt.Client) -> None:
    """Ask the broker something that changes nothing, and wait for its answer."""
    await client.unsubscribe("nothing")


def _filters(who: str) -> Iterator[tuple[str, str, bool]]:
    """Yield filters, a topic below each, and whether it may be read by it.

    What may be read anyway is not tried by filters wider than that: Mosquitto grants every filter
    and delivers what may be read; NATS grants only filters that are within what may be read.
    """
    for topic in TOPICS:
        if not topic.startswith("$"):
            yield topic, topic, topic in MAY_READ[who]
    for wide, topic in WIDER:
        allowed = wide in MAY_READ_WIDER.get(who, ())
        if allowed or topic not in MAY_READ[who]:
            yield wide, topic, allowed


async def _subscribe(
    broker: Broker, observer: Observer, client: aiomqtt.Client, who: str, findings: Findings
) -> None:
    inbox: defaultdict[bytes, asyncio.Event] = defaultdict(asyncio.Event)

    async def listen() -> None:
        async for message in client.messages:
            inbox[bytes(message.payload)].set()

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listen())
        for (wanted, topic, expected), qos in itertools.product(_filters(who), (0, 1)):
            payload = observer.payload()
            (reason, *_) = await client.subscribe(wanted, qos)
            await observer.publish(topic, payload)
            await _roundtrip(client)
            if broker.kind == "nats" and qos and not _is_failure(reason):
                with suppress(TimeoutError):
                    await asyncio.wait_for(inbox[payload].wait(), ARRIVES_WITHIN_S)
            await asyncio.sleep(0)
            findings.note(
                f"{who} subscribes to {wanted} at QoS {qos} for {topic}",
                expected=expected,
                happened=inbox[payload].is_set(),
            )
            await client.unsubscribe(wanted)
        listening.cancel()


def _is_failure(reason: Any) -> bool:
    return bool(reason.is_failure)


async def _slip_in(
    broker: Broker, observer: Observer, who: str, login: Login, findings: Findings
) -> None:
    """Try all the same, without having been let in."""
    port = broker.inner_port if login.is_service else broker.port
    packet = raw_mqtt.connect(login.client_id, login.user, login.password)
    for topic in TOPICS:
        payload = observer.payload()
        await raw_mqtt.answer(port, broker.tls_context, packet, raw_mqtt.publish(topic, payload))
        await observer.barrier()
        findings.note(
            f"{who} publishes {topic}",
            expected=topic in MAY_PUBLISH[who],
            happened=payload in observer.seen,
        )
    for wanted, topic, expected in _filters(who):
        payload = observer.payload()
        trying = asyncio.create_task(
            raw_mqtt.answer(port, broker.tls_context, packet, raw_mqtt.subscribe(wanted))
        )
        await observer.publish(topic, payload)
        answer = await trying
        findings.note(
            f"{who} subscribes to {wanted} for {topic}",
            expected=expected,
            happened=payload in answer or b"\x90" in answer[4:],
        )
