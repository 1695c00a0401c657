-- Rows hold what is looked up or filtered by as columns, and the whole record
-- as JSON in doc. Times are nanoseconds since 1970, 0 = none. Unique and CHECK
-- constraints are alarms: no ordinary path meets them.

-- +goose Up
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE dispatcher (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    holder     TEXT    NOT NULL,
    fence      INTEGER NOT NULL CHECK (fence >= 0),
    step       INTEGER NOT NULL CHECK (step >= 0),
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO dispatcher (id, holder, fence, step, expires_at) VALUES (1, '', 0, 0, 0);

CREATE TABLE inputs (
    step INTEGER PRIMARY KEY CHECK (step > 0),
    now  INTEGER NOT NULL,
    body TEXT    NOT NULL
) STRICT;

CREATE TABLE events (
    step            INTEGER NOT NULL CHECK (step > 0),
    n               INTEGER NOT NULL CHECK (n >= 0),
    type            TEXT    NOT NULL CHECK (type <> ''),
    at              INTEGER NOT NULL,
    conversation_id TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL,
    customer_id     TEXT    NOT NULL,
    message_id      TEXT    NOT NULL,
    data            TEXT    NOT NULL,
    PRIMARY KEY (step, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_conversation ON events (conversation_id, step, n) WHERE conversation_id <> '';

CREATE TABLE snapshots (
    step INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE customers (
    id         TEXT PRIMARY KEY CHECK (id <> ''),
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    doc        TEXT    NOT NULL
) STRICT;

CREATE TABLE identities (
    kind        TEXT NOT NULL,
    value       TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX identities_customer ON identities (customer_id);

CREATE TABLE conversations (
    id          TEXT PRIMARY KEY CHECK (id <> ''),
    customer_id TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    status      TEXT    NOT NULL CHECK (status IN ('open', 'queued', 'offered', 'assigned', 'wrapping', 'closed', 'blocked')),
    queue       TEXT    NOT NULL,
    agent_id    TEXT    NOT NULL,
    tier        TEXT    NOT NULL,
    intent      TEXT    NOT NULL,
    opened_at   INTEGER NOT NULL,
    closed_at   INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    doc         TEXT    NOT NULL,
    CHECK (status NOT IN ('offered', 'assigned', 'wrapping') OR agent_id <> ''),
    CHECK ((status = 'closed') = (closed_at <> 0))
) STRICT;
CREATE INDEX conversations_customer ON conversations (customer_id, channel, opened_at);
CREATE INDEX conversations_opened ON conversations (opened_at, id);
CREATE INDEX conversations_live ON conversations (id) WHERE status <> 'closed';
CREATE INDEX conversations_agent ON conversations (agent_id, status) WHERE agent_id <> '';

CREATE TABLE messages (
    id              TEXT PRIMARY KEY CHECK (id <> ''),
    conversation_id TEXT    NOT NULL,
    sequence        INTEGER NOT NULL CHECK (sequence > 0),
    author          TEXT    NOT NULL CHECK (author IN ('customer', 'agent', 'bot', 'system')),
    channel         TEXT    NOT NULL,
    external_id     TEXT    NOT NULL,
    received_at     INTEGER NOT NULL,
    doc             TEXT    NOT NULL,
    UNIQUE (conversation_id, sequence)
) STRICT;
CREATE UNIQUE INDEX messages_external ON messages (channel, external_id) WHERE external_id <> '';

CREATE TABLE offers (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    conversation_id TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL CHECK (agent_id <> ''),
    state           TEXT    NOT NULL CHECK (state IN ('pending', 'accepted', 'declined', 'expired', 'rescinded')),
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    doc             TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX offers_pending ON offers (conversation_id) WHERE state = 'pending';
CREATE INDEX offers_conversation ON offers (conversation_id, seq);
CREATE INDEX offers_agent ON offers (agent_id, seq);

CREATE TABLE assignments (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    conversation_id TEXT    NOT NULL,
    agent_id        TEXT    NOT NULL CHECK (agent_id <> ''),
    started_at      INTEGER NOT NULL,
    ended_at        INTEGER NOT NULL,
    doc             TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX assignments_running ON assignments (conversation_id) WHERE ended_at = 0;
CREATE INDEX assignments_conversation ON assignments (conversation_id, seq);

CREATE TABLE agents (
    id      TEXT PRIMARY KEY CHECK (id <> ''),
    version INTEGER NOT NULL,
    doc     TEXT    NOT NULL
) STRICT;

CREATE TABLE agent_states (
    agent_id               TEXT PRIMARY KEY,
    presence               TEXT    NOT NULL CHECK (presence IN ('online', 'busy', 'away', 'break', 'offline')),
    used_units             INTEGER NOT NULL,
    reserved_units         INTEGER NOT NULL,
    used_interruptible     INTEGER NOT NULL,
    reserved_interruptible INTEGER NOT NULL,
    doc                    TEXT    NOT NULL,
    CHECK (reserved_units BETWEEN 0 AND used_units),
    CHECK (reserved_interruptible BETWEEN 0 AND used_interruptible)
) STRICT;

CREATE TABLE queue_states (
    id  TEXT PRIMARY KEY,
    doc TEXT NOT NULL
) STRICT;

CREATE TABLE policies (
    version      INTEGER PRIMARY KEY CHECK (version > 0),
    published_at INTEGER NOT NULL,
    doc          TEXT    NOT NULL
) STRICT;

CREATE TABLE drafts (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL,
    doc      TEXT    NOT NULL
) STRICT;

CREATE TABLE bundles (
    step INTEGER PRIMARY KEY,
    doc  TEXT NOT NULL
) STRICT;

CREATE TABLE decisions (
    seq             INTEGER PRIMARY KEY,
    id              TEXT    NOT NULL UNIQUE,
    conversation_id TEXT    NOT NULL,
    step            INTEGER NOT NULL,
    doc             TEXT    NOT NULL
) STRICT;
CREATE INDEX decisions_conversation ON decisions (conversation_id, seq);

CREATE TABLE outbox (
    id              TEXT PRIMARY KEY,
    conversation_id TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('queued', 'sending', 'accepted', 'failed', 'unknown')),
    next_at         INTEGER NOT NULL,
    doc             TEXT    NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (next_at) WHERE state IN ('queued', 'sending');

CREATE TABLE outcomes (
    conversation_id TEXT PRIMARY KEY,
    resolved        INTEGER CHECK (resolved IN (0, 1)),
    csat            INTEGER CHECK (csat BETWEEN 1 AND 5),
    at              INTEGER NOT NULL
) STRICT;

CREATE TABLE channels (
    id   TEXT PRIMARY KEY CHECK (id <> ''),
    kind TEXT NOT NULL,
    doc  TEXT NOT NULL
) STRICT;

CREATE TABLE keys (
    id   TEXT PRIMARY KEY CHECK (id <> ''),
    hash BLOB NOT NULL UNIQUE,
    doc  TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    id  INTEGER PRIMARY KEY AUTOINCREMENT,
    at  INTEGER NOT NULL,
    doc TEXT    NOT NULL
) STRICT;

CREATE TABLE vectors (
    kind      TEXT NOT NULL,
    id        TEXT NOT NULL,
    embedding TEXT NOT NULL,
    hash      TEXT NOT NULL,
    match     BLOB NOT NULL,
    full      BLOB NOT NULL,
    PRIMARY KEY (kind, embedding, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE answers (
    key       TEXT PRIMARY KEY,
    body_hash BLOB    NOT NULL,
    status    INTEGER NOT NULL,
    body      BLOB    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_at ON answers (at);

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
