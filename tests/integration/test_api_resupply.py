"""What the API shows of resupply, and the decisions that people make through it."""

import json
from typing import Any

import httpx
import psycopg
import pytest
import zxingcpp
from psycopg.types.json import Jsonb

from ingest import service
from ingest.batch import Delivery
from tests.integration.api_client import NOW_MS, answer, come_as
from tests.integration.test_stock_ledger import opened, rows
from tests.unit.test_stock_papers import pictures, texts

BOX = "004000000000000176"
#: What a pick list in German says of the line that is told in `DECIDED`.
DECIDED = {
    "on_hand": 4, "on_order": 0, "on_transfer": 0, "needed": 0, "jobs": [], "reorder_point": 4,
    "order_up_to": 10, "cap": 12, "pack_qty": 2, "why": "4 on board",
}  # fmt: skip
GERMAN = (
    "von 6, der Rest wird nachgeliefert; 4 an Bord; 0 bestellt; nicht über dem Meldebestand 4;"
    " aufgefüllt auf 10 in Packungen zu 2"
)
#: Who the client of these tests is signed in as.
ADMIN = "user:admin-1"
Conn = psycopg.Connection[Any]


def seen(paper: bytes) -> set[tuple[str, str]]:
    """What a scanner reads of all pages: text, and kind of symbol."""
    return {
        (code.text, code.symbology_identifier)
        for page in pictures(paper)
        for code in zxingcpp.read_barcodes(page)
    }


async def post(api: httpx.AsyncClient, path: str, **body: object) -> tuple[int, Any]:
    answered = await api.post(path, json=body)
    return answered.status_code, answered.json() if answered.content else None


def place(conn: Conn) -> None:
    """Give both organisations the places that ingest moves stock between."""
    conn.execute(
        "INSERT INTO location (organisation_id, kind, warehouse_id) VALUES (1, 'warehouse', 1),"
        " (2, 'customer', NULL), (2, 'in_transit', NULL), (2, 'scrap', NULL)"
    )


def wait(conn: Conn) -> None:
    """Let the order wait for an approval."""
    conn.execute("UPDATE resupply_order SET state = 'proposed' WHERE code = 'O-1'")


def propose(conn: Conn, qty: int = 6, *, unconfirmed: bool = False) -> None:
    conn.execute(
        "INSERT INTO proposal (location_id, item_id, qty, inputs) VALUES"
        """ (101, 1, %s, '{"why": "4 on board", "needed": 0}'), (109, 1, 1, '{"needed": 0}')""",
        [qty],
    )
    if unconfirmed:
        conn.execute("INSERT INTO count_task VALUES (101, 1, 'unconfirmed', '2026-11-20 08:00Z')")


def offer(conn: Conn, state: str = "proposed") -> int:
    """Let van V2 offer two filters to van V1."""
    conn.execute(
        "INSERT INTO location (location_id, organisation_id, kind, van_id) VALUES (102, 1, 'van', 2)"
    )
    made = conn.execute(
        "INSERT INTO transfer (from_location_id, to_location_id, item_id, qty, state, inputs,"
        ' created_time, until) VALUES (102, 101, 1, 2, %s, \'{"why": "near"}\','
        " '2026-11-20 08:00Z', '2026-11-20 12:00Z') RETURNING transfer_id",
        [state],
    ).fetchone()
    assert made
    return int(made[0])


