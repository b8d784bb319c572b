"""What tablets say of visits: kept as it came, in any order, and told with the visit it belongs to."""

import itertools
import json
import random
from typing import Any

import httpx
import msgspec
import psycopg
import pypdfium2 as pdfium
import pytest
from psycopg.rows import TupleRow

from ingest.batch import Delivery
from ingest.messages import VisitReport, VisitReportEvent, encode
from storage.settings import Settings
from tests.integration.api_client import NOW_MS, answer, new_session, new_user, problem, sign_in_as
from tests.integration.conftest import running
from tests.integration.tablet import NOW, relaying, scan, tablet
from tests.integration.without_broker import HOUR, MINUTE, MONDAY, Base, local_ms

EVENING = local_ms(MONDAY, 20)
NOON = local_ms(MONDAY, 12)
PATH = "M40 150C80 20 120 20 140 140"
CLEAR = "TRUNCATE visit_report, scan_through, scan_unusable, outbox, webhook_delivery, rejected"
ALL = """
SELECT device, epoch, seq, payload_hash, t, site, stop_id, work, work_order, author, signer,
       signer_role, signature_svg, is_absent, report_id FROM visit_report ORDER BY 1, 2, 3, 4
"""
SOUND = "SELECT seq, work FROM sound_visit_report ORDER BY 1"
BELONGS = (
    "SELECT seq, to_char(arrived_at, 'HH24:MI'), planned_stop_id FROM reported_visit ORDER BY 1"
)
TOLD = "SELECT payload FROM outbox WHERE topic LIKE 'planner/v1/visit-reports/%' ORDER BY outbox_id"
RECEIPTS = """
SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'through')::int FROM outbox
WHERE topic LIKE '%/receipt' ORDER BY outbox_id
"""


def report(seq: int, t: int = NOON, site: str = "S1", **more: Any) -> Delivery:
    fields = {"work": f"work {seq}", "signer": "Ms X", "signature_svg": PATH} | more
    if fields.get("absent"):
        fields |= {"signer": None, "signature_svg": None}
    return Delivery("fleet/v1/van-001/report", encode(VisitReport("e", seq, t, site, **fields)))


def visits(
    base: Base, *spans: tuple[int, int, int | None], van: int = 1, stop: int | None = None
) -> None:
    """Put visits as (site, arrival, departure); what is not left is still there."""
    for site, arrived, left in spans:
        base.execute(
            "INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by,"
            " verdict, uncertain, ignition_off, service_date, stop_id) VALUES (%s, %s,"
            " to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0),"
            " to_timestamp(%s / 1000.0), 'visit', false, true, '2026-09-21', %s)",
            van, site, arrived, left or arrived, left, left, stop,
        )  # fmt: skip


@pytest.fixture
def sites(base: Base) -> Base:
    base.import_rows("sites", "site,name,latitude_deg,longitude_deg,radius_m",
                     "S1,One,48.0,11.0,100", "S2,Two,48.1,11.1,100")  # fmt: skip
    return base


def deliver(base: Base, batches: list[list[Delivery]]) -> None:
    base.execute(CLEAR)
    reference = None
    for batch in batches:
        reference = base.commit(batch, EVENING, reference)


# ---- kept as they came


def test_reports_are_the_same_rows_in_any_order_and_however_often(sites: Base) -> None:
    said = [report(1), report(2, NOON + HOUR, "S2"), report(2, NOON + HOUR, "S2", work="other"),
            report(3, absent=True), report(1)]  # fmt: skip
    deliver(sites, [said])
    expected = sites.rows(ALL), sites.rows(SOUND)
    assert [row[2] for row in expected[0]] == [1, 2, 2, 3]
    assert [seq for seq, _ in expected[1]] == [1, 3]
    for seed in range(6):
        shuffled = random.Random(seed).sample(said * 2, 10)
        cuts = [shuffled[i : i + 1 + seed] for i in range(0, 10, 1 + seed)]
        deliver(sites, cuts)
        assert (sites.rows(ALL), sites.rows(SOUND)) == expected
        assert sites.rows(RECEIPTS)[-1] == (3,)


def test_scans_and_reports_share_one_counter_so_no_receipt_stops_at_either(sites: Base) -> None:
    fuse = json.dumps({"epoch": "e", "seq": 2, "t": NOON, "intent": "issue", "code": "FUSE"})
    deliver(sites, [[report(1)], [Delivery("fleet/v1/van-001/scan", fuse.encode())], [report(3)]])
    assert sites.rows(RECEIPTS) == [(1,), (2,), (3,)]


