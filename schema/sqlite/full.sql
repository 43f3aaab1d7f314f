-- The whole schema as the numbered files leave it; a test proves that both agree.
-- Times are milliseconds since the Unix epoch. Flags are 0 or 1.

CREATE TABLE config_revisions (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    created_ms INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('api', 'file')),
    summary TEXT NOT NULL
) STRICT;

CREATE TABLE node (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL,
    region TEXT NOT NULL,
    base_domain TEXT NOT NULL,
    inbound_host TEXT NOT NULL,
    cps REAL,
    cps_burst INTEGER,
    concurrent_calls INTEGER
) STRICT;

CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    cps REAL,
    cps_burst INTEGER,
    concurrent_calls INTEGER,
    managed_by TEXT NOT NULL CHECK (managed_by IN ('api', 'file')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE trunks (
    trunk_id TEXT PRIMARY KEY,
    account_id TEXT REFERENCES accounts (account_id),
    kind TEXT NOT NULL CHECK (kind IN ('trunk', 'application')),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    auth_mode TEXT NOT NULL CHECK (auth_mode IN ('any', 'all', 'password', 'ip')),
    cps REAL,
    cps_burst INTEGER,
    concurrent_calls INTEGER,
    allowed_regions TEXT, -- space separated; NULL is everywhere, '' nowhere
    secure INTEGER NOT NULL,
    failover_codes TEXT, -- space separated; NULL is the default list
    managed_by TEXT NOT NULL CHECK (managed_by IN ('api', 'file')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX trunks_by_account ON trunks (account_id);

CREATE TABLE ip_acls (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (trunk_id, network)
) STRICT, WITHOUT ROWID;

-- Only hashes over user:realm:password; the password itself is nowhere.
CREATE TABLE credentials (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    username TEXT NOT NULL,
    ha1_md5 BLOB NOT NULL CHECK (length(ha1_md5) = 16),
    ha1_sha256 BLOB NOT NULL CHECK (length(ha1_sha256) = 32),
    enabled INTEGER NOT NULL,
    PRIMARY KEY (trunk_id, username)
) STRICT, WITHOUT ROWID;

CREATE TABLE origination_uris (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    priority INTEGER NOT NULL,
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 65535),
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (trunk_id, uri)
) STRICT, WITHOUT ROWID;

-- Where a trunk's words lie in shared memory: kept for the life of the thing, and remembered after it until the index
-- has to be given to another.
CREATE TABLE live_indexes (
    kind TEXT NOT NULL CHECK (kind IN ('account', 'trunk', 'gateway')),
    id TEXT NOT NULL,
    live INTEGER NOT NULL,
    freed_ms INTEGER,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, live)
) STRICT, WITHOUT ROWID;

CREATE INDEX live_indexes_freed ON live_indexes (kind, freed_ms) WHERE freed_ms IS NOT NULL;

-- Where events go. Outlives its trunk, so that what is still owed gets sent. The secret has to be readable to sign.
CREATE TABLE endpoints (
    endpoint_id INTEGER PRIMARY KEY,
    trunk_id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    secret TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'removed')),
    note TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT;

-- How far the ring has been written down. Doubles are known by the ids of events, not by this.
CREATE TABLE ring_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ring_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE calls (
    call_id BLOB PRIMARY KEY CHECK (length(call_id) = 16),
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

CREATE INDEX calls_open ON calls (start_ms) WHERE end_ms IS NULL;

-- Every event of every call, in the order it was written down, whether or not anybody is told.
CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    call_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    type TEXT NOT NULL,
    trunk_id TEXT,
    account_id TEXT,
    created_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

-- The outbox: one row per event and endpoint. Rows are never deleted by failure; a parked one waits for an operator.
CREATE TABLE deliveries (
    delivery_id INTEGER PRIMARY KEY,
    position INTEGER NOT NULL REFERENCES events (position),
    endpoint_id INTEGER NOT NULL REFERENCES endpoints (endpoint_id),
    call_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'parked')),
    attempts INTEGER NOT NULL,
    next_attempt_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    UNIQUE (endpoint_id, position)
) STRICT;

CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_ms) WHERE state = 'pending';
CREATE INDEX deliveries_in_order ON deliveries (endpoint_id, call_id, sequence) WHERE state = 'pending';
CREATE INDEX deliveries_parked ON deliveries (ended_ms) WHERE state = 'parked';

CREATE TABLE delivery_attempts (
    attempt_id INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL REFERENCES deliveries (delivery_id),
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    answer BLOB
) STRICT;

CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id);
