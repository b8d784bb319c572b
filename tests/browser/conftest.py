"""The page in a real browser, served by the real server over a real database."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from api.serve import Server, make_server
from api.sessions import PLAIN_COOKIE
from ops.embedded import free_port
from storage.settings import Settings
from tests.integration.api_client import new_session, new_user

#: Friday 2026-11-20 10:00 in Paris.
NOW_MS = 1_795_165_200_000
PATIENCE_S = 20.0
ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",  # WebGL without a graphics card, for the map
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The system's browser; None lets Playwright take its own, which fails if it has none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Closed after each file: while it is open its event loop runs, and no asyncio test could."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        yield started
        started.close()


class Api:
    """The server, which a test may stop and start again at the same address."""

    def __init__(self, database_url: str) -> None:
        self.settings = Settings(
            database_url=database_url,
            api_port=free_port(),
            clock_origin_ms=NOW_MS,
            clock_start_ms=int(time.time() * 1_000),
        )
        self.url = f"http://127.0.0.1:{self.settings.api_port}/"
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = make_server(self.settings)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_S
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.01)

    def stop(self) -> None:
        if self._server is None or self._thread is None:
            return
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the server did not stop"
        self._server = self._thread = None


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def api(conn: psycopg.Connection[Any], database_url: str) -> Iterator[Api]:
    api = Api(database_url)
    api.start()
    yield api
    api.stop()


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
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
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
