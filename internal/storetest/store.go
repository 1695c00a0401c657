// Package storetest holds the contracts of the two storage roles as suites that
// every adapter runs: [RunStore] for the system of record, [RunIndex] for vector
// search.
package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"usher"
)

// Store is the system of record as the suite needs it. Its consumers each
// declare the few methods they use; this is their sum.
type Store interface {
	Acquire(ctx context.Context, holder string) (usher.Fence, error)
	Load(ctx context.Context) (usher.Floor, usher.Step, error)
	Commit(ctx context.Context, f usher.Fence, cs []usher.Change) error
	Snapshot(ctx context.Context, f usher.Fence, fl usher.Floor) error
	SnapshotBefore(ctx context.Context, s usher.Step) (usher.Floor, bool, error)
	Inputs(ctx context.Context, from, to usher.Step, fn func(usher.Step, time.Time, usher.Input) error) error

	ConversationByID(ctx context.Context, id string) (usher.Conversation, error)
	Conversations(ctx context.Context, f usher.ConversationFilter) ([]usher.Conversation, string, error)
	OpenConversation(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error)
	LastClosed(ctx context.Context, customerID, channel string) (usher.Conversation, bool, error)
	MessageByID(ctx context.Context, id string) (usher.Message, error)
	MessageByExternalID(ctx context.Context, channel, externalID string) (usher.Message, bool, error)
	MessagesByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Message, string, error)
	CustomerTexts(ctx context.Context, conversationID string, since time.Time) ([]usher.Message, error)
	DecisionByID(ctx context.Context, id string) (usher.Decision, error)
	DecisionsByConversation(ctx context.Context, id string, p usher.Page) ([]usher.Decision, string, error)
	OfferByID(ctx context.Context, id string) (usher.Offer, error)
	Offers(ctx context.Context, f usher.OfferFilter) ([]usher.Offer, string, error)
	AssignmentsByConversation(ctx context.Context, id string) ([]usher.Assignment, error)
	History(ctx context.Context, customerID string, now time.Time) (usher.History, error)

	AgentByID(ctx context.Context, id string) (usher.Agent, usher.AgentState, error)
	Agents(ctx context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error)
	CustomerByID(ctx context.Context, id string) (usher.Customer, error)
	CustomersByIdentity(ctx context.Context, ids []usher.Identity) ([]usher.Customer, error)
	Customers(ctx context.Context, p usher.Page) ([]usher.Customer, string, error)

	EventsAfter(ctx context.Context, c usher.Cursor, f usher.EventFilter, limit int) ([]usher.Event, error)
	FirstEvent(ctx context.Context) (usher.Cursor, error)
	LastEvent(ctx context.Context) (usher.Cursor, error)

	Channels(ctx context.Context) ([]usher.Channel, error)
	ChannelByID(ctx context.Context, id string) (usher.Channel, error)
	PutChannel(ctx context.Context, ch usher.Channel) error
	PolicyVersions(ctx context.Context, p usher.Page) ([]usher.PolicyVersion, string, error)
	PolicyVersion(ctx context.Context, n int) (usher.PolicyVersion, error)
	Draft(ctx context.Context) (usher.Draft, bool, error)
	PutDraft(ctx context.Context, d usher.Draft, was int) error
	DeleteDraft(ctx context.Context) error
	Keys(ctx context.Context) ([]usher.Key, error)
	KeyByHash(ctx context.Context, hash []byte) (usher.Key, bool, error)
	PutKey(ctx context.Context, k usher.Key) error
	DeleteKey(ctx context.Context, id string) error
	CountKeys(ctx context.Context) (int, error)
	Audit(ctx context.Context, e usher.AuditEntry) error
	AuditEntries(ctx context.Context, p usher.Page) ([]usher.AuditEntry, string, error)
	StoredAnswer(ctx context.Context, key string) (usher.Stored, bool, error)
	PutStoredAnswer(ctx context.Context, s usher.Stored) error
	PutVectors(ctx context.Context, vs []usher.VectorRow) error
	Vectors(ctx context.Context, kind, embedding string) ([]usher.VectorRow, error)
}

// RunStore runs the contract of the system of record. open returns an empty
// store and closes it when the test ends.
func RunStore(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store)
	}{
		{"empty", testEmpty},
		{"floor comes back", testFloor},
		{"fence", testFence},
		{"steps have no gap", testGapless},
		{"a batch is stored whole or not at all", testAtomic},
		{"alarms", testAlarms},
		{"one batch may pass a place on", testHandOver},
		{"journal", testJournal},
		{"snapshots", testSnapshots},
		{"conversations", testConversations},
		{"messages", testMessages},
		{"decisions and offers", testDecisionsAndOffers},
		{"history", testHistory},
		{"agents", testAgents},
		{"customers", testCustomers},
		{"events", testEvents},
		{"channels", testChannels},
		{"policies and draft", testPolicies},
		{"keys", testKeys},
		{"audit", testAudit},
		{"stored answers", testAnswers},
		{"vectors", testVectors},
		{"cursors", testCursors},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &store{Store: open(t), now: Start}
			fence, err := s.Acquire(t.Context(), "suite")
			if err != nil {
				t.Fatal(err)
			}
			s.fence = fence
			c.run(t, s)
		})
	}
}

// Start is when the suite's days begin.
var Start = time.Date(2026, 3, 2, 9, 0, 0, 123456000, time.UTC) //nolint:gochecknoglobals // a constant

// store is a Store with a clock and a pen.
type store struct {
	Store
	fence usher.Fence
	step  usher.Step
	now   time.Time
}

// change is the next change, a second later, with one event.
func (s *store) change(fill func(c *usher.Change)) usher.Change {
	s.step++
	s.now = s.now.Add(time.Second)
	c := usher.Change{
		Step: s.step, Now: s.now,
		Input: usher.Input{ID: fmt.Sprintf("in_%d", s.step), By: usher.System(), Body: usher.Tick{}},
	}
	if fill != nil {
		fill(&c)
	}
	if len(c.Events) == 0 {
		c.Events = []usher.Event{{Type: usher.EventAlarmRaised}}
	}
	for n := range c.Events {
		c.Events[n].Step, c.Events[n].N, c.Events[n].At = c.Step, n, c.Now
	}
	return c
}

