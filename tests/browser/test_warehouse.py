"""The warehouse works on the page: it picks by scanning, packs, ships, and sees what is lacking.

Ingest and relay run as they do in production, so that what is reported comes back by the broker.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from storage.settings import Settings
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api

ORDERS = """
INSERT INTO barcode VALUES ('4006381333931', 1, 1), ('BOX-OF-5', 1, 5), ('PUMPCODE', 2, 1);
INSERT INTO warehouse_bin (warehouse_id, item_id, bin) VALUES (1, 1, 'B-02'), (1, 2, 'A-10');
INSERT INTO resupply_order (order_id, code, organisation_id, warehouse_id, location_id, mode,
                            cutoff_at, state, created_time, due_at)
OVERRIDING SYSTEM VALUE VALUES
  (1, 'R-1', 1, 1, 101, 'van', '2026-11-20 07:00Z', 'sent', '2026-11-20 07:00Z', '2026-11-20 10:30Z'),
  (2, 'R-2', 1, 1, 101, 'home', '2026-11-19 07:00Z', 'sent', '2026-11-19 07:00Z', '2026-11-20 08:00Z');
INSERT INTO resupply_line (order_id, item_id, requested, inputs)
VALUES (1, 1, 7, '{"why": "3 on board and 0 on order", "on_hand": 3}'),
       (1, 2, 2, '{"why": "a job needs 2"}'), (2, 2, 1, '{}');
"""

PROPOSALS = """
INSERT INTO proposal (location_id, item_id, qty, short, inputs)
VALUES (101, 1, 5, 2, '{"why": "a job on Monday needs 2", "needed": 2}'),
       (101, 2, 3, 0, '{"why": "below its reorder point", "needed": 0}');
