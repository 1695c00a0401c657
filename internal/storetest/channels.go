package storetest

import (
	"context"
	"strconv"
	"testing"
	"time"

	"usher"
)

// Channels is the store as senders and receivers of platforms need it.
type Channels interface {
	Store
	ClaimOutbox(ctx context.Context, now time.Time, n int, except []string) ([]usher.Outbound, error)
	PostponeOutbox(ctx context.Context, o usher.Outbound, now time.Time, why string) error
	NextOutbox(ctx context.Context, except []string) (time.Time, bool, error)
	SendingOutbox(ctx context.Context) ([]usher.Outbound, error)
	OutboxCounts(ctx context.Context) (map[string]int, error)
	LastInbound(ctx context.Context, conversationID, channel string) (usher.Message, bool, error)
	Contact(ctx context.Context, channel string, id usher.Identity) (usher.Contact, error)
	Thread(ctx context.Context, conversationID, channel string) ([]string, error)
	PutInboxEvent(ctx context.Context, channel, key string, raw []byte) (bool, error)
	InboxEvents(ctx context.Context, after int64, n int) ([]usher.InboxEvent, error)
	InboxEvent(ctx context.Context, id int64) (usher.InboxEvent, error)
	DoneInboxEvent(ctx context.Context, id int64, fault string) error
	DropInboxEvents(ctx context.Context, before time.Time) error
	ChannelSecrets(ctx context.Context, id string) (map[string]string, error)
	PutChannelSecrets(ctx context.Context, id string, secrets map[string]string) error
}

// RunChannels runs the contract of what channels keep. open returns an empty
// store and closes it when the test ends.
func RunChannels(t *testing.T, open func(t *testing.T) Channels) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store, c Channels)
	}{
		{"outbox is claimed in order", testOutboxOrder},
		{"people go before bots", testOutboxPeople},
		{"outbox is postponed", testOutboxPostpone},
		{"receipts fold", testReceiptsFold},
		{"receipts and external ids", testReceiptsExternal},
		{"contact", testContact},
		{"inbox events", testInboxEvents},
		{"channel secrets", testChannelSecrets},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			db := open(t)
			s := &store{Store: db, now: Start}
			fence, err := s.Acquire(t.Context(), "suite")
			if err != nil {
				t.Fatal(err)
			}
			s.fence = fence
			c.run(t, s, db)
		})
	}
}

// outgoing commits messages of author to a conversation by a channel, each with
// its row of the outbox, and returns them.
func (s *store) outgoing(t *testing.T, conversation, channel string, author usher.Author, ids ...string) {
	t.Helper()
	for _, id := range ids {
		s.commit(t, func(c *usher.Change) {
			m := message(id, conversation, int(c.Step), c.Now)
			m.Author, m.Channel, m.Delivery = author, channel, usher.Delivery{State: "queued", At: c.Now}
			c.Messages = []usher.Message{m}
			c.Outbox = []usher.Outbound{{ID: id, ConversationID: conversation, Channel: channel, State: "queued", NextAt: c.Now}}
		})
	}
}

// incoming commits a message by which the customer wrote as from.
func (s *store) incoming(t *testing.T, id, conversation, channel string, from usher.Identity) {
	t.Helper()
	s.commit(t, func(c *usher.Change) {
		m := message(id, conversation, int(c.Step), c.Now)
		m.Channel, m.From, m.ExternalID = channel, &from, "x-"+id
		c.Messages = []usher.Message{m}
	})
}

func (s *store) receipt(t *testing.T, rs ...usher.Receipt) {
	t.Helper()
	s.commit(t, func(c *usher.Change) { c.Receipts = rs })
}

func outboundIDs(list []usher.Outbound) []string {
	ids := []string{}
	for _, o := range list {
		ids = append(ids, o.ID)
	}
	return ids
}

