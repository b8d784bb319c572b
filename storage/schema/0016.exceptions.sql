-- Exceptions end by themselves, and what was used before Cordée comes in as fast as it can be read.

CREATE VIEW exception_in_force AS
SELECT own.*
FROM policy_exception AS own
JOIN location USING (location_id)
JOIN van USING (van_id)
LEFT JOIN warehouse ON warehouse.warehouse_id = van.warehouse_id
WHERE coalesce(
  own.until >= (warehouse.next_delivery_at AT TIME ZONE warehouse.time_zone)::date, true);
COMMENT ON VIEW exception_in_force IS
  'Exceptions that still count: what is ordered now is there on the day of until or before.';

-- The import of usage takes its ids from van and item themselves, and nothing deletes those; to ask for
-- each of a million rows again takes longer than all the rest.
ALTER TABLE usage_history
  DROP CONSTRAINT usage_history_van_id_fkey,
  DROP CONSTRAINT usage_history_item_id_fkey;
