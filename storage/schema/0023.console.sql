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

-- --- Replanning that a person has applied ----------------------------------------------------------

CREATE TABLE replan (
  replan_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id integer NOT NULL REFERENCES organisation,
  service_date date NOT NULL,
  kind text NOT NULL CONSTRAINT replan_kind_known CHECK (kind IN ('reorder', 'move')),
  site_id integer NOT NULL REFERENCES site,
  giver_van_id integer NOT NULL REFERENCES van,
  taker_van_id integer NOT NULL REFERENCES van,
  position integer NOT NULL,
  before jsonb NOT NULL,
  after jsonb NOT NULL,
  applied_by text NOT NULL,
  applied_time timestamptz NOT NULL,
  undone_by text,
  undone_time timestamptz,
  CONSTRAINT replan_moves_to_another CHECK ((kind = 'move') = (giver_van_id <> taker_van_id)),
  CONSTRAINT replan_undone_by_somebody CHECK ((undone_by IS NULL) = (undone_time IS NULL))
);
CREATE INDEX replan_by_day ON replan (organisation_id, service_date);
COMMENT ON TABLE replan IS 'A proposal that somebody has carried out, and perhaps taken back.';
COMMENT ON COLUMN replan.position IS 'Of the stop in the taker''s tour since then.';
COMMENT ON COLUMN replan.before IS 'The plans of the vans'' days as they were, as api/replans.py has them.';

-- --- Requests that are answered once ---------------------------------------------------------------

CREATE TABLE idempotency_key (
  principal text NOT NULL,
  key text NOT NULL,
  request_hash bytea NOT NULL,
  answer text,
  created_time timestamptz NOT NULL,
  PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_key_by_time ON idempotency_key (created_time);
COMMENT ON TABLE idempotency_key IS
  'What was answered to a changing request with an Idempotency-Key, to answer its repeats; kept a day.';
COMMENT ON COLUMN idempotency_key.principal IS 'Who asked: user:LOGIN or machine:CLIENT.';
COMMENT ON COLUMN idempotency_key.answer IS 'JSON; written with what the request did, or not at all.';

-- --- Reading a day, and finding things -------------------------------------------------------------

CREATE INDEX tour_by_day ON tour (service_date);

-- To find a site by. Everything that is searched is text without accents, case and punctuation.
ALTER TABLE site ADD COLUMN town text;

CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE FUNCTION plain_text(said text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN btrim(regexp_replace(
  lower(translate(
    replace(replace(replace(replace(replace(
      regexp_replace(normalize(said, NFKD), '[\u0300-\u036f]', '', 'g'),
      'ß', 'ss'), 'œ', 'oe'), 'Œ', 'oe'), 'æ', 'ae'), 'Æ', 'ae'),
    'łŁøØđĐ', 'lloodd')),
  '[-[:space:]!-/:-@[-`{-~’‘“”«»–—·]+', ' ', 'g'));
COMMENT ON FUNCTION plain_text IS
  'A text as it is searched: « Café de l’Étoile » and CAFE DE L ETOILE are the same.';

ALTER TABLE site ADD COLUMN search text
  GENERATED ALWAYS AS (plain_text(code || ' ' || name || ' ' || coalesce(town, ''))) STORED;
ALTER TABLE item ADD COLUMN search text
  GENERATED ALWAYS AS (plain_text(ref || ' ' || name)) STORED;
ALTER TABLE resupply_order ADD COLUMN search text GENERATED ALWAYS AS (plain_text(code)) STORED;
CREATE INDEX site_search ON site USING gin (search gin_trgm_ops);
CREATE INDEX item_search ON item USING gin (search gin_trgm_ops);
CREATE INDEX resupply_order_search ON resupply_order USING gin (search gin_trgm_ops);
COMMENT ON COLUMN site.search IS 'What api/queries/search.py looks in.';
COMMENT ON COLUMN item.search IS 'What api/queries/search.py looks in, beside barcodes.';
COMMENT ON COLUMN resupply_order.search IS 'What api/queries/search.py looks in.';

-- --- What operators do -----------------------------------------------------------------------------

ALTER TABLE rejected ADD COLUMN state text NOT NULL DEFAULT 'waiting'
  CONSTRAINT rejected_state_known CHECK (state IN ('waiting', 'replayed', 'discarded'));
COMMENT ON COLUMN rejected.state IS
  'replayed: sent again; it waits anew if it still cannot be used. discarded: nobody has to look at it.';

CREATE TABLE operator_action (
  action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id integer NOT NULL REFERENCES organisation,
  acted_time timestamptz NOT NULL,
  actor text NOT NULL,
  actor_name text NOT NULL,
  actor_role text NOT NULL,
  action text NOT NULL CONSTRAINT operator_action_known CHECK (action IN
    ('rejected_replayed', 'rejected_discarded', 'code_mapped', 'delivery_resent')),
  subject text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX operator_action_by_organisation ON operator_action (organisation_id, action_id);
CREATE INDEX operator_action_by_time ON operator_action (acted_time);
COMMENT ON TABLE operator_action IS
  'Who did what to what, and when: written with what was done, in one transaction; only added to.';
COMMENT ON COLUMN operator_action.actor IS 'user:LOGIN or machine:CLIENT, also after the account is gone.';
COMMENT ON COLUMN operator_action.subject IS
  'A rejected message or a webhook delivery by its id, a code as it was entered.';
