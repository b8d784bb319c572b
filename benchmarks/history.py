"""A company's past, written straight into the tables: what months of a fleet leave behind.

The reference data are those of a simulated world (20,000 sites, 1,800 items a van), imported as
operators do. What came after is generated in the shape of the tables, not by ingest, which would take
days; so it is like a company's in its amounts, and says nothing of what the rules would find:

| of a van and day | rows | how                                                                          |
| ---------------- | ---- | ---------------------------------------------------------------------------- |
| fixes            | 8,640 | every 10 s of 24 h: drives of 30 min to six sites, an hour at each, then parked |
| stops, visits    | 6    | at sites of the van's own hundred; every eighth is late                      |
| legs             | 12   | a trip and a halt for each                                                   |
| unusable fixes   | 86   | one in a hundred                                                             |
| scans            | 12   | an issue each with its movement and two postings                             |
| orders           | 1    | of five lines, by the evening's cut-off                                      |

Every van was counted as a whole 90 days before the end, and holds all items.

Fixes are in the table in the order of time, all vans' beside each other, as ingest leaves them: the
rows of one van's day lie on as many pages. Numbers that a receiver would round are rounded, for
compression depends on them.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg

from ops import imports
from ops.verify import REFERENCE
from simulators.world import create_world
from simulators.world_files import write_world
from storage.copy import binary_rows, timestamps
from storage.pool import migrate
from storage.settings import Settings, as_ms

LAST_DAY: Final = date(2026, 5, 29)
STOPS: Final = 6
INTERVAL_S: Final = 10
DAY_S: Final = 86_400
BEGINS_S: Final = 5 * 3_600
DRIVE_S: Final = 1_800
STAY_S: Final = 3_600
SLICES: Final = 24
#: Parked where it was, on its way, there: seconds of the day between which a van moves evenly.
TIMES_S: Final = np.array(
    [0, *(BEGINS_S + nth * (DRIVE_S + STAY_S) + s for nth in range(STOPS) for s in (0, DRIVE_S)),
     DAY_S]
)  # fmt: skip

TOURS: Final = """
INSERT INTO tour (code, van_id, service_date)
SELECT 'T-' || van_id || '-' || day::date, van_id, day
FROM van, generate_series(%(first)s::date, %(last)s::date, INTERVAL '1 day') AS day
ORDER BY day, van_id
"""

#: A van's own hundred sites are neighbours; it comes to them in turn.
STOPS_OF_TOURS: Final = """
WITH place AS (
  SELECT site_id, row_number() OVER (ORDER BY round(latitude_deg::numeric), longitude_deg) - 1 AS nr
  FROM site
), planned AS (
  SELECT tour_id, van_id, service_date, position,
         service_date::timestamp AT TIME ZONE 'UTC'
           + make_interval(secs => %(begins)s + %(drive)s + (position - 1) * (%(drive)s + %(stay)s)) AS at
  FROM tour, generate_series(1, %(stops)s) AS position
)
INSERT INTO stop (tour_id, position, site_id, window_start, window_end, planned_duration_s,
                  work_order, judged, planned_arrival)
SELECT tour_id, position, site_id, at - INTERVAL '15 minutes',
       at + CASE WHEN (tour_id + position) %% 8 = 0 THEN -INTERVAL '1 minute' ELSE INTERVAL '1 hour' END,
       %(stay)s, 'W-' || tour_id || '-' || position, 'day', at
FROM planned
JOIN place ON place.nr = (van_id * 100 + ((service_date - %(first)s) * %(stops)s + position) %% 100)
  %% (SELECT count(*) FROM site)
ORDER BY tour_id, position
"""

VISITS: Final = """
INSERT INTO visit (van_id, site_id, arrived_at, last_inside_at, left_at, closed_by, verdict, uncertain,
                   ignition_off, service_date, stop_id, punctuality, fixes, centre_mm_sum)
