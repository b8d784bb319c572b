"""The SQL of duty: switches, calendars, and what is deleted because it was off duty.

Functions take a connection and never commit.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from geofence.duty import Span, Switch, WorkingCalendar, days_of, off_spans
from storage.pool import Connection
from storage.rows import put_rows
from storage.settings import as_datetime

CALENDARS: Final = """
SELECT van.van_id, calendar.time_zone, calendar.holidays,
       (SELECT array_agg(ARRAY[weekday, begins_min, ends_min] ORDER BY weekday, begins_min)
        FROM working_hours AS hours WHERE hours.calendar_id = calendar.calendar_id)
FROM van JOIN LATERAL (
  SELECT * FROM working_calendar AS own
  WHERE own.organisation_id = van.organisation_id AND coalesce(own.van_id, van.van_id) = van.van_id
  ORDER BY own.van_id NULLS LAST LIMIT 1
) AS calendar ON true
"""

# What comes back is what changed.
PUT_SWITCHES: Final = """
INSERT INTO duty_switch AS known (van_id, switched_at, duty)
SELECT van_id, to_timestamp(t / 1000.0), duty
FROM unnest(%s::int[], %s::bigint[], %s::text[]) AS told (van_id, t, duty)
ON CONFLICT (van_id, switched_at) DO UPDATE SET duty = excluded.duty
WHERE (known.duty, excluded.duty) = ('on', 'off')
RETURNING van_id, (extract(epoch FROM switched_at) * 1000)::bigint
"""

# From the press that counts at `since` on: it follows the newest status that said the opposite. Two
# months back it is as good as any earlier one (duty.REST_DAYS_MAX).
SWITCHES: Final = """
SELECT van_id, (extract(epoch FROM switched_at) * 1000)::bigint, duty = 'on'
FROM (
  SELECT van_id, since,
         coalesce((SELECT max(switched_at) FROM duty_switch AS d WHERE d.van_id = wanted.van_id
                   AND duty = 'on' AND switched_at <= since), '-infinity') AS said_on,
         coalesce((SELECT max(switched_at) FROM duty_switch AS d WHERE d.van_id = wanted.van_id
                   AND duty = 'off' AND switched_at <= since), '-infinity') AS said_off
  FROM unnest(%s::int[], %s::timestamptz[]) AS wanted (van_id, since)
) AS known
JOIN duty_switch USING (van_id)
WHERE switched_at >= least(
  greatest(least(said_on, said_off), since - INTERVAL '62 days'), greatest(said_on, said_off))
ORDER BY van_id, switched_at
"""

DELETE_OFF_DUTY: Final = """
DELETE FROM fix
USING unnest(%s::int[], %s::timestamptz[], %s::timestamptz[]) AS off (van, since, until)
WHERE van_id = van AND fix_time >= since AND fix_time < until
RETURNING van_id, (extract(epoch FROM fix_time) * 1000)::bigint
"""

COUNT: Final = """
INSERT INTO off_duty AS known (van_id, day, dropped, deleted)
SELECT * FROM unnest(%s::int[], %s::date[], %s::bigint[], %s::bigint[])
ON CONFLICT (van_id, day) DO UPDATE SET
  dropped = known.dropped + excluded.dropped, deleted = known.deleted + excluded.deleted
"""

EDITED: Final = "DELETE FROM duty_edit RETURNING van_id"


async def load_calendars(conn: Connection) -> dict[int, WorkingCalendar]:
    """Return the calendar of each van that has one, its own or its organisation's."""
    rows = await (await conn.execute(CALENDARS)).fetchall()
    return {
        van: WorkingCalendar(zone, tuple((d, b, e) for d, b, e in hours or ()), frozenset(holidays))
        for van, zone, holidays, hours in rows
    }


async def put_switches(conn: Connection, told: Iterable[tuple[int, int, str]]) -> dict[int, int]:
    """Keep what switches said, as (van, time in ms, on or off); return where vans' first change is."""
    said: dict[tuple[int, int], str] = {}
    for van, t, duty in told:
        said[van, t] = "off" if said.get((van, t)) == "off" else duty
    changed: dict[int, int] = {}
    if said:
        vans, times = zip(*said, strict=True)
        rows = await conn.execute(PUT_SWITCHES, (list(vans), list(times), list(said.values())))
        for van, t in await rows.fetchall():
            changed[van] = min(t, changed.get(van, t))
    return changed


async def load_off_spans(
    conn: Connection,
    windows: Mapping[int, Span],
    calendars: Mapping[int, WorkingCalendar],
) -> dict[int, list[Span]]:
    """Return by van when it is off duty, as far as that is within its window; not those that never are."""
    if not windows:
        return {}
    switches: dict[int, list[Switch]] = defaultdict(list)
    since = [as_datetime(first) for first, _ in windows.values()]
    for van, t, is_on in await (await conn.execute(SWITCHES, (list(windows), since))).fetchall():
        switches[van].append((t, is_on))
    spans = {
        van: off_spans(switches[van], calendars.get(van), first, until)
        for van, (first, until) in windows.items()
        if van in calendars or van in switches
    }
    return {van: of_van for van, of_van in spans.items() if of_van}


async def delete_off_duty(
    conn: Connection, spans: Mapping[int, Sequence[Span]]
) -> dict[int, list[int]]:
    """Delete what is stored of these spans; return by van the times of what that was, ascending."""
    rows = [(van, *span) for van, of_van in spans.items() for span in of_van]
    gone: dict[int, list[int]] = defaultdict(list)
    if not rows:
        return gone
    vans, since, until = zip(*rows, strict=True)
    found = await conn.execute(
        DELETE_OFF_DUTY,
        (list(vans), [as_datetime(t) for t in since], [as_datetime(t) for t in until]),
    )
    for van, t in sorted(await found.fetchall()):
        gone[van].append(t)
    return gone


async def count(
    conn: Connection, dropped: Mapping[int, Iterable[int]], deleted: Mapping[int, Iterable[int]]
) -> None:
    """Add up, by van and day, the positions of these times, ms since 1970 UTC."""
    sums: dict[tuple[int, object], list[int]] = defaultdict(lambda: [0, 0])
    for at, of_kind in enumerate((dropped, deleted)):
        for van, times in of_kind.items():
            for day, n in days_of(times).items():
                sums[van, day][at] += n
    await put_rows(conn, COUNT, [(*key, *both) for key, both in sorted(sums.items())])


async def take_edits(conn: Connection) -> list[int]:
    """Return the vans whose calendar has changed, and take them off the list."""
    return [van for (van,) in await (await conn.execute(EDITED)).fetchall()]
