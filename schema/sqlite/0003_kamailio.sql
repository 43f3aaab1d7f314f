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
