"""From raw deliveries to columns, events and rejections: decoding, and nothing else.

Whatever arrives becomes exactly one of three things: rows to apply, a repeat inside the batch, or a
rejection that keeps the raw bytes and says why. Nothing raises. In a backlog array one bad element
is rejected alone; its neighbours are used.

Of fixes with one key (van, t) in a batch only the best is kept, by the rule that the table applies
too: better accuracy, then the greater hash of its values.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Final, Generic, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.fixes import IGNITION_UNKNOWN, FixColumns
from ingest import signatures
from ingest.messages import (
    BACKLOG_MAX,
    OrderReport,
    OwnTracks,
    OwnTracksLocation,
    OwnTracksLwt,
    OwnTracksTransition,
    Position,
    Scan,
    ScanKey,
    Status,
    VanMessage,
    VisitReport,
)
from stock_tracker import barcodes, ledger

Reason = Literal[
    "unknown_topic",
    "unknown_van",
    "bad_payload",
    "backlog_too_long",
    "future",
    "ancient",
    "unsupported_type",
    "refused_by_database",
    "unknown_order",
    "unknown_item",
    "over_quota",
]

FUTURE_MS: Final = 120_000
#: Tracks are kept for two months; what claims to be older comes from a clock that is wrong.
ANCIENT_MS: Final = 62 * 86_400_000
KMH_PER_MPS: Final = 3.6


class Delivery(msgspec.Struct, frozen=True):
    """A message as the broker handed it over.

    Attributes:
        topic: As published.
        payload: Raw bytes.
        arrived_ms: Real time of arrival here, ms since 1970 UTC.
        ticket: The connection it came by, and its packet id there.
    """

    topic: str
    payload: bytes
    arrived_ms: int = 0
    ticket: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Van:
    """What ingest must know of a van, by its code in topic names."""

    van_id: int
    organisation_id: int
    code: str
    places: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """A van's status. `t` is ms since 1970 UTC."""

    van_id: int
    t: int
    state: Literal["online", "offline"]
    duty: Literal["on", "off"] | None


@dataclass(frozen=True, slots=True)
class ReportEvent:
    """What a warehouse says of an order, by the codes that it knows."""

    warehouse: str
    said: OrderReport
    payload_hash: int
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class VisitReportEvent:
    """What a tablet says of a visit."""

    key: ledger.ScanKey
    van_id: int
    said: VisitReport
    payload_hash: int


@dataclass(frozen=True, slots=True)
class VanMessageEvent:
    """What a technician writes, or which messages a tablet has got."""

    key: ledger.ScanKey
    van_id: int
    said: VanMessage
    payload_hash: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """What could not be used: raw bytes, reason, and the tablet's key where it could be read."""

    topic: str
    payload: bytes
    reason: Reason
    detail: str
    van_code: str | None = None
    key: ledger.ScanKey | None = None


@dataclass(slots=True)
class Batch:
    """What a number of deliveries say, ready to be applied in one transaction."""

    messages: int
    fixes: FixColumns
    scans: list[ledger.ScanEvent] = field(default_factory=list)
    statuses: list[StatusEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    reports: list[ReportEvent] = field(default_factory=list)
    visit_reports: list[VisitReportEvent] = field(default_factory=list)
    van_messages: list[VanMessageEvent] = field(default_factory=list)
    tallies: Counter[str] = field(default_factory=Counter)

    def van_ids(self) -> list[int]:
        """Return the vans that it speaks of, ascending."""
        vans = set(np.unique(self.fixes.van_id).tolist())
        vans.update(scan.van_id for scan in self.scans)
        vans.update(status.van_id for status in self.statuses)
        vans.update(report.van_id for report in self.visit_reports)
        vans.update(message.van_id for message in self.van_messages)
        return sorted(vans)

    def tablet_keys(self) -> list[ledger.ScanKey]:
        """Return the keys of all that tablets said."""
        keys = [scan.key for scan in self.scans]
        keys += [report.key for report in self.visit_reports]
        keys += [message.key for message in self.van_messages]
        return keys


_order_report = msgspec.json.Decoder(OrderReport)
_scan_key = msgspec.json.Decoder(ScanKey)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])

