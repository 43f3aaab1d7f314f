-- Old events go with their deliveries.

CREATE INDEX deliveries_by_position ON deliveries (position);
