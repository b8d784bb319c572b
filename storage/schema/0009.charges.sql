-- Scans meet visits. Both are facts with times of their own, so that what was used where is a question
-- to the two tables, asked anew each time: whichever came late, the answer is the same.

CREATE FUNCTION metres_between(
  latitude_deg double precision, longitude_deg double precision,
  to_latitude_deg double precision, to_longitude_deg double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 111195.08 * sqrt(
  power(to_latitude_deg - latitude_deg, 2)
  + power((to_longitude_deg - longitude_deg) * cosd((latitude_deg + to_latitude_deg) / 2), 2));
COMMENT ON FUNCTION metres_between IS
  'On a sphere of 6,371,008.8 m, equirectangular: good to 0.5 % for a few kilometres.';

CREATE VIEW charge AS
SELECT scan.van_id, movement.device, movement.epoch, movement.seq, movement.line, movement.t,
       movement.kind, movement.item_id, movement.lot, movement.qty,
       visit.site_id, visit.arrived_at, visit.stop_id,
       coalesce(movement.work_order, stop.work_order) AS work_order
FROM scan
JOIN movement USING (device, epoch, seq)
LEFT JOIN LATERAL (
  SELECT site_id, arrived_at, stop_id, left_at FROM visit
  WHERE visit.van_id = scan.van_id AND verdict = 'visit' AND shadowed_by IS NULL
    AND arrived_at <= movement.t
  ORDER BY arrived_at DESC LIMIT 1
) AS visit ON visit.left_at IS NULL OR movement.t <= visit.left_at + INTERVAL '10 minutes'
LEFT JOIN stop ON stop.stop_id = visit.stop_id
WHERE scan.status = 'applied';
COMMENT ON VIEW charge IS
  'Each movement with the visit and the job it is charged to: the last visit that had begun, if the van'
  ' had not left for more than 10 minutes. The work order of the scan itself comes first.';

CREATE VIEW stock_question AS
SELECT 'visit_without_scan' AS kind, visit.van_id, visit.left_at AS t, visit.site_id,
       visit.arrived_at, visit.stop_id, NULL::integer AS item_id,
       (SELECT sum(qty) FROM stop_part WHERE stop_part.stop_id = visit.stop_id) AS qty
FROM visit
WHERE verdict = 'visit' AND shadowed_by IS NULL AND left_at IS NOT NULL AND stop_id IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM charge
    WHERE charge.van_id = visit.van_id AND charge.kind = 'issue'
      AND charge.t BETWEEN visit.arrived_at AND visit.left_at + INTERVAL '10 minutes'
      AND (charge.site_id, charge.arrived_at) = (visit.site_id, visit.arrived_at)
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
COMMENT ON VIEW stock_question IS
  'What a person should ask about: a planned visit that is over and used nothing (qty: what its job was'
  ' to need), a part used where no visit is, a load further than 500 m from every warehouse and from'
  ' the technician''s home.';
