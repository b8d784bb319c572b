"""Every page, and every part of one that has an address: what all of them keep to is tested at each."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from playwright.sync_api import Browser, Page, expect

from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.browser.test_client_page import PLANS
from tests.browser.test_operations import REJECTED
from tests.browser.test_warehouse import ORDERS, PROPOSALS
from tests.integration.api_client import new_session, new_user
from tests.integration.api_thread import Api


@dataclass(frozen=True)
class Place:
    """A page, or a part of it with an address, who opens it, and what shows that it is there."""

    path: str
    role: str
    shows: str


PLACES: Final = (
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
NAMES: Final = [f"{place.path or 'sign-in'} of {place.role or 'nobody'}" for place in PLACES]


def found(conn: psycopg.Connection[Any]) -> None:
    """Make a company that has something to show at every place."""
    for statements in (REFERENCE, PLANS, ORDERS, PROPOSALS, REJECTED):
        conn.execute(statements)


@contextmanager
def page_of(browser: Browser, database_url: str, role: str) -> Iterator[Page]:
    """A page of somebody with a role; of nobody, if it is none."""
    token = None
    if role:
        user = new_user(
            database_url, "ana", role,
            technician_id=1 if role == "technician" else None,
            client_id=1 if role == "client" else None,
        )  # fmt: skip
        token = new_session(database_url, user)
    with opened_page(browser, ["401"], token) as page:
        yield page


def go(page: Page, api: Api, place: Place, query: str = "") -> None:
    path, _, hash_ = place.path.partition("#")
    page.goto(f"{api.url}{path}{query}#{hash_}")
    expect(page.locator(place.shows).first).to_be_visible(timeout=WAIT_MS)
