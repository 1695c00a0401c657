-- The answers of the bot.

-- +goose Up
CREATE TABLE faq (
    id      TEXT PRIMARY KEY CHECK (id <> ''),
    version INTEGER NOT NULL CHECK (version > 0),
    doc     TEXT    NOT NULL
) STRICT;

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