SELECT van_id, site_id, planned_arrival, planned_arrival + make_interval(secs => %(stay)s - 10),
       planned_arrival + make_interval(secs => %(stay)s + 10),
       planned_arrival + make_interval(secs => %(stay)s + 70), 'visit', false, true, service_date, stop_id,
       CASE WHEN planned_arrival > window_end THEN 'late' ELSE 'on_time' END, 360, 7200000
FROM stop JOIN tour USING (tour_id) ORDER BY planned_arrival
"""

ALERTS: Final = """
INSERT INTO alert (van_id, stop_id, kind, due_at, ended_at, state, reason, told, raised_time,
                   changed_time, minutes)
SELECT van_id, stop_id, 'late', window_end, arrived_at, 'cleared', 'arrived late', true, window_end,
       arrived_at, 1
FROM visit JOIN stop USING (stop_id) WHERE punctuality = 'late' ORDER BY window_end
"""

LEGS: Final = """
INSERT INTO leg
SELECT van_id, arrived_at - make_interval(secs => %(drive)s), 'trip', arrived_at, true, 20000, 120, 0,
       latitude_deg, longitude_deg
FROM visit JOIN site USING (site_id)
UNION ALL
SELECT van_id, arrived_at, 'halt', left_at, true, 0, %(stay)s, 0, latitude_deg, longitude_deg
FROM visit JOIN site USING (site_id)
ORDER BY 2
"""

#: A part for each visit in the morning and one in the afternoon, from the van to the customer.
SCANS: Final = """
CREATE TEMP TABLE issued AS
SELECT 'van-' || visit.van_id AS device,
       row_number() OVER (PARTITION BY visit.van_id ORDER BY arrived_at, half) AS seq,
       visit.van_id, arrived_at + half * INTERVAL '20 minutes' AS t, work_order,
       1 + (visit.van_id * 31 + stop_id * 7 + half * 911) %% %(items)s AS item_id,
       own.location_id AS van_location, customer.location_id AS customer_location
FROM visit JOIN stop USING (stop_id) CROSS JOIN generate_series(1, 2) AS half
JOIN location AS own ON own.kind = 'van' AND own.van_id = visit.van_id
JOIN location AS customer ON customer.kind = 'customer' AND customer.organisation_id = 1;
INSERT INTO scan (device, epoch, seq, payload_hash, van_id, t, intent, code, status, raw, received_time,
                  qty, work_order)
SELECT device, 'bench', seq, hashint8(seq), van_id, t, 'issue', convert_to('P-' || item_id, 'UTF8'),
       'applied', convert_to('{"intent":"issue","seq":' || seq || '}', 'UTF8'), t, 1, work_order
FROM issued ORDER BY t;
INSERT INTO movement (device, epoch, seq, t, kind, item_id, qty, from_location_id, to_location_id,
                      work_order)
SELECT device, 'bench', seq, t, 'issue', item_id, 1, van_location, customer_location, work_order
FROM issued ORDER BY t;
INSERT INTO posting (device, epoch, seq, location_id, item_id, delta, t)
SELECT device, 'bench', seq, place.location_id, item_id, delta, t
FROM issued, LATERAL (VALUES (van_location, -1), (customer_location, 1)) AS place (location_id, delta)
ORDER BY t
"""

STOCK: Final = """
INSERT INTO template_line
SELECT template_id, item_id, 1 + item_id %% 3, 3 + item_id %% 3, 20, 1 FROM van_template, item
WHERE item_id <= %(items)s
ON CONFLICT DO NOTHING;
DELETE FROM count_line;
INSERT INTO count_line (device, epoch, seq, location_id, item_id, qty, t)
SELECT 'import', 'bench', row_number() OVER (), location_id, item_id, 2 + item_id %% 5,
       %(last)s::date - INTERVAL '90 days'
FROM location, item WHERE kind = 'van' AND item_id <= %(items)s;
DELETE FROM level;
INSERT INTO level (location_id, item_id, qty, counted_at)
SELECT location_id, item_id, qty + coalesce(moved, 0), counted.t
FROM count_line AS counted
LEFT JOIN (SELECT location_id, item_id, sum(delta) AS moved FROM posting GROUP BY 1, 2) AS posted
USING (location_id, item_id)
"""

ORDERS: Final = """
INSERT INTO resupply_order (code, organisation_id, warehouse_id, location_id, mode, cutoff_at, state,
                            created_time, due_at, approved_by, sent_time, changed_time)
