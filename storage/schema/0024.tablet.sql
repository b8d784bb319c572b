-- The tablet, and the apps that people have: who waits for the commit of what came by HTTP.

CREATE TABLE awaited (
  message_id bytea PRIMARY KEY
    CONSTRAINT awaited_id_whole CHECK (octet_length(message_id) = 16),
  asked_time timestamptz NOT NULL,
  committed_time timestamptz
);
CREATE INDEX awaited_open ON awaited (message_id) WHERE committed_time IS NULL;
COMMENT ON TABLE awaited IS
  'Messages that came by HTTP and went on to the broker, until somebody who waits has heard that ingest'
  ' has committed them; kept for a day. Times are those of the machine.';
COMMENT ON COLUMN awaited.message_id IS 'Of topic and bytes, as in rejected: storage/message_id.py.';

ALTER TABLE outbox ADD COLUMN is_passing boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN outbox.is_passing IS
  'What a van or a warehouse said by HTTP, on its way to the broker: deleted once the broker has it.';
