package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"usher"
)

// leaseTime is how long a holder may be silent before another may take over.
const leaseTime = 2 * time.Second

// Acquire makes holder the one that may commit and returns its fence. On one
// machine the folder lock has already chosen the process, so it always succeeds.
func (db *DB) Acquire(ctx context.Context, holder string) (usher.Fence, error) {
	var fence usher.Fence
	err := db.do(ctx, "acquire fence", func(t *tx) error {
		row, err := t.row(`UPDATE dispatcher SET holder = ?, fence = fence + 1,
			expires_at = CAST(unixepoch('subsec') * 1e9 AS INTEGER) + ? WHERE id = 1 RETURNING fence`,
			holder, int64(leaseTime))
		if err != nil {
			return err
		}
		return row.Scan(&fence)
	})
	return fence, err
}

// Commit stores the changes whole, or nothing. Their steps must follow the last
// committed one without a gap. A holder whose fence has been passed gets
// [usher.Unavailable], and nothing is stored.
func (db *DB) Commit(ctx context.Context, f usher.Fence, cs []usher.Change) error {
	if len(cs) == 0 {
		return nil
	}
	for i := range cs {
		if want := cs[0].Step + usher.Step(i); cs[i].Step != want || want == 0 {
			return fmt.Errorf("commit: step %d where %d was due", cs[i].Step, want)
		}
	}
	b := batch{}
	if err := b.fill(cs); err != nil { // encoded here: the writer only writes
		return fmt.Errorf("commit: %w", err)
	}
	return db.do(ctx, "commit", func(t *tx) error {
		n, err := t.exec(`UPDATE dispatcher SET step = ? WHERE id = 1 AND fence = ? AND step = ?`,
			cs[len(cs)-1].Step, f, cs[0].Step-1)
		if err != nil {
			return err
		}
		if n == 0 {
			return fenced()
		}
		return b.write(t)
	})
}

func fenced() error {
	e := usher.Errorf(usher.Unavailable, "fenced: another dispatcher holds the floor")
	e.RetryAfter = time.Second
	return e
}

// Snapshot keeps the floor as it stood after its step, so that a replay need
// not start from the beginning.
func (db *DB) Snapshot(ctx context.Context, f usher.Fence, fl usher.Floor) error {
	body, err := pack(fl)
	if err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return db.do(ctx, "write snapshot", func(t *tx) error {
		n, err := t.exec(`INSERT INTO snapshots (step, body)
			SELECT ?, ? FROM dispatcher WHERE id = 1 AND fence = ? AND step >= ?
			ON CONFLICT (step) DO UPDATE SET body = excluded.body`, fl.Step, body, f, fl.Step)
		if err != nil {
			return err
		}
		if n == 0 {
			return fenced()
		}
		return nil
	})
}

// statement is one prepared text with its arguments, or, where what is written
// depends on what is there, a function.
type statement struct {
	query string
	args  []any
	run   func(*tx) error // instead of query
}

// batch is the rows of several changes, encoded, in the order they are written.
type batch []statement

func (b *batch) add(query string, args ...any) {
	*b = append(*b, statement{query: query, args: args})
}

func (b *batch) write(t *tx) error {
	for _, s := range *b {
		if s.run != nil {
			if err := s.run(t); err != nil {
				return err
			}
			continue
		}
		if _, err := t.exec(s.query, s.args...); err != nil {
			return fmt.Errorf("%s: %w", firstWords(s.query), err)
		}
	}
	return nil
}

// firstWords names a statement in an error: "INSERT INTO offers".
func firstWords(q string) string {
	spaces := 0
	for i, r := range q {
		if r == ' ' || r == '\n' {
			if spaces++; spaces == 3 {
				return q[:i]
			}
		}
	}
	return q
}

// rows keeps the last version of each row of one kind over a batch: a row that
// changed thirty times is written once.
type rows[T any] struct {
	at   map[string]int
	list []T
}

