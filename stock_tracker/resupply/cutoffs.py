"""The SQL of orders: from proposals to what warehouses are told. Functions never commit.

`tick` does what the clock demands, in this order: calendars move on, proposals follow what jobs need
now, cut-offs that have come make their orders, what cannot wait for a delivery gets a faster way, and
what is approved is sent. Each step is done once, whoever calls it and how often.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from stock_tracker.ledger import CountTask
from stock_tracker.levels import lock_ledger, refresh_tasks
from stock_tracker.resupply import calendars, handovers, orders, positions, urgent
from stock_tracker.resupply.allocation import Want, allocate
from stock_tracker.resupply.calendars import Calendar
from stock_tracker.resupply.orders import Line, Mode, Order
from stock_tracker.resupply.positions import LocationItem
from stock_tracker.resupply.urgent import Handover, Lack
from storage.pool import Connection
from storage.settings import as_datetime

WAREHOUSES = """
SELECT warehouse_id, code, organisation_id, time_zone, cutoff_times, closed_days, delivery_days,
       delivery_time, express_minutes, approval, cutoff_done_at, next_delivery_at, needs_until
FROM warehouse ORDER BY warehouse_id
"""

SET_HORIZON = """
UPDATE warehouse SET next_delivery_at = %s, needs_until = %s WHERE warehouse_id = %s
"""

# Exceptions that end, and lots that expire, when a warehouse's calendar moves on.
MOVED_ON = """
SELECT location_id, item_id FROM policy_exception
JOIN location USING (location_id) JOIN van USING (van_id)
WHERE van.warehouse_id = %(warehouse)s
UNION
SELECT location_id, item_id FROM level
JOIN location USING (location_id) JOIN van USING (van_id)
WHERE van.warehouse_id = %(warehouse)s AND lot <> ''
"""

# What is unconfirmed waits until somebody counts or approves, unless a job or a critical item is
# behind it.
PROPOSED = """
SELECT proposal.location_id, van.code AS van_code, item_id, ref, item.name, proposal.qty, inputs,
       CASE WHEN home_latitude_deg IS NULL THEN 'van' ELSE 'home' END AS mode,
       (SELECT min(window_start) FROM job_need AS job
        WHERE (job.location_id, job.item_id) = (proposal.location_id, proposal.item_id)) AS due_at
FROM proposal
JOIN location USING (location_id)
JOIN van ON van.van_id = location.van_id
JOIN item USING (item_id)
LEFT JOIN technician ON technician.technician_id = van.technician_id
LEFT JOIN count_task USING (location_id, item_id)
WHERE van.warehouse_id = %s
  AND (count_task.reason IS DISTINCT FROM 'unconfirmed' OR approved_by IS NOT NULL
       OR item.critical OR (inputs ->> 'needed')::integer > 0)
ORDER BY van.code, ref
"""

# What a warehouse has of these items and has not promised, where its stock is followed.
FREE_STOCK = """
SELECT item_id, (sum(level.qty) - coalesce((
         SELECT sum(greatest(0, allocated - shipped))
         FROM resupply_order AS o JOIN resupply_line AS l USING (order_id)
         WHERE o.warehouse_id = %(warehouse)s AND l.item_id = level.item_id
           AND o.state NOT IN ('received', 'cancelled')), 0))::integer
FROM level JOIN location USING (location_id)
WHERE location.kind = 'warehouse' AND location.warehouse_id = %(warehouse)s
  AND item_id = ANY(%(items)s)
GROUP BY item_id
HAVING bool_or(counted_at IS NOT NULL)
"""

BACKORDERS = """
SELECT order_id, item_id, requested - cancelled - allocated AS lacking
FROM resupply_order AS o JOIN resupply_line USING (order_id)
WHERE o.warehouse_id = %s AND state NOT IN ('received', 'cancelled')
  AND allocated < requested - cancelled
ORDER BY cutoff_at, order_id, item_id
"""

SUBSTITUTES = """
SELECT item_substitute.item_id, other_item_id, ref, name FROM item_substitute
JOIN item AS other ON other.item_id = other_item_id
WHERE item_substitute.item_id = ANY(%s) ORDER BY item_substitute.item_id, rank, other_item_id
"""

PUT_ORDER = """
INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state,
                            created_time, changed_time, due_at, approved_by, is_urgent, site_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (code) DO NOTHING
