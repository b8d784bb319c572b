"""What nobody thought of: requests made from the API's own description, against a real server.

Every route of docs/openapi.json is asked as an admin's browser would, and again as a technician's where
one may: with the examples of the description, with the values at every limit and beyond it, and with
some that are generated. All checks of schemathesis look at the answers: no 500, no status, type or shape
that is not described, nobody let in without what lets in; whatever fits the description is taken, whatever
does not is refused. Taken is also what is not found (404), not for this role (403), or in the way of what
is there (409).

What no JSON Schema can say stands in `BEYOND`, rule by rule: a request that breaks one must be refused,
and every other one that fits must be taken.

`make fuzzapi` asks more (`CORDEE_API_EXAMPLES`); `pytest -k "/v1/orders"` asks some.
"""

import asyncio
import base64
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import msgspec
import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import cursors, passwords
from api.roles import Role
from api.routes import devices, messages
from api.routes.parameters import SPAN_MAX
from api.sessions import CSRF_HEADER, PLAIN_COOKIE, csrf_token, hashed, weakness
from geofence.imports.geojson import geojson_rows
from geofence.imports.local_times import window
from ops.access.table import COMPANY
from ops.devices import provision
from stock_tracker.barcodes import is_sscc
from stock_tracker.reference import BarcodeRow
from storage.pool import connect
from storage.settings import real_ms
from storage.sheets import UnusableRowError
from tests.conftest import Databases
from tests.integration.api_client import NOW_MS, new_session, new_user
from tests.integration.test_api_live import running

DOCS = Path(__file__).parents[2] / "docs"

#: Generated requests a route, besides those at the limits of each value; of these a first part, and
#: then every fourth, unless the run is a deep one.
EXAMPLES = int(os.environ.get("CORDEE_API_EXAMPLES", "3"))
IS_DEEP = "CORDEE_API_EXAMPLES" in os.environ
LIMITS_WHOLE = 60

#: A stream has no end, and so no answer to look at; test_api_live.py does.
ENDLESS = "/v1/live"
#: After these a session is over, or somebody must wait, so that each request needs another.
SIGNING_IN = ("/v1/session", "/v1/me/sessions", "/v1/me/password", "/v1/token")
#: No identity provider is set up here: test_oidc.py has one.
WITHOUT_PROVIDER = ("/v1/session/oidc", "/v1/session/oidc/callback")

#: Whose positions a device may say, its own credential says.
DEVICES = "/v1/ingress/"
#: What these name, an answer must have told before; test_replans.py asks first. No file of tiles is set.
TOLD_BEFORE = ("/v1/replans", "/v1/replans/{replan_id}/undo", "/v1/map/tiles.pmtiles")

#: What the examples of the description name, beside the company of `ops/access`.
MORE = """
INSERT INTO van_template (template_id, code) VALUES (1, 'HVAC');
INSERT INTO policy_proposal VALUES (1, 1, 8, 14, 16, 2.4, 0.97, 'used 2.4 a week', '2026-11-19Z');
INSERT INTO outbox (topic, payload, created_time) VALUES ('warehouse/v1/orders/O-1', '{}', '2026-11-18Z');
INSERT INTO webhook_delivery (webhook_id, outbox_id, message_id, state, attempts, changed_time)
VALUES (1, 1, gen_random_uuid(), 'dead', 12, '2026-11-18Z')
ON CONFLICT ON CONSTRAINT webhook_delivery_once DO UPDATE SET state = 'dead', attempts = 12;
INSERT INTO van_message (device, epoch, seq, payload_hash, van_id, t, text, delivered, read, received_time)
VALUES ('V1', 'e', 10, 0, 1, '2026-11-20Z', 'The bakery is closed.', '{}', '{}', '2026-11-20Z');
"""
#: Who signs in, and which program, in the examples of the description.
SOMEBODY, PASSWORD = "c.petit", "your password"
PROGRAM, SECRET = "prometheus", "your secret"

