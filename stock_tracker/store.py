"""The SQL of scans and what they put into the ledger. Functions take a connection and never commit."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from stock_tracker import barcodes, ledger
from stock_tracker.ledger import (
    Article,
    BoxScan,
    CountLine,
    FullCount,
    MissingPart,
    Movement,
    Reading,
    Reversal,
    ScanEvent,
    ScanKey,
)
from stock_tracker.levels import Pair, lock_ledger, refresh
from stock_tracker.resupply import received
from storage.pool import Connection
from storage.rows import put_rows
from storage.settings import as_datetime

KNOWN = """
SELECT device, epoch, seq, payload_hash
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS wanted (device, epoch, seq)
JOIN scan USING (device, epoch, seq)
"""

PUT_SCAN = """
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,
                  received_time, aim_id, qty, lot, counterpart, work_order, doubt, box, since,
                  reverses_epoch, reverses_seq)
SELECT * FROM unnest(
  %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::int[], %s::timestamptz[], %s::text[],
  %s::bytea[], %s::text[], %s::bytea[], %s::timestamptz[], %s::text[], %s::bigint[], %s::text[],
  %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::bigint[])
ON CONFLICT (device, epoch, seq, payload_hash) DO NOTHING
"""

PUT_MOVEMENT = """
WITH put AS (
  INSERT INTO movement (device, epoch, seq, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id, work_order, serial, expiry, box)
  SELECT * FROM unnest(
    %s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::text[], %s::int[], %s::text[],
    %s::bigint[], %s::int[], %s::int[], %s::text[], %s::text[], %s::date[], %s::text[])
  RETURNING *
)
INSERT INTO posting
SELECT device, epoch, seq, line, location_id, item_id, lot, delta, t
FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty)) AS side (location_id, delta)
"""

PUT_FULL_COUNT = "INSERT INTO full_count VALUES (%s, %s, %s, %s, %s, %s)"

KNOWN_AT = "SELECT location_id, item_id, lot FROM level WHERE location_id = ANY(%s)"

PUT_MISSING = "INSERT INTO missing_part VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"

PUT_BOX = "INSERT INTO box_scan VALUES (%s, %s, %s, %s, %s, %s, %s)"

PUT_REVERSAL = "INSERT INTO reversal VALUES (%s, %s, %s, %s, %s, %s)"

PUT_COUNT = """
INSERT INTO count_line SELECT * FROM unnest(
  %s::text[], %s::text[], %s::bigint[], %s::int[], %s::int[], %s::text[], %s::bigint[],
  %s::timestamptz[], %s::text[], %s::date[])
"""

# Scans as they came, with where their van's movements can go.
SAID = """
SELECT own.location_id, depot.location_id, other.location_id, customer, in_transit, scrap,
       device, epoch, seq, payload_hash, scan.van_id, (extract(epoch FROM t) * 1000)::bigint,
       intent, scan.code, scan.qty, lot, counterpart, work_order, raw, aim_id,
       (extract(epoch FROM since) * 1000)::bigint, box, reverses_epoch, reverses_seq
FROM scan
JOIN van USING (van_id)
JOIN location AS own ON (own.kind, own.van_id) = ('van', van.van_id)
LEFT JOIN location AS depot ON (depot.kind, depot.warehouse_id) = ('warehouse', van.warehouse_id)
LEFT JOIN van AS receiver ON receiver.code = scan.counterpart
LEFT JOIN location AS other ON (other.kind, other.van_id) = ('van', receiver.van_id)
CROSS JOIN LATERAL (
  SELECT min(location_id) FILTER (WHERE kind = 'customer') AS customer,
         min(location_id) FILTER (WHERE kind = 'in_transit') AS in_transit,
         min(location_id) FILTER (WHERE kind = 'scrap') AS scrap
  FROM location
  WHERE location.organisation_id = van.organisation_id
    AND kind IN ('customer', 'in_transit', 'scrap')
) AS shared
WHERE status = %(status)s AND t <= %(until)s
  AND (%(devices)s::text[] IS NULL OR (device, epoch, seq) IN (
    SELECT * FROM unnest(%(devices)s::text[], %(epochs)s::text[], %(seqs)s::bigint[])))
