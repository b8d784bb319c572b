"""Measures the planner's page with an invented fleet: `python -m tests.browser.measure_planner`.

The browser's own trace says of every task of the page's main thread how long it took, in time and in time
of the processor; the latter is what is told here, because it does not depend on what else runs on the
machine. What calls of MapLibre took in a task, which without a graphics card is most of it, is told apart
from what the page did. Nothing here is a test.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium
from tests.browser.crowd import Crowd, served

SECONDS: Final = 20
SETTLED_MS: Final = 5_000
PATIENCE_MS: Final = 120_000
LONG_MS: Final = 50.0
CATEGORIES: Final = ["toplevel", "devtools.timeline", "blink.user_timing"]

Event = dict[str, Any]


def events_of(browser: Browser, page: Page) -> list[Event]:
    """Trace for a while; return what the browser noted."""
    session = browser.new_browser_cdp_session()
    events: list[Event] = []
    complete: list[bool] = []
    session.on("Tracing.dataCollected", lambda noted: events.extend(noted["value"]))
    session.on("Tracing.tracingComplete", lambda _: complete.append(True))
    trace = {"transferMode": "ReportEvents", "traceConfig": {"includedCategories": CATEGORIES}}
    session.send("Tracing.start", trace)
    page.wait_for_timeout(SECONDS * 1_000)
    session.send("Tracing.end")
    while not complete:
        page.wait_for_timeout(100)
    session.detach()
    return events


def threads(events: list[Event], name: str) -> set[tuple[int, int]]:
    """Return the threads of this name."""
    named = (e for e in events if e["name"] == "thread_name" and e["args"]["name"] == name)
    return {(e["pid"], e["tid"]) for e in named}


def tasks(events: list[Event]) -> Iterator[tuple[float, float]]:
    """Yield of each task of the main thread its ms of processor, in all and in calls of MapLibre."""
    for thread in threads(events, "CrRendererMain"):
        mine = [e for e in events if (e["pid"], e["tid"]) == thread and e.get("ph") == "X"]
        whole = sorted((e for e in mine if e["name"].endswith("RunTask")), key=lambda e: e["ts"])
        calls = [e for e in mine if e["name"] == "FunctionCall" and _is_map(e)]
        for task in whole:
            within = (c["tdur"] for c in calls if task["ts"] <= c["ts"] < task["ts"] + task["dur"])
            yield task.get("tdur", 0) / 1_000, sum(within) / 1_000


def _is_map(call: Event) -> bool:
    return "maplibre" in call["args"].get("data", {}).get("url", "")


def seconds_to_first_van(page: Page, url: str) -> float:
    """Open the page; return seconds until the first row of a van."""
    page.goto(url)
    page.wait_for_selector(".gantt-row", timeout=PATIENCE_MS)
    return float(page.evaluate("performance.now() / 1000"))


def measured(browser: Browser, crowd: Crowd, *, with_map: bool) -> dict[str, Any]:
    """Return the figures of one fleet."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
    middle = "map" if with_map else "vans"
    page.add_init_script(
        f"localStorage.setItem('cordee.planner.panes', JSON.stringify({{ middle: '{middle}' }}))"
    )
    with served(crowd) as url:
        first = seconds_to_first_van(page, url)
        if with_map:
            page.wait_for_function(
                "document.querySelector('cordee-map').map !== null", timeout=PATIENCE_MS
            )
        page.wait_for_timeout(SETTLED_MS)
        found = list(tasks(events_of(browser, page)))
        transferred = page.evaluate(
            "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"
        )
        nodes = page.evaluate("document.querySelectorAll('*').length")
        page.close()
    own = sorted((whole - in_map for whole, in_map in found), reverse=True)
    return {
        "vans": crowd.vans,
        "moving_a_s": crowd.moving,
        "fences": crowd.sites,
        "map": with_map,
        "first_row_s": round(first, 1),
        "transferred_kb": round(transferred / 1_000),
        "cpu_ms_a_s": round(sum(whole for whole, _ in found) / SECONDS),
        "of_which_map": round(sum(in_map for _, in_map in found) / SECONDS),
        "longest_task_ms": round(max(whole for whole, _ in found)),
        "longest_without_map_ms": round(own[0]),
        "without_map_over_50_ms": sum(ms > LONG_MS for ms in own),
        "nodes": nodes,
    }


def main() -> None:
    """Print a line of figures for each fleet."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for vans in (200, 5_000):
            for with_map in (False, True):
                crowd = Crowd(vans=vans, alerts=min(500, vans // 3), moving=vans)
                print(json.dumps(measured(browser, crowd, with_map=with_map)))  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()
