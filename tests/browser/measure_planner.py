"""Measures the planner's page with an invented fleet: `python -m tests.browser.measure_planner`.

The browser says itself what took long: its entries `long-animation-frame` name the scripts that ran, so
that what the map repaints (without a graphics card a tenth of a second) is told apart from what the
page does. Figures depend on the machine and on what else runs on it; nothing here is a test.
"""

import json
from typing import Any, Final

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, chromium
from tests.browser.crowd import Crowd, served

SECONDS: Final = 20
PATIENCE_MS: Final = 120_000
#: Keeps the entries, and how long the page's own work takes each time it is told of news.
OBSERVE: Final = """
window.frames_ = [];
window.calls_ = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    window.frames_.push({
      ms: entry.duration,
      scripts: entry.scripts.map((one) => [one.sourceURL, one.duration, one.invoker]),
    });
  }
}).observe({ type: "long-animation-frame", buffered: true });
"""
TIME_CALLS: Final = """
() => {
  const map = document.querySelector("cordee-map").map;
  const source = map?.getSource("vans");
  if (source) {
    const give = source.updateData.bind(source);
    source.updateData = (difference) => {
      const from = performance.now();
      const result = give(difference);
      window.calls_.push({ ms: performance.now() - from, vans: difference.update.length });
      return result;
    };
  }
  window.frames_.length = 0;
}
"""


def seconds_to_first_van(page: Page, url: str) -> float:
    """Open the page; return seconds until the first row of a van."""
    page.goto(url)
    page.wait_for_selector(".gantt-row", timeout=PATIENCE_MS)
    return float(page.evaluate("performance.now() / 1000"))


def measured(browser: Browser, crowd: Crowd, *, with_map: bool) -> dict[str, Any]:
    """Return the figures of one fleet."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, locale="en-GB")
    page.add_init_script(OBSERVE)
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
        page.wait_for_timeout(3_000)
        page.evaluate(TIME_CALLS)
        page.wait_for_timeout(SECONDS * 1_000)
        frames = page.evaluate("window.frames_")
        calls = page.evaluate("window.calls_")
        nodes = page.evaluate("document.querySelectorAll('*').length")
        page.close()
    own = [script for frame in frames for script in frame["scripts"] if "maplibre" not in script[0]]
    return {
        "vans": crowd.vans,
        "moving": crowd.moving,
        "fences": crowd.sites,
        "map": with_map,
        "first_row_s": round(first, 1),
        "long_frames": len(frames),
        "longest_frame_ms": round(max((f["ms"] for f in frames), default=0)),
        "own_scripts_over_50_ms": sum(s[1] > 50 for s in own),
        "longest_own_script_ms": round(max((s[1] for s in own), default=0)),
        "updates_a_s": round(len(calls) / SECONDS, 2),
        "update_ms_max": round(max((c["ms"] for c in calls), default=0), 1),
        "nodes": nodes,
    }


def main() -> None:
    """Print a line of figures for each fleet."""
    fleets = [Crowd(vans=200), Crowd(vans=5_000, alerts=500, moving=5_000)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        for crowd in fleets:
            for with_map in (False, True):
                print(json.dumps(measured(browser, crowd, with_map=with_map)))  # noqa: T201
        browser.close()


if __name__ == "__main__":
    main()
