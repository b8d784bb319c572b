"""The SQL of fixes, and of how far each van's have been read.

Functions take a connection and never commit.

Columns of fixes leave the server as the bytes of their binary form, put end to end (`int8send`,
`float8send`): no Python object per row.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from psycopg.errors import UniqueViolation

from geofence.fences import Fences, Site
from geofence.fixes import IGNITION_ON, IGNITION_UNKNOWN, FixColumns, Fixes
from geofence.reread import NONE, Box, Checkpoint, Course, read
from geofence.visits import State
from storage.copy import binary_rows, timestamps
from storage.pool import Connection
from storage.settings import as_datetime

# Its columns are those of `fix`, which need not be there yet when ingest connects.
STAGING = """
CREATE TEMP TABLE fix_in (
  van_id integer, fix_time timestamptz, latitude_deg float8, longitude_deg float8,
  horizontal_accuracy_m real, speed_mps real, bearing_deg real, ignition boolean,
  odometer_m float8, battery_pct real, payload_hash bigint, received_time timestamptz
) ON COMMIT DELETE ROWS
"""

# Of two fixes with one key the better accuracy wins, then the greater hash. What comes back is, for
# each van, the times of the fixes that are new or changed and not newer than what was read.
MERGE = """
WITH put AS (
  INSERT INTO fix SELECT * FROM fix_in
  ON CONFLICT (van_id, fix_time) DO UPDATE SET
    latitude_deg = excluded.latitude_deg, longitude_deg = excluded.longitude_deg,
    horizontal_accuracy_m = excluded.horizontal_accuracy_m, speed_mps = excluded.speed_mps,
    bearing_deg = excluded.bearing_deg, ignition = excluded.ignition,
    odometer_m = excluded.odometer_m, battery_pct = excluded.battery_pct,
    payload_hash = excluded.payload_hash, received_time = excluded.received_time
  WHERE (coalesce(excluded.horizontal_accuracy_m, 'Infinity'), fix.payload_hash)
      < (coalesce(fix.horizontal_accuracy_m, 'Infinity'), excluded.payload_hash)
  RETURNING van_id, fix_time
)
SELECT van_id, array_agg((extract(epoch FROM fix_time) * 1000)::bigint ORDER BY fix_time)
FROM put JOIN van_progress USING (van_id)
WHERE fix_time <= through
GROUP BY van_id
"""

# Read back from the table, so that it is the newest whatever won a key; a van whose only fixes are
# at null island has no position.
NEWEST = """
WITH newest AS (
  SELECT vans.van_id AS van, fix.*
  FROM unnest(%s::int[]) AS vans (van_id)
  LEFT JOIN LATERAL (
    SELECT * FROM fix
    WHERE fix.van_id = vans.van_id AND (latitude_deg, longitude_deg) <> (0, 0)
    ORDER BY fix_time DESC LIMIT 1
  ) AS fix ON true
), gone AS (
  DELETE FROM van_position USING newest
  WHERE van_position.van_id = newest.van AND newest.fix_time IS NULL
)
INSERT INTO van_position
SELECT van_id, fix_time, latitude_deg, longitude_deg, speed_mps, bearing_deg, ignition,
       received_time
FROM newest WHERE fix_time IS NOT NULL
ON CONFLICT (van_id) DO UPDATE SET
  fix_time = excluded.fix_time, latitude_deg = excluded.latitude_deg,
  longitude_deg = excluded.longitude_deg, speed_mps = excluded.speed_mps,
  bearing_deg = excluded.bearing_deg, ignition = excluded.ignition,
  received_time = excluded.received_time
"""

# Each stretch is after one moment and up to another; without one it has no end. Each is read from the key's
# index, in its order: joined with many stretches at once, all fixes there are would be read from end to end.
TRACKS = """
SELECT nr, track.*
FROM unnest(%s::int[], %s::int[], %s::timestamptz[], %s::timestamptz[])
  AS stretch (nr, van_id, after, up_to)
