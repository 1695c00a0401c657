package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"usher"
)

// Fault is something that must never be in a database.
type Fault struct {
	Check string // which promise is broken
	ID    string // of the row at fault; "" = the whole
	What  string
}

// String writes f on one line.
func (f Fault) String() string {
	if f.ID == "" {
		return f.Check + ": " + f.What
	}
	return f.Check + ": " + f.ID + ": " + f.What
}

// checked bounds how many rows one broken promise lists.
const checked = 100

// Check verifies what the rows promise among each other: the log without gaps,
// every accepted message in it, every open conversation somewhere, units equal
// to the work that is held, offers in step with conversations. It reads one
// consistent state and returns no faults for a sound database. That the rows
// follow from the journal is another check, made where the rules are.
func (db *DB) Check(ctx context.Context) ([]Fault, error) {
	faults := []Fault{}
	err := db.consistent(ctx, func(t *sql.Tx) error {
		f, err := loadFloor(ctx, t)
		if err != nil {
			return err
		}
		for _, q := range rowChecks() {
			found, err := q.run(ctx, t)
			if err != nil {
				return fmt.Errorf("%s: %w", q.check, err)
			}
			faults = append(faults, found...)
		}
		faults = append(faults, checkFloor(&f)...)
		return nil
	})
	return faults, wrap("check database", err)
}

// rowCheck is a query of rows at fault: their id and what is wrong.
type rowCheck struct{ check, query string }

func (c rowCheck) run(ctx context.Context, t *sql.Tx) ([]Fault, error) {
	rows, err := t.QueryContext(ctx, c.query+" LIMIT ?", checked)
	if err != nil {
		return nil, err
	}
	var faults []Fault
	err = eachRow(rows, func(scan func(...any) error) error {
		f := Fault{Check: c.check}
		if err := scan(&f.ID, &f.What); err != nil {
			return err
		}
		faults = append(faults, f)
		return nil
	})
	return faults, err
}

