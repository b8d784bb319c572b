"""What tracks cost does not grow with the fixes that there are."""

from datetime import UTC, datetime

import psycopg

from geofence.tracks import TRACKS
from storage.pool import SESSION

VANS = 200
NOW = datetime(2026, 6, 2, tzinfo=UTC)

SOME_FIXES = """
INSERT INTO fix (van_id, fix_time, latitude_deg, longitude_deg, payload_hash, received_time)
SELECT 1, at, 48.1, 11.5, 1, at
FROM generate_series('2026-06-01Z'::timestamptz, '2026-06-01 01:00Z', '10 s') AS at;
"""

#: As the server would be told by ANALYZE after two months of 200 vans. It then takes many look-ups, one after
#: the other, for dearer than reading all.
MANY_TOLD = """
UPDATE pg_class SET reltuples = 1e8, relpages = pg_relation_size(oid) / 8192
WHERE oid = 'fix'::regclass OR oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'fix'::regclass);
SET LOCAL enable_nestloop = off;
"""


def test_tracks_of_many_vans_are_read_from_the_key_s_index_among_a_hundred_million_fixes(
    company_url: str,
) -> None:
    with psycopg.connect(company_url, options=SESSION.format(name="test")) as conn:
        conn.execute(SOME_FIXES)
        conn.execute(MANY_TOLD)
        stretches = list(range(VANS)), list(range(VANS)), [NOW] * VANS, [None] * VANS
        plan = "\n".join(line for (line,) in conn.execute("EXPLAIN " + TRACKS, stretches))
        conn.rollback()
    assert "Index Cond: ((van_id = stretch.van_id)" in plan, plan
