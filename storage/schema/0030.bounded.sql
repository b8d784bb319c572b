-- What a page asks must cost what it shows, not what has been before it.

-- Fixes of one van lie among those of all others, in the order they came: a van's day of 8,640 is on as
-- many pages, 70 MB. What a track shows stands in the key's index too, where the fixes of a van are side
-- by side, on 113 pages. Its price: 65 bytes more a fix, for its pages stay half full.
ALTER TABLE fix
  DROP CONSTRAINT fix_pkey,
  ADD CONSTRAINT fix_pkey PRIMARY KEY (van_id, fix_time)
    INCLUDE (latitude_deg, longitude_deg, speed_mps, horizontal_accuracy_m);
-- The index is enough where VACUUM has seen that everybody may see a page. By itself it would come when a
-- fifth of the table is new, after two weeks; vacuumed pages are not read again.
ALTER TABLE fix SET (
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);

-- Planned visits are shown in the order of their windows, parts in that of their times, the first hundred
-- of them: an index in that order ends there, BRIN (0015) leads to all of the period.
CREATE INDEX stop_by_window ON stop (window_start);
DROP INDEX movement_by_time;
CREATE INDEX movement_by_time ON movement (t);

-- A visit used something if a part was issued from its arrival on, until ten minutes after it or the next
-- visit of the van. That is what `charge` says of a scan, asked from the visit: it is answered by the few
-- scans of that time, where `charge` had to be made of all there are. OFFSET 0 keeps it a question to be
-- asked of each visit; PostgreSQL would join all scans to all visits, for it takes 144,000 rows for 200.
CREATE OR REPLACE VIEW stock_question AS
SELECT 'visit_without_scan' AS kind, visit.van_id, visit.left_at AS t, visit.site_id,
       visit.arrived_at, visit.stop_id, NULL::integer AS item_id,
       (SELECT sum(qty) FROM stop_part WHERE stop_part.stop_id = visit.stop_id) AS qty
FROM visit
WHERE verdict = 'visit' AND shadowed_by IS NULL AND left_at IS NOT NULL AND stop_id IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM scan JOIN standing_movement AS movement USING (device, epoch, seq, t)
    WHERE scan.van_id = visit.van_id AND scan.status = 'applied' AND movement.kind = 'issue'
      AND scan.t BETWEEN visit.arrived_at AND visit.left_at + INTERVAL '10 minutes'
      AND NOT EXISTS (
        SELECT FROM visit AS later
        WHERE later.van_id = visit.van_id AND later.verdict = 'visit' AND later.shadowed_by IS NULL
          AND later.arrived_at > visit.arrived_at AND later.arrived_at <= scan.t
      )
    OFFSET 0
  )
UNION ALL
SELECT 'scan_without_visit', van_id, t, NULL, NULL, NULL, item_id, qty
FROM charge
WHERE kind = 'issue' AND site_id IS NULL
UNION ALL
SELECT 'load_away_from_depot', charge.van_id, t, site_id, arrived_at, stop_id, item_id, qty
FROM charge
JOIN van USING (van_id)
LEFT JOIN technician USING (technician_id)
JOIN LATERAL (
  SELECT latitude_deg, longitude_deg FROM fix
  WHERE fix.van_id = charge.van_id
    AND fix_time BETWEEN charge.t - INTERVAL '15 minutes' AND charge.t
    AND NOT EXISTS (SELECT FROM unusable_fix AS u
                    WHERE (u.van_id, u.fix_time) = (fix.van_id, fix.fix_time))
  ORDER BY fix_time DESC LIMIT 1
) AS here ON true
WHERE kind = 'load'
  AND metres_between(here.latitude_deg, here.longitude_deg,
                     home_latitude_deg, home_longitude_deg) > 500 IS NOT FALSE
  AND NOT EXISTS (
    SELECT FROM warehouse
    WHERE warehouse.organisation_id = van.organisation_id
      AND metres_between(here.latitude_deg, here.longitude_deg,
                         warehouse.latitude_deg, warehouse.longitude_deg) <= 500
  );

-- As in 0015, but that visits without a scan are looked for van by van, again by OFFSET 0: they were
-- looked for in all vans, whichever was asked about.
CREATE OR REPLACE FUNCTION trust_at(location_ids integer[], of_item_id integer, at_t timestamptz)
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
      OFFSET 0
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
