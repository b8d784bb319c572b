-- Resupply: what jobs need, when warehouses deliver, what they answer, what is in their boxes.
-- stock_tracker/resupply/ holds the rules; what is kept here beside facts is a cache and says so.

ALTER TABLE warehouse
  ADD COLUMN closed_days date[] NOT NULL DEFAULT '{}',
  ADD COLUMN delivery_days integer NOT NULL DEFAULT 1
    CONSTRAINT warehouse_delivery_days_sane CHECK (delivery_days BETWEEN 0 AND 30),
  ADD COLUMN delivery_time time NOT NULL DEFAULT '06:30',
  ADD COLUMN express_minutes integer NOT NULL DEFAULT 240
    CONSTRAINT warehouse_express_sane CHECK (express_minutes BETWEEN 0 AND 10080),
  ADD COLUMN approval text NOT NULL DEFAULT 'automatic'
    CHECK (approval IN ('automatic', 'by_person')),
  ADD COLUMN sscc_prefix text NOT NULL DEFAULT '0400000'
    CONSTRAINT warehouse_sscc_prefix_digits CHECK (sscc_prefix ~ '^[0-9]{7,12}$'),
  ADD COLUMN sscc_last bigint NOT NULL DEFAULT 0,
  ADD COLUMN next_delivery_at timestamptz,
  ADD COLUMN needs_until timestamptz;
COMMENT ON COLUMN warehouse.closed_days IS 'Days on which it neither closes orders nor delivers.';
COMMENT ON COLUMN warehouse.delivery_days IS 'Working days from a cut-off to its delivery.';
COMMENT ON COLUMN warehouse.express_minutes IS 'How long a courier takes to a site; 0 for no courier.';
COMMENT ON COLUMN warehouse.approval IS 'Whether orders are sent at once or wait for somebody.';
COMMENT ON COLUMN warehouse.sscc_prefix IS
  'GS1 company prefix of the numbers it gives to boxes; 040 to 049 are for use inside a company.';
COMMENT ON COLUMN warehouse.next_delivery_at IS
  'When what the next cut-off orders is there; set by the clock, like needs_until.';
COMMENT ON COLUMN warehouse.needs_until IS
  'When what the cut-off after the next orders is there: jobs before that need their parts now.';

ALTER TABLE item
  ADD COLUMN cost real NOT NULL DEFAULT 1 CONSTRAINT item_cost_positive CHECK (cost > 0);
COMMENT ON COLUMN item.cost IS 'What holding one for long costs, against other items: money, or room.';

CREATE TABLE item_substitute (
  item_id integer NOT NULL REFERENCES item,
  other_item_id integer NOT NULL REFERENCES item,
  rank integer NOT NULL,
  PRIMARY KEY (item_id, other_item_id),
  CONSTRAINT item_substitute_is_another CHECK (item_id <> other_item_id)
);
COMMENT ON TABLE item_substitute IS 'What may be sent where an item is lacking, best rank first.';

CREATE TABLE warehouse_bin (
  warehouse_id integer NOT NULL REFERENCES warehouse,
  item_id integer NOT NULL REFERENCES item,
  bin text NOT NULL,
  PRIMARY KEY (warehouse_id, item_id)
);
COMMENT ON TABLE warehouse_bin IS 'Where an item lies in a warehouse.';

CREATE TABLE policy_exception (
  location_id integer NOT NULL REFERENCES location,
  item_id integer NOT NULL REFERENCES item,
  reorder_point integer NOT NULL,
  order_up_to integer NOT NULL,
  cap integer NOT NULL,
  until date NOT NULL,
  reason text NOT NULL,
  PRIMARY KEY (location_id, item_id),
  CONSTRAINT policy_exception_ordered
    CHECK (0 <= reorder_point AND reorder_point < order_up_to AND order_up_to <= cap)
);
COMMENT ON TABLE policy_exception IS
  'What one van should hold instead of what its template says, up to and on a day.';

-- --- Levels that are no longer usable, and parts that were lacking --------------------------------

