"""The questions of figures: how well vans are stocked, what lies dead in them, what to believe.

Scoped by organisation; reads, never commits. Which job a part was asked for, what was on board when,
and what trust is made of is decided in the database, by `asked_part`, `stock_outs` and `trust_at`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from api.answers import DeadItem, DeadStock, MissingPart, StockFigures, TrustedPair
from api.auth import OrganisationId
from api.times import ms
from storage.pool import Connection
from storage.settings import as_ms


@dataclass(frozen=True, slots=True)
class Period:
    """A period `since` ≤ time < `until`, and the van that is asked for; None for all."""

    since: datetime
    until: datetime
    van: int | None = None


ASKED = """
WITH asked AS (
  SELECT found.qty, found.is_missing, found.job
  FROM asked_part AS found JOIN van USING (van_id)
  WHERE van.organisation_id = %(organisation)s AND (%(van)s::int IS NULL OR van_id = %(van)s)
    AND found.t >= %(since)s AND found.t < %(until)s
), job AS (
  SELECT bool_or(is_missing) AS lacked FROM asked WHERE job IS NOT NULL GROUP BY job
)
SELECT coalesce(sum(qty), 0)::bigint, coalesce(sum(qty) FILTER (WHERE NOT is_missing), 0)::bigint,
       (SELECT count(*) FROM job), (SELECT count(*) FROM job WHERE NOT lacked)
FROM asked
"""

OUT = """
SELECT count(*), coalesce(sum(known_s), 0) / 3600, coalesce(sum(out_s), 0) / 3600
FROM stock_outs(%(organisation)s, %(van)s, %(since)s, %(until)s)
"""

COUNTED = """
SELECT count(*), count(*) FILTER (WHERE variance = 0),
       count(*) FILTER (WHERE abs(variance) <= greatest(1, abs(expected) / 10.0))
FROM count_variance JOIN location USING (location_id)
WHERE location.organisation_id = %(organisation)s AND location.kind = 'van'
  AND (%(van)s::int IS NULL OR location.van_id = %(van)s)
  AND before_t IS NOT NULL AND t >= %(since)s AND t < %(until)s
"""


async def of_period(
    conn: Connection, organisation: OrganisationId, period: Period, now: datetime
) -> StockFigures:
    """Return the figures of a period; hours out of stock are counted up to `now`."""
    values = {**asdict(period), "organisation": organisation}
    asked, had, jobs, complete = await _row(conn, ASKED, values)
    counts, exact, close = await _row(conn, COUNTED, values)
    over = {**values, "until": min(period.until, now)}
    pairs, pair_hours, out_hours = await _row(conn, OUT, over)
    return StockFigures(
        from_ms=as_ms(period.since),
        to_ms=as_ms(period.until),
        units_asked=asked,
        units_had=had,
        units_share=_share(had, asked),
        jobs=jobs,
        jobs_complete=complete,
        jobs_share=_share(complete, jobs),
        pairs=pairs,
        pair_hours=pair_hours,
        out_hours=out_hours,
        out_share=_share(out_hours, pair_hours),
        counts=counts,
        counts_exact=exact,
        exact_share=_share(exact, counts),
        counts_close=close,
        close_share=_share(close, counts),
    )


async def missing_parts(
    conn: Connection, organisation: OrganisationId, period: Period, limit: int
) -> list[MissingPart]:
    """Return up to `limit` items that were missing, those that most jobs lacked first."""
    query = """
        SELECT item.ref AS item, item.name, item.base_unit, count(DISTINCT found.job) AS jobs,
               sum(found.qty)::bigint AS units, count(*) AS scans
        FROM asked_part AS found JOIN van USING (van_id) JOIN item USING (item_id)
        WHERE found.is_missing AND van.organisation_id = %(organisation)s
          AND (%(van)s::int IS NULL OR van_id = %(van)s)
          AND found.t >= %(since)s AND found.t < %(until)s
        GROUP BY item.item_id
        ORDER BY jobs DESC, units DESC, item.ref
        LIMIT %(limit)s
    """
    values = {**asdict(period), "organisation": organisation, "limit": limit}
    async with conn.cursor(row_factory=class_row(MissingPart)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


# What is on board and was not issued there since; lots together. The sums are there if no row is, and are
# taken of the same rows: to find them is what costs.
DEAD = f"""
WITH dead AS MATERIALIZED (
  SELECT van.code AS van, held.location_id, held.item_id, held.qty,
         (held.qty * item.cost::numeric)::double precision AS value
  FROM (
    SELECT location_id, item_id, sum(greatest(0, qty))::bigint AS qty FROM level
    GROUP BY location_id, item_id
  ) AS held
  JOIN location USING (location_id)
  JOIN van USING (van_id)
  JOIN item USING (item_id)
  WHERE van.organisation_id = %(organisation)s AND location.kind = 'van' AND held.qty > 0
    AND (%(van)s::int IS NULL OR van_id = %(van)s)
    AND NOT EXISTS (
      SELECT FROM standing_movement AS movement
      WHERE (movement.from_location_id, movement.item_id) = (held.location_id, held.item_id)
        AND movement.t > %(since)s AND movement.kind = 'issue')
), total AS (
  SELECT count(*) AS pairs, coalesce(sum(qty), 0)::bigint AS units, coalesce(sum(value), 0) AS worth
  FROM dead
), top AS (SELECT * FROM dead ORDER BY value DESC, van, item_id LIMIT %(limit)s)
SELECT total.pairs, total.units, total.worth, top.van, item.ref AS item, item.name, item.base_unit,
       top.qty, top.value, {ms("issued.t")} AS last_issued_ms, {ms("first.t")} AS known_since_ms
