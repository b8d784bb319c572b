"""`cordee demo` as a child, for whatever looks at it as its users do: benchmarks of pages, and pictures."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from ops.embedded import Child, ServerError, start

READY_WITHIN_S: Final = 180.0
ADMIN: Final = "admin"
#: What a browser needs on a machine without a graphics card, and to leave other hosts alone.
CHROMIUM_ARGUMENTS: Final = (
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass(frozen=True, slots=True)
class Site:
    """A running demo: where its pages are, who may sign in, and the folder of its processes."""

    url: str
    password: str
    folder: Path

    def session(self, login: str = ADMIN, password: str | None = None) -> dict[str, str]:
        """Sign in; return the cookie by its name. Raises httpx.HTTPStatusError."""
        with httpx.Client(base_url=self.url, headers={"origin": self.url.rstrip("/")}) as client:
            said = {"login": login, "password": password or self.password}
            client.post("/v1/session", json=said).raise_for_status()
            return dict(client.cookies)

    def pid(self, service: str) -> int:
        """Return the process of one of Cordée's services."""
        return int((self.folder / f"{service}.pid").read_text())


@contextmanager
def demo(
    folder: Path, *, vans: int = 200, sites: int = 20_000, speed: float = 1.0
) -> Iterator[Site]:
    """Run a demo in a fresh folder until the block ends.

    Raises:
        ServerError: It does not become ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [
        sys.executable, "-m", "ops.cli", "demo", "--folder", folder / "kept", "--port", "0",
        "--vans", str(vans), "--sites", str(sites), "--speed", str(speed),
    ]  # fmt: skip
    child = start("demo", command, folder / "demo.log", environment={"COLUMNS": "400"})
    try:
        yield _when_ready(child, folder / "kept")
    finally:
        child.stop()
        clean = [sys.executable, "-m", "ops.cli", "clean", "--folder", str(folder / "kept")]
        subprocess.run(clean, check=True)  # noqa: S603


def _when_ready(child: Child, kept: Path) -> Site:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        child.check()
        said = child.log.read_text()
        address = re.search(r"http://127\.0\.0\.1:\d+/", said)
        password = re.search(rf"user {ADMIN}, password (\S+) ", said)
        if address and password:
            return Site(address[0], password[1], kept)
        time.sleep(0.1)
    raise ServerError(f"the demo was not ready within {READY_WITHIN_S:g} s\n{child.last_words()}")


def chromium() -> str | None:
    """Return the system's browser; None lets Playwright take its own, which fails if it has none.

    The shell is Chromium without a window of its own around the page, which would have to be drawn too.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def signed_in(browser: Any, site: Site, cookies: dict[str, str], **more: Any) -> Any:
    """Return a fresh context of the browser, with nothing in its cache, in which somebody is signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB", **more)
    context.add_cookies(
        [{"name": name, "value": value, "url": site.url} for name, value in cookies.items()]
    )
    return context
