"""What somebody at a page waits for, with the demo's fleet behind it, and what many pages cost.

| figure                      | what                                                                     |
| --------------------------- | ------------------------------------------------------------------------ |
| `first_load_*`              | the planner's page in a browser that has nothing yet: bytes over the wire, requests, and seconds from asking until the first van's row is there |
| `publish_to_screen_ms_*`    | a van publishes a speed; until that speed stands in its row of the page  |
| `long_tasks`, `longest_ms`  | tasks of the page's main thread beyond 50 ms, in that minute              |
| `lag_ms_*`                  | ingest, from arrival to commit, the oldest message of each batch; without pages, and while so many streams are open, three minutes each |
| `api_cpu_s_per_min_*`       | CPU seconds of the API, likewise                                         |

The fleet moves in real time: 200 vans, a fix every 10 s. Needs Playwright (`requirements-dev.lock`).
"""

import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks import cpu
from benchmarks.site import CHROMIUM_ARGUMENTS, Site, chromium, demo, signed_in
from ingest.messages import Position
from ops.embedded import ServerError
from simulators.load import connected, load_of
from storage.settings import Settings, clock

LOADS: Final = 5
SAMPLES: Final = 240
#: Samples begin at every phase of the page's second alike: multiples of the golden ratio, modulo 1.
PHASE: Final = 0.618034
PATIENCE_MS: Final = 60_000
SETTLE_S: Final = 20.0
STRETCH_S: Final = 180.0
STREAMS: Final = 200
#: A stream that said nothing for so long has ended, or stands.
SILENT_S: Final = 10.0
PROBE: Final = "van-001"
#: Nothing that the van itself says meanwhile is newer.
AHEAD_MS: Final = 60_000

#: The table of vans where the map is else: what a row says can be read.
VANS_IN_THE_MIDDLE: Final = """
localStorage.setItem("cordee.planner.panes", JSON.stringify({ middle: "vans" }))
"""

#: Tells a test when a speed stands in a van's row: the row is looked at whenever the page draws.
WATCH: Final = """
(van) => {
  window.seenAt = {};
  const look = () => {
    for (const row of document.querySelectorAll("tbody tr")) {
      if (!row.cells[0]?.textContent.startsWith(van)) continue;
      for (const cell of row.cells) {
        const speed = cell.textContent.trim();
        if (/^[0-9]+$/.test(speed)) window.seenAt[speed] ??= Date.now();
      }
    }
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  window.longTasks = [];
  new PerformanceObserver((list) => list.getEntries().forEach((task) => window.longTasks.push(task.duration)))
    .observe({ type: "longtask" });
}
"""


def run(vans: int = 200, streams: int = STREAMS) -> dict[str, Any]:
    """Return the figures of the table above.

    Raises:
        ServerError: The demo does not start.
    """
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder), vans=vans) as site:
        cookies = site.session()
        time.sleep(SETTLE_S)
        found: dict[str, Any] = {"vans": vans, "streams": streams}
        with _browser() as browser:
            found |= _first_load(browser, site, cookies)
            found |= _to_screen(browser, site, cookies)
        found |= _stretch(site, "alone")
        found |= asyncio.run(_with_streams(site, cookies, streams))
    return found


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)
        )
        yield browser
        browser.close()


def _first_load(browser: Browser, site: Site, cookies: dict[str, str]) -> dict[str, Any]:
    """Open the planner's page a few times, each in a browser that knows nothing of it."""
    seconds, sizes, requests = [], [], []
    for _ in range(LOADS):
        context = signed_in(browser, site, cookies)
        page = context.new_page()
        network = context.new_cdp_session(page)
        came: list[float] = []
        network.on(
            "Network.loadingFinished", lambda its, came=came: came.append(its["encodedDataLength"])
        )
        network.send("Network.enable")
        page.goto(f"{site.url}planner/", wait_until="commit")
        page.wait_for_selector(".gantt-row", timeout=PATIENCE_MS)
        seconds.append(page.evaluate("performance.now()") / 1_000)
        page.wait_for_timeout(3_000)  # what comes after the first van counts too
        sizes.append(sum(came))
        requests.append(len(came))
        context.close()
    return {
        "first_load_kb": round(statistics.median(sizes) / 1_000),
        "first_load_requests": statistics.median(requests),
        "first_load_first_van_s": round(statistics.median(seconds), 2),
    }