CREATE INDEX movement_expiring ON movement (item_id, lot) WHERE expiry IS NOT NULL;
CREATE INDEX count_line_expiring ON count_line (item_id, lot) WHERE expiry IS NOT NULL;
CREATE INDEX movement_by_work_order ON movement (work_order, item_id) WHERE work_order IS NOT NULL;

CREATE TABLE missing_part (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  t timestamptz NOT NULL,
  location_id integer NOT NULL,
  item_id integer NOT NULL,
  qty bigint NOT NULL CONSTRAINT missing_part_qty_positive CHECK (qty > 0),
  work_order text,
  PRIMARY KEY (device, epoch, seq)
);
CREATE INDEX missing_part_by_pair ON missing_part (location_id, item_id, t);
CREATE INDEX missing_part_by_time ON missing_part (t);
COMMENT ON TABLE missing_part IS
  'A part that a job needed and the van had not, as its technician said. It moves nothing.';

-- --- What jobs need --------------------------------------------------------------------------------

-- A job needs its parts until its visit is over, or they were issued for it.
CREATE VIEW job_need AS
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
  SELECT sum(movement.qty) AS qty FROM movement
  WHERE stop.work_order IS NOT NULL AND movement.kind = 'issue'
    AND (movement.work_order, movement.item_id, movement.from_location_id)
      = (stop.work_order, stop_part.item_id, own.location_id)
) AS used ON true
WHERE stop.window_end > warehouse.cutoff_done_at AND stop.window_start < warehouse.needs_until
  AND NOT EXISTS (SELECT FROM visit WHERE visit.stop_id = stop.stop_id AND left_at IS NOT NULL)
  AND stop_part.qty > coalesce(used.qty, 0);
COMMENT ON VIEW job_need IS
  'What jobs still need before the delivery after the next, from the cut-off that was done last.';

CREATE TABLE need (
  location_id integer NOT NULL,
  item_id integer NOT NULL,
  qty integer NOT NULL,
  soon integer NOT NULL,
  jobs text[] NOT NULL,
  PRIMARY KEY (location_id, item_id)
);
COMMENT ON TABLE need IS 'job_need by pair, as of the last look: a cache.';
COMMENT ON COLUMN need.soon IS 'The part of it that is needed before the next delivery.';

CREATE TABLE stock_dirty (
  location_id integer NOT NULL,
  item_id integer NOT NULL,
  PRIMARY KEY (location_id, item_id)
);
COMMENT ON TABLE stock_dirty IS 'Pairs whose policy has changed, until their proposals are set anew.';

CREATE FUNCTION note_van_policy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stock_dirty
  SELECT DISTINCT location_id, item_id FROM location JOIN level USING (location_id)
  WHERE location.kind = 'van' AND location.van_id = NEW.van_id
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER van_policy_changed AFTER UPDATE OF template_id, warehouse_id ON van
  FOR EACH ROW
  WHEN ((OLD.template_id, OLD.warehouse_id) IS DISTINCT FROM (NEW.template_id, NEW.warehouse_id))
  EXECUTE FUNCTION note_van_policy();

-- --- Orders ---------------------------------------------------------------------------------------

ALTER TABLE proposal
  ADD COLUMN short integer NOT NULL DEFAULT 0,
  ADD COLUMN looked_at timestamptz,
  ADD COLUMN approved_by text;
COMMENT ON COLUMN proposal.looked_at IS 'When a faster way for what is short was last looked for.';
COMMENT ON COLUMN proposal.short IS 'How much of it jobs need before the next delivery.';
COMMENT ON COLUMN proposal.approved_by IS
  'Who wants it ordered although its level is unconfirmed; NULL where nobody was asked.';

ALTER TABLE resupply_order
  ADD COLUMN is_urgent boolean NOT NULL DEFAULT false,
  ADD COLUMN due_at timestamptz,
  ADD COLUMN approved_by text,
  ADD COLUMN sent_time timestamptz,
  ADD COLUMN changed_time timestamptz,
  ADD COLUMN site_id integer REFERENCES site,
  DROP CONSTRAINT resupply_order_once_a_slot;