#: How many topics are remembered; a fleet's are a few for each van.
TOPICS_MAX: Final = 16_384

Message = TypeVar("Message")
Objection = tuple[Reason, str]
"""Why a message cannot be used, as a reason and in words."""

#: What msgspec raises for bytes that are not what they should be.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


Block = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""Fixes as columns: van_id, t_ms, both of shape (n,), and `REALS`, of shape (8, n)."""

REALS: Final = (
    "lat", "lon", "acc_m", "speed_mps", "bearing_deg", "ignition", "odometer_m", "battery_pct",
)  # fmt: skip
IGNITION: Final = REALS.index("ignition")
NO_BLOCK: Final[Block] = (
    np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64), np.zeros((len(REALS), 0)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Present:
    """When a batch is read, and how old a position may be; ms since 1970 UTC."""

    now: int
    oldest: int


@dataclass(slots=True)
class _Reader:
    """What has been read of a batch so far."""

    vans: Mapping[str, Van]
    present: Present
    positions: list[Position] = field(default_factory=list)
    position_vans: list[int] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    scans: list[ledger.ScanEvent] = field(default_factory=list)
    statuses: list[StatusEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    reports: list[ReportEvent] = field(default_factory=list)
    visit_reports: list[VisitReportEvent] = field(default_factory=list)
    van_messages: list[VanMessageEvent] = field(default_factory=list)

    def gather(self) -> None:
        """Turn the positions so far into columns, while the processor still has them at hand."""
        if self.positions:
            self.blocks.append(_block(self.position_vans, self.positions))
            self.positions, self.position_vans = [], []

    def reject(self, delivery: Delivery, reason: Reason, detail: str, van_code: str | None) -> None:
        """Keep what cannot be used, as it came."""
        key = _key_of(delivery, van_code) if van_code and van_code in self.vans else None
        self.rejections.append(
            Rejection(delivery.topic, delivery.payload, reason, detail, van_code, key)
        )


def decode(
    deliveries: Sequence[Delivery], vans: Mapping[str, Van], now: int, kept_since: int = 0
) -> Batch:
    """Return what deliveries say.

    Args:
        deliveries: In any order.
        vans: Every van by its code.
        now: The present, ms since 1970 UTC: what claims to be later by 2 minutes is rejected.
        kept_since: Positions before that are deleted already; what claims to be older is rejected.
    """
    reader = _Reader(vans, Present(now, max(now - ANCIENT_MS, kept_since)))
    for delivery in deliveries:
        _read(reader, delivery)
    reader.gather()
    return Batch(
        len(deliveries),
        columns(reader.blocks),
        reader.scans,
        reader.statuses,
        reader.rejections,
        reader.reports,
        reader.visit_reports,
        reader.van_messages,
        Counter([_kind_name(delivery.topic) for delivery in deliveries]),
    )


@lru_cache(TOPICS_MAX)
def _kind_name(topic: str) -> str:
    """Return what a message is called where messages are counted."""
    if (kind := kind_of(topic)) is not None:
        return f"kind:{kind.name}"
    return "kind:other" if _warehouse_of(topic) is None else "kind:report"


def _read(reader: _Reader, delivery: Delivery) -> None:
    """Read one delivery into the reader."""
    if (warehouse := _warehouse_of(delivery.topic)) is not None:
        _read_report(reader, delivery, warehouse)
        return
    kind = kind_of(delivery.topic)
    if kind is None:
        reader.reject(delivery, "unknown_topic", "not in the contract", None)
        return
    code = kind.van_code(delivery.topic)
    van = reader.vans.get(code)
    if van is None:
        detail = f"no van has the code {code[:80]!r}: import it, then replay this message"
        reader.reject(delivery, "unknown_van", detail, code)
    elif kind.is_backlog(delivery.payload):
        kind.read_backlog(reader, delivery, van)
    else:
        kind.read_one(reader, delivery, van)


def _read_report(reader: _Reader, delivery: Delivery, warehouse: str) -> None:
    """Read a warehouse's report; whether its order and items exist is for the tables to say."""
    try:
        said = _order_report.decode(delivery.payload)
    except UNDECODABLE as error:
        reader.reject(delivery, "bad_payload", str(error), None)
        return
    if (objection := _object_to_report(said, reader.present)) is not None:
        reader.reject(delivery, *objection, None)
        return
    reader.reports.append(
        ReportEvent(warehouse, said, hash_of(msgspec.json.encode(said)), delivery)
    )


