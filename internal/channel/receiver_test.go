package channel_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// post is a store of calls, a reader and an inbox in memory.
type post struct {
	mu     sync.Mutex
	events []usher.InboxEvent
	done   map[int64]string // fault by id
	got    []string         // external ids, in order
	now    map[string]int   // under way, by sender
	worst  int
	most   int
	sum    int

	takes time.Duration
	reads func(what string) // takes its time
	fail  func(in channel.Inbound, attempt int) error
	tries map[string]int
	ends  map[string]int // as observed
	log   bytes.Buffer
}

func newPost() *post {
	return &post{done: map[int64]string{}, now: map[string]int{}, tries: map[string]int{}, ends: map[string]int{}}
}

func (p *post) observe(kind usher.ChannelKind, outcome string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[string(kind)+" "+outcome]++
}

// put adds a call "sender:what".
func (p *post) put(raws ...string) { p.putOn("wx", raws...) }

func (p *post) putOn(ch string, raws ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, raw := range raws {
		id := int64(len(p.events) + 1)
		p.events = append(p.events, usher.InboxEvent{ID: id, Channel: ch, Key: raw, ReceivedAt: time.Now(), Raw: []byte(raw)})
	}
}

// taken is what was handed on so far.
func (p *post) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func (p *post) InboxEvents(_ context.Context, after int64, n int) ([]usher.InboxEvent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []usher.InboxEvent
	for _, e := range p.events {
		if _, done := p.done[e.ID]; !done && e.ID > after && len(out) < n {
			e.Raw = nil
			out = append(out, e)
		}
	}
	return out, nil
}

func (p *post) InboxEvent(_ context.Context, id int64) (usher.InboxEvent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.events[id-1], nil
}

func (p *post) DoneInboxEvent(_ context.Context, id int64, fault string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[id] = fault
	return nil
}

func (p *post) DropInboxEvents(context.Context, time.Time) error { return nil }

func (p *post) ChannelByID(_ context.Context, id string) (usher.Channel, error) {
	if id == "mail" {
		return usher.Channel{ID: id, Kind: usher.KindEmail}, nil
	}
	return usher.Channel{ID: id, Kind: usher.KindWeChat}, nil
}

func (p *post) Read(ch usher.Channel, e usher.InboxEvent) (string, *channel.Inbound, error) {
	if p.reads != nil {
		p.reads(string(e.Raw))
	}
	sender, what, ok := strings.Cut(string(e.Raw), ":")
	switch {
	case !ok:
		return "", nil, fmt.Errorf("it has no sender: %s", e.Raw)
	case what == "event":
		return sender, nil, nil
	}
	return sender, &channel.Inbound{Channel: ch.ID, ExternalID: string(e.Raw), From: usher.Identity{Kind: "openid", Value: sender}}, nil
}

func (p *post) Receive(ctx context.Context, in channel.Inbound) error {
	who := in.From.Value
	p.mu.Lock()
	p.now[who]++
	p.sum++
	p.worst, p.most = max(p.worst, p.now[who]), max(p.most, p.sum)
	p.tries[in.ExternalID]++
	n := p.tries[in.ExternalID]
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.now[who]--
		p.sum--
	}()
	if p.takes > 0 {
		select {
		case <-time.After(p.takes):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if p.fail != nil {
		if err := p.fail(in, n); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, in.ExternalID)
	return nil
}

// receiver runs one and returns it, and what ends it.
func receiver(t *testing.T, p *post, change func(*channel.ReceiverConfig)) (r *channel.Receiver, stop func()) {
	t.Helper()
	cfg := channel.ReceiverConfig{Store: p, Inbox: p, Observe: p.observe, Log: slog.New(slog.NewTextHandler(&p.log, nil))}
	if change != nil {
		change(&cfg)
	}
	r, err := channel.NewReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Reads(usher.KindWeChat, p)
	r.Reads(usher.KindEmail, p)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	return r, func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestReceiverKeepsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, want := newPost(), map[string][]string{}
		p.takes = time.Second
		for i := range 50 {
			for _, who := range []string{"a", "b", "c"} {
				raw := fmt.Sprintf("%s:%d", who, i)
				want[who] = append(want[who], raw)
				p.put(raw)
			}
		}
		_, stop := receiver(t, p, func(c *channel.ReceiverConfig) { c.Ahead = 8 })
		<-time.After(3 * time.Minute)
		stop()
		for who, list := range want {
			got := slices.DeleteFunc(slices.Clone(p.got), func(s string) bool { return !strings.HasPrefix(s, who) })
			if diff := cmp.Diff(list, got); diff != "" {
				t.Errorf("of %s (-want +got):\n%s", who, diff)
			}
		}
		if p.worst != 1 || p.most < 2 || len(p.done) != 150 {
			t.Errorf("%d of one sender at once, %d in all, %d done", p.worst, p.most, len(p.done))
		}
	})
}

func TestReceiverFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.fail = func(in channel.Inbound, attempt int) error {
			switch {
			case in.ExternalID == "a:1" && attempt < 4:
				return usher.Errorf(usher.Overloaded, "later")
			case in.ExternalID == "b:1":
				return usher.Errorf(usher.InvalidArgument, "never: bob@example.com")
			default:
				return nil
			}
		}
		p.put("a:1", "a:2", "b:1", "b:2", "nobody's", "c:event")
		_, stop := receiver(t, p, nil)
		<-time.After(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"b:2", "a:1", "a:2"}, p.got); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
		want := map[int64]string{1: "", 2: "", 3: "invalid_argument", 4: "", 5: "not_understood", 6: ""}
		if diff := cmp.Diff(want, p.done); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		seen := map[string]int{"wechat received": 3, "wechat invalid_argument": 1, "wechat not_understood": 1, "wechat none": 1}
		if diff := cmp.Diff(seen, p.ends); diff != "" {
			t.Errorf("observed (-want +got):\n%s", diff)
		}
		// Why is a code: what an error says may be what somebody wrote.
		log := p.log.String()
		if strings.Contains(log, "nobody's") || strings.Contains(log, "bob@") || !strings.Contains(log, "code=invalid_argument") {
			t.Errorf("log:\n%s", log)
		}
	})
}

// Nasty case 2: what a crash left undone is handed on again, and nothing else.
func TestReceiverGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.takes = time.Second
		p.put("a:1", "a:2", "a:3")
		_, stop := receiver(t, p, nil)
		<-time.After(1500 * time.Millisecond) // a:2 is under way
		stop()
		r, stop := receiver(t, p, nil)
		<-time.After(5 * time.Second)
		p.put("a:4")
		r.Wake()
		<-time.After(1100 * time.Millisecond)
		stop()
		if diff := cmp.Diff([]string{"a:1", "a:2", "a:3", "a:4"}, p.got); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
	})
}

// One sender whose message is not taken does not stop the others.
func TestReceiverOneStuckSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.fail = func(in channel.Inbound, _ int) error {
			if in.From.Value == "stuck" {
				return usher.Errorf(usher.Unavailable, "no")
			}
			return nil
		}
		p.put("stuck:1")
		for i := range 20 {
			p.put(fmt.Sprintf("o%d:1", i))
		}
		_, stop := receiver(t, p, nil)
		<-time.After(100 * time.Millisecond)
		stop()
		if len(p.got) != 20 {
			t.Errorf("%d of 20 others were handed on", len(p.got))
		}
	})
}

// shaky is a post whose channels cannot be read a few times.
type shaky struct {
	*post
	left int
	last func() // at the last failure
}

func (s *shaky) ChannelByID(ctx context.Context, id string) (usher.Channel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		if s.left--; s.left == 0 && s.last != nil {
			s.last()
			return usher.Channel{}, ctx.Err()
		}
		return usher.Channel{}, errors.New("disk on fire")
	}
	return s.post.ChannelByID(ctx, id)
}

// A store that fails, or that is told to stop, has not said that a channel is
// gone: the call is handed on later.
func TestReceiverStoreFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put("ann:1", "ann:2")
		_, stop := receiver(t, p, func(c *channel.ReceiverConfig) { c.Store = &shaky{post: p, left: 3} })
		<-time.After(time.Minute)
		synctest.Wait()
		stop()
		if d := cmp.Diff([]string{"ann:1", "ann:2"}, p.got); d != "" {
			t.Errorf("handed on:\n%s", d)
		}
		if d := cmp.Diff(map[int64]string{1: "", 2: ""}, p.done); d != "" {
			t.Errorf("done:\n%s", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.put("ann:1")
		ctx, cancel := context.WithCancel(t.Context())
		r, err := channel.NewReceiver(channel.ReceiverConfig{
			Store: &shaky{post: p, left: 1, last: cancel}, Inbox: p, Readers: map[usher.ChannelKind]channel.Reader{usher.KindWeChat: p},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
		if len(p.done) > 0 {
			t.Errorf("told to stop, it ended calls that nobody has read: %v", p.done)
		}
	})
}

// A message that fails for ever holds no worker while it waits, and is left when
// others come through and it alone does not.
func TestReceiverPoison(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.fail = func(in channel.Inbound, _ int) error {
			if strings.HasSuffix(in.ExternalID, ":poison") {
				return errors.New("constraint failed")
			}
			return nil
		}
		for i := range 64 {
			p.put(fmt.Sprintf("stuck%d:poison", i), fmt.Sprintf("stuck%d:after", i))
		}
		p.put("ok:0")
		_, stop := receiver(t, p, nil)
		<-time.After(100 * time.Millisecond)
		if got := p.taken(); !slices.Equal(got, []string{"ok:0"}) {
			t.Errorf("beside 64 senders whose message fails, handed on: %v", got)
		}
		// Nobody else comes through: it may be the store, and nothing is given up.
		<-time.After(time.Hour)
		if n := len(p.taken()); n != 1 {
			t.Errorf("%d handed on after an hour in which every message failed", n)
		}
		for i := range 30 {
			p.put(fmt.Sprintf("ok:%d", i+1))
			<-time.After(time.Minute)
		}
		stop()
		after := 0
		for _, id := range p.got {
			if strings.HasSuffix(id, ":after") {
				after++
			}
		}
		if after != 64 || p.ends["wechat internal"] != 64 || !strings.Contains(p.log.String(), "level=ERROR") {
			t.Errorf("%d of 64 senders go on, ends %v", after, p.ends)
		}
	})
}