UPDATE resupply_order SET due_at = cutoff_at + INTERVAL '1 day', changed_time = created_time,
  sent_time = created_time, approved_by = 'rule';
CREATE UNIQUE INDEX resupply_order_once_a_slot ON resupply_order (location_id, mode, cutoff_at)
  WHERE NOT is_urgent;
CREATE INDEX resupply_order_open ON resupply_order (warehouse_id, cutoff_at)
  WHERE state NOT IN ('received', 'cancelled');
COMMENT ON COLUMN resupply_order.state IS
  'Follows from the lines and from what the warehouse reported: see stock_tracker/resupply/orders.py.';
COMMENT ON COLUMN resupply_order.due_at IS 'When it should be there.';
COMMENT ON COLUMN resupply_order.site_id IS 'Where it goes, if it goes to the site of a job.';

ALTER TABLE resupply_line
  ADD COLUMN allocated integer,
  ADD COLUMN picked integer NOT NULL DEFAULT 0,
  ADD COLUMN shipped integer NOT NULL DEFAULT 0,
  ADD COLUMN stop_id integer REFERENCES stop ON DELETE SET NULL,
  ADD COLUMN instead_of integer REFERENCES item,
  ADD CONSTRAINT resupply_line_allocation_sane CHECK (allocated BETWEEN 0 AND requested);
-- A line is asked for by its pair, and the pair's van stands in its order.
ALTER TABLE resupply_line ADD COLUMN location_id integer;
UPDATE resupply_line SET location_id = resupply_order.location_id
FROM resupply_order WHERE resupply_order.order_id = resupply_line.order_id;
ALTER TABLE resupply_line ALTER COLUMN location_id SET NOT NULL;
CREATE FUNCTION place_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.location_id := (SELECT location_id FROM resupply_order WHERE order_id = NEW.order_id);
  RETURN NEW;
END
$$;
CREATE TRIGGER resupply_line_placed BEFORE INSERT ON resupply_line
  FOR EACH ROW EXECUTE FUNCTION place_line();
DROP INDEX resupply_line_by_item;
CREATE INDEX resupply_line_by_pair ON resupply_line (location_id, item_id);
COMMENT ON COLUMN resupply_line.location_id IS 'The one of its order, set by a trigger.';
CREATE UNIQUE INDEX resupply_line_once_a_job ON resupply_line (stop_id, item_id)
  WHERE stop_id IS NOT NULL;
COMMENT ON COLUMN resupply_line.allocated IS
  'What the warehouse had when it was ordered; NULL where its stock is not followed.';
COMMENT ON COLUMN resupply_line.received IS
  'By box or line where a scan names the box, else oldest order first. Like picked, shipped and'
  ' cancelled it follows from scans and reports.';
COMMENT ON COLUMN resupply_line.instead_of IS 'The lacking item that it replaces.';

-- --- What the warehouse reports -------------------------------------------------------------------

CREATE TABLE order_report (
  warehouse_id integer NOT NULL REFERENCES warehouse,
  report text COLLATE "C" NOT NULL,
  payload_hash bigint NOT NULL,
  order_id bigint NOT NULL REFERENCES resupply_order,
  t timestamptz NOT NULL,
  kind text NOT NULL CHECK (kind IN ('accepted', 'picked', 'short', 'shipped', 'cancelled')),
  sscc text COLLATE "C" CONSTRAINT order_report_sscc_digits CHECK (sscc ~ '^[0-9]{18}$'),
  author text,
  raw bytea NOT NULL,
  received_time timestamptz NOT NULL,
  PRIMARY KEY (warehouse_id, report, payload_hash)
);
CREATE INDEX order_report_by_order ON order_report (order_id);
CREATE INDEX order_report_by_sscc ON order_report (sscc) WHERE sscc IS NOT NULL;
COMMENT ON TABLE order_report IS
  'What a warehouse said of an order, as it came. Two payloads under one id are both set aside.';