"""

#: Effects that a reversal deletes; all others move something, which is moved back.
SAID_ALONE: Final = (CountLine, FullCount, MissingPart)

#: What the first columns of `SAID` are.
PLACES: Final = ("van", "warehouse", "counterpart", "customer", "in_transit", "scrap")

# Scans that did something with these items by themselves, not as a part of a box.
SCANS_OF_ITEMS = """
SELECT device, epoch, seq FROM movement
WHERE item_id = ANY(%(items)s) AND line = 0 AND kind NOT IN ('ship', 'reverse')
UNION SELECT device, epoch, seq FROM missing_part WHERE item_id = ANY(%(items)s)
UNION SELECT device, epoch, seq FROM count_line WHERE item_id = ANY(%(items)s) AND device <> 'import'
"""

# What contested scans had taken back.
UNDO_REVERSALS = """
SELECT device, of_epoch, of_seq FROM reversal
JOIN unnest(%s::text[], %s::text[], %s::bigint[]) AS contested (device, epoch, seq)
  USING (device, epoch, seq)
"""

# Boxes that contested scans had to do with; their own scans are gone with that.
UNDO_BOXES = """
WITH contested AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS contested (device, epoch, seq)
), boxed AS (
  DELETE FROM box_scan USING contested
  WHERE (box_scan.device, box_scan.epoch, box_scan.seq)
      = (contested.device, contested.epoch, contested.seq)
  RETURNING sscc
)
SELECT sscc FROM boxed
UNION SELECT box FROM movement JOIN contested USING (device, epoch, seq) WHERE box IS NOT NULL
"""

TAKES_EFFECT = """
UPDATE scan SET status = %s, doubt = %s, decided_by = coalesce(%s, decided_by)
WHERE (device, epoch, seq, payload_hash) = (%s, %s, %s, %s)
"""

REFUSE = """
UPDATE scan SET status = 'refused', decided_by = %s
WHERE status = 'review' AND (device, epoch, seq) = (%s, %s, %s)
"""

# A contested key did nothing: its movement and its count leave the ledger until a person decides.
MARK_CONTESTED = """
UPDATE scan SET status = 'conflict'
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS contested (device, epoch, seq)
WHERE (scan.device, scan.epoch, scan.seq) = (contested.device, contested.epoch, contested.seq)
"""
FORGET_EFFECTS = """
WITH contested AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS contested (device, epoch, seq)
), moved AS (
  DELETE FROM movement USING contested
  WHERE (movement.device, movement.epoch, movement.seq)
      = (contested.device, contested.epoch, contested.seq)
  RETURNING item_id, lot, from_location_id, to_location_id
), counted AS (
  DELETE FROM count_line USING contested
  WHERE (count_line.device, count_line.epoch, count_line.seq)
      = (contested.device, contested.epoch, contested.seq)
  RETURNING location_id, item_id, lot
), counted_all AS (
  DELETE FROM full_count USING contested
  WHERE (full_count.device, full_count.epoch, full_count.seq)
      = (contested.device, contested.epoch, contested.seq)
  RETURNING location_id
), reversed AS (
  DELETE FROM reversal USING contested
  WHERE (reversal.device, reversal.epoch, reversal.seq)
      = (contested.device, contested.epoch, contested.seq)
), missed AS (
  DELETE FROM missing_part USING contested
  WHERE (missing_part.device, missing_part.epoch, missing_part.seq)
      = (contested.device, contested.epoch, contested.seq)
)
SELECT from_location_id, item_id, lot FROM moved
UNION SELECT to_location_id, item_id, lot FROM moved
UNION SELECT location_id, item_id, lot FROM counted
UNION SELECT location_id, item_id, lot FROM level JOIN counted_all USING (location_id)
"""

MARK_DIRTY = """
INSERT INTO stock_dirty SELECT * FROM unnest(%s::int[], %s::int[]) ON CONFLICT DO NOTHING
"""

# The longest unbroken row of numbers after `through`: the n-th number beyond it must be through + n.
# A tablet counts all that it says by one counter, not only scans.
ADVANCE = """
INSERT INTO scan_through
SELECT device, epoch, coalesce(max(seq) FILTER (WHERE seq = through + nth), through)
FROM (
  SELECT device, epoch, through, seq,
         row_number() OVER (PARTITION BY device, epoch ORDER BY seq) AS nth
  FROM (
    SELECT device, epoch, coalesce(known.through, 0) AS through
    FROM unnest(%s::text[], %s::text[]) AS wanted (device, epoch)
    LEFT JOIN scan_through AS known USING (device, epoch)
  ) AS begun
  LEFT JOIN LATERAL (
    SELECT seq FROM scan
    WHERE (scan.device, scan.epoch) = (begun.device, begun.epoch) AND seq > through
    UNION
    SELECT seq FROM visit_report AS said
    WHERE (said.device, said.epoch) = (begun.device, begun.epoch) AND seq > through
    UNION
    SELECT seq FROM van_message AS wrote
    WHERE (wrote.device, wrote.epoch) = (begun.device, begun.epoch) AND seq > through
    UNION
    SELECT seq FROM scan_unusable AS u
    WHERE (u.device, u.epoch) = (begun.device, begun.epoch) AND seq > through
  ) AS beyond ON true
) AS numbered
GROUP BY device, epoch, through
ORDER BY device, epoch
ON CONFLICT (device, epoch) DO UPDATE SET through = excluded.through
RETURNING device, epoch, through
"""


async def load_known(conn: Connection, keys: Sequence[ScanKey]) -> dict[ScanKey, set[int]]:
    """Return the payload hashes already stored under each of these keys."""
    known: dict[ScanKey, set[int]] = {}
    for device, epoch, seq, hash_ in await (await conn.execute(KNOWN, _columns(keys))).fetchall():
        known.setdefault(ScanKey(device, epoch, seq), set()).add(hash_)
    return known


async def load_articles(conn: Connection, scans: Iterable[ScanEvent]) -> dict[str, Article]:
    """Return what every meaning of these scans' codes stands for, by its key."""
    wanted = sorted({key for scan in scans for key in barcodes.keys(scan.code, scan.aim_id)})
    wanted = [text for text in wanted if "\0" not in text]  # a text column holds no NUL
    rows = await conn.execute(
        "SELECT code, item_id, pack_qty FROM barcode WHERE code = ANY(%s)", (wanted,)
    )
    return {code: Article(item_id, pack) for code, item_id, pack in await rows.fetchall()}


