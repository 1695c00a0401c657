package main

import (
	"container/heap"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"usher"
	"usher/api"
)

// stage plays customers and agents against a server, as people would: with
// delays, the odd refusal and the odd silence. One goroutine does it all.
type stage struct {
	client  *api.Client
	out     io.Writer
	chance  *rand.Rand
	names   map[string]string
	seen    map[string]bool // offers that an agent has noticed
	todo    cues
	traffic []line
	next    int
}

// cue is something that somebody will do.
type cue struct {
	at time.Time
	do func(ctx context.Context) error
}

// cues is a heap, earliest first.
type cues []cue

func (c cues) Len() int           { return len(c) }
func (c cues) Less(i, j int) bool { return c[i].at.Before(c[j].at) }
func (c cues) Swap(i, j int)      { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *cues) Push(x any) { *c = append(*c, x.(cue)) }

// Pop implements heap.Interface.
func (c *cues) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

// play runs the stage until ctx ends. What a server refuses is told and passed over.
func play(ctx context.Context, client *api.Client, every time.Duration, out io.Writer) error {
	traffic, err := demoTraffic()
	if err != nil {
		return err
	}
	s := &stage{
		client: client, out: out, chance: rand.New(rand.NewPCG(1, 2)), names: map[string]string{}, //nolint:gosec // a play, not a secret
		seen: map[string]bool{}, traffic: traffic,
	}
	live, err := client.Live(ctx)
	if err != nil {
		return fmt.Errorf("read floor: %w", err)
	}
	for _, a := range live.Agents {
		s.names[a.ID] = a.Name
	}
	s.repeat(every, s.customerWrites)
	s.repeat(300*time.Millisecond, s.agentsLook)
	s.repeat(15*time.Second, func(ctx context.Context) error { return online(ctx, client) })
	return s.run(ctx)
}

func (s *stage) run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		for len(s.todo) > 0 && !s.todo[0].at.After(time.Now()) {
			c, _ := heap.Pop(&s.todo).(cue)
			if err := c.do(ctx); err != nil && ctx.Err() == nil {
				fmt.Fprintln(s.out, "  !", err)
			}
		}
		timer.Reset(time.Until(s.todo[0].at))
	}
}

func (s *stage) in(d time.Duration, do func(ctx context.Context) error) {
	heap.Push(&s.todo, cue{time.Now().Add(d), do})
}

func (s *stage) repeat(every time.Duration, do func(ctx context.Context) error) {
	s.in(every, func(ctx context.Context) error {
		s.repeat(every, do)
		return do(ctx)
	})
}

// between draws a duration.
func (s *stage) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.chance.Int64N(int64(high-low)))
}

// reception is what the demo reads of an answer to a message.
type reception struct {
	Conversation struct {
		ID         string `json:"id"`
		CustomerID string `json:"customer_id"`
	} `json:"conversation"`
	Routing usher.Routing `json:"routing"`
}

// customerWrites sends the next line. Each time through, visitors are new people.
func (s *stage) customerWrites(ctx context.Context) error {
	l := s.traffic[s.next%len(s.traffic)]
	customer := map[string]any{"id": l.Customer.ID, "name": l.Customer.Name}
	if strings.HasPrefix(l.Customer.ID, "visitor-") {
		round := time.Now().UTC().Format("0102") + fmt.Sprint("-", s.next/len(s.traffic)+1)
		customer["id"] = l.Customer.ID + "-" + round
	}
	s.next++
	var got reception
	err := s.client.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{"channel": l.Channel, "text": l.Text, "customer": customer}, &got)
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	fmt.Fprintf(s.out, "%s %s %s\n%s%s\n", time.Now().Format("15:04:05"), l.Lang, l.Text, strings.Repeat(" ", 12), s.outcome(got.Routing))
	if got.Routing.State == usher.StateClarifying && len(got.Routing.Choices) > 0 {
		choice := got.Routing.Choices[0]
		s.in(s.between(3*time.Second, 8*time.Second), func(ctx context.Context) error {
			return s.client.Do(ctx, http.MethodPost, "/v1/messages", map[string]any{
				"channel": l.Channel, "text": choice.Label, "choice": choice.ID, "customer": map[string]any{"id": got.Conversation.CustomerID},
				"conversation_id": got.Conversation.ID,
			}, nil)
		})
	}
	return nil
}

// outcome is a routing in words.
func (s *stage) outcome(r usher.Routing) string {
	text := "→ " + string(r.State)
	switch {
	case r.Agent != nil && r.Agent.Name != "":
		text += " " + r.Agent.Name
	case r.Agent != nil:
		text += " " + s.names[r.Agent.ID]
	case r.Position > 0:
		text += fmt.Sprintf(" in %s, place %d", r.Queue, r.Position)
	}
	text += " (" + r.Reason + ")"
	labels := make([]string, len(r.Choices))
	for i, c := range r.Choices {
		labels[i] = fmt.Sprintf(" %d %s", i+1, c.Label)
	}
	return text + strings.Join(labels, "")
}

// agentsLook has agents notice their offers: most accept after a moment, a few
// decline, and now and then one is not at his desk.
func (s *stage) agentsLook(ctx context.Context) error {
	var page struct {
		Data []usher.Offer `json:"data"`
	}
	if err := s.client.Do(ctx, http.MethodGet, "/v1/offers?state=pending&limit=100", nil, &page); err != nil {
		return fmt.Errorf("read offers: %w", err)
	}
	for _, o := range page.Data {
		if s.seen[o.ID] {
			continue
		}
		s.seen[o.ID] = true
		delay := s.between(time.Second, 6*time.Second)
		switch roll := s.chance.IntN(100); {
		case roll < 3: // away from his desk
		case roll < 9:
			s.in(delay, func(ctx context.Context) error {
				return s.passable(s.client.Do(ctx, http.MethodPost, "/v1/offers/"+url.PathEscape(o.ID)+"/decline", map[string]any{"reason": "busy"}, nil))
			})
		default:
			s.in(delay, func(ctx context.Context) error { return s.agentTakes(ctx, o) })
		}
	}
	return nil
}

// agentTakes accepts an offer; the agent then replies, and closes in the end.
func (s *stage) agentTakes(ctx context.Context, o usher.Offer) error {
	if err := s.client.Do(ctx, http.MethodPost, "/v1/offers/"+url.PathEscape(o.ID)+"/accept", nil, nil); err != nil {
		return s.passable(err)
	}
	path := "/v1/conversations/" + url.PathEscape(o.ConversationID)
	s.in(s.between(3*time.Second, 12*time.Second), func(ctx context.Context) error {
		return s.passable(s.client.Do(ctx, http.MethodPost, path+"/messages", map[string]any{
			"author": usher.ByAgent, "agent_id": o.AgentID, "text": "您好，我来帮您看一下 / Hello, let me look into this for you.",
		}, nil))
	})
	s.in(s.between(25*time.Second, 70*time.Second), func(ctx context.Context) error {
		return s.passable(s.client.Do(ctx, http.MethodPost, path+"/close", map[string]any{"reason": "resolved"}, nil))
	})
	return nil
}

// passable drops what happens to people: somebody else was faster, or closed first.
func (*stage) passable(err error) error {
	switch usher.CodeOf(err) {
	case usher.Conflict, usher.OfferExpired, usher.OfferTaken, usher.OfferRescinded, usher.NotFound, usher.CapacityFull:
		return nil
	default:
		return err
	}
}
