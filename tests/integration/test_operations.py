"""What operators see of devices and servers, what they do with rejected messages, and that it is noted."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from api.answers import Credential
from api.queries.servers import credential_state
from ingest import relay
from ops import embedded
from storage.settings import real_ms
from tests.integration.api_client import (
    NOW_MS,
    answer,
    as_organisation,
    client_of,
    new_session,
    new_user,
    problem,
    refusal,
    settings_at,
    sign_in_as,
)
from tests.integration.conftest import CLOCK_MS, Running

Database = psycopg.Connection[Any]


async def post(api: httpx.AsyncClient, path: str, **options: Any) -> Any:
    response = await api.post(path, **options)
    assert response.is_success, response.text
    return response.json()


async def audited(api: httpx.AsyncClient) -> list[tuple[str, str, str]]:
    """Return who did what to what, newest first."""
    told = await answer(api, "/v1/audit")
    return [(one["who"], one["action"], one["subject"]) for one in told["actions"]]


# ---- rejected messages ----


async def test_a_rejected_message_is_shown_whole_however_old_it_is(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute("UPDATE rejected SET payload = %s WHERE rejected_id = '\\x04'", (b"x" * 3_000,))
    told = await answer(api, "/v1/rejected/04")
    assert (told["reason"], told["van"], told["state"]) == ("future", "V1", "waiting")
    assert base64.b64decode(told["payload_base64"]) == b"x" * 3_000
    conn.execute("UPDATE rejected SET payload = %s WHERE rejected_id = '\\x04'", (b"x" * 300_000,))
    told = await answer(api, "/v1/rejected/04")
    assert (told["payload_bytes"], len(told["payload_text"])) == (300_000, 262_144)


async def test_messages_of_others_are_not_found(api: httpx.AsyncClient) -> None:
    for rejected_id in ("03", "77"):
        path = f"/v1/rejected/{rejected_id}"
        assert await problem(api, path) == (404, "rejected_not_found")
        for act in ("replay", "discard"):
            assert refusal(await api.post(f"{path}/{act}")) == (404, "rejected_not_found")
    for none in ("abc", "XY", "x" * 66):
        assert await problem(api, f"/v1/rejected/{none}") == (422, "invalid_parameters")
    as_organisation(api, 2)
    assert (await answer(api, "/v1/rejected/03"))["detail"] == "theirs"
    assert await problem(api, "/v1/rejected/02") == (404, "rejected_not_found")


async def test_a_message_is_sent_again_as_it_came(api: httpx.AsyncClient, conn: Database) -> None:
    response = await api.post("/v1/rejected/01/replay")
    assert (response.status_code, response.json()["state"]) == (202, "replayed")
    sent = "SELECT topic, payload, retain, organisation_id, sent_time FROM outbox"
    assert conn.execute(sent).fetchall() == [
        ("fleet/v1/V1/position", b"\xff\x00abc", False, None, None)
    ]
    assert await audited(api) == [("user:admin-1", "rejected_replayed", "01")]


async def test_what_was_seen_to_is_in_no_list_and_no_figure_of_what_waits(
    api: httpx.AsyncClient,
) -> None:
    async def waiting() -> tuple[list[str], int, int]:
        listed = await answer(api, "/v1/rejected")
        figures = await answer(api, "/v1/overview")
        ids = [one["rejected_id"] for one in listed["messages"]]
        return ids, sum(one["count"] for one in listed["reasons"]), figures["rejected_24h"]

    assert await waiting() == (["02", "01"], 2, 2)
    await post(api, "/v1/rejected/01/discard")
    assert await waiting() == (["02"], 1, 1)
    await post(api, "/v1/rejected/02/replay")
    assert await waiting() == ([], 0, 0)
    for state, rejected_id in (("discarded", "01"), ("replayed", "02")):
        [one] = (await answer(api, "/v1/rejected", state=state))["messages"]
        assert (one["rejected_id"], one["state"]) == (rejected_id, state)
    assert await audited(api) == [
        ("user:admin-1", "rejected_replayed", "02"),
        ("user:admin-1", "rejected_discarded", "01"),
    ]


async def test_discarding_twice_is_one_action_and_what_was_discarded_can_be_sent_again(
    api: httpx.AsyncClient,
) -> None:
    for _ in range(2):
        assert (await post(api, "/v1/rejected/01/discard"))["state"] == "discarded"
    assert len(await audited(api)) == 1
    assert (await post(api, "/v1/rejected/01/replay"))["state"] == "replayed"


@pytest.mark.parametrize(
    "topic", ["elsewhere", "fleet/v1/+/position", "fleet/v1/V1/inbox", "fleet/v1/a/b/scan", ""]
)
async def test_what_nobody_reads_is_not_sent(
    api: httpx.AsyncClient, conn: Database, topic: str
) -> None:
    conn.execute("UPDATE rejected SET topic = %s WHERE rejected_id = '\\x01'", (topic,))
    assert refusal(await api.post("/v1/rejected/01/replay")) == (409, "not_replayable")
    assert conn.execute("SELECT count(*) FROM outbox").fetchall() == [(0,)]
    assert (await post(api, "/v1/rejected/01/discard"))["state"] == "discarded"


async def test_a_message_with_a_key_is_sent_once(api: httpx.AsyncClient, conn: Database) -> None:
    for _ in range(2):
        told = await post(api, "/v1/rejected/01/replay", headers={"idempotency-key": "k"})
        assert told["payload_text"] == "\ufffd\0abc"
    assert conn.execute("SELECT count(*) FROM outbox").fetchall() == [(1,)]


# ---- by the broker, to ingest and back ----


@pytest.fixture
async def around(ingest: Running) -> AsyncIterator[httpx.AsyncClient]:
    """The API beside a running ingest and relay."""
    stop = asyncio.Event()
    relaying = asyncio.create_task(relay.to_broker(ingest.settings, stop))
    async with client_of(ingest.settings) as api:
        yield api
    stop.set()
    await relaying


STATES = "SELECT reason, state FROM rejected"


async def test_a_message_of_a_van_that_is_known_by_now_takes_effect(
    around: httpx.AsyncClient, ingest: Running
) -> None:
    fix = b'{"t": %d, "lat": 48.1, "lon": 11.5}' % (CLOCK_MS - 60_000)
    await ingest.publish("fleet/v1/van-new/position", fix)
    await ingest.until(STATES, [("unknown_van", "waiting")])
    [one] = (await answer(around, "/v1/rejected"))["messages"]
    with psycopg.connect(ingest.settings.database_url) as conn:
        conn.execute(
            "INSERT INTO van (organisation_id, code, name) VALUES (1, 'van-new', 'New');"
            "INSERT INTO location (organisation_id, kind, van_id) SELECT 1, 'van', max(van_id) FROM van;"
            "UPDATE reference_version SET version = version + 1"
        )
    await post(around, f"/v1/rejected/{one['rejected_id']}/replay")
    await ingest.until("SELECT count(*) FROM fix", [(1,)])
    assert ingest.rows(STATES) == [("unknown_van", "replayed")]


async def test_a_message_that_still_cannot_be_used_waits_again_for_the_reason_of_now(
    around: httpx.AsyncClient, ingest: Running
) -> None:
    await ingest.publish("fleet/v1/van-new/position", b"no JSON")
    await ingest.until(STATES, [("unknown_van", "waiting")])
    [one] = (await answer(around, "/v1/rejected"))["messages"]
    with psycopg.connect(ingest.settings.database_url) as conn:
        conn.execute(
            "INSERT INTO van (organisation_id, code, name) VALUES (1, 'van-new', 'New');"
            "INSERT INTO location (organisation_id, kind, van_id) SELECT 1, 'van', max(van_id) FROM van;"
            "UPDATE reference_version SET version = version + 1"
        )
    await post(around, f"/v1/rejected/{one['rejected_id']}/replay")
    await ingest.until(STATES, [("bad_payload", "waiting")])
    await post(around, f"/v1/rejected/{one['rejected_id']}/discard")
    await ingest.publish("fleet/v1/van-new/position", b"no JSON")
    await ingest.publish("fleet/v1/van-001/position", b"nor this")
    await ingest.until(
        f"{STATES} ORDER BY 2", [("bad_payload", "discarded"), ("bad_payload", "waiting")]
    )


# ---- unknown codes ----

SCANS = """
SELECT seq, status FROM scan WHERE device = 'van-001' ORDER BY seq
"""
MAPPING = "/v1/parts/unknown-codes/mapping"


def coded(code: bytes, item: str = "P-2", pack_qty: int = 1) -> dict[str, Any]:
    text = base64.b64encode(code).decode()
    return {"json": {"code_base64": text, "item": item, "pack_qty": pack_qty}}


async def test_scans_of_a_code_take_effect_when_somebody_says_what_it_is(
    around: httpx.AsyncClient, ingest: Running
) -> None:
    for seq, code in enumerate((b"NEW", b"NEW", b"OTHER"), start=1):
        scan = b'{"epoch": "e", "seq": %d, "t": %d, "intent": "issue", "code": "%s", "qty": 2}'
        await ingest.publish("fleet/v1/van-001/scan", scan % (seq, CLOCK_MS - 60_000, code))
    unknown = [(1, "unknown_code"), (2, "unknown_code"), (3, "unknown_code")]
    await ingest.until(SCANS, unknown)
    listed = (await answer(around, "/v1/parts/unknown-codes"))["codes"]
    assert [(one["code"], one["scans"]) for one in listed] == [("NEW", 2), ("OTHER", 1)]
    told = await post(around, MAPPING, **coded(b"NEW", pack_qty=5))
    assert told == {"code": "NEW", "item": "P-2", "pack_qty": 5, "scans": 2}
    assert ingest.rows(SCANS) == [(1, "applied"), (2, "applied"), (3, "unknown_code")]
    moved = "SELECT item_id, sum(qty)::int FROM movement GROUP BY item_id"
    assert ingest.rows(moved) == [(2, 20)]
    assert await audited(around) == [("user:admin-1", "code_mapped", "NEW")]
    assert refusal(await around.post(MAPPING, **coded(b"NEW"))) == (404, "code_not_waiting")
    # Later scans of it are read by ingest itself.
    scan = b'{"epoch": "e", "seq": 4, "t": %d, "intent": "issue", "code": "NEW"}' % CLOCK_MS
    await ingest.publish("fleet/v1/van-001/scan", scan)
    await ingest.until(f"{SCANS} OFFSET 3", [(4, "applied")])


PUT_UNKNOWN = """
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw, received_time,
                  aim_id)
