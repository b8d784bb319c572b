"""Pages speak nine languages, and choose plurals as gettext does."""

import json
from gettext import c2py
from typing import Any

import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import Browser, Page, expect

from storage import words
from tests.browser.company import WAIT_MS

TRANSLATED = words.languages()[1:]
WEB = words.LOCALES.parents[1] / "api/web/locales"


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Page:
    return browser.new_page()


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_page_takes_the_form_of_a_plural_that_gettext_takes(blank: Page, language: str) -> None:
    with (words.LOCALES / f"{language}.po").open("rb") as file:
        form = c2py(read_po(file, locale=language).plural_expr)
    plural = json.loads((WEB / f"{language}.json").read_text())["plural"]
    locale = {"pt": "pt-PT"}.get(language, language)
    numbers = [*range(1_001), 1_000_000]
    said = blank.evaluate(
        "([locale, numbers]) => numbers.map((n) => new Intl.PluralRules(locale).select(n))",
        [locale, numbers],
    )
    assert [plural[category] for category in said] == [int(form(n)) for n in numbers]


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_browser_is_asked_to_sign_in_in_its_own_language(
    api: Any, browser: Browser, language: str
) -> None:
    context = browser.new_context(locale=language)
    page = context.new_page()
    page.goto(api.url)
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(words.words(language).t("Sign in"), timeout=WAIT_MS)
    assert words.words(language).t("Sign in") != "Sign in"
    assert page.evaluate("document.documentElement.lang").startswith(language)
    context.close()


def test_the_invented_language_shows_what_is_not_translated(api: Any, browser: Browser) -> None:
    page = browser.new_page()
    page.goto(f"{api.url}?lang=en-XA")
    expect(page.get_by_role("heading", level=1)).to_contain_text("[Sígñ íñ", timeout=WAIT_MS)
    page.close()
