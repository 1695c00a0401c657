package email_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"usher"
	"usher/internal/channel"
	"usher/internal/channel/email"
	"usher/internal/channel/email/emailtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is what the adapter needs, in memory.
type store struct {
	email.Store // what a test does not expect

	mu       sync.Mutex
	channels []usher.Channel
	secrets  map[string]string
	events   []usher.InboxEvent
	box      map[string][2]uint32
	last     *usher.Message
	toSender int
	inThread int
	failing  int // so often it cannot be written
}

// fails reports whether what is to be written is lost.
func (s *store) fails() error {
	if s.failing == 0 {
		return nil
	}
	s.failing--
	return errors.New("disk full")
}

func (s *store) Channels(context.Context) ([]usher.Channel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.channels), nil
}

func (s *store) ChannelSecrets(context.Context, string) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.secrets), nil
}

func (s *store) PutInboxEvent(_ context.Context, ch, key string, raw []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails(); err != nil {
		return false, err
	}
	if slices.ContainsFunc(s.events, func(e usher.InboxEvent) bool { return e.Channel == ch && e.Key == key }) {
		return false, nil
	}
	s.events = append(s.events, usher.InboxEvent{ID: int64(len(s.events) + 1), Channel: ch, Key: key, Raw: raw})
	return true, nil
}

func (s *store) Mailbox(_ context.Context, ch, box string) (validity, last uint32, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.box[ch+box]
	return at[0], at[1], ok, nil
}

func (s *store) PutMailbox(_ context.Context, ch, box string, validity, last uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fails(); err != nil {
		return err
	}
	s.box[ch+box] = [2]uint32{validity, last}
	return nil
}

func (s *store) AnyMailbox(_ context.Context, ch string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.box {
		if strings.HasPrefix(name, ch) {
			return true, nil
		}
	}
	return false, nil
}

func (s *store) ConversationByID(_ context.Context, id string) (usher.Conversation, error) {
	return usher.Conversation{ID: id}, nil
}

// bodies are those of the mails that were stored, in order.
func (s *store) bodies() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, e := range s.events {
		all = append(all, email.Parse(e.Raw).Text)
	}
	return strings.Join(all, ", ")
}

func (s *store) LastInbound(context.Context, string, string) (usher.Message, bool, error) {
	if s.last == nil {
		return usher.Message{}, false, nil
	}
	return *s.last, true, nil
}

func (s *store) Answers(context.Context, string, usher.Identity, time.Time, string) (toSender, inThread int, err error) {
	return s.toSender, s.inThread, nil
}

// known reports whether the mailbox was read, and how many mails were stored.
func (s *store) known() (read bool, mails int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.box) > 0, len(s.events)
}

