"""OwnTracks, Traccar Client and OsmAnd over HTTP: only with a device's credential, and by the one path."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from ops.devices import provision
from ops.devices.provision import Made
from storage.pool import connect
from storage.settings import Settings, real_ms
from tests.integration.api_client import client_of, refusal
from tests.integration.conftest import Running
from tests.integration.tablet import NOW, relaying

OWNTRACKS, OSMAND = "/v1/ingress/owntracks", "/v1/ingress/osmand"
FIXES = """
SELECT code, (extract(epoch FROM fix_time) * 1000)::bigint, latitude_deg, longitude_deg,
       speed_mps::float8, battery_pct::float8 FROM fix JOIN van USING (van_id) ORDER BY 2
"""
WAITING = "SELECT topic, convert_from(payload, 'UTF8') FROM outbox ORDER BY outbox_id"


@pytest.fixture
async def made(company_url: str) -> Made:
    """The credential of a phone in the first van."""
    return await make(company_url, "van-001", "phone")


async def make(url: str, van: str, device: str) -> Made:
    async with connect(url, "test", size_max=1) as pool, pool.connection() as conn:
        return await provision.make(conn, await provision.van(conn, van), device, real_ms() - 1)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client that is not signed in."""
    async with client_of(settings) as client:
        client.cookies.clear()
        yield client


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(settings.database_url) as conn:
        return conn.execute(query.encode()).fetchall()


def location(at_s: int = 60, **more: object) -> dict[str, object]:
    """What OwnTracks for Android sends in HTTP mode, its pseudo topic among it."""
    return {
        "_type": "location", "BSSID": "00:11", "SSID": "yard", "_id": "58a3", "acc": 6, "alt": 180,
        "batt": 87, "bs": 1, "cog": 271, "conn": "m", "created_at": NOW // 1_000, "lat": 48.1,
        "lon": 11.5, "m": 2, "t": "u", "tid": "17", "topic": "owntracks/http/17",
        "tst": NOW // 1_000 - at_s, "vac": 4, "vel": 50, **more,
    }  # fmt: skip


def traccar(made: Made, at_s: int = 60, **coords: object) -> dict[str, object]:
    """What Traccar Client 9 sends."""
    seconds = NOW / 1_000 - at_s
    where = {"latitude": 48.1, "longitude": 11.5, "accuracy": 5, "speed": 10, "heading": -1,
             "altitude": 5}  # fmt: skip
    return {
        "location": {"timestamp": seconds, "coords": {**where, **coords}, "is_moving": True,
                     "odometer": 0, "event": "motionchange",
                     "battery": {"level": 0.5, "is_charging": False}, "extras": {}},
        "device_id": made.token,
    }  # fmt: skip


async def own(api: httpx.AsyncClient, made: Made, said: object, **headers: str) -> httpx.Response:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    return await api.post(OWNTRACKS, content=body, headers=headers,
                          auth=(made.user_name, made.password))  # fmt: skip


# ---- by the one path, over real servers


async def test_each_app_s_position_becomes_a_fix_of_its_van_in_our_units(
    api: httpx.AsyncClient, made: Made, settings: Settings, ingest: Running
) -> None:
    t = NOW // 1_000
    async with relaying(settings):
        said = await own(api, made, location(60))
        assert (said.status_code, said.json()) == (200, [])
        query = {"id": made.token, "timestamp": t - 50, "lat": 48.2, "lon": 11.6, "speed": "27.0",
                 "bearing": "271.0", "altitude": "180.0", "accuracy": "6.0", "batt": "80.0"}  # fmt: skip
        for answer in (
            await api.get(OSMAND, params=query),
            await api.post(OSMAND, params={**query, "timestamp": t - 40}),
            await api.post(OSMAND, data={**query, "timestamp": str(t - 30), "lat": "48.2"}),
            await api.post(OSMAND, json=traccar(made, 20)),
        ):
            assert (answer.status_code, answer.content) == (200, b"")
        await ingest.until("SELECT count(*) FROM fix", [(5,)])
    kmh = 50 / 3.6
    assert rows(settings, FIXES) == [
        ("van-001", (t - 60) * 1_000, 48.1, 11.5, pytest.approx(kmh), 87.0),
        ("van-001", (t - 50) * 1_000, 48.2, 11.6, pytest.approx(13.89), 80.0),
        ("van-001", (t - 40) * 1_000, 48.2, 11.6, pytest.approx(13.89), 80.0),
        ("van-001", (t - 30) * 1_000, 48.2, 11.6, pytest.approx(13.89), 80.0),
        ("van-001", (t - 20) * 1_000, 48.1, 11.5, 10.0, 50.0),
    ]
    assert rows(settings, "SELECT count(*) FROM outbox WHERE is_passing") == [(0,)]


