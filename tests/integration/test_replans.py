"""A proposal is carried out, and taken back; and a request that comes twice is carried out once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import (
    as_organisation,
    client_of,
    new_session,
    new_user,
    refusal,
    sign_in_as,
)
from tests.integration.test_replan import FLEET, NOW_MS, VISIT, settings_at

Database = psycopg.Connection[Any]

PLAN = """
SELECT tour.code, van.code, service_date, position, site.code, window_start, window_end,
       planned_duration_s, planned_arrival, work_order, skill,
       (SELECT jsonb_object_agg(item_id, qty) FROM stop_part WHERE stop_part.stop_id = stop.stop_id)
FROM tour JOIN van USING (van_id) JOIN stop USING (tour_id) JOIN site USING (site_id)
WHERE van.organisation_id = 1 ORDER BY 1, 4
"""
PLACES = """
SELECT tour.code, position, stop_id, site.code
FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id) ORDER BY 1, 2
"""
REACHED = f"""
{VISIT} SELECT van_id, site_id, '2026-11-20 08:50Z', '2026-11-20 08:59Z', NULL, NULL, 'visit',
  false, true, '2026-11-20', stop_id
FROM stop JOIN tour USING (tour_id) WHERE tour.code = %s AND position = %s
"""
KEY = {"idempotency-key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}


@pytest.fixture
def conn(database_url: str) -> Any:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FLEET)
        for table in ("tour", "stop", "site"):  # the fleet's ids are given by hand
            key = f"pg_get_serial_sequence('{table}', '{table}_id')"
            connection.execute(f"SELECT setval({key}, 1000)")
        connection.execute(
            """
            UPDATE stop SET work_order = 'W-1', skill = 'lift', planned_arrival = '2026-11-20 08:30Z'
            WHERE stop_id = 1;
            INSERT INTO stop_part VALUES (1, 1, 3), (1, 2, 1);
            DELETE FROM tour_edit; DELETE FROM fence_edit
            """
        )
        yield connection


@pytest.fixture
async def api(conn: Database, database_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(settings_at(database_url)) as client:
        yield client


async def proposal(api: httpx.AsyncClient, van: str = "V2", kind: str = "move") -> dict[str, Any]:
    """Return what to send to carry out the proposal for this van."""
    found = (await api.get("/v1/stops/1/proposals")).json()["proposals"]
    [one] = [one for one in found if (one["van"], one["kind"]) == (van, kind)]
    order = [stop["stop_id"] for stop in one["order"]]
    return {"stop_id": 1, "kind": kind, "van": van, "order": order, "based_on": one["based_on"]}


async def post(
    api: httpx.AsyncClient, body: dict[str, Any], headers: dict[str, str] | None = None
) -> httpx.Response:
    return await api.post("/v1/replans", json=body, headers=headers)


async def applied(api: httpx.AsyncClient, body: dict[str, Any]) -> Any:
    response = await post(api, body)
    assert response.status_code == 201, response.text
    return response.json()


async def undo(api: httpx.AsyncClient, replan_id: int) -> httpx.Response:
    return await api.post(f"/v1/replans/{replan_id}/undo")


# ---- carried out ----


async def test_a_stop_that_is_given_away_is_in_the_takers_tour_with_all_it_needs(
    api: httpx.AsyncClient, conn: Database
) -> None:
    before = conn.execute(PLAN).fetchall()
    told = await applied(api, await proposal(api))
    assert told == {
        "replan_id": 1, "date": "2026-11-20", "kind": "move", "site": "BAKERY",
        "site_name": "Bakery", "from_van": "V1", "to_van": "V2", "tours": ["TOUR1", "TOUR2"],
        "applied_by": "user:admin-1", "applied_at_ms": NOW_MS, "undone_by": None, "undone_at_ms": None,
        "edited_since": [], "undoable": True,
    }  # fmt: skip
    after = conn.execute(PLAN).fetchall()
    [bakery] = [row for row in before if row[4] == "BAKERY"]
    [moved] = [row for row in after if row[4] == "BAKERY"]
    assert moved[:3] == ("TOUR2", "V2", bakery[2])
    assert moved[5:] == bakery[5:]
    assert len(after) == len(before)


async def test_the_givers_other_stops_keep_their_ids_and_both_days_are_matched_anew(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api)
    assert body["order"] == [1, 3]
    [(version,)] = conn.execute("SELECT version FROM reference_version").fetchall()
    await applied(api, body)
    assert conn.execute(PLACES).fetchall() == [
        ("TOUR1", 2, 2, "SCHOOL"),
        ("TOUR2", 1, 3, "BAKERY"),
        ("TOUR2", 2, 1003, "POOL"),
        ("TOUR3", 1, 4, "POOL"),
        ("TOUR9", 1, 9, "HARBOUR"),
    ]
    edits = "SELECT van_id, service_date::text FROM tour_edit ORDER BY 1"
    assert conn.execute(edits).fetchall() == [(1, "2026-11-20"), (2, "2026-11-20")]
    [(now,)] = conn.execute("SELECT version FROM reference_version").fetchall()
    assert now == version + 1


async def test_another_order_of_the_same_van_changes_one_tour(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api, "V1", "reorder")
    assert body["order"] == [2, 1]
    told = await applied(api, body)
    assert (told["from_van"], told["to_van"], told["tours"]) == ("V1", "V1", ["TOUR1"])
    assert [row[3] for row in conn.execute(PLACES).fetchall()][:2] == ["SCHOOL", "BAKERY"]


async def test_pages_are_told_at_once(api: httpx.AsyncClient, conn: Database) -> None:
    conn.execute("LISTEN cordee")
    await applied(api, await proposal(api))
    assert [heard.channel for heard in conn.notifies(timeout=5, stop_after=1)] == ["cordee"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE stop SET window_end = window_end + INTERVAL '1 minute' WHERE stop_id = 2",
        "UPDATE stop SET window_end = window_end + INTERVAL '1 minute' WHERE stop_id = 3",
        "UPDATE stop_part SET qty = 9",
        "DELETE FROM stop WHERE stop_id = 3",
        REACHED.replace("%s", "'TOUR2'", 1).replace("%s", "1"),
        REACHED.replace("%s", "'TOUR1'", 1).replace("%s", "2"),
    ],
)
async def test_a_proposal_whose_plans_have_moved_is_refused(
    api: httpx.AsyncClient, conn: Database, change: str
) -> None:
    body = await proposal(api)
    conn.execute(change)
    before = conn.execute(PLACES).fetchall()
    assert refusal(await post(api, body)) == (412, "plan_moved")
    assert conn.execute(PLACES).fetchall() == before
    assert conn.execute("SELECT count(*) FROM replan").fetchall() == [(0,)]


async def test_what_happens_to_other_tours_does_not_matter(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api)
    conn.execute("UPDATE stop SET window_end = window_end + INTERVAL '1 min' WHERE stop_id = 4")
    await applied(api, body)


async def test_of_two_who_apply_the_same_proposal_at_once_one_is_told_to_look_again(
    api: httpx.AsyncClient,
) -> None:
    body = await proposal(api)
    answers = await asyncio.gather(*(post(api, body) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) in ([201, 412], [201, 404])
    assert len((await api.get("/v1/replans")).json()["replans"]) == 1


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"order": [1]}, (409, "unusable_replan")),
        ({"order": [3]}, (409, "unusable_replan")),
        ({"order": [1, 3, 3]}, (409, "unusable_replan")),
        ({"order": [1, 3, 4]}, (409, "unusable_replan")),
        ({"kind": "reorder"}, (409, "unusable_replan")),
        ({"van": "V1"}, (409, "unusable_replan")),
        ({"van": "X9"}, (404, "van_not_found")),
        ({"van": "V3"}, (412, "plan_moved")),
        ({"stop_id": 9}, (404, "stop_not_found")),
        ({"stop_id": 77}, (404, "stop_not_found")),
        ({"kind": "keep"}, (422, "invalid_parameters")),
        ({"order": []}, (422, "invalid_parameters")),
    ],
)
async def test_what_is_no_proposal_is_refused_and_nothing_kept(
    api: httpx.AsyncClient, conn: Database, changes: dict[str, Any], refused: tuple[int, str]
) -> None:
    body = {**await proposal(api), **changes}
    before = conn.execute(PLACES).fetchall()
    assert refusal(await post(api, body)) == refused
    assert conn.execute(PLACES).fetchall() == before


async def test_a_stop_that_is_visited_or_past_cannot_be_given_away(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api)
    conn.execute("UPDATE tour SET service_date = '2026-11-19' WHERE tour_id = 1")
    assert refusal(await post(api, body)) == (409, "stop_over")
    conn.execute("UPDATE tour SET service_date = '2026-11-20' WHERE tour_id = 1")
    conn.execute(REACHED, ("TOUR1", 1))
    assert refusal(await post(api, body)) == (409, "stop_visited")


# ---- taken back ----


async def test_undone_both_tours_are_what_they_were(api: httpx.AsyncClient, conn: Database) -> None:
    before = conn.execute(PLAN).fetchall()
    for van, kind in (("V2", "move"), ("V3", "move"), ("V1", "reorder")):
        conn.execute("UPDATE stop SET skill = NULL")
        before = conn.execute(PLAN).fetchall()
        stops = (await api.get("/v1/vans/V1/tour")).json()["stops"]
        [stop_id] = [stop["stop_id"] for stop in stops if stop["site"] == "BAKERY"]
        found = (await api.get(f"/v1/stops/{stop_id}/proposals")).json()["proposals"]
        [one] = [one for one in found if (one["van"], one["kind"]) == (van, kind)]
        order = [stop["stop_id"] for stop in one["order"]]
        body = {"stop_id": stop_id, "kind": kind, "van": van, "order": order}
        told = await applied(api, {**body, "based_on": one["based_on"]})
        assert conn.execute(PLAN).fetchall() != before
        response = await undo(api, told["replan_id"])
        assert response.status_code == 200, response.text
        assert response.json() == {
            **told, "undone_by": "user:admin-1", "undone_at_ms": NOW_MS, "undoable": False,
        }  # fmt: skip
        assert conn.execute(PLAN).fetchall() == before


async def test_a_tour_that_was_edited_since_is_named_and_nothing_undone(
    api: httpx.AsyncClient, conn: Database
) -> None:
    told = await applied(api, await proposal(api))
    conn.execute("UPDATE stop SET planned_duration_s = 5 WHERE tour_id = 2 AND position = 2")
    before = conn.execute(PLACES).fetchall()
    response = await undo(api, told["replan_id"])
    assert refusal(response) == (409, "replan_gone_on")
    assert response.json()["errors"] == [{"where": "TOUR2", "message": "edited since"}]
    assert conn.execute(PLACES).fetchall() == before
    [listed] = (await api.get("/v1/replans")).json()["replans"]
    assert (listed["edited_since"], listed["undoable"]) == (["TOUR2"], False)


async def test_what_another_stop_has_seen_meanwhile_does_not_matter_but_the_stop_itself(
    api: httpx.AsyncClient, conn: Database
) -> None:
    told = await applied(api, await proposal(api))
    conn.execute(REACHED, ("TOUR1", 2))
    assert (await api.get("/v1/replans")).json()["replans"][0]["undoable"] is True
    conn.execute(REACHED, ("TOUR2", 1))
    assert (await api.get("/v1/replans")).json()["replans"][0]["undoable"] is False
    response = await undo(api, told["replan_id"])
    assert refusal(response) == (409, "replan_gone_on")
    assert "errors" not in response.json()


async def test_it_is_undone_once(api: httpx.AsyncClient) -> None:
    told = await applied(api, await proposal(api))
    assert (await undo(api, told["replan_id"])).status_code == 200
    assert refusal(await undo(api, told["replan_id"])) == (409, "replan_gone_on")
    assert refusal(await undo(api, 77)) == (404, "replan_not_found")


async def test_the_last_stop_takes_the_tour_with_it_and_brings_it_back(
    api: httpx.AsyncClient, conn: Database
) -> None:
    """And a van on duty without a tour gets one for as long as it has the stop."""
    conn.execute(
        "DELETE FROM stop WHERE stop_id = 2; DELETE FROM tour WHERE tour_id = 2;"
        "INSERT INTO van_status VALUES (2, '2026-11-20 07:00Z', 'online', 'on')"
    )
    before = conn.execute(PLAN).fetchall()
    told = await applied(api, await proposal(api))
    assert told["tours"] == ["R-2026-11-20-V2"]
    assert [row[:2] for row in conn.execute(PLAN).fetchall()] == [
        ("R-2026-11-20-V2", "V2"), ("TOUR3", "V3"),
    ]  # fmt: skip
    assert (await undo(api, told["replan_id"])).status_code == 200
    assert conn.execute(PLAN).fetchall() == before
    edits = "SELECT van_id FROM tour_edit WHERE service_date = '2026-11-20' ORDER BY 1"
    assert conn.execute(edits).fetchall() == [(1,), (2,)]


async def test_replans_are_listed_by_day_and_by_organisation(
    api: httpx.AsyncClient, database_url: str
) -> None:
    sign_in_as(api, new_session(database_url, new_user(database_url, "zoe", "planner")))
    told = await applied(api, await proposal(api))
    assert told["applied_by"] == "user:zoe"
    listed = (await api.get("/v1/replans", params={"date": "2026-11-20"})).json()
    assert listed == {"date": "2026-11-20", "replans": [told]}
    assert (await api.get("/v1/replans", params={"date": "2026-11-21"})).json()["replans"] == []
    as_organisation(api, 2)
    assert (await api.get("/v1/replans")).json()["replans"] == []
    assert refusal(await undo(api, told["replan_id"])) == (404, "replan_not_found")


# ---- once, however often it is sent ----


def count(conn: Database) -> int:
    [(replans,)] = conn.execute("SELECT count(*) FROM replan").fetchall()
    return int(replans)


async def test_a_request_that_comes_again_is_answered_as_the_first(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api)
    first = await post(api, body, KEY)
    again = await post(api, body, {"idempotency-key": KEY["idempotency-key"].strip('"')})
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert count(conn) == 1


async def test_two_that_come_at_once_are_carried_out_once(
    api: httpx.AsyncClient, conn: Database
) -> None:
    body = await proposal(api)
    answers = await asyncio.gather(*(post(api, body, KEY) for _ in range(3)))
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.text for answer in answers}) == 1
    assert count(conn) == 1


async def test_a_key_belongs_to_one_request(api: httpx.AsyncClient, conn: Database) -> None:
    body = await proposal(api)
    told = (await post(api, body, KEY)).json()
    other = {**body, "order": body["order"][::-1]}
    assert refusal(await post(api, other, KEY)) == (422, "idempotency_key_reused")
    elsewhere = await api.post(f"/v1/replans/{told['replan_id']}/undo", headers=KEY)
    assert refusal(elsewhere) == (422, "idempotency_key_reused")
    assert count(conn) == 1


async def test_what_was_refused_may_be_sent_again(api: httpx.AsyncClient, conn: Database) -> None:
    body = await proposal(api)
    conn.execute("UPDATE stop SET window_end = window_end + INTERVAL '1 min' WHERE stop_id = 2")
    assert refusal(await post(api, body, KEY)) == (412, "plan_moved")
    conn.execute("UPDATE stop SET window_end = window_end - INTERVAL '1 min' WHERE stop_id = 2")
    assert (await post(api, body, KEY)).status_code == 201


async def test_each_has_keys_of_their_own(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    body = await proposal(api)
    await post(api, body, KEY)
    sign_in_as(api, new_session(database_url, new_user(database_url, "zoe", "planner")))
    assert (await post(api, body, KEY)).status_code in {404, 412}


async def test_a_key_is_kept_a_day(api: httpx.AsyncClient, conn: Database) -> None:
    body = await proposal(api)
    told = (await post(api, body, KEY)).json()
    conn.execute("UPDATE idempotency_key SET created_time = created_time - INTERVAL '25 hours'")
    assert (await post(api, body, KEY)).status_code in {404, 412}
    other = {"idempotency-key": "other"}
    await api.post(f"/v1/replans/{told['replan_id']}/undo", headers=other)
    assert conn.execute("SELECT key FROM idempotency_key").fetchall() == [("other",)]


async def test_whoever_asks_while_the_first_is_under_way_is_told_so(
    api: httpx.AsyncClient, conn: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.once.WAIT", "SET LOCAL lock_timeout = '50ms'")
    body = await proposal(api)
    with psycopg.connect(database_url) as first:
        first.execute(
            "INSERT INTO idempotency_key VALUES ('user:admin-1', %s, 'h', NULL, now())",
            (KEY["idempotency-key"].strip('"'),),
        )
        assert refusal(await post(api, body, KEY)) == (409, "request_under_way")
        first.rollback()
    assert (await post(api, body, KEY)).status_code == 201


@pytest.mark.parametrize("key", ["", '""', '"a b"', "a b", '"half', "x" * 201])
async def test_what_is_no_key_is_refused(api: httpx.AsyncClient, key: str) -> None:
    response = await post(api, await proposal(api), {"idempotency-key": key})
    assert refusal(response) == (422, "invalid_parameters")
