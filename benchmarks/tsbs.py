"""The thirteen questions of the Time Series Benchmark Suite's IoT set, as far as our columns go.

TSBS (github.com/timescale/tsbs, `cmd/tsbs_generate_queries/databases/timescaledb/iot.go`) asks them of
trucks. A truck is a van here, its model the van's template, which stands for the fleet too; readings
are fixes, velocity is `speed_mps`, a bucket is ten minutes in both. What a truck says of its engine no
van says:

| nr | name                             | asked | why not                                                  |
| -- | -------------------------------- | ----- | -------------------------------------------------------- |
| 1  | last-loc                         | yes   |                                                          |
| 2  | single-last-loc                  | yes   |                                                          |
| 3  | low-fuel                         | no    | no `fuel_state`: `battery_pct` is the tablet's             |
| 4  | high-load                        | no    | no `current_load`, and no `load_capacity` of a template    |
| 5  | stationary-trucks                | yes   |                                                          |
| 6  | long-driving-sessions            | yes   |                                                          |
| 7  | long-daily-sessions              | yes   |                                                          |
| 8  | avg-vs-projected-fuel-consumption | no    | no `fuel_consumption`                                    |
| 9  | avg-daily-driving-duration       | yes   |                                                          |
| 10 | avg-daily-driving-session        | yes   |                                                          |
| 11 | avg-load                         | no    | no `current_load`                                        |
| 12 | daily-activity                   | no    | no `status`                                              |
| 13 | breakdown-frequency              | no    | no `status`                                              |

1, 5, 6 and 7 are of one fleet, 5 to 7 of a time within the past; 9 and 10 are of all fixes there are,
so they read the whole table. TSBS takes the time of day for 9 in whole hours; here hours have fractions.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Question:
    """One that can be asked; `span` is how long the time is that it asks of, None for all."""

    number: int
    name: str
    sql: str
    span: timedelta | None = None
    reads_all: bool = False


#: Of each van the share of ten-minute buckets in which it drove: %(driving)s of them or more.
SESSIONS: Final = """
SELECT van.code, technician.name
FROM van JOIN technician USING (technician_id), LATERAL (
  SELECT FROM fix
  WHERE fix.van_id = van.van_id AND fix_time >= %(since)s AND fix_time < %(until)s
  GROUP BY date_bin('10 minutes', fix_time, '2000-01-01')
  HAVING avg(speed_mps) > 1
) AS bucket
WHERE template_id = %(fleet)s
GROUP BY van.code, technician.name
HAVING count(*) > {more_than}
"""

DRIVEN: Final = """
WITH driven AS (
  SELECT van_id, date_bin('10 minutes', fix_time, '2000-01-01') AS bucket
  FROM fix GROUP BY 1, 2 HAVING avg(speed_mps) > 1
)
"""

ASKED: Final = (
    Question(
        1,
        "last-loc",
        """
SELECT van.code, technician.name, its.latitude_deg, its.longitude_deg
FROM van JOIN technician USING (technician_id), LATERAL (
  SELECT latitude_deg, longitude_deg FROM fix WHERE fix.van_id = van.van_id
  ORDER BY fix_time DESC LIMIT 1
) AS its
WHERE template_id = %(fleet)s
""",
    ),
    Question(
        2,
        "single-last-loc",
        """
SELECT van.code, technician.name, its.latitude_deg, its.longitude_deg
FROM van JOIN technician USING (technician_id), LATERAL (
  SELECT latitude_deg, longitude_deg FROM fix WHERE fix.van_id = van.van_id
  ORDER BY fix_time DESC LIMIT 1
) AS its
WHERE van.code = %(van)s
""",
    ),
    Question(
        5,
        "stationary-trucks",
        """
SELECT van.code, technician.name
FROM van JOIN technician USING (technician_id), LATERAL (
  SELECT avg(speed_mps) AS speed_mps FROM fix
  WHERE fix.van_id = van.van_id AND fix_time >= %(since)s AND fix_time < %(until)s
) AS its
WHERE template_id = %(fleet)s AND its.speed_mps < 1
""",
        timedelta(minutes=10),
    ),
    Question(6, "long-driving-sessions", SESSIONS.format(more_than=22), timedelta(hours=4)),
    Question(7, "long-daily-sessions", SESSIONS.format(more_than=60), timedelta(hours=24)),
    Question(
        9,
        "avg-daily-driving-duration",
        f"""{DRIVEN}, of_day AS (
  SELECT van_id, bucket::date AS day, count(*) / 6.0 AS hours FROM driven GROUP BY 1, 2
)
SELECT template.code AS fleet, van.code, technician.name, avg(hours)
FROM of_day JOIN van USING (van_id) JOIN technician USING (technician_id)
JOIN van_template AS template USING (template_id)
GROUP BY 1, 2, 3
""",
        reads_all=True,
    ),
    Question(
        10,
        "avg-daily-driving-session",
        """
WITH state AS (
  SELECT van_id, date_bin('10 minutes', fix_time, '2000-01-01') AS bucket,
         avg(speed_mps) > 5 AS driving
  FROM fix GROUP BY 1, 2
), changed AS (
  SELECT *, lag(driving) OVER (PARTITION BY van_id ORDER BY bucket) AS before FROM state
), session AS (
  SELECT van_id, bucket, driving, lead(bucket) OVER (PARTITION BY van_id ORDER BY bucket) AS until
  FROM changed WHERE driving IS DISTINCT FROM before
)
SELECT van.code, bucket::date AS day, avg(until - bucket) AS session
FROM session JOIN van USING (van_id)
WHERE driving GROUP BY 1, 2
""",
        reads_all=True,
    ),
)
