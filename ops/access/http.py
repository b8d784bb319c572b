"""`cordee verify --what access`, the HTTP half: everybody tries everything against a running API.

A process of the API runs over a small company with two organisations. One user of every role signs in
as people do, one program of every role that programs may have gets a token, and somebody comes without
either. Each tries every route of `ops/access/table.py`: what it should get and does not is wrongly
denied, what it should not get and does is wrongly allowed. Rows of the other organisation, of another
van and of another client are to be not found, and must stand in no answer.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from api.roles import Role
from api.sessions import CSRF_HEADER
from ops import embedded, people
from ops.access.table import COMPANY, DEVICES, HIDDEN, LETTERS, NOW, PROBES, PUBLIC, THEIRS, Probe
from ops.services import Services
from storage.pool import connect, migrate
from storage.settings import Settings, as_ms, real_ms

#: How the API says that somebody may not: by role, without sign-in, or without a rule.
REFUSALS: Final = frozenset(
    {"not_signed_in", "not_for_this_role", "no_rule", "not_for_machines", "csrf_failed"}
)
PATIENCE_S: Final = 30.0


@dataclass(slots=True)
class Tried:
    """What came of it; each finding says who asked what, and what was answered."""

    routes: int = 0
    pairs: int = 0
    rows: int = 0
    wrongly_allowed: list[str] = field(default_factory=list)
    wrongly_denied: list[str] = field(default_factory=list)
    wrongly_shown: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Return the counts, and the findings themselves."""
        found = {name: value for name, value in asdict(self).items() if isinstance(value, list)}
        counts = {name: len(value) for name, value in found.items()}
        return {
            "routes": self.routes,
            "tried": self.pairs,
            "rows": self.rows,
            **counts,
            "findings": [f"{name}: {it}" for name, value in found.items() for it in value],
        }


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody with a role, a client of the API that is signed in, and whether it is a program."""

    role: Role | None
    client: httpx.AsyncClient
    is_program: bool = False

    @property
    def words(self) -> str:
        """Who it is."""
        return f"{self.role or 'nobody'}{' (program)' if self.is_program else ''}"

    def may(self, probe: Probe) -> bool:
        """Return whether this one should get an answer."""
        if self.role is None or (self.is_program and probe.people):
            return False
        return probe.allows(self.role)


async def answer_to(client: httpx.AsyncClient, probe: Probe, path: str) -> tuple[int, str, str]:
    """Return status, problem code if there is one, and the text; of a stream its first event.

    A connection that breaks is told as status 599.
    """
    try:
        async with client.stream(probe.method, path, json=probe.body) as response:
            kind = response.headers.get("content-type", "")
            if kind.startswith("text/event-stream"):
                return response.status_code, "", await _first_event(response)
            text = (await response.aread()).decode(errors="replace")
            is_problem = kind.startswith("application/problem+json")
            return response.status_code, response.json()["code"] if is_problem else "", text
    except httpx.TransportError as error:
        return 599, type(error).__name__, ""


async def _first_event(response: httpx.Response) -> str:
    async with asyncio.timeout(PATIENCE_S):
        async for line in response.aiter_lines():
            if line.startswith("data:"):
                return line
    return ""


async def try_all(asker: Asker, tried: Tried) -> None:
    """Let one asker try every route, own rows and others'."""
    for probe in PROBES:
        if not probe.ends:
            await _try(asker, probe, tried)


async def _try(asker: Asker, probe: Probe, tried: Tried) -> None:
    what = f"{asker.words}: {probe.method} {probe.path}"
    status, code, text = await answer_to(asker.client, probe, probe.path)
    tried.pairs += 1
    refused = code in REFUSALS
    if status >= 500:
        tried.failed.append(f"{what} -> {status} {code}")
    if not asker.may(probe):
        if not refused:
            tried.wrongly_allowed.append(f"{what} -> {status} {code}")
        return
    if refused or (probe.method == "GET" and status != probe.status):
        tried.wrongly_denied.append(f"{what} -> {status} {code}")
    _look(asker, probe, what, text, tried)
    # A program with the role of a client has a company too; no program is a technician.
    assert asker.role is not None  # noqa: S101  nobody may nothing
    for path in (*probe.not_found, *probe.not_mine.get(asker.role, ())):
        tried.rows += 1
        status, code, text = await answer_to(asker.client, probe, path)
        if status != 404 or code in REFUSALS:
            tried.wrongly_shown.append(f"{asker.words}: {probe.method} {path} -> {status} {code}")


def _look(asker: Asker, probe: Probe, what: str, text: str, tried: Tried) -> None:
    """Look for what must not, and for what must, stand in an answer."""
    assert asker.role is not None  # noqa: S101  nobody may nothing
    # The description of the API names what it describes.
    if probe.template != "/v1/openapi.json":
        for secret in (*THEIRS, *HIDDEN.get(asker.role, ())):
            if secret in text:
                tried.wrongly_shown.append(f"{what} shows {secret}")
    if probe.shows not in text:
        tried.wrongly_denied.append(f"{what} does not show {probe.shows}")


async def try_public(client: httpx.AsyncClient, tried: Tried) -> None:
    """Let somebody who is not signed in ask what needs no sign-in."""
    for probe in PUBLIC:
        status, code, _ = await answer_to(client, probe, probe.path)
        tried.pairs += 1
        if code in REFUSALS or status >= 500:
            tried.wrongly_denied.append(f"nobody: {probe.method} {probe.path} -> {status} {code}")


