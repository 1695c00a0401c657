-- Sessions of the web chat and the App, and the conversations each takes part in.

-- +goose Up
CREATE TABLE visitors (
    id         TEXT PRIMARY KEY CHECK (id <> ''),
    hash       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;
CREATE INDEX visitors_expiry ON visitors (expires_at);

CREATE TABLE visitor_places (
    visitor_id      TEXT    NOT NULL,
    conversation_id TEXT    NOT NULL,
    since           INTEGER NOT NULL,
    PRIMARY KEY (visitor_id, conversation_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX visitor_places_conversation ON visitor_places (conversation_id);

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
