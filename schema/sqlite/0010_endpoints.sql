-- What a disabled endpoint was owed when its trunk went can never be sent: it is parked, and the secrets are forgotten.

UPDATE deliveries SET state = 'parked', ended_ms = unixepoch() * 1000 WHERE state = 'pending' AND endpoint_id IN
    (SELECT endpoint_id FROM endpoints WHERE state = 'disabled' AND trunk_id NOT IN (SELECT trunk_id FROM trunks));
UPDATE endpoints SET state = 'removed', note = 'trunk removed', changed_ms = unixepoch() * 1000
    WHERE state = 'disabled' AND trunk_id NOT IN (SELECT trunk_id FROM trunks);
UPDATE endpoints SET secret = '', old_secret = NULL, old_secret_until_ms = NULL, signing_key = NULL WHERE state = 'removed';
