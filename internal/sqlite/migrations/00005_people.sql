-- Who is one person. A shared key (phone, email, unionid) can stand with several
-- customers; every other has one owner while it is live.

-- +goose Up
ALTER TABLE identities RENAME TO identities_once;
CREATE TABLE identities (
    kind        TEXT    NOT NULL,
    value       TEXT    NOT NULL,
    customer_id TEXT    NOT NULL,
    shared      INTEGER NOT NULL CHECK (shared IN (0, 1)),
    valid_to    INTEGER NOT NULL, -- 0 = still his
    PRIMARY KEY (kind, value, customer_id)
) STRICT, WITHOUT ROWID;
INSERT INTO identities (kind, value, customer_id, shared, valid_to) SELECT kind, value, customer_id, kind IN ('phone', 'email', 'unionid'), 0 FROM identities_once;
DROP TABLE identities_once;
CREATE UNIQUE INDEX identities_owner ON identities (kind, value) WHERE shared = 0 AND valid_to = 0;
CREATE INDEX identities_customer ON identities (customer_id);

CREATE TABLE links (
    id        TEXT PRIMARY KEY CHECK (id <> ''),
    a         TEXT    NOT NULL CHECK (a <> ''),
    b         TEXT    NOT NULL CHECK (b > a),
    at        INTEGER NOT NULL,
    undone_at INTEGER NOT NULL, -- 0 = it holds
    doc       TEXT    NOT NULL
) STRICT;
CREATE INDEX links_a ON links (a);
CREATE INDEX links_b ON links (b);

CREATE TABLE suggestions (
    id    TEXT PRIMARY KEY CHECK (id <> ''),
    a     TEXT    NOT NULL CHECK (a <> ''),
    b     TEXT    NOT NULL CHECK (b > a),
    state TEXT    NOT NULL CHECK (state IN ('open', 'accepted', 'rejected')),
    at    INTEGER NOT NULL,
    doc   TEXT    NOT NULL
) STRICT;
CREATE INDEX suggestions_a ON suggestions (a);
CREATE INDEX suggestions_b ON suggestions (b);
CREATE UNIQUE INDEX suggestions_once ON suggestions (a, b) WHERE state = 'open';

CREATE INDEX customers_manual ON customers (json_extract(doc, '$.manual.tier'), id) WHERE json_extract(doc, '$.manual.tier') IS NOT NULL;
CREATE INDEX customers_proposed ON customers (json_extract(doc, '$.value.proposed'), id) WHERE json_extract(doc, '$.value.proposed') IS NOT NULL;
CREATE INDEX customers_valued ON customers (json_extract(doc, '$.value.at'), id) WHERE json_extract(doc, '$.value.at') IS NOT NULL;
CREATE INDEX events_customer ON events (customer_id, step, n) WHERE type = 'customer.tier_changed';

-- +goose Down
SELECT 'a database is brought back by restoring a copy';
