"""What a tablet's events become on their way to the broker, and what may be said of each. Pure.

An event is a payload of the wire contract (docs/WIRE.md) and its kind. It is published on the topic of
its van and kind as the tablet could have published it by MQTT: what has a backlog in the contract as
arrays, the rest one by one. Whether an event can be used is not judged here. What cannot even be read
as JSON by everybody (`NaN`, half a surrogate pair, a depth of thousands) is published alone, so that
it spoils no array; what is too large for any event, or of an unknown kind, is the only thing refused.

Ingest keeps what it rejects under the message's identity, an element of an array under its own: so
from the bytes that were published follows where to look for what became of them.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from api.answers import RejectedEvent
from storage.message_id import message_id

EVENTS_MAX: Final = 500
#: Of one event as JSON; a report with a signature has about half of it.
EVENT_BYTES_MAX: Final = 64_000
#: Of one array: brokers refuse messages of more than some megabytes.
ARRAY_BYTES_MAX: Final = 1_000_000

#: Kinds of events, and whether their topic takes arrays.
KINDS: Final[Mapping[str, bool]] = {
    "scan": True,
    "position": True,
    "status": False,
    "report": False,
    "message": True,
}
#: Kinds that have epoch and seq, and so are known to be committed by their key.
KEYED: Final = frozenset({"scan", "report", "message"})

Key = tuple[str, int]
"""Epoch and seq."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: bytes

    @property
    def id(self) -> bytes:
        """What it is known by."""
        return message_id(self.topic, self.payload)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event that is published.

    Attributes:
        index: Its place in the batch.
        kind: Its kind.
        seq: Its number, if it has one.
        key: Epoch and seq, if its kind has them and they can be read.
        id: What it is known by when it is rejected.
        carrier: What the message is known by that it is published in.
    """

    index: int
    kind: str
    seq: int | None
    key: Key | None
    id: bytes
    carrier: bytes


@dataclass(slots=True)
class Packed:
    """A batch, ready to be published."""

    messages: list[Message] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    refused: list[RejectedEvent] = field(default_factory=list)

    def keys(self) -> dict[str, list[Key]]:
        """Return the keys of events, by kind."""
        found: dict[str, list[Key]] = defaultdict(list)
        for event in self.sent:
            if event.key is not None:
                found[event.kind].append(event.key)
        return found

    def epochs(self) -> set[str]:
        """Return the epochs of its events."""
        return {event.key[0] for event in self.sent if event.key is not None}


@dataclass(frozen=True, slots=True)
class Found:
    """What the tables say of events.

    Attributes:
        rejected: Reason and detail, by what an event is known by.
        stored: Keys that are stored, by kind.
        contested: Those of them that have two payloads.
        unusable: Keys of events that were rejected.
    """

    rejected: Mapping[bytes, tuple[str, str]]
    stored: Mapping[str, Collection[Key]]
    contested: Mapping[str, Collection[Key]]
    unusable: Collection[Key]


@dataclass(frozen=True, slots=True)
class _Event:
    index: int
    kind: str
    seq: int | None
    key: Key | None
    raw: bytes

    def sent_in(self, topic: str, carrier: bytes) -> Sent:
        own = message_id(topic, self.raw)
        return Sent(self.index, self.kind, self.seq, self.key, own, carrier)


def pack(van: str, events: Sequence[tuple[str, object]]) -> Packed:
    """Return what is published of events, given as kind and payload."""
    packed = Packed()
    by_kind: dict[str, list[_Event]] = defaultdict(list)
    for index, (kind, payload) in enumerate(events):
        epoch, seq, raw = _epoch(payload), _seq(payload), _raw(payload)
        if (refusal := _refusal(kind, raw)) is not None:
            packed.refused.append(RejectedEvent(index, seq, *refusal))
            continue
        key = (epoch, seq) if kind in KEYED and epoch is not None and seq is not None else None
        by_kind[kind].append(_Event(index, kind, seq, key, raw))
    for kind, of_kind in by_kind.items():
        topic = f"fleet/v1/{van}/{kind}"
        published = _arrays(topic, of_kind) if KINDS[kind] else _singles(topic, of_kind)
        for message, carried in published:
            packed.messages.append(message)
            carrier = message.id
            packed.sent += [event.sent_in(topic, carrier) for event in carried]
    return packed


def alone(van: str, kind: str, payload: object) -> Message:
    """Return an event as a message of its own, however long: for who cannot be told that it is refused."""
    return Message(f"fleet/v1/{van}/{kind}", _raw(payload))


def _raw(payload: object) -> bytes:
    """Return a payload as it is published; nothing of one that is too deep to be written."""
    try:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return b""
    return text.encode(errors="surrogatepass")


def _refusal(kind: str, raw: bytes) -> tuple[str, str] | None:
    if kind not in KINDS:
        return "unknown_kind", f"an event is one of {', '.join(sorted(KINDS))}"
    if not raw:
        return "too_large", "it is nested hundreds of levels deep"
    if len(raw) > EVENT_BYTES_MAX:
        return "too_large", f"{len(raw):,} bytes; an event has at most {EVENT_BYTES_MAX:,}"
    return None


Carried = Iterator[tuple[Message, list[_Event]]]
"""What is published, and the events that each message carries."""


def _singles(topic: str, events: Iterable[_Event]) -> Carried:
    for event in events:
        yield Message(topic, event.raw), [event]


def _arrays(topic: str, events: Sequence[_Event]) -> Carried:
    yield from _singles(topic, (event for event in events if not _is_json(event.raw)))
    taken: list[_Event] = []
    size = 0
    for event in (event for event in events if _is_json(event.raw)):
        if taken and size + len(event.raw) > ARRAY_BYTES_MAX:
            yield _array(topic, taken), taken
            taken, size = [], 0
        taken.append(event)
        size += len(event.raw) + 1
    if taken:
        yield _array(topic, taken), taken


def _array(topic: str, events: Iterable[_Event]) -> Message:
    return Message(topic, b"[" + b",".join(event.raw for event in events) + b"]")


def _is_json(raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _epoch(payload: object) -> str | None:
    """Return the epoch, if it is one that a text column holds: no NUL, no half of a pair."""
    value = payload.get("epoch") if isinstance(payload, dict) else None
    if isinstance(value, str) and 1 <= len(value) <= 64 and value.isprintable():
        return value
    return None


def _seq(payload: object) -> int | None:
    value = payload.get("seq") if isinstance(payload, dict) else None
    is_one = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 2**62
    return value if is_one else None


def rejected(packed: Packed, found: Found, pending: Collection[bytes]) -> list[RejectedEvent]:
    """Return which events have no effect, and why, by their place; of pending messages none."""
    without = [
        RejectedEvent(event.index, event.seq, *why)
        for event in packed.sent
        if event.carrier not in pending and (why := _why(event, found)) is not None
    ]
    return sorted([*packed.refused, *without], key=lambda it: it.index)


def _why(event: Sent, found: Found) -> tuple[str, str] | None:
    """Return why an event has no effect; None if it has one, or was dropped as off duty."""
    if event.key is not None and event.key in found.stored.get(event.kind, ()):
        if event.key in found.contested.get(event.kind, ()):
            return "conflict", "its key has another payload too: both wait for a person"
        return None
    if (why := found.rejected.get(event.id)) is not None:
        return why
    if event.key is not None and event.key not in found.unusable:
        return "over_quota", "the van has sent too much today that cannot be used: send it tomorrow"
    return None
