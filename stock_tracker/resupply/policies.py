"""The SQL of what vans should hold: demand in, proposals for templates out. Functions never commit.

Proposals are set anew by each look and change nothing by themselves: somebody accepts them, all of a
template or some.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from psycopg.rows import class_row

from stock_tracker.levels import lock_ledger
from stock_tracker.resupply import assortment, demand
from stock_tracker.resupply.demand import Reals
from stock_tracker.resupply.positions import refresh_many
from storage.pool import Connection
from storage.settings import as_datetime

WEEKS_MAX: Final = 104
WORKING_DAYS: Final = 5.0
#: How many parts a job takes that takes any, until scans tell.
USUAL_PARTS: Final = 1.5
JOB_TARGET: Final = 0.98
#: Requests for more units than this count as this many.
SIZE_MAX: Final = 12

#: Whose demand is pooled: vans whose technicians have the same skills, else those of one template.
VANS = """
SELECT van_id, location_id, van.template_id, van_template.code AS template,
       coalesce(nullif(array_to_string(skills, ' '), ''), 'template ' || van_template.code) AS skill,
       coalesce(warehouse.delivery_days, 1) AS delivery_days
FROM van
JOIN location USING (van_id)
JOIN van_template USING (template_id)
LEFT JOIN technician ON technician.technician_id = van.technician_id
LEFT JOIN warehouse ON warehouse.warehouse_id = van.warehouse_id
WHERE location.kind = 'van'
ORDER BY van_id
"""

DEMAND = """
SELECT van_id, item_id, (week - %(first)s::date) / 7, sum(qty)::bigint
FROM weekly_demand
WHERE week >= %(first)s AND week < %(end)s AND qty > 0
GROUP BY 1, 2, 3
"""

FIRST_WEEK = "SELECT min(week) FROM weekly_demand WHERE week >= %s"

PARTS_A_JOB = """
SELECT count(DISTINCT (work_order, item_id))::float / nullif(count(DISTINCT work_order), 0)
FROM movement WHERE kind = 'issue' AND work_order IS NOT NULL
"""

ITEMS = "SELECT item_id, cost, critical FROM item WHERE tracked ORDER BY item_id"
LINES = "SELECT item_id, reorder_point, order_up_to, cap FROM template_line WHERE template_id = %s"

PROPOSE = """
INSERT INTO policy_proposal VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (template_id, item_id) DO UPDATE SET
  reorder_point = excluded.reorder_point, order_up_to = excluded.order_up_to, cap = excluded.cap,
  rate = excluded.rate, fill = excluded.fill, reason = excluded.reason,
  made_time = excluded.made_time