def _object_to_report(said: OrderReport, present: Present) -> Objection | None:
    if said.kind in {"picked", "short", "shipped"} and not said.lines:
        return "bad_payload", f"a report of what is {said.kind} needs `lines`"
    if said.sscc is not None and said.kind not in {"shipped", "delivered"}:
        return "bad_payload", "only what is shipped or delivered has an `sscc`"
    if said.sscc is None and said.kind == "delivered":
        return "bad_payload", "a report of what is delivered needs the `sscc` of its box"
    if said.sscc is not None and not barcodes.is_sscc(said.sscc):
        return "bad_payload", "the last digit of `sscc` is not its check digit: is it mistyped?"
    return _future(said.t, present)


@lru_cache(TOPICS_MAX)
def kind_of(topic: str) -> "AnyKind | None":
    """Return how messages of a topic are read; None for a topic that is not in the contract."""
    match topic.split("/"):
        case ["fleet", "v1", _, name]:
            return OF_FLEET.get(name)
        case ["owntracks", _, _]:
            return OWN_TRACKS
    return None


def positions_van(topic: str) -> str | None:
    """Return the code of the van whose positions a topic may hold; None for any other topic."""
    kind = kind_of(topic)
    return kind.van_code(topic) if kind is POSITION or kind is OWN_TRACKS else None


@lru_cache(TOPICS_MAX)
def _warehouse_of(topic: str) -> str | None:
    """Return the warehouse that reports on a topic; None for any other topic."""
    match topic.split("/"):
        case ["warehouse", "v1", "reports", warehouse]:
            return warehouse
    return None


def elements_of(delivery: Delivery) -> list[Delivery]:
    """Return a backlog's elements as deliveries of their own; any other delivery alone."""
    kind = kind_of(delivery.topic)
    if kind is None or not kind.is_backlog(delivery.payload):
        return [delivery]
    try:
        elements = _raw_list.decode(delivery.payload)
    except UNDECODABLE:
        return [delivery]
    return [Delivery(delivery.topic, bytes(element)) for element in elements]


def refusal(delivery: Delivery, detail: str) -> Rejection:
    """Return the rejection of a message that the database has refused."""
    kind = kind_of(delivery.topic)
    code = kind.van_code(delivery.topic) if kind else None
    key = _key_of(delivery, code) if code else None
    return Rejection(delivery.topic, delivery.payload, "refused_by_database", detail, code, key)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Message]):
    """How one kind of topic is read.

    Attributes:
        name: What its messages are called where they are counted.
        one: Decodes an object.
        many: Decodes an array of them; None where the contract has no backlogs.
        van_level: Which level of the topic names the van.
        objection: Why a message that decodes still cannot be used, given the present; or None.
        take: Puts a sound message into the reader.
    """

    name: str
    one: msgspec.json.Decoder[Message]
    many: msgspec.json.Decoder[list[Message]] | None
    van_level: int
    objection: Callable[[Message, Present], Objection | None]
    take: Callable[[_Reader, Van, Message], None]

    def van_code(self, topic: str) -> str:
        """Return the code of the van that a topic of this kind names."""
        return topic.split("/")[self.van_level]

    def is_backlog(self, payload: bytes) -> bool:
        """Whether a payload is an array where the contract allows one."""
        return self.many is not None and payload[:64].lstrip().startswith(b"[")

    def read_one(self, reader: _Reader, delivery: Delivery, van: Van) -> None:
        """Read a payload that is one object."""
        try:
            message = self.one.decode(delivery.payload)
        except UNDECODABLE as error:
            reader.reject(delivery, "bad_payload", str(error), van.code)
            return
        if (objection := self.objection(message, reader.present)) is not None:
            reader.reject(delivery, *objection, van.code)
        else:
            self.take(reader, van, message)

    def read_backlog(self, reader: _Reader, delivery: Delivery, van: Van) -> None:
        """Read a payload that is an array: at once if all of it is sound, else one by one."""
        messages = self._all_sound(delivery.payload, reader.present)
        if messages is not None:
            for message in messages:
                self.take(reader, van, message)
            reader.gather()
            return
        try:
            elements = _raw_list.decode(delivery.payload)
        except UNDECODABLE as error:
            reader.reject(delivery, "bad_payload", str(error), van.code)
            return
        if len(elements) > BACKLOG_MAX:
            detail = f"{len(elements)} elements; send at most {BACKLOG_MAX} in one message"
            reader.reject(delivery, "backlog_too_long", detail, van.code)
            return
        for element in elements:
            self.read_one(reader, Delivery(delivery.topic, bytes(element)), van)

    def _all_sound(self, payload: bytes, present: Present) -> list[Message] | None:
        """Return an array's messages, unless it is too long or one of them cannot be used."""
        try:
            messages = self.many.decode(payload) if self.many else []
        except UNDECODABLE:
            return None
        if len(messages) > BACKLOG_MAX:
            return None
        unsound = any(self.objection(message, present) is not None for message in messages)
        return None if unsound else messages