VALUES ('V1', 'x', 1, 0, 1, '2026-11-20 08:00Z', 'issue', %s, 'unknown_code', '{}', '2026-11-20Z', %s)
"""


@pytest.mark.parametrize(
    ("code", "aim_id", "entered"),
    [
        (b"PLAIN", None, "PLAIN"),
        (b"4006381333931", None, "04006381333931"),
        (b"]E04006381333931", None, "04006381333931"),
        (b"010400638133393110LOT-7", "]C1", "04006381333931"),
        (b"]C1010400638133393110LOT-7", None, "04006381333931"),
    ],
)
async def test_the_article_is_entered_not_the_lot(
    api: httpx.AsyncClient, conn: Database, code: bytes, aim_id: str | None, entered: str
) -> None:
    conn.execute(PUT_UNKNOWN, (code, aim_id))
    conn.execute(
        "INSERT INTO location (organisation_id, kind) SELECT 2, unnest('{in_transit,customer,scrap}'::text[])"
    )
    told = await post(api, MAPPING, **coded(code, "PUMP"))
    assert (told["code"], told["scans"]) == (entered, 1)
    assert conn.execute("SELECT code, item_id FROM barcode").fetchall() == [(entered, 3)]


async def test_what_a_code_cannot_be_is_refused_and_nothing_kept(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute(PUT_UNKNOWN, (b"PLAIN", None))
    for body, refused in (
        (coded(b"PLAIN", "NO-ITEM"), (422, "unusable_mapping")),
        (coded(b"NEVER-SCANNED"), (404, "code_not_waiting")),
        (coded(b"PLAIN", pack_qty=0), (422, "invalid_parameters")),
        ({"json": {"code_base64": "%", "item": "PUMP"}}, (422, "unusable_mapping")),
    ):
        assert refusal(await api.post(MAPPING, **body)) == refused
    conn.execute("UPDATE scan SET code = '004000000000000176' WHERE epoch = 'x'")
    assert refusal(await api.post(MAPPING, **coded(b"004000000000000176", "PUMP"))) == (
        422, "unusable_mapping",
    )  # fmt: skip
    assert conn.execute("SELECT count(*) FROM barcode").fetchall() == [(0,)]
    assert await audited(api) == []
    as_organisation(api, 2)
    assert refusal(await api.post(MAPPING, **coded(b"PLAIN", "PUMP"))) == (404, "code_not_waiting")


# ---- audit ----


async def test_what_was_done_is_listed_a_page_at_a_time_and_by_what_it_was(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    conn.execute(
        "INSERT INTO webhook (organisation_id, url, topics, secret) VALUES (1, 'https://x/', '{t}', 's');"
        "INSERT INTO outbox (topic, payload, organisation_id, created_time) VALUES ('t/1', '', 1, now());"
        "UPDATE webhook_delivery SET state = 'dead'"
    )
    sign_in_as(api, new_session(database_url, new_user(database_url, "oda", "ops")))
    await post(api, "/v1/rejected/01/discard")
    await post(api, "/v1/webhooks/deliveries/1/resend")
    await post(api, "/v1/rejected/01/replay")
    first = await answer(api, "/v1/audit", limit=2)
    assert first["actions"][0] == {
        "action_id": 3, "at_ms": NOW_MS, "who": "user:oda", "name": "Oda", "role": "ops",
        "action": "rejected_replayed", "subject": "01",
        "detail": {"topic": "fleet/v1/V1/position", "reason": "malformed"},
    }  # fmt: skip
    rest = await answer(api, "/v1/audit", limit=2, cursor=first["next_cursor"])
    assert [one["action_id"] for one in first["actions"] + rest["actions"]] == [3, 2, 1]
    assert rest["next_cursor"] is None
    [one] = (await answer(api, "/v1/audit", action="delivery_resent"))["actions"]
    assert (one["subject"], one["detail"]) == ("1", {})
    assert (await answer(api, "/v1/audit", from_ms=NOW_MS + 1))["actions"] == []
    assert await problem(api, "/v1/audit", cursor="x") == (400, "bad_cursor")
    as_organisation(api, 2)
    assert await audited(api) == []


async def test_a_cursor_of_another_list_is_none(api: httpx.AsyncClient) -> None:
    cursor = (await answer(api, "/v1/visits", limit=1))["next_cursor"]
    assert await problem(api, "/v1/audit", cursor=cursor) == (400, "bad_cursor")


# ---- devices ----

FIXES = """
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
VALUES (1, '2026-11-20 08:30Z', 45, 5, 1, '2026-11-20 08:31Z'),
       (1, '2026-11-20 08:58Z', 45, 5, 1, '2026-11-20 08:58:09Z'),
       (1, '2026-11-20 08:59Z', 45, 5, 1, '2026-11-20 08:59:01Z'),
       (2, '2026-11-20 08:40Z', 45, 5, 1, '2026-11-20 08:38:30Z');
