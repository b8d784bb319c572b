-- What a stop asks of who takes it: a skill, and parts on board. Replanning compares vans by both.

ALTER TABLE technician ADD COLUMN skills text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN technician.skills IS 'What the technician is trained for, in lower case.';

ALTER TABLE stop ADD COLUMN skill text;
COMMENT ON COLUMN stop.skill IS 'What who takes it must be trained for, in lower case; NULL: anybody.';

CREATE TABLE stop_part (
  stop_id integer NOT NULL REFERENCES stop ON DELETE CASCADE,
  item_id integer NOT NULL REFERENCES item,
  qty integer NOT NULL CONSTRAINT stop_part_qty_positive CHECK (qty > 0),
  PRIMARY KEY (stop_id, item_id)
);
COMMENT ON TABLE stop_part IS 'Parts that a stop''s job needs, in base units.';
