"""A small fleet in the tables, and a client of the API over them, signed in as an admin."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import psycopg
from psycopg.types.json import Jsonb

from api import problems
from api.app import create_app
from api.roles import Role
from api.sessions import CSRF_HEADER, PLAIN_COOKIE, csrf_token, hashed, new_token
from storage.settings import Settings

#: Friday 2026-11-20 10:00 in Paris; the clock stands still there (a factor that small).
NOW_MS = 1_795_165_200_000
MINUTE_MS = 60_000

FLEET = """
INSERT INTO organisation (organisation_id, name) VALUES (2, 'other');
INSERT INTO technician (technician_id, organisation_id, code, name) VALUES (1, 1, 'T1', 'Ana');
INSERT INTO warehouse (warehouse_id, organisation_id, code, name, latitude_deg, longitude_deg)
VALUES (1, 1, 'LYON', 'Lyon', 45.7, 4.8), (2, 2, 'NICE', 'Nice', 43.7, 7.2);
INSERT INTO item (item_id, ref, name) VALUES (1, 'FIL-20', 'Filter 20'), (2, 'SEAL_5', '5 % seal'),
                                             (3, 'PUMP', 'Pump');
INSERT INTO van_template (template_id, code) VALUES (1, 'HVAC');
INSERT INTO template_line (template_id, item_id, reorder_point, order_up_to, cap)
VALUES (1, 1, 4, 10, 12), (1, 2, 2, 6, 6);
INSERT INTO van (van_id, organisation_id, code, name, technician_id, template_id, warehouse_id)
VALUES (1, 1, 'V1', 'Kangoo 1', 1, 1, 1), (2, 1, 'V2', 'Kangoo 2', NULL, NULL, 1),
       (3, 1, 'V3', 'Kangoo 3', NULL, NULL, 1), (9, 2, 'X9', 'Their van', NULL, 1, 2);
INSERT INTO location (location_id, organisation_id, kind, van_id)
VALUES (101, 1, 'van', 1), (109, 2, 'van', 9);
INSERT INTO site (site_id, organisation_id, code, name, latitude_deg, longitude_deg, radius_m)
VALUES (1, 1, 'BAKERY', 'Bakery', 45.75, 4.85, 100), (2, 1, 'SCHOOL', 'School', 45.76, 4.86, 100),
       (9, 2, 'HARBOUR', 'Harbour', 43.69, 7.28, 100);
INSERT INTO tour (tour_id, code, van_id, service_date) VALUES (1, 'TOUR1', 1, '2026-11-20'),
                                                              (9, 'TOUR9', 9, '2026-11-20');
INSERT INTO stop (stop_id, tour_id, position, site_id, window_start, window_end, planned_duration_s)
VALUES (1, 1, 1, 1, '2026-11-20 07:00Z', '2026-11-20 08:00Z', 3600),
       (2, 1, 2, 2, '2026-11-20 08:00Z', '2026-11-20 08:30Z', 3600),
       (9, 9, 1, 9, '2026-11-20 08:00Z', '2026-11-20 08:30Z', 3600);
INSERT INTO van_position VALUES
  (1, '2026-11-20 08:59Z', 45.75, 4.85, 0, 90, false, '2026-11-20 08:59:01Z'),
  (2, '2026-11-20 08:40Z', 45.80, 4.90, 13.9, NULL, true, '2026-11-20 08:40:01Z'),
  (9, '2026-11-20 08:59Z', 43.69, 7.28, 20, NULL, true, '2026-11-20 08:59:01Z');
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict,
                   uncertain, ignition_off, centre_mm_sum, shadowed_by, service_date, stop_id,
                   punctuality)
