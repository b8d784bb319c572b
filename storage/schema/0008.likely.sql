-- A client is told of a delay once it has been likely for a minute.

ALTER TABLE eta ADD COLUMN likely_since timestamptz;
COMMENT ON COLUMN eta.likely_since IS
  'Since when it has been likely, without a break, that the stop is late; NULL if it is not.';
