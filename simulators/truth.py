"""What the database should say, and how far it does.

The truth has two sources. What really happened (visits, handlings of parts) comes from the plan of
the days. What the system was told (fixes, scans, spoiled payloads) is what the broker acknowledged,
and only that: a message without its PUBACK was never promised to anybody.

The *book* is what the published scans add up to in the order of (t, van, epoch, seq): a count sets
the level, everything else adds or subtracts, the opening stock is a count before all of them. An
issue, a return to the warehouse and a scrap take from the van, a load and a receipt add to it, a
transfer takes from one van and adds to the other. A scan of an unknown code, or to an unknown van,
moves nothing. The *shelf* is what lies in the van.

This module must not know how the system finds visits or levels, only what it found.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from ingest.messages import Position, Scan
from simulators.faults import Outgoing
from simulators.vans import Visit
from simulators.world import World

FixKey = tuple[str, int]
ScanKey = tuple[str, str, int]
Pair = tuple[str, str]

#: A visit younger than this before the end cannot have been judged yet.
YOUNG_MS: Final = 4 * 60_000
#: A visit found is a true one if its arrival is no farther off.
ARRIVAL_ERROR_MS_MAX: Final = 3 * 60_000

GIVES: Final = frozenset({"load", "receive"})


@dataclass(frozen=True, slots=True)
class Handled:
    """What really happened to an item in a van; the truth file's own form of a handling."""

    t_ms: int
    van: str
    item: str
    delta: int


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What really happened, and what was said of it and acknowledged by the broker.

    Only what was published from `since_ms` on can be known to anybody. `unknown_codes` counts the
    published scans of codes that are in no table; their keys are among `scan_keys`. `sent_ms` is the wall clock
    at the first sending of each fix.
    """

    since_ms: int
    visits: tuple[Visit, ...]
    book: Mapping[Pair, int]
    shelf: Mapping[Pair, int]
    fix_keys: frozenset[FixKey]
    scan_keys: frozenset[ScanKey]
    unknown_codes: int
    malformed: int
    sent_ms: Mapping[FixKey, int]


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What the database says: visits as (van, site, arrived_ms, left_ms or None while inside).

    `commit_ms` is the wall clock at which each fix was committed.
    """

    visits: Sequence[tuple[str, str, int, int | None]]
    levels: Mapping[Pair, int]
    fix_keys: Collection[FixKey]
    scan_keys: Collection[ScanKey]
    rejected: int
    orders: int
    commit_ms: Mapping[FixKey, int]


@dataclass(frozen=True, slots=True)
class Report:
    """How far the tables tell the truth; None where there was nothing to measure."""

    published: int
    stored: int
    rejected: int
    missing: int
    visits_true: int
    visits_found: int
    visit_precision: float | None
    visit_recall: float | None
    arrival_error_s_median: float | None
    stock_pairs: int
    stock_pairs_wrong: int
    stock_pairs_off_shelf: int
    orders: int
    lag_ms_p50: float | None
    lag_ms_p99: float | None


class Published:
    """Gathers what the broker has acknowledged. A message sent twice is gathered once."""

    def __init__(self) -> None:
        self.sent_ms: dict[FixKey, int] = {}
        self.scans: dict[ScanKey, Scan] = {}
        self.spoiled: set[tuple[str, bytes]] = set()

    def add(self, message: Outgoing, real_ms: int) -> None:
        """Take note of one message, first sent at `real_ms` by the wall clock."""
        if message.spoiled:
            self.spoiled.add((message.topic, message.payload))
            return
        _, _, van, kind = message.topic.split("/")
        if kind == "position":
            for fix in _fixes.decode(_as_array(message.payload)):
                self.sent_ms.setdefault((van, fix.t), real_ms)
        elif kind == "scan":
            for scan in _scans.decode(_as_array(message.payload)):
                self.scans.setdefault((van, scan.epoch, scan.seq), scan)


_fixes = msgspec.json.Decoder(list[Position])
_scans = msgspec.json.Decoder(list[Scan])


def _as_array(payload: bytes) -> bytes:
    return payload if payload.startswith(b"[") else b"[" + payload + b"]"


def truth_of(
    world: World,
    visits: Iterable[Visit],
    handled: Iterable[Handled],
    published: Published,
    *,
    since_ms: int,
    until_ms: int,
) -> Truth:
    """Return the truth at `until_ms`, of what was published from `since_ms` on."""
    labels = {barcode.scanned for barcode in world.barcodes}
    return Truth(
        since_ms=since_ms,
        visits=tuple(visit for visit in visits if since_ms < visit.left_ms),
        book=book(world, published.scans),
        shelf=shelf(world, handled, until_ms),
        fix_keys=frozenset(published.sent_ms),
        scan_keys=frozenset(published.scans),
        unknown_codes=sum(scan.code not in labels for scan in published.scans.values()),
        malformed=len(published.spoiled),
        sent_ms=published.sent_ms,
    )


def opening(world: World) -> dict[Pair, int]:
    """Return the opening stock by (van code, item reference)."""
    refs = [item.ref for item in world.items[: world.tracked]]
    return {
        (van.code, ref): qty
        for van, row in zip(world.vans, world.opening_qty.tolist(), strict=True)
        for ref, qty in zip(refs, row, strict=True)
    }