func (s *store) commit(t *testing.T, fills ...func(c *usher.Change)) {
	t.Helper()
	cs := make([]usher.Change, 0, len(fills))
	for _, f := range fills {
		cs = append(cs, s.change(f))
	}
	if err := s.Commit(t.Context(), s.fence, cs); err != nil {
		t.Fatal(err)
	}
}

func conversation(id, customer string, status usher.Status, opened time.Time) usher.Conversation {
	c := usher.Conversation{
		ID: id, CustomerID: customer, Channel: "web", Status: status, Language: "en", Tags: []string{}, Tier: usher.TierRegular,
		OpenedAt: opened, Version: 1,
		Work: usher.Work{
			Kind: usher.KindWeb, Units: 1, Rules: []usher.RuleHit{}, Require: []usher.SkillLevel{}, Prefer: []usher.SkillLevel{},
			Excluded: []usher.Exclusion{}, Customer: usher.CustomerFacts{ID: customer, Tags: []string{}, Attributes: map[string]any{}},
		},
	}
	switch status {
	case usher.StatusOffered, usher.StatusAssigned, usher.StatusWrapping:
		c.AgentID = "anna"
	case usher.StatusClosed:
		closed := opened.Add(time.Minute)
		c.ClosedAt, c.CloseReason = &closed, "resolved"
	default:
	}
	return c
}

func message(id, conversation string, sequence int, at time.Time) usher.Message {
	return usher.Message{
		ID: id, ConversationID: conversation, CustomerID: "ada", Sequence: sequence, Author: usher.ByCustomer, Text: "text of " + id,
		Attachments: []usher.Attachment{}, Channel: "web", SentAt: at, ReceivedAt: at, Delivery: usher.Delivery{State: "received", At: at},
	}
}

func offer(id, conversation string, state usher.OfferState, at time.Time) usher.Offer {
	return usher.Offer{
		ID: id, ConversationID: conversation, AgentID: "anna", State: state, CreatedAt: at, ExpiresAt: at.Add(30 * time.Second), Units: 1,
	}
}

func agent(id string) usher.Agent {
	return usher.Agent{
		ID: id, Name: "Agent " + id, Skills: []usher.SkillLevel{{Name: "refunds", Level: 4}}, Languages: []usher.LanguageLevel{},
		Teams: []string{}, Capacity: usher.Capacity{Units: 3, InterruptibleUnits: 3, PerChannel: map[string]int{}},
		Attributes: map[string]any{}, Version: 1,
		Vector: &usher.Vector{Embedding: "e1", Match: usher.Vec{0.25, -1, 1e-20}},
	}
}

func customer(id string, ids ...usher.Identity) usher.Customer {
	return usher.Customer{
		ID: id, Name: "Customer " + id, Identities: ids, Attributes: map[string]any{"orders_12m": 3.0}, Tags: []string{}, Version: 1,
		CreatedAt: Start,
	}
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t *testing.T, what string, err error, want usher.Code) {
	t.Helper()
	if got := usher.CodeOf(err); got != want {
		t.Errorf("%s: got %v, want code %q", what, err, want)
	}
}

func testEmpty(t *testing.T, s *store) {
	ctx := t.Context()
	f, step, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if step != 0 || f.Step != 0 || f.Policy.Version != 0 || f.Seed == 0 || !f.Now.IsZero() {
		t.Errorf("empty floor: got %+v", f)
	}
	if f.Agents == nil || f.Conversations == nil || f.Offers == nil || f.States == nil || f.Queues == nil {
		t.Error("empty lists of the floor are nil")
	}
	last := must[usher.Cursor](t)(s.LastEvent(ctx))
	diff(t, "last event", last, usher.Cursor{})
	for _, id := range []string{"web", "app"} {
		if ch, err := s.ChannelByID(ctx, id); err != nil || string(ch.Kind) != id {
			t.Errorf("channel %s: got %+v, %v", id, ch, err)
		}
	}
	_, err = s.ConversationByID(ctx, "c")
	wantCode(t, "conversation", err, usher.NotFound)
	_, err = s.MessageByID(ctx, "m")
	wantCode(t, "message", err, usher.NotFound)
	_, err = s.OfferByID(ctx, "o")
	wantCode(t, "offer", err, usher.NotFound)
	_, err = s.DecisionByID(ctx, "d")
	wantCode(t, "decision", err, usher.NotFound)
	_, _, err = s.AgentByID(ctx, "a")
	wantCode(t, "agent", err, usher.NotFound)
	_, err = s.CustomerByID(ctx, "k")
	wantCode(t, "customer", err, usher.NotFound)
	_, err = s.ChannelByID(ctx, "fax")
	wantCode(t, "channel", err, usher.NotFound)
	_, err = s.PolicyVersion(ctx, 1)
	wantCode(t, "policy", err, usher.NotFound)
	wantCode(t, "key", s.DeleteKey(ctx, "k"), usher.NotFound)
}

