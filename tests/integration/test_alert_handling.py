"""What people do about alerts: by HTTP, and through whatever ingest makes of the alerts meanwhile."""

from typing import Any

import httpx
import psycopg
import pytest

from api import commands
from api.answers import AlertHandling
from api.auth import DEFAULT_ORGANISATION
from api.handling import patched
from api.live import Audience, read_view
from ingest.batch import Delivery
from ingest.messages import Status, encode
from storage.pool import connect
from storage.settings import as_ms
from tests.integration.api_client import (
    MINUTE_MS,
    NOW_MS,
    answer,
    as_organisation,
    machine_token,
    new_session,
    new_user,
    problem,
    refusal,
    sign_in_as,
)
from tests.integration.without_broker import HOUR, MINUTE, MONDAY, Base, local_ms, message, stay
from tests.unit.reference_visits import Place, RefFix
from tests.unit.test_geofence_visits import HERE, at

Database = psycopg.Connection[Any]

#: The open alert of the fleet: SCHOOL, of V1.
LATE = "/v1/alerts/2"
UNTOUCHED = '"0"'


async def patch(api: httpx.AsyncClient, tag: str | None, **changes: object) -> httpx.Response:
    headers = {} if tag is None else {"if-match": tag}
    return await api.patch(LATE, json=changes, headers=headers)


async def done(api: httpx.AsyncClient, tag: str, **changes: object) -> Any:
    response = await patch(api, tag, **changes)
    assert response.status_code == 200, response.text
    return response.json()


# ---- one alert ----


async def test_an_alert_that_nobody_has_touched_says_so(api: httpx.AsyncClient) -> None:
    response = await api.get(LATE)
    assert response.headers["etag"] == UNTOUCHED
    told = response.json()
    assert (told["alert"]["handling"], told["history"]) == (None, [])
    assert told["alert"] == (await answer(api, "/v1/alerts"))["alerts"][0]


async def test_who_is_signed_in_has_done_it_and_when(api: httpx.AsyncClient) -> None:
    told = await done(api, UNTOUCHED, acknowledged=True, cause="traffic", note="A7 is closed")
    assert told["alert"]["handling"] == {
        "acknowledged_by": "user:admin-1",
        "acknowledged_at_ms": NOW_MS,
        "snoozed_until_ms": None,
        "owner": None,
        "cause": "traffic",
        "note": "A7 is closed",
        "version": 1,
    }
    assert told["history"] == [
        {
            "at_ms": NOW_MS,
            "by": "user:admin-1",
            "changes": {"acknowledged": True, "cause": "traffic", "note": "A7 is closed"},
        }
    ]
    assert (await answer(api, "/v1/alerts"))["alerts"][0] == told["alert"]


async def test_a_patch_changes_what_it_names_and_null_takes_back(api: httpx.AsyncClient) -> None:
    await done(api, UNTOUCHED, acknowledged=True, owner="admin-1")
    snoozed = NOW_MS + 30 * MINUTE_MS
    told = await done(api, '"1"', owner=None, snoozed_until_ms=snoozed)
    handling = told["alert"]["handling"]
    assert (handling["acknowledged_by"], handling["owner"]) == ("user:admin-1", None)
    assert (handling["snoozed_until_ms"], handling["version"]) == (snoozed, 2)
    told = await done(api, '"2"', acknowledged=False)
    handling = told["alert"]["handling"]
    assert (handling["acknowledged_by"], handling["acknowledged_at_ms"]) == (None, None)
    assert [one["changes"] for one in told["history"]] == [
        {"acknowledged": True, "owner": "admin-1"},
        {"owner": None, "snoozed_until_ms": snoozed},
        {"acknowledged": False},
    ]


async def test_what_changes_nothing_makes_no_version(api: httpx.AsyncClient) -> None:
    await done(api, UNTOUCHED, acknowledged=True)
    as_planner(api)
    told = await done(api, '"1"', acknowledged=True, note=None)
    assert told["alert"]["handling"]["acknowledged_by"] == "user:admin-1"
    assert (told["alert"]["handling"]["version"], len(told["history"])) == (1, 1)


