"""The live stream: one hub a process, which reads what changed once and tells every open page.

The hub LISTENs on the channel `cordee`, which ingest notifies in each transaction. After a
notification, but at most once a second, it reads the view of every organisation that somebody
looks at, and hands on the difference to the view before. Without notifications it looks every five
seconds, because ages and lateness grow in silence, and so that a lost notification costs no more
than that.

The first event of a stream is `snapshot`, or `delta` if the client comes back with the id of
something the hub still remembers (300 deltas). Then `delta` when something changed and `status`
when nothing did or the database does not answer. Ids are `<epoch>-<seq>`; the epoch is drawn when
the process starts, so that a restart is never mistaken for a continuation.

A client that reads slowly holds one pending event, into which later deltas merge; see
`api/deltas.py` for why nothing is lost by that.

What a view holds depends on who looks (`Audience`): planners see the organisation's, warehouses no
positions, operators nobody's, a technician the own van. Views of single vans are read every five seconds
at most, so that two hundred of them cost planners nothing.

A stream ends with what let it in: the session that was ended, the user or program that was disabled, the
token that ran out, the van that another drives now. The hub hears of it by the channel `cordee_sessions`, and looks every five seconds.
While a stream is open its session counts as used.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import psycopg
import structlog
from fastapi.sse import ServerSentEvent
from psycopg_pool import PoolTimeout

from api.access_log import AccessLog
from api.accounts import Lifetime, active_machines, still_signed_in
from api.auth import OrganisationId, Who
from api.deltas import Delta, History, Row, View, merged
from api.queries import alerts, messages, orders, rejected, vans, visits
from api.queries.alerts import AlertFilter
from api.queries.messages import WhichMessages
from api.queries.overview import todays_figures
from api.roles import Role
from storage.pool import Connection, Pool
from storage.settings import Clock, as_datetime, real_ms

CHANNEL: Final = "cordee"
SESSIONS: Final = "cordee_sessions"
TICK_S: Final = 1.0
IDLE_TICK_S: Final = 5.0
RETRY_MS: Final = 2_000
HISTORY_DELTAS: Final = 300
ALERTS_SHOWN: Final = 500
ALERTS_SINCE_MS: Final = 12 * 3_600_000
VISITS_SHOWN: Final = 60
ORDERS_SHOWN: Final = 60
MESSAGES_SHOWN: Final = 100
CONNECTION_WITHIN_S: Final = 3.0
#: Notice within about half a minute that the other end of the LISTEN connection is gone.
KEEPALIVES: Final = "keepalives_idle=10 keepalives_interval=5 keepalives_count=3"

ALWAYS: Final = Lifetime(timedelta(days=1), timedelta(days=1))

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who see the same: an organisation's planners, its warehouses, one van's technician."""

    organisation: OrganisationId
    topics: frozenset[str]
    van: str | None = None


#: What each role sees. A warehouse needs the vans' names to look up their stock, and no more of them.
TOPICS: Final[dict[Role, frozenset[str]]] = {
    "admin": frozenset({"overview", "vans", "alerts", "visits", "orders", "messages", "rejected"}),
    "planner": frozenset({"overview", "vans", "alerts", "visits", "orders", "messages"}),
    "warehouse": frozenset({"overview", "van_names", "orders", "messages"}),
    "ops": frozenset({"overview", "rejected"}),
    "technician": frozenset({"vans", "alerts", "visits", "orders", "messages"}),
    "client": frozenset(),
}
#: No van has this code.
NO_VAN: Final = ""


def audience_of(who: Who) -> Audience:
    """Return whom somebody looks with."""
    van = (who.vans[0] if who.vans else NO_VAN) if who.role == "technician" else None
    return Audience(who.organisation, TOPICS[who.role], van)


async def read_view(conn: Connection, audience: Audience, now_ms: int, real_now_ms: int) -> View:
    """Read all that an audience sees, keyed. Ages are left out: the page counts them itself."""
    organisation, topics, van = audience.organisation, audience.topics, audience.van
    view: dict[str, dict[str, object]] = {}
    if topics & {"overview", "vans", "van_names"}:
        fleet = await vans.of_organisation(conn, organisation, now_ms, van)
        if "overview" in topics:
            figures = await todays_figures(conn, organisation, fleet, now_ms, real_now_ms)
            view["overview"] = asdict(figures)
        if "vans" in topics:
            view["vans"] = {v.code: _without(asdict(v), "last_fix", "age_s") for v in fleet}
        if "van_names" in topics:
            view["van_names"] = {v.code: v.name for v in fleet}
    if "alerts" in topics:
        which = AlertFilter(van=van, alive_since=as_datetime(now_ms - ALERTS_SINCE_MS))
        shown_alerts = await alerts.of_organisation(conn, organisation, now_ms, which, ALERTS_SHOWN)
        view["alerts"] = {str(a.alert_id): _without(asdict(a), "lasting_s") for a in shown_alerts}
    if "visits" in topics:
        shown_visits = await visits.of_organisation(
            conn, organisation, visits.VisitFilter(van=van), VISITS_SHOWN
        )
        view["visits"] = {f"{v.van} {v.site} {v.arrived_at_ms}": asdict(v) for v in shown_visits}
    if "orders" in topics:
        shown_orders = await orders.of_organisation(conn, organisation, ORDERS_SHOWN, van=van)
        view["orders"] = {order.code: asdict(order) for order in shown_orders}
    if "messages" in topics:
        view["messages"] = await _messages(conn, organisation, van)
    if "rejected" in topics:
        reasons = await rejected.reasons(conn, organisation, now_ms)
        view["rejected"] = {reason.reason: asdict(reason) for reason in reasons}
    return view


