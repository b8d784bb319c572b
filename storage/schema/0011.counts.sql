-- Counts: a full one says of everything that was not counted that it is not there; each has a variance,
-- which is derived, never stored; and what cannot be right is to be counted again.

CREATE TABLE full_count (
  device text COLLATE "C" NOT NULL,
  epoch text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  location_id integer NOT NULL,
  since timestamptz NOT NULL,
  t timestamptz NOT NULL,
  PRIMARY KEY (device, epoch, seq),
  CONSTRAINT full_count_ordered CHECK (since <= t)
);
CREATE INDEX full_count_by_location ON full_count (location_id, t);
COMMENT ON TABLE full_count IS
  'Everything at a location was counted from since to t: what no count line of that time names is 0 at'
  ' t. Nothing is written for it, so that items first heard of later are covered too.';

-- What is known of a pair at a moment of the order key (t, device, epoch, seq): the greatest anchor
-- before it, a count line or a full count that does not list the pair.
CREATE FUNCTION anchor_before(
  of_location_id integer, of_item_id integer, of_lot text,
  at_t timestamptz, at_device text, at_epoch text, at_seq bigint
) RETURNS TABLE (t timestamptz, device text, epoch text, seq bigint, qty bigint, is_line boolean)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT anchor.t, anchor.device, anchor.epoch, anchor.seq, anchor.qty, anchor.is_line FROM (
    (SELECT c.t, c.device, c.epoch, c.seq, c.qty, true AS is_line FROM count_line AS c
     WHERE (c.location_id, c.item_id, c.lot) = (of_location_id, of_item_id, of_lot)
       AND (c.t, c.device, c.epoch, c.seq)
         < (at_t, at_device COLLATE "C", at_epoch COLLATE "C", at_seq)
     ORDER BY c.t DESC, c.device DESC, c.epoch DESC, c.seq DESC LIMIT 1)
    UNION ALL
    (SELECT f.t, f.device, f.epoch, f.seq, 0, false FROM full_count AS f
     WHERE f.location_id = of_location_id
       AND (f.t, f.device, f.epoch, f.seq)
         < (at_t, at_device COLLATE "C", at_epoch COLLATE "C", at_seq)
       AND NOT EXISTS (
         SELECT FROM count_line AS c
         WHERE (c.location_id, c.item_id, c.lot) = (of_location_id, of_item_id, of_lot)
           AND c.t BETWEEN f.since AND f.t)
     ORDER BY f.t DESC, f.device DESC, f.epoch DESC, f.seq DESC LIMIT 1)
  ) AS anchor
  ORDER BY anchor.t DESC, anchor.device DESC, anchor.epoch DESC, anchor.seq DESC LIMIT 1;
END;

CREATE VIEW count_variance AS
SELECT counted.device, counted.epoch, counted.seq, counted.t, counted.location_id, counted.item_id,
       counted.lot, counted.qty, before.t AS before_t,
       coalesce(before.qty, 0) + coalesce(moved.delta, 0) AS expected,
       counted.qty - coalesce(before.qty, 0) - coalesce(moved.delta, 0) AS variance
FROM count_line AS counted
LEFT JOIN LATERAL anchor_before(
  counted.location_id, counted.item_id, counted.lot,
  counted.t, counted.device, counted.epoch, counted.seq) AS before ON true
LEFT JOIN LATERAL (
  SELECT sum(delta)::bigint AS delta FROM posting AS p
  WHERE (p.location_id, p.item_id, p.lot) = (counted.location_id, counted.item_id, counted.lot)
    AND (p.t, p.device, p.epoch, p.seq) < (counted.t, counted.device, counted.epoch, counted.seq)
    AND (before.t IS NULL
         OR (p.t, p.device, p.epoch, p.seq)
          > (before.t, before.device COLLATE "C", before.epoch COLLATE "C", before.seq))
) AS moved ON true;
COMMENT ON VIEW count_variance IS
  'What each count found beyond what was expected: the count before it, and all postings in between. A'
  ' late scan explains a loss; before_t is NULL for a first count.';

-- A function, not a view: it is asked of a few pairs at a time, and a view would go through all.
CREATE FUNCTION recounts_of(of_location_id integer, of_item_id integer)
RETURNS TABLE (lot text, qty bigint, reason text)
LANGUAGE sql STABLE
BEGIN ATOMIC
  SELECT level.lot, level.qty, CASE WHEN level.qty < 0 THEN 'negative' ELSE 'unconfirmed' END
  FROM level
  JOIN location USING (location_id)
  LEFT JOIN LATERAL anchor_before(
    level.location_id, level.item_id, level.lot, 'infinity', '', '', 0) AS last ON true
  LEFT JOIN count_variance AS found
    ON last.is_line
    AND (found.location_id, found.item_id, found.lot)
      = (level.location_id, level.item_id, level.lot)
    AND (found.t, found.device, found.epoch, found.seq)
      = (last.t, last.device COLLATE "C", last.epoch COLLATE "C", last.seq)
  WHERE (level.location_id, level.item_id) = (of_location_id, of_item_id)
    AND location.kind = 'van'
    AND (level.qty < 0
         OR (found.before_t IS NOT NULL
             AND abs(found.variance) > greatest(1, abs(found.expected) / 10)));
END;
COMMENT ON FUNCTION recounts_of IS
  'What of a pair is to be counted again: less than nothing, or a last count that is off by more than 1'
  ' and 10 %. A second count that finds the same confirms it.';

CREATE TABLE count_task (
  location_id integer NOT NULL,
  item_id integer NOT NULL REFERENCES item,
  reason text NOT NULL CHECK (reason IN ('negative', 'unconfirmed')),
  asked_time timestamptz NOT NULL,
  PRIMARY KEY (location_id, item_id)
);
COMMENT ON TABLE count_task IS
  'What a van was asked to count again, and is not settled. That it was asked depends on when we knew.';
