package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"usher"
	"usher/api"
	"usher/matcher/floor"
	"usher/matcher/policy"
)

// world is a working usher in memory: the real floor over maps. It stands in for
// the desk, the dispatcher, the store, the models and the feed.
type world struct {
	mu    sync.Mutex
	now   time.Time
	ids   int
	state *floor.State
	step  usher.Step

	agents        map[string]usher.Agent
	states        map[string]usher.AgentState
	customers     map[string]usher.Customer
	conversations map[string]usher.Conversation
	messages      map[string]usher.Message
	said          []string // ids of messages, in order
	offers        map[string]usher.Offer
	decisions     []usher.Decision
	policies      map[int]usher.PolicyVersion
	draft         *usher.Draft
	channels      map[string]usher.Channel
	keys          map[string]usher.Key
	audits        []usher.AuditEntry
	answers       map[string]usher.Stored
	events        []usher.Event
	openings      []usher.Opening // of which the first message alone is known
	first         int             // index of the oldest event kept

	wakes    map[chan struct{}]struct{}
	watching map[string]int
	beats    map[string]int

	// Faults to be injected.
	down      error // of Do
	modelDown error // of Understand
	panics    bool  // Live panics
	blind     bool  // Policy is nil
	onDo      func(usher.Input) error
	onOpening func(context.Context) // before one is given
}

func newWorld() *world {
	w := &world{
		now:    time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC),
		agents: map[string]usher.Agent{}, states: map[string]usher.AgentState{}, customers: map[string]usher.Customer{},
		conversations: map[string]usher.Conversation{}, messages: map[string]usher.Message{}, offers: map[string]usher.Offer{},
		policies: map[int]usher.PolicyVersion{}, keys: map[string]usher.Key{}, answers: map[string]usher.Stored{},
		channels: map[string]usher.Channel{
			"web": {ID: "web", Kind: usher.KindWeb, Name: "Web", Version: 1},
			"app": {ID: "app", Kind: usher.KindApp, Name: "App", Version: 1},
		},
		wakes: map[chan struct{}]struct{}{}, watching: map[string]int{}, beats: map[string]int{},
	}
	first := usher.PolicyVersion{Version: 1, PublishedAt: w.now, Note: "first start", Document: usher.DefaultPolicy()}
	w.policies[1] = first
	s, err := floor.New(usher.Floor{Now: w.now, Seed: 1, Policy: first, Bundle: testBundle()}, "test")
	if err != nil {
		panic(err)
	}
	w.state = s
	return w
}

func testBundle() usher.Bundle {
	return usher.Bundle{
		Model: usher.ModelRef{Name: "words", Version: "1"}, Embedding: "words-1",
		Labels: []usher.Label{
			{Label: "refund", Title: map[string]string{"en": "Refund", "zh": "退款"}, Actionable: true},
			{Label: "login", Title: map[string]string{"en": "Login", "zh": "登录"}, Actionable: true},
		},
	}
}

func (w *world) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) NewID(kind string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids++
	return fmt.Sprintf("%s_t%d", kind, w.ids)
}

// with changes the world under its lock.
func (w *world) with(fn func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fn()
}

// --- the floor ---

func (w *world) Do(_ context.Context, in usher.Input) (usher.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down != nil {
		return usher.Result{}, w.down
	}
	if w.onDo != nil {
		if err := w.onDo(in); err != nil {
			return usher.Result{}, err
		}
	}
	out := usher.Change{Step: w.step + 1}
	w.state.Step(w.now, in, &out)
	if out.Changed() {
		w.step = out.Step
		w.commit(&out)
	}
	if out.Result.Err != nil {
		return usher.Result{}, out.Result.Err
	}
	return copied(out.Result), nil
}

