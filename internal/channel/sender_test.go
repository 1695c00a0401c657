package channel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"usher"
	"usher/internal/channel"
)

// desk is a store and a door in memory: it keeps the promises of both that a
// sender rests on.
type desk struct {
	mu       sync.Mutex
	rows     []usher.Outbound // in the order of creation
	messages map[string]usher.Message
	channels map[string]usher.Channel
	receipts []usher.Receipt
	shut     bool // the door refuses: unavailable
	stranger bool // nobody has written and nobody can be reached
	put      int  // how often something was put back
}

func newDesk() *desk {
	d := &desk{messages: map[string]usher.Message{}, channels: map[string]usher.Channel{}}
	for _, id := range []string{"wx", "wx2"} {
		d.channels[id] = usher.Channel{ID: id, Kind: usher.KindWeChat}
	}
	d.channels["mail"] = usher.Channel{ID: "mail", Kind: usher.KindEmail}
	d.channels["phone"] = usher.Channel{ID: "phone", Kind: usher.KindWhatsApp} // has no adapter
	return d
}

// say queues a message; its id is "conversation-n".
func (d *desk) say(conversation, ch string, author usher.Author) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := fmt.Sprintf("%s-%d", conversation, len(d.rows))
	now := time.Now()
	d.messages[id] = usher.Message{ID: id, ConversationID: conversation, Author: author, Channel: ch, Text: "text", ReceivedAt: now}
	d.rows = append(d.rows, usher.Outbound{ID: id, ConversationID: conversation, Channel: ch, State: "queued", NextAt: now})
	return id
}

// heads are the queued rows that are the first of their conversation and channel.
func (d *desk) heads(except []string) []*usher.Outbound {
	var out []*usher.Outbound
	for i := range d.rows {
		o := &d.rows[i]
		blocked := slices.ContainsFunc(d.rows[:i], func(p usher.Outbound) bool {
			return p.ConversationID == o.ConversationID && p.Channel == o.Channel && (p.State == "queued" || p.State == "sending")
		})
		if o.State == "queued" && !blocked && !slices.Contains(except, o.Channel) {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b *usher.Outbound) int {
		bot := func(o *usher.Outbound) int {
			if d.messages[o.ID].Author == usher.ByAgent {
				return 0
			}
			return 1
		}
		if c := bot(a) - bot(b); c != 0 {
			return c
		}
		return a.NextAt.Compare(b.NextAt)
	})
	return out
}

func (d *desk) ClaimOutbox(_ context.Context, now time.Time, n int, except []string) ([]usher.Outbound, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []usher.Outbound
	for _, o := range d.heads(except) {
		if len(out) < n && !o.NextAt.After(now) {
			o.State, o.Attempt = "sending", o.Attempt+1
			out = append(out, *o)
		}
	}
	return out, nil
}

func (d *desk) NextOutbox(_ context.Context, except []string) (next time.Time, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.heads(except) {
		if !ok || o.NextAt.Before(next) {
			next, ok = o.NextAt, true
		}
	}
	return next, ok, nil
}

func (d *desk) PostponeOutbox(_ context.Context, o usher.Outbound, _ time.Time, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.put++
	o.State = "queued"
	d.rows[d.index(o.ID)] = o
	return nil
}

func (d *desk) index(id string) int {
	return slices.IndexFunc(d.rows, func(o usher.Outbound) bool { return o.ID == id })
}

func (d *desk) SendingOutbox(context.Context) ([]usher.Outbound, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(d.rows), func(o usher.Outbound) bool { return o.State != "sending" }), nil
}

func (d *desk) MessageByID(_ context.Context, id string) (usher.Message, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.messages[id], nil
}

func (d *desk) ConversationByID(_ context.Context, id string) (usher.Conversation, error) {
	return usher.Conversation{ID: id, CustomerID: "ada"}, nil
}

func (d *desk) CustomerByID(_ context.Context, id string) (usher.Customer, error) {
	return usher.Customer{ID: id}, nil
}

