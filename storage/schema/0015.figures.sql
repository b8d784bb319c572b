-- Figures: how well vans are stocked, what lies dead in them, and how far levels can be believed. All of
-- it is asked anew of scans, counts and visits, so that what came late counts as if it had come in time.

-- Rows come nearly in the order of their times, so that a few pages lead to those of a period.
CREATE INDEX movement_by_time ON movement USING brin (t) WITH (pages_per_range = 32);
CREATE INDEX posting_by_time ON posting USING brin (t) WITH (pages_per_range = 32);
CREATE INDEX count_line_by_time ON count_line USING brin (t) WITH (pages_per_range = 32);

-- A movement has the time of its scan. Said of both, a period or a visit leads to few rows of either.
CREATE OR REPLACE VIEW charge AS
SELECT scan.van_id, movement.device, movement.epoch, movement.seq, movement.line, movement.t,
       movement.kind, movement.item_id, movement.lot, movement.qty,
       visit.site_id, visit.arrived_at, visit.stop_id,
       coalesce(movement.work_order, stop.work_order) AS work_order
FROM scan
JOIN movement USING (device, epoch, seq, t)
LEFT JOIN LATERAL (
  SELECT site_id, arrived_at, stop_id, left_at FROM visit
  WHERE visit.van_id = scan.van_id AND verdict = 'visit' AND shadowed_by IS NULL
    AND arrived_at <= movement.t
  ORDER BY arrived_at DESC LIMIT 1
) AS visit ON visit.left_at IS NULL OR movement.t <= visit.left_at + INTERVAL '10 minutes'
LEFT JOIN stop ON stop.stop_id = visit.stop_id
WHERE scan.status = 'applied';

-- --- What jobs asked for --------------------------------------------------------------------------

CREATE VIEW asked_part AS
SELECT asked.*, coalesce('order ' || work_order,
         'visit ' || van_id || ' ' || site_id || ' ' || extract(epoch FROM arrived_at)) AS job
FROM (
  SELECT van_id, t, item_id, qty, false AS is_missing, work_order, site_id, arrived_at
  FROM charge WHERE kind = 'issue'
  UNION ALL
  SELECT location.van_id, missing.t, missing.item_id, missing.qty, true,
         coalesce(missing.work_order, stop.work_order), visit.site_id, visit.arrived_at
  FROM missing_part AS missing
  JOIN location USING (location_id)
  LEFT JOIN LATERAL (
    SELECT site_id, arrived_at, stop_id, left_at FROM visit
    WHERE visit.van_id = location.van_id AND verdict = 'visit' AND shadowed_by IS NULL
      AND arrived_at <= missing.t
    ORDER BY arrived_at DESC LIMIT 1
  ) AS visit ON visit.left_at IS NULL OR missing.t <= visit.left_at + INTERVAL '10 minutes'
  LEFT JOIN stop ON stop.stop_id = visit.stop_id
) AS asked;
COMMENT ON VIEW asked_part IS
  'Each scan of a part that a job asked for: issued, so the van had it, or missing. What is missing is'
  ' charged to visits and jobs as movements are. job: the work order, else the visit, else NULL.';

-- --- How long vans were out of stock --------------------------------------------------------------

