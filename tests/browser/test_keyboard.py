"""Everything without a mouse: each page is gone through, and its main job done, with keys alone."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import Api
from tests.browser.focus import round_trip
from tests.browser.places import NAMES, PLACES, Place, found, go, page_of

WIDE = (1_280, 600)
NARROW = (400, 700)


@pytest.fixture
def visitor(
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
def test_the_focus_goes_round_both_ways_and_is_always_seen(
    api: Api, visitor: Page, place: Place
) -> None:
    go(visitor, api, place)
    faults = []
    for width, height in (WIDE, NARROW):
        visitor.set_viewport_size({"width": width, "height": height})
        for key in ("Tab", "Shift+Tab"):
            faults += [f"{width} {key} {it}" for it in round_trip(visitor, key)]
    assert not faults, "\n".join(faults)
