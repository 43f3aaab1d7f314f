-- What the clock said last when retention believed it: by a clock that is years ahead everything is old.

CREATE TABLE retention (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    clock_ms INTEGER NOT NULL
) STRICT;
INSERT INTO retention SELECT 1, created_ms FROM events ORDER BY position DESC LIMIT 1;