RETURNING order_id
"""

PUT_LINE = """
INSERT INTO resupply_line (order_id, item_id, requested, allocated, inputs, stop_id, instead_of)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

# Pairs that jobs will lack before the next delivery, and that nobody has looked at for ten minutes.
SHORT = """
UPDATE proposal SET looked_at = %(now)s FROM location, van, warehouse
WHERE short > 0 AND coalesce(looked_at < %(now)s - INTERVAL '10 minutes', true)
  AND location.location_id = proposal.location_id AND van.van_id = location.van_id
  AND warehouse.warehouse_id = van.warehouse_id
RETURNING proposal.location_id, proposal.item_id, short, inputs
"""

# The job that lacks it: the first at which what is on board and coming is used up.
LACKING = """
SELECT job.stop_id, job.work_order, job.window_end, van.code AS van_code, ref, item.name,
       site.site_id, job.warehouse_id, warehouse.organisation_id,
       tour.service_date > (%(now)s AT TIME ZONE site.time_zone)::date AS is_later_day,
       home_latitude_deg IS NOT NULL AS has_home, express_minutes
FROM (
  SELECT *, sum(qty) OVER (ORDER BY window_start, stop_id) AS running FROM job_need
  WHERE (location_id, item_id) = (%(location)s, %(item)s) AND window_start < next_delivery_at
) AS job
JOIN stop USING (stop_id) JOIN site USING (site_id) JOIN tour USING (tour_id)
JOIN van ON van.van_id = tour.van_id
JOIN item ON item.item_id = job.item_id
JOIN warehouse ON warehouse.warehouse_id = job.warehouse_id
LEFT JOIN technician USING (technician_id)
WHERE running > %(has)s AND job.window_end > %(now)s
  AND NOT EXISTS (SELECT FROM resupply_line
                  WHERE (resupply_line.stop_id, resupply_line.item_id) = (job.stop_id, job.item_id))
ORDER BY job.window_start, job.stop_id LIMIT 1
"""

SEND = """
UPDATE resupply_order SET sent_time = %s, changed_time = %s, state = 'sent'
WHERE state = 'approved' AND sent_time IS NULL
RETURNING order_id
"""

TO_SEND = """
SELECT o.order_id, o.code, o.organisation_id, warehouse.code AS warehouse_code,
       van.code AS van_code, o.mode, o.cutoff_at, o.due_at, o.is_urgent, site.code AS site_code
FROM resupply_order AS o
JOIN warehouse USING (warehouse_id)
JOIN location USING (location_id)
JOIN van ON van.van_id = location.van_id
LEFT JOIN site ON site.site_id = o.site_id
WHERE o.order_id = ANY(%s) ORDER BY o.code
"""

LINES = """
SELECT order_id, ref, name, requested AS qty, allocated, inputs
FROM resupply_line JOIN item USING (item_id)
WHERE order_id = ANY(%s) ORDER BY ref
"""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A warehouse as far as its orders go."""

    warehouse_id: int
    code: str
    organisation_id: int
    time_zone: str
    cutoff_times: list[time]
    closed_days: list[date]
    delivery_days: int
    delivery_time: time
    express_minutes: int
    approval: str
    cutoff_done_at: datetime | None
    next_delivery_at: datetime | None
    needs_until: datetime | None

    @property
    def calendar(self) -> Calendar:
        """Its working days and times."""
        return Calendar(
            self.cutoff_times,
            self.time_zone,
            frozenset(self.closed_days),
            self.delivery_days,
            self.delivery_time,
        )

    @property
    def approved_by(self) -> str | None:
        """Who approves its orders when they are made: a rule, or nobody yet."""
        return "rule" if self.approval == "automatic" else None


@dataclass(frozen=True, slots=True)
class Proposed:
    """An open proposal, ready to become a line."""

    location_id: int
    van_code: str
    item_id: int
    ref: str
    name: str
    qty: int
    inputs: dict[str, Any]
    mode: Mode
    due_at: datetime | None
    allocated: int | None = None
    instead_of: int | None = None


@dataclass(frozen=True, slots=True)
class Lacking:
    """A job that will lack a part, and what the ways to it depend on."""

    stop_id: int
    work_order: str | None
    window_end: datetime
    van_code: str
    ref: str
    name: str
    site_id: int
    warehouse_id: int
    organisation_id: int
    is_later_day: bool
    has_home: bool
    express_minutes: int

    def lack(self, units: int) -> Lack:
        """Return it as the rules see it."""
        return Lack(units, self.window_end, self.is_later_day, self.has_home, self.express_minutes)


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told after a tick: orders to warehouses, handovers to vans, what to count again."""

    orders: list[Order]
    handovers: list[Handover]
    tasks: list[CountTask]