// copied takes a value out of the floor's memory, as a store does.
func copied[T any](v T) T {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

func (w *world) commit(c *usher.Change) {
	for _, a := range c.Agents {
		w.agents[a.ID] = copied(a)
	}
	for _, id := range c.AgentsRemoved {
		delete(w.agents, id)
		delete(w.states, id)
	}
	for _, s := range c.States {
		w.states[s.AgentID] = copied(s)
	}
	for _, v := range c.Customers {
		w.customers[v.ID] = copied(v)
	}
	for _, v := range c.Conversations {
		w.conversations[v.ID] = copied(v)
	}
	for _, m := range c.Messages {
		if _, known := w.messages[m.ID]; !known {
			w.said = append(w.said, m.ID)
		}
		w.messages[m.ID] = copied(m)
	}
	for _, o := range c.Offers {
		w.offers[o.ID] = copied(o)
	}
	w.decisions = append(w.decisions, copied(c.Decisions)...)
	for _, p := range c.Policies {
		w.policies[p.Version] = copied(p)
	}
	for _, e := range c.Events {
		raw, err := json.Marshal(e.Data)
		if err != nil {
			panic(err)
		}
		e.Data = json.RawMessage(raw)
		w.events = append(w.events, e)
		if a, ok := c.Input.Body.(usher.Arrival); ok && (e.Type == usher.EventConversationOpened || e.Type == usher.EventConversationReopened) {
			w.openings = append(w.openings, usher.Opening{Step: c.Step, At: c.Now, ConversationID: e.ConversationID, Said: []usher.Said{
				{At: c.Now, Arrival: c.Input.Redacted().Body.(usher.Arrival), Text: a.Message.Text},
			}})
		}
	}
	w.wake()
}

func (w *world) wake() {
	for c := range w.wakes {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func (w *world) Live() usher.Live {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics {
		panic("live is broken: " + "secret text")
	}
	return w.state.Live(w.now)
}

func (w *world) Policy() *policy.Compiled {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blind {
		return nil
	}
	return w.state.Policy()
}

func (w *world) Bundle() usher.Bundle { return testBundle() }

func (w *world) Match(_ context.Context, a usher.Arrival) (usher.Decision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Match(w.now, a), nil
}

func (w *world) Try(_ context.Context, p *policy.Compiled, at time.Time, a usher.Arrival) (usher.Decision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.IsZero() {
		at = w.now
	}
	return w.state.MatchUnder(at, p, a), nil
}

func (w *world) Load(_ context.Context, id string) (usher.AgentLoad, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l, ok := w.state.Load(id)
	if !ok {
		return usher.AgentLoad{}, usher.Errorf(usher.NotFound, "there is no agent %q", id)
	}
	return l, nil
}

func (w *world) Beat(_ context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.agents[id]; !ok {
		return usher.Errorf(usher.NotFound, "there is no agent %q", id)
	}
	w.beats[id]++
	return nil
}

func (w *world) Watch(id string) func() {
	w.with(func() { w.watching[id]++ })
	return func() { w.with(func() { w.watching[id]-- }) }
}

func (w *world) Routing(_ context.Context, id string) (usher.Routing, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.state.Routing(id, w.now)
	return r, ok, nil
}

func (w *world) Waiting(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.Waiting(), nil
}

func (w *world) Subscribe() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	w.with(func() { w.wakes[c] = struct{}{} })
	return c, func() { w.with(func() { delete(w.wakes, c) }) }
}

// emit writes bare events to the log.
func (w *world) emit(events ...usher.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range events {
		w.step++
		e.Step, e.At = w.step, w.now
		w.events = append(w.events, e)
	}
	w.wake()
}

// --- models ---

func (w *world) Understand(_ context.Context, texts []string) ([]usher.Understanding, []*usher.Vector, api.Timing, error) {
	if w.modelDown != nil {
		return nil, nil, api.Timing{}, w.modelDown
	}
	us := make([]usher.Understanding, len(texts))
	for i, t := range texts {
		us[i] = understood(t)
	}
	return us, make([]*usher.Vector, len(texts)), api.Timing{Tokenize: 100 * time.Microsecond, Infer: 2 * time.Millisecond}, nil
}

// understood reads words, not meaning.
func understood(text string) usher.Understanding {
	u := usher.Understanding{
		Intents: []usher.IntentP{{Label: "refund", Probability: .9}, {Label: "login", Probability: .1}}, Outcome: usher.OutcomeAccept, Margin: .8,
		Language: usher.LanguageP{Tag: "en", Probability: .99}, Model: testBundle().Model,
	}
	if strings.Contains(text, "log in") {
		slices.Reverse(u.Intents)
		u.Intents[0].Probability, u.Intents[1].Probability = .9, .1
	}
	return u
}

// Prepare implements api.Catalog.
func (w *world) Prepare(_ context.Context, a usher.Agent) usher.Agent {
	a.Links = nil
	for _, s := range a.Skills {
		a.Links = append(a.Links, usher.SkillLink{Skill: s.Name, Intent: s.Name, Score: 2})
	}
	return a
}

// --- desk ---

func (w *world) Receive(ctx context.Context, by usher.Principal, in api.Incoming) (api.Received, error) {
	w.mu.Lock()
	ch, ok := w.channels[in.Channel]
	if !ok {
		w.mu.Unlock()
		return api.Received{}, usher.Errorf(usher.NotFound, "there is no channel %q", in.Channel).At("channel")
	}
	for _, id := range w.said {
		if m := w.messages[id]; in.ExternalID != "" && m.ExternalID == in.ExternalID && m.Channel == in.Channel {
			conv := w.conversations[m.ConversationID]
			w.mu.Unlock()
			return api.Received{Message: m, Conversation: conv, Understanding: m.Understanding, Routing: conv.Routing, Replayed: true}, nil
		}
	}
	a := usher.Arrival{Channel: ch, Hints: in.Hints}
	a.Customer, a.NewCustomer = w.customerOf(in.Customer)
	for _, id := range slices.Sorted(maps.Keys(w.conversations)) {
		if v := w.conversations[id]; v.CustomerID == a.Customer.ID && v.Channel == in.Channel && v.Status != usher.StatusClosed {
			a.ConversationID = v.ID
		}
	}
	now := w.now
	p := w.state.Policy()
	w.mu.Unlock()
	a.Facts = usher.TextFacts{Version: p.Version(), Holds: p.Text(in.Text)}
	if in.Text != "" {
		u := understood(in.Text)
		a.Understanding = &u
	}
	a.Message = usher.Message{
		ID: w.NewID("msg"), CustomerID: a.Customer.ID, Author: usher.ByCustomer, Text: in.Text, Attachments: in.Attachments,
		ExternalID: in.ExternalID, Channel: in.Channel, SentAt: cmp.Or(in.SentAt, now), ReceivedAt: now,
		Delivery: usher.Delivery{State: "received", At: now}, Understanding: a.Understanding,
	}
	res, err := w.Do(ctx, usher.Input{ID: w.NewID("in"), By: by, Body: a})
	if err != nil {
		return api.Received{}, err
	}
	return api.Received{Message: *res.Message, Conversation: *res.Conversation, Understanding: a.Understanding, Routing: res.Routing}, nil
}

func (w *world) customerOf(r api.IncomingCustomer) (usher.Customer, bool) {
	if v, ok := w.customers[r.ID]; ok {
		return v, false
	}
	for _, id := range slices.Sorted(maps.Keys(w.customers)) {
		v := w.customers[id]
		for _, a := range r.Identities {
			if slices.ContainsFunc(v.Identities, func(b usher.Identity) bool { return a.Key() == b.Key() }) {
				return v, false
			}
		}
	}
	w.ids++
	return usher.Customer{
		ID: cmp.Or(r.ID, "cust_t"+strconv.Itoa(w.ids)), Name: r.Name, Identities: r.Identities, Attributes: r.Attributes,
		Anonymous: r.ID == "" && len(r.Identities) == 0, CreatedAt: w.now, Version: 1,
	}, true
}

func (w *world) PutCustomer(ctx context.Context, by usher.Principal, ch api.CustomerChange) (usher.Customer, bool, error) {
	w.mu.Lock()
	v, ok := w.customers[ch.ID]
	if !ok {
		v = usher.Customer{ID: ch.ID, CreatedAt: w.now}
	}
	for _, id := range slices.Sorted(maps.Keys(w.customers)) {
		other := w.customers[id]
		for _, a := range ch.Identities {
			if other.ID != ch.ID && slices.ContainsFunc(other.Identities, func(b usher.Identity) bool { return a.Key() == b.Key() }) {
				w.mu.Unlock()
				return usher.Customer{}, false, usher.Errorf(usher.Conflict, "the identity belongs to another customer").At("identities")
			}
		}
	}
	w.mu.Unlock()
	if !ch.Match.Version(v.Version) {
		return usher.Customer{}, false, usher.Errorf(usher.Stale, "the customer has changed")
	}
	if ch.Name != nil {
		v.Name = *ch.Name
	}
	if ch.Identities != nil {
		v.Identities = ch.Identities
	}
	if ch.Attributes != nil {
		v.Attributes = ch.Attributes
	}
	if ch.Tier != nil {
		v.CRMTier = *ch.Tier
	}
	v.Version++
	_, err := w.Do(ctx, usher.Input{ID: w.NewID("in"), By: by, Body: usher.CustomerPut{Customer: v}})
	return v, !ok, err
}

func (w *world) SetTier(ctx context.Context, by usher.Principal, id string, e usher.TierEntry) (usher.Customer, error) {
	v, err := w.CustomerByID(ctx, id)
	if err != nil {
		return usher.Customer{}, err
	}
	v.Manual = &e
	v.Version++
	_, err = w.Do(ctx, usher.Input{ID: w.NewID("in"), By: by, Body: usher.CustomerPut{Customer: v}})
	return v, err
}

// --- store ---

func find[V any](w *world, m map[string]V, kind, id string) (V, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := m[id]
	if !ok {
		return v, usher.Errorf(usher.NotFound, "there is no %s %q", kind, id)
	}
	return v, nil
}

// sheet cuts a page out of rows; the cursor is an index.
func sheet[V any](rows []V, p usher.Page) ([]V, string, error) {
	p = p.WithDefaults()
	from := 0
	if p.Cursor != "" {
		var err error
		if from, err = strconv.Atoi(p.Cursor); err != nil || from < 0 || from > len(rows) {
			return nil, "", usher.Errorf(usher.InvalidArgument, "the cursor is that of an earlier answer").At("query.cursor")
		}
	}
	to := min(len(rows), from+p.Limit)
	next := ""
	if to < len(rows) {
		next = strconv.Itoa(to)
	}
	return rows[from:to], next, nil
}

func all[V any](w *world, m map[string]V, keep func(V) bool) []V {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []V
	for _, id := range slices.Sorted(maps.Keys(m)) {
		if keep(m[id]) {
			out = append(out, m[id])
		}
	}
	return out
}

func (w *world) ConversationByID(_ context.Context, id string) (usher.Conversation, error) {
	return find(w, w.conversations, "conversation", id)
}

func (w *world) Conversations(_ context.Context, f usher.ConversationFilter) ([]usher.Conversation, string, error) {
	same := func(want, have string) bool { return want == "" || want == have }
	return sheet(all(w, w.conversations, func(v usher.Conversation) bool {
		return (len(f.Status) == 0 || slices.Contains(f.Status, v.Status)) && same(f.Queue, v.Queue) && same(f.Channel, v.Channel) &&
			same(f.AgentID, v.AgentID) && same(f.CustomerID, v.CustomerID) && same(f.Tier, v.Tier) && same(f.Intent, v.Intent)
	}), f.Page)
}

func (w *world) MessagesByConversation(_ context.Context, id string, p usher.Page) ([]usher.Message, string, error) {
	return sheet(w.messagesOf(id, func(usher.Message) bool { return true }), p)
}

func (w *world) messagesOf(id string, keep func(usher.Message) bool) []usher.Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.Message
	for _, m := range w.said {
		if v := w.messages[m]; v.ConversationID == id && keep(v) {
			out = append(out, v)
		}
	}
	return out
}

func (w *world) CustomerTexts(_ context.Context, id string, since time.Time) ([]usher.Message, error) {
	return w.messagesOf(id, func(m usher.Message) bool { return m.Author == usher.ByCustomer && !m.ReceivedAt.Before(since) }), nil
}

func (w *world) MessageByID(_ context.Context, id string) (usher.Message, error) {
	return find(w, w.messages, "message", id)
}

func (w *world) DecisionByID(_ context.Context, id string) (usher.Decision, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.decisions {
		if d.ID == id {
			return d, nil
		}
	}
	return usher.Decision{}, usher.Errorf(usher.NotFound, "there is no decision %q", id)
}

func (w *world) DecisionsByConversation(_ context.Context, id string, p usher.Page) ([]usher.Decision, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.Decision
	for _, d := range slices.Backward(w.decisions) {
		if d.ConversationID == id {
			out = append(out, d)
		}
	}
	return sheet(out, p)
}

func (w *world) OfferByID(_ context.Context, id string) (usher.Offer, error) {
	return find(w, w.offers, "offer", id)
}

func (w *world) Offers(_ context.Context, f usher.OfferFilter) ([]usher.Offer, string, error) {
	return sheet(all(w, w.offers, func(o usher.Offer) bool {
		return (f.AgentID == "" || f.AgentID == o.AgentID) && (f.ConversationID == "" || f.ConversationID == o.ConversationID) &&
			(f.State == "" || f.State == o.State)
	}), f.Page)
}

func (w *world) AgentByID(_ context.Context, id string) (usher.Agent, usher.AgentState, error) {
	a, err := find(w, w.agents, "agent", id)
	if err != nil {
		return a, usher.AgentState{}, err
	}
	st, err := find(w, w.states, "agent", id)
	return a, st, err
}

func (w *world) Agents(_ context.Context, p usher.Page) ([]usher.Agent, []usher.AgentState, string, error) {
	as, next, err := sheet(all(w, w.agents, func(usher.Agent) bool { return true }), p)
	w.mu.Lock()
	defer w.mu.Unlock()
	sts := make([]usher.AgentState, len(as))
	for i, a := range as {
		sts[i] = w.states[a.ID]
	}
	return as, sts, next, err
}

func (w *world) CustomerByID(_ context.Context, id string) (usher.Customer, error) {
	return find(w, w.customers, "customer", id)
}

func (w *world) CustomersByIdentity(_ context.Context, ids []usher.Identity) ([]usher.Customer, error) {
	return all(w, w.customers, func(v usher.Customer) bool {
		return slices.ContainsFunc(ids, func(a usher.Identity) bool {
			return slices.ContainsFunc(v.Identities, func(b usher.Identity) bool { return a.Key() == b.Key() })
		})
	}), nil
}

func (w *world) Customers(_ context.Context, p usher.Page) ([]usher.Customer, string, error) {
	return sheet(all(w, w.customers, func(usher.Customer) bool { return true }), p)
}

func (w *world) History(context.Context, string, time.Time) (usher.History, error) {
	return usher.History{}, nil
}

func (w *world) PolicyVersions(_ context.Context, p usher.Page) ([]usher.PolicyVersion, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.PolicyVersion
	for _, n := range slices.Sorted(maps.Keys(w.policies)) {
		out = append([]usher.PolicyVersion{w.policies[n]}, out...)
	}
	return sheet(out, p)
}

func (w *world) PolicyVersion(_ context.Context, n int) (usher.PolicyVersion, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	v, ok := w.policies[n]
	if !ok {
		return v, usher.Errorf(usher.NotFound, "there is no policy version %d", n)
	}
	return v, nil
}

func (w *world) RuleHits(_ context.Context, since time.Time) (map[string]int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hits := map[string]int{}
	for _, d := range w.decisions {
		for _, r := range d.Rules {
			if !d.At.Before(since) && r.Error == "" {
				hits[r.ID]++
			}
		}
	}
	return hits, nil
}

func (w *world) CountOpenings(_ context.Context, from, to time.Time) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, o := range w.openings {
		if !o.At.Before(from) && o.At.Before(to) {
			n++
		}
	}
	return n, nil
}

