"""What nobody thought of: requests made from the API's own description, against a real server.

Every route is asked with a bounded number of generated requests, as an admin's program and as a
technician in a browser, and all checks of schemathesis look at the answers: no 500, no status, type or
shape that is not described, nothing wrong that is taken, nobody let in without what lets in. One check
is left out: that whatever fits the description is accepted. That `to_ms` comes after `from_ms`, or that a
stop's site exists, no JSON Schema can say.
"""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api.app import create_app
from api.sessions import CSRF_HEADER, PLAIN_COOKIE, csrf_token
from ops.access.table import COMPANY
from storage.settings import Settings
from tests.integration.api_client import new_session, new_user
from tests.integration.test_api_live import running

EXAMPLES_MAX = 5
#: A stream has no end, and so no answer to look at; test_api_live.py does.
ENDLESS = "/v1/live"
#: After these a session is over, so that each request needs another.
ENDING = ("/v1/session", "/v1/me/sessions", "/v1/me/password")


@pytest.fixture
def url(database_url: str) -> Iterator[str]:
    with psycopg.connect(database_url) as conn:
        conn.execute(COMPANY.encode())
    with running(database_url) as api:
        yield api.url


def headers_of(database_url: str, who: str) -> dict[str, str]:
    """Return what lets somebody in."""
    if who == "technician":
        token = new_session(database_url, new_user(database_url, "tec", who, technician_id=1))
    else:
        token = new_session(database_url, new_user(database_url, "adm", "admin"))
    return {"cookie": f"{PLAIN_COOKIE}={token}", CSRF_HEADER: csrf_token(token)}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("who", ["admin", "technician"])
def test_no_generated_request_is_answered_with_what_is_not_described(
    url: str, database_url: str, who: str, mode: GenerationMode
) -> None:
    described = schemathesis.openapi.from_dict(create_app(Settings()).openapi()).exclude(
        path=ENDLESS
    )
    described.config.update(base_url=url)
    asked = [0]
    failures: list[str] = []
    for result in described.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        try:
            ask_all(operation, mode, asked, lambda: headers_of(database_url, who))
        except Unsatisfiable:
            continue
        except FailureGroup as found:
            failures += [f"{operation.label}: {it}" for it in found.exceptions]
    assert failures == []
    assert asked[0] > 100


def ask_all(
    operation: Any, mode: GenerationMode, asked: list[int], signed_in: Callable[[], dict[str, str]]
) -> None:
    """Ask one route what is generated for it, and let all checks look at the answers."""
    headers = signed_in()

    @settings(
        max_examples=EXAMPLES_MAX,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        asked[0] += 1
        mine = signed_in() if operation.path in ENDING else headers
        case.call_and_validate(headers=mine, excluded_checks=[positive_data_acceptance])

    ask()
