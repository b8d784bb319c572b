"""Import of tours: the stops of a van on a day, with their windows and needs.

A tour is known by its code, a stop by its tour and position; a van has one tour a day. A file says
all of each tour that it lists, so that a stop it lists no longer is removed; tours may swap vans or
days within one file. Nothing here knows visits: a trigger notes the days, old and new, that ingest
matches again.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from geofence.imports.local_times import arrival, window, zone
from geofence.imports.needs import Minutes, Quantity, parts, skill
from storage.imports import ImportResult, begin, ids_by_code, merge, result, stage
from storage.pool import Connection
from storage.sheets import (
    BadRow,
    Code,
    Name,
    NumberedRow,
    StagedRow,
    UnusableRowError,
    csv_rows,
    has_column,
    known,
    sift,
)

STOPS_MAX: Final = 1_000


class TourRow(msgspec.Struct, frozen=True):
    """A line of tours.csv: one stop. Windows are HH:MM at the site, or ISO 8601 with an offset.

    `planned_arrival`, of the same form, is when the plan has the van there: who is early waits so
    that it leaves as planned. The skill is one word; parts are items with quantities, like
    `P-0001:2;P-0002` (1 where none is given), or by item where they come from no file. A file
    without one of these columns leaves what is known; where it is there, an empty cell means none.
    """

    tour: Code
    van: str
    date: Annotated[date, Meta(description="a day like 2026-01-31")]
    stop: Annotated[
        int, Meta(ge=1, le=STOPS_MAX, description=f"a whole number from 1 to {STOPS_MAX}")
    ]
    site: str
    window_start: str
    window_end: str
    planned_minutes: Minutes
    work_order: Name | None = None
    skill: Code | None = None
    parts: str | dict[str, Quantity] | None = None
    planned_arrival: str | None = None


STAGED_STOP = """
  tour text, position int, line int, van_id int, service_date date, site_id int,
  window_start timestamptz, window_end timestamptz, planned_duration_s int, work_order text,
  moved boolean, skill text, item_ids int[], quantities int[], repacked boolean,
  planned_arrival timestamptz
"""
# A code of another organisation, or a van's day that another tour has and keeps.
REFUSE_TOURS = """
WITH refused AS (
  SELECT DISTINCT staged.tour, CASE WHEN van.organisation_id <> %s
    THEN 'tour ' || staged.tour || ' is another organisation''s: choose another code'
    ELSE 'the van has tour ' || other.code || ' on that day already' END AS reason
  FROM staged
  JOIN tour AS other ON other.code = staged.tour
    OR (other.van_id, other.service_date) = (staged.van_id, staged.service_date)
  JOIN van ON van.van_id = other.van_id
  WHERE CASE WHEN other.code = staged.tour THEN van.organisation_id <> %s
    ELSE NOT EXISTS (SELECT FROM staged AS moving WHERE moving.tour = other.code) END
)
DELETE FROM staged USING refused WHERE staged.tour = refused.tour
RETURNING staged.line, refused.reason, staged.tour
"""
# A removed stop takes alerts with it and leaves visits, which ingest may be writing.
LOCK_TOURING_VANS = """
SELECT FROM van WHERE van_id IN (
  SELECT van_id FROM staged UNION SELECT van_id FROM tour WHERE code IN (SELECT tour FROM staged)
) ORDER BY van_id FOR NO KEY UPDATE
"""
MARK_MOVED_TOURS = """
UPDATE staged SET moved = true FROM tour
WHERE tour.code = staged.tour
  AND (tour.van_id, tour.service_date) <> (staged.van_id, staged.service_date)
"""
# Two tours that swap vans or days would trip tour_one_a_day midway: all step aside first.
PARK_MOVED_TOURS = """
UPDATE tour SET service_date = DATE '0001-01-01' + tour_id
WHERE code IN (SELECT tour FROM staged WHERE moved)
"""
MERGE_TOURS = """
INSERT INTO tour AS kept (code, van_id, service_date)
SELECT DISTINCT tour, van_id, service_date FROM staged ORDER BY tour
ON CONFLICT ON CONSTRAINT tour_code_once DO UPDATE SET
  van_id = excluded.van_id, service_date = excluded.service_date