ONCE = "Idempotency-Key"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPAN_MAX_MS = SPAN_MAX.total_seconds() * 1_000
#: Where a range ends that names no end, if it is not the end of the working day.
ENDS_MS = {
    "/v1/fixes/unusable": NOW_MS,
    "/v1/planning": NOW_MS - 7 * HOUR_MS + 14 * DAY_MS,
    "/v1/stock/figures": NOW_MS,
    "/v1/stock/missing": NOW_MS,
    "/v1/visit-reports": NOW_MS,
}
END_OF_DAY_MS = NOW_MS + 17 * HOUR_MS
#: These have a limit of rows, and none of time.
OF_ANY_LENGTH = ("/v1/alerts", "/v1/visits", "/v1/vans/{van}/visits", "/v1/vans/{van}/track")


def is_no_range(case: Any) -> bool:
    since, until = (int(case.query.get(name, -1)) for name in ("from_ms", "to_ms"))
    if since < 0:
        return False
    if 0 <= until <= since:
        return True
    path = case.operation.path
    ends = until if until >= 0 else ENDS_MS.get(path, END_OF_DAY_MS)
    return path not in OF_ANY_LENGTH and ends - since > SPAN_MAX_MS


def is_no_cursor(case: Any) -> bool:
    try:
        return cursors.decode(case.query.get("cursor", SOME_CURSOR)) is None
    except ValueError:
        return True


SOME_CURSOR = cursors.encode(cursors.VisitKey(NOW_MS, "V1", "BAKERY"))


def is_no_box(case: Any) -> bool:
    return case.body.get("sscc") is not None and not is_sscc(case.body["sscc"])


def is_no_shape(case: Any) -> bool:
    if "geometry" not in case.body:
        return False
    feature = {"geometry": case.body["geometry"], "properties": {"name": "x", "radius_m": 5}}
    data = msgspec.json.encode({"type": "FeatureCollection", "features": [feature]})
    [(_, read)] = geojson_rows(data, {})
    return isinstance(read, str)


def is_no_window(case: Any) -> bool:
    try:
        for stop in case.body["stops"]:
            day = date.fromisoformat(case.body["date"])
            window(stop["window_start"], stop["window_end"], day, ZoneInfo("Europe/Paris"))
    except UnusableRowError:
        return True
    return False


def is_weak(case: Any) -> bool:
    return weakness(case.body["new"], SOMEBODY) is not None


def is_no_snooze(case: Any) -> bool:
    until = case.body.get("snoozed_until_ms")
    return until is not None and not NOW_MS < until <= NOW_MS + 7 * DAY_MS


def is_to_nobody(case: Any) -> bool:
    return case.body.get("van") is None


def is_no_code(case: Any) -> bool:
    try:
        code = base64.b64decode(case.body["code_base64"]).decode()
        msgspec.convert({"code": code, "item": "P-1"}, BarcodeRow)
    except ValueError:
        return True
    return False


def is_anothers_scope(case: Any) -> bool:
    return case.body.get("scope", "ops") != "ops" and case.body.get("client_secret") == SECRET


@dataclass(frozen=True)
class Beyond:
    """What a request may break although it fits its description, and how it is told then."""

    why: str
    routes: str
    breaks: Callable[[Any], bool]
    told: tuple[int, str]
    role: Role | None = None

    def is_broken_by(self, case: Any, role: Role) -> bool:
        return (
            case.meta.generation.mode.is_positive
            and self.role in (None, role)
            and fnmatch(case.operation.label, self.routes)
            and self.breaks(case)
        )


