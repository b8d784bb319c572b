"""What base and vans write to one another: kept in any order, read when somebody says so."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import httpx
import msgspec
import psycopg
import pytest
from psycopg.rows import TupleRow

from api.auth import OrganisationId
from api.live import Audience, read_view
from api.routes import messages as routes
from geofence.duty import DAY_MS
from ingest.batch import Delivery
from ingest.messages import InboxMessage, VanMessage, encode
from storage.settings import Settings
from tests.integration.api_client import (
    NOW_MS,
    answer,
    machine_token,
    new_session,
    new_user,
    problem,
    refusal,
    sign_in_as,
)
from tests.integration.conftest import Running
from tests.integration.tablet import NOW, Tablet, relaying, tablet
from tests.integration.test_retention import delete
from tests.integration.without_broker import MINUTE, MONDAY, Base, local_ms

NOON, EVENING = local_ms(MONDAY, 12), local_ms(MONDAY, 20)
CLEAR = (
    "TRUNCATE van_message, message, scan_through, scan_unusable, outbox, webhook_delivery, rejected"
)
SOUND = """
SELECT seq, text, in_reply_to, delivered, read FROM sound_van_message ORDER BY device, epoch, seq
"""
STATE = """
SELECT message_id, to_char(delivered_at, 'HH24:MI'), to_char(read_at, 'HH24:MI') FROM conversation
WHERE is_from_base ORDER BY 1
"""
FROM_BASE = """
INSERT INTO message (van_id, message_id, kind, text, sent_at)
SELECT van_id, 'm' || n, 'message', 'words', '2026-09-21 06:00Z'
FROM van, generate_series(1, 3) AS n WHERE code = 'van-001'
"""
LIST = "/v1/messages"


def said(seq: int, t: int = NOON, van: str = "van-001", **more: Any) -> Delivery:
    return Delivery(f"fleet/v1/{van}/message", encode(VanMessage("e", seq, t, **more)))


# ---- what tablets say, in any order


def test_messages_and_receipts_are_the_same_rows_in_any_order_and_however_often(base: Base) -> None:
    heard = [
        said(1, text="hello"),
        said(2, NOON + 2 * MINUTE, delivered=["m1", "m2"]),
        said(3, NOON + 5 * MINUTE, read=["m1"]),
        said(4, NOON + 1 * MINUTE, read=["m1", "m3"]),
        said(5, read=["m2"]),
        said(5, NOON + MINUTE, read=["m2"]),  # contradicts the one before
        said(6, text="yes", in_reply_to="m1"),
    ]
    for seed in range(6):
        base.execute(CLEAR)
        base.execute(FROM_BASE)
        shuffled = random.Random(seed).sample(heard * 2, 14)
        for i in range(0, 14, 1 + 2 * seed):
            base.commit(shuffled[i : i + 1 + 2 * seed], EVENING)
        assert [row[:2] for row in base.rows(SOUND)] == [
            (1, "hello"), (2, None), (3, None), (4, None), (6, "yes"),
        ]  # fmt: skip
        assert base.rows(STATE) == [
            ("m1", "10:01", "10:01"), ("m2", "10:02", None), ("m3", "10:01", "10:01"),
        ]  # fmt: skip
        through = "SELECT through FROM scan_through"
        assert base.rows(through) == [(6,)]


def test_a_receipt_of_another_van_counts_for_nothing(base: Base) -> None:
    base.execute(FROM_BASE)
    base.commit([said(1, van="van-002", read=["m1"])], EVENING)
    assert [row[1:] for row in base.rows(STATE)] == [(None, None)] * 3


@pytest.mark.parametrize("fields", [{}, {"in_reply_to": "m1", "read": ["m1"]}])
def test_a_message_that_says_nothing_is_set_aside_and_its_number_is_passed(
    base: Base, fields: dict[str, Any]
) -> None:
    base.commit([said(1, **fields), said(2, text="hello")], EVENING)
    assert base.rows("SELECT reason FROM rejected") == [("bad_payload",)]
    assert base.rows("SELECT through FROM scan_through") == [(2,)]


def test_a_backlog_of_messages_is_one_message_of_the_broker(base: Base) -> None:
    parts = b",".join(said(n, text=f"words {n}").payload for n in range(1, 4))
    base.commit([Delivery("fleet/v1/van-001/message", b"[" + parts + b",{}]")], EVENING)
    assert len(base.rows(SOUND)) == 3
    assert base.rows("SELECT payload FROM rejected") == [(b"{}",)]


def test_what_cordee_itself_tells_a_van_is_kept_for_who_asks_by_http(base: Base) -> None:
    """A count below what was booked asks for a recount, by the inbox; once, whatever is repeated."""
    count = {"epoch": "e", "seq": 1, "t": NOON, "intent": "issue", "code": "FUSE", "qty": 3}
    scans = [Delivery("fleet/v1/van-001/scan", json.dumps(count).encode())]
    base.commit(scans, EVENING)
    base.commit(scans, EVENING)
    query = "SELECT kind, author, items, text LIKE 'Please count%' FROM message"
    assert base.rows(query) == [("count_request", None, ["P-1"], True)]
    ((payload, message_id),) = base.rows(
        "SELECT payload, message_id FROM outbox, message WHERE topic = 'fleet/v1/van-001/inbox'"
    )
    assert msgspec.json.decode(payload, type=InboxMessage).id == message_id


# ---- by HTTP, over real servers


@pytest.fixture
async def ana(settings: Settings) -> AsyncIterator[Tablet]:
    async with tablet(settings) as it:
        new_user(it.url, "pia", "planner")
        yield it


@pytest.fixture
async def online(ana: Tablet, settings: Settings, ingest: Running) -> AsyncIterator[Tablet]:
    async with relaying(settings):
        yield ana


async def write(tab: Tablet, status: int = 201, **body: Any) -> dict[str, Any]:
    response = await tab.api.post(LIST, json=body)
    assert response.status_code == status, response.text
    written: dict[str, Any] = response.json()
    return written


async def test_a_conversation_to_and_fro_over_broker_and_http(
    online: Tablet, settings: Settings
) -> None:
    online.sign_in("pia")
    async with aiomqtt.Client("127.0.0.1", settings.broker_port) as inbox:
        await inbox.subscribe("fleet/v1/van-001/inbox", 1)
        asked = await write(online, van="van-001", text="Can you take one more?")
        async for message in inbox.messages:
            assert isinstance(message.payload, bytes)
            came = msgspec.json.decode(message.payload, type=InboxMessage)
            break
    assert (came.id, came.text, came.kind, came.sender) == (
        asked["id"], "Can you take one more?", "message", "Pia",
    )  # fmt: skip
    assert (asked["from_base"], asked["author"], asked["read_ms"]) == (True, "Pia", None)

    online.sign_in("ana")
    got = (await answer(online.api, LIST))["messages"]
    assert [it["id"] for it in got] == [asked["id"]]
    await online.send(
        ("message", {"epoch": "e", "seq": 1, "t": NOW - 9_000, "delivered": [asked["id"]]}),
        ("message", {"epoch": "e", "seq": 2, "t": NOW - 5_000, "read": [asked["id"]],
                     "text": "Yes.", "in_reply_to": asked["id"]}),
    )  # fmt: skip

    online.sign_in("pia")
    first, second = (await answer(online.api, LIST, van="van-001"))["messages"]
    assert (first["delivered_ms"], first["read_ms"]) == (NOW - 9_000, NOW - 5_000)
    assert (second["text"], second["from_base"], second["in_reply_to"], second["read_ms"]) == (
        "Yes.", False, asked["id"], None,
    )  # fmt: skip
    assert second["author"] == "Ana"
    read = await online.api.post(f"{LIST}/{second['id']}/read")
    assert read.status_code == 200
    assert read.json()["read_ms"] is not None


async def test_a_technician_may_write_and_read_without_a_tablet_of_ours(online: Tablet) -> None:
    online.sign_in("pia")
    for words in ("one", "two", "three"):
        await write(online, van="van-001", text=words)
    online.sign_in("ana")
    sent = await write(online, text="The gate is locked.")
    assert (sent["van"], sent["from_base"], sent["author"]) == ("van-001", False, "Ana")
    assert sent["number"] is not None
    one, two, _, _ = (await answer(online.api, LIST))["messages"]
    read = await online.api.post(f"{LIST}/{two['id']}/read")
    assert (read.status_code, read.json()["id"]) == (200, two["id"])
    states = {it["text"]: it["read_ms"] is not None
              for it in (await answer(online.api, LIST))["messages"]}  # fmt: skip
    assert states == {"one": True, "two": True, "three": False, "The gate is locked.": False}
    before = online.rows("SELECT count(*) FROM van_message")
    assert (await online.api.post(f"{LIST}/{one['id']}/read")).status_code == 200
    assert online.rows("SELECT count(*) FROM van_message") == before  # it was read already
    assert online.rows("SELECT through FROM scan_through WHERE epoch = 'http'") == [(0,)]


async def test_while_ingest_is_away_a_technicians_message_is_on_its_way(
    ana: Tablet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "COMMITTED_WITHIN_S", 0.1)
    sent = await write(ana, 202, text="hello")
    assert (sent["number"], sent["delivered_ms"], sent["text"]) == (None, None, "hello")


async def test_numbers_follow_the_commits_so_that_after_misses_nothing(ana: Tablet) -> None:
    """Whoever takes a number waits for who took the one before, and is seen after it."""
    ana.sign_in("pia")
    with psycopg.connect(ana.url) as slow:
        slow.execute("SELECT pg_advisory_xact_lock(hashtext('cordee messages'))")
        slow.execute(
            "INSERT INTO message (van_id, message_id, kind, text, sent_at)"
            " VALUES (1, 'slow', 'message', 'first', now())"
        )
        late = asyncio.create_task(ana.api.post(LIST, json={"van": "van-001", "text": "second"}))
        for _ in range(1_000):
            if late.done() or ana.rows(WAITING) != [(0,)]:
                break
            await asyncio.sleep(0.01)
        seen = (await answer(ana.api, LIST))["after"]
        slow.commit()
        assert (await late).status_code == 201
    got = await answer(ana.api, LIST, after=seen)
    assert [it["text"] for it in got["messages"]] == ["first", "second"]


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

# ---- who may, over the small fleet

TO_AND_FRO = """
INSERT INTO message (van_id, message_id, kind, author, author_name, text, sent_at)
SELECT van_id, 'm' || n || code, 'message', 'user:pia', 'Pia', 'm' || n || code,
       '2026-11-20 08:00Z'::timestamptz + n * INTERVAL '1 min'
