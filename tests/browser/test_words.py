"""Pages speak nine languages, and choose plurals as gettext does."""

import json
from collections.abc import Iterator
from gettext import c2py
from typing import Any

import psycopg
import pytest
from babel.messages.pofile import read_po
from playwright.sync_api import Browser, Page, expect
from psycopg.types.json import Jsonb

from stock_tracker.resupply.replenish import Policy, Position, inputs
from storage import words
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.browser.test_warehouse import ORDERS, PROPOSALS
from tests.integration.api_client import new_session, new_user

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


#: What is still in English where every sentence of the page has lost its brackets, and what is in them.
LEFT = """
text => {
  let left = text;
  for (let before = null; before !== left; ) [before, left] = [left, left.replace(/\\[[^\\[\\]]*\\]/g, "")];
  return left.match(/[a-z]{3,}/gi) ?? [];
}
"""


@pytest.fixture
def admin_page(
    browser: Browser, conn: psycopg.Connection[Any], database_url: str
) -> Iterator[Page]:
    conn.execute(REFERENCE)
    user = new_user(database_url, "ada", "admin")
    with opened_page(browser, ["404"], new_session(database_url, user)) as page:
        yield page


def test_what_things_are_kept_for_is_said_in_the_readers_language(
    api: Any, admin_page: Page
) -> None:
    page = admin_page
    page.goto(f"{api.url}account/?lang=en-XA")
    purposes = page.locator("section[aria-labelledby=kept] tbody .wide")
    expect(purposes).to_have_count(6, timeout=WAIT_MS)
    for text in purposes.all_inner_texts():
        assert page.evaluate(LEFT, text) == []


def test_why_something_is_ordered_is_said_in_the_readers_language(
    api: Any, admin_page: Page, conn: psycopg.Connection[Any]
) -> None:
    page = admin_page
    conn.execute(ORDERS)
    conn.execute(PROPOSALS)
    decided = inputs(Position(1, 2, 1_300, 0, Policy(1_400, 1_500, 1_550, 60)))
    conn.execute("UPDATE resupply_line SET inputs = %s WHERE item_id = 1", [Jsonb(decided)])
    conn.execute("UPDATE proposal SET inputs = %s WHERE item_id = 1", [Jsonb(decided)])
    page.goto(f"{api.url}warehouse/?lang=en-XA#order=R-1")
    line = page.locator("cordee-order tbody[data-key='FIL-20'] details")
    line.locator("summary").click(timeout=WAIT_MS)
    expect(line).to_contain_text("1,300")
    assert page.evaluate(LEFT, line.inner_text()) == []
    page.goto(f"{api.url}warehouse/?lang=en-XA#view=shortages")
    shortages = page.locator("cordee-shortages")
    shortages.locator("tbody button").first.click(timeout=WAIT_MS)
    why = shortages.locator(".detail p")
    expect(why).to_contain_text("1,300", timeout=WAIT_MS)
    assert page.evaluate(LEFT, why.inner_text()) == []


def test_what_is_written_to_vans_by_itself_is_said_in_the_readers_language(
    api: Any, admin_page: Page
) -> None:
    page = admin_page
    page.add_init_script("localStorage.setItem('cordee.language', 'de')")
    page.goto(f"{api.url}account/")
    said = page.evaluate("""async () => {
      const { textOf } = await import("/base/told_by_cordee.js");
      const texts = ["V2 has 3 of Pump (big) (P-1) for you: your ways cross.", "R-1 is on its way: 2 lines, to your home.", "Something else."];
      return [...texts.map((text) => textOf({ author: null, text })), textOf({ author: "Ana", text: texts[0] }), textOf({ author: null, from_base: false, text: texts[1] }), textOf({ mine: true, text: texts[1] })];
    }""")
    assert said == [
        "V2 hat 3 × Pump (big) (P-1) für Sie: Ihre Wege kreuzen sich.",
        "R-1 ist unterwegs: 2 Zeile(n), zu Ihnen nach Hause.",
        "Something else.",
        "V2 has 3 of Pump (big) (P-1) for you: your ways cross.",
        "R-1 is on its way: 2 lines, to your home.",
        "R-1 is on its way: 2 lines, to your home.",
    ]


def test_what_went_wrong_is_said_in_the_readers_language_first(api: Any, admin_page: Page) -> None:
    page = admin_page
    for language, words_ in (("de", "Dieses Fahrzeug gibt es nicht. "), ("en", "")):
        page.add_init_script(f"localStorage.setItem('cordee.language', '{language}')")
        page.goto(f"{api.url}account/")
        said = page.evaluate("""async () => {
          const { read } = await import("/base/session.js");
          return read("/v1/vans/X9").catch((problem) => problem.message);
        }""")
        assert said == f"{words_}There is no van 'X9'."
