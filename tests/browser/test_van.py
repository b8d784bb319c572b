"""The technician's tablet: what is done on board without a network is there, once, when it is back."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import psycopg
import pytest
import zxingcpp
from playwright.sync_api import Browser, Locator, Page, Route, expect

from api import precache
from benchmarks.site import chromium
from ingest import signatures
from ingest.messages import VisitReport
from stock_tracker import barcodes
from tests.browser.company import REFERENCE, WAIT_MS
from tests.browser.conftest import ARGUMENTS, NOW_MS, opened_page
from tests.integration.api_client import new_session, new_user

AXE: Final = Path(__file__).with_name("vendor") / "axe.min.js"
KEY_S: Final = 0.005
CODES: Final = """
INSERT INTO barcode VALUES ('FIL-20', 1, 1), ('04006381333931', 1, 10), ('PUMP', 2, 1);
INSERT INTO count_line SELECT 'import', 'x', 1, 101, item_id, '', 100, '2026-11-18Z' FROM item;
UPDATE level SET qty = 100;
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, verdict, uncertain, ignition_off,
                   service_date, stop_id, punctuality)
VALUES (1, 1, '2026-11-20 08:05Z', '2026-11-20 08:59Z', 'visit', false, true, '2026-11-20', 1, 'on_time');
"""
GS: Final = "\x1d"
#: What the page must know to open without a network, and what it asks for last.
KEPT: Final = ("/v1/session", "/v1/catalogue", "/v1/vans/V1/stock?limit=5000")


@dataclass
class Base:
    """Stands for ingest behind the one route: keeps what comes, and answers when it may."""

    events: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0
    up: bool = True
    refuses: Callable[[dict[str, Any]], bool] = lambda _event: False

    def take(self, route: Route) -> None:
        if not self.up:
            route.abort()
            return
        self.requests += 1
        events = json.loads(route.request.post_data or "")["events"]
        rejected = [
            {
                "index": i,
                "seq": event["payload"].get("seq"),
                "reason": "bad_payload",
                "detail": "no",
            }
            for i, event in enumerate(events)
            if self.refuses(event)
        ]
        without = {it["index"] for it in rejected}
        self.events += [event for i, event in enumerate(events) if i not in without]
        route.fulfill(json={"acked_through": {}, "rejected": rejected, "pending": 0})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event["payload"] for event in self.events if event["kind"] == kind]


#: What the base has written to V1: a person, and Cordée itself.
WRITTEN: Final = """
INSERT INTO message (van_id, message_id, kind, author, author_name, text, items, sent_at)
VALUES (1, 'm-1', 'message', 'user:celine', 'Céline Petit', 'Please ring at the back door.', '{}',
        '2026-11-20 08:10Z'),
       (1, 'm-3', 'count_request', NULL, NULL, 'Please count these.', '{PUMP}', '2026-11-20 08:55Z');
"""


@pytest.fixture
def anas(conn: psycopg.Connection[Any], database_url: str) -> str:
    """Return the session of Ana, who drives V1."""
    conn.execute(REFERENCE)
    conn.execute(CODES)
    return new_session(database_url, new_user(database_url, "ana", "technician", technician_id=1))


@pytest.fixture
def tablet(browser: Browser, anas: str, expected_errors: list[str]) -> Iterator[Page]:
    """A phone upright with Ana's page."""
    with opened_page(browser, expected_errors, anas) as page:
        page.set_viewport_size({"width": 412, "height": 915})
        yield page


@pytest.fixture
def base(tablet: Page) -> Base:
    """The other end of the tablet's outbox."""
    base = Base()
    tablet.context.route("**/events:batch", base.take)
    return base


def ready(page: Page, url: str, tab: str = "scan") -> None:
    """Open the page, and wait until it could do without a network."""
    page.goto(f"{url}van/#{tab}")
    expect(page.locator("van-page")).to_be_visible(timeout=WAIT_MS)
    for kept in KEPT:
        until(page, f"(await caches.match({kept!r})) !== undefined")