FROM generate_series(1, 3) AS n, van;
INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read, received_time)
SELECT code, 'e', n, 0, van_id, '2026-11-20 08:10Z'::timestamptz + n * INTERVAL '1 min',
       'from ' || n || code, '{}', '{}', '2026-11-20 08:20Z'
FROM generate_series(1, 3) AS n, van;
"""


@pytest.fixture
def written(conn: psycopg.Connection[TupleRow]) -> dict[str, str]:
    """Three messages each way with each van; the names of the vans' by their text."""
    conn.execute(TO_AND_FRO)
    return dict(conn.execute("SELECT text, message_id FROM van_message").fetchall())


def as_(api: httpx.AsyncClient, url: str, role: Any, **more: Any) -> None:
    sign_in_as(api, new_session(url, new_user(url, f"the-{role}", role, **more)))


async def texts(api: httpx.AsyncClient, **params: Any) -> list[str]:
    return [it["text"] for it in (await answer(api, LIST, **params))["messages"]]


async def test_pages_go_forward_and_the_newest_come_without_asking_where(
    api: httpx.AsyncClient, written: dict[str, str]
) -> None:
    said_all = await texts(api, van="V1")
    assert said_all == ["m1V1", "m2V1", "m3V1", "from 1V1", "from 2V1", "from 3V1"]
    assert await texts(api, van="V1", limit=2) == said_all[-2:]
    got, at = [], 0
    for _ in range(3):
        page = await answer(api, LIST, van="V1", after=at, limit=2)
        got += [it["text"] for it in page["messages"]]
        at = page["after"]
        assert page["truncated"] == (len(got) < 6)
    assert got == said_all
    end = await answer(api, LIST, van="V1", after=at)
    assert end == {"messages": [], "after": at, "truncated": False}
    assert len(await texts(api)) == 18  # three vans
    assert await answer(api, LIST, van="V1", after=2**62) is not None


