package channel_test

import (
	"context"
	"errors"
	"fmt"
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
	fail  func(in channel.Inbound, attempt int) error
	tries map[string]int
}

func newPost() *post {
	return &post{done: map[int64]string{}, now: map[string]int{}, tries: map[string]int{}}
}

// put adds a call "sender:what".
func (p *post) put(raws ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, raw := range raws {
		id := int64(len(p.events) + 1)
		p.events = append(p.events, usher.InboxEvent{ID: id, Channel: "wx", Key: raw, Raw: []byte(raw)})
	}
}

func (p *post) InboxEvents(_ context.Context, after int64, n int) ([]usher.InboxEvent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []usher.InboxEvent
	for _, e := range p.events {
		if _, done := p.done[e.ID]; !done && e.ID > after && len(out) < n {
			out = append(out, e)
		}
	}
	return out, nil
}

func (p *post) DoneInboxEvent(_ context.Context, id int64, fault string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done[id] = fault
	return nil
}

func (p *post) DropInboxEvents(context.Context, time.Time) error { return nil }

func (p *post) ChannelByID(_ context.Context, id string) (usher.Channel, error) {
	return usher.Channel{ID: id, Kind: usher.KindWeChat}, nil
}

func (p *post) Read(ch usher.Channel, e usher.InboxEvent) (string, *channel.Inbound, error) {
	sender, what, ok := strings.Cut(string(e.Raw), ":")
	switch {
	case !ok:
		return "", nil, errors.New("it has no sender")
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
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
		return ctx.Err()
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
	cfg := channel.ReceiverConfig{Store: p, Inbox: p}
	if change != nil {
		change(&cfg)
	}
	r, err := channel.NewReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.Reads(usher.KindWeChat, p)
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
				return usher.Errorf(usher.InvalidArgument, "never")
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
