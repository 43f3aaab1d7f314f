-- Deliveries are walked in the order of their numbers: those of a call, and those that are parked.

CREATE INDEX deliveries_by_call ON deliveries (call_id, delivery_id);

DROP INDEX deliveries_parked;
CREATE INDEX deliveries_parked ON deliveries (delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_parked_by_endpoint ON deliveries (endpoint_id, delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_parked_by_account ON deliveries (account_id, delivery_id) WHERE state = 'parked';
