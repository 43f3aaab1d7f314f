-- The tables in which Kamailio's dialog module keeps the calls that are up, so that they outlive a restart of the proxy.
-- Only Kamailio writes here; trunkd keeps its own database apart.
--
-- Column names and table versions are what the dialog module of Kamailio 5.6 asks for (versions 7 and 1). Text
-- columns carry no length: the module does not cut what it writes, and a route set or a request URI may be long. They are
-- VARCHAR because db_sqlite goes by the declared type and hands such a column over as a terminated string.
-- Safe to run again: nothing that is there is touched.

-- Writers then hinder each other least; db_sqlite itself never waits for another one. The mode stays with the file.
PRAGMA journal_mode = WAL;

CREATE TABLE IF NOT EXISTS version (
    table_name    VARCHAR PRIMARY KEY NOT NULL,
    table_version INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS dialog (
    id               INTEGER PRIMARY KEY NOT NULL,
    hash_entry       INTEGER NOT NULL,
    hash_id          INTEGER NOT NULL,
    callid           VARCHAR NOT NULL,
    from_uri         VARCHAR NOT NULL,
    from_tag         VARCHAR NOT NULL,
    to_uri           VARCHAR NOT NULL,
    to_tag           VARCHAR NOT NULL,
    caller_cseq      VARCHAR NOT NULL,
    callee_cseq      VARCHAR NOT NULL,
    caller_route_set VARCHAR,
    callee_route_set VARCHAR,
    caller_contact   VARCHAR NOT NULL,
    callee_contact   VARCHAR NOT NULL,
    caller_sock      VARCHAR NOT NULL,
    callee_sock      VARCHAR NOT NULL,
    state            INTEGER NOT NULL,
    start_time       INTEGER NOT NULL,
    timeout          INTEGER NOT NULL DEFAULT 0,
    sflags           INTEGER NOT NULL DEFAULT 0,
    iflags           INTEGER NOT NULL DEFAULT 0,
    toroute_name     VARCHAR,
    req_uri          VARCHAR NOT NULL,
    xdata            VARCHAR
);
CREATE INDEX IF NOT EXISTS dialog_hash ON dialog (hash_entry, hash_id);

CREATE TABLE IF NOT EXISTS dialog_vars (
    id           INTEGER PRIMARY KEY NOT NULL,
    hash_entry   INTEGER NOT NULL,
    hash_id      INTEGER NOT NULL,
    dialog_key   VARCHAR NOT NULL,
    dialog_value VARCHAR NOT NULL
);
CREATE INDEX IF NOT EXISTS dialog_vars_hash ON dialog_vars (hash_entry, hash_id);

INSERT OR IGNORE INTO version (table_name, table_version) VALUES ('version', 1), ('dialog', 7), ('dialog_vars', 1);
