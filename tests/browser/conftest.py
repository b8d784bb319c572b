"""The page in a real browser, served by the real server over a real database."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiomqtt
import psycopg
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from api.sessions import PLAIN_COOKIE
from benchmarks.site import chromium
from ingest.subscriber import open_session
from ops.services import Services
from storage.settings import Settings
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api

#: Friday 2026-11-20 10:00 in Paris.
NOW_MS = 1_795_165_200_000
ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",  # WebGL without a graphics card, for the map
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # nor is all the rest drawn as if there were one
    "--disable-gpu-rasterization",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each file: while it is open its event loop runs, and no asyncio test could."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def api(conn: psycopg.Connection[Any], database_url: str) -> Iterator[Api]:
    api = Api(database_url, NOW_MS)
    api.start()
    yield api
    api.stop()


async def _forget(settings: Settings) -> None:
    async with aiomqtt.Client(
        "127.0.0.1", settings.broker_port, identifier=settings.ingest_client_id
    ):
        pass


@pytest.fixture
def working(api: Api, nats_port: int, tmp_path: Path) -> Iterator[Settings]:
    """Ingest and relay beside the API, with a session of their own that the broker keeps messages for."""
    own = {"broker_port": nats_port, "ingest_client_id": f"browser-{uuid4().hex}"}
    settings = api.settings.model_copy(update=own)
    services = Services(settings, tmp_path)
    # The browser's loop runs in this thread.
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(asyncio.run, open_session(settings)).result()
        for name in ("ingest", "relay"):
            services.start(name)
        yield settings
        services.stop_all()
        elsewhere.submit(asyncio.run, _forget(settings)).result()


@pytest.fixture
def expected_errors() -> list[str]:
    """Parts of error messages that the test provokes; it adds them itself."""
    return []


@pytest.fixture
def page(browser: Browser, database_url: str, expected_errors: list[str]) -> Iterator[Page]:
    """A page of an admin who is signed in already."""
    token = new_session(database_url, new_user(database_url, "admin-1", "admin"))
    with opened_page(browser, expected_errors, token) as page:
        yield page


@pytest.fixture
def strangers_page(browser: Browser, expected_errors: list[str]) -> Iterator[Page]:
    """A page of somebody who is not signed in yet."""
    with opened_page(browser, [*expected_errors, "401"]) as page:
        yield page


@contextmanager
def opened_page(
    browser: Browser, expected_errors: list[str], token: str | None = None
) -> Iterator[Page]:
    """A page that fails the test if it logs an error, breaks its policy or leaves this machine."""
    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        locale="en-GB",
        reduced_motion="reduce",  # what glides is drawn sixty times a second, by processors here
    )
    if token is not None:
        context.add_cookies(
            [{"name": PLAIN_COOKIE, "value": token, "domain": "127.0.0.1", "path": "/"}]
        )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: (
            complaints.append(message.text)
            if message.type == "error" and "net::ERR_" not in message.text
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            complaints.append(request.url)
            if not request.url.startswith("http://127.0.0.1:")
            else None
        ),
    )
    yield page
    context.close()
    assert [c for c in complaints if not any(part in c for part in expected_errors)] == []