async def _messages(
    conn: Connection, organisation: OrganisationId, van: str | None
) -> dict[str, Row]:
    """Return to the base how many messages of each van are unread, to a technician the own ones."""
    if van is None:
        unread = await messages.unread_by_van(conn, organisation)
        return {it.van: asdict(it) for it in unread}
    shown = await messages.newest(conn, WhichMessages(organisation, van), MESSAGES_SHOWN)
    return {it.id: asdict(it) for it in shown}


def _without(row: dict[str, object], *path: str) -> dict[str, Row]:
    """Return the row without the value at `path`, if there is one."""
    *outer, last = path
    inside: object = row
    for name in outer:
        inside = inside.get(name) if isinstance(inside, dict) else None
    if isinstance(inside, dict):
        inside.pop(last, None)
    return row


@dataclass(frozen=True, slots=True)
class Pending:
    """What a client has not been sent yet."""

    kind: str
    seq: int
    delta: Delta


@dataclass(eq=False, slots=True)
class Client:
    """An open stream. `since` is the last seq it saw; it has `begun` once it was given a start.

    `noted` is the hour in which the access log was told last that it shows where vans are.
    """

    since: int | None
    who: Who | None = None
    noted: datetime | None = None
    begun: bool = False
    pending: Pending | None = None
    status: str | None = None
    closed: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Feed:
    """One audience's view and who looks at it."""

    history: History = field(default_factory=lambda: History(HISTORY_DELTAS))
    clients: set[Client] = field(default_factory=set)
    read_at: float = float("-inf")


