-- What goes in and out: the rejected, the outbox, and what was done in each second.

CREATE TABLE rejected (
  rejected_id bytea PRIMARY KEY,
  topic text NOT NULL,
  payload bytea NOT NULL,
  reason text NOT NULL,
  detail text NOT NULL,
  van_code text,
  received_time timestamptz NOT NULL
);
CREATE INDEX rejected_by_time ON rejected (received_time, rejected_id);
COMMENT ON TABLE rejected IS
  'What could not be used, with its raw bytes and the reason. The key is a hash of topic and payload.';

CREATE TABLE outbox (
  outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  topic text NOT NULL,
  payload bytea NOT NULL,
  retain boolean NOT NULL DEFAULT false,
  created_time timestamptz NOT NULL,
  sent_time timestamptz
);
CREATE INDEX outbox_unsent ON outbox (outbox_id) WHERE sent_time IS NULL;
CREATE INDEX outbox_sent ON outbox (sent_time) WHERE sent_time IS NOT NULL;
COMMENT ON TABLE outbox IS
  'Messages to publish, written with their cause; sent at least once; kept 7 days after that.';

CREATE TABLE ingest_activity (
  second timestamptz PRIMARY KEY,
  batches integer NOT NULL,
  messages integer NOT NULL,
  fixes integer NOT NULL,
  scans integer NOT NULL,
  rejected integer NOT NULL,
  lag_counts integer[] NOT NULL
);
COMMENT ON TABLE ingest_activity IS 'What ingest committed in each second of real time; kept an hour.';
COMMENT ON COLUMN ingest_activity.lag_counts IS
  'Messages by time from arrival to commit: entry i counts those under 2^i milliseconds.';