func house(t *testing.T) *emailtest.Server {
	t.Helper()
	h, err := emailtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func storeOf(h *emailtest.Server) *store {
	return &store{
		channels: []usher.Channel{{ID: "mail", Kind: usher.KindEmail, Settings: h.Settings()}}, secrets: h.Secrets(), box: map[string][2]uint32{},
	}
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !so() {
		select {
		case <-deadline:
			t.Fatalf("not so after 20 s: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// running runs an adapter until the test ends.
func running(t *testing.T, cfg email.Config) {
	t.Helper()
	cfg.Reload = 20 * time.Millisecond
	cfg.Chance = func() float64 { return 0 }
	if cfg.Longest == 0 {
		cfg.Longest = 20 * time.Millisecond
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- adapter(cfg).Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func deliver(t *testing.T, h *emailtest.Server, mails ...[]byte) {
	t.Helper()
	for _, m := range mails {
		if err := h.Deliver(m); err != nil {
			t.Fatal(err)
		}
	}
}

func mailOf(n int) []byte {
	return emailtest.Text{From: "a@customer.example", Subject: fmt.Sprint("mail ", n), Body: fmt.Sprint("body ", n), ID: fmt.Sprintf("%d@customer.example", n)}.Raw()
}

// TestFetch: what comes after the first look is stored, once, in order, at once,
// through lost connections and a mailbox that begins anew.
func TestFetch(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	deliver(t, h, mailOf(0)) // was there before
	var mu sync.Mutex
	outcomes := map[string]int{}
	running(t, email.Config{Store: s, Observe: func(o string) {
		mu.Lock()
		defer mu.Unlock()
		outcomes[o]++
	}})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	var all [][]byte
	for i := 1; i <= 60; i++ {
		m := mailOf(i)
		all = append(all, m)
		deliver(t, h, m)
		if i%20 == 0 {
			h.Cut()
		}
	}
	eventually(t, "all are stored", func() bool { _, n := s.known(); return n == 60 })
	again := emailtest.Text{From: "a@customer.example", Subject: "mail 1", Body: "another body", ID: "1@customer.example"}.Raw()
	if err := h.Reset(append(slices.Clone(all), again)...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that is new is stored", func() bool { _, n := s.known(); return n == 61 })
	deliver(t, h, mailOf(99))
	eventually(t, "and what comes then", func() bool { _, n := s.known(); return n == 62 })
	for i, e := range s.events[:60] {
		if !bytes.Equal(e.Raw, all[i]) {
			t.Fatalf("event %d is %q", i, e.Raw)
		}
	}
	if !bytes.Equal(s.events[60].Raw, again) {
		t.Error("the same Message-ID with another body was not kept")
	}
	mu.Lock()
	defer mu.Unlock()
	if outcomes["stored"] != 62 || outcomes["repeated"] < 60 || outcomes["disconnected"] == 0 {
		t.Errorf("told: %v", outcomes)
	}
}

// TestPolls: a mail is found without IDLE's word.
func TestPolls(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	delete(s.channels[0].Settings, "poll_s")
	running(t, email.Config{Store: s, Poll: 30 * time.Millisecond})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	before := h.Connections()
	deliver(t, h, mailOf(1), mailOf(2))
	eventually(t, "they are stored", func() bool { _, n := s.known(); return n == 2 })
	if h.Connections() != before {
		t.Errorf("%d connections became %d", before, h.Connections())
	}
}

// TestIdles: with IDLE a mail is there long before anybody would have looked.
func TestIdles(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	s.channels[0].Settings["poll_s"] = "600"
	idle := make(chan struct{}, 1)
	running(t, email.Config{Store: s, Observe: func(o string) {
		if o == "connected" {
			idle <- struct{}{}
		}
	}})
	<-idle
	n := 0
	eventually(t, "a mail is stored", func() bool { // the first may come while IDLE begins
		n++
		deliver(t, h, mailOf(n))
		_, stored := s.known()
		return stored > 0
	})
}

// TestLarge: a mail beyond the bound is kept as far as it goes, and those behind it are read.
func TestLarge(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	running(t, email.Config{Store: s})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	large := append(mailOf(1), bytes.Repeat([]byte("0123456789abcde\r\n"), 27<<20/17)...)
	deliver(t, h, large, mailOf(2))
	eventually(t, "both are stored", func() bool { _, n := s.known(); return n == 2 })
	m := email.Parse(s.events[0].Raw)
	if !slices.Contains(m.Faults, "too large") || m.Subject != "mail 1" {
		t.Errorf("%v: %q", m.Faults, m.Subject)
	}
	_, in, err := adapter(email.Config{}).Read(s.channels[0], s.events[0])
	if err != nil || len(in.Text) > usher.MaxTextBytes || !strings.Contains(in.Text, "its first 25 MB are kept") || len(in.Attachments) != 1 {
		t.Errorf("%v: %d bytes of text, %+v", err, len(in.Text), in.Attachments)
	}
}

// TestRefused: a mail that the server keeps to itself is left out after some tries,
// and so is one of which it gives nothing; those behind it are read, also when the
// mailbox begins anew.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, anew := range map[string]bool{"as it comes": false, "when the mailbox begins anew": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house(t)
			s := storeOf(h)
			var log bytes.Buffer
			var mu sync.Mutex
			skipped := 0
			delete(s.channels[0].Settings, "poll_s")
			h.Refuse(1, emailtest.SaysNo)
			h.Refuse(2, emailtest.GivesNothing)
			if anew {
				set := h.Settings()
				s.box["mail"+set["imap_user"]+"@"+set["imap_host"]+":"+set["imap_port"]+"/"+set["folder"]] = [2]uint32{4242, 7}
				deliver(t, h, mailOf(1), mailOf(2), mailOf(3))
			}
			running(t, email.Config{Store: s, Poll: 30 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)), Observe: func(o string) {
				mu.Lock()
				defer mu.Unlock()
				if o == "skipped" {
					skipped++
				}
			}})
			if !anew {
				eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
				deliver(t, h, mailOf(1), mailOf(2), mailOf(3))
			}
			eventually(t, "the last is stored", func() bool { return s.bodies() == "body 3" })
			eventually(t, "two are left out", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return skipped == 2
			})
			deliver(t, h, mailOf(4))
			eventually(t, "and what comes then is", func() bool { return s.bodies() == "body 3, body 4" })
			if strings.Contains(log.String(), "customer.example") {
				t.Errorf("the log says:\n%s", &log)
			}
		})
	}
}

// TestNewName: a mailbox that gets another name in the settings loses nothing of
// what came meanwhile, and nothing comes twice.
func TestNewName(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	lost := make(chan struct{}, 1)
	running(t, email.Config{Store: s, Observe: func(o string) {
		if o == "disconnected" {
			select {
			case lost <- struct{}{}:
			default:
			}
		}
	}})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	deliver(t, h, mailOf(1))
	eventually(t, "a mail is stored", func() bool { return s.bodies() == "body 1" })
	set := func(name, value string) {
		settings := h.Settings()
		settings[name] = value
		s.mu.Lock()
		defer s.mu.Unlock()
		s.channels[0].Settings = settings
	}
	set("imap_port", "1") // the old name leads nowhere
	<-lost
	deliver(t, h, mailOf(2), mailOf(3))
	set("imap_host", "localhost")
	eventually(t, "nothing is lost", func() bool { return s.bodies() == "body 1, body 2, body 3" })
	deliver(t, h, mailOf(4))
	eventually(t, "and what comes then is stored", func() bool { return s.bodies() == "body 1, body 2, body 3, body 4" })
}

// TestStoreFails: a mail that cannot be stored is not read until it is.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	h := house(t)
	s := storeOf(h)
	running(t, email.Config{Store: s})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	s.mu.Lock()
	s.failing = 5
	s.mu.Unlock()
	deliver(t, h, mailOf(1), mailOf(2), mailOf(3))
	eventually(t, "all are stored, in order and once", func() bool { return s.bodies() == "body 1, body 2, body 3" })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failing != 0 {
		t.Error("the store has not failed")
	}
}

