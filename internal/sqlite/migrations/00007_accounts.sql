-- Accounts of the console, and where they are signed in.

-- +goose Up
CREATE TABLE accounts (
    id    TEXT PRIMARY KEY CHECK (id <> ''),
    login TEXT NOT NULL UNIQUE CHECK (login <> ''),
    hash  TEXT NOT NULL,
    doc   TEXT NOT NULL
) STRICT;

CREATE TABLE sign_ins (
    hash       BLOB PRIMARY KEY,
    account_id TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_ins_account ON sign_ins (account_id);
CREATE INDEX sign_ins_expiry ON sign_ins (expires_at);

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
