package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usher"
	"usher/api"
	"usher/internal/sqlite"
)

// TestCrash kills the server again and again under load: 16 clients send 50
// messages a second, accept and close. Instants are drawn uniformly over serving,
// starting and shutting down. After each kill:
//
//   - every message whose client read a 2xx is there, with the id it was told;
//   - every accept and close whose agent read a 2xx holds;
//   - usher doctor finds nothing;
//   - 5 s after the server is ready again, nobody waits while somebody is free.
//
// USHER_TEST_KILLS is the number of kills, USHER_TEST_SEED the seed (0 = a new one).
func TestCrash(t *testing.T) {
	t.Parallel()
	kills := number(t, "USHER_TEST_KILLS", 4)
	seed := uint64(number(t, "USHER_TEST_SEED", 0))
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("%d kills, USHER_TEST_SEED=%d", kills, seed)
	c := &crash{
		dir: t.TempDir(), chance: rand.New(rand.NewPCG(seed, 1)),
		messages: map[string]string{}, conversations: map[string]usher.Status{}, kinds: map[string]int{},
	}
	p, err := c.start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.staff(t.Context(), p.client()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for round := 1; round <= kills; round++ {
		if p, err = c.round(t.Context(), p, round); err != nil {
			t.Fatalf("kill %d of %d, USHER_TEST_SEED=%d: %v", round, kills, seed, err)
		}
	}
	if err := c.everything(t.Context()); err != nil {
		t.Fatalf("after all kills, USHER_TEST_SEED=%d: %v", seed, err)
	}
	p.signal(syscall.SIGTERM)
	if err := p.wait(10 * time.Second); err != nil {
		t.Error(err)
	}
	t.Logf("%d kills (%v), %d answered messages, %d conversations with an answered accept or close, %d sent without an answer, in %.0f s",
		kills, c.kinds, len(c.messages), len(c.conversations), c.unanswered, time.Since(began).Seconds())
	if len(c.messages) == 0 || len(c.conversations) == 0 {
		t.Error("no message or no accept was answered: nothing was tested")
	}
}

// crash is a floor under fire, and what its clients were told.
type crash struct {
	dir    string
	chance *rand.Rand
	kinds  map[string]int // kills by where they fell

	mu            sync.Mutex
	sent          int
	unanswered    int
	messages      map[string]string       // external id -> message id, as answered
	conversations map[string]usher.Status // by id: assigned or closed, as answered
	fresh         answered                // of this round
}

// answered names what clients read a 2xx for.
type answered struct {
	messages      []string // external ids
	conversations []string
}

func (c *crash) args() []string {
	return []string{"serve", "--data", c.dir, "--addr", "127.0.0.1:0", "--admin-addr", "off", "--log-level", "error"}
}

func (c *crash) start(ctx context.Context) (*process, error) { return start(ctx, c.args()...) }

// staff puts eight agents with room for everybody.
func (c *crash) staff(ctx context.Context, client *api.Client) error {
	for i := range 8 {
		id := fmt.Sprintf("agent-%d", i)
		err := client.Do(ctx, http.MethodPut, "/v1/agents/"+id, map[string]any{
			"name": id, "languages": []map[string]any{{"tag": "en", "level": 5}, {"tag": "zh", "level": 5}},
			"capacity": map[string]any{"units": 100},
		}, nil)
		if err != nil {
			return err
		}
	}
	return online(ctx, client)
}

// round loads the server, kills it at a random instant, looks at what is left,
// and returns the server that came back.
func (c *crash) round(ctx context.Context, p *process, n int) (*process, error) {
	c.fresh = answered{}
	load, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	for k := range 16 {
		chance := rand.New(rand.NewPCG(c.chance.Uint64(), uint64(k)))
		clients.Go(func() { c.client(load, p.client(), n, k, chance) })
	}
	kind := "serving"
	instant := time.Duration(c.chance.Int64N(int64(1200 * time.Millisecond)))
	<-time.After(instant)
	if c.chance.IntN(5) == 0 {
		kind = "shutting down"
		p.signal(syscall.SIGTERM)
		<-time.After(time.Duration(c.chance.Int64N(int64(100 * time.Millisecond))))
	}
	p.kill()
	stop()
	clients.Wait()
	c.kinds[kind]++
	if c.chance.IntN(5) == 0 {
		// Killed again while it recovers.
		if err := c.killStarting(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.doctor(ctx); err != nil {
		return nil, err
	}
	if err := c.there(ctx, c.fresh); err != nil {
		return nil, err
	}
	p, err := c.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.nobodyWaits(ctx, p.client()); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, p.stderr)
	}
	return p, c.clear(ctx, p.client())
}

// killStarting starts the server and kills it before or just after it is ready.
func (c *crash) killStarting(ctx context.Context) error {
	cmd := newCommand(ctx, c.args()...)
	if err := cmd.Start(); err != nil {
		return err
	}
	<-time.After(time.Duration(c.chance.Int64N(int64(300 * time.Millisecond))))
	_ = cmd.Process.Kill() // it may have ended
	_ = cmd.Wait()         // "signal: killed"
	c.kinds["starting"]++
	return nil
}

// client sends 50/16 messages a second and takes and closes what was offered.
func (c *crash) client(ctx context.Context, api *api.Client, round, k int, chance *rand.Rand) {
	const every = 16 * time.Second / 50
	texts := []string{
		"我的退款已经申请一个星期了还没有到账", "my parcel has not arrived, where is it", "the app crashes when I open it", "帮我开一张发票",
	}
	next := time.NewTimer(time.Duration(chance.Int64N(int64(every))))
	defer next.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(every)
		external := fmt.Sprintf("crash-%d-%d-%d", round, k, i)
		var got struct {
			Message      usher.Message `json:"message"`
			Conversation struct {
				ID string `json:"id"`
			} `json:"conversation"`
			Routing usher.Routing `json:"routing"`
		}
		err := api.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{
			"channel": "web", "text": texts[chance.IntN(len(texts))], "external_id": external,
			"customer": map[string]any{"id": fmt.Sprintf("customer-%d-%d-%d", round, k, i)},
		}, &got)
		c.told(external, got.Message.ID, err)
		if err != nil || got.Routing.Offer == nil {
			continue
		}
		if api.Do(ctx, http.MethodPost, "/v1/offers/"+url.PathEscape(got.Routing.Offer.ID)+"/accept", nil, nil) != nil {
			continue
		}
		c.holds(got.Conversation.ID, usher.StatusAssigned)
		if chance.IntN(2) == 0 {
			if api.Do(ctx, http.MethodPost, "/v1/conversations/"+url.PathEscape(got.Conversation.ID)+"/close", map[string]any{"reason": "resolved"}, nil) == nil {
				c.holds(got.Conversation.ID, usher.StatusClosed)
			}
		}
	}
}

