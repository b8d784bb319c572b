"""What a page downloads for a spreadsheet has the rows of the database."""

import csv
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.company import WAIT_MS
from tests.browser.places import found, page_of
from tests.integration.api_thread import Api

Database = psycopg.Connection[Any]
Cells = dict[str, Callable[[str], Any]]

FORMULAS = """
UPDATE item SET name = '=1+1' WHERE ref = 'PUMP';
UPDATE resupply_line SET picked = 4, shipped = 3, received = 1 WHERE order_id = 1 AND item_id = 1;
UPDATE resupply_order SET cutoff_at = '2026-10-25 01:30Z' WHERE order_id = 2;
"""
LINES = """
SELECT o.code, van.code, site.code, item.ref, CASE WHEN item.ref = 'PUMP' THEN '''=1+1' ELSE item.name END,
       requested, shipped, received, o.cutoff_at
FROM resupply_line AS line JOIN resupply_order AS o USING (order_id) JOIN item USING (item_id)
JOIN location ON location.location_id = o.location_id JOIN van USING (van_id) LEFT JOIN site ON site.site_id = o.site_id
"""
CODES = """
SELECT convert_from(code, 'UTF8'), count(*), count(DISTINCT van_id), min(t), max(t) FROM scan
WHERE status = 'unknown_code' GROUP BY code
"""
VISITS = """
SELECT site.code, site.name, arrived_at, left_at, uncertain FROM visit JOIN site USING (site_id)
"""


def or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: read(text) if text else None


TEXT, MOMENT = or_none(str), or_none(datetime.fromisoformat)


def downloaded(page: Page, name: str) -> list[dict[str, str]]:
    """Follow a link, and read what it brings as a spreadsheet does."""
    link = page.get_by_role("link", name=name, exact=True)
    expect(link).to_be_visible(timeout=WAIT_MS)
    with page.expect_download() as brought:
        link.click()
    assert brought.value.suggested_filename.endswith("-2026-11-20.csv")
    with brought.value.path().open(encoding="utf-8", newline="") as file:
        text = file.read()
    assert text.startswith("\ufeff")
    return list(csv.DictReader(text[1:].splitlines()))


@pytest.mark.parametrize(
    ("role", "path", "link", "of", "cells"),
    [
        ("warehouse", "warehouse/", "Order lines as CSV", LINES,
         {"order": TEXT, "van": TEXT, "site": TEXT, "item": TEXT, "name": TEXT, "requested": int,
          "shipped": int, "received": int, "cutoff_at": MOMENT}),
        ("ops", "operations/#view=rejected", "Download as CSV", CODES,
         {"code": TEXT, "scans": int, "vans": int, "first": MOMENT, "last": MOMENT}),
        ("client", "client/", "Download as CSV", VISITS,
         {"site": TEXT, "site_name": TEXT, "arrived_at": MOMENT, "left_at": MOMENT, "uncertain": "true".__eq__}),
    ],
)  # fmt: skip
def test_the_rows_of_a_downloaded_list_are_those_of_the_database(
    api: Api, browser: Browser, conn: Database, database_url: str,
    role: str, path: str, link: str, of: str, cells: Cells,
) -> None:  # fmt: skip
    found(conn)
    conn.execute(FORMULAS)
    with page_of(browser, database_url, role) as page:
        page.goto(f"{api.url}{path}")
        rows = downloaded(page, link)
    stored = conn.execute(of).fetchall()
    told = [tuple(read(row[name]) for name, read in cells.items()) for row in rows]
    assert len(told) > 0
    assert sorted(told, key=repr) == sorted(stored, key=repr)
