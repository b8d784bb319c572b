-- Who did something is who was signed in when it was done: `user:LOGIN` or `machine:CLIENT`, as in
-- access_log.reader. Where nobody did, it is `rule` or `time`. A name that was typed before this
-- migration stands as `said:NAME`: nobody has checked it.

UPDATE resupply_order SET approved_by = 'said:' || approved_by WHERE approved_by <> 'rule';
UPDATE proposal SET approved_by = 'said:' || approved_by WHERE approved_by IS NOT NULL;
UPDATE transfer SET decided_by = 'said:' || decided_by WHERE decided_by <> 'time';
UPDATE scan SET decided_by = 'said:' || decided_by WHERE decided_by IS NOT NULL;

ALTER TABLE resupply_order ADD CONSTRAINT resupply_order_approved_by_an_account
  CHECK (approved_by ~ '^(user|machine|said):' OR approved_by = 'rule');
ALTER TABLE proposal ADD CONSTRAINT proposal_approved_by_an_account
  CHECK (approved_by ~ '^(user|machine|said):');
ALTER TABLE transfer ADD CONSTRAINT transfer_decided_by_an_account
  CHECK (decided_by ~ '^(user|machine|said):' OR decided_by = 'time');
ALTER TABLE scan ADD CONSTRAINT scan_decided_by_an_account
  CHECK (decided_by ~ '^(user|machine|said):');
COMMENT ON COLUMN resupply_order.approved_by IS
  'The account that approved it, or rule where no person has to; NULL while it waits for one.';
COMMENT ON COLUMN proposal.approved_by IS
  'The account that wants it ordered although its level is unconfirmed; NULL where nobody was asked.';
COMMENT ON COLUMN transfer.decided_by IS
  'The account that accepted or refused it, or time where it came too late.';
COMMENT ON COLUMN scan.decided_by IS
  'The account that let a scan for review take effect, or refused it.';
COMMENT ON COLUMN order_report.author IS
  'As the warehouse''s own system says it: its broker credential vouches for the warehouse, nobody for'
  ' the name.';

CREATE TABLE posted_report (
  warehouse_id integer NOT NULL REFERENCES warehouse,
  report text COLLATE "C" NOT NULL,
  payload bytea NOT NULL,
  posted_by text NOT NULL CONSTRAINT posted_report_posted_by_an_account
    CHECK (posted_by ~ '^(user|machine):'),
  posted_time timestamptz NOT NULL,
  PRIMARY KEY (warehouse_id, report)
);
COMMENT ON TABLE posted_report IS
  'Reports that came by HTTP, as they went to the broker, and the account that posted each. The row of'
  ' order_report with the same bytes (raw) is what became of it.';

-- How far arrival times were from arrivals is told by what was said of a stop while it was well ahead:
-- geofence/forecast/accuracy.py.
ALTER TABLE eta
  ADD COLUMN said_30m_at timestamptz,
  ADD COLUMN said_2h_at timestamptz;
COMMENT ON COLUMN eta.said_30m_at IS
  'When it was expected as long as that was half an hour ahead or more; NULL if it never was.';
COMMENT ON COLUMN eta.said_2h_at IS 'The same of two hours.';
COMMENT ON COLUMN ingest_activity.tallies IS
  'Messages by kind of topic, rejections by reason, visits and passes by what became of them, errors of'
  ' arrival times by their size.';
