package intake_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usher"
	"usher/intake"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

// world is a desk before a real floor whose rows are kept in memory, as a store
// would keep them: written whole, read as copies.
type world struct {
	desk   *intake.Desk
	models *models
	t      *testing.T

	mu       sync.Mutex
	floor    *floor.State
	policy   *policy.Compiled
	now      time.Time
	step     usher.Step
	ids      int
	channels map[string]usher.Channel
	customer map[string]usher.Customer
	convs    map[string]usher.Conversation
	messages []usher.Message
	events   []usher.Event
	arrivals []usher.Arrival
	before   func(usher.Input) // called without the lock, before an input is stepped
	value    func(map[string]any) (usher.Value, bool, error)
	links    map[string]usher.Link
	asked    map[string]usher.Suggestion
}

func document() usher.Policy {
	p := usher.DefaultPolicy()
	p.Queues = append(p.Queues, usher.Queue{ID: "billing"}, usher.Queue{ID: "tech"})
	p.KeywordLists = []usher.KeywordList{{Name: "danger", Phrases: []string{"smoke", "冒烟"}}}
	intent := func(label, queue string) usher.Rule {
		return usher.Rule{ID: queue, When: &usher.Condition{Field: "intent.label", Op: "eq", Value: label}, Then: usher.Effect{Queue: queue}}
	}
	p.Rules = []usher.Rule{
		{ID: "danger", When: &usher.Condition{Field: "message.text", Op: "list_any", Value: "danger"}, Then: usher.Effect{Tags: []string{"safety"}}},
		intent("refund", "billing"), intent("crash", "tech"),
	}
	return p
}

