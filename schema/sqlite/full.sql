-- The whole schema as the numbered files leave it; a test proves that both agree.
-- Times are milliseconds since the Unix epoch. Flags are 0 or 1.

-- One row for each write that was ever made.
CREATE TABLE config_revisions (
    revision INTEGER PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    actor TEXT NOT NULL, -- a token's id, 'files', or 'trunkd'
    request_id TEXT NOT NULL,
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

-- `revision` is the one that changed a thing last.
CREATE TABLE accounts (
    account_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    cps REAL,
    cps_burst INTEGER,
    concurrent_calls INTEGER,
    managed_by TEXT NOT NULL CHECK (managed_by IN ('api', 'file')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL
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
    transport TEXT NOT NULL CHECK (transport IN ('udp', 'tcp', 'tls')),
    secure INTEGER NOT NULL,
    failover_codes TEXT, -- space separated; NULL is the default list
    inbound_user TEXT UNIQUE, -- of applications that take SIP calls
    password_auth INTEGER NOT NULL,
    managed_by TEXT NOT NULL CHECK (managed_by IN ('api', 'file')),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- For lists: pages and totals are found without reading a trunk.
CREATE INDEX trunks_by_kind ON trunks (kind, trunk_id);
CREATE INDEX trunks_by_account ON trunks (account_id, kind, trunk_id);
CREATE INDEX trunks_of_files ON trunks (trunk_id) WHERE managed_by = 'file';

CREATE TABLE ip_acls (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    ip_acl_id TEXT NOT NULL,
    network TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (trunk_id, ip_acl_id),
    UNIQUE (trunk_id, network)
) STRICT, WITHOUT ROWID;

-- Only hashes over user:realm:password; the password itself is nowhere.
CREATE TABLE credentials (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    credential_id TEXT NOT NULL,
    username TEXT NOT NULL,
    ha1_md5 BLOB NOT NULL CHECK (length(ha1_md5) = 16),
    ha1_sha256 BLOB NOT NULL CHECK (length(ha1_sha256) = 32),
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (trunk_id, credential_id),
    UNIQUE (trunk_id, username)
) STRICT, WITHOUT ROWID;

CREATE TABLE origination_uris (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    origination_uri_id TEXT NOT NULL,
    uri TEXT NOT NULL,
    priority INTEGER NOT NULL,
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 65535),
    enabled INTEGER NOT NULL,
    description TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (trunk_id, origination_uri_id),
    UNIQUE (trunk_id, uri)
) STRICT, WITHOUT ROWID;

-- Where the names of gateways lead: the last good answer of the name servers, so that a start needs none.
CREATE TABLE gateway_addresses (
    trunk_id TEXT NOT NULL REFERENCES trunks (trunk_id) ON DELETE CASCADE,
    uri TEXT NOT NULL, -- of the gateway
    address TEXT NOT NULL, -- sip:address[:port][;transport=...]
    tier INTEGER NOT NULL, -- lower is tried first
    weight INTEGER NOT NULL CHECK (weight BETWEEN 1 AND 65535),
    PRIMARY KEY (trunk_id, uri, address)
) STRICT, WITHOUT ROWID;

-- A name has a letter or a hyphen in it, an address has none or stands in brackets.
CREATE INDEX origination_uris_named ON origination_uris (trunk_id, uri)
    WHERE substr(uri, 5, 1) != '[' AND substr(uri, 5, instr(uri || ';', ';') - 5) GLOB '*[a-z-]*';

-- Where a trunk's words lie in shared memory: kept for the life of the thing, and remembered after it until the index
-- has to be given to another.
CREATE TABLE live_indexes (
    kind TEXT NOT NULL CHECK (kind IN ('account', 'trunk', 'gateway')),
    id TEXT NOT NULL,
    live INTEGER NOT NULL,
    freed_ms INTEGER,
    freed_revision INTEGER, -- the revision that freed it
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
    changed_ms INTEGER NOT NULL,
    method TEXT NOT NULL DEFAULT 'POST' CHECK (method IN ('POST', 'GET')),
    fallback_url TEXT,
    events TEXT NOT NULL DEFAULT 'call.initiated call.answered call.hangup',
    old_secret TEXT,
    old_secret_until_ms INTEGER,
    signing_key TEXT
) STRICT;

-- How far the ring has been written down. Doubles are known by the ids of events, not by this.
CREATE TABLE ring_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ring_id INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT;

-- What the clock said last when retention believed it: by a clock that is years ahead everything is old.
CREATE TABLE retention (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    clock_ms INTEGER NOT NULL
) STRICT;

-- One row for each attempt. The number is the row's for life; lists go by start and number, newest first.
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
    reconciled INTEGER NOT NULL,
    currency TEXT,
    rate_prefix TEXT,
    price_micros INTEGER,
    fee_micros INTEGER,
    first_s INTEGER,
    next_s INTEGER,
    minimum_micros INTEGER,
    cost_micros INTEGER
) STRICT;

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
    account_id TEXT,
    UNIQUE (endpoint_id, position)
) STRICT;