async def test_an_order_that_waits_is_approved_once_by_somebody(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    wait(conn)
    status, order = await post(api, "/v1/orders/O-1/approval")
    assert (status, order["state"], order["approved_by"]) == (200, "approved", ADMIN)
    come_as(api, "a.roux", "warehouse")
    status, problem = await post(api, "/v1/orders/O-1/approval")
    assert (status, problem["code"]) == (409, "order_not_waiting")
    assert (await answer(api, "/v1/orders/O-1"))["order"]["approved_by"] == ADMIN


async def test_a_report_by_http_reaches_ingest_as_the_warehouse_would_have_sent_it(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    place(conn)
    status, taken = await post(
        api, "/v1/orders/O-1/reports", kind="shipped", sscc=BOX, id="mine-1",
        lines=[{"item": "FIL-20", "qty": 6}],
    )  # fmt: skip
    assert (status, taken) == (202, {"id": "mine-1"})
    ((topic, payload),) = rows(database_url, "SELECT topic, payload FROM outbox")
    assert topic == "warehouse/v1/reports/LYON"
    async with opened(database_url) as pool:
        await service.commit(pool, [Delivery(topic, payload)], None, lambda: NOW_MS)
    shown = await answer(api, "/v1/orders/O-1")
    assert shown["order"]["state"] == "shipped"
    assert [(line["item"], line["shipped"]) for line in shown["lines"]] == [
        ("FIL-20", 6),
        ("PUMP", 0),
    ]
    [said] = shown["reports"]
    assert (said["id"], said["kind"], said["sscc"], said["counts"]) == (
        "mine-1", "shipped", BOX, True,
    )  # fmt: skip
    assert (said["author"], said["posted_by"]) == (None, ADMIN)


PUMP = {"item": "PUMP", "qty": 1}


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"kind": "shipped"}, (422, "invalid_parameters")),
        ({"kind": "picked", "lines": []}, (422, "invalid_parameters")),
        ({"kind": "delivered"}, (422, "invalid_parameters")),
        ({"kind": "accepted", "sscc": BOX}, (422, "invalid_parameters")),
        ({"kind": "lost"}, (422, "invalid_parameters")),
        ({"kind": "shipped", "lines": [{**PUMP, "qty": "1"}]}, (422, "invalid_parameters")),
        ({"kind": "shipped", "lines": [{**PUMP, "back_order": 0}]}, (422, "invalid_parameters")),
        ({"kind": "shipped", "lines": [{"item": "SEAL_5", "qty": 1}]}, (404, "unusable_report")),
        ({"kind": "shipped", "lines": [PUMP], "sscc": BOX[:-1] + "1"}, (422, "unusable_report")),
    ],
)
async def test_a_report_that_cannot_be_is_refused_and_nothing_is_sent(
    api: httpx.AsyncClient, conn: Conn, body: dict[str, Any], refused: tuple[int, str]
) -> None:
    status, problem = await post(api, "/v1/orders/O-1/reports", **body)
    assert (status, problem["code"]) == refused
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