"""

ACCEPT = """
WITH accepted AS (
  DELETE FROM policy_proposal AS p USING van_template AS t
  WHERE t.template_id = p.template_id AND t.code = %(template)s
    AND (%(items)s::text[] IS NULL
         OR item_id IN (SELECT item_id FROM item WHERE ref = ANY(%(items)s)))
  RETURNING p.*
), dropped AS (
  DELETE FROM template_line USING accepted
  WHERE (template_line.template_id, template_line.item_id)
      = (accepted.template_id, accepted.item_id) AND accepted.order_up_to = 0
), put AS (
  INSERT INTO template_line (template_id, item_id, reorder_point, order_up_to, cap)
  SELECT template_id, item_id, reorder_point, order_up_to, cap FROM accepted WHERE order_up_to > 0
  ON CONFLICT (template_id, item_id) DO UPDATE SET
    reorder_point = excluded.reorder_point, order_up_to = excluded.order_up_to, cap = excluded.cap
)
SELECT template_id, item_id FROM accepted
"""

FOLLOWING = """
SELECT location_id, item_id
FROM location JOIN van USING (van_id), unnest(%s::int[]) AS changed (item_id)
WHERE location.kind = 'van' AND van.template_id = %s
"""


@dataclass(frozen=True, slots=True)
class Van:
    """A van as far as its demand goes; those of one `skill` are pooled."""

    van_id: int
    location_id: int
    template_id: int
    template: str
    skill: str
    delivery_days: int


@dataclass(frozen=True, slots=True)
class Items:
    """What may be carried: ids (n,), holding costs (n,), whether critical (n,)."""

    ids: list[int]
    cost: Reals
    critical: np.ndarray[Any, np.dtype[np.bool_]]


async def propose(
    conn: Connection, now: int, job_target: float = JOB_TARGET
) -> dict[str, tuple[int, float]]:
    """Set the proposals of every template anew.

    Args:
        conn: The caller's.
        now: The present, ms since 1970 UTC: weeks before this one count.
        job_target: Share of jobs that shall find all their parts on board.

    Returns:
        By template how many lines should change, and the share of requests served then.
    """
    today = as_datetime(now).date()
    async with conn.cursor(row_factory=class_row(Van)) as cursor:
        await cursor.execute(VANS)
        vans = await cursor.fetchall()
    rows = await (await conn.execute(ITEMS)).fetchall()
    items = Items(
        [row[0] for row in rows],
        np.array([row[1] for row in rows], float),
        np.array([row[2] for row in rows], bool),
    )
    rates, sizes = await _rates(conn, vans, items, today)
    parts = (await (await conn.execute(PARTS_A_JOB)).fetchone() or (None,))[0] or USUAL_PARTS
    target = assortment.requests_target(job_target, parts)
    await conn.execute("DELETE FROM policy_proposal")
    made = {}
    for template_id, code in sorted({(van.template_id, van.template) for van in vans}):
        of_template = [index for index, van in enumerate(vans) if van.template_id == template_id]
        weeks = (max(vans[i].delivery_days for i in of_template) + 1) / WORKING_DAYS
        made[code] = await _propose_template(
            conn, template_id, rates[:, of_template], sizes, items, weeks, target, now
        )
    return made


async def _rates(
    conn: Connection, vans: Sequence[Van], items: Items, today: date
) -> tuple[Reals, Reals]:
    """Return weekly rates (items, vans), and how often a request is for 1 .. k units (items, k)."""
    end = today - timedelta(days=today.weekday())
    earliest = end - timedelta(weeks=WEEKS_MAX)
    (first,) = await (await conn.execute(FIRST_WEEK, (earliest,))).fetchone() or (None,)
    weeks = max(1, (end - first).days // 7) if first else 1
    used = np.zeros((len(items.ids), len(vans), weeks))
    if first:
        van_index = {van.van_id: index for index, van in enumerate(vans)}
        item_index = {item: index for index, item in enumerate(items.ids)}
        rows = await conn.execute(DEMAND, {"first": first, "end": end})
        for van_id, item_id, week, qty in await rows.fetchall():
            if van_id in van_index and item_id in item_index and 0 <= week < weeks:
                used[item_index[item_id], van_index[van_id], week] = qty
    rates = np.zeros(used.shape[:2])
    for skill in sorted({van.skill for van in vans}):
        of_skill = [index for index, van in enumerate(vans) if van.skill == skill]
        mine = used[:, of_skill]
        made = demand.forecast(mine.sum(axis=1))
        work = mine.sum(axis=(0, 2)) + 1.0
        rates[:, of_skill] = demand.split(
            made.rate, work / work.sum(), mine.sum(axis=2), float(weeks)
        )
    # A van's week holds one request, hardly ever two: its size is that of the request.
    sizes = np.stack([(used == k).sum(axis=(1, 2)) for k in range(1, SIZE_MAX)], axis=1)
    sizes = np.column_stack([sizes, (used >= SIZE_MAX).sum(axis=(1, 2))]).astype(float)
    sizes[sizes.sum(axis=1) == 0, 0] = 1.0
    return rates, sizes / sizes.sum(axis=1, keepdims=True)


async def _propose_template(
    conn: Connection,
    template_id: int,
    rates: Reals,
    sizes: Reals,
    items: Items,
    weeks: float,
    target: float,
    now: int,
) -> tuple[int, float]:
    units = np.arange(1, SIZE_MAX + 1)
    size = sizes @ units
    size_var = sizes @ units**2 - size**2
    mean, variance = demand.over(rates, size[:, None], size_var[:, None], weeks)
    by_van = assortment.fill_rates(mean, variance, sizes[:, None])
    fill = assortment.averaged(by_van, rates)
    rate = rates.sum(axis=1)
    chosen = assortment.assort(rate / size, fill, items.cost, items.critical & (rate > 0), target)
    rows = await (await conn.execute(LINES, (template_id,))).fetchall()
    lines: Mapping[int, tuple[int, int, int]] = {row[0]: row[1:] for row in rows}
    proposed = []
    for index, item_id in enumerate(items.ids):
        upto, line = int(chosen.order_up_to[index]), lines.get(item_id)
        if (line[1] if line else 0) == upto and (not line or line[0] == upto - 1):
            continue
        cap = max(upto, line[2] if line else 0)
        share = float(chosen.fill[index])
        why = in_words(rate[index], rates.shape[1], weeks, upto, share, line)
        proposed.append(
            (template_id, item_id, upto - 1, upto, cap, rate[index], share, why, as_datetime(now))
        )
    async with conn.cursor() as cursor:
        await cursor.executemany(PROPOSE, proposed)
    return len(proposed), chosen.total_fill


def in_words(
    rate: float,
    vans: int,
    weeks: float,
    upto: int,
    fill: float,
    line: tuple[int, int, int] | None,
) -> str:
    """Return a sentence that says why a template line should be as it is proposed."""
    days = round(weeks * WORKING_DAYS)
    used = f"about {rate:.2g} a week in {vans} vans, {days} working days to refill"
    is_now = f"min {line[0]}, max {line[1]}" if line else "not carried"
    if upto == 0:
        return f"{used}: too few to carry; now {is_now}"
    return f"{used}: min {upto - 1}, max {upto} serves {fill:.1%} of requests; now {is_now}"


async def accept(conn: Connection, template: str, items: Collection[str] | None = None) -> int:
    """Make proposals the policy of a template, and let its vans' proposals follow; return how many.

    Args:
        conn: The caller's.
        template: Its code.
        items: References; None for all that is proposed.
    """
    asked = {"template": template, "items": None if items is None else sorted(items)}
    accepted = await (await conn.execute(ACCEPT, asked)).fetchall()
    if accepted:
        await lock_ledger(conn)
        changed = [row[1] for row in accepted]
        rows = await conn.execute(FOLLOWING, (changed, accepted[0][0]))
        await refresh_many(conn, await rows.fetchall())
    return len(accepted)
