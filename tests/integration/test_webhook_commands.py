"""What operators do with webhooks, and what `cordee doctor` says of them."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, get_args

import psycopg
import pytest
from click.testing import CliRunner, Result

from api.commands import resend
from ingest.webhooks.rules import NEXT, State
from ops import doctor, webhooks
from ops.cli import main
from storage.pool import connect
from storage.settings import Settings
from tests.integration.test_stock_ledger import rows
from tests.integration.test_webhooks import PUT, execute, leave

URL = "https://hooks.example/cordee?key=hush"
SECRET = re.compile(r"^secret (whsec_\S{44})$", re.MULTILINE)

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `cordee webhook ...` as an operator would."""
    monkeypatch.setenv("CORDEE_DATABASE_URL", database_url)
    return lambda *words: CliRunner().invoke(main, ["webhook", *map(str, words)])


def secret_in(result: Result) -> str:
    assert result.exit_code == 0, result.output
    found = SECRET.search(result.output)
    assert found
    return found[1]


def findings(url: str) -> list[str]:
    """Return what doctor says of webhooks."""
    said = asyncio.run(doctor.examine(Settings(database_url=url, broker_port=1)))
    return [
        f"{it.mark}  {it.text}" for it in said if "webhook" in it.text and "schema" not in it.text
    ]


def test_a_webhook_is_added_and_its_secret_shown_once(run: Run, database_url: str) -> None:
    added = run("add", URL)
    assert added.output.startswith("webhook 1\n")
    secret = secret_in(added)
    assert rows(database_url, "SELECT secret, old_secret, topics FROM webhook") == [
        (secret, None, ["warehouse/v1/orders", "planner/v1/alerts", "planner/v1/visit-reports"])
    ]
    listed = run("list").output
    assert listed == f"1  {URL}  orders,alerts,visits of default  on, 0 waiting, 0 dead\n"


def test_a_webhook_may_want_orders_alone(run: Run, database_url: str) -> None:
    assert run("add", URL, "--of", "orders").exit_code == 0
    assert rows(database_url, "SELECT topics FROM webhook") == [(["warehouse/v1/orders"],)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("ftp://hooks.example/",), "only http:// and https://"),
        (("http://10.0.0.8/",), "CORDEE_WEBHOOK_ALLOW_PRIVATE"),
        (("http://localhost:9/",), "CORDEE_WEBHOOK_ALLOW_PRIVATE"),
        ((URL, "--organisation", "nobody"), "no organisation 'nobody'"),
    ],
)
def test_what_cannot_be_posted_to_is_not_added(
    run: Run, database_url: str, words: tuple[str, ...], reason: str
) -> None:
    refused = run("add", *words)
    assert refused.exit_code == 1
    assert reason in refused.output
    assert rows(database_url, "SELECT count(*) FROM webhook") == [(0,)]


def test_a_private_address_is_added_where_that_is_allowed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CORDEE_WEBHOOK_ALLOW_PRIVATE", "true")
    assert run("add", "http://10.0.0.8/").exit_code == 0


def test_the_same_url_is_added_once_however_it_is_written(run: Run) -> None:
    assert run("add", URL).exit_code == 0
    again = run("add", URL.replace("https", "HTTPS").replace("hooks", "Hooks"))
    assert again.exit_code == 1
    assert "already" in again.output


def test_there_is_an_end_to_the_number_of_webhooks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "WEBHOOKS_MAX", 1)
    assert run("add", URL).exit_code == 0
    assert "1 webhooks already" in run("add", URL + "&more").output


def test_a_secret_is_replaced_and_the_old_one_signs_for_as_long_as_said(
    run: Run, database_url: str
) -> None:
    old = secret_in(run("add", URL))
    new = secret_in(run("rotate", 1, "--hours", 2))
    assert new != old
    query = """
        SELECT secret, old_secret, old_secret_until - now() BETWEEN '119 min' AND '2 h' FROM webhook
    """
    assert rows(database_url, query) == [(new, old, True)]


def test_a_stolen_secret_is_replaced_at_once(run: Run, database_url: str) -> None:
    run("add", URL)
    secret_in(run("rotate", 1, "--hours", 0))
    assert rows(database_url, "SELECT old_secret_until <= now() FROM webhook") == [(True,)]


def test_no_command_but_those_that_make_a_secret_tells_it(run: Run, database_url: str) -> None:
    secret = secret_in(run("add", URL))
    execute(database_url, "UPDATE webhook SET old_secret = secret, old_secret_until = now()")
    for words in (("list",), ("switch", 1, "off"), ("switch", 1, "on"), ("remove", 1)):
        assert secret not in run(*words).output