SELECT 'O-' || tour_id, 1, van.warehouse_id, location_id, 'van', at,
       CASE WHEN service_date > %(last)s - 2 THEN 'sent' ELSE 'received' END,
       at, at + INTERVAL '1 day', 'rule', at, at
FROM tour JOIN van USING (van_id)
JOIN location ON location.kind = 'van' AND location.van_id = tour.van_id,
LATERAL (SELECT service_date + TIME '16:00' AT TIME ZONE 'UTC' AS at) AS cutoff
ORDER BY at, tour_id;
INSERT INTO resupply_line (order_id, item_id, requested, received, inputs, allocated, location_id)
SELECT order_id, 1 + (order_id * 5 + line) %% %(items)s, 2, CASE state WHEN 'received' THEN 2 ELSE 0 END,
       '{"why": "at the reorder point"}', 2, location_id
FROM resupply_order, generate_series(1, 5) AS line;
INSERT INTO proposal (location_id, item_id, qty, inputs)
SELECT location_id, 1 + (location_id * 7 + line * 13) %% %(items)s, 2,
       '{"why": "at the reorder point", "needed": 0}'
FROM location, generate_series(1, 10) AS line WHERE kind = 'van'
ON CONFLICT DO NOTHING
"""

#: What ingest keeps beside the fixes, and what triggers noted for it.
NEWEST: Final = """
INSERT INTO van_position
SELECT its.van_id, fix_time, latitude_deg, longitude_deg, speed_mps, bearing_deg, ignition, received_time
FROM van, LATERAL (SELECT * FROM fix WHERE fix.van_id = van.van_id ORDER BY fix_time DESC LIMIT 1) AS its
ON CONFLICT DO NOTHING;
INSERT INTO van_status SELECT van_id, fix_time, 'online', 'on' FROM van_position ON CONFLICT DO NOTHING;
INSERT INTO van_progress (van_id, through)
SELECT van_id, fix_time FROM van_position
ON CONFLICT DO NOTHING;
INSERT INTO unusable_fix
SELECT van_id, fix_time, 'poor_accuracy'
FROM van, generate_series(%(first)s::timestamptz, %(last)s::timestamptz + INTERVAL '1 day' - INTERVAL '1 s',
                          INTERVAL '1000 s') AS fix_time
