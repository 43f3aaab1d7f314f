-- The call log for lists over millions of calls: a number for each row that it keeps for life, and an index for each way of
-- asking, newest first. Whatever a list does not find in its index it looks up row by row.

DROP INDEX calls_open;
DROP INDEX calls_by_trunk;
DROP INDEX calls_by_account;
DROP INDEX calls_by_time;
ALTER TABLE calls RENAME TO calls_before;

CREATE TABLE calls (
    call_number INTEGER PRIMARY KEY,
    call_id BLOB NOT NULL UNIQUE CHECK (length(call_id) = 16),
    trunk_id TEXT,
    account_id TEXT,
    kind TEXT NOT NULL,
    sip_call_id TEXT,
    from_user TEXT,
    from_host TEXT,
    to_user TEXT,
    request_uri TEXT,
    source_ip TEXT,
    source_port INTEGER,
    allowed INTEGER NOT NULL,
    reason TEXT,
    limit_value INTEGER NOT NULL,
    count_value INTEGER NOT NULL,
    wait_ms INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    gateway TEXT,
    attempts INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    ring_ms INTEGER,
    answer_ms INTEGER,
    end_ms INTEGER,
    sip_code INTEGER,
    q850 INTEGER,
    hangup_by TEXT,
    status TEXT,
    reconciled INTEGER NOT NULL
) STRICT;

INSERT INTO calls (call_id, trunk_id, account_id, kind, sip_call_id, from_user, from_host, to_user, request_uri, source_ip,
    source_port, allowed, reason, limit_value, count_value, wait_ms, generation, gateway, attempts, start_ms, ring_ms,
    answer_ms, end_ms, sip_code, q850, hangup_by, status, reconciled)
SELECT call_id, trunk_id, account_id, kind, sip_call_id, from_user, from_host, to_user, request_uri, source_ip,
    source_port, allowed, reason, limit_value, count_value, wait_ms, generation, gateway, attempts, start_ms, ring_ms,
    answer_ms, end_ms, sip_code, q850, hangup_by, status, reconciled
FROM calls_before ORDER BY start_ms, call_id;
DROP TABLE calls_before;

CREATE INDEX calls_open ON calls (start_ms) WHERE end_ms IS NULL;
CREATE INDEX calls_by_time ON calls (start_ms);
CREATE INDEX calls_by_account ON calls (account_id, start_ms);
CREATE INDEX calls_by_account_status ON calls (account_id, status, start_ms);
CREATE INDEX calls_by_trunk ON calls (trunk_id, start_ms);
CREATE INDEX calls_by_trunk_status ON calls (trunk_id, status, start_ms);
CREATE INDEX calls_by_status ON calls (status, start_ms);
CREATE INDEX calls_by_from ON calls (from_user, start_ms);
CREATE INDEX calls_by_to ON calls (to_user, start_ms);
CREATE INDEX calls_by_sip_call_id ON calls (sip_call_id, start_ms);
CREATE INDEX calls_refused_by_trunk ON calls (trunk_id, start_ms) WHERE allowed = 0;
CREATE INDEX calls_refused_by_account ON calls (account_id, start_ms) WHERE allowed = 0;
CREATE INDEX calls_refused_by_time ON calls (start_ms) WHERE allowed = 0;