async def write_scans(
    conn: Connection,
    readings: Sequence[Reading],
    conflicting: Sequence[ScanEvent],
    contested: Collection[ScanKey],
    now: int,
) -> set[Pair]:
    """Store scans and their effects, undo what is contested, and return the pairs touched."""
    stored = [*readings, *(Reading(scan, "conflict") for scan in conflicting)]
    async with conn.cursor() as cursor:
        await put_rows(conn, PUT_SCAN, [_scan_row(reading, now) for reading in stored])
        touched = await _write_effects(conn, readings)
        boxes, undone = boxes_of(readings), set[ScanKey]()
        if contested:
            await cursor.execute(UNDO_BOXES, _columns(list(contested)))
            boxes |= {row[0] for row in await cursor.fetchall()}
            await cursor.execute(UNDO_REVERSALS, _columns(list(contested)))
            undone = {ScanKey(*row) for row in await cursor.fetchall()}
            await cursor.execute(MARK_CONTESTED, _columns(list(contested)))
            await cursor.execute(FORGET_EFFECTS, _columns(list(contested)))
            touched.update(await cursor.fetchall())
    fresh = {reading.scan.key for reading in readings}
    if undone - fresh:
        said = await _reread(conn, "applied", FAR, sorted(undone - fresh))
        touched |= await _write_effects(conn, [r for r in said if isinstance(r.effect, SAID_ALONE)])
    return touched | await received.settle_scanned(conn, boxes, fresh | set(contested) | undone)


def boxes_of(readings: Iterable[Reading]) -> set[str]:
    """Return the boxes that scans have received, as a whole or by line."""
    effects = [reading.effect for reading in readings]
    boxes = {effect.sscc for effect in effects if isinstance(effect, BoxScan)}
    return boxes | {e.box for e in effects if isinstance(e, Movement) and e.box is not None}


