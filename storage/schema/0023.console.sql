-- What people do beside what messages say: what became of an alert in their hands. Ingest goes on rewriting
-- alerts from the set of messages; this is kept apart, and carried from an alert to the one that follows it.

CREATE TABLE alert_handling (
  handling_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  version integer NOT NULL,
  acknowledged_by text,
  acknowledged_at timestamptz,
  snoozed_until timestamptz,
  owner text,
  cause text CONSTRAINT alert_handling_cause_known CHECK (cause IN
    ('traffic', 'client_absent', 'client_delay', 'breakdown', 'accident', 'missing_part',
     'job_longer', 'technician_ill', 'plan_wrong', 'other')),
  note text,
  changed_time timestamptz NOT NULL,
  CONSTRAINT alert_handling_acknowledged_by_somebody
    CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);
COMMENT ON TABLE alert_handling IS
  'What people did about an alert, as it stands now; people are named by their logins.';
COMMENT ON COLUMN alert_handling.version IS 'Grows with every change: the ETag of the alert.';
COMMENT ON COLUMN alert_handling.cause IS 'What somebody found out; alert.cause is what the messages tell.';

CREATE TABLE alert_action (
  handling_id bigint NOT NULL REFERENCES alert_handling ON DELETE CASCADE,
  version integer NOT NULL,
  acted_time timestamptz NOT NULL,
  acted_by text NOT NULL,
  changes jsonb NOT NULL,
  PRIMARY KEY (handling_id, version)
);
COMMENT ON TABLE alert_action IS 'Who changed what about an alert, and when; only added to.';
COMMENT ON COLUMN alert_action.changes IS 'What was changed, with its new value.';

ALTER TABLE alert ADD COLUMN handling_id bigint REFERENCES alert_handling ON DELETE SET NULL;
CREATE INDEX alert_handled ON alert (van_id, kind, alert_id) WHERE handling_id IS NOT NULL;
CREATE INDEX alert_by_handling ON alert (handling_id) WHERE handling_id IS NOT NULL;
CREATE INDEX alert_by_due ON alert (due_at);
COMMENT ON COLUMN alert.handling_id IS
  'What people did about it. An alert that follows a withdrawn one of the same stop and kind has its.';

-- A stop is known by its place in the tour: another site there is another job.
CREATE FUNCTION forget_handling_of_stop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE alert SET handling_id = NULL WHERE stop_id = NEW.stop_id AND handling_id IS NOT NULL;
  RETURN NULL;
END
$$;
CREATE TRIGGER stop_replaced
  AFTER UPDATE OF site_id ON stop
  FOR EACH ROW WHEN (OLD.site_id <> NEW.site_id) EXECUTE FUNCTION forget_handling_of_stop();
