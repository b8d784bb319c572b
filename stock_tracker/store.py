"""The SQL of scans, the ledger, levels and orders. Functions take a connection and never commit."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from stock_tracker import barcodes, ledger, orders, replenish
from stock_tracker.ledger import (
    Article,
    CountLine,
    CountTask,
    FullCount,
    Movement,
    Reading,
    ScanEvent,
    ScanKey,
)
from stock_tracker.orders import Order, Proposed
from stock_tracker.replenish import Policy, Position
from storage.pool import Connection
from storage.settings import as_datetime

Pair = tuple[int, int, str]
"""A location, an item and a lot."""

KNOWN = """
SELECT device, epoch, seq, payload_hash
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS wanted (device, epoch, seq)
JOIN scan USING (device, epoch, seq)
"""

PUT_SCAN = """
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw,
                  received_time, aim_id, qty, lot, counterpart, work_order, doubt)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (device, epoch, seq, payload_hash) DO NOTHING
"""

PUT_MOVEMENT = """
WITH put AS (
  INSERT INTO movement (device, epoch, seq, t, kind, item_id, lot, qty, from_location_id,
                        to_location_id, work_order, serial, expiry)
  VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
  RETURNING *
)
INSERT INTO posting
SELECT device, epoch, seq, line, location_id, item_id, lot, delta, t
FROM put, LATERAL (VALUES (from_location_id, -qty), (to_location_id, qty)) AS side (location_id, delta)
"""

PUT_FULL_COUNT = "INSERT INTO full_count VALUES (%s, %s, %s, %s, %s, %s)"

KNOWN_AT = "SELECT location_id, item_id, lot FROM level WHERE location_id = ANY(%s)"

PUT_COUNT = "INSERT INTO count_line VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"

# Scans that nobody could read when they came, with where their van's movements can go.
UNKNOWN = """
SELECT own.location_id, depot.location_id, other.location_id, customer, in_transit, scrap,
       device, epoch, seq, payload_hash, scan.van_id, (extract(epoch FROM t) * 1000)::bigint,
       intent, scan.code, scan.qty, lot, counterpart, work_order, raw, aim_id
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
WHERE status = 'unknown_code'
"""

#: What the first columns of `UNKNOWN` are.
PLACES: Final = ("van", "warehouse", "counterpart", "customer", "in_transit", "scrap")

KNOWN_NOW = """
UPDATE scan SET status = %s, doubt = %s
WHERE (device, epoch, seq, payload_hash) = (%s, %s, %s, %s)
"""

# A contested key did nothing: its movement and its count leave the ledger until a person decides.
UNDO = """
WITH contested AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS contested (device, epoch, seq)
), marked AS (
  UPDATE scan SET status = 'conflict' FROM contested
  WHERE (scan.device, scan.epoch, scan.seq) = (contested.device, contested.epoch, contested.seq)
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
)
SELECT from_location_id, item_id, lot FROM moved
UNION SELECT to_location_id, item_id, lot FROM moved
UNION SELECT location_id, item_id, lot FROM counted
UNION SELECT location_id, item_id, lot FROM level JOIN counted_all USING (location_id)
"""

# Level = the latest count's quantity + all postings after it, by (t, device, epoch, seq); a full count
# that does not list the pair counts as 0. A pair of which nothing is known, because what was said of it
# is contested, has no level.
REFRESH_LEVELS = """
WITH pair AS (
  SELECT * FROM unnest(%s::int[], %s::int[], %s::text[]) AS pair (location_id, item_id, lot)
), computed AS (
  SELECT pair.*, coalesce(counted.qty, 0) + coalesce(moved.delta, 0) AS qty, counted.t,
         EXISTS (SELECT FROM posting AS p
                 WHERE (p.location_id, p.item_id, p.lot) = (pair.location_id, pair.item_id, pair.lot))
         OR EXISTS (SELECT FROM count_line AS c
                    WHERE (c.location_id, c.item_id, c.lot)
                        = (pair.location_id, pair.item_id, pair.lot)) AS is_known
  FROM pair
  LEFT JOIN LATERAL anchor_before(
    pair.location_id, pair.item_id, pair.lot, 'infinity', '', '', 0
  ) AS counted ON true
  LEFT JOIN LATERAL (
    SELECT sum(delta) AS delta FROM posting AS p
    WHERE (p.location_id, p.item_id, p.lot) = (pair.location_id, pair.item_id, pair.lot)
      AND (counted.t IS NULL OR (p.t, p.device, p.epoch, p.seq)
                              > (counted.t, counted.device COLLATE "C",
                                 counted.epoch COLLATE "C", counted.seq))
  ) AS moved ON true
), gone AS (
  DELETE FROM level USING computed
  WHERE (level.location_id, level.item_id, level.lot)
      = (computed.location_id, computed.item_id, computed.lot) AND NOT is_known
)
INSERT INTO level (location_id, item_id, lot, qty, counted_at)
SELECT location_id, item_id, lot, qty, t FROM computed WHERE is_known
ORDER BY location_id, item_id, lot
ON CONFLICT (location_id, item_id, lot) DO UPDATE
SET qty = excluded.qty, counted_at = excluded.counted_at
WHERE (level.qty, level.counted_at) IS DISTINCT FROM (excluded.qty, excluded.counted_at)
"""

# Of touched pairs, those that a van's template follows and of which something is known.
POSITIONS = """
SELECT location_id, item_id, on_hand, on_order(location_id, item_id), reorder_point, order_up_to,
       cap, pack_qty
