package matcher_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"usher"
)

// memory is a working store in memory whose commits can be held up and made to fail.
type memory struct {
	mu     sync.Mutex
	fence  usher.Fence
	floor  usher.Floor // Step, Now, Seed, Policy, Bundle
	agents map[string]usher.Agent
	states map[string]usher.AgentState
	convs  map[string]usher.Conversation
	offers map[string]usher.Offer
	queues map[string]usher.QueueState

	log       []usher.Change
	batches   []int // sizes of the commits that were stored
	snapshots []usher.Floor
	loads     int

	// gate, if set, holds every commit until it can receive.
	gate chan struct{}
	// fail, if set, is asked about each commit: an error refuses it; with keep
	// it is stored all the same, and only the answer is lost.
	fail func(cs []usher.Change) (err error, keep bool)
	// down, if set, is what Acquire and Load answer.
	down error
}

func newMemory() *memory {
	return &memory{
		floor: usher.Floor{Seed: 7}, agents: map[string]usher.Agent{}, states: map[string]usher.AgentState{},
		convs: map[string]usher.Conversation{}, offers: map[string]usher.Offer{}, queues: map[string]usher.QueueState{},
	}
}

func (m *memory) Acquire(context.Context, string) (usher.Fence, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return 0, m.down
	}
	m.fence++
	return m.fence, nil
}

func (m *memory) Load(context.Context) (usher.Floor, usher.Step, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return usher.Floor{}, 0, m.down
	}
	m.loads++
	f := m.floor
	f.Agents, f.States, f.Queues = sorted(m.agents), sorted(m.states), sorted(m.queues)
	f.Conversations, f.Offers = []usher.Conversation{}, []usher.Offer{}
	for _, c := range sorted(m.convs) {
		if c.Status != usher.StatusClosed {
			f.Conversations = append(f.Conversations, c)
		}
	}
	for _, o := range sorted(m.offers) {
		if o.State == usher.OfferPending {
			f.Offers = append(f.Offers, o)
		}
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return usher.Floor{}, 0, err
	}
	var out usher.Floor
	err = json.Unmarshal(raw, &out)
	return out, out.Step, err
}

func sorted[T any](m map[string]T) []T {
	out := make([]T, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func (m *memory) Commit(_ context.Context, f usher.Fence, cs []usher.Change) error {
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f != m.fence || cs[0].Step != m.floor.Step+1 {
		return usher.Errorf(usher.Unavailable, "fenced")
	}
	if m.fail != nil {
		if err, keep := m.fail(cs); err != nil {
			if keep {
				m.store(cs)
			}
			return err
		}
	}
	m.store(cs)
	return nil
}

func (m *memory) store(cs []usher.Change) {
	for _, c := range cs {
		if _, err := json.Marshal(c.Events); err != nil { // a store reads every row: races show
			panic(err)
		}
		m.floor.Step, m.floor.Now = c.Step, c.Now
		for _, a := range c.Agents {
			m.agents[a.ID] = a
		}
		for _, s := range c.States {
			m.states[s.AgentID] = s
		}
		for _, id := range c.AgentsRemoved {
			delete(m.agents, id)
			delete(m.states, id)
		}
		for _, v := range c.Conversations {
			m.convs[v.ID] = v
		}
		for _, o := range c.Offers {
			m.offers[o.ID] = o
		}
		for _, q := range c.Queues {
			m.queues[q.ID] = q
		}
		for _, p := range c.Policies {
			m.floor.Policy = p
		}
		for _, b := range c.Bundles {
			m.floor.Bundle = b
		}
	}
	m.log = append(m.log, cs...)
	m.batches = append(m.batches, len(cs))
}

func (m *memory) Snapshot(_ context.Context, _ usher.Fence, f usher.Floor) error {
	raw, err := json.Marshal(f)
	if err != nil {
		return err
	}
	var kept usher.Floor
	if err := json.Unmarshal(raw, &kept); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.snapshots = append(m.snapshots, kept)
	return nil
}

// SnapshotBefore makes memory a journal.
func (m *memory) SnapshotBefore(_ context.Context, s usher.Step) (usher.Floor, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range slices.Backward(m.snapshots) {
		if f.Step < s {
			return f, true, nil
		}
	}
	return usher.Floor{Seed: m.floor.Seed}, false, nil
}

// Inputs gives the journal as a store keeps it: through JSON, without user text.
func (m *memory) Inputs(_ context.Context, from, to usher.Step, fn func(usher.Step, time.Time, usher.Input) error) error {
	m.mu.Lock()
	log := slices.Clone(m.log)
	m.mu.Unlock()
	for _, c := range log {
		if c.Step < from || c.Step > to {
			continue
		}
		raw, err := json.Marshal(c.Input.Redacted())
		if err != nil {
			return err
		}
		var in usher.Input
		if err := json.Unmarshal(raw, &in); err != nil {
			return err
		}
		if err := fn(c.Step, c.Now, in); err != nil {
			return err
		}
	}
	return nil
}

// look reads the rows while no commit writes them.
func look[T any](m *memory, f func() T) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *memory) offer(id string) usher.Offer {
	return look(m, func() usher.Offer { return m.offers[id] })
}

func (m *memory) state(id string) usher.AgentState {
	return look(m, func() usher.AgentState { return m.states[id] })
}

func (m *memory) conversation(id string) usher.Conversation {
	return look(m, func() usher.Conversation { return m.convs[id] })
}

func (m *memory) conversations() int { return look(m, func() int { return len(m.convs) }) }
func (m *memory) steps() int         { return look(m, func() int { return len(m.log) }) }

func (m *memory) failing(f func(cs []usher.Change) (err error, keep bool)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// kinds returns the kinds of the stored inputs, in order.
func (m *memory) kinds() (out []usher.Kind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.log {
		out = append(out, c.Input.Body.Kind())
	}
	return out
}

// gapless reports steps out of order.
func (m *memory) gapless(t *testing.T) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range m.log {
		if c.Step != usher.Step(i+1) {
			t.Fatalf("entry %d of the log is step %d", i, c.Step)
		}
	}
}