async def test_a_technician_sees_and_writes_of_the_own_van_only(
    api: httpx.AsyncClient, database_url: str, written: dict[str, str]
) -> None:
    as_(api, database_url, "technician", technician_id=1)
    assert {text[-2:] for text in await texts(api)} == {"V1"}
    assert await problem(api, LIST, van="V2") == (404, "van_not_found")
    body = {"van": "V2", "text": "hello"}
    assert refusal(await api.post(LIST, json=body)) == (404, "van_not_found")
    for name in ("m1V2", "m1X9", written["from 1V2"]):
        assert refusal(await api.post(f"{LIST}/{name}/read")) == (404, "message_not_found")
    own = await api.post(f"{LIST}/{written['from 1V1']}/read")
    assert refusal(own) == (409, "not_the_receiver")


async def test_the_base_writes_to_its_own_vans_and_reads_what_they_wrote(
    api: httpx.AsyncClient, database_url: str, conn: psycopg.Connection[TupleRow],
    written: dict[str, str],
) -> None:  # fmt: skip
    as_(api, database_url, "warehouse")
    sent = await api.post(
        LIST, json={"van": "V1", "text": "Your box is packed.", "in_reply_to": "x"}
    )
    assert sent.status_code == 201
    assert sent.json()["author"] == "The-Warehouse"
    assert conn.execute("SELECT author FROM message WHERE message_id = %s",
                        (sent.json()["id"],)).fetchone() == ("user:the-warehouse",)  # fmt: skip
    for van in ("X9", "none"):
        said = await api.post(LIST, json={"van": van, "text": "hello"})
        assert refusal(said) == (404, "van_not_found")
    assert refusal(await api.post(LIST, json={"text": "to whom?"})) == (422, "invalid_parameters")
    for bad in ("", "x" * 2_001, "\0"):
        said = await api.post(LIST, json={"van": "V1", "text": bad})
        assert refusal(said)[0] == 422
    assert refusal(await api.post(f"{LIST}/m1V1/read")) == (409, "not_the_receiver")
    assert refusal(await api.post(f"{LIST}/{written['from 1X9']}/read"))[0] == 404
    assert (await api.post(f"{LIST}/{written['from 2V1']}/read")).json()["read_ms"] == NOW_MS
    unread = "SELECT text FROM van_message WHERE read_at IS NULL AND van_id = 1"
    assert conn.execute(unread).fetchall() == [("from 3V1",)]
    assert conn.execute("SELECT DISTINCT reader FROM van_message WHERE read_at IS NOT NULL").fetchall() == [
        ("user:the-warehouse",)
    ]  # fmt: skip


