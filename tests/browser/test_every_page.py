"""Every page in every theme: nothing that axe finds wrong, and room for words that are longer than English ones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import axe
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import Api, opened_page
from tests.browser.test_client_page import PLANS
from tests.browser.test_operations import REJECTED
from tests.browser.test_warehouse import ORDERS, PROPOSALS
from tests.integration.api_client import new_session, new_user


@dataclass(frozen=True)
class Place:
    """A page, or a part of it with an address, who opens it, and what shows that it is there."""

    path: str
    role: str
    shows: str


PLACES = (
    Place("", "", "input[type=password]"),
    Place("planner/", "planner", ".gantt-row"),
    Place("planner/#van=V1", "planner", "cordee-van-card"),
    Place("planner/#site=BAKERY", "planner", "cordee-site-card"),
    Place("warehouse/", "warehouse", ".lane li"),
    Place("warehouse/#order=R-1", "warehouse", "cordee-order tbody"),
    Place("warehouse/#view=shortages", "warehouse", "cordee-shortages tbody tr"),
    Place("warehouse/#view=waiting", "warehouse", "cordee-shortages tbody tr"),
    Place("van/", "technician", "van-scan"),
    Place("client/", "client", "tbody tr"),
    Place("operations/", "ops", "main h2"),
    Place("operations/#view=vans", "ops", "tbody tr"),
    Place("operations/#view=rejected", "ops", "tbody tr"),
    Place("operations/#view=webhooks", "ops", ".panel"),
    Place("operations/#view=audit", "ops", ".panel"),
    Place("account/", "planner", ".panel"),
    Place("account/", "technician", ".panel"),
)
NAMES = [f"{place.path or 'sign-in'} of {place.role or 'nobody'}" for place in PLACES]


@pytest.fixture
def company(conn: psycopg.Connection[Any]) -> None:
    for statements in (REFERENCE, PLANS, ORDERS, PROPOSALS, REJECTED):
        conn.execute(statements)


@pytest.fixture
def page(
    request: pytest.FixtureRequest, browser: Browser, company: None, database_url: str
) -> Iterator[Page]:
    """A page of whoever the place is for."""
    role = request.node.callspec.params["place"].role
    token = None
    if role:
        user = new_user(
            database_url, "ana", role,
            technician_id=1 if role == "technician" else None,
            client_id=1 if role == "client" else None,
        )  # fmt: skip
        token = new_session(database_url, user)
    with opened_page(browser, ["401"], token) as page:
        page.emulate_media(reduced_motion="reduce")  # or colours would be those between two themes
        yield page


def go(page: Page, api: Api, place: Place, query: str = "") -> None:
    path, _, hash_ = place.path.partition("#")
    page.goto(f"{api.url}{path}{query}#{hash_}")
    expect(page.locator(place.shows).first).to_be_visible(timeout=WAIT_MS)


@pytest.mark.parametrize("place", PLACES, ids=NAMES)
def test_axe_finds_nothing_wrong_in_any_theme(api: Api, page: Page, place: Place) -> None:
    go(page, api, place)
    for theme in ("light", "dark", "sunlight"):
        page.evaluate(f"(async () => (await import('/base/theme.js')).wear('{theme}'))()")
        assert axe.violations(page) == [], theme


@pytest.mark.parametrize("place", PLACES, ids=NAMES)
def test_longer_words_fit_and_none_is_left_in_english(api: Api, page: Page, place: Place) -> None:
    go(page, api, place, "?lang=en-XA")
    for width in (1_440, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    # In this language every sentence stands in brackets.
    said = page.locator("h1, h2, button, label, legend, .empty").all_inner_texts()
    words = [text.strip() for text in said if text.strip()]
    assert any(text.startswith("[") for text in words)