func testOutboxOrder(t *testing.T, s *store, c Channels) {
	ctx := t.Context()
	s.outgoing(t, "conv_1", "wx", usher.ByAgent, "a1", "a2")
	s.outgoing(t, "conv_2", "wx", usher.ByAgent, "b1")
	s.outgoing(t, "conv_1", "mail", usher.ByAgent, "a3")
	s.outgoing(t, "conv_3", "mail", usher.ByAgent, "c1")
	claim := func(n int, except ...string) []string {
		t.Helper()
		return outboundIDs(must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, s.now, n, except)))
	}
	if got := must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, Start, 10, nil)); len(got) != 0 {
		t.Errorf("claimed before they are due: %v", got)
	}
	next, ok, err := c.NextOutbox(ctx, nil)
	if err != nil || !ok || !next.Equal(Start.Add(time.Second)) {
		t.Errorf("next: got %s, %v, %v", next, ok, err)
	}
	diff(t, "two of them", claim(2, "mail"), []string{"a1", "b1"})
	diff(t, "the same again", claim(10, "mail"), []string{})
	if next, ok, err := c.NextOutbox(ctx, []string{"mail"}); ok || err != nil {
		t.Errorf("next, behind what is being sent: got %s, %v", next, err)
	}
	diff(t, "the other channel", claim(10), []string{"a3", "c1"})
	sending := must[[]usher.Outbound](t)(c.SendingOutbox(ctx))
	diff(t, "sending", outboundIDs(sending), []string{"a1", "b1", "a3", "c1"})
	if o := sending[0]; o.State != "sending" || o.Attempt != 1 || o.Channel != "wx" || o.ConversationID != "conv_1" {
		t.Errorf("sending: got %+v", o)
	}
	diff(t, "counts", must[map[string]int](t)(c.OutboxCounts(ctx)), map[string]int{"queued": 1, "sending": 4, "unknown": 0})
	s.receipt(t, usher.Receipt{MessageID: "a1", State: "accepted"}, usher.Receipt{MessageID: "b1", State: "unknown"})
	diff(t, "after the one before", claim(10), []string{"a2"})
	s.receipt(t, usher.Receipt{MessageID: "a2", State: "failed", Error: "blocked_window"})
	diff(t, "counts", must[map[string]int](t)(c.OutboxCounts(ctx)), map[string]int{"queued": 0, "sending": 2, "unknown": 1})
}

func testOutboxPeople(t *testing.T, s *store, c Channels) {
	for i := range 4 {
		s.outgoing(t, "bot_"+strconv.Itoa(i), "wx", usher.ByBot, "b"+strconv.Itoa(i))
	}
	s.outgoing(t, "person", "wx", usher.ByAgent, "p")
	got := must[[]usher.Outbound](t)(c.ClaimOutbox(t.Context(), s.now, 3, nil))
	diff(t, "claimed", outboundIDs(got), []string{"p", "b0", "b1"})
}

func testOutboxPostpone(t *testing.T, s *store, c Channels) {
	ctx := t.Context()
	s.outgoing(t, "conv_1", "wx", usher.ByAgent, "a1", "a2")
	o := must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, s.now, 9, nil))[0]
	later := s.now.Add(time.Minute)
	o.NextAt, o.Parts = later, 2
	if err := c.PostponeOutbox(ctx, o, s.now, "rate_limited"); err != nil {
		t.Fatal(err)
	}
	if got := must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, later.Add(-1), 9, nil)); len(got) != 0 {
		t.Errorf("claimed %v: what waits goes before what came after it", got)
	}
	next, ok, err := c.NextOutbox(ctx, nil)
	if err != nil || !ok || !next.Equal(later) {
		t.Errorf("next: got %s, %v, %v", next, ok, err)
	}
	got := must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, later, 9, nil))
	want := usher.Outbound{ID: "a1", ConversationID: "conv_1", Channel: "wx", State: "sending", NextAt: later, Attempt: 2, Parts: 2}
	diff(t, "claimed again", got, []usher.Outbound{want})
	// Decided meanwhile: nothing brings it back.
	s.receipt(t, usher.Receipt{MessageID: "a1", State: "accepted"})
	if err := c.PostponeOutbox(ctx, got[0], s.now, "late"); err != nil {
		t.Fatal(err)
	}
	diff(t, "the next one", outboundIDs(must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, later, 9, nil))), []string{"a2"})
}

// testReceiptsFold compares every pair of words, in both orders, with the rule of
// the domain.
func testReceiptsFold(t *testing.T, s *store, _ Channels) {
	states := []string{"sending", "unknown", "accepted", "failed", "delivered", "read"}
	n := 0
	for _, first := range states {
		for _, second := range states {
			n++
			id := "m" + strconv.Itoa(n)
			s.outgoing(t, "conv_"+id, "wx", usher.ByAgent, id)
			want := usher.Delivery{State: "queued", At: s.now}
			for _, state := range []string{first, second} {
				s.receipt(t, usher.Receipt{MessageID: id, State: state, Error: state + " it said"})
				want = want.Fold(usher.Delivery{State: state, At: s.now, Error: state + " it said"})
			}
			diff(t, first+" then "+second, must[usher.Message](t)(s.MessageByID(t.Context(), id)).Delivery, want)
		}
	}
	s.receipt(t, usher.Receipt{MessageID: "of another life", State: "read"})
}

