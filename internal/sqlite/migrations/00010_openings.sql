-- The conversations that began or came back in a period, for replay under another policy.

-- +goose Up
CREATE INDEX events_opened ON events (at, step) WHERE type IN ('conversation.opened', 'conversation.reopened');

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
