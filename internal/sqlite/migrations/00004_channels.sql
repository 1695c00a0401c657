-- What channels need: secrets apart from settings, platforms' calls as they were
-- accepted, who wrote a message by which identity, and the outbox as a queue.

-- +goose Up
CREATE TABLE channel_secrets (
    channel TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (channel, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox_events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    channel     TEXT    NOT NULL,
    key         TEXT    NOT NULL CHECK (key <> ''),
    received_at INTEGER NOT NULL,
    done_at     INTEGER NOT NULL, -- 0 = not handed on yet
    fault       TEXT    NOT NULL, -- why it was not; '' = it was
    raw         BLOB    NOT NULL,
    UNIQUE (channel, key)
) STRICT;
CREATE INDEX inbox_events_waiting ON inbox_events (id) WHERE done_at = 0;
CREATE INDEX inbox_events_done ON inbox_events (done_at) WHERE done_at > 0;

-- kind:value of the identity by which a customer wrote.
ALTER TABLE messages ADD COLUMN sender TEXT NOT NULL DEFAULT '';
CREATE INDEX messages_sender ON messages (channel, sender, received_at) WHERE sender <> '';

ALTER TABLE outbox ADD COLUMN channel   TEXT    NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN recipient TEXT    NOT NULL DEFAULT ''; -- kind:value, known from the first attempt on
ALTER TABLE outbox ADD COLUMN attempt   INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox ADD COLUMN parts     INTEGER NOT NULL DEFAULT 0;  -- platform messages taken, or perhaps taken
ALTER TABLE outbox ADD COLUMN sent_at   INTEGER NOT NULL DEFAULT 0;  -- of the last of them
ALTER TABLE outbox ADD COLUMN late      INTEGER NOT NULL DEFAULT 0;  -- 1 = not written by a person: goes after those
ALTER TABLE outbox ADD COLUMN why       TEXT    NOT NULL DEFAULT ''; -- it waits
UPDATE outbox SET channel = json_extract(doc, '$.channel');
DROP INDEX outbox_due;
CREATE INDEX outbox_queued ON outbox (late, next_at) WHERE state = 'queued';
CREATE INDEX outbox_open ON outbox (conversation_id, channel) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_recipient ON outbox (channel, recipient, sent_at) WHERE sent_at > 0;
CREATE INDEX outbox_state ON outbox (state) WHERE state IN ('queued', 'sending', 'unknown');

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
