package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"usher"
)

// ConversationByID returns a conversation, closed and blocked ones too.
func (db *DB) ConversationByID(ctx context.Context, id string) (usher.Conversation, error) {
	return get[usher.Conversation](ctx, db, "conversation", id, `SELECT doc FROM conversations WHERE id = ?`)
}

// Conversations lists conversations, the last opened first, and the cursor of
// the next page ("" = no more).
func (db *DB) Conversations(ctx context.Context, f usher.ConversationFilter) ([]usher.Conversation, string, error) {
	p := f.Page.WithDefaults()
	var w filter
	if len(f.Status) > 0 {
		set, err := encode(f.Status)
		if err != nil {
			return nil, "", err
		}
		w.and(`status IN (SELECT value FROM json_each(?))`, set)
	}
	w.equal("queue", f.Queue)
	w.equal("channel", f.Channel)
	w.equal("agent_id", f.AgentID)
	w.equal("customer_id", f.CustomerID)
	w.equal("tier", f.Tier)
	w.equal("intent", f.Intent)
	if !f.From.IsZero() {
		w.and("opened_at >= ?", nanos(f.From))
	}
	if !f.To.IsZero() {
		w.and("opened_at < ?", nanos(f.To))
	}
	type place struct {
		At int64  `json:"at"`
		ID string `json:"id"`
	}
	if p.Cursor != "" {
		var after place
		if err := readCursor(p.Cursor, &after); err != nil {
			return nil, "", err
		}
		w.and("(opened_at, id) < (?, ?)", after.At, after.ID)
	}
	list, err := docs[usher.Conversation](ctx, db.read,
		`SELECT doc FROM conversations`+w.where+` ORDER BY opened_at DESC, id DESC LIMIT ?`, append(w.args, p.Limit+1)...)
	if err != nil || len(list) <= p.Limit {
		return list, "", err
	}
	list = list[:p.Limit]
	last := &list[p.Limit-1]
	next, err := writeCursor(place{nanos(last.OpenedAt), last.ID})
	return list, next, err
}

// OpenConversation returns the customer's conversation on the channel that a new
// message joins: the last opened that is not closed and is or was on the channel,
// a blocked one only for want of another.
func (db *DB) OpenConversation(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error) {
	return find[usher.Conversation](ctx, db, `SELECT doc FROM conversations
		WHERE customer_id = ? AND status <> 'closed' AND (channel = ? OR EXISTS (SELECT 1 FROM json_each(doc, '$.work.legs') WHERE value ->> 'channel' = ?))
		ORDER BY status = 'blocked', opened_at DESC, id DESC LIMIT 1`,
		customerID, channel, channel)
}

// LastClosed returns the customer's conversation that closed last and was on the channel.
func (db *DB) LastClosed(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error) {
	return find[usher.Conversation](ctx, db, `SELECT doc FROM conversations
		WHERE customer_id = ? AND status = 'closed' AND (channel = ? OR EXISTS (SELECT 1 FROM json_each(doc, '$.work.legs') WHERE value ->> 'channel' = ?))
		ORDER BY closed_at DESC, id DESC LIMIT 1`,
		customerID, channel, channel)
}

// MessageByID returns a message.
func (db *DB) MessageByID(ctx context.Context, id string) (usher.Message, error) {
	return get[usher.Message](ctx, db, "message", id, `SELECT doc FROM messages WHERE id = ?`)
}

// MessageByExternalID returns the message that the channel's platform calls externalID.
func (db *DB) MessageByExternalID(ctx context.Context, channel, externalID string) (usher.Message, bool, error) {
	return find[usher.Message](ctx, db, `SELECT doc FROM messages WHERE channel = ? AND external_id = ? AND external_id <> ''`,
		channel, externalID)
}

// MessagesByConversation lists a conversation's messages, oldest first.
func (db *DB) MessagesByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Message, string, error) {
	var w filter
	w.and("conversation_id = ?", id)
	return page[int64, usher.Message](ctx, db, `SELECT sequence, doc FROM messages`, w, "sequence", false, p)
}

// CustomerTexts returns the customer's messages of a conversation received at
// since or later, oldest first.
func (db *DB) CustomerTexts(ctx context.Context, conversationID string, since time.Time) ([]usher.Message, error) {
	return list[usher.Message](ctx, db, `SELECT doc FROM messages
		WHERE conversation_id = ? AND author = 'customer' AND received_at >= ? ORDER BY sequence`, conversationID, nanos(since))
}

