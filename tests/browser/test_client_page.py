"""What a client sees of its own sites, and that it sees no others."""

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, expect

from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import opened_page
from tests.integration.api_client import new_session, new_user

PLANS = """
INSERT INTO client (client_id, organisation_id, code, name) VALUES (1, 1, 'DUPONT', 'Dupont');
UPDATE site SET client_id = 1;
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (2, 1, 'RIVAL', 'Rival', 45.7, 4.8, 100);
INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (2, 'TOUR2', 1, '2026-11-23');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,
                  planned_duration_s, work_order)
VALUES (2, 1, 2, 2, '2026-11-20 09:00Z', '2026-11-20 10:00Z', 3600, 'SECRET'),
       (3, 2, 1, 1, '2026-11-23 09:00Z', '2026-11-23 10:00Z', 3600, 'WO-77');
INSERT INTO eta (stop_id, made_time, early_at, expected_at, late_at, chance_late)
VALUES (1, '2026-11-20 09:00Z', '2026-11-20 09:15Z', '2026-11-20 09:20Z', '2026-11-20 09:35Z', 1);
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict,
                   uncertain, ignition_off, centre_mm_sum, service_date, punctuality)
VALUES (1, 1, '2026-11-18 09:00Z', '2026-11-18 09:42Z', '2026-11-18 09:43Z', '2026-11-18 09:45Z',
        'visit', false, true, 1, '2026-11-18', 'unplanned');
INSERT INTO visit_report VALUES ('V1', 'e', 9, 0, 1, '2026-11-18 09:40Z', 'BAKERY', NULL, 'Filter replaced.',
  NULL, NULL, 'Mme Dupont', NULL, 'M0 0', NULL, false, '2026-11-18 09:41Z');
"""


SECOND = """
INSERT INTO site (site_id, organisation_id, client_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (3, 1, 1, 'LONG', 'Supermarché de la Porte de Clermont-Ferrand 19471', 45.7, 4.8, 100);
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (4, 2, 2, 3, '2026-11-23 11:00Z', '2026-11-23 12:00Z', 3600);
"""


@pytest.mark.parametrize("width", [1280, 320])
def test_a_client_sees_when_somebody_comes_and_what_was_done_at_its_own_sites_only(
    api: Any, browser: Browser, conn: psycopg.Connection[Any], database_url: str, width: int
) -> None:
    conn.execute(REFERENCE)
    conn.execute(PLANS)
    user = new_user(database_url, "dupont", "client", client_id=1)
    with opened_page(browser, [], new_session(database_url, user)) as page:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{api.url}client/")
        today = page.get_by_role("article")
        expect(today).to_have_count(1, timeout=WAIT_MS)
        expect(today).to_contain_text("Bakery <b>Dupont</b> & fils")
        expect(today).to_contain_text("Expected between 10:15")
        expect(today).to_contain_text("scheduled")
        expect(page.get_by_role("region", name="The next two weeks")).to_contain_text("WO-77")
        done = page.get_by_role("region", name="Visits of the last 31 days")
        done.get_by_role("button", name="Details of Bakery").click()
        expect(done).to_contain_text("42 min")
        expect(done).to_contain_text("No parts were used.")
        expect(done).to_contain_text("Signed by Mme Dupont.")
        paper = done.get_by_role("link", name="Visit report (PDF)").get_attribute("href")
        assert page.request.get(f"{api.url}{paper[1:]}").body().startswith(b"%PDF")
        sheet = done.get_by_role("link", name="Download as CSV").get_attribute("href")
        assert "Filter replaced." in page.request.get(f"{api.url}{sheet[1:]}").text()
        assert "Rival" not in page.content()
        assert "SECRET" not in page.content()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_choice_among_sites_with_long_names_fits_a_window_of_320_pixels(
    api: Any, browser: Browser, conn: psycopg.Connection[Any], database_url: str
) -> None:
    for statements in (REFERENCE, PLANS, SECOND):
        conn.execute(statements)
    user = new_user(database_url, "dupont", "client", client_id=1)
    with opened_page(browser, [], new_session(database_url, user)) as page:
        page.set_viewport_size({"width": 320, "height": 640})
        page.goto(f"{api.url}client/")
        choice = page.get_by_role("combobox", name="Site")
        expect(choice).to_contain_text("Supermarché", timeout=WAIT_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