CROSS JOIN LATERAL (
  SELECT string_agg(int8send((extract(epoch FROM fix_time) * 1000)::bigint), '' ORDER BY fix_time),
         string_agg(float8send(latitude_deg), '' ORDER BY fix_time),
         string_agg(float8send(longitude_deg), '' ORDER BY fix_time),
         string_agg(float8send(coalesce(horizontal_accuracy_m, 'NaN')), '' ORDER BY fix_time),
         string_agg(int2send(coalesce(ignition::int, -1)::int2), '' ORDER BY fix_time),
         string_agg(float8send(coalesce(odometer_m, 'NaN')), '' ORDER BY fix_time)
  FROM fix
  WHERE fix.van_id = stretch.van_id
    AND fix_time > coalesce(after, '-infinity') AND fix_time <= coalesce(up_to, 'infinity')
  HAVING count(*) > 0
) AS track
"""

PROGRESS = """
SELECT van_id, (extract(epoch FROM through) * 1000)::bigint, state::text,
       (extract(epoch FROM checkpointed) * 1000)::bigint, bounds::text
FROM van_progress WHERE van_id = ANY(%s)
"""

# From the last one before the first late fix on.
CHECKPOINTS = """
SELECT van_id, (extract(epoch FROM through) * 1000)::bigint, state::text, bounds::text
FROM unnest(%s::int[], %s::timestamptz[]) AS wanted (van_id, late)
JOIN van_checkpoint AS kept USING (van_id)
WHERE through >= coalesce(
  (SELECT max(through) FROM van_checkpoint AS before
   WHERE before.van_id = wanted.van_id AND before.through < late), '-infinity')
ORDER BY van_id, through
"""

PUT_PROGRESS = """
INSERT INTO van_progress (van_id, through, state, checkpointed, bounds) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (van_id) DO UPDATE SET
  through = excluded.through, state = excluded.state, checkpointed = excluded.checkpointed,
  bounds = excluded.bounds
"""

PUT_CHECKPOINT = """
INSERT INTO van_checkpoint (van_id, through, state, bounds) VALUES (%s, %s, %s, %s)
ON CONFLICT (van_id, through) DO UPDATE SET state = excluded.state, bounds = excluded.bounds
"""

DROP_CHECKPOINT = "DELETE FROM van_checkpoint WHERE van_id = %s AND through = %s"

FENCE_EDITS = """
DELETE FROM fence_edit
RETURNING site_id, organisation_id, latitude_deg, longitude_deg, radius_m, area::text
"""

# The hours of each van whose way may meet an edited fence, as their last moments.
TOUCHED = """
SELECT van_id, array_agg(DISTINCT (extract(epoch FROM through) * 1000)::bigint),
       array_agg(DISTINCT site_id)
FROM (SELECT van_id, through, bounds FROM van_checkpoint
      UNION ALL
      SELECT van_id, through, bounds FROM van_progress) AS hour
JOIN unnest(%s::int[], %s::text[]) AS edit (site_id, box) ON hour.bounds && edit.box::box
GROUP BY van_id
"""


#: Before every fix.
NOTHING_READ: Final = np.iinfo(np.int64).min


async def prepare(conn: Connection) -> None:
    """Make the staging table of a new connection."""
    await conn.execute(STAGING)
    await conn.commit()


class Newest(msgspec.Struct, frozen=True):
    """How far a van has been read; not sound if that has to be read anew."""

    last: Checkpoint
    checkpointed: int | None
    is_sound: bool

    def course(
        self,
        van: int,
        organisation: int,
        fresh: Fixes,
        late: list[int],
        checkpoints: list[Checkpoint],
        edited: frozenset[int] = frozenset(),
    ) -> Course:
        """Return the van's course: on with fresh fixes, or back to before the first late one."""
        last = self.last
        if not late:
            return Course(
                van, organisation, last.state, last.through, self.checkpointed, fresh, box=last.box
            )
        begin = checkpoints[0] if checkpoints and checkpoints[0].through < late[0] else None
        ahead = [c for c in checkpoints if begin is None or c.through > begin.through]
        course = Course(
            van,
            organisation,
            begin.state if begin else State(),
            begin.through if begin else None,
            begin.through if begin else None,
            NONE,
            fresh=fresh,
            late=late,
            ahead=[*ahead, last],
            edited=edited,
            was_through=last.through,
        )
        course.open_span()
        return course


