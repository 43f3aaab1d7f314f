-- The stock configuration's database, made from trunkd's, which is attached as `trunkd`: the same trunks, addresses, users and
-- gateways. It is a file of its own because acc writes call records into it, and nobody but trunkd writes into trunkd's.
--
-- Table names, columns and versions are what the modules of Kamailio 5.6 ask for.

PRAGMA journal_mode = WAL;
BEGIN;

CREATE TABLE version (
    id INTEGER PRIMARY KEY NOT NULL,
    table_name VARCHAR(32) NOT NULL UNIQUE,
    table_version INTEGER NOT NULL DEFAULT 0
);
INSERT INTO version (table_name, table_version)
VALUES ('version', 1), ('subscriber', 7), ('address', 6), ('trusted', 6), ('dispatcher', 4), ('htable', 2), ('acc', 5),
    ('acc_cdrs', 2), ('missed_calls', 4);

CREATE TABLE subscriber (
    id INTEGER PRIMARY KEY NOT NULL,
    username VARCHAR(64) NOT NULL,
    domain VARCHAR(255) NOT NULL,
    ha1 VARCHAR(128) NOT NULL,
    ha1b VARCHAR(128) NOT NULL,
    UNIQUE (username, domain)
);
INSERT INTO subscriber SELECT id, username, domain, ha1, ha1b FROM trunkd.subscriber;

-- Without names, which htable holds, and without trunkd's mark.
CREATE TABLE address (
    id INTEGER PRIMARY KEY NOT NULL,
    grp INTEGER NOT NULL,
    ip_addr VARCHAR(50) NOT NULL,
    mask INTEGER NOT NULL,
    port SMALLINT NOT NULL DEFAULT 0,
    tag VARCHAR(64)
);
INSERT INTO address SELECT id, grp, ip_addr, mask, port, NULL FROM trunkd.address WHERE tag IS NULL;

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
    setid INTEGER NOT NULL,
    destination VARCHAR(255) NOT NULL,
    flags INTEGER NOT NULL DEFAULT 0,
    priority INTEGER NOT NULL DEFAULT 0,
    attrs VARCHAR(128) NOT NULL DEFAULT '',
    description VARCHAR(64) NOT NULL DEFAULT ''
);
INSERT INTO dispatcher SELECT id, setid, destination, flags, priority, attrs, description FROM trunkd.dispatcher WHERE setid > 1;

-- pipelimit counts whole calls: a limit below one a second becomes one. This configuration has no TLS: who insists on it is off.
CREATE TABLE htable (
    id INTEGER PRIMARY KEY NOT NULL,
    key_name VARCHAR(320) NOT NULL,
    key_type INTEGER NOT NULL DEFAULT 0,
    value_type INTEGER NOT NULL DEFAULT 0,
    key_value VARCHAR(128) NOT NULL,
    expires INTEGER NOT NULL DEFAULT 0
);
INSERT INTO htable (key_name, key_value)
SELECT a.ip_addr, format('%d;%d;%d;%s', a.grp, CAST(max(1, t.cps) AS INTEGER), t.concurrent_calls,
    CASE WHEN a.tag LIKE '%;secure' THEN 'off' ELSE substr(a.tag, length('auth=') + 1) END)
FROM trunkd.address a JOIN trunkd.trunks t USING (trunk_id) WHERE a.tag LIKE 'auth=%';

CREATE TABLE acc_cdrs (
    id INTEGER PRIMARY KEY NOT NULL,
    start_time DATETIME NOT NULL,
    end_time DATETIME NOT NULL,
    duration REAL NOT NULL DEFAULT 0,
    trunk VARCHAR(320) NOT NULL DEFAULT '',
    callid VARCHAR(255) NOT NULL DEFAULT '',
    caller VARCHAR(128) NOT NULL DEFAULT '',
    callee VARCHAR(128) NOT NULL DEFAULT ''
);
CREATE INDEX acc_cdrs_by_trunk ON acc_cdrs (trunk, start_time);

CREATE TABLE missed_calls (
    id INTEGER PRIMARY KEY NOT NULL,
    method VARCHAR(16) NOT NULL DEFAULT '',
    from_tag VARCHAR(128) NOT NULL DEFAULT '',
    to_tag VARCHAR(128) NOT NULL DEFAULT '',
    callid VARCHAR(255) NOT NULL DEFAULT '',
    sip_code VARCHAR(3) NOT NULL DEFAULT '',
    sip_reason VARCHAR(128) NOT NULL DEFAULT '',
    time DATETIME NOT NULL
);

COMMIT;