VALUES
  (1, 1, '2026-11-20 07:55Z', '2026-11-20 08:59Z', NULL, NULL,
   'visit', false, true, 10000, NULL, '2026-11-20', 1, 'on_time'),
  (1, 2, '2026-11-19 09:00Z', '2026-11-19 09:30Z', '2026-11-19 09:31Z', '2026-11-19 09:33Z',
   'visit', false, true, 10000, NULL, '2026-11-19', NULL, 'unplanned'),
  (1, 2, '2026-11-20 07:56Z', '2026-11-20 07:58Z', '2026-11-20 07:59Z', '2026-11-20 08:02Z',
   'pass', false, false, 90000, NULL, '2026-11-20', NULL, NULL),
  (2, 1, '2026-11-20 06:00Z', '2026-11-20 06:10Z', '2026-11-20 06:11Z', '2026-11-20 06:13Z',
   'visit', false, true, 90000, 2, '2026-11-20', NULL, 'unplanned'),
  (2, 2, '2026-11-20 06:00Z', '2026-11-20 06:20Z', '2026-11-20 06:30Z', '2026-11-20 06:33Z',
   'visit', true, true, 5000, NULL, '2026-11-20', NULL, 'unplanned'),
  (9, 9, '2026-11-20 08:00Z', '2026-11-20 08:59Z', NULL, NULL,
   'visit', false, true, 10000, NULL, '2026-11-20', 9, 'on_time');
INSERT INTO alert (van_id, stop_id, kind, due_at, ended_at, state, reason, raised_time,
                   changed_time)
VALUES (1, 1, 'late', '2026-11-20 07:40Z', '2026-11-20 07:55Z', 'cleared', 'arrived 15 min late',
        '2026-11-20 07:41Z', '2026-11-20 07:56Z'),
       (1, 2, 'late', '2026-11-20 08:30Z', NULL, 'open', 'not arrived', '2026-11-20 08:31Z',
        '2026-11-20 08:31Z'),
       (9, 9, 'late', '2026-11-20 08:30Z', NULL, 'open', 'not arrived', '2026-11-20 08:31Z',
        '2026-11-20 08:31Z');
INSERT INTO level VALUES (101, 1, '', 3, '2026-11-18 10:00Z'), (101, 1, 'L2', 1, NULL),
                         (101, 3, '', 7, NULL), (109, 1, '', 0, NULL);
INSERT INTO resupply_order (order_id, code, organisation_id, warehouse_id, location_id, mode,
                            cutoff_at, state, created_time)
OVERRIDING SYSTEM VALUE VALUES
  (1, 'O-1', 1, 1, 101, 'van', '2026-11-19 15:00Z', 'sent', '2026-11-19 15:00:05Z'),
  (9, 'O-9', 2, 2, 109, 'van', '2026-11-19 15:00Z', 'sent', '2026-11-19 15:00:05Z');
INSERT INTO scan VALUES
  ('V1', 'e', 1, 0, 1, '2026-11-20 08:00Z', 'issue', 'FIL-20', 'applied', '{}', '2026-11-20 08:00Z'),
  ('V1', 'e', 2, 0, 1, '2026-11-19 20:00Z', 'issue', 'FIL-20', 'applied', '{}', '2026-11-20 08:00Z'),
  ('X9', 'e', 1, 0, 9, '2026-11-20 08:00Z', 'issue', 'FIL-20', 'applied', '{}', '2026-11-20 08:00Z');
INSERT INTO rejected VALUES
  ('\\x01', 'fleet/v1/V1/position', '\\xff00616263', 'malformed', 'not JSON', 'V1', '2026-11-20 08:00Z'),
  ('\\x02', 'fleet/v1/NOBODY/position', '{}', 'unknown_van', 'no such van', 'NOBODY',
   '2026-11-20 08:05Z'),
  ('\\x03', 'fleet/v1/X9/position', '{}', 'malformed', 'theirs', 'X9', '2026-11-20 08:06Z'),
  ('\\x04', 'fleet/v1/V1/position', '{}', 'future', 'long ago', 'V1', '2026-11-01 08:06Z');
