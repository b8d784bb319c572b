"""From raw deliveries to columns, events and rejections: decoding, and nothing else.

Whatever arrives becomes exactly one of three things: rows to apply, a repeat inside the batch, or a
rejection that keeps the raw bytes and says why. Nothing raises. In a backlog array one bad element
is rejected alone; its neighbours are used.

Of fixes with one key (van, t) in a batch only the best is kept, by the rule that the table applies
too: better accuracy, then the greater hash of its values.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from typing import Final, Generic, Literal, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from geofence.fixes import FixColumns
from ingest.messages import (
    BACKLOG_MAX,
    OwnTracks,
    OwnTracksLocation,
    OwnTracksLwt,
    Position,
    Scan,
    ScanKey,
    Status,
)
from stock_tracker import ledger

Reason = Literal[
    "unknown_topic",
    "unknown_van",
    "bad_payload",
    "backlog_too_long",
    "future",
    "unsupported_type",
    "refused_by_database",
]

FUTURE_MS: Final = 120_000
KMH_PER_MPS: Final = 3.6


@dataclass(frozen=True, slots=True)
class Delivery:
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
class Rejection:
    """What could not be used: raw bytes, reason, and the scan's key where it could be read."""

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

    def van_ids(self) -> list[int]:
        """Return the vans that it speaks of, ascending."""
        vans = set(np.unique(self.fixes.van_id).tolist())
        vans.update(scan.van_id for scan in self.scans)
        vans.update(status.van_id for status in self.statuses)
        return sorted(vans)


_scan_key = msgspec.json.Decoder(ScanKey)
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])

Message = TypeVar("Message")

#: What msgspec raises for bytes that are not what they should be.
UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

#: A van's fix while a batch is being read: the columns of FixColumns but for the hash.
Row = tuple[int, int, float, float, float, float, float, int, float, float]


@dataclass(slots=True)
class _Reader:
    """What has been read of a batch so far."""

    vans: Mapping[str, Van]
    now: int
    rows: list[Row] = field(default_factory=list)
    scans: list[ledger.ScanEvent] = field(default_factory=list)
    statuses: list[StatusEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def decode(deliveries: Sequence[Delivery], vans: Mapping[str, Van], now: int) -> Batch:
    """Return what deliveries say.

    Args:
        deliveries: In any order.
        vans: Every van by its code.
        now: The present, ms since 1970 UTC: what claims to be later by 2 minutes is rejected.
    """
    reader = _Reader(vans, now)
    for delivery in deliveries:
        _read(reader, delivery)
    return Batch(
        len(deliveries), columns(reader.rows), reader.scans, reader.statuses, reader.rejections
    )


def _read(reader: _Reader, delivery: Delivery) -> None:
    """Read one delivery into the reader."""
    kind: Kind[Position] | Kind[Scan] | Kind[Status] | Kind[OwnTracks]
    match delivery.topic.split("/"):
        case ["fleet", "v1", code, "position"]:
            kind = POSITION
        case ["fleet", "v1", code, "scan"]:
            kind = SCAN
        case ["fleet", "v1", code, "status"]:
            kind = STATUS
        case ["owntracks", code, _]:
            kind = OWN_TRACKS
        case _:
            reader.rejections.append(_rejection(delivery, "unknown_topic", "not in the contract"))
            return
    van = reader.vans.get(code)
    if van is None:
        detail = f"no van has the code {code[:80]!r}: import it, then replay this message"
        reader.rejections.append(_rejection(delivery, "unknown_van", detail, code))
        return
    if kind.is_backlog(delivery.payload):
        kind.read_backlog(reader, delivery, van)
    else:
        kind.read_one(reader, delivery, van)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Message]):
    """How one kind of topic is decoded, and what is made of its messages."""

    one: msgspec.json.Decoder[Message]
    many: msgspec.json.Decoder[list[Message]] | None
    read: Callable[[_Reader, Delivery, Van, Message], None]

    def is_backlog(self, payload: bytes) -> bool:
        """Whether a payload is an array where the contract allows one."""
        return self.many is not None and payload[:64].lstrip().startswith(b"[")

    def read_one(self, reader: _Reader, delivery: Delivery, van: Van) -> None:
        """Read a payload that is one object."""
        try:
            message = self.one.decode(delivery.payload)
        except UNDECODABLE as error:
            key = _key_of(delivery, van)
            reader.rejections.append(_rejection(delivery, "bad_payload", str(error), van.code, key))
            return
        self.read(reader, delivery, van, message)

    def read_backlog(self, reader: _Reader, delivery: Delivery, van: Van) -> None:
        """Read a payload that is an array: at once if all is sound, else element by element."""
        try:
            messages = self.many.decode(delivery.payload) if self.many else []
        except UNDECODABLE:
            self._read_elements(reader, delivery, van)
            return
        if len(messages) > BACKLOG_MAX:
            detail = f"{len(messages)} elements; send at most {BACKLOG_MAX} in one message"
            reader.rejections.append(_rejection(delivery, "backlog_too_long", detail, van.code))
            return
        for message in messages:
            self.read(reader, delivery, van, message)

    def _read_elements(self, reader: _Reader, delivery: Delivery, van: Van) -> None:
        try:
            elements = _raw_list.decode(delivery.payload)
        except UNDECODABLE as error:
            reader.rejections.append(_rejection(delivery, "bad_payload", str(error), van.code))
            return
        for element in elements[:BACKLOG_MAX]:
            self.read_one(reader, Delivery(delivery.topic, bytes(element)), van)
        for element in elements[BACKLOG_MAX:]:
            beyond = Delivery(delivery.topic, bytes(element))
            detail = f"beyond the first {BACKLOG_MAX} elements of one message"
            reader.rejections.append(_rejection(beyond, "backlog_too_long", detail, van.code))


