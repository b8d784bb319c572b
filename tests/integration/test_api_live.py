"""The live stream: its laws on generated views, and a real server with real clients."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import live as live_stream
from api.deltas import Delta, History, View, applied, difference, merged
from api.live import HISTORY_DELTAS, Client, LiveHub
from api.serve import Server
from api.sessions import PLAIN_COOKIE
from storage.settings import as_datetime
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api

NOW_MS = 1_795_165_200_000
PATIENCE_S = 20.0
A_SECOND = live_stream.TICK_S

rows = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)
views = st.fixed_dictionaries({"vans": rows, "alerts": rows})


# ---- laws ----


@given(views, views)
def test_a_difference_turns_the_old_view_into_the_new(old: View, new: View) -> None:
    assert applied(old, difference(old, new)) == new
    assert (difference(old, new) == {}) == (old == new)


@given(views, views, views)
def test_a_merged_delta_does_what_both_would(a: View, b: View, c: View) -> None:
    first, second = difference(a, b), difference(b, c)
    assert applied(a, merged(first, second)) == applied(applied(a, first), second) == c


@given(st.lists(views, min_size=1, max_size=12), st.integers(0, 12), st.integers(1, 5))
def test_whoever_comes_back_ends_with_the_present_view(
    story: list[View], left_after: int, limit: int
) -> None:
    history = History(limit)
    seen: dict[int, View] = {}
    for view in story:
        history.advance(view)
        seen.setdefault(history.seq, view)
    since = min(left_after, history.seq)
    missed = history.since(since)
    if history.seq - since > limit:
        assert missed is None
    else:
        assert missed is not None
        assert applied(seen[since], missed) == story[-1]


def test_history_knows_neither_the_future_nor_what_it_has_dropped() -> None:
    history = History(2)
    assert history.since(0) is None
    for n in range(5):
        history.advance({"vans": {"V1": n}})
    assert history.seq == 4
    assert [history.since(seq) is not None for seq in range(-1, 6)] == [
        False, False, False, True, True, True, False,
    ]  # fmt: skip
    assert len(history.deltas) == 2


def test_a_client_that_never_reads_holds_one_event_however_much_happens() -> None:
    """The pool is not touched: what is told to a client is no I/O."""
    hub = LiveHub(None, "", lambda: NOW_MS)  # type: ignore[arg-type]
    history = History(HISTORY_DELTAS)
    slow = Client(None)
    before = {f"V{n}": 0 for n in range(50)}
    history.advance({"vans": before})
    hub._tell(history, slow, {})
    slow.pending = None  # it has read its snapshot, and reads no more
    now = dict(before)
    for n in range(1, 2_001):
        now = {**now, f"V{n % 50}": n}
        hub._tell(history, slow, history.advance({"vans": now}))
    assert slow.pending is not None
    delta: Delta = slow.pending.delta
    assert applied({"vans": before}, delta) == history.view
    assert (len(delta["vans"].set), delta["vans"].gone) == (50, [])
    assert (hub.merged_total, len(history.deltas)) == (1_999, HISTORY_DELTAS)


# ---- a real server ----


@dataclass(frozen=True)
class Running:
    server: Server
    url: str
    cookies: dict[str, str]


@contextlib.contextmanager
def running(database_url: str) -> Iterator[Running]:
    """The API on a free port in a thread of its own."""
    api = Api(database_url, NOW_MS)
    api.start()
    try:
        token = new_session(database_url, new_user(database_url, "admin-1", "admin"))
        yield Running(api.server, api.url.rstrip("/"), {PLAIN_COOKIE: token})
    finally:
        api.stop()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub look more often: what it says is the same, and how often has a test of its own."""
    monkeypatch.setattr(live_stream, "TICK_S", 0.1)


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO organisation (organisation_id, name) VALUES (2, 'other');"
            "INSERT INTO van (van_id, organisation_id, code, name)"
            " VALUES (1, 1, 'V1', 'Kangoo'), (9, 2, 'X9', 'Theirs')"
        )
        yield connection


@pytest.fixture
def api(conn: psycopg.Connection[Any], database_url: str) -> Iterator[Running]:
    with running(database_url) as started:
        yield started


def move(conn: psycopg.Connection[Any], van: int, latitude_deg: float, t_ms: int = NOW_MS) -> None:
    """Do what ingest does: change a row and notify, in one transaction."""
    with conn.transaction():
        conn.execute(
            "INSERT INTO van_position VALUES (%s, %s, %s, 4.8, 10, 90, true, %s)"
            " ON CONFLICT (van_id) DO UPDATE SET latitude_deg = excluded.latitude_deg",
            (van, as_datetime(t_ms), latitude_deg, as_datetime(t_ms)),
        )
        conn.execute("NOTIFY cordee")