-- What is on board is the sum over lots of greatest(0, level), as it is for proposals. Of each lot the
-- time line begins with its level at from_t: the anchor before, and the postings after that one. From
-- there on each anchor begins a group of its own, and within a group quantities add up.
CREATE FUNCTION on_hand_steps(
  location_ids integer[], item_ids integer[], from_t timestamptz, to_t timestamptz
) RETURNS TABLE (
  location_id integer, item_id integer, begins timestamptz, ends timestamptz, qty bigint
)
LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH pair AS (
    SELECT DISTINCT * FROM unnest(location_ids, item_ids) AS pair (location_id, item_id)
  ), known AS (
    SELECT pair.location_id, pair.item_id, greatest(from_t, first.t) AS t
    FROM pair
    CROSS JOIN LATERAL (
      SELECT least(
        (SELECT min(p.t) FROM posting AS p
         WHERE (p.location_id, p.item_id) = (pair.location_id, pair.item_id)),
        (SELECT min(c.t) FROM count_line AS c
         WHERE (c.location_id, c.item_id) = (pair.location_id, pair.item_id)),
        (SELECT min(f.t) FROM full_count AS f WHERE f.location_id = pair.location_id)) AS t
    ) AS first
    WHERE first.t < to_t
  ), lot AS (
    SELECT level.location_id, level.item_id, level.lot
    FROM known JOIN level USING (location_id, item_id)
  ), entry AS (
    SELECT lot.location_id, lot.item_id, lot.lot, from_t AS t, '' COLLATE "C" AS device,
           '' COLLATE "C" AS epoch, 0::bigint AS seq, 0::smallint AS line, true AS is_anchor,
           coalesce(anchor.qty, 0) + coalesce(moved.delta, 0) AS qty
    FROM lot
    LEFT JOIN LATERAL anchor_before(
      lot.location_id, lot.item_id, lot.lot, from_t, '', '', 0) AS anchor ON true
    LEFT JOIN LATERAL (
      SELECT sum(p.delta)::bigint AS delta FROM posting AS p
      WHERE (p.location_id, p.item_id, p.lot) = (lot.location_id, lot.item_id, lot.lot)
        AND p.t < from_t
        AND (anchor.t IS NULL
             OR (p.t, p.device, p.epoch, p.seq)
              > (anchor.t, anchor.device COLLATE "C", anchor.epoch COLLATE "C", anchor.seq))
    ) AS moved ON true
    UNION ALL
    SELECT lot.location_id, lot.item_id, lot.lot, c.t, c.device, c.epoch, c.seq, 0, true, c.qty
    FROM lot JOIN count_line AS c USING (location_id, item_id, lot)
    WHERE c.t >= from_t AND c.t < to_t
    UNION ALL
    SELECT lot.location_id, lot.item_id, lot.lot, f.t, f.device, f.epoch, f.seq, 0, true, 0
    FROM lot JOIN full_count AS f USING (location_id)
    WHERE f.t >= from_t AND f.t < to_t AND NOT EXISTS (
      SELECT FROM count_line AS c
      WHERE (c.location_id, c.item_id, c.lot) = (lot.location_id, lot.item_id, lot.lot)
        AND c.t BETWEEN f.since AND f.t)
    UNION ALL
    SELECT lot.location_id, lot.item_id, lot.lot, p.t, p.device, p.epoch, p.seq, p.line, false,
           p.delta
    FROM lot JOIN posting AS p USING (location_id, item_id, lot)
    WHERE p.t >= from_t AND p.t < to_t
  ), grouped AS (
    SELECT entry.*, count(*) FILTER (WHERE is_anchor) OVER (
             PARTITION BY location_id, item_id, lot ORDER BY t, device, epoch, seq, line) AS nth
    FROM entry
  ), of_lot AS (
    SELECT location_id, item_id, lot, t, device, epoch, seq, line,
           greatest(0, sum(qty) OVER (
             PARTITION BY location_id, item_id, lot, nth ORDER BY t, device, epoch, seq, line)) AS qty
    FROM grouped
  ), change AS (
    SELECT location_id, item_id, t,
           qty - lag(qty, 1, 0::numeric) OVER (
             PARTITION BY location_id, item_id, lot ORDER BY t, device, epoch, seq, line) AS delta
    FROM of_lot
    UNION ALL
    SELECT location_id, item_id, t, 0 FROM known
  )
  SELECT change.location_id, change.item_id, change.t, lead(change.t, 1, to_t) OVER of_pair,
         (sum(sum(delta)) OVER of_pair)::bigint
  FROM change JOIN known USING (location_id, item_id)
  WHERE change.t >= known.t
  GROUP BY change.location_id, change.item_id, change.t
  WINDOW of_pair AS (PARTITION BY change.location_id, change.item_id ORDER BY change.t);
END;
COMMENT ON FUNCTION on_hand_steps IS
  'What pairs had on board from from_t to before to_t, as steps. They begin when something is first known'
  ' of the pair: a posting, a count, or a full count of the place.';

CREATE VIEW followed_pair AS
SELECT location.organisation_id, van.van_id, location.location_id, line.item_id, 'infinity'::date AS until
FROM location JOIN van USING (van_id) JOIN template_line AS line USING (template_id)
WHERE location.kind = 'van'
UNION ALL
SELECT location.organisation_id, van.van_id, location.location_id, own.item_id, own.until
FROM policy_exception AS own JOIN location USING (location_id) JOIN van USING (van_id)
WHERE NOT EXISTS (
  SELECT FROM template_line AS line
  WHERE (line.template_id, line.item_id) = (van.template_id, own.item_id));
COMMENT ON VIEW followed_pair IS
  'What vans should hold, by their templates or, up to and on a day, by an exception.';