def _read_position(reader: _Reader, delivery: Delivery, van: Van, p: Position) -> None:
    if p.t > reader.now + FUTURE_MS:
        reader.rejections.append(_future(delivery, van, p.t, reader.now, msgspec.json.encode(p)))
        return
    reader.rows.append(
        (
            van.van_id, p.t, p.lat, p.lon, _real(p.acc_m), _real(p.speed_mps),
            _real(p.bearing_deg), -1 if p.ignition is None else int(p.ignition),
            _real(p.odometer_m), _real(p.battery_pct),
        )
    )  # fmt: skip


def _read_scan(reader: _Reader, delivery: Delivery, van: Van, scan: Scan) -> None:
    raw = msgspec.json.encode(scan)
    key = ledger.ScanKey(van.code, scan.epoch, scan.seq)
    if scan.t > reader.now + FUTURE_MS:
        reader.rejections.append(_future(delivery, van, scan.t, reader.now, raw, key))
        return
    if (scan.code is None) == (scan.code_b64 is None):
        detail = "give either `code` or `code_b64`"
        reader.rejections.append(
            Rejection(delivery.topic, raw, "bad_payload", detail, van.code, key)
        )
        return
    code = scan.code.encode() if scan.code is not None else scan.code_b64
    counterpart = reader.vans.get(scan.counterpart or "")
    reader.scans.append(
        ledger.ScanEvent(
            key=key,
            payload_hash=int.from_bytes(blake2b(raw, digest_size=8).digest(), signed=True),
            van_id=van.van_id,
            t=scan.t,
            intent=scan.intent,
            code=code or b"",
            qty=scan.qty,
            lot=scan.lot or "",
            counterpart=counterpart.code if counterpart else None,
            work_order=scan.work_order,
            raw=raw,
        )
    )


def _read_status(reader: _Reader, delivery: Delivery, van: Van, status: Status) -> None:
    if status.t > reader.now + FUTURE_MS:
        reader.rejections.append(_future(delivery, van, status.t, reader.now, delivery.payload))
        return
    reader.statuses.append(StatusEvent(van.van_id, status.t, status.state, status.duty))


