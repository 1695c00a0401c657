package storetest

import (
	"context"
	"testing"
	"time"

	"usher"
)

// Email is the store as the e-mail channel needs it.
type Email interface {
	Channels
	Original(ctx context.Context, channel, key string) (raw []byte, ok bool, err error)
	AnyMailbox(ctx context.Context, channel string) (bool, error)
	Mailbox(ctx context.Context, channel, box string) (validity, last uint32, ok bool, err error)
	PutMailbox(ctx context.Context, channel, box string, validity, last uint32) error
	MailThread(ctx context.Context, channel string, from usher.Identity, subject string, since time.Time) (conversationID string, ok bool, err error)
	Answers(ctx context.Context, channel string, to usher.Identity, since time.Time, conversationID string) (toSender, inThread int, err error)
}

// RunEmail runs the contract of what the e-mail channel keeps. open returns an
// empty store and closes it when the test ends.
func RunEmail(t *testing.T, open func(t *testing.T) Email) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, s *store, e Email)
	}{
		{"mailboxes", testMailboxes},
		{"threads by subject", testMailThread},
		{"answers are counted", testMailAnswers},
		{"originals", testOriginals},
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

func testMailboxes(t *testing.T, _ *store, e Email) {
	ctx := t.Context()
	is := func(channel, box string, validity, last uint32, ok bool) {
		t.Helper()
		v, l, there, err := e.Mailbox(ctx, channel, box)
		if err != nil || v != validity || l != last || there != ok {
			t.Errorf("%s %s: got %d, %d, %v, %v", channel, box, v, l, there, err)
		}
	}
	put := func(channel, box string, validity, last uint32) {
		t.Helper()
		if err := e.PutMailbox(ctx, channel, box, validity, last); err != nil {
			t.Fatal(err)
		}
	}
	had := func(channel string, want bool) {
		t.Helper()
		if got := must[bool](t)(e.AnyMailbox(ctx, channel)); got != want {
			t.Errorf("a mailbox of %s was read: got %v", channel, got)
		}
	}
	is("mail", "a", 0, 0, false)
	had("mail", false)
	put("mail", "a", 7, 0)
	is("mail", "a", 7, 0, true)
	had("mail", true)
	had("other", false)
	put("mail", "a", 4294967295, 4294967295)
	put("other", "b", 1, 2)
	is("mail", "a", 4294967295, 4294967295, true)
	put("mail", "b", 3, 4) // another account: what was known of the first means nothing
	is("mail", "a", 0, 0, false)
	is("mail", "b", 3, 4, true)
	is("other", "b", 1, 2, true)
}

func testMailThread(t *testing.T, s *store, e Email) {
	ctx := t.Context()
	alice := usher.Identity{Kind: "email", Value: "alice@x.example", Verified: true, Level: usher.LevelProven}
	claimed := usher.Identity{Kind: "email", Value: "alice@x.example"}
	writes := func(id, conversation, channel, subject string, from usher.Identity) time.Time {
		t.Helper()
		s.commit(t, func(c *usher.Change) {
			m := message(id, conversation, int(c.Step), c.Now)
			m.Channel, m.From, m.ExternalID, m.Attributes = channel, &from, "x-"+id, map[string]any{"email_thread": subject}
			c.Messages = []usher.Message{m}
		})
		return s.now
	}
	finds := func(what, channel, subject string, since time.Time, want string) {
		t.Helper()
		got, ok, err := e.MailThread(ctx, channel, alice, subject, since)
		if err != nil || got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, %v", what, got, ok, err)
		}
	}
	finds("nothing", "mail", "refund", Start, "")
	first := writes("m1", "conv_1", "mail", "refund", alice)
	finds("the first", "mail", "refund", Start, "conv_1")
	finds("since later", "mail", "refund", first.Add(time.Nanosecond), "")
	finds("another subject", "mail", "refunds", Start, "")
	finds("another channel", "other", "refund", Start, "")
	writes("m2", "conv_2", "mail", "refund", claimed)
	finds("what somebody only claims", "mail", "refund", Start, "conv_1")
	writes("m3", "conv_3", "mail", "refund", alice)
	finds("the last", "mail", "refund", Start, "conv_3")
}

func testMailAnswers(t *testing.T, s *store, e Email) {
	ctx := t.Context()
	alice, bob := usher.Identity{Kind: "email", Value: "alice@x.example"}, usher.Identity{Kind: "email", Value: "bob@x.example"}
	s.incoming(t, "in1", "conv_1", "mail", alice)
	s.incoming(t, "in2", "conv_2", "mail", alice)
	s.incoming(t, "in3", "conv_3", "mail", bob)
	s.outgoing(t, "conv_1", "mail", usher.ByBot, "b1", "b2", "b3")
	s.outgoing(t, "conv_1", "mail", usher.ByAgent, "a1")
	s.outgoing(t, "conv_2", "mail", usher.BySystem, "s1")
	s.outgoing(t, "conv_3", "mail", usher.ByBot, "c1")
	counts := func(what string, to usher.Identity, since time.Time, conversation string, toSender, inThread int) {
		t.Helper()
		n, m, err := e.Answers(ctx, "mail", to, since, conversation)
		if err != nil || n != toSender || m != inThread {
			t.Errorf("%s: got %d and %d, %v; want %d and %d", what, n, m, err, toSender, inThread)
		}
	}
	counts("nothing has gone", alice, Start, "conv_1", 0, 0)
	for range 6 { // one of each conversation at a time
		for _, o := range must[[]usher.Outbound](t)(e.ClaimOutbox(ctx, s.now, 10, nil)) {
			state := "accepted"
			if o.ID == "b2" {
				state = "failed"
			}
			if o.ID == "b3" {
				state = "unknown"
			}
			s.receipt(t, usher.Receipt{MessageID: o.ID, ConversationID: o.ConversationID, State: state})
		}
	}
	counts("taken, or perhaps taken, by nobody's hand", alice, Start, "conv_1", 3, 2)
	counts("in the other thread", alice, Start, "conv_2", 3, 1)
	counts("to somebody else", bob, Start, "conv_3", 1, 1)
	counts("since now", alice, s.now.Add(time.Second), "conv_1", 0, 2)
}

func testOriginals(t *testing.T, _ *store, e Email) {
	ctx := t.Context()
	must[bool](t)(e.PutInboxEvent(ctx, "mail", "k", []byte("as it came")))
	must[bool](t)(e.PutInboxEvent(ctx, "mail", "empty", []byte{}))
	for _, c := range []struct {
		channel, key, want string
		ok                 bool
	}{{"mail", "k", "as it came", true}, {"mail", "empty", "", true}, {"mail", "l", "", false}, {"other", "k", "", false}} {
		raw, ok, err := e.Original(ctx, c.channel, c.key)
		if err != nil || string(raw) != c.want || ok != c.ok {
			t.Errorf("%s of %s: got %q, %v, %v", c.key, c.channel, raw, ok, err)
		}
	}
}
