"""Signing in with an identity provider: a small real one on loopback, honest and otherwise."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from structlog.testing import capture_logs

from api.sessions import PLAIN_COOKIE
from storage.settings import Settings
from tests.integration.api_client import client_of, refusal, settings_at

Database = psycopg.Connection[Any]
Claims = dict[str, Any]

KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
EC_KEY = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
CLIENT = ("cordee", "the provider's secret for us")


@dataclass
class Provider:
    """What the provider knows, and how a test makes it lie."""

    issuer: str = ""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    change: Callable[[Claims], object] = lambda _: None
    sign: Callable[[Claims], str] = lambda claims: jwt.encode(
        {"alg": "RS256", "kid": "one"}, claims, KEY
    )
    says: Callable[[dict[str, Any]], object] = lambda _: None
    asked: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
        }
        self.says(found)
        return found

    def authorize(self, asked: dict[str, str]) -> str:
        """Sign somebody in without asking, and return where the browser goes."""
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?code={code}&state={asked['state']}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """Exchange a code, once, for whoever proves to have begun."""
        basic = base64.b64encode(":".join(CLIENT).encode()).decode()
        if authorization != f"Basic {basic}" and form.get("client_secret") != CLIENT[1]:
            return 401, {"error": "invalid_client"}
        begun = self.codes.pop(form.get("code", ""), None)
        if begun is None or form.get("redirect_uri") != begun["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != begun["code_challenge"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims: Claims = {
            "iss": self.issuer,
            "sub": "subject-1",
            "aud": begun["client_id"],
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
            "email": "Ana@Example.com",
            "email_verified": True,
            "preferred_username": "ana",
        }
        self.change(claims)
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.sign(claims)}


def handler_of(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: dict[str, Any], **headers: str) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            path = urlsplit(self.path)
            provider.asked.append(path.path)
            query = {name: value[0] for name, value in parse_qs(path.query).items()}
            match path.path:
                case "/.well-known/openid-configuration":
                    self.answer(200, provider.metadata())
                case "/jwks":
                    keys = KeySet([KEY, EC_KEY]).as_dict(private=False)
                    self.answer(200, dict(keys))
                case "/authorize":
                    self.answer(302, {}, location=provider.authorize(query))
                case _:
                    self.answer(404, {})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: value[0] for name, value in parse_qs(body).items()}
            self.answer(*provider.token(form, self.headers.get("authorization", "")))

    return Handler


@pytest.fixture
def provider() -> Iterator[Provider]:
    known = Provider()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(known))
    server.daemon_threads = True
    known.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(database_url: str, provider: Provider) -> Settings:
    return settings_at(database_url).model_copy(
        update={
            "oidc_issuer": provider.issuer,
            "oidc_client_id": CLIENT[0],
            "oidc_client_secret": CLIENT[1],
            "oidc_name": "Example ID",
        }
    )


@pytest.fixture
def ana(conn: Database) -> None:
    conn.execute(
        "INSERT INTO app_user (organisation_id, login, name, role, email)"
        " VALUES (1, 'ana', 'Ana', 'planner', 'ana@example.com')"
    )


async def through(browser: httpx.AsyncClient, back: str = "") -> httpx.Response:
    """Go to the provider and come back, as a browser would; return the last answer."""
    browser.cookies.delete(PLAIN_COOKIE) if PLAIN_COOKIE in browser.cookies else None
    begun = await browser.get("/v1/session/oidc", params={"back": back})
    assert begun.status_code == 303, begun.text
    return await returned(browser, begun)


async def returned(browser: httpx.AsyncClient, begun: httpx.Response) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as elsewhere:
        sent_back = await elsewhere.get(begun.headers["location"])
    assert sent_back.status_code == 302
    return await browser.get(sent_back.headers["location"])


async def test_whoever_the_provider_names_is_signed_in_where_they_were(
    settings: Settings, ana: None, provider: Provider
) -> None:
    async with client_of(settings) as browser:
        ways = (await browser.get("/v1/session/ways")).json()
        assert ways == {"password": True, "provider": "Example ID"}
        done = await through(browser, "#van=V1")
        assert (done.status_code, done.headers["location"]) == (303, "/#van=V1")
        who = (await browser.get("/v1/session")).json()
        assert (who["login"], who["role"]) == ("ana", "planner")
        assert "cordee-oidc" not in browser.cookies
    assert provider.asked == [
        "/.well-known/openid-configuration", "/authorize",
        "/.well-known/openid-configuration", "/token", "/jwks",
    ]  # fmt: skip


async def test_the_cookies_are_out_of_reach_of_scripts(settings: Settings, ana: None) -> None:
    async with client_of(settings) as browser:
        begun = await browser.get("/v1/session/oidc")
        [cookie] = begun.headers.get_list("set-cookie")
        assert cookie.startswith("cordee-oidc=")
        for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=600"):
            assert part in cookie
        done = await returned(browser, begun)
        session = next(c for c in done.headers.get_list("set-cookie") if c.startswith("cordee="))
        assert "HttpOnly" in session
        assert "SameSite=strict" in session


LIES: dict[str, Callable[[Claims], object]] = {
    "another nonce": lambda c: c.update(nonce="another"),
    "no nonce": lambda c: c.pop("nonce"),
    "another audience": lambda c: c.update(aud="another-client"),
    "no audience": lambda c: c.pop("aud"),
    "several audiences, made for another": lambda c: c.update(aud=["cordee", "x"], azp="x"),
    "several audiences, nobody's": lambda c: c.update(aud=["cordee", "x"]),
    "made for another": lambda c: c.update(azp="x"),
    "another issuer": lambda c: c.update(iss="https://evil.example"),
    "over": lambda c: c.update(exp=int(time.time()) - 120),
    "no end": lambda c: c.pop("exp"),
    "made in the future": lambda c: c.update(iat=int(time.time()) + 3_600),
    "no subject": lambda c: c.pop("sub"),
    "address not verified": lambda c: c.update(email_verified=False),
    "address verified in words": lambda c: c.update(email_verified="true"),
    "nothing said of verifying": lambda c: c.pop("email_verified"),
    "no address": lambda c: c.pop("email"),
    "address of nobody": lambda c: c.update(email="eve@example.com"),
    "address that is no text": lambda c: c.update(email=["ana@example.com"]),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_token_that_is_not_as_it_must_be_signs_nobody_in(
    settings: Settings, ana: None, provider: Provider, lie: str, conn: Database
) -> None:
    provider.change = LIES[lie]
    await refused(settings)
    assert conn.execute("SELECT login FROM app_user WHERE login !~ 'admin'").fetchall() == [
        ("ana",)
    ]


async def refused(settings: Settings) -> str:
    """Go through a sign-in that must fail, and return the reason that the log has."""
    async with client_of(settings) as browser:
        with capture_logs() as logs:
            done = await through(browser)
        assert (done.status_code, done.headers["location"]) == (303, "/?sign-in=failed")
        assert PLAIN_COOKIE not in browser.cookies
        assert refusal(await browser.get("/v1/session")) == (401, "not_signed_in")
    [reason] = [it["reason"] for it in logs if it["event"] == "sign-in elsewhere failed"]
    return str(reason)


def unsigned(claims: Claims) -> str:
    parts = ({"alg": "none"}, claims)
    coded = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts]
    return ".".join([*coded, ""])


def by_public_key_as_secret(claims: Claims) -> str:
    secret = OctKey.import_key(KEY.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, secret)


SIGNATURES: dict[str, Callable[[Claims], str]] = {
    "none": unsigned,
    "another key": lambda c: jwt.encode({"alg": "RS256", "kid": "one"}, c, OTHER_KEY),
    "a key that is not published": lambda c: jwt.encode({"alg": "RS256", "kid": "x"}, c, OTHER_KEY),
    "the public key as a secret": by_public_key_as_secret,
    "no token at all": lambda _: "x",
    "a token that was touched": lambda c: (
        jwt.encode({"alg": "RS256", "kid": "one"}, c, KEY)[:-6] + "AAAAAA"
    ),
}


@pytest.mark.parametrize("signature", SIGNATURES)
async def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(
    settings: Settings, ana: None, provider: Provider, signature: str
) -> None:
    provider.sign = SIGNATURES[signature]
    await refused(settings)


async def test_another_good_algorithm_is_taken(
    settings: Settings, ana: None, provider: Provider
) -> None:
    provider.sign = lambda c: jwt.encode({"alg": "ES256", "kid": "two"}, c, EC_KEY)
    async with client_of(settings) as browser:
        assert (await through(browser)).headers["location"] == "/"
        assert (await browser.get("/v1/session")).json()["login"] == "ana"


@pytest.mark.parametrize(
    "came_back",
    [
        "code=code-0&state=wrong",
        "code=code-0",
        "state={state}&error=access_denied",
        "code=nothing&state={state}",
        "code=code-0&state={state}&iss=https://evil.example",
        "",
    ],
)
async def test_whoever_comes_back_otherwise_is_not_signed_in(
    settings: Settings, ana: None, provider: Provider, came_back: str
) -> None:
    async with client_of(settings) as browser:
        browser.cookies.clear()
        begun = await browser.get("/v1/session/oidc")
        state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
        async with httpx.AsyncClient(trust_env=False) as elsewhere:
            await elsewhere.get(begun.headers["location"])
        done = await browser.get(f"/v1/session/oidc/callback?{came_back.format(state=state)}")
        assert done.headers["location"] == "/?sign-in=failed"
        assert PLAIN_COOKIE not in browser.cookies


async def test_a_way_back_in_another_browser_signs_nobody_in(
    settings: Settings, ana: None, provider: Provider
) -> None:
    """Somebody sends a link with a code of his own: the browser has begun nothing, or another."""
    async with client_of(settings) as attacker, client_of(settings) as victim:
        begun = await attacker.get("/v1/session/oidc")
        async with httpx.AsyncClient(trust_env=False) as elsewhere:
            link = (await elsewhere.get(begun.headers["location"])).headers["location"]
        victim.cookies.clear()
        for _ in range(2):
            done = await victim.get(link)
            assert done.headers["location"] == "/?sign-in=failed"
            assert PLAIN_COOKIE not in victim.cookies
            await victim.get("/v1/session/oidc")


async def test_a_code_is_good_once(settings: Settings, ana: None, provider: Provider) -> None:
    async with client_of(settings) as browser:
        begun = await browser.get("/v1/session/oidc")
        kept = browser.cookies["cordee-oidc"]
        async with httpx.AsyncClient(trust_env=False) as elsewhere:
            link = (await elsewhere.get(begun.headers["location"])).headers["location"]
        assert (await browser.get(link)).headers["location"] == "/"
        browser.cookies.set("cordee-oidc", kept)
        assert (await browser.get(link)).headers["location"] == "/?sign-in=failed"


async def test_a_disabled_user_is_not_signed_in_and_nobody_is_made(
    settings: Settings, ana: None, conn: Database
) -> None:
    conn.execute("UPDATE app_user SET state = 'disabled'")
    assert "no active user" in await refused(settings)


async def test_a_user_may_be_found_by_another_claim(
    settings: Settings, ana: None, provider: Provider
) -> None:
    provider.change = lambda claims: claims.pop("email")
    by_name = settings.model_copy(update={"oidc_claim": "preferred_username"})
    async with client_of(by_name) as browser:
        await through(browser)
        assert (await browser.get("/v1/session")).json()["login"] == "ana"


async def test_a_provider_that_wants_the_secret_in_the_form_gets_it_there(
    settings: Settings, ana: None, provider: Provider
) -> None:
    provider.says = lambda m: m.update(token_endpoint_auth_methods_supported=["client_secret_post"])
    async with client_of(settings) as browser:
        assert (await through(browser)).headers["location"] == "/"


async def test_a_provider_that_says_it_is_another_is_not_asked_further(
    settings: Settings, provider: Provider
) -> None:
    provider.says = lambda metadata: metadata.update(issuer="https://evil.example")
    async with client_of(settings) as browser:
        begun = await browser.get("/v1/session/oidc")
        assert begun.headers["location"] == "/?sign-in=failed"
    assert provider.asked == ["/.well-known/openid-configuration"]


async def test_a_provider_that_is_away_is_a_failed_sign_in(settings: Settings) -> None:
    away = settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:1"})
    async with client_of(away) as browser:
        begun = await browser.get("/v1/session/oidc")
        assert (begun.status_code, begun.headers["location"]) == (303, "/?sign-in=failed")


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/x", "#a b", "#<x>"])
async def test_the_way_back_leads_nowhere_else(settings: Settings, back: str) -> None:
    async with client_of(settings) as browser:
        response = await browser.get("/v1/session/oidc", params={"back": back})
        assert refusal(response) == (422, "invalid_parameters")


async def test_without_a_provider_there_is_none(api: httpx.AsyncClient) -> None:
    assert (await api.get("/v1/session/ways")).json()["provider"] is None
    for path in ("/v1/session/oidc", "/v1/session/oidc/callback"):
        assert refusal(await api.get(path)) == (404, "oidc_failed")
