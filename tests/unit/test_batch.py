"""Whatever arrives, decoding ends: each message, or element, is one row or one rejection."""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.batch import ANCIENT_MS, FUTURE_MS, Batch, Delivery, Van, decode
from ingest.messages import BACKLOG_MAX
from stock_tracker.ledger import ScanKey

NOW = 1_790_000_000_000
PLACES = {"van": 1, "warehouse": 2, "customer": 3, "in_transit": 4, "scrap": 5}
VANS = {
    "van-001": Van(1, 1, "van-001", PLACES),
    "van-002": Van(2, 1, "van-002", {**PLACES, "van": 6}),
}
POSITION = "fleet/v1/van-001/position"
SCAN = "fleet/v1/van-001/scan"
STATUS = "fleet/v1/van-001/status"
PHONE = "owntracks/van-001/phone"
TOPICS = (POSITION, SCAN, STATUS, PHONE)
BACKLOG_TOPICS = (POSITION, SCAN)

FIX = {"t": NOW, "lat": 48.1, "lon": 11.5}
ISSUE = {"epoch": "e", "seq": 1, "t": NOW, "intent": "issue", "code": "FUSE"}
ONLINE = {"state": "online", "t": NOW, "duty": "on"}
LOCATION = {"_type": "location", "lat": 48.1, "lon": 11.5, "tst": NOW // 1_000}
SOUND = {POSITION: FIX, SCAN: ISSUE, STATUS: ONLINE, PHONE: LOCATION}


def read(*messages: tuple[str, object]) -> Batch:
    """Decode messages given as topic and payload: bytes as they are, all else as JSON."""
    deliveries = [
        Delivery(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        for topic, payload in messages
    ]
    return decode(deliveries, VANS, NOW)


def outcomes(batch: Batch) -> int:
    return len(batch.fixes) + len(batch.scans) + len(batch.statuses) + len(batch.rejections)


# --- Every topic -------------------------------------------------------------------------------


def test_a_position_becomes_a_fix_with_gaps_for_what_it_does_not_say() -> None:
    fixes = read((POSITION, FIX)).fixes
    assert (fixes.van_id[0], fixes.t_ms[0]) == (1, NOW)
    assert (fixes.latitude_deg[0], fixes.longitude_deg[0]) == (48.1, 11.5)
    assert fixes.ignition[0] == -1
    for column in (
        "horizontal_accuracy_m",
        "speed_mps",
        "bearing_deg",
        "odometer_m",
        "battery_pct",
    ):
        assert np.isnan(getattr(fixes, column)[0])


def test_a_position_says_all_that_it_says() -> None:
    more = {"acc_m": 4, "speed_mps": 9.5, "bearing_deg": 90, "ignition": False, "odometer_m": 1e8, "battery_pct": 50}  # fmt: skip
    fixes = read((POSITION, FIX | more)).fixes
    assert fixes.horizontal_accuracy_m[0] == 4
    assert fixes.speed_mps[0] == 9.5
    assert fixes.bearing_deg[0] == 90
    assert fixes.ignition[0] == 0
    assert fixes.odometer_m[0] == 1e8
    assert fixes.battery_pct[0] == 50


def test_fixes_come_out_in_the_order_of_van_and_time() -> None:
    other = "fleet/v1/van-002/position"
    fixes = read(
        (other, FIX), (POSITION, FIX | {"t": NOW + 1}), (other, FIX | {"t": NOW - 5}), (POSITION, FIX)
    ).fixes  # fmt: skip
    assert list(zip(fixes.van_id.tolist(), fixes.t_ms.tolist(), strict=True)) == [
        (1, NOW),
        (1, NOW + 1),
        (2, NOW - 5),
        (2, NOW),
    ]


def test_a_scan_becomes_an_event_with_the_van_as_its_device() -> None:
    (scan,) = read((SCAN, ISSUE | {"qty": 3, "lot": "L", "work_order": "W"})).scans
    assert scan.key == ScanKey("van-001", "e", 1)
    assert (scan.van_id, scan.t, scan.intent, scan.code) == (1, NOW, "issue", b"FUSE")
    assert (scan.qty, scan.lot, scan.work_order, scan.counterpart) == (3, "L", "W", None)


def test_the_bytes_of_a_code_come_through_as_they_are() -> None:
    (scan,) = read((SCAN, ISSUE | {"code": "\x1d010400\x00é"})).scans
    assert scan.code == "\x1d010400\x00é".encode()
    (scan,) = read((SCAN, ISSUE | {"code": None, "code_b64": "HUH/AA=="})).scans
    assert scan.code == b"\x1dA\xff\x00"


@pytest.mark.parametrize(("named", "known"), [("van-002", "van-002"), ("nobody", None), ("", None)])
def test_a_counterpart_is_a_van_that_we_know(named: str, known: str | None) -> None:
    (scan,) = read((SCAN, ISSUE | {"intent": "transfer", "counterpart": named})).scans
    assert scan.counterpart == known


@pytest.mark.parametrize("codes", [{"code": None}, {"code": "A", "code_b64": "QQ=="}])
def test_a_scan_has_either_a_code_or_its_bytes(codes: dict[str, object]) -> None:
    batch = read((SCAN, ISSUE | codes))
    (rejection,) = batch.rejections
    assert outcomes(batch) == 1
    assert (rejection.reason, rejection.key) == ("bad_payload", ScanKey("van-001", "e", 1))


def test_a_status_becomes_an_event() -> None:
    (status,) = read((STATUS, ONLINE)).statuses
    assert (status.van_id, status.t, status.state, status.duty) == (1, NOW, "online", "on")


def test_an_owntracks_location_is_a_fix_in_metres_and_seconds() -> None:
    said = {"vel": 36, "cog": 90, "acc": 5, "batt": 40, "odometer": 12.5, "ign": 1}
    fixes = read((PHONE, LOCATION | {"tst": NOW / 1_000 + 0.25} | said)).fixes
    assert fixes.t_ms[0] == NOW + 250
    assert fixes.speed_mps[0] == 10
    assert fixes.bearing_deg[0] == 90
    assert fixes.horizontal_accuracy_m[0] == 5
    assert fixes.battery_pct[0] == 40
    assert fixes.odometer_m[0] == 12_500
    assert fixes.ignition[0] == 1


def test_an_owntracks_transition_with_a_position_is_a_fix() -> None:
    said = {
        "_type": "transition",
        "tst": NOW // 1_000,
        "event": "enter",
        "lat": 1,
        "lon": 2,
        "acc": 3,
    }
    fixes = read((PHONE, said)).fixes
    assert (fixes.latitude_deg[0], fixes.longitude_deg[0]) == (1, 2)
    assert fixes.horizontal_accuracy_m[0] == 3


@pytest.mark.parametrize("place", [{}, {"lat": 1}, {"lon": 1}])
def test_an_owntracks_transition_without_a_position_is_not_silently_gone(
    place: dict[str, float],
) -> None:
    said = {"_type": "transition", "tst": NOW // 1_000, "event": "leave", **place}
    batch = read((PHONE, said))
    assert outcomes(batch) == 1
    assert len(batch.rejections) == 1


def test_an_owntracks_last_will_says_offline() -> None:
    (status,) = read((PHONE, {"_type": "lwt", "tst": NOW // 1_000})).statuses
    assert (status.van_id, status.t, status.state, status.duty) == (1, NOW, "offline", None)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "fleet",
        "fleet/v1/van-001",
        "fleet/v1/van-001/positions",
        "fleet/v2/van-001/position",
        "fleet/v1/van-001/position/",
        "fleet/v1/van-001/receipt",
        "owntracks/van-001",
        "owntracks/van-001/phone/cmd",
        "warehouse/v1/orders/R-1",
        "(a topic that is no UTF-8)",
        "\0",
    ],
)
def test_a_topic_outside_the_contract_is_a_rejection(topic: str) -> None:
    batch = read((topic, FIX))
    assert [r.reason for r in batch.rejections] == ["unknown_topic"]
    assert outcomes(batch) == 1


@pytest.mark.parametrize("van", ["van-999", "", "VAN-001", " van-001", "é", "x" * 10_000])
@pytest.mark.parametrize("topic", ["fleet/v1/{}/position", "fleet/v1/{}/scan", "owntracks/{}/x"])
def test_a_van_that_nobody_knows_is_a_rejection(topic: str, van: str) -> None:
    batch = read((topic.format(van), FIX))
    assert [(r.reason, r.van_code) for r in batch.rejections] == [("unknown_van", van)]
    assert outcomes(batch) == 1
    assert len(batch.rejections[0].detail) < 1_000


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic != SCAN])
def test_what_claims_to_be_two_minutes_ahead_is_believed_and_more_is_not(topic: str) -> None:
    name, unit = ("tst", 1_000) if topic == PHONE else ("t", 1)
    edge = (NOW + FUTURE_MS) // unit
    assert read((topic, SOUND[topic] | {name: edge})).rejections == []
    batch = read((topic, SOUND[topic] | {name: edge + 1}))
    assert [r.reason for r in batch.rejections] == ["future"]
    assert outcomes(batch) == 1


TRANSITION = {"_type": "transition", "event": "enter", "lat": 48.1, "lon": 11.5}
LWT = {"_type": "lwt"}
YEAR_2000_MS = 946_684_800_000  # the contract knows no earlier time


@pytest.mark.parametrize(
    ("topic", "message", "name", "unit"),
    [
        (POSITION, FIX, "t", 1),
        (PHONE, LOCATION, "tst", 1_000),
        (PHONE, TRANSITION, "tst", 1_000),
    ],
)
def test_a_position_older_than_two_months_is_ancient(
    topic: str, message: dict[str, object], name: str, unit: int
) -> None:
    edge = (NOW - ANCIENT_MS) // unit
    assert read((topic, message | {name: edge})).rejections == []
    batch = read((topic, message | {name: edge - 1}))
    assert [r.reason for r in batch.rejections] == ["ancient"]
    day = datetime.fromtimestamp((edge - 1) * unit / 1_000, UTC).date()
    assert f"it is of {day}" in batch.rejections[0].detail
    assert outcomes(batch) == 1


@pytest.mark.parametrize(
    ("topic", "message", "name", "unit"),
    [(SCAN, ISSUE, "t", 1), (STATUS, ONLINE, "t", 1), (PHONE, LWT, "tst", 1_000)],
)
def test_a_scan_or_status_may_be_as_old_as_it_likes(
    topic: str, message: dict[str, object], name: str, unit: int
) -> None:
    for t in ((NOW - ANCIENT_MS) // unit - 1, YEAR_2000_MS // unit):
        batch = read((topic, message | {name: t}))
        assert batch.rejections == []
        assert outcomes(batch) == 1


def test_two_months_are_62_days() -> None:
    assert ANCIENT_MS == 62 * 24 * 3_600_000


def test_one_ancient_position_does_not_spoil_its_backlog() -> None:
    ancient = {**FIX, "t": NOW - ANCIENT_MS - 1}
    batch = read((POSITION, [FIX, ancient, FIX | {"t": NOW - ANCIENT_MS}]))
    assert batch.fixes.t_ms.tolist() == [NOW - ANCIENT_MS, NOW]
    (rejection,) = batch.rejections
    assert (rejection.reason, json.loads(rejection.payload)) == ("ancient", ancient)


def test_a_rejected_scan_keeps_its_key() -> None:
    (rejection,) = read((SCAN, ISSUE | {"qty": -1})).rejections
    assert rejection.key == ScanKey("van-001", "e", 1)


@pytest.mark.parametrize("t", [NOW + 10**9, NOW - 10**10])
def test_no_scan_is_rejected_for_its_time(t: int) -> None:
    batch = read((SCAN, ISSUE | {"t": t}))
    assert (len(batch.scans), batch.rejections) == (1, [])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"intent": "reverse"}, "names a scan"),
        ({"intent": "reverse", "code": None}, "names a scan"),
        ({"intent": "reverse", "reverses": {"epoch": "e", "seq": 9}}, "has no code"),
        ({"intent": "reverse", "code": None, "reverses": {"epoch": "e", "seq": 1}}, "itself"),
        ({"reverses": {"epoch": "e", "seq": 9}}, "only `reverse`"),
        ({"shipment": "0" * 18}, "only what is received"),
    ],
)
def test_fields_of_a_scan_that_do_not_go_together_are_refused_in_words(
    more: dict[str, object], words: str
) -> None:
    (rejection,) = read((SCAN, ISSUE | more)).rejections
    assert rejection.reason == "bad_payload"
    assert words in rejection.detail


