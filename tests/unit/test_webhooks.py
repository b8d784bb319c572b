"""Webhooks before anything is sent: signatures, states and pauses, and where one may go."""

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from ingest.messages import CONTRACT, AlertEvent, OrderEvent, VisitReportEvent
from ingest.webhooks import addresses, rules, signing
from ingest.webhooks.rules import ATTEMPTS_MAX, DELAYS_S, NEXT, Answer, Event, State, judge
from storage.settings import real_ms

NOW = 1_790_000_000_000
DAY_MS = 86_400_000
MESSAGE = UUID("00112233-4455-6677-8899-aabbccddeeff")
SECRET = signing.secret_of(bytes(range(32)))
OTHER_SECRET = signing.secret_of(bytes(range(1, 33)))

MIDDLE = 0.5  # the chance that changes no pause


# --- Signatures --------------------------------------------------------------------------------


def by_hand(secret: str, signed: bytes) -> str:
    """Return a signature without the library."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def test_a_signature_is_that_of_the_standards_own_example() -> None:
    """The vector that the reference libraries of Standard Webhooks share."""
    said = signing.signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        1_614_265_330_000,
    )
    assert said == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=32, max_size=32), st.text(), st.integers(0, 4_102_444_800_000))
def test_id_time_and_body_are_signed_as_the_headers_and_the_body_say_them(
    key: bytes, text: str, now: int
) -> None:
    secret, body = signing.secret_of(key), text.encode()
    sent = signing.headers([secret], MESSAGE, body, now)
    assert sent["webhook-id"] == "msg_00112233445566778899aabbccddeeff"
    assert sent["webhook-timestamp"] == str(now // 1_000)
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    assert sent["webhook-signature"] == by_hand(secret, signed)


def test_while_a_secret_is_replaced_a_holder_of_either_accepts_and_of_neither_does_not() -> None:
    sent = signing.headers([SECRET, OTHER_SECRET], MESSAGE, b'{"a":1}', real_ms())
    for secret in (SECRET, OTHER_SECRET):
        assert Webhook(secret).verify(b'{"a":1}', sent) == {"a": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.secret_of(bytes(32))).verify(b'{"a":1}', sent)


def test_a_secret_is_of_the_standards_form() -> None:
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", SECRET)
    assert 24 <= signing.SECRET_BYTES <= 64


def test_the_content_is_said_to_be_a_cloudevent() -> None:
    sent = signing.headers([SECRET], MESSAGE, b"{}", NOW)
    assert sent["content-type"] == "application/cloudevents+json"


def test_what_may_be_posted_are_the_cloudevents_of_the_wire_contract() -> None:
    events = {
        topic.template.rpartition("/")[0]
        for topic in CONTRACT
        if set(topic.payloads) & {OrderEvent, AlertEvent, VisitReportEvent}
    }
    assert set(rules.TOPICS.values()) == events


# --- States ------------------------------------------------------------------------------------


def printed_table() -> dict[tuple[str, str], str]:
    """Return the table of the module's page, cell by cell."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (rules.__doc__ or "").splitlines()
        if line.startswith("|")
    ]
    (_, *events), _, *states = rows
    return {
        (state, event): cell
        for state, *cells in states
        for event, cell in zip(events, cells, strict=True)
    }


def test_the_printed_table_of_states_is_the_one_in_use() -> None:
    cells = printed_table()
    assert set(cells) == {(s, e) for s in get_args(State) for e in get_args(Event)}
    assert {cell: after for cell, after in cells.items() if after != "-"} == NEXT


def test_nothing_ever_changes_what_was_delivered() -> None:
    assert [event for state, event in NEXT if state == "delivered"] == []


# --- What an answer means ----------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_a_delivery_at_whatever_attempt(status: int) -> None:
    for attempts in (1, ATTEMPTS_MAX):
        assert judge(Answer(status), attempts, NOW, MIDDLE).event == "accept"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 404, 415, 429, 500, 502, 503])
def test_any_other_status_is_tried_again(status: int) -> None:
    said = judge(Answer(status), 1, NOW, MIDDLE)
    assert (said.event, said.error, said.next_try) == ("fail", f"HTTP {status}", NOW + 10_000)


def test_no_answer_is_tried_again_and_says_why() -> None:
    said = judge(Answer(error="ConnectError"), 2, NOW, MIDDLE)
    assert (said.event, said.error, said.next_try) == ("fail", "ConnectError", NOW + 60_000)


def test_410_switches_off_at_whatever_attempt() -> None:
    for attempts in (1, ATTEMPTS_MAX):
        said = judge(Answer(410), attempts, NOW, MIDDLE)
        assert (said.event, said.is_gone, said.next_try) == ("switch off", True, None)


def test_the_tenth_failure_is_the_last() -> None:
    assert ATTEMPTS_MAX == 10
    assert judge(Answer(500), ATTEMPTS_MAX - 1, NOW, MIDDLE).event == "fail"
    said = judge(Answer(500), ATTEMPTS_MAX, NOW, MIDDLE)
    assert (said.event, said.next_try, said.error) == ("give up", None, "HTTP 500")