def until(page: Page, condition: str) -> None:
    """Wait for a condition in JavaScript; the page's policy lets nothing else evaluate it."""
    deadline = time.monotonic() + WAIT_MS / 1_000
    while not page.evaluate(f"(async () => {condition})()"):
        assert time.monotonic() < deadline, f"never: {condition}"
        page.wait_for_timeout(50)


def poll(condition: Callable[[], bool], page: Page) -> None:
    """Wait for something outside the page, which goes on meanwhile."""
    deadline = time.monotonic() + WAIT_MS / 1_000
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        page.wait_for_timeout(50)


def doing(page: Page, what: str) -> None:
    page.get_by_role("radio", name=what, exact=True).check(force=True)


def scan(page: Page, *codes: str, key_s: float = KEY_S, end: str = "Enter") -> None:
    """Type codes as a scanner does: by the times of its keys, however slow this machine is."""
    keys = page.context.new_cdp_session(page)
    at = time.time()
    for code in codes:
        at += 0.3
        for key in [*code, end]:
            at += key_s
            is_text = len(key) == 1
            text = key if is_text else "\r" if key == "Enter" else ""
            shared = {"key": key, "code": _physical(key), "timestamp": at}
            keys.send("Input.dispatchKeyEvent", {"type": "keyDown", "text": text, **shared})
            keys.send("Input.dispatchKeyEvent", {"type": "keyUp", **shared})
    keys.detach()


def _physical(key: str) -> str:
    if key.isalpha() and len(key) == 1:
        return f"Key{key.upper()}"
    return f"Digit{key}" if key.isdigit() else {"-": "Minus"}.get(key, key)


def outbox(page: Page) -> Locator:
    return page.locator("van-tools .outbox")


def last(page: Page) -> Locator:
    return page.locator(".result")