func (d *desk) ChannelByID(_ context.Context, id string) (usher.Channel, error) {
	ch, ok := d.channels[id]
	if !ok {
		return ch, usher.Errorf(usher.NotFound, "no channel")
	}
	return ch, nil
}

func (d *desk) ChannelSecrets(context.Context, string) (map[string]string, error) {
	return map[string]string{}, nil
}

func (d *desk) LastInbound(_ context.Context, conversation, _ string) (usher.Message, bool, error) {
	if d.stranger {
		return usher.Message{}, false, nil
	}
	return usher.Message{From: &usher.Identity{Kind: "openid", Value: "o-" + conversation}}, true, nil
}

func (d *desk) Contact(context.Context, string, usher.Identity) (usher.Contact, error) {
	return usher.Contact{}, nil
}

func (d *desk) Thread(context.Context, string, string) ([]string, error) { return nil, nil }

func (d *desk) Do(_ context.Context, in usher.Input) (usher.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shut {
		return usher.Result{}, usher.Errorf(usher.Unavailable, "no dispatcher")
	}
	r := in.Body.(usher.Receipt)
	d.receipts = append(d.receipts, r)
	d.rows[d.index(r.MessageID)].State = r.State
	return usher.Result{}, nil
}

func (d *desk) close(shut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = shut
}

// states is the state of every message, by id.
func (d *desk) states() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{}
	for _, o := range d.rows {
		out[o.ID] = o.State
	}
	return out
}

// platform is an adapter that does what a test says.
type platform struct {
	idempotent bool
	send       func(ctx context.Context, d channel.Delivery) (channel.Receipt, error)

	mu    sync.Mutex
	calls []string // ids, in order
	at    []time.Time
	now   map[string]int // attempts under way, by conversation
	worst int            // most of them at once in one conversation
	most  int            // most at once in all
	sum   int
}

func (p *platform) Idempotent() bool { return p.idempotent }

func (p *platform) Send(ctx context.Context, d channel.Delivery) (channel.Receipt, error) {
	p.mu.Lock()
	if p.now == nil {
		p.now = map[string]int{}
	}
	p.calls, p.at = append(p.calls, d.Message.ID), append(p.at, time.Now())
	p.now[d.Conversation.ID]++
	p.sum++
	p.worst, p.most = max(p.worst, p.now[d.Conversation.ID]), max(p.most, p.sum)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now[d.Conversation.ID]--
		p.sum--
	}()
	if p.send == nil {
		return channel.Receipt{}, nil
	}
	return p.send(ctx, d)
}

func (p *platform) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// hang waits until the attempt times out.
func hang(ctx context.Context, _ channel.Delivery) (channel.Receipt, error) {
	<-ctx.Done()
	return channel.Receipt{}, &channel.Unknown{Err: ctx.Err()}
}

// run starts a sender and returns what ends it.
func run(t *testing.T, d *desk, adapters map[usher.ChannelKind]channel.Adapter, change func(*channel.SenderConfig)) (stop func()) {
	t.Helper()
	cfg := channel.SenderConfig{Store: d, Door: d, Adapters: adapters, Chance: func() float64 { return 0.999 }}
	if change != nil {
		change(&cfg)
	}
	s, err := channel.NewSender(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	synctest.Wait()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func wechatAndMail(wx, mail *platform) map[usher.ChannelKind]channel.Adapter {
	return map[usher.ChannelKind]channel.Adapter{usher.KindWeChat: wx, usher.KindEmail: mail}
}

func takes(d time.Duration) func(context.Context, channel.Delivery) (channel.Receipt, error) {
	return func(ctx context.Context, _ channel.Delivery) (channel.Receipt, error) {
		select {
		case <-time.After(d):
			return channel.Receipt{}, nil
		case <-ctx.Done():
			return channel.Receipt{}, ctx.Err()
		}
	}
}

func wantStates(t *testing.T, d *desk, want map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, d.states()); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

func TestSenderKeepsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, wx := newDesk(), &platform{send: takes(time.Second)}
		want := map[string][]string{}
		for range 5 {
			for _, c := range []string{"a", "b", "c"} {
				want[c] = append(want[c], d.say(c, "wx", usher.ByAgent))
			}
		}
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		<-time.After(5*time.Second + time.Millisecond)
		stop()
		for c, ids := range want {
			got := slices.DeleteFunc(wx.said(), func(id string) bool { return !strings.HasPrefix(id, c+"-") })
			if diff := cmp.Diff(ids, got); diff != "" {
				t.Errorf("conversation %s (-want +got):\n%s", c, diff)
			}
		}
		if wx.worst != 1 || wx.most != 3 {
			t.Errorf("%d at once in one conversation, %d in all; want 1 and 3", wx.worst, wx.most)
		}
	})
}

