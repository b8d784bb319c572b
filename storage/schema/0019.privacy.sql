-- Off duty nothing is stored, and what is stored goes when its time is over: geofence/duty.py says when
-- somebody is off duty, ingest/retention.py what is kept for how long.

CREATE TABLE duty_switch (
  van_id integer NOT NULL REFERENCES van,
  switched_at timestamptz NOT NULL,
  duty text NOT NULL CHECK (duty IN ('on', 'off')),
  PRIMARY KEY (van_id, switched_at)
);
CREATE INDEX duty_switch_by_duty ON duty_switch (van_id, duty, switched_at);
COMMENT ON TABLE duty_switch IS
  'What the switch on a van''s tablet said, by its own time. Of two with one time, off counts.';
INSERT INTO duty_switch
SELECT van_id, status_time, duty FROM van_status WHERE duty IS NOT NULL;

CREATE TABLE working_calendar (
  calendar_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id integer NOT NULL REFERENCES organisation,
  van_id integer REFERENCES van,
  time_zone text NOT NULL DEFAULT 'Europe/Paris',
  holidays date[] NOT NULL DEFAULT '{}',
  CONSTRAINT working_calendar_once UNIQUE NULLS NOT DISTINCT (organisation_id, van_id)
);
COMMENT ON TABLE working_calendar IS
  'When who travels works: of a van, or of all vans of an organisation that have none of their own.';
COMMENT ON COLUMN working_calendar.holidays IS 'Local days without working hours.';

CREATE TABLE working_hours (
  calendar_id integer NOT NULL REFERENCES working_calendar ON DELETE CASCADE,
  weekday smallint NOT NULL CONSTRAINT working_hours_weekday CHECK (weekday BETWEEN 1 AND 7),
  begins_min smallint NOT NULL,
  ends_min smallint NOT NULL,
  PRIMARY KEY (calendar_id, weekday, begins_min),
  CONSTRAINT working_hours_within_a_day
    CHECK (0 <= begins_min AND begins_min < ends_min AND ends_min <= 1440)
);
COMMENT ON TABLE working_hours IS
  'Minutes of the local day from and to; Monday is weekday 1. A night is two rows, to 1440 and from 0.';

CREATE TABLE duty_edit (
  van_id integer PRIMARY KEY REFERENCES van
);
COMMENT ON TABLE duty_edit IS
  'Vans whose calendar has changed, until ingest has deleted what is off duty by it.';

CREATE FUNCTION note_calendar_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO duty_edit
  SELECT van.van_id FROM van
  WHERE (OLD.organisation_id = van.organisation_id AND coalesce(OLD.van_id, van.van_id) = van.van_id)
     OR (NEW.organisation_id = van.organisation_id AND coalesce(NEW.van_id, van.van_id) = van.van_id)
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER calendar_edited AFTER INSERT OR UPDATE OR DELETE ON working_calendar
  FOR EACH ROW EXECUTE FUNCTION note_calendar_edit();

CREATE FUNCTION note_hours_edit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO duty_edit
  SELECT van.van_id
  FROM working_calendar AS calendar JOIN van USING (organisation_id)
  WHERE calendar.calendar_id IN (OLD.calendar_id, NEW.calendar_id)
    AND coalesce(calendar.van_id, van.van_id) = van.van_id
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;
CREATE TRIGGER hours_edited AFTER INSERT OR UPDATE OR DELETE ON working_hours
  FOR EACH ROW EXECUTE FUNCTION note_hours_edit();

CREATE TABLE off_duty (
  van_id integer NOT NULL REFERENCES van,
  day date NOT NULL,
  dropped bigint NOT NULL DEFAULT 0,
  deleted bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (van_id, day)
);
COMMENT ON TABLE off_duty IS
  'How many positions came of moments off duty, by their UTC day; a repeat counts again. Nothing else is'
  ' kept of them.';
COMMENT ON COLUMN off_duty.dropped IS 'Not stored at all.';
COMMENT ON COLUMN off_duty.deleted IS
  'Stored first, and deleted when a later status or another calendar showed what they were.';

CREATE TABLE deletion (
  began_on date NOT NULL,
  category text NOT NULL,
  table_name text NOT NULL,
  limit_at timestamptz NOT NULL,
  rows_deleted bigint NOT NULL DEFAULT 0,
  oldest_left timestamptz,
  done boolean NOT NULL DEFAULT false,
  changed_time timestamptz NOT NULL,
  PRIMARY KEY (table_name, began_on)
);
CREATE INDEX deletion_by_day ON deletion (began_on);
COMMENT ON TABLE deletion IS
  'The proof that what is over is gone: what each day''s run has deleted of each table, and what it left.';
COMMENT ON COLUMN deletion.limit_at IS 'What is older was deleted.';
COMMENT ON COLUMN deletion.oldest_left IS 'Of the rows that are left; NULL if there are none.';

-- What operators see of ingest, beside its sums; counted apart because what is kept of it goes.
ALTER TABLE ingest_activity
  ADD COLUMN tallies jsonb NOT NULL DEFAULT '{}',
  ADD COLUMN age_counts integer[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN ingest_activity.tallies IS
  'Messages by kind of topic, rejections by reason, visits and passes by what became of them.';
COMMENT ON COLUMN ingest_activity.age_counts IS
  'Positions by time from their own to the commit: entry i counts those under 2^i milliseconds.';

-- Fixes are dropped by ingest's own job from here on, to the day.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    PERFORM remove_retention_policy('fix', if_exists => true);
  END IF;
END
$$;
