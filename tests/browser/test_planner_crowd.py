"""The planner's page with an invented fleet: many vans, narrow windows, no mouse, no WebGL."""

import re
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import axe
from tests.browser.company import WAIT_MS
from tests.browser.conftest import opened_page
from tests.browser.crowd import STOPS, Crowd, served

NO_WEBGL = """
HTMLCanvasElement.prototype.getContext = new Proxy(HTMLCanvasElement.prototype.getContext, {
  apply: (get, canvas, [kind, ...rest]) =>
    kind.startsWith("webgl") ? null : Reflect.apply(get, canvas, [kind, ...rest]),
});
"""


@pytest.fixture(scope="module")
def small() -> Iterator[str]:
    with served(Crowd(vans=8, sites=300, alerts=6, moving=8)) as url:
        yield url


@pytest.fixture
def crowded(browser: Browser, expected_errors: list[str]) -> Iterator[Page]:
    # Of what an invented fleet does not answer: alerts one by one, ways, stock.
    with opened_page(browser, [*expected_errors, "404"]) as page:
        yield page


def arrive(page: Page, url: str) -> None:
    page.goto(url)
    expect(page.locator(".gantt-row").first).to_be_visible(timeout=WAIT_MS)


def test_five_thousand_vans_are_rows_that_are_made_as_one_comes_to_them(crowded: Page) -> None:
    with served(Crowd(vans=5_000, sites=5_000, alerts=300, moving=200)) as url:
        arrive(crowded, url)
        grid = crowded.get_by_role("grid", name="Tours of the day")
        expect(grid).to_have_attribute("aria-rowcount", "5000")
        expect(crowded.locator("[data-group=new] li")).to_have_count(100)
        grid.focus()
        crowded.keyboard.press("ArrowDown")
        for _ in range(20):
            crowded.keyboard.press("PageDown")
        chosen = crowded.locator(".gantt-row.chosen")
        expect(chosen).to_have_attribute("data-van", "van-0160")
        expect(chosen).to_be_in_viewport()
        assert crowded.locator(".gantt-row").count() < 40
        # It is the same place after all that; the drawer shows it.
        expect(crowded.locator("cordee-drawer h3").first).to_have_text("van-0160")
        # What is chosen is named to readers of screens as long as it is drawn.
        expect(grid).to_have_attribute("aria-activedescendant", "gantt-van-0160")
        grid.evaluate("grid => { grid.scrollTop = 0; }")
        expect(chosen).to_have_count(0)
        expect(grid).not_to_have_attribute("aria-activedescendant", re.compile(""))


def test_the_arrows_go_from_stop_to_stop_and_to_the_stop_beside_in_time(
    crowded: Page, small: str
) -> None:
    arrive(crowded, f"{small}#stop={STOPS + 1}")
    grid = crowded.get_by_role("grid", name="Tours of the day")
    expect(grid).to_have_attribute("aria-activedescendant", f"gantt-stop-{STOPS + 1}")
    grid.focus()
    crowded.keyboard.press("ArrowRight")
    expect(crowded).to_have_url(f"{small}#stop={STOPS + 2}")
    crowded.keyboard.press("ArrowDown")
    expect(crowded).to_have_url(f"{small}#stop={2 * STOPS + 2}")
    stop = crowded.get_by_role("gridcell").and_(crowded.locator(f"#gantt-stop-{2 * STOPS + 2}"))
    said = re.compile("^2. Site S00013, completed, window 07:50 .* arrived 08:14, left 08:54$")
    expect(stop).to_have_attribute("aria-label", said)
    crowded.keyboard.press("ArrowLeft")
    crowded.keyboard.press("ArrowLeft")
    expect(crowded).to_have_url(f"{small}#van=van-0002")


def test_one_thing_is_chosen_in_all_panes_and_back_goes_to_the_one_before(
    crowded: Page, small: str
) -> None:
    arrive(crowded, small)
    crowded.locator("[data-group=new] li > button").first.click()
    first = crowded.url
    assert "#alert=" in first
    expect(crowded.locator("[data-group=new] li.chosen")).to_have_count(1)
    expect(crowded.locator(".gantt-row.chosen .stop.chosen")).to_have_count(1)
    crowded.locator("#gantt-van-0007").click()
    expect(crowded).to_have_url(f"{small}#van=van-0007")
    expect(crowded.locator("[data-group=new] li.chosen")).to_have_count(0)
    crowded.get_by_role("tab", name="Vans").click()
    expect(crowded.locator("cordee-vans tbody.selected")).to_have_attribute("data-key", "van-0007")
    crowded.go_back()
    expect(crowded).to_have_url(first)
    expect(crowded.locator("[data-group=new] li.chosen")).to_have_count(1)
    crowded.reload()
    expect(crowded.locator("[data-group=new] li.chosen")).to_have_count(1, timeout=WAIT_MS)


def test_a_figure_shows_its_vans_alone_in_every_pane(crowded: Page, small: str) -> None:
    arrive(crowded, small)
    expect(crowded.locator(".gantt-row")).to_have_count(8)
    crowded.locator("[data-kpi=late]").click()
    expect(crowded.locator("[data-kpi=late]")).to_have_attribute("aria-pressed", "true")
    expect(crowded.locator(".gantt-row")).to_have_count(3)
    expect(crowded.locator("[data-group=new] li")).to_have_count(3)
    expect(crowded).to_have_url(f"{small}#show=late")
    crowded.reload()
    expect(crowded.locator(".gantt-row")).to_have_count(3, timeout=WAIT_MS)
    crowded.locator("[data-kpi=late]").click()
    expect(crowded.locator(".gantt-row")).to_have_count(8)