def _read_own_tracks(reader: _Reader, delivery: Delivery, van: Van, message: OwnTracks) -> None:
    """Read an OwnTracks message as the fix or the status that it is."""
    t = round(message.tst * 1_000)
    if isinstance(message, OwnTracksLwt):
        _read_status(reader, delivery, van, Status("offline", t))
    elif isinstance(message, OwnTracksLocation):
        _read_position(reader, delivery, van, _position_of(message, t))
    elif message.lat is not None and message.lon is not None:
        _read_position(reader, delivery, van, Position(t, message.lat, message.lon, message.acc))


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


def _real(value: float | None) -> float:
    return np.nan if value is None else value


def _key_of(delivery: Delivery, van: Van) -> ledger.ScanKey | None:
    """Return the key of a scan that is otherwise unusable, if it can be read."""
    if not delivery.topic.endswith("/scan"):
        return None
    try:
        key = _scan_key.decode(delivery.payload)
    except UNDECODABLE:
        return None
    return ledger.ScanKey(van.code, key.epoch, key.seq)


def _rejection(
    delivery: Delivery,
    reason: Reason,
    detail: str,
    van_code: str | None = None,
    key: ledger.ScanKey | None = None,
) -> Rejection:
    return Rejection(delivery.topic, delivery.payload, reason, detail, van_code, key)


def _future(
    delivery: Delivery,
    van: Van,
    t: int,
    now: int,
    payload: bytes,
    key: ledger.ScanKey | None = None,
) -> Rejection:
    detail = f"its time is {(t - now) / 1_000:.0f} s ahead of the clock: set the device's time"
    return Rejection(delivery.topic, payload, "future", detail, van.code, key)


def columns(rows: Iterable[Row]) -> FixColumns:
    """Return fixes as columns in the order (van, t), of each key only the best."""
    table = np.array(list(rows), dtype=np.float64).reshape(-1, 10)
    made = FixColumns(
        van_id=table[:, 0].astype(np.int32),
        t_ms=table[:, 1].astype(np.int64),  # exact: ms of this century stay below 2^53
        latitude_deg=table[:, 2],
        longitude_deg=table[:, 3],
        horizontal_accuracy_m=table[:, 4].astype(np.float32),
        speed_mps=table[:, 5].astype(np.float32),
        bearing_deg=table[:, 6].astype(np.float32),
        ignition=table[:, 7].astype(np.int16),
        odometer_m=table[:, 8],
        battery_pct=table[:, 9].astype(np.float32),
        payload_hash=_hash(table[:, 2:]),
    )
    accuracy = np.nan_to_num(made.horizontal_accuracy_m, nan=np.inf)
    order = np.lexsort((~made.payload_hash, accuracy, made.t_ms, made.van_id))
    van, t = made.van_id[order], made.t_ms[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (van[1:] != van[:-1]) | (t[1:] != t[:-1])
    kept = order[first]
    take = partial(np.take, indices=kept)
    return FixColumns(*(take(getattr(made, name)) for name in FixColumns.__slots__))


def _hash(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return a 64-bit hash of each row of (n, k) reals: equal values, equal hash, on any machine.

    The mixing step is that of SplitMix64 (Steele, Lea, Flood, 2014).
    """
    normal = np.where(np.isnan(values), np.nan, values + 0.0)  # one NaN, and no minus zero
    bits = np.ascontiguousarray(normal).view(np.uint64)
    mixed = np.zeros(len(values), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for column in bits.T:
            mixed += column + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
    return mixed.view(np.int64)


POSITION: Final = Kind(
    msgspec.json.Decoder(Position), msgspec.json.Decoder(list[Position]), _read_position
)
SCAN: Final = Kind(msgspec.json.Decoder(Scan), msgspec.json.Decoder(list[Scan]), _read_scan)
STATUS: Final = Kind(msgspec.json.Decoder(Status), None, _read_status)
OWN_TRACKS: Final[Kind[OwnTracks]] = Kind(msgspec.json.Decoder(OwnTracks), None, _read_own_tracks)