BEYOND = (
    Beyond(
        "a range ends after it begins, and is not too long: two values are compared, or one with now",
        "GET *",
        is_no_range,
        (422, "invalid_parameters"),
    ),
    Beyond(
        "a cursor is the API's own text, whose form is nobody's business",
        "GET *visits",
        is_no_cursor,
        (400, "bad_cursor"),
    ),
    Beyond(
        "the last digit of a box's number follows from the others",
        "POST /v1/orders/{code}/reports",
        is_no_box,
        (422, "unusable_report"),
    ),
    Beyond(
        "a ring is closed, an outline does not cross itself, a site has a size: geometry",
        "PUT /v1/sites/{code}",
        is_no_shape,
        (422, "unusable_site"),
    ),
    Beyond(
        "a window ends after it begins: two values are compared, by the clock of the site",
        "PUT /v1/tours/{code}",
        is_no_window,
        (422, "unusable_tour"),
    ),
    Beyond(
        "a password does not hold the login, and is not a few characters over and over",
        "PUT /v1/me/password",
        is_weak,
        (422, "unusable_password"),
    ),
    Beyond(
        "an alert rests until a time to come, within a week: one value is compared with now",
        "PATCH /v1/alerts/{alert_id}",
        is_no_snooze,
        (422, "unusable_handling"),
    ),
    Beyond(
        "who drives no van says to which one a message goes",
        "POST /v1/messages",
        is_to_nobody,
        (422, "invalid_parameters"),
        role="admin",
    ),
    Beyond(
        "a code is text: what base64 holds, a pattern cannot say",
        "POST /v1/parts/unknown-codes/mapping",
        is_no_code,
        (422, "unusable_code"),
    ),
    Beyond(
        "a program has one scope, its own",
        "POST /v1/token",
        is_anothers_scope,
        (400, "bad_request"),
    ),
)

described = schemathesis.openapi.from_path(DOCS / "openapi.json").exclude(path=ENDLESS)
described.config.phases.coverage.unexpected_methods = {"patch"}
# Taken is also what somebody has changed meanwhile (412), or wants to change unseen (428).
described.config.checks.positive_data_acceptance.expected_statuses += ["412", "428"]
for_technicians = described.include(
    func=lambda asked: "technician" in asked.operation.definition.raw.get("x-roles", ())
)
much = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=not IS_DEEP,
    suppress_health_check=list(HealthCheck),
)


@dataclass
class Server:
    """A running API over the company, and who is signed in."""

    url: str
    database_url: str
    asked: Counter[tuple[Role, str]] = field(default_factory=Counter)
    signed_in: dict[Role, dict[str, str]] = field(default_factory=dict)
    #: User and password of a van's device.
    device: bytes = b""

    def headers(self, role: Role, path: str) -> dict[str, str]:
        """Return what lets somebody in; on routes about signing in a new session, and no failures."""
        if path.startswith(DEVICES):
            return {"authorization": f"Basic {base64.b64encode(self.device).decode()}"}
        if path in SIGNING_IN:
            with psycopg.connect(self.database_url) as conn:
                conn.execute("DELETE FROM failed_sign_in")
                conn.execute(
                    "UPDATE app_user SET password_hash = %s WHERE login = %s",
                    (passwords.hashed(PASSWORD), SOMEBODY),
                )
            return self._session(SOMEBODY, "admin")
        if role not in self.signed_in:
            self.signed_in[role] = self._session(role, role)
        return self.signed_in[role]

    def _session(self, login: str, role: Role) -> dict[str, str]:
        drives = 1 if role == "technician" else None
        user = new_user(self.database_url, login, role, technician_id=drives)
        token = new_session(self.database_url, user)
        return {"cookie": f"{PLAIN_COOKIE}={token}", CSRF_HEADER: csrf_token(token)}

    def is_enough(self, role: Role, case: Any) -> bool:
        """Return whether a request may be left out: one at a limit, of a route with very many."""
        self.asked[role, case.operation.label] += 1
        nth = self.asked[role, case.operation.label]
        return not IS_DEEP and nth > LIMITS_WHOLE and nth % 4 > 0


