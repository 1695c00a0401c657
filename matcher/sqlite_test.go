package matcher_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"usher"
	"usher/internal/sqlite"
	"usher/matcher"
)

var _ matcher.Store = (*sqlite.DB)(nil)

func open(tb testing.TB, path string, sync sqlite.Sync) *sqlite.DB {
	tb.Helper()
	db, err := sqlite.Open(context.Background(), path, sqlite.Options{Sync: sync})
	if err != nil {
		tb.Fatal(err)
	}
	return db
}

// team fills the floor with agents who are online.
func team(t *testing.T, d *matcher.Dispatcher, n, units int) {
	t.Helper()
	for i := range n {
		id := fmt.Sprint("a", i)
		do(t, d, "put "+id, agentPut(id, units))
		do(t, d, "on "+id, online(id))
	}
}

// recorder keeps what was committed, as a replay must make it again.
type recorder struct {
	mu  sync.Mutex
	all map[usher.Step]string
}

func (r *recorder) committed(cs []usher.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[usher.Step]string{}
	}
	for _, c := range cs {
		r.all[c.Step] = rowsOf(c)
	}
}

// rowsOf is a change without user text and without its answer.
func rowsOf(c usher.Change) string {
	c.Messages = slices.Clone(c.Messages)
	for i := range c.Messages {
		c.Messages[i].Text = ""
	}
	raw, err := json.Marshal([]any{
		c.Step, c.Now, c.Messages, c.Conversations, c.Offers, c.Assignments, c.Agents, c.AgentsRemoved, c.States, c.Queues,
		c.Policies, c.Bundles, c.Outbox, c.Decisions, c.Events,
	})
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// Many callers race for the same conversations over a real store and restarts;
// afterwards the rows are sound, follow from the journal, and every step of the
// journal makes the same rows, decisions and events again.
func TestStress(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "usher.db")
	var rec recorder
	const rounds, clients, each = 3, 16, 40
	for round := range rounds {
		db := open(t, path, sqlite.SyncNormal)
		d, stop := run(t, matcher.Config{Store: db, SnapshotEvery: 400, Committed: rec.committed})
		if round == 0 {
			team(t, d, 8, 4)
		}
		for _, err := range all(clients, func(client int) error { return chaos(t.Context(), d, round, client, each) }) {
			if err != nil {
				t.Error(err)
			}
		}
		stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, path, sqlite.SyncNormal)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	faults, err := db.Check(t.Context())
	if err != nil || len(faults) > 0 {
		t.Errorf("rows: %v, %v", faults, err)
	}
	differences, err := matcher.Verify(t.Context(), db, "test")
	if err != nil || len(differences) > 0 {
		t.Errorf("journal and rows: %v, %v", differences, err)
	}
	_, last, err := db.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []usher.Step{1, last / 2} { // from the beginning, and from a snapshot
		n := 0
		_, err := matcher.Replay(t.Context(), db, "test", from, last, func(c usher.Change) error {
			n++
			if got, want := rowsOf(c), rec.all[c.Step]; got != want {
				return fmt.Errorf("step %d (%s) differs\n got %s\nwant %s", c.Step, c.Input.Body.Kind(), got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n != int(last-from)+1 {
			t.Errorf("%d steps replayed from %d to %d", n, from, last)
		}
	}
	if _, ok, err := db.SnapshotBefore(t.Context(), last); err != nil || !ok {
		t.Errorf("no snapshot of %d steps: %v", last, err)
	}
	if len(rec.all) < rounds*clients*each/2 {
		t.Errorf("only %d steps: the test does too little", len(rec.all))
	}
}

// chaos does what customers and agents may do, in any order. Refusals are
// ordinary; anything else is an error.
func chaos(ctx context.Context, d *matcher.Dispatcher, round, client, n int) error {
	r := rand.New(rand.NewPCG(uint64(round), uint64(client)))
	var convs, offers []string
	for i := range n {
		agent := fmt.Sprint("a", r.IntN(8))
		id := fmt.Sprintf("r%d c%d %d", round, client, i)
		conv := ""
		if len(convs) > 0 {
			conv = convs[r.IntN(len(convs))]
		}
		var b usher.Body
		switch p := r.IntN(100); {
		case p < 45 || conv == "":
			b = arrival(id)
		case p < 65 && len(offers) > 0:
			b = usher.Accept{OfferID: offers[r.IntN(len(offers))]}
		case p < 70 && len(offers) > 0:
			b = usher.Decline{OfferID: offers[r.IntN(len(offers))]}
		case p < 85:
			b = usher.Close{ConversationID: conv, Reason: "resolved"}
		case p < 90:
			b = usher.Transfer{ConversationID: conv, ToAgent: agent}
		case p < 93:
			b = usher.Assign{ConversationID: conv, AgentID: agent, Override: true, Reason: "test"}
		case p < 96:
			b = usher.Reply{Message: usher.Message{ID: "reply " + id, ConversationID: conv, Author: usher.ByAgent, AgentID: agent, Channel: "web"}}
		default:
			b = usher.PresenceSet{AgentID: agent, Presence: []usher.Presence{usher.PresenceOnline, usher.PresenceOnline, usher.PresenceAway}[r.IntN(3)]}
		}
		if i%20 == 0 {
			d.Live()
			if _, err := d.Load(ctx, agent); err != nil {
				return err
			}
			if err := d.Beat(ctx, agent); err != nil {
				return err
			}
		}
		res, err := d.Do(ctx, input(id, b))
		if err != nil {
			switch usher.CodeOf(err) {
			case usher.NotFound, usher.Conflict, usher.CapacityFull, usher.OfferExpired, usher.OfferRescinded, usher.OfferTaken, usher.InvalidArgument:
				continue
			default:
				return fmt.Errorf("%s: %w", b.Kind(), err)
			}
		}
		if _, err := json.Marshal([]any{res.Routing, res.Conversation, res.Message, res.Offer}); err != nil { // as a handler would, while the floor goes on
			return err
		}
		if res.Conversation != nil {
			convs = append(convs, res.Conversation.ID)
		}
		if o := res.Routing.Offer; o != nil {
			offers = append(offers, o.ID)
		}
	}
	return nil
}

// Verify must see what it is for.
func TestDifferences(t *testing.T) {
	t.Parallel()
	a := usher.Floor{Step: 3, Agents: []usher.Agent{{ID: "x"}, {ID: "y"}}, States: []usher.AgentState{{AgentID: "x", UsedUnits: 1}}}
	b := usher.Floor{Step: 4, Agents: []usher.Agent{{ID: "x"}, {ID: "z"}}, States: []usher.AgentState{{AgentID: "x", UsedUnits: 2}}}
	got, err := matcher.Differences(a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"step:", "agent y: in the journal", "agent z: in the rows", "state of agent x:"} {
		found := false
		for _, g := range got {
			found = found || strings.HasPrefix(g, want)
		}
		if !found {
			t.Errorf("%q is not among %q", want, got)
		}
	}
	if got, err := matcher.Differences(a, a); err != nil || len(got) > 0 {
		t.Errorf("a floor differs from itself: %v, %v", got, err)
	}
}