CREATE TABLE order_report_line (
  warehouse_id integer NOT NULL,
  report text COLLATE "C" NOT NULL,
  payload_hash bigint NOT NULL,
  line smallint NOT NULL,
  item_id integer NOT NULL REFERENCES item,
  lot text COLLATE "C" NOT NULL,
  qty integer NOT NULL CONSTRAINT order_report_line_qty_positive CHECK (qty > 0),
  reason text,
  is_backorder boolean NOT NULL DEFAULT true,
  PRIMARY KEY (warehouse_id, report, payload_hash, line),
  FOREIGN KEY (warehouse_id, report, payload_hash) REFERENCES order_report
);
COMMENT ON COLUMN order_report_line.is_backorder IS 'What is short will still come; else it is cancelled.';

CREATE VIEW sound_report AS
SELECT * FROM order_report AS said
WHERE NOT EXISTS (
  SELECT FROM order_report AS other
  WHERE (other.warehouse_id, other.report) = (said.warehouse_id, said.report)
    AND other.payload_hash <> said.payload_hash);
COMMENT ON VIEW sound_report IS 'Reports whose id has one payload only.';

CREATE VIEW shipped_line AS
SELECT said.warehouse_id, said.report, said.order_id, said.t, said.sscc, line.line, line.item_id,
       line.lot, line.qty
FROM sound_report AS said JOIN order_report_line AS line USING (warehouse_id, report, payload_hash)
WHERE said.kind = 'shipped';
COMMENT ON VIEW shipped_line IS 'What is in the boxes that warehouses have sent.';

-- --- Boxes: one scan receives all that is in it ---------------------------------------------------

CREATE TABLE box_scan (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  t timestamptz NOT NULL,
  location_id integer NOT NULL,
  from_location_id integer NOT NULL,
  sscc text COLLATE "C" NOT NULL,
  PRIMARY KEY (device, epoch, seq)
);
CREATE INDEX box_scan_by_sscc ON box_scan (sscc);
COMMENT ON TABLE box_scan IS
  'A box received as a whole. What it moves follows from what was shipped in it, whichever is known'
  ' first; the earliest scan of a box counts, and lines that were scanned one by one go before it.';

ALTER TABLE scan ADD COLUMN box text COLLATE "C";
ALTER TABLE movement ADD COLUMN box text COLLATE "C";
CREATE INDEX movement_by_box ON movement (box, item_id) WHERE box IS NOT NULL;
COMMENT ON COLUMN scan.box IS 'The box (SSCC) that a received line came in, if its tablet said so.';
COMMENT ON COLUMN movement.box IS 'The box (SSCC) that it came in.';

-- What boxes have brought of an order's line.
CREATE FUNCTION received_in_boxes(of_order_id bigint, of_item_id integer) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT coalesce(sum(movement.qty), 0)::bigint
  FROM movement
  WHERE movement.kind = 'receive' AND movement.item_id = of_item_id AND movement.box IN (
    SELECT sscc FROM shipped_line WHERE (order_id, item_id) = (of_order_id, of_item_id));
END;

-- On order goes up with each order and down with each receipt, in the order of their own times, but
-- never below zero: what came unasked does not count against a later order. In closed form that is
-- the last running sum less the lowest one below zero. What came in a box is its order's.
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
      FROM posting JOIN movement USING (device, epoch, seq, line)
      WHERE posting.location_id = at_location_id AND posting.item_id = of_item_id
        AND posting.delta > 0 AND movement.kind = 'receive'
        AND NOT EXISTS (SELECT FROM shipped_line
                        WHERE (sscc, item_id) = (movement.box, movement.item_id))
    ) AS event
  ) AS summed
$$;

-- --- From van to van ------------------------------------------------------------------------------

