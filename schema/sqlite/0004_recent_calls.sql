-- Who was refused last, and how many attempts there were just now: of a trunk, of an account, of all.

CREATE INDEX calls_by_trunk ON calls (trunk_id, allowed, start_ms);
CREATE INDEX calls_by_account ON calls (account_id, allowed, start_ms);
CREATE INDEX calls_by_time ON calls (allowed, start_ms);
