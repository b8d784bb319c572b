"""Every role at every route, by a table that was written by hand, and rules that nothing escapes."""

import contextlib
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute

from api import roles
from api.app import ROUTES, create_app
from api.doorkeeper import doors_of, judged
from api.roles import ROLES, Role, rule_of
from ops.access.http import Asker, Tried, judge, try_all
from ops.access.table import COMPANY, DEVICES, LETTERS, NOW, PROBES, PUBLIC, Probe
from storage.settings import Settings, as_ms
from tests.integration.api_client import (
    machine_token,
    new_session,
    new_user,
    refusal,
    settings_at,
    sign_in_as,
)


@contextlib.asynccontextmanager
async def application(database_url: str) -> AsyncIterator[FastAPI]:
    """The application over the company of the table; its streams end at once."""
    with psycopg.connect(database_url) as conn:
        conn.execute(COMPANY.encode())
    app = create_app(settings_at(database_url, as_ms(NOW)))
    async with app.router.lifespan_context(app):
        app.state.resources.hub.close()
        yield app


def client_of(app: FastAPI, database_url: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://localhost")
    client.database_url = database_url  # type: ignore[attr-defined]
    return client


def signed_in(app: FastAPI, database_url: str, role: Role) -> httpx.AsyncClient:
    client = client_of(app, database_url)
    login = new_user(
        database_url,
        role,
        role,
        technician_id=1 if role == "technician" else None,
        client_id=1 if role == "client" else None,
    )
    sign_in_as(client, new_session(database_url, login))
    return client


async def test_every_role_gets_what_the_table_says_and_nothing_else(database_url: str) -> None:
    async with application(database_url) as app:
        askers = [Asker(role, signed_in(app, database_url, role)) for role in ROLES]
        for role in ROLES:
            if role == "technician":
                continue
            client = client_of(app, database_url)
            company = 1 if role == "client" else None
            token = await machine_token(client, role, client_id=company)
            client.headers["authorization"] = f"Bearer {token}"
            askers.append(Asker(role, client, is_program=True))

        async def again(role: Role) -> httpx.AsyncClient:
            return signed_in(app, database_url, role)

        tried = await judge(client_of(app, database_url), askers, again)
    assert tried.figures()["findings"] == []
    assert tried.routes == len(roles.RULES)
    assert tried.pairs == len(PROBES) * 12 + len(PUBLIC) + len(DEVICES) * 3
    assert tried.rows > 150


@pytest.mark.parametrize(
    ("method", "route", "given", "finding"),
    [
        ("GET", "/v1/tours", {"technician"}, "wrongly_allowed"),
        ("GET", "/v1/orders", set(), "wrongly_denied"),
        ("GET", "/v1/visit-reports", {"technician", "client", "planner", "admin"}, "wrongly_allowed"),
    ],
)  # fmt: skip
async def test_a_rule_that_is_not_the_tables_is_found(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    route: str,
    given: set[Role],
    finding: str,
) -> None:
    """The check can fail: a role too many, or one too few."""
    wrong = roles.Rule(method, route, frozenset(given))
    monkeypatch.setitem(roles.RULES, (method, route), wrong)
    tried = Tried()
    async with application(database_url) as app:
        await try_all(Asker("technician", signed_in(app, database_url, "technician")), tried)
    found = getattr(tried, finding)
    assert any(route in it for it in found)


async def test_a_scope_that_is_forgotten_is_found(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check can fail: a technician who reaches every van, a client who reaches every site."""
    monkeypatch.setattr("api.auth.Who.reaches", lambda *_: True)
    monkeypatch.setattr("api.routes.parameters.own_van", lambda _, asked: asked)
    monkeypatch.setattr("api.queries.client_sites.WHICH", "site.organisation_id = %(organisation)s")
    tried = Tried()
    async with application(database_url) as app:
        for role in ("technician", "client"):
            await try_all(Asker(role, signed_in(app, database_url, role)), tried)
    shown = "\n".join(tried.wrongly_shown)
    for part in ("/v1/vans/V2/track", "/v1/orders/O-2", "/v1/orders?van=V2", '"van":"V2"',
                 "client: GET /v1/planning?from_ms", '"SCHOOL"'):  # fmt: skip
        assert part in shown


# ---- nothing escapes the rules ----


def test_every_route_has_a_rule_and_every_rule_a_route() -> None:
    app = create_app(Settings())
    routes = {
        (method, door.template)
        for door in doors_of(app)
        for method in door.methods
        if method != "HEAD"
    }
    assert routes == set(roles.RULES)


def test_every_rule_is_in_the_table_that_was_written_by_hand() -> None:
    assert {(p.method, p.template) for p in (*PROBES, *PUBLIC)} == set(roles.RULES)
    assert set(LETTERS.values()) == set(ROLES)


def test_head_is_asked_as_get_is() -> None:
    assert rule_of("HEAD", "/v1/openapi.json") == rule_of("GET", "/v1/openapi.json")


async def test_a_route_without_a_rule_is_refused_whoever_asks(database_url: str) -> None:
    async with application(database_url) as app:
        forgotten = APIRouter(prefix="/v1")

        @forgotten.get("/forgotten")
        async def read() -> str:
            return "secret"

        app.include_router(forgotten)
        for client in (signed_in(app, database_url, "admin"), client_of(app, database_url)):
            response = await client.get("/v1/forgotten")
            assert refusal(response) == (403, "no_rule")
            assert "secret" not in response.text


async def test_a_route_that_the_doorkeeper_did_not_see_is_not_run(database_url: str) -> None:
    """Whatever makes the doorkeeper and the router disagree, the route itself refuses."""
    async with application(database_url) as app:
        client = signed_in(app, database_url, "admin")
        assert (await client.get("/v1/vans")).status_code == 200
        late = APIRouter(prefix="/v1")

        @late.get("/late")
        async def read() -> str:
            return "secret"

        app.include_router(late, dependencies=[Depends(judged)])
        assert refusal(await client.get("/v1/late")) == (403, "no_rule")


def test_every_route_refuses_to_run_unless_it_was_judged() -> None:
    routes = [route for route in ROUTES.routes if isinstance(route, APIRoute)]
    assert {(method, route.path) for route in routes for method in route.methods} >= set(
        roles.RULES
    ) - {("GET", "/v1/openapi.json")}
    for route in routes:
        assert judged in [needed.call for needed in route.dependant.dependencies], route.path


@pytest.mark.parametrize(
    "path",
    [
        "/v1//vans", "//v1/vans", "/v1/vans/", "/v1/./vans", "/V1/vans", "/v1/vans%2F",
        "/v1/session/../vans", "/healthz/../v1/vans", "/v1/vans;x", "/v1/vans%00",
    ],
)  # fmt: skip
async def test_a_path_written_otherwise_gets_no_stranger_in(database_url: str, path: str) -> None:
    async with application(database_url) as app:
        stranger = client_of(app, database_url)
        response = await stranger.get(httpx.URL("http://localhost", raw_path=path.encode()))
        assert response.status_code in {307, 400, 401, 404}
        assert "Kangoo" not in response.text


async def test_a_stranger_is_refused_before_the_request_is_read(database_url: str) -> None:
    async with application(database_url) as app:
        stranger = client_of(app, database_url)
        response = await stranger.put("/v1/sites/BAKERY", content="{ this is no JSON")
        assert refusal(response) == (401, "not_signed_in")
        # A parameter that is wrong tells a stranger nothing either.
        assert refusal(await stranger.get("/v1/visits?limit=x")) == (401, "not_signed_in")


async def test_the_pages_files_need_no_sign_in_and_hold_nothing_of_anybody(
    database_url: str,
) -> None:
    async with application(database_url) as app:
        stranger = client_of(app, database_url)
        for name in ("", "start.js", "base/session.js", "base/base.css"):
            assert (await stranger.get(f"/{name}")).status_code == 200


async def test_a_technician_without_a_van_is_shown_none(database_url: str) -> None:
    async with application(database_url) as app:
        with psycopg.connect(database_url) as conn:
            conn.execute("UPDATE van SET technician_id = NULL WHERE van_id = 1")
        client = signed_in(app, database_url, "technician")
        for path in ("/v1/vans", "/v1/visits", "/v1/orders", "/v1/vans/V1", "/v1/alerts"):
            assert refusal(await client.get(path)) == (404, "van_not_found")
        assert (await client.get("/v1/session")).json()["vans"] == []


async def test_a_technician_who_drives_another_van_now_is_shown_that_one(
    database_url: str,
) -> None:
    async with application(database_url) as app:
        client = signed_in(app, database_url, "technician")
        assert [v["code"] for v in (await client.get("/v1/vans")).json()["vans"]] == ["V1"]
        with psycopg.connect(database_url) as conn:
            conn.execute("UPDATE van SET technician_id = NULL WHERE van_id = 1")
            conn.execute("UPDATE van SET technician_id = 1 WHERE van_id = 2")
        assert [v["code"] for v in (await client.get("/v1/vans")).json()["vans"]] == ["V2"]
        assert refusal(await client.get("/v1/vans/V1/track")) == (404, "van_not_found")


def test_a_probe_says_in_letters_who_may() -> None:
    probe = Probe("GET", "/x", "/x", "PA")
    assert [role for role in ROLES if probe.allows(role)] == ["planner", "admin"]