INSERT INTO van_status VALUES (1, '2026-11-20 07:00Z', 'online', 'on'),
                              (2, '2026-11-20 08:50Z', 'offline', 'off')
"""
CREDENTIAL = """
INSERT INTO broker_credential (role, van_id, device, user_name, bcrypt_hash, pbkdf2_hash, created_time,
                               revoked_time)
VALUES ('van', %s, 'tablet', %s, '$2b$04$' || repeat('a', 53), '$7$101$a$b', %s, %s)
"""


async def test_devices_are_listed_by_when_they_were_heard_of(
    api: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute(FIXES)
    conn.execute(CREDENTIAL, (1, "one", "2026-01-01Z", None))
    told = await answer(api, "/v1/devices")
    assert [one["van"] for one in told["devices"]] == ["V3", "V2", "V1"]
    never, second, first = told["devices"]
    assert first == {
        "van": "V1", "name": "Kangoo 1", "last_seen_ms": NOW_MS - 59_000, "online": True,
        "said_ms": NOW_MS - 7_200_000, "clock_ahead_ms": -1_000, "rejected_24h": 1,
        "credential": "current",
        "credentials": [
            {"device": "tablet", "created_ms": 1_767_225_600_000, "revoked_ms": None}
        ],
    }  # fmt: skip
    assert (second["online"], second["clock_ahead_ms"]) == (False, 90_000)
    assert second["last_seen_ms"] == NOW_MS - 10 * 60_000
    assert (never["last_seen_ms"], never["online"], never["clock_ahead_ms"]) == (None, None, None)
    assert never["credential"] == "none"


async def test_operators_are_told_neither_places_nor_duty(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    conn.execute(FIXES)
    sign_in_as(api, new_session(database_url, new_user(database_url, "oda", "ops")))
    for path in ("/v1/devices", "/v1/servers", "/v1/outbox"):
        text = (await api.get(path)).text
        for secret in ("duty", "latitude", "longitude", "speed", '"off"', '"on"'):
            assert secret not in text, (path, secret)


NOW = 1_000_000


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        ([], "none"),
        ([None], "current"),
        ([NOW - 1, None], "current"),
        ([NOW + 1, None], "rotating"),
        ([NOW + 1], "ending"),
        ([NOW - 1, NOW], "revoked"),
    ],
)
def test_credentials_of_a_van_are_told_in_one_word(ends: list[int | None], state: str) -> None:
    assert credential_state([Credential("tablet", 0, end) for end in ends], NOW) == state


# ---- outbox and servers ----


async def test_the_outbox_is_told_by_kinds_of_topics(
    api: httpx.AsyncClient, conn: Database
) -> None:
    assert await answer(api, "/v1/outbox") == {
        "now_ms": NOW_MS, "waiting": 0, "oldest_ms": None, "last_sent_ms": None, "topics": [],
    }  # fmt: skip
    conn.execute(
        "INSERT INTO outbox (topic, payload, created_time, sent_time) VALUES"
        " ('fleet/v1/V1/receipt', '', '2026-11-20 08:59Z', NULL),"
        " ('fleet/v1/V2/receipt', '', '2026-11-20 08:58Z', NULL),"
        " ('owntracks/V2/phone', '', '2026-11-20 08:59Z', NULL),"
        " ('warehouse/v1/orders/O-1', '', '2026-11-20 08:59Z', NULL),"
        " ('planner/v1/alerts/V1', '', '2026-11-20 08:50Z', '2026-11-20 08:51Z')"
    )
    told = await answer(api, "/v1/outbox")
    assert (told["waiting"], told["oldest_ms"]) == (4, NOW_MS - 120_000)
    assert told["last_sent_ms"] == NOW_MS - 9 * 60_000
    assert [(one["topic"], one["waiting"]) for one in told["topics"]] == [
        ("fleet/v1/+/receipt", 2), ("owntracks/+/+", 1), ("warehouse/v1/orders/+", 1),
    ]  # fmt: skip


async def test_servers_say_how_they_are(
    around: httpx.AsyncClient, ingest: Running, nats: tuple[int, str]
) -> None:
    await ingest.publish("fleet/v1/van-001/position", b"x")
    await ingest.until("SELECT count(*) FROM ingest_activity WHERE messages > 0", [(1,)])
    told = await answer(around, "/v1/servers")
    assert told["database"]["version"].startswith(tuple("0123456789"))
    assert told["database"]["size_bytes"] > 1_000_000
    assert 0 < told["database"]["connections"] <= told["database"]["connections_max"]
    assert told["database"]["missing_migrations"] == []
    assert (told["ingest"]["is_connected"], told["relay"]["is_connected"]) == (True, True)
    assert told["ingest"]["messages_per_s"] > 0
    assert abs(told["ingest"]["last_batch_ms"] - real_ms()) < 60_000
    assert told["broker"] is None
    assert told["api"]["version"]
    assert 0 <= told["api"]["uptime_s"] < 600


async def test_what_is_away_is_said_to_be_away(database_url: str, nats: tuple[int, str]) -> None:
    async def broker(url: str) -> Any:
        settings = settings_at(database_url).model_copy(update={"broker_monitor_url": url})
        async with client_of(settings) as api:
            told = await answer(api, "/v1/servers")
        assert (told["ingest"]["is_connected"], told["relay"]["is_connected"]) == (False, False)
        assert (told["ingest"]["last_batch_ms"], told["ingest"]["messages_per_s"]) == (None, 0)
        return told["broker"]

    assert (await broker(nats[1]))["is_up"] is True
    gone = await broker(f"http://127.0.0.1:{embedded.free_port()}")
    assert gone == {
        "is_up": False, "messages": None, "held_bytes": None, "share": None, "is_safe": None,
    }  # fmt: skip