@given(st.integers(1, ATTEMPTS_MAX - 1), st.floats(0, 1))
def test_a_pause_is_the_tables_give_or_take_a_fifth(attempts: int, chance: float) -> None:
    pause = rules.delay_ms(attempts, chance)
    assert 0.8 * DELAYS_S[attempts - 1] * 1_000 - 1 <= pause
    assert pause <= 1.2 * DELAYS_S[attempts - 1] * 1_000 + 1


def test_chance_moves_a_pause_and_pauses_never_become_shorter() -> None:
    assert rules.delay_ms(1, 0.0) == 8_000
    assert rules.delay_ms(1, 1.0) == 12_000
    assert list(DELAYS_S) == sorted(DELAYS_S)


def test_a_receiver_that_is_away_for_two_days_and_a_half_still_gets_everything() -> None:
    earliest = sum(rules.delay_ms(n, 0.0) for n in range(1, ATTEMPTS_MAX))
    latest = sum(rules.delay_ms(n, 1.0) for n in range(1, ATTEMPTS_MAX))
    assert 2.25 * DAY_MS < earliest < 2.9 * DAY_MS < latest < 3.5 * DAY_MS


def date(seconds_ahead: int) -> str:
    moment = datetime.fromtimestamp(NOW / 1_000 + seconds_ahead, UTC)
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", ["600", date(600)])
def test_a_retry_after_is_waited_for_and_the_whole_webhook_with_it(status: int, text: str) -> None:
    said = judge(Answer(status, retry_after=text), 1, NOW, MIDDLE)
    assert (said.event, said.next_try) == ("fail", NOW + 600_000)
    assert said.paused_until == NOW + 600_000


def test_a_retry_after_shortens_no_pause() -> None:
    said = judge(Answer(429, retry_after="1"), 5, NOW, MIDDLE)
    assert said.next_try == NOW + DELAYS_S[4] * 1_000
    assert said.paused_until == NOW + 1_000


@pytest.mark.parametrize("text", ["86401", "9" * 5_000, date(90_000), date(900_000_000)])
def test_nobody_is_waited_for_longer_than_a_day(text: str) -> None:
    said = judge(Answer(503, retry_after=text), 1, NOW, MIDDLE)
    assert said.next_try == said.paused_until == NOW + DAY_MS


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "soon", "1.5", "²", "Fri, 99 Foo 2026", date(-60), None]
)
def test_a_retry_after_that_asks_for_nothing_changes_nothing(text: str | None) -> None:
    said = judge(Answer(503, retry_after=text), 1, NOW, MIDDLE)
    assert (said.next_try, said.paused_until) == (NOW + 10_000, None)


@given(st.text(max_size=60))
def test_no_retry_after_is_too_odd(text: str) -> None:
    asked = rules.retry_after_ms(text, NOW)
    assert asked is None or 0 < asked <= DAY_MS


def test_what_is_being_posted_is_somebodys_for_longer_than_an_attempt_lasts() -> None:
    assert rules.LEASE_S >= 2 * rules.TIMEOUT_S


# --- Where one may go --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com/cordee?key=1",
        "http://hooks.example.com:8080/",
        "https://93.184.215.14/x",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/x",
        "https://bücher.example/x",
    ],
)
def test_a_web_address_of_the_internet_is_taken(url: str) -> None:
    assert addresses.refusal(url, allow_private=False) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example.com/x",
        "//hooks.example.com/x",
        "ftp://hooks.example.com/x",
        "file:///etc/passwd",
        "gopher://hooks.example.com/",
        "https://",
        "https:///x",
        "https://user:password@hooks.example.com/x",
        "https://hooks.example.com:99999/x",
        "https://hooks.example.com/x#part",
        "https://hooks.example.com/" + "x" * 2_000,
        "https://hooks.example.com/\nhost: other",
    ],
)
def test_what_is_no_plain_web_address_is_refused_whatever_is_allowed(url: str) -> None:
    assert addresses.refusal(url, allow_private=True)


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.5", "169.254.169.254",
    "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "::1", "::", "fe80::1",
    "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
    "2002:a00:1::", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_only_this_network_reaches_is_refused_until_allowed(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    refused = addresses.refusal(f"http://{host}:8080/x", allow_private=False)
    assert refused
    assert "CORDEE_WEBHOOK_ALLOW_PRIVATE" in refused
    assert addresses.refusal(f"http://{host}:8080/x", allow_private=True) is None
    assert addresses.allowed([address], allow_private=False) == []
    assert addresses.allowed([address], allow_private=True) == [address]


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "api.localhost"])
def test_the_names_of_this_machine_are_refused_like_its_addresses(name: str) -> None:
    assert addresses.refusal(f"http://{name}/x", allow_private=False)
    assert addresses.refusal(f"http://{name}/x", allow_private=True) is None


def test_of_what_a_name_stands_for_only_the_public_addresses_are_used_and_few_of_them() -> None:
    found = ["10.0.0.1", "93.184.215.14", "::1", "93.184.215.14", "64:ff9b::5db8:d70e"]
    assert addresses.allowed(found, allow_private=False) == ["93.184.215.14", "64:ff9b::5db8:d70e"]
    many = [f"93.184.215.{n}" for n in range(9)]
    assert addresses.allowed(many, allow_private=False) == many[:3]
