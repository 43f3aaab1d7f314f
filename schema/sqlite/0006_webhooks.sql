-- Webhooks: which events are wanted, where they go if the URL fails, secrets that are being replaced, a second signature.
-- Deliveries are found by account and by endpoint, events by account.

ALTER TABLE endpoints ADD COLUMN fallback_url TEXT;
ALTER TABLE endpoints ADD COLUMN events TEXT NOT NULL DEFAULT 'call.initiated call.answered call.hangup'; -- space separated
ALTER TABLE endpoints ADD COLUMN old_secret TEXT; -- signs beside the new one
ALTER TABLE endpoints ADD COLUMN old_secret_until_ms INTEGER;
ALTER TABLE endpoints ADD COLUMN signing_key TEXT; -- Ed25519 seed

ALTER TABLE deliveries ADD COLUMN account_id TEXT; -- the event's
UPDATE deliveries SET account_id = (SELECT account_id FROM events WHERE events.position = deliveries.position);

CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, delivery_id);
CREATE INDEX deliveries_by_account ON deliveries (account_id, delivery_id);
CREATE INDEX events_by_account ON events (account_id, position);

ALTER TABLE delivery_attempts ADD COLUMN target TEXT NOT NULL DEFAULT 'url' CHECK (target IN ('url', 'fallback'));