def _future(t: int, present: Present) -> Objection | None:
    if t <= present.now + FUTURE_MS:
        return None
    ahead_s = (t - present.now) / 1_000
    return "future", f"its time is {ahead_s:.0f} s ahead of the clock: set the device's time"


def _untimely(t: int, present: Present) -> Objection | None:
    """Object to a position from the future, and to one older than any that is kept."""
    if t >= present.oldest:
        return _future(t, present)
    day = datetime.fromtimestamp(t / 1_000, UTC).date()
    return "ancient", f"it is of {day}, and positions that old are not kept: is the date right?"


def _object_to_position(position: Position, present: Present) -> Objection | None:
    return _untimely(position.t, present)


def _take_position(reader: _Reader, van: Van, position: Position) -> None:
    reader.positions.append(position)
    reader.position_vans.append(van.van_id)


def _object_to_scan(scan: Scan, _present: Present) -> Objection | None:
    """Object to fields that do not go together; the time of a scan is no objection."""
    coded = (scan.code is not None) + (scan.code_b64 is not None)
    undone = scan.reverses
    objections = (
        (
            scan.intent == "count_all" and coded,
            "`count_all` is about the whole van, and has no code",
        ),
        (
            scan.intent == "count_all" and (scan.since is None or scan.since > scan.t),
            "`count_all` needs `since`, when the count began, not after `t`",
        ),
        (
            scan.intent == "reverse" and (coded or undone is None),
            "`reverse` names a scan in `reverses`, and has no code",
        ),
        (undone is not None and scan.intent != "reverse", "only `reverse` has `reverses`"),
        (undone == ScanKey(scan.epoch, scan.seq), "a scan cannot take itself back"),
        (
            scan.intent not in {"count_all", "reverse"} and coded != 1,
            "give either `code` or `code_b64`",
        ),
        (
            scan.shipment is not None and scan.intent != "receive",
            "only what is received comes in a `shipment`",
        ),
    )
    return next((("bad_payload", words) for wrong, words in objections if wrong), None)


def _take_scan(reader: _Reader, van: Van, scan: Scan) -> None:
    raw = msgspec.json.encode(scan)
    code = scan.code.encode() if scan.code is not None else scan.code_b64
    other = reader.vans.get(scan.counterpart or "")
    is_ours = other is not None and other.organisation_id == van.organisation_id
    reader.scans.append(
        ledger.ScanEvent(
            key=ledger.ScanKey(van.code, scan.epoch, scan.seq),
            payload_hash=hash_of(raw),
            van_id=van.van_id,
            t=scan.t,
            intent=scan.intent,
            code=code or b"",
            qty=scan.qty,
            lot=scan.lot or "",
            counterpart=scan.counterpart if is_ours else None,
            work_order=scan.work_order,
            raw=raw,
            aim_id=scan.aim_id,
            since=scan.since,
            box=scan.shipment,
            reverses=None if scan.reverses is None else (scan.reverses.epoch, scan.reverses.seq),
        )
    )