def test_an_unusable_report_is_kept_and_the_receipt_passes_it(sites: Base) -> None:
    bad = Delivery("fleet/v1/van-001/report", b'{"epoch":"e","seq":2,"t":1,"site":"S1"}')
    deliver(sites, [[report(1), bad, report(3)]])
    assert sites.rows("SELECT payload, van_code FROM rejected") == [(bad.payload, "van-001")]
    assert sites.rows(RECEIPTS)[-1] == (3,)


# ---- which visit it belongs to


@pytest.mark.parametrize("reports_first", [True, False])
def test_a_report_belongs_to_the_nearest_visit_of_its_van_at_its_site(
    sites: Base, *, reports_first: bool
) -> None:
    said = [
        report(1, NOON),  # during the first
        report(2, NOON + 4 * HOUR - 10 * MINUTE),  # after it, nearer to the second
        report(3, NOON + 7 * HOUR),  # in the evening: the last
        report(4, NOON - 10 * MINUTE),  # the tablet's clock is a little behind
        report(5, NOON - HOUR),  # before anybody was there
        report(6, NOON, "S2"),
        report(7, NOON, "NOWHERE"),
        report(8, NOON + 40 * HOUR),  # too late
    ]
    if reports_first:
        deliver(sites, [[it] for it in said])
    visits(sites, (1, NOON - 5 * MINUTE, NOON + HOUR), (1, NOON + 4 * HOUR, NOON + 5 * HOUR))
    visits(sites, (2, NOON, NOON + HOUR), van=2)
    if not reports_first:
        sites.execute(CLEAR)
        sites.commit(said, NOON + 41 * HOUR)
    else:
        assert len(sites.rows(ALL)) == 7  # the last was of a time to come
    first, second = "09:55", "14:00"
    expected = [(1, first, None), (2, second, None), (3, second, None), (4, first, None),
                (5, None, None), (6, None, None), (7, None, None)]  # fmt: skip
    assert sites.rows(BELONGS)[:7] == expected
    if not reports_first:
        assert sites.rows(BELONGS)[7:] == [(8, None, None)]


def test_passes_and_shadowed_runs_have_no_report(sites: Base) -> None:
    deliver(sites, [[report(1)]])
    visits(sites, (1, NOON - MINUTE, NOON + HOUR))
    assert sites.rows(BELONGS) == [(1, "09:59", None)]
    sites.execute("UPDATE visit SET verdict = 'pass'")
    assert sites.rows(BELONGS) == [(1, None, None)]
    sites.execute("UPDATE visit SET verdict = 'visit', shadowed_by = 2")
    assert sites.rows(BELONGS) == [(1, None, None)]


def test_a_site_that_is_imported_later_gets_its_reports(sites: Base) -> None:
    deliver(sites, [[report(1, site="S3")]])
    assert sites.rows("SELECT site_id FROM reported_visit") == [(None,)]
    sites.import_rows(
        "sites", "site,name,latitude_deg,longitude_deg,radius_m", "S3,Three,48,11,100"
    )
    assert sites.rows("SELECT site_id FROM reported_visit") == [(3,)]


def test_the_stop_is_the_visits_else_the_one_that_the_tablet_meant_if_it_is_at_that_site(
    sites: Base,
) -> None:
    at_one, at_two = sites.put_tour(
        1, MONDAY, [(1, NOON, NOON + HOUR), (2, NOON + HOUR, NOON + 2 * HOUR)]
    )
    deliver(sites, [[report(1, stop=at_one), report(2, stop=at_two), report(3)]])
    assert [row[2] for row in sites.rows(BELONGS)] == [at_one, None, None]
    visits(sites, (1, NOON - MINUTE, NOON + HOUR), stop=at_one)
    assert [row[2] for row in sites.rows(BELONGS)] == [at_one] * 3


# ---- what others are told


def told(base: Base) -> list[VisitReportEvent]:
    return [msgspec.json.decode(payload, type=VisitReportEvent) for (payload,) in base.rows(TOLD)]


def test_a_new_report_is_told_once_and_without_its_signature(sites: Base) -> None:
    said = report(
        1, work="Filter replaced.", signer_role="owner", stop=7, work_order="W-1", user="jo"
    )
    deliver(sites, [[said], [said]])
    (event,) = told(sites)
    assert (event.type, event.subject) == ("cordee.visit.reported.v1", "van-001")
    data = event.data
    assert (data.site, data.t, data.absent, data.signer, data.signer_role, data.work_order) == (
        "S1", NOON, False, "Ms X", "owner", "W-1",
    )  # fmt: skip
    assert (data.stop, data.user, data.work) == (7, "jo", "Filter replaced.")
    assert sites.rows("SELECT report_id FROM visit_report") == [(data.report,)]
    assert PATH.encode() not in sites.rows(TOLD)[0][0]


