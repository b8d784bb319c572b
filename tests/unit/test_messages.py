"""The wire contract: every topic, every limit, and nothing that JSON cannot say."""

import json
import math

import msgspec
import pytest

from ingest import messages
from ingest.messages import (
    CONTRACT,
    SUBSCRIPTIONS,
    Alert,
    AlertEvent,
    InboxMessage,
    OrderEvent,
    OrderLine,
    OrderReport,
    OwnTracks,
    OwnTracksLocation,
    OwnTracksLwt,
    OwnTracksTransition,
    Position,
    Receipt,
    ReportLine,
    ResupplyOrder,
    Scan,
    SignedVisit,
    Status,
    VanMessage,
    VisitReport,
    VisitReportEvent,
    encode,
)

T = 1_790_000_000_000
TIME = "2026-09-21T14:13:20.000+00:00"

EXAMPLES: list[msgspec.Struct] = [
    Position(
        T, 48.1, 11.5, 4.0, 13.9, 359.9, ignition=True, odometer_m=120_000.5, battery_pct=88.0
    ),
    Position(T, -90, 180),
    Scan("e", 1, T, "count", "FUSE", None, "]C0", 0, "WO-1", "van-002", "L1", "jo"),
    Scan("e", 2**62, T, "issue", code_b64=b"\x1d\xff\x00"),
    VisitReport("e", 2, T, "S-1", "done", 7, "WO-1", "jo", "Ms X", "owner", "M0 0L9 9"),
    VisitReport("e", 3, T, "S-1", signer="Ms X", signature_png=b"\x89PNG"),
    VisitReport("e", 4, T, "S-1", absent=True),
    Status("online", T, "on"),
    Status("offline", T),
    Receipt("e", 7),
    InboxMessage("id", T, "order_news", "Tomorrow", "R-1", ["P-1"]),
    InboxMessage("id", T, "message", "Ring at the back.", sender="Céline", in_reply_to="m"),
    VanMessage("e", 5, T, "It rings.", "id", ["id", "id2"], ["id"], "jo"),
    VanMessage("e", 6, T, read=["id2"]),
    OrderEvent(
        "R-1",
        "urn:x",
        "cordee.order.sent.v1",
        TIME,
        "R-1",
        ResupplyOrder("R-1", "WH", "van-001", "home", T, T, [OrderLine("P-1", "Fuse", 3, "low")]),
    ),
    OrderReport(
        "WH-1", T, "R-1", "short", [ReportLine("P-1", 2, "L", "none left", backorder=False)]
    ),
    OrderReport("WH-2", T, "R-1", "shipped", [ReportLine("P-1", 1)], "004000000000000176", "c"),
    AlertEvent(
        "late-1",
        "urn:x",
        "cordee.alert.raised.v1",
        TIME,
        "van-001",
        Alert("van-001", "late", "raised", T, "not there", "S", "T", 1, T, 5, "detour", [2, 3]),
    ),
    AlertEvent(
        "silent-1",
        "urn:x",
        "cordee.alert.back.v1",
        TIME,
        "van-001",
        Alert("van-001", "silent", "back", T, "back after 20 min"),
    ),
    VisitReportEvent(
        "reported-1",
        "urn:x",
        "cordee.visit.reported.v1",
        TIME,
        "van-001",
        SignedVisit("1", "van-001", "S-1", T, absent=False, signer="Ms X"),
    ),
    OwnTracksLocation(48.1, 11.5, T / 1_000, 5, 36, 90, 50, 1, 12.5),
    OwnTracksTransition(T / 1_000, "enter", 5, 48.1, 11.5),
    OwnTracksLwt(T / 1_000),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_survives_its_own_encoding(message: msgspec.Struct) -> None:
    assert msgspec.json.decode(encode(message), type=type(message)) == message


def test_every_payload_of_the_contract_is_among_these_examples() -> None:
    promised = {payload for topic in CONTRACT for payload in topic.payloads}
    assert promised == {type(message) for message in EXAMPLES}


def matches(subscription: str, template: str) -> bool:
    levels, wanted = template.split("/"), subscription.split("/")
    return len(levels) == len(wanted) and all(
        pattern in {"+", level} for pattern, level in zip(wanted, levels, strict=True)
    )


@pytest.mark.parametrize("topic", CONTRACT, ids=lambda topic: topic.template)
def test_ingest_hears_what_vans_tablets_and_apps_send_once_and_nothing_of_the_base(
    topic: messages.Topic,
) -> None:
    heard = [pattern for pattern in SUBSCRIPTIONS if matches(pattern, topic.template)]
    assert len(heard) == (0 if topic.sender == "base" else 1)


def test_every_subscription_is_for_a_topic_of_the_contract() -> None:
    for pattern in SUBSCRIPTIONS:
        assert any(matches(pattern, topic.template) for topic in CONTRACT)


POSITION = {"t": T, "lat": 48.1, "lon": 11.5}
SCAN = {"epoch": "e", "seq": 1, "t": T, "intent": "issue", "code": "FUSE"}
STATUS = {"state": "online", "t": T}
MESSAGE = {"epoch": "e", "seq": 1, "t": T}
REPORT = {"epoch": "e", "seq": 1, "t": T, "site": "S-1"}


@pytest.mark.parametrize(
    ("payload", "of"),
    [
        (POSITION, Position),
        (SCAN, Scan),
        (STATUS, Status),
        (REPORT, VisitReport),
        (MESSAGE, VanMessage),
    ],
    ids=["position", "scan", "status", "report", "message"],
)
def test_unknown_fields_are_ignored_and_missing_ones_are_not(
    payload: dict[str, object], of: type[msgspec.Struct]
) -> None:
    plain = msgspec.json.decode(json.dumps(payload), type=of)
    more = {**payload, "sent_by": "app 2.0", "x": {"y": [1, None]}}
    assert msgspec.json.decode(json.dumps(more), type=of) == plain
    for name in payload.keys() - {"code"}:
        less = {key: value for key, value in payload.items() if key != name}
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps(less), type=of)


