package sqlite

import (
	"context"
	"time"

	"usher"
)

// Mailbox returns how far a mailbox of a channel was read; false = never.
func (db *DB) Mailbox(ctx context.Context, channel, box string) (validity, last uint32, ok bool, err error) {
	err = db.each(ctx, `SELECT validity, last FROM mailboxes WHERE channel = ? AND box = ?`, []any{channel, box}, func(scan func(...any) error) error {
		ok = true
		return scan(&validity, &last)
	})
	return validity, last, ok, wrap("read mailbox", err)
}

// Original returns what a channel was given under a key; false when it is not kept.
func (db *DB) Original(ctx context.Context, channel, key string) (raw []byte, ok bool, err error) {
	err = db.each(ctx, `SELECT raw FROM inbox_events WHERE channel = ? AND key = ?`, []any{channel, key}, func(scan func(...any) error) error {
		ok = true
		return scan(&raw)
	})
	return raw, ok, wrap("read original", err)
}

// AnyMailbox reports whether a mailbox of a channel was ever read.
func (db *DB) AnyMailbox(ctx context.Context, channel string) (read bool, err error) {
	err = db.row(ctx, `SELECT EXISTS (SELECT 1 FROM mailboxes WHERE channel = ?)`, []any{channel}, &read)
	return read, wrap("read mailboxes", err)
}

// PutMailbox keeps how far a mailbox was read. Others of the channel are
// forgotten: it reads one.
func (db *DB) PutMailbox(ctx context.Context, channel, box string, validity, last uint32) error {
	return db.do(ctx, "write mailbox", func(t *tx) error {
		if _, err := t.exec(`DELETE FROM mailboxes WHERE channel = ? AND box <> ?`, channel, box); err != nil {
			return err
		}
		_, err := t.exec(`INSERT INTO mailboxes (channel, box, validity, last) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (channel, box) DO UPDATE SET validity = ?3, last = ?4`, channel, box, validity, last)
		return err
	})
}

// MailThread returns the conversation to which an identity last wrote under a
// subject since a moment, having proven who it is; false when there is none. The
// subject is the message's attribute email_thread.
func (db *DB) MailThread(ctx context.Context, channel string, from usher.Identity, subject string, since time.Time) (conversationID string, ok bool, err error) {
	err = db.row(ctx, `SELECT conversation_id FROM messages WHERE channel = ? AND sender = ? AND sender <> '' AND received_at >= ?
		AND json_extract(doc, '$.from.verified') = 1 AND json_extract(doc, '$.attributes.email_thread') = ?
		ORDER BY received_at DESC LIMIT 1`, []any{channel, from.Key(), nanos(since), subject}, &conversationID)
	return conversationID, conversationID != "", wrap("read mail thread", err)
}

// Answers counts the messages not written by people that were sent on a channel,
// or may have been: to an identity since a moment, and in a conversation ever.
func (db *DB) Answers(ctx context.Context, channel string, to usher.Identity, since time.Time, conversationID string) (toSender, inThread int, err error) {
	err = db.row(ctx, `SELECT count(*) FROM outbox WHERE channel = ? AND recipient = ? AND late = 1 AND sent_at > 0 AND sent_at >= ?`,
		[]any{channel, to.Key(), nanos(since)}, &toSender)
	if err == nil {
		err = db.row(ctx, `SELECT count(*) FROM messages m JOIN outbox o ON o.id = m.id
			WHERE m.conversation_id = ? AND o.channel = ? AND o.late = 1 AND o.sent_at > 0`, []any{conversationID, channel}, &inThread)
	}
	return toSender, inThread, wrap("count answers", err)
}