// Everything of the floor comes back as it was, and nothing that is not of it.
func testFloor(t *testing.T, s *store) {
	open := conversation("conv_1", "ada", usher.StatusOffered, Start)
	open.Queue, open.Intent = "general", "refund"
	value := 12.5
	open.Work.Understanding = &usher.Understanding{
		Intents: []usher.IntentP{{Label: "refund", Probability: 0.9375}}, Outcome: usher.OutcomeAccept,
		Language: usher.LanguageP{Tag: "en", Probability: 1}, Value: &value, Model: usher.ModelRef{Name: "m", Version: "1"},
	}
	open.Work.Vector = &usher.Vector{Embedding: "e1", Match: usher.Vec{0.1, 0.2, -0.3}}
	open.Work.Waited = 3*time.Second + 7
	pending := offer("offer_1_0", "conv_1", usher.OfferPending, Start)
	state := usher.AgentState{
		AgentID: "anna", Presence: usher.PresenceOnline, PresenceSince: Start, UsedUnits: 1, ReservedUnits: 1, Open: 1,
		LastAssignedAt: Start.Add(-time.Hour),
	}
	bundle := usher.Bundle{Model: usher.ModelRef{Name: "m", Version: "1"}, Embedding: "e1", Labels: []usher.Label{{Label: "refund"}}, ProfileScale: 0.125}
	queue := usher.QueueState{ID: "general", HandleS: []int{30, 40}, Next: 2}
	policy := usher.PolicyVersion{Version: 1, PublishedAt: Start, Document: usher.DefaultPolicy()}
	s.commit(t,
		func(c *usher.Change) {
			c.Policies, c.Bundles = []usher.PolicyVersion{policy}, []usher.Bundle{{Embedding: "old"}, bundle}
		},
		func(c *usher.Change) {
			c.Agents = []usher.Agent{agent("zoe"), agent("anna"), agent("gone")}
			c.States = []usher.AgentState{{AgentID: "anna", Presence: usher.PresenceAway}, {AgentID: "gone", Presence: usher.PresenceOffline}}
			c.Conversations = []usher.Conversation{
				conversation("conv_3", "eve", usher.StatusBlocked, Start), conversation("conv_2", "ada", usher.StatusClosed, Start),
			}
		},
		func(c *usher.Change) {
			c.AgentsRemoved = []string{"gone"}
			c.Conversations, c.Offers = []usher.Conversation{open}, []usher.Offer{pending, offer("offer_1_1", "conv_2", usher.OfferDeclined, Start)}
			c.States, c.Queues = []usher.AgentState{state}, []usher.QueueState{queue}
		})
	got, step, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := usher.Floor{
		Step: 3, Now: s.now, Seed: got.Seed, Policy: policy, Bundle: bundle,
		Agents: []usher.Agent{agent("anna"), agent("zoe")}, States: []usher.AgentState{state},
		Conversations: []usher.Conversation{open, conversation("conv_3", "eve", usher.StatusBlocked, Start)}, Offers: []usher.Offer{pending}, Queues: []usher.QueueState{queue},
	}
	if step != 3 {
		t.Errorf("step: got %d, want 3", step)
	}
	if d := cmp.Diff(want, got); d != "" { // exactly: [] and nil differ too
		t.Errorf("floor (-want +got):\n%s", d)
	}
}

func testFence(t *testing.T, s *store) {
	ctx := t.Context()
	second := must[usher.Fence](t)(s.Acquire(ctx, "another"))
	if second <= s.fence {
		t.Fatalf("fence %d after %d", second, s.fence)
	}
	c := s.change(nil)
	wantCode(t, "commit of the old holder", s.Commit(ctx, s.fence, []usher.Change{c}), usher.Unavailable)
	wantCode(t, "snapshot of the old holder", s.Snapshot(ctx, s.fence, usher.Floor{}), usher.Unavailable)
	if _, step, err := s.Load(ctx); err != nil || step != 0 {
		t.Fatalf("after a fenced commit: step %d, %v", step, err)
	}
	if err := s.Commit(ctx, second, []usher.Change{c}); err != nil {
		t.Fatal(err)
	}
}

func testGapless(t *testing.T, s *store) {
	ctx := t.Context()
	one, two, three := s.change(nil), s.change(nil), s.change(nil)
	for _, c := range []struct {
		name string
		cs   []usher.Change
	}{
		{"beginning at two", []usher.Change{two}},
		{"a gap within", []usher.Change{one, three}},
		{"backwards", []usher.Change{two, one}},
		{"step zero", []usher.Change{{Input: one.Input}}},
	} {
		if err := s.Commit(ctx, s.fence, c.cs); err == nil {
			t.Errorf("%s was stored", c.name)
		}
	}
	if err := s.Commit(ctx, s.fence, nil); err != nil {
		t.Errorf("nothing to commit: %v", err)
	}
	if err := s.Commit(ctx, s.fence, []usher.Change{one, two}); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the same steps again", s.Commit(ctx, s.fence, []usher.Change{one, two}), usher.Unavailable)
	if err := s.Commit(ctx, s.fence, []usher.Change{three}); err != nil {
		t.Fatal(err)
	}
}

func testAtomic(t *testing.T, s *store) {
	ctx := t.Context()
	good := s.change(func(c *usher.Change) {
		c.Conversations = []usher.Conversation{conversation("conv_1", "ada", usher.StatusQueued, Start)}
	})
	bad := s.change(func(c *usher.Change) { // two messages claim one sequence
		c.Messages = []usher.Message{message("m1", "conv_1", 1, Start), message("m2", "conv_1", 1, Start)}
	})
	if err := s.Commit(ctx, s.fence, []usher.Change{good, bad}); err == nil {
		t.Fatal("a batch that breaks a constraint was stored")
	}
	_, err := s.ConversationByID(ctx, "conv_1")
	wantCode(t, "row of the failed batch", err, usher.NotFound)
	if last := must[usher.Cursor](t)(s.LastEvent(ctx)); last != (usher.Cursor{}) {
		t.Errorf("event %s of the failed batch", last)
	}
	if err := s.Commit(ctx, s.fence, []usher.Change{good}); err != nil {
		t.Fatalf("after a failed batch: %v", err)
	}
}

// Constraints are alarms: what must never be, cannot be stored.
func testAlarms(t *testing.T, s *store) {
	s.commit(t, func(c *usher.Change) {
		m := message("m1", "conv_1", 1, Start)
		m.ExternalID = "x1"
		c.Messages = []usher.Message{m}
		c.Offers = []usher.Offer{offer("o1", "conv_1", usher.OfferPending, Start)}
		c.Assignments = []usher.Assignment{{ID: "as1", ConversationID: "conv_1", AgentID: "anna", StartedAt: Start}}
		c.Customers = []usher.Customer{customer("ada", usher.Identity{Kind: "openid", Value: "ada"})}
	})
	for name, fill := range map[string]func(c *usher.Change){
		"external id twice": func(c *usher.Change) {
			m := message("m2", "conv_1", 2, Start)
			m.ExternalID = "x1"
			c.Messages = []usher.Message{m}
		},
		"second pending offer": func(c *usher.Change) { c.Offers = []usher.Offer{offer("o2", "conv_1", usher.OfferPending, Start)} },
		"second running assignment": func(c *usher.Change) {
			c.Assignments = []usher.Assignment{{ID: "as2", ConversationID: "conv_1", AgentID: "tom", StartedAt: Start}}
		},
		"identity of another": func(c *usher.Change) {
			c.Customers = []usher.Customer{customer("eve", usher.Identity{Kind: "openid", Value: "ada"})}
		},
		"negative units": func(c *usher.Change) {
			c.States = []usher.AgentState{{AgentID: "anna", Presence: usher.PresenceOnline, UsedUnits: -1, ReservedUnits: -1}}
		},
		"more reserved than used": func(c *usher.Change) {
			c.States = []usher.AgentState{{AgentID: "anna", Presence: usher.PresenceOnline, UsedUnits: 1, ReservedUnits: 2}}
		},
		"unknown status": func(c *usher.Change) {
			c.Conversations = []usher.Conversation{conversation("conv_9", "ada", "lost", Start)}
		},
		"assigned to nobody": func(c *usher.Change) {
			v := conversation("conv_9", "ada", usher.StatusAssigned, Start)
			v.AgentID = ""
			c.Conversations = []usher.Conversation{v}
		},
		"event out of place": func(c *usher.Change) { c.Events = []usher.Event{{Type: ""}} },
	} {
		step, now := s.step, s.now
		if err := s.Commit(t.Context(), s.fence, []usher.Change{s.change(fill)}); err == nil {
			t.Errorf("%s was stored", name)
			continue
		}
		s.step, s.now = step, now
	}
	s.commit(t, nil)
}

