"""The SQL of letting old fixes go without letting go of what they have proved.

The visit engine reads again from checkpoints (`geofence/reread.py`). Were fixes simply deleted, reading
again from a checkpoint before the gap would find visits without fixes, and delete them. So before the
fixes of a van up to a limit go, the fold is brought to its last fix before the limit and its state kept
there, as the oldest checkpoint. Nothing is read from before it any more: fixes older than the limit are
refused (`ancient`), and it has no bounds, so that no edited fence touches it. A van that has not been heard
of since the limit is forgotten: its next fix is its first.

Functions take a connection and never commit.
"""

from collections.abc import Mapping
from typing import Final

from geofence import reread, tracks
from geofence.fences import Fences
from geofence.reread import Course
from geofence.visits import State
from storage.pool import Connection
from storage.settings import as_datetime

#: Vans of which something older than the limit is not settled yet.
UNSETTLED: Final = """
SELECT van_id, progress.through < %(limit)s
FROM van_progress AS progress
LEFT JOIN LATERAL (
  SELECT through, bounds FROM van_checkpoint AS kept
  WHERE kept.van_id = progress.van_id AND kept.through < %(limit)s
  ORDER BY through DESC LIMIT 1
) AS oldest ON true
WHERE state IS NOT NULL AND (
  progress.through < %(limit)s
  OR oldest.bounds IS NOT NULL
  OR EXISTS (SELECT FROM van_checkpoint AS older
             WHERE older.van_id = progress.van_id AND older.through < oldest.through)
  OR EXISTS (SELECT FROM fix
             WHERE fix.van_id = progress.van_id AND fix_time < %(limit)s
               AND fix_time > coalesce(oldest.through, '-infinity')))
ORDER BY van_id LIMIT %(vans)s
"""
LOCK: Final = "SELECT FROM van WHERE van_id = ANY(%s) ORDER BY van_id FOR NO KEY UPDATE"
OLDEST: Final = """
SELECT DISTINCT ON (van_id) van_id, (extract(epoch FROM through) * 1000)::bigint, state::text
FROM van_checkpoint WHERE van_id = ANY(%s) AND through < %s
ORDER BY van_id, through DESC
"""
PUT: Final = """
INSERT INTO van_checkpoint (van_id, through, state) VALUES (%s, %s, %s)
ON CONFLICT (van_id, through) DO UPDATE SET state = excluded.state, bounds = NULL
"""
DROP_OLDER: Final = "DELETE FROM van_checkpoint WHERE van_id = %s AND through < %s"
FORGET_VANS: Final = """
WITH checkpoints AS (DELETE FROM van_checkpoint WHERE van_id = ANY(%(vans)s))
DELETE FROM van_progress WHERE van_id = ANY(%(vans)s)
"""


async def settle(
    conn: Connection,
    limit: int,
    vans_max: int,
    fences: Fences,
    organisation_of: Mapping[int, int],
) -> int:
    """Bring the oldest checkpoint of some vans to a limit; return how many were not there yet.

    Args:
        conn: In a transaction.
        limit: ms since 1970 UTC; fixes before it may go once this returns 0.
        vans_max: At most so many at a time.
        fences: As of now.
        organisation_of: By van.
    """
    wanted = {"limit": as_datetime(limit), "vans": vans_max}
    found = await (await conn.execute(UNSETTLED, wanted)).fetchall()
    await conn.execute(LOCK, ([van for van, _ in found],))
    found = await (await conn.execute(UNSETTLED, wanted)).fetchall()  # what was done meanwhile
    if over := [van for van, is_over in found if is_over]:
        await conn.execute(FORGET_VANS, {"vans": over})
    going_on = [van for van, is_over in found if not is_over]
    rows = await (await conn.execute(OLDEST, (going_on, as_datetime(limit)))).fetchall()
    oldest = {van: (through, tracks.state_of(text)) for van, through, text in rows}
    courses = [_course(van, organisation_of[van], *oldest.get(van, NOTHING)) for van in going_on]
    stretches = [(course.van_id, course.through, limit - 1) for course in courses]
    for course, fixes in zip(
        courses, await tracks.load_tracks(conn, stretches) if stretches else [], strict=True
    ):
        course.give(fixes)
    reread.read(courses, fences)
    for course in courses:
        if course.through is not None:
            through = as_datetime(course.through)
            await conn.execute(PUT, (course.van_id, through, tracks.json_of(course.state)))
            await conn.execute(DROP_OLDER, (course.van_id, through))
    return len(found)


NOTHING: Final = (None, None)


def _course(van: int, organisation: int, through: int | None, state: State | None) -> Course:
    return Course(van, organisation, state or State(), through, through, reread.NONE)