func (w *world) Openings(ctx context.Context, q usher.OpeningQuery, fn func(*usher.Opening) error) error {
	w.mu.Lock()
	list, hook := slices.Clone(w.openings), w.onOpening
	w.mu.Unlock()
	i := 0
	for _, o := range list {
		if o.At.Before(q.From) || !o.At.Before(q.To) {
			continue
		}
		i++
		if !q.Takes(i - 1) {
			continue
		}
		if hook != nil {
			hook(ctx)
		}
		if err := fn(&o); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) Draft(context.Context) (usher.Draft, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.draft == nil {
		return usher.Draft{}, false, nil
	}
	return *w.draft, true, nil
}

func (w *world) PutDraft(_ context.Context, d usher.Draft, was int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	have := 0
	if w.draft != nil {
		have = w.draft.Revision
	}
	if have != was {
		return usher.Errorf(usher.Stale, "the draft is at revision %d", have)
	}
	w.draft = &d
	return nil
}

func (w *world) DeleteDraft(context.Context) error {
	w.with(func() { w.draft = nil })
	return nil
}

func (w *world) KeyByHash(_ context.Context, hash []byte) (usher.Key, bool, error) {
	for _, k := range all(w, w.keys, func(k usher.Key) bool { return bytes.Equal(k.Hash, hash) }) {
		return k, true, nil
	}
	return usher.Key{}, false, nil
}

func (w *world) CountKeys(context.Context) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.keys), nil
}