def book(world: World, scans: Mapping[ScanKey, Scan]) -> dict[Pair, int]:
    """Return what the scans add up to, by (van, item)."""
    labels = {barcode.scanned: barcode for barcode in world.barcodes}
    vans = {van.code for van in world.vans}
    qty_of = opening(world)
    for (van, _, _), scan in sorted(
        scans.items(), key=lambda row: (row[1].t, row[0][0], row[1].epoch, row[1].seq)
    ):
        label = labels.get(scan.code or "")
        if label is None:
            continue
        ref = world.items[label.item].ref
        pieces = (1 if scan.qty is None else scan.qty) * label.pack_qty
        if scan.intent == "count":
            qty_of[van, ref] = pieces
        elif scan.intent in GIVES:
            qty_of[van, ref] = qty_of.get((van, ref), 0) + pieces
        elif scan.intent != "transfer" or scan.counterpart in vans:
            qty_of[van, ref] = qty_of.get((van, ref), 0) - pieces
            if scan.intent == "transfer" and scan.counterpart is not None:
                pair = (scan.counterpart, ref)
                qty_of[pair] = qty_of.get(pair, 0) + pieces
    return qty_of


def shelf(world: World, handled: Iterable[Handled], until_ms: int) -> dict[Pair, int]:
    """Return what lies in the vans at `until_ms`, by (van, item)."""
    qty_of = opening(world)
    for row in handled:
        if row.t_ms <= until_ms:
            qty_of[row.van, row.item] += row.delta
    return qty_of


def compare(truth: Truth, tables: Tables, until_ms: int) -> Report:
    """Return how far `tables` tell the `truth`, judged at simulated time `until_ms`.

    - A visit found matches a true one of the same van and site whose arrival is at most 3 min off;
      each is matched once, the nearest first.
    - Recall asks only for true visits that can be known: they began after `since_ms` and at least
      4 min before `until_ms`.
    - Precision leaves out a visit found that belongs to a true visit which recall cannot ask for:
      too young, or under way when publishing began (any time between arrival and departure).
    - Missing are fix and scan keys that were acknowledged but are in no table, and spoiled payloads
      beyond the number of rejected ones. A key is stored however often it was sent.
    - A stock pair without a level counts as level 0.
    - Lag runs from the first sending of a fix to its commit, by the wall clock.
    """
    decidable = [
        visit for visit in truth.visits if truth.since_ms <= visit.arrived_ms <= until_ms - YOUNG_MS
    ]
    errors_ms, unmatched = match_visits(decidable, tables.visits)
    undecidable = [
        visit
        for visit in truth.visits
        if not truth.since_ms <= visit.arrived_ms <= until_ms - YOUNG_MS
    ]
    wrong = [row for row in unmatched if not is_excused(row, undecidable)]
    judged = len(errors_ms) + len(wrong)
    stored = len(truth.fix_keys & set(tables.fix_keys)) + len(
        truth.scan_keys & set(tables.scan_keys)
    )
    keys = len(truth.fix_keys) + len(truth.scan_keys)
    lags_ms = [
        tables.commit_ms[key] - sent_ms
        for key, sent_ms in truth.sent_ms.items()
        if key in tables.commit_ms
    ]
    return Report(
        published=keys + truth.malformed,
        stored=stored,
        rejected=tables.rejected,
        missing=keys - stored + max(0, truth.malformed - tables.rejected),
        visits_true=len(decidable),
        visits_found=len(errors_ms),
        visit_precision=len(errors_ms) / judged if judged else None,
        visit_recall=len(errors_ms) / len(decidable) if decidable else None,
        arrival_error_s_median=percentile([error / 1000 for error in errors_ms], 50),
        stock_pairs=len(truth.book),
        stock_pairs_wrong=sum(
            tables.levels.get(pair, 0) != qty for pair, qty in truth.book.items()
        ),
        stock_pairs_off_shelf=sum(
            truth.shelf.get(pair, 0) != qty for pair, qty in truth.book.items()
        ),
        orders=tables.orders,
        lag_ms_p50=percentile(lags_ms, 50),
        lag_ms_p99=percentile(lags_ms, 99),
    )


VisitRow = tuple[str, str, int, int | None]


def match_visits(
    visits: Sequence[Visit], found: Sequence[VisitRow]
) -> tuple[list[int], list[VisitRow]]:
    """Return the arrival errors of the matched, ms, and the rows that match nothing."""
    true_at: dict[Pair, list[int]] = {}
    for visit in visits:
        true_at.setdefault((visit.van, visit.site), []).append(visit.arrived_ms)
    pairs = sorted(
        (abs(row[2] - arrived_ms), arrived_ms, index)
        for index, row in enumerate(found)
        for arrived_ms in true_at.get((row[0], row[1]), ())
        if abs(row[2] - arrived_ms) <= ARRIVAL_ERROR_MS_MAX
    )
    errors_ms: list[int] = []
    taken_rows: set[int] = set()
    taken_visits: set[tuple[str, str, int]] = set()
    for error_ms, arrived_ms, index in pairs:
        van, site, _, _ = found[index]
        if index in taken_rows or (van, site, arrived_ms) in taken_visits:
            continue
        taken_rows.add(index)
        taken_visits.add((van, site, arrived_ms))
        errors_ms.append(error_ms)
    return errors_ms, [row for index, row in enumerate(found) if index not in taken_rows]


def is_excused(row: VisitRow, undecidable: Sequence[Visit]) -> bool:
    """Whether a visit found belongs to a true one that is `undecidable`: no error, no merit."""
    van, site, arrived_ms, _ = row
    return any(
        (visit.van, visit.site) == (van, site)
        and visit.arrived_ms - ARRIVAL_ERROR_MS_MAX <= arrived_ms <= visit.left_ms
        for visit in undecidable
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the percentile, or None of nothing."""
    return float(np.percentile(values, percent)) if values else None