FROM (SELECT DISTINCT * FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)) AS pair
JOIN location USING (location_id)
JOIN van USING (van_id)
JOIN template_line USING (template_id, item_id)
CROSS JOIN LATERAL (
  SELECT sum(greatest(0, qty))::bigint AS on_hand FROM level
  WHERE (level.location_id, level.item_id) = (pair.location_id, pair.item_id)
) AS held
WHERE on_hand IS NOT NULL
"""

SET_PROPOSAL = """
INSERT INTO proposal VALUES (%s, %s, %s, %s)
ON CONFLICT (location_id, item_id) DO UPDATE SET qty = excluded.qty, inputs = excluded.inputs
WHERE (proposal.qty, proposal.inputs) IS DISTINCT FROM (excluded.qty, excluded.inputs)
"""

SETTLE_TASKS = """
DELETE FROM count_task USING unnest(%s::int[], %s::int[]) AS pair (location_id, item_id)
WHERE (count_task.location_id, count_task.item_id) = (pair.location_id, pair.item_id)
  AND NOT EXISTS (SELECT FROM recounts_of(pair.location_id, pair.item_id))
"""

ASK_TASKS = """
WITH asked AS (
  INSERT INTO count_task
  SELECT location_id, item_id, min(reason), %s
  FROM unnest(%s::int[], %s::int[]) AS pair (location_id, item_id),
       LATERAL recounts_of(location_id, item_id)
  GROUP BY location_id, item_id
  ON CONFLICT (location_id, item_id) DO NOTHING
  RETURNING location_id, item_id, reason
)
SELECT van.code AS van, item.ref, reason
FROM asked JOIN location USING (location_id) JOIN van USING (van_id) JOIN item USING (item_id)
ORDER BY van.code, item.ref
"""

# The longest unbroken row of numbers after `through`: the n-th number beyond it must be through + n.
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
    SELECT seq FROM scan_unusable AS u
    WHERE (u.device, u.epoch) = (begun.device, begun.epoch) AND seq > through
  ) AS beyond ON true
) AS numbered
GROUP BY device, epoch, through
ORDER BY device, epoch
ON CONFLICT (device, epoch) DO UPDATE SET through = excluded.through
RETURNING device, epoch, through
"""

WAREHOUSES = """
SELECT warehouse_id, code, organisation_id, time_zone, cutoff_times, cutoff_done_at
FROM warehouse ORDER BY warehouse_id
"""

PROPOSED = """
SELECT proposal.location_id, van.code AS van_code, item_id, ref, item.name, proposal.qty, inputs,
       CASE WHEN home_latitude_deg IS NULL THEN 'van' ELSE 'home' END AS mode
FROM proposal
JOIN location USING (location_id)
JOIN van ON van.van_id = location.van_id
JOIN item USING (item_id)
LEFT JOIN technician ON technician.technician_id = van.technician_id
WHERE van.warehouse_id = %s
ORDER BY van.code, ref
"""

