package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"usher"
)

// receive folds a platform's word into the message's delivery and ends its row
// of the outbox. Words come late, twice and in any order; one about a message
// that is not here changes nothing.
func receive(t *tx, r usher.Receipt, now time.Time) error {
	row, err := t.row(`SELECT channel, external_id, json_extract(doc, '$.delivery') FROM messages WHERE id = ?`, r.MessageID)
	if err != nil {
		return err
	}
	var channel, external, raw string
	switch err := row.Scan(&channel, &external, &raw); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	var was usher.Delivery
	if err := json.Unmarshal([]byte(raw), &was); err != nil {
		return err
	}
	if is := was.Fold(usher.Delivery{State: r.State, At: now, Error: r.Error}); is != was {
		doc, err := encode(is)
		if err != nil {
			return err
		}
		if _, err := t.exec(`UPDATE messages SET doc = json_set(doc, '$.delivery', json(?)) WHERE id = ?`, doc, r.MessageID); err != nil {
			return err
		}
	}
	if r.ExternalID != "" && external == "" {
		// A platform that gives one id twice does not stop the floor: the first keeps it.
		if _, err := t.exec(`UPDATE messages SET external_id = ?1, doc = json_set(doc, '$.external_id', ?1) WHERE id = ?2
			AND NOT EXISTS (SELECT 1 FROM messages WHERE channel = ?3 AND external_id = ?1)`, r.ExternalID, r.MessageID, channel); err != nil {
			return err
		}
	}
	return endOutbox(t, r, now)
}

