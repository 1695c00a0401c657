package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"usher"
)

// VisitorByHash returns the session whose token hashes to hash, expired ones too
// until they are swept.
func (db *DB) VisitorByHash(ctx context.Context, hash []byte) (usher.Visitor, bool, error) {
	v, ok, err := find[usher.Visitor](ctx, db, `SELECT doc FROM visitors WHERE hash = ?`, hash)
	if ok {
		v.Hash = hash
	}
	return v, ok, err
}

// PutVisitor stores a session as given, its hash included.
func (db *DB) PutVisitor(ctx context.Context, v usher.Visitor) error {
	doc, err := encode(v)
	if err != nil {
		return err
	}
	return db.do(ctx, "write visitor", func(t *tx) error {
		_, err := t.exec(`INSERT INTO visitors (id, hash, expires_at, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at, doc = excluded.doc`,
			v.ID, v.Hash, nanos(v.ExpiresAt), doc)
		return err
	})
}

// ChangeVisitor stores what a session has become; one that has ended stays ended.
func (db *DB) ChangeVisitor(ctx context.Context, v usher.Visitor) error {
	doc, err := encode(v)
	if err != nil {
		return err
	}
	return db.do(ctx, "change visitor", func(t *tx) error {
		_, err := t.exec(`UPDATE visitors SET expires_at = ?, doc = ? WHERE id = ? AND hash = ?`, nanos(v.ExpiresAt), doc, v.ID, v.Hash)
		return err
	})
}

// DeleteVisitor ends a session; one that is not there is no error.
func (db *DB) DeleteVisitor(ctx context.Context, id string) error {
	return db.do(ctx, "delete visitor", func(t *tx) error {
		if _, err := t.exec(`DELETE FROM visitor_places WHERE visitor_id = ?`, id); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM visitors WHERE id = ?`, id)
		return err
	})
}

// SweepVisitors ends the sessions that expired before the given time. Places of
// conversations that are not closed stay, so that their silence is still noticed.
func (db *DB) SweepVisitors(ctx context.Context, before time.Time) error {
	return db.do(ctx, "sweep visitors", func(t *tx) error {
		if _, err := t.exec(`DELETE FROM visitors WHERE expires_at < ?`, nanos(before)); err != nil {
			return err
		}
		_, err := t.exec(`DELETE FROM visitor_places WHERE visitor_id NOT IN (SELECT id FROM visitors)
			AND conversation_id NOT IN (SELECT id FROM conversations WHERE status <> 'closed')`)
		return err
	})
}

// VisitorPlaces returns the conversations that a session takes part in.
func (db *DB) VisitorPlaces(ctx context.Context, visitorID string) ([]usher.VisitorPlace, error) {
	out := []usher.VisitorPlace{}
	err := db.each(ctx, `SELECT conversation_id, since FROM visitor_places WHERE visitor_id = ? ORDER BY since, conversation_id`, []any{visitorID},
		func(scan func(...any) error) error {
			var p usher.VisitorPlace
			var since int64
			if err := scan(&p.ConversationID, &since); err != nil {
				return err
			}
			p.Since = timeOf(since)
			out = append(out, p)
			return nil
		})
	return out, wrap("read places of visitor", err)
}

// PutVisitorPlace lets a session take part in a conversation; the first word on
// since when stands.
func (db *DB) PutVisitorPlace(ctx context.Context, visitorID string, p usher.VisitorPlace) error {
	return db.do(ctx, "write place of visitor", func(t *tx) error {
		_, err := t.exec(`INSERT INTO visitor_places (visitor_id, conversation_id, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`,
			visitorID, p.ConversationID, nanos(p.Since))
		return err
	})
}

// VisitorConversations returns the conversations on the floor that a session
// takes or took part in.
func (db *DB) VisitorConversations(ctx context.Context) ([]usher.Conversation, error) {
	return list[usher.Conversation](ctx, db, `SELECT doc FROM conversations
		WHERE status <> 'closed' AND id IN (SELECT conversation_id FROM visitor_places) ORDER BY id`)
}

// VisitorMessages returns messages of the channel in the given places, oldest
// first: those after the message named, or the last ones.
func (db *DB) VisitorMessages(ctx context.Context, channel string, places []usher.VisitorPlace, after string, limit int) ([]usher.Message, error) {
	type place struct {
		ID    string `json:"id"`
		Since int64  `json:"since"`
	}
	rows := make([]place, len(places))
	for i, p := range places {
		rows[i] = place{p.ConversationID, nanos(p.Since)}
	}
	set, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("write places: %w", err)
	}
	const from = `FROM json_each(?) p JOIN messages m ON m.conversation_id = p.value->>'id'
		WHERE m.channel = ? AND m.received_at >= p.value->>'since'`
	if after != "" {
		return list[usher.Message](ctx, db, `SELECT m.doc `+from+`
			AND (m.received_at, m.conversation_id, m.sequence) > (SELECT received_at, conversation_id, sequence FROM messages WHERE id = ?)
			ORDER BY m.received_at, m.conversation_id, m.sequence LIMIT ?`, string(set), channel, after, limit)
	}
	return list[usher.Message](ctx, db, `SELECT doc FROM (SELECT m.doc, m.received_at, m.conversation_id, m.sequence `+from+`
		ORDER BY m.received_at DESC, m.conversation_id DESC, m.sequence DESC LIMIT ?) ORDER BY received_at, conversation_id, sequence`,
		string(set), channel, limit)
}
