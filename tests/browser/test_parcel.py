"""A box from shelf to van: the warehouse ships it by scanning, and its technician's tablet receives it.

Two people at two pages; between them ingest and relay as in production, and nothing is told by hand.
"""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from storage.settings import Settings
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.browser.test_van import doing, outbox, ready
from tests.browser.test_van import scan as scan_on_board
from tests.browser.test_warehouse import ORDERS, lane, scan
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api

DEPOT = """
INSERT INTO location (organisation_id, kind, warehouse_id) VALUES (1, 'warehouse', 1);
UPDATE reference_version SET version = version + 1;
"""
ON_BOARD = "SELECT item_id, qty FROM level WHERE location_id = 101 ORDER BY 1"


@pytest.fixture
def stocked(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(REFERENCE)
    conn.execute(ORDERS)
    conn.execute(DEPOT)
    conn.execute("INSERT INTO count_line SELECT 'import', 'x', 1, 101, 1, '', 3, '2026-11-18Z'")
    return conn


@pytest.fixture
def picker(browser: Browser, stocked: object, database_url: str) -> Iterator[Page]:
    user = new_user(database_url, "pia", "warehouse")
    with opened_page(browser, [], new_session(database_url, user)) as page:
        yield page


@pytest.fixture
def tablet(browser: Browser, stocked: object, database_url: str) -> Iterator[Page]:
    user = new_user(database_url, "ana", "technician", technician_id=1)
    with opened_page(browser, [], new_session(database_url, user)) as page:
        page.set_viewport_size({"width": 412, "height": 915})
        yield page


def test_what_the_warehouse_ships_by_scanning_the_tablet_receives(
    api: Api, working: Settings, picker: Page, tablet: Page, stocked: psycopg.Connection[Any]
) -> None:
    sscc = _ship(picker, api)
    expect(lane(picker, "Shipped").get_by_role("listitem")).to_have_count(1, timeout=WAIT_MS)

    ready(tablet, api.url, "stock")
    coming = tablet.get_by_role("region", name="On the way").get_by_role("listitem")
    expect(coming.filter(has_text="R-1")).to_contain_text("shipped", timeout=WAIT_MS)
    tablet.goto(f"{api.url}van/#scan")
    doing(tablet, "Receive")
    scan_on_board(tablet, f"00{sscc}")
    expect(outbox(tablet)).to_have_text("all sent", timeout=WAIT_MS)

    expect(lane(picker, "Received").get_by_role("listitem")).to_have_count(1, timeout=WAIT_MS)
    assert stocked.execute(ON_BOARD).fetchall() == [(1, 3 + 7), (2, 2)]
    moved = "SELECT kind, item_id, qty FROM movement WHERE device = 'V1' ORDER BY item_id"
    assert stocked.execute(moved).fetchall() == [("receive", 1, 7), ("receive", 2, 2)]
    received = "SELECT item_id, received FROM resupply_line WHERE order_id = 1 ORDER BY 1"
    assert stocked.execute(received).fetchall() == [(1, 7), (2, 2)]


def _ship(page: Page, api: Api) -> str:
    """Pick and pack order R-1 whole; return the number of its box."""
    page.goto(f"{api.url}warehouse/#order=R-1")
    order, told = page.locator("cordee-order"), page.locator("cordee-order .scan")
    expect(order.get_by_role("status").filter(has_text="Scan what you pick")).to_be_visible(
        timeout=WAIT_MS
    )
    for code, so_far in (
        ("BOX-OF-5", "Filter 20: 5 of 7"),
        ("4006381333931", "Filter 20: 6 of 7"),
        ("4006381333931", "Filter 20: 7 of 7"),
        ("PUMPCODE", "Pump: 1 of 2"),
        ("PUMPCODE", "Pump: 2 of 2"),
    ):
        scan(page, code)
        expect(told).to_have_text(so_far)
    order.get_by_role("button", name="All is picked: report it").click()
    order.get_by_role("button", name="Pack a box and ship it").click(timeout=WAIT_MS)
    dialog = page.get_by_role("dialog")
    label = dialog.get_by_role("link", name="Print its label").get_attribute(
        "href", timeout=WAIT_MS
    )
    [sscc] = re.findall(r"/boxes/([0-9]{18})\.pdf", label or "")
    dialog.get_by_role("button", name="It is packed: ship it").click()
    return str(sscc)