func (c *crash) told(external, id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	if err != nil {
		c.unanswered++
		return
	}
	c.messages[external] = id
	c.fresh.messages = append(c.fresh.messages, external)
}

func (c *crash) holds(conversation string, st usher.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conversations[conversation] = st
	c.fresh.conversations = append(c.fresh.conversations, conversation)
}

// doctor runs usher doctor on the stopped server's directory.
func (c *crash) doctor(ctx context.Context) error {
	var out bytes.Buffer
	code := run(ctx, []string{"doctor", "--data", c.dir}, func(string) string { return "" }, strings.NewReader(""), &out, &out)
	if code != exitOK {
		return fmt.Errorf("doctor ended with %d:\n%s", code, out.String())
	}
	return nil
}

// there reads the stopped server's database: each message is stored under the id
// that its client was told.
func (c *crash) there(ctx context.Context, what answered) (err error) {
	db, err := sqlite.Open(ctx, c.dir+"/usher.db", sqlite.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, external := range what.messages {
		m, ok, err := db.MessageByExternalID(ctx, "web", external)
		if err != nil {
			return err
		}
		if !ok || m.ID != c.messages[external] {
			return fmt.Errorf("message %s was answered with id %s and is %q (found: %t)", external, c.messages[external], m.ID, ok)
		}
	}
	for _, id := range what.conversations {
		want := c.conversations[id]
		conv, err := db.ConversationByID(ctx, id)
		if err != nil {
			return fmt.Errorf("conversation %s was answered as %s: %w", id, want, err)
		}
		if conv.Status != want && conv.Status != usher.StatusClosed {
			return fmt.Errorf("conversation %s was answered as %s and is %s", id, want, conv.Status)
		}
	}
	return nil
}

// everything looks at all that was ever answered.
func (c *crash) everything(ctx context.Context) error {
	return c.there(ctx, answered{slices.Sorted(maps.Keys(c.messages)), slices.Sorted(maps.Keys(c.conversations))})
}

// nobodyWaits holds when, within 5 s, no conversation is queued: all agents are
// free for all.
func (c *crash) nobodyWaits(ctx context.Context, client *api.Client) error {
	return until(ctx, 5*time.Second, func() error {
		live, err := client.Live(ctx)
		if err != nil {
			return err
		}
		free := 0
		for _, a := range live.Agents {
			if a.Presence == usher.PresenceOnline {
				free += a.Units - a.UsedUnits
			}
		}
		var queued struct {
			Data []usher.Conversation `json:"data"`
		}
		if err := client.Do(ctx, http.MethodGet, "/v1/conversations?status=queued", nil, &queued); err != nil {
			return err
		}
		if len(queued.Data) > 0 {
			return fmt.Errorf("%d conversations wait, such as %s, with %d units free", len(queued.Data), queued.Data[0].ID, free)
		}
		if free == 0 {
			return errors.New("no agent is free: nothing can be said")
		}
		return nil
	})
}

// clear closes every open conversation, so that each round begins alike, and
// brings back agents who missed offers of killed clients.
func (c *crash) clear(ctx context.Context, client *api.Client) error {
	for {
		var page struct {
			Data []usher.Conversation `json:"data"`
		}
		if err := client.Do(ctx, http.MethodGet, "/v1/conversations?status=open,queued,offered,assigned,wrapping&limit=100", nil, &page); err != nil {
			return err
		}
		if len(page.Data) == 0 {
			return online(ctx, client)
		}
		for _, conv := range page.Data {
			if err := client.Do(ctx, http.MethodPost, "/v1/conversations/"+url.PathEscape(conv.ID)+"/close", map[string]any{"reason": "resolved"}, nil); err != nil {
				return fmt.Errorf("close %s: %w", conv.ID, err)
			}
			if _, ok := c.conversations[conv.ID]; ok {
				c.holds(conv.ID, usher.StatusClosed)
			}
		}
	}
}
