"""Import of who travels: warehouses, technicians and vans; and the table of all these imports.

Each function takes a file's bytes and merges its good rows in the caller's transaction; how rows
are read and refused stands in `storage/sheets.py`, how they are merged in `storage/imports.py`.
Where vans travel stands beside this: `geofence/imports/sites.py`, `geofence/imports/tours.py`.
Positions are WGS 84 degrees. Nothing here knows fixes, visits or stock.
"""

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from geofence.imports.calendars import import_calendars
from geofence.imports.local_times import DEFAULT_TIME_ZONE, clock_time, days, zone
from geofence.imports.needs import skill
from geofence.imports.shapes import place
from geofence.imports.sites import import_sites
from geofence.imports.tours import import_tours
from storage.imports import Importer, ImportResult, begin, ids_by_code, merge, result, stage
from storage.pool import Connection
from storage.sheets import (
    Code,
    LatitudeDeg,
    LongitudeDeg,
    Name,
    StagedRow,
    UnusableRowError,
    csv_rows,
    has_column,
    known,
    sift,
)

VanCode = Annotated[
    str,
    Meta(
        max_length=64,
        # One level of an MQTT topic, and one token of a NATS subject.
        pattern=r"^[^\s/+#.>*\x00-\x1f\x7f\ud800-\udfff]+\Z",
        description="1 to 64 characters, none of them / + # . > * or a space",
    ),
]

# --- Warehouses --------------------------------------------------------------------------------


class WarehouseRow(msgspec.Struct, frozen=True):
    """A line of warehouses.csv. A file without one of the columns from `closed_days` on leaves it.

    `delivery_days` are working days from a cut-off to its delivery at `delivery_time`, closed days are
    like `2026-12-25;2027-01-01`, a courier takes `express_minutes` to a site (0: there is none), orders
    are approved `automatic` or `by_person`, and boxes are numbered behind `sscc_prefix`.
    """

    warehouse: Code
    name: Name
    latitude_deg: LatitudeDeg
    longitude_deg: LongitudeDeg
    time_zone: Code = DEFAULT_TIME_ZONE
    cutoff_times: Name = "16:00"
    closed_days: str | None = None
    delivery_days: (
        Annotated[int, Meta(ge=0, le=30, description="a whole number of days from 0 to 30")] | None
    ) = None
    delivery_time: str | None = None
    express_minutes: (
        Annotated[int, Meta(ge=0, le=10_080, description="a whole number of minutes to 10080")]
        | None
    ) = None
    approval: (
        Annotated[
            str, Meta(pattern=r"^(automatic|by_person)\Z", description="automatic or by_person")
        ]
        | None
    ) = None
    sscc_prefix: (
        Annotated[str, Meta(pattern=r"^[0-9]{7,12}\Z", description="7 to 12 digits")] | None
    ) = None


