"""The question of a technician in the morning: what the van's next days bring.

Scoped by a van that was found in the organisation; reads, never commits. Nothing foreseen is told: it
changes by the minute, and stands on the live stream.
"""

from datetime import date, timedelta
from itertools import groupby
from typing import Any, Final

from psycopg.rows import dict_row

from api.answers import DayStop, DayTour, Duty
from api.times import ms
from geofence import duty_store
from storage.pool import Connection

#: Today and the next two: who is out of reach for a day is ready for the one after.
DAYS: Final = 3

STOPS: Final = f"""
  SELECT tour.code AS tour, tour.service_date::text AS date, stop.stop_id, stop.position AS stop,
         site.code AS site, site.name AS site_name, site.latitude_deg, site.longitude_deg,
         {ms("stop.window_start")} AS window_start_ms, {ms("stop.window_end")} AS window_end_ms,
         {ms("stop.planned_arrival")} AS planned_arrival_ms, stop.planned_duration_s,
         stop.work_order, stop.skill, became.outcome,
         coalesce((SELECT jsonb_object_agg(item.ref, part.qty)
                   FROM stop_part AS part JOIN item ON item.item_id = part.item_id
                   WHERE part.stop_id = stop.stop_id), '{{}}'::jsonb) AS needs
  FROM tour JOIN stop USING (tour_id) JOIN site USING (site_id) JOIN stop_outcome AS became USING (stop_id)
  WHERE tour.van_id = %s AND tour.service_date BETWEEN %s AND %s
  ORDER BY tour.service_date, stop.position
"""
SWITCHED: Final = f"""
  SELECT duty, {ms("switched_at")} FROM duty_switch WHERE van_id = %s
  ORDER BY switched_at DESC LIMIT 1
"""


async def tours(conn: Connection, van_id: int, today: date) -> list[DayTour]:
    """Return the van's tours of the days from today on, with their stops in order."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(STOPS, (van_id, today, today + timedelta(days=DAYS - 1)))
        rows: list[dict[str, Any]] = await cursor.fetchall()
    return [
        DayTour(tour, day, [DayStop(**stop) for stop in _stops(of_tour)])
        for (tour, day), of_tour in groupby(rows, key=lambda row: (row["tour"], row["date"]))
    ]


def _stops(rows: Any) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k not in {"tour", "date"}} for row in rows]


async def duty(conn: Connection, van_id: int, now_ms: int) -> Duty:
    """Return whether the van is on duty, and what its switch said last."""
    calendars = await duty_store.load_calendars(conn)
    off = await duty_store.load_off_spans(conn, {van_id: (now_ms, now_ms + 1)}, calendars)
    row = await (await conn.execute(SWITCHED, (van_id,))).fetchone()
    switch, switched_ms = row or (None, None)
    return Duty("off" if van_id in off else "on", switch, switched_ms)