func testReceiptsExternal(t *testing.T, s *store, c Channels) {
	ctx := t.Context()
	anna := usher.Identity{Kind: "email", Value: "anna@example.com"}
	s.incoming(t, "in", "conv_1", "mail", anna)
	s.outgoing(t, "conv_1", "mail", usher.ByAgent, "m1", "m2")
	s.outgoing(t, "conv_2", "chat", usher.ByAgent, "m3")
	s.receipt(t, usher.Receipt{MessageID: "m1", State: "accepted", ExternalID: "<1@example.com>"})
	s.receipt(t, usher.Receipt{MessageID: "m1", State: "delivered", ExternalID: "<another@example.com>"}) // the first one stays
	s.receipt(t, usher.Receipt{MessageID: "m2", State: "accepted", ExternalID: "<1@example.com>"})        // given twice
	s.receipt(t, usher.Receipt{MessageID: "m3", State: "accepted", ExternalID: "<1@example.com>"})        // another platform's
	for channel, want := range map[string]string{"mail": "m1", "chat": "m3"} {
		m, ok, err := s.MessageByExternalID(ctx, channel, "<1@example.com>")
		if err != nil || !ok || m.ID != want || m.ExternalID != "<1@example.com>" {
			t.Errorf("by external id on %s: got %s %q, %v, %v", channel, m.ID, m.ExternalID, ok, err)
		}
	}
	if m := must[usher.Message](t)(s.MessageByID(ctx, "m2")); m.ExternalID != "" || m.Delivery.State != "accepted" {
		t.Errorf("the second of one id: got %q, %+v", m.ExternalID, m.Delivery)
	}
	diff(t, "thread", must[[]string](t)(c.Thread(ctx, "conv_1", "mail")), []string{"x-in", "<1@example.com>"})
	diff(t, "thread of none", must[[]string](t)(c.Thread(ctx, "conv_9", "mail")), []string{})
}

func testContact(t *testing.T, s *store, c Channels) {
	ctx := t.Context()
	ada := usher.Identity{Kind: "openid", Value: "oAda", Verified: true, Channel: "wx"}
	contact := func() (time.Time, int) {
		t.Helper()
		met := must[usher.Contact](t)(c.Contact(ctx, "wx", ada))
		return met.Wrote, met.Sent
	}
	if at, n := contact(); !at.IsZero() || n != 0 {
		t.Errorf("of a stranger: %s, %d", at, n)
	}
	if _, ok, err := c.LastInbound(ctx, "conv_1", "wx"); ok || err != nil {
		t.Errorf("last inbound of none: %v, %v", ok, err)
	}
	s.incoming(t, "in1", "conv_1", "wx", ada)
	first := s.now
	s.incoming(t, "in2", "conv_1", "mail", usher.Identity{Kind: "email", Value: "ada@example.com"})
	m, ok, err := c.LastInbound(ctx, "conv_1", "wx")
	if err != nil || !ok || m.ID != "in1" || m.From == nil || *m.From != ada {
		t.Errorf("last inbound: got %s %+v, %v, %v", m.ID, m.From, ok, err)
	}
	s.outgoing(t, "conv_1", "wx", usher.ByAgent, "m1", "m2", "m3", "m4")
	for _, step := range []struct {
		r    usher.Receipt
		want int
	}{
		{usher.Receipt{MessageID: "m1", State: "accepted"}, 1},
		{usher.Receipt{MessageID: "m2", State: "accepted", Parts: 2}, 3},
		{usher.Receipt{MessageID: "m3", State: "unknown"}, 4}, // it may have arrived
		{usher.Receipt{MessageID: "m4", State: "failed"}, 4},
	} {
		diff(t, "claimed", outboundIDs(must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, s.now, 1, nil))), []string{step.r.MessageID})
		s.receipt(t, step.r)
		if at, n := contact(); !at.Equal(first) || n != step.want {
			t.Errorf("after %+v: %s, %d; want %s, %d", step.r, at, n, first, step.want)
		}
	}
	// A click counts for itself: what he wrote, and was sent since, stays as it was.
	s.commit(t, func(ch *usher.Change) {
		m := message("tap", "conv_1", int(ch.Step), ch.Now)
		m.Channel, m.From, m.ExternalID, m.Attributes = "wx", &ada, "x-tap", map[string]any{usher.AttributeClick: true}
		ch.Messages = []usher.Message{m}
	})
	tapped := s.now
	s.outgoing(t, "conv_1", "wx", usher.ByAgent, "m5")
	diff(t, "claimed", outboundIDs(must[[]usher.Outbound](t)(c.ClaimOutbox(ctx, s.now, 1, nil))), []string{"m5"})
	s.receipt(t, usher.Receipt{MessageID: "m5", State: "accepted"})
	diff(t, "after a click and an answer", must[usher.Contact](t)(c.Contact(ctx, "wx", ada)),
		usher.Contact{Wrote: first, Sent: 5, Clicked: tapped, SentSince: 1})
	// He writes again, in another conversation: the count begins anew.
	s.incoming(t, "in3", "conv_2", "wx", ada)
	if at, n := contact(); !at.Equal(s.now) || n != 0 {
		t.Errorf("after he wrote again: %s, %d", at, n)
	}
}

