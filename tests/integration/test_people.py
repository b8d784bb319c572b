"""Signing in: what is asked for, what ends a session, and what does not tell who exists."""

import asyncio
import json
import logging
import runpy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import jwt
import psycopg
import pytest
import structlog
from click.testing import CliRunner
from structlog.testing import capture_logs

from api import passwords, sessions, tokens
from api.roles import ROLES
from api.sessions import CSRF_HEADER, PLAIN_COOKIE, SECURE_COOKIE
from ops import people
from ops.cli import main
from ops.commands.people import user
from ops.services import environment
from storage.pool import connect
from storage.settings import Settings
from tests.integration.api_client import machine_token, new_session, new_user, refusal, sign_in_as

Database = psycopg.Connection[Any]
PASSWORD = "correct horse battery staple"
PASSWORD_HASH = passwords.hashed(PASSWORD)


@pytest.fixture
def ana(conn: Database) -> str:
    """A planner with a password."""
    conn.execute(
        "INSERT INTO app_user (organisation_id, login, name, role, password_hash)"
        " VALUES (1, 'ana', 'Ana Diaz', 'planner', %s)",
        (PASSWORD_HASH,),
    )
    return "ana"


@pytest.fixture
def browser(api: httpx.AsyncClient) -> Iterator[httpx.AsyncClient]:
    """The client as a browser that has never been here."""
    api.cookies.clear()
    api.headers.pop(CSRF_HEADER, None)
    return api


async def sign_in(
    browser: httpx.AsyncClient, login: str = "ana", password: str = PASSWORD, **headers: str
) -> httpx.Response:
    return await browser.post(
        "/v1/session", json={"login": login, "password": password}, headers=headers
    )


def cookie_of(response: httpx.Response, name: str = PLAIN_COOKIE) -> Any:
    return SimpleCookie(response.headers["set-cookie"])[name]


def rows(conn: Database, query: str) -> list[Any]:
    return conn.execute(query).fetchall()


# ---- in and out ----


async def test_whoever_signs_in_is_told_who_and_may_then_ask(
    browser: httpx.AsyncClient, ana: str
) -> None:
    assert refusal(await browser.get("/v1/vans")) == (401, "not_signed_in")
    opened = await sign_in(browser)
    assert opened.status_code == 201
    told = opened.json()
    assert (told["login"], told["name"], told["role"]) == ("ana", "Ana Diaz", "planner")
    assert (await browser.get("/v1/vans")).status_code == 200
    again = await browser.get("/v1/session")
    assert again.json() == told
    assert again.headers["cache-control"] == "no-store"


async def test_a_refusal_says_how_to_get_in(browser: httpx.AsyncClient) -> None:
    response = await browser.get("/v1/vans")
    assert response.headers["www-authenticate"] == 'Bearer realm="cordee"'
    assert refusal(response) == (401, "not_signed_in")


async def test_logins_are_compared_as_people_type_them(
    browser: httpx.AsyncClient, ana: str
) -> None:
    assert (await sign_in(browser, login=" Ana ")).status_code == 201


async def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(
    browser: httpx.AsyncClient, ana: str
) -> None:
    cookie = cookie_of(await sign_in(browser))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/")
    assert cookie["secure"] == ""
    assert cookie["domain"] == ""
    assert len(cookie.value) == 43


async def test_by_https_the_cookie_goes_by_https_only_and_no_other_host_can_set_it(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    browser.base_url = httpx.URL("https://localhost")
    cookie = cookie_of(await sign_in(browser), SECURE_COOKIE)
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "strict")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert (await browser.get("/v1/session")).status_code == 200
    browser.cookies.clear()
    browser.cookies.set(PLAIN_COOKIE, cookie.value)
    assert refusal(await browser.get("/v1/session")) == (401, "not_signed_in")