"""


def settings_at(database_url: str, now_ms: int = NOW_MS) -> Settings:
    """Settings with a clock that shows `now_ms` and hardly moves."""
    return Settings(
        database_url=database_url, clock_origin_ms=now_ms, clock_start_ms=0, clock_factor=1e-15
    )


@contextlib.contextmanager
def fleet(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Put the fleet into the tables and lend a connection."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(FLEET)
        connection.execute(
            "INSERT INTO resupply_line (order_id, item_id, requested, inputs) VALUES"
            " (1, 1, 6, %s), (1, 3, 1, %s), (9, 1, 1, '{}')",
            (Jsonb({"why": "4 on hand, reorder at 4", "on_hand": 4}), Jsonb({"on_hand": 0})),
        )
        yield connection


def new_session(database_url: str, login: str) -> str:
    """Open a session of a user as a sign-in would, but without a password; return its token.

    What a sign-in asks for is tested in test_people.py; hashing a password each time would make
    every other test slower.
    """
    token = new_token()
    with psycopg.connect(database_url) as connection:
        done = connection.execute(
            "INSERT INTO user_session SELECT %s, user_id, clock_timestamp(), clock_timestamp()"
            " FROM app_user WHERE login = %s",
            (hashed(token), login),
        )
        assert done.rowcount == 1, f"no user {login}"
    return token


def new_user(
    database_url: str,
    login: str,
    role: Role,
    *,
    organisation: int = 1,
    technician_id: int | None = None,
    client_id: int | None = None,
) -> str:
    """Make a user without a password, unless there is one; return the login."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO app_user (organisation_id, login, name, role, technician_id, client_id)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (organisation, login, login.title(), role, technician_id, client_id),
        )
    return login


def new_admin(database_url: str) -> None:
    """Make an admin who could sign in, without whom `cordee doctor` calls nothing healthy."""
    new_user(database_url, "boss", "admin")
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE app_user SET password_hash = 'one' WHERE login = 'boss'")


async def machine_token(
    api: httpx.AsyncClient, role: Role, *, organisation: int = 1, client_id: int | None = None
) -> str:
    """Make a program with this role, and return the token that the API gives it."""
    key, secret = f"{role}-{organisation}-{client_id}", new_token()
    with psycopg.connect(api.database_url) as connection:  # type: ignore[attr-defined]
        connection.execute(
            "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role, client_id)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (organisation, key, key, hashed(secret), role, client_id),
        )
    form = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
    given = await api.post("/v1/token", data=form)
    assert given.status_code == 200, given.text
    return str(given.json()["access_token"])


def sign_in_as(api: httpx.AsyncClient, token: str) -> None:
    """Let the client ask with this session from now on."""
    api.cookies.clear()
    api.cookies.set(PLAIN_COOKIE, token)
    api.headers[CSRF_HEADER] = csrf_token(token)


@contextlib.asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the application, and ask it as an admin's browser would."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        client.app = app  # type: ignore[attr-defined]
        client.database_url = settings.database_url  # type: ignore[attr-defined]
        as_organisation(client, 1)
        yield client


async def answer(api: httpx.AsyncClient, path: str, **params: Any) -> Any:
    response = await api.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def problem(api: httpx.AsyncClient, path: str, **params: Any) -> tuple[int, str]:
    """Return the status and code of a refusal, having checked its form."""
    return refusal(await api.get(path, params=params))


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Return the status and code of a refusal, having checked its form."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code']}"
    assert body["title"] == problems.TITLES[body["code"]]
    assert body["detail"]
    return response.status_code, body["code"]


def as_organisation(api: httpx.AsyncClient, key: int) -> None:
    """Let the client ask as an admin of this organisation from now on."""
    come_as(api, f"admin-{key}", "admin", organisation=key)


def come_as(api: httpx.AsyncClient, login: str, role: Role, *, organisation: int = 1) -> None:
    """Let the client ask as this user from now on; made if there is none."""
    url: str = api.database_url  # type: ignore[attr-defined]
    sign_in_as(api, new_session(url, new_user(url, login, role, organisation=organisation)))