// TestSettingsChange: another account is read, and none when the channel is taken off.
func TestSettingsChange(t *testing.T) {
	t.Parallel()
	h, other := house(t), house(t)
	s := storeOf(h)
	running(t, email.Config{Store: s})
	eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
	s.mu.Lock()
	s.channels[0].Settings = other.Settings()
	s.mu.Unlock()
	eventually(t, "the other mailbox is read", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.box) == 2
	})
	deliver(t, h, mailOf(1))
	deliver(t, other, mailOf(2))
	eventually(t, "mail of the other is stored", func() bool { _, n := s.known(); return n == 1 })
	if !bytes.Equal(s.events[0].Raw, mailOf(2)) && !strings.Contains(string(s.events[0].Raw), "body 2") {
		t.Errorf("stored: %s", s.events[0].Raw)
	}
}

// TestSilence: a server that takes the connection and says nothing, or stops
// saying anything, is left and tried again.
func TestSilence(t *testing.T) {
	t.Parallel()
	h := house(t)
	for _, c := range []struct {
		name string
		says string
	}{
		{"never a word", ""},
		{"a greeting alone", "* OK ready\r\n"},
		{"half a line", "* OK [CAPABILITY IMAP4rev1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var mu sync.Mutex
			var conns []net.Conn
			go func() {
				for {
					conn, err := ln.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Write([]byte(c.says)) // it may be gone
					mu.Lock()
					conns = append(conns, conn)
					mu.Unlock()
				}
			}()
			t.Cleanup(func() {
				_ = ln.Close()
				mu.Lock()
				defer mu.Unlock()
				for _, conn := range conns {
					_ = conn.Close()
				}
			})
			s := storeOf(h)
			_, port, err := net.SplitHostPort(ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			s.channels[0].Settings["imap_port"] = port
			delete(s.channels[0].Settings, "poll_s")
			running(t, email.Config{Store: s, Poll: 20 * time.Millisecond, Silence: 60 * time.Millisecond})
			eventually(t, "it is tried three times", func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(conns) >= 3
			})
		})
	}
}