@dataclass(frozen=True)
class Event:
    kind: str
    id: str | None
    data: Any
    now_ms: int


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
            continue
        if "data" in fields:
            message = json.loads(fields["data"])
            yield Event(fields["event"], fields.get("id"), message["data"], message["now_ms"])
        fields = {}


class Stream:
    """An open stream, read event by event."""

    def __init__(self, source: AsyncIterator[Event]) -> None:
        self._source = source
        self.heard: list[Event] = []

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        async with asyncio.timeout(PATIENCE_S):
            async for event in self._source:
                self.heard.append(event)
                if wanted(event):
                    return event
        raise AssertionError("the stream ended")

    async def next(self) -> Event:
        return await self.until(lambda _: True)

    async def end(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            async for _ in self._source:
                pass


@contextlib.asynccontextmanager
async def stream(api: Running, last_event_id: str | None = None) -> AsyncIterator[Stream]:
    headers = {b"Last-Event-ID": last_event_id.encode()} if last_event_id else {}
    async with (
        httpx.AsyncClient(
            base_url=api.url, timeout=PATIENCE_S, trust_env=False, cookies=api.cookies
        ) as client,
        client.stream("GET", "/v1/live", headers=headers) as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(events(response))


def latitude_of(event: Event, code: str) -> float | None:
    if event.kind != "delta":
        return None
    van = event.data.get("vans", {}).get("set", {}).get(code)
    return float(van["last_fix"]["latitude_deg"]) if van and van["last_fix"] else None


async def test_a_stream_begins_with_a_snapshot_of_ones_own_organisation(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    move(conn, 1, 45.0)
    async with stream(api) as live:
        first = await live.next()
    assert first.kind == "snapshot"
    assert set(first.data) == {
        "overview",
        "vans",
        "alerts",
        "visits",
        "orders",
        "messages",
        "rejected",
    }
    assert list(first.data["vans"]) == ["V1"]
    assert "age_s" not in first.data["vans"]["V1"]["last_fix"]
    assert first.data["overview"]["vans_on_the_road"] == 1
    assert first.now_ms >= NOW_MS


async def test_what_changes_is_sent_and_nothing_else(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO van (van_id, organisation_id, code, name) VALUES (2, 1, 'V2', 'Kangoo')"
    )
    async with stream(api) as live:
        snapshot = await live.next()
        move(conn, 1, 45.0)
        delta = await live.until(lambda e: latitude_of(e, "V1") == 45.0)
        assert list(delta.data["vans"]["set"]) == ["V1"]
        assert delta.data["overview"]["set"]["vans_on_the_road"] == 1
        assert "vans_total" not in delta.data["overview"]["set"]
        assert "visits" not in delta.data
        epoch, _, seq = (snapshot.id or "").partition("-")
        assert delta.id == f"{epoch}-{int(seq) + 1}"
        conn.execute("DELETE FROM van WHERE code = 'V2'")
        conn.execute("NOTIFY cordee")
        gone = await live.until(lambda e: e.kind == "delta")
        assert gone.data["vans"]["gone"] == ["V2"]


async def test_a_silence_and_an_eta_are_told_without_what_grows_by_itself(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg,"
        " radius_m) VALUES (1, 1, 'BAKERY', 'Bakery', 45.75, 4.85, 100);"
        "INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (1, 'T1', 1, '2026-11-20');"
        "INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,"
        " planned_duration_s) VALUES (1, 1, 1, 1, '2026-11-20 10:00Z', '2026-11-20 11:00Z', 60)"
    )
    async with stream(api) as live:
        first = await live.next()
        assert first.data["vans"]["V1"]["next_stop"]["eta"] is None
        with conn.transaction():
            conn.execute(
                "INSERT INTO eta VALUES (1, '2026-11-20 08:59Z', '2026-11-20 10:00Z',"
                " '2026-11-20 10:10Z', '2026-11-20 10:25Z', 0.1);"
                "INSERT INTO alert (alert_id, van_id, kind, due_at, state, reason, minutes, cause,"
                " raised_time, changed_time) OVERRIDING SYSTEM VALUE VALUES (7, 1, 'silent',"
                " '2026-11-20 08:40Z', 'open', 'no position', 15, 'silence', now(), now())"
            )
            conn.execute("NOTIFY cordee")
        delta = await live.until(lambda e: "alerts" in e.data)
    alert = delta.data["alerts"]["set"]["7"]
    assert (alert["kind"], alert["site"], alert["stop"], alert["minutes"]) == (
        "silent", None, None, 15,
    )  # fmt: skip
    assert "lasting_s" not in alert
    eta = delta.data["vans"]["set"]["V1"]["next_stop"]["eta"]
    assert eta["expected_at_ms"] == NOW_MS + 70 * 60_000


async def test_another_organisations_news_are_not_heard(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    async with stream(api) as live:
        await live.next()
        move(conn, 9, 43.0)
        move(conn, 1, 45.0)
        await live.until(lambda e: latitude_of(e, "V1") == 45.0)
        assert live.heard
        assert "X9" not in json.dumps([event.data for event in live.heard])


async def test_changes_are_told_at_most_once_a_second(
    api: Running, conn: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "TICK_S", A_SECOND)
    async with stream(api) as live:
        await live.next()
        started = time.monotonic()
        for n in range(300):
            move(conn, 1, 40 + n / 100)
        await live.until(lambda e: latitude_of(e, "V1") == 42.99)
        deltas = [event for event in live.heard if event.kind == "delta"]
        assert A_SECOND == 1
        assert 1 <= len(deltas) <= time.monotonic() - started + 2


async def test_a_client_that_comes_back_is_told_what_it_missed(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    move(conn, 1, 45.0)
    async with stream(api) as live:
        seen = (await live.next()).id
    move(conn, 1, 46.0)
    async with stream(api, seen) as live:
        missed = await live.next()
    assert (missed.kind, latitude_of(missed, "V1")) == ("delta", 46.0)
    async with stream(api, missed.id) as live:
        nothing = await live.next()
    assert (nothing.kind, nothing.id) == ("delta", missed.id)
    assert "vans" not in nothing.data


@pytest.mark.parametrize(
    "unknown", ["nonsense", "00000000-0", "-1", "epoch-99", "epoch--1", "epoch-x", "epoch-²"]
)
async def test_an_unknown_id_begins_anew(api: Running, unknown: str) -> None:
    hub = api.server._api.state.resources.hub
    async with stream(api) as live:
        await live.next()
    async with stream(api, unknown.replace("epoch", hub.epoch)) as live:
        assert (await live.next()).kind == "snapshot"


async def test_the_stream_outlives_the_database_connection_and_says_so(
    api: Running, conn: psycopg.Connection[Any], postgres_url: str, database_url: str
) -> None:
    name = database_url.rsplit("/", 1)[1]
    end_sessions = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = %s AND application_name LIKE 'cordee%%'"
    )
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        async with stream(api) as live:
            await live.next()
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            admin.execute(end_sessions, (name,))
            down = await live.until(lambda e: e.kind == "status")
            assert down.data == {"state": "database_down"}
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await live.until(lambda e: e.kind == "delta" or e.data == {"state": "live"})
            move(conn, 1, 47.0)
            await live.until(lambda e: latitude_of(e, "V1") == 47.0)


async def test_a_client_that_leaves_is_forgotten(api: Running) -> None:
    hub = api.server._api.state.resources.hub
    async with stream(api) as live:
        await live.next()
        assert hub.client_count() == 1
    async with asyncio.timeout(PATIENCE_S):
        while hub.client_count():  # noqa: ASYNC110  the server runs in another thread
            await asyncio.sleep(0.01)


# ---- who may look, and for how long ----


def as_user(api: Running, database_url: str, login: str, role: Any, **of: int) -> Running:
    token = new_session(database_url, new_user(database_url, login, role, **of))
    return replace(api, cookies={PLAIN_COOKIE: token})


@pytest.mark.parametrize(
    ("role", "topics"),
    [
        ("planner", {"overview", "vans", "alerts", "visits", "orders", "messages"}),
        ("warehouse", {"overview", "van_names", "orders", "messages"}),
        ("ops", {"overview", "rejected"}),
    ],
)
async def test_each_role_is_sent_its_own_topics(
    api: Running, conn: psycopg.Connection[Any], database_url: str, role: str, topics: set[str]
) -> None:
    move(conn, 1, 45.0)
    async with stream(as_user(api, database_url, "somebody", role)) as live:
        first = await live.next()
    assert set(first.data) == topics
    assert ("latitude_deg" in json.dumps(first.data)) == (role == "planner")


async def test_a_technician_is_sent_the_own_van_while_planners_see_all(
    api: Running, conn: psycopg.Connection[Any], database_url: str
) -> None:
    conn.execute(
        "INSERT INTO technician (technician_id, organisation_id, code, name)"
        " VALUES (1, 1, 'T1', 'Ana');"
        "INSERT INTO van (van_id, organisation_id, code, name, technician_id)"
        " VALUES (2, 1, 'V2', 'Kangoo', 1)"
    )
    own = as_user(api, database_url, "tec", "technician", technician_id=1)
    async with stream(own) as mine, stream(api) as all_vans:
        first = await mine.next()
        assert set(first.data) == {"vans", "alerts", "visits", "orders", "messages"}
        assert list(first.data["vans"]) == ["V2"]
        assert list((await all_vans.next()).data["vans"]) == ["V1", "V2"]
        move(conn, 1, 45.5)
        move(conn, 2, 46.0)
        await mine.until(lambda e: latitude_of(e, "V2") == 46.0)
        assert all(latitude_of(event, "V1") is None for event in mine.heard)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE app_user SET state = 'disabled' WHERE login = 'admin-1'",
        "DELETE FROM user_session",
        "UPDATE user_session SET created_time = created_time - INTERVAL '13 h'",
    ],
)
async def test_a_stream_ends_when_its_session_does(
    api: Running, conn: psycopg.Connection[Any], change: str
) -> None:
    move(conn, 1, 45.0)
    async with stream(api) as live:
        await live.next()
        conn.execute(change)
        conn.execute("NOTIFY cordee_sessions")
        await live.end()
    move(conn, 1, 47.0)
    async with httpx.AsyncClient(trust_env=False, cookies=api.cookies) as client:
        assert (await client.get(f"{api.url}/v1/live")).status_code == 401


async def test_a_technicians_stream_ends_when_another_drives_the_van(
    api: Running, conn: psycopg.Connection[Any], database_url: str
) -> None:
    conn.execute(
        "INSERT INTO technician (technician_id, organisation_id, code, name)"
        " VALUES (1, 1, 'T1', 'Ana'); UPDATE van SET technician_id = 1 WHERE van_id = 1"
    )
    async with stream(as_user(api, database_url, "tec", "technician", technician_id=1)) as live:
        assert list((await live.next()).data["vans"]) == ["V1"]
        conn.execute("UPDATE van SET technician_id = NULL")
        await live.end()


async def test_an_open_stream_is_use_of_its_session(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    async with stream(api) as live:
        await live.next()
        conn.execute("UPDATE user_session SET used_time = used_time - INTERVAL '50 min',"
                     " created_time = created_time - INTERVAL '50 min'")  # fmt: skip
        conn.execute("NOTIFY cordee_sessions")
        used = "SELECT count(*) FROM user_session WHERE used_time > now() - INTERVAL '5 min'"
        assert await eventually(conn, used) == [(1,)]


async def eventually(conn: psycopg.Connection[Any], query: str) -> list[Any]:
    """Return the rows of a query once there is one that is not nought, or in the end."""
    for _ in range(round(PATIENCE_S / 0.05)):
        if (rows := conn.execute(query).fetchall()) not in ([], [(0,)]):
            return rows
        await asyncio.sleep(0.05)
    return []


async def test_whoever_watches_the_map_is_noted_once_an_hour(
    api: Running, conn: psycopg.Connection[Any]
) -> None:
    async with stream(api) as live:
        await live.next()
        move(conn, 1, 45.0)
        await live.until(lambda e: latitude_of(e, "V1") == 45.0)
        noted = await eventually(conn, "SELECT van_id, what, reader FROM access_log")
    assert noted == [(1, "position", "user:admin-1")]


async def test_a_server_that_stops_ends_its_streams(
    conn: psycopg.Connection[Any], database_url: str
) -> None:
    with running(database_url) as api:
        async with stream(api) as live:
            await live.next()
            started = time.monotonic()
            api.server.should_exit = True
            await live.end()
            assert time.monotonic() - started < 3


async def test_a_page_elsewhere_cannot_reach_the_server_by_another_name(api: Running) -> None:
    async with httpx.AsyncClient(trust_env=False, cookies=api.cookies) as client:
        for host, status in [("127.0.0.1", 200), ("localhost:8000", 200), ("evil.example", 400)]:
            response = await client.get(f"{api.url}/v1/vans", headers={"host": host})
            assert response.status_code == status
