-- A scan that was taken back has used nothing: 0014 said so of what is charged to a visit, and 0015 lost it.

CREATE OR REPLACE VIEW charge AS
SELECT scan.van_id, movement.device, movement.epoch, movement.seq, movement.line, movement.t,
       movement.kind, movement.item_id, movement.lot, movement.qty,
       visit.site_id, visit.arrived_at, visit.stop_id,
       coalesce(movement.work_order, stop.work_order) AS work_order
FROM scan
JOIN standing_movement AS movement USING (device, epoch, seq, t)
LEFT JOIN LATERAL (
  SELECT site_id, arrived_at, stop_id, left_at FROM visit
  WHERE visit.van_id = scan.van_id AND verdict = 'visit' AND shadowed_by IS NULL
    AND arrived_at <= movement.t
  ORDER BY arrived_at DESC LIMIT 1
) AS visit ON visit.left_at IS NULL OR movement.t <= visit.left_at + INTERVAL '10 minutes'
LEFT JOIN stop ON stop.stop_id = visit.stop_id
WHERE scan.status = 'applied';