def hash_of(raw: bytes) -> int:
    """Return a 64-bit hash of a message's canonical bytes, as a bigint column holds it."""
    return int.from_bytes(blake2b(raw, digest_size=8).digest(), signed=True)


def _key_of(delivery: Delivery, van_code: str) -> ledger.ScanKey | None:
    """Return the key of what a tablet said and is otherwise unusable, if it can be read."""
    if kind_of(delivery.topic) not in KEYED:
        return None
    try:
        key = _scan_key.decode(delivery.payload)
    except UNDECODABLE:
        return None
    return ledger.ScanKey(van_code, key.epoch, key.seq)


def _object_to_visit_report(said: VisitReport, present: Present) -> Objection | None:
    signatures_given = (said.signature_svg is not None) + (said.signature_png is not None)
    if said.absent and (signatures_given or said.signer is not None):
        return "bad_payload", "nobody signs where the client is `absent`"
    if not said.absent and (signatures_given != 1 or said.signer is None):
        words = "give `signer` and either `signature_svg` or `signature_png`, or `absent`"
        return "bad_payload", words
    if said.signature_png is not None and (wrong := signatures.objection(said.signature_png)):
        return "bad_payload", wrong
    return _future(said.t, present)


def _take_visit_report(reader: _Reader, van: Van, said: VisitReport) -> None:
    key = ledger.ScanKey(van.code, said.epoch, said.seq)
    reader.visit_reports.append(
        VisitReportEvent(key, van.van_id, said, hash_of(msgspec.json.encode(said)))
    )


def _object_to_van_message(said: VanMessage, present: Present) -> Objection | None:
    if said.text is None and said.in_reply_to is not None:
        return "bad_payload", "a reply needs `text`"
    if said.text is None and not said.delivered and not said.read:
        return "bad_payload", "give `text`, or what was `delivered` or `read`"
    return _future(said.t, present)


def _take_van_message(reader: _Reader, van: Van, said: VanMessage) -> None:
    key = ledger.ScanKey(van.code, said.epoch, said.seq)
    reader.van_messages.append(
        VanMessageEvent(key, van.van_id, said, hash_of(msgspec.json.encode(said)))
    )


def _object_to_status(status: Status, present: Present) -> Objection | None:
    return _future(status.t, present)


def _take_status(reader: _Reader, van: Van, status: Status) -> None:
    reader.statuses.append(StatusEvent(van.van_id, status.t, status.state, status.duty))


def _object_to_own_tracks(message: OwnTracks, present: Present) -> Objection | None:
    if isinstance(message, OwnTracksTransition) and (message.lat is None or message.lon is None):
        return "unsupported_type", "a transition without a position tells nothing that is used"
    if isinstance(message, OwnTracksLwt):
        return _future(_own_tracks_t(message), present)
    return _untimely(_own_tracks_t(message), present)


def _take_own_tracks(reader: _Reader, van: Van, message: OwnTracks) -> None:
    """Take an OwnTracks message as the fix or the status that it is."""
    t = _own_tracks_t(message)
    if isinstance(message, OwnTracksLwt):
        _take_status(reader, van, Status("offline", t))
    elif isinstance(message, OwnTracksLocation):
        _take_position(reader, van, _position_of(message, t))
    elif message.lat is not None and message.lon is not None:
        _take_position(reader, van, Position(t, message.lat, message.lon, message.acc))


def _own_tracks_t(message: OwnTracks) -> int:
    return round(message.tst * 1_000)


def _position_of(location: OwnTracksLocation, t: int) -> Position:
    """Return an OwnTracks location in our units: m/s from km/h, m from km."""
    return Position(
        t=t,
        lat=location.lat,
        lon=location.lon,
        acc_m=location.acc,
        speed_mps=None if location.vel is None else location.vel / KMH_PER_MPS,
        bearing_deg=location.cog,
        ignition=None if location.ign is None else bool(location.ign),
        odometer_m=None if location.odometer is None else location.odometer * 1_000,
        battery_pct=location.batt,
    )


