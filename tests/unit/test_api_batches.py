"""A tablet's events on their way to the broker: nothing of them is lost, whatever is among them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.batches import ARRAY_BYTES_MAX, EVENT_BYTES_MAX, KINDS, Found, Packed, pack, rejected
from ingest.batch import Delivery, Van, decode, elements_of
from ingest.messages import CONTRACT
from storage.message_id import message_id

NOW = 1_790_000_000_000
NOTHING = Found({}, {}, {}, ())


def scan(seq: int, **more: object) -> tuple[str, object]:
    return "scan", {"epoch": "e", "seq": seq, "t": NOW, "intent": "issue", "code": "C", **more}


def identities(packed: Packed) -> set[bytes]:
    """Return what the elements of all messages are known by, as ingest would reject them."""
    deliveries = [Delivery(it.topic, it.payload) for it in packed.messages]
    parts = [part for delivery in deliveries for part in elements_of(delivery)]
    return {message_id(part.topic, part.payload) for part in parts}


def test_every_kind_is_a_topic_of_the_contract_and_has_arrays_where_it_has_backlogs() -> None:
    backlogs = {topic.template: topic.backlog for topic in CONTRACT}
    for kind, has_arrays in KINDS.items():
        assert backlogs[f"fleet/v1/{{van}}/{kind}"] == has_arrays


def test_scans_and_positions_travel_as_arrays_and_switches_alone() -> None:
    position = ("position", {"t": NOW, "lat": 48, "lon": 2})
    status = ("status", {"state": "online", "t": NOW, "duty": "on"})
    packed = pack("V1", [scan(1), position, status, scan(2), status])
    assert [(it.topic, it.payload[:1]) for it in packed.messages] == [
        ("fleet/v1/V1/scan", b"["),
        ("fleet/v1/V1/position", b"["),
        ("fleet/v1/V1/status", b"{"),
        ("fleet/v1/V1/status", b"{"),
    ]
    assert sorted(event.index for event in packed.sent) == [0, 1, 2, 3, 4]
    assert packed.keys() == {"scan": [("e", 1), ("e", 2)]}


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner)),
    max_leaves=6,
)


@given(st.lists(st.tuples(st.sampled_from([*KINDS, "none"]), values), max_size=12))
def test_whatever_comes_each_event_is_published_under_its_own_identity_or_refused(
    events: list[tuple[str, object]],
) -> None:
    packed = pack("V1", events)
    places = [event.index for event in packed.sent] + [event.index for event in packed.refused]
    assert sorted(places) == list(range(len(events)))
    ids = {it.id for it in packed.messages}
    assert all(event.carrier in ids for event in packed.sent)
    arrays = {kind for kind, has_arrays in KINDS.items() if has_arrays}
    of_arrays = pack("V1", [event for event in events if event[0] in arrays])
    assert {event.id for event in of_arrays.sent} <= identities(of_arrays) | {
        event.carrier for event in of_arrays.sent
    }


@pytest.mark.parametrize("bad", [float("nan"), "\ud800", [[[[]]]] * 9, 10**30, {"\0": 1}])
def test_what_spoils_an_array_travels_alone(bad: object) -> None:
    packed = pack("V1", [scan(1), scan(2, note=bad), scan(3), ("scan", bad)])
    vans = {"V1": Van(1, 1, "V1", {})}
    batch = decode([Delivery(it.topic, it.payload) for it in packed.messages], vans, NOW)
    assert {1, 3} <= {event.key.seq for event in batch.scans}
    known = {message_id(it.topic, it.payload) for it in batch.rejections}
    assert known <= {event.id for event in packed.sent if event.index in {1, 3}}


def test_what_is_nested_too_deep_to_be_written_is_refused_and_no_error() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    packed = pack("V1", [scan(1), ("scan", deep)])
    assert [(it.index, it.reason) for it in packed.refused] == [(1, "too_large")]
    assert len(packed.sent) == 1
    while deep:  # taken apart by hand, or freeing it would be too deep as well
        deep = deep.pop()  # type: ignore[assignment]


def test_an_unknown_kind_and_an_event_too_large_are_refused_and_no_other() -> None:
    packed = pack("V1", [("photo", {"seq": 7}), scan(1, note="x" * EVENT_BYTES_MAX), scan(2)])
    assert [(it.index, it.seq, it.reason) for it in packed.refused] == [
        (0, 7, "unknown_kind"),
        (1, 1, "too_large"),
    ]
    assert [event.seq for event in packed.sent] == [2]


def test_arrays_end_before_a_broker_would_refuse_them() -> None:
    events = [scan(n, note="x" * (EVENT_BYTES_MAX - 200)) for n in range(1, 51)]
    packed = pack("V1", events)
    assert len(packed.messages) > 2
    assert max(len(it.payload) for it in packed.messages) <= ARRAY_BYTES_MAX + EVENT_BYTES_MAX
    assert sum(len(msgspec.json.decode(it.payload)) for it in packed.messages) == 50


def test_the_same_events_make_the_same_bytes() -> None:
    events = [scan(1, lot="é"), ("position", {"t": NOW, "lat": 48.5, "lon": 2})]
    again = json.loads(json.dumps(events))
    assert pack("V1", events).messages == pack("V1", [tuple(it) for it in again]).messages


def test_an_event_has_no_effect_where_it_is_rejected_contested_or_nowhere() -> None:
    packed = pack("V1", [scan(1), scan(2), scan(3), scan(4), scan(5), ("status", {})])
    of = {event.index: event for event in packed.sent}
    found = Found(
        rejected={of[2].id: ("bad_payload", "d"), of[5].id: ("bad_payload", "s")},
        stored={"scan": {("e", 1), ("e", 2)}},
        contested={"scan": {("e", 2)}},
        unusable={("e", 3), ("e", 5)},
    )
    assert [(it.index, it.seq, it.reason) for it in rejected(packed, found, ())] == [
        (1, 2, "conflict"),
        (2, 3, "bad_payload"),
        (3, 4, "over_quota"),
        (5, None, "bad_payload"),
    ]


def test_of_what_is_pending_nothing_is_said() -> None:
    packed = pack("V1", [scan(1)])
    assert rejected(packed, NOTHING, {it.id for it in packed.messages}) == []
    assert [it.reason for it in rejected(packed, NOTHING, ())] == ["over_quota"]


@pytest.mark.parametrize("epoch", ["", "x" * 65, "a\0", "\ud800", 5, None, ["e"]])
@pytest.mark.parametrize("seq", [1, 0, True, 2**63, "1", None])
def test_a_key_that_no_column_holds_is_none(epoch: object, seq: object) -> None:
    packed = pack("V1", [("scan", {"epoch": epoch, "seq": seq})])
    assert packed.keys() == {}
    assert packed.epochs() == set()
