-- The latest time at which ingest's clock has looked at what is due. A clock that was ahead for a while
-- has called stops late too early; when it is right again, what it judged is judged anew.

CREATE TABLE clock_seen (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  latest timestamptz NOT NULL
);
INSERT INTO clock_seen (latest) VALUES ('-infinity');
COMMENT ON TABLE clock_seen IS 'When ingest''s clock last looked at what is due; more than a minute ahead'
  ' of it, it was wrong.';
