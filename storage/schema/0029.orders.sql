-- Orders are shown the newest first, once a second to whoever looks: of years of them only the last sixty.

CREATE INDEX resupply_order_newest ON resupply_order (organisation_id, cutoff_at, order_id);