// TestStopsAtOnce: nobody waits for a server that says nothing when usher stops.
func TestStopsAtOnce(t *testing.T) {
	t.Parallel()
	h := house(t)
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and no more
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	for _, security := range []string{"none", "starttls", "tls"} {
		s := storeOf(h)
		_, s.channels[0].Settings["imap_port"], _ = net.SplitHostPort(ln.Addr().String())
		s.channels[0].Settings["imap_tls"] = security
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- adapter(email.Config{Store: s}).Run(ctx) }()
		conn, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		stop()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: it still waits", security)
		}
		_ = conn.Close()
	}
}

func delivery(h *emailtest.Server) channel.Delivery {
	return channel.Delivery{
		Message:      usher.Message{ID: "msg_1", Author: usher.ByAgent, Text: "你好\nsecond line", ReceivedAt: time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)},
		Channel:      usher.Channel{ID: "mail", Kind: usher.KindEmail, Settings: h.Settings()},
		Secrets:      h.Secrets(),
		To:           usher.Identity{Kind: "email", Value: "alice@customer.example"},
		Conversation: usher.Conversation{ID: "conv_1"},
	}
}

// TestSendFailures: what a server says becomes what may be done next; only what
// may have been taken is sent again under the same Message-ID.
func TestSendFailures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		fault emailtest.Fault
		want  any
		kept  int
	}{
		{"busy", emailtest.Fault{At: "mail", Code: 450}, &channel.Retry{}, 0},
		{"shutting down", emailtest.Fault{At: "mail", Code: 421}, &channel.Retry{Account: true}, 0},
		{"greylisted", emailtest.Fault{At: "rcpt", Code: 451}, &channel.Retry{}, 0},
		{"no such mailbox", emailtest.Fault{At: "rcpt", Code: 550}, &channel.Permanent{Reason: "smtp_550"}, 0},
		{"later", emailtest.Fault{At: "data", Code: 452}, &channel.Retry{}, 0},
		{"refused", emailtest.Fault{At: "data", Code: 554}, &channel.Permanent{Reason: "smtp_554"}, 0},
		{"lost after it was taken", emailtest.Fault{At: "data", Kept: true}, &channel.Unknown{}, 1},
		{"lost", emailtest.Fault{At: "data"}, &channel.Unknown{}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := house(t)
			a := adapter(email.Config{Store: &store{}})
			h.Fail(c.fault)
			_, err := a.Send(t.Context(), delivery(h))
			same := false
			switch want := c.want.(type) {
			case *channel.Retry:
				e, ok := errors.AsType[*channel.Retry](err)
				same = ok && e.Account == want.Account
			case *channel.Permanent:
				e, ok := errors.AsType[*channel.Permanent](err)
				same = ok && e.Reason == want.Reason
			case *channel.Unknown:
				_, same = errors.AsType[*channel.Unknown](err)
			}
			if !same {
				t.Errorf("got %v, want %T", err, c.want)
			}
			if strings.Contains(err.Error(), "customer.example") {
				t.Errorf("the log would have an address: %v", err)
			}
			r, err := a.Send(t.Context(), delivery(h))
			sent := h.Sent()
			if err != nil || len(sent) != c.kept+1 || r.ExternalID == "" {
				t.Fatalf("the second time: %v, %d sent", err, len(sent))
			}
			for _, s := range sent {
				if s.Header("Message-ID") != "<"+r.ExternalID+">" {
					t.Errorf("Message-ID %s, told %s", s.Header("Message-ID"), r.ExternalID)
				}
			}
		})
	}
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		h := house(t)
		d := delivery(h)
		d.Secrets["smtp_password"] = "wrong"
		_, err := adapter(email.Config{Store: &store{}}).Send(t.Context(), d)
		if e, ok := errors.AsType[*channel.Retry](err); !ok || !e.Account || strings.Contains(err.Error(), "wrong") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		h := house(t)
		d := delivery(h)
		d.Channel.Settings["smtp_port"] = "1"
		_, err := adapter(email.Config{Store: &store{}}).Send(t.Context(), d)
		if _, ok := errors.AsType[*channel.Retry](err); !ok {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a server that is silent", func(t *testing.T) {
		t.Parallel()
		h := house(t)
		ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // takes connections and no more
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = ln.Close() }()
		d := delivery(h)
		_, d.Channel.Settings["smtp_port"], _ = net.SplitHostPort(ln.Addr().String())
		ctx, stop := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer stop()
		if _, err := adapter(email.Config{Store: &store{}}).Send(ctx, d); err == nil {
			t.Error("it was sent")
		}
	})
}

