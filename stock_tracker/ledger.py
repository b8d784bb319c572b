"""What a scan does to stock: a movement between two locations, or a count.

A movement takes base units of one item from one location to another and posts twice, minus and
plus. A count says what is there. **Level = the latest count's quantity + all postings after it**,
"after" by the order key (t, device, epoch, seq), which the payload alone decides: the order in
which scans arrive plays no part. A scan stands for ever; a mistake is corrected by another.

| intent   | from               | to                   |
| -------- | ------------------ | -------------------- |
| issue    | the van            | the customer         |
| load     | its warehouse      | the van              |
| receive  | in transit         | the van; a box (SSCC): all that was shipped in it |
| return   | the van            | its warehouse        |
| transfer | the van            | the counterpart van  |
| scrap    | the van            | scrap                |
| count    | sets the van's own quantity                 |
| count_all| sets all that was not counted since to 0    |
| missing  | moves nothing: a job needed it and the van had not  |
| reverse  | takes back what another scan of this tablet did, at that one's own time  |

A scan of a time to come is *held* until then: a clock that is ahead must not decide what is there. One
that is more than 30 days old when it comes waits for *review*: a clock that is years behind would slip
below every count and silently do nothing.

Two different payloads under one key are both set aside until a person decides. This module knows
nothing of the database or of how codes are read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from stock_tracker.barcodes import Doubt, Meaning

Intent = Literal[
    "issue",
    "load",
    "receive",
    "return",
    "transfer",
    "count",
    "count_all",
    "scrap",
    "missing",
    "reverse",
]
Place = Literal["van", "customer", "warehouse", "in_transit", "counterpart", "scrap"]

#: Where a movement goes from and to, by intent; counts and what is missing are none.
MOVES: Final[Mapping[str, tuple[Place, ...]]] = {
    "issue": ("van", "customer"),
    "load": ("warehouse", "van"),
    "receive": ("in_transit", "van"),
    "return": ("van", "warehouse"),
    "transfer": ("van", "counterpart"),
    "scrap": ("van", "scrap"),
}

#: Scanning the number of a box with one of these receives what is in it.
RECEIVE_BOXES: Final = frozenset({"receive", "load"})

ScanStatus = Literal[
    "applied", "unknown_code", "unknown_counterpart", "conflict", "held", "review", "refused"
]

#: A tablet's clock may be so far ahead; what is later waits.
HELD_AFTER_MS: Final = 5 * 60_000
#: What comes later than this is for a person to judge.
REVIEWED_AFTER_MS: Final = 30 * 86_400_000


@dataclass(frozen=True, slots=True, order=True)
class ScanKey:
    """Who said it: the device, its install, its counter."""

    device: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class ScanEvent:
    """A decoded scan. `t` is ms since 1970 UTC; `qty` counts packs of the code, None means one."""

    key: ScanKey
    payload_hash: int
    van_id: int
    t: int
    intent: Intent
    code: bytes
    qty: int | None
    lot: str
    counterpart: str | None
    work_order: str | None
    raw: bytes
    aim_id: str | None = None
    since: int | None = None
    box: str | None = None
    reverses: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Article:
    """What a code stands for: an item, and how many base units one scan of it means."""

    item_id: int
    pack_qty: int


@dataclass(frozen=True, slots=True)
class Movement:
    """`qty` > 0 base units of an item from one location to another."""

    key: ScanKey
    t: int
    kind: Intent
    item_id: int
    lot: str
    qty: int
    from_location_id: int
    to_location_id: int
    work_order: str | None
    serial: str = ""
    expiry: date | None = None
    box: str | None = None


@dataclass(frozen=True, slots=True)
class CountLine:
    """`qty` >= 0 base units of an item seen at a location."""

    key: ScanKey
    t: int
    location_id: int
    item_id: int
    lot: str
    qty: int
    serial: str = ""
    expiry: date | None = None


@dataclass(frozen=True, slots=True)
class FullCount:
    """Everything at a location was counted from `since` to `t`, ms since 1970 UTC."""

    key: ScanKey
    t: int
    location_id: int
    since: int


@dataclass(frozen=True, slots=True)
class MissingPart:
    """`qty` > 0 base units of an item that a job needed at `location_id`, and were not there."""

    key: ScanKey
    t: int
    location_id: int
    item_id: int
    qty: int
    work_order: str | None


@dataclass(frozen=True, slots=True)
class BoxScan:
    """A box (SSCC) received as a whole; what it moves depends on what was shipped in it."""

    key: ScanKey
    t: int
    location_id: int
    from_location_id: int
    sscc: str


@dataclass(frozen=True, slots=True)
class Reversal:
    """What the scan `of` did is taken back."""

    key: ScanKey
    t: int
    of: ScanKey


Effect = Movement | CountLine | FullCount | MissingPart | BoxScan | Reversal


@dataclass(frozen=True, slots=True)
class CountTask:
    """An item that a van is asked to count again, and why."""

    van: str
    ref: str
    reason: Literal["negative", "unconfirmed"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of a scan: its status, its effect where it has one, and what is doubtful of it."""

    scan: ScanEvent
    status: ScanStatus
    effect: Effect | None = None
    doubt: Doubt | None = None