SPOILED = [
    (SCAN, {"code": None}),
    *((topic, {"t": "x", "tst": "x", "state": "x"}) for topic in TOPICS),
    *((topic.replace("001", "999"), {}) for topic in TOPICS),
    *((topic + "/x", {}) for topic in TOPICS),
    *((topic, {"t": NOW + 10**9}) for topic in TOPICS[:3] if topic != SCAN),
    (PHONE, {"tst": NOW // 1_000 + 10**6}),
]


@pytest.mark.parametrize(("topic", "more"), SPOILED)
def test_a_rejected_message_keeps_its_raw_bytes(topic: str, more: dict[str, object]) -> None:
    sound = SOUND[topic.replace("999", "001").removesuffix("/x")]
    sent = json.dumps(sound | more | {"sent_by": "app 2.0"}, indent=1).encode()
    (rejection,) = read((topic, sent)).rejections
    assert rejection.payload == sent


# --- Bytes that are not what they should be ----------------------------------------------------

MIB = 1 << 20
HOSTILE = {
    "empty": b"",
    "blank": b" \n\t",
    "nul": b"\0",
    "null": b"null",
    "number": b"5",
    "text": b'"t"',
    "truncated": json.dumps(FIX).encode()[:-1],
    "truncated array": b"[" + json.dumps(FIX).encode(),
    "two objects": json.dumps(FIX).encode() * 2,
    "nan": b'{"t":NaN,"lat":NaN,"lon":NaN}',
    "invalid utf-8": b'{"epoch":"\xff\xfe","seq":1}',
    "invalid utf-8 alone": b"\xff\xfe\xfd",
    "utf-16": json.dumps(FIX).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(FIX).encode(),
    "surrogate": b'{"epoch":"\\ud800","seq":1,"t":1790000000000,"intent":"issue","code":"\\udc00"}',
    "surrogate bytes": b'{"epoch":"\xed\xa0\x80","seq":1,"t":1790000000000,"intent":"issue","code":"A"}',
    "beyond int64": b'{"t":99999999999999999999,"lat":1,"lon":2,"seq":9223372036854775808}',
    "below int64": b'{"t":-99999999999999999999,"lat":1,"lon":2}',
    "10,000 digits": b'{"t":' + b"9" * 10_000 + b',"lat":1,"lon":2}',
    "10,000 digits of latitude": b'{"t":1790000000000,"lon":1,"lat":' + b"9" * 10_000 + b"}",
    "deep array": b"[" * 100_000,
    "deep array, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000,
    "deep in an unknown field": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "1 MiB of blanks": b" " * MIB,
    "1 MiB of quotes": b'"' * MIB,
    "1 MiB of text": b'"' + b"x" * MIB + b'"',
    "1 MiB of nul": b"\0" * MIB,
    "a key of 1 MiB": b'{"' + b"k" * MIB + b'":1}',
    "an epoch of 1 MiB": b'{"seq":1,"epoch":"' + b"e" * MIB + b'"}',
}  # fmt: skip


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_one_rejection_with_those_bytes(topic: str, name: str) -> None:
    batch = read((topic, HOSTILE[name]))
    assert outcomes(batch) == len(batch.rejections) == 1
    assert batch.rejections[0].reason == "bad_payload"
    assert batch.rejections[0].payload == HOSTILE[name]
    assert len(batch.rejections[0].detail) < 1_000


@pytest.mark.parametrize("topic", TOPICS)
def test_1_mib_that_is_sound_is_a_row(topic: str) -> None:
    batch = read((topic, SOUND[topic] | {"photo": "x" * MIB}))
    assert outcomes(batch) == 1
    assert batch.rejections == []


def test_of_repeated_names_one_counts_and_the_message_is_one_row() -> None:
    batch = read((POSITION, b'{"t":1780000000000,"lat":1,"lon":2,"t":1790000000000,"lat":3}'))
    assert (batch.fixes.t_ms[0], batch.fixes.latitude_deg[0]) == (NOW, 3)
    assert outcomes(read((POSITION, b'{"t":1790000000000,"lat":1,"lon":2,"t":1}'))) == 1


def test_nul_in_a_text_is_a_value_of_the_batch() -> None:
    batch = read((SCAN, ISSUE | {"lot": "\0", "code": "\0", "epoch": "\0"}))
    assert outcomes(batch) == 1


@settings(max_examples=300)
@given(st.sampled_from(TOPICS), st.binary(max_size=200))
@example(POSITION, b"[]")
def test_random_bytes_never_raise_and_are_never_gone(topic: str, payload: bytes) -> None:
    batch = read((topic, payload))
    if topic in BACKLOG_TOPICS and payload.lstrip(b" \t\n\r").startswith(b"["):
        assert outcomes(batch) >= (payload.split() != [b"[]"] and payload.split() != [b"[", b"]"])
    else:
        assert outcomes(batch) == 1


odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(NOW - 10**6, NOW + 10**6),
    st.integers(2**53, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.just("x" * 201),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none(), max_size=2),
)
names = st.sampled_from(sorted({name for sound in SOUND.values() for name in sound} | {"qty", "lot", "code_b64", "acc_m", "vel", "duty", "ign"}))  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, topic: str) -> dict[str, object]:
    """A sound payload of the topic with up to four fields changed, added or dropped."""
    made = dict(SOUND[topic])
    for name in draw(st.lists(names, max_size=4)):
        if draw(st.booleans()):
            made.pop(name, None)
        else:
            made[name] = draw(odd)
    return made