FROM total LEFT JOIN (top JOIN item USING (item_id)) ON true
CROSS JOIN LATERAL (
  SELECT max(posting.t) AS t FROM posting
  JOIN standing_movement AS movement USING (device, epoch, seq, line)
  WHERE (posting.location_id, posting.item_id) = (top.location_id, top.item_id)
    AND movement.kind = 'issue'
) AS issued
CROSS JOIN LATERAL (
  SELECT least(
    (SELECT min(t) FROM posting
     WHERE (posting.location_id, posting.item_id) = (top.location_id, top.item_id)),
    (SELECT min(t) FROM count_line
     WHERE (count_line.location_id, count_line.item_id) = (top.location_id, top.item_id))
  ) AS t
) AS first
ORDER BY top.value DESC, top.van, top.item_id
"""


async def dead_stock(
    conn: Connection,
    organisation: OrganisationId,
    van: int | None,
    now: datetime,
    days: int,
    limit: int,
) -> DeadStock:
    """Return what lies in vans and was not issued there in the last `days`; up to `limit` rows."""
    values = {
        "organisation": organisation,
        "van": van,
        "since": now - timedelta(days=days),
        "limit": limit + 1,
    }
    rows = await (await conn.execute(DEAD, values)).fetchall()
    pairs, units, value = rows[0][:3]
    found = [DeadItem(*row[3:]) for row in rows if pairs]
    return DeadStock(days, pairs, units, value, found[:limit], truncated=len(found) > limit)


async def least_trusted(
    conn: Connection, organisation: OrganisationId, van: int | None, now: datetime, limit: int
) -> list[TrustedPair]:
    """Return up to `limit` pairs, the least trusted first, then those worth most to count.

    A pair is asked about if something is on board, or should be.
    """
    # A function whose argument is a sub-select is not merged into the statement: PostgreSQL then takes
    # it for 1,000 rows, and compares each of 360,000 pairs with each item. So it does where what is asked
    # of every pair looks so dear that no way to join counts beside it: hence EXISTS, not IN.
    places = """
        SELECT coalesce(array_agg(location_id), '{}') FROM location
        WHERE organisation_id = %(organisation)s AND kind = 'van'
          AND (%(van)s::int IS NULL OR van_id = %(van)s)
    """
    query = f"""
        SELECT van.code AS van, item.ref AS item, item.name, item.base_unit, found.qty, found.trust,
               (1 - found.trust) * item.cost::numeric::double precision AS worth,
               {ms("found.counted_at")} AS counted_at_ms, found.movements,
               found.visits_needing_it, found.visits_without_scan, found.reasons
        FROM trust_at(%(locations)s, NULL, %(now)s) AS found
        JOIN location USING (location_id)
        JOIN van USING (van_id)
        JOIN item USING (item_id)
        WHERE found.qty <> 0 OR EXISTS (
          SELECT FROM followed_pair AS pair
          WHERE (pair.location_id, pair.item_id) = (found.location_id, found.item_id)
            AND pair.until >= (%(now)s AT TIME ZONE 'Europe/Paris')::date)
        ORDER BY found.trust, worth DESC, van.code, item.ref
        LIMIT %(limit)s
    """
    [locations] = await _row(conn, places, {"organisation": organisation, "van": van})
    values = {"locations": locations, "now": now, "limit": limit}
    async with conn.cursor(row_factory=class_row(TrustedPair)) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


def _share(of: float, total: float) -> float | None:
    return of / total if total else None


async def _row(conn: Connection, query: str, values: Mapping[str, object]) -> tuple[int, ...]:
    found = await (await conn.execute(query, values)).fetchone()
    assert found is not None  # noqa: S101  without GROUP BY there is always one row
    return found
