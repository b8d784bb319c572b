-- Models of travel and work hold more than before (standing, breaks, how long who waited stays on):
-- they are calibrated anew by the next tick. Arrival times change with every batch, in place.

DELETE FROM travel_model;

ALTER TABLE eta SET (fillfactor = 50);