async def _write_effects(conn: Connection, readings: Iterable[Reading]) -> set[Pair]:
    """Write movements and counts, and return the pairs touched: of a full count all that are known."""
    effects = [reading.effect for reading in readings]
    movements = [effect for effect in effects if isinstance(effect, Movement)]
    counts = [effect for effect in effects if isinstance(effect, CountLine)]
    full = [effect for effect in effects if isinstance(effect, FullCount)]
    async with conn.cursor() as cursor:
        await put_rows(conn, PUT_MOVEMENT, [_movement_row(m) for m in movements])
        await put_rows(conn, PUT_COUNT, [_count_row(c) for c in counts])
        await cursor.executemany(PUT_FULL_COUNT, [_full_count_row(f) for f in full])
        await cursor.executemany(
            PUT_MISSING, [_missing_row(m) for m in effects if isinstance(m, MissingPart)]
        )
        await cursor.executemany(PUT_BOX, [_box_row(b) for b in effects if isinstance(b, BoxScan)])
        await cursor.executemany(
            PUT_REVERSAL, [_reversal_row(r) for r in effects if isinstance(r, Reversal)]
        )
    known: list[Pair] = []
    if full:
        found = await conn.execute(KNOWN_AT, ([f.location_id for f in full],))
        known = await found.fetchall()
    return {
        *known,
        *((m.from_location_id, m.item_id, m.lot) for m in movements),
        *((m.to_location_id, m.item_id, m.lot) for m in movements),
        *((c.location_id, c.item_id, c.lot) for c in counts),
    }


async def revive(conn: Connection) -> int:
    """Give their effect, at their own time, to scans whose code has become known; return how many.

    As if it had been known when they came: what a scan does depends on its payload and on what codes
    mean, not on which came first.
    """
    await lock_ledger(conn)
    known = [r for r in await _reread(conn, "unknown_code", FAR) if r.status != "unknown_code"]
    await _take_effect(conn, known, None)
    return len(known)


async def admit_held(conn: Connection, now: int) -> int:
    """Give their effect to scans whose time has come; return how many."""
    until = as_datetime(now + ledger.HELD_AFTER_MS)
    found = await conn.execute(
        "SELECT FROM scan WHERE status = 'held' AND t <= %s LIMIT 1", (until,)
    )
    if await found.fetchone() is None:
        return 0
    await lock_ledger(conn)
    readings = await _reread(conn, "held", until)
    await _take_effect(conn, readings, None)
    return len(readings)


async def decide(conn: Connection, key: ScanKey, by: str, *, accept: bool) -> bool:
    """Let a scan that waits for review take effect, or refuse it; return whether one waited."""
    await lock_ledger(conn)
    if not accept:
        refused = await conn.execute(REFUSE, (by, key.device, key.epoch, key.seq))
        return refused.rowcount > 0
    readings = await _reread(conn, "review", FAR, [key])
    await _take_effect(conn, readings, by)
    return bool(readings)


#: After every scan.
FAR: Final = datetime(9999, 1, 1, tzinfo=UTC)


async def read_again(conn: Connection, item_ids: Collection[int]) -> int:
    """Read the scans of these items again, whose codes mean something else now; return how many.

    What a scan did follows from its payload and from what codes mean: a corrected code corrects.
    """
    if not item_ids:
        return 0
    await lock_ledger(conn)
    rows = await conn.execute(SCANS_OF_ITEMS, {"items": sorted(item_ids)})
    keys = [ScanKey(*row) for row in await rows.fetchall()]
    readings = await _reread(conn, "applied", FAR, keys)
    again = [reading.scan.key for reading in readings]
    forgotten = await conn.execute(FORGET_EFFECTS, _columns(again))
    await _take_effect(conn, readings, None, set(await forgotten.fetchall()))
    return len(readings)


async def _reread(
    conn: Connection, status: str, until: datetime, keys: Sequence[ScanKey] | None = None
) -> list[Reading]:
    """Return what scans of a status, or some of them, would do now."""
    columns = (None, None, None) if keys is None else _columns(keys)
    asked = {"status": status, "until": until}
    asked |= dict(zip(("devices", "epochs", "seqs"), columns, strict=True))
    waiting: list[tuple[ScanEvent, dict[str, int]]] = []
    for row in await (await conn.execute(SAID, asked)).fetchall():
        places = zip(PLACES, row, strict=False)
        device, epoch, seq, *rest, of_epoch, of_seq = row[len(PLACES) :]
        undone = None if of_epoch is None else (of_epoch, of_seq)
        scan = ScanEvent(ScanKey(device, epoch, seq), *[*rest, undone])
        waiting.append((scan, {name: place for name, place in places if place is not None}))
    articles = await load_articles(conn, [scan for scan, _ in waiting])
    return [
        ledger.read(
            scan,
            barcodes.look_up(scan.code, articles, scan.aim_id),
            places,
            barcodes.sscc(scan.code, scan.aim_id),
        )
        for scan, places in waiting
    ]


