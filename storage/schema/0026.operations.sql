-- What operators did by hand, and to what.

CREATE TABLE operator_action (
  operator_action_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  organisation_id integer NOT NULL REFERENCES organisation,
  done_time timestamptz NOT NULL,
  done_by text NOT NULL CONSTRAINT operator_action_done_by_an_account
    CHECK (done_by ~ '^(user|machine):'),
  action text NOT NULL CONSTRAINT operator_action_known
    CHECK (action IN ('replay', 'discard', 'map_code', 'resend')),
  subject text NOT NULL,
  detail text NOT NULL
);
CREATE INDEX operator_action_by_time ON operator_action (organisation_id, done_time);
COMMENT ON TABLE operator_action IS
  'Rejected messages sent again or thrown away, codes given a meaning, deliveries asked for again.';
COMMENT ON COLUMN operator_action.subject IS 'The message, code or delivery that it was done to.';
