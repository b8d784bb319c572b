"""Operators look after what was rejected, and see how vans and servers do; what they did is written down."""

import base64
from typing import Any

import httpx
import psycopg
import pytest

from storage.settings import Settings
from tests.integration.api_client import answer, client_of
from tests.integration.conftest import Running
from tests.integration.test_api_resupply import ADMIN
from tests.integration.test_relay import relaying

BAD = b'{"t":1,"lat":"x"}'


@pytest.fixture
def rejected_id(conn: psycopg.Connection[Any]) -> str:
    key = "ab" * 16
    conn.execute(
        "INSERT INTO rejected VALUES"
        " (decode(%s, 'hex'), 'fleet/v1/V1/position', %s, 'r', 'd', 'V1', '2026-11-20 08:00Z')",
        (key, BAD * 500),
    )
    conn.commit()
    return key


def actions(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return conn.execute("SELECT action, done_by, detail FROM operator_action").fetchall()


async def test_a_rejected_message_is_shown_whole_and_discarded_once(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any], rejected_id: str
) -> None:
    shown = await answer(api, f"/v1/rejected/{rejected_id}")
    assert base64.b64decode(shown["payload_base64"]) == BAD * 500
    assert shown["van"] == "V1"
    path = f"/v1/rejected/{rejected_id}/discard"
    assert (await api.post(path)).status_code == 204
    assert (await api.post(path)).json()["code"] == "rejected_over"
    [(action, by, detail)] = actions(conn)
    assert (action, by) == ("discard", ADMIN)
    assert detail.startswith("fleet/v1/V1/position: ")
    told = (await answer(api, "/v1/audit"))["actions"]
    assert [(it["action"], it["subject"]) for it in told] == [("discard", rejected_id)]


@pytest.mark.parametrize(
    ("payload", "left"),
    [
        (b'{"t":%d,"lat":48.0,"lon":11.0}', 0),  # can be used by now
        (b'{"t":%d,"lat":"48.0","lon":11.0}', 1),
    ],
)
async def test_what_is_replayed_takes_the_way_of_all_messages(
    ingest: Running, payload: bytes, left: int
) -> None:
    settings: Settings = ingest.settings
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(
            "INSERT INTO rejected VALUES (decode(repeat('ab', 16), 'hex'),"
            " 'fleet/v1/van-001/position', %s, 'bad_payload', 'd', 'van-001', now())",
            (payload % settings.clock_origin_ms,),
        )
    async with client_of(settings) as api:
        assert (await api.post(f"/v1/rejected/{'ab' * 16}/replay")).status_code == 202
    assert ingest.rows("SELECT count(*) FROM rejected") == [(0,)]
    async with relaying(settings):
        await ingest.until("SELECT count(*) FROM rejected", [(left,)])
        await ingest.until("SELECT count(*) FROM fix", [(1 - left,)])


async def test_a_code_that_is_mapped_gives_waiting_scans_their_effect(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    code = base64.b64encode(b"NEW-CODE").decode()
    conn.execute(
        "INSERT INTO scan VALUES ('V1', 'e9', 1, 0, 1, '2026-11-20 08:00Z', 'issue', 'NEW-CODE',"
        ' \'unknown_code\', \'{"epoch":"e9","seq":1,"t":1795161600000,"intent":"issue","code":"NEW-CODE"}\','
        " '2026-11-20 08:00Z')"
    )
    conn.commit()
    body = {"code_base64": code, "item": "FIL-20", "pack_qty": 5}
    said = await api.post("/v1/parts/unknown-codes/mapping", json=body)
    assert said.status_code == 204, said.text
    assert conn.execute("SELECT status FROM scan WHERE epoch = 'e9'").fetchone() == ("applied",)
    assert conn.execute("SELECT qty FROM movement WHERE epoch = 'e9'").fetchone() == (5,)
    assert [(a, d) for a, _, d in actions(conn)] == [("map_code", "FIL-20 x 5")]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"item": "NOTHING"}, 404, "NOTHING"),
        ({"code_base64": "/w=="}, 422, "no bar code file"),
        ({"code_base64": "AA=="}, 422, "NUL"),
        ({"code_base64": "é"}, 422, "code_base64"),
    ],
)
async def test_a_meaning_that_cannot_be_is_refused_in_words_and_nothing_is_written_down(
    api: httpx.AsyncClient,
    conn: psycopg.Connection[Any],
    change: dict[str, str],
    status: int,
    words: str,
) -> None:
    body = {"code_base64": "Tk9X", "item": "FIL-20"} | change
    said = await api.post("/v1/parts/unknown-codes/mapping", json=body)
    assert said.status_code == status
    assert words in said.text
    assert actions(conn) == []


async def test_vans_are_listed_by_when_they_were_heard_of_without_where_they_were(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "UPDATE van_position SET received_time = fix_time - INTERVAL '90 s' WHERE van_id = 2"
    )
    conn.commit()
    told = await api.get("/v1/devices")
    devices = told.json()["devices"]
    assert [(it["van"], it["behind_s"]) for it in devices] == [
        ("V3", None),
        ("V2", -90.0),
        ("V1", 1.0),
    ]
    assert devices[2]["rejected_24h"] == 1
    assert "latitude" not in told.text


async def test_the_outbox_is_told_by_kind_and_the_servers_as_they_are(
    api: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("DELETE FROM outbox")
    conn.execute(
        "INSERT INTO outbox (topic, payload, created_time) VALUES"
        " ('fleet/v1/V1/receipt', '', '2026-11-20 08:00Z'), ('fleet/v1/V2/receipt', '', '2026-11-20 08:01Z'),"
        " ('warehouse/v1/orders/O-1', '', '2026-11-20 08:02Z')"
    )
    conn.commit()
    waiting = (await answer(api, "/v1/outbox"))["waiting"]
    assert [(it["kind"], it["messages"]) for it in waiting] == [
        ("fleet/v1/…/receipt", 2),
        ("warehouse/v1/orders/…", 1),
    ]
    servers = await answer(api, "/v1/servers")
    assert servers["database"]["size_bytes"] > 1_000_000
    assert 0 < servers["database"]["connections"] < servers["database"]["connections_max"]
    assert servers["broker"] is None
