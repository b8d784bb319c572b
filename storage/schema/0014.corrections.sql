-- Corrections: a scan that takes another back, scans that wait for their time or for a person, and parts
-- that were delivered and nobody has taken on board yet.

ALTER TABLE scan
  DROP CONSTRAINT scan_status_check,
  ADD CONSTRAINT scan_status_check CHECK (status IN
    ('applied', 'unknown_code', 'unknown_counterpart', 'conflict', 'held', 'review', 'refused')),
  ADD COLUMN since timestamptz,
  ADD COLUMN reverses_epoch text COLLATE "C",
  ADD COLUMN reverses_seq bigint,
  ADD COLUMN decided_by text;
COMMENT ON COLUMN scan.since IS 'Of a full count: when it began.';
COMMENT ON COLUMN scan.decided_by IS 'Who let a scan for review take effect, or refused it.';
COMMENT ON COLUMN scan.status IS
  'held: of a time to come, until then. review: older than 30 days when it came, until a person decides.';

CREATE TABLE reversal (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  t timestamptz NOT NULL,
  of_epoch text COLLATE "C" NOT NULL,
  of_seq bigint NOT NULL,
  PRIMARY KEY (device, epoch, seq)
);
CREATE INDEX reversal_by_scan ON reversal (device, of_epoch, of_seq);
COMMENT ON TABLE reversal IS
  'A scan that takes another one of its tablet back, whichever is known first. The earliest counts.';

ALTER TABLE movement ADD COLUMN reverses_epoch text COLLATE "C", ADD COLUMN reverses_seq bigint;
CREATE INDEX movement_reversing ON movement (device, reverses_epoch, reverses_seq)
  WHERE kind = 'reverse';
COMMENT ON COLUMN movement.reverses_seq IS
  'The scan whose movement it takes back, at that one''s own time: a count in between has seen both.';

CREATE VIEW standing_movement AS
SELECT * FROM movement
WHERE kind <> 'reverse' AND NOT EXISTS (
  SELECT FROM movement AS back
  WHERE back.kind = 'reverse' AND (back.device, back.reverses_epoch, back.reverses_seq)
                                = (movement.device, movement.epoch, movement.seq));
COMMENT ON VIEW standing_movement IS 'Movements that nobody took back.';

CREATE OR REPLACE VIEW charge AS
SELECT scan.van_id, movement.device, movement.epoch, movement.seq, movement.line, movement.t,
       movement.kind, movement.item_id, movement.lot, movement.qty,
       visit.site_id, visit.arrived_at, visit.stop_id,
       coalesce(movement.work_order, stop.work_order) AS work_order
FROM scan
JOIN standing_movement AS movement USING (device, epoch, seq)
LEFT JOIN LATERAL (
  SELECT site_id, arrived_at, stop_id, left_at FROM visit
  WHERE visit.van_id = scan.van_id AND verdict = 'visit' AND shadowed_by IS NULL
    AND arrived_at <= movement.t
  ORDER BY arrived_at DESC LIMIT 1
) AS visit ON visit.left_at IS NULL OR movement.t <= visit.left_at + INTERVAL '10 minutes'
LEFT JOIN stop ON stop.stop_id = visit.stop_id
WHERE scan.status = 'applied';

CREATE OR REPLACE VIEW job_need AS
SELECT own.location_id, stop_part.item_id, stop.stop_id, stop.work_order, stop.window_start,
       stop.window_end, warehouse.warehouse_id, warehouse.next_delivery_at,
       (greatest(0, stop_part.qty - coalesce(used.qty, 0)))::integer AS qty
FROM warehouse
JOIN van USING (warehouse_id)
JOIN location AS own ON (own.kind, own.van_id) = ('van', van.van_id)
JOIN tour ON tour.van_id = van.van_id
  AND tour.service_date BETWEEN warehouse.cutoff_done_at::date - 1 AND warehouse.needs_until::date
JOIN stop USING (tour_id)
JOIN stop_part USING (stop_id)
LEFT JOIN LATERAL (
  SELECT sum(movement.qty) AS qty FROM standing_movement AS movement
  WHERE stop.work_order IS NOT NULL AND movement.kind = 'issue'
    AND (movement.work_order, movement.item_id, movement.from_location_id)
      = (stop.work_order, stop_part.item_id, own.location_id)
) AS used ON true
WHERE stop.window_end > warehouse.cutoff_done_at AND stop.window_start < warehouse.needs_until
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id AND left_at IS NOT NULL)
  AND stop_part.qty > coalesce(used.qty, 0);