@pytest.mark.parametrize("together", [True, False])
def test_a_contradicted_report_is_told_to_be_set_aside(sites: Base, *, together: bool) -> None:
    first, other = report(1), report(1, work="other")
    deliver(sites, [[first, other]] if together else [[first], [other]])
    kinds = [event.type.split(".")[2] for event in told(sites)]
    assert kinds == (["report_set_aside"] * 2 if together else ["reported", "report_set_aside"])
    assert len({event.id for event in told(sites)}) == 2


def test_webhooks_of_its_organisation_that_want_visits_get_it(sites: Base) -> None:
    sites.execute(CLEAR)
    sites.execute(
        "INSERT INTO webhook (organisation_id, url, topics, secret) VALUES"
        " (1, 'visits', '{planner/v1/visit-reports}', 's'), (1, 'alerts', '{planner/v1/alerts}', 's')"
    )
    sites.commit([report(1)], EVENING)
    query = "SELECT url FROM webhook_delivery JOIN webhook USING (webhook_id)"
    assert sites.rows(query) == [("visits",)]


# ---- by HTTP


async def test_a_batch_takes_reports_and_says_which_contradict(settings: Settings) -> None:
    def visit(seq: int, work: str = "w") -> tuple[str, dict[str, Any]]:
        return "report", {"epoch": "e", "seq": seq, "t": NOW, "site": "S1", "work": work,
                          "signer": "Ms X", "signature_svg": PATH}  # fmt: skip

    async with tablet(settings) as ana, running(settings), relaying(settings):
        said = await ana.send(scan(1), visit(2), visit(3), ("report", {"epoch": "e", "seq": 4}))
        assert said["acked_through"] == {"e": 4}
        assert [(it["index"], it["seq"], it["reason"]) for it in said["rejected"]] == [
            (3, 4, "bad_payload")
        ]
        said = await ana.send(visit(2), visit(3, "other"))
        assert [(it["index"], it["reason"]) for it in said["rejected"]] == [(1, "conflict")]
        assert ana.rows("SELECT seq FROM sound_visit_report") == [(2,)]


WRITTEN = """
INSERT INTO client (client_id, organisation_id, code, name) VALUES (1, 1, 'DUPONT', 'Dupont');
UPDATE site SET client_id = 1 WHERE site_id = 1;
INSERT INTO visit_report VALUES
  ('V1', 'e', 1, 0, 1, '2026-11-20 08:50Z', 'BAKERY', NULL, 'Oven cleaned.', 'W-1', NULL, 'Ms D', 'owner',
   'M0 0L600 200', NULL, false, now()),
  ('V1', 'e', 2, 0, 1, '2026-11-20 08:55Z', 'BAKERY', NULL, 'And the door.', NULL, 'Bo', NULL, NULL,
   NULL, NULL, true, now()),
  ('V2', 'e', 1, 0, 2, '2026-11-18 10:00Z', 'BAKERY', NULL, 'Nobody saw me.', 'W-9', NULL, 'Ms E', NULL,
   'M0 0', NULL, false, now()),
  ('V1', 'e', 3, 0, 1, '2026-11-19 09:10Z', 'SCHOOL', NULL, 'One thing.', NULL, NULL, 'X', NULL, 'M0 0',
   NULL, false, now()),
  ('V1', 'e', 3, 1, 1, '2026-11-19 09:10Z', 'SCHOOL', NULL, 'Another.', NULL, NULL, 'X', NULL, 'M0 0',
   NULL, false, now()),
  ('X9', 'e', 1, 0, 9, '2026-11-20 08:30Z', 'HARBOUR', NULL, 'Theirs.', NULL, NULL, 'Y', NULL, 'M0 0',
   NULL, false, now());
"""
LIST = "/v1/visit-reports"


@pytest.fixture
def written(conn: psycopg.Connection[TupleRow]) -> dict[str, str]:
    """Reports over the small fleet; their names by van and seq."""
    conn.execute(WRITTEN)
    rows = conn.execute("SELECT device || seq, report_id FROM visit_report").fetchall()
    return dict(rows)


async def test_the_list_tells_of_each_visit_what_was_written_and_who_signed(
    api: httpx.AsyncClient, written: dict[str, str]
) -> None:
    said = (await answer(api, LIST))["reports"]
    bakery = next(it for it in said if it["site"] == "BAKERY" and it["arrived_at_ms"])
    assert bakery["signed"] == [
        {"report": written["V11"], "t_ms": NOW_MS - 10 * MINUTE, "work": "Oven cleaned.",
         "work_order": "W-1", "author": None, "signer": "Ms D", "signer_role": "owner", "absent": False},
        {"report": written["V12"], "t_ms": NOW_MS - 5 * MINUTE, "work": "And the door.",
         "work_order": None, "author": "Bo", "signer": None, "signer_role": None, "absent": True},
    ]  # fmt: skip
    text = json.dumps(said)
    assert "One thing." not in text  # contradicted
    assert "Another." not in text
    assert "Theirs." not in text