// Nasty case 25: a rate limit is waited for, on the account that it is of.
func TestSenderWaitsForRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, began := newDesk(), time.Now()
		wx := &platform{send: func(_ context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Channel.ID == "wx" && time.Since(began) < 30*time.Second {
				return channel.Receipt{}, &channel.Retry{After: 30 * time.Second, Account: true, Reason: "rate_limited"}
			}
			return channel.Receipt{}, nil
		}}
		first, second, other := d.say("a", "wx", usher.ByAgent), d.say("b", "wx", usher.ByAgent), d.say("c", "wx2", usher.ByAgent)
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		third := d.say("d", "wx", usher.ByAgent)
		<-time.After(29 * time.Second)
		wantStates(t, d, map[string]string{first: "queued", second: "queued", third: "queued", other: "accepted"})
		if n := len(wx.said()); n > 3 {
			t.Errorf("%d calls before the limit was over, want one of each that had begun", n)
		}
		<-time.After(5 * time.Second)
		stop()
		wantStates(t, d, map[string]string{first: "accepted", second: "accepted", third: "accepted", other: "accepted"})
	})
}

func TestSenderBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		wx := &platform{send: func(_ context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Attempt < 5 {
				return channel.Receipt{}, &channel.Retry{Reason: "busy", Err: errors.New("busy")}
			}
			return channel.Receipt{}, nil
		}}
		id := d.say("a", "wx", usher.ByAgent)
		stop := run(t, d, wechatAndMail(wx, &platform{}), func(c *channel.SenderConfig) { c.Chance = func() float64 { return 0.5 } })
		<-time.After(time.Minute)
		stop()
		wantStates(t, d, map[string]string{id: "accepted"})
		var waits []time.Duration
		for i, at := range wx.at[1:] {
			waits = append(waits, at.Sub(wx.at[i]).Round(100*time.Millisecond))
		}
		// Half of 2, 4, 8 and 16 seconds.
		if diff := cmp.Diff([]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}, waits); diff != "" {
			t.Errorf("waits (-want +got):\n%s", diff)
		}
	})
}

// Nasty case 26: what may have arrived is not sent again without a key.
func TestSenderTimeoutIsUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		first, second := d.say("a", "wx", usher.ByAgent), d.say("a", "wx", usher.ByAgent)
		wx := &platform{}
		wx.send = func(ctx context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Message.ID == first {
				return hang(ctx, dl)
			}
			return channel.Receipt{}, nil
		}
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		<-time.After(time.Hour)
		stop()
		wantStates(t, d, map[string]string{first: "unknown", second: "accepted"})
		if diff := cmp.Diff([]string{first, second}, wx.said()); diff != "" {
			t.Errorf("sent (-want +got):\n%s", diff)
		}
	})
}

func TestSenderTimeoutIsRepeatedWithAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		id := d.say("a", "mail", usher.ByAgent)
		mail := &platform{idempotent: true}
		mail.send = func(ctx context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Attempt == 1 {
				return hang(ctx, dl)
			}
			return channel.Receipt{ExternalID: "<" + dl.Message.ID + "@example.com>"}, nil
		}
		stop := run(t, d, wechatAndMail(&platform{}, mail), nil)
		<-time.After(time.Minute)
		stop()
		wantStates(t, d, map[string]string{id: "accepted"})
		want := []usher.Receipt{{MessageID: id, ConversationID: "a", State: "accepted", ExternalID: "<" + id + "@example.com>", Parts: 1}}
		if diff := cmp.Diff(want, d.receipts); diff != "" {
			t.Errorf("receipts (-want +got):\n%s", diff)
		}
	})
}

