-- What calls cost: plans, their rates, whose calls go by them, and on each call the rate that it began under.

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

ALTER TABLE calls ADD COLUMN currency TEXT;
ALTER TABLE calls ADD COLUMN rate_prefix TEXT;
ALTER TABLE calls ADD COLUMN price_micros INTEGER;
ALTER TABLE calls ADD COLUMN fee_micros INTEGER;
ALTER TABLE calls ADD COLUMN first_s INTEGER;
ALTER TABLE calls ADD COLUMN next_s INTEGER;
ALTER TABLE calls ADD COLUMN minimum_micros INTEGER;
ALTER TABLE calls ADD COLUMN cost_micros INTEGER;

-- One kind of object more.
ALTER TABLE audit_log RENAME TO audit_log_before;
DROP INDEX audit_log_by_revision;
DROP INDEX audit_log_by_object;
DROP INDEX audit_log_by_account;
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
INSERT INTO audit_log SELECT * FROM audit_log_before;
DROP TABLE audit_log_before;
CREATE INDEX audit_log_by_revision ON audit_log (revision);
CREATE INDEX audit_log_by_object ON audit_log (kind, object_id);
CREATE INDEX audit_log_by_account ON audit_log (account_id);
