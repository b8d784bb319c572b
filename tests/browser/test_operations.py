"""Operators see what is wrong at a glance, and look after what could not be used."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api

REJECTED = """
INSERT INTO rejected VALUES
  (decode(repeat('01', 16), 'hex'), 'fleet/v1/V1/position', '{"lat": "<b>48</b>"}', 'bad_payload',
   'Expected `float`', 'V1', '2026-11-20 08:50Z'),
  (decode(repeat('02', 16), 'hex'), 'fleet/v1/V2/position', '{"t": 1}', 'future',
   'its time is 900 s ahead', 'V2', '2026-11-20 08:40Z');
INSERT INTO scan VALUES ('V1', 'e', 1, 0, 1, '2026-11-20 08:00Z', 'issue', 'NEW-CODE', 'unknown_code',
  '{"epoch":"e","seq":1,"t":1795161600000,"intent":"issue","code":"NEW-CODE"}', '2026-11-20 08:00Z');
INSERT INTO van_position VALUES (2, '2026-11-20 08:59Z', 45, 4, 0, 0, false, '2026-11-20 08:58:00Z');
"""


@pytest.fixture
def keeper(browser: Browser, conn: psycopg.Connection[Any], database_url: str) -> Iterator[Page]:
    """The page of somebody who keeps it running."""
    conn.execute(REFERENCE)
    conn.execute(REJECTED)
    token = new_session(database_url, new_user(database_url, "ola", "ops"))
    with opened_page(browser, ["404"], token) as page:
        yield page


def test_what_is_wrong_has_a_word_beside_its_figure(api: Api, keeper: Page) -> None:
    page = keeper
    page.goto(f"{api.url}operations/")
    silent = page.locator(".figure", has_text="Vans silent for 15 minutes")
    expect(silent).to_contain_text("look at this", timeout=WAIT_MS)
    expect(page.locator(".figure", has_text="Database")).not_to_contain_text("look at this")
    page.get_by_role("link", name="Vans", exact=True).click()
    vans = page.get_by_role("region", name="Vans").locator("tbody")
    expect(vans.filter(has_text="V1")).to_contain_text("never seen")
    expect(vans.filter(has_text="V2")).to_contain_text("clock ahead by 1 min")
    assert "45" not in page.get_by_role("region", name="Vans").inner_text()


def test_a_rejected_message_is_looked_at_as_text_discarded_and_that_is_written_down(
    api: Api, keeper: Page, conn: psycopg.Connection[Any]
) -> None:
    page = keeper
    page.goto(f"{api.url}operations/#view=rejected")
    rejected = page.get_by_role("region", name="Rejected messages")
    expect(rejected.locator("tbody")).to_have_count(2, timeout=WAIT_MS)
    rejected.get_by_role("button", name="bad_payload 1").click()
    expect(rejected.locator("tbody")).to_have_count(1)
    rejected.get_by_role("button", name="Details of fleet/v1/V1/position").click()
    expect(rejected.locator("pre")).to_have_text('{"lat": "<b>48</b>"}')
    rejected.get_by_role("button", name="Discard…").click()
    page.get_by_role("dialog").get_by_role("button", name="Discard").click()
    expect(rejected.locator("tbody")).to_have_count(0, timeout=WAIT_MS)
    assert conn.execute("SELECT count(*) FROM rejected").fetchone() == (1,)
    page.get_by_role("link", name="Who did what").click()
    expect(page.get_by_role("region", name="Who did what").locator("tbody")).to_contain_text("ola")


def test_a_code_gets_its_meaning_after_a_mistyped_item_was_refused(
    api: Api, keeper: Page, conn: psycopg.Connection[Any]
) -> None:
    page = keeper
    page.goto(f"{api.url}operations/#view=rejected")
    codes = page.get_by_role("region", name="Codes that nobody has entered")
    codes.get_by_role("button", name="Say what it means…").click(timeout=WAIT_MS)
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Item").fill("FIL-2O")
    dialog.get_by_role("button", name="Enter it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("FIL-2O", timeout=WAIT_MS)
    dialog.get_by_label("Item").fill("FIL-20")
    dialog.get_by_label("Units that one scan of it means").fill("5")
    dialog.get_by_role("button", name="Enter it").click()
    expect(codes).to_contain_text("Every code that was scanned is known.", timeout=WAIT_MS)
    assert conn.execute("SELECT qty FROM movement").fetchone() == (5,)


def test_a_delivery_that_was_given_up_is_sent_again(
    api: Api, keeper: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO webhook (webhook_id, organisation_id, url, topics, secret)"
        " VALUES (1, 1, 'https://hooks.example/', '{events/v1}', 's');"
        " INSERT INTO outbox (topic, payload, created_time, sent_time)"
        " VALUES ('events/v1/visit', '{}', now(), now());"
        " INSERT INTO webhook_delivery (webhook_id, outbox_id, message_id, state, attempts, changed_time)"
        " SELECT 1, outbox_id, gen_random_uuid(), 'dead', 9, now() FROM outbox"
        " ON CONFLICT ON CONSTRAINT webhook_delivery_once DO UPDATE SET state = 'dead', attempts = 9,"
        " changed_time = now()"
    )
    page = keeper
    page.goto(f"{api.url}operations/#view=webhooks")
    deliveries = page.get_by_role("region", name="Deliveries")
    expect(deliveries).to_contain_text("given up", timeout=WAIT_MS)
    deliveries.get_by_role("button", name="Send it again").click()
    expect(page.locator("#said")).to_contain_text("It is tried again.", timeout=WAIT_MS)
    expect(deliveries).not_to_contain_text("given up", timeout=WAIT_MS)