// Within a batch a unique place may pass from one row to another, whatever the
// order of the rows.
func testHandOver(t *testing.T, s *store) {
	email := usher.Identity{Kind: "email", Value: "a@example.com"}
	s.commit(t, func(c *usher.Change) {
		c.Offers = []usher.Offer{offer("o1", "conv_1", usher.OfferPending, Start)}
		c.Assignments = []usher.Assignment{{ID: "as1", ConversationID: "conv_1", AgentID: "anna", StartedAt: Start}}
		c.Customers = []usher.Customer{customer("ada", email)}
	})
	end := Start.Add(time.Minute)
	s.commit(t, func(c *usher.Change) {
		c.Offers = []usher.Offer{offer("o2", "conv_1", usher.OfferPending, Start), offer("o1", "conv_1", usher.OfferIsExpired, Start)}
		c.Assignments = []usher.Assignment{
			{ID: "as2", ConversationID: "conv_1", AgentID: "tom", StartedAt: Start},
			{ID: "as1", ConversationID: "conv_1", AgentID: "anna", StartedAt: Start, EndedAt: &end},
		}
		c.Customers = []usher.Customer{customer("bob", email), customer("ada")}
	})
	list := must[[]usher.Customer](t)(s.CustomersByIdentity(t.Context(), []usher.Identity{email}))
	if len(list) != 1 || list[0].ID != "bob" {
		t.Errorf("identity belongs to %v, want bob", list)
	}
}