CREATE OR REPLACE VIEW weekly_demand AS
SELECT van_id, item_id, date_trunc('week', t)::date AS week, sum(qty)::bigint AS qty
FROM (
  SELECT location.van_id, movement.item_id, movement.t, movement.qty, movement.work_order
  FROM standing_movement AS movement JOIN location ON location.location_id = from_location_id
  WHERE movement.kind = 'issue'
  UNION ALL
  SELECT location.van_id, item_id, t, qty, work_order
  FROM missing_part JOIN location USING (location_id)
) AS used
WHERE NOT EXISTS (
  SELECT FROM stop JOIN stop_part USING (stop_id)
  WHERE (stop.work_order, stop_part.item_id) = (used.work_order, used.item_id))
GROUP BY 1, 2, 3
UNION ALL
SELECT van_id, item_id, week, qty FROM usage_history;

CREATE OR REPLACE FUNCTION received_in_boxes(of_order_id bigint, of_item_id integer) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT coalesce(sum(movement.qty), 0)::bigint
  FROM standing_movement AS movement
  WHERE movement.kind = 'receive' AND movement.item_id = of_item_id AND movement.box IN (
    SELECT sscc FROM shipped_line WHERE (order_id, item_id) = (of_order_id, of_item_id));
END;

CREATE OR REPLACE FUNCTION on_order(at_location_id integer, of_item_id integer) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce(sum(delta) - least(0, min(running)), 0)::bigint
  FROM (
    SELECT delta, sum(delta) OVER (ORDER BY t, delta DESC) AS running
    FROM (
      SELECT cutoff_at AS t,
             greatest(0, requested - cancelled - received_in_boxes(order_id, item_id)) AS delta
      FROM resupply_line JOIN resupply_order USING (order_id)
      WHERE (resupply_line.location_id, item_id) = (at_location_id, of_item_id)
      UNION ALL
      SELECT posting.t, -posting.delta
      FROM posting JOIN standing_movement AS movement USING (device, epoch, seq, line)
      WHERE posting.location_id = at_location_id AND posting.item_id = of_item_id
        AND posting.delta > 0 AND movement.kind = 'receive'
        AND NOT EXISTS (SELECT FROM shipped_line
                        WHERE (sscc, item_id) = (movement.box, movement.item_id))
    ) AS event
  ) AS summed
$$;

CREATE OR REPLACE VIEW scan_flag AS
SELECT device, epoch, seq, van_id, t, doubt AS flag FROM scan
WHERE status = 'applied' AND doubt IS NOT NULL
UNION ALL
SELECT scan.device, scan.epoch, scan.seq, scan.van_id, scan.t, 'scanned_twice'
FROM scan
WHERE status = 'applied' AND intent NOT IN ('count', 'count_all', 'reverse', 'missing') AND EXISTS (
  SELECT FROM scan AS first
  WHERE first.van_id = scan.van_id AND first.status = 'applied'
    AND (first.intent, first.code) = (scan.intent, scan.code)
    AND first.t BETWEEN scan.t - INTERVAL '10 seconds' AND scan.t
    AND (first.t, first.device, first.epoch, first.seq) < (scan.t, scan.device, scan.epoch, scan.seq))
UNION ALL
SELECT movement.device, movement.epoch, movement.seq, scan.van_id, movement.t, 'serial_moved_twice'
FROM standing_movement AS movement JOIN scan USING (device, epoch, seq)
WHERE scan.status = 'applied' AND serial <> '' AND EXISTS (
  SELECT FROM standing_movement AS first
  WHERE (first.item_id, first.serial, first.kind) = (movement.item_id, movement.serial, movement.kind)
    AND (first.t, first.device, first.epoch, first.seq)
      < (movement.t, movement.device, movement.epoch, movement.seq));

-- --- What was delivered and nobody has taken on board yet -----------------------------------------

ALTER TABLE order_report
  DROP CONSTRAINT order_report_kind_check,
  ADD CONSTRAINT order_report_kind_check CHECK (kind IN
    ('accepted', 'picked', 'short', 'shipped', 'delivered', 'cancelled'));

CREATE VIEW box_place AS
SELECT DISTINCT ON (said.sscc) said.sscc, said.warehouse_id, said.report, said.order_id, said.t,
       place.location_id, way.location_id AS from_location_id
FROM sound_report AS said
JOIN resupply_order AS o USING (order_id)
JOIN location AS own ON own.location_id = o.location_id
JOIN van ON van.van_id = own.van_id
JOIN location AS place ON place.organisation_id = o.organisation_id AND place.kind = o.mode
  AND CASE o.mode WHEN 'home' THEN place.technician_id = van.technician_id
                  WHEN 'site' THEN place.site_id = o.site_id ELSE false END
JOIN location AS way ON (way.organisation_id, way.kind) = (o.organisation_id, 'in_transit')
WHERE said.kind = 'delivered' AND said.sscc IS NOT NULL
ORDER BY said.sscc, said.t, said.report;
COMMENT ON VIEW box_place IS
  'Where boxes lie that a carrier has left at a home or a site: from there, not from where they were on'
  ' their way, a van receives them.';
