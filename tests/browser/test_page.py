"""What a planner sees: tables that fill, change by themselves, and say when they are old."""

from typing import Any

import psycopg
import pytest
from playwright.sync_api import Locator, Page, expect
from psycopg.types.json import Jsonb

from storage.settings import as_datetime

NOW_MS = 1_795_165_200_000
MINUTE_MS = 60_000
WAIT_MS = 15_000

REFERENCE = """
INSERT INTO technician (technician_id, organisation_id, code, name) VALUES (1, 1, 'T1', 'Ana Diaz');
INSERT INTO warehouse (warehouse_id, organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 1, 'LYON', 'Lyon', 45.7, 4.8);
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20'), (2, 'PUMP', 'Pump');
INSERT INTO van_template (template_id, code) VALUES (1, 'HVAC');
INSERT INTO template_line (template_id, item_id, reorder_point, order_up_to, cap)
VALUES (1, 1, 4, 10, 12);
INSERT INTO van (van_id, organisation_id, code, name, technician_id, template_id, warehouse_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1, 1, 1), (2, 1, 'V2', 'Kangoo 2', NULL, NULL, 1);
INSERT INTO location (location_id, organisation_id, kind, van_id) VALUES (101, 1, 'van', 1);
INSERT INTO level VALUES (101, 1, '', 3, NULL), (101, 2, '', 7, NULL);
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 1, 'BAKERY', 'Bakery <b>Dupont</b> & fils', 45.75, 4.85, 100);
INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (1, 'TOUR1', 1, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, 1, '2026-11-20 07:00Z', '2026-11-20 08:30Z', 3600);
"""


def move(
    conn: psycopg.Connection[Any], van: int, minutes_ago: float = 0, speed: float = 15
) -> None:
    moment = as_datetime(int(NOW_MS - minutes_ago * MINUTE_MS))
    with conn.transaction():
        conn.execute(
            "INSERT INTO van_position VALUES (%s, %s, 45.75, 4.85, %s, 90, true, %s)"
            " ON CONFLICT (van_id) DO UPDATE SET fix_time = excluded.fix_time,"
            " speed_mps = excluded.speed_mps",
            (van, moment, speed, moment),
        )
        conn.execute("NOTIFY cordee")


def row(page: Page, panel: str, key: str) -> Locator:
    return page.locator(f"#{panel} tbody[data-key='{key}']")


def live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_text("live", timeout=WAIT_MS)


def test_an_empty_fleet_says_what_to_expect(api: Any, page: Page) -> None:
    page.goto(api.url)
    live(page)
    for panel, words in [
        ("vans", "No van is known yet"),
        ("map", "No van has reported yet"),
        ("alerts", "Nobody is late"),
        ("visits", "No visit yet"),
        ("orders", "No order yet"),
        ("stock", "Choose a van"),
        ("rejected", "Nothing was rejected"),
    ]:
        expect(page.locator(f"#{panel} .empty")).to_contain_text(words)