@pytest.mark.parametrize(
    ("of", "payload", "field", "good", "bad"),
    [
        (Position, POSITION, "t", [946_684_800_000, 4_102_444_800_000], [946_684_799_999, 4_102_444_800_001, 1.5, "1", True, None, 2**63, -(2**63), 10**30]),
        (Position, POSITION, "lat", [-90, 90, 0, -0.0], [90.0001, -91, "48", None, True, 10**400]),
        (Position, POSITION, "lon", [-180, 180.0], [180.1, -1e9, [], {}]),
        (Position, POSITION, "acc_m", [0, 1e9, None], [-1, 1.1e9, "5"]),
        (Position, POSITION, "bearing_deg", [0, 360, None], [-0.1, 360.1]),
        (Position, POSITION, "battery_pct", [0, 100, None], [101]),
        (Position, POSITION, "ignition", [True, False, None], [0, 1, "on"]),
        (Scan, SCAN, "seq", [1, 2**62], [0, -1, 2**62 + 1, 2**63, 10**30, 1.5]),
        (Scan, SCAN, "epoch", ["x", "x" * 64], ["", "x" * 65, 1, None]),
        (Scan, SCAN, "intent", ["issue", "load", "receive", "return", "transfer", "count", "scrap"], ["steal", "Issue", "", None]),
        (Scan, SCAN, "qty", [0, 1_000_000, None], [-1, 1_000_001, 0.5, "3"]),
        (Scan, SCAN, "code", ["", "x" * 200, None], ["x" * 201, 5]),
        (Scan, SCAN, "code_b64", ["", "HUFC", None], ["***", "QQ", 5, "QUFB" * 100]),
        (VisitReport, REPORT, "signature_svg", ["M0 0", "m1.5e3,2 -4L1 2\nZ", None], ["", "L0 0", "M0 0<", 'M0 0"/>', "M0 0;", "M" + "0" * 20_000]),
        (VisitReport, REPORT, "signature_png", ["", None], ["***", "QUFB" * 10_000]),
        (VisitReport, REPORT, "signer", ["x", None], ["", "x" * 201, "\0"]),
        (VisitReport, REPORT, "work", ["", "x" * 4_000], ["x" * 4_001, None, "a\0"]),
        (VisitReport, REPORT, "stop", [1, 2**31 - 1, None], [0, 2**31, "1"]),
        (VanMessage, MESSAGE, "text", ["x", "x" * 2_000, None], ["", "x" * 2_001, "\0"]),
        (VanMessage, MESSAGE, "read", [[], ["a"] * 500], [["a"] * 501, [""], ["\0"], None, "a"]),
        (Status, STATUS, "state", ["online", "offline"], ["away", None]),
        (Status, STATUS, "duty", ["on", "off", None], ["maybe"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_field_holds_what_the_contract_says(
    of: type[msgspec.Struct],
    payload: dict[str, object],
    field: str,
    good: list[object],
    bad: list[object],
) -> None:
    for value in good:
        made = msgspec.json.decode(json.dumps({**payload, field: value}), type=of)
        assert getattr(made, field) == value or isinstance(getattr(made, field), bytes)
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(json.dumps({**payload, field: value}), type=of)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "01", "+1"])
def test_a_number_is_a_json_number_that_is_finite(number: str) -> None:
    payload = f'{{"t":{T},"lat":{number},"lon":1}}'
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(payload, type=Position)


def test_no_number_that_json_lacks_is_ever_sent() -> None:
    payload = encode(Position(T, 1.0, 2.0, acc_m=math.nan))
    assert b"NaN" not in payload


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"_type": "location", "lat": 1, "lon": 2, "tst": T // 1000}, OwnTracksLocation),
        ({"_type": "transition", "tst": T // 1000, "event": "leave"}, OwnTracksTransition),
        ({"_type": "lwt", "tst": T // 1000 + 0.5}, OwnTracksLwt),
    ],
    ids=["location", "transition", "lwt"],
)
def test_an_owntracks_message_is_known_by_its_type(
    payload: dict[str, object], expected: type[msgspec.Struct]
) -> None:
    assert isinstance(msgspec.json.decode(json.dumps(payload), type=OwnTracks), expected)


@pytest.mark.parametrize("kind", ["waypoint", "card", "cmd", "encrypted", "", None, 5])
def test_other_owntracks_messages_are_not_for_us(kind: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps({"_type": kind, "tst": T // 1000}), type=OwnTracks)


def test_defaults_that_say_nothing_are_left_out_where_the_contract_says_so() -> None:
    assert json.loads(encode(InboxMessage("id", T, "message", "hi"))).keys() == {
        "id",
        "t",
        "kind",
        "text",
    }