func bundle() usher.Bundle {
	b := usher.Bundle{Model: usher.ModelRef{Name: "words", Version: "1"}, Embedding: "words-1"}
	for _, l := range []string{"refund", "crash", "parcel"} {
		b.Labels = append(b.Labels, usher.Label{Label: l, Title: map[string]string{"en": strings.ToUpper(l[:1]) + l[1:], "zh": "选" + l}, Actionable: true})
	}
	return b
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		channels: map[string]usher.Channel{
			"web": {ID: "web", Kind: usher.KindWeb}, "app": {ID: "app", Kind: usher.KindApp},
		},
		customer: map[string]usher.Customer{}, convs: map[string]usher.Conversation{},
		links: map[string]usher.Link{}, asked: map[string]usher.Suggestion{},
	}
	w.models = &models{}
	w.start(document())
	var err error
	w.desk, err = intake.New(intake.Config{
		Reader: w, Models: w.models, Door: w, Value: w, NewID: w.newID, Now: w.clock, Region: "CN",
		Rules:     func() intake.Rules { w.mu.Lock(); defer w.mu.Unlock(); return w.policy },
		ModelWait: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start(p usher.Policy) {
	w.t.Helper()
	v := usher.PolicyVersion{Version: 1, Document: policy.WithDefaults(p)}
	f, err := floor.New(usher.Floor{Policy: v, Bundle: bundle(), Now: w.now}, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.floor, w.policy = f, f.Policy()
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) newID(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("%s_%d", kind, w.ids)
}

// pass lets time go by; timers fire.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.do(usher.Tick{})
}

// do steps an input of the system and wants it to be taken.
func (w *world) do(b usher.Body) {
	w.t.Helper()
	if _, err := w.step1(usher.Input{ID: w.newID("in"), By: usher.System(), Body: b}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Do(ctx context.Context, in usher.Input) (usher.Result, error) {
	if err := ctx.Err(); err != nil {
		return usher.Result{}, err
	}
	if w.before != nil {
		w.before(in)
	}
	return w.step1(in)
}

func (w *world) step1(in usher.Input) (usher.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := usher.Change{Step: w.step + 1}
	w.floor.Step(w.now, in, &out)
	if out.Changed() {
		w.step++
		w.keep(&out)
		w.policy = w.floor.Policy()
	}
	if a, ok := in.Body.(usher.Arrival); ok && out.Result.Err == nil {
		w.arrivals = append(w.arrivals, a)
	}
	if out.Result.Err != nil {
		return usher.Result{}, out.Result.Err
	}
	return copied(out.Result), nil
}

// keep stores rows under the constraints that a database would have.
func (w *world) keep(c *usher.Change) {
	for _, m := range c.Messages {
		for _, o := range w.messages {
			if o.ID == m.ID || m.ExternalID != "" && o.Channel == m.Channel && o.ExternalID == m.ExternalID {
				w.t.Errorf("message %s (external id %q) is stored twice", m.ID, m.ExternalID)
			}
		}
		w.messages = append(w.messages, copied(m))
	}
	for _, u := range c.Customers {
		for _, o := range w.customer {
			if o.ID != u.ID && slices.ContainsFunc(o.Identities, func(a usher.Identity) bool {
				return slices.ContainsFunc(u.Identities, func(b usher.Identity) bool {
					many := a.Shared() && (a.Proven() || b.Proven())
					return a.Key() == b.Key() && a.Live() && b.Live() && !many
				})
			}) {
				w.t.Errorf("customers %s and %s have one identity", o.ID, u.ID)
			}
		}
		u.Person = nil
		w.customer[u.ID] = copied(u)
	}
	for _, l := range c.Links {
		w.links[l.ID] = copied(l)
	}
	for _, g := range c.Suggestions {
		w.asked[g.ID] = copied(g)
	}
	for _, v := range c.Conversations {
		w.convs[v.ID] = copied(v)
	}
	w.events = append(w.events, c.Events...)
}

// copied is v as it comes back from a store.
func copied[T any](v T) T {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out T
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func (w *world) Routing(_ context.Context, id string) (usher.Routing, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.floor.Routing(id, w.now)
	return copied(r), ok, nil
}

func (w *world) ChannelByID(_ context.Context, id string) (usher.Channel, error) {
	return byID(w, w.channels, id)
}

func (w *world) CustomerByID(_ context.Context, id string) (usher.Customer, error) {
	return byID(w, w.customer, id)
}

func (w *world) ConversationByID(_ context.Context, id string) (usher.Conversation, error) {
	return byID(w, w.convs, id)
}

func byID[T any](w *world, rows map[string]T, id string) (T, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := rows[id]
	if !ok {
		return v, usher.Errorf(usher.NotFound, "there is no %q", id)
	}
	return copied(v), nil
}

func (w *world) CustomersByIdentity(_ context.Context, ids []usher.Identity) ([]usher.Customer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []usher.Customer{}
	for _, id := range ids {
		for _, c := range w.customer {
			has := slices.ContainsFunc(c.Identities, func(o usher.Identity) bool { return o.Live() && o.Key() == id.Key() })
			if has && !slices.ContainsFunc(out, func(o usher.Customer) bool { return o.ID == c.ID }) {
				out = append(out, copied(c))
			}
		}
	}
	return out, nil
}

func (w *world) Person(_ context.Context, id string) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]bool{id: true}
	for grew := true; grew; {
		grew = false
		for _, l := range w.links {
			if l.UndoneAt.IsZero() && seen[l.A] != seen[l.B] {
				seen[l.A], seen[l.B], grew = true, true, true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen)), nil
}

func (w *world) Links(_ context.Context, ids []string) ([]usher.Link, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []usher.Link{}
	for _, id := range slices.Sorted(maps.Keys(w.links)) {
		if l := w.links[id]; slices.Contains(ids, l.A) || slices.Contains(ids, l.B) {
			out = append(out, l)
		}
	}
	return out, nil
}

func (w *world) Suggestions(_ context.Context, ids []string) ([]usher.Suggestion, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []usher.Suggestion{}
	for _, id := range slices.Sorted(maps.Keys(w.asked)) {
		if g := w.asked[id]; slices.Contains(ids, g.A) || slices.Contains(ids, g.B) {
			out = append(out, g)
		}
	}
	return out, nil
}

func (w *world) ValuedBefore(_ context.Context, at time.Time, n int) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []string{}
	for _, id := range slices.Sorted(maps.Keys(w.customer)) {
		if v := w.customer[id].Value; v != nil && v.At.Before(at) && len(out) < n {
			out = append(out, id)
		}
	}
	return out, nil
}

func (w *world) History(_ context.Context, customerID string, _ time.Time) (usher.History, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var h usher.History
	for _, c := range w.convs {
		if c.CustomerID != customerID {
			continue
		}
		h.Conversations30d++
		if c.Status != usher.StatusClosed && c.Status != usher.StatusBlocked {
			h.Open++
		}
		if c.Status == usher.StatusAssigned {
			h.OpenAgent = c.AgentID
		}
	}
	return h, nil
}

func (w *world) latest(fits func(*usher.Conversation) bool) (usher.Conversation, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []usher.Conversation
	for _, c := range w.convs {
		if fits(&c) {
			found = append(found, copied(c))
		}
	}
	if len(found) == 0 {
		return usher.Conversation{}, false, nil
	}
	slices.SortFunc(found, func(a, b usher.Conversation) int {
		if c := b.OpenedAt.Compare(a.OpenedAt); c != 0 {
			return c
		}
		return cmp.Compare(b.ID, a.ID)
	})
	return found[0], true, nil
}

func (w *world) OpenConversation(_ context.Context, customerID, channel string) (usher.Conversation, bool, error) {
	return w.latest(func(c *usher.Conversation) bool {
		return c.CustomerID == customerID && c.On(channel) && c.Status != usher.StatusClosed
	})
}

func (w *world) LastClosed(_ context.Context, customerID, channel string) (usher.Conversation, bool, error) {
	return w.latest(func(c *usher.Conversation) bool {
		return c.CustomerID == customerID && c.On(channel) && c.Status == usher.StatusClosed
	})
}

func (w *world) MessageByExternalID(_ context.Context, channel, externalID string) (usher.Message, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.messages {
		if m.Channel == channel && m.ExternalID == externalID {
			return copied(m), true, nil
		}
	}
	return usher.Message{}, false, nil
}

func (w *world) CustomerTexts(_ context.Context, conversationID string, since time.Time) ([]usher.Message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.Message
	for _, m := range w.messages {
		if m.ConversationID == conversationID && m.Author == usher.ByCustomer && !m.ReceivedAt.Before(since) {
			out = append(out, copied(m))
		}
	}
	return out, nil
}

func (w *world) Value(_ context.Context, attributes map[string]any, _ time.Time) (usher.Value, bool, error) {
	w.mu.Lock()
	ask := w.value
	w.mu.Unlock()
	if ask == nil {
		return usher.Value{}, false, nil
	}
	return ask(attributes)
}

// models understands by a few words and remembers what it was asked.
type models struct {
	mu    sync.Mutex
	asked [][]string
	fail  error
	hang  bool // waits until the context is over
}

func (m *models) Understand(ctx context.Context, texts []string) ([]intake.Reading, intake.Timing, error) {
	m.mu.Lock()
	fail, hang := m.fail, m.hang
	m.asked = append(m.asked, slices.Clone(texts))
	m.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, intake.Timing{}, ctx.Err()
	}
	if fail != nil {
		return nil, intake.Timing{}, fail
	}
	out := make([]intake.Reading, len(texts))
	for i, text := range texts {
		out[i] = read(text)
	}
	return out, intake.Timing{Infer: time.Millisecond}, nil
}

func read(text string) intake.Reading {
	u := usher.Understanding{
		Intents: []usher.IntentP{}, Outcome: usher.OutcomeAbstain, Model: usher.ModelRef{Name: "words", Version: "1"},
		Language: usher.LanguageP{Tag: "en", Probability: 0.9},
	}
	for _, l := range []string{"refund", "crash", "parcel"} {
		if strings.Contains(text, l) {
			u.Intents = append(u.Intents, usher.IntentP{Label: l})
		}
	}
	for i := range u.Intents {
		u.Intents[i].Probability = 0.96 / float64(len(u.Intents))
		u.Outcome = usher.OutcomeClarify
	}
	if len(u.Intents) == 1 {
		u.Outcome = usher.OutcomeAccept
	}
	return intake.Reading{Understanding: u, Vector: usher.Vector{Embedding: "words-1", Match: make(usher.Vec, usher.MatchDim), Full: usher.Vec{1}}}
}

func (m *models) Glue(text string, _ *usher.Understanding) (glue, greeting bool) {
	return text == "ok" || text == "hello", text == "hello"
}

func (m *models) WantsHuman(text string) bool { return strings.Contains(text, "human") }

func (m *models) Bundle() usher.Bundle { return bundle() }

// last is what the models were asked last.
func (m *models) last() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.asked) == 0 {
		return nil
	}
	return m.asked[len(m.asked)-1]
}