@settings(max_examples=300)
@given(st.data(), st.sampled_from(TOPICS))
def test_a_changed_message_is_exactly_one_row_or_one_rejection(
    data: st.DataObject, topic: str
) -> None:
    made = data.draw(objects(topic))
    if made.get("_type") == "transition" or topic == PHONE:
        made["_type"] = "location"  # a transition without a position has a test of its own
    assert outcomes(read((topic, made))) == 1


@settings(max_examples=300)
@given(st.data(), st.sampled_from(TOPICS))
def test_a_message_with_bytes_changed_never_raises_and_is_never_gone(
    data: st.DataObject, topic: str
) -> None:
    payload = bytearray(json.dumps(data.draw(objects(topic))).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        if not payload:
            break
    batch = read((topic, bytes(payload)))
    if topic in BACKLOG_TOPICS and bytes(payload).lstrip().startswith(b"["):
        assert outcomes(batch) >= 1
    else:
        assert outcomes(batch) == 1


# --- Backlogs ----------------------------------------------------------------------------------


def verdicts(batch: Batch) -> Counter[object]:
    """What a batch says, without the order in which it says it."""
    fixes = zip(batch.fixes.van_id.tolist(), batch.fixes.t_ms.tolist(), batch.fixes.payload_hash.tolist(), strict=True)  # fmt: skip
    rejections = [("rejected", r.topic, r.reason, r.van_code, r.key) for r in batch.rejections]
    return Counter([*fixes, *(("scan", s) for s in batch.scans), *rejections])


@settings(max_examples=200)
@given(st.data(), st.sampled_from(BACKLOG_TOPICS))
def test_an_array_says_what_its_elements_say_alone(data: st.DataObject, topic: str) -> None:
    elements = data.draw(st.lists(objects(topic) | odd, max_size=6))
    # An array in an array is no backlog; alone it would be one.
    elements = [{} if isinstance(element, list) else element for element in elements]
    together = read((topic, elements))
    apart = read(*((topic, element) for element in elements))
    assert verdicts(together) == verdicts(apart)
    each = [outcomes(read((topic, element))) for element in elements]
    assert each == [1] * len(elements)
    assert len(together.scans) + len(together.rejections) <= len(elements)


def test_an_empty_array_says_nothing() -> None:
    for topic in BACKLOG_TOPICS:
        assert outcomes(read((topic, []))) == 0


@pytest.mark.parametrize("bad", [{}, None, 5, "x", [], [[]], FIX | {"lat": 91}, FIX | {"t": -1}])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_element_is_rejected_alone(bad: object, at: int) -> None:
    sound: list[object] = [FIX, FIX | {"t": NOW + 1}]
    sound.insert(at, bad)
    batch = read((POSITION, sound))
    assert batch.fixes.t_ms.tolist() == [NOW, NOW + 1]
    (rejection,) = batch.rejections
    assert (rejection.reason, json.loads(rejection.payload)) == ("bad_payload", bad)


def test_an_element_whose_bytes_are_no_utf8_is_rejected_alone() -> None:
    element = json.dumps(ISSUE).encode()
    broken = element.replace(b"FUSE", b"\xff\xfe")
    batch = read((SCAN, b"[" + broken + b"," + element + b"]"))
    assert [r.payload for r in batch.rejections] == [broken]
    assert len(batch.scans) == 1


def test_a_bad_scan_in_a_backlog_keeps_its_key() -> None:
    batch = read((SCAN, [ISSUE, ISSUE | {"seq": 2, "intent": "steal"}, {"seq": 3}]))
    assert [r.key for r in batch.rejections] == [ScanKey("van-001", "e", 2), None]


def fixes_of(count: int) -> list[object]:
    return [FIX | {"t": NOW - at} for at in range(count)]


def test_a_backlog_of_1000_is_read_and_one_of_1001_is_one_rejection() -> None:
    assert len(read((POSITION, fixes_of(BACKLOG_MAX))).fixes) == BACKLOG_MAX
    batch = read((POSITION, fixes_of(BACKLOG_MAX + 1)))
    assert [r.reason for r in batch.rejections] == ["backlog_too_long"]
    assert outcomes(batch) == 1


def test_a_backlog_of_1001_with_a_bad_element_loses_none_of_them() -> None:
    elements = fixes_of(BACKLOG_MAX + 1)
    elements[3] = {"t": 1}
    batch = read((POSITION, elements))
    reasons = Counter(r.reason for r in batch.rejections)
    assert outcomes(batch) in {1, BACKLOG_MAX + 1}
    assert reasons["backlog_too_long"] == 1


def test_one_payload_never_makes_more_rejections_than_a_backlog_has_elements() -> None:
    payload = b"[" + b",".join(b"%d" % n for n in range(20_000)) + b"]"
    assert len(read((POSITION, payload)).rejections) <= BACKLOG_MAX


@pytest.mark.parametrize("topic", [STATUS, PHONE])
def test_an_array_where_the_contract_has_none_is_one_rejection(topic: str) -> None:
    batch = read((topic, [SOUND[topic], SOUND[topic]]))
    assert [r.reason for r in batch.rejections] == ["bad_payload"]
    assert outcomes(batch) == 1


def test_one_bad_message_leaves_its_neighbours_as_they_are() -> None:
    bad = [(topic, payload) for topic in TOPICS for payload in HOSTILE.values()]
    good = [(topic, SOUND[topic]) for topic in TOPICS[:3]]
    batch = read(*bad[:60], good[0], *bad[60:90], good[1], good[2], *bad[90:])
    alone = read(*good)
    assert len(batch.rejections) == len(bad)
    assert batch.messages == len(bad) + len(good)
    assert verdicts(alone).items() <= verdicts(batch).items()
    assert batch.statuses == alone.statuses


# --- Two fixes with one key --------------------------------------------------------------------


def stored(*fixes: dict[str, object]) -> tuple[float, ...]:
    columns = read(*((POSITION, fix) for fix in fixes)).fixes
    assert len(columns) == 1
    return tuple(
        None if np.isnan(value := getattr(columns, name)[0]) else value.item()
        for name in type(columns).__slots__
    )


def test_the_better_accuracy_wins_whatever_comes_first() -> None:
    good, poor, unknown = FIX | {"acc_m": 5}, FIX | {"acc_m": 5.01, "lat": 1}, FIX | {"lat": 2}
    for order in permutations([good, poor, unknown]):
        assert stored(*order) == stored(good)
    for order in permutations([poor, unknown]):
        assert stored(*order) == stored(poor)


def test_of_equal_accuracy_the_greater_hash_wins_whatever_comes_first() -> None:
    fixes = [FIX | {"acc_m": 5, "lat": lat} for lat in (1, 2, 3, 4)]
    hashes = [read((POSITION, fix)).fixes.payload_hash[0] for fix in fixes]
    best = fixes[int(np.argmax(hashes))]
    for order in permutations(fixes):
        assert stored(*order) == stored(best)


some_fix = st.fixed_dictionaries(
    {"lat": st.floats(-90, 90), "lon": st.sampled_from([0, -0.0, 11.5]), "t": st.just(NOW)},
    optional={
        "acc_m": st.sampled_from([0, 5, 5.0000001, 1e9]),
        "ignition": st.booleans(),
        "odometer_m": st.floats(0, 1e9),
        "speed_mps": st.floats(0, 1e9),
    },
)


@given(st.lists(some_fix, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_fix_that_stands_depends_on_the_set_alone(fixes: list[dict[str, object]], rng) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    again = fixes + fixes[:3]
    rng.shuffle(again)
    assert stored(*fixes) == stored(*again)
    # In two batches: the best of the bests is the best.
    cut = rng.randrange(len(again) + 1)
    bests = [min(part, key=rank) for part in (again[:cut], again[cut:]) if part]
    assert stored(*bests) == stored(*fixes)


def rank(fix: dict[str, object]) -> tuple[float, int]:
    columns = read((POSITION, fix)).fixes
    return float(np.nan_to_num(columns.horizontal_accuracy_m[0], nan=np.inf)), -int(
        columns.payload_hash[0]
    )


@given(st.lists(some_fix, min_size=1, max_size=8))
def test_a_fix_has_the_same_hash_alone_and_in_an_array(fixes: list[dict[str, object]]) -> None:
    told = [fix | {"t": NOW + at} for at, fix in enumerate(fixes)]
    together = read((POSITION, told)).fixes.payload_hash.tolist()
    alone = [read((POSITION, fix)).fixes.payload_hash[0] for fix in told]
    assert together == alone


def test_the_hash_is_of_the_values_not_of_their_spelling() -> None:
    spellings = [
        b'{"t":1790000000000,"lat":1,"lon":0}',
        b'{"lon":-0.0,"t":1790000000000,"lat":1.0,"note":"x"}',
        b' {"t":1790000000000,"lat":10e-1,"lon":0,"acc_m":null} ',
    ]
    assert len({read((POSITION, said)).fixes.payload_hash[0] for said in spellings}) == 1
    assert len(read(*((POSITION, said) for said in spellings)).fixes) == 1


def test_a_scan_has_the_same_hash_however_it_is_spelled_and_another_if_it_differs() -> None:
    (one,) = read((SCAN, ISSUE)).scans
    for same in (dict(reversed(ISSUE.items())), ISSUE | {"qty": None}, ISSUE | {"app": "2"}):
        assert read((SCAN, same)).scans == [one]
        assert read((SCAN, [same])).scans == [one]
    for name, value in {
        "qty": 1,
        "lot": "L",
        "t": NOW - 1,
        "intent": "scrap",
        "user": "jo",
    }.items():
        (other,) = read((SCAN, ISSUE | {name: value})).scans
        assert other.key == one.key
        assert other.payload_hash != one.payload_hash


def test_no_message_at_all_is_an_empty_batch() -> None:
    batch = decode([], VANS, NOW)
    assert (batch.messages, outcomes(batch), batch.van_ids()) == (0, 0, [])


def test_a_batch_knows_the_vans_it_speaks_of() -> None:
    batch = read((POSITION, FIX), ("fleet/v1/van-002/scan", ISSUE), (STATUS, ONLINE))
    assert batch.van_ids() == [1, 2]
