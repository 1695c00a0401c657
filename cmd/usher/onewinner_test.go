package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"usher"
	"usher/internal/config"
	"usher/matcher"
)

// TestOneWinner lets 64 clients race for one offer, again and again: each of them
// accepts, declines, transfers or closes. The offer ends in one state, and that
// state names the only kind of answer to it that may be 2xx:
//
//   - accepted: no decline was 2xx;
//   - declined: no accept was 2xx;
//   - rescinded, by a transfer or a close: neither was.
//
// Closing again is no conflict, so closes are always 200; transfers are 200 or
// 409. Nothing is a 5xx. At the end the units in use are those that the open work
// of the log costs, and the floor is the one that the journal makes.
//
// USHER_TEST_ROUNDS is the number of rounds.
func TestOneWinner(t *testing.T) {
	t.Parallel()
	rounds := number(t, "USHER_TEST_ROUNDS", 20)
	r := startRace(t)
	began := time.Now()
	kinds := map[usher.OfferState]int{}
	for round := range rounds {
		state, err := r.round(t.Context(), round)
		if err != nil {
			t.Fatalf("round %d of %d: %v", round+1, rounds, err)
		}
		kinds[state]++
	}
	if err := r.account(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	t.Logf("%d rounds of 64 clients in %.0f s, offers ended %v", rounds, time.Since(began).Seconds(), kinds)
}

// race is a whole node in this process.
type race struct {
	node *node
	stop func() error
}

func startRace(t *testing.T) *race {
	t.Helper()
	cfg := config.Config{Data: t.TempDir(), Addr: "127.0.0.1:0", AdminAddr: "off", BootstrapKey: bootstrap}
	cfg.Limits.RequestsPerSecond = 1_000_000
	n, err := openNode(t.Context(), cfg.WithDefaults(), slog.New(slog.DiscardHandler), new(slog.LevelVar))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	g, ctx := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	g.Go(func() error { return n.serve(ctx, func(string) error { close(ready); return nil }) })
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatal(g.Wait())
	}
	var once sync.Once
	stop := func() (err error) {
		once.Do(func() {
			cancel()
			if err = g.Wait(); err == nil {
				err = n.close()
			}
		})
		return err
	}
	t.Cleanup(func() { _ = stop() }) // the test has looked
	r := &race{n, stop}
	for _, id := range []string{"a", "b"} {
		r.must(t, http.MethodPut, "/v1/agents/"+id, `{"name":"`+id+`","languages":[{"tag":"zh","level":5},{"tag":"en","level":5}],"capacity":{"units":1000}}`)
		r.must(t, http.MethodPut, "/v1/agents/"+id+"/presence", `{"presence":"online"}`)
	}
	return r
}

func (r *race) call(ctx context.Context, method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+bootstrap)
	req.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.node.parts.server.ServeHTTP(w, req)
	return w
}

func (r *race) must(t *testing.T, method, path, body string) {
	t.Helper()
	if w := r.call(t.Context(), method, path, body); w.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
	}
}