CREATE TABLE transfer (
  transfer_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  from_location_id integer NOT NULL REFERENCES location,
  to_location_id integer NOT NULL REFERENCES location,
  item_id integer NOT NULL REFERENCES item,
  qty integer NOT NULL CONSTRAINT transfer_qty_positive CHECK (qty > 0),
  stop_id integer REFERENCES stop ON DELETE SET NULL,
  state text NOT NULL DEFAULT 'proposed'
    CHECK (state IN ('proposed', 'accepted', 'done', 'refused')),
  inputs jsonb NOT NULL,
  created_time timestamptz NOT NULL,
  until timestamptz NOT NULL,
  decided_by text,
  told_time timestamptz,
  CONSTRAINT transfer_goes_somewhere CHECK (from_location_id <> to_location_id)
);
CREATE UNIQUE INDEX transfer_open_once ON transfer (to_location_id, item_id)
  WHERE state IN ('proposed', 'accepted');
CREATE INDEX transfer_by_item ON transfer (item_id) WHERE state IN ('proposed', 'accepted');
COMMENT ON TABLE transfer IS
  'Parts that another van could hand over on its way. Done when a transfer scan says so.';

-- What is on its way from other vans, less what is promised to others.
CREATE FUNCTION on_transfer(at_location_id integer, of_item_id integer) RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT coalesce(sum(qty) FILTER (WHERE to_location_id = at_location_id), 0)
       - coalesce(sum(qty) FILTER (WHERE from_location_id = at_location_id), 0)
  FROM transfer
  WHERE state IN ('proposed', 'accepted') AND item_id = of_item_id
    AND at_location_id IN (from_location_id, to_location_id);
END;

-- --- What vans should hold, as demand says --------------------------------------------------------

CREATE INDEX stop_by_work_order ON stop (work_order) WHERE work_order IS NOT NULL;

CREATE TABLE usage_history (
  van_id integer NOT NULL REFERENCES van,
  item_id integer NOT NULL REFERENCES item,
  week date NOT NULL
    CONSTRAINT usage_history_week_is_a_monday CHECK (extract(isodow FROM week) = 1),
  qty integer NOT NULL CONSTRAINT usage_history_qty_not_negative CHECK (qty >= 0),
  PRIMARY KEY (van_id, item_id, week)
);
COMMENT ON TABLE usage_history IS
  'What each van used in a week, by its Monday, before its scans were kept here.';

CREATE TABLE policy_proposal (
  template_id integer NOT NULL REFERENCES van_template,
  item_id integer NOT NULL REFERENCES item,
  reorder_point integer NOT NULL,
  order_up_to integer NOT NULL,
  cap integer NOT NULL,
  rate real NOT NULL,
  fill real NOT NULL,
  reason text NOT NULL,
  made_time timestamptz NOT NULL,
  PRIMARY KEY (template_id, item_id),
  CONSTRAINT policy_proposal_ordered CHECK (
    (order_up_to = 0 AND reorder_point = -1)
    OR (0 <= reorder_point AND reorder_point < order_up_to AND order_up_to <= cap))
);
COMMENT ON TABLE policy_proposal IS
  'What a template line should be by demand, where it is not; applied when somebody accepts it.';
COMMENT ON COLUMN policy_proposal.order_up_to IS '0: no longer carried.';
COMMENT ON COLUMN policy_proposal.rate IS 'Base units a week that all vans of the template use.';
COMMENT ON COLUMN policy_proposal.fill IS 'Share of requests that it would serve.';

-- Parts that jobs used, or lacked, week by week. What a job was known to need is ordered for that job,
-- and so is no demand that the stock of a van must meet.
CREATE VIEW weekly_demand AS
SELECT van_id, item_id, date_trunc('week', t)::date AS week, sum(qty)::bigint AS qty
FROM (
  SELECT location.van_id, movement.item_id, movement.t, movement.qty, movement.work_order
  FROM movement JOIN location ON location.location_id = from_location_id
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
COMMENT ON VIEW weekly_demand IS
  'Demand by van, item and week: what was used before Cordée, what unplanned jobs used, what they lacked.';
