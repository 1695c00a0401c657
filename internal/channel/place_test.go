package channel_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"usher"
	"usher/internal/channel"
)

// placer is a reader whose messages have to be placed, and an inbox that refuses
// the conversation "another's".
type placer struct {
	*post

	mu     sync.Mutex
	placed map[string]int
	got    []channel.Inbound
}

func (p *placer) Read(ch usher.Channel, e usher.InboxEvent) (string, *channel.Inbound, error) {
	sender, in, err := p.post.Read(ch, e)
	if err != nil || in == nil {
		return sender, in, err
	}
	in.Place = func(_ context.Context, in *channel.Inbound) (string, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.placed[in.ExternalID]++
		switch in.ExternalID {
		case "a:drop":
			return "automatic", nil
		case "a:again":
			if p.placed[in.ExternalID] < 3 {
				return "", errors.New("not now")
			}
		}
		in.ConversationID = "another's"
		return "", nil
	}
	if in.ExternalID != "a:nobody" {
		in.Refused = func(in *channel.Inbound) bool {
			in.ConversationID, in.New, in.Refused = "", true, nil
			return true
		}
	}
	return sender, in, nil
}

func (p *placer) Receive(_ context.Context, in channel.Inbound) error {
	if in.ConversationID == "another's" {
		return usher.Errorf(usher.Unprocessable, "the conversation belongs to another customer")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, in)
	return nil
}

// TestReceiverPlaces: a message is placed in the order of its sender's, dropped
// when it is for nobody, and offered again elsewhere when its conversation is
// not its sender's.
func TestReceiverPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &placer{post: newPost(), placed: map[string]int{}}
		p.put("a:one", "a:again", "a:drop", "a:nobody", "a:last")
		r, err := channel.NewReceiver(channel.ReceiverConfig{Store: p, Inbox: p})
		if err != nil {
			t.Fatal(err)
		}
		r.Reads(usher.KindWeChat, p)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		for range 100 {
			synctest.Wait()
			p.post.mu.Lock()
			n := len(p.done)
			p.post.mu.Unlock()
			if n == 5 {
				break
			}
			<-time.After(100 * time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var order []string
		for _, in := range p.got {
			order = append(order, in.ExternalID)
			if !in.New || in.ConversationID != "" {
				t.Errorf("%s: in %q, new %v", in.ExternalID, in.ConversationID, in.New)
			}
		}
		if want := []string{"a:one", "a:again", "a:last"}; !slices.Equal(order, want) {
			t.Errorf("handed on %v, want %v", order, want)
		}
		if p.done[3] != "automatic" || p.done[4] != string(usher.Unprocessable) || p.done[1] != "" {
			t.Errorf("ends: %v", p.done)
		}
		if p.placed["a:again"] != 3 {
			t.Errorf("placed: %v", p.placed)
		}
	})
}