WHERE (kept.van_id, kept.service_date) <> (excluded.van_id, excluded.service_date)
"""
# A stop whose parts have changed counts as changed, though they stand in a table of their own.
MARK_REPACKED_STOPS = """
WITH known AS (
  SELECT tour.code, stop.position,
         array_agg(item_id ORDER BY item_id) AS item_ids, array_agg(qty ORDER BY item_id) AS quantities
  FROM stop_part JOIN stop USING (stop_id) JOIN tour USING (tour_id)
  WHERE tour.code IN (SELECT tour FROM staged)
  GROUP BY tour.code, stop.position
), compared AS (
  SELECT staged.tour, staged.position
  FROM staged LEFT JOIN known ON (known.code, known.position) = (staged.tour, staged.position)
  WHERE (staged.item_ids, staged.quantities) IS DISTINCT FROM
    (coalesce(known.item_ids, '{}'), coalesce(known.quantities, '{}'))
)
UPDATE staged SET repacked = true FROM compared
WHERE (staged.tour, staged.position) = (compared.tour, compared.position)
"""
# What the clock has judged stays judged unless the plan is another.
MERGE_STOPS = """
INSERT INTO stop AS kept
  (tour_id, position, site_id, window_start, window_end, planned_duration_s, work_order, skill,
   planned_arrival)
SELECT tour_id, position, site_id, window_start, window_end, planned_duration_s, work_order, skill,
       planned_arrival
FROM staged JOIN tour ON tour.code = staged.tour
ORDER BY tour.code, position
ON CONFLICT ON CONSTRAINT stop_position_once DO UPDATE SET
  site_id = excluded.site_id, window_start = excluded.window_start,
  window_end = excluded.window_end, planned_duration_s = excluded.planned_duration_s,
  work_order = excluded.work_order,
  skill = CASE WHEN %s THEN excluded.skill ELSE kept.skill END,
  planned_arrival = CASE WHEN %s THEN excluded.planned_arrival ELSE kept.planned_arrival END,
  judged = CASE
    WHEN (kept.site_id, kept.window_start, kept.window_end, kept.planned_duration_s)
      = (excluded.site_id, excluded.window_start, excluded.window_end, excluded.planned_duration_s)
      AND kept.tour_id NOT IN
        (SELECT tour_id FROM tour JOIN staged ON staged.tour = tour.code WHERE staged.moved)
    THEN kept.judged END
WHERE (kept.site_id, kept.window_start, kept.window_end, kept.planned_duration_s, kept.work_order)
  IS DISTINCT FROM (excluded.site_id, excluded.window_start, excluded.window_end,
                    excluded.planned_duration_s, excluded.work_order)
  OR (%s AND kept.skill IS DISTINCT FROM excluded.skill)
  OR (%s AND kept.planned_arrival IS DISTINCT FROM excluded.planned_arrival)
  OR (kept.tour_id, kept.position) IN
    (SELECT tour_id, staged.position FROM tour JOIN staged ON staged.tour = tour.code
     WHERE staged.repacked)
  OR kept.tour_id IN
    (SELECT tour_id FROM tour JOIN staged ON staged.tour = tour.code WHERE staged.moved)
"""
REMOVE_PARTS = """
DELETE FROM stop_part USING stop, tour, staged
WHERE stop.stop_id = stop_part.stop_id AND tour.tour_id = stop.tour_id
  AND (staged.tour, staged.position) = (tour.code, stop.position) AND staged.repacked
"""
INSERT_PARTS = """
INSERT INTO stop_part (stop_id, item_id, qty)
SELECT stop_id, item_id, qty
FROM staged JOIN tour ON tour.code = staged.tour
JOIN stop ON (stop.tour_id, stop.position) = (tour.tour_id, staged.position)
CROSS JOIN unnest(item_ids, quantities) AS part (item_id, qty)
WHERE staged.repacked
"""
REMOVE_STOPS = """
DELETE FROM stop USING tour
WHERE tour.tour_id = stop.tour_id
  AND tour.code IN (SELECT tour FROM staged) AND tour.code <> ALL (%s)
  AND NOT EXISTS (SELECT FROM staged
                  WHERE staged.tour = tour.code AND staged.position = stop.position)