CREATE INDEX deliveries_due ON deliveries (endpoint_id, next_attempt_ms) WHERE state = 'pending';
CREATE INDEX deliveries_in_order ON deliveries (endpoint_id, call_id, sequence) WHERE state = 'pending';
CREATE INDEX deliveries_by_position ON deliveries (position);
CREATE INDEX deliveries_parked ON deliveries (delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_parked_by_endpoint ON deliveries (endpoint_id, delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_parked_by_account ON deliveries (account_id, delivery_id) WHERE state = 'parked';
CREATE INDEX deliveries_by_call ON deliveries (call_id, delivery_id);
CREATE INDEX deliveries_by_endpoint ON deliveries (endpoint_id, delivery_id);
CREATE INDEX deliveries_by_account ON deliveries (account_id, delivery_id);
CREATE INDEX events_by_account ON events (account_id, position);

CREATE TABLE delivery_attempts (
    attempt_id INTEGER PRIMARY KEY,
    delivery_id INTEGER NOT NULL REFERENCES deliveries (delivery_id),
    number INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    status INTEGER,
    error TEXT,
    answer BLOB,
    target TEXT NOT NULL DEFAULT 'url' CHECK (target IN ('url', 'fallback'))
) STRICT;

CREATE INDEX delivery_attempts_by_delivery ON delivery_attempts (delivery_id);

-- Tokens of the API. The token itself is nowhere: its prefix finds the row, its hash (argon2id, PHC form) proves it.
CREATE TABLE tokens (
    token_id TEXT PRIMARY KEY,
    prefix TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    account_id TEXT REFERENCES accounts (account_id), -- NULL is for everything
    description TEXT NOT NULL,
    last_used_ms INTEGER,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_account ON tokens (account_id, token_id);

-- What each revision did to each object, without secrets. Who and when stand with the revision.
CREATE TABLE audit_log (
    audit_id INTEGER PRIMARY KEY AUTOINCREMENT,
    revision INTEGER NOT NULL REFERENCES config_revisions (revision),
    action TEXT NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    kind TEXT NOT NULL CHECK (kind IN ('node', 'account', 'trunk', 'application', 'token', 'ratePlan')),
    object_id TEXT NOT NULL,
    account_id TEXT,
    before TEXT,
    after TEXT
) STRICT;

CREATE INDEX audit_log_by_revision ON audit_log (revision);
CREATE INDEX audit_log_by_object ON audit_log (kind, object_id);
CREATE INDEX audit_log_by_account ON audit_log (account_id);

-- What calls cost.
CREATE TABLE rate_plans (
    rate_plan_id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    currency TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Money is in millionths of the currency's unit. The empty prefix matches every destination.
CREATE TABLE rates (
    rate_plan_id TEXT NOT NULL REFERENCES rate_plans (rate_plan_id) ON DELETE CASCADE,
    prefix TEXT NOT NULL,
    price_micros INTEGER NOT NULL, -- per minute
    fee_micros INTEGER NOT NULL,
    first_s INTEGER NOT NULL CHECK (first_s > 0),
    next_s INTEGER NOT NULL CHECK (next_s > 0),
    minimum_micros INTEGER NOT NULL,
    PRIMARY KEY (rate_plan_id, prefix)
) STRICT, WITHOUT ROWID;

-- A trunk's own plan comes before its account's. `trunk` is an application too.
CREATE TABLE rate_assignments (
    kind TEXT NOT NULL CHECK (kind IN ('account', 'trunk')),
    id TEXT NOT NULL,
    rate_plan_id TEXT NOT NULL REFERENCES rate_plans (rate_plan_id),
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX rate_assignments_by_plan ON rate_assignments (rate_plan_id);

-- Answers to writes that may be asked for again, until they expire.
CREATE TABLE kept_answers (
    owner TEXT NOT NULL, -- the token's id
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    status INTEGER NOT NULL,
    answer TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX kept_answers_expired ON kept_answers (expires_ms);

-- The tables that the stock modules auth_db, permissions and dispatcher of Kamailio 5.6 read: the same truth as the image in
-- shared memory, for a configuration that does not use our module. They lie in trunkd's database, so that one transaction
-- changes both; only trunkd writes them, and a row is never changed, only replaced with all others of its trunk.
--
-- Column names and table versions are what those modules ask for in 5.6. Columns of text are VARCHAR because
-- db_sqlite goes by the declared type, which is also why these tables cannot be STRICT. `trunk_id` is ours; it is '' for the
-- two rows that are marks, see docs/kamailio-tables.md.

CREATE TABLE version (
    id INTEGER PRIMARY KEY NOT NULL,
    table_name VARCHAR(32) NOT NULL UNIQUE,
    table_version INTEGER NOT NULL DEFAULT 0
);

INSERT INTO version (table_name, table_version)
VALUES ('version', 1), ('subscriber', 7), ('address', 6), ('trusted', 6), ('dispatcher', 4);

-- There is no column `password`: with it, a configuration with calculate_ha1 would take an empty password for everybody's.
-- auth_db takes `ha1b` for HA1 when the user name has the form user@domain, whatever the realm, and dies of a NULL there.
-- So it holds what nobody can know: such a name never gets in.
CREATE TABLE subscriber (
    id INTEGER PRIMARY KEY NOT NULL,
    username VARCHAR(64) NOT NULL,
    domain VARCHAR(255) NOT NULL,
    ha1 VARCHAR(128) NOT NULL CHECK (length(ha1) = 32),
    ha1b VARCHAR(128) NOT NULL DEFAULT (lower(hex(randomblob(16)))) CHECK (length(ha1b) = 32),
    trunk_id VARCHAR(63) NOT NULL,
    CONSTRAINT subscriber_account_idx UNIQUE (username, domain)
);

CREATE INDEX subscriber_by_trunk ON subscriber (trunk_id);

-- A mask of 0 would be taken for a single host.
CREATE TABLE address (
    id INTEGER PRIMARY KEY NOT NULL,
    grp INTEGER NOT NULL CHECK (grp > 0),
    ip_addr VARCHAR(320) NOT NULL,
    mask INTEGER NOT NULL CHECK (mask BETWEEN 1 AND 128),
    port SMALLINT NOT NULL DEFAULT 0,
    tag VARCHAR(64),
    trunk_id VARCHAR(63) NOT NULL
);

CREATE INDEX address_by_trunk ON address (trunk_id);

-- Always empty: permissions does not start without it, unless it is told which tables to load.
CREATE TABLE trusted (
    id INTEGER PRIMARY KEY NOT NULL,
    src_ip VARCHAR(50) NOT NULL,
    proto VARCHAR(4) NOT NULL,
    from_pattern VARCHAR(64),
    ruri_pattern VARCHAR(64),
    tag VARCHAR(64),
    priority INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE dispatcher (
    id INTEGER PRIMARY KEY NOT NULL,
    setid INTEGER NOT NULL CHECK (setid > 0),
    destination VARCHAR(255) NOT NULL,
    flags INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 0,
    attrs VARCHAR(128) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT '',
    trunk_id VARCHAR(63) NOT NULL
);

CREATE INDEX dispatcher_by_trunk ON dispatcher (trunk_id);

-- How much the two tables hold that Kamailio loads into memory, and what: rows, characters, and the sum of the rows' hashes,
-- kept up with every change, so that nobody has to read a hundred thousand rows to compare or to foresee. Ours alone.
CREATE TABLE kamailio_load (
    kind TEXT PRIMARY KEY CHECK (kind IN ('host', 'subnet', 'name', 'destination')),
    row_count INTEGER NOT NULL CHECK (row_count >= 0),
    characters INTEGER NOT NULL CHECK (characters >= 0),
    hash_sum BLOB NOT NULL CHECK (length(hash_sum) = 16)
) STRICT, WITHOUT ROWID;

INSERT INTO kamailio_load
VALUES ('host', 0, 0, zeroblob(16)), ('subnet', 0, 0, zeroblob(16)), ('name', 0, 0, zeroblob(16)), ('destination', 0, 0, zeroblob(16));

-- The marks of empty tables.
INSERT INTO address (grp, ip_addr, mask, tag, trunk_id)
VALUES (2147483647, '100::', 64, 'rows-0-00000000000000000000000000000000', '');
INSERT INTO dispatcher (setid, destination, flags, trunk_id)
VALUES (1, 'sip:rows-0-00000000000000000000000000000000.invalid', 20, '');
