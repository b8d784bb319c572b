-- Delays: what cannot be used, the way between visits, arrival times to come, alerts of every kind.
-- The visit engine keeps checkpoints, so that a late fix or an edited fence re-reads hours, not days.

ALTER TABLE van_progress
  ALTER COLUMN state DROP NOT NULL,
  ADD COLUMN checkpointed timestamptz,
  ADD COLUMN bounds box;
COMMENT ON COLUMN van_progress.state IS 'NULL: to be read anew from the first fix.';
COMMENT ON COLUMN van_progress.checkpointed IS 'The newest checkpoint.';
COMMENT ON COLUMN van_progress.bounds IS 'Around the usable fixes since then: x longitude, y latitude.';
-- The state has another form from here on.
UPDATE van_progress SET state = NULL;

CREATE TABLE van_checkpoint (
  van_id integer NOT NULL REFERENCES van,
  through timestamptz NOT NULL,
  state jsonb NOT NULL,
  bounds box,
  PRIMARY KEY (van_id, through)
);
CREATE INDEX van_checkpoint_bounds ON van_checkpoint USING gist (bounds);
COMMENT ON TABLE van_checkpoint IS
  'Where the visit engine stood, an hour apart: where reading again begins, and may end. A cache.';
COMMENT ON COLUMN van_checkpoint.bounds IS
  'Around the usable fixes since the checkpoint before: what an edited fence may touch.';

CREATE TABLE fence_edit (
  edit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  site_id integer NOT NULL,
  organisation_id integer NOT NULL,
  latitude_deg double precision NOT NULL,
  longitude_deg double precision NOT NULL,
  radius_m real NOT NULL,
  area jsonb
);
COMMENT ON TABLE fence_edit IS
  'Fences as they were and as they are, until ingest has read again what either touches.';

CREATE FUNCTION note_fence_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    INSERT INTO fence_edit (site_id, organisation_id, latitude_deg, longitude_deg, radius_m, area)
    VALUES (OLD.site_id, OLD.organisation_id, OLD.latitude_deg, OLD.longitude_deg, OLD.radius_m,
            OLD.area);
  END IF;
  INSERT INTO fence_edit (site_id, organisation_id, latitude_deg, longitude_deg, radius_m, area)
  VALUES (NEW.site_id, NEW.organisation_id, NEW.latitude_deg, NEW.longitude_deg, NEW.radius_m,
          NEW.area);
  RETURN NULL;
END
$$;
CREATE TRIGGER site_added AFTER INSERT ON site
  FOR EACH ROW EXECUTE FUNCTION note_fence_edit();
CREATE TRIGGER site_edited AFTER UPDATE ON site
  FOR EACH ROW
  WHEN ((OLD.latitude_deg, OLD.longitude_deg, OLD.radius_m, OLD.area, OLD.time_zone)
    IS DISTINCT FROM (NEW.latitude_deg, NEW.longitude_deg, NEW.radius_m, NEW.area, NEW.time_zone))
  EXECUTE FUNCTION note_fence_edit();

CREATE TABLE tour_edit (
  van_id integer NOT NULL REFERENCES van,
  service_date date NOT NULL,
  PRIMARY KEY (van_id, service_date)
);
COMMENT ON TABLE tour_edit IS 'Days whose plan has changed, until ingest has matched them anew.';

-- Whoever changes a stop holds its van's lock already.
CREATE FUNCTION note_stop_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tour_edit
  SELECT van_id, service_date FROM tour
  WHERE tour_id IN (OLD.tour_id, NEW.tour_id)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER stop_edited
  AFTER INSERT OR DELETE OR UPDATE OF tour_id, position, site_id, window_start, window_end,
    planned_duration_s ON stop
  FOR EACH ROW EXECUTE FUNCTION note_stop_edit();

CREATE FUNCTION note_tour_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- An import that moves tours parks them in the first years of the era meanwhile.
  INSERT INTO tour_edit
  SELECT van_id, service_date
  FROM (VALUES (OLD.van_id, OLD.service_date), (NEW.van_id, NEW.service_date))
    AS day (van_id, service_date)
  WHERE service_date > DATE '1000-01-01'
  ON CONFLICT DO NOTHING;
  RETURN OLD;
END
$$;
CREATE TRIGGER tour_moved
  AFTER UPDATE OF van_id, service_date ON tour
  FOR EACH ROW EXECUTE FUNCTION note_tour_edit();
-- Before, because its stops, which go with it, no longer know whose they were.
CREATE TRIGGER tour_dropped
  BEFORE DELETE ON tour
  FOR EACH ROW EXECUTE FUNCTION note_tour_edit();

CREATE TABLE unusable_fix (
  van_id integer NOT NULL REFERENCES van,
  fix_time timestamptz NOT NULL,
  reason text NOT NULL CHECK (reason IN ('null_island', 'poor_accuracy', 'frozen', 'jump')),
  PRIMARY KEY (van_id, fix_time)
);
CREATE INDEX unusable_fix_by_reason ON unusable_fix (fix_time, reason);
COMMENT ON TABLE unusable_fix IS 'Fixes that are kept but not used, and why.';