-- Only pairs that something has happened to since from_t need a time line: of the others the level of
-- now is that of the whole period.
CREATE FUNCTION stock_outs(
  of_organisation_id integer, of_van_id integer, from_t timestamptz, to_t timestamptz
) RETURNS TABLE (location_id integer, item_id integer, out_s double precision, known_s double precision)
LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH followed AS MATERIALIZED (
    SELECT pair.location_id, pair.item_id
    FROM followed_pair AS pair
    WHERE from_t < to_t AND pair.organisation_id = of_organisation_id
      AND (of_van_id IS NULL OR pair.van_id = of_van_id)
      AND pair.until >= (to_t AT TIME ZONE 'Europe/Paris')::date
  ), held AS (
    SELECT level.location_id, level.item_id, sum(greatest(0, level.qty)) AS qty
    FROM level GROUP BY level.location_id, level.item_id
  ), touched AS (
    SELECT p.location_id, p.item_id FROM posting AS p WHERE p.t >= from_t
    UNION
    SELECT c.location_id, c.item_id FROM count_line AS c WHERE c.t >= from_t
    UNION
    SELECT followed.location_id, followed.item_id
    FROM followed JOIN full_count AS f USING (location_id) WHERE f.t >= from_t
  ), pair AS MATERIALIZED (
    SELECT followed.location_id, followed.item_id, held.qty,
           touched.location_id IS NOT NULL AS is_touched
    FROM followed
    LEFT JOIN held USING (location_id, item_id)
    LEFT JOIN touched USING (location_id, item_id)
  )
  SELECT step.location_id, step.item_id,
         coalesce(sum(extract(epoch FROM step.ends - step.begins)) FILTER (WHERE step.qty <= 0), 0),
         sum(extract(epoch FROM step.ends - step.begins))
  FROM on_hand_steps(
    (SELECT array_agg(pair.location_id ORDER BY pair.location_id, pair.item_id)
     FROM pair WHERE is_touched),
    (SELECT array_agg(pair.item_id ORDER BY pair.location_id, pair.item_id)
     FROM pair WHERE is_touched),
    from_t, to_t) AS step
  GROUP BY step.location_id, step.item_id
  UNION ALL
  SELECT pair.location_id, pair.item_id,
         CASE WHEN coalesce(pair.qty, 0) <= 0 THEN extract(epoch FROM to_t - from_t) ELSE 0 END,
         extract(epoch FROM to_t - from_t)
  FROM pair
  WHERE NOT is_touched
    AND (pair.qty IS NOT NULL OR pair.location_id IN (SELECT f.location_id FROM full_count AS f));
END;
COMMENT ON FUNCTION stock_outs IS
  'Of each pair that a van should hold at the end of a period (of all vans, if of_van_id is NULL): for'
  ' how long something was known of it, and for how long of that it had nothing on board.';

-- --- How far levels can be believed ---------------------------------------------------------------