func testInboxEvents(t *testing.T, _ *store, c Channels) {
	ctx := t.Context()
	put := func(channel, key, raw string) bool {
		t.Helper()
		return must[bool](t)(c.PutInboxEvent(ctx, channel, key, []byte(raw)))
	}
	if !put("wx", "k1", "one") || !put("wx", "k2", "two") || !put("wx2", "k1", "another account's") {
		t.Error("fresh ones are not fresh")
	}
	if put("wx", "k1", "one again") {
		t.Error("the same key is fresh twice")
	}
	read := func(after int64, n int) (raws []string, last int64) {
		t.Helper()
		for _, e := range must[[]usher.InboxEvent](t)(c.InboxEvents(ctx, after, n)) {
			if e.ReceivedAt.IsZero() || e.Channel == "" || e.Key == "" {
				t.Errorf("incomplete: %+v", e)
			}
			if len(e.Raw) > 0 {
				t.Errorf("a look brings what the calls say: %q", e.Raw)
			}
			one := must[usher.InboxEvent](t)(c.InboxEvent(ctx, e.ID))
			raws, last = append(raws, string(one.Raw)), e.ID
			one.Raw = nil
			diff(t, "one by one", one, e)
		}
		return raws, last
	}
	if _, err := c.InboxEvent(ctx, 99); usher.CodeOf(err) != usher.NotFound {
		t.Errorf("one that is not here: %v", err)
	}
	raws, second := read(0, 2)
	diff(t, "the first two", raws, []string{"one", "two"})
	raws, _ = read(second, 2)
	diff(t, "after them", raws, []string{"another account's"})
	if err := c.DoneInboxEvent(ctx, second, "not XML"); err != nil {
		t.Fatal(err)
	}
	raws, _ = read(0, 9)
	diff(t, "not done", raws, []string{"one", "another account's"})
	if put("wx", "k2", "two again") {
		t.Error("what is done is fresh again")
	}
	if err := c.DropInboxEvents(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	raws, _ = read(0, 9)
	diff(t, "what is not done is never dropped", raws, []string{"one", "another account's"})
	if !put("wx", "k2", "two, long after") {
		t.Error("what was dropped is known")
	}
	// The same call many times at once: one is fresh.
	fresh := make(chan bool)
	for range 20 {
		go func() {
			ok, err := c.PutInboxEvent(ctx, "wx", "storm", []byte("x"))
			if err != nil {
				t.Error(err)
			}
			fresh <- ok
		}()
	}
	n := 0
	for range 20 {
		if <-fresh {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of 20 were fresh", n)
	}
}

func testChannelSecrets(t *testing.T, _ *store, c Channels) {
	ctx := t.Context()
	diff(t, "none", must[map[string]string](t)(c.ChannelSecrets(ctx, "wx")), map[string]string{})
	for _, secrets := range []map[string]string{{"token": "t1", "app_secret": "s"}, {"token": "t2"}} {
		if err := c.PutChannelSecrets(ctx, "wx", secrets); err != nil {
			t.Fatal(err)
		}
		diff(t, "as stored", must[map[string]string](t)(c.ChannelSecrets(ctx, "wx")), secrets)
	}
	diff(t, "another's", must[map[string]string](t)(c.ChannelSecrets(ctx, "wx2")), map[string]string{})
	if err := c.PutChannel(ctx, usher.Channel{ID: "wx", Kind: usher.KindWeChat, Settings: map[string]string{"app_id": "wx1"}}); err != nil {
		t.Fatal(err)
	}
	ch := must[usher.Channel](t)(c.ChannelByID(ctx, "wx"))
	diff(t, "settings", ch.Settings, map[string]string{"app_id": "wx1"})
}