STAGED_WAREHOUSE = """
  code text, name text, latitude_deg float8, longitude_deg float8, time_zone text,
  cutoff_times time[], closed_days date[], delivery_days int, delivery_time time,
  express_minutes int, approval text, sscc_prefix text
"""
# What is NULL was not said: it stays, or gets the table's default.
ADD_WAREHOUSES = """
INSERT INTO warehouse (organisation_id, code, name, latitude_deg, longitude_deg)
SELECT %s, code, name, latitude_deg, longitude_deg FROM staged
ON CONFLICT ON CONSTRAINT warehouse_code_once DO NOTHING
RETURNING code
"""
SET_UP_WAREHOUSES = """
UPDATE warehouse AS kept SET
  name = said.name, latitude_deg = said.latitude_deg, longitude_deg = said.longitude_deg,
  time_zone = said.time_zone, cutoff_times = said.cutoff_times,
  closed_days = coalesce(said.closed_days, kept.closed_days),
  delivery_days = coalesce(said.delivery_days, kept.delivery_days),
  delivery_time = coalesce(said.delivery_time, kept.delivery_time),
  express_minutes = coalesce(said.express_minutes, kept.express_minutes),
  approval = coalesce(said.approval, kept.approval),
  sscc_prefix = coalesce(said.sscc_prefix, kept.sscc_prefix)
FROM staged AS said
WHERE kept.organisation_id = %s AND kept.code = said.code
  AND (kept.name, kept.latitude_deg, kept.longitude_deg, kept.time_zone, kept.cutoff_times,
       kept.closed_days, kept.delivery_days, kept.delivery_time, kept.express_minutes,
       kept.approval, kept.sscc_prefix)
    IS DISTINCT FROM
      (said.name, said.latitude_deg, said.longitude_deg, said.time_zone, said.cutoff_times,
       coalesce(said.closed_days, kept.closed_days),
       coalesce(said.delivery_days, kept.delivery_days),
       coalesce(said.delivery_time, kept.delivery_time),
       coalesce(said.express_minutes, kept.express_minutes),
       coalesce(said.approval, kept.approval), coalesce(said.sscc_prefix, kept.sscc_prefix))
RETURNING kept.code
"""
LOCATE_WAREHOUSES = """
INSERT INTO location (organisation_id, kind, warehouse_id)
SELECT organisation_id, 'warehouse', warehouse_id FROM warehouse WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""


async def import_warehouses(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import warehouses; each gets its stock location."""
    owner = await begin(conn, organisation)
    sheet = sift(csv_rows(data, WarehouseRow), WarehouseRow, staged_warehouse, ["warehouse"])
    await stage(conn, STAGED_WAREHOUSE, sheet.staged)
    added = {row[0] for row in await (await conn.execute(ADD_WAREHOUSES, [owner])).fetchall()}
    changed = {row[0] for row in await (await conn.execute(SET_UP_WAREHOUSES, [owner])).fetchall()}
    await conn.execute(LOCATE_WAREHOUSES, [owner])
    return result("warehouses", sheet, (len(added), len(changed - added)))


def staged_warehouse(_line: int, row: WarehouseRow) -> StagedRow:
    """Return a warehouse as staged; cut-off times are separated by `;` or spaces."""
    zone(row.time_zone)
    cutoffs = sorted({clock_time(text) for text in re.split(r"[;\s]+", row.cutoff_times) if text})
    if not cutoffs:
        raise UnusableRowError("cutoff_times names no time: give one, like 16:00")
    closed = None if row.closed_days is None else days("closed_days", row.closed_days)
    delivery = clock_time(row.delivery_time) if row.delivery_time else None
    return (row.warehouse, row.name, *place(row.latitude_deg, row.longitude_deg),
            row.time_zone, cutoffs, closed, row.delivery_days, delivery, row.express_minutes,
            row.approval, row.sscc_prefix)  # fmt: skip


# --- Technicians -------------------------------------------------------------------------------


class TechnicianRow(msgspec.Struct, frozen=True):
    """A line of technicians.csv; the home is optional, and whole where it is given.

    Skills are separated by `;` or spaces. A file without that column leaves what is known; where
    it is there, an empty cell means none.
    """

    technician: Code
    name: Name
    home_latitude_deg: LatitudeDeg | None = None
    home_longitude_deg: LongitudeDeg | None = None
    skills: Name | None = None


STAGED_TECHNICIAN = """
  code text, name text, home_latitude_deg float8, home_longitude_deg float8, skills text[]
"""
MERGE_TECHNICIANS = """
INSERT INTO technician AS kept
  (organisation_id, code, name, home_latitude_deg, home_longitude_deg, skills)
SELECT %s, code, name, home_latitude_deg, home_longitude_deg, skills FROM staged
ON CONFLICT ON CONSTRAINT technician_code_once DO UPDATE SET
  name = excluded.name, home_latitude_deg = excluded.home_latitude_deg,
  home_longitude_deg = excluded.home_longitude_deg,
  skills = CASE WHEN %s THEN excluded.skills ELSE kept.skills END
WHERE (kept.name, kept.home_latitude_deg, kept.home_longitude_deg)
    IS DISTINCT FROM (excluded.name, excluded.home_latitude_deg, excluded.home_longitude_deg)
  OR (%s AND kept.skills <> excluded.skills)
"""
LOCATE_TECHNICIANS = """
INSERT INTO location (organisation_id, kind, technician_id)
SELECT organisation_id, 'home', technician_id FROM technician WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""


async def import_technicians(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import technicians; each gets a home as stock location, whether or not its place is known."""
    owner = await begin(conn, organisation)
    rows = csv_rows(data, TechnicianRow)
    sheet = sift(rows, TechnicianRow, staged_technician, ["technician"])
    await stage(conn, STAGED_TECHNICIAN, sheet.staged)
    says_skills = has_column(data, "skills")
    merged = await merge(conn, MERGE_TECHNICIANS, [owner, says_skills, says_skills])
    await conn.execute(LOCATE_TECHNICIANS, [owner])
    return result("technicians", sheet, merged)


