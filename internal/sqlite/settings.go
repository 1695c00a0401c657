package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"usher"
)

const putChannel = `INSERT INTO channels (id, kind, doc) VALUES (?, ?, ?)
	ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, doc = excluded.doc`

// Channels returns all channels by id.
func (db *DB) Channels(ctx context.Context) ([]usher.Channel, error) {
	return list[usher.Channel](ctx, db, `SELECT doc FROM channels ORDER BY id`)
}

// ChannelByID returns a channel. Every message asks for its own, so the database
// that alone may write keeps them in memory.
func (db *DB) ChannelByID(ctx context.Context, id string) (usher.Channel, error) {
	age := db.channelsAge.Load()
	if kept, ok := db.channels.Load(id); ok && kept.(keptChannel).age == age {
		return kept.(keptChannel).channel, nil
	}
	ch, err := get[usher.Channel](ctx, db, "channel", id, `SELECT doc FROM channels WHERE id = ?`)
	if err == nil && db.writer != nil {
		db.channels.Store(id, keptChannel{age, ch})
	}
	return ch, err
}

// keptChannel is a channel as it was read; it holds while the age is the same.
type keptChannel struct {
	age     uint64
	channel usher.Channel
}

// PutChannel stores a channel as given.
func (db *DB) PutChannel(ctx context.Context, ch usher.Channel) error {
	doc, err := encode(ch)
	if err != nil {
		return err
	}
	// After the commit: who reads the old row meanwhile keeps it under the old age.
	defer db.channelsAge.Add(1)
	return db.do(ctx, "write channel", func(t *tx) error {
		_, err := t.exec(putChannel, ch.ID, string(ch.Kind), doc)
		return err
	})
}

// PolicyVersions lists published policies, newest first.
func (db *DB) PolicyVersions(ctx context.Context, p usher.Page) ([]usher.PolicyVersion, string, error) {
	return page[int64, usher.PolicyVersion](ctx, db, `SELECT version, doc FROM policies`, filter{}, "version", true, p)
}

// PolicyVersion returns the policy published as version n.
func (db *DB) PolicyVersion(ctx context.Context, n int) (usher.PolicyVersion, error) {
	return get[usher.PolicyVersion](ctx, db, "policy version", strconv.Itoa(n), `SELECT doc FROM policies WHERE version = CAST(? AS INTEGER)`)
}

// Draft returns the policy draft, if there is one.
func (db *DB) Draft(ctx context.Context) (usher.Draft, bool, error) {
	return find[usher.Draft](ctx, db, `SELECT doc FROM drafts WHERE id = 1`)
}

// PutDraft stores the draft in place of the one with revision was (0 = there is
// none); if another stands, [usher.Stale].
func (db *DB) PutDraft(ctx context.Context, d usher.Draft, was int) error {
	doc, err := encode(d)
	if err != nil {
		return err
	}
	return db.do(ctx, "write draft", func(t *tx) error {
		row, err := t.row(`SELECT revision FROM drafts WHERE id = 1`)
		if err != nil {
			return err
		}
		have := 0
		if err := row.Scan(&have); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if have != was {
			return usher.Errorf(usher.Stale, "the draft is at revision %d, not %d", have, was)
		}
		_, err = t.exec(`INSERT INTO drafts (id, revision, doc) VALUES (1, ?, ?)
			ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, doc = excluded.doc`, d.Revision, doc)
		return err
	})
}

// DeleteDraft removes the draft; without one it does nothing.
func (db *DB) DeleteDraft(ctx context.Context) error {
	return db.do(ctx, "delete draft", func(t *tx) error {
		_, err := t.exec(`DELETE FROM drafts`)
		return err
	})
}

// Keys returns all keys by id. Hashes are not in them.
func (db *DB) Keys(ctx context.Context) ([]usher.Key, error) {
	return list[usher.Key](ctx, db, `SELECT doc FROM keys ORDER BY id`)
}

// KeyByHash returns the key whose secret hashes to hash.
func (db *DB) KeyByHash(ctx context.Context, hash []byte) (usher.Key, bool, error) {
	k, ok, err := find[usher.Key](ctx, db, `SELECT doc FROM keys WHERE hash = ?`, hash)
	if ok {
		k.Hash = hash
	}
	return k, ok, err
}

// PutKey stores a key as given, its hash included.
func (db *DB) PutKey(ctx context.Context, k usher.Key) error {
	doc, err := encode(k)
	if err != nil {
		return err
	}
	return db.do(ctx, "write key", func(t *tx) error {
		_, err := t.exec(`INSERT INTO keys (id, hash, doc) VALUES (?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, doc = excluded.doc`, k.ID, k.Hash, doc)
		return err
	})
}

// DeleteKey removes a key.
func (db *DB) DeleteKey(ctx context.Context, id string) error {
	return db.do(ctx, "delete key", func(t *tx) error {
		n, err := t.exec(`DELETE FROM keys WHERE id = ?`, id)
		if err == nil && n == 0 {
			err = usher.Errorf(usher.NotFound, "there is no key %q", id)
		}
		return err
	})
}

// CountKeys returns how many keys exist.
func (db *DB) CountKeys(ctx context.Context) (int, error) {
	n := 0
	err := db.row(ctx, `SELECT count(*) FROM keys`, nil, &n)
	return n, wrap("count keys", err)
}

// Audit records an administrative change. Its ID is given here.
func (db *DB) Audit(ctx context.Context, e usher.AuditEntry) error {
	doc, err := encode(e)
	if err != nil {
		return err
	}
	return db.do(ctx, "write audit", func(t *tx) error {
		_, err := t.exec(`INSERT INTO audit (at, doc) VALUES (?, ?)`, nanos(e.At), doc)
		return err
	})
}