#: How many vans the map has, and the ids of the stops that it shows.
ON_THE_MAP = """async () => {
  const { map } = document.querySelector("cordee-map");
  const features = async (name) => (await map?.getSource(name)?.getData())?.features ?? [];
  return [(await features("vans")).length, (await features("stops")).map((it) => it.properties.id)];
}"""


def test_what_was_chosen_while_the_browser_took_the_graphics_away_is_drawn_when_it_gives_them_back(
    crowded: Page, small: str
) -> None:
    arrive(crowded, f"{small}#van=van-0001")
    until(crowded, ON_THE_MAP, [8, list(range(STOPS + 1, 2 * STOPS + 1))])
    crowded.evaluate("""() => {
      const canvas = document.querySelector("cordee-map").map.getCanvas();
      window.graphics = canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
      window.graphics.loseContext();
    }""")
    until(crowded, "() => document.querySelector('cordee-map').map.style == null", expected=True)
    crowded.evaluate("location.hash = ''")
    expect(crowded.locator(".gantt-row.chosen")).to_have_count(0)
    crowded.evaluate("location.hash = 'van=van-0002'")
    expect(crowded.locator(".gantt-row.chosen")).to_have_attribute("data-van", "van-0002")
    crowded.evaluate("window.graphics.restoreContext()")
    until(crowded, ON_THE_MAP, [8, list(range(2 * STOPS + 1, 3 * STOPS + 1))])


def until(page: Page, script: str, expected: object) -> None:
    """Ask the page until it says what is expected."""
    deadline = time.monotonic() + WAIT_MS / 1_000
    while (said := page.evaluate(script)) != expected:
        assert time.monotonic() < deadline, f"{said}, not {expected}"
        page.wait_for_timeout(100)


def test_the_map_is_told_once_a_second_at_most_and_only_of_vans_that_moved(
    crowded: Page,
) -> None:
    with served(Crowd(vans=300, sites=1_000, alerts=4, moving=20)) as url:
        arrive(crowded, url)
        crowded.wait_for_function(
            "document.querySelector('cordee-map').map !== null", timeout=WAIT_MS
        )
        crowded.evaluate(
            """() => {
              window.told = [];
              const source = document.querySelector("cordee-map").map.getSource("vans");
              const give = source.updateData.bind(source);
              source.updateData = (difference) => {
                window.told.push([performance.now(), difference.update.length, difference.add.length]);
                return give(difference);
              };
            }"""
        )
        crowded.wait_for_function("window.told.length >= 5", timeout=WAIT_MS)
        told = crowded.evaluate("window.told")
    later = told[1:]
    assert all(0 < update <= 20 * 10 and added == 0 for _, update, added in later), told
    pauses = [after[0] - before[0] for before, after in pairwise(told)]
    assert min(pauses) >= 990, pauses


def test_without_webgl_the_vans_are_a_list_and_the_page_says_why(crowded: Page, small: str) -> None:
    crowded.add_init_script(NO_WEBGL)
    arrive(crowded, small)
    middle = crowded.locator(".middle")
    expect(middle).to_contain_text("no WebGL 2", timeout=WAIT_MS)
    expect(middle.locator("cordee-vans tbody")).to_have_count(8)
    middle.locator("cordee-vans tbody[data-key='van-0003'] button").first.click()
    expect(crowded).to_have_url(f"{small}#van=van-0003")


def test_panes_keep_the_sizes_that_keys_have_given_them_and_stay_folded(
    crowded: Page, small: str
) -> None:
    arrive(crowded, small)
    queue = crowded.locator(".panel.queue")
    before = queue.bounding_box() or {"width": 0}
    splitter = crowded.get_by_role("separator", name="Width of the alerts")
    splitter.focus()
    for _ in range(3):
        crowded.keyboard.press("ArrowRight")
    expect(splitter).to_have_attribute("aria-valuenow", "412")
    crowded.reload()
    expect(crowded.locator(".gantt-row").first).to_be_visible(timeout=WAIT_MS)
    after = queue.bounding_box() or {"width": 0}
    assert after["width"] - before["width"] == pytest.approx(72, abs=1)
    crowded.get_by_role("button", name="Fold: Alerts").click()
    crowded.reload()
    expect(crowded.locator(".gantt-row").first).to_be_visible(timeout=WAIT_MS)
    expect(queue.locator("cordee-queue")).to_have_count(0)
    crowded.get_by_role("button", name="Unfold: Alerts").click()
    expect(queue.locator("cordee-queue")).to_be_visible()


@pytest.mark.parametrize("place", ["", "#van=van-0001", "#stop=9"])
def test_a_window_of_320_pixels_needs_no_scrolling_sideways(
    crowded: Page, small: str, place: str
) -> None:
    crowded.set_viewport_size({"width": 320, "height": 640})
    arrive(crowded, f"{small}{place}")
    assert crowded.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("theme", ["light", "dark", "sunlight"])
def test_the_page_keeps_the_rules_of_accessibility_in_every_palette(
    crowded: Page, small: str, theme: str
) -> None:
    crowded.add_init_script(f"localStorage.setItem('cordee.theme', '{theme}')")
    arrive(crowded, f"{small}#stop=9")
    expect(crowded.locator("cordee-drawer h3")).to_have_text("3. Site S00008")
    assert axe.violations(crowded) == []


@pytest.mark.parametrize(
    ("place", "title"), [("#alert=3", "late +3 min"), ("#van=van-0001", "van-0001")]
)
def test_whatever_is_chosen_keeps_the_rules_of_accessibility(
    crowded: Page, small: str, place: str, title: str
) -> None:
    arrive(crowded, f"{small}{place}")
    expect(crowded.locator("cordee-drawer h3").first).to_contain_text(title)
    assert axe.violations(crowded) == []