// The platform has taken it, and the process ends before that is recorded.
func TestSenderCrashBetweenClaimAndReceipt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		idempotent bool
		sent       int
		state      string
	}{
		{"without a key it is unknown", false, 1, "unknown"},
		{"with a key it is sent again", true, 2, "accepted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, wx := newDesk(), &platform{idempotent: c.idempotent}
				id := d.say("a", "wx", usher.ByAgent)
				next := d.say("a", "wx", usher.ByAgent)
				d.close(true)
				stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
				stop()
				wantStates(t, d, map[string]string{id: "sending", next: "queued"})
				d.close(false)
				stop = run(t, d, wechatAndMail(wx, &platform{}), nil)
				<-time.After(10 * time.Second)
				stop()
				wantStates(t, d, map[string]string{id: c.state, next: "accepted"})
				if n := len(wx.said()); n != c.sent+1 {
					t.Errorf("sent %d times (%v), want %d and the next one", n-1, wx.said(), c.sent)
				}
			})
		})
	}
}

// Nasty case 29: one platform down, the others unaffected, and nothing lost.
func TestSenderBreakerIsolates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, began := newDesk(), time.Now()
		up := func() bool { return time.Since(began) > 10*time.Minute }
		wx := &platform{send: func(_ context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Channel.ID == "wx" && !up() {
				return channel.Receipt{}, &channel.Retry{Reason: "unreachable", Err: errors.New("connection refused")}
			}
			return channel.Receipt{}, nil
		}}
		for i := range 50 {
			d.say(fmt.Sprintf("down%d", i), "wx", usher.ByAgent)
			d.say(fmt.Sprintf("down%d", i), "wx", usher.ByAgent)
		}
		var others []string
		for i := range 20 {
			others = append(others, d.say(fmt.Sprintf("up%d", i), "wx2", usher.ByBot), d.say(fmt.Sprintf("mail%d", i), "mail", usher.ByBot))
		}
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		<-time.After(time.Second)
		states := d.states()
		for _, id := range others {
			if states[id] != "accepted" {
				t.Errorf("%s is %s a second after the start", id, states[id])
			}
		}
		<-time.After(9 * time.Minute)
		tried := 0
		for _, id := range wx.said() {
			if strings.HasPrefix(id, "down") {
				tried++
			}
		}
		if tried > 60 {
			t.Errorf("%d attempts on a platform that was down for 9 minutes", tried)
		}
		d.mu.Lock()
		put := d.put
		d.mu.Unlock()
		if put > 200 {
			t.Errorf("put back %d times: a channel that rests is to be left alone", put)
		}
		<-time.After(20 * time.Minute)
		stop()
		for id, state := range d.states() {
			if state != "accepted" {
				t.Errorf("%s is %s long after the platform came back", id, state)
			}
		}
		for i := range 50 {
			if wx.worst != 1 {
				t.Fatalf("%d at once in conversation down%d", wx.worst, i)
			}
		}
	})
}

// A platform that hangs holds its own share of the workers only.
func TestSenderHangingPlatformLeavesRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		wx := &platform{send: hang}
		for i := range 40 {
			d.say(fmt.Sprintf("h%d", i), "wx", usher.ByAgent)
		}
		id := d.say("m", "mail", usher.ByBot)
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		<-time.After(100 * time.Millisecond)
		if s := d.states()[id]; s != "accepted" {
			t.Errorf("the mail is %s", s)
		}
		stop()
		if wx.most >= 8 {
			t.Errorf("%d attempts at once on one channel", wx.most)
		}
	})
}