CREATE TABLE leg (
  van_id integer NOT NULL REFERENCES van,
  started_at timestamptz NOT NULL,
  kind text NOT NULL CHECK (kind IN ('trip', 'halt')),
  ended_at timestamptz NOT NULL,
  closed boolean NOT NULL,
  distance_m integer NOT NULL,
  standing_s integer NOT NULL,
  unknown_s integer NOT NULL,
  latitude_deg double precision NOT NULL,
  longitude_deg double precision NOT NULL,
  PRIMARY KEY (van_id, started_at)
);
CREATE INDEX leg_by_time ON leg (started_at);
COMMENT ON TABLE leg IS 'A van''s way: trips, in which it moved, and halts, in which it stood.';
COMMENT ON COLUMN leg.unknown_s IS 'Seconds of a trip in silences of more than 15 minutes.';
COMMENT ON COLUMN leg.latitude_deg IS 'Where it ended; of a halt, where it was.';

ALTER TABLE visit
  ADD COLUMN fixes integer NOT NULL DEFAULT 1,
  ADD COLUMN centre_mm_sum bigint NOT NULL DEFAULT 0,
  DROP COLUMN distance_m_mean,
  ADD COLUMN distance_m_mean double precision
    GENERATED ALWAYS AS (centre_mm_sum / 1000.0::float8 / fixes) STORED,
  ADD COLUMN wrong_order boolean NOT NULL DEFAULT false,
  ADD COLUMN overstayed boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN visit.wrong_order IS
  'Not in the longest series of the tour''s visits that keeps the planned order.';
COMMENT ON COLUMN visit.overstayed IS
  'Longer than planned by more than half and more than 15 minutes.';

DROP INDEX stop_not_judged;
ALTER TABLE stop
  DROP COLUMN judged,
  ADD COLUMN judged text CHECK (judged IN ('window', 'day')),
  ADD COLUMN planned_arrival timestamptz;
COMMENT ON COLUMN stop.planned_arrival IS
  'When the plan has the van there; who is early waits so that it leaves as planned.';
CREATE INDEX stop_not_judged ON stop (window_end) WHERE judged IS DISTINCT FROM 'day';
COMMENT ON COLUMN stop.judged IS
  'The clock has seen its window end, or its day, and raised what was to raise.';

-- What became of each stop, as a question: a stop whose van has been at a later one was skipped.
CREATE VIEW stop_outcome AS
SELECT stop.stop_id, stop.tour_id, stop.position,
       visit.arrived_at, visit.left_at, visit.punctuality, visit.wrong_order, visit.overstayed,
       CASE
         WHEN visit.closed_by IS NOT NULL THEN 'done'
         WHEN visit.stop_id IS NOT NULL THEN 'on_site'
         WHEN EXISTS (SELECT FROM stop AS later JOIN visit AS seen USING (stop_id)
                      WHERE later.tour_id = stop.tour_id AND later.position > stop.position)
           THEN 'skipped'
         ELSE 'planned'
       END AS outcome
FROM stop LEFT JOIN visit USING (stop_id);
COMMENT ON VIEW stop_outcome IS 'What became of each stop: planned, on_site, done or skipped.';

CREATE TABLE eta (
  stop_id integer PRIMARY KEY REFERENCES stop ON DELETE CASCADE,
  made_time timestamptz NOT NULL,
  early_at timestamptz NOT NULL,
  expected_at timestamptz NOT NULL,
  late_at timestamptz NOT NULL,
  chance_late real NOT NULL
);
COMMENT ON TABLE eta IS
  'When each remaining stop will be reached, as known at made_time: early and late are 10 % and 90 %.';

CREATE TABLE travel_model (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  made_time timestamptz NOT NULL,
  model jsonb NOT NULL,
  work jsonb NOT NULL
);
COMMENT ON TABLE travel_model IS 'Travel and work times, calibrated on the fleet''s own visits.';

ALTER TABLE alert
  ALTER COLUMN stop_id DROP NOT NULL,
  DROP CONSTRAINT alert_kind_check,
  ADD CONSTRAINT alert_kind_check
    CHECK (kind IN ('at_risk', 'late', 'missed', 'overstayed', 'silent')),
  ADD CONSTRAINT alert_of_a_stop CHECK ((kind = 'silent') = (stop_id IS NULL)),
  ADD COLUMN minutes integer,
  ADD COLUMN cause text CHECK (cause IN
    ('left_late', 'slow_road', 'long_visit', 'detour', 'silence')),
  ADD COLUMN pushes integer[] NOT NULL DEFAULT '{}';
ALTER TABLE alert RENAME COLUMN arrived_at TO ended_at;
CREATE UNIQUE INDEX alert_one_silence ON alert (van_id) WHERE kind = 'silent' AND state = 'open';
COMMENT ON COLUMN alert.due_at IS
  'The window''s end; when an overstay began; the last fix before a silence.';
COMMENT ON COLUMN alert.ended_at IS 'The arrival, the departure, the first fix after a silence.';
COMMENT ON COLUMN alert.minutes IS 'How late, expected or real; how long over; how long silent.';
COMMENT ON COLUMN alert.pushes IS 'Positions of the stops of its tour that it will make late next.';
COMMENT ON TABLE alert IS
  'Something a planner should know. Of late, missed and overstayed, due_at, ended_at and state are facts; the times say when we knew.';

-- Fixes must outlive the checkpoints that reading again begins at (62 days), and two months may have 59.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    PERFORM remove_retention_policy('fix');
    PERFORM add_retention_policy('fix', INTERVAL '70 days');
  END IF;
END
$$;