async def test_a_program_of_the_base_may_write_too(
    api: httpx.AsyncClient, conn: psycopg.Connection[TupleRow]
) -> None:
    token = await machine_token(api, "planner")
    api.cookies.clear()
    said = await api.post(LIST, json={"van": "V1", "text": "hello"},
                          headers={"authorization": f"Bearer {token}"})  # fmt: skip
    assert said.status_code == 201, said.text
    assert conn.execute("SELECT author LIKE 'machine:%' FROM message").fetchall() == [(True,)]


# ---- on the live stream


async def live(api: httpx.AsyncClient, van: str | None, organisation: int = 1) -> dict[str, Any]:
    held = api.app.state.resources  # type: ignore[attr-defined]
    audience = Audience(OrganisationId(organisation), frozenset({"messages"}), van)
    async with held.pool.connection() as conn:
        view = await read_view(conn, audience, NOW_MS, NOW_MS)
    return dict(view["messages"])


async def test_planners_see_live_what_is_unread_and_technicians_their_own(
    api: httpx.AsyncClient, written: dict[str, str]
) -> None:
    newest = NOW_MS - 47 * MINUTE
    assert await live(api, None) == {
        van: {"van": van, "unread": 3, "newest_ms": newest} for van in ("V1", "V2", "V3")
    }
    assert set(await live(api, None, 2)) == {"X9"}
    assert {row["text"] for row in (await live(api, "V1")).values()} == {
        f"{kind}{n}V1" for kind in ("m", "from ") for n in (1, 2, 3)
    }
    await api.post(f"{LIST}/{written['from 2V1']}/read")
    assert (await live(api, None))["V1"]["unread"] == 1
    await api.post(f"{LIST}/{written['from 3V1']}/read")
    assert "V1" not in await live(api, None)


async def test_what_is_contradicted_is_not_shown(
    api: httpx.AsyncClient, conn: psycopg.Connection[TupleRow], written: dict[str, str]
) -> None:
    conn.execute("""
      INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read, received_time)
      SELECT device, epoch, seq, 1, van_id, t, 'other', '{}', '{}', t FROM van_message
      WHERE device = 'V1' AND seq = 1
    """)
    assert await texts(api, van="V1") == ["m1V1", "m2V1", "m3V1", "from 2V1", "from 3V1"]
    assert (await live(api, None))["V1"]["unread"] == 2
    assert await problem(api, f"{LIST}/x") == (404, "route_not_found")
    assert refusal(await api.post(f"{LIST}/{written['from 1V1']}/read"))[0] == 404


def test_messages_of_both_sides_go_when_their_time_is_over(base: Base) -> None:
    base.execute(FROM_BASE)
    base.execute("UPDATE message SET sent_at = sent_at - INTERVAL '8 days' WHERE message_id = 'm1'")
    base.commit([said(1, NOON - 8 * DAY_MS, text="old"), said(2, text="new")], EVENING)
    delete(base, Settings(keep_messages_days=8), EVENING)
    assert base.rows("SELECT text FROM conversation ORDER BY number") == [
        ("words",), ("words",), ("new",),
    ]  # fmt: skip
    assert base.rows("SELECT through FROM scan_through") == [(2,)]