def untimely(t: int, now: int) -> Literal["held", "review"] | None:
    """Return what becomes of a scan because of its time; None where it takes effect."""
    if t > now + HELD_AFTER_MS:
        return "held"
    return "review" if t < now - REVIEWED_AFTER_MS else None


def read(
    scan: ScanEvent,
    found: tuple[Article, Meaning] | None,
    places: Mapping[str, int],
    sscc: str | None = None,
) -> Reading:
    """Return what one scan does.

    What the tablet says of the lot goes before what the code says.

    Args:
        scan: The scan.
        found: What its code stands for, and what else the code says; None if nobody knows.
        places: Location by place, as seen from the scan's van: `van`, `warehouse`, `customer`,
            `in_transit`, `scrap`, and `counterpart` where the scan names a known van.
        sscc: The box that its code is the number of, if it is one; whether it is known shows later.
    """
    if scan.intent == "count_all":
        since = scan.t if scan.since is None else scan.since
        return Reading(scan, "applied", FullCount(scan.key, scan.t, places["van"], since))
    if scan.reverses is not None:
        of = ScanKey(scan.key.device, *scan.reverses)
        return Reading(scan, "applied", Reversal(scan.key, scan.t, of))
    if found is None:
        return Reading(scan, "unknown_code", _box(scan, places, sscc))
    article, meaning = found
    packs = (1 if scan.qty is None else scan.qty) * (1 if meaning.packs is None else meaning.packs)
    qty = packs * article.pack_qty
    ends = MOVES.get(scan.intent, ())
    if any(end not in places for end in ends):
        return Reading(scan, "unknown_counterpart", doubt=meaning.doubt)
    effect: Effect | None = None
    if scan.intent == "count":
        effect = _counted(scan, places["van"], article, meaning, qty)
    elif qty and scan.intent == "missing":
        effect = MissingPart(scan.key, scan.t, places["van"], article.item_id, qty, scan.work_order)
    elif qty and places[ends[0]] != places[ends[1]]:
        effect = _moved(scan, (places[ends[0]], places[ends[1]]), article, meaning, qty)
    return Reading(scan, "applied", effect, meaning.doubt)


def _box(scan: ScanEvent, places: Mapping[str, int], sscc: str | None) -> BoxScan | None:
    if sscc is None or scan.intent not in RECEIVE_BOXES:
        return None
    return BoxScan(scan.key, scan.t, places["van"], places["in_transit"], sscc)


def _counted(
    scan: ScanEvent, place: int, article: Article, meaning: Meaning, qty: int
) -> CountLine:
    return CountLine(
        scan.key, scan.t, place, article.item_id, scan.lot or meaning.lot, qty,
        meaning.serial, meaning.expiry,
    )  # fmt: skip


def _moved(
    scan: ScanEvent, ends: tuple[int, int], article: Article, meaning: Meaning, qty: int
) -> Movement:
    return Movement(
        key=scan.key,
        t=scan.t,
        kind=scan.intent,
        item_id=article.item_id,
        lot=scan.lot or meaning.lot,
        qty=qty,
        from_location_id=ends[0],
        to_location_id=ends[1],
        work_order=scan.work_order,
        serial=meaning.serial,
        expiry=meaning.expiry,
        box=scan.box,
    )


@dataclass(frozen=True, slots=True)
class Sorted:
    """Scans of a batch, told apart by what is already known of their keys.

    Attributes:
        fresh: First of their key: they take effect.
        conflicting: Their key has another payload already, or a second one in this batch.
        contested: The keys that are now in conflict: whatever they did is undone.
    """

    fresh: list[ScanEvent]
    conflicting: list[ScanEvent]
    contested: set[ScanKey]


def sort(scans: Iterable[ScanEvent], known: Mapping[ScanKey, set[int]]) -> Sorted:
    """Tell repeats, first scans and conflicts apart.

    Args:
        scans: A batch, in any order.
        known: Payload hashes already stored, by key.
    """
    by_key: dict[ScanKey, dict[int, ScanEvent]] = {}
    for scan in scans:
        by_key.setdefault(scan.key, {}).setdefault(scan.payload_hash, scan)
    fresh: list[ScanEvent] = []
    conflicting: list[ScanEvent] = []
    contested: set[ScanKey] = set()
    for key, payloads in by_key.items():
        stored = known.get(key, set())
        new = [scan for hash_, scan in payloads.items() if hash_ not in stored]
        if len(new) + len(stored) > 1 and new:
            conflicting += new
            contested.add(key)
        else:
            fresh += new
    return Sorted(fresh, conflicting, contested)