async def test_off_duty_nothing_of_it_is_stored(
    api: httpx.AsyncClient, made: Made, settings: Settings, ingest: Running
) -> None:
    with psycopg.connect(settings.database_url) as conn:
        conn.execute(
            "INSERT INTO duty_switch VALUES (1, to_timestamp(%s), 'off')", (NOW / 1_000 - 600,)
        )
    async with relaying(settings):
        await own(api, made, location(60))
        await api.post(OSMAND, json=traccar(made, 50))
        await api.post(OSMAND, json=traccar(made, 40, latitude=99))
        await ingest.until("SELECT dropped FROM off_duty", [(3,)])
    for table in ("fix", "rejected", "outbox"):
        assert rows(settings, f"SELECT count(*) FROM {table}") == [(0,)], table


async def test_what_cannot_be_used_is_set_aside_and_answered_as_taken(
    api: httpx.AsyncClient, made: Made, settings: Settings, ingest: Running
) -> None:
    """An app that is told 4xx sends the same again and again, before all newer ones."""
    async with relaying(settings):
        for body in (
            b"{",
            json.dumps(location(lat=95)).encode(),
            b'{"_type":"encrypted","data":"x"}',
        ):
            assert (await own(api, made, body)).status_code == 200
        bad = {"id": made.token, "lat": "north", "lon": "11", "timestamp": "1790000000"}
        assert (await api.get(OSMAND, params=bad)).status_code == 200
        await ingest.until("SELECT count(*) FROM rejected", [(4,)])
    kept = rows(settings, "SELECT topic, payload FROM rejected ORDER BY topic")
    assert {topic for topic, _ in kept} == {"fleet/v1/van-001/position", "owntracks/van-001/phone"}
    assert b"north" in b"".join(payload for _, payload in kept)
    assert str(made.token).encode() not in b"".join(payload for _, payload in kept)


async def test_what_is_too_long_for_a_position_is_set_aside_and_not_silently_gone(
    api: httpx.AsyncClient, made: Made, settings: Settings, ingest: Running
) -> None:
    long = "x" * 70_000
    async with relaying(settings):
        good = traccar(made, 60)
        bad = traccar(made, 50, latitude=long)
        both = {**good, "location": [good["location"], bad["location"]]}
        longest = traccar(made, 40, latitude=10**400, speed=10**400)
        for said in (both, longest):
            assert (await api.post(OSMAND, json=said)).status_code == 200
        await ingest.until("SELECT count(*) FROM rejected", [(2,)])
        await ingest.until("SELECT count(*) FROM fix", [(1,)])
    kept = b"".join(payload for (payload,) in rows(settings, "SELECT payload FROM rejected"))
    assert long.encode() in kept
    assert str(made.token).encode() not in kept


# ---- whose it is


async def test_the_credential_says_whose_it_is_whatever_else_is_said(
    api: httpx.AsyncClient, made: Made, settings: Settings
) -> None:
    forged = location(topic="owntracks/van-002/phone")
    await own(api, made, forged, **{"x-limit-u": "van-002", "x-limit-d": "other"})
    await api.post(f"{OWNTRACKS}?u=van-002&d=other", json=location(50),
                   auth=(made.user_name, made.password))  # fmt: skip
    query = {"id": "van-002", "lat": "48", "lon": "11", "timestamp": "1790000000"}
    await api.get(OSMAND, params=query, auth=(made.user_name, made.password))
    assert [topic for topic, _ in rows(settings, WAITING)] == [
        "owntracks/van-001/phone", "owntracks/van-001/phone", "fleet/v1/van-001/position",
    ]  # fmt: skip


async def test_nobody_is_let_in_without_a_credential_that_is_good(
    api: httpx.AsyncClient, made: Made, settings: Settings
) -> None:
    other = await make(settings.database_url, "van-002", "phone")
    over = await make(settings.database_url, "van-002", "tablet")
    async with (
        connect(settings.database_url, "test", size_max=1) as pool,
        pool.connection() as conn,
    ):
        await provision.revoke(conn, await provision.van(conn, "van-002"), "tablet", real_ms())
    for auth in (
        None, (made.user_name, other.password), (made.user_name, ""), ("", ""), ("van-001", made.password),
        (made.user_name, str(made.token)), (over.user_name, over.password), ("\0", "\0"),
    ):  # fmt: skip
        said = await api.post(OWNTRACKS, json=location(), auth=auth or httpx.USE_CLIENT_DEFAULT)
        assert refusal(said) == (401, "unknown_device"), auth
        assert said.headers["www-authenticate"].startswith("Basic")
    for token in (
        "",
        "x",
        "van-001",
        made.user_name,
        made.password,
        str(over.token),
        "\0",
        "\ud800",
    ):
        query = {"id": token, "lat": "48", "lon": "11", "timestamp": "1790000000"}
        body = {"device_id": token, "location": {}}
        assert refusal(await api.post(OSMAND, content=json.dumps(body).encode()))[0] == 401
        if token.isascii():
            assert refusal(await api.get(OSMAND, params=query)) == (401, "unknown_device"), token
    assert rows(settings, WAITING) == []


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic ???", "Basic " + base64.b64encode(b"nocolon").decode(), "Bearer x"],
)
async def test_what_is_no_http_basic_lets_nobody_in(api: httpx.AsyncClient, header: str) -> None:
    said = await api.post(OWNTRACKS, json=location(), headers={"authorization": header})
    assert refusal(said) == (401, "unknown_device")


