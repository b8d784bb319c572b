"""What somebody sees who is not signed in, signs in, may see less than others, or is signed out."""

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from api import passwords
from tests.browser.conftest import opened_page
from tests.browser.test_page import REFERENCE, WAIT_MS, live, move, row
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


def test_a_stranger_sees_a_form_and_after_signing_in_the_page_at_the_same_address(
    api: Any, strangers_page: Page, ana: str
) -> None:
    page = strangers_page
    page.goto(f"{api.url}#van=V2")
    form = page.get_by_role("form", name="Sign in")
    expect(form).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_label("Login")).to_be_focused()
    expect(page.locator("#work")).to_be_hidden()
    expect(page.get_by_label("Password")).to_have_attribute("type", "password")
    expect(page.get_by_label("Password")).to_have_attribute("autocomplete", "current-password")
    sign_in(page)
    live(page)
    expect(form).to_have_count(0)
    assert page.url == f"{api.url}#van=V2"
    expect(page.locator("#person")).to_contain_text("Ana Diaz")
    expect(page.locator("#person")).to_contain_text("planner")
    expect(row(page, "vans", "V2")).to_have_class("selected")
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


def test_a_browser_in_french_is_asked_in_french(api: Any, browser: Browser, ana: str) -> None:
    context = browser.new_context(locale="fr-FR")
    page = context.new_page()
    page.goto(api.url)
    expect(page.get_by_role("form", name="Connexion")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_label("Mot de passe")).to_be_visible()
    context.close()


def test_who_signs_out_leaves_nothing_on_the_page(
    api: Any, strangers_page: Page, ana: str, conn: psycopg.Connection[Any]
) -> None:
    page = strangers_page
    page.goto(f"{api.url}#van=V1")
    sign_in(page)
    live(page)
    expect(row(page, "vans", "V1")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("form", name="Sign in")).to_be_visible(timeout=WAIT_MS)
    expect(row(page, "vans", "V1")).to_have_count(0)
    assert page.url == f"{api.url}#van=V1"
    assert conn.execute("SELECT count(*) FROM user_session").fetchone() == (0,)


def test_a_session_that_is_ended_elsewhere_leads_back_to_the_form_at_the_same_address(
    api: Any, page: Page, ana: str, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("401")
    page.goto(f"{api.url}#van=V2")
    live(page)
    expect(row(page, "vans", "V1")).to_be_visible()
    conn.execute("UPDATE app_user SET state = 'disabled' WHERE login = 'admin-1'")
    expect(page.get_by_role("form", name="Sign in")).to_be_visible(timeout=WAIT_MS)
    expect(page.get_by_role("alert")).to_contain_text("Your session is over")
    expect(row(page, "vans", "V1")).to_have_count(0)
    sign_in(page)
    live(page)
    assert page.url == f"{api.url}#van=V2"
    expect(row(page, "vans", "V2")).to_have_class("selected")


PANELS = ("figures", "alerts", "vans", "visits", "map", "orders", "stock", "rejected")
SEEN = {
    "planner": {"figures", "alerts", "vans", "visits", "map", "orders", "stock"},
    "warehouse": {"figures", "orders", "stock"},
    "technician": {"alerts", "vans", "visits", "map", "orders", "stock"},
    "ops": {"figures", "rejected"},
    "admin": set(PANELS),
    "client": set[str](),
}


@pytest.mark.parametrize("role", SEEN)
def test_each_role_sees_its_own_panels_and_rows(
    api: Any,
    browser: Browser,
    conn: psycopg.Connection[Any],
    database_url: str,
    role: Any,
) -> None:
    conn.execute(REFERENCE)
    conn.execute("INSERT INTO client (organisation_id, code, name) VALUES (1, 'DUPONT', 'Dupont')")
    move(conn, 1)
    move(conn, 2)
    login = new_user(
        database_url,
        f"my-{role}",
        role,
        technician_id=1 if role == "technician" else None,
        client_id=1 if role == "client" else None,
    )
    with opened_page(browser, [], new_session(database_url, login)) as page:
        page.goto(api.url)
        expect(page.locator("#person")).to_be_visible(timeout=WAIT_MS)
        if role != "client":
            live(page)
        for panel in PANELS:
            visible = panel in SEEN[role]
            expect(page.locator(f"#{panel}")).to_be_visible(visible=visible)
        if role == "technician":
            expect(row(page, "vans", "V1")).to_be_visible()
            expect(row(page, "vans", "V2")).to_have_count(0)
        if role == "warehouse":
            expect(row(page, "stock", "FIL-20")).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_form_and_the_name_fit(api: Any, strangers_page: Page, ana: str, width: int) -> None:
    page = strangers_page
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(api.url)
    expect(page.get_by_role("form", name="Sign in")).to_be_visible(timeout=WAIT_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sign_in(page)
    live(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
