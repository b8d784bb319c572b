-- Codes say more than an item: a lot, a serial, a date. What was scanned is kept in columns, so that a
-- scan nobody could read takes effect when its code is entered.

ALTER TABLE scan
  ADD COLUMN aim_id text,
  ADD COLUMN qty bigint,
  ADD COLUMN lot text COLLATE "C" NOT NULL DEFAULT '',
  ADD COLUMN counterpart text COLLATE "C",
  ADD COLUMN work_order text,
  ADD COLUMN doubt text CHECK (doubt IN
    ('lot_ends_like_a_date', 'serial_ends_like_a_date', 'expiry_is_no_date'));
COMMENT ON COLUMN scan.aim_id IS 'The kind of symbol, where the scanner told it.';
COMMENT ON COLUMN scan.qty IS 'Packs of the code, as the tablet said; NULL means one.';
COMMENT ON COLUMN scan.counterpart IS 'The receiving van, if it is one of the same organisation.';
COMMENT ON COLUMN scan.doubt IS 'What somebody should look at; nothing is corrected by itself.';
UPDATE scan SET
  aim_id = said ->> 'aim_id', qty = (said ->> 'qty')::bigint, lot = coalesce(said ->> 'lot', ''),
  counterpart = (
    SELECT other.code FROM van AS own JOIN van AS other USING (organisation_id)
    WHERE own.van_id = scan.van_id AND other.code = said ->> 'counterpart'),
  work_order = said ->> 'work_order'
FROM (SELECT device, epoch, seq, payload_hash, convert_from(raw, 'UTF8')::jsonb AS said FROM scan) AS was
WHERE (scan.device, scan.epoch, scan.seq, scan.payload_hash)
    = (was.device, was.epoch, was.seq, was.payload_hash);

ALTER TABLE movement
  ADD COLUMN serial text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN expiry date;
ALTER TABLE count_line
  ADD COLUMN serial text COLLATE "C" NOT NULL DEFAULT '', ADD COLUMN expiry date;
COMMENT ON COLUMN movement.expiry IS 'Of the lot, as its code says it.';
COMMENT ON COLUMN count_line.expiry IS 'Of the lot, as its code says it.';

CREATE VIEW scan_flag AS
SELECT device, epoch, seq, van_id, t, doubt AS flag FROM scan
WHERE status = 'applied' AND doubt IS NOT NULL
UNION ALL
SELECT scan.device, scan.epoch, scan.seq, scan.van_id, scan.t, 'scanned_twice'
FROM scan
WHERE status = 'applied' AND intent <> 'count' AND EXISTS (
  SELECT FROM scan AS first
  WHERE first.van_id = scan.van_id AND first.status = 'applied'
    AND (first.intent, first.code) = (scan.intent, scan.code)
    AND first.t BETWEEN scan.t - INTERVAL '10 seconds' AND scan.t
    AND (first.t, first.device, first.epoch, first.seq) < (scan.t, scan.device, scan.epoch, scan.seq))
UNION ALL
SELECT movement.device, movement.epoch, movement.seq, scan.van_id, movement.t, 'serial_moved_twice'
FROM movement JOIN scan USING (device, epoch, seq)
WHERE scan.status = 'applied' AND serial <> '' AND EXISTS (
  SELECT FROM movement AS first
  WHERE (first.item_id, first.serial, first.kind) = (movement.item_id, movement.serial, movement.kind)
    AND (first.t, first.device, first.epoch, first.seq)
      < (movement.t, movement.device, movement.epoch, movement.seq));
CREATE INDEX movement_by_serial ON movement (item_id, serial) WHERE serial <> '';
COMMENT ON VIEW scan_flag IS
  'Scans that count and that somebody should look at: doubtful codes, the same code again within 10'
  ' seconds (two equal parts are legitimate), a serial number that did the same twice.';