async def try_devices(asker: Asker, tried: Tried) -> None:
    """Let somebody try the way in for devices: no sign-in is a device's credential."""
    for probe in DEVICES:
        status, code, _ = await answer_to(asker.client, probe, probe.path)
        tried.pairs += 1
        if (status, code) != (401, "unknown_device"):
            what = f"{asker.words}: {probe.method} {probe.path} -> {status} {code}"
            tried.wrongly_allowed.append(what)


async def untried(client: httpx.AsyncClient) -> list[str]:
    """Return what the API describes and the table does not."""
    described = (await client.get("/v1/openapi.json")).json()["paths"]
    routes = {
        (method.upper(), template) for template, methods in described.items() for method in methods
    }
    known = {(probe.method, probe.template) for probe in (*PROBES, *PUBLIC)}
    return sorted(f"{method} {template}" for method, template in routes - known)


async def judge(
    nobody: httpx.AsyncClient,
    askers: list[Asker],
    signed_in: Callable[[Role], Awaitable[httpx.AsyncClient]],
) -> Tried:
    """Let everybody try everything; `signed_in` opens one more session of a role's user."""
    tried = Tried(routes=len({(p.method, p.template) for p in (*PROBES, *PUBLIC)}))
    await try_public(nobody, tried)
    everybody = [Asker(None, nobody), *askers]
    for asker in everybody:
        await try_all(asker, tried)
    for asker in askers[:3]:  # of one address, strangers are let try only so often
        await try_devices(asker, tried)
    admin = next(it for it in askers if it.role == "admin")
    tried.untried = await untried(admin.client)
    for probe in (probe for probe in PROBES if probe.ends):
        await _try(Asker(None, nobody), probe, tried)
        for asker in askers:
            if asker.is_program:
                await _try(asker, probe, tried)
                continue
            assert asker.role is not None  # noqa: S101  they are signed in
            client = await signed_in(asker.role)
            await _try(Asker(asker.role, client), probe, tried)
            if (await client.get("/v1/session")).status_code != 401:
                tried.wrongly_allowed.append(f"{asker.words}: {probe.path}, and is in still")
    return tried


# ---- with a process of its own ----


def run() -> dict[str, Any]:
    """Start PostgreSQL and an API, let everybody try everything, and return the report by name.

    Raises:
        embedded.ServerError: A server did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.callback(embedded.remove_data, folder)
        server, server_url = embedded.start_postgres(folder)
        stack.callback(server.stop)
        settings = Settings(
            database_url=embedded.ensure_database(server_url, "access"),
            api_port=embedded.free_port(),
            clock_origin_ms=as_ms(NOW),
            clock_start_ms=real_ms(),
        )
        migrate(settings.database_url)
        with psycopg.connect(settings.database_url) as conn:
            conn.execute(COMPANY.encode())
        services = Services(settings, folder)
        stack.callback(services.stop_all)
        services.start("api")
        embedded.wait_until(embedded.listens(settings.api_port), services.children["api"])
        return {"http": asyncio.run(_judged(settings))}


async def _judged(settings: Settings) -> dict[str, Any]:
    passwords, secrets = await _accounts(settings)
    async with _clients(settings) as client:
        people_in = {role: await _signed_in(client(), role, passwords[role]) for role in passwords}
        programs = {role: await _with_token(client(), *secrets[role]) for role in secrets}
        askers = [Asker(role, it) for role, it in people_in.items()]
        askers += [Asker(role, it, is_program=True) for role, it in programs.items()]

        async def again(role: Role) -> httpx.AsyncClient:
            return await _signed_in(client(), role, passwords[role])

        return (await judge(client(), askers, again)).figures()


async def _accounts(settings: Settings) -> tuple[dict[Role, str], dict[Role, tuple[str, str]]]:
    """Make a user and a program of every role; return passwords, and client ids with secrets."""
    passwords: dict[Role, str] = {}
    secrets: dict[Role, tuple[str, str]] = {}
    async with (
        connect(settings.database_url, "cordee-verify", size_max=1) as pool,
        pool.connection() as conn,
    ):
        for role in LETTERS.values():
            van = "V1" if role == "technician" else None
            client = "DUPONT" if role == "client" else None
            person = people.Person(login=role, role=role, van=van, client=client)
            passwords[role] = await people.add_user(conn, person)
            if role != "technician":
                secrets[role] = await people.add_machine(conn, role, role, "default", client)
    return passwords, secrets


@asynccontextmanager
async def _clients(settings: Settings) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    """Yield a way to make clients; all are closed at the end."""
    made: list[httpx.AsyncClient] = []

    def client() -> httpx.AsyncClient:
        base = f"http://127.0.0.1:{settings.api_port}"
        made.append(httpx.AsyncClient(base_url=base, timeout=PATIENCE_S, trust_env=False))
        return made[-1]

    try:
        yield client
    finally:
        for one in made:
            await one.aclose()


async def _signed_in(client: httpx.AsyncClient, login: str, password: str) -> httpx.AsyncClient:
    said = await client.post("/v1/session", json={"login": login, "password": password})
    said.raise_for_status()
    client.headers[CSRF_HEADER] = said.json()["csrf_token"]
    return client


async def _with_token(client: httpx.AsyncClient, key: str, secret: str) -> httpx.AsyncClient:
    form = {"grant_type": "client_credentials"}
    said = await client.post("/v1/token", data=form, auth=(key, secret))
    said.raise_for_status()
    client.headers["authorization"] = f"Bearer {said.json()['access_token']}"
    return client