func (w *world) Keys(context.Context) ([]usher.Key, error) {
	return all(w, w.keys, func(usher.Key) bool { return true }), nil
}

func (w *world) PutKey(_ context.Context, k usher.Key) error {
	w.with(func() { w.keys[k.ID] = k })
	return nil
}

func (w *world) DeleteKey(_ context.Context, id string) error {
	w.with(func() { delete(w.keys, id) })
	return nil
}

func (w *world) Channels(context.Context) ([]usher.Channel, error) {
	return all(w, w.channels, func(usher.Channel) bool { return true }), nil
}

func (w *world) ChannelByID(_ context.Context, id string) (usher.Channel, error) {
	return find(w, w.channels, "channel", id)
}

func (w *world) PutChannel(_ context.Context, ch usher.Channel) error {
	w.with(func() { w.channels[ch.ID] = ch })
	return nil
}

func (w *world) Audit(_ context.Context, e usher.AuditEntry) error {
	w.with(func() {
		e.ID = int64(len(w.audits) + 1)
		w.audits = append(w.audits, e)
	})
	return nil
}

func (w *world) AuditEntries(_ context.Context, p usher.Page) ([]usher.AuditEntry, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := slices.Clone(w.audits)
	slices.Reverse(out)
	return sheet(out, p)
}

