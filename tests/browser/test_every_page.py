"""Every page in every theme: nothing that axe finds wrong, and room for words that are longer than English ones."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from tests.browser import axe
from tests.browser.places import NAMES, PLACES, Place, found, go, page_of
from tests.integration.api_thread import Api


@pytest.fixture
def page(
    request: pytest.FixtureRequest,
    browser: Browser,
    conn: psycopg.Connection[Any],
    database_url: str,
) -> Iterator[Page]:
    """A page of whoever the place is for."""
    found(conn)
    with page_of(browser, database_url, request.node.callspec.params["place"].role) as page:
        yield page


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