// Nasty case 29: however many accounts hang, another channel sends at once, and
// again and again. No channel gets more than its share.
func TestSenderManyAccountsHang(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		for i := range 6 {
			id := fmt.Sprintf("dead%d", i)
			d.channels[id] = usher.Channel{ID: id, Kind: usher.KindWeChat}
			for j := range 100 {
				d.say(fmt.Sprintf("h%d-%d", i, j), id, usher.ByAgent)
			}
		}
		var mu sync.Mutex
		now, most := map[string]int{}, 0
		wx := &platform{send: func(ctx context.Context, dl channel.Delivery) (channel.Receipt, error) {
			mu.Lock()
			now[dl.Channel.ID]++
			most = max(most, now[dl.Channel.ID])
			mu.Unlock()
			defer func() { mu.Lock(); defer mu.Unlock(); now[dl.Channel.ID]-- }()
			if dl.Channel.ID == "wx2" {
				return channel.Receipt{}, nil
			}
			return hang(ctx, dl)
		}}
		s, err := channel.NewSender(channel.SenderConfig{Store: d, Door: d, Adapters: wechatAndMail(wx, &platform{})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for i := range 60 {
			mail, other := d.say(fmt.Sprintf("m%d", i), "mail", usher.ByAgent), d.say(fmt.Sprintf("w%d", i), "wx2", usher.ByAgent)
			s.Wake()
			<-time.After(time.Second)
			if is := d.states(); is[mail] != "accepted" || is[other] != "accepted" {
				t.Errorf("the %d. mail is %s, the message of an account that answers %s", i, is[mail], is[other])
			}
			<-time.After(6 * time.Second)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if most > 4 {
			t.Errorf("%d attempts at once on one channel", most)
		}
	})
}

// What an error says may hold an address or what somebody wrote: the log gets the
// code, and of a broken connection what the system says.
func TestSenderLogsCodes(t *testing.T) {
	t.Parallel()
	rude := errors.New("affected recipient(s): <alice@example.com>")
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, c := range []struct {
		name   string
		err    error
		want   string
		reason string
	}{
		{"no answer", rude, "outcome=unknown reason=no_answer", "no_answer"},
		{"no answer, with a reason", &channel.Unknown{Reason: "odd_answer", Err: rude}, "outcome=unknown reason=odd_answer", "odd_answer"},
		{"blocked", &channel.Blocked{Reason: "blocked_window", Err: rude}, "outcome=failed reason=blocked_window", "blocked_window"},
		{"refused", &channel.Permanent{Reason: "smtp_550", Err: rude}, "outcome=failed reason=smtp_550", "smtp_550"},
		{"later", &channel.Retry{Reason: "token_refused", Err: rude}, "outcome=postponed reason=token_refused", "token_refused"},
		{"no connection", &channel.Retry{Reason: "unreachable", Err: refused}, `reason=unreachable cause="dial tcp: connection refused"`, "unreachable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.say("a", "wx", usher.ByAgent)
				var log bytes.Buffer
				var seen []string
				wx := &platform{send: func(context.Context, channel.Delivery) (channel.Receipt, error) { return channel.Receipt{}, c.err }}
				stop := run(t, d, wechatAndMail(wx, &platform{}), func(cfg *channel.SenderConfig) {
					cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
					cfg.Observe = func(kind usher.ChannelKind, outcome, reason string) { seen = append(seen, reason) }
				})
				stop()
				if got := log.String(); !strings.Contains(got, c.want) || strings.Contains(got, "alice") {
					t.Errorf("log:\n%s\nwant %s, and no address", got, c.want)
				}
				if !slices.Equal(seen, []string{c.reason}) {
					t.Errorf("observed %v, want %s", seen, c.reason)
				}
			})
		})
	}
}

func TestSenderPeopleFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, wx := newDesk(), &platform{send: takes(time.Second)}
		for i := range 3 {
			d.say(fmt.Sprintf("b%d", i), "wx", usher.ByBot)
		}
		want := d.say("p", "wx", usher.ByAgent)
		stop := run(t, d, wechatAndMail(wx, &platform{}), func(c *channel.SenderConfig) { c.Workers, c.PerChannel = 1, 1 })
		<-time.After(10 * time.Second)
		stop()
		if got := wx.said(); len(got) != 4 || got[0] != want {
			t.Errorf("sent %v, want %s first", got, want)
		}
	})
}

func TestSenderFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, channel string
		stranger      bool
		err           error
		age           time.Duration
		want          string
	}{
		{name: "nobody carries that kind", channel: "phone", want: "no_adapter"},
		{name: "the channel is gone", channel: "gone", want: "no_channel"},
		{name: "nobody to send it to", channel: "wx", stranger: true, want: "no_address"},
		{name: "too old", channel: "wx", age: 25 * time.Hour, want: "expired"},
		{name: "the window is closed", channel: "wx", err: &channel.Blocked{Reason: "blocked_window"}, want: "blocked_window"},
		{name: "never", channel: "wx", err: &channel.Permanent{Reason: "platform_45002"}, want: "platform_45002"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.stranger = c.stranger
				id, next := d.say("a", c.channel, usher.ByAgent), d.say("b", "mail", usher.ByAgent)
				wx := &platform{send: func(context.Context, channel.Delivery) (channel.Receipt, error) { return channel.Receipt{}, c.err }}
				<-time.After(c.age)
				stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
				<-time.After(time.Second)
				stop()
				want := usher.Receipt{MessageID: id, ConversationID: "a", State: "failed", Error: c.want}
				if !slices.Contains(d.receipts, want) {
					t.Errorf("receipts %+v, want %+v", d.receipts, want)
				}
				if s := d.states()[next]; s != "accepted" && c.age == 0 && !c.stranger {
					t.Errorf("the next conversation's is %s", s)
				}
			})
		})
	}
}

// Told to stop, it lets what is under way end, and records it.
func TestSenderStops(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		takes time.Duration
		want  string
		ends  time.Duration
	}{
		{"within its grace", 3 * time.Second, "accepted", 3 * time.Second},
		{"beyond its grace", 10 * time.Second, "unknown", 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				id, next := d.say("a", "wx", usher.ByAgent), d.say("a", "wx", usher.ByAgent)
				stop := run(t, d, wechatAndMail(&platform{send: takes(c.takes)}, &platform{}), nil)
				began := time.Now()
				stop()
				if took := time.Since(began); took != c.ends {
					t.Errorf("ended after %s, want %s", took, c.ends)
				}
				wantStates(t, d, map[string]string{id: c.want, next: "queued"})
			})
		})
	}
}

// Parts that the platform took are not sent again.
func TestSenderCountsParts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		id := d.say("a", "wx", usher.ByAgent)
		wx := &platform{send: func(_ context.Context, dl channel.Delivery) (channel.Receipt, error) {
			if dl.Attempt == 1 {
				return channel.Receipt{Parts: 2}, &channel.Retry{Reason: "busy"}
			}
			return channel.Receipt{Parts: dl.Parts + 1}, nil
		}}
		stop := run(t, d, wechatAndMail(wx, &platform{}), nil)
		<-time.After(time.Minute)
		stop()
		want := []usher.Receipt{{MessageID: id, ConversationID: "a", State: "accepted", Parts: 3}}
		if diff := cmp.Diff(want, d.receipts); diff != "" {
			t.Errorf("receipts (-want +got):\n%s", diff)
		}
	})
}

// Told that there is something, it looks at once; untold, within half a minute.
func TestSenderWakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		s, err := channel.NewSender(channel.SenderConfig{Store: d, Door: d, Adapters: wechatAndMail(&platform{}, &platform{})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		synctest.Wait()
		told := d.say("a", "wx", usher.ByAgent)
		s.Wake()
		synctest.Wait()
		wantStates(t, d, map[string]string{told: "accepted"})
		untold := d.say("b", "wx", usher.ByAgent)
		<-time.After(31 * time.Second)
		wantStates(t, d, map[string]string{told: "accepted", untold: "accepted"})
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