async def test_what_was_not_seen_as_it_is_cannot_be_changed(api: httpx.AsyncClient) -> None:
    assert refusal(await patch(api, None, acknowledged=True)) == (428, "precondition_required")
    assert refusal(await patch(api, '"1"', acknowledged=True)) == (412, "changed_meanwhile")
    assert refusal(await patch(api, 'W/"0"', acknowledged=True)) == (412, "changed_meanwhile")
    await done(api, '"7", "0"', acknowledged=True)
    assert refusal(await patch(api, UNTOUCHED, note="x")) == (412, "changed_meanwhile")
    assert len((await answer(api, LATE))["history"]) == 1
    response = await patch(api, "*", note="whatever it is")
    assert response.headers["etag"] == '"2"'


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, "unusable_handling"),
        ({"acknowledged": None}, "invalid_parameters"),
        ({"acknowledged": "yes"}, "invalid_parameters"),
        ({"cause": "the moon"}, "invalid_parameters"),
        ({"note": ""}, "invalid_parameters"),
        ({"note": "x" * 1_001}, "invalid_parameters"),
        ({"nota": "mistyped"}, "invalid_parameters"),
        ({"owner": "nobody"}, "person_not_found"),
        ({"owner": "tec"}, "person_not_found"),
        ({"owner": "admin-2"}, "person_not_found"),
        ({"owner": "gone"}, "person_not_found"),
        ({"snoozed_until_ms": NOW_MS}, "unusable_handling"),
        ({"snoozed_until_ms": NOW_MS + 8 * 24 * 60 * MINUTE_MS}, "unusable_handling"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_kept(
    api: httpx.AsyncClient,
    conn: Database,
    database_url: str,
    changes: dict[str, object],
    refused: str,
) -> None:
    new_user(database_url, "tec", "technician", technician_id=1)
    new_user(database_url, "admin-2", "admin", organisation=2)
    new_user(database_url, "gone", "planner")
    conn.execute("UPDATE app_user SET state = 'disabled' WHERE login = 'gone'")
    assert refusal(await patch(api, UNTOUCHED, **changes)) == (
        404 if refused == "person_not_found" else 422,
        refused,
    )
    assert (await answer(api, LATE))["alert"]["handling"] is None


async def test_alerts_of_others_are_not_found(api: httpx.AsyncClient, database_url: str) -> None:
    for path in ("/v1/alerts/3", "/v1/alerts/77"):
        assert await problem(api, path) == (404, "alert_not_found")
        response = await api.patch(path, json={"note": "x"}, headers={"if-match": "*"})
        assert refusal(response) == (404, "alert_not_found")
    login = new_user(database_url, "tec", "technician", technician_id=1)
    sign_in_as(api, new_session(database_url, login))
    assert (await answer(api, LATE))["alert"]["van"] == "V1"
    assert refusal(await patch(api, UNTOUCHED, note="x")) == (403, "not_for_this_role")


async def test_a_program_that_plans_is_named_by_its_client_id(api: httpx.AsyncClient) -> None:
    token = await machine_token(api, "planner")
    api.cookies.clear()
    api.headers["authorization"] = f"Bearer {token}"
    told = await done(api, UNTOUCHED, acknowledged=True)
    assert told["alert"]["handling"]["acknowledged_by"] == "machine:planner-1-None"


# ---- many alerts, and people ----


async def test_alerts_are_filtered_by_how_they_are_handled(api: httpx.AsyncClient) -> None:
    async def ids(**params: object) -> list[int]:
        return [one["alert_id"] for one in (await answer(api, "/v1/alerts", **params))["alerts"]]

    assert await ids(acknowledged=False) == [2, 1]
    await done(api, UNTOUCHED, acknowledged=True, owner="admin-1")
    assert await ids(acknowledged=True) == await ids(owner="admin-1") == [2]
    assert await ids(acknowledged=False) == [1]
    assert await ids(owner="somebody") == []
    due = NOW_MS - 30 * MINUTE_MS
    assert await ids(from_ms=due) == [2]
    assert await ids(to_ms=due) == [1]
    assert await ids(from_ms=due, to_ms=due + 1, state="open", kind="late", van="V1") == [2]
    assert await problem(api, "/v1/alerts", from_ms=5, to_ms=5) == (422, "invalid_parameters")


async def test_people_who_may_own_an_alert_are_those_who_plan(
    api: httpx.AsyncClient, database_url: str
) -> None:
    for login, role in (("zoe", "planner"), ("ops", "ops"), ("wh", "warehouse")):
        new_user(database_url, login, role)  # type: ignore[arg-type]
    new_user(database_url, "theirs", "planner", organisation=2)
    assert await answer(api, "/v1/people", can="plan") == {
        "people": [{"login": "admin-1", "name": "Admin-1"}, {"login": "zoe", "name": "Zoe"}]
    }
    assert await problem(api, "/v1/people") == (422, "invalid_parameters")
    await done(api, UNTOUCHED, owner="zoe")


async def test_open_pages_are_told_of_it(api: httpx.AsyncClient, database_url: str) -> None:
    told = await done(api, UNTOUCHED, acknowledged=True)
    audience = Audience(DEFAULT_ORGANISATION, frozenset({"alerts"}))
    async with connect(database_url, "test") as pool, pool.connection() as own:
        view = await read_view(own, audience, NOW_MS, NOW_MS)
    row: Any = view["alerts"]["2"]
    assert row["handling"] == told["alert"]["handling"]


async def test_another_organisation_sees_nothing_of_it(api: httpx.AsyncClient) -> None:
    await done(api, UNTOUCHED, owner="admin-1", note="ours")
    as_organisation(api, 2)
    assert "ours" not in (await api.get("/v1/alerts")).text
    assert (await answer(api, "/v1/alerts", owner="admin-1"))["alerts"] == []


def as_planner(api: httpx.AsyncClient) -> None:
    url: str = api.database_url  # type: ignore[attr-defined]
    sign_in_as(api, new_session(url, new_user(url, "zoe", "planner")))


# ---- through ingest ----

TEN = local_ms(MONDAY, 10)
HANDLED = """
SELECT alert.kind, state, coalesce(owner, '') FROM alert LEFT JOIN alert_handling USING (handling_id)
ORDER BY alert_id
"""


@pytest.fixture
def one_stop(base: Base) -> Base:
    """One site, one stop on Monday between 9 and 10."""
    base.put_site(Place(1, *HERE, 80))
    base.put_tour(1, MONDAY, [(1, local_ms(MONDAY, 9), TEN)])
    return base


def handle(base: Base, now: int) -> None:
    """Let ana own the newest alert."""
    [(alert_id,)] = base.rows("SELECT max(alert_id) FROM alert")

    def own(before: AlertHandling) -> tuple[AlertHandling, dict[str, object]]:
        return patched(before, {"owner": "ana"}, "ana", now)

    async def work() -> None:
        async with base.pool.connection() as conn:
            await commands.handle_alert(conn, DEFAULT_ORGANISATION, alert_id, own, "ana", now)

    base.run(work)


def test_what_was_done_survives_that_a_late_fix_takes_the_alert_back_and_another_raises_it(
    one_stop: Base,
) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    handle(one_stop, TEN + 17 * MINUTE)
    backlog = stay(TEN - 30 * MINUTE, 20)
    one_stop.commit([message(1, *backlog)], TEN + 20 * MINUTE)
    assert one_stop.rows(HANDLED) == [("late", "withdrawn", "ana")]
    # Better fixes of the same moments show that the van had driven past.
    better = [RefFix(fix.t_ms, *at(9_000), 1.0) for fix in backlog]
    one_stop.commit([message(1, *better)], TEN + 21 * MINUTE)
    one_stop.tick(TEN + 40 * MINUTE)
    late = [row for row in one_stop.rows(HANDLED) if row[0] == "late"]
    assert late == [("late", "withdrawn", "ana"), ("late", "open", "ana")]
    assert one_stop.rows("SELECT count(*) FROM alert_handling") == [(1,)]


def test_a_cleared_alert_keeps_what_was_done(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    handle(one_stop, TEN + 17 * MINUTE)
    one_stop.commit([message(1, *stay(TEN + 18 * MINUTE, 5))], TEN + 25 * MINUTE)
    assert one_stop.rows(HANDLED) == [("late", "cleared", "ana")]


def test_another_site_at_the_same_place_in_the_tour_is_another_job(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    handle(one_stop, TEN + 17 * MINUTE)
    one_stop.execute("UPDATE stop SET window_end = window_end - INTERVAL '5 minutes'")
    assert one_stop.rows(HANDLED) == [("late", "open", "ana")]
    one_stop.put_site(Place(2, *at(5_000), 80))
    one_stop.execute("UPDATE stop SET site_id = 2")
    assert one_stop.rows(HANDLED) == [("late", "open", "")]


def test_what_was_done_about_one_stop_is_not_done_about_another(one_stop: Base) -> None:
    one_stop.tick(TEN + 16 * MINUTE)
    handle(one_stop, TEN + 17 * MINUTE)
    one_stop.execute("UPDATE alert SET state = 'withdrawn'")
    one_stop.execute(
        "INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s)"
        " SELECT tour_id, 2, site_id, window_start, window_end, planned_duration_s FROM stop;"
        "UPDATE stop SET judged = NULL"
    )
    one_stop.tick(TEN + 18 * MINUTE)
    assert sorted(one_stop.rows(HANDLED)) == [
        ("late", "open", ""),
        ("late", "open", "ana"),
        ("late", "withdrawn", "ana"),
    ]


# A van that is silent. Its newest fix may turn out to be a later one.

NINE = local_ms(MONDAY, 9)


def driving(since_min: int, until_min: int) -> Delivery:
    fixes = [
        RefFix(NINE + m * MINUTE, *at(m * 500.0), 5.0) for m in range(since_min, until_min + 1)
    ]
    return message(1, *fixes)


@pytest.fixture
def silent(base: Base) -> Base:
    """A van on duty that was heard of until 9:05, and whose silence is ana's."""
    on = Delivery("fleet/v1/van-001/status", encode(Status("online", NINE, "on")))
    base.commit([on, driving(0, 5)], NINE + 5 * MINUTE)
    base.tick(NINE + 21 * MINUTE)
    handle(base, NINE + 22 * MINUTE)
    assert base.rows(HANDLED) == [("silent", "open", "ana")]
    return base


def test_a_silence_that_a_backlog_moves_is_still_seen_to(silent: Base) -> None:
    silent.commit([driving(6, 20)], NINE + 24 * MINUTE)
    assert silent.rows(HANDLED) == [("silent", "withdrawn", "ana")]
    silent.tick(NINE + 36 * MINUTE)
    assert silent.rows(HANDLED)[1:] == [("silent", "open", "ana")]
    [(due_at,)] = silent.rows("SELECT due_at FROM alert WHERE state = 'open'")
    assert as_ms(due_at) == NINE + 20 * MINUTE


def test_the_next_silence_is_another_matter(silent: Base) -> None:
    silent.commit([driving(24, 25)], NINE + 25 * MINUTE)
    silent.tick(NINE + 41 * MINUTE)
    assert silent.rows(HANDLED) == [("silent", "cleared", "ana"), ("silent", "open", "")]


def test_a_silence_of_the_afternoon_has_nothing_of_one_that_never_was(silent: Base) -> None:
    silent.commit([driving(6, 30)], NINE + 30 * MINUTE)
    silent.commit([driving(31, 180)], NINE + 3 * HOUR)
    silent.tick(NINE + 3 * HOUR + 16 * MINUTE)
    assert silent.rows(HANDLED) == [("silent", "withdrawn", "ana"), ("silent", "open", "")]
