"""Positions of other apps in the words of the wire contract: units exactly, and nothing invented.

The payloads are those that the apps send: Traccar Client for Android (`ProtocolFormatter`), its successor
(`locationTemplate`), what Traccar's own decoder is tested with, and the OwnTracks booklet.
"""

import json
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import batches
from api.positions import NOT_FOR_US, is_for_us, of_json, of_query
from ingest.batch import Delivery, Van, decode
from ingest.messages import Position

NOW = 1_795_165_300_000
VANS = {"V1": Van(1, 1, "V1", {})}


def read(position: dict[str, object]) -> Position:
    """Return a position as ingest reads it."""
    return msgspec.convert(position, Position)


def test_traccar_client_for_android_sends_all_in_a_query() -> None:
    said = {"id": "x", "timestamp": "1795165200", "lat": "45.7578", "lon": "4.832", "speed": "27.0",
            "bearing": "271.5", "altitude": "180.3", "accuracy": "6.5", "batt": "87.0"}  # fmt: skip
    assert read(of_query(said)) == Position(
        1_795_165_200_000, 45.7578, 4.832, 6.5, 13.89, 271.5, battery_pct=87.0
    )


def location(**more: object) -> dict[str, object]:
    coords = {"latitude": 37.4219983, "longitude": -122.084, "accuracy": 5, "speed": 18.67,
              "heading": 63, "altitude": 5}  # fmt: skip
    return {
        "timestamp": "2025-06-15T13:45:12.862Z", "coords": coords, "is_moving": False, "odometer": 7,
        "event": "motionchange", "battery": {"level": 0.79, "is_charging": False},
        "activity": {"type": "still"}, "extras": {}, "_": "&id=1&lat=37.4&", **more,
    }  # fmt: skip


def test_newer_traccar_clients_send_json_in_metres_a_second_and_a_battery_up_to_one() -> None:
    (position,) = of_json({"location": location(), "device_id": "48241179"})
    assert read(position) == Position(
        1_749_995_112_862, 37.4219983, -122.084, 5.0, 18.67, 63.0, battery_pct=79.0
    )


def test_what_newer_clients_do_not_know_is_left_out() -> None:
    coords = {"speed": -1, "longitude": -122.406417, "latitude": 37.785834000000001, "heading": -1,
              "accuracy": 0, "altitude_accuracy": -1, "floor": None}  # fmt: skip
    (position,) = of_json({"location": location(coords=coords, battery={"level": -1})})
    assert position.keys() == {"t", "lat", "lon"}


def test_several_locations_at_once_are_several_positions() -> None:
    assert len(of_json({"location": [location(), location()]})) == 2


@pytest.mark.parametrize(
    ("timestamp", "t"),
    [
        ("1377177267", 1_377_177_267_000),
        ("1442068686579", 1_442_068_686_579),
        ("1377177267.25", 1_377_177_267_250),
        ("2016-01-27T18:55:47Z", 1_453_920_947_000),
        ("2016-01-27T18:55:47.123+02:00", 1_453_913_747_123),
        ("2014-06-04 09:10:11", 1_401_873_011_000),
        (" 2014-06-04T09:10:11 ", 1_401_873_011_000),
        (str(2**31 - 1), (2**31 - 1) * 1_000),
        (str(2**31), 2**31),
    ],
)
def test_times_are_seconds_milliseconds_or_dates(timestamp: str, t: int) -> None:
    assert of_query({"timestamp": timestamp})["t"] == t


@pytest.mark.parametrize(
    "timestamp", ["yesterday", "", "2016-13-01T00:00:00Z", "nan", "0x10", "1_0"]
)
def test_what_is_no_time_is_passed_on_as_it_came(timestamp: str) -> None:
    assert of_query({"timestamp": timestamp})["t"] == timestamp


@given(st.floats(0, 1_000).map(lambda knots: round(knots, 6)))
def test_knots_are_metres_a_second_rounded_once(knots: float) -> None:
    said = of_query({"speed": repr(knots)})["speed_mps"]
    assert said == float(Fraction(repr(knots)) * 1_852 / 3_600)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"location": "60.0,30.5"}, {"lat": 60.0, "lon": 30.5}),
        ({"lat": "1", "lon": "2", "heading": "7"}, {"lat": 1.0, "lon": 2.0, "bearing_deg": 7.0}),
        ({"lat": "1", "lon": "2", "valid": "false"}, {}),
        ({"lat": "1", "lon": "2", "valid": "1"}, {"lat": 1.0, "lon": 2.0}),
        ({"ignition": "true", "rpm": "933"}, {"ignition": True}),
        ({"ignition": "false"}, {"ignition": False}),
        ({"accuracy": "0", "speed": "-1", "bearing": "-1", "batt": "-1"}, {}),
        ({"odometer": "12", "altitude": "5", "id": "secret"}, {}),
    ],
)
def test_a_query_says_what_the_table_says(
    said: dict[str, str], expected: dict[str, object]
) -> None:
    assert of_query(said) == expected


@pytest.mark.parametrize("part", ["timestamp", "speed", "accuracy", "heading", "level"])
def test_a_number_longer_than_any_float_is_passed_on_and_set_aside(part: str) -> None:
    long = 10**400
    coords = {"latitude": 48.1, "longitude": 11.5, part: long}
    body = {"timestamp": 1_795_165_200, "coords": coords, "battery": {"level": 0.5}}
    if part == "timestamp":
        body["timestamp"] = long
    if part == "level":
        body["battery"] = {"level": long}
    found = of_json({"location": body})
    assert long in found[0].values()
    accounted(found)


texts = st.text(max_size=20)
names = st.sampled_from(["lat", "lon", "location", "timestamp", "speed", "bearing", "accuracy", "batt",
                         "valid", "ignition"])  # fmt: skip
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
parts = st.sampled_from(
    ["timestamp", "coords", "battery", "latitude", "longitude", "speed", "level"]
)
objects = st.dictionaries(parts, st.one_of(values, st.dictionaries(parts, values)), max_size=5)


@given(st.dictionaries(names, texts))
def test_any_query_becomes_a_position_or_is_set_aside(said: dict[str, str]) -> None:
    accounted([of_query(said)])


@given(st.one_of(values, objects, st.lists(objects, max_size=3)))
def test_any_json_becomes_positions_or_is_set_aside(location_said: object) -> None:
    accounted(of_json({"location": location_said}))


def accounted(positions: list[dict[str, object]]) -> None:
    packed = batches.pack("V1", [("position", it) for it in positions])
    batch = decode([Delivery(it.topic, it.payload) for it in packed.messages], VANS, NOW)
    assert len(batch.fixes) <= len(positions)
    assert len(batch.fixes) + len(batch.rejections) + len(packed.refused) >= min(1, len(positions))


@pytest.mark.parametrize("kind", ["location", "transition", "lwt", "encrypted", "something new"])
def test_of_owntracks_what_may_say_where_a_van_is_or_cannot_be_read_is_passed_on(kind: str) -> None:
    assert is_for_us(json.dumps({"_type": kind, "lat": 1}).encode())


@pytest.mark.parametrize("kind", sorted(NOT_FOR_US))
def test_of_owntracks_what_is_for_friends_is_not(kind: str) -> None:
    assert not is_for_us(json.dumps({"_type": kind}).encode())


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"_type":5}'])
def test_of_owntracks_what_is_no_message_is_passed_on_to_be_set_aside(body: bytes) -> None:
    assert is_for_us(body)


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_message_of_owntracks_says_that_a_friend_is_gone(body: bytes) -> None:
    assert not is_for_us(body)
