package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"usher"
)

// OpeningStore is a store that also tells how conversations began.
type OpeningStore interface {
	Store
	CountOpenings(ctx context.Context, from, to time.Time) (int, error)
	Openings(ctx context.Context, q usher.OpeningQuery, fn func(*usher.Opening) error) error
}

// RunOpenings runs the contract of what a replay under another policy reads.
func RunOpenings(t *testing.T, open func(t *testing.T) OpeningStore) {
	t.Helper()
	begin := func(t *testing.T) (*store, OpeningStore) {
		t.Helper()
		db := open(t)
		s := &store{Store: db, now: Start}
		s.fence = must[usher.Fence](t)(s.Acquire(t.Context(), "suite"))
		return s, db
	}
	t.Run("until they are placed", func(t *testing.T) {
		t.Parallel()
		s, db := begin(t)
		testOpenings(t, s, db)
	})
	t.Run("many, evenly", func(t *testing.T) {
		t.Parallel()
		s, db := begin(t)
		testManyOpenings(t, s, db)
	})
}

// turn is one step of a conversation: a message of its customer or a timer, and
// what was decided then.
type turn struct {
	conv, text        string // without text a timer
	opens             string // the event type, "" = it goes on
	outcome, reason   string // "" = nothing was decided
	forgotten, silent bool   // the message is not stored; has no text but attachments
}

func (u turn) fill(c *usher.Change) {
	c.Events = nil
	add := func(kind, conv string, data any) {
		c.Events = append(c.Events, usher.Event{Step: c.Step, N: len(c.Events), Type: kind, At: c.Now, ConversationID: conv, Data: data})
	}
	if u.outcome == "" || u.outcome != "clarifying" { // a timer of another conversation goes first
		add(usher.EventDecisionMade, "conv_other", map[string]string{"decision_id": "d", "outcome": "clarifying", "reason": "unsure"})
	}
	if u.opens != "" {
		add(u.opens, u.conv, nil)
	}
	if u.outcome != "" {
		add(usher.EventDecisionMade, u.conv, map[string]string{"decision_id": "d", "outcome": u.outcome, "reason": u.reason})
	}
	c.Input.Body = usher.Tick{}
	if u.text == "" && !u.silent {
		return
	}
	m := usher.Message{
		ID: fmt.Sprint("msg_", c.Step), ConversationID: u.conv, Sequence: int(c.Step), Author: usher.ByCustomer, Text: u.text,
		Attachments: []usher.Attachment{}, Channel: "web", ReceivedAt: c.Now, Delivery: usher.Delivery{State: "received", At: c.Now},
	}
	if u.text != "" {
		m.Understanding = &usher.Understanding{Intents: []usher.IntentP{}, Outcome: usher.OutcomeAbstain}
	}
	a := usher.Arrival{Message: m, Channel: usher.Channel{ID: "web", Kind: usher.KindWeb}, Customer: customer("ada")}
	if u.opens == "" {
		a.ConversationID = u.conv
	}
	c.Input.Body = a
	if !u.forgotten {
		c.Messages = []usher.Message{m}
	}
}