func testJournal(t *testing.T, s *store) {
	arrival := usher.Arrival{
		Message: message("m1", "conv_1", 1, Start), Channel: usher.Channel{ID: "web", Kind: usher.KindWeb},
		Customer: customer("ada", usher.Identity{Kind: "phone", Value: "+44123"}), NewCustomer: true,
		Vector: &usher.Vector{Embedding: "e1", Match: usher.Vec{1, 0.5}}, Facts: usher.TextFacts{Version: 1, Holds: []int{2, 5}},
	}
	var want []usher.Input
	var times []time.Time
	const n = 1250 // more than one reading of the journal
	for len(want) < n {
		var fills []func(c *usher.Change)
		for range 250 {
			fills = append(fills, func(c *usher.Change) {
				switch c.Step % 3 {
				case 0:
					c.Input.Body = arrival
				case 1:
					c.Input.Body = usher.PresenceSet{AgentID: "anna", Presence: usher.PresenceOnline}
				}
				want, times = append(want, c.Input.Redacted()), append(times, c.Now)
			})
		}
		s.commit(t, fills...)
	}
	read := func(from, to usher.Step) (got []usher.Input) {
		err := s.Inputs(t.Context(), from, to, func(step usher.Step, now time.Time, in usher.Input) error {
			if want := from + usher.Step(len(got)); step != want || !now.Equal(times[step-1]) {
				return fmt.Errorf("step %d at %s, want %d at %s", step, now, want, times[want-1])
			}
			got = append(got, in)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	diff(t, "all inputs", read(1, n+100), want)
	diff(t, "some inputs", read(999, 1002), want[998:1002])
	for _, in := range read(3, 3) {
		a := in.Body.(usher.Arrival)
		if a.Message.Text != "" || a.Customer.Name != "" || len(a.Customer.Identities) != 0 {
			t.Errorf("the journal holds user text: %+v", a)
		}
	}
	stop := errors.New("enough")
	if err := s.Inputs(t.Context(), 1, 2, func(usher.Step, time.Time, usher.Input) error { return stop }); err != stop { //nolint:errorlint // identity is the contract
		t.Errorf("error of the callback: got %v", err)
	}
}

func testSnapshots(t *testing.T, s *store) {
	ctx := t.Context()
	empty, ok, err := s.SnapshotBefore(ctx, 10)
	if err != nil || ok {
		t.Fatalf("without snapshots: %v, %v", ok, err)
	}
	f, _, err := s.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "empty floor", empty, f)
	var floors []usher.Floor
	for range 3 {
		s.commit(t, func(c *usher.Change) { c.Agents = []usher.Agent{agent(fmt.Sprint("a", c.Step))} })
		f, _, err := s.Load(ctx)
		if err != nil {
			t.Fatal(err)
		}
		floors = append(floors, f)
	}
	for _, i := range []int{0, 2} {
		if err := s.Snapshot(ctx, s.fence, floors[i]); err != nil {
			t.Fatal(err)
		}
	}
	for before, want := range map[usher.Step]int{2: 0, 3: 0, 4: 2, 100: 2} {
		got, ok, err := s.SnapshotBefore(ctx, before)
		if err != nil || !ok {
			t.Fatalf("snapshot before %d: %v, %v", before, ok, err)
		}
		if d := cmp.Diff(floors[want], got); d != "" {
			t.Errorf("snapshot before %d (-want +got):\n%s", before, d)
		}
	}
	if _, ok, err := s.SnapshotBefore(ctx, 1); ok || err != nil {
		t.Errorf("snapshot before its own step: %v, %v", ok, err)
	}
	if err := s.Snapshot(ctx, s.fence, usher.Floor{Step: 99}); err == nil {
		t.Error("a snapshot of a step that was never committed was kept")
	}
}

func testConversations(t *testing.T, s *store) {
	ctx := t.Context()
	var all []usher.Conversation
	for i := range 7 {
		c := conversation("conv_"+strconv.Itoa(i), "ada", usher.StatusClosed, Start.Add(time.Duration(i/2)*time.Hour))
		c.Queue, c.Intent = "general", "refund"
		all = append(all, c)
	}
	all[6].Status, all[6].ClosedAt, all[6].CloseReason = usher.StatusQueued, nil, ""
	all[5] = conversation("conv_5", "ada", usher.StatusBlocked, Start.Add(5*time.Hour))
	all[6].Work.Legs = []usher.Leg{{Channel: "wechat", Kind: usher.KindWeChat}, {Channel: "web", Kind: usher.KindWeb}}
	all[3].Work.Legs = []usher.Leg{{Channel: "mail", Kind: usher.KindEmail}, {Channel: "web", Kind: usher.KindWeb}}
	all[4].Channel, all[4].CustomerID, all[4].Tier, all[4].Intent, all[4].AgentID, all[4].Queue = "app", "eve", "vip", "parcel", "tom", "vip"
	s.commit(t, func(c *usher.Change) { c.Conversations = all })

	ids := func(f usher.ConversationFilter) (out []string) {
		for {
			list, next, err := s.Conversations(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range list {
				out = append(out, c.ID)
			}
			if f.Page.Cursor = next; next == "" {
				return out
			}
			if len(list) != f.Page.Limit {
				t.Fatalf("%d rows of %d with more to come", len(list), f.Page.Limit)
			}
		}
	}
	newest := []string{"conv_5", "conv_6", "conv_4", "conv_3", "conv_2", "conv_1", "conv_0"}
	for _, limit := range []int{1, 2, 3, 7, 50} {
		diff(t, fmt.Sprintf("by pages of %d", limit), ids(usher.ConversationFilter{Page: usher.Page{Limit: limit}}), newest)
	}
	diff(t, "by status", ids(usher.ConversationFilter{Status: []usher.Status{usher.StatusQueued, usher.StatusBlocked}}), []string{"conv_5", "conv_6"})
	for name, f := range map[string]usher.ConversationFilter{
		"channel": {Channel: "app"}, "customer": {CustomerID: "eve"}, "tier": {Tier: "vip"}, "intent": {Intent: "parcel"},
		"agent": {AgentID: "tom"}, "queue": {Queue: "vip"}, "several": {Queue: "vip", AgentID: "tom", Status: []usher.Status{usher.StatusClosed}},
	} {
		diff(t, "by "+name, ids(f), []string{"conv_4"})
	}
	diff(t, "by time", ids(usher.ConversationFilter{From: Start.Add(time.Hour), To: Start.Add(2 * time.Hour)}), []string{"conv_3", "conv_2"})

	one := must[usher.Conversation](t)(s.ConversationByID(ctx, "conv_2"))
	diff(t, "by id", one, all[2])
	got, ok, err := s.OpenConversation(ctx, "ada", "web")
	if err != nil || !ok || got.ID != "conv_6" {
		t.Errorf("open: got %s, %v, %v", got.ID, ok, err)
	}
	got, ok, err = s.OpenConversation(ctx, "ada", "wechat")
	if err != nil || !ok || got.ID != "conv_6" {
		t.Errorf("open where it was before it moved: got %s, %v, %v", got.ID, ok, err)
	}
	got, ok, err = s.LastClosed(ctx, "ada", "mail")
	if err != nil || !ok || got.ID != "conv_3" {
		t.Errorf("closed where it was before it moved: got %s, %v, %v", got.ID, ok, err)
	}
	if got, ok, err := s.OpenConversation(ctx, "eve", "app"); ok || err != nil {
		t.Errorf("open of who has none: got %s, %v", got.ID, err)
	}
	got, ok, err = s.LastClosed(ctx, "ada", "web")
	if err != nil || !ok || got.ID != "conv_3" {
		t.Errorf("last closed: got %s, %v, %v", got.ID, ok, err)
	}
	if _, ok, err := s.LastClosed(ctx, "ada", "app"); ok || err != nil {
		t.Errorf("last closed on another channel: %v", err)
	}
}

func testMessages(t *testing.T, s *store) {
	ctx := t.Context()
	var all []usher.Message
	for i := 1; i <= 5; i++ {
		m := message("m"+strconv.Itoa(i), "conv_1", i, Start.Add(time.Duration(i)*time.Minute))
		if i == 3 {
			m.Author, m.AgentID = usher.ByAgent, "anna"
		}
		all = append(all, m)
	}
	all[1].ExternalID = "x2"
	all[1].Text = "退款 \u2028 \x00 <b>&" // kept as it is
	all[1].Attachments = []usher.Attachment{{ID: "at1", Type: "image/png", Name: "a.png", Size: 10, URL: "https://example.com/a.png"}}
	s.commit(t, func(c *usher.Change) { c.Messages = append([]usher.Message{message("n1", "conv_2", 1, Start)}, all...) })
	var got []usher.Message
	for p := (usher.Page{Limit: 2}); ; {
		list, next, err := s.MessagesByConversation(ctx, "conv_1", p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list...)
		if p.Cursor = next; next == "" {
			break
		}
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Errorf("messages (-want +got):\n%s", d)
	}
	diff(t, "customer texts", must[[]usher.Message](t)(s.CustomerTexts(ctx, "conv_1", all[1].ReceivedAt)), []usher.Message{all[1], all[3], all[4]})
	m, ok, err := s.MessageByExternalID(ctx, "web", "x2")
	if err != nil || !ok || m.ID != "m2" {
		t.Errorf("by external id: got %s, %v, %v", m.ID, ok, err)
	}
	for _, x := range [][2]string{{"app", "x2"}, {"web", ""}} {
		if m, ok, err := s.MessageByExternalID(ctx, x[0], x[1]); ok || err != nil {
			t.Errorf("external id %q: got %s, %v", x, m.ID, err)
		}
	}
	changed := all[2]
	changed.Delivery = usher.Delivery{State: "delivered", At: s.now}
	s.commit(t, func(c *usher.Change) { c.Messages = []usher.Message{changed} })
	diff(t, "delivered", must[usher.Message](t)(s.MessageByID(ctx, "m3")), changed)
	s.commit(t, func(c *usher.Change) {
		c.Receipts = []usher.Receipt{{MessageID: "m2", State: "failed", Error: "no route"}}
	})
	told := all[1]
	told.Delivery = usher.Delivery{State: "failed", At: s.now, Error: "no route"}
	diff(t, "after a receipt", must[usher.Message](t)(s.MessageByID(ctx, "m2")), told)
}

func testDecisionsAndOffers(t *testing.T, s *store) {
	ctx := t.Context()
	var decisions []usher.Decision
	var offers []usher.Offer
	var fills []func(c *usher.Change)
	for i := range 12 {
		fills = append(fills, func(c *usher.Change) {
			d := usher.Decision{
				ID: fmt.Sprintf("dec_%d_0", c.Step), ConversationID: "conv_1", At: c.Now, Trigger: "message", Step: c.Step,
				Rules: []usher.RuleHit{}, Funnel: []usher.FilterCount{{Filter: "presence", Before: 2, After: 1}},
				Candidates: []usher.Candidate{{AgentID: "anna", Score: 612345, Terms: []usher.Term{{Name: "fit", Value: 612345, Detail: 0.5}}}},
				Propensity: 1, Versions: usher.Versions{Policy: 1},
			}
			o := offer(fmt.Sprintf("offer_%d_0", c.Step), "conv_"+strconv.Itoa(i%2), usher.OfferDeclined, c.Now)
			if i >= 10 {
				o.State, o.AgentID = usher.OfferPending, "tom"
			}
			c.Decisions, c.Offers = []usher.Decision{d}, []usher.Offer{o}
			decisions, offers = append([]usher.Decision{d}, decisions...), append([]usher.Offer{o}, offers...)
		})
	}
	s.commit(t, fills...)
	var gotD []usher.Decision
	for p := (usher.Page{Limit: 5}); ; {
		list, next, err := s.DecisionsByConversation(ctx, "conv_1", p)
		if err != nil {
			t.Fatal(err)
		}
		gotD = append(gotD, list...)
		if p.Cursor = next; next == "" {
			break
		}
	}
	if d := cmp.Diff(decisions, gotD); d != "" {
		t.Errorf("decisions, newest first (-want +got):\n%s", d)
	}
	diff(t, "decision", must[usher.Decision](t)(s.DecisionByID(ctx, "dec_3_0")), decisions[9])
	var gotO []usher.Offer
	for f := (usher.OfferFilter{Page: usher.Page{Limit: 5}}); ; {
		list, next, err := s.Offers(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		gotO = append(gotO, list...)
		if f.Page.Cursor = next; next == "" {
			break
		}
	}
	if d := cmp.Diff(offers, gotO); d != "" {
		t.Errorf("offers, newest first (-want +got):\n%s", d)
	}
	list, _, err := s.Offers(ctx, usher.OfferFilter{AgentID: "tom", State: usher.OfferPending, ConversationID: "conv_1"})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "filtered offers", list, offers[:1])
	taken := offers[0]
	taken.State = usher.OfferAccepted
	s.commit(t, func(c *usher.Change) { c.Offers = []usher.Offer{taken} })
	diff(t, "offer", must[usher.Offer](t)(s.OfferByID(ctx, taken.ID)), taken)
}

func testHistory(t *testing.T, s *store) {
	ctx := t.Context()
	day := 24 * time.Hour
	now := Start.Add(60 * day)
	old, recent, open := conversation("conv_1", "ada", usher.StatusClosed, Start),
		conversation("conv_2", "ada", usher.StatusClosed, now.Add(-2*day)), conversation("conv_3", "ada", usher.StatusAssigned, now.Add(-time.Hour))
	other := conversation("conv_4", "eve", usher.StatusQueued, now)
	ended := now.Add(-day)
	four, yes := 4, true
	s.commit(t, func(c *usher.Change) {
		c.Conversations = []usher.Conversation{old, recent, open, other}
		c.Assignments = []usher.Assignment{
			{ID: "as1", ConversationID: "conv_1", AgentID: "tom", StartedAt: Start, EndedAt: &ended},
			{ID: "as2", ConversationID: "conv_2", AgentID: "li", StartedAt: now.Add(-2 * day), EndedAt: &ended},
		}
	}, func(c *usher.Change) { c.Input.Body = usher.OutcomeSet{ConversationID: "conv_2", CSAT: &four} },
		func(c *usher.Change) { c.Input.Body = usher.OutcomeSet{ConversationID: "conv_2", Resolved: &yes} })
	diff(t, "history", must[usher.History](t)(s.History(ctx, "ada", now)), usher.History{
		Open: 1, Conversations30d: 2, LastAgent: "li", LastAgentAt: ended, OpenAgent: "anna", LastRating: &four,
	})
	diff(t, "no history", must[usher.History](t)(s.History(ctx, "nobody", now)), usher.History{})
	as := must[[]usher.Assignment](t)(s.AssignmentsByConversation(ctx, "conv_2"))
	if len(as) != 1 || as[0].ID != "as2" || !as[0].EndedAt.Equal(ended) {
		t.Errorf("assignments: got %+v", as)
	}
}

func testAgents(t *testing.T, s *store) {
	ctx := t.Context()
	state := usher.AgentState{AgentID: "b", Presence: usher.PresenceOnline, PresenceSince: Start}
	s.commit(t, func(c *usher.Change) {
		c.Agents, c.States = []usher.Agent{agent("c"), agent("a"), agent("b")}, []usher.AgentState{state}
	})
	a, st, err := s.AgentByID(ctx, "b")
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "agent", a, agent("b"))
	diff(t, "state", st, state)
	if _, st, err := s.AgentByID(ctx, "a"); err != nil || st.Presence != usher.PresenceOffline || st.AgentID != "a" {
		t.Errorf("state of who has none: got %+v, %v", st, err)
	}
	agents, states, next, err := s.Agents(ctx, usher.Page{Limit: 2})
	if err != nil || len(agents) != 2 || len(states) != 2 || agents[1].ID != "b" || states[1] != state || next == "" {
		t.Fatalf("first page: %v %v %q %v", agents, states, next, err)
	}
	agents, _, next, err = s.Agents(ctx, usher.Page{Limit: 2, Cursor: next})
	if err != nil || len(agents) != 1 || agents[0].ID != "c" || next != "" {
		t.Fatalf("second page: %v %q %v", agents, next, err)
	}
	// Removed and put again within a batch: the new one stays, without the old state.
	s.commit(t, func(c *usher.Change) { c.AgentsRemoved = []string{"b", "c"} }, func(c *usher.Change) { c.Agents = []usher.Agent{agent("b")} })
	if _, st, err := s.AgentByID(ctx, "b"); err != nil || st.Presence != usher.PresenceOffline {
		t.Errorf("put again: state %+v, %v", st, err)
	}
	_, _, err = s.AgentByID(ctx, "c")
	wantCode(t, "removed agent", err, usher.NotFound)
}

func testCustomers(t *testing.T, s *store) {
	ctx := t.Context()
	phone, mail, open := usher.Identity{Kind: "phone", Value: "1"}, usher.Identity{Kind: "email", Value: "1"}, usher.Identity{Kind: "openid", Value: "w"}
	s.commit(t, func(c *usher.Change) {
		c.Customers = []usher.Customer{customer("ada", phone, mail), customer("bob", open), customer("cem")}
	})
	diff(t, "by id", must[usher.Customer](t)(s.CustomerByID(ctx, "ada")), customer("ada", phone, mail))
	by := func(ids ...usher.Identity) (out []string) {
		for _, c := range must[[]usher.Customer](t)(s.CustomersByIdentity(ctx, ids)) {
			out = append(out, c.ID)
		}
		return out
	}
	diff(t, "in the order of the identities", by(open, usher.Identity{Kind: "phone", Value: "2"}, mail, phone), []string{"bob", "ada"})
	changed := customer("ada", mail, usher.Identity{Kind: "phone", Value: "2"})
	changed.Version, changed.CRMTier = 2, "vip"
	s.commit(t, func(c *usher.Change) { c.Customers = []usher.Customer{changed} })
	diff(t, "given up", by(phone), []string(nil))
	diff(t, "gained", by(usher.Identity{Kind: "phone", Value: "2"}), []string{"ada"})
	diff(t, "changed", must[usher.Customer](t)(s.CustomerByID(ctx, "ada")), changed)
	list, next, err := s.Customers(ctx, usher.Page{Limit: 2})
	if err != nil || len(list) != 2 || list[0].ID != "ada" {
		t.Fatalf("first page: %v, %v", list, err)
	}
	list, next, err = s.Customers(ctx, usher.Page{Limit: 2, Cursor: next})
	if err != nil || len(list) != 1 || list[0].ID != "cem" || next != "" {
		t.Fatalf("second page: %v, %q, %v", list, next, err)
	}
}

func testEvents(t *testing.T, s *store) {
	ctx := t.Context()
	type data struct {
		Queue string `json:"queue"`
	}
	s.commit(t, func(c *usher.Change) {
		c.Conversations = []usher.Conversation{conversation("conv_1", "ada", usher.StatusAssigned, Start)}
		c.Events = []usher.Event{
			{Type: usher.EventConversationOpened, ConversationID: "conv_1", CustomerID: "ada"},
			{Type: usher.EventMessageReceived, ConversationID: "conv_1", CustomerID: "ada", MessageID: "m1", Data: data{"general"}},
			{Type: usher.EventAgentPresence, AgentID: "anna"},
		}
	}, func(c *usher.Change) {
		c.Events = []usher.Event{
			{Type: usher.EventAgentPresence, AgentID: "tom"},
			{Type: usher.EventConversationOpened, ConversationID: "conv_2", CustomerID: "eve"},
		}
	})
	read := func(c usher.Cursor, f usher.EventFilter, limit int) (out []string) {
		for _, e := range must[[]usher.Event](t)(s.EventsAfter(ctx, c, f, limit)) {
			out = append(out, e.ID())
		}
		return out
	}
	diff(t, "all", read(usher.Cursor{}, usher.EventFilter{}, 10), []string{"1-0", "1-1", "1-2", "2-0", "2-1"})
	diff(t, "limited", read(usher.Cursor{}, usher.EventFilter{}, 2), []string{"1-0", "1-1"})
	diff(t, "after", read(usher.Cursor{Step: 1, N: 1}, usher.EventFilter{}, 10), []string{"1-2", "2-0", "2-1"})
	diff(t, "of a conversation", read(usher.Cursor{}, usher.EventFilter{ConversationID: "conv_1"}, 10), []string{"1-0", "1-1"})
	diff(t, "of a customer", read(usher.Cursor{}, usher.EventFilter{CustomerID: "eve"}, 10), []string{"2-1"})
	diff(t, "of an agent, with what he holds", read(usher.Cursor{}, usher.EventFilter{AgentID: "anna"}, 10), []string{"1-0", "1-1", "1-2"})
	diff(t, "of types", read(usher.Cursor{}, usher.EventFilter{Types: []string{usher.EventAgentPresence, usher.EventOfferCreated}}, 10), []string{"1-2", "2-0"})
	list := must[[]usher.Event](t)(s.EventsAfter(ctx, usher.Cursor{Step: 1}, usher.EventFilter{}, 1))
	e := list[0]
	if raw, err := json.Marshal(e.Data); err != nil || string(raw) != `{"queue":"general"}` || e.MessageID != "m1" || !e.At.Equal(Start.Add(time.Second)) {
		t.Errorf("event: got %+v (%s, %v)", e, raw, err)
	}
	diff(t, "first", must[usher.Cursor](t)(s.FirstEvent(ctx)), usher.Cursor{Step: 1})
	diff(t, "last", must[usher.Cursor](t)(s.LastEvent(ctx)), usher.Cursor{Step: 2, N: 1})
}

func testChannels(t *testing.T, s *store) {
	ctx := t.Context()
	ch := usher.Channel{ID: "mail", Kind: usher.KindEmail, Name: "Mail", Language: "zh", Version: 1}
	for range 2 {
		if err := s.PutChannel(ctx, ch); err != nil {
			t.Fatal(err)
		}
		diff(t, "channel", must[usher.Channel](t)(s.ChannelByID(ctx, "mail")), ch)
		ch.Name, ch.Version = "Post", 2
	}
	list := must[[]usher.Channel](t)(s.Channels(ctx))
	if len(list) != 3 || list[0].ID != "app" || list[1].ID != "mail" || list[2].ID != "web" {
		t.Errorf("channels by id: got %+v", list)
	}
}

func testPolicies(t *testing.T, s *store) {
	ctx := t.Context()
	var fills []func(c *usher.Change)
	for v := 1; v <= 3; v++ {
		fills = append(fills, func(c *usher.Change) {
			c.Policies = []usher.PolicyVersion{{Version: v, PublishedAt: c.Now, Note: strconv.Itoa(v), Document: usher.DefaultPolicy()}}
		})
	}
	s.commit(t, fills...)
	list, next, err := s.PolicyVersions(ctx, usher.Page{Limit: 2})
	if err != nil || len(list) != 2 || list[0].Version != 3 || next == "" {
		t.Fatalf("versions: %v, %q, %v", list, next, err)
	}
	diff(t, "version", must[usher.PolicyVersion](t)(s.PolicyVersion(ctx, 2)), list[1])

	if _, ok, err := s.Draft(ctx); ok || err != nil {
		t.Fatalf("a draft: %v", err)
	}
	d := usher.Draft{Document: usher.DefaultPolicy(), Revision: 1, Base: `"3"`, UpdatedAt: Start}
	wantCode(t, "replacing none", s.PutDraft(ctx, d, 1), usher.Stale)
	if err := s.PutDraft(ctx, d, 0); err != nil {
		t.Fatal(err)
	}
	d.Revision = 2
	wantCode(t, "creating a second", s.PutDraft(ctx, d, 0), usher.Stale)
	if err := s.PutDraft(ctx, d, 1); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Draft(ctx)
	if err != nil || !ok {
		t.Fatalf("draft: %v, %v", ok, err)
	}
	diff(t, "draft", got, d)
	for range 2 {
		if err := s.DeleteDraft(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := s.Draft(ctx); ok || err != nil {
		t.Errorf("deleted draft: %v", err)
	}
}

func testKeys(t *testing.T, s *store) {
	ctx := t.Context()
	k := usher.Key{ID: "key_1", Name: "n", Prefix: "us_", Hash: []byte{1, 2}, Scopes: []string{usher.ScopeAdmin}, Origins: []string{}, CreatedAt: Start, Version: 1}
	for range 2 { // again with another secret
		if err := s.PutKey(ctx, k); err != nil {
			t.Fatal(err)
		}
		got, ok, err := s.KeyByHash(ctx, k.Hash)
		if err != nil || !ok {
			t.Fatalf("key: %v, %v", ok, err)
		}
		diff(t, "key", got, k)
		k.Hash = []byte{3, 4}
	}
	if _, ok, err := s.KeyByHash(ctx, []byte{1, 2}); ok || err != nil {
		t.Errorf("the rotated secret still opens: %v", err)
	}
	list := must[[]usher.Key](t)(s.Keys(ctx))
	if n := must[int](t)(s.CountKeys(ctx)); n != 1 || len(list) != 1 || list[0].ID != "key_1" {
		t.Errorf("keys: %d, %+v", n, list)
	}
	if err := s.DeleteKey(ctx, "key_1"); err != nil {
		t.Fatal(err)
	}
	if n := must[int](t)(s.CountKeys(ctx)); n != 0 {
		t.Errorf("%d keys after deletion", n)
	}
}

func testAudit(t *testing.T, s *store) {
	ctx := t.Context()
	for i := range 3 {
		e := usher.AuditEntry{At: Start, By: "key_1", Action: "channel.put", Target: strconv.Itoa(i), After: map[string]any{"n": 1.0}}
		if err := s.Audit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	list, next, err := s.AuditEntries(ctx, usher.Page{Limit: 2})
	if err != nil || len(list) != 2 || next == "" || list[0].Target != "2" || list[0].ID <= list[1].ID {
		t.Fatalf("newest first: %+v, %v", list, err)
	}
	list, next, err = s.AuditEntries(ctx, usher.Page{Limit: 2, Cursor: next})
	if err != nil || len(list) != 1 || next != "" || list[0].Target != "0" {
		t.Fatalf("the rest: %+v, %v", list, err)
	}
	diff(t, "after", list[0].After, any(map[string]any{"n": 1.0}))
}

func testAnswers(t *testing.T, s *store) {
	ctx := t.Context()
	if _, ok, err := s.StoredAnswer(ctx, "k"); ok || err != nil {
		t.Fatalf("an answer: %v", err)
	}
	first := usher.Stored{Key: "k", BodyHash: []byte{1}, Status: 201, Body: []byte(`{"a":1}`), At: Start}
	second := first
	second.Status = 200
	for _, a := range []usher.Stored{first, second} {
		if err := s.PutStoredAnswer(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
	got, ok, err := s.StoredAnswer(ctx, "k")
	if err != nil || !ok {
		t.Fatalf("answer: %v, %v", ok, err)
	}
	diff(t, "the first answer", got, first)
	if err := s.PutStoredAnswer(ctx, usher.Stored{Key: "l", BodyHash: []byte{1}, Body: []byte{}, At: Start.Add(25 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.StoredAnswer(ctx, "k"); ok || err != nil {
		t.Errorf("an answer older than a day: %v", err)
	}
}

func testVectors(t *testing.T, s *store) {
	ctx := t.Context()
	row := func(id, embedding string, x float32) usher.VectorRow {
		return usher.VectorRow{Kind: "agent", ID: id, Hash: "h" + id, Vector: usher.Vector{Embedding: embedding, Match: usher.Vec{x, 1e-20}, Full: usher.Vec{x}}}
	}
	if err := s.PutVectors(ctx, []usher.VectorRow{row("b", "e1", 1), row("a", "e1", 2), row("a", "e2", 3), {Kind: "faq", ID: "f", Vector: usher.Vector{Embedding: "e1"}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutVectors(ctx, []usher.VectorRow{row("b", "e1", 5)}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutVectors(ctx, nil); err != nil {
		t.Fatal(err)
	}
	diff(t, "vectors", must[[]usher.VectorRow](t)(s.Vectors(ctx, "agent", "e1")), []usher.VectorRow{row("a", "e1", 2), row("b", "e1", 5)})
	diff(t, "none", must[[]usher.VectorRow](t)(s.Vectors(ctx, "skill", "e1")), []usher.VectorRow{})
}

func testCursors(t *testing.T, s *store) {
	ctx := t.Context()
	p := usher.Page{Cursor: "???"}
	_, _, err := s.Conversations(ctx, usher.ConversationFilter{Page: p})
	wantCode(t, "conversations", err, usher.InvalidArgument)
	_, _, err = s.Customers(ctx, p)
	wantCode(t, "customers", err, usher.InvalidArgument)
	_, _, _, err = s.Agents(ctx, p)
	wantCode(t, "agents", err, usher.InvalidArgument)
	_, _, err = s.MessagesByConversation(ctx, "c", p)
	wantCode(t, "messages", err, usher.InvalidArgument)
}
