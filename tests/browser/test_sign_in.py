"""What somebody sees who is not signed in, signs in, comes as one role or another, or is signed out."""

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from api import passwords
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.integration.api_client import new_session, new_user

PASSWORD = "correct horse battery staple"
PASSWORD_HASH = passwords.hashed(PASSWORD)


@pytest.fixture
def ana(conn: psycopg.Connection[Any]) -> str:
    conn.execute(REFERENCE)
    conn.execute(
        "INSERT INTO app_user (organisation_id, login, name, role, password_hash)"
        " VALUES (1, 'ana', 'Ana Diaz', 'planner', %s)",
        (PASSWORD_HASH,),
    )
    return "ana"


def sign_in(page: Page, login: str = "ana", password: str = PASSWORD) -> None:
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_label("Password").press("Enter")


def live(page: Page) -> None:
    expect(page.locator(".connection")).to_have_text("live", timeout=WAIT_MS)


def form(page: Page) -> Locator:
    return page.get_by_role("form", name="Sign in")


def test_a_stranger_signs_in_and_comes_to_the_first_page_of_the_role_at_the_same_place(
    api: Any, strangers_page: Page, ana: str
) -> None:
    page = strangers_page
    page.goto(f"{api.url}#van=V2")
    expect(form(page)).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_label("Login")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_attribute("type", "password")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    sign_in(page)
    live(page)
    expect(form(page)).to_have_count(0)
    assert page.url.startswith(f"{api.url}planner/#")
    assert "van=V2" in page.url
    expect(page.get_by_role("link", name="Planning")).to_have_attribute("aria-current", "page")
    assert "cordee" not in page.evaluate("document.cookie")


def test_a_wrong_password_is_said_in_words_and_can_be_typed_again(
    api: Any, strangers_page: Page, ana: str
) -> None:
    page = strangers_page
    page.goto(api.url)
    sign_in(page, password="wrong")
    problem = page.get_by_role("alert")
    expect(problem).to_have_text("Login and password do not belong together.", timeout=WAIT_MS)
    expect(page.get_by_label("Password")).to_be_focused()
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    sign_in(page)
    live(page)


def test_who_signs_out_is_back_at_the_form_and_leaves_no_session(
    api: Any, strangers_page: Page, ana: str, conn: psycopg.Connection[Any]
) -> None:
    page = strangers_page
    page.goto(api.url)
    sign_in(page)
    live(page)
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(api.url, timeout=WAIT_MS)
    expect(form(page)).to_be_visible(timeout=WAIT_MS)
    assert conn.execute("SELECT count(*) FROM user_session").fetchone() == (0,)


def test_a_session_that_is_ended_elsewhere_leads_back_to_the_form_at_the_same_address(
    api: Any, page: Page, ana: str, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("401")
    page.goto(f"{api.url}operations/#view=vans")
    live(page)
    conn.execute("UPDATE app_user SET state = 'disabled' WHERE login = 'admin-1'")
    expect(form(page)).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("alert")).to_contain_text("Your session is over")
    assert page.url == f"{api.url}operations/#view=vans"


FIRST = {
    "planner": "planner",
    "warehouse": "warehouse",
    "technician": "van",
    "client": "client",
    "ops": "operations",
    "admin": "planner",
}


@pytest.mark.parametrize("role", FIRST)
def test_each_role_is_led_to_its_own_page_and_away_from_others(
    api: Any, browser: Browser, conn: psycopg.Connection[Any], database_url: str, role: Any
) -> None:
    conn.execute(REFERENCE)
    conn.execute("INSERT INTO client (organisation_id, code, name) VALUES (1, 'DUPONT', 'Dupont')")
    login = new_user(
        database_url,
        f"my-{role}",
        role,
        technician_id=1 if role == "technician" else None,
        client_id=1 if role == "client" else None,
    )
    others = "van" if role == "admin" else "operations"
    with opened_page(browser, ["403", "404"], new_session(database_url, login)) as page:
        for path in ("", others + "/" if FIRST[role] != others else ""):
            page.goto(f"{api.url}{path}")
            page.wait_for_url(f"**/{FIRST[role]}/**", timeout=WAIT_MS)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_form_and_the_name_fit(api: Any, strangers_page: Page, ana: str, width: int) -> None:
    page = strangers_page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(api.url)
    expect(form(page)).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sign_in(page)
    live(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