async def test_the_database_holds_no_token_and_no_password(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    token = cookie_of(await sign_in(browser)).value
    [(kept,)] = rows(conn, "SELECT token_hash FROM user_session JOIN app_user USING (user_id)"
                           " WHERE login = 'ana'")  # fmt: skip
    assert bytes(kept) == sessions.hashed(token)
    dump = json.dumps(rows(conn, "SELECT u::text FROM app_user u"), default=str)
    assert "$argon2id$" in dump
    assert PASSWORD not in dump


def test_what_production_keeps_of_a_password_costs_whoever_guesses_64_mib_and_three_passes() -> (
    None
):
    """Other tests hash fast, with a hasher of their own; this is the module as it is."""
    as_it_is = runpy.run_path(str(passwords.__file__))
    assert as_it_is["hashed"](PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_who_signs_out_is_out_also_with_the_old_cookie(
    browser: httpx.AsyncClient, ana: str
) -> None:
    opened = await sign_in(browser)
    token, csrf = cookie_of(opened).value, opened.json()["csrf_token"]
    out = await browser.delete("/v1/session", headers={CSRF_HEADER: csrf})
    assert out.status_code == 204
    assert cookie_of(out)["max-age"] == "0"
    browser.cookies.set(PLAIN_COOKIE, token)
    assert refusal(await browser.get("/v1/vans")) == (401, "not_signed_in")


async def test_a_planted_session_is_never_the_one_that_is_signed_in(
    browser: httpx.AsyncClient, ana: str, conn: Database, database_url: str
) -> None:
    """Session fixation: somebody puts a cookie into a browser, then waits for the sign-in."""
    for planted in ("A" * 43, new_session(database_url, new_user(database_url, "eve", "planner"))):
        browser.cookies.clear()
        browser.cookies.set(PLAIN_COOKIE, planted)
        opened = await sign_in(browser)
        assert cookie_of(opened).value != planted
        browser.cookies.clear()
        browser.cookies.set(PLAIN_COOKIE, planted)
        assert refusal(await browser.get("/v1/session")) == (401, "not_signed_in")


@pytest.mark.parametrize(
    ("age", "unused", "status"),
    [
        (timedelta(hours=11, minutes=59), timedelta(minutes=59), 200),
        (timedelta(hours=11), timedelta(minutes=61), 401),
        (timedelta(hours=12, minutes=1), timedelta(0), 401),
    ],
)
async def test_a_session_ends_unused_after_an_hour_and_in_any_case_after_twelve(
    browser: httpx.AsyncClient,
    ana: str,
    conn: Database,
    age: timedelta,
    unused: timedelta,
    status: int,
) -> None:
    await sign_in(browser)
    conn.execute(
        "UPDATE user_session SET created_time = created_time - %s, used_time = used_time - %s",
        (age, unused),
    )
    assert (await browser.get("/v1/session")).status_code == status


async def test_use_is_noted_so_that_a_session_in_use_lasts(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    await sign_in(browser)
    for _ in range(3):
        conn.execute(
            "UPDATE user_session SET created_time = created_time - INTERVAL '50 min',"
            " used_time = used_time - INTERVAL '50 min'"
        )
        assert (await browser.get("/v1/vans")).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE app_user SET state = 'disabled' WHERE login = 'ana'",
        "UPDATE app_user SET password_hash = 'x' WHERE login = 'ana'",
        "UPDATE app_user SET role = 'ops' WHERE login = 'ana'",
        "UPDATE app_user SET organisation_id = 2 WHERE login = 'ana'",
        "DELETE FROM app_user WHERE login = 'ana'",
    ],
)
async def test_what_changes_of_a_user_ends_all_sessions_at_once(
    browser: httpx.AsyncClient, ana: str, conn: Database, change: str
) -> None:
    await sign_in(browser)
    assert (await browser.get("/v1/vans")).status_code == 200
    conn.execute(change)
    assert refusal(await browser.get("/v1/vans")) == (401, "not_signed_in")


async def test_another_name_ends_no_session(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    await sign_in(browser)
    conn.execute("UPDATE app_user SET name = 'Ana Ruiz' WHERE login = 'ana'")
    assert (await browser.get("/v1/session")).json()["name"] == "Ana Ruiz"


async def test_whoever_signs_out_everywhere_is_out_everywhere_and_nobody_else(
    browser: httpx.AsyncClient, ana: str, conn: Database, database_url: str
) -> None:
    elsewhere = new_session(database_url, ana)
    others = new_session(database_url, new_user(database_url, "bo", "planner"))
    opened = await sign_in(browser)
    csrf = {CSRF_HEADER: opened.json()["csrf_token"]}
    assert (await browser.delete("/v1/me/sessions", headers=csrf)).status_code == 204
    for token, status in ((elsewhere, 401), (cookie_of(opened).value, 401), (others, 200)):
        sign_in_as(browser, token)
        assert (await browser.get("/v1/session")).status_code == status


# ---- changing requests ----


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {CSRF_HEADER: ""},
        {CSRF_HEADER: "0" * 64},
        {CSRF_HEADER: "RIGHT", "sec-fetch-site": "cross-site"},
        {CSRF_HEADER: "RIGHT", "sec-fetch-site": "same-site"},
        {CSRF_HEADER: "RIGHT", "origin": "https://evil.example"},
        {CSRF_HEADER: "RIGHT", "origin": "null"},
    ],
)
async def test_another_site_cannot_make_a_browser_change_anything(
    browser: httpx.AsyncClient, ana: str, conn: Database, headers: dict[str, str]
) -> None:
    csrf = (await sign_in(browser)).json()["csrf_token"]
    sent = {name: csrf if value == "RIGHT" else value for name, value in headers.items()}
    for method, path in (("PUT", "/v1/sites/BAKERY"), ("DELETE", "/v1/session")):
        response = await browser.request(method, path, headers=sent)
        assert refusal(response) == (403, "csrf_failed")
    assert (await browser.get("/v1/session")).status_code == 200


