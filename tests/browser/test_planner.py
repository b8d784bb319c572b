"""What a planner does all day: sees what goes wrong, looks, acts, and takes back."""

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from storage.settings import as_datetime
from tests.browser.conftest import NOW_MS, opened_page
from tests.integration.api_client import new_session, new_user

MINUTE_MS = 60_000
WAIT_MS = 15_000

#: Two vans with a tour of two stops each; V1's first was done, its second has a window to 09:50.
DAY = """
INSERT INTO technician (technician_id, organisation_id, code, name)
VALUES (1, 1, 'T1', 'Ana Diaz'), (2, 1, 'T2', 'Bo Klein');
INSERT INTO warehouse (warehouse_id, organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 1, 'LYON', 'Lyon', 45.7, 4.8);
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20');
INSERT INTO van_template (template_id, code) VALUES (1, 'HVAC');
INSERT INTO template_line (template_id, item_id, reorder_point, order_up_to, cap)
VALUES (1, 1, 4, 10, 12);
INSERT INTO van (van_id, organisation_id, code, name, technician_id, template_id, warehouse_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1, 1, 1), (2, 1, 'V2', 'Kangoo 2', 2, 1, 1);
INSERT INTO location (location_id, organisation_id, kind, van_id)
VALUES (101, 1, 'van', 1), (102, 1, 'van', 2);
INSERT INTO level VALUES (101, 1, '', 3, NULL);
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 1, 'BAKERY', 'Bakery <b>Dupont</b> & fils', 45.75, 4.85, 100),
       (2, 1, 'SCHOOL', 'School', 45.76, 4.86, 80), (3, 1, 'CLINIC', 'Clinic', 45.74, 4.84, 80);
INSERT INTO tour (tour_id, code, van_id, service_date)
VALUES (1, 'TOUR1', 1, '2026-11-20'), (2, 'TOUR2', 2, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,
                  planned_duration_s, planned_arrival)
VALUES (1, 1, 1, 1, '2026-11-20 07:00Z', '2026-11-20 08:00Z', 3600, '2026-11-20 07:10Z'),
       (2, 1, 2, 2, '2026-11-20 08:10Z', '2026-11-20 08:50Z', 1800, '2026-11-20 08:20Z'),
       (3, 2, 1, 3, '2026-11-20 09:30Z', '2026-11-20 11:30Z', 1800, '2026-11-20 10:00Z');
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict,
                   uncertain, ignition_off, service_date, stop_id, punctuality)
VALUES (1, 1, '2026-11-20 07:12Z', '2026-11-20 08:40Z', '2026-11-20 08:41Z', '2026-11-20 08:43Z',
        'visit', false, true, '2026-11-20', 1, 'on_time');
INSERT INTO van_position VALUES
  (1, '2026-11-20 08:59Z', 45.755, 4.855, 12, 90, true, '2026-11-20 08:59:01Z'),
  (2, '2026-11-20 08:59Z', 45.741, 4.841, 0, NULL, false, '2026-11-20 08:59:01Z');
"""
LATE = """
INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, minutes, told, raised_time,
                   changed_time)
VALUES (1, 2, 'late', '2026-11-20 08:50Z', 'open', 'not arrived when the window ended', 10, true,
        '2026-11-20 08:50Z', '2026-11-20 08:50Z')
"""