func rowChecks() []rowCheck {
	const (
		gapless  = "the log has no gap"
		accepted = "every accepted message is in the log"
		joined   = "rows belong together"
		running  = "assignments are in step"
		offered  = "offers are in step"
	)
	return []rowCheck{
		{"the file is whole", `SELECT '', quick_check FROM pragma_quick_check WHERE quick_check <> 'ok'`},
		{gapless, `SELECT 'step ' || (step + 1), 'is missing from the journal' FROM inputs a
			WHERE step < (SELECT step FROM dispatcher) AND NOT EXISTS (SELECT 1 FROM inputs b WHERE b.step = a.step + 1)`},
		{gapless, `SELECT 'step 1', 'is missing from the journal' FROM dispatcher
			WHERE step > 0 AND NOT EXISTS (SELECT 1 FROM inputs WHERE step = 1) AND NOT EXISTS (SELECT 1 FROM snapshots)`},
		{gapless, `SELECT 'step ' || i.step, 'is beyond the last one, ' || d.step FROM inputs i, dispatcher d WHERE i.step > d.step`},
		{gapless, `SELECT 'step ' || step, 'has no event' FROM inputs WHERE step NOT IN (SELECT step FROM events)`},
		{gapless, `SELECT 'step ' || step, 'has events and no input' FROM events WHERE n = 0 AND step NOT IN (SELECT step FROM inputs)`},
		{gapless, `SELECT 'step ' || step, 'has ' || count(*) || ' events up to number ' || max(n) FROM events
			GROUP BY step HAVING count(*) <> max(n) + 1`},
		{"time does not go back", `SELECT 'step ' || step, 'is earlier than the one before' FROM
			(SELECT step, now, lag(now) OVER (ORDER BY step) AS before FROM inputs) WHERE now < before`},
		{accepted, `SELECT id, 'no event message.received tells of it' FROM messages WHERE author = 'customer'
			AND id NOT IN (SELECT message_id FROM events WHERE type = 'message.received')`},
		{accepted, `SELECT message_id, 'the log tells of it and it is not stored' FROM events WHERE type = 'message.received'
			AND message_id NOT IN (SELECT id FROM messages)`},
		{joined, `SELECT id, 'its conversation is not stored' FROM messages WHERE conversation_id NOT IN (SELECT id FROM conversations)`},
		{joined, `SELECT id, 'its conversation is not stored' FROM offers WHERE conversation_id NOT IN (SELECT id FROM conversations)`},
		{joined, `SELECT id, 'its conversation is not stored' FROM assignments WHERE conversation_id NOT IN (SELECT id FROM conversations)`},
		{joined, `SELECT id, 'its conversation is not stored' FROM decisions WHERE conversation_id NOT IN (SELECT id FROM conversations)`},
		{joined, `SELECT id, 'its message is not stored' FROM outbox WHERE id NOT IN (SELECT id FROM messages)`},
		{joined, `SELECT id, 'its customer is not stored' FROM conversations WHERE customer_id NOT IN (SELECT id FROM customers)`},
		{joined, `SELECT kind, 'an identity of a customer who is not stored' FROM identities WHERE customer_id NOT IN (SELECT id FROM customers)`},
		{joined, `SELECT agent_id, 'a state without an agent' FROM agent_states WHERE agent_id NOT IN (SELECT id FROM agents)`},
		{joined, `SELECT conversation_id, 'has ' || count(*) || ' messages up to sequence ' || max(sequence) FROM messages
			GROUP BY conversation_id HAVING count(*) <> max(sequence)`},
		{offered, `SELECT o.id, 'is pending, and its conversation is ' || c.status FROM offers o JOIN conversations c ON c.id = o.conversation_id
			WHERE o.state = 'pending' AND (c.status <> 'offered' OR c.agent_id <> o.agent_id OR json_extract(c.doc, '$.work.offer_id') IS NOT o.id)`},
		{offered, `SELECT id, 'is offered without a pending offer' FROM conversations c WHERE status = 'offered'
			AND NOT EXISTS (SELECT 1 FROM offers o WHERE o.conversation_id = c.id AND o.state = 'pending')`},
		{running, `SELECT id, 'is ' || status || ' without a running assignment' FROM conversations c WHERE status IN ('assigned', 'wrapping')
			AND NOT EXISTS (SELECT 1 FROM assignments a WHERE a.conversation_id = c.id AND a.ended_at = 0 AND a.agent_id = c.agent_id)`},
		{running, `SELECT a.id, 'is running, and its conversation is ' || c.status FROM assignments a JOIN conversations c ON c.id = a.conversation_id
			WHERE a.ended_at = 0 AND (c.status NOT IN ('assigned', 'wrapping') OR c.agent_id <> a.agent_id)`},
		{"columns follow documents", `SELECT id, 'its columns and its document differ' FROM outbox
			WHERE state <> json_extract(doc, '$.state') OR channel <> json_extract(doc, '$.channel')`},
		{"the outbox follows its messages", `SELECT o.id, 'is ' || o.state || ', and its message ' || json_extract(m.doc, '$.delivery.state')
			FROM outbox o JOIN messages m ON m.id = o.id WHERE o.state IN ('accepted', 'failed', 'unknown')
			AND o.state <> replace(replace(json_extract(m.doc, '$.delivery.state'), 'delivered', 'accepted'), 'read', 'accepted')`},
		{"columns follow documents", `SELECT id, 'its columns and its document differ' FROM conversations
			WHERE status <> json_extract(doc, '$.status') OR agent_id <> coalesce(json_extract(doc, '$.agent_id'), '')`},
	}
}

// checkFloor verifies the loaded floor against itself.
func checkFloor(f *usher.Floor) []Fault {
	var faults []Fault
	type units struct{ used, reserved, usedInterruptible, reservedInterruptible, open int }
	held := map[string]units{}
	for i := range f.Conversations {
		c := &f.Conversations[i]
		switch c.Status {
		case usher.StatusOffered, usher.StatusAssigned, usher.StatusWrapping:
			u := held[c.AgentID]
			used, reserved := &u.used, &u.reserved
			if c.Seat().Kind.Interruptible() {
				used, reserved = &u.usedInterruptible, &u.reservedInterruptible
			}
			*used += c.Work.Units
			if c.Status == usher.StatusOffered {
				*reserved += c.Work.Units
			}
			u.open++
			held[c.AgentID] = u
		case usher.StatusOpen:
			if c.Work.AnswerBy.IsZero() {
				faults = append(faults, Fault{"every open conversation is somewhere", c.ID, "is open and waits for nothing"})
			}
		case usher.StatusQueued:
			if c.WaitingSince == nil {
				faults = append(faults, Fault{"every open conversation is somewhere", c.ID, "is queued and does not wait"})
			}
		default:
		}
	}
	for _, s := range f.States {
		want := held[s.AgentID]
		delete(held, s.AgentID)
		got := units{s.UsedUnits, s.ReservedUnits, s.UsedInterruptible, s.ReservedInterruptible, s.Open}
		if got != want {
			faults = append(faults, Fault{"units are the sum of open work", s.AgentID, fmt.Sprintf("counts %+v, holds %+v", got, want)})
		}
	}
	for id, want := range held {
		faults = append(faults, Fault{"units are the sum of open work", id, fmt.Sprintf("has no state and holds %+v", want)})
	}
	return faults
}