async def put_fixes(
    conn: Connection, fixes: FixColumns, newest: Mapping[int, Newest], now: int
) -> dict[int, list[int]]:
    """Store fixes and return, by van, the times of the late ones, ms since 1970 UTC, ascending.

    What is newer than all that was read of its van is hardly ever stored already, and goes into the table
    as it is; the rest is merged into what is there.
    """
    vans = fixes.by_van()
    read_up_to = np.repeat(
        [newest[van].last.through if van in newest else NOTHING_READ for van, _, _ in vans],
        [end - start for _, start, end in vans],
    )
    is_new = fixes.t_ms > read_up_to
    if is_new.any() and not await _add(conn, fixes.where(is_new), now):
        is_new[:] = False
    late = {} if is_new.all() else await _merge(conn, fixes.where(~is_new), now)
    await find_newest(conn, [van for van, _, _ in vans])
    return late


async def _add(conn: Connection, fixes: FixColumns, now: int) -> bool:
    """Add fixes to the table; nothing and False if one of them is there already."""
    try:
        async with conn.transaction():
            await _copy(conn, "fix", fixes, now)
    except UniqueViolation:
        return False
    return True


async def _merge(conn: Connection, fixes: FixColumns, now: int) -> dict[int, list[int]]:
    """Put fixes where no better ones are; return by van the times of those that are late."""
    await _copy(conn, "fix_in", fixes, now)
    return dict(await (await conn.execute(MERGE)).fetchall())


async def _copy(
    conn: Connection, table: Literal["fix", "fix_in"], fixes: FixColumns, now: int
) -> None:
    """Write fixes to the end of a table."""
    rows = binary_rows(
        {
            "van_id": fixes.van_id,
            "fix_time": timestamps(fixes.t_ms),
            "latitude_deg": fixes.latitude_deg,
            "longitude_deg": fixes.longitude_deg,
            "horizontal_accuracy_m": _known(fixes.horizontal_accuracy_m),
            "speed_mps": _known(fixes.speed_mps),
            "bearing_deg": _known(fixes.bearing_deg),
            "ignition": np.ma.masked_array(
                fixes.ignition == IGNITION_ON, fixes.ignition == IGNITION_UNKNOWN
            ),
            "odometer_m": _known(fixes.odometer_m),
            "battery_pct": _known(fixes.battery_pct),
            "payload_hash": fixes.payload_hash,
            "received_time": timestamps(np.full(len(fixes), now, dtype=np.int64)),
        }
    )
    copy_in = f"COPY {table} FROM STDIN (FORMAT BINARY)"
    async with conn.cursor() as cursor, cursor.copy(copy_in) as copy:
        await copy.write(rows)


