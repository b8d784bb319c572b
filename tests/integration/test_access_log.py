"""Who looked at a van: noted without waiting, an hour coarse, and told to whoever drives it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest
from structlog.testing import capture_logs

from api.access_log import AccessLog
from api.auth import OrganisationId, Who
from storage.pool import connect
from tests.integration.api_client import new_session, new_user, refusal, sign_in_as

Database = psycopg.Connection[Any]
HOUR = datetime(2026, 11, 20, 9, tzinfo=UTC)


def planner(login: str = "ana", **changed: Any) -> Who:
    who = {"organisation": OrganisationId(1), "role": "planner", "login": login, "name": "Ana"}
    return Who(**{**who, "user_id": 1, **changed})


async def written(api: httpx.AsyncClient, conn: Database) -> list[Any]:
    """Write what waits, and return what the table holds of it."""
    await api.app.state.resources.access_log.write()  # type: ignore[attr-defined]
    return conn.execute(
        "SELECT van.code, what, reader, reader_name, log.technician_id FROM access_log AS log JOIN van USING"
        " (van_id) ORDER BY 1, 2, 3"
    ).fetchall()


@pytest.mark.parametrize(
    ("path", "noted"),
    [
        ("/v1/vans", [("V1", "position"), ("V2", "position"), ("V3", "position")]),
        ("/v1/vans/V2", [("V2", "position")]),
        ("/v1/vans/V2/track", [("V2", "track")]),
        ("/v1/vans/V2/legs", [("V2", "track")]),
        ("/v1/vans/V2/stock", []),
        ("/v1/vans/X9/track", []),
        ("/v1/vans/X9", []),
        ("/v1/orders", []),
    ],
)
async def test_what_tells_where_a_van_is_or_was_is_noted(
    api: httpx.AsyncClient, conn: Database, path: str, noted: list[tuple[str, str]]
) -> None:
    await api.get(path)
    assert [row[:2] for row in await written(api, conn)] == noted


async def test_one_entry_an_hour_says_who_whatever_the_number_of_looks(
    api: httpx.AsyncClient, conn: Database
) -> None:
    for _ in range(5):
        await api.get("/v1/vans/V1/track")
        assert await written(api, conn) == [("V1", "track", "user:admin-1", "Admin-1", 1)]


async def test_the_next_hour_is_another_entry(conn: Database, database_url: str) -> None:
    async with connect(database_url, "test") as pool:
        log = AccessLog(pool)
        for minutes in (0, 59, 60, 61):
            log.note(planner(), "track", ["V1"], HOUR + timedelta(minutes=minutes))
        await log.write()
    hours = conn.execute("SELECT hour FROM access_log ORDER BY 1").fetchall()
    assert hours == [(HOUR,), (HOUR + timedelta(hours=1),)]


async def test_a_second_process_that_notes_the_same_changes_nothing(
    conn: Database, database_url: str
) -> None:
    async with connect(database_url, "test") as pool:
        for _ in range(2):
            log = AccessLog(pool)
            log.note(planner(), "track", ["V1"], HOUR)
            await log.write()
    assert conn.execute("SELECT count(*) FROM access_log").fetchone() == (1,)


async def test_a_note_names_a_van_of_the_own_organisation_only(
    conn: Database, database_url: str
) -> None:
    async with connect(database_url, "test") as pool:
        log = AccessLog(pool)
        log.note(planner(), "track", ["X9", "NONE", "V1"], HOUR)
        await log.write()
    assert conn.execute("SELECT van_id FROM access_log").fetchall() == [(1,)]


async def test_notes_wait_while_the_database_does_not_answer(
    conn: Database, database_url: str
) -> None:
    async with connect(database_url, "test") as pool:
        log = AccessLog(pool)
        log.note(planner(), "track", ["V1"], HOUR)
        await pool.close()
        with capture_logs() as logs:
            await log.write()
        assert logs[0]["log_level"] == "warning"
    async with connect(database_url, "test") as pool:
        log._pool = pool
        await log.write()
    assert conn.execute("SELECT count(*) FROM access_log").fetchone() == (1,)


async def test_a_technician_sees_who_looked_at_the_own_van_and_nobody_elses(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    login = new_user(database_url, "tec", "technician", technician_id=1)
    await api.get("/v1/vans/V1/track")
    await api.get("/v1/vans")
    await written(api, conn)
    sign_in_as(api, new_session(database_url, login))
    for _ in range(2):
        await api.get("/v1/vans/V1/track")  # one's own looks are no news
        await written(api, conn)
        told = (await api.get("/v1/me/access-log")).json()
        seen = [(e["van"], e["what"], e["who"], e["role"]) for e in told["entries"]]
        assert seen == [
            ("V1", "position", "Admin-1", "admin"), ("V1", "track", "Admin-1", "admin"),
        ]  # fmt: skip
        assert told["entries"][0]["hour_ms"] % 3_600_000 == 0
    assert (await api.get("/v1/me/access-log?limit=1")).json()["truncated"] is True
    sign_in_as(api, new_session(database_url, new_user(database_url, "pl", "planner")))
    assert refusal(await api.get("/v1/me/access-log")) == (403, "not_for_this_role")


async def test_whoever_drives_the_van_next_does_not_see_who_looked_before(
    api: httpx.AsyncClient, conn: Database, database_url: str
) -> None:
    await api.get("/v1/vans/V1/track")
    await written(api, conn)
    conn.execute("INSERT INTO technician (technician_id, organisation_id, code, name)"
                 " VALUES (2, 1, 'T2', 'Bo')")  # fmt: skip
    conn.execute("UPDATE van SET technician_id = 2 WHERE van_id = 1")
    for technician, count in ((2, 0), (1, 1)):
        login = new_user(database_url, f"tec{technician}", "technician", technician_id=technician)
        sign_in_as(api, new_session(database_url, login))
        assert len((await api.get("/v1/me/access-log")).json()["entries"]) == count
