"""Who did it is who was signed in: an account, kept with what it did, and never a name that was typed."""

from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from api.app import create_app
from api.roles import Role
from ingest import service
from ingest.batch import Delivery
from storage.settings import Settings
from tests.integration.api_client import (
    NOW_MS,
    answer,
    client_of,
    come_as,
    machine_token,
    refusal,
    settings_at,
)
from tests.integration.test_api_resupply import BOX, offer, place, propose, wait
from tests.integration.test_stock_ledger import opened

Conn = psycopg.Connection[Any]


def let_a_scan_wait(conn: Conn) -> None:
    conn.execute(
        "INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,"
        " received_time) VALUES"
        " ('V1', 'e', 77, 1, 1, '2026-09-01Z', 'issue', 'NONE', 'review', '{}', '2026-11-20 08:00Z')"
    )


@dataclass(frozen=True)
class Act:
    """Something that people do by HTTP, and where it is kept who did."""

    path: str
    body: dict[str, object] | None
    role: Role
    kept: str


#: One of each family of routes that keep who did it.
ACTS = {
    "approval of an order": Act(
        "/v1/orders/O-1/approval", None, "warehouse",
        "SELECT approved_by FROM resupply_order WHERE code = 'O-1'",
    ),
    "approval of a proposal": Act(
        "/v1/proposals/V1/FIL-20/approval", None, "warehouse",
        "SELECT approved_by FROM proposal WHERE location_id = 101",
    ),
    "acceptance of a transfer": Act(
        "/v1/transfers/1/decision", {"accept": True}, "planner", "SELECT decided_by FROM transfer",
    ),
    "refusal of a transfer": Act(
        "/v1/transfers/1/decision", {"accept": False}, "planner", "SELECT decided_by FROM transfer",
    ),
    "acceptance of an old scan": Act(
        "/v1/parts/waiting/V1/e/77/decision", {"accept": True}, "planner",
        "SELECT decided_by FROM scan WHERE seq = 77",
    ),
    "refusal of an old scan": Act(
        "/v1/parts/waiting/V1/e/77/decision", {"accept": False}, "planner",
        "SELECT decided_by FROM scan WHERE seq = 77",
    ),
    "report of a warehouse": Act(
        "/v1/orders/O-1/reports", {"kind": "accepted"}, "warehouse",
        "SELECT posted_by FROM posted_report",
    ),
}  # fmt: skip


@pytest.fixture
def open_questions(conn: Conn) -> Conn:
    """The fleet, with something to decide of each kind."""
    wait(conn)
    propose(conn, unconfirmed=True)
    offer(conn)
    let_a_scan_wait(conn)
    return conn


@pytest.mark.parametrize("name", ACTS)
async def test_what_a_person_does_is_kept_with_the_login_that_was_signed_in(
    api: httpx.AsyncClient, open_questions: Conn, name: str
) -> None:
    act = ACTS[name]
    come_as(api, "c.petit", act.role)
    answered = await api.post(act.path, json=act.body)
    assert answered.is_success, answered.text
    assert open_questions.execute(act.kept.encode()).fetchall() == [("user:c.petit",)]


@pytest.mark.parametrize("name", ACTS)
async def test_what_a_program_does_is_kept_with_its_key(
    api: httpx.AsyncClient, open_questions: Conn, name: str
) -> None:
    act = ACTS[name]
    api.headers["authorization"] = f"Bearer {await machine_token(api, act.role)}"
    answered = await api.post(act.path, json=act.body)
    assert answered.is_success, answered.text
    assert open_questions.execute(act.kept.encode()).fetchall() == [(f"machine:{act.role}-1-None",)]