async def tick(conn: Connection, now: int) -> News:
    """Do what the clock demands of resupply, and return what is to be told."""
    moment = as_datetime(now)
    async with conn.cursor(row_factory=class_row(Warehouse)) as cursor:
        await cursor.execute(WAREHOUSES)
        warehouses = await cursor.fetchall()
    due = [(w, cutoff) for w in warehouses if (cutoff := _due(w, moment)) is not None]
    touched = await _move_on([w for w in warehouses if w not in [d[0] for d in due]], conn)
    dirty = await positions.take_dirty(conn)
    touched |= dirty | await positions.refresh_needs(conn)
    touched |= await handovers.lapse(conn, moment)
    if touched or due:
        await lock_ledger(
            conn
        )  # a scan that is being written has its say before or after, not both
        await positions.refresh_proposals(conn, touched)
    for warehouse, cutoff in due:
        await _close(conn, warehouse, cutoff, moment)
    await _hasten(conn, moment)
    tasks = await refresh_tasks(conn, {(*pair, "") for pair in dirty}, now)
    return News(await _send(conn, moment), await handovers.tell(conn, now), tasks)


def _due(warehouse: Warehouse, moment: datetime) -> datetime | None:
    """Return the latest cut-off, if it has not made its orders."""
    cutoff, done = calendars.latest_cutoff(warehouse.calendar, moment), warehouse.cutoff_done_at
    return cutoff if cutoff is not None and (done is None or done < cutoff) else None


async def _move_on(warehouses: Iterable[Warehouse], conn: Connection) -> set[LocationItem]:
    """Bring the horizons of calendars up to date; return pairs that may change with them."""
    touched: set[LocationItem] = set()
    for warehouse in warehouses:
        done = warehouse.cutoff_done_at
        until = calendars.horizon(warehouse.calendar, done) if done else None
        if (warehouse.next_delivery_at, warehouse.needs_until) == (until or (None, None)):
            continue
        await conn.execute(SET_HORIZON, (*(until or (None, None)), warehouse.warehouse_id))
        rows = await conn.execute(MOVED_ON, {"warehouse": warehouse.warehouse_id})
        touched.update(await rows.fetchall())
    return touched


async def _close(
    conn: Connection, warehouse: Warehouse, cutoff: datetime, moment: datetime
) -> None:
    """Make the orders of a cut-off, and let the calendar go on.

    A cut-off is done once: the ledger is locked, and the warehouse remembers it. The first look at a
    new warehouse only sets the mark.
    """
    found = await conn.execute(
        "UPDATE warehouse SET cutoff_done_at = %s"
        " WHERE warehouse_id = %s AND coalesce(cutoff_done_at < %s, true) RETURNING true",
        (cutoff, warehouse.warehouse_id, cutoff),
    )
    if await found.fetchone() is None:
        return  # another ingest was first
    if warehouse.cutoff_done_at is not None:
        async with conn.cursor(row_factory=class_row(Proposed)) as cursor:
            await cursor.execute(PROPOSED, (warehouse.warehouse_id,))
            proposed = await cursor.fetchall()
        lines = await _allocated(conn, warehouse, proposed, moment)
        await _put_orders(conn, warehouse, lines, cutoff, moment)
        await positions.refresh_proposals(
            conn, {(line.location_id, line.item_id) for line in (*proposed, *lines)}
        )
    touched = await _move_on([replace(warehouse, cutoff_done_at=cutoff)], conn)
    await positions.refresh_proposals(conn, touched | await positions.refresh_needs(conn))


# --- Who gets what ------------------------------------------------------------------------------