async def test_during_a_rotation_both_are_let_in_and_a_revoked_one_never_again(
    api: httpx.AsyncClient, made: Made, settings: Settings
) -> None:
    async with (
        connect(settings.database_url, "test", size_max=1) as pool,
        pool.connection() as conn,
    ):
        van = await provision.van(conn, "van-001")
        new = await provision.rotate(conn, van, "phone", 1.0, real_ms())
    for it in (made, new):
        assert (await own(api, it, location())).status_code == 200
        assert (await api.post(OSMAND, json=traccar(it))).status_code == 200
    async with (
        connect(settings.database_url, "test", size_max=1) as pool,
        pool.connection() as conn,
    ):
        await provision.revoke(conn, van, None, real_ms())
    for it in (made, new):
        assert (await own(api, it, location())).status_code == 401
        assert (await api.post(OSMAND, json=traccar(it))).status_code == 401


async def test_a_service_has_no_token_and_is_no_device(
    api: httpx.AsyncClient, settings: Settings, company_url: str
) -> None:
    async with connect(company_url, "test", size_max=1) as pool, pool.connection() as conn:
        relay = await provision.make(
            conn, await provision.service(conn, "relay", None), "main", real_ms()
        )
    assert relay.token is None
    assert (await own(api, relay, location())).status_code == 401


async def test_the_tables_hold_no_token(made: Made, settings: Settings) -> None:
    ((credential,),) = rows(settings, "SELECT row(it.*)::text FROM broker_credential AS it")
    assert str(made.token) not in credential
    assert made.password not in credential


# ---- how often


async def test_a_device_that_sends_too_fast_is_told_when_to_come_again(
    api: httpx.AsyncClient, made: Made, settings: Settings
) -> None:
    held = api.app.state.resources  # type: ignore[attr-defined]
    held.devices.burst = held.devices.rate_per_s = 2.0
    codes = [(await own(api, made, location(n))).status_code for n in range(4)]
    assert codes[:2] == [200, 200]
    assert 429 in codes
    said = await own(api, made, location())
    if said.status_code == 429:
        assert refusal(said) == (429, "too_often")
        assert int(said.headers["retry-after"]) >= 1
    other = await make(settings.database_url, "van-002", "phone")
    assert (await own(api, other, location())).status_code == 200


async def test_who_tries_many_wrong_ones_from_an_address_waits_and_is_not_looked_up(
    api: httpx.AsyncClient, made: Made
) -> None:
    held = api.app.state.resources  # type: ignore[attr-defined]
    held.strangers.burst = 3.0
    tries = [("x", f"y{n}") for n in range(5)]
    codes = [(await api.post(OWNTRACKS, json={}, auth=it)).status_code for it in tries]
    assert codes == [401, 401, 401, 429, 429]


async def test_a_revoked_phone_that_goes_on_trying_does_not_slow_others_at_its_address(
    api: httpx.AsyncClient, made: Made
) -> None:
    held = api.app.state.resources  # type: ignore[attr-defined]
    held.strangers.burst = 3.0
    revoked = [await api.post(OWNTRACKS, json={}, auth=("x", "y")) for _ in range(50)]
    assert {it.status_code for it in revoked} == {401}
    by_token = [await api.get(OSMAND, params={"id": "revoked"}) for _ in range(50)]
    assert {refusal(it) for it in by_token} == {(401, "unknown_device")}
    assert (await own(api, made, location())).status_code == 200


# ---- what is not for us


@pytest.mark.parametrize("kind", ["waypoints", "card", "cmd", "status"])
async def test_what_owntracks_sends_for_friends_is_answered_and_not_kept(
    api: httpx.AsyncClient, made: Made, settings: Settings, kind: str
) -> None:
    said = await own(api, made, {"_type": kind, "lat": 48.1, "lon": 11.5})
    assert (said.status_code, said.json()) == (200, [])
    assert (await own(api, made, b"")).json() == []
    assert rows(settings, WAITING) == []


async def test_a_body_that_is_no_json_object_is_refused(api: httpx.AsyncClient, made: Made) -> None:
    said = await api.post(OSMAND, content=b"{no", auth=(made.user_name, made.password))
    assert refusal(said) == (400, "bad_request")