async def _take_effect(
    conn: Connection,
    readings: Sequence[Reading],
    by: str | None,
    forgotten: Collection[Pair] = (),
) -> None:
    """Write what scans do now, and let all that rests on it follow.

    What is to be counted again is asked for by the next tick, which can tell the tablets.
    """
    async with conn.cursor() as cursor:
        await cursor.executemany(
            TAKES_EFFECT,
            [
                (r.status, r.doubt, by, r.scan.key.device, r.scan.key.epoch, r.scan.key.seq,
                 r.scan.payload_hash)
                for r in readings
            ],
        )  # fmt: skip
    touched = await _write_effects(conn, readings) | set(forgotten)
    scanned = {reading.scan.key for reading in readings}
    touched |= await received.settle_scanned(conn, boxes_of(readings), scanned)
    await refresh(conn, touched)
    pairs = sorted({pair[:2] for pair in touched})
    await conn.execute(MARK_DIRTY, ([p[0] for p in pairs], [p[1] for p in pairs]))


async def put_unusable(conn: Connection, keys: Sequence[ScanKey]) -> None:
    """Remember the keys of rejected scans, so that receipts can pass them."""
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO scan_unusable VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [(key.device, key.epoch, key.seq) for key in keys],
        )


async def advance_through(
    conn: Connection, epochs: Iterable[tuple[str, str]]
) -> list[tuple[str, str, int]]:
    """Move each (device, epoch) on as far as what it said is unbroken; return where each stands."""
    ordered = sorted(epochs)
    rows = await conn.execute(ADVANCE, ([e[0] for e in ordered], [e[1] for e in ordered]))
    return await rows.fetchall()


def _columns(keys: Sequence[ScanKey]) -> tuple[list[str], list[str], list[int]]:
    return [k.device for k in keys], [k.epoch for k in keys], [k.seq for k in keys]


def _scan_row(reading: Reading, now: int) -> tuple[object, ...]:
    scan, key = reading.scan, reading.scan.key
    return (
        key.device, key.epoch, key.seq, scan.payload_hash, scan.van_id, as_datetime(scan.t),
        scan.intent, scan.code, reading.status, scan.raw, as_datetime(now), scan.aim_id, scan.qty,
        scan.lot, scan.counterpart, scan.work_order, reading.doubt, scan.box,
        None if scan.since is None else as_datetime(scan.since), *(scan.reverses or (None, None)),
    )  # fmt: skip


def _movement_row(m: Movement) -> tuple[object, ...]:
    return (
        m.key.device, m.key.epoch, m.key.seq, as_datetime(m.t), m.kind, m.item_id, m.lot, m.qty,
        m.from_location_id, m.to_location_id, m.work_order, m.serial, m.expiry, m.box,
    )  # fmt: skip


def _full_count_row(f: FullCount) -> tuple[object, ...]:
    key = f.key
    return (
        key.device, key.epoch, key.seq, f.location_id, as_datetime(f.since), as_datetime(f.t),
    )  # fmt: skip


def _missing_row(m: MissingPart) -> tuple[object, ...]:
    key = m.key
    return (
        key.device, key.epoch, key.seq, as_datetime(m.t), m.location_id, m.item_id, m.qty,
        m.work_order,
    )  # fmt: skip


def _reversal_row(r: Reversal) -> tuple[object, ...]:
    key = r.key
    return (key.device, key.epoch, key.seq, as_datetime(r.t), r.of.epoch, r.of.seq)


def _box_row(b: BoxScan) -> tuple[object, ...]:
    key = b.key
    return (
        key.device, key.epoch, key.seq, as_datetime(b.t), b.location_id, b.from_location_id, b.sscc,
    )  # fmt: skip


def _count_row(c: CountLine) -> tuple[object, ...]:
    return (
        c.key.device, c.key.epoch, c.key.seq, c.location_id, c.item_id, c.lot, c.qty,
        as_datetime(c.t), c.serial, c.expiry,
    )  # fmt: skip
