"""Room in ingest's queue: so many messages, so many bytes, and nobody waits for ever."""

import threading

from ingest.subscriber import Room


def waits(room: Room, size: int) -> threading.Thread:
    thread = threading.Thread(target=room.take, args=(1, size), daemon=True)
    thread.start()
    return thread


def test_a_message_that_finds_room_takes_it_and_the_next_waits_until_some_is_given_back() -> None:
    room = Room(2, 100)
    room.take(1, 50)
    room.take(1, 50)
    waiting = waits(room, 10)
    assert waiting.is_alive()
    room.give_back(1, 50)
    waiting.join(10)
    assert not waiting.is_alive()


def test_bytes_are_bounded_as_messages_are() -> None:
    room = Room(1_000, 100)
    room.take(1, 60)
    waiting = waits(room, 60)
    assert waiting.is_alive()
    room.give_back(1, 60)
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_message_larger_than_all_the_room_fits_alone() -> None:
    room = Room(10, 100)
    room.take(1, 5_000)
    waiting = waits(room, 1)
    assert waiting.is_alive()
    room.give_back(1, 5_000)
    waiting.join(10)
    assert not waiting.is_alive()


def test_messages_that_came_together_wait_for_room_for_all_of_them() -> None:
    room = Room(3, 100)
    room.take(2, 10)
    waiting = threading.Thread(target=room.take, args=(2, 10), daemon=True)
    waiting.start()
    assert waiting.is_alive()
    room.give_back(1, 5)
    waiting.join(10)
    assert not waiting.is_alive()


def test_who_waits_when_it_is_closed_goes_on() -> None:
    room = Room(1, 100)
    room.take(1, 1)
    waiting = waits(room, 1)
    room.close()
    waiting.join(10)
    assert not waiting.is_alive()