async def test_the_token_of_another_session_does_not_do(
    browser: httpx.AsyncClient, ana: str, database_url: str
) -> None:
    others = new_session(database_url, ana)
    await sign_in(browser)
    wrong = {CSRF_HEADER: sessions.csrf_token(others)}
    assert refusal(await browser.delete("/v1/session", headers=wrong)) == (403, "csrf_failed")


async def test_the_own_page_may_change_things(browser: httpx.AsyncClient, ana: str) -> None:
    csrf = (await sign_in(browser)).json()["csrf_token"]
    own = {CSRF_HEADER: csrf, "origin": "http://localhost", "sec-fetch-site": "same-origin"}
    assert (await browser.delete("/v1/session", headers=own)).status_code == 204


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]
)
async def test_another_site_cannot_sign_a_browser_in(
    browser: httpx.AsyncClient, ana: str, headers: dict[str, str]
) -> None:
    response = await sign_in(browser, **headers)
    assert refusal(response) == (403, "csrf_failed")
    assert "set-cookie" not in response.headers


async def test_a_form_of_another_site_cannot_sign_in_either(
    browser: httpx.AsyncClient, ana: str
) -> None:
    """A form cannot say that it is JSON, and what does not say so is not read as such."""
    body = json.dumps({"login": "ana", "password": PASSWORD})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = await browser.post("/v1/session", content=body, headers={"content-type": kind})
        assert refusal(response) == (422, "invalid_parameters")


# ---- guessing ----