@contextmanager
def opened(databases: Databases) -> Iterator[Server]:
    """Run a server over the company, with all that the examples name."""
    url = databases.take()
    with psycopg.connect(url) as conn:
        conn.execute((COMPANY + MORE).encode())
        conn.execute(
            "INSERT INTO machine (organisation_id, client_key, name, secret_hash, role)"
            " VALUES (1, %s, %s, %s, 'ops')",
            (PROGRAM, PROGRAM, hashed(SECRET)),
        )
    new_user(url, SOMEBODY, "admin")
    with pytest.MonkeyPatch.context() as patch, running(url) as api:
        # Thousands of passwords are compared here; how slow that has to be, test_people.py says.
        fast = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(passwords, "HASHER", PasswordHash((fast,)))
        passwords.nobodys.cache_clear()
        # Nobody ingests here.
        patch.setattr(devices, "COMMITTED_WITHIN_S", 0.0)
        patch.setattr(messages, "COMMITTED_WITHIN_S", 0.0)
        yield Server(api.url, url, device=asyncio.run(device(url)))
    passwords.nobodys.cache_clear()
    databases.give_back(url)


async def device(url: str) -> bytes:
    """Return the user and password of a new device of V1."""
    async with connect(url, "test", size_max=1) as pool, pool.connection() as conn:
        made = await provision.make(conn, await provision.van(conn, "V1"), "phone", real_ms() - 1)
    return f"{made.user_name}:{made.password}".encode()


@pytest.fixture(scope="module")
def server(databases: Databases) -> Iterator[Server]:
    """One server and one company for all requests: what some change, others find changed."""
    with opened(databases) as it:
        yield it


@described.parametrize()
@much
def test_an_admin_is_answered_as_described(case: Any, server: Server) -> None:
    ask(case, server, "admin")


@for_technicians.parametrize()
@much
def test_a_technician_is_answered_as_described(case: Any, server: Server) -> None:
    ask(case, server, "technician")


def ask(case: Any, server: Server, role: Role) -> None:
    """Send a request, and let all checks look at the answer."""
    if server.is_enough(role, case):
        return
    headers = server.headers(role, case.operation.path)
    if case.meta.generation.mode.is_positive and ONCE in (case.headers or {}):
        case.headers[ONCE] = uuid.uuid4().hex  # each wants something of its own
    answer = case.call(base_url=server.url, headers=headers)
    broken = [rule for rule in BEYOND if rule.is_broken_by(case, role)]
    left_out = [positive_data_acceptance] if broken else []
    case.validate_response(answer, headers=headers, excluded_checks=left_out)
    if broken:
        told = {rule.told for rule in broken}
        assert answer.status_code >= 400, f"{case.as_curl_command()} breaks {broken}"
        assert answer.status_code not in {status for status, _ in told} or (
            (answer.status_code, answer.json()["code"]) in told
        )


# ---- the examples are true ----


def test_every_example_of_a_request_gets_what_it_asks_for(databases: Databases) -> None:
    """Of a company that nobody has changed yet."""
    refused = []
    with opened(databases) as server, httpx.Client(base_url=server.url) as client:
        for path, methods in described.raw_schema["paths"].items():
            for method, operation in methods.items():
                if path == ENDLESS:
                    continue
                role: Role = "technician" if operation.get("x-roles") == ["technician"] else "admin"
                for body in bodies(operation):
                    headers = server.headers(role, path)
                    seen = {"If-Match": "*"} if method == "patch" else {}
                    answer = client.request(
                        method, asked(path, operation), headers=headers | seen, **body
                    )
                    if answer.status_code >= 400 and path not in WITHOUT_PROVIDER + TOLD_BEFORE:
                        refused.append(f"{method} {answer.url}: {answer.text}")
    assert refused == []


def asked(path: str, operation: dict[str, Any]) -> str:
    """Return what is asked with the examples of all parameters."""
    places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for one in operation.get("parameters", ()):
        places[one["in"]][one["name"]] = one["schema"]["examples"][0]
    named = path.format(**{name: quote(str(value)) for name, value in places["path"].items()})
    return f"{named}?{httpx.QueryParams(places['query'])}"


def bodies(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the examples of a body, as httpx takes them; one of nothing if there is no body."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            schema = described.raw_schema["components"]["schemas"][name]
        named = [example["value"] for example in content.get("examples", {}).values()]
        kind = "json" if media_type == "application/json" else "data"
        shown = named or schema.get("examples") or [content["example"]]
        return [{kind: example} for example in shown]
    return [{}]