"""
VANS = "SELECT code, van_id FROM van WHERE organisation_id = %s"
SITES = "SELECT code, site_id FROM site WHERE organisation_id = %s"
SITE_ZONES = "SELECT code, time_zone FROM site WHERE organisation_id = %s"
ITEMS = "SELECT ref, item_id FROM item"
#: Columns without which what is known stays; an empty cell means none.
MAY_LACK: Final = ("skill", "parts", "planned_arrival")


async def import_tours(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import tours, one row a stop; each tour of the file is what the file lists.

    A stop is known by its position: it keeps its id while other things change, and is removed once
    the file lists its tour without it. From a tour with a refused row nothing is removed, since
    that row may be the missing stop.
    """
    says = frozenset(column for column in MAY_LACK if has_column(data, column))
    return await put_tours(conn, csv_rows(data, TourRow), organisation=organisation, says=says)


async def put_tours(
    conn: Connection,
    rows: Iterable[NumberedRow],
    *,
    organisation: str,
    says: frozenset[str] = frozenset(),
) -> ImportResult:
    """Do as `import_tours` for rows that were read already.

    Args:
        conn: A connection in a transaction.
        rows: The cells of `TourRow`s, numbered.
        organisation: Whose they are.
        says: Which of the columns in `MAY_LACK` the rows tell; the others stay as they are known.
    """
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VANS, [owner])
    sites = await ids_by_code(conn, SITES, [owner])
    zones: dict[str, str] = dict(await (await conn.execute(SITE_ZONES, [owner])).fetchall())
    says_skill, says_parts = "skill" in says, "parts" in says
    says_arrival = "planned_arrival" in says
    items = await ids_by_code(conn, ITEMS) if says_parts else {}
    plans: dict[str, tuple[str, date]] = {}
    tours: dict[tuple[str, date], str] = {}

    def staged_stop(line: int, row: TourRow) -> StagedRow:
        van_id = known(vans, "van", row.van)
        site_id = known(sites, "site", row.site)
        start, end = window(row.window_start, row.window_end, row.date, zone(zones[row.site]))
        plan = plans.setdefault(row.tour, (row.van, row.date))
        if plan != (row.van, row.date):
            raise UnusableRowError(f"tour {row.tour} is for van {plan[0]} on {plan[1]} further up")
        if (other := tours.setdefault(plan, row.tour)) != row.tour:
            raise UnusableRowError(f"van {row.van} has tour {other} on {row.date} further up")
        needed = parts(items, row.parts or "")
        return (row.tour, row.stop, line, van_id, row.date, site_id, start, end,
                round(row.planned_minutes * 60), row.work_order, False,
                row.skill and skill(row.skill), list(needed), list(needed.values()), False,
                row.planned_arrival and arrival(row.planned_arrival, start, row.date,
                                                zone(zones[row.site])))  # fmt: skip

    sheet = sift(rows, TourRow, staged_stop, ["tour", "stop"])
    await stage(conn, STAGED_STOP, sheet.staged)
    refused = await _refuse_tours(conn, owner)
    lines = {bad.line for bad in refused}
    sheet = replace(
        sheet,
        staged=[row for row in sheet.staged if row[2] not in lines],
        bad=sorted([*sheet.bad, *refused], key=lambda bad: bad.line),
    )
    for statement in (LOCK_TOURING_VANS, MARK_MOVED_TOURS, PARK_MOVED_TOURS, MERGE_TOURS):
        await conn.execute(statement)
    if says_parts:
        await conn.execute(MARK_REPACKED_STOPS)
    merged = await merge(conn, MERGE_STOPS, [says_skill, says_arrival, says_skill, says_arrival])
    for statement in (REMOVE_PARTS, INSERT_PARTS) if says_parts else ():
        await conn.execute(statement)
    return result("tours", sheet, merged, await _remove_stops(conn, sheet.bad))


async def _refuse_tours(conn: Connection, owner: int) -> list[BadRow]:
    """Drop staged tours that cannot be, until the rest can: a refused one keeps its old day."""
    refused: list[BadRow] = []
    while found := await (await conn.execute(REFUSE_TOURS, [owner, owner])).fetchall():
        refused += [BadRow(line, reason, {"tour": tour}, "taken") for line, reason, tour in found]
    return refused


async def _remove_stops(conn: Connection, bad: list[BadRow]) -> int:
    """Remove stops no longer listed, and return how many."""
    if any("tour" not in row.cells for row in bad):
        return 0  # A line that names no tour may be a stop of any.
    doubtful = [str(row.cells["tour"]) for row in bad]
    return (await conn.execute(REMOVE_STOPS, [doubtful])).rowcount
