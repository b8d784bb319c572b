"""What cannot be read again stays on its page, and says how old it is and why."""

import re
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.company import WAIT_MS
from tests.browser.places import found, page_of
from tests.integration.api_thread import Api

#: A page asks again when somebody looks at it again.
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.mark.parametrize(
    ("role", "path", "asked", "shows"),
    [
        ("warehouse", "warehouse/", "/v1/orders?", ".lane li"),
        ("warehouse", "warehouse/#view=shortages", "/v1/proposals?", "cordee-shortages tbody"),
        ("client", "client/", "/v1/planning?", "cordee-client tbody"),
        ("ops", "operations/#view=vans", "/v1/devices", "tbody"),
        ("ops", "operations/#view=rejected", "/v1/rejected?", "cordee-rejected tbody"),
        ("ops", "operations/#view=audit", "/v1/audit?", "cordee-audit .panel"),
        ("planner", "planner/#van=V1", "/v1/vans/V1/stock?", "cordee-van-card tbody"),
    ],
)
def test_the_last_answer_stays_with_the_word_stale_until_there_is_a_newer_one(
    api: Api, browser: Browser, conn: psycopg.Connection[Any], database_url: str,
    role: str, path: str, asked: str, shows: str,
) -> None:  # fmt: skip
    found(conn)
    with page_of(browser, database_url, role) as page:
        page.goto(f"{api.url}{path}")
        shown = page.locator(shows)
        expect(shown.first).to_be_visible(timeout=WAIT_MS)
        rows = shown.count()
        stale = page.locator("main .problem .stale")
        expect(stale).to_have_count(0)
        where = re.compile(re.escape(asked))
        page.route(where, lambda route: route.abort())
        look_until(page, lambda: stale.count() > 0)
        expect(stale).to_contain_text(re.compile(r"^stale \d+ s$"))
        assert stale.locator(".shape").count() == 1
        expect(page.locator("main .problem").get_by_role("alert")).not_to_be_empty()
        assert shown.count() == rows
        page.unroute(where)
        look_until(page, lambda: stale.count() == 0)
        assert shown.count() == rows


def look_until(page: Page, is_so: Callable[[], bool]) -> None:
    """Turn to the page again and again until it shows what came of that."""
    deadline = time.monotonic() + WAIT_MS / 1_000
    while not is_so():
        assert time.monotonic() < deadline, "it never happened"
        page.evaluate(LOOK)
        page.wait_for_timeout(100)