def test_a_van_changes_its_state_on_the_page_by_itself(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    page.goto(api.url)
    live(page)
    van = row(page, "vans", "V1")
    expect(van).to_contain_text("never seen")
    van.evaluate("node => { node.dataset.mark = 'same node' }")
    move(conn, 1)
    expect(van).to_contain_text("driving", timeout=WAIT_MS)
    expect(van).to_contain_text("54")
    expect(page.locator("[data-figure=vans_on_the_road] .value")).to_have_text("1")
    expect(page.locator("#map .dot.driving")).to_have_count(1)
    move(conn, 1, minutes_ago=20)
    expect(van).to_contain_text("silent", timeout=WAIT_MS)
    expect(van).to_contain_text("20 min ago")
    assert van.get_attribute("data-mark") == "same node"


def test_a_late_stop_appears_and_its_site_is_text_not_markup(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    page.goto(api.url)
    live(page)
    expect(page.locator("#alerts .empty")).to_be_visible()
    with conn.transaction():
        conn.execute(
            "INSERT INTO alert (van_id, stop_id, kind, due_at, state, reason, raised_time,"
            " changed_time) VALUES (1, 1, 'late', '2026-11-20 08:30Z', 'open',"
            " 'not arrived when the window ended', now(), '2026-11-20 08:30Z')"
        )
        conn.execute("NOTIFY cordee")
    alert = page.locator("#alerts tbody")
    expect(alert).to_contain_text("1. Bakery <b>Dupont</b> & fils", timeout=WAIT_MS)
    expect(alert).to_contain_text("+30 min")
    expect(alert).to_contain_text("09:30")
    expect(alert).to_contain_text("late")
    expect(alert).to_contain_text("open")
    expect(page.locator("[data-figure=stops_late]")).to_have_class("figure is-late")
    expect(page.locator("[data-figure=stops_late] .note")).to_have_text("in 1 van; 1 today")
    with conn.transaction():
        conn.execute(
            "UPDATE alert SET state = 'cleared', minutes = 12, ended_at = '2026-11-20 08:42Z',"
            " reason = 'arrived 12 min after the window ended'"
        )
        conn.execute("NOTIFY cordee")
    expect(alert).to_contain_text("cleared 09:42", timeout=WAIT_MS)
    expect(alert).to_contain_text("+12 min")
    expect(page.locator("[data-figure=stops_late]")).to_have_class("figure")


AHEAD = """
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (2, 1, 2, 1, '2026-11-20 12:00Z', '2026-11-20 13:30Z', 3600);
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict,
                   uncertain, ignition_off, service_date, stop_id, punctuality, wrong_order)
VALUES (1, 1, '2026-11-20 07:55Z', '2026-11-20 08:40Z', '2026-11-20 08:41Z', '2026-11-20 08:43Z',
        'visit', false, true, '2026-11-20', 1, 'on_time', true);
INSERT INTO eta VALUES (2, '2026-11-20 08:59Z', '2026-11-20 13:10Z', '2026-11-20 13:20Z',
                        '2026-11-20 13:35Z', 0.2);
INSERT INTO alert (van_id, stop_id, kind, due_at, ended_at, state, reason, minutes, cause, pushes,
                   raised_time, changed_time)
VALUES (1, 2, 'at_risk', '2026-11-20 13:30Z', NULL, 'open',
        'expected 10 min before the window''s end: it may be late', -10, 'detour', '{3,4}',
        '2026-11-20 08:59Z', '2026-11-20 08:59Z'),
       (1, 1, 'overstayed', '2026-11-20 08:30Z', NULL, 'open', '20 min longer than planned', 20,
        'long_visit', '{}', '2026-11-20 08:50Z', '2026-11-20 08:50Z'),
       (2, NULL, 'silent', '2026-11-20 08:38Z', NULL, 'open', 'no position', 15, 'silence', '{}',
        '2026-11-20 08:53Z', '2026-11-20 08:53Z'),
       (2, NULL, 'silent', '2026-11-20 07:00Z', '2026-11-20 07:31Z', 'cleared',
        'back after 31 min', 31, NULL, '{}', '2026-11-20 07:15Z', '2026-11-20 07:31Z'),
       (1, 1, 'missed', '2026-11-20 08:30Z', NULL, 'open', 'nobody came that day', NULL, NULL, '{}',
        '2026-11-20 08:50Z', '2026-11-20 08:50Z');
"""


def test_alerts_say_in_words_what_they_are_the_urgent_first(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    conn.execute(AHEAD)
    page.goto(api.url)
    live(page)
    alerts = page.locator("#alerts tbody")
    for nth, texts in enumerate(
        [
            ("missed", "open", "1. Bakery", "nobody came that day"),
            ("at risk", "open", "2. Bakery", "cause: a detour; then stops 3, 4", "14:30",
             "\N{MINUS SIGN}10 min"),
            ("silent", "open", "last fix 09:38", "22 min"),
            ("overstayed", "open", "longer than planned", "+30 min"),
            ("silent", "back 08:31", "31 min"),
        ]
    ):  # fmt: skip
        for text in texts:
            expect(alerts.nth(nth)).to_contain_text(text)
    expect(alerts.nth(1).locator(".at_risk use")).to_have_attribute("href", "#triangle")
    expect(page.locator("[data-figure=stops_at_risk]")).to_have_class("figure is-risk")
    expect(page.locator("[data-figure=stops_at_risk] .value")).to_have_text("1")


def test_a_van_shows_its_next_stop_with_a_range_and_a_mark(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    conn.execute(AHEAD)
    move(conn, 1)
    page.goto(api.url)
    live(page)
    van = row(page, "vans", "V1")
    expect(van).to_contain_text("2. Bakery <b>Dupont</b> & fils")
    expect(van).to_contain_text("14:10 \N{EN DASH} 14:35")
    expect(van).to_contain_text("window to 14:30")
    expect(van.locator(".mark .at_risk")).to_have_text("at risk")
    expect(van.locator(".mark use")).to_have_attribute("href", "#triangle")
    with conn.transaction():
        conn.execute("UPDATE alert SET state = 'withdrawn' WHERE kind = 'at_risk'")
        conn.execute("DELETE FROM eta")
        conn.execute("NOTIFY cordee")
    expect(van).to_contain_text("no ETA yet", timeout=WAIT_MS)
    expect(van.locator(".mark")).to_be_empty()
    expect(page.locator("#visits tbody")).to_contain_text("wrong order")


def test_visits_orders_stock_and_rejections_are_shown(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    conn.execute(
        "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain,"
        " ignition_off, service_date, stop_id, punctuality) VALUES (1, 1, '2026-11-20 07:55Z',"
        " '2026-11-20 08:40Z', 'visit', false, true, '2026-11-20', 1, 'on_time');"
        "INSERT INTO resupply_order (order_id, code, organisation_id, warehouse_id, location_id,"
        " mode, cutoff_at, state, created_time) OVERRIDING SYSTEM VALUE VALUES"
        " (1, 'O-1', 1, 1, 101, 'van', '2026-11-19 15:00Z', 'sent', '2026-11-19 15:00Z');"
        "INSERT INTO rejected VALUES ('\\x01', 'fleet/v1/V1/position', '<script>alert(1)</script>',"
        " 'malformed', 'not JSON', 'V1', '2026-11-20 08:00Z')"
    )
    conn.execute(
        "INSERT INTO resupply_line (order_id, item_id, requested, inputs) VALUES (1, 1, 6, %s)",
        (Jsonb({"why": "4 on hand, reorder at 4"}),),
    )
    page.goto(f"{api.url}#van=V1")
    live(page)
    visit = page.locator("#visits tbody")
    expect(visit).to_contain_text("08:55")
    expect(visit).to_contain_text("45 min")
    expect(visit).to_contain_text("still there")
    expect(visit).to_contain_text("on time")
    expect(row(page, "stock", "FIL-20")).to_contain_text("Filter 20")
    expect(row(page, "stock", "PUMP")).to_have_count(0)
    order = row(page, "orders", "O-1")
    expect(order).to_contain_text("19 Nov, 16:00")
    order.get_by_role("button").press("Enter")
    expect(order).to_contain_text("6 \N{MULTIPLICATION SIGN} FIL-20 Filter 20")
    expect(order).to_contain_text("4 on hand, reorder at 4")
    order.get_by_role("button").press("Enter")
    expect(order.locator(".detail")).to_have_count(0)
    rejected = row(page, "rejected", "malformed")
    rejected.get_by_role("button").click()
    expect(rejected).to_contain_text("<script>alert(1)</script>")


def test_choosing_a_van_shows_its_stock_and_stays_in_the_address(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    page.goto(api.url)
    live(page)
    row(page, "vans", "V2").get_by_role("button").click()
    expect(page.locator("#stock .empty")).to_contain_text("Nothing is at or below")
    assert page.url.endswith("#van=V2")
    page.locator("#stock select").select_option("V1")
    expect(row(page, "stock", "FIL-20")).to_be_visible()
    expect(row(page, "vans", "V1")).to_have_class("selected")


def test_vans_are_filtered_by_state_and_by_name(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    move(conn, 1)
    page.goto(api.url)
    live(page)
    page.get_by_role("button", name="driving 1").click()
    expect(page.locator("#vans tbody")).to_have_count(1)
    page.get_by_role("button", name="all 2").click()
    expect(page.locator("#vans tbody")).to_have_count(2)
    page.get_by_role("searchbox").fill("ana")
    expect(page.locator("#vans tbody")).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody")
    expect(page.locator("#vans .empty")).to_have_text("No van matches.")


def test_the_page_says_that_it_is_offline_and_comes_back_with_what_it_missed(
    api: Any, page: Page, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(REFERENCE)
    page.goto(api.url)
    live(page)
    api.stop()
    expect(page.locator("#connection")).to_have_text("offline", timeout=WAIT_MS)
    expect(row(page, "vans", "V1")).to_be_visible()
    move(conn, 1)
    api.start()
    live(page)
    expect(row(page, "vans", "V1")).to_contain_text("driving", timeout=WAIT_MS)


@pytest.mark.parametrize("width", [1440, 1024, 768, 390])
def test_nothing_sticks_out_sideways(
    api: Any, page: Page, conn: psycopg.Connection[Any], width: int
) -> None:
    conn.execute(REFERENCE)
    move(conn, 1)
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(api.url)
    live(page)
    expect(row(page, "vans", "V1")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_says_how_old_it_is_while_the_database_does_not_answer(
    api: Any,
    page: Page,
    conn: psycopg.Connection[Any],
    postgres_url: str,
    database_url: str,
    expected_errors: list[str],
) -> None:
    expected_errors.append("503")  # what a request of that moment is answered, and Chromium logs
    conn.execute(REFERENCE)
    page.goto(api.url)
    live(page)
    name = database_url.rsplit("/", 1)[1]
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = %s AND application_name LIKE 'cordee%%'",
            (name,),
        )
        expect(page.locator("#connection")).to_contain_text("stale", timeout=WAIT_MS)
        expect(page.locator("#connection")).to_contain_text("the database does not answer")
        expect(row(page, "vans", "V1")).to_be_visible()
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    live(page)