def test_a_webhook_is_removed_with_what_waits_for_it_and_that_is_said(
    run: Run, database_url: str
) -> None:
    run("add", URL)
    leave(database_url, 1, 2)
    assert run("remove", 1).output == "removed; 2 undelivered messages with it\n"
    assert rows(database_url, "SELECT count(*) FROM webhook_delivery") == [(0,)]
    assert rows(database_url, "SELECT count(*) FROM outbox") == [(2,)]


@pytest.mark.parametrize("words", [("remove", 7), ("rotate", 7), ("switch", 7, "on"),
                                   ("switch", 7, "off")])  # fmt: skip
def test_a_webhook_that_does_not_exist_is_said_not_to(run: Run, words: tuple[Any, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 1
    assert "there is no webhook 7" in result.output


def test_a_webhook_that_is_switched_off_gets_nothing_until_it_is_switched_on(
    run: Run, database_url: str
) -> None:
    run("add", URL)
    leave(database_url, 1)
    assert run("switch", 1, "off").exit_code == 0
    leave(database_url, 2)
    assert "off (switched off by hand), 0 waiting, 1 dead" in run("list").output
    assert run("resend", 1).exit_code == 1
    assert run("switch", 1, "on").exit_code == 0
    leave(database_url, 3)
    assert run("resend", "--webhook", 1).output == "1 will be sent again\n"
    assert "on, 2 waiting, 0 dead" in run("list").output
    topics = "SELECT topic FROM webhook_delivery JOIN outbox USING (outbox_id) ORDER BY 1"
    assert rows(database_url, topics) == [
        ("warehouse/v1/orders/O-1",),
        ("warehouse/v1/orders/O-3",),
    ]


def test_one_delivery_is_sent_again_without_the_others(run: Run, database_url: str) -> None:
    run("add", URL)
    leave(database_url, 1, 2)
    execute(database_url, PUT["dead"] + ", attempts = 10")
    assert run("resend", 2).output == "1 will be sent again\n"
    query = "SELECT state, attempts FROM webhook_delivery ORDER BY delivery_id"
    assert rows(database_url, query) == [("dead", 10), ("pending", 0)]


@pytest.mark.parametrize("words", [(), (1, "--webhook", 1)])
def test_what_to_send_again_is_named_one_way(run: Run, words: tuple[Any, ...]) -> None:
    assert run("resend", *words).exit_code == 2


@pytest.mark.parametrize("state", get_args(State))
async def test_only_the_dead_are_sent_again_as_the_table_of_states_says(
    database_url: str, state: State
) -> None:
    execute(database_url, "INSERT INTO webhook (organisation_id, url, topics, secret)"
            " VALUES (1, 'u', '{warehouse/v1/orders}', 's')")  # fmt: skip
    leave(database_url, 1)
    execute(database_url, PUT[state])
    async with connect(database_url, "test") as pool, pool.connection() as conn:
        again = await resend(conn)
    assert again == ((state, "send again") in NEXT)
    after = NEXT.get((state, "send again"), state)
    assert rows(database_url, "SELECT state FROM webhook_delivery") == [(after,)]


def test_doctor_says_nothing_of_webhooks_where_there_are_none(database_url: str) -> None:
    assert findings(database_url) == []


def test_doctor_counts_the_dead_and_names_the_last_reason_and_the_command(
    run: Run, database_url: str
) -> None:
    run("add", URL)
    leave(database_url, 1, 2, 3)
    assert findings(database_url) == ["ok   webhooks have missed nothing (1 on)"]
    with psycopg.connect(database_url) as conn:
        for n, error in ((1, "HTTP 500"), (2, "ConnectError")):
            conn.execute(
                PUT["dead"] + ", last_error = %s, changed_time = to_timestamp(%s)"
                " WHERE delivery_id = %s",
                (error, n, n),
            )
    [line] = findings(database_url)
    assert line == (
        "BAD  messages given up for webhook 1: 2, the last for ConnectError. Mend that, then"
        " `cordee webhook resend --webhook 1`"
    )


def test_doctor_tells_a_webhook_that_its_receiver_switched_off_from_one_switched_off_by_hand(
    run: Run, database_url: str
) -> None:
    run("add", URL)
    run("switch", 1, "off")
    assert findings(database_url) == ["ok   webhook 1 is off: switched off by hand"]
    execute(database_url, "UPDATE webhook SET off_reason = 'HTTP 410: gone'")
    assert findings(database_url) == ["BAD  webhook 1 is off: HTTP 410: gone"]