func (r *rows[T]) put(key string, v T) {
	if r.at == nil {
		r.at = map[string]int{}
	}
	if i, ok := r.at[key]; ok {
		r.list[i] = v
		return
	}
	r.at[key] = len(r.list)
	r.list = append(r.list, v)
}

func gather[T any](cs []usher.Change, of func(*usher.Change) []T, key func(*T) string) []T {
	var r rows[T]
	for i := range cs {
		list := of(&cs[i])
		for j := range list {
			r.put(key(&list[j]), list[j])
		}
	}
	return r.list
}

// fill encodes all rows of cs. Within a kind, rows that give up a unique place
// (an offer no longer pending, an assignment that ended, an identity) come
// before those that may take it.
func (b *batch) fill(cs []usher.Change) error {
	err := errors.Join(b.log(cs), b.customers(cs), b.people(cs), b.work(cs))
	b.receipts(cs) // after the messages that they are about
	return errors.Join(err, b.agents(cs), b.documents(cs))
}

// log adds the journal and the events.
func (b *batch) log(cs []usher.Change) error {
	for i := range cs {
		c := &cs[i]
		body, err := encode(c.Input.Redacted())
		if err != nil {
			return err
		}
		b.add(`INSERT INTO inputs (step, now, body) VALUES (?, ?, ?)`, c.Step, nanos(c.Now), body)
		for n := range c.Events {
			e := &c.Events[n]
			if e.Step != c.Step || e.N != n {
				return fmt.Errorf("event %s is not event %d of step %d", e.ID(), n, c.Step)
			}
			data := ""
			if e.Data != nil {
				if data, err = encode(e.Data); err != nil {
					return err
				}
			}
			b.add(`INSERT INTO events (step, n, type, at, conversation_id, agent_id, customer_id, message_id, data)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				e.Step, e.N, e.Type, nanos(e.At), e.ConversationID, e.AgentID, e.CustomerID, e.MessageID, data)
		}
		if o, ok := c.Input.Body.(usher.OutcomeSet); ok && c.Result.Err == nil {
			b.add(`INSERT INTO outcomes (conversation_id, resolved, csat, at) VALUES (?, ?, ?, ?)
				ON CONFLICT (conversation_id) DO UPDATE SET resolved = coalesce(excluded.resolved, resolved),
				csat = coalesce(excluded.csat, csat), at = excluded.at`,
				o.ConversationID, boolOrNull(o.Resolved), intOrNull(o.CSAT), nanos(c.Now))
		}
	}
	return nil
}

// receipts adds what platforms said of messages: the floor does not keep those.
func (b *batch) receipts(cs []usher.Change) {
	for i := range cs {
		for _, r := range cs[i].Receipts {
			*b = append(*b, statement{run: func(t *tx) error { return wrap("write receipt", receive(t, r, cs[i].Now)) }})
		}
	}
}

func (b *batch) customers(cs []usher.Change) error {
	changed := gather(cs, func(c *usher.Change) []usher.Customer { return c.Customers },
		func(c *usher.Customer) string { return c.ID })
	for i := range changed {
		c := &changed[i]
		row := *c
		row.Person = nil // links tell
		doc, err := encode(&row)
		if err != nil {
			return err
		}
		b.add(`INSERT INTO customers (id, version, created_at, doc) VALUES (?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET version = excluded.version, doc = excluded.doc`,
			c.ID, c.Version, nanos(c.CreatedAt), doc)
		b.add(`DELETE FROM identities WHERE customer_id = ?`, c.ID)
	}
	for i := range changed {
		for _, id := range changed[i].Identities {
			b.add(`INSERT INTO identities (kind, value, customer_id, shared, valid_to) VALUES (?, ?, ?, ?, ?)`,
				id.Kind, id.Value, changed[i].ID, truth(id.Shared()), nanos(id.ValidTo))
		}
	}
	return nil
}

// work adds conversations with what belongs to them.
func (b *batch) work(cs []usher.Change) error {
	for _, c := range gather(cs, func(c *usher.Change) []usher.Conversation { return c.Conversations },
		func(c *usher.Conversation) string { return c.ID }) {
		doc, err := encode(&c)
		if err != nil {
			return err
		}
		var closed time.Time
		if c.ClosedAt != nil {
			closed = *c.ClosedAt
		}
		b.add(`INSERT INTO conversations (id, customer_id, channel, status, queue, agent_id, tier, intent, opened_at, closed_at, version, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET customer_id = excluded.customer_id, status = excluded.status, queue = excluded.queue,
			agent_id = excluded.agent_id, tier = excluded.tier, intent = excluded.intent, closed_at = excluded.closed_at,
			version = excluded.version, doc = excluded.doc`,
			c.ID, c.CustomerID, c.Channel, string(c.Status), c.Queue, c.AgentID, c.Tier, c.Intent,
			nanos(c.OpenedAt), nanos(closed), c.Version, doc)
	}
	for _, m := range gather(cs, func(c *usher.Change) []usher.Message { return c.Messages },
		func(m *usher.Message) string { return m.ID }) {
		doc, err := encode(&m)
		if err != nil {
			return err
		}
		sender := ""
		if m.From != nil && m.Author == usher.ByCustomer {
			sender = m.From.Key()
		}
		b.add(`INSERT INTO messages (id, conversation_id, sequence, author, channel, external_id, received_at, sender, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`,
			m.ID, m.ConversationID, m.Sequence, string(m.Author), m.Channel, m.ExternalID, nanos(m.ReceivedAt), sender, doc)
	}
	offers := gather(cs, func(c *usher.Change) []usher.Offer { return c.Offers }, func(o *usher.Offer) string { return o.ID })
	slices.SortStableFunc(offers, func(a, b usher.Offer) int {
		return cmp.Compare(truth(a.State == usher.OfferPending), truth(b.State == usher.OfferPending))
	})
	for _, o := range offers {
		doc, err := encode(&o)
		if err != nil {
			return err
		}
		b.add(`INSERT INTO offers (id, conversation_id, agent_id, state, created_at, expires_at, doc)
			VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at, doc = excluded.doc`,
			o.ID, o.ConversationID, o.AgentID, string(o.State), nanos(o.CreatedAt), nanos(o.ExpiresAt), doc)
	}
	assignments := gather(cs, func(c *usher.Change) []usher.Assignment { return c.Assignments },
		func(a *usher.Assignment) string { return a.ID })
	slices.SortStableFunc(assignments, func(a, b usher.Assignment) int {
		return cmp.Compare(truth(a.EndedAt == nil), truth(b.EndedAt == nil))
	})
	for _, a := range assignments {
		doc, err := encode(&a)
		if err != nil {
			return err
		}
		var ended time.Time
		if a.EndedAt != nil {
			ended = *a.EndedAt
		}
		b.add(`INSERT INTO assignments (id, conversation_id, agent_id, started_at, ended_at, doc)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at, doc = excluded.doc`,
			a.ID, a.ConversationID, a.AgentID, nanos(a.StartedAt), nanos(ended), doc)
	}
	for _, o := range gather(cs, func(c *usher.Change) []usher.Outbound { return c.Outbox },
		func(o *usher.Outbound) string { return o.ID }) {
		doc, err := encode(&o)
		if err != nil {
			return err
		}
		// A message that was asked for again is not sent again.
		b.add(`INSERT INTO outbox (id, conversation_id, channel, state, next_at, attempt, parts, late, doc)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce((SELECT author <> 'agent' FROM messages WHERE id = ?1), 0), ?8)
			ON CONFLICT (id) DO NOTHING`,
			o.ID, o.ConversationID, o.Channel, o.State, nanos(o.NextAt), o.Attempt, o.Parts, doc)
	}
	for i := range cs {
		for j := range cs[i].Decisions {
			d := &cs[i].Decisions[j]
			doc, err := encode(d)
			if err != nil {
				return err
			}
			b.add(`INSERT INTO decisions (id, conversation_id, step, doc) VALUES (?, ?, ?, ?)`,
				d.ID, d.ConversationID, d.Step, doc)
		}
	}
	return nil
}

func (b *batch) agents(cs []usher.Change) error {
	type agent struct {
		row   *usher.Agent
		state *usher.AgentState
	}
	var last rows[agent]
	get := func(id string) agent {
		if i, ok := last.at[id]; ok {
			return last.list[i]
		}
		return agent{}
	}
	var removed []string
	for i := range cs {
		c := &cs[i]
		for j := range c.Agents {
			a := get(c.Agents[j].ID)
			a.row = &c.Agents[j]
			last.put(c.Agents[j].ID, a)
		}
		for j := range c.States {
			a := get(c.States[j].AgentID)
			a.state = &c.States[j]
			last.put(c.States[j].AgentID, a)
		}
		for _, id := range c.AgentsRemoved {
			last.put(id, agent{})
			removed = append(removed, id)
		}
	}
	for _, id := range removed {
		b.add(`DELETE FROM agents WHERE id = ?`, id)
		b.add(`DELETE FROM agent_states WHERE agent_id = ?`, id)
	}
	for _, a := range last.list {
		if a.row != nil {
			doc, err := encode(a.row)
			if err != nil {
				return err
			}
			b.add(`INSERT INTO agents (id, version, doc) VALUES (?, ?, ?)
				ON CONFLICT (id) DO UPDATE SET version = excluded.version, doc = excluded.doc`, a.row.ID, a.row.Version, doc)
		}
		if s := a.state; s != nil {
			doc, err := encode(s)
			if err != nil {
				return err
			}
			b.add(`INSERT INTO agent_states (agent_id, presence, used_units, reserved_units, used_interruptible, reserved_interruptible, doc)
				VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (agent_id) DO UPDATE SET presence = excluded.presence, used_units = excluded.used_units,
				reserved_units = excluded.reserved_units, used_interruptible = excluded.used_interruptible,
				reserved_interruptible = excluded.reserved_interruptible, doc = excluded.doc`,
				s.AgentID, string(s.Presence), s.UsedUnits, s.ReservedUnits, s.UsedInterruptible, s.ReservedInterruptible, doc)
		}
	}
	return nil
}

// documents adds queue states, policies and bundles.
func (b *batch) documents(cs []usher.Change) error {
	for _, q := range gather(cs, func(c *usher.Change) []usher.QueueState { return c.Queues },
		func(q *usher.QueueState) string { return q.ID }) {
		doc, err := encode(&q)
		if err != nil {
			return err
		}
		b.add(`INSERT INTO queue_states (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`, q.ID, doc)
	}
	for i := range cs {
		for j := range cs[i].Policies {
			p := &cs[i].Policies[j]
			doc, err := encode(p)
			if err != nil {
				return err
			}
			b.add(`INSERT INTO policies (version, published_at, doc) VALUES (?, ?, ?)`, p.Version, nanos(p.PublishedAt), doc)
		}
		if n := len(cs[i].Bundles); n > 0 {
			doc, err := encode(&cs[i].Bundles[n-1])
			if err != nil {
				return err
			}
			b.add(`INSERT INTO bundles (step, doc) VALUES (?, ?)`, cs[i].Step, doc)
		}
	}
	return nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func boolOrNull(b *bool) sql.NullInt64 {
	if b == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: int64(truth(*b)), Valid: true}
}

func intOrNull(n *int) sql.NullInt64 {
	if n == nil {
		return sql.NullInt64{}
	}
	return sql.NullInt64{Int64: int64(*n), Valid: true}
}

// encode is the one stored form of a document.
func encode(v any) (string, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(raw), nil
}