// round makes an offer and has 64 clients race for it.
func (r *race) round(ctx context.Context, n int) (usher.OfferState, error) {
	w := r.call(ctx, http.MethodPost, "/v1/messages", fmt.Sprintf(`{"channel":"web","text":"我要退款","customer":{"id":"racer-%d"}}`, n))
	var got struct {
		Routing      usher.Routing `json:"routing"`
		Conversation struct {
			ID string `json:"id"`
		} `json:"conversation"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		return "", err
	}
	o := got.Routing.Offer
	if o == nil {
		return "", fmt.Errorf("no offer was made: %d %s", w.Code, w.Body)
	}
	other := map[string]string{"a": "b", "b": "a"}[o.AgentID]
	conversation := "/v1/conversations/" + got.Conversation.ID
	kinds := []struct{ name, path, body string }{
		{"accept", "/v1/offers/" + o.ID + "/accept", ""},
		{"decline", "/v1/offers/" + o.ID + "/decline", `{"reason":"busy"}`},
		{"transfer", conversation + "/transfer", `{"to_agent":"` + other + `","reason":"race"}`},
		{"close", conversation + "/close", `{"reason":"resolved"}`},
	}
	// Closing ends everything, so it joins only some of the rounds.
	if n%4 != 0 {
		kinds = kinds[:3]
	}
	var mu sync.Mutex
	codes := map[string]map[int]int{}
	for _, k := range kinds {
		codes[k.name] = map[int]int{}
	}
	var clients sync.WaitGroup
	gate := make(chan struct{})
	for i := range 64 {
		k := kinds[(i+n)%len(kinds)]
		clients.Go(func() {
			<-gate
			w := r.call(ctx, http.MethodPost, k.path, k.body)
			mu.Lock()
			defer mu.Unlock()
			codes[k.name][w.Code]++
		})
	}
	close(gate)
	clients.Wait()
	stored, err := r.node.db.OfferByID(ctx, o.ID)
	if err != nil {
		return "", err
	}
	if err := judge(stored.State, codes); err != nil {
		return "", fmt.Errorf("%w; answers were %v", err, codes)
	}
	if w := r.call(ctx, http.MethodPost, conversation+"/close", `{"reason":"resolved"}`); n%8 != 7 && w.Code != http.StatusOK {
		return "", fmt.Errorf("close: %d %s", w.Code, w.Body)
	}
	return stored.State, nil
}

// judge compares the answers with the state that the offer ended in.
func judge(state usher.OfferState, codes map[string]map[int]int) error {
	for kind, by := range codes {
		for code := range by {
			if code != http.StatusOK && (code != http.StatusConflict || kind == "close") {
				return fmt.Errorf("a %s was answered %d", kind, code)
			}
		}
	}
	accepts, declines := codes["accept"][http.StatusOK], codes["decline"][http.StatusOK]
	switch state {
	case usher.OfferAccepted:
		if accepts == 0 || declines > 0 {
			return fmt.Errorf("the offer was accepted, with %d accepts and %d declines answered 200", accepts, declines)
		}
	case usher.OfferDeclined:
		if declines == 0 || accepts > 0 {
			return fmt.Errorf("the offer was declined, with %d accepts and %d declines answered 200", accepts, declines)
		}
	case usher.OfferWithdrawn:
		if accepts > 0 || declines > 0 {
			return fmt.Errorf("the offer was rescinded, with %d accepts and %d declines answered 200", accepts, declines)
		}
		if codes["transfer"][http.StatusOK]+codes["close"][http.StatusOK] == 0 {
			return errors.New("the offer was rescinded and nobody was told that he did it")
		}
	default:
		return fmt.Errorf("the offer is %s", state)
	}
	return nil
}

// account compares the units in use with the sum of the log, and the rows with the journal.
func (r *race) account(ctx context.Context) error {
	rows, _, err := r.node.db.Load(ctx)
	if err != nil {
		return err
	}
	held := map[string]int{}
	for _, c := range rows.Conversations {
		switch c.Status {
		case usher.StatusOffered, usher.StatusAssigned, usher.StatusWrapping:
			held[c.AgentID] += c.Work.Units
		default:
		}
	}
	logged, err := r.unitsOfLog(ctx)
	if err != nil {
		return err
	}
	for _, s := range rows.States {
		if s.UsedUnits != held[s.AgentID] || s.UsedUnits != logged[s.AgentID] {
			return fmt.Errorf("agent %s uses %d units, his conversations cost %d, the log sums to %d", s.AgentID, s.UsedUnits, held[s.AgentID], logged[s.AgentID])
		}
	}
	faults, err := r.node.db.Check(ctx)
	if err != nil {
		return err
	}
	for _, f := range faults {
		return fmt.Errorf("the database is at fault: %s", f)
	}
	differences, err := matcher.Verify(ctx, r.node.db, engine())
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		return fmt.Errorf("the rows are not what the journal makes: %v", differences)
	}
	return nil
}

// unitsOfLog sums the events: an offer reserves its units until it is declined,
// expired or rescinded; accepted or assigned they stay until the conversation
// leaves the agent.
func (r *race) unitsOfLog(ctx context.Context) (map[string]int, error) {
	held := map[string]string{} // conversation -> agent
	at := usher.Cursor{}
	for {
		events, err := r.node.db.EventsAfter(ctx, at, usher.EventFilter{}, 1000)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			switch e.Type {
			case usher.EventOfferCreated, usher.EventOfferAccepted, usher.EventConversationAssigned:
				held[e.ConversationID] = e.AgentID
			case usher.EventOfferDeclined, usher.EventOfferExpired, usher.EventOfferRescinded, usher.EventConversationClosed,
				usher.EventConversationQueued, usher.EventConversationTransfer:
				delete(held, e.ConversationID)
			default:
			}
			at = usher.Cursor{Step: e.Step, N: e.N}
		}
		if len(events) < 1000 {
			break
		}
	}
	units := map[string]int{}
	for _, agent := range held {
		units[agent]++
	}
	return units, nil
}