def test_30_parts_are_scanned_without_a_network_and_after_a_reload_the_ledger_has_exactly_30(
    api: Any, working: Any, tablet: Page, conn: psycopg.Connection[Any]
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Use")
    api.stop()
    scan(tablet, *["FIL-20"] * 29)
    expect(outbox(tablet)).to_have_text("29 waiting", timeout=WAIT_MS)
    expect(last(tablet)).to_contain_text("71 on board now")
    tablet.reload()
    expect(outbox(tablet)).to_have_text("29 waiting", timeout=WAIT_MS)
    scan(tablet, "FIL-20")
    expect(last(tablet)).to_contain_text("70 on board now", timeout=WAIT_MS)
    api.start()
    tablet.evaluate("dispatchEvent(new Event('online'))")
    expect(outbox(tablet)).to_have_text("all sent", timeout=30_000)
    ledger = "SELECT count(*), sum(qty), count(DISTINCT seq), min(seq), max(seq) FROM movement"
    assert conn.execute(ledger).fetchone() == (30, 30, 30, 1, 30)
    level = "SELECT qty FROM level WHERE item_id = 1 AND location_id = 101"
    assert conn.execute(level).fetchone() == (70,)


@pytest.mark.parametrize("tab", ["scan", "stock", "tour", "messages"])
def test_a_scanner_may_type_into_any_tab_and_leaves_fields_as_they_were(
    api: Any, tablet: Page, base: Base, tab: str
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Load")
    tablet.get_by_role("navigation", name="Tabs").get_by_role("link", name=tab.title()).click()
    expect(tablet.locator(f"van-{tab}")).to_be_visible()
    field = tablet.locator("van-page input:not([type=radio]), van-page textarea").last
    if field.count():
        field.fill("three of")
    scan(tablet, "FIL-20", "]E04006381333931")
    poll(lambda: len(base.of("scan")) == 2, tablet)
    assert [(it["intent"], it["code"]) for it in base.of("scan")] == [
        ("load", "FIL-20"), ("load", "]E04006381333931"),
    ]  # fmt: skip
    told = last(tablet) if tab == "scan" else tablet.locator("#said")
    expect(told).to_contain_text("10 × Filter 20: loaded")
    if field.count():
        assert field.input_value() == "three of"


def test_what_a_person_types_is_no_scan_and_a_us_scanner_is_read_on_a_french_keyboard(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Use")
    tablet.locator("h2").first.click()
    scan(tablet, "FIL-20", key_s=0.08)
    azerty = dict(zip("1234567890", "&é\"'(-è_çà", strict=True))
    keys = tablet.context.new_cdp_session(tablet)
    at = time.time()
    for n, digit in enumerate("4006381333931"):
        typed = {"key": azerty[digit], "text": azerty[digit], "code": f"Digit{digit}"}
        keys.send(
            "Input.dispatchKeyEvent", {"type": "keyDown", "timestamp": at + n * KEY_S, **typed}
        )
    enter = {"key": "Enter", "code": "Enter", "timestamp": at + 13 * KEY_S}
    keys.send("Input.dispatchKeyEvent", {"type": "keyDown", **enter})
    expect(last(tablet)).to_contain_text("10 × Filter 20: used", timeout=WAIT_MS)
    expect(outbox(tablet)).to_have_text("all sent", timeout=WAIT_MS)
    assert [it["code"] for it in base.of("scan")] == ["4006381333931"]


def test_a_refused_scan_is_set_aside_with_its_reason_and_stops_no_other(
    api: Any, tablet: Page, base: Base
) -> None:
    base.refuses = lambda event: event["payload"]["code"] == "PUMP"
    ready(tablet, api.url)
    doing(tablet, "Use")
    base.up = False
    scan(tablet, "FIL-20", "PUMP", "FIL-20")
    base.up = True
    tablet.evaluate("dispatchEvent(new Event('online'))")
    expect(outbox(tablet)).to_have_text("1 refused", timeout=WAIT_MS)
    assert [it["code"] for it in base.of("scan")] == ["FIL-20", "FIL-20"]
    refused = tablet.locator(".journal li", has_text="Pump")
    expect(refused).to_contain_text("refused")
    tablet.get_by_role("link", name="Stock").click()
    level = tablet.locator("van-stock li", has_text="PUMP").locator(".quantity")
    expect(level).to_have_text("100")
    outbox(tablet).click()
    sheet = tablet.get_by_role("dialog")
    expect(sheet).to_contain_text("Use · PUMP")
    expect(sheet).to_contain_text("The server cannot read it.")
    base.refuses = lambda _event: False
    sheet.get_by_role("button", name="Send again").click()
    expect(sheet).to_contain_text("all sent", timeout=WAIT_MS)
    assert [it["seq"] for it in base.of("scan")] == [1, 3, 2]


def test_of_a_batch_that_is_refused_whole_only_the_event_at_fault_is_set_aside(
    api: Any, tablet: Page, base: Base, expected_errors: list[str]
) -> None:
    expected_errors.append("422")
    ready(tablet, api.url)
    doing(tablet, "Use")
    base.up = False
    scan(tablet, *["FIL-20"] * 4, "PUMP", *["FIL-20"] * 2)
    expect(outbox(tablet)).to_have_text("7 waiting", timeout=WAIT_MS)

    def picky(route: Route) -> None:
        if "PUMP" in (route.request.post_data or ""):
            route.fulfill(status=422, json={"code": "invalid", "detail": "events.4: not like that"})
        else:
            base.take(route)

    base.up = True
    tablet.context.route("**/events:batch", picky)
    tablet.evaluate("dispatchEvent(new Event('online'))")
    expect(outbox(tablet)).to_have_text("1 refused", timeout=WAIT_MS)
    assert sorted(it["seq"] for it in base.of("scan")) == [1, 2, 3, 4, 6, 7]
    outbox(tablet).click()
    expect(tablet.get_by_role("dialog")).to_contain_text("not like that")


def test_a_device_whose_clock_is_wrong_tells_the_servers_time_from_the_first_message_on(
    api: Any, tablet: Page, base: Base, conn: psycopg.Connection[Any], expected_errors: list[str]
) -> None:
    expected_errors.append("ERR_FAILED")
    tablet.context.route("**/v1/live*", lambda route: route.abort())  # which tells the time as well
    conn.execute(WRITTEN)
    ready(tablet, api.url)
    poll(lambda: bool(base.of("message")), tablet)  # what was written has come to the tablet
    told = [event["payload"]["t"] for event in base.events]
    assert max(abs(t - NOW_MS) for t in told) < 600_000  # nothing of the day on which this is run


def test_two_tabs_send_everything_once(api: Any, tablet: Page, base: Base) -> None:
    ready(tablet, api.url)
    doing(tablet, "Use")
    other = tablet.context.new_page()
    other.goto(f"{api.url}van/")
    expect(outbox(other)).to_have_text("all sent", timeout=WAIT_MS)
    base.up = False
    scan(tablet, *["FIL-20"] * 5)
    expect(outbox(other)).to_have_text("5 waiting", timeout=WAIT_MS)
    base.requests, base.up = 0, True
    for page in (tablet, other):
        page.evaluate("dispatchEvent(new Event('online'))")
    expect(outbox(other)).to_have_text("all sent", timeout=WAIT_MS)
    expect(outbox(tablet)).to_have_text("all sent", timeout=WAIT_MS)
    assert [it["seq"] for it in base.of("scan")] == [1, 2, 3, 4, 5]
    assert base.requests == 1


def test_a_scan_is_taken_back_and_the_stock_with_it(api: Any, tablet: Page, base: Base) -> None:
    ready(tablet, api.url)
    doing(tablet, "Use")
    base.up = False
    scan(tablet, "04006381333931")
    expect(last(tablet)).to_contain_text("90 on board now", timeout=WAIT_MS)
    tablet.get_by_role("button", name="Undo: 10 × Filter 20: used").click()
    expect(tablet.locator(".journal li")).to_contain_text("taken back")
    tablet.get_by_role("link", name="Stock").click()
    expect(tablet.locator("van-stock li", has_text="FIL-20").locator(".quantity")).to_have_text(
        "100"
    )
    base.up = True
    tablet.evaluate("dispatchEvent(new Event('online'))")
    expect(outbox(tablet)).to_have_text("all sent", timeout=WAIT_MS)
    taken, back = base.of("scan")
    assert back["intent"] == "reverse"
    assert back["reverses"] == {"epoch": taken["epoch"], "seq": 1}
    assert "code" not in back


def test_a_count_waits_until_it_is_whole_even_over_a_reload(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Count")
    scan(tablet, "FIL-20", "FIL-20", "04006381333931")
    draft = tablet.get_by_role("region", name="Being counted")
    expect(draft.get_by_label("How many are there")).to_have_value("12", timeout=WAIT_MS)
    tablet.reload()
    expect(draft.get_by_label("How many are there")).to_have_value("12", timeout=WAIT_MS)
    draft.get_by_role("button", name="One more").click()
    scan(tablet, "PUMP")
    expect(draft).to_contain_text("Pump", timeout=WAIT_MS)
    draft.get_by_role("button", name="Keep the count").click()
    expect(draft).to_have_count(0)
    poll(lambda: len(base.of("scan")) == 2, tablet)
    assert [(it["intent"], it["code"], it["qty"]) for it in base.of("scan")] == [
        ("count", "FIL-20", 13), ("count", "PUMP", 1),
    ]  # fmt: skip


def test_what_is_being_counted_is_named_once_the_parts_are_told(
    api: Any, tablet: Page, base: Base
) -> None:
    held: list[Route] = []
    tablet.route("**/v1/catalogue", lambda route: held.append(route))  # noqa: PLW0108
    tablet.goto(f"{api.url}van/#scan")
    doing(tablet, "Count")
    scan(tablet, "PUMP")
    draft = tablet.get_by_role("region", name="Being counted")
    expect(draft).to_contain_text("Unknown code", timeout=WAIT_MS)
    poll(lambda: bool(held), tablet)
    held[0].continue_()
    expect(draft).to_contain_text("Pump", timeout=WAIT_MS)


def test_a_code_is_known_at_once_while_the_server_takes_its_time(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url)
    api.stop()
    takes_calls_and_says_nothing = socket.create_server(("127.0.0.1", api.settings.api_port))
    with takes_calls_and_says_nothing:
        tablet.reload()
        doing(tablet, "Use")
        scan(tablet, "PUMP")
        expect(last(tablet)).to_contain_text("Pump: used", timeout=WAIT_MS)


def test_a_new_version_is_offered_taken_and_nothing_of_the_old_one_stays(
    api: Any, tablet: Page, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = tmp_path / "web"
    shutil.copytree(precache.WEB, web)
    api.stop()
    monkeypatch.setattr("api.precache.WEB", web)
    monkeypatch.setattr("api.app.WEB", web)
    api.start()
    ready(tablet, api.url)
    scan_words = web / "van" / "scan.js"
    scan_words.write_text(scan_words.read_text().replace("Last scans", "Newest scans"))
    tablet.reload()
    notice = tablet.locator(".notice", has_text="A new version")
    expect(notice).to_be_visible(timeout=WAIT_MS)
    expect(tablet.get_by_role("heading", name="Last scans")).to_be_visible()
    notice.get_by_role("button", name="Take it").click()
    expect(tablet.get_by_role("heading", name="Newest scans")).to_be_visible(timeout=WAIT_MS)
    api.stop()
    tablet.reload()
    expect(tablet.get_by_role("heading", name="Newest scans")).to_be_visible(timeout=WAIT_MS)
    kept = "(await (await caches.open('cordee-van-files')).keys())"
    assert tablet.evaluate(f"(async () => {kept}.length)()") == len(precache.files(web))


#: Codes with their AIM identifiers, and whatever is hard to tell apart about them.
TOLD_APART: Final = [
    ("4006381333931", None), ("04006381333931", None), ("4006381333932", None),
    ("]E04006381333931", None), ("FIL-20", None), ("10452", None), ("7032069804988", None),
    ("004000000000000176", None), ("00004000000000000176", None), ("]C4ABC", None), (GS, None),
    ("]C1010400638133393110L7", None), (f"010400638133393110L7{GS}3012", "]C1"),
    (f"{GS}010400638133393117261231", None), ("02040063813339313712", None),
    ("0000400000000000017602040063813339313712", "]C1"), ("3712", "]C1"), ("21ABC", "]C1"),
    (f"010400638133393121S1{GS}10L7", "]d2"), ("400638133393", "]E0"), ("", "]C1"),
    ("01040063813339310104006381333931", None), (f"0104006381333931{GS}10L", None),
    ("0104006381333931300", "]C1"), ("01040063813339313103001250", "]d2"),
    ("01040063813339310512", "]C1"), ("010400638133393110" + 21 * "x", "]C1"),
]  # fmt: skip


def test_everything_is_counted_and_what_was_not_is_set_to_nothing(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Count all")
    expect(tablet.locator(".counting")).to_contain_text("0 parts so far")
    scan(tablet, "FIL-20")
    tablet.get_by_label("How many are there").fill("96")
    tablet.get_by_role("button", name="All is counted").click()
    question = tablet.get_by_role("dialog")
    expect(question).to_contain_text("1 part was not counted")
    expect(question).to_contain_text("Pump · 100")
    question.get_by_role("button", name="All is counted").click()
    expect(question).to_have_count(0)
    tablet.get_by_role("link", name="Stock").click()
    for item, qty in (("FIL-20", "96"), ("PUMP", "0")):
        level = tablet.locator("van-stock li", has_text=item).locator(".quantity")
        expect(level).to_have_text(qty)
    poll(lambda: len(base.of("scan")) == 2, tablet)
    count, end = base.of("scan")
    assert (count["intent"], count["qty"]) == ("count", 96)
    assert end["intent"] == "count_all"
    assert end["since"] <= count["t"] < end["t"]


def test_an_answer_that_is_lost_or_not_final_lets_go_of_nothing(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url)
    doing(tablet, "Use")
    answers = ["lost", "202", "200"]
    seen: list[list[int]] = []

    def unsure(route: Route) -> None:
        events = json.loads(route.request.post_data or "")["events"]
        seen.append([event["payload"]["seq"] for event in events])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer == "lost":
            route.abort()
        elif answer == "202":
            through = {events[0]["payload"]["epoch"]: 2}
            route.fulfill(status=202, json={"acked_through": through, "rejected": [], "pending": 2})
        else:
            base.take(route)

    base.up = False
    scan(tablet, *["FIL-20"] * 4)
    expect(outbox(tablet)).to_have_text("4 waiting", timeout=WAIT_MS)
    base.up = True
    tablet.context.route("**/events:batch", unsure)
    for waiting in ("4 waiting", "2 waiting", "all sent"):
        tablet.evaluate("dispatchEvent(new Event('online'))")
        expect(outbox(tablet)).to_have_text(waiting, timeout=WAIT_MS)
    assert seen == [[1, 2, 3, 4], [1, 2, 3, 4], [3, 4]]


def test_a_visit_is_reported_and_signed_by_hand_by_name_or_by_nobody(
    api: Any, tablet: Page, base: Base
) -> None:
    ready(tablet, api.url, "tour")
    tablet.locator(".stop.arrived").get_by_role("link", name="Report").click()
    done = tablet.get_by_role("button", name="Done")
    done.click()
    expect(tablet.get_by_role("alert")).to_have_text("Write what was done.")
    tablet.get_by_label("What was done").fill("Filter replaced.\nBearing worn.")
    sign(tablet)
    done.click()
    expect(tablet.get_by_role("alert")).to_have_text("Write the name of who signs.")
    tablet.get_by_label("Name of who signs").fill("Marie Dupont")
    tablet.reload()
    expect(tablet.get_by_label("Name of who signs")).to_have_value("Marie Dupont", timeout=WAIT_MS)
    done.click()
    stop = tablet.locator(".stop.arrived")
    expect(stop).to_contain_text("report sent", timeout=WAIT_MS)
    stop.get_by_role("link", name="Correct the report").click()
    expect(tablet.get_by_label("What was done")).to_have_value("Filter replaced.\nBearing worn.")
    tablet.get_by_role("radio", name="The client, by name").check(force=True)
    done.click()
    poll(lambda: len(base.of("report")) == 2, tablet)
    stop.get_by_role("link", name="Correct the report").click()
    tablet.get_by_role("radio", name="Nobody: the client is absent").check(force=True)
    done.click()
    poll(lambda: len(base.of("report")) == 3, tablet)
    drawn, typed, absent = (msgspec.convert(it, VisitReport) for it in base.of("report"))
    assert (drawn.seq, drawn.site, drawn.stop) == (1, "BAKERY", 1)
    assert (drawn.work, drawn.user) == ("Filter replaced.\nBearing worn.", "ana")
    assert drawn.signature_svg is not None
    assert drawn.signature_svg.startswith("M")
    assert typed.signature_png is not None
    assert signatures.objection(typed.signature_png) is None
    assert [it.signer for it in (drawn, typed, absent)] == ["Marie Dupont", "Marie Dupont", None]
    assert [it.absent for it in (drawn, typed, absent)] == [False, False, True]


def sign(page: Page) -> None:
    """Draw two strokes."""
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()
    assert box is not None
    for shift in (0.3, 0.6):
        page.mouse.move(box["x"] + box["width"] * shift, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * shift + 40, box["y"] + 60, steps=5)
        page.mouse.up()


def test_messages_are_read_answered_and_written_without_a_network(
    api: Any, tablet: Page, base: Base, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(WRITTEN)
    ready(tablet, api.url)
    tab = tablet.get_by_role("link", name="Messages")
    expect(tab).to_contain_text("2 unread", timeout=WAIT_MS)
    tab.click()
    expect(tab).not_to_contain_text("unread", timeout=WAIT_MS)
    poll(lambda: any(it.get("read") for it in base.of("message")), tablet)
    assert {x for it in base.of("message") for x in it.get("read", [])} == {"m-1", "m-3"}
    assert {x for it in base.of("message") for x in it.get("delivered", [])} == {"m-1", "m-3"}
    api.stop()
    base.up = False
    bakery = tablet.locator(".message", has_text="Please ring at the back door.")
    bakery.get_by_role("button", name="Reply").click()
    tablet.get_by_label("To the base").fill("The gate is locked.")
    tablet.get_by_role("button", name="Send").click()
    mine = tablet.locator(".message", has_text="The gate is locked.")
    expect(mine).to_contain_text("not sent yet")
    tablet.reload()
    expect(mine).to_contain_text("not sent yet", timeout=WAIT_MS)
    api.start()
    base.up = True
    tablet.evaluate("dispatchEvent(new Event('online'))")
    expect(mine).to_contain_text("sent", timeout=WAIT_MS)
    expect(mine).not_to_contain_text("not sent yet", timeout=WAIT_MS)
    written = [it for it in base.of("message") if "text" in it]
    assert [(it["text"], it["in_reply_to"]) for it in written] == [("The gate is locked.", "m-1")]
    tablet.locator(".message", has_text="Please count these.").get_by_role("button").click()
    expect(tablet.get_by_role("region", name="Being counted")).to_contain_text("Pump")


def test_duty_is_one_switch_and_positions_are_sent_on_duty_and_only_if_that_is_wished(
    api: Any, tablet: Page, base: Base
) -> None:
    tablet.context.grant_permissions(["geolocation"])
    tablet.context.set_geolocation({"latitude": 45.75, "longitude": 4.85, "accuracy": 8})
    ready(tablet, api.url)
    switch = tablet.get_by_role("switch")
    switch.click()
    expect(switch).to_have_text("on duty")
    expect(tablet.locator("#said")).to_contain_text(
        "You are on duty: the base sees where the van is"
    )
    expect(outbox(tablet)).to_have_text("all sent", timeout=WAIT_MS)
    assert [(it["state"], it["duty"]) for it in base.of("status")] == [("online", "on")]
    assert base.of("position") == []
    tablet.locator(".menu summary").click()
    tablet.get_by_role("button", name="This tablet").click()
    tablet.get_by_label("Let this device send where it is").check()
    tablet.get_by_role("button", name="Close").last.click()
    poll(lambda: len(base.of("position")) == 1, tablet)
    fix = base.of("position")[0]
    assert (fix["lat"], fix["lon"], fix["acc_m"]) == (45.75, 4.85, 8)
    assert fix["t"] > base.of("status")[0]["t"]
    tablet.locator(".menu summary").click()
    switch.click()
    expect(switch).to_have_text("off duty")
    tablet.context.set_geolocation({"latitude": 46, "longitude": 5})
    tablet.wait_for_timeout(1_000)
    assert len(base.of("position")) == 1


@pytest.mark.parametrize("size", [(320, 568), (740, 360), (1280, 800)])
def test_every_tab_has_room_and_a_name_for_everything_in_every_theme(
    api: Any, tablet: Page, base: Base, size: tuple[int, int]
) -> None:
    width, height = size
    tablet.set_viewport_size({"width": width, "height": height})
    ready(tablet, api.url)
    doing(tablet, "Use")
    scan(tablet, "FIL-20", "A CODE THAT NOBODY KNOWS".ljust(80, "X"))
    expect(last(tablet)).to_contain_text("Unknown code", timeout=WAIT_MS)
    tablet.evaluate(AXE.read_text())
    for theme in ("light", "dark", "sunlight"):
        worn = f"(await import('/base/theme.js')).wear('{theme}')"
        tablet.evaluate(f"(async () => {worn})()")
        for tab in ("scan", "stock", "tour", "messages"):
            tablet.evaluate(f"location.hash = '{tab}'")
            expect(tablet.locator(f"van-{tab}")).to_be_visible()
            tablet.evaluate("scrollTo(0, 0)")  # what is half under the line on top is no target
            assert tablet.evaluate("document.documentElement.scrollWidth") <= width, tab
            assert complaints(tablet) == [], (theme, tab)
            assert too_small(tablet) == [], (theme, tab)
        outbox(tablet).click()
        assert complaints(tablet) == [], theme
        tablet.get_by_role("dialog").get_by_role("button", name="Close").click()


def complaints(page: Page) -> list[str]:
    """Return what axe finds wrong, a line each."""
    tags = "{ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }"
    found = page.evaluate(f"axe.run(document, {tags}).then(({{ violations }}) => violations)")
    return [f"{it['id']}: {node['html'][:160]}" for it in found for node in it["nodes"]]


def too_small(page: Page) -> list[str]:
    """Return what one can touch, is in sight, and is less than 48 pixels high."""
    return page.evaluate(
        """[...document.querySelectorAll('button, select, textarea, input, a.button, .tabs a, .tile, summary')]
        .filter((each) => !each.matches('.unseen, [type=checkbox]') && each.checkVisibility())
        .map((each) => [each, each.getBoundingClientRect()])
        .filter(([each, { width, height }]) => width < 48 || height < 47.5)
        .map(([each]) => each.outerHTML.slice(0, 120))"""
    )


@pytest.fixture
def filming(
    browser: Browser, tmp_path: Path, anas: str, expected_errors: list[str]
) -> Iterator[Page]:
    """Ana's page on a device whose camera sees the GS1 DataMatrix of ten filters, and nothing else."""
    film = tmp_path / "film.y4m"
    code = zxingcpp.create_barcode(
        "(01)04006381333931(10)L7", zxingcpp.BarcodeFormat.DataMatrix, gs1=True
    )
    symbol = np.array(code.to_image(scale=12))
    picture = np.full((480, 640), 255, np.uint8)
    picture[100 : 100 + len(symbol), 200 : 200 + len(symbol)] = symbol
    grey = np.full(480 * 640 // 2, 128, np.uint8)
    film.write_bytes(
        b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\nFRAME\n" + picture.tobytes() + grey.tobytes()
    )
    started = browser.browser_type.launch(
        executable_path=chromium(),
        args=[
            *ARGUMENTS,
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        ],
    )
    with opened_page(started, expected_errors, anas) as page:
        yield page
    started.close()


def test_the_camera_reads_a_code_once_while_it_is_in_sight(api: Any, filming: Page) -> None:
    base = Base()
    filming.context.route("**/events:batch", base.take)
    ready(filming, api.url)
    doing(filming, "Use")
    filming.get_by_role("button", name="Camera").click()
    expect(last(filming)).to_contain_text("10 × Filter 20: used", timeout=WAIT_MS)
    filming.wait_for_timeout(2_000)
    filming.get_by_role("button", name="Put the camera away").click()
    expect(outbox(filming)).to_have_text("all sent", timeout=WAIT_MS)
    assert [(it["code"], it["aim_id"]) for it in base.of("scan")] == [
        ("010400638133393110L7", "]d2")
    ]


def test_a_code_means_on_the_tablet_what_it_means_at_the_server(api: Any, tablet: Page) -> None:
    tablet.goto(f"{api.url}van/")
    read = "codes.map(([code, aim]) => meanings(code, aim).map((it) => [it.key, it.packs, it.lot]))"
    imported = "const { meanings } = await import('/van/codes.js')"
    found = tablet.evaluate(f"async (codes) => {{ {imported}; return {read} }}", TOLD_APART)
    for (code, aim), meant in zip(TOLD_APART, found, strict=True):
        told = [[it.key, it.packs, it.lot] for it in barcodes.meanings(code.encode(), aim)]
        assert meant == told, (code, aim)