@pytest.fixture
def planner(browser: Browser, database_url: str, expected_errors: list[str]) -> Any:
    """A page of Ana, a planner, on a day of two vans."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(DAY)
    token = new_session(database_url, new_user(database_url, "ana", "planner"))
    with opened_page(browser, expected_errors, token) as page:
        yield page


def open_at(page: Page, url: str, place: str = "") -> None:
    page.goto(f"{url}planner/{place}")
    expect(page.locator(".connection")).to_have_text("live", timeout=WAIT_MS)


def tell(conn: psycopg.Connection[Any], statement: str) -> None:
    """Write something as ingest would, so that pages hear of it."""
    with conn.transaction():
        conn.execute(statement)
        conn.execute("NOTIFY cordee")


def group(page: Page, name: str) -> Locator:
    return page.locator(f"[data-group={name}]")


def drawer(page: Page) -> Locator:
    return page.locator("cordee-drawer")


def test_a_van_goes_late_and_the_planner_acknowledges_it_and_takes_that_back(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    open_at(planner, api.url)
    expect(group(planner, "new")).to_contain_text("Nobody is late")
    tell(conn, LATE)
    new = group(planner, "new").locator("li")
    expect(new).to_contain_text("+10 min", timeout=WAIT_MS)
    expect(new).to_contain_text("2. School")
    expect(planner).to_have_title(re.compile(r"^\(1\) "))
    expect(planner.locator("[data-kpi=late] .value")).to_have_text("1")
    expect(planner.locator("cordee-queue [role=status]")).to_contain_text("A new alert: V1 late")
    planner.keyboard.press("j")
    expect(drawer(planner)).to_contain_text("not arrived when the window ended")
    planner.keyboard.press("a")
    expect(group(planner, "mine").locator("li")).to_contain_text("School", timeout=WAIT_MS)
    expect(planner).to_have_title(re.compile("^Planning"))
    expect(drawer(planner)).to_contain_text("acknowledged it")
    by = "SELECT acknowledged_by FROM alert_handling"
    assert conn.execute(by).fetchone() == ("ana",)
    planner.get_by_role("button", name="Undo").click()
    expect(group(planner, "new").locator("li")).to_contain_text("School", timeout=WAIT_MS)
    assert conn.execute(by).fetchone() == (None,)


def test_an_alert_is_put_off_and_given_a_cause_and_its_history_says_who_did_it(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LATE)
    open_at(planner, api.url)
    planner.keyboard.press("j")
    expect(drawer(planner)).to_contain_text("School")
    planner.keyboard.press("s")
    planner.get_by_label("30 minutes").check()
    planner.get_by_role("dialog").get_by_role("button", name="Put off").click()
    expect(group(planner, "snoozed").locator(".badge")).to_have_text("1", timeout=WAIT_MS)
    drawer(planner).get_by_role("button", name="Assign, cause…").click()
    planner.get_by_label("Cause").select_option("traffic")
    planner.get_by_label("Note").fill("called the school")
    planner.get_by_label("Who sees to it").select_option("ana")
    planner.get_by_role("dialog").get_by_role("button", name="Save").click()
    for words in ("put it off until 10:3", "cause: Traffic", "note: called the school"):
        expect(drawer(planner)).to_contain_text(words, timeout=WAIT_MS)
    handling = "SELECT cause, note, owner, snoozed_until FROM alert_handling"
    cause, note, owner, until = conn.execute(handling).fetchone() or ()
    assert (cause, note, owner) == ("traffic", "called the school", "ana")
    assert as_datetime(NOW_MS + 30 * MINUTE_MS) <= until < as_datetime(NOW_MS + 33 * MINUTE_MS)


def test_what_somebody_else_did_meanwhile_is_not_overwritten(
    api: Any, planner: Page, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("412")
    conn.execute(LATE)
    open_at(planner, api.url)
    planner.keyboard.press("j")
    drawer(planner).get_by_role("button", name="Assign, cause…").click()
    planner.get_by_label("Note").fill("mine")
    planner.evaluate(
        """async () => {
          const { change } = await import("/base/session.js");
          const id = location.hash.match(/alert=(\\d+)/)[1];
          await change("PATCH", `/v1/alerts/${id}`, { note: "theirs" }, { "if-match": '"0"' });
        }"""
    )
    planner.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(planner.get_by_role("dialog")).to_contain_text("Somebody has changed this meanwhile")
    assert conn.execute("SELECT note FROM alert_handling").fetchone() == ("theirs",)


def test_a_withdrawn_alert_says_why_it_was_taken_back(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LATE)
    open_at(planner, api.url)
    expect(group(planner, "new").locator("li")).to_have_count(1)
    tell(conn, "UPDATE alert SET state = 'withdrawn', reason = 'arrived at 09:49 after all'")
    expect(group(planner, "new").locator("li")).to_have_count(0, timeout=WAIT_MS)
    group(planner, "handled").get_by_role("button", name="Handled").click()
    withdrawn = group(planner, "handled").locator("li")
    expect(withdrawn).to_contain_text("withdrawn")
    expect(withdrawn).to_contain_text("arrived at 09:49 after all")


def test_single_keys_do_nothing_once_they_are_turned_off_or_while_somebody_types(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(LATE)
    open_at(planner, api.url)
    planner.keyboard.press("?")
    planner.get_by_label("Single keys do something").uncheck()
    planner.keyboard.press("j")
    planner.get_by_role("dialog").get_by_role("button", name="Save").click()
    planner.keyboard.press("j")
    expect(drawer(planner)).to_have_count(0)
    planner.get_by_role("button", name="Keys").click()
    planner.get_by_label("Single keys do something").check()
    planner.get_by_role("dialog").get_by_role("button", name="Save").click()
    planner.keyboard.press("j")
    expect(drawer(planner)).to_contain_text("School")
    planner.keyboard.press("Escape")
    expect(drawer(planner)).to_have_count(0)
