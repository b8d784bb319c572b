"""What a planner does all day: sees what goes wrong, looks, acts, and takes back."""

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from storage.settings import as_datetime
from tests.browser.company import WAIT_MS
from tests.browser.conftest import NOW_MS, opened_page
from tests.integration.api_client import new_session, new_user

MINUTE_MS = 60_000

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
SELECT setval(pg_get_serial_sequence('tour', 'tour_id'), 10),
       setval(pg_get_serial_sequence('stop', 'stop_id'), 10);
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
    assert conn.execute(by).fetchone() == ("user:ana",)
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


def test_a_planner_applies_a_replan_and_takes_it_back_from_the_message_and_from_the_list(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    def vans_at(site: str) -> list[str]:
        query = """
            SELECT van.code FROM stop JOIN tour USING (tour_id) JOIN van USING (van_id)
            JOIN site USING (site_id) WHERE site.code = %s
        """
        return [van for (van,) in conn.execute(query, (site,))]

    open_at(planner, api.url, "#stop=2")
    expect(drawer(planner)).to_contain_text("2. School", timeout=WAIT_MS)
    planner.keyboard.press("m")
    move = drawer(planner).get_by_role("radio", name="Give it to V2 (Bo Klein)")
    move.check(timeout=WAIT_MS)
    # Both vans stand on top, and the stop is where it would be.
    expect(planner.locator(".gantt-row .proposed")).to_have_count(1)
    expect(planner.locator(".gantt-row", has=planner.locator(".proposed"))).to_have_attribute(
        "data-van", "V2"
    )
    assert vans_at("SCHOOL") == ["V1"]
    drawer(planner).get_by_role("button", name="Apply").click()
    said = planner.locator("#said")
    expect(said).to_contain_text("School: from V1 to V2", timeout=WAIT_MS)
    assert vans_at("SCHOOL") == ["V2"]
    expect(planner.locator(".gantt-row[data-van=V2] .stop")).to_have_count(2, timeout=WAIT_MS)
    said.get_by_role("button", name="Undo").click()
    expect(said).to_contain_text("Taken back", timeout=WAIT_MS)
    assert vans_at("SCHOOL") == ["V1"]
    expect(planner.locator(".gantt-row[data-van=V1] .stop")).to_have_count(2, timeout=WAIT_MS)

    planner.locator(".gantt-row[data-van=V1] .stop").nth(1).click()
    drawer(planner).get_by_role("button", name="Move to…").click()
    move.check(timeout=WAIT_MS)
    drawer(planner).get_by_role("button", name="Apply").click()
    expect(said).to_contain_text("School: from V1 to V2", timeout=WAIT_MS)
    planner.get_by_role("tab", name="Replanned").click()
    rows = planner.locator("cordee-replans tbody")
    expect(rows).to_have_count(2, timeout=WAIT_MS)
    expect(rows.nth(1)).to_contain_text("ana")
    rows.first.get_by_role("button", name="Take back").click()
    expect(rows.first.get_by_role("button")).to_have_count(0, timeout=WAIT_MS)
    assert vans_at("SCHOOL") == ["V1"]


def test_a_proposal_that_the_day_has_overtaken_is_refused_in_words(
    api: Any, planner: Page, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("412")
    open_at(planner, api.url, "#stop=2")
    drawer(planner).get_by_role("button", name="Move to…").click(timeout=WAIT_MS)
    move = drawer(planner).get_by_role("radio", name="Give it to V2 (Bo Klein)")
    move.check(timeout=WAIT_MS)
    conn.execute("UPDATE stop SET planned_duration_s = 7200 WHERE stop_id = 3")
    drawer(planner).get_by_role("button", name="Apply").click()
    expect(drawer(planner).get_by_role("alert")).to_contain_text("Ask again", timeout=WAIT_MS)
    drawer(planner).get_by_role("button", name="Ask again").click()
    expect(move).not_to_be_checked(timeout=WAIT_MS)


def stored_fence(conn: psycopg.Connection[Any], site: str) -> tuple[float, Any]:
    found = conn.execute("SELECT radius_m, area FROM site WHERE code = %s", (site,)).fetchone()
    assert found is not None
    return found


def test_a_fence_is_drawn_by_numbers_alone_and_saved_over_what_was_seen(
    api: Any, planner: Page, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("412")
    open_at(planner, api.url, "#site=SCHOOL")
    drawer(planner).get_by_role("button", name="Edit the fence").click(timeout=WAIT_MS)
    radius = planner.get_by_label("Radius, m")
    expect(radius).to_have_value("80")
    radius.press("ArrowUp")
    radius.press("ArrowUp")
    drawer(planner).get_by_role("button", name="Save the fence").press("Enter")
    expect(planner.locator("#said")).to_contain_text("The fence of School is saved")
    assert stored_fence(conn, "SCHOOL") == (90, None)

    drawer(planner).get_by_role("button", name="Edit the fence").click()
    planner.get_by_label("Area with corners").check()
    expect(drawer(planner).get_by_label("Latitude of corner")).to_have_count(4)
    planner.get_by_label("Another corner after 4").press("Enter")
    planner.get_by_label("Latitude of corner 5").fill("45.7602")
    planner.get_by_label("Latitude of corner 5").press("Tab")
    conn.execute("UPDATE site SET radius_m = 70 WHERE code = 'SCHOOL'")
    drawer(planner).get_by_role("button", name="Save the fence").click()
    problem = drawer(planner).get_by_role("alert")
    expect(problem).to_contain_text("Somebody has changed this meanwhile")
    assert stored_fence(conn, "SCHOOL") == (70, None)
    # Looked at again: what was drawn is still there, and can be saved over it.
    drawer(planner).get_by_role("button", name="Save the fence").click()
    expect(drawer(planner)).to_contain_text("an area with 5 corners", timeout=WAIT_MS)
    _, area = stored_fence(conn, "SCHOOL")
    assert area["type"] == "Polygon"
    assert 45.7602 in [lat for _, lat in area["coordinates"][0]]


def test_a_fence_is_drawn_on_the_map_by_its_handles(api: Any, planner: Page) -> None:
    open_at(planner, api.url, "#site=SCHOOL")
    planner.wait_for_function(
        "document.querySelector('cordee-map').map !== null", timeout=2 * WAIT_MS
    )
    drawer(planner).get_by_role("button", name="Edit the fence").click(timeout=WAIT_MS)
    edge = """async () => {
      const map = document.querySelector("cordee-map").map;
      if (map.isMoving()) await map.once("moveend");
      const box = map.getCanvas().getBoundingClientRect();
      const at = (lon, lat) => {
        const { x, y } = map.project([lon, lat]);
        return [box.x + x, box.y + y];
      };
      const lon = 4.86 + 80 / 111195 / Math.cos((45.76 * Math.PI) / 180);
      await new Promise((drawn) => map.once("idle", drawn).triggerRepaint());
      return [at(4.86, 45.76), at(lon, 45.76)];
    }"""
    (middle_x, middle_y), (x, y) = planner.evaluate(edge)
    planner.mouse.move(x, y)
    planner.mouse.down()
    planner.mouse.move(middle_x + 2 * (x - middle_x), middle_y, steps=4)
    planner.mouse.up()
    expect(planner.get_by_label("Radius, m")).to_have_value(re.compile("^1(5[5-9]|6[0-5])$"))


def test_a_day_can_be_played_again_and_a_way_is_only_asked_for_with_its_van(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO fix VALUES (1, %s, %s, 4.85, 5, 15, 0, true, NULL, NULL, %s, now())",
            [(as_datetime(NOW_MS - n * MINUTE_MS), 45.76 - n / 1_000, n) for n in range(60)],
        )
    ways: list[str] = []
    planner.on("request", lambda asked: ways.append(asked.url) if "/track" in asked.url else None)
    conn.execute(LATE)
    open_at(planner, api.url)
    planner.keyboard.press("j")
    expect(drawer(planner)).to_contain_text("not arrived when the window ended")
    # Whoever drives the van is told who looked at its way: an alert is no reason to.
    assert ways == []
    drawer(planner).get_by_role("button", name="V1 · Ana Diaz").click()
    slider = planner.get_by_label("Moment of the day")
    slider.fill(str(NOW_MS - 30 * MINUTE_MS), timeout=WAIT_MS)
    said = planner.locator(".player output")
    expect(said).to_have_text("09:30 · 54 km/h")
    assert len(ways) == 1
    planner.get_by_role("button", name="Play again").click()
    expect(said).not_to_have_text("09:30 · 54 km/h")
    planner.get_by_role("button", name="Back to now").click()
    expect(said).to_contain_text("09:59")


def test_a_technician_a_site_and_an_item_are_found_by_a_part_of_their_names(
    api: Any, planner: Page
) -> None:
    open_at(planner, api.url)
    field = planner.get_by_role("combobox", name="Search")
    planner.keyboard.press("/")
    expect(field).to_be_focused()
    planner.keyboard.type("klein")
    expect(planner.get_by_role("listbox").get_by_role("option").first).to_contain_text(
        "Bo Klein", timeout=WAIT_MS
    )
    planner.keyboard.press("Enter")
    expect(planner).to_have_url(re.compile("#van=V2$"))
    planner.keyboard.press("/")
    planner.keyboard.type("dupont")
    found = planner.get_by_role("option", name="Bakery <b>Dupont</b> & fils")
    expect(found).to_be_visible(timeout=WAIT_MS)
    found.click()
    expect(planner).to_have_url(re.compile("#site=BAKERY$"))
    planner.go_back()
    planner.keyboard.press("/")
    planner.keyboard.type("filter 20")
    expect(planner.get_by_role("listbox").get_by_role("option")).to_have_count(1, timeout=WAIT_MS)
    planner.keyboard.press("Enter")
    expect(drawer(planner).get_by_label("Item on board")).to_have_value("FIL-20")
    stock = drawer(planner).get_by_role("table", name="Stock")
    expect(stock.locator("tbody")).to_contain_text("Filter 20")


def test_a_van_writes_and_the_planner_reads_it_and_answers(
    api: Any, planner: Page, conn: psycopg.Connection[Any]
) -> None:
    open_at(planner, api.url)
    tell(
        conn,
        "INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read,"
        " received_time) VALUES ('V1', 'e', 1, 1, 1, '2026-11-20 08:58Z', 'The school is closed',"
        " '{}', '{}', '2026-11-20 08:58Z')",
    )
    figure = planner.locator("[data-kpi=unread]")
    expect(figure.locator(".value")).to_have_text("1", timeout=WAIT_MS)
    figure.click()
    expect(planner.locator(".gantt-row")).to_have_count(1)
    planner.locator(".gantt-row [role=rowheader]").click()
    messages = drawer(planner).locator("cordee-messages")
    expect(messages.locator(".unread")).to_contain_text("The school is closed", timeout=WAIT_MS)
    messages.get_by_role("button", name="Mark as read").click()
    expect(messages.locator(".unread")).to_have_count(0, timeout=WAIT_MS)
    messages.get_by_label("Write to V1").fill("Go on to the next <stop>")
    messages.get_by_role("button", name="Send").click()
    expect(messages.locator(".from-base")).to_contain_text(
        "Go on to the next <stop>", timeout=WAIT_MS
    )
    expect(messages.locator(".from-base")).to_contain_text("on its way")
    expect(figure.locator(".value")).to_have_text("0", timeout=WAIT_MS)