// endOutbox moves the message's row of the outbox on, never back.
func endOutbox(t *tx, r usher.Receipt, now time.Time) error {
	row, err := t.row(`SELECT state, parts FROM outbox WHERE id = ?`, r.MessageID)
	if err != nil {
		return err
	}
	var was string
	var parts int
	switch err := row.Scan(&was, &parts); {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	is := usher.Delivery{State: was}.Fold(usher.Delivery{State: r.State}).State
	if is == "delivered" || is == "read" { // the outbox has done its part
		is = "accepted"
	}
	var sent int64
	switch r.State {
	case "accepted", "delivered", "read":
		parts, sent = max(parts, r.Parts, 1), nanos(now)
	case "unknown": // one more than is known may have been taken
		parts, sent = max(parts, r.Parts)+1, nanos(now)
	case "failed":
		if parts = max(parts, r.Parts); parts > 0 {
			sent = nanos(now)
		}
	}
	_, err = t.exec(`UPDATE outbox SET state = ?1, parts = ?2, sent_at = max(sent_at, ?3), why = '',
		doc = json_set(doc, '$.state', ?1, '$.parts', ?2) WHERE id = ?4`, is, parts, sent, r.MessageID)
	return err
}

// due finds queued rows of the outbox that may be sent: each the first of its
// conversation and channel that is not over.
const due = ` FROM outbox o WHERE o.state = 'queued' AND o.late = ? AND o.next_at <= ?
	AND o.channel NOT IN (SELECT value FROM json_each(?))
	AND NOT EXISTS (SELECT 1 FROM outbox p WHERE p.conversation_id = o.conversation_id AND p.channel = o.channel
		AND p.state IN ('queued', 'sending') AND p.rowid < o.rowid)
	ORDER BY o.next_at, o.rowid LIMIT ?`

// ClaimOutbox takes at most n messages that are due, one of each conversation
// and channel, those written by people first, and none of the channels in
// except. They are sending from then on, each with one attempt more.
func (db *DB) ClaimOutbox(ctx context.Context, now time.Time, n int, except []string) ([]usher.Outbound, error) {
	set, err := encode(append([]string{}, except...))
	if err != nil {
		return nil, err
	}
	var ids []string
	for late := range 2 {
		err := db.each(ctx, `SELECT o.id`+due, []any{late, nanos(now), set, n - len(ids)}, func(scan func(...any) error) error {
			var id string
			if err := scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
	}
	claimed := make([]usher.Outbound, 0, len(ids))
	if len(ids) == 0 {
		return claimed, nil
	}
	err = db.do(ctx, "claim outbox", func(t *tx) error {
		for _, id := range ids {
			row, err := t.row(`UPDATE outbox SET state = 'sending', attempt = attempt + 1, why = '',
				recipient = coalesce((SELECT sender FROM messages m WHERE m.conversation_id = outbox.conversation_id
					AND m.channel = outbox.channel AND m.sender <> '' ORDER BY m.sequence DESC LIMIT 1), ''),
				doc = json_set(doc, '$.state', 'sending', '$.attempt', attempt + 1) WHERE id = ? AND state = 'queued' RETURNING doc`, id)
			if err != nil {
				return err
			}
			var doc []byte
			switch err := row.Scan(&doc); {
			case errors.Is(err, sql.ErrNoRows): // a receipt was quicker
				continue
			case err != nil:
				return err
			}
			var o usher.Outbound
			if err := json.Unmarshal(doc, &o); err != nil {
				return err
			}
			claimed = append(claimed, o)
		}
		return nil
	})
	if err != nil {
		return nil, err // claimed or not, they are found at the next start
	}
	return claimed, nil
}

// PostponeOutbox puts a message that was being sent back in the queue with the
// time, the attempts and the parts of o; why says what it waits for.
func (db *DB) PostponeOutbox(ctx context.Context, o usher.Outbound, now time.Time, why string) error {
	o.State = "queued"
	doc, err := encode(&o)
	if err != nil {
		return err
	}
	return db.do(ctx, "postpone outbox", func(t *tx) error {
		_, err := t.exec(`UPDATE outbox SET state = 'queued', next_at = ?1, why = ?2, attempt = ?3,
			sent_at = CASE WHEN ?4 > parts THEN ?5 ELSE sent_at END, parts = ?4, doc = ?6 WHERE id = ?7 AND state = 'sending'`,
			nanos(o.NextAt), why, o.Attempt, o.Parts, nanos(now), doc, o.ID)
		return err
	})
}

// NextOutbox returns when the next message is due that waits for nothing but its
// time; false when there is none.
func (db *DB) NextOutbox(ctx context.Context, except []string) (time.Time, bool, error) {
	const never = int64(math.MaxInt64)
	set, err := encode(append([]string{}, except...))
	if err != nil {
		return time.Time{}, false, err
	}
	next := never
	for late := range 2 {
		at := never
		if err := db.row(ctx, `SELECT o.next_at`+due, []any{late, never, set, 1}, &at); err != nil {
			return time.Time{}, false, fmt.Errorf("read outbox: %w", err)
		}
		next = min(next, at)
	}
	if next == never {
		return time.Time{}, false, nil
	}
	return timeOf(next), true, nil
}

// SendingOutbox returns the messages being sent, oldest first: at start those
// whose end nobody saw.
func (db *DB) SendingOutbox(ctx context.Context) ([]usher.Outbound, error) {
	return list[usher.Outbound](ctx, db, `SELECT doc FROM outbox WHERE state IN ('queued', 'sending') AND state = 'sending' ORDER BY rowid`)
}

// OutboxCounts counts what is queued, sending and unknown.
func (db *DB) OutboxCounts(ctx context.Context) (map[string]int, error) {
	counts := map[string]int{"queued": 0, "sending": 0, "unknown": 0}
	err := db.each(ctx, `SELECT state, count(*) FROM outbox WHERE state IN ('queued', 'sending', 'unknown') GROUP BY state`, nil,
		func(scan func(...any) error) error {
			var state string
			var n int
			if err := scan(&state, &n); err != nil {
				return err
			}
			counts[state] = n
			return nil
		})
	return counts, wrap("count outbox", err)
}

// LastInbound returns the last message that the customer wrote on the channel in
// the conversation, by an identity to which answers can go.
func (db *DB) LastInbound(ctx context.Context, conversationID, channel string) (usher.Message, bool, error) {
	return find[usher.Message](ctx, db, `SELECT doc FROM messages WHERE conversation_id = ? AND channel = ? AND sender <> ''
		ORDER BY sequence DESC LIMIT 1`, conversationID, channel)
}

// Contact returns when an identity last wrote and last clicked on the channel, in
// whichever conversation, and how many platform messages it was sent since each.
func (db *DB) Contact(ctx context.Context, channel string, id usher.Identity) (c usher.Contact, err error) {
	for _, of := range []struct {
		click bool
		at    *time.Time
		sent  *int
	}{{false, &c.Wrote, &c.Sent}, {true, &c.Clicked, &c.SentSince}} {
		var at int64
		err := db.row(ctx, `SELECT received_at FROM messages WHERE channel = ? AND sender = ? AND sender <> ''
			AND (json_extract(doc, '$.attributes.`+usher.AttributeClick+`') IS TRUE) = ? ORDER BY received_at DESC LIMIT 1`,
			[]any{channel, id.Key(), of.click}, &at)
		if err != nil {
			return usher.Contact{}, wrap("read contact", err)
		}
		if at == 0 {
			continue
		}
		*of.at = timeOf(at)
		err = db.row(ctx, `SELECT coalesce(sum(parts), 0) FROM outbox WHERE channel = ? AND recipient = ? AND sent_at > 0 AND sent_at >= ?`,
			[]any{channel, id.Key(), at}, of.sent)
		if err != nil {
			return usher.Contact{}, wrap("read contact", err)
		}
	}
	return c, nil
}

// Thread returns the ids that the platform gave the conversation's messages on
// the channel, oldest first.
func (db *DB) Thread(ctx context.Context, conversationID, channel string) ([]string, error) {
	ids := []string{}
	err := db.each(ctx, `SELECT external_id FROM messages WHERE conversation_id = ? AND channel = ? AND external_id <> '' ORDER BY sequence`,
		[]any{conversationID, channel}, func(scan func(...any) error) error {
			var id string
			if err := scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
			return nil
		})
	return ids, wrap("read thread", err)
}

// PutInboxEvent keeps a platform's call, once: false means that it was here before.
func (db *DB) PutInboxEvent(ctx context.Context, channel, key string, raw []byte) (fresh bool, err error) {
	now := nanos(time.Now())
	err = db.do(ctx, "write inbox event", func(t *tx) error {
		n, err := t.exec(`INSERT INTO inbox_events (channel, key, received_at, done_at, fault, raw) VALUES (?, ?, ?, 0, '', ?)
			ON CONFLICT (channel, key) DO NOTHING`, channel, key, now, raw)
		fresh = n == 1
		return err
	})
	return fresh, err
}

// InboxEvents returns at most n events after the one with id after that are not
// done, in the order of acceptance, without what they say: mails are large.
func (db *DB) InboxEvents(ctx context.Context, after int64, n int) ([]usher.InboxEvent, error) {
	events := []usher.InboxEvent{}
	err := db.each(ctx, `SELECT id, channel, key, received_at FROM inbox_events WHERE done_at = 0 AND id > ? ORDER BY id LIMIT ?`,
		[]any{after, n}, func(scan func(...any) error) error {
			var e usher.InboxEvent
			var at int64
			if err := scan(&e.ID, &e.Channel, &e.Key, &at); err != nil {
				return err
			}
			e.ReceivedAt = timeOf(at)
			events = append(events, e)
			return nil
		})
	return events, wrap("read inbox events", err)
}

// InboxEvent returns an event as it was stored.
func (db *DB) InboxEvent(ctx context.Context, id int64) (usher.InboxEvent, error) {
	e := usher.InboxEvent{ID: id}
	at := int64(0)
	err := db.row(ctx, `SELECT channel, key, received_at, raw FROM inbox_events WHERE id = ?`, []any{id}, &e.Channel, &e.Key, &at, &e.Raw)
	if err == nil && e.Channel == "" {
		return e, usher.Errorf(usher.NotFound, "there is no call %d", id)
	}
	e.ReceivedAt = timeOf(at)
	return e, wrap("read inbox event", err)
}

// DoneInboxEvent says that an event was handed on, or, with a fault, why it never
// will be.
func (db *DB) DoneInboxEvent(ctx context.Context, id int64, fault string) error {
	now := nanos(time.Now())
	return db.do(ctx, "end inbox event", func(t *tx) error {
		_, err := t.exec(`UPDATE inbox_events SET done_at = ?, fault = ? WHERE id = ?`, now, fault, id)
		return err
	})
}

// DropInboxEvents forgets what was done before a moment. A call that comes again
// later than that is taken for a new one.
func (db *DB) DropInboxEvents(ctx context.Context, before time.Time) error {
	return db.do(ctx, "drop inbox events", func(t *tx) error {
		_, err := t.exec(`DELETE FROM inbox_events WHERE done_at > 0 AND done_at < ?`, nanos(before))
		return err
	})
}

// ChannelSecrets returns the secrets of a channel by name.
func (db *DB) ChannelSecrets(ctx context.Context, id string) (map[string]string, error) {
	secrets := map[string]string{}
	err := db.each(ctx, `SELECT name, value FROM channel_secrets WHERE channel = ?`, []any{id}, func(scan func(...any) error) error {
		var name, value string
		if err := scan(&name, &value); err != nil {
			return err
		}
		secrets[name] = value
		return nil
	})
	return secrets, wrap("read channel secrets", err)
}

// PutChannelSecrets stores the secrets of a channel in place of those it had.
func (db *DB) PutChannelSecrets(ctx context.Context, id string, secrets map[string]string) error {
	return db.do(ctx, "write channel secrets", func(t *tx) error {
		if _, err := t.exec(`DELETE FROM channel_secrets WHERE channel = ?`, id); err != nil {
			return err
		}
		for name, value := range secrets {
			if _, err := t.exec(`INSERT INTO channel_secrets (channel, name, value) VALUES (?, ?, ?)`, id, name, value); err != nil {
				return err
			}
		}
		return nil
	})
}
