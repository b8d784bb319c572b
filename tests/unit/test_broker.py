"""Where the broker is, when it is more than one server."""

import pytest
from pydantic import ValidationError

from storage import broker
from storage.settings import Settings


def test_a_broker_is_one_server_unless_others_are_named() -> None:
    assert broker.servers(Settings(broker_host="b", broker_port=1)) == (("b", 1),)


def test_the_others_of_a_cluster_follow_in_their_order() -> None:
    settings = Settings(broker_host="b-0", broker_port=8883, broker_others="b-1:8883,b-2:1884")
    assert broker.servers(settings) == (("b-0", 8883), ("b-1", 8883), ("b-2", 1884))


@pytest.mark.parametrize("wrong", ["b-1", "b-1:8883,", "b-1:mqtt", "b 1:8883", "b-1:8883 b-2:8883"])
def test_a_server_without_a_port_is_refused_at_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError):
        Settings(broker_others=wrong)


async def test_each_turn_is_another_server_and_then_the_first_again() -> None:
    settings = Settings(broker_host="b-0", broker_port=1, broker_others="b-1:2")
    tried = [broker.client(settings, turn) for turn in range(3)]
    assert [(it._hostname, it._port) for it in tried] == [("b-0", 1), ("b-1", 2), ("b-0", 1)]
