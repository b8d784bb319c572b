"""What NATS Server's monitoring says is read as what it means for the fleet's messages."""

from typing import Any

import pytest

from storage import backlog

CONFIG: dict[str, Any] = {
    "name": "$MQTT_msgs", "retention": "interest", "max_msgs": -1, "max_bytes": -1, "max_age": 0,
    "discard": "old",
}  # fmt: skip


def answer(held: int = 0, **config: object) -> dict[str, Any]:
    stream = {
        "name": "$MQTT_msgs",
        "config": {**CONFIG, **config},
        "state": {"messages": held // 100, "bytes": held},
    }
    other = {"name": "$MQTT_sess", "config": CONFIG, "state": {"messages": 1, "bytes": 9}}
    return {
        "config": {"max_storage": 1_000_000},
        "account_details": [{"stream_detail": [other, stream]}],
    }


def test_without_a_limit_the_server_itself_would_be_full() -> None:
    it = backlog.read(answer(500_000), is_well=True)
    assert not it.is_safe
    assert not it.loses_old
    assert it.share == 0.5


def test_with_a_limit_that_refuses_what_is_new_it_is_safe() -> None:
    it = backlog.read(answer(400_000, max_bytes=800_000, discard="new"), is_well=True)
    assert it.is_safe
    assert it.share == 0.5
    assert it.messages == 4_000


@pytest.mark.parametrize(
    "config",
    [{"max_bytes": 800_000}, {"max_msgs": 10, "discard": "old"}, {"max_age": 60_000_000_000}],
)
def test_a_limit_that_drops_the_oldest_is_not_safe(config: dict[str, object]) -> None:
    it = backlog.read(answer(**config), is_well=True)
    assert it.loses_old
    assert not it.is_safe


def test_the_limit_that_is_wanted_leaves_room_for_sessions_and_is_safe() -> None:
    wanted = backlog.read(answer(), is_well=True).wanted()
    assert wanted is not None
    it = backlog.read(answer(**wanted), is_well=True)
    assert it.is_safe
    assert it.limit_bytes == 800_000
    assert it.wanted() == wanted


def test_before_the_first_client_there_is_nothing_to_limit() -> None:
    it = backlog.read({"config": {"max_storage": 10}, "account_details": []}, is_well=True)
    assert it.wanted() is None
    assert it.share == 0