ORDER BY fix_time;
DELETE FROM tour_edit;
DELETE FROM fence_edit
"""


class NotEmptyError(ValueError):
    """A database that holds something; nothing was written."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a company, and how long its past."""

    vans: int = 200
    days: int = 60
    sites: int = 20_000
    items: int = 1_800

    @property
    def first(self) -> date:
        """The first day."""
        return LAST_DAY - timedelta(days=self.days - 1)

    @property
    def fixes(self) -> int:
        """How many fixes all of it are."""
        return self.vans * self.days * (DAY_S // INTERVAL_S)


def fill(url: str, size: Size) -> int:
    """Write the past into an empty database and return how many fixes it has.

    Raises:
        NotEmptyError: It holds vans already.
    """
    migrate(url)
    with psycopg.connect(url, autocommit=True) as conn:
        if conn.execute("SELECT FROM van LIMIT 1").fetchone() is not None:
            raise NotEmptyError("This database has vans: name an empty one, it will be filled.")
        _reference(url, size)
        values: dict[str, Any] = {
            "first": size.first, "last": LAST_DAY, "stops": STOPS, "items": size.items,
            "begins": BEGINS_S, "drive": DRIVE_S, "stay": STAY_S,
        }  # fmt: skip
        for script in (TOURS, STOPS_OF_TOURS, VISITS, ALERTS, LEGS, SCANS, STOCK, ORDERS):
            _run(conn, script, values)
            conn.execute("ANALYZE")
        fixes = sum(_copy(conn, part) for part in _fixes(conn, size))
        _run(conn, NEWEST, values)
        conn.execute("VACUUM ANALYZE")
    return fixes


def _reference(url: str, size: Size) -> None:
    world = create_world(1, vans=size.vans, sites=size.sites, items=size.items)
    with tempfile.TemporaryDirectory() as name:
        write_world(world, Path(name), size.first)
        for kind in REFERENCE:
            file = Path(name) / f"{kind}.csv"
            asyncio.run(imports.import_file(Settings(database_url=url), kind, file))


def _run(conn: psycopg.Connection[Any], script: str, values: dict[str, Any]) -> None:
    for statement in script.split(";\n"):
        conn.execute(statement.encode(), values)


PLACES: Final = """
SELECT latitude_deg, longitude_deg FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id)
WHERE service_date = %s ORDER BY van_id, position
"""

Columns = dict[str, npt.NDArray[Any]]


def _fixes(conn: psycopg.Connection[Any], size: Size) -> Iterator[Columns]:
    """Yield the fixes as columns of the table, in the order of time, an hour of all vans at once."""
    vans = np.array(conn.execute("SELECT van_id FROM van ORDER BY 1").fetchall(), dtype=np.int32)[
        :, 0
    ]
    rng = np.random.default_rng(1)
    before = None
    for nth in range(size.days):
        day = size.first + timedelta(days=nth)
        rows = conn.execute(PLACES, (day,)).fetchall()
        places = np.array(rows).reshape(len(vans), STOPS, 2)
        # Where each van was parked over night, then each stop twice: when it comes and when it goes.
        parked = places[:, -1] if before is None else before
        way = np.concatenate(
            [parked[:, None], parked[:, None], np.repeat(places, 2, axis=1)], axis=1
        )
        yield from _day(vans, day, way, rng)
        before = places[:, -1]


def _day(
    vans: npt.NDArray[np.int32], day: date, way: npt.NDArray[np.float64], rng: np.random.Generator
) -> Iterator[Columns]:
    """Yield a day's fixes; `way` is latitude and longitude at `TIMES_S`, shape (vans, times, 2)."""
    begin_ms = as_ms(datetime.combine(day, time.fromisoformat("00:00Z")))
    for part in np.split(np.arange(0, DAY_S, INTERVAL_S), SLICES):
        shape = len(part), len(vans)
        latitude, longitude = (
            np.stack([np.interp(part, TIMES_S, of_van) for of_van in way[:, :, axis]], axis=1)
            + rng.normal(0, 4e-5, shape)
            for axis in (0, 1)
        )
        drives = np.searchsorted(TIMES_S, part, side="right") % 2 == 0
        moving = np.broadcast_to(drives[:, None], shape).ravel()
        t_ms = np.repeat(begin_ms + 1_000 * part.astype(np.int64), len(vans))
        count = len(t_ms)
        speed = np.where(moving, np.round(rng.uniform(5, 30, count), 1), 0.0)
        yield {
            "van_id": np.tile(vans, len(part)),
            "fix_time": timestamps(t_ms),
            "latitude_deg": np.round(latitude.ravel(), 6),
            "longitude_deg": np.round(longitude.ravel(), 6),
            "horizontal_accuracy_m": np.round(rng.uniform(3, 15, count), 1).astype(np.float32),
            "speed_mps": speed.astype(np.float32),
            "bearing_deg": np.where(moving, rng.integers(0, 360, count), 0).astype(np.float32),
            "ignition": moving,
            "odometer_m": np.round(10_000_000.0 + t_ms / 4_000 % 1_000_000),
            "battery_pct": (100 - t_ms // 3_600_000 % 60).astype(np.float32),
            "payload_hash": rng.integers(-(2**63), 2**63 - 1, count),
            "received_time": timestamps(t_ms) + rng.integers(50_000, 2_000_000, count),
        }


def _copy(conn: psycopg.Connection[Any], columns: Columns) -> int:
    with conn.cursor().copy("COPY fix FROM STDIN (FORMAT BINARY)") as copy:
        copy.write(binary_rows(columns))
    return len(columns["van_id"])