PUT_ORDER = """
INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode, cutoff_at,
                            state, created_time)
VALUES (%s, %s, %s, %s, %s, %s, 'sent', %s)
RETURNING order_id
"""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse as far as its cut-offs go."""

    warehouse_id: int
    code: str
    organisation_id: int
    time_zone: str
    cutoff_times: list[time]
    cutoff_done_at: datetime | None


async def lock_ledger(conn: Connection) -> None:
    """Wait until no other transaction writes the ledger, and keep others off until this one ends.

    Two that add to one pair at a time would each compute a level without the other's postings.
    """
    await conn.execute("SELECT pg_advisory_xact_lock(hashtext('cordee ledger'))")


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
        await cursor.executemany(PUT_SCAN, [_scan_row(reading, now) for reading in stored])
        touched = await _write_effects(conn, readings)
        if contested:
            await cursor.execute(UNDO, _columns(list(contested)))
            touched.update(await cursor.fetchall())
    return touched


async def _write_effects(conn: Connection, readings: Iterable[Reading]) -> set[Pair]:
    """Write movements and counts, and return the pairs touched: of a full count all that are known."""
    effects = [reading.effect for reading in readings]
    movements = [effect for effect in effects if isinstance(effect, Movement)]
    counts = [effect for effect in effects if isinstance(effect, CountLine)]
    full = [effect for effect in effects if isinstance(effect, FullCount)]
    async with conn.cursor() as cursor:
        await cursor.executemany(PUT_MOVEMENT, [_movement_row(m) for m in movements])
        await cursor.executemany(PUT_COUNT, [_count_row(c) for c in counts])
        await cursor.executemany(PUT_FULL_COUNT, [_full_count_row(f) for f in full])
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
    waiting: list[tuple[ScanEvent, dict[str, int]]] = []
    for row in await (await conn.execute(UNKNOWN)).fetchall():
        places = zip(PLACES, row, strict=False)
        device, epoch, seq, *rest = row[len(PLACES) :]
        waiting.append(
            (
                ScanEvent(ScanKey(device, epoch, seq), *rest),
                {name: place for name, place in places if place is not None},
            )
        )
    articles = await load_articles(conn, [scan for scan, _ in waiting])
    readings = [
        ledger.read(scan, found, places)
        for scan, places in waiting
        if (found := barcodes.look_up(scan.code, articles, scan.aim_id)) is not None
    ]
    async with conn.cursor() as cursor:
        await cursor.executemany(
            KNOWN_NOW,
            [
                (r.status, r.doubt, r.scan.key.device, r.scan.key.epoch, r.scan.key.seq,
                 r.scan.payload_hash)
                for r in readings
            ],
        )  # fmt: skip
    await refresh(conn, await _write_effects(conn, readings))
    return len(readings)


async def refresh(conn: Connection, pairs: Collection[Pair]) -> None:
    """Bring the levels of pairs up to date, and what they propose."""
    if pairs:
        await refresh_levels(conn, pairs)
        await refresh_proposals(conn, {pair[:2] for pair in pairs})


async def refresh_levels(conn: Connection, pairs: Iterable[Pair]) -> None:
    """Compute the level of each pair from its latest count and the postings after it."""
    ordered = sorted(pairs)
    await conn.execute(
        REFRESH_LEVELS,
        ([p[0] for p in ordered], [p[1] for p in ordered], [p[2] for p in ordered]),
    )


async def refresh_proposals(conn: Connection, pairs: Iterable[tuple[int, int]]) -> None:
    """Set, change or remove the open proposal of each (location, item) that a template follows."""
    ordered = sorted(set(pairs))
    rows = await conn.execute(POSITIONS, ([p[0] for p in ordered], [p[1] for p in ordered]))
    positions = [
        Position(location_id, item_id, on_hand, on_order, Policy(*policy))
        for location_id, item_id, on_hand, on_order, *policy in await rows.fetchall()
    ]
    wanted = {(p.location_id, p.item_id): replenish.quantity(p) for p in positions}
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "DELETE FROM proposal WHERE location_id = %s AND item_id = %s",
            [pair for pair in ordered if wanted.get(pair, 0) == 0],
        )
        await cursor.executemany(
            SET_PROPOSAL,
            [
                (p.location_id, p.item_id, qty, Jsonb(replenish.inputs(p)))
                for p in positions
                if (qty := wanted[p.location_id, p.item_id]) > 0
            ],
        )


async def refresh_tasks(conn: Connection, pairs: Iterable[Pair], now: int) -> list[CountTask]:
    """Bring up to date what of these pairs is to be counted again; return what is asked for anew."""
    asked = sorted({pair[:2] for pair in pairs})
    columns = [p[0] for p in asked], [p[1] for p in asked]
    await conn.execute(SETTLE_TASKS, columns)
    async with conn.cursor(row_factory=class_row(CountTask)) as cursor:
        await cursor.execute(ASK_TASKS, (as_datetime(now), *columns))
        return await cursor.fetchall()


PAIRS = """
SELECT location_id, item_id, lot FROM posting
UNION SELECT location_id, item_id, lot FROM count_line
"""

#: What is kept beside scans and orders, and can be computed again from them.
CACHES: Final = ("level", "proposal")

DRIFT = """
SELECT count(*) FROM (
  (TABLE {0} EXCEPT TABLE {0}_kept) UNION ALL (TABLE {0}_kept EXCEPT TABLE {0})
) AS differing
"""


async def rebuild(conn: Connection) -> dict[str, int]:
    """Compute every level and proposal anew; return how many rows of each were not as they are now."""
    await lock_ledger(conn)
    for table in CACHES:
        await conn.execute(f"CREATE TEMP TABLE {table}_kept ON COMMIT DROP AS TABLE {table}")
        await conn.execute(f"DELETE FROM {table}")
    pairs: list[Pair] = await (await conn.execute(PAIRS)).fetchall()
    await refresh(conn, pairs)
    drift = {}
    for table in CACHES:
        [drift[table]] = await (await conn.execute(DRIFT.format(table))).fetchone() or (0,)
    return drift


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
    """Move each (device, epoch) on as far as its scans are unbroken; return where each stands."""
    ordered = sorted(epochs)
    rows = await conn.execute(ADVANCE, ([e[0] for e in ordered], [e[1] for e in ordered]))
    return await rows.fetchall()


async def make_orders(conn: Connection, now: int) -> list[Order]:
    """Turn what is proposed into orders at every warehouse whose cut-off has come.

    A cut-off is done once: the ledger is locked, and the warehouse remembers it. The first look at a new
    warehouse only sets the mark.
    """
    moment = as_datetime(now)
    if not await _load_due(conn, moment):
        return []
    await lock_ledger(conn)  # a scan that is being written has its say before or after, not both
    made: list[Order] = []
    for warehouse, cutoff in await _load_due(conn, moment):
        if warehouse.cutoff_done_at is not None:
            made += await _order_proposed(conn, warehouse, cutoff, moment)
        await conn.execute(
            "UPDATE warehouse SET cutoff_done_at = %s WHERE warehouse_id = %s",
            (cutoff, warehouse.warehouse_id),
        )
    return made


async def _load_due(conn: Connection, moment: datetime) -> list[tuple[Warehouse, datetime]]:
    """Return the warehouses whose latest cut-off has not made its orders, with that cut-off."""
    async with conn.cursor(row_factory=class_row(Warehouse)) as cursor:
        await cursor.execute(WAREHOUSES)
        warehouses = await cursor.fetchall()
    latest = ((w, orders.latest_cutoff(w.cutoff_times, w.time_zone, moment)) for w in warehouses)
    return [
        (warehouse, cutoff)
        for warehouse, cutoff in latest
        if cutoff is not None
        and (warehouse.cutoff_done_at is None or warehouse.cutoff_done_at < cutoff)
    ]


async def _order_proposed(
    conn: Connection, warehouse: Warehouse, cutoff: datetime, moment: datetime
) -> list[Order]:
    async with conn.cursor(row_factory=class_row(Proposed)) as cursor:
        await cursor.execute(PROPOSED, (warehouse.warehouse_id,))
        proposed = await cursor.fetchall()
    made: list[Order] = []
    for van_code in sorted({line.van_code for line in proposed}):
        lines = [line for line in proposed if line.van_code == van_code]
        first, code = lines[0], orders.order_code(van_code, cutoff)
        put = await conn.execute(
            PUT_ORDER,
            (code, warehouse.organisation_id, warehouse.warehouse_id, first.location_id,
             first.mode, cutoff, moment),
        )  # fmt: skip
        (order_id,) = await put.fetchone() or (None,)
        async with conn.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO resupply_line (order_id, item_id, requested, inputs)"
                " VALUES (%s, %s, %s, %s)",
                [(order_id, line.item_id, line.qty, Jsonb(line.inputs)) for line in lines],
            )
            await cursor.executemany(
                "DELETE FROM proposal WHERE location_id = %s AND item_id = %s",
                [(line.location_id, line.item_id) for line in lines],
            )
        made.append(
            Order(
                code,
                warehouse.organisation_id,
                warehouse.code,
                van_code,
                first.mode,
                cutoff,
                lines,
            )
        )
    return made


def _columns(keys: Sequence[ScanKey]) -> tuple[list[str], list[str], list[int]]:
    return [k.device for k in keys], [k.epoch for k in keys], [k.seq for k in keys]


def _scan_row(reading: Reading, now: int) -> tuple[object, ...]:
    scan, key = reading.scan, reading.scan.key
    return (
        key.device, key.epoch, key.seq, scan.payload_hash, scan.van_id, as_datetime(scan.t),
        scan.intent, scan.code, reading.status, scan.raw, as_datetime(now), scan.aim_id, scan.qty,
        scan.lot, scan.counterpart, scan.work_order, reading.doubt,
    )  # fmt: skip


def _movement_row(m: Movement) -> tuple[object, ...]:
    return (
        m.key.device, m.key.epoch, m.key.seq, as_datetime(m.t), m.kind, m.item_id, m.lot, m.qty,
        m.from_location_id, m.to_location_id, m.work_order, m.serial, m.expiry,
    )  # fmt: skip


def _full_count_row(f: FullCount) -> tuple[object, ...]:
    key = f.key
    return (
        key.device, key.epoch, key.seq, f.location_id, as_datetime(f.since), as_datetime(f.t),
    )  # fmt: skip


def _count_row(c: CountLine) -> tuple[object, ...]:
    return (
        c.key.device, c.key.epoch, c.key.seq, c.location_id, c.item_id, c.lot, c.qty,
        as_datetime(c.t), c.serial, c.expiry,
    )  # fmt: skip
