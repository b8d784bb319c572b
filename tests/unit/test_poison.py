"""Whatever bytes come on whatever topic become rows or a rejection, and nothing is raised."""

import json
import random
import string

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.batch import Batch, Delivery, Van, decode, elements_of, refusal
from ingest.messages import SUBSCRIPTIONS
from ops.faults.rubbish import SPOILS, rubbish
from stock_tracker import barcodes

NOW = 1_790_000_000_000
VANS = {"van-001": Van(1, 1, "van-001", {}), "van-002": Van(2, 1, "van-002", {})}
TOPICS = [topic.replace("+", "van-001") for topic in SUBSCRIPTIONS]

numbers = st.one_of(
    st.integers(), st.floats(), st.integers(-(2**70), 2**70), st.just(10**400), st.booleans()
)
texts = st.text(st.characters(codec="utf-8"), max_size=30)
values = st.recursive(
    st.one_of(st.none(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
NAMES = (
    "t", "lat", "lon", "acc_m", "epoch", "seq", "intent", "code", "code_b64", "qty", "lot", "since",
    "text", "in_reply_to", "read", "delivered",
    "site", "work", "signer", "signature_svg", "signature_png", "absent", "stop",
    "reverses", "shipment", "state", "duty", "_type", "tst", "event", "id", "order", "kind", "lines",
)  # fmt: skip
objects = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)


def said(value: object) -> bytes:
    """Return JSON as careless senders write it: NaN, numbers of any length."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def parts(batch: Batch) -> int:
    return (
        len(batch.fixes) + len(batch.scans) + len(batch.statuses) + len(batch.reports)
        + len(batch.visit_reports) + len(batch.van_messages) + len(batch.rejections)
    )  # fmt: skip


@given(st.sampled_from(TOPICS), st.binary(max_size=200))
@example(TOPICS[0], b"[" * 100_000)
@example(TOPICS[1], b'{"t":' * 50_000)
@example(TOPICS[1], b"[" + b"{}," * 999 + b"{}]")
@example(TOPICS[0], b"\x00")
@example(TOPICS[3], b"")
@example("fleet/v1/van-001/report", b"")
def test_any_bytes_on_any_topic_are_read_or_rejected(topic: str, payload: bytes) -> None:
    delivery = Delivery(topic, payload)
    batch = decode([delivery], VANS, NOW)
    assert parts(batch) >= 1 or msgspec.json.decode(payload) == []
    for rejection in batch.rejections:
        assert rejection.reason
    assert elements_of(delivery) or parts(batch) == 0
    assert refusal(delivery, "words").payload == payload


@given(st.sampled_from(TOPICS), st.one_of(objects, values, st.lists(objects, max_size=5)))
def test_any_json_on_any_topic_is_read_or_rejected_as_a_whole_or_by_element(
    topic: str, value: object
) -> None:
    batch = decode([Delivery(topic, said(value))], VANS, NOW)
    for rejection in batch.rejections:
        rejection.detail.encode()
    for key in batch.tablet_keys():
        assert 0 < key.seq <= 2**62
        assert b"\0" not in key.epoch.encode()


@given(st.text(max_size=60), st.binary(max_size=60))
def test_any_topic_is_read_or_rejected(topic: str, payload: bytes) -> None:
    batch = decode([Delivery(topic, payload)], VANS, NOW)
    assert len(batch.rejections) == 1


@given(
    st.lists(st.tuples(st.sampled_from(TOPICS), st.binary(max_size=60)), max_size=6),
    st.integers(0, 9),
)
def test_rubbish_beside_a_good_message_does_not_spoil_it(
    bad: list[tuple[str, bytes]], place: int
) -> None:
    deliveries = [Delivery(topic, payload + b"}") for topic, payload in bad]
    good = Delivery("fleet/v1/van-002/position", said({"t": NOW, "lat": 1.0, "lon": 2.0}))
    deliveries.insert(min(place, len(deliveries)), good)
    batch = decode(deliveries, VANS, NOW)
    assert 2 in batch.fixes.van_id.tolist()


@given(st.binary(max_size=200), st.none() | st.text(max_size=5))
@example(b"]d2\x1d" * 40, "]d2")
@example(b"01" * 99, "]C1")
@example(b"(01)04006381333931(17)999999", None)
@example(b"\x1d\x1d\x1d", "]C1")
def test_any_code_is_looked_up_without_an_error(code: bytes, aim_id: str | None) -> None:
    assert barcodes.keys(code, aim_id) == tuple(m.key for m in barcodes.meanings(code, aim_id))
    barcodes.look_up(code, {}, aim_id)
    barcodes.sscc(code, aim_id)


@given(st.text(st.sampled_from(string.digits + "\x1d()]CdQe"), max_size=80))
def test_any_digits_and_separators_are_looked_up_without_an_error(code: str) -> None:
    for aim_id in (None, "]C1", "]d2", "]E0", "]Q3"):
        barcodes.look_up(code.encode(), {}, aim_id)
        barcodes.sscc(code.encode(), aim_id)
        barcodes.is_sscc(code)


@pytest.mark.parametrize("spoil", SPOILS)
def test_each_way_to_spoil_a_message_differs_each_time_and_is_survived(spoil: object) -> None:
    assert callable(spoil)
    rng = random.Random(1)
    made = [spoil(rng, b'{"t":1790000000000,"lat":48.1,"lon":11.5}', n) for n in range(200)]
    assert len(set(made)) == 200
    for topic in TOPICS:
        decode([Delivery(topic, payload) for payload in made], VANS, NOW)


def test_rubbish_is_the_same_for_the_same_seed_and_each_message_is_another() -> None:
    made = [
        list(rubbish(seed, 8_000, ["van-001", "van-002"], "van-001", NOW)) for seed in (1, 1, 2)
    ]
    assert made[0] == made[1] != made[2]
    assert len({(m.topic, m.payload) for m in made[0]}) > 7_900
    assert sum(m.topic.split("/")[2] == "van-001" for m in made[0]) > 3_000
    batch = decode([Delivery(m.topic, m.payload) for m in made[0]], VANS, NOW)
    assert len(batch.rejections) > 4_000
    assert len(batch.fixes) > 30
    assert len(batch.scans) > 30
    assert len(batch.reports) > 10
    assert len(batch.visit_reports) > 10
    assert len(batch.van_messages) > 10