func (w *world) EventsAfter(_ context.Context, c usher.Cursor, f usher.EventFilter, limit int) ([]usher.Event, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []usher.Event
	for _, e := range w.events[w.first:] {
		if e.Step < c.Step || e.Step == c.Step && e.N <= c.N {
			continue
		}
		if f.ConversationID != "" && f.ConversationID != e.ConversationID || f.CustomerID != "" && f.CustomerID != e.CustomerID ||
			len(f.Types) > 0 && !slices.Contains(f.Types, e.Type) {
			continue
		}
		if out = append(out, e); len(out) == limit {
			break
		}
	}
	return out, nil
}

func (w *world) FirstEvent(context.Context) (usher.Cursor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first >= len(w.events) {
		return usher.Cursor{}, nil
	}
	return usher.Cursor{Step: w.events[w.first].Step, N: w.events[w.first].N}, nil
}

func (w *world) LastEvent(context.Context) (usher.Cursor, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.events) == 0 {
		return usher.Cursor{}, nil
	}
	e := w.events[len(w.events)-1]
	return usher.Cursor{Step: e.Step, N: e.N}, nil
}

func (w *world) StoredAnswer(_ context.Context, key string) (usher.Stored, bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.answers[key]
	return s, ok, nil
}

func (w *world) PutStoredAnswer(_ context.Context, s usher.Stored) error {
	w.with(func() { w.answers[s.Key] = s })
	return nil
}