// However much one sender has sent, and however long it takes, another's message
// is next.
func TestReceiverOneSendersFlood(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]error{"slowly": nil, "not at all": usher.Errorf(usher.Unavailable, "no")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newPost()
				p.takes = 20 * time.Millisecond
				p.fail = func(in channel.Inbound, _ int) error {
					if in.From.Value == "flood" {
						return fail
					}
					return nil
				}
				for i := range 2000 {
					p.put(fmt.Sprintf("flood:%d", i))
				}
				p.put("ok:1")
				_, stop := receiver(t, p, nil)
				<-time.After(time.Second)
				if !slices.Contains(p.taken(), "ok:1") {
					t.Error("another sender's message waits behind 2,000")
				}
				<-time.After(2 * time.Minute)
				stop()
				if n := len(p.got); fail == nil && n != 2001 {
					t.Errorf("%d of 2,001 handed on", n)
				}
			})
		})
	}
}

// A worker serves senders in turn, not one until he has nothing left.
func TestReceiverTakesTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.takes = time.Second
		p.put("a:1", "a:2", "a:3", "b:1")
		_, stop := receiver(t, p, func(c *channel.ReceiverConfig) { c.Workers, c.InMemory = 1, 1 })
		<-time.After(4100 * time.Millisecond)
		stop()
		if diff := cmp.Diff([]string{"a:1", "b:1", "a:2", "a:3"}, p.got); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
	})
}

// A mail that takes long to read holds up its own mailbox and no other channel.
func TestReceiverReadsBesideEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		p.reads = func(what string) {
			if strings.HasPrefix(what, "bomb") {
				<-time.After(10 * time.Second)
			}
		}
		p.putOn("mail", "bomb:1", "ann:1")
		p.put("ada:1")
		_, stop := receiver(t, p, nil)
		<-time.After(100 * time.Millisecond)
		if got := p.taken(); !slices.Equal(got, []string{"ada:1"}) {
			t.Errorf("while a mail is read, handed on: %v", got)
		}
		<-time.After(11 * time.Second)
		stop()
		slices.Sort(p.got)
		if diff := cmp.Diff([]string{"ada:1", "ann:1", "bomb:1"}, p.got); diff != "" {
			t.Errorf("handed on (-want +got):\n%s", diff)
		}
	})
}

// Nasty case 11: a receipt that is here before its message waits for it ten
// minutes, holds nobody up, and is kept as an orphan then.
func TestReceiverParksReceipts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPost()
		began := time.Now()
		p.fail = func(in channel.Inbound, _ int) error {
			switch {
			case in.ExternalID == "receipt:soon" && time.Since(began) < 3*time.Minute, in.ExternalID == "receipt2:never":
				return &channel.Early{}
			default:
				return nil
			}
		}
		p.put("receipt:soon", "receipt2:never", "ada:1")
		_, stop := receiver(t, p, nil)
		<-time.After(time.Second)
		if got := p.taken(); !slices.Equal(got, []string{"ada:1"}) {
			t.Errorf("at once: %v", got)
		}
		<-time.After(9 * time.Minute)
		if got := p.taken(); !slices.Equal(got, []string{"ada:1", "receipt:soon"}) {
			t.Errorf("after nine minutes: %v", got)
		}
		<-time.After(2 * time.Minute)
		stop()
		if diff := cmp.Diff(map[int64]string{1: "", 2: "orphan", 3: ""}, p.done); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
	})
}
