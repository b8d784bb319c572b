"""One's own account: the password, the sessions, and who looked at one's van."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from api import passwords
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.integration.api_client import new_session, new_user

PASSWORD = "correct horse battery staple"
NEW = "a ladder in the attic 7"


@pytest.fixture
def ana_page(browser: Browser, conn: psycopg.Connection[Any], database_url: str) -> Iterator[Page]:
    """A page of somebody who has a password and is signed in."""
    ana = new_user(database_url, "ana", "planner")
    conn.execute("UPDATE app_user SET password_hash = %s", (passwords.hashed(PASSWORD),))
    with opened_page(browser, ["401", "422"], new_session(database_url, ana)) as page:
        yield page


def fill(page: Page, old: str, new: str, again: str) -> None:
    page.get_by_label("The password so far").fill(old)
    page.get_by_label("The new one", exact=True).fill(new)
    page.get_by_label("The new one again").fill(again)
    page.get_by_role("button", name="Change", exact=True).click()


def test_a_password_is_changed_after_what_was_wrong_has_been_said(
    api: Any, ana_page: Page, conn: psycopg.Connection[Any]
) -> None:
    page = ana_page
    page.goto(f"{api.url}account/")
    page.get_by_role("button", name="Change the password").click()
    problem = page.get_by_role("dialog").get_by_role("alert")
    fill(page, PASSWORD, NEW, NEW + "8")
    expect(problem).to_have_text("The two new passwords differ.", timeout=WAIT_MS)
    fill(page, "not mine at all", NEW, NEW)
    expect(problem).to_contain_text("do not belong together", timeout=WAIT_MS)
    fill(page, PASSWORD, "short", "short")
    expect(problem).to_contain_text("12", timeout=WAIT_MS)
    fill(page, PASSWORD, NEW, NEW)
    expect(page.get_by_text("The password is changed.")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("dialog")).to_have_count(0)
    # The session goes on, with its new token.
    page.get_by_role("button", name="Sign out everywhere").click()
    page.get_by_role("dialog").get_by_role("button", name="Sign out everywhere").click()
    expect(page.get_by_role("form", name="Sign in")).to_be_visible(timeout=WAIT_MS)
    assert conn.execute("SELECT count(*) FROM user_session").fetchone() == (0,)


def test_technicians_see_who_looked_at_their_van_and_what_is_kept(
    api: Any, browser: Browser, conn: psycopg.Connection[Any], database_url: str
) -> None:
    conn.execute(REFERENCE)
    driver = new_user(database_url, "tec", "technician", technician_id=1)
    conn.execute(
        "INSERT INTO access_log VALUES"
        " (1, 1, '2026-11-20 08:00Z', 'track', 'eve', 1, 'Eve', 'planner'),"
        " (1, 2, '2026-11-20 08:00Z', 'track', 'eve', NULL, 'Eve', 'planner')"
    )
    with opened_page(browser, [], new_session(database_url, driver)) as page:
        page.goto(f"{api.url}account/")
        log = page.get_by_role("region", name="Who looked at where my van is")
        expect(log.get_by_role("row")).to_have_count(2, timeout=WAIT_MS)
        expect(log).to_contain_text("its way")
        kept = page.get_by_role("region", name="What is kept")
        expect(kept).to_contain_text("62 days")