class LiveHub:
    """Reads for all, tells each. `run` is the only writer of feeds."""

    def __init__(
        self,
        pool: Pool,
        database_url: str,
        clock: Clock,
        *,
        lifetime: Lifetime = ALWAYS,
        log: AccessLog | None = None,
        clock_factor: float = 1.0,
    ) -> None:
        self.epoch = secrets.token_hex(4)
        self.merged_total = 0
        self._pool = pool
        self._database_url = database_url
        self._clock = clock
        self._clock_factor = clock_factor
        self._lifetime = lifetime
        self._log = log
        self._feeds: dict[Audience, Feed] = {}
        self._look_who = True
        self._looked_who_at = float("-inf")
        self._wake = asyncio.Event()
        self._answers = True
        self._closed = False

    def client_count(self) -> int:
        """Return how many streams are open."""
        return sum(len(feed.clients) for feed in self._feeds.values())

    def close(self) -> None:
        """End every stream, so that a server can stop; clients reconnect to the next one."""
        self._closed = True
        for feed in self._feeds.values():
            for client in feed.clients:
                client.closed = True
                client.news.set()

    async def stream(self, who: Who, last_event_id: str | None) -> AsyncIterator[ServerSentEvent]:
        """Yield one client's events until it leaves, may no longer look, or the hub closes."""
        feed = self._feeds.setdefault(audience_of(who), Feed())
        client = Client(self._seq_of(last_event_id), who, closed=self._closed)
        feed.clients.add(client)
        if not self._answers:
            client.status = "database_down"
            client.news.set()
        self._wake.set()
        try:
            yield ServerSentEvent(comment="Cordee live stream", retry=RETRY_MS)
            while not client.closed:
                await client.news.wait()
                client.news.clear()
                if client.closed:
                    break
                for event in self._take(feed, client):
                    yield event
        finally:
            feed.clients.discard(client)

    def _seq_of(self, last_event_id: str | None) -> int | None:
        epoch, _, seq = (last_event_id or "").partition("-")
        return int(seq) if epoch == self.epoch and seq.isascii() and seq.isdigit() else None

    def _take(self, feed: Feed, client: Client) -> list[ServerSentEvent]:
        """Turn what is pending into events, and empty it."""
        pending, status = client.pending, client.status
        client.pending = client.status = None
        events = []
        if status is not None:
            events.append(self._event("status", {"state": status}))
        if pending is not None:
            view = feed.history.view
            data = view if pending.kind == "snapshot" and view is not None else pending.delta
            seq = feed.history.seq if pending.kind == "snapshot" else pending.seq
            events.append(self._event(pending.kind, data, f"{self.epoch}-{seq}"))
        return events

    def _event(self, kind: str, data: object, event_id: str | None = None) -> ServerSentEvent:
        envelope = {"now_ms": self._clock(), "clock_factor": self._clock_factor, "data": data}
        text = msgspec.json.encode(envelope).decode()
        return ServerSentEvent(raw_data=text, event=kind, id=event_id)

    async def run(self) -> None:
        """Follow the database for ever; while it does not answer, say so and try again."""
        while True:
            try:
                await self._follow()
            except* (psycopg.OperationalError, PoolTimeout, OSError) as errors:
                logger.warning("live stream has no database", error=str(errors.exceptions[0]))
            except* psycopg.errors.UndefinedTable:
                logger.warning("live stream waits for the migrations: run `cordee migrate`")
            self._answers = False
            for feed in self._feeds.values():
                for client in feed.clients:
                    client.status = "database_down"
                    client.news.set()
            await asyncio.sleep(TICK_S)

    async def _follow(self) -> None:
        url = psycopg.conninfo.make_conninfo(self._database_url, application_name="cordee-live")
        async with await psycopg.AsyncConnection.connect(
            f"{url} {KEEPALIVES} connect_timeout=5", autocommit=True
        ) as listening:
            await listening.execute(f"LISTEN {CHANNEL}")
            await listening.execute(f"LISTEN {SESSIONS}")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(listening))
                tasks.create_task(self._tick_for_ever())

    async def _listen(self, listening: psycopg.AsyncConnection) -> None:
        async for heard in listening.notifies():
            self._look_who = self._look_who or heard.channel == SESSIONS
            self._wake.set()
        raise psycopg.OperationalError("the LISTEN connection ended")

    async def _tick_for_ever(self) -> None:
        while True:
            started = time.monotonic()
            self._wake.clear()
            if self._look_who or started - self._looked_who_at >= IDLE_TICK_S:
                await self._end_what_ended()
                self._looked_who_at = started
            for audience, feed in list(self._feeds.items()):
                due = feed.read_at + (IDLE_TICK_S if audience.van is not None else 0.0)
                new = any(not client.begun for client in feed.clients)
                if feed.clients and (new or started >= due):
                    feed.read_at = started
                    await self._tick(audience, feed)
            self._answers = True
            await asyncio.sleep(max(0.0, started + TICK_S - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_TICK_S - TICK_S):
                    await self._wake.wait()

    async def _end_what_ended(self) -> None:
        """Close the streams of those who may no longer look."""
        self._look_who = False
        clients = [client for feed in self._feeds.values() for client in feed.clients]
        people = [c.who.token for c in clients if c.who is not None and c.who.token is not None]
        machines = [c.who.login for c in clients if c.who is not None and c.who.token is None]
        if not clients:
            return
        now = datetime.now(UTC)
        async with self._pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
            tokens = await still_signed_in(conn, people, now, self._lifetime)
            keys = await active_machines(conn, machines)
        for client in clients:
            who = client.who
            if who is None:
                continue
            good = tokens.get(who.token) == who.vans if who.token is not None else who.login in keys
            if not good or (who.until_s is not None and now.timestamp() >= who.until_s):
                client.closed = True
                client.news.set()

    async def _tick(self, audience: Audience, feed: Feed) -> None:
        async with self._pool.connection(timeout=CONNECTION_WITHIN_S) as conn:
            view = await read_view(conn, audience, self._clock(), real_ms())
        delta = feed.history.advance(view)
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        for client in feed.clients:
            self._tell(feed.history, client, delta)
            if client.who is not None and client.noted != hour and self._log is not None:
                self._log.note(client.who, "position", view.get("vans", ()), hour)
                client.noted = hour

    def _tell(self, history: History, client: Client, delta: Delta) -> None:
        """Leave the news with a client: a start if it has none yet, else the delta or a sign."""
        waiting = client.pending
        if not client.begun:
            missed = history.since(client.since) if client.since is not None else None
            kind = "snapshot" if missed is None else "delta"
            client.pending = Pending(kind, history.seq, missed or {})
            client.begun = True
        elif not delta:
            client.status = "live"
        elif waiting is None:
            client.pending = Pending("delta", history.seq, delta)
        else:
            # A snapshot not yet taken will be the newest one anyway.
            self.merged_total += 1
            client.pending = Pending(waiting.kind, history.seq, merged(waiting.delta, delta))
        client.news.set()