async def test_a_report_without_a_visit_stands_at_its_own_time(
    api: httpx.AsyncClient, written: dict[str, str]
) -> None:
    said = (await answer(api, LIST))["reports"]
    (lone,) = [it for it in said if it["arrived_at_ms"] is None]
    assert lone == {
        "site": "BAKERY", "site_name": "Bakery", "client": "DUPONT", "technician": None,
        "arrived_at_ms": None, "last_inside_at_ms": None, "left_at_ms": None, "dwell_s": None,
        "uncertain": False, "window_start_ms": None, "window_end_ms": None, "work_order": "W-9",
        "parts": [], "signed": lone["signed"],
    }  # fmt: skip
    times = [it["arrived_at_ms"] or it["signed"][0]["t_ms"] for it in said]
    assert times == sorted(times, reverse=True)
    first = await answer(api, LIST, limit=1)
    assert first["truncated"]
    assert first["reports"] == said[:1]


async def test_a_client_sees_reports_of_the_own_sites_only(
    api: httpx.AsyncClient, database_url: str, written: dict[str, str]
) -> None:
    sign_in_as(api, new_session(database_url, new_user(database_url, "cli", "client", client_id=1)))
    said = (await answer(api, LIST))["reports"]
    assert {it["site"] for it in said} == {"BAKERY"}
    assert (await api.get(f"{LIST}/{written['V11']}.pdf")).status_code == 200
    assert await problem(api, f"{LIST}/{written['X91']}.pdf") == (404, "visit_report_not_found")


def texts_of(paper: bytes) -> str:
    document = pdfium.PdfDocument(paper)
    try:
        pages = [page.get_textpage().get_text_bounded() for page in document]
        return " ".join(" ".join(pages).split())
    finally:
        document.close()


async def test_a_report_is_printed_with_times_parts_and_signature(
    api: httpx.AsyncClient, conn: psycopg.Connection[TupleRow], written: dict[str, str]
) -> None:
    conn.execute("""
      INSERT INTO location (location_id, organisation_id, kind) VALUES (301, 1, 'customer')
      ON CONFLICT DO NOTHING;
      INSERT INTO movement VALUES ('V1', 'e', 1, 0, '2026-11-20 08:00Z', 'issue', 1, '', 2, 101,
        (SELECT location_id FROM location WHERE kind = 'customer' AND organisation_id = 1 LIMIT 1));
    """)
    response = await api.get(f"{LIST}/{written['V11']}.pdf")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/pdf"
    said = texts_of(response.content)
    for words in ("Visit report: Bakery", "Dupont", "Ana", "W-1", "Arrived Fri, 20 Nov 2026, 08:55",
                  "Left not yet", "Oven cleaned.", "FIL-20 Filter 20 used 2 pieces",
                  "Signed by Ms D, owner", "Signed on Fri, 20 Nov 2026, 09:50"):  # fmt: skip
        assert words in said, words
    said = texts_of((await api.get(f"{LIST}/{written['V21']}.pdf")).content)
    assert "the van was not seen at this site" in said
    said = texts_of((await api.get(f"{LIST}/{written['V12']}.pdf")).content)
    assert "Technician Bo" in said
    assert "Nobody was there to sign" in said
    polish = await api.get(f"{LIST}/{written['V11']}.pdf", headers={"accept-language": "pl"})
    assert polish.headers["content-language"] == "pl"
    assert "Raport z wizyty: Bakery" in texts_of(polish.content)


async def test_a_contradicted_report_and_one_that_is_none_are_not_printed(
    api: httpx.AsyncClient, written: dict[str, str]
) -> None:
    for name in (written["V13"], "0" * 32):
        assert await problem(api, f"{LIST}/{name}.pdf") == (404, "visit_report_not_found")
    assert (await problem(api, f"{LIST}/abc.pdf"))[0] == 422


def test_a_name_says_the_key_and_no_two_keys_have_one(conn: psycopg.Connection[TupleRow]) -> None:
    keys = itertools.product(["V1", "V2"], ["e", "e/1", "1"], [1, 11])
    for device, epoch, seq in keys:
        conn.execute(
            "INSERT INTO visit_report VALUES (%s, %s, %s, 0, 1, now(), 'S', NULL, '', NULL, NULL, NULL,"
            " NULL, NULL, NULL, true, now())",
            (device, epoch, seq),
        )
    query = "SELECT count(*), count(DISTINCT report_id) FROM visit_report"
    assert conn.execute(query).fetchone() == (12, 12)
