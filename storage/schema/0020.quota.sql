-- How much of what cannot be used was kept of each sender, and how much was only counted.

CREATE TABLE rejected_quota (
  day date NOT NULL,
  sender text COLLATE "C" NOT NULL,
  kept bigint NOT NULL DEFAULT 0,
  kept_bytes bigint NOT NULL DEFAULT 0,
  not_kept bigint NOT NULL DEFAULT 0,
  not_kept_bytes bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (day, sender),
  CONSTRAINT rejected_quota_not_negative
    CHECK (least(kept, kept_bytes, not_kept, not_kept_bytes) >= 0)
);
COMMENT ON TABLE rejected_quota IS
  'Unusable messages by sender and day (UTC): kept in rejected, or beyond its quota and only counted.';
COMMENT ON COLUMN rejected_quota.sender IS
  'A van; (unknown) for all that are none, (warehouses) for all warehouses.';
COMMENT ON COLUMN rejected_quota.not_kept IS
  'At least so many: what comes again after a crash is counted again.';
