package matcher

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"usher"
)

// Verify compares the floor as its rows tell it with the floor that the journal
// makes, and lists every difference. Nothing must be committed meanwhile.
func Verify(ctx context.Context, s interface {
	Journal
	Load(ctx context.Context) (usher.Floor, usher.Step, error)
}, engine string,
) ([]string, error) {
	rows, last, err := s.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify floor: %w", err)
	}
	stepped, err := Replay(ctx, s, engine, last+1, last, func(usher.Change) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("verify floor: %w", err)
	}
	return Differences(stepped, rows)
}

// Differences lists what differs between two floors, by kind and id.
func Differences(journal, rows usher.Floor) ([]string, error) {
	c := comparison{}
	c.whole("step", journal.Step, rows.Step)
	c.whole("time", journal.Now, rows.Now)
	c.whole("seed", journal.Seed, rows.Seed)
	c.whole("policy", journal.Policy, rows.Policy)
	c.whole("bundle", journal.Bundle, rows.Bundle)
	compare(&c, "agent", journal.Agents, rows.Agents, func(a usher.Agent) string { return a.ID })
	compare(&c, "state of agent", journal.States, rows.States, func(a usher.AgentState) string { return a.AgentID })
	compare(&c, "conversation", journal.Conversations, rows.Conversations, func(v usher.Conversation) string { return v.ID })
	compare(&c, "offer", journal.Offers, rows.Offers, func(o usher.Offer) string { return o.ID })
	compare(&c, "queue", journal.Queues, rows.Queues, func(q usher.QueueState) string { return q.ID })
	return c.faults, c.err
}

type comparison struct {
	faults []string
	err    error
}

func (c *comparison) encode(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil && c.err == nil {
		c.err = fmt.Errorf("compare floors: %w", err)
	}
	return raw
}

func (c *comparison) whole(what string, journal, rows any) {
	if !bytes.Equal(c.encode(journal), c.encode(rows)) {
		c.faults = append(c.faults, what+": the journal and the rows differ")
	}
}

func compare[T any](c *comparison, what string, journal, rows []T, id func(T) string) {
	stored := make(map[string]T, len(rows))
	for _, r := range rows {
		stored[id(r)] = r
	}
	for _, j := range journal {
		r, ok := stored[id(j)]
		delete(stored, id(j))
		if !ok {
			c.faults = append(c.faults, fmt.Sprintf("%s %s: in the journal, not in the rows", what, id(j)))
			continue
		}
		c.whole(what+" "+id(j), j, r)
	}
	for _, r := range rows {
		if _, left := stored[id(r)]; left {
			c.faults = append(c.faults, fmt.Sprintf("%s %s: in the rows, not in the journal", what, id(r)))
		}
	}
}