async def _allocated(
    conn: Connection, warehouse: Warehouse, proposed: Sequence[Proposed], moment: datetime
) -> list[Proposed]:
    """Return the lines of a cut-off: what the warehouse has, and what comes from elsewhere instead."""
    subs = await (
        await conn.execute(SUBSTITUTES, (sorted({line.item_id for line in proposed}),))
    ).fetchall()
    backorders = await (await conn.execute(BACKORDERS, (warehouse.warehouse_id,))).fetchall()
    items = {line.item_id for line in proposed} | {row[1] for row in (*subs, *backorders)}
    rows = await conn.execute(
        FREE_STOCK, {"warehouse": warehouse.warehouse_id, "items": sorted(items)}
    )
    free: dict[int, int] = dict(await rows.fetchall())
    await _serve_backorders(conn, backorders, free)
    lines = list(proposed)
    for item_id in sorted(free.keys() & {line.item_id for line in proposed}):
        of_item = [i for i, line in enumerate(lines) if line.item_id == item_id]
        given = allocate([_want(lines[i], moment) for i in of_item], free[item_id])
        free[item_id] -= sum(given)
        for i, allocated in zip(of_item, given, strict=True):
            lines[i] = replace(lines[i], allocated=allocated)
    made: list[Proposed] = []
    for line in lines:
        made += await _completed(conn, line, subs, free, moment)
    return made


def _want(line: Proposed, moment: datetime) -> Want:
    said = line.inputs
    available = said["on_hand"] + said["on_order"] + said["on_transfer"] - said["needed"]
    needed = min(line.qty, max(0, -available))
    return Want(
        van=line.van_code,
        requested=line.qty,
        needed=needed,
        due_at=line.due_at,
        to_reorder_point=max(0, said["reorder_point"] + 1 - available - needed),
        on_hand=said["on_hand"],
        order_up_to=said["order_up_to"],
        pack_qty=said["pack_qty"],
        cutoff_at=moment,
    )


async def _serve_backorders(
    conn: Connection, backorders: Sequence[tuple[int, ...]], free: dict[int, int]
) -> None:
    """Give what has come in to those who have waited longest."""
    served = []
    for order_id, item_id, lacking in backorders:
        part = min(lacking, max(0, free.get(item_id, 0)))
        if part:
            free[item_id] -= part
            served.append((part, order_id, item_id))
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "UPDATE resupply_line SET allocated = allocated + %s"
            " WHERE (order_id, item_id) = (%s, %s)",
            served,
        )


async def _completed(
    conn: Connection,
    line: Proposed,
    subs: Sequence[tuple[Any, ...]],
    free: dict[int, int],
    moment: datetime,
) -> list[Proposed]:
    """Return a line, and what makes up for what the warehouse lacks of it.

    What lifts the van above its reorder point may come from a van that has it to spare and passes by;
    what a job still lacks, from a substitute. The rest is a backorder.
    """
    if line.allocated is None or line.allocated >= line.qty:
        return [line]
    want = _want(line, moment)
    lacking = want.needed + want.to_reorder_point - line.allocated
    if lacking <= 0:
        return [line]
    givers = await handovers.find_givers(conn, line.location_id, line.item_id, lacking, moment)
    near = [giver for giver in givers if giver.apart_m <= urgent.FAR_M]
    if near:
        giver = min(near, key=lambda giver: (giver.apart_m, giver.van))
        until = moment + timedelta(days=3)
        await handovers.propose(
            conn, giver, line.location_id, line.item_id, lacking, None, moment, until
        )
        rest = line.qty - lacking
        return [replace(line, qty=rest, allocated=min(line.allocated, rest))] if rest else []
    for item_id, other, ref, name in subs:
        units = want.needed - line.allocated
        if item_id == line.item_id and 0 < units <= free.get(other, 0):
            free[other] -= units
            why = f"instead of {units} {line.ref} that the warehouse lacks: {line.inputs['why']}"
            return [
                line,
                replace(
                    line, item_id=other, ref=ref, name=name, qty=units, allocated=units,
                    instead_of=item_id,
                    inputs={**line.inputs, "why": why,
                            "instead_of": {"item": line.ref, "units": units}},
                ),
            ]  # fmt: skip
    return [line]


# --- Orders -------------------------------------------------------------------------------------