@pytest.mark.parametrize("name", ACTS)
async def test_a_name_that_is_typed_is_refused_and_nothing_is_done(
    api: httpx.AsyncClient, open_questions: Conn, name: str
) -> None:
    act = ACTS[name]
    before = open_questions.execute(act.kept.encode()).fetchall()
    answered = await api.post(act.path, json={**(act.body or {}), "by": "somebody else"})
    assert refusal(answered) == (422, "invalid_parameters")
    [error] = answered.json()["errors"]
    assert error["where"].rpartition(".")[2] == "by"
    assert error["message"] == "is not known here: leave it out"
    assert open_questions.execute(act.kept.encode()).fetchall() == before
    assert open_questions.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_no_body_takes_a_field_that_it_does_not_know() -> None:
    schemas = create_app(Settings()).openapi()["components"]["schemas"]
    bodies = {name: schema for name, schema in schemas.items() if name.endswith("Body")}
    assert len(bodies) >= 10
    lax = [
        name for name, schema in bodies.items() if schema.get("additionalProperties") is not False
    ]
    assert lax == []


# --- Reports of warehouses ---------------------------------------------------------------------------

SHIPPED = {"kind": "shipped", "sscc": BOX, "id": "mine-1", "lines": [{"item": "FIL-20", "qty": 6}]}
REPORTS = "/v1/orders/O-1/reports"


async def read(database_url: str, *deliveries: Delivery) -> None:
    async with opened(database_url) as pool:
        await service.commit(pool, list(deliveries), None, lambda: NOW_MS)


def published(conn: Conn) -> list[Delivery]:
    return [Delivery(*row) for row in conn.execute("SELECT topic, payload FROM outbox").fetchall()]


async def test_a_report_says_who_was_signed_in_or_what_the_warehouse_said_of_itself(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    place(conn)
    assert (await api.post(REPORTS, json={"kind": "accepted", "id": "ours"})).is_success
    theirs = (
        b'{"id":"theirs","t":%d,"order":"O-1","kind":"accepted","user":"user:admin-1"}' % NOW_MS
    )
    await read(database_url, *published(conn), Delivery("warehouse/v1/reports/LYON", theirs))
    said = (await answer(api, "/v1/orders/O-1"))["reports"]
    assert {(one["id"], one["author"], one["posted_by"]) for one in said} == {
        ("ours", None, "user:admin-1"),
        ("theirs", "user:admin-1", None),
    }


async def test_whoever_uses_the_id_of_a_posted_report_does_not_get_its_account(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    place(conn)
    assert (await api.post(REPORTS, json={"kind": "accepted", "id": "ours"})).is_success
    forged = b'{"id":"ours","t":%d,"order":"O-1","kind":"cancelled"}' % NOW_MS
    await read(database_url, *published(conn), Delivery("warehouse/v1/reports/LYON", forged))
    said = (await answer(api, "/v1/orders/O-1"))["reports"]
    assert {(one["kind"], one["posted_by"], one["counts"]) for one in said} == {
        ("accepted", "user:admin-1", False),
        ("cancelled", None, False),
    }


async def test_a_report_that_is_posted_again_later_changes_nothing_whoever_repeats_it(
    api: httpx.AsyncClient, conn: Conn, database_url: str
) -> None:
    assert (await api.post(REPORTS, json=SHIPPED)).status_code == 202
    async with client_of(settings_at(database_url, NOW_MS + 60_000)) as later:
        come_as(later, "c.petit", "warehouse")
        answered = await later.post(REPORTS, json=SHIPPED)
    assert (answered.status_code, answered.json()) == (202, {"id": "mine-1"})
    assert len(published(conn)) == 1
    assert conn.execute("SELECT posted_by FROM posted_report").fetchall() == [("user:admin-1",)]


async def test_another_report_under_an_id_that_is_taken_is_refused(
    api: httpx.AsyncClient, conn: Conn
) -> None:
    assert (await api.post(REPORTS, json=SHIPPED)).status_code == 202
    other = await api.post(REPORTS, json=SHIPPED | {"lines": [{"item": "FIL-20", "qty": 5}]})
    assert refusal(other) == (409, "report_id_taken")
    assert len(published(conn)) == 1