-- Trust is the chance, from 0 to 1, that what we think is on board is there. It is 0 where nobody has
-- counted yet, or where a lot is below nothing. Else it begins at 1 with the last count and is multiplied
--   by 1/2    for every 180 days since that count,
--   by 0.98   for every movement since then: one in fifty is forgotten, or scanned with a wrong quantity,
--   by 1/2    while the count itself is unconfirmed: of two that disagree one is right,
--   by 1/2    for every planned visit since then whose job needed the item and that ended without a scan,
--   by 0.998  for every other planned visit since then that ended without a scan.
-- The numbers are estimates; what they are for is the order of pairs. Losses are logarithms, so that
-- they add up; reasons are those that cost 1 % or more, the worst first. The last count of a pair is the
-- oldest of its lots that are not at 0.
CREATE FUNCTION trust_at(location_ids integer[], of_item_id integer, at_t timestamptz)
RETURNS TABLE (
  location_id integer, item_id integer, qty bigint, counted_at timestamptz, movements bigint,
  visits_needing_it bigint, visits_without_scan bigint, trust double precision, reasons text[]
)
LANGUAGE sql STABLE
BEGIN ATOMIC
  WITH pair AS (
    SELECT level.location_id, level.item_id, sum(level.qty)::bigint AS qty,
           bool_or(level.qty < 0) AS is_negative,
           CASE WHEN NOT bool_or(level.qty <> 0 AND level.counted_at IS NULL)
             THEN coalesce(min(level.counted_at) FILTER (WHERE level.qty <> 0), max(level.counted_at))
           END AS counted_at
    FROM level
    WHERE level.location_id = ANY (location_ids)
      AND (of_item_id IS NULL OR level.item_id = of_item_id)
    GROUP BY level.location_id, level.item_id
  ), unscanned AS MATERIALIZED (
    SELECT own.location_id, question.t, question.stop_id
    FROM location AS own
    CROSS JOIN LATERAL (
      SELECT q.t, q.stop_id FROM stock_question AS q
      WHERE q.kind = 'visit_without_scan' AND q.van_id = own.van_id AND q.t <= at_t
    ) AS question
    WHERE own.location_id = ANY (location_ids) AND own.kind = 'van'
  ), visits AS (
    SELECT unscanned.location_id, array_agg(unscanned.t ORDER BY unscanned.t) AS times
    FROM unscanned GROUP BY unscanned.location_id
  ), needing AS (
    SELECT unscanned.location_id, part.item_id, array_agg(unscanned.t ORDER BY unscanned.t) AS times
    FROM unscanned JOIN stop_part AS part USING (stop_id)
    GROUP BY unscanned.location_id, part.item_id
  ), fact AS (
    SELECT pair.*, moved.n AS movements,
           coalesce(cardinality(needing.times), 0)
             - coalesce(width_bucket(pair.counted_at, needing.times), 0) AS needing_it,
           coalesce(cardinality(visits.times), 0)
             - coalesce(width_bucket(pair.counted_at, visits.times), 0) AS without_scan,
           task.reason = 'unconfirmed' AS is_unconfirmed
    FROM pair
    LEFT JOIN visits USING (location_id)
    LEFT JOIN needing USING (location_id, item_id)
    LEFT JOIN count_task AS task USING (location_id, item_id)
    CROSS JOIN LATERAL (
      SELECT count(*) AS n FROM posting AS p
      WHERE (p.location_id, p.item_id) = (pair.location_id, pair.item_id) AND p.t <= at_t
        AND p.t > coalesce(pair.counted_at, '-infinity')
    ) AS moved
  )
  SELECT fact.location_id, fact.item_id, fact.qty, fact.counted_at, fact.movements, fact.needing_it,
         fact.without_scan, lost.trust, lost.reasons
  FROM fact CROSS JOIN LATERAL (
    SELECT CASE WHEN sum(loss) < 700 THEN exp(-sum(loss)) ELSE 0 END AS trust,
           coalesce(array_agg(reason ORDER BY loss DESC, reason) FILTER (WHERE loss >= 0.01), '{}')
             AS reasons
    FROM (VALUES
      ('never_counted', CASE WHEN fact.counted_at IS NULL THEN 'Infinity'::double precision END),
      ('negative', CASE WHEN fact.is_negative THEN 'Infinity'::double precision END),
      ('old_count', ln(2::double precision) / 180
         * greatest(0, extract(epoch FROM at_t - fact.counted_at)::double precision / 86400)),
      ('movements', -ln(0.98::double precision) * fact.movements),
      ('unconfirmed', CASE WHEN fact.is_unconfirmed THEN ln(2::double precision) END),
      ('visits_needing_it', ln(2::double precision) * fact.needing_it),
      ('visits_without_scan',
       -ln(0.998::double precision) * (fact.without_scan - fact.needing_it))
    ) AS term (reason, loss)
  ) AS lost;
END;
COMMENT ON FUNCTION trust_at IS
  'The chance that each pair of some places holds what its level says, and why it is not 1; of all items'
  ' if of_item_id is NULL. What is counted is counted since the last count of the pair.';

CREATE FUNCTION trust_of(of_location_id integer, of_item_id integer, at_t timestamptz)
RETURNS double precision
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT coalesce(
    (SELECT found.trust FROM trust_at(ARRAY[of_location_id], of_item_id, at_t) AS found), 0);
END;
COMMENT ON FUNCTION trust_of IS 'trust_at of one pair; 0 where nothing is known of it.';

CREATE FUNCTION worth_counting(of_location_id integer, at_t timestamptz, most integer)
RETURNS TABLE (item_id integer, trust double precision, worth double precision)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT found.item_id, found.trust, (1 - found.trust) * item.cost::numeric::double precision
  FROM trust_at(ARRAY[of_location_id], NULL, at_t) AS found JOIN item USING (item_id)
  WHERE found.trust < 1
    AND (found.qty <> 0 OR EXISTS (
      SELECT FROM followed_pair AS pair
      WHERE (pair.location_id, pair.item_id) = (found.location_id, found.item_id)
        AND pair.until >= (at_t AT TIME ZONE 'Europe/Paris')::date))
  ORDER BY 3 DESC, found.item_id
  LIMIT most;
END;
COMMENT ON FUNCTION worth_counting IS
  'What to count next at a place, of what lies there or should: the chance that it is wrong, by its cost.';