def _known(reals: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a column whose missing values are NULL."""
    return np.ma.masked_array(reals, np.isnan(reals))


async def find_newest(conn: Connection, vans: Sequence[int]) -> None:
    """See anew where vans are, because fixes of theirs are gone."""
    await conn.execute(NEWEST, (list(vans),))


async def courses_of(
    conn: Connection,
    fixes: FixColumns,
    newest: Mapping[int, Newest],
    late: Mapping[int, Sequence[int]],
    organisation_of: Mapping[int, int],
) -> list[Course]:
    """Return what has to be read because of fixes that were just put: a course for each van.

    Args:
        conn: In the transaction that put the fixes.
        fixes: The fixes just put.
        newest: How far their vans had been read before.
        late: What `put_fixes` returned.
        organisation_of: By van.
    """
    back = await _load_checkpoints(conn, {van: times[0] for van, times in late.items()})
    courses = []
    for van, start, end in fixes.by_van():
        organisation = organisation_of[van]
        known = newest.get(van)
        if known is None:
            course = Course(van, organisation, State(), None, None, fixes.track(start, end))
        else:
            after = known.last.through
            first = start + int(np.searchsorted(fixes.t_ms[start:end], after, side="right"))
            fresh = fixes.track(first, end) if first < end else NONE
            times = list(late.get(van, ()))
            course = known.course(
                van,
                organisation,
                fresh,
                times if known.is_sound else [0, *times],
                back.get(van, []),
            )
        if len(course.fixes) or course.ahead:
            courses.append(course)
    return courses


async def courses_again(
    conn: Connection,
    dirty: Mapping[int, tuple[Sequence[int], frozenset[int]]],
    organisation_of: Mapping[int, int],
) -> list[Course]:
    """Return what has to be read again although no fix is new.

    Args:
        conn: In a transaction that holds the vans' locks.
        dirty: By van, moments at which its account is to be looked at, and the sites edited.
        organisation_of: By van.
    """
    newest = await load_newest(conn, list(dirty))
    back = await _load_checkpoints(conn, {van: min(times) for van, (times, _) in dirty.items()})
    return [
        newest[van].course(
            van,
            organisation_of[van],
            NONE,
            sorted(times) if newest[van].is_sound else sorted({0, *times}),
            back.get(van, []),
            sites,
        )
        for van, (times, sites) in dirty.items()
        if van in newest
    ]


async def load_newest(conn: Connection, vans: list[int]) -> dict[int, Newest]:
    """Return how far vans have been read, of those that have."""
    rows = await (await conn.execute(PROGRESS, (vans,))).fetchall()
    return {
        van: Newest(
            Checkpoint(through, state_of(state), _box(bounds), is_last=True),
            checkpointed,
            state is not None,
        )
        for van, through, state, checkpointed, bounds in rows
    }


async def _load_checkpoints(
    conn: Connection, late: Mapping[int, int]
) -> dict[int, list[Checkpoint]]:
    """Return each van's checkpoints, from the last before a moment on."""
    found: dict[int, list[Checkpoint]] = {}
    if not late:
        return found
    moments = [as_datetime(t_ms) for t_ms in late.values()]
    for van, through, state, bounds in await (
        await conn.execute(CHECKPOINTS, (list(late), moments))
    ).fetchall():
        found.setdefault(van, []).append(Checkpoint(through, state_of(state), _box(bounds)))
    return found


_states: Final = msgspec.json.Decoder(State)


def state_of(text: str | None) -> State:
    """Return a state from its JSON; that of no fix from None."""
    return State() if text is None else _states.decode(text)


def _box(text: str | None) -> Box | None:
    """Return a box from PostgreSQL's text, (east,north),(west,south)."""
    if text is None:
        return None
    east, north, west, south = (float(part.strip("()")) for part in text.split(","))
    return south, west, north, east


def box_text(box: Box | None) -> str | None:
    """Return a box as PostgreSQL's text."""
    return None if box is None else f"({box[3]!r},{box[2]!r}),({box[1]!r},{box[0]!r})"


async def read_courses(conn: Connection, courses: Sequence[Course], fences: Fences) -> None:
    """Read what the courses ask for, as far as they go."""
    read(courses, fences)
    while wanting := [course for course in courses if course.needs]:
        await _fetch(conn, wanting)
        read(courses, fences)


async def _fetch(conn: Connection, wanting: Sequence[Course]) -> None:
    stretches = [(course.van_id, *(course.needs or (None, None))) for course in wanting]
    for course, fixes in zip(wanting, await load_tracks(conn, stretches), strict=True):
        course.give(fixes)


async def load_tracks(
    conn: Connection, stretches: Sequence[tuple[int, int | None, int | None]]
) -> list[Fixes]:
    """Return the fixes of each stretch: (van_id, after, up to), ms since 1970 UTC; None: no end."""
    vans, after, up_to = (list(column) for column in zip(*stretches, strict=True))
    rows = await (
        await conn.execute(
            TRACKS,
            (
                list(range(len(stretches))),
                vans,
                [None if t_ms is None else as_datetime(t_ms) for t_ms in after],
                [None if t_ms is None else as_datetime(t_ms) for t_ms in up_to],
            ),
            binary=True,
        )
    ).fetchall()
    found = {row[0]: _fixes(row[1:]) for row in rows}
    return [found.get(nr, NONE) for nr in range(len(stretches))]


def _fixes(columns: Sequence[bytes]) -> Fixes:
    t_ms, latitude, longitude, accuracy, ignition, odometer = columns
    return Fixes(
        np.frombuffer(t_ms, dtype=">i8").astype(np.int64),
        np.frombuffer(latitude, dtype=">f8").astype(np.float64),
        np.frombuffer(longitude, dtype=">f8").astype(np.float64),
        np.frombuffer(accuracy, dtype=">f8").astype(np.float64),
        np.frombuffer(ignition, dtype=">i2").astype(np.int8),
        np.frombuffer(odometer, dtype=">f8").astype(np.float64),
    )


async def write_progress(conn: Connection, courses: Iterable[Course]) -> None:
    """Write where the engine stands for each van that it has read."""
    rows, kept, dropped, empty = [], [], [], []
    for course in courses:
        if course.through is None:
            empty.append(course.van_id)
            continue
        rows.append(
            (
                course.van_id, as_datetime(course.through), json_of(course.state),
                None if course.checkpointed is None else as_datetime(course.checkpointed),
                box_text(course.box),
            )
        )  # fmt: skip
        for through, made in course.made.items():
            if made is None:
                dropped.append((course.van_id, as_datetime(through)))
            else:
                kept.append(
                    (course.van_id, as_datetime(through), json_of(made.state), box_text(made.box))
                )
    async with conn.cursor() as cursor:
        await cursor.executemany(PUT_PROGRESS, rows)
        await cursor.executemany(DROP_CHECKPOINT, dropped)
        await cursor.executemany(PUT_CHECKPOINT, kept)
    if empty:  # all that was known of them is deleted
        await conn.execute("DELETE FROM van_checkpoint WHERE van_id = ANY(%s)", (empty,))
        await conn.execute("DELETE FROM van_progress WHERE van_id = ANY(%s)", (empty,))


def json_of(state: State) -> str:
    """Return a state as JSON."""
    return msgspec.json.encode(state).decode()


async def load_dirty(conn: Connection) -> dict[int, tuple[list[int], frozenset[int]]]:
    """Return the vans that have to be read again: by edited fences, or because of an upgrade."""
    edits = await (await conn.execute(FENCE_EDITS)).fetchall()
    dirty: dict[int, tuple[list[int], frozenset[int]]] = {}
    if edits:
        west, south, east, north = Fences(
            [Site(site, owner, lat, lon, radius_m, area=area)
             for site, owner, lat, lon, radius_m, area in edits]
        ).bounds()  # fmt: skip
        boxes = zip(south.tolist(), west.tolist(), north.tolist(), east.tolist(), strict=True)
        touched = await conn.execute(
            TOUCHED, ([site for site, *_ in edits], [box_text(box) for box in boxes])
        )
        dirty = {van: (times, frozenset(of)) for van, times, of in await touched.fetchall()}
    anew = await conn.execute("SELECT van_id FROM van_progress WHERE state IS NULL")
    return dirty | {van: ([0], frozenset()) for (van,) in await anew.fetchall()}


def with_gone(
    dirty: Mapping[int, tuple[Sequence[int], frozenset[int]]], gone: Mapping[int, Sequence[int]]
) -> dict[int, tuple[list[int], frozenset[int]]]:
    """Return what is to be looked at again, with the times of fixes that were deleted."""
    moments = {van: (list(times), sites) for van, (times, sites) in dirty.items()}
    for van, times in gone.items():
        before, sites = moments.get(van, ([], frozenset()))
        moments[van] = sorted({*before, *times}), sites
    return moments