// list is docs with a prepared query.
func list[T any](ctx context.Context, db *DB, query string, args ...any) ([]T, error) {
	out := []T{}
	err := db.each(ctx, query, args, func(scan func(...any) error) error {
		var raw sql.RawBytes
		if err := scan(&raw); err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %T: %w", out, err)
	}
	return out, nil
}

// DecisionByID returns a decision.
func (db *DB) DecisionByID(ctx context.Context, id string) (usher.Decision, error) {
	return get[usher.Decision](ctx, db, "decision", id, `SELECT doc FROM decisions WHERE id = ?`)
}

// DecisionsByConversation lists a conversation's decisions, newest first.
func (db *DB) DecisionsByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Decision, string, error) {
	var w filter
	w.and("conversation_id = ?", id)
	return page[int64, usher.Decision](ctx, db, `SELECT seq, doc FROM decisions`, w, "seq", true, p)
}

// OfferByID returns an offer.
func (db *DB) OfferByID(ctx context.Context, id string) (usher.Offer, error) {
	return get[usher.Offer](ctx, db, "offer", id, `SELECT doc FROM offers WHERE id = ?`)
}

// Offers lists offers, newest first.
func (db *DB) Offers(ctx context.Context, f usher.OfferFilter) ([]usher.Offer, string, error) {
	var w filter
	w.equal("agent_id", f.AgentID)
	w.equal("conversation_id", f.ConversationID)
	w.equal("state", string(f.State))
	return page[int64, usher.Offer](ctx, db, `SELECT seq, doc FROM offers`, w, "seq", true, f.Page)
}

// AssignmentsByConversation returns every assignment of a conversation, oldest first.
func (db *DB) AssignmentsByConversation(ctx context.Context, id string) ([]usher.Assignment, error) {
	return list[usher.Assignment](ctx, db, `SELECT doc FROM assignments WHERE conversation_id = ? ORDER BY seq`, id)
}

// History returns what is known of a customer's past. Open counts every
// conversation that is neither closed nor blocked: a caller who already knows
// one of them takes it off.
func (db *DB) History(ctx context.Context, customerID string, now time.Time) (usher.History, error) {
	var h usher.History
	err := db.row(ctx, `SELECT count(*) FILTER (WHERE status NOT IN ('closed', 'blocked')), count(*) FILTER (WHERE opened_at > ?)
		FROM conversations WHERE customer_id = ?`, []any{nanos(now.Add(-30 * 24 * time.Hour)), customerID}, &h.Open, &h.Conversations30d)
	if err != nil {
		return h, wrap("read history", err)
	}
	var started, ended int64
	err = db.row(ctx, `SELECT a.agent_id, a.started_at, a.ended_at FROM conversations c JOIN assignments a ON a.conversation_id = c.id
		WHERE c.customer_id = ? ORDER BY a.seq DESC LIMIT 1`, []any{customerID}, &h.LastAgent, &started, &ended)
	if err != nil {
		return h, wrap("read history", err)
	}
	h.LastAgentAt = timeOf(max(started, ended))
	err = db.row(ctx, `SELECT agent_id FROM conversations WHERE customer_id = ? AND status IN ('assigned', 'wrapping')
		ORDER BY opened_at DESC LIMIT 1`, []any{customerID}, &h.OpenAgent)
	if err != nil {
		return h, wrap("read history", err)
	}
	var rating sql.NullInt64
	err = db.row(ctx, `SELECT o.csat FROM conversations c JOIN outcomes o ON o.conversation_id = c.id
		WHERE c.customer_id = ? AND o.csat IS NOT NULL ORDER BY o.at DESC LIMIT 1`, []any{customerID}, &rating)
	if rating.Valid {
		n := int(rating.Int64)
		h.LastRating = &n
	}
	return h, wrap("read history", err)
}

// row scans the one row of a query; without one, dest stays as it is.
func (db *DB) row(ctx context.Context, query string, args []any, dest ...any) error {
	s, err := db.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next call; Close closes it
	if err != nil {
		return err
	}
	if err := s.QueryRowContext(ctx, args...).Scan(dest...); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	return nil
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