INSERT INTO count_task VALUES (101, 2, 'unconfirmed', '2026-11-20 07:00Z');
"""


@pytest.fixture
def stocked(conn: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    conn.execute(REFERENCE)
    conn.execute(ORDERS)
    return conn


@pytest.fixture
def picker(browser: Browser, stocked: object, database_url: str) -> Iterator[Page]:
    """The page of somebody at the warehouse."""
    user = new_user(database_url, "pia", "warehouse")
    with opened_page(browser, [], new_session(database_url, user)) as page:
        yield page


BURST = """
code => {
  for (const key of [...code, "Enter"]) {
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  }
}
"""


def scan(page: Page, code: str) -> None:
    """Type as a scanner does: all at once, then Enter, into whatever has the focus."""
    page.evaluate(BURST, code)


def lane(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def test_the_board_says_what_has_to_leave_first_and_why_each_line_is_on_it(
    api: Api, picker: Page
) -> None:
    page = picker
    page.goto(f"{api.url}warehouse/")
    new = lane(page, "New")
    expect(new.get_by_role("listitem")).to_have_count(2, timeout=WAIT_MS)
    expect(new.get_by_role("listitem").first).to_contain_text("overdue")
    expect(new.get_by_role("listitem").last).to_contain_text("due soon")
    new.get_by_role("listitem").last.get_by_role("button").click()
    order = page.locator("cordee-order")
    lines = order.locator("tbody")
    expect(lines).to_have_count(2, timeout=WAIT_MS)
    expect(lines.first).to_contain_text("A-10")  # by bin, as one walks
    lines.last.get_by_text("Why this line?").click()
    expect(lines.last).to_contain_text("3 on board and 0 on order")
    assert page.url.endswith("#order=R-1")


def test_an_order_is_picked_by_scanning_packed_and_shipped(
    api: Api, working: Settings, picker: Page, stocked: psycopg.Connection[Any]
) -> None:
    page = picker
    page.goto(f"{api.url}warehouse/#order=R-1")
    order = page.locator("cordee-order")
    said = order.get_by_role("status").filter(has_text="Scan what you pick")
    expect(said).to_be_visible(timeout=WAIT_MS)
    scan(page, "4006381333931")
    told = order.locator(".scan")
    expect(told).to_have_text("Filter 20: 1 of 7")
    scan(page, "BOX-OF-5")
    expect(told).to_have_text("Filter 20: 6 of 7")
    scan(page, "BOX-OF-5")
    expect(told).to_contain_text("Put it back")
    scan(page, "NOTHING-OF-OURS")
    expect(told).to_contain_text("is not on this order")
    # What is picked outlives the page.
    page.reload()
    expect(order.locator("tbody[data-key='FIL-20']")).to_contain_text("6", timeout=WAIT_MS)
    scan(page, "4006381333931")
    scan(page, "PUMPCODE")
    order.locator("tbody[data-key='PUMP']").get_by_role("button", name="Short…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Why").select_option("damaged")
    dialog.get_by_label("It will not: cancel it").check()
    dialog.get_by_role("button", name="Note it").click()
    order.get_by_role("button", name="Report what is picked").click()
    expect(lane(page, "Picked, to be packed")).to_contain_text("V1", timeout=WAIT_MS)
    order.get_by_role("button", name="Pack a box and ship it").click()
    expect(dialog).to_contain_text("7 × FIL-20 Filter 20")
    assert dialog.get_by_role("link", name="Print its label").get_attribute("href")
    dialog.get_by_role("button", name="It is packed: ship it").click()
    expect(lane(page, "Shipped").get_by_role("listitem")).to_have_count(1, timeout=WAIT_MS)
    assert stocked.execute(
        "SELECT item_id, picked, shipped, cancelled FROM resupply_line WHERE order_id = 1 ORDER BY 1"
    ).fetchall() == [(1, 7, 7, 0), (2, 1, 1, 1)]
    assert stocked.execute("SELECT count(DISTINCT posted_by) FROM posted_report").fetchone() == (1,)


def test_what_jobs_lack_is_shown_with_the_reason_and_unconfirmed_proposals_can_be_ordered(
    api: Api, picker: Page, stocked: psycopg.Connection[Any]
) -> None:
    page = picker
    stocked.execute(PROPOSALS)
    page.goto(f"{api.url}warehouse/#view=shortages")
    lacking = page.get_by_role("region", name="Jobs need it before the next delivery")
    expect(lacking.locator("tbody")).to_have_count(1, timeout=WAIT_MS)
    lacking.get_by_role("button", name="Details of V1 FIL-20").click()
    expect(lacking).to_contain_text("a job on Monday needs 2")
    page.get_by_role("button", name="Waiting").click()
    waiting = page.get_by_role("region", name="Not ordered until somebody counts or confirms")
    waiting.get_by_role("button", name="Order it all the same").click()
    expect(waiting).to_contain_text("Nothing waits.", timeout=WAIT_MS)


def test_more_orders_than_the_board_takes_are_counted_in_words_that_are_true(
    api: Api, picker: Page, stocked: psycopg.Connection[Any]
) -> None:
    stocked.execute(
        "ALTER TABLE resupply_order ALTER order_id RESTART WITH 100;"
        " INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode,"
        " cutoff_at, state, created_time) SELECT 'OLD-' || n, 1, 1, 101, 'van',"
        " '2026-11-01Z'::timestamptz - n * INTERVAL '1 hour', 'received', '2026-11-01Z'"
        " FROM generate_series(1, 498) AS n"
    )
    page = picker
    page.goto(f"{api.url}warehouse/")
    expect(lane(page, "Received")).to_contain_text("498", timeout=WAIT_MS)
    expect(page.locator("main")).not_to_contain_text("newest")
    stocked.execute(
        "INSERT INTO resupply_order"
        " (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state, created_time)"
        " SELECT 'OLDER-' || n, 1, 1, 101, 'van', '2025-11-01Z'::timestamptz"
        " - n * INTERVAL '1 hour', 'received', '2025-11-01Z' FROM generate_series(1, 734) AS n"
    )
    page.reload()
    expect(page.get_by_text("The board has the newest 500 of 1,234 orders")).to_be_visible(
        timeout=WAIT_MS
    )