def _to_screen(browser: Browser, site: Site, cookies: dict[str, str]) -> dict[str, Any]:
    """Publish positions of one van, and see when each speed stands on the page."""
    context = signed_in(browser, site, cookies)
    page = context.new_page()
    page.add_init_script(VANS_IN_THE_MIDDLE)
    page.goto(f"{site.url}planner/")
    page.locator("tbody tr", has_text=PROBE).first.wait_for(timeout=PATIENCE_MS)
    page.evaluate(WATCH, PROBE)
    waits = _waits(page, site)
    tasks = page.evaluate("window.longTasks")
    context.close()
    return {
        "samples": len(waits),
        "publish_to_screen_ms_p50": round(float(np.quantile(waits, 0.5))),
        "publish_to_screen_ms_p99": round(float(np.quantile(waits, 0.99))),
        "publish_to_screen_ms_max": round(max(waits)),
        "long_tasks": len(tasks),
        "longest_ms": round(max(tasks, default=0)),
    }


def _waits(page: Page, site: Site) -> list[float]:
    """Return ms from publishing to the screen; each sample is the newest that the page shows.

    The page shows once a second what is newest, so a sample is published when the one before was seen.
    """
    settings = settings_of(site)
    now = clock(settings)
    waits = []
    with connected(settings.broker_port, "probe") as sock:
        for nth in range(SAMPLES):
            kmh = 200 + nth  # no van of the fleet is as fast, so each is seen once
            position = Position(
                t=now() + AHEAD_MS,
                lat=48.85,
                lon=2.35,
                acc_m=5.0,
                speed_mps=kmh / 3.6,
                ignition=True,
            )
            load = load_of([(f"fleet/v1/{PROBE}/position", msgspec.json.encode(position))])
            published = time.time()
            sock.sendall(load.packets)
            seen = _seen(page, kmh)
            waits.append(seen - 1_000 * published)
            time.sleep(nth * PHASE % 1)
    return waits


def _seen(page: Page, kmh: int) -> float:
    """Return when the page first showed a speed, ms since 1970 UTC; its policy allows no polling within it."""
    deadline = time.monotonic() + PATIENCE_MS / 1_000
    while (seen := page.evaluate("(kmh) => window.seenAt[kmh] ?? null", str(kmh))) is None:
        if time.monotonic() > deadline:
            raise ServerError(f"the page never showed {kmh} km/h")
        page.wait_for_timeout(20)
    return float(seen)


def settings_of(site: Site) -> Settings:
    """Return the settings of a service of the demo, as it was given them."""
    environment = Path(f"/proc/{site.pid('ingest')}/environ").read_text().split("\0")
    own = dict(part.split("=", 1) for part in environment if part.startswith("CORDEE_"))
    named = {name.removeprefix("CORDEE_").lower(): value for name, value in own.items()}
    return Settings.model_validate({k: v for k, v in named.items() if k in Settings.model_fields})


def _stretch(site: Site, name: str) -> dict[str, Any]:
    """Return ingest's lag, as its log tells it of each batch, and the API's CPU over three minutes."""
    log, before = site.folder / "ingest.log", cpu.of_tree(site.pid("api"))
    known = log.stat().st_size
    time.sleep(STRETCH_S)
    used = cpu.of_tree(site.pid("api")) - before
    with log.open() as said:
        said.seek(known)
        lags = [int(lag) for lag in re.findall(r'"lag_ms_max": (\d+)', said.read())]
    return {
        f"batches_{name}": len(lags),
        f"lag_ms_p50_{name}": round(float(np.quantile(lags, 0.5))),
        f"lag_ms_p99_{name}": round(float(np.quantile(lags, 0.99))),
        f"api_cpu_s_per_min_{name}": round(used * 60 / STRETCH_S, 1),
    }


async def _with_streams(site: Site, cookies: dict[str, str], streams: int) -> dict[str, Any]:
    """Read as many streams as so many open pages would, and measure meanwhile."""
    heard: list[list[float]] = [[] for _ in range(streams)]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=site.url, cookies=cookies, timeout=httpx.Timeout(SETTLE_S), limits=limits
    ) as client:
        tasks = [asyncio.create_task(_listen(client, heard, nth)) for nth in range(streams)]
        await asyncio.sleep(SETTLE_S)
        figures = await asyncio.to_thread(_stretch, site, "with_streams")
        ended = time.monotonic()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    silent = sum(not times or ended - times[-1] > SILENT_S for times in heard)
    fewest = min(len(times) for times in heard)
    return figures | {
        "streams_fallen_silent": silent,
        "deltas_per_stream_per_s": round(fewest / (STRETCH_S + SETTLE_S), 2),
    }


async def _listen(client: httpx.AsyncClient, heard: list[list[float]], nth: int) -> None:
    async with client.stream("GET", "/v1/live") as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("event: delta"):
                heard[nth].append(time.monotonic())
