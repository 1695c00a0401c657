-- What reports are computed from: rows folded from the log, and how far. They
-- can be made again from the log at any time. doc is the compact form of package
-- report; since is the step of the batch that wrote the row. ends_at is the end of
-- what can still change, the largest number when there is none.

-- +goose Up
CREATE TABLE report_cursor (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL, -- of the form of the rows
    step    INTEGER NOT NULL, -- folded up to here, whole
    at      INTEGER NOT NULL, -- time of the last event folded
    oldest  INTEGER NOT NULL  -- the rows as they were can be read from this step on
) STRICT;
INSERT INTO report_cursor (id, version, step, at, oldest) VALUES (1, 0, 0, 0, 0);

CREATE TABLE report_conversations (
    id        TEXT PRIMARY KEY CHECK (id <> ''),
    since     INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    doc       BLOB    NOT NULL
) STRICT;
CREATE INDEX report_conversations_time ON report_conversations (begins_at, ends_at, since);

CREATE TABLE report_intervals (
    id        TEXT PRIMARY KEY CHECK (id <> ''),
    agent_id  TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    doc       BLOB    NOT NULL
) STRICT;
CREATE INDEX report_intervals_time ON report_intervals (begins_at, ends_at, since);
CREATE INDEX report_intervals_open ON report_intervals (agent_id) WHERE ends_at = 9223372036854775807;

-- Rows as they were, for a while: the rows behind a number stay those of the
-- moment it was told.
CREATE TABLE report_past (
    kind      TEXT    NOT NULL CHECK (kind IN ('conversation', 'interval')),
    id        TEXT    NOT NULL,
    since     INTEGER NOT NULL,
    until     INTEGER NOT NULL,
    until_at  INTEGER NOT NULL,
    begins_at INTEGER NOT NULL,
    ends_at   INTEGER NOT NULL,
    doc       BLOB    NOT NULL,
    PRIMARY KEY (kind, until, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_past_age ON report_past (until_at);

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
