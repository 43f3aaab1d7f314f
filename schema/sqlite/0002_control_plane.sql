-- The control plane: ids, times and revisions of everything, tokens, the audit log, kept answers.
-- Tables that change are made anew under their own names; what they held is carried over.

ALTER TABLE config_revisions RENAME TO old_revisions;

-- One row for each write that was ever made.
CREATE TABLE config_revisions (
    revision INTEGER PRIMARY KEY,
    created_ms INTEGER NOT NULL,
    actor TEXT NOT NULL, -- a token's id, 'files', or 'trunkd'
    request_id TEXT NOT NULL,
    summary TEXT NOT NULL
) STRICT;

INSERT INTO config_revisions
SELECT revision, created_ms, CASE source WHEN 'file' THEN 'files' ELSE 'trunkd' END, '', summary FROM old_revisions;

DROP TABLE old_revisions;

ALTER TABLE accounts RENAME TO old_accounts;
ALTER TABLE trunks RENAME TO old_trunks;
ALTER TABLE ip_acls RENAME TO old_ip_acls;
ALTER TABLE credentials RENAME TO old_credentials;
ALTER TABLE origination_uris RENAME TO old_origination_uris;
DROP INDEX trunks_by_account;

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

INSERT INTO accounts
SELECT account_id, name, enabled, cps, cps_burst, concurrent_calls, managed_by, created_ms, updated_ms, 0
FROM old_accounts;

INSERT INTO trunks
SELECT trunk_id, account_id, kind, name, description, enabled, auth_mode, cps, cps_burst, concurrent_calls,
    allowed_regions, 'udp', secure, failover_codes, NULL, 0, managed_by, created_ms, updated_ms, 0
FROM old_trunks;

-- Parts had no id: each gets a version 7 UUID of the time at which its trunk changed last.
CREATE TEMP VIEW new_ids AS
SELECT trunk_id, updated_ms, printf('%012x', updated_ms) AS time FROM old_trunks;

INSERT INTO ip_acls
SELECT trunk_id, lower(substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || substr(hex(randomblob(2)), 2) || '-a'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
    network, enabled, description, updated_ms, updated_ms, 0
FROM old_ip_acls JOIN new_ids USING (trunk_id);

INSERT INTO credentials
SELECT trunk_id, lower(substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || substr(hex(randomblob(2)), 2) || '-a'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
    username, ha1_md5, ha1_sha256, enabled, '', updated_ms, updated_ms, 0
FROM old_credentials JOIN new_ids USING (trunk_id);

INSERT INTO origination_uris
SELECT trunk_id, lower(substr(time, 1, 8) || '-' || substr(time, 9) || '-7' || substr(hex(randomblob(2)), 2) || '-a'
        || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))),
    uri, priority, weight, enabled, description, updated_ms, updated_ms, 0
FROM old_origination_uris JOIN new_ids USING (trunk_id);

DROP VIEW new_ids;
DROP TABLE old_origination_uris;
DROP TABLE old_credentials;
DROP TABLE old_ip_acls;
DROP TABLE old_trunks;
DROP TABLE old_accounts;

ALTER TABLE live_indexes RENAME TO old_live_indexes;
DROP INDEX live_indexes_freed;

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

INSERT INTO live_indexes SELECT kind, id, live, freed_ms, iif(freed_ms IS NULL, NULL, 0) FROM old_live_indexes;

DROP TABLE old_live_indexes;

ALTER TABLE endpoints ADD COLUMN method TEXT NOT NULL DEFAULT 'POST' CHECK (method IN ('POST', 'GET'));

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
    kind TEXT NOT NULL CHECK (kind IN ('node', 'account', 'trunk', 'application', 'token')),
    object_id TEXT NOT NULL,
    account_id TEXT,
    before TEXT,
    after TEXT
) STRICT;

CREATE INDEX audit_log_by_revision ON audit_log (revision);
CREATE INDEX audit_log_by_object ON audit_log (kind, object_id);
CREATE INDEX audit_log_by_account ON audit_log (account_id);

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
