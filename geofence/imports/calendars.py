"""Import of working calendars: when positions may be kept at all.

A line is hours of a calendar: of a van, or of all vans of the organisation that have none of their own.
A file holds all calendars of the organisation; those that it does not name are removed. What that makes
off duty is deleted by ingest, also of what has been. What a calendar means stands in `geofence/duty.py`.
"""

import re
from typing import Final

import msgspec

from geofence.imports.local_times import DEFAULT_TIME_ZONE, clock_time, days, zone
from storage.imports import ImportResult, begin, ids_by_code, result, stage
from storage.pool import Connection
from storage.sheets import Code, Name, StagedRow, UnusableRowError, csv_rows, known, sift

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class CalendarRow(msgspec.Struct, frozen=True):
    """A line of calendars.csv.

    Without `van` it is the organisation's. `weekdays` are like `mon-fri` or `sat;sun`; `begins` and `ends`
    are local times, `ends` up to 24:00: who works through the night needs two lines. `holidays`, like
    `2026-12-25;2027-01-01`, and `time_zone` are those of the whole calendar, on any of its lines.
    """

    weekdays: Name
    begins: Name
    ends: Name
    van: str | None = None
    time_zone: Code | None = None
    holidays: str | None = None


STAGED: Final = """
  van_id int, weekdays int[], begins_min int, ends_min int, time_zone text, holidays date[]
"""
VANS: Final = "SELECT code, van_id FROM van WHERE organisation_id = %s"
# NULL: the organisation's.
CALENDARS: Final = """
CREATE TEMP TABLE wanted ON COMMIT DROP AS
SELECT van_id, coalesce(max(time_zone), %s) AS time_zone,
       array(SELECT DISTINCT day FROM staged AS same, unnest(same.holidays) AS day
             WHERE same.van_id IS NOT DISTINCT FROM staged.van_id ORDER BY day) AS holidays,
       array_agg(DISTINCT ARRAY[weekday, begins_min, ends_min]) AS hours
FROM staged, unnest(weekdays) AS weekday GROUP BY van_id
"""
KNOWN: Final = """
SELECT calendar.*, (SELECT array_agg(DISTINCT ARRAY[weekday, begins_min, ends_min]::int[])
                    FROM working_hours AS hours WHERE hours.calendar_id = calendar.calendar_id) AS hours
FROM working_calendar AS calendar WHERE organisation_id = %(owner)s
"""
REMOVE: Final = """
DELETE FROM working_calendar AS old
WHERE organisation_id = %s
  AND NOT EXISTS (SELECT FROM wanted WHERE wanted.van_id IS NOT DISTINCT FROM old.van_id)
"""
CHANGED: Final = f"""
SELECT wanted.van_id, known.calendar_id FROM wanted
LEFT JOIN ({KNOWN}) AS known ON known.van_id IS NOT DISTINCT FROM wanted.van_id
WHERE (known.time_zone, known.holidays, known.hours)
  IS DISTINCT FROM (wanted.time_zone, wanted.holidays, wanted.hours)
"""
PUT_CALENDARS: Final = """
INSERT INTO working_calendar (organisation_id, van_id, time_zone, holidays)
SELECT %(owner)s, van_id, time_zone, holidays FROM wanted
ON CONFLICT ON CONSTRAINT working_calendar_once DO UPDATE SET
  time_zone = excluded.time_zone, holidays = excluded.holidays
WHERE (working_calendar.time_zone, working_calendar.holidays)
  IS DISTINCT FROM (excluded.time_zone, excluded.holidays)
"""
DROP_HOURS: Final = "DELETE FROM working_hours WHERE calendar_id = ANY(%s)"
PUT_HOURS: Final = """
INSERT INTO working_hours (calendar_id, weekday, begins_min, ends_min)
SELECT calendar_id, weekday, begins_min, max(ends_min)
FROM staged CROSS JOIN unnest(weekdays) AS weekday
JOIN working_calendar AS calendar
  ON calendar.organisation_id = %(owner)s AND calendar.van_id IS NOT DISTINCT FROM staged.van_id
GROUP BY 1, 2, 3
ON CONFLICT (calendar_id, weekday, begins_min) DO NOTHING
"""


async def import_calendars(conn: Connection, data: bytes, *, organisation: str) -> ImportResult:
    """Import an organisation's calendars, all of them."""
    owner = await begin(conn, organisation)
    vans = await ids_by_code(conn, VANS, [owner])
    zones: dict[str | None, str] = {}

    def staged(_line: int, row: CalendarRow) -> StagedRow:
        return staged_hours(vans, zones, row)

    sheet = sift(csv_rows(data, CalendarRow), CalendarRow, staged, ["van", "weekdays", "begins"])
    await stage(conn, STAGED, sheet.staged)
    await conn.execute("DROP TABLE IF EXISTS pg_temp.wanted")
    await conn.execute(CALENDARS, (DEFAULT_TIME_ZONE,))
    changed = await (await conn.execute(CHANGED, {"owner": owner})).fetchall()
    removed = (await conn.execute(REMOVE, (owner,))).rowcount
    await conn.execute(PUT_CALENDARS, {"owner": owner})
    old = [calendar_id for _, calendar_id in changed if calendar_id is not None]
    await conn.execute(DROP_HOURS, (old,))
    await conn.execute(PUT_HOURS, {"owner": owner})
    was: dict[int | None, int | None] = dict(changed)
    lines = [was[van] is None for van, *_ in sheet.staged if van in was]
    return result("calendars", sheet, (sum(lines), len(lines) - sum(lines)), removed)


def staged_hours(vans: dict[str, int], zones: dict[str | None, str], row: CalendarRow) -> StagedRow:
    """Return hours as staged: what the van is, the ISO weekdays, minutes from and to."""
    van = None if row.van is None else known(vans, "van", row.van)
    begins, ends = _minute(row.begins), _minute(row.ends)
    if begins >= ends:
        raise UnusableRowError(
            f"it ends at {row.ends}, not after it begins at {row.begins}: a night is two lines, up"
            " to 24:00 and from 00:00"
        )
    if row.time_zone is not None:
        zone(row.time_zone)
        first = zones.setdefault(row.van, row.time_zone)
        if first != row.time_zone:
            raise UnusableRowError(f"its calendar is in the time zone {first}: give it the same")
    weekdays = ",".join(str(day) for day in weekdays_of(row.weekdays))
    return (
        van,
        f"{{{weekdays}}}",
        begins,
        ends,
        row.time_zone,
        days("holidays", row.holidays or ""),
    )


def weekdays_of(text: str) -> tuple[int, ...]:
    """Return ISO weekdays from words like `mon-fri;sun`."""
    found: set[int] = set()
    for part in re.split(r"[;\s]+", text.casefold()):
        first, _, last = part.partition("-")
        try:
            begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        except ValueError:
            raise UnusableRowError(
                f"weekdays {text!r} are none: give them like mon-fri or sat;sun"
            ) from None
        end += 7 * (end < begin)
        found |= {day % 7 + 1 for day in range(begin, end + 1)}
    return tuple(sorted(found))


def _minute(text: str) -> int:
    if text == "24:00":
        return 1_440
    at = clock_time(text)
    if at.second:
        raise UnusableRowError(f"{text!r} has seconds: give whole minutes")
    return at.hour * 60 + at.minute