POSITION: Final = Kind(
    "position", msgspec.json.Decoder(Position), msgspec.json.Decoder(list[Position]), 2,
    _object_to_position, _take_position,
)  # fmt: skip
SCAN: Final = Kind(
    "scan", msgspec.json.Decoder(Scan), msgspec.json.Decoder(list[Scan]), 2,
    _object_to_scan, _take_scan,
)  # fmt: skip
VISIT_REPORT: Final = Kind(
    "visit_report", msgspec.json.Decoder(VisitReport), None, 2,
    _object_to_visit_report, _take_visit_report,
)  # fmt: skip
VAN_MESSAGE: Final = Kind(
    "message", msgspec.json.Decoder(VanMessage), msgspec.json.Decoder(list[VanMessage]), 2,
    _object_to_van_message, _take_van_message,
)  # fmt: skip
STATUS: Final = Kind(
    "status", msgspec.json.Decoder(Status), None, 2, _object_to_status, _take_status
)
OWN_TRACKS: Final[Kind[OwnTracks]] = Kind(
    "owntracks", msgspec.json.Decoder(OwnTracks), None, 1, _object_to_own_tracks, _take_own_tracks
)


AnyKind = (
    Kind[Position] | Kind[Scan] | Kind[VisitReport] | Kind[VanMessage] | Kind[Status]
    | Kind[OwnTracks]
)  # fmt: skip
#: By the last level of their topics.
OF_FLEET: Final[Mapping[str, AnyKind]] = {
    "position": POSITION,
    "scan": SCAN,
    "report": VISIT_REPORT,
    "message": VAN_MESSAGE,
    "status": STATUS,
}
#: Kinds whose messages have epoch and seq.
KEYED: Final = (SCAN, VISIT_REPORT, VAN_MESSAGE)


def _block(van_ids: Sequence[int], positions: Sequence[Position]) -> Block:
    """Return positions of vans as columns."""
    reals = [list(map(attrgetter(name), positions)) for name in REALS]
    return (
        np.array(van_ids, dtype=np.int32),
        np.array([position.t for position in positions], dtype=np.int64),
        np.array(reals, dtype=np.float64) + 0.0,  # what is missing is NaN, and zero has no sign
    )


def columns(blocks: Sequence[Block]) -> FixColumns:
    """Return fixes in the order (van, t), of each key only the best."""
    vans, times, reals = zip(*(NO_BLOCK, *blocks), strict=True)
    told = np.concatenate(reals, axis=1)
    told[IGNITION][np.isnan(told[IGNITION])] = IGNITION_UNKNOWN
    latitude, longitude, accuracy, speed, bearing, ignition, odometer, battery = told
    made = FixColumns(
        van_id=np.concatenate(vans),
        t_ms=np.concatenate(times),
        latitude_deg=latitude,
        longitude_deg=longitude,
        horizontal_accuracy_m=accuracy.astype(np.float32),
        speed_mps=speed.astype(np.float32),
        bearing_deg=bearing.astype(np.float32),
        ignition=ignition.astype(np.int16),
        odometer_m=odometer,
        battery_pct=battery.astype(np.float32),
        payload_hash=_hash(told),
    )
    return made if _in_order(made) else _best_in_order(made)


def _in_order(fixes: FixColumns) -> bool:
    """Whether rows are in the order (van, t), and no two have one key."""
    van, t_ms = fixes.van_id, fixes.t_ms
    later = (van[1:] == van[:-1]) & (t_ms[1:] > t_ms[:-1])
    return bool(np.all(later | (van[1:] > van[:-1])))


def _best_in_order(fixes: FixColumns) -> FixColumns:
    """Return the rows in the order (van, t), of each key only the best."""
    accuracy = np.nan_to_num(fixes.horizontal_accuracy_m, nan=np.inf)
    order = np.lexsort((~fixes.payload_hash, accuracy, fixes.t_ms, fixes.van_id))
    van, t_ms = fixes.van_id[order], fixes.t_ms[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (van[1:] != van[:-1]) | (t_ms[1:] != t_ms[:-1])
    return fixes.where(order[first])


def _hash(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return a 64-bit hash of each column of (k, n) reals: equal values, equal hash, on any machine.

    The mixing step is that of SplitMix64 (Steele, Lea, Flood, 2014).
    """
    mixed = np.zeros(columns.shape[1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        for values in columns:
            normal = np.where(np.isnan(values), np.nan, values)  # one NaN
            mixed += normal.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)