// AuditEntries lists administrative changes, newest first.
func (db *DB) AuditEntries(ctx context.Context, p usher.Page) ([]usher.AuditEntry, string, error) {
	return page[int64, usher.AuditEntry](ctx, db, `SELECT id, json_set(doc, '$.id', id) FROM audit`, filter{}, "id", true, p)
}

// answersKept is how long a stored answer can be asked for.
const answersKept = 24 * time.Hour

// StoredAnswer returns the first answer given under an Idempotency-Key.
func (db *DB) StoredAnswer(ctx context.Context, key string) (usher.Stored, bool, error) {
	s := usher.Stored{Key: key}
	var at int64
	ok := false
	err := db.each(ctx, `SELECT body_hash, status, body, at FROM answers WHERE key = ?`, []any{key},
		func(scan func(...any) error) error {
			ok = true
			return scan(&s.BodyHash, &s.Status, &s.Body, &at)
		})
	if err != nil || !ok {
		return usher.Stored{}, false, wrap("read answer", err)
	}
	s.At = timeOf(at)
	return s, true, nil
}

// PutStoredAnswer keeps an answer for 24 hours; the first one of a key stays.
func (db *DB) PutStoredAnswer(ctx context.Context, s usher.Stored) error {
	return db.do(ctx, "write answer", func(t *tx) error {
		if _, err := t.exec(`DELETE FROM answers WHERE at < ?`, nanos(s.At.Add(-answersKept))); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO answers (key, body_hash, status, body, at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
			s.Key, s.BodyHash, s.Status, s.Body, nanos(s.At))
		return err
	})
}

// PutVectors stores vectors, each in place of the one of the same kind, id and embedding.
func (db *DB) PutVectors(ctx context.Context, vs []usher.VectorRow) error {
	if len(vs) == 0 {
		return nil
	}
	return db.do(ctx, "write vectors", func(t *tx) error {
		for _, v := range vs {
			if _, err := t.exec(`INSERT INTO vectors (kind, id, embedding, hash, match, full) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (kind, embedding, id) DO UPDATE SET hash = excluded.hash, match = excluded.match, full = excluded.full`,
				v.Kind, v.ID, v.Vector.Embedding, v.Hash, v.Vector.Match.Bytes(), v.Vector.Full.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Vectors returns all vectors of a kind and embedding, by id.
func (db *DB) Vectors(ctx context.Context, kind, embedding string) ([]usher.VectorRow, error) {
	out := []usher.VectorRow{}
	err := db.each(ctx, `SELECT id, hash, match, full FROM vectors WHERE kind = ? AND embedding = ? ORDER BY id`, []any{kind, embedding},
		func(scan func(...any) error) error {
			v := usher.VectorRow{Kind: kind}
			var match, full sql.RawBytes
			if err := scan(&v.ID, &v.Hash, &match, &full); err != nil {
				return err
			}
			var err error
			v.Vector.Embedding = embedding
			if v.Vector.Match, err = vec(match); err != nil {
				return err
			}
			if v.Vector.Full, err = vec(full); err != nil {
				return err
			}
			out = append(out, v)
			return nil
		})
	return out, wrap("read vectors", err)
}

func vec(raw []byte) (usher.Vec, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	return usher.VecFromBytes(raw)
}

// EventsAfter returns the events after c that pass f, in order, at most limit.
// A reader that follows the log asks [DB.LastEvent] first: when fewer than limit
// came back, everything up to there has been seen.
func (db *DB) EventsAfter(ctx context.Context, c usher.Cursor, f usher.EventFilter, limit int) ([]usher.Event, error) {
	var w filter
	w.and("(step, n) > (?, ?)", c.Step, c.N)
	w.equal("conversation_id", f.ConversationID)
	w.equal("customer_id", f.CustomerID)
	if f.AgentID != "" {
		w.and(`(agent_id = ? OR conversation_id IN (SELECT id FROM conversations
			WHERE agent_id = ? AND status IN ('offered', 'assigned', 'wrapping')))`, f.AgentID, f.AgentID)
	}
	if len(f.Types) > 0 {
		set, err := encode(f.Types)
		if err != nil {
			return nil, err
		}
		w.and(`type IN (SELECT value FROM json_each(?))`, set)
	}
	out := []usher.Event{}
	// The forms of this query are few: each is prepared once.
	err := db.each(ctx, `SELECT step, n, type, at, conversation_id, agent_id, customer_id, message_id, data FROM events`+
		w.where+` ORDER BY step, n LIMIT ?`, append(w.args, limit), func(scan func(...any) error) error {
		var e usher.Event
		var at int64
		var data sql.RawBytes
		if err := scan(&e.Step, &e.N, &e.Type, &at, &e.ConversationID, &e.AgentID, &e.CustomerID, &e.MessageID, &data); err != nil {
			return err
		}
		e.At = timeOf(at)
		if len(data) > 0 {
			e.Data = json.RawMessage(append([]byte(nil), data...))
		}
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return out, nil
}

// LastEvent returns the place after the newest event; the zero cursor when the log is empty.
func (db *DB) LastEvent(ctx context.Context) (usher.Cursor, error) {
	var c usher.Cursor
	err := db.row(ctx, `SELECT step, n FROM events ORDER BY step DESC, n DESC LIMIT 1`, nil, &c.Step, &c.N)
	return c, wrap("read events", err)
}

// FirstEvent returns the place of the oldest event kept; the zero cursor when the log is empty.
func (db *DB) FirstEvent(ctx context.Context) (usher.Cursor, error) {
	var c usher.Cursor
	err := db.row(ctx, `SELECT step, n FROM events ORDER BY step, n LIMIT 1`, nil, &c.Step, &c.N)
	return c, wrap("read events", err)
}