async def test_proposals_are_those_of_the_organisation_and_say_what_they_wait_for(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    propose(conn, unconfirmed=True)
    [found] = (await answer(api, "/v1/proposals"))["proposals"]
    assert (found["van"], found["item"], found["qty"], found["waits"]) == ("V1", "FIL-20", 6, True)
    assert (found["why"], found["because"]) == ("4 on board", [])
    conn.execute("UPDATE proposal SET inputs = %s WHERE item_id = 1", [Jsonb(DECIDED)])
    [found] = (await answer(api, "/v1/proposals"))["proposals"]
    assert found["because"][0] == {"text": "{n} on board", "values": {"n": 4}}
    status, _ = await post(api, "/v1/proposals/V1/FIL-20/approval")
    assert status == 204
    [found] = (await answer(api, "/v1/proposals", van="V1"))["proposals"]
    assert (found["waits"], found["approved_by"]) == (False, ADMIN)
    status, problem = await post(api, "/v1/proposals/V1/PUMP/approval")
    assert (status, problem["code"]) == (404, "proposal_not_found")


async def test_a_transfer_says_why_in_phrases_too(api: httpx.AsyncClient, conn: Conn) -> None:
    offer(conn)
    [made] = (await answer(api, "/v1/transfers"))["transfers"]
    assert made["because"] == []
    conn.execute("UPDATE transfer SET inputs = %s", [Jsonb({"spare": 3, "apart_m": 1_240})])
    [made] = (await answer(api, "/v1/transfers"))["transfers"]
    assert made["because"] == [
        {"text": "{van} has {n} to spare", "values": {"van": "V2", "n": 3}},
        {"text": "its way comes within {km} km", "values": {"km": 1.2}},
    ]


async def test_a_transfer_is_accepted_or_refused_until_it_is_over(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    path = f"/v1/transfers/{offer(conn)}/decision"
    status, made = await post(api, path, accept=True)
    assert (status, made["state"], made["decided_by"]) == (200, "accepted", ADMIN)
    assert (made["from_van"], made["to_van"], made["why"]) == ("V2", "V1", "near")
    assert (await post(api, path, accept=True))[0] == 200
    status, made = await post(api, path, accept=False)
    assert (status, made["state"]) == (200, "refused")
    status, problem = await post(api, path, accept=True)
    assert (status, problem["code"]) == (409, "transfer_over")
    assert len((await answer(api, "/v1/transfers", van="V1", state="refused"))["transfers"]) == 1
    assert (await answer(api, "/v1/transfers", van="V3"))["transfers"] == []


async def test_a_refused_transfer_is_proposed_to_the_warehouse_instead(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    # Van V1 has 4 filters and 5 of its 6 ordered ones are cancelled: with two offered it has enough.
    conn.execute("UPDATE resupply_line SET cancelled = 6 WHERE (order_id, item_id) = (1, 1)")
    number = offer(conn)
    await post(api, f"/v1/transfers/{number}/decision", accept=False)
    [found] = (await answer(api, "/v1/proposals"))["proposals"]
    assert (found["item"], found["qty"]) == ("FIL-20", 6)


async def test_nobody_decides_what_is_another_organisations(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    propose(conn)
    assert (await post(api, "/v1/orders/O-9/approval"))[0] == 404
    assert (await post(api, "/v1/orders/O-9/reports", kind="accepted"))[0] == 404
    assert (await post(api, "/v1/proposals/X9/FIL-20/approval"))[0] == 404
    assert (await post(api, "/v1/transfers/7/decision", accept=True))[0] == 404


async def test_variances_and_recounts_are_told_by_van(api: httpx.AsyncClient, conn: Conn) -> None:
    conn.execute(
        "INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t) VALUES"
        " ('V1', 'e', 11, 101, 1, 9, '2026-11-20 07:00Z'), ('V1', 'e', 12, 101, 1, 4, '2026-11-20 08:00Z'),"
        " ('X9', 'e', 11, 109, 1, 9, '2026-11-20 07:00Z'), ('X9', 'e', 12, 109, 1, 4, '2026-11-20 08:00Z')"
    )
    conn.execute("INSERT INTO count_task VALUES (101, 1, 'unconfirmed', '2026-11-20 08:00Z')")
    [found] = (await answer(api, "/v1/counts/variances"))["variances"]
    assert (found["van"], found["expected"], found["counted"], found["variance"]) == (
        "V1",
        9,
        4,
        -5,
    )
    [task] = (await answer(api, "/v1/counts/recounts"))["recounts"]
    assert (task["van"], task["item"], task["qty"], task["reason"]) == (
        "V1",
        "FIL-20",
        4,
        "unconfirmed",
    )
    assert (await answer(api, "/v1/counts/recounts", van="V2"))["recounts"] == []


async def test_an_order_shows_where_its_items_lie_in_the_warehouse(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    conn.execute("INSERT INTO warehouse_bin VALUES (1, 1, 'A-07-3')")
    shown = (await answer(api, "/v1/orders/O-1"))["lines"]
    assert [line["bin"] for line in shown] == ["A-07-3", None]
    assert json.dumps(shown)


async def test_a_box_that_lies_at_a_home_is_listed_until_it_is_received(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    conn.execute("UPDATE resupply_order SET mode = 'home' WHERE code = 'O-1'")
    place(conn)
    said = {"id": "1", "t": NOW_MS, "order": "O-1", "kind": "shipped", "sscc": BOX}
    lines = [{"item": "FIL-20", "qty": 6}]
    reports = [said | {"lines": lines}, said | {"id": "2", "kind": "delivered"}]
    topic = "warehouse/v1/reports/LYON"
    deliveries = [Delivery(topic, json.dumps(one).encode()) for one in reports]
    async with opened(database_url) as pool:
        await service.commit(pool, deliveries, None, lambda: NOW_MS)
        [box] = (await answer(api, "/v1/boxes/unclaimed", van="V1"))["boxes"]
        assert (box["sscc"], box["order"], box["mode"], box["technician"], box["units"]) == (
            BOX, "O-1", "home", "Ana", 6,
        )  # fmt: skip
        scan = {"epoch": "e", "seq": 99, "t": NOW_MS, "intent": "receive", "code": BOX}
        received = Delivery("fleet/v1/V1/scan", json.dumps(scan).encode())
        await service.commit(pool, [received], None, lambda: NOW_MS)
    assert (await answer(api, "/v1/boxes/unclaimed"))["boxes"] == []


async def test_a_scan_of_last_month_is_listed_and_decided_once(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    conn.execute(
        "INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,"
        " received_time) VALUES ('V1', 'e', 77, 1, 1, '2026-09-01Z', 'issue', 'FIL-20', 'review', '{}',"
        " '2026-11-20 08:00Z'), ('X9', 'e', 78, 1, 9, '2026-09-01Z', 'issue', 'FIL-20', 'review', '{}',"
        " '2026-11-20 08:00Z')"
    )
    conn.execute("INSERT INTO barcode VALUES ('FIL-20', 1, 1)")
    [found] = (await answer(api, "/v1/parts/waiting"))["scans"]
    assert (found["van"], found["seq"], found["code"], found["status"]) == (
        "V1", 77, "FIL-20", "review",
    )  # fmt: skip
    path = "/v1/parts/waiting/V1/e/77/decision"
    assert (await post(api, path, accept=True))[0] == 204
    assert rows(database_url, "SELECT kind, item_id, qty FROM movement") == [("issue", 1, 1)]
    status, problem = await post(api, path, accept=True)
    assert (status, problem["code"]) == (404, "scan_not_waiting")
    assert (await post(api, "/v1/parts/waiting/X9/e/78/decision", accept=True))[0] == 404


# --- Papers -----------------------------------------------------------------------------------------


async def paper(api: httpx.AsyncClient, path: str) -> bytes:
    answered = await api.get(path)
    assert answered.status_code == 200, answered.text
    return answered.content


async def test_a_pick_list_holds_what_is_still_to_be_picked(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    conn.execute("INSERT INTO warehouse_bin VALUES (1, 1, 'A-07')")
    conn.execute(
        "UPDATE resupply_line SET allocated = 4, shipped = 1 WHERE (order_id, item_id) = (1, 1)"
    )
    conn.execute("UPDATE resupply_line SET cancelled = 1 WHERE (order_id, item_id) = (1, 3)")
    table = (await paper(api, "/v1/orders/O-1/pick-list.csv")).decode().splitlines()
    assert table[1:] == [
        'O-1,A-07,FIL-20,Filter 20,3,1,,,,,"of 6, the rest is a backorder; 4 on hand, reorder at 4"'
    ]
    pages = await paper(api, "/v1/orders/O-1/pick-list.pdf")
    assert pages.startswith(b"%PDF")
    assert seen(pages) == {("O-1", "]C0"), ("O-1", "]d1")}
    assert "Ana" in texts(pages)[0]


async def test_papers_are_in_the_language_that_is_asked_for(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    conn.execute("UPDATE resupply_line SET allocated = 4 WHERE (order_id, item_id) = (1, 1)")
    conn.execute("UPDATE resupply_line SET inputs = %s WHERE item_id = 1", [Jsonb(DECIDED)])
    conn.execute("INSERT INTO warehouse_bin VALUES (1, 1, 'A-07')")
    for path, titles in {
        "/v1/orders/O-1/pick-list.pdf": ("Pick list", "Kommissionierliste", "[Píçk líst"),
        f"/v1/orders/O-1/boxes/{BOX}.pdf": ("SHIP TO", "EMPFÄNGER", "[SHÍP TÓ"),
        "/v1/warehouses/LYON/bin-labels.pdf": ("A-07", "A-07", "A-07"),
    }.items():
        for query, header, language, title in (
            ("", "", "en", titles[0]),
            ("", "xx, de-CH;q=0.5", "de", titles[1]),
            ("?lang=de", "pl", "de", titles[1]),
            ("?lang=en-XA", "pl", "en-XA", titles[2]),
        ):
            answered = await api.get(path + query, headers={"accept-language": header})
            assert answered.headers["content-language"] == language
            assert "Accept-Language" in answered.headers["vary"]
            assert title in " ".join(texts(answered.content))
    assert GERMAN in " ".join(texts(await paper(api, "/v1/orders/O-1/pick-list.pdf?lang=de")))
    refused = await api.get("/v1/orders/O-1/pick-list.pdf?lang=xx")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_parameters")


async def test_a_box_and_a_report_that_are_asked_for_again_are_the_same(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    def key(name: str) -> dict[str, str]:
        return {"idempotency-key": name}

    boxes = [await api.post("/v1/orders/O-1/boxes", headers=key(k)) for k in ("a", "a", "b")]
    first, again, other = (box.json()["sscc"] for box in boxes)
    assert first == again != other
    body = {"kind": "accepted"}
    reports = [
        await api.post("/v1/orders/O-1/reports", json=body, headers=key(k)) for k in ("c", "c")
    ]
    assert len({report.json()["id"] for report in reports}) == 1
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


async def test_each_box_gets_a_number_of_its_own_and_its_label_scans_to_it(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    made = [await post(api, "/v1/orders/O-1/boxes") for _ in range(3)]
    assert [status for status, _ in made] == [201] * 3
    numbers = [box["sscc"] for _, box in made]
    assert len(set(numbers)) == 3
    label = await paper(api, f"/v1/orders/O-1/boxes/{numbers[0]}.pdf")
    assert (f"(00){numbers[0]}", "]C1") in seen(label)


async def test_papers_of_another_organisation_or_of_a_mistyped_box_are_refused(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    for path in ("pick-list.pdf", "pick-list.csv", f"boxes/{BOX}.pdf"):
        assert (await api.get(f"/v1/orders/O-9/{path}")).json()["code"] == "order_not_found"
    assert (await post(api, "/v1/orders/O-9/boxes"))[0] == 404
    mistyped = await api.get(f"/v1/orders/O-1/boxes/{BOX[:-1]}1.pdf")
    assert (mistyped.status_code, mistyped.json()["code"]) == (404, "box_not_found")


async def test_a_warehouse_that_is_not_there_has_no_bins(api: httpx.AsyncClient) -> None:
    for code in ("NICE", "NOWHERE"):
        found = await api.get(f"/v1/warehouses/{code}/bin-labels.pdf")
        assert (found.status_code, found.json()["code"]) == (404, "warehouse_not_found")


async def test_bins_are_labelled_with_the_code_of_one_piece(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    conn.execute("INSERT INTO warehouse_bin VALUES (1, 1, 'A-07'), (1, 3, 'B-01'), (2, 2, 'C-01')")
    conn.execute("INSERT INTO barcode VALUES ('04006381333931', 1, 1), ('14006381333938', 1, 10)")
    pages = await paper(api, "/v1/warehouses/LYON/bin-labels.pdf")
    assert {text for text, _ in seen(pages)} == {"04006381333931", "PUMP"}


# --- What vans should hold ------------------------------------------------------------------------------


def want(conn: Conn, item: int, up_to: int, why: str) -> None:
    """Let demand want another line of the template HVAC."""
    conn.execute(
        "INSERT INTO policy_proposal VALUES (1, %s, %s, %s, %s, 0.5, 0.98, %s, '2026-11-20 08:00Z')",
        [item, up_to - 1, up_to, up_to, why],
    )


async def test_what_demand_wants_of_a_template_says_why_and_what_is_now(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    want(conn, 1, 9, "about 0.5 a week")
    want(conn, 2, 0, "too few to carry")
    lines = (await answer(api, "/v1/templates/proposals", template="HVAC"))["proposals"]
    assert {line["item"]: (line["reorder_point"], line["order_up_to"]) for line in lines} == {
        "FIL-20": (8, 9), "SEAL_5": (None, 0),
    }  # fmt: skip
    first = next(line for line in lines if line["item"] == "FIL-20")
    assert (first["reason"], first["made_ms"]) == ("about 0.5 a week", 1_795_161_600_000)
    assert first["order_up_to_now"] is not None
    assert (await answer(api, "/v1/templates/proposals", template="OTHER"))["proposals"] == []


async def test_an_accepted_line_is_the_policy_and_its_vans_follow(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    want(conn, 1, 90, "much more")
    want(conn, 2, 0, "too few to carry")
    path = "/v1/templates/HVAC/acceptance"
    assert await post(api, path, items=["FIL-20"]) == (200, {"lines": 1})
    now = "SELECT order_up_to FROM template_line WHERE (template_id, item_id) = (1, 1)"
    assert conn.execute(now).fetchall() == [(90,)]
    assert conn.execute("SELECT item_id FROM policy_proposal").fetchall() == [(2,)]
    assert conn.execute("SELECT FROM proposal WHERE location_id = 101 AND item_id = 1").fetchall()
    assert (await post(api, path))[1] == {"lines": 1}
    status, problem = await post(api, path)
    assert (status, problem["code"]) == (404, "proposal_not_found")


async def test_orders_beyond_the_limit_are_counted_by_van_and_state(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    conn.execute(
        "ALTER TABLE resupply_order ALTER order_id RESTART WITH 100;"
        " INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode,"
        " cutoff_at, state, created_time)"
        " SELECT 'R-' || n, organisation_id, warehouse_id, location_id, mode,"
        " cutoff_at - n * INTERVAL '1 day', 'received', created_time"
        " FROM resupply_order, generate_series(1, 3) AS n WHERE code = 'O-1'"
    )
    every = await answer(api, "/v1/orders")
    assert every["total"] == len(every["orders"]) > 1
    first = await answer(api, "/v1/orders", limit=1)
    assert (len(first["orders"]), first["total"]) == (1, every["total"])
    sent = await answer(api, "/v1/orders", limit=1, state="sent", van="V1")
    states = [(order["van"], order["state"]) for order in every["orders"]]
    assert sent["total"] == states.count(("V1", "sent"))