// TestCompose: what strangers chose cannot add a header, and the mail says what it must.
func TestCompose(t *testing.T) {
	t.Parallel()
	h := house(t)
	last := &usher.Message{Attributes: map[string]any{
		"email_subject": "Hello\r\nBcc: eve@evil.example\r\n\r\nbody", "email_message_id": "x@y.example>\r\nX-Evil: 1\r\n <z@y.example",
	}}
	a := adapter(email.Config{Store: &store{last: last}})
	d := delivery(h)
	d.Thread = []string{"one@customer.example#0011", "raw:00", "bad id@x\r\nX-Evil: 2#00", "two@customer.example#0022"}
	d.Message.Author, d.Message.Choices, d.URL = usher.ByBot, []usher.Choice{{Label: "退款"}, {Label: "Other"}}, "https://x.example/chat/web#continue=t"
	if _, err := a.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	s := h.Sent()[0]
	for name := range s.Mail.Header {
		if name == "Bcc" || name == "X-Evil" {
			t.Errorf("there is a header %s", name)
		}
	}
	for name, want := range map[string]string{
		"In-Reply-To": "<two@customer.example>", "References": "<one@customer.example> <two@customer.example>", "Auto-Submitted": "auto-replied",
		"Subject": "Re: Hello Bcc: eve@evil.example body", "To": "<alice@customer.example>",
	} {
		if got := s.Header(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	m := email.Parse(s.Raw)
	if want := "你好\nsecond line\n\n1. 退款\n2. Other\nhttps://x.example/chat/web#continue=t"; m.Full != want {
		t.Errorf("the text is %q", m.Full)
	}
	if m.Automatic == "" {
		t.Error("it would be answered by another machine")
	}
	for _, to := range []string{"a@b.example\r\nRCPT TO:<eve@evil.example>", "a@b.example>", "a@b.example, eve@evil.example", "Eve <eve@evil.example>", "", "a b@c.example"} {
		d.To.Value = to
		_, err := a.Send(t.Context(), d)
		if e, ok := errors.AsType[*channel.Permanent](err); !ok || e.Reason != "bad_address" {
			t.Errorf("to %q: %v", to, err)
		}
	}
}

// TestCap: one automatic answer to a sender in a day and five in a thread; people's go.
func TestCap(t *testing.T) {
	t.Parallel()
	h := house(t)
	for _, c := range []struct {
		toSender, inThread int
		author             usher.Author
		goes               bool
	}{
		{0, 0, usher.ByBot, true},
		{0, 4, usher.BySystem, true},
		{1, 1, usher.ByBot, false},
		{0, 5, usher.BySystem, false},
		{9, 9, usher.ByAgent, true},
	} {
		d := delivery(h)
		d.Message.Author = c.author
		_, err := adapter(email.Config{Store: &store{toSender: c.toSender, inThread: c.inThread}}).Send(t.Context(), d)
		e, blocked := errors.AsType[*channel.Blocked](err)
		if c.goes != (err == nil) || !c.goes && (!blocked || e.Reason != "auto_reply_cap") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestUnattended: what a list sent on, or somebody who wants no automatic answer, is
// answered by people alone.
func TestUnattended(t *testing.T) {
	t.Parallel()
	h := house(t)
	last := &usher.Message{Attributes: map[string]any{"email_automatic": "list"}}
	for author, goes := range map[usher.Author]bool{usher.ByAgent: true, usher.ByBot: false, usher.BySystem: false} {
		d := delivery(h)
		d.Message.Author = author
		_, err := adapter(email.Config{Store: &store{last: last}}).Send(t.Context(), d)
		e, blocked := errors.AsType[*channel.Blocked](err)
		if goes != (err == nil) || !goes && (!blocked || e.Reason != "automatic_mail") {
			t.Errorf("by %s: %v", author, err)
		}
	}
}

// TestAnswersAtOnce: of several automatic answers to one sender at the same time
// one goes, and it goes again when it has to.
func TestAnswersAtOnce(t *testing.T) {
	t.Parallel()
	h := house(t)
	a := adapter(email.Config{Store: &store{}})
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			d := delivery(h)
			d.Message.ID, d.Message.Author = fmt.Sprint("msg_", i), usher.ByBot
			_, errs[i] = a.Send(t.Context(), d)
		})
	}
	all.Wait()
	went := slices.IndexFunc(errs, func(err error) bool { return err == nil })
	if n := len(h.Sent()); n != 1 || went < 0 {
		t.Fatalf("%d were sent: %v", n, errs)
	}
	d := delivery(h)
	d.Message.ID, d.Message.Author = fmt.Sprint("msg_", went), usher.ByBot
	if _, err := a.Send(t.Context(), d); err != nil {
		t.Errorf("the same again: %v", err)
	}
}

// TestTLS: mail goes to and fro under TLS, and not at all with a server whose
// certificate nobody vouches for.
func TestTLS(t *testing.T) {
	t.Parallel()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	t.Cleanup(web.Close)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for _, security := range []string{"tls", "starttls"} {
		t.Run(security, func(t *testing.T) {
			t.Parallel()
			h, err := emailtest.Start(&tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}, security)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
			s := storeOf(h)
			trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
			running(t, email.Config{Store: s, TLS: trusting})
			eventually(t, "the mailbox is read", func() bool { read, _ := s.known(); return read })
			deliver(t, h, mailOf(1))
			eventually(t, "a mail is stored", func() bool { _, n := s.known(); return n == 1 })
			if _, err := adapter(email.Config{Store: s, TLS: trusting}).Send(t.Context(), delivery(h)); err != nil || len(h.Sent()) != 1 {
				t.Errorf("%d sent: %v", len(h.Sent()), err)
			}
			_, err = adapter(email.Config{Store: s}).Send(t.Context(), delivery(h))
			if _, retry := errors.AsType[*channel.Retry](err); !retry || len(h.Sent()) != 1 {
				t.Errorf("to a stranger: %v", err)
			}
			lost := storeOf(h)
			failed := make(chan struct{}, 100)
			running(t, email.Config{Store: lost, Observe: func(o string) {
				if o == "disconnected" {
					failed <- struct{}{}
				}
			}})
			<-failed
			if read, _ := lost.known(); read {
				t.Error("a stranger's mailbox was read")
			}
		})
	}
}