async def test_the_answer_does_not_tell_which_logins_exist(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    conn.execute(
        "INSERT INTO app_user (organisation_id, login, name, role, password_hash, state)"
        " VALUES (1, 'gone', 'Gone', 'planner', %s, 'disabled'),"
        "        (1, 'elsewhere', 'E', 'planner', NULL, 'active')",
        (PASSWORD_HASH,),
    )
    refusals = [
        await sign_in(browser, "ana", "wrong"),
        await sign_in(browser, "nobody", "wrong"),
        await sign_in(browser, "nobody", PASSWORD),
        await sign_in(browser, "gone", PASSWORD),
        await sign_in(browser, "elsewhere", PASSWORD),
    ]
    assert {refusal(response) for response in refusals} == {(401, "sign_in_failed")}
    assert len({response.text for response in refusals}) == 1
    assert len({tuple(sorted(r.headers.keys())) for r in refusals}) == 1


@pytest.mark.parametrize("login", ["ana", "nobody", "gone"])
async def test_a_hash_is_computed_whether_the_login_exists_or_not(
    browser: httpx.AsyncClient,
    ana: str,
    conn: Database,
    login: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    conn.execute(
        "INSERT INTO app_user (organisation_id, login, name, role, password_hash, state)"
        " VALUES (1, 'gone', 'Gone', 'planner', %s, 'disabled')",
        (PASSWORD_HASH,),
    )
    compared: list[str] = []
    verify = passwords.HASHER.verify

    def spy(password: str, hashed: str) -> bool:
        compared.append(hashed)
        return verify(password, hashed)

    monkeypatch.setattr(passwords.HASHER, "verify", spy)
    assert refusal(await sign_in(browser, login, "wrong")) == (401, "sign_in_failed")
    [hashed] = compared
    # The same algorithm with the same work: all but the salt and what comes of it.
    assert hashed.split("$")[:4] == PASSWORD_HASH.split("$")[:4]


@pytest.mark.parametrize("login", ["ana", "nobody"])
async def test_after_five_failures_from_one_place_even_the_right_password_waits(
    browser: httpx.AsyncClient, ana: str, conn: Database, login: str
) -> None:
    for _ in range(5):
        assert refusal(await sign_in(browser, login, "wrong")) == (401, "sign_in_failed")
    locked = await sign_in(browser, login)
    assert refusal(locked) == (429, "too_many_attempts")
    assert locked.headers["retry-after"] == "900"
    conn.execute("UPDATE failed_sign_in SET failed_time = failed_time - INTERVAL '16 min'")
    expected = 201 if login == "ana" else 401
    assert (await sign_in(browser, login)).status_code == expected


async def test_being_refused_does_not_make_a_lock_last(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    for _ in range(9):
        await sign_in(browser, "ana", "wrong")
    assert rows(conn, "SELECT count(*) FROM failed_sign_in") == [(5,)]


async def test_many_guesses_at_once_are_not_more_guesses(
    browser: httpx.AsyncClient, ana: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []
    verify = passwords.HASHER.verify
    monkeypatch.setattr(
        passwords.HASHER,
        "verify",
        lambda password, hashed: compared.append(password) or verify(password, hashed),
    )
    await asyncio.gather(*(sign_in(browser, "ana", f"guess {n}") for n in range(15)))
    assert len(compared) <= 5


async def test_one_address_has_few_attempts_whatever_the_logins(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    conn.execute(
        "INSERT INTO failed_sign_in (login_hash, address, failed_time)"
        " SELECT sha256(n::text::bytea), '127.0.0.1', now() FROM generate_series(1, 60) n"
    )
    assert refusal(await sign_in(browser)) == (429, "too_many_attempts")
    conn.execute("UPDATE failed_sign_in SET address = '192.0.2.1'")
    assert (await sign_in(browser)).status_code == 201


async def test_one_login_has_few_attempts_wherever_they_come_from(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    conn.execute(
        "INSERT INTO failed_sign_in (login_hash, address, failed_time)"
        " SELECT %s, '192.0.2.' || n, now() FROM generate_series(1, 30) n",
        (sessions.login_hash("ana"),),
    )
    assert refusal(await sign_in(browser)) == (429, "too_many_attempts")


async def test_a_sign_in_forgives_what_failed_before_and_old_failures_are_forgotten(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    for _ in range(4):
        await sign_in(browser, "ana", "wrong")
    assert (await sign_in(browser)).status_code == 201
    assert rows(conn, "SELECT count(*) FROM failed_sign_in") == [(0,)]
    conn.execute(
        "INSERT INTO failed_sign_in (login_hash, address, failed_time)"
        " SELECT sha256('x'), 'a', now() - INTERVAL '61 min' FROM generate_series(1, 3)"
    )
    await sign_in(browser, "nobody", "wrong")
    assert rows(conn, "SELECT count(*) FROM failed_sign_in") == [(1,)]


async def test_what_was_typed_as_a_login_is_kept_as_a_hash_only(
    browser: httpx.AsyncClient, ana: str, conn: Database
) -> None:
    await sign_in(browser, "My Secret Password 1", "oops")
    assert "secret" not in str(rows(conn, "SELECT f::text FROM failed_sign_in f")).lower()


async def test_no_password_is_ever_logged_or_answered(
    browser: httpx.AsyncClient, ana: str, caplog: pytest.LogCaptureFixture, capsys: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    secrets = [PASSWORD, "a wrong password of mine", "too short", "x" * 201]
    with capture_logs() as logs:
        answers = [await sign_in(browser, "ana", secret) for secret in secrets]
        answers.append(await browser.post("/v1/session", json={"login": "ana", "pass": PASSWORD}))
        answers.append(
            await browser.post(
                "/v1/session",
                content='{"login": "ana", "password": "' + PASSWORD,
                headers={"content-type": "application/json"},
            )
        )
        structlog.get_logger().info("seen")
    assert [it["event"] for it in logs][-1] == "seen"
    said = caplog.text + str(logs) + "".join(capsys.readouterr())
    said += "".join(answer.text for answer in answers)
    assert answers[-1].status_code == 422
    for secret in secrets:
        assert secret not in said


# ---- the own password ----


async def change(browser: httpx.AsyncClient, csrf: str, old: str, new: str) -> httpx.Response:
    return await browser.put(
        "/v1/me/password", json={"old": old, "new": new}, headers={CSRF_HEADER: csrf}
    )


async def test_a_new_password_ends_the_other_sessions_and_the_old_password(
    browser: httpx.AsyncClient, ana: str, database_url: str
) -> None:
    elsewhere = new_session(database_url, ana)
    opened = await sign_in(browser)
    new = "seven more horses in the rain"
    changed = await change(browser, opened.json()["csrf_token"], PASSWORD, new)
    assert changed.status_code == 200
    assert cookie_of(changed).value != cookie_of(opened).value
    assert (await browser.get("/v1/session")).status_code == 200
    sign_in_as(browser, elsewhere)
    assert (await browser.get("/v1/session")).status_code == 401
    assert (await sign_in(browser)).status_code == 401
    assert (await sign_in(browser, password=new)).status_code == 201


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("short", "invalid_parameters"),
        ("x" * 201, "invalid_parameters"),
        ("aaaaaaaaaaaaaaaa", "unusable_password"),
        ("ana loves horses", "unusable_password"),
    ],
)
async def test_a_password_that_is_easily_guessed_is_refused(
    browser: httpx.AsyncClient, ana: str, new: str, code: str
) -> None:
    csrf = (await sign_in(browser)).json()["csrf_token"]
    assert refusal(await change(browser, csrf, PASSWORD, new)) == (422, code)
    assert (await sign_in(browser)).status_code == 201


async def test_the_old_password_is_asked_for_and_guessing_it_is_slowed_down_too(
    browser: httpx.AsyncClient, ana: str
) -> None:
    csrf = (await sign_in(browser)).json()["csrf_token"]
    for _ in range(5):
        refused = await change(browser, csrf, "guess", "seven more horses in the rain")
        assert refusal(refused) == (401, "sign_in_failed")
    refused = await change(browser, csrf, PASSWORD, "seven more horses in the rain")
    assert refusal(refused) == (429, "too_many_attempts")


# ---- programs ----


async def test_a_program_gets_a_token_and_asks_with_it(api: httpx.AsyncClient) -> None:
    token = await machine_token(api, "planner")
    api.cookies.clear()
    api.headers.pop(CSRF_HEADER)
    api.headers["authorization"] = f"Bearer {token}"
    assert (await api.get("/v1/vans")).status_code == 200
    told = (await api.get("/v1/session")).json()
    assert (told["role"], told["csrf_token"]) == ("planner", None)
    circle = {"name": "Bakery", "latitude_deg": 45.75, "longitude_deg": 4.85, "radius_m": 80}
    assert (await api.put("/v1/sites/BAKERY", json=circle)).status_code == 200
    assert refusal(await api.get("/v1/rejected")) == (403, "not_for_this_role")
    for method, path in (("PUT", "/v1/me/password"), ("DELETE", "/v1/me/sessions")):
        body = {"old": "x", "new": "several words"} if method == "PUT" else None
        response = await api.request(method, path, json=body)
        assert refusal(response) == (403, "not_for_machines")


KEY = "k" * 64


def forged(key: str | bytes = KEY, algorithm: str | None = "HS256", **changed: Any) -> str:
    now = datetime.now(UTC)
    claims = {
        "iss": "cordee",
        "aud": "cordee-api",
        "sub": "ops-1-None",
        "scope": "ops",
        "iat": now,
        "exp": now + timedelta(days=1),
        **changed,
    }
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm)


@pytest.fixture
async def with_key(api: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client of an API whose key we know, and a program in its tables; nobody is signed in."""
    held = api.app.state.resources  # type: ignore[attr-defined]
    held._token_key = KEY.encode()
    await machine_token(api, "ops")
    api.cookies.clear()
    return api


async def test_a_token_that_is_as_ours_are_is_taken(with_key: httpx.AsyncClient) -> None:
    good = {"authorization": f"Bearer {forged()}"}
    assert (await with_key.get("/v1/rejected", headers=good)).status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        forged(key="", algorithm="none"),
        forged(key="x" * 64),
        forged(algorithm="HS512"),
        forged(exp=datetime.now(UTC) - timedelta(seconds=1)),
        forged(exp=None),
        forged(aud="another-api"),
        forged(aud=None),
        forged(iss="somebody"),
        forged(sub="nobody"),
        forged(sub=None),
        forged(scope="admin"),
        forged(scope="god"),
        forged(scope=None),
        forged(nbf=datetime.now(UTC) + timedelta(hours=1)),
        forged()[:-4] + "AAAA",
        "not.a.token",
        "",
    ],
)
async def test_a_token_that_is_not_quite_ours_is_refused(
    with_key: httpx.AsyncClient, token: str
) -> None:
    response = await with_key.get("/v1/rejected", headers={"authorization": f"Bearer {token}"})
    assert refusal(response) == (401, "not_signed_in")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_bad_token_is_refused_also_beside_a_good_cookie(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/vans", headers={"authorization": "Bearer x"})
    assert refusal(response) == (401, "not_signed_in")


async def test_a_program_that_is_switched_off_is_refused_at_once(
    api: httpx.AsyncClient, conn: Database
) -> None:
    token = await machine_token(api, "ops")
    api.headers["authorization"] = f"Bearer {token}"
    assert (await api.get("/v1/rejected")).status_code == 200
    conn.execute("UPDATE machine SET state = 'disabled'")
    assert refusal(await api.get("/v1/rejected")) == (401, "not_signed_in")


async def test_the_key_is_made_once_and_a_restart_keeps_it(
    api: httpx.AsyncClient, conn: Database
) -> None:
    await machine_token(api, "ops")
    [(first,)] = rows(conn, "SELECT secret FROM token_key")
    held = api.app.state.resources  # type: ignore[attr-defined]
    held._token_key = b""
    assert await held.token_key() == bytes(first)
    assert len(first) == 32


async def token_for(api: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await api.post("/v1/token", data={"grant_type": "client_credentials", **form})


async def test_client_id_and_secret_are_taken_from_the_form_or_from_basic(
    browser: httpx.AsyncClient, conn: Database
) -> None:
    conn.execute(
        "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role)"
        " VALUES (1, 'grafana', 'Grafana', sha256('s3cret'), 'ops')"
    )
    in_form = await token_for(browser, client_id="grafana", client_secret="s3cret")
    assert in_form.headers["cache-control"] == "no-store"
    told = in_form.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == ("Bearer", 600, "ops")
    form = {"grant_type": "client_credentials"}
    by_header = await browser.post("/v1/token", data=form, auth=("grafana", "s3cret"))
    assert by_header.status_code == 200
    for wrong in (("grafana", "x"), ("nobody", "s3cret"), ("grafana", "")):
        refused = await browser.post("/v1/token", data=form, auth=wrong)
        assert refusal(refused) == (401, "invalid_client")
        assert refused.headers["www-authenticate"].startswith("Basic")
    conn.execute("DELETE FROM failed_sign_in; UPDATE machine SET state = 'disabled'")
    refused = await token_for(browser, client_id="grafana", client_secret="s3cret")
    assert refusal(refused) == (401, "invalid_client")


async def test_guessing_secrets_is_slowed_down_too(browser: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await token_for(browser, client_id="g", client_secret="x")).status_code == 401
    refused = await token_for(browser, client_id="g", client_secret="x")
    assert refusal(refused) == (429, "too_many_attempts")


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        ("grant_type=password&username=a&password=b", "application/x-www-form-urlencoded", 400),
        ("", "application/x-www-form-urlencoded", 400),
        ('{"grant_type": "client_credentials"}', "application/json", 400),
        ("a=" + "x" * 5_000, "application/x-www-form-urlencoded", 413),
        ("&".join(f"a{n}=1" for n in range(50)), "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
    ],
)
async def test_what_is_no_request_for_a_token_is_refused(
    browser: httpx.AsyncClient, content: str, kind: str, status: int
) -> None:
    response = await browser.post("/v1/token", content=content, headers={"content-type": kind})
    assert refusal(response) == (status, "bad_request")


def test_a_token_says_who_and_as_what_for_ten_minutes() -> None:
    now = datetime(2026, 11, 20, 9, tzinfo=UTC)
    said = tokens.read(tokens.issued("grafana", "ops", KEY.encode(), now), KEY.encode())
    assert said is None  # it was for a morning in the past or to come
    fresh = datetime.now(UTC)
    said = tokens.read(tokens.issued("grafana", "ops", KEY.encode(), fresh), KEY.encode())
    assert said == tokens.Claims("grafana", "ops", int((fresh + tokens.LIFETIME).timestamp()))


# ---- the command line ----


def cordee(database_url: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str]:
    for name, value in environment(Settings(database_url=database_url)).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, words)
    return done.exit_code, done.output


def test_users_are_added_listed_disabled_and_given_passwords(
    conn: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*words: str) -> str:
        code, output = cordee(database_url, monkeypatch, "user", *words)
        assert code == 0, output
        return output

    first = run("add", "Cleo", "--role", "planner", "--email", "Cleo@Example.com")
    assert first.startswith("user Cleo\npassword ")
    password = first.split()[-1]
    query = "SELECT login, email, role, state, password_hash FROM app_user"
    [(login, email, role, state, kept)] = rows(conn, query)
    assert (login, email, role, state) == ("cleo", "cleo@example.com", "planner", "active")
    assert passwords.verified(password, kept)
    assert not passwords.verified(password + "x", kept)
    assert run("list") == "cleo: planner (Cleo, default), active\n"
    new_session(database_url, "cleo")
    assert "signed in 1 times" in run("list")
    assert run("sign-out", "cleo") == "1 sessions ended\n"
    second = run("password", "cleo").split()[-1]
    assert second != password
    run("disable", "cleo")
    assert run("list") == "cleo: planner (Cleo, default), disabled\n"
    run("enable", "cleo")
    assert "active" in run("list")


def test_a_technician_is_named_by_the_van_or_itself_and_a_client_by_its_company(
    conn: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute("INSERT INTO client (organisation_id, code, name) VALUES (1, 'MAIRIE', 'Mairie')")
    run = [
        ("t1", "--role", "technician", "--van", "V1"),
        ("t2", "--role", "technician", "--technician", "T1"),
        ("c1", "--role", "client", "--client", "MAIRIE"),
    ]
    for words in run:
        assert cordee(database_url, monkeypatch, "user", "add", *words)[0] == 0
    found = rows(conn, "SELECT login, technician_id, client_id FROM app_user ORDER BY login")
    assert found == [("c1", None, 1), ("t1", 1, None), ("t2", 1, None)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--role", "technician"), "Say who it is"),
        (("x", "--role", "technician", "--van", "NONE"), "no van 'NONE'"),
        (("x", "--role", "technician", "--van", "V2"), "Nobody drives V2"),
        (("x", "--role", "technician", "--van", "X9"), "no van 'X9'"),
        (("x", "--role", "technician", "--technician", "T9"), "no technician 'T9'"),
        (("x", "--role", "planner", "--van", "V1"), "Only a technician has a van"),
        (("x", "--role", "client"), "Say of which company"),
        (("x", "--role", "client", "--client", "NONE"), "no client 'NONE'"),
        (("x", "--role", "planner", "--client", "NONE"), "Only a client"),
        (("x", "--role", "planner", "--organisation", "no"), "no organisation named 'no'"),
        (("bo", "--role", "planner"), "There is a user bo already"),
        (("x", "--role", "god"), "Invalid value for '--role'"),
    ],
)
def test_what_cannot_be_a_user_is_said_in_words(
    conn: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    said: str,
) -> None:
    new_user(database_url, "bo", "planner")
    code, output = cordee(database_url, monkeypatch, "user", "add", *words)
    assert code != 0
    assert said in output
    assert rows(conn, "SELECT login FROM app_user") == [("bo",)]


def test_who_is_not_there_cannot_be_changed(
    conn: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (("password", "x"), ("disable", "x")):
        code, output = cordee(database_url, monkeypatch, "user", *words)
        assert (code, "There is no user 'x'" in output) == (1, True)


async def test_a_program_made_by_the_command_line_gets_a_token(
    browser: httpx.AsyncClient, database_url: str
) -> None:
    async with connect(database_url, "test") as pool, pool.connection() as conn:
        key, secret = await people.add_machine(conn, "Grafana, Lyon", "ops", "default", None)
    assert key.startswith("grafana-lyon-")
    given = await token_for(browser, client_id=key, client_secret=secret)
    assert given.status_code == 200


def test_programs_are_listed_without_secrets_and_switched(
    conn: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = cordee(database_url, monkeypatch, "machine", "add", "ERP", "--role", "planner")
    assert code == 0
    key, secret = output.split()[1], output.split()[3]
    code, output = cordee(database_url, monkeypatch, "machine", "switch", key, "off")
    assert code == 0
    code, output = cordee(database_url, monkeypatch, "machine", "list")
    assert output == f"{key}: planner (ERP, default), disabled\n"
    assert secret not in output
    code, output = cordee(database_url, monkeypatch, "machine", "switch", "none", "off")
    assert (code, "no program 'none'" in output) == (1, True)
    code, output = cordee(database_url, monkeypatch, "machine", "add", "x", "--role", "technician")
    assert code != 0


def test_every_role_can_be_given_on_the_command_line() -> None:
    options = {parameter.name: parameter for parameter in user.commands["add"].params}
    assert tuple(options["role"].type.choices) == ROLES
