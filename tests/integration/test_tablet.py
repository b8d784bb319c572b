"""What a tablet takes along: the days ahead, and what every code means."""

from typing import Any

import httpx
import psycopg
import pytest

from tests.integration.api_client import answer, new_session, new_user, sign_in_as


@pytest.fixture
def driver(api: httpx.AsyncClient, database_url: str) -> httpx.AsyncClient:
    user = new_user(database_url, "tec", "technician", technician_id=1)
    sign_in_as(api, new_session(database_url, user))
    return api


async def test_the_days_ahead_are_those_of_the_own_van_with_where_its_stops_are(
    driver: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute(
        "INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (2, 'NEXT', 1, '2026-11-22'),"
        " (3, 'LATER', 1, '2026-11-23'), (4, 'OTHERS', 2, '2026-11-20');"
        "INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end,"
        " planned_duration_s) SELECT tour_id * 10, tour_id, 1, 1, '2026-11-23 08:00Z',"
        " '2026-11-23 09:00Z', 60 FROM tour WHERE tour_id IN (2, 3, 4);"
        "INSERT INTO van_status VALUES (1, '2026-11-20 08:00Z', 'online', 'on')"
    )
    conn.commit()
    day = await answer(driver, "/v1/me/day")
    assert (day["date"], day["duty"]) == ("2026-11-20", "on")
    assert [tour["tour"] for tour in day["tours"]] == ["TOUR1", "NEXT"]
    first = day["tours"][0]["stops"][0]
    assert (first["latitude_deg"], first["longitude_deg"]) == (45.75, 4.85)


@pytest.mark.parametrize("path", ["/v1/me/day", "/v1/catalogue"])
async def test_what_is_known_already_is_not_sent_again_until_it_changes(
    driver: httpx.AsyncClient, conn: psycopg.Connection[Any], path: str
) -> None:
    first = await driver.get(path)
    again = await driver.get(path, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    conn.execute("UPDATE item SET name = 'Other'; UPDATE site SET name = 'Other'")
    conn.commit()
    changed = await driver.get(path, headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200
    assert "Other" in changed.text


async def test_the_catalogue_tells_what_each_code_means(
    driver: httpx.AsyncClient, conn: psycopg.Connection[Any]
) -> None:
    conn.execute("INSERT INTO barcode VALUES ('BOX', 1, 10) ON CONFLICT DO NOTHING")
    conn.commit()
    told = await answer(driver, "/v1/catalogue")
    assert {"item": "FIL-20", "name": "Filter 20", "base_unit": "piece"} in told["items"]
    assert {"code": "BOX", "item": "FIL-20", "pack_qty": 10} in told["codes"]