def staged_technician(_line: int, row: TechnicianRow) -> StagedRow:
    """Return a technician as staged; skills are kept in lower case, each once."""
    skills = sorted({skill(word) for word in re.split(r"[;\s]+", row.skills or "") if word})
    latitude_deg, longitude_deg = row.home_latitude_deg, row.home_longitude_deg
    if latitude_deg is None and longitude_deg is None:
        return (row.technician, row.name, None, None, skills)
    if latitude_deg is None or longitude_deg is None:
        raise UnusableRowError("a home needs both home_latitude_deg and home_longitude_deg")
    return (row.technician, row.name, *place(latitude_deg, longitude_deg), skills)


# --- Vans --------------------------------------------------------------------------------------


class VanRow(msgspec.Struct, frozen=True):
    """A line of vans.csv."""

    van: VanCode
    name: Name
    technician: str | None = None
    template: str | None = None
    warehouse: str | None = None


STAGED_VAN = "code text, name text, technician_id int, template_id int, warehouse_id int"
# Ingest locks the vans of a batch, in this order: in another, each could wait for the other.
LOCK_STAGED_VANS = """
SELECT FROM van WHERE code IN (SELECT code FROM staged) ORDER BY van_id FOR NO KEY UPDATE
"""
MERGE_VANS = """
INSERT INTO van AS kept (organisation_id, code, name, technician_id, template_id, warehouse_id)
SELECT %s, code, name, technician_id, template_id, warehouse_id FROM staged
ON CONFLICT ON CONSTRAINT van_code_once DO UPDATE SET
  name = excluded.name, technician_id = excluded.technician_id,
  template_id = excluded.template_id, warehouse_id = excluded.warehouse_id
WHERE (kept.name, kept.technician_id, kept.template_id, kept.warehouse_id)
  IS DISTINCT FROM (excluded.name, excluded.technician_id, excluded.template_id,
                    excluded.warehouse_id)
"""
LOCATE_VANS = """
INSERT INTO location (organisation_id, kind, van_id)
SELECT organisation_id, 'van', van_id FROM van WHERE organisation_id = %s
ON CONFLICT ON CONSTRAINT location_owner_once DO NOTHING
"""
TECHNICIANS = "SELECT code, technician_id FROM technician WHERE organisation_id = %s"
WAREHOUSES = "SELECT code, warehouse_id FROM warehouse WHERE organisation_id = %s"
TEMPLATES = "SELECT code, template_id FROM van_template"
VANS_OF_OTHERS = "SELECT code, van_id FROM van WHERE organisation_id <> %s"


async def import_vans(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import vans; each gets its stock location. Codes are one namespace, as the broker's is."""
    owner = await begin(conn, organisation)
    technicians = await ids_by_code(conn, TECHNICIANS, [owner])
    templates = await ids_by_code(conn, TEMPLATES)
    warehouses = await ids_by_code(conn, WAREHOUSES, [owner])
    taken = await ids_by_code(conn, VANS_OF_OTHERS, [owner])

    def staged_van(_line: int, row: VanRow) -> StagedRow:
        if row.van in taken:
            raise UnusableRowError(f"van {row.van} is another organisation's: choose another code")
        return (
            row.van,
            row.name,
            row.technician and known(technicians, "technician", row.technician),
            row.template and known(templates, "template", row.template),
            row.warehouse and known(warehouses, "warehouse", row.warehouse),
        )

    sheet = sift(csv_rows(data, VanRow), VanRow, staged_van, ["van"])
    await stage(conn, STAGED_VAN, sheet.staged)
    await conn.execute(LOCK_STAGED_VANS)
    merged = await merge(conn, MERGE_VANS, [owner])
    await conn.execute(LOCATE_VANS, [owner])
    return result("vans", sheet, merged)


KINDS: Final[dict[str, Importer]] = {
    "warehouses": import_warehouses,
    "technicians": import_technicians,
    "vans": import_vans,
    "sites": import_sites,
    "tours": import_tours,
    "calendars": import_calendars,
}