async def _put_orders(
    conn: Connection,
    warehouse: Warehouse,
    lines: Sequence[Proposed],
    cutoff: datetime,
    moment: datetime,
) -> None:
    by_van: dict[str, dict[int, Proposed]] = defaultdict(dict)
    for line in lines:
        by_van[line.van_code].setdefault(line.item_id, line)
    due = calendars.delivery_of(warehouse.calendar, cutoff)
    for van, of_items in sorted(by_van.items()):
        first = next(iter(of_items.values()))
        state = "approved" if warehouse.approved_by else "proposed"
        put = await conn.execute(
            PUT_ORDER,
            (orders.order_code(van, cutoff), warehouse.organisation_id, warehouse.warehouse_id,
             first.location_id, first.mode, cutoff, state, moment, moment, due,
             warehouse.approved_by, False, None),
        )  # fmt: skip
        (order_id,) = await put.fetchone() or (None,)
        async with conn.cursor() as cursor:
            await cursor.executemany(
                PUT_LINE,
                [
                    (order_id, item_id, line.qty, line.allocated, Jsonb(line.inputs), None,
                     line.instead_of)
                    for item_id, line in of_items.items()
                ],
            )  # fmt: skip


async def _hasten(conn: Connection, moment: datetime) -> None:
    """Find a faster way for what jobs will lack before the next delivery."""
    rows = await (await conn.execute(SHORT, {"now": moment})).fetchall()
    for location_id, item_id, units, said in sorted(rows, key=lambda row: row[:2]):
        asked = {
            "location": location_id,
            "item": item_id,
            "now": moment,
            "has": said["on_hand"] + said["on_order"] + said["on_transfer"],
        }
        async with conn.cursor(row_factory=class_row(Lacking)) as cursor:
            await cursor.execute(LACKING, asked)
            job = await cursor.fetchone()
        if job is None:
            continue
        givers = await handovers.find_givers(conn, location_id, item_id, units, moment)
        way = urgent.cheapest(job.lack(units), givers, moment)
        if way is None:
            continue
        if way.giver is not None:
            await handovers.propose(
                conn, way.giver, location_id, item_id, units, job.stop_id, moment, job.window_end
            )
        else:
            await _order_urgently(conn, job, location_id, item_id, units, way.kind, said, moment)
        await lock_ledger(conn)
        await positions.refresh_proposals(conn, [(location_id, item_id)])


async def _order_urgently(
    conn: Connection,
    job: Lacking,
    location_id: int,
    item_id: int,
    units: int,
    mode: str,
    said: dict[str, Any],
    moment: datetime,
) -> None:
    """Order one item for one job, once; it is sent without waiting for a cut-off."""
    due = min(job.window_end, moment + timedelta(minutes=job.express_minutes))
    put = await conn.execute(
        PUT_ORDER,
        (orders.urgent_code(job.van_code, job.stop_id, job.ref), job.organisation_id,
         job.warehouse_id, location_id, mode, moment, "approved", moment, moment, due, "rule", True,
         job.site_id if mode == "site" else None),
    )  # fmt: skip
    made = await put.fetchone()
    if made is None:
        return
    name = f"job {job.work_order}" if job.work_order else "a job"
    why = f"{name} lacks {units} before the next delivery: {said['why']}"
    urgent_for = {"job": job.work_order, "units": units}
    inputs = Jsonb({**said, "why": why, "urgent": urgent_for})
    await conn.execute(
        PUT_LINE,
        (made[0], item_id, units, None, inputs, job.stop_id, None),
    )


async def _send(conn: Connection, moment: datetime) -> list[Order]:
    """Mark approved orders as sent, and return them."""
    sent = await (await conn.execute(SEND, (moment, moment))).fetchall()
    return await load_orders(conn, [row[0] for row in sent])


async def load_orders(conn: Connection, order_ids: Sequence[int]) -> list[Order]:
    """Return orders as warehouses are told of them."""
    if not order_ids:
        return []
    lines: dict[int, list[Line]] = defaultdict(list)
    for order_id, *line in await (await conn.execute(LINES, (list(order_ids),))).fetchall():
        lines[order_id].append(Line(*line))
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(TO_SEND, (list(order_ids),))
        rows = await cursor.fetchall()
    return [Order(lines=lines[row.pop("order_id")], **row) for row in rows]