func key() usher.Principal {
	return usher.Principal{Kind: "key", ID: "key_1", Scopes: []string{usher.ScopeMessages}}
}

func user(id string) usher.Identity { return usher.Identity{Kind: "user_id", Value: id} }

func from(ids ...usher.Identity) intake.RequestCustomer {
	return intake.RequestCustomer{Identities: ids}
}

// say sends a message and wants it to be taken.
func (w *world) say(text string, who intake.RequestCustomer, change ...func(*intake.Request)) intake.Answer {
	w.t.Helper()
	req := intake.Request{Channel: "web", Text: text, Customer: who}
	for _, c := range change {
		c(&req)
	}
	a, err := w.desk.Receive(w.t.Context(), key(), req)
	if err != nil {
		w.t.Fatalf("%q is refused: %v", text, err)
	}
	return a
}

// refused sends a message and wants an error.
func (w *world) refused(by usher.Principal, req intake.Request) *usher.Error {
	w.t.Helper()
	w.mu.Lock()
	messages, customers := len(w.messages), len(w.customer)
	w.mu.Unlock()
	_, err := w.desk.Receive(w.t.Context(), by, req)
	e, ok := errors.AsType[*usher.Error](err)
	if !ok {
		w.t.Fatalf("the message is answered with %v, want a typed error", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.messages) != messages || len(w.customer) != customers {
		w.t.Error("a refused message has changed something")
	}
	return e
}

func paths(e *usher.Error) []string {
	out := []string{}
	for _, d := range e.Details {
		out = append(out, d.Path+" "+d.Code)
	}
	return out
}
