-- How far each mailbox was read.

-- +goose Up
CREATE TABLE mailboxes (
    channel  TEXT    NOT NULL,
    box      TEXT    NOT NULL, -- user, server and folder
    validity INTEGER NOT NULL, -- UIDVALIDITY
    last     INTEGER NOT NULL, -- the last UID that was stored
    PRIMARY KEY (channel, box)
) STRICT, WITHOUT ROWID;

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