func testOpenings(t *testing.T, s *store, db OpeningStore) {
	const opened, reopened = usher.EventConversationOpened, usher.EventConversationReopened
	var fills []func(c *usher.Change)
	for _, u := range []turn{
		{conv: "conv_early", text: "early", opens: opened, outcome: "queued"},
		{conv: "conv_a", text: "one", opens: opened, outcome: "offered"},
		{conv: "conv_a", text: "later", outcome: "queued"},
		{conv: "conv_b", text: "hello", opens: opened, outcome: "clarifying", reason: "greeting"},
		{conv: "conv_c", text: "what", opens: opened, outcome: "clarifying", reason: "unsure"},
		{conv: "conv_b", text: "my refund", outcome: "clarifying", reason: "unsure"},
		{conv: "conv_b", text: "the first", outcome: "queued"},
		{conv: "conv_b", text: "now", outcome: "offered"},
		{conv: "conv_c", outcome: "queued"},
		{conv: "conv_c", text: "too late", outcome: "queued"},
		{conv: "conv_d", opens: reopened, outcome: "queued"}, // by hand
		{conv: "conv_a", text: "again", opens: reopened, outcome: "queued"},
		{conv: "conv_e", text: "not kept", opens: opened, outcome: "bot", forgotten: true},
		{conv: "conv_f", silent: true, opens: opened, outcome: "queued"},
		{conv: "conv_late", text: "late", opens: opened, outcome: "queued"},
	} {
		fills = append(fills, u.fill)
	}
	s.commit(t, fills...)
	all := must[[]usher.Event](t)(s.EventsAfter(t.Context(), usher.Cursor{}, usher.EventFilter{Types: []string{opened, reopened}}, 100))
	from, to := all[1].At, all[len(all)-1].At
	if n := must[int](t)(db.CountOpenings(t.Context(), from, to)); n != 7 {
		t.Errorf("%d conversations began, want 7", n)
	}
	tell := func(texts bool) (got []string) {
		err := db.Openings(t.Context(), usher.OpeningQuery{From: from, To: to, Texts: texts}, func(o *usher.Opening) error {
			var line strings.Builder
			line.WriteString(o.ConversationID)
			for _, m := range o.Said {
				line.WriteString(" " + m.Text)
				if m.Gone {
					line.WriteString("(gone)")
				}
				if m.Asked {
					line.WriteString("?")
				}
				if m.Arrival.Message.Text != "" || m.Arrival.Channel.ID != "web" || m.At.IsZero() {
					t.Errorf("%s: %+v", o.ConversationID, m)
				}
			}
			if !o.Unanswered.IsZero() {
				line.WriteString(" …" + o.Unanswered.Sub(o.At).String())
			}
			got = append(got, line.String())
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	diff(t, "openings", tell(true), []string{
		"conv_a one", "conv_b hello my refund? the first", "conv_c what? …4s", "conv_a again", "conv_e (gone)", "conv_f ",
	})
	diff(t, "without texts", tell(false)[0], "conv_a ")
	stop := errors.New("enough")
	if err := db.Openings(t.Context(), usher.OpeningQuery{From: from, To: to}, func(*usher.Opening) error { return stop }); err != stop { //nolint:errorlint // identity is the contract
		t.Errorf("error of the callback: got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Openings(ctx, usher.OpeningQuery{From: from, To: to}, func(*usher.Opening) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the caller has gone: got %v", err)
	}
}

func testManyOpenings(t *testing.T, s *store, db OpeningStore) {
	const n, take = 4500, 700 // more than one reading
	for range n / 500 {
		var fills []func(c *usher.Change)
		for range 500 {
			fills = append(fills, func(c *usher.Change) {
				turn{conv: fmt.Sprint("conv_", c.Step), text: "x", opens: usher.EventConversationOpened, outcome: "queued"}.fill(c)
			})
		}
		s.commit(t, fills...)
	}
	read := func(q usher.OpeningQuery) (got []int) {
		q.From, q.To = Start, s.now.Add(time.Hour)
		err := db.Openings(t.Context(), q, func(o *usher.Opening) error {
			got = append(got, int(o.Step))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	all := read(usher.OpeningQuery{})
	for i, step := range all {
		if len(all) != n || step != i+1 {
			t.Fatalf("%d of %d, the %d. is %d", len(all), n, i, step)
		}
	}
	some := read(usher.OpeningQuery{Take: take, Of: n})
	for i := 1; i < len(some); i++ {
		if gap := some[i] - some[i-1]; len(some) != take || gap < n/take || gap > n/take+1 {
			t.Fatalf("%d taken, not %d; %d steps between two", len(some), take, gap)
		}
	}
}
