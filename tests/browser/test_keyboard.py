"""Everything without a mouse: each page is gone through, and its main job done, with keys alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from storage.settings import Settings
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.focus import reach, round_trip
from tests.browser.places import NAMES, PLACES, Place, found, go, page_of
from tests.browser.test_planner import DAY, LATE, drawer, group
from tests.browser.test_van import CODES, scan
from tests.browser.test_warehouse import ORDERS, lane
from tests.integration.api_thread import Api

Database = psycopg.Connection[Any]

WIDE = (1_280, 600)
NARROW = (400, 700)


@pytest.fixture
def visitor(
    request: pytest.FixtureRequest,
    browser: Browser,
    conn: Database,
    database_url: str,
) -> Iterator[Page]:
    """A page of whoever the place is for."""
    found(conn)
    with page_of(browser, database_url, request.node.callspec.params["place"].role) as page:
        yield page


@pytest.mark.parametrize("place", PLACES, ids=NAMES)
def test_the_focus_goes_round_both_ways_and_is_always_seen(
    api: Api, visitor: Page, place: Place
) -> None:
    go(visitor, api, place)
    faults = []
    for width, height in (WIDE, NARROW):
        visitor.set_viewport_size({"width": width, "height": height})
        for key in ("Tab", "Shift+Tab"):
            faults += [f"{width} {key} {it}" for it in round_trip(visitor, key)]
    assert not faults, "\n".join(faults)


@contextmanager
def at_work(browser: Browser, database_url: str, role: str, url: str) -> Iterator[Page]:
    """A page whose mouse nobody may touch."""
    with page_of(browser, database_url, role) as page:
        page.goto(url)
        yield page


def picked_of(order: Locator, name: str) -> Locator:
    """Return where it stands how many of an item are picked."""
    return order.locator("tbody").filter(has_text=name).locator("td.number").nth(1)


def press(page: Page, *keys: str) -> None:
    """Press keys as slowly as a person: what is faster is a scanner."""
    for key in keys:
        page.keyboard.press(key, delay=60)


def test_a_planner_acknowledges_an_alert_looks_at_it_and_comes_back(
    api: Api, browser: Browser, conn: Database, database_url: str
) -> None:
    conn.execute(DAY)
    conn.execute(LATE)
    with at_work(browser, database_url, "planner", f"{api.url}planner/") as page:
        alert = page.locator("[data-alert] > button")
        expect(alert).to_contain_text("School", timeout=WAIT_MS)
        reach(alert)
        press(page, "Enter")
        expect(drawer(page)).to_contain_text("not arrived when the window ended")
        expect(alert).to_be_focused()
        press(page, "Tab")
        expect(page.locator("[data-alert]").get_by_text("Acknowledge")).to_be_focused()
        press(page, "Space")
        expect(group(page, "mine").locator("li")).to_contain_text("School", timeout=WAIT_MS)
        by = "SELECT acknowledged_by FROM alert_handling"
        assert conn.execute(by).fetchone() == ("user:ana",)
        # It went to another group, and the focus with it.
        expect(alert).to_be_focused()
        press(page, "d")
        expect(drawer(page).locator(".body")).to_be_focused()
        reach(drawer(page).get_by_role("button", name="Put off…"))
        press(page, "Enter", "ArrowDown", "Enter")
        expect(drawer(page)).to_contain_text("put it off until 10:3", timeout=WAIT_MS)
        expect(group(page, "mine").locator("li")).to_have_count(0, timeout=WAIT_MS)
        expect(drawer(page).get_by_role("button", name="Put off…")).to_be_focused()
        press(page, "d")
        expect(page.get_by_role("button", name="New 0")).to_be_focused()


def test_what_was_searched_is_in_the_drawer_and_escape_leads_back(
    api: Api, browser: Browser, conn: Database, database_url: str
) -> None:
    conn.execute(DAY)
    with at_work(browser, database_url, "planner", f"{api.url}planner/") as page:
        expect(page.locator(".connection")).to_have_text("live", timeout=WAIT_MS)
        fold = page.get_by_role("button", name="Fold: Alerts")
        reach(fold)
        press(page, "/")
        field = page.get_by_role("combobox", name="Search")
        expect(field).to_be_focused()
        page.keyboard.type("klein")
        expect(page.get_by_role("option").first).to_contain_text("Bo Klein", timeout=WAIT_MS)
        press(page, "Escape")
        expect(fold).to_be_focused()
        press(page, "/")
        page.keyboard.type("klein")
        expect(page.get_by_role("option").first).to_contain_text("Bo Klein", timeout=WAIT_MS)
        press(page, "Enter")
        expect(drawer(page)).to_contain_text("V2")
        expect(drawer(page).locator(".body")).to_be_focused()
        reach(drawer(page).get_by_role("button", name="Close"), "Shift+Tab")
        press(page, "Enter")
        expect(drawer(page)).to_have_count(0)
        expect(fold).to_be_focused()
        # The tours: a stop is reached by arrows, and moved to another van.
        reach(page.get_by_role("grid"))
        press(page, "ArrowDown", "ArrowRight", "ArrowRight")
        expect(drawer(page)).to_contain_text("2. School")
        press(page, "m")
        move = drawer(page).get_by_role("radio", name="Give it to V2 (Bo Klein)")
        expect(move).to_be_visible(timeout=WAIT_MS)
        press(page, "d")
        reach(drawer(page).get_by_role("radio").first)
        while not move.is_checked():
            press(page, "ArrowDown")
        reach(drawer(page).get_by_role("button", name="Apply"))
        press(page, "Enter")
        expect(page.locator("#said")).to_contain_text("School: from V1 to V2", timeout=WAIT_MS)
        expect(drawer(page).locator(".body")).to_be_focused()
        press(page, "Escape")
        expect(drawer(page)).to_have_count(0)
        expect(page.get_by_role("grid")).to_be_focused()


def test_an_order_is_chosen_picked_and_shipped(
    api: Api, working: Settings, browser: Browser, conn: Database, database_url: str
) -> None:
    conn.execute(REFERENCE)
    conn.execute(ORDERS)
    conn.execute("UPDATE resupply_order SET sent_time = created_time")
    with at_work(browser, database_url, "warehouse", f"{api.url}warehouse/") as page:
        card = page.locator("[data-order='R-1']")
        expect(card).to_be_visible(timeout=WAIT_MS)
        reach(card)
        press(page, "Enter")
        order = page.locator("cordee-order")
        expect(order.get_by_role("heading", level=2)).to_be_focused(timeout=WAIT_MS)
        press(page, "Escape")
        expect(order).to_have_count(0)
        expect(card).to_be_focused()
        press(page, "Enter")
        expect(order.locator("tbody")).to_have_count(2, timeout=WAIT_MS)
        reach(order.get_by_role("button", name="Begin picking"))
        press(page, "Enter")
        expect(page.locator("#said")).to_contain_text("Begun.", timeout=WAIT_MS)
        for name, times in (("Pump", 2), ("Filter 20", 7)):
            reach(order.get_by_role("button", name=f"One more of {name}"))
            for picked in range(
                1, times + 1
            ):  # seen before the next: a busy machine would make it a scanner
                press(page, "Space")
                expect(picked_of(order, name)).to_have_text(re.compile(rf"^\s*{picked}\b"))
        reach(order.get_by_role("button", name="All is picked: report it"), "Shift+Tab")
        press(page, "Enter")
        expect(lane(page, "Picked, to be packed")).to_contain_text("V1", timeout=WAIT_MS)
        reach(order.get_by_role("button", name="Pack a box and ship it"))
        press(page, "Enter")
        ship = page.get_by_role("dialog").get_by_role("button", name="It is packed: ship it")
        expect(ship).to_be_visible(timeout=WAIT_MS)
        reach(ship)
        press(page, "Enter")
        expect(lane(page, "Shipped").get_by_role("listitem")).to_have_count(1, timeout=WAIT_MS)
        lines = "SELECT picked, shipped FROM resupply_line WHERE order_id = 1 ORDER BY item_id"
        assert conn.execute(lines).fetchall() == [(7, 7), (2, 2)]


def test_a_technician_goes_on_duty_scans_and_finds_tour_and_messages(
    api: Api, working: Settings, browser: Browser, conn: Database, database_url: str
) -> None:
    conn.execute(REFERENCE)
    conn.execute(CODES)
    with at_work(browser, database_url, "technician", f"{api.url}van/") as page:
        duty = page.get_by_role("switch")
        expect(duty).to_be_visible(timeout=WAIT_MS)
        reach(duty)
        press(page, "Space")
        expect(duty).to_have_text("on duty", timeout=WAIT_MS)
        reach(page.get_by_role("radio", name="Use", exact=True))
        press(page, "Space")
        scan(page, "04006381333931")
        expect(page.locator(".result")).to_contain_text("10 × Filter 20: used", timeout=WAIT_MS)
        reach(page.get_by_label("Scan, or type a code or a name"))
        page.keyboard.type("PUMP", delay=80)
        press(page, "Enter")
        expect(page.locator(".result")).to_contain_text("Pump: used", timeout=WAIT_MS)
        expect(page.locator("van-tools .outbox")).to_have_text("all sent", timeout=WAIT_MS)
        moved = "SELECT item_id, qty FROM movement ORDER BY item_id"
        assert conn.execute(moved).fetchall() == [(1, 10), (2, 1)]
        tabs = page.get_by_role("navigation", name="Tabs")
        reach(tabs.get_by_role("link", name="Tour"))
        press(page, "Enter")
        report = page.locator(".stop.arrived").get_by_role("link", name="Report")
        expect(report).to_be_visible(timeout=WAIT_MS)
        reach(report)
        press(page, "Enter")
        reach(page.get_by_label("What was done"))
        page.keyboard.type("Filter replaced.", delay=40)
        # Who cannot draw signs by name.
        reach(page.locator("[type=radio]:checked"))
        press(page, "ArrowDown")
        reach(page.get_by_label("Signed by name: who"))
        page.keyboard.type("Marie Dupont", delay=40)
        reach(page.get_by_role("button", name="Done"))
        press(page, "Enter")
        expect(page.locator(".stop.arrived")).to_contain_text("report sent", timeout=WAIT_MS)
        reach(tabs.get_by_role("link", name="Messages"))
        press(page, "Enter")
        reach(page.get_by_label("To the base"))
        page.keyboard.type("The gate is locked.", delay=40)
        reach(page.get_by_role("button", name="Send"))
        press(page, "Enter")
        expect(page.locator(".message.mine")).to_contain_text("The gate is locked.")


def test_a_client_opens_a_visit_report(
    api: Api, browser: Browser, conn: Database, database_url: str
) -> None:
    found(conn)
    with at_work(browser, database_url, "client", f"{api.url}client/") as page:
        opens = page.get_by_role("button", name="Details of Bakery")
        expect(opens).to_be_visible(timeout=WAIT_MS)
        reach(opens)
        press(page, "Enter")
        expect(page.get_by_text("Signed by Mme Dupont.")).to_be_visible()
        paper = page.get_by_role("link", name="Visit report (PDF)")
        reach(paper)
        press(page, "Shift+Tab", "Space")
        expect(paper).to_have_count(0)


def test_an_operator_chooses_a_view_and_discards_a_rejected_message(
    api: Api, browser: Browser, conn: Database, database_url: str
) -> None:
    found(conn)
    with at_work(browser, database_url, "ops", f"{api.url}operations/") as page:
        view = page.get_by_role("link", name="Rejected messages")
        expect(view).to_be_visible(timeout=WAIT_MS)
        reach(view)
        press(page, "Enter")
        opens = page.get_by_role("button", name="Details of fleet/v1/V1/position")
        expect(opens).to_be_visible(timeout=WAIT_MS)
        reach(opens)
        press(page, "Enter")
        reach(page.locator("pre"))
        reach(page.get_by_role("button", name="Discard…"))
        press(page, "Enter")
        reach(page.get_by_role("dialog").get_by_role("button", name="Discard"))
        press(page, "Enter")
        expect(opens).to_have_count(0, timeout=WAIT_MS)
        assert conn.execute("SELECT count(*) FROM rejected").fetchone() == (1,)


def test_theme_and_language_are_changed_and_the_session_ended(
    api: Api, browser: Browser, conn: Database, database_url: str
) -> None:
    with at_work(browser, database_url, "planner", f"{api.url}account/") as page:
        menu = page.locator(".menu summary")
        expect(menu).to_contain_text("Ana", timeout=WAIT_MS)
        reach(menu)
        press(page, "Enter")
        reach(page.get_by_label("Theme"))
        page.keyboard.type("Dark")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        press(page, "Escape")
        expect(menu).to_be_focused()
        press(page, "Enter")
        reach(page.get_by_label("Language"))
        page.keyboard.type("Fr")
        expect(page.get_by_role("button", name="Se déconnecter").first).to_be_visible(
            timeout=WAIT_MS
        )
        reach(menu)
        press(page, "Enter")
        reach(page.locator(".menu").get_by_role("button", name="Se déconnecter"))
        press(page, "Enter")
        expect(page.locator("input[type=password]")).to_be_visible(timeout=WAIT_MS)
        assert conn.execute("SELECT count(*) FROM user_session").fetchone() == (0,)
